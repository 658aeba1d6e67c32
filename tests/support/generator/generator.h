#pragma once

#include <stdint.h>

#include <rte_mempool.h>

#include "flows.h"
#include "histogram.h"
#include "plan.h"

// What lasts from one command to the next.
struct generator {
	struct rte_mempool *pool;
	struct flows flows[PLAN_PORTS_MAX]; // By the port by which they are opened.
	uint8_t run;                        // Of the tags that are ours (tag.h).
};

struct measurement {
	uint64_t sent;
	uint64_t refused;  // By the port, since the forwarder did not take what was there.
	uint64_t late;     // Not offered, since we were too late for them.
	uint64_t received; // Of those sent, also while no more were sent.
	uint64_t foreign;  // Of others.
	double seconds;    // That the rates are of: all but the beginning.
	double tx_per_s, rx_per_s;
	struct histogram latency; // In cycles.
};

// Sends what is planned, and takes in what comes back until nothing more does.
void measure(struct generator *g, const struct plan *plan, struct measurement *ret_measurement);

// Opens every flow of the plan in the manner of its protocol, being client and node at once, and
// learns as whom the nodes know it. Ends when all are open, or when none was for two seconds.
// Returns how many are, or −ENOMEM.
int64_t open_flows(struct generator *g, const struct plan *plan);

// The kind of frame that clients send, or nodes: without flags and length.
struct frame_kind frame_kind_of(const struct generator *g, const struct plan *plan);
