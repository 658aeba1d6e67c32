#include "crowd_rounds.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_tcp.h>

enum { NEW_ROUNDS = 32 };

static const struct crowd_mode snat = {"snat", MODE_SNAT, TUNNEL_IP};

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

static void measure_live(struct bench *b, enum family family, const struct size *size)
{
	struct crowd *c = crowd_create(b, &snat, family, RTE_MAX(size->n_flows, 1024u));

	crowd_open(c, size->n_flows);
	for (enum direction d = 0; d < N_DIRECTIONS; d++)
		crowd_measure(b, c, d, size->n_flows, family == IPV4 ? size->bound[d] : 0);
	for (enum direction d = 0; family == IPV4 && size == &sizes[0] && d < N_DIRECTIONS; d++)
		crowd_measure_padded(b, c, d, size->n_flows);
	crowd_destroy(c);
}

static void measure_beginning(
	struct bench *b, struct crowd *c, const char *what, uint64_t *client, double bound)
{
	const uint64_t n_bursts = c->n_flows / NEW_ROUNDS / BURST_MAX;
	double samples[NEW_ROUNDS];
	uint64_t clients[BURST_MAX];

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
	crowd_report(b, c, what, c->n_flows, samples, NEW_ROUNDS, bound);
}

// From an empty table to a full one; then on, the oldest half-open flow giving way to each.
static void measure_new(struct bench *b, enum family family, uint64_t n)
{
	struct crowd *c = crowd_create(b, &snat, family, n);
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
