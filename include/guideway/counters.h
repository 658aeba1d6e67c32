#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "guideway/drop.h"
#include "guideway/forwarding_table.h"

// What the workers count. Each worker writes counters of its own with plain adds; a reader sums
// them and sees each at most a moment old.

enum event {
	EVENT_RX_PACKETS,
	EVENT_RX_BYTES,
	EVENT_TX_PACKETS,
	EVENT_TX_BYTES,
	EVENT_TO_KERNEL,   // Handed to a twin.
	EVENT_FROM_KERNEL, // Came from a twin.
	EVENT_HANDED_OVER, // Passed to the worker that owns the flow.
	EVENT_FLOWS_CREATED,
	EVENT_FLOWS_EXPIRED,           // Silent for longer than their time.
	EVENT_FLOWS_EVICTED_HALF_OPEN, // Gave way to new ones, flow memory being full.
	EVENT_FLOWS_EVICTED_CLOSING,
	EVENT_FLOWS_EVICTED_RESTING,  // SNAT ports whose rest was cut short for the memory.
	EVENT_SNAT_PORT_REUSED_EARLY, // Before its rest was over, no other being free.
	EVENT_ARP_ANSWERED,
	EVENT_ND_ANSWERED,
	EVENT_ECHO_ANSWERED,
	EVENT_RESETS_SENT,
	EVENT_ICMP_ERRORS_SENT,
	EVENT_ICMP_ERRORS_TRANSLATED,
	EVENT_REASSEMBLED,      // Datagrams put together of fragments.
	EVENT_FRAGMENTED,       // Packets that were cut for a narrower way.
	EVENT_PATH_MTU_LEARNED, // Of a tunnel to a node.
	EVENT_WAITED,           // Held until the next hop's MAC address was known, then sent.
	EVENT_BUSY_POLLS,       // Polls that found a packet,
	EVENT_IDLE_POLLS,  // and that found none: busy / (busy + idle) is not load, but near it.
	EVENT_BUSY_CYCLES, // Time-stamp cycles of polls that found a packet.
	N_EVENTS,
};

// The event as one word ("rx-packets") and as a sentence; never NULL below N_EVENTS.
const char *event_word(enum event event);
const char *event_sentence(enum event event);

// Of one service, or of one node.
struct traffic {
	uint64_t packets_in; // From clients towards nodes.
	uint64_t bytes_in;   // Of the IP packet, headers included.
	uint64_t packets_out;
	uint64_t bytes_out;
	uint64_t flows_created;
	uint64_t flows; // A gauge: how many there are now, in any state but resting.
};

struct counters {
	uint64_t events[N_EVENTS];
	uint64_t drops[N_DROP_REASONS];
	uint64_t flows[N_FAMILIES]; // Entries in use.
	uint64_t flows_max[N_FAMILIES];
};
