#pragma once

#include <stdbool.h>
#include <stdint.h>

// How often something may be done, for one worker. All bytes 0 is a limiter that has done nothing.
struct limiter {
	uint64_t free_at_ns; // When the last ones allowed would have been done at an even pace.
};

// Whether it may be done once more now: at 'rate' a second on average, and at once a tenth of a
// second's worth and one. A rate of 0 allows nothing.
bool limiter_allows(struct limiter *limiter, uint32_t rate, uint64_t now_ns);
