#pragma once

#include <stdint.h>

#include "frame.h"
#include "plan.h"

// The flows, each named by its number: who its client and VIP are is a function of that, and as
// whom its node knows it is learned while it is opened.

enum flow_progress { FLOW_UNKNOWN, FLOW_MET, FLOW_OPEN };

// A flow as its node sees it, last 32 bits of addresses.
struct flow_peer {
	uint32_t node, peer;
	uint16_t peer_port;
	uint16_t progress; // An enum flow_progress.
};

struct flows {
	uint64_t n;
	uint32_t n_vips;
	uint32_t client, vip; // The last 32 bits of the first.
	uint16_t vip_port, node_port;
	struct flow_peer *peers; // [n] of those that were opened last, or NULL.
	uint64_t n_peers;
	uint8_t node_prefix[12], peer_prefix[12]; // Of IPv6.
};

// Those of a plan. What was learned of other flows stays.
void flows_choose(struct flows *flows, const struct plan *plan);

// Forgets what was learned, and makes room for the present flows. Returns 0 or -ENOMEM.
int flows_forget(struct flows *flows);

void flows_free(struct flows *flows);

// What the flow's client sends.
static inline struct frame_ends flows_forward(const struct flows *f, uint64_t flow)
{
	enum { FIRST_PORT = 1024, PORTS_OF_CLIENT = 256 };

	return (struct frame_ends){
		.source = f->client + (uint32_t)(flow / PORTS_OF_CLIENT),
		.source_port = FIRST_PORT + flow % PORTS_OF_CLIENT,
		.destination = f->vip + (uint32_t)(flow % f->n_vips),
		.destination_port = f->vip_port,
	};
}

// What its node sends; the flow has been met.
static inline struct frame_ends flows_return(const struct flows *f, uint64_t flow)
{
	const struct flow_peer *p = &f->peers[flow];

	return (struct frame_ends){
		.source = p->node,
		.source_port = f->node_port,
		.destination = p->peer,
		.destination_port = p->peer_port,
	};
}
