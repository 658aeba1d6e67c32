#pragma once

#include <stdint.h>

#include <rte_cycles.h>

// The time that workers and control thread share: of the time-stamp counter, in nanoseconds since
// some moment before the start. Never less than a second.
struct clock {
	uint64_t ns_per_cycle; // In 1/2^32.
	uint64_t start;
};

static inline struct clock clock_create(void)
{
	return (struct clock){
		.ns_per_cycle = (uint64_t)(1e9 * (1ull << 32) / (double)rte_get_tsc_hz()),
		.start = rte_rdtsc() - rte_get_tsc_hz(),
	};
}

static inline uint64_t clock_ns(const struct clock *clock, uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)(tsc - clock->start) * clock->ns_per_cycle >> 32);
}

// The same in whole seconds, as the pipeline counts them.
static inline uint32_t clock_s(uint64_t now_ns)
{
	return (uint32_t)(now_ns / NS_PER_S);
}
