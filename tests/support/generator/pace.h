#pragma once

#include <stdint.h>

// A set rate: how many packets are due by now. What falls due while nobody asks is made up for, up
// to PACE_DEBT_MAX packets; what is more was not offered, and counts as late.

enum { PACE_DEBT_MAX = 256 };

struct pace {
	uint64_t start; // In cycles, as all times here.
	double per_cycle;
	uint64_t taken; // Due ones that were asked for, or are late.
	uint64_t late;
};

static inline struct pace pace_at(double per_s, uint64_t cycles_per_s, uint64_t now)
{
	return (struct pace){.start = now, .per_cycle = per_s / (double)cycles_per_s};
}

// At most 'most' of those that are due now.
static inline unsigned pace_take(struct pace *p, uint64_t now, unsigned most)
{
	uint64_t due = (uint64_t)((double)(now - p->start) * p->per_cycle) - p->taken;

	if (due > PACE_DEBT_MAX) {
		p->late += due - PACE_DEBT_MAX;
		p->taken += due - PACE_DEBT_MAX;
		due = PACE_DEBT_MAX;
	}
	unsigned n = due < most ? (unsigned)due : most;
	p->taken += n;
	return n;
}
