#pragma once

#include <stdbool.h>

#include "guideway/dataplane.h"

// A dataplane that forwards nothing: it writes down what the control plane tells it, and answers
// what the test puts here. Its workers see a new table at once unless they hang.

enum {
	RECORDED_TABLES_MAX = 64,
	RECORDED_FLOWS_MAX = 4096,
};

struct dataplane {
	// Written as told.
	const struct forwarding_table *tables[RECORDED_TABLES_MAX];
	size_t n_published;
	size_t n_reclaimed;

	// Written by the test.
	bool workers_hang;
	uint64_t flows_of_node[64];
	struct traffic traffic; // Of every service, and but for 'flows' of every node.
	struct counters counters;
	struct flow_view flows[RECORDED_FLOWS_MAX]; // Of worker 0 and IPv4.
	size_t n_flows;
	size_t n_rounds; // So often are they read before they end; 0 is once.
	struct explanation explanation;
	struct flow_key explained; // What was asked last.
	bool captures;
	struct capture_filter capture_filter;
	size_t n_captured; // Packets that are there to be taken.
	bool traces;
	struct trace trace;                  // What is answered,
	size_t trace_delay;                  // after so many looks.
	uint8_t traced[TRACE_FRAME_MAX];     // What was asked last,
	struct trace_request traced_request; // of which 'frame' is not kept.
};
