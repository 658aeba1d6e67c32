#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/drop.h"
#include "guideway/forwarding_table.h"

// One connection or UDP conversation as the client sees it.
struct flow_key {
	struct address client;
	struct address vip;
	__be16 client_port;
	__be16 port;
	uint8_t protocol;
};

enum flow_state {
	FLOW_FREE,      // No flow; only inside the flow table.
	FLOW_HALF_OPEN, // TCP before the handshake's third packet, UDP before the first reply.
	FLOW_ESTABLISHED,
	FLOW_CLOSING, // TCP after a RST, or FIN from both sides.
	FLOW_RESTING, // Over; only its SNAT port is still held.
	N_FLOW_STATES,
};

// "half-open"; never NULL.
const char *flow_state_word(enum flow_state state);

// A flow as guidewayctl shows it.
struct flow_view {
	struct address client;
	__be16 client_port;
	__be16 node_port;
	__be16 snat_port;
	uint8_t snat_index;
	uint8_t protocol;
	service_id service;
	node_id node;
	enum flow_state state;
	uint32_t idle_s;    // Since its last packet.
	uint32_t expires_s; // Until it is forgotten if none comes.
};

// What becomes of a packet, and why.
struct explanation {
	enum drop_reason drop; // DROP_NONE if it would be forwarded.
	service_id service;    // SERVICE_NONE if for none.
	enum forwarding_mode mode;
	uint32_t worker; // Who owns the flow; UINT32_MAX where only the port's RSS knows, and
	                 // where there are no flows.
	bool flow_found; // 'flow' is filled in; else a SYN or datagram would choose by 'slot'.
	struct flow_view flow;
	uint32_t slot;       // In the service's ring.
	node_id slot_node;   // Who has that slot, or NODE_NONE.
	bool affinity_found; // The client is remembered, with this node, if it may still be used.
	node_id affinity_node;
	uint32_t affinity_left_s; // Until it is not, if no flow begins.
	bool is_reply;            // From 'node' to a client of the service.
	node_id node;             // Where it goes, or NODE_NONE.
	next_hop_id next_hop;
	bool next_hop_resolved;
};
