#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include "burst.h"
#include "flow_hash.h"
#include "flow_memory.h"
#include "flow_table.h"
#include "owner.h"
#include "pipeline.h"

// The tables alone, in bursts, without packets.

enum { ROUNDS = 31, BURSTS = 512, N_SERVICES = 16, N_NODES = 8 };

static const uint64_t hash_key[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};

struct table {
	struct flow_table *ft;
	struct flow_memory memory;
	struct flow_context context;
	struct worker_counters counters;
	_Atomic uint64_t services[N_SERVICES * TRAFFIC_BYTES / 8];
	_Atomic uint64_t nodes[N_NODES * TRAFFIC_BYTES / 8];
	struct forwarding_table times;
};

static uint32_t client_of(uint64_t number)
{
	return htonl(0x0b000000 + (uint32_t)number);
}

static struct flow_identity identity_of(uint64_t number, const uint32_t *client)
{
	return (struct flow_identity){
		.client = client,
		.client_port = (__be16)(number * 2654435761u >> 8),
		.service = (service_id)(number % N_SERVICES),
		.back = {.node = (node_id)(number % N_NODES),
			.node_port = htons((uint16_t)(30000 + number % N_SERVICES)),
			.snat_port = (__be16)(number / N_SERVICES),
			.snat_index = (uint8_t)(number >> 20),
			.protocol = IPPROTO_TCP},
	};
}

static struct table *table_create(const struct bench *b, uint64_t n)
{
	struct table *t = aligned_alloc(64, (sizeof(*t) + 63) & ~(size_t)63);

	bench_require(t != NULL, "out of memory");
	memset(t, 0, sizeof(*t));
	bench_require(flow_memory_map(flow_table_bytes(IPV4, n), -1, bench_options(b)->hugepages,
			      &t->memory) == 0,
		"out of memory");
	t->ft = flow_table_create(t->memory.at, IPV4, n, hash_key, 1000);
	t->counters.services = traffic_counters_at(t->services, N_SERVICES);
	t->counters.nodes = traffic_counters_at(t->nodes, N_NODES);
	t->times.settings.tcp_half_open_s = 30;
	t->context = (struct flow_context){&t->times, &t->counters, 1000};
	return t;
}

static void table_destroy(struct table *t)
{
	flow_memory_unmap(&t->memory);
	free(t);
}

static void add_burst(struct table *t, uint64_t first)
{
	uint64_t hashes[BURST_MAX], hashes_back[BURST_MAX];

	for (uint64_t i = 0; i < BURST_MAX; i++) {
		uint32_t client = client_of(first + i);
		struct flow_identity id = identity_of(first + i, &client);

		hashes[i] = flow_hash(hash_key, IPV4, &client, id.client_port, id.service);
		hashes_back[i] = flow_hash_back(hash_key, id.back.word);
		flow_table_prefetch(t->ft, FLOW_FORWARD, hashes[i]);
		flow_table_prefetch(t->ft, FLOW_BACK, hashes_back[i]);
	}
	for (uint64_t i = 0; i < BURST_MAX; i++) {
		uint32_t client = client_of(first + i);
		struct flow_identity id = identity_of(first + i, &client);

		flow_table_add(t->ft, &t->context, &id, hashes[i], hashes_back[i]);
	}
}

static void find_burst(struct table *t, const uint64_t numbers[BURST_MAX])
{
	uint64_t hashes[BURST_MAX];
	flow_at guesses[BURST_MAX];
	uint64_t n_found = 0;

	for (int i = 0; i < BURST_MAX; i++) {
		uint32_t client = client_of(numbers[i]);
		struct flow_identity id = identity_of(numbers[i], &client);

		hashes[i] = flow_hash(hash_key, IPV4, &client, id.client_port, id.service);
		flow_table_prefetch(t->ft, FLOW_FORWARD, hashes[i]);
	}
	for (int i = 0; i < BURST_MAX; i++)
		guesses[i] = flow_table_guess(t->ft, IPV4, FLOW_FORWARD, hashes[i]);
	for (int i = 0; i < BURST_MAX; i++) {
		uint32_t client = client_of(numbers[i]);
		struct flow_identity id = identity_of(numbers[i], &client);

		if (guesses[i] == FLOW_NONE ||
			!flow_is(flow_table_flow(t->ft, IPV4, guesses[i]), IPV4, &client,
				id.client_port, id.service))
			guesses[i] = flow_table_find(
				t->ft, hashes[i], &client, id.client_port, id.service);
		n_found += guesses[i] != FLOW_NONE;
	}
	bench_require(n_found == BURST_MAX, "a flow is not found");
}

static void measure_adds(struct bench *b, struct table *t, uint64_t n)
{
	double samples[32];

	for (uint64_t round = 0; round < 32; round++) {
		uint64_t start = bench_now();

		for (uint64_t i = 0; i < n / 32; i += BURST_MAX)
			add_burst(t, round * (n / 32) + i);
		samples[round] = (double)(bench_now() - start) / (double)(n / 32);
	}
	bench_report(
		b, "flow_table add", "flow", n, page_kind_words(t->memory.pages), samples, 32, 0);
}

static void measure_finds(struct bench *b, struct table *t, uint64_t n)
{
	double samples[ROUNDS];
	uint64_t state = 1;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t cycles = 0;

		for (int i = 0; i < BURSTS; i++) {
			uint64_t numbers[BURST_MAX];

			for (int k = 0; k < BURST_MAX; k++)
				numbers[k] = bench_random(&state) * n >> 32;
			uint64_t start = bench_now();
			find_burst(t, numbers);
			cycles += bench_now() - start - bench_overhead();
		}
		samples[round] = (double)cycles / (BURSTS * BURST_MAX);
	}
	bench_report(b, "flow_table find", "flow", n, page_kind_words(t->memory.pages), samples,
		ROUNDS, 0);
}

static void measure_table(struct bench *b, uint64_t n)
{
	struct table *t = table_create(b, n);

	measure_adds(b, t, n);
	measure_finds(b, t, n);
	table_destroy(t);
}

static void measure_owner(struct bench *b)
{
	struct owner_map *map = owner_map_create(4);
	struct address target = address_from_ipv4(htonl(0xc000020a));
	struct address snat = address_from_ipv4(htonl(0xc0000201));
	double samples[ROUNDS];
	uint64_t state = 1, sum = 0;

	bench_require(map != NULL, "out of memory");
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = bench_now();

		for (int i = 0; i < BURSTS; i++)
			sum += owner_port(map, 1, &target, htons(30080), &snat,
				(uint32_t)bench_random(&state));
		samples[round] = (double)(bench_now() - start) / BURSTS;
	}
	bench_require(sum > 0, "no port");
	bench_report(b, "owner_port", "port", 0, "", samples, ROUNDS, 0);
	owner_map_destroy(map);
}

void bench_flow_table(struct bench *b)
{
	static const uint64_t sizes[] = {1 << 10, 1 << 16, 1 << 20, 1 << 24};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (bench_wants(b, "flow_table", sizes[i]))
			measure_table(b, sizes[i]);
	}
	if (bench_wants(b, "owner_port", 0))
		measure_owner(b);
}
