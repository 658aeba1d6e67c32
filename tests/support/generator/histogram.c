#include "histogram.h"

#include <math.h>

static uint64_t least_of(unsigned slot)
{
	if (slot < HISTOGRAM_STEPS)
		return slot;

	unsigned shift = slot / HISTOGRAM_STEPS - 1;
	return (uint64_t)(HISTOGRAM_STEPS + slot % HISTOGRAM_STEPS) << shift;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)ceil(share * (double)h->n), seen = 0;

	for (unsigned slot = 0; slot < HISTOGRAM_SLOTS && wanted > 0; slot++) {
		seen += h->counts[slot];
		if (seen >= wanted)
			return least_of(slot);
	}
	return 0;
}
