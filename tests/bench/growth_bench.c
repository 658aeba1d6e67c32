// Whether a packet costs more where there is more: of services, of nodes, of new tables.
//
// Flows are as many everywhere, and what is compared is measured in turn, round by round. The
// tables are those that the control plane builds. Of new tables a round is 10 ms of forwarding, and
// every other begins with the exchange: of the new table nothing is in any cache, which is the
// worst that it can mean that another core has made it.

#include "crowd_rounds.h"

#include <stdio.h>
#include <string.h>

#include <emmintrin.h>

#include "many.h"

enum {
	N_FLOWS = 1 << 20,
	CASES_MAX = 4,
	SWAPS_PER_S = 100,
	LINE = 64,
};

struct size {
	size_t n; // What the case is called by.
	size_t n_services;
	size_t n_nodes;
};

// Each case stands beside the first of its series.
static const struct series {
	const char *what;
	struct size sizes[CASES_MAX];
	size_t n;
	double bound;
} all_series[] = {
	{"services", {{1, 1, 16}, {100, 100, 16}, {1000, 1000, 16}, {10000, 10000, 16}}, 4, 1.15},
	{"nodes", {{10, 16, 10}, {100, 16, 100}, {1000, 16, 1000}}, 3, 1.10},
};

static const struct size few = {0, 16, 16}, lots = {0, 10000, 1000};
static const double swap_bound = 1.02;

static const struct crowd_mode modes[] = {
	{"snat", MODE_SNAT, TUNNEL_IP},
	{"dsr", MODE_DSR, TUNNEL_IP},
};

struct place {
	struct many many;
	struct table_builder *builder;
	const struct forwarding_table *table;
	struct crowd *crowd;
};

// Nodes are neighbours, each with a next hop of its own.
static next_hop_id find_hop(void *, const struct address *address)
{
	return (next_hop_id)(rte_be_to_cpu_32(address->words[3]) % NEXT_HOP_MAX);
}

static const struct next_hop_finder finder = {.find = find_hop};

static void create(struct place *p, const struct bench *b, const struct crowd_mode *mode,
	const struct size *size)
{
	const struct route anywhere[] = {
		{address_from_ipv4(0), 1, 1},
		{address_from_ipv4(rte_cpu_to_be_32(0x80000000)), 1, 1},
	};
	bool has_flows = mode->mode == MODE_SNAT;

	many_create(&p->many, size->n_services, size->n_nodes, mode->mode);
	bench_require(table_builder_create(size->n_services, size->n_nodes, &p->builder) == 0 &&
			table_builder_set_routes(p->builder, anywhere, RTE_DIM(anywhere)) == 0,
		"out of memory");
	p->table = many_build(&p->many, p->builder, &finder, 1);
	p->crowd = crowd_create_over(b, mode, IPV4, has_flows ? N_FLOWS : 1024, p->table);
	if (has_flows)
		crowd_open(p->crowd, N_FLOWS);
}

static void destroy(struct place *p)
{
	crowd_destroy(p->crowd);
	table_builder_destroy(p->builder);
	many_destroy(&p->many);
}

// Services and nodes
// ==================

// Of the most there are: where the cycles go.
static void show_stages(struct bench *b, const struct size *size, const char *what, struct crowd *c,
	enum direction direction)
{
	char of[64];

	snprintf(of, sizeof(of), ", %zu %s", size->n, what);
	crowd_measure_stages(b, c, direction, N_FLOWS, of);
}

static void measure_direction(
	struct bench *b, const struct series *s, struct place *places, enum direction direction)
{
	static double samples[CASES_MAX][BENCH_ROUNDS_MAX], first[BENCH_ROUNDS_MAX];
	unsigned n_rounds = bench_options(b)->rounds;
	uint64_t random = 1;

	for (unsigned round = 0; round < n_rounds; round++) {
		for (size_t i = 0; i < s->n; i++) {
			// Once before, since those in between have taken the caches.
			crowd_round(places[i].crowd, direction, N_FLOWS, &random);
			samples[i][round] =
				crowd_round(places[i].crowd, direction, N_FLOWS, &random);
		}
	}
	memcpy(first, samples[0], sizeof(first));
	for (size_t i = 0; i < s->n; i++) {
		char what[64];

		snprintf(what, sizeof(what), "%s, %zu %s",
			direction == FORWARD ? "forward" : "return", s->sizes[i].n, s->what);
		crowd_report_beside(b, places[i].crowd, what, N_FLOWS, samples[i], first, n_rounds,
			i == 0 ? 0 : s->bound);
	}
	show_stages(b, &s->sizes[s->n - 1], s->what, places[s->n - 1].crowd, direction);
}

static void measure_series(struct bench *b, const struct series *s, const struct crowd_mode *mode)
{
	static struct place places[CASES_MAX];

	for (size_t i = 0; i < s->n; i++)
		create(&places[i], b, mode, &s->sizes[i]);
	measure_direction(b, s, places, FORWARD);
	if (mode->mode == MODE_SNAT)
		measure_direction(b, s, places, RETURN);
	for (size_t i = 0; i < s->n; i++)
		destroy(&places[i]);
}

// New tables
// ==========

static void flush(const void *at, size_t len)
{
	for (size_t i = 0; i < len; i += LINE)
		_mm_clflush((const uint8_t *)at + i);
}

static void flush_index(const struct index *index)
{
	flush(index->slots, ((size_t)index->mask + 1) * sizeof(index->slots[0]));
}

static void flush_table(const struct forwarding_table *table)
{
	const struct service *first = &table->services[0];

	flush(first->ring, first->ring_size * sizeof(first->ring[0]));
	flush(first->states, table->n_nodes);
	flush(table->services, table->n_services * sizeof(table->services[0]));
	flush(table->nodes, table->n_nodes * sizeof(table->nodes[0]));
	flush(table->own, table->n_own * sizeof(table->own[0]));
	flush(table->snat[IPV4], table->n_snat[IPV4] * sizeof(table->snat[IPV4][0]));
	flush_index(&table->service_index);
	flush_index(&table->node_index);
	flush_index(&table->own_index);
	flush(table, sizeof(*table));
	_mm_mfence();
}

// The table with one node drained, or with none.
static void swap_table(struct place *p)
{
	struct model_target *target = &p->many.targets[0];
	const struct forwarding_table *before = p->table;

	// The ring of the other state is still there: the one before has it.
	target->state = target->state == TARGET_UP ? TARGET_DRAINING : TARGET_UP;
	p->table = many_build(&p->many, p->builder, &finder, 1);
	p->crowd->table = p->table;
	table_builder_release(p->builder, before);
	flush_table(p->table);
}

static double forward_until_next_swap(struct crowd *c, uint64_t *random)
{
	uint64_t cycles = 0, n_bursts = 0;

	for (; cycles < rte_get_tsc_hz() / SWAPS_PER_S; n_bursts++)
		cycles += crowd_burst(c, FORWARD, N_FLOWS, random);
	return (double)cycles / (double)(n_bursts * BURST_MAX);
}

static void measure_swaps(struct bench *b, const struct crowd_mode *mode, const struct size *size)
{
	static double still[BENCH_ROUNDS_MAX], swapped[BENCH_ROUNDS_MAX];
	unsigned n_rounds = bench_options(b)->rounds;
	uint64_t random = 1;
	struct place p;
	char what[64];

	create(&p, b, mode, size);
	for (unsigned round = 0; round < n_rounds; round++) {
		swap_table(&p);
		swapped[round] = forward_until_next_swap(p.crowd, &random);
		still[round] = forward_until_next_swap(p.crowd, &random);
	}
	snprintf(what, sizeof(what), "forward, swaps, %zu", size->n_services);
	crowd_report_beside(b, p.crowd, what, N_FLOWS, swapped, still, n_rounds, swap_bound);
	destroy(&p);
}

void bench_growth(struct bench *b)
{
	for (size_t i = 0; i < RTE_DIM(modes); i++) {
		for (size_t k = 0; k < RTE_DIM(all_series); k++) {
			if (bench_wants(b, all_series[k].what, N_FLOWS))
				measure_series(b, &all_series[k], &modes[i]);
		}
		if (bench_wants(b, "swaps", N_FLOWS)) {
			measure_swaps(b, &modes[i], &few);
			measure_swaps(b, &modes[i], &lots);
		}
	}
}
