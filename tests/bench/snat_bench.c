#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_tcp.h>

enum { BURSTS = 512, NEW_ROUNDS = 32 };

enum direction { FORWARD, RETURN, N_DIRECTIONS };

static const char *const family_names[] = {"ipv4", "ipv6"};
static const char *const direction_names[] = {"forward", "return"};

static const struct size {
	uint64_t n_flows;
	double bound[N_DIRECTIONS]; // Of IPv4.
} sizes[] = {
	{1, {80, 70}},
	{1 << 10, {80, 70}},
	{1 << 16, {80, 70}},
	{1 << 20, {80, 70}},
	{1 << 24, {110, 0}},
};

static void write_random(struct crowd *c, enum direction direction, uint64_t n, uint64_t *state)
{
	uint64_t clients[BURST_MAX];

	for (int i = 0; i < BURST_MAX; i++)
		clients[i] = bench_random(state) * n >> 32;
	if (direction == FORWARD)
		crowd_write_requests(c, clients, RTE_TCP_ACK_FLAG);
	else
		crowd_write_replies(c, clients, RTE_TCP_ACK_FLAG);
}

static void report(struct bench *b, const struct crowd *c, const char *name, uint64_t n,
	double *samples, size_t n_samples, double bound)
{
	bench_report(b, name, "packet", n, page_kind_words(c->flow_memory.pages), samples,
		n_samples, bound);
}

static void measure(
	struct bench *b, struct crowd *c, enum direction direction, uint64_t n, double bound)
{
	unsigned n_rounds = bench_options(b)->rounds;
	double samples[BENCH_ROUNDS_MAX];
	uint64_t state = 1;
	char name[80];

	for (unsigned round = 0; round < n_rounds; round++) {
		uint64_t cycles = 0;

		for (int i = 0; i < BURSTS; i++) {
			write_random(c, direction, n, &state);
			cycles += crowd_forward(c);
		}
		samples[round] = (double)cycles / (BURSTS * BURST_MAX);
	}
	snprintf(name, sizeof(name), "snat %s %s", family_names[c->family],
		direction_names[direction]);
	report(b, c, name, n, samples, n_rounds, bound);
}

static struct crowd_stages run_stages(
	struct crowd *c, enum direction direction, uint64_t n, uint64_t *state)
{
	struct crowd_stages sum = {0};

	for (int i = 0; i < BURSTS; i++) {
		struct crowd_stages took;

		write_random(c, direction, n, state);
		if (direction == FORWARD)
			crowd_forward_by_stages(c, &took);
		else
			crowd_reply_by_stages(c, &took);
		sum.parse += took.parse;
		sum.prepare += took.prepare;
		sum.snat += took.snat;
	}
	return sum;
}

static void report_stage(struct bench *b, const struct crowd *c, enum direction direction,
	const char *stage, uint64_t n, double *samples)
{
	char name[80];

	snprintf(name, sizeof(name), "  %s %s: %s", family_names[c->family],
		direction_names[direction], stage);
	report(b, c, name, n, samples, bench_options(b)->rounds, 0);
}

static void measure_stages(struct bench *b, struct crowd *c, enum direction direction, uint64_t n)
{
	double parse[BENCH_ROUNDS_MAX], prepare[BENCH_ROUNDS_MAX], snat[BENCH_ROUNDS_MAX];
	const double packets = BURSTS * BURST_MAX;
	uint64_t state = 1;

	for (unsigned round = 0; round < bench_options(b)->rounds; round++) {
		struct crowd_stages sum = run_stages(c, direction, n, &state);

		parse[round] = (double)sum.parse / packets;
		prepare[round] = (double)sum.prepare / packets;
		snat[round] = (double)sum.snat / packets;
	}
	report_stage(b, c, direction, "parse", n, parse);
	report_stage(b, c, direction, "prepare", n, prepare);
	report_stage(b, c, direction, "snat, rewrite, send", n, snat);
}

static void measure_live(struct bench *b, enum family family, const struct size *size)
{
	struct crowd *c = crowd_create(b, family, RTE_MAX(size->n_flows, 1024u));

	crowd_open(c, size->n_flows);
	for (enum direction d = 0; d < N_DIRECTIONS; d++) {
		measure(b, c, d, size->n_flows, family == IPV4 ? size->bound[d] : 0);
		measure_stages(b, c, d, size->n_flows);
	}
	crowd_destroy(c);
}

static void measure_beginning(
	struct bench *b, struct crowd *c, const char *what, uint64_t *client, double bound)
{
	const uint64_t n_bursts = c->n_flows / NEW_ROUNDS / BURST_MAX;
	double samples[NEW_ROUNDS];
	uint64_t clients[BURST_MAX];
	char name[80];

	for (int round = 0; round < NEW_ROUNDS; round++) {
		uint64_t cycles = 0;

		for (uint64_t i = 0; i < n_bursts; i++) {
			for (int k = 0; k < BURST_MAX; k++)
				clients[k] = (*client)++;
			crowd_write_requests(c, clients, RTE_TCP_SYN_FLAG);
			cycles += crowd_forward(c);
		}
		samples[round] = (double)cycles / (double)(n_bursts * BURST_MAX);
	}
	snprintf(name, sizeof(name), "snat %s %s", family_names[c->family], what);
	report(b, c, name, c->n_flows, samples, NEW_ROUNDS, bound);
}

// From an empty table to a full one; then on, the oldest half-open flow giving way to each.
static void measure_new(struct bench *b, enum family family, uint64_t n)
{
	struct crowd *c = crowd_create(b, family, n);
	uint64_t client = 0;

	measure_beginning(b, c, "new flow", &client, family == IPV4 ? 200 : 0);
	measure_beginning(b, c, "new flow, table full", &client, 0);
	crowd_destroy(c);
}

void bench_snat(struct bench *b)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			if (bench_wants(b, family == IPV4 ? "snat ipv4" : "snat ipv6",
				    sizes[i].n_flows))
				measure_live(b, family, &sizes[i]);
		}
		if (bench_wants(b, family == IPV4 ? "snat ipv4 new" : "snat ipv6 new", 1 << 20))
			measure_new(b, family, 1 << 20);
	}
}
