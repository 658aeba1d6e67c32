#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>

#include <rte_thash.h>

#include "owner.h"

// The key of "Verifying the RSS Hash Calculation".
static const uint8_t microsoft_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41,
	0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
	0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
	0xfa};

// What it gives for the vectors of that page, with ports.
static const struct vector {
	const char *source;
	uint16_t source_port;
	const char *destination;
	uint16_t destination_port;
	uint32_t hash;
} vectors[] = {
	{"66.9.149.187", 2794, "161.142.100.80", 1766, 0x51ccc178},
	{"199.92.111.2", 14230, "65.69.140.83", 4739, 0xc626b0ea},
	{"24.19.198.95", 12898, "12.22.207.184", 38024, 0x5c2b394a},
	{"38.27.205.30", 48228, "209.142.163.6", 2217, 0xafc7327f},
	{"153.39.163.191", 44251, "202.188.127.2", 1303, 0x10e828a2},
	{"3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x40207d3d},
	{"3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0xdde51bbf},
	{"3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024,
		0x02d1feef},
};

static struct address address(const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1) {
		__be32 ipv4;

		memcpy(&ipv4, bytes, sizeof(ipv4));
		return address_from_ipv4(ipv4);
	}
	assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
	return address_from_ipv6(bytes);
}

static void rss_is_what_microsoft_says(void **)
{
	uint16_t reta[512];

	for (uint16_t i = 0; i < 512; i++)
		reta[i] = i;
	struct owner_map *map = owner_map_create_rss(512, microsoft_key, 40, reta, 512);

	assert_non_null(map);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		struct address source = address(v->source), destination = address(v->destination);

		assert_int_equal(owner_of(map, &source, htons(v->source_port), &destination,
					 htons(v->destination_port)),
			v->hash % 512);
	}
	owner_map_destroy(map);
}

static uint64_t seed = 20241123;

static uint32_t random_word(void)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(seed >> 32);
}

static struct address random_address(enum family family)
{
	uint32_t words[4] = {random_word(), random_word(), random_word(), random_word()};

	words[0] |= 1; // Not IPv4-mapped.
	return family == IPV4 ? address_from_ipv4(words[0]) : address_from_ipv6(words);
}

static uint32_t softrss(const struct address *source, __be16 source_port,
	const struct address *destination, __be16 destination_port, const uint8_t *key)
{
	uint32_t words[9];
	size_t n = address_family(source) == IPV4 ? 1 : 4;

	for (size_t i = 0; i < n; i++) {
		words[i] = ntohl(source->words[4 - n + i]);
		words[n + i] = ntohl(destination->words[4 - n + i]);
	}
	words[2 * n] = (uint32_t)ntohs(source_port) << 16 | ntohs(destination_port);
	return rte_softrss(words, (uint32_t)(2 * n + 1), key);
}

static void rss_is_what_dpdk_computes_for_any_key_and_table(void **)
{
	static const size_t sizes[] = {64, 128, 512};

	print_message("    seed %llu\n", (unsigned long long)seed);
	for (size_t round = 0; round < 6; round++) {
		uint8_t key[52];
		uint16_t reta[512];
		size_t size = sizes[round % 3];

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)random_word();
		for (size_t i = 0; i < size; i++)
			reta[i] = (uint16_t)(random_word() % 7);
		struct owner_map *map = owner_map_create_rss(7, key, sizeof(key), reta, size);

		for (int i = 0; i < 2000; i++) {
			struct address target = random_address(i % 2), snat = random_address(i % 2);
			__be16 node_port = (__be16)random_word(), port = (__be16)random_word();
			uint32_t hash = softrss(&target, node_port, &snat, port, key);

			assert_int_equal(
				owner_of(map, &target, node_port, &snat, port), reta[hash % size]);
		}
		owner_map_destroy(map);
	}
}

// A reply has the node as its source and, as its destination, the port that the worker took.
static void assert_reply_comes_to(const struct owner_map *map, unsigned worker, enum family family,
	const uint8_t *key, const uint16_t *reta, size_t size)
{
	struct address target = random_address(family), snat = random_address(family);
	__be16 node_port = (__be16)random_word();
	__be16 port = owner_port(map, worker, &target, node_port, &snat, random_word());

	assert_int_not_equal(port, 0);
	assert_int_equal(reta[softrss(&target, node_port, &snat, port, key) % size], worker);
}

static void a_reply_to_a_port_comes_to_the_worker_that_took_it(void **)
{
	enum { ROUNDS = 64, REPLIES = 64 };
	static const size_t sizes[] = {64, 128, 256, 512};

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t key[52];
		uint16_t reta[512];
		size_t size = sizes[round % 4];
		unsigned n_workers = 1 + random_word() % 32;

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)random_word();
		// Some have more of the table than others, and none has nothing.
		for (size_t i = 0; i < size; i++)
			reta[i] = (uint16_t)(i < n_workers ? i : random_word() % n_workers);
		struct owner_map *map =
			owner_map_create_rss(n_workers, key, sizeof(key), reta, size);

		assert_non_null(map);
		for (unsigned i = 0; i < REPLIES; i++)
			assert_reply_comes_to(
				map, i % n_workers, i / n_workers % 2, key, reta, size);
		owner_map_destroy(map);
	}
}

// Every worker's ports are his, each once, and all together are those from 'first' to 'last'.
static void assert_range_is_shared_out(const struct owner_map *map, unsigned n_workers,
	const struct address *target, __be16 node_port, const struct address *snat, uint16_t first,
	uint16_t last)
{
	static bool taken[65536];
	uint32_t sum = 0;

	memset(taken, 0, sizeof(taken));
	for (unsigned w = 0; w < n_workers; w++) {
		uint32_t n = owner_ports(map, w, target, node_port, snat);

		for (uint32_t i = 0; i < n; i++) {
			__be16 port = owner_port(map, w, target, node_port, snat, i);

			assert_in_range(ntohs(port), first, last);
			assert_true(owner_map_has(map, port) && !taken[ntohs(port)]);
			taken[ntohs(port)] = true;
			assert_int_equal(owner_of(map, target, node_port, snat, port), w);
		}
		if (n > 0)
			assert_int_equal(owner_port(map, w, target, node_port, snat, 3 * n + 1),
				owner_port(map, w, target, node_port, snat, 1));
		sum += n;
	}
	assert_int_equal(sum, last - first + 1);
}

static void assert_ports_are_shared_out(const struct owner_map *map, unsigned n_workers,
	const struct address *target, __be16 node_port, const struct address *snat)
{
	assert_range_is_shared_out(map, n_workers, target, node_port, snat, SNAT_PORT_MIN,
		SNAT_PORT_MIN + SNAT_PORTS - 1);
}

static void the_bit_field_shares_out_all_ports_evenly(void **)
{
	for (unsigned n = 1; n <= 64; n++) {
		struct owner_map *map = owner_map_create(n);

		for (enum family family = 0; family < N_FAMILIES; family++) {
			struct address target = random_address(family);
			struct address snat = random_address(family);

			assert_ports_are_shared_out(map, n, &target, htons(30080), &snat);
			for (unsigned w = 0; w < n; w++) {
				uint32_t ports = owner_ports(map, w, &target, htons(30080), &snat);

				assert_in_range(ports, 504 * (128 / n), 504 * (128 / n + 1));
			}
		}
		owner_map_destroy(map);
	}
}

static void rss_shares_out_all_ports_for_any_target(void **)
{
	for (unsigned round = 0; round < 12; round++) {
		uint8_t key[40];
		uint16_t reta[128];
		unsigned n_workers = round + 1;

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)random_word();
		if (round == 0)
			memset(key, 0, sizeof(key)); // Every port is in class 0.
		for (size_t i = 0; i < 128; i++)
			reta[i] = (uint16_t)(i % n_workers);
		struct owner_map *map = owner_map_create_rss(n_workers, key, 40, reta, 128);

		for (int i = 0; i < 4; i++) {
			struct address target = random_address(i % 2), snat = random_address(i % 2);

			assert_ports_are_shared_out(
				map, n_workers, &target, (__be16)random_word(), &snat);
		}
		owner_map_destroy(map);
	}
}

static void ports_may_be_left_to_others(void **)
{
	uint16_t reta[128];

	for (size_t i = 0; i < 128; i++)
		reta[i] = i % 3;
	struct owner_map *maps[] = {
		owner_map_create(3), owner_map_create_rss(3, microsoft_key, 40, reta, 128)};

	for (size_t m = 0; m < 2; m++) {
		owner_map_narrow(maps[m], 1024, 32767);
		owner_map_narrow(maps[m], 61000, 65535);
		for (int i = 0; i < 4; i++) {
			struct address target = random_address(i % 2), snat = random_address(i % 2);

			assert_range_is_shared_out(
				maps[m], 3, &target, (__be16)random_word(), &snat, 61000, 65535);
		}
		assert_false(owner_map_has(maps[m], htons(60999)));
		owner_map_destroy(maps[m]);
	}
}

static void a_worker_without_a_queue_owns_no_port(void **)
{
	uint16_t reta[128] = {0};
	struct owner_map *map = owner_map_create_rss(2, microsoft_key, 40, reta, 128);
	struct address target = random_address(IPV4), snat = random_address(IPV4);

	assert_int_equal(owner_ports(map, 1, &target, htons(80), &snat), 0);
	assert_int_equal(owner_port(map, 1, &target, htons(80), &snat, 5), 0);
	assert_int_equal(owner_ports(map, 0, &target, htons(80), &snat), SNAT_PORTS);
	owner_map_destroy(map);
	owner_map_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rss_is_what_microsoft_says),
		cmocka_unit_test(rss_is_what_dpdk_computes_for_any_key_and_table),
		cmocka_unit_test(a_reply_to_a_port_comes_to_the_worker_that_took_it),
		cmocka_unit_test(the_bit_field_shares_out_all_ports_evenly),
		cmocka_unit_test(rss_shares_out_all_ports_for_any_target),
		cmocka_unit_test(ports_may_be_left_to_others),
		cmocka_unit_test(a_worker_without_a_queue_owns_no_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
