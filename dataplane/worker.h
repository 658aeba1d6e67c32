#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "parts.h"

// A core that forwards: it polls, and has the pipeline say where each packet goes.

// Grouped by writer: a field that another thread writes never shares a line with one this worker
// writes.
struct worker {
	// Set once.
	alignas(RTE_CACHE_LINE_SIZE) struct dataplane *dp;
	unsigned index;
	unsigned lcore;
	unsigned cpu;
	bool shares_cpu; // With another worker.
	bool running;    // The lcore is ours.
	struct waiting_room *waiting;
	struct flow_memory flow_memory[N_FAMILIES];
	struct flow_memory affinity_memory;
	struct flow_memory traffic; // What counters.services and .nodes lie in.

	// Written by the control thread.
	alignas(RTE_CACHE_LINE_SIZE) _Atomic bool stopping;
	_Atomic(struct tracer *) tracer; // A packet to trace; taken back by this worker.

	// Written by this worker.
	alignas(RTE_CACHE_LINE_SIZE) struct pipeline pipeline;
	const struct forwarding_table *table; // As of this turn of the loop,
	uint64_t now_ns;                      // and the time.
	uint64_t tsc;
	uint64_t retry_ns;      // When the waiting room is looked at next,
	uint64_t waiting_since; // or as soon as the table is not of this generation.
	uint32_t n_idle;        // Turns in a row that found nothing.
	bool gave_to_twins;     // In this turn.
	struct outcome out;
	alignas(RTE_CACHE_LINE_SIZE) struct worker_counters counters;
};

// Starts the 'index'th of the configuration's workers. Returns 0 or -errno.
int worker_start(struct dataplane *dp, unsigned index, struct worker **ret_worker);

// Stops it, so that all workers can be stopped at once before any is waited for.
void worker_ask_to_stop(struct worker *w);

// Waits for its end and frees it. Accepts NULL.
void worker_stop(struct worker *w);

// How many flows of 'family' each worker has room for.
size_t worker_flows_max(const struct dataplane_config *config, enum family family);
