#pragma once

#include <stdint.h>

// How often each value came, to within a sixty-fourth of it.

enum {
	HISTOGRAM_STEPS = 64, // From one power of two to the next.
	HISTOGRAM_STEP_BITS = 6,
	HISTOGRAM_SLOTS = (64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS,
};

struct histogram {
	uint64_t n;
	uint64_t greatest;
	uint64_t counts[HISTOGRAM_SLOTS];
};

// The values below HISTOGRAM_STEPS have a slot each; from there on each power of two has as many.
static inline unsigned histogram_slot(uint64_t value)
{
	if (value < HISTOGRAM_STEPS)
		return (unsigned)value;

	unsigned shift = 63 - HISTOGRAM_STEP_BITS - (unsigned)__builtin_clzll(value);
	return shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
	h->n++;
	h->counts[histogram_slot(value)]++;
	if (value > h->greatest)
		h->greatest = value;
}

// The least value that a share of all, 0 to 1, does not exceed, rounded down to its slot's; 0 of
// none.
uint64_t histogram_quantile(const struct histogram *h, double share);
