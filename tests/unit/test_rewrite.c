#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>

#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "rewrite.h"

enum { LEN_MAX = 128 };

static uint64_t seed = 20241123;

static uint32_t random_word(void)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(seed >> 32);
}

// A packet at an odd offset, as after a VLAN tag and worse.
struct frame {
	enum family family;
	uint8_t protocol;
	uint8_t *l3;
	uint8_t *l4;
	uint16_t len;
	uint8_t bytes[LEN_MAX + 1];
};

static uint16_t l4_checksum(const struct frame *f)
{
	return f->family == IPV4 ? rte_ipv4_udptcp_cksum((void *)f->l3, f->l4)
				 : rte_ipv6_udptcp_cksum((void *)f->l3, f->l4);
}

static uint16_t *checksum_at(const struct frame *f)
{
	return (uint16_t *)(void *)(f->l4 + (f->protocol == IPPROTO_TCP ? 16 : 6));
}

static uint16_t checksum_of(const struct frame *f)
{
	uint16_t checksum;

	memcpy(&checksum, checksum_at(f), sizeof(checksum));
	return checksum;
}

static void set_checksum(struct frame *f, uint16_t checksum)
{
	memcpy(checksum_at(f), &checksum, sizeof(checksum));
}

static uint16_t right_checksum(const struct frame *f)
{
	struct frame copy = *f;

	copy.l3 = copy.bytes + (f->l3 - f->bytes);
	copy.l4 = copy.bytes + (f->l4 - f->bytes);
	set_checksum(&copy, 0);
	return l4_checksum(&copy);
}

static uint16_t right_header_checksum(const struct frame *f)
{
	struct rte_ipv4_hdr ip;

	memcpy(&ip, f->l3, sizeof(ip));
	ip.hdr_checksum = 0;
	return rte_ipv4_cksum(&ip);
}

static uint16_t header_checksum(const struct frame *f)
{
	return ((const struct rte_ipv4_hdr *)f->l3)->hdr_checksum;
}

static void make(struct frame *f, enum family family, uint8_t protocol)
{
	uint16_t l3_len = family == IPV4 ? 20 : 40;
	uint16_t payload = (uint16_t)(random_word() % 40);
	uint16_t l4_len = (protocol == IPPROTO_TCP ? 20 : 8) + payload;

	*f = (struct frame){.family = family, .protocol = protocol, .len = l3_len + l4_len};
	for (size_t i = 0; i < LEN_MAX; i++)
		f->bytes[i] = (uint8_t)random_word();
	f->l3 = f->bytes + 1;
	f->l4 = f->l3 + l3_len;
	if (family == IPV4) {
		struct rte_ipv4_hdr *ip = (void *)f->l3;

		ip->version_ihl = 0x45;
		ip->total_length = rte_cpu_to_be_16(f->len);
		ip->next_proto_id = protocol;
		ip->time_to_live |= 2;
		ip->hdr_checksum = right_header_checksum(f);
	} else {
		struct rte_ipv6_hdr *ip = (void *)f->l3;

		ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
		ip->payload_len = rte_cpu_to_be_16(l4_len);
		ip->proto = protocol;
		ip->hop_limits |= 2;
	}
	if (protocol == IPPROTO_UDP)
		((struct rte_udp_hdr *)f->l4)->dgram_len = rte_cpu_to_be_16(l4_len);
	set_checksum(f, right_checksum(f));
}

static void rewrite_at_random(struct frame *f)
{
	uint32_t source[4], destination[4];

	for (int i = 0; i < 4; i++) {
		source[i] = random_word();
		destination[i] = random_word();
	}
	const struct rewrite to = {.source = source,
		.destination = destination,
		.source_port = (uint16_t)random_word(),
		.destination_port = (uint16_t)random_word()};
	size_t len = f->family == IPV4 ? 4 : 16;
	const uint8_t *ends = f->l3 + (f->family == IPV4 ? 12 : 8);

	if (f->family == IPV4)
		rewrite_packet(f->l3, f->l4, IPV4, f->protocol, &to);
	else
		rewrite_packet(f->l3, f->l4, IPV6, f->protocol, &to);
	assert_memory_equal(ends, source, len);
	assert_memory_equal(ends + len, destination, len);
	assert_memory_equal(f->l4, &to.source_port, 2);
	assert_memory_equal(f->l4 + 2, &to.destination_port, 2);
}

static void checksums_stay_right_for_any_packet_and_any_new_ends(void **)
{
	print_message("    seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 200000; i++) {
		struct frame f;

		make(&f, i % 2, i % 4 < 2 ? IPPROTO_TCP : IPPROTO_UDP);
		rewrite_at_random(&f);
		assert_int_equal(checksum_of(&f), right_checksum(&f));
		if (f.family == IPV4)
			assert_int_equal(header_checksum(&f), right_header_checksum(&f));
	}
}

static void a_wrong_checksum_stays_wrong(void **)
{
	for (int i = 0; i < 1000; i++) {
		struct frame f;

		make(&f, i % 2, IPPROTO_TCP);
		set_checksum(&f, checksum_of(&f) ^ 0x0100);
		rewrite_at_random(&f);
		assert_int_not_equal(checksum_of(&f), right_checksum(&f));
	}
}

static void the_hop_limit_is_one_less(void **)
{
	struct frame f;

	make(&f, IPV4, IPPROTO_UDP);
	uint8_t before = f.l3[8];
	rewrite_at_random(&f);
	assert_int_equal(f.l3[8], before - 1);

	make(&f, IPV6, IPPROTO_UDP);
	before = f.l3[7];
	rewrite_at_random(&f);
	assert_int_equal(f.l3[7], before - 1);
}

static void a_datagram_without_checksum_keeps_having_none(void **)
{
	struct frame f;

	make(&f, IPV4, IPPROTO_UDP);
	set_checksum(&f, 0);
	rewrite_at_random(&f);
	assert_int_equal(checksum_of(&f), 0);
	assert_int_equal(header_checksum(&f), right_header_checksum(&f));
}

// Chooses the source port so that the checksum comes out as 0.
static void a_udp_checksum_of_0_is_sent_as_ffff(void **)
{
	for (int i = 0; i < 200; i++) {
		struct frame f;
		uint32_t source[4] = {1, 2, 3, 4}, destination[4] = {5, 6, 7, 8};
		struct rewrite to = {source, destination, 0, 53};

		make(&f, i % 2, IPPROTO_UDP);
		struct frame probe = f;
		probe.l3 = probe.bytes + (f.l3 - f.bytes);
		probe.l4 = probe.bytes + (f.l4 - f.bytes);
		if (f.family == IPV4)
			rewrite_packet(probe.l3, probe.l4, IPV4, IPPROTO_UDP, &to);
		else
			rewrite_packet(probe.l3, probe.l4, IPV6, IPPROTO_UDP, &to);

		// With a source port equal to the checksum with port 0, the sum is all ones.
		to.source_port = checksum_of(&probe);
		if (f.family == IPV4)
			rewrite_packet(f.l3, f.l4, IPV4, IPPROTO_UDP, &to);
		else
			rewrite_packet(f.l3, f.l4, IPV6, IPPROTO_UDP, &to);
		assert_int_equal(checksum_of(&f), 0xffff);
		assert_int_equal(right_checksum(&f), 0xffff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_stay_right_for_any_packet_and_any_new_ends),
		cmocka_unit_test(a_wrong_checksum_stays_wrong),
		cmocka_unit_test(the_hop_limit_is_one_less),
		cmocka_unit_test(a_datagram_without_checksum_keeps_having_none),
		cmocka_unit_test(a_udp_checksum_of_0_is_sent_as_ffff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
