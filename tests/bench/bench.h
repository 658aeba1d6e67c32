#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <emmintrin.h>

#include <rte_cycles.h>

// What every bench says: how many cycles of the time-stamp counter one of a thing takes.

struct bench;

enum { BENCH_ROUNDS_MAX = 1001 };

struct bench_options {
	uint64_t flows_max; // Cases with more are left out.
	const char *only;   // Cases whose name does not hold this are left out. May be NULL.
	unsigned cpu;
	unsigned rounds; // Of which the median is told; at most BENCH_ROUNDS_MAX.
	bool hugepages;
	bool skips_machine;
};

const struct bench_options *bench_options(const struct bench *b);

// Whether the case is to be run.
bool bench_wants(const struct bench *b, const char *name, uint64_t n_flows);

// One line of the result: the median of 'n' samples, each of cycles for one 'unit' ("packet"),
// which a neighbour's noise does not move, and the least, for comparing. 'n_flows' were live (0
// where flows have nothing to do with it) in memory of 'pages'. 'bound' is the design's, or 0.
// Sorts the samples.
void bench_report(struct bench *b, const char *name, const char *unit, uint64_t n_flows,
	const char *pages, double *samples, size_t n, double bound);

// The same, and the ratio to what is 'beside' it: the median over rounds, so that 'samples' and
// 'beside' are of the same round where they have the same number. 'bound' is of the ratio, or 0.
void bench_report_beside(struct bench *b, const char *name, const char *unit, uint64_t n_flows,
	const char *pages, double *samples, const double *beside, size_t n, double bound);

// A fact about the machine: "time-stamp rate", 2600, "MHz".
void bench_fact(struct bench *b, const char *name, double value, const char *unit);

// Sorts the samples.
double bench_median(double *samples, size_t n);

// Says what is wrong and ends the program.
void bench_require(bool condition, const char *what);

// The time-stamp counter when all before is done and nothing behind has begun.
static inline uint64_t bench_now(void)
{
	_mm_lfence();
	uint64_t now = rte_rdtsc();
	_mm_lfence();
	return now;
}

// What a pair of bench_now() takes by itself.
uint64_t bench_overhead(void);

static inline uint64_t bench_random(uint64_t *state)
{
	*state = *state * 6364136223846793005 + 1442695040888963407;
	return *state >> 32;
}

// The benches. Each reports what it measures.
void bench_machine(struct bench *b);
void bench_flow_table(struct bench *b);
void bench_snat(struct bench *b);
void bench_modes(struct bench *b);
void bench_fragments(struct bench *b);
void bench_growth(struct bench *b);
void bench_lookups(struct bench *b);
void bench_sources(struct bench *b);
void bench_tables(struct bench *b);
void bench_cluster(struct bench *b);
