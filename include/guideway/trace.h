#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/counters.h"
#include "guideway/drop.h"
#include "guideway/flow.h"
#include "guideway/forwarding_table.h"

// What would become of one packet, found out by letting it through the pipeline on paper: of all
// that workers share and remember it changes nothing, and it leaves by no port.

enum {
	TRACE_FRAME_MIN = 14,
	TRACE_FRAME_MAX = 9018, // The largest MTU, an Ethernet header and a tag.
	TRACE_VISITS_MAX = 72,  // More than there can be workers on its way.
	TRACE_FRAMES_MAX = 64,
	TRACE_BYTES_MAX = 80 * 1024, // Of all that leaves.
};

struct trace_request {
	const uint8_t *frame; // [len], from the Ethernet header on.
	size_t len;           // TRACE_FRAME_MIN to TRACE_FRAME_MAX.
	size_t port;          // By which it arrives,
	bool from_kernel;     // or by whose twin.
};

enum trace_kind {
	TRACE_PORTS, // TCP, UDP or SCTP.
	TRACE_ICMP,
	TRACE_IP, // Another protocol, or what a fault hides.
	TRACE_ARP,
	TRACE_OTHER,
};

// What headers say.
struct trace_headers {
	enum trace_kind kind;
	enum drop_reason fault; // What is wrong with them, which counts if the packet is for us.
	uint8_t family;         // What follows is of IP alone,
	uint8_t protocol;
	uint8_t hop_limit;
	uint16_t ip_len;
	struct address source;
	struct address destination;
	__be16 source_port; // and this of TRACE_PORTS.
	__be16 destination_port;
	uint8_t tcp_flags;
};

// Whose a packet is, in the order in which that is asked.
enum trace_whose {
	TRACE_TO_NOBODY,  // None of what follows: the kernel's, who forwards it if it is a router.
	TRACE_TO_SERVICE, // To a service's VIP, port and protocol.
	TRACE_TO_SNAT,    // To an SNAT address.
	TRACE_TO_VIP,     // To a VIP, but no service's port.
	TRACE_TO_TUNNEL,  // To where outer packets come from.
	TRACE_TO_MACHINE, // To the machine itself, or beyond an interface that is no port's.
	TRACE_TO_CLIENT,  // From a node in the mode dnat, to a client.
	TRACE_NEIGHBOUR,  // ARP or a neighbour solicitation for an address of ours.
};

// What one worker does with it.
struct trace_visit {
	unsigned worker;
	bool is_unread; // The frame is for nobody here: it ends before its headers are read.
	struct trace_headers headers;
	bool is_fragment; // It came as one,
	bool is_whole;    // and the datagram of which it was the last is what 'headers' say.
	enum trace_whose whose;

	bool has_inner; // An ICMP error, about a packet with these ends.
	struct trace_headers inner;

	service_id service; // SERVICE_NONE if of none.
	enum forwarding_mode mode;
	bool has_sources; // The service has a list of sources, which
	bool is_admitted; // holds this one.
	bool has_slot;
	uint32_t slot;
	node_id slot_node;
	bool has_affinity; // The client went to this node before.
	node_id affinity_node;

	bool flow_found; // In flow memory; or else
	bool flow_begun; // one would begin. Either way it would then be as 'flow'.
	struct flow_view flow;

	node_id node;         // NODE_NONE,
	next_hop_id next_hop; // NEXT_HOP_NONE and
	uint32_t handed_to;   // UINT32_MAX where there is none.
};

enum trace_way {
	TRACE_BY_PORT,
	TRACE_BY_TWIN,         // To the kernel.
	TRACE_BY_TWIN_CONTROL, // To the kernel, in the ring for nodes, ARP and ND.
	TRACE_WAITS,           // Until the next hop's MAC address is known; has no Ethernet header.
};

// Something that would leave.
struct trace_frame {
	enum trace_way way;
	uint8_t port;
	uint32_t at; // In 'bytes'.
	uint32_t len;
};

struct trace {
	size_t n_visits;
	struct trace_visit visits[TRACE_VISITS_MAX];

	// How it ends. What leaves beside a reason to drop is an answer to the sender.
	enum drop_reason drop;
	bool is_kept;             // A fragment, until the others come.
	bool has_event[N_EVENTS]; // What would be counted on the way.
	struct address waits_for; // Of TRACE_WAITS.
	size_t n_frames;
	struct trace_frame frames[TRACE_FRAMES_MAX];
	uint32_t n_bytes;
	uint8_t bytes[TRACE_BYTES_MAX];
};
