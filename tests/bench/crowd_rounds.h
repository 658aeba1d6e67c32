#pragma once

#include "crowd.h"

// Rounds of bursts of a crowd, whose flows are picked at random.

enum direction { FORWARD, RETURN, N_DIRECTIONS };

// Measures packets of the clients below 'n', the whole of the pipeline and then its stages, and
// reports both.
void crowd_measure(
	struct bench *b, struct crowd *c, enum direction direction, uint64_t n, double bound);

// The stages alone, as "snat ipv4 forward'of': parse" and so on, and the rest: what the whole takes
// beyond their sum, round by round.
void crowd_measure_stages(
	struct bench *b, struct crowd *c, enum direction direction, uint64_t n, const char *of);

// Frames of which six bytes behind the packet are padding, beside frames without. IPv4.
void crowd_measure_padded(struct bench *b, struct crowd *c, enum direction direction, uint64_t n);

// One round: cycles a packet of bursts of the clients below 'n', picked by '*random'.
double crowd_round(struct crowd *c, enum direction direction, uint64_t n, uint64_t *random);

// The same with a burst, and all its cycles.
uint64_t crowd_burst(struct crowd *c, enum direction direction, uint64_t n, uint64_t *random);

// Reports samples of packets as "snat ipv4 'what'". Sorts them.
void crowd_report(struct bench *b, const struct crowd *c, const char *what, uint64_t n_flows,
	double *samples, size_t n, double bound);

// The same beside others, as bench_report_beside().
void crowd_report_beside(struct bench *b, const struct crowd *c, const char *what, uint64_t n_flows,
	double *samples, const double *beside, size_t n, double bound);
