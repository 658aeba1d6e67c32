#pragma once

#include <stdint.h>

#include "guideway/dataplane.h"

// How busy the workers are: what changed from one look to the next.

struct worker_load {
	unsigned cpu;
	double busy; // The part of its time that went into packets, 0 to 1.
	double rx_packets_per_s;
	double rx_bytes_per_s;
};

struct load {
	struct worker_load workers[WORKERS_MAX]; // [n_workers]
	size_t n_workers;

	// As of the last look.
	struct counters last[WORKERS_MAX];
	uint64_t last_ns; // 0 before the first.
	uint64_t last_cycles;
};

// Looks. To be called about once a second.
void load_take(struct load *load, const struct dataplane *dp, uint64_t now_ns);
