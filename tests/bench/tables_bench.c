// What a change costs the control loop: a ring of 65537 slots, and the next table of 10 000
// services over 1000 nodes, of which one was lost. Cycles are of one thread, with nothing
// forwarded.

#include "bench.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "maglev.h"
#include "table_builder.h"

enum { RING_SIZE = 65537, N_NODES = 1000, N_SERVICES = 10000 };

static double milliseconds(unsigned n)
{
	return (double)rte_get_tsc_hz() * n / 1000;
}

static uint32_t equal(unsigned)
{
	return 1;
}

static uint32_t all_different(unsigned i)
{
	return 1000 + i;
}

static void bench_ring(
	struct bench *b, const char *name, unsigned n_members, uint32_t (*weight_of)(unsigned i))
{
	static struct maglev_member members[N_NODES];
	static node_id ring[RING_SIZE];
	double samples[BENCH_ROUNDS_MAX];
	unsigned rounds = bench_options(b)->rounds;
	struct maglev_fit fit;

	if (!bench_wants(b, name, 0))
		return;
	for (unsigned i = 0; i < n_members; i++)
		members[i] = (struct maglev_member){mix(i), weight_of(i), (node_id)i, 0};
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t start = bench_now();
		int r = maglev_build(members, n_members, RING_SIZE, ring, &fit);

		samples[round] = (double)(bench_now() - start);
		bench_require(r == 0, "a ring is not built");
	}
	bench_report(b, name, "ring", 0, "", samples, rounds, milliseconds(1));
}

// A model of one set, with what it points at.
struct cluster {
	struct model model;
	struct model_set set;
	struct model_node *nodes;
	struct model_target *targets;
	struct model_service *services;
	char (*names)[64]; // Of the services.
	struct address snat;
};

static void make_nodes(struct cluster *c)
{
	for (unsigned i = 0; i < N_NODES; i++) {
		snprintf(c->nodes[i].name, NAME_TEXT_MAX, "worker-%u.cluster.example", i);
		c->nodes[i].address[IPV4] = address_from_ipv4(htonl(0x0a000001 + i));
		c->targets[i] = (struct model_target){i, 1, TARGET_UP};
	}
}

static void make_services(struct cluster *c)
{
	for (unsigned i = 0; i < N_SERVICES; i++) {
		struct model_service *s = &c->services[i];

		snprintf(c->names[i], sizeof(c->names[i]), "namespace-%u/service-%u:http", i % 100,
			i);
		s->name = c->names[i];
		s->vip = address_from_ipv4(htonl(0xc6120001 + i / 4));
		s->port = (uint16_t)(80 + i % 4);
		s->node_port = (uint16_t)(30000 + i % 2768);
		s->protocol = IPPROTO_TCP;
		s->idle_s = 3600;
	}
}

static void create_cluster(struct cluster *c)
{
	c->nodes = calloc(N_NODES, sizeof(*c->nodes));
	c->targets = calloc(N_NODES, sizeof(*c->targets));
	c->services = calloc(N_SERVICES, sizeof(*c->services));
	c->names = calloc(N_SERVICES, sizeof(*c->names));
	bench_require(
		c->nodes != NULL && c->targets != NULL && c->services != NULL && c->names != NULL,
		"out of memory");
	make_nodes(c);
	make_services(c);

	c->snat = address_from_ipv4(htonl(0xc000020a));
	c->set = (struct model_set){c->targets, N_NODES, false};
	c->model = (struct model){.nodes = c->nodes,
		.n_nodes = N_NODES,
		.sets = &c->set,
		.n_sets = 1,
		.services = c->services,
		.n_services = N_SERVICES,
		.snat = {&c->snat},
		.n_snat = {1},
		.ring_size = RING_SIZE};
}

static void destroy_cluster(struct cluster *c)
{
	free(c->nodes);
	free(c->targets);
	free(c->services);
	free(c->names);
}

static const struct forwarding_table *build(
	struct table_builder *builder, const struct cluster *c, size_t n_rings)
{
	const struct forwarding_table *table;
	struct build_report report;
	char why[WHY_MAX];

	bench_require(
		table_builder_build(builder, &c->model, NULL, &table, &report, why) == 0, why);
	bench_require(report.n_rings_built == n_rings, "not as many rings are built as changed");
	return table;
}

// Each round loses another node, so that no ring is there before.
static void lose_nodes(struct bench *b, struct table_builder *builder, struct cluster *c)
{
	const struct forwarding_table *before = build(builder, c, 1);
	double samples[BENCH_ROUNDS_MAX];
	unsigned rounds = bench_options(b)->rounds;

	for (unsigned round = 0; round < rounds; round++) {
		c->targets[round % N_NODES].state = TARGET_DOWN;
		uint64_t start = bench_now();
		const struct forwarding_table *after = build(builder, c, 1);

		samples[round] = (double)(bench_now() - start);
		table_builder_release(builder, before);
		c->targets[round % N_NODES].state = TARGET_UP;
		before = after;
	}
	bench_report(
		b, "table build, one node lost", "table", 0, "", samples, rounds, milliseconds(10));
}

void bench_tables(struct bench *b)
{
	struct table_builder *builder;
	struct cluster cluster;

	bench_ring(b, "ring build, 10 members", 10, equal);
	bench_ring(b, "ring build, 100 members", 100, equal);
	bench_ring(b, "ring build, 1000 members", 1000, equal);
	bench_ring(b, "ring build, 1000 weights", 1000, all_different);
	if (!bench_wants(b, "table build, one node lost", 0))
		return;

	bench_require(table_builder_create(N_SERVICES, N_NODES, &builder) == 0, "out of memory");
	create_cluster(&cluster);
	lose_nodes(b, builder, &cluster);
	table_builder_destroy(builder);
	destroy_cluster(&cluster);
}
