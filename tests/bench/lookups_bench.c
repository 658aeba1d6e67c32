// The lookups that packets make in what the control plane has built, and of a client's affinity:
// bursts of what is there, picked at random, one after the other and with nothing asked for ahead.

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "affinity.h"
#include "burst.h"
#include "flow_hash.h"
#include "many.h"

enum { N_SERVICES = 10000, N_NODES = 1000, N_ROUTES = 10000, N_CLIENTS = 1 << 20, BURSTS = 512 };

struct lookups {
	struct many many;
	struct table_builder *builder;
	const struct forwarding_table *table;
	struct affinity *affinity;
	void *affinity_memory;
};

struct lookup {
	const char *name;
	uint64_t n; // To find one of.
	bool (*find)(const struct lookups *l, uint32_t number);
};

static const uint64_t hash_key[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};

static bool find_service(const struct lookups *l, uint32_t number)
{
	const struct service *s = &l->table->services[number];

	return forwarding_table_find_service(l->table,
		       index_hash_endpoint(&s->vip, s->port, s->protocol), &s->vip, s->port,
		       s->protocol) == number;
}

static bool find_node(const struct lookups *l, uint32_t number)
{
	struct address address = node_address(&l->table->nodes[number], IPV4);

	return forwarding_table_find_node(l->table, &address) == number;
}

static bool find_own(const struct lookups *l, uint32_t number)
{
	return forwarding_table_find_own(
		       l->table, &l->table->own[number % l->table->n_own].address) != NULL;
}

static struct address routed(uint32_t number)
{
	return address_from_ipv4(rte_cpu_to_be_32(0x0b000000 + number * 256));
}

static bool find_route(const struct lookups *l, uint32_t number)
{
	struct address address = routed(number);

	return forwarding_table_route(l->table, &address) != NEXT_HOP_NONE;
}

static bool find_affinity(const struct lookups *l, uint32_t number)
{
	struct address client = address_from_ipv4(rte_cpu_to_be_32(0x0b000000 + number));
	struct affinity_choice choice;

	return affinity_find(l->affinity,
		flow_hash(hash_key, IPV4, (const uint8_t *)&client.words[3], 0, 0), &client, 0,
		1000, 3600, &choice);
}

static const struct lookup lookups[] = {
	{"lookup of a service", N_SERVICES, find_service},
	{"lookup of a node", N_NODES, find_node},
	{"lookup of our own address", N_SERVICES, find_own},
	{"lookup of a route", N_ROUTES, find_route},
	{"lookup of a client's affinity", N_CLIENTS, find_affinity},
};

static void make_routes(struct lookups *l)
{
	static struct route routes[N_ROUTES];

	for (uint32_t i = 0; i < N_ROUTES; i++)
		routes[i] = (struct route){routed(i), 24, (next_hop_id)(1 + i % 1000)};
	bench_require(table_builder_set_routes(l->builder, routes, N_ROUTES) == 0, "no routes");
}

// Twice as many places, so that few have been forgotten.
static void make_affinity(struct lookups *l)
{
	size_t n = 2 * N_CLIENTS;

	l->affinity_memory = aligned_alloc(64, affinity_bytes(n));
	bench_require(l->affinity_memory != NULL, "out of memory");
	memset(l->affinity_memory, 0, affinity_bytes(n));
	l->affinity = affinity_create(l->affinity_memory, n);
	for (uint32_t i = 0; i < N_CLIENTS; i++) {
		struct address client = address_from_ipv4(rte_cpu_to_be_32(0x0b000000 + i));

		affinity_put(l->affinity,
			flow_hash(hash_key, IPV4, (const uint8_t *)&client.words[3], 0, 0), &client,
			0, 1000, (struct affinity_choice){0});
	}
}

static void measure(struct bench *b, const struct lookups *l, const struct lookup *lookup)
{
	double samples[BENCH_ROUNDS_MAX];
	unsigned n_rounds = bench_options(b)->rounds;
	uint64_t random = 1, n_found = 0;

	for (unsigned round = 0; round < n_rounds; round++) {
		uint64_t start = bench_now();

		for (int i = 0; i < BURSTS * BURST_MAX; i++)
			n_found += lookup->find(
				l, (uint32_t)(bench_random(&random) * lookup->n >> 32));
		samples[round] = (double)(bench_now() - start) / (BURSTS * BURST_MAX);
	}
	bench_require(n_found * 100 > 95ull * n_rounds * BURSTS * BURST_MAX, "little is found");
	bench_report(b, lookup->name, "lookup", lookup->n, "", samples, n_rounds, 0);
}

static bool is_wanted(const struct bench *b)
{
	for (size_t i = 0; i < RTE_DIM(lookups); i++) {
		if (bench_wants(b, lookups[i].name, lookups[i].n))
			return true;
	}
	return false;
}

void bench_lookups(struct bench *b)
{
	struct lookups l;

	if (!is_wanted(b))
		return;
	many_create(&l.many, N_SERVICES, N_NODES, MODE_SNAT);
	bench_require(table_builder_create(N_SERVICES, N_NODES, &l.builder) == 0, "out of memory");
	make_routes(&l);
	l.table = many_build(&l.many, l.builder, NULL, 1);
	make_affinity(&l);
	for (size_t i = 0; i < RTE_DIM(lookups); i++) {
		if (bench_wants(b, lookups[i].name, lookups[i].n))
			measure(b, &l, &lookups[i]);
	}
	free(l.affinity_memory);
	table_builder_destroy(l.builder);
	many_destroy(&l.many);
}
