#include "crowd_rounds.h"

#include <stdio.h>

#include <rte_tcp.h>

enum {
	BURSTS = 512,
	PADDING = 6, // To the 60 bytes that Ethernet asks for, of TCP over IPv4 without data.
};

static const char *const family_names[] = {"ipv4", "ipv6"};
static const char *const direction_names[] = {"forward", "return"};

static const char *const stage_names[N_CROWD_STAGES] = {
	[CROWD_PARSE] = "parse",
	[CROWD_ASK] = "ask",
	[CROWD_SORT] = "sort",
	[CROWD_PREPARE] = "prepare",
	[CROWD_OWN] = "own, send",
	[CROWD_EXPIRE] = "expire",
};

static bool has_flows(const struct crowd *c)
{
	return c->mode->mode == MODE_SNAT;
}

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

static const char *pages_of(const struct crowd *c)
{
	return has_flows(c) ? page_kind_words(c->flow_memory.pages) : "";
}

static void report(struct bench *b, const struct crowd *c, const char *name, uint64_t n_flows,
	double *samples, size_t n, double bound)
{
	bench_report(b, name, "packet", n_flows, pages_of(c), samples, n, bound);
}

void crowd_report(struct bench *b, const struct crowd *c, const char *what, uint64_t n_flows,
	double *samples, size_t n, double bound)
{
	char name[80];

	snprintf(name, sizeof(name), "%s %s %s", c->mode->name, family_names[c->family], what);
	report(b, c, name, n_flows, samples, n, bound);
}

void crowd_report_beside(struct bench *b, const struct crowd *c, const char *what, uint64_t n_flows,
	double *samples, const double *beside, size_t n, double bound)
{
	char name[80];

	snprintf(name, sizeof(name), "%s %s %s", c->mode->name, family_names[c->family], what);
	bench_report_beside(b, name, "packet", n_flows, pages_of(c), samples, beside, n, bound);
}

uint64_t crowd_burst(struct crowd *c, enum direction direction, uint64_t n, uint64_t *random)
{
	write_random(c, direction, n, random);
	return crowd_forward(c);
}

double crowd_round(struct crowd *c, enum direction direction, uint64_t n, uint64_t *random)
{
	uint64_t cycles = 0;

	for (int i = 0; i < BURSTS; i++)
		cycles += crowd_burst(c, direction, n, random);
	return (double)cycles / (BURSTS * BURST_MAX);
}

static void measure_whole(
	struct bench *b, struct crowd *c, enum direction direction, uint64_t n, double bound)
{
	unsigned n_rounds = bench_options(b)->rounds;
	double samples[BENCH_ROUNDS_MAX];
	uint64_t state = 1;

	for (unsigned round = 0; round < n_rounds; round++)
		samples[round] = crowd_round(c, direction, n, &state);
	crowd_report(b, c, direction_names[direction], n, samples, n_rounds, bound);
}

static void run_stages(struct crowd *c, enum direction direction, uint64_t n, uint64_t *state,
	int64_t ret_sums[N_CROWD_STAGES])
{
	for (int i = 0; i < BURSTS; i++) {
		write_random(c, direction, n, state);
		if (direction == FORWARD)
			crowd_forward_by_stages(c, ret_sums);
		else
			crowd_reply_by_stages(c, ret_sums);
	}
}

static void report_stage(struct bench *b, const struct crowd *c, enum direction direction,
	const char *of, const char *stage, uint64_t n, double *samples)
{
	char name[80];

	snprintf(name, sizeof(name), "  %s %s %s%s: %s", c->mode->name, family_names[c->family],
		direction_names[direction], of, stage);
	report(b, c, name, n, samples, bench_options(b)->rounds, 0);
}

void crowd_measure_stages(
	struct bench *b, struct crowd *c, enum direction direction, uint64_t n, const char *of)
{
	static double samples[N_CROWD_STAGES][BENCH_ROUNDS_MAX], rest[BENCH_ROUNDS_MAX];
	const double packets = BURSTS * BURST_MAX;
	uint64_t state = 1;

	for (unsigned round = 0; round < bench_options(b)->rounds; round++) {
		int64_t sums[N_CROWD_STAGES] = {0};

		rest[round] = crowd_round(c, direction, n, &state);
		run_stages(c, direction, n, &state, sums);
		for (enum crowd_stage stage = 0; stage < N_CROWD_STAGES; stage++) {
			samples[stage][round] = (double)sums[stage] / packets;
			rest[round] -= samples[stage][round];
		}
	}
	for (enum crowd_stage stage = 0; stage < N_CROWD_STAGES; stage++) {
		if (crowd_has_stage(c, stage, direction == RETURN))
			report_stage(b, c, direction, of, stage_names[stage], n, samples[stage]);
	}
	report_stage(b, c, direction, of, "rest", n, rest);
}

void crowd_measure_padded(struct bench *b, struct crowd *c, enum direction direction, uint64_t n)
{
	static double padded[BENCH_ROUNDS_MAX], bare[BENCH_ROUNDS_MAX];
	unsigned n_rounds = bench_options(b)->rounds;
	uint64_t state = 1;
	char what[32];

	for (unsigned round = 0; round < n_rounds; round++) {
		bare[round] = crowd_round(c, direction, n, &state);
		c->padding_bytes = PADDING;
		padded[round] = crowd_round(c, direction, n, &state);
		c->padding_bytes = 0;
	}
	snprintf(what, sizeof(what), "%s, padded", direction_names[direction]);
	crowd_report_beside(b, c, what, n, padded, bare, n_rounds, 0);
}

void crowd_measure(
	struct bench *b, struct crowd *c, enum direction direction, uint64_t n, double bound)
{
	measure_whole(b, c, direction, n, bound);
	crowd_measure_stages(b, c, direction, n, "");
}
