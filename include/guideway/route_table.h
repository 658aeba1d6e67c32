#pragma once

#include <stdint.h>

#include "guideway/address.h"

// Where packets for an address go: longest prefix match over the kernel's main routing table, with
// a host route for every neighbour that the kernel knows.
//
// One trie a family, eight bits a step: an address under nothing but the default route is found by
// one load, one of a connected /24 by four. Built whole by the control plane, then immutable.

// A next hop's place in the dataplane's array of next-hop words; see dataplane_set_next_hop().
typedef uint16_t next_hop_id;

enum {
	NEXT_HOP_NONE = 0xffff, // No route.
	NEXT_HOP_RESOLVE =
		0xfffe,        // On a connected network, but no neighbour known yet: ask for it.
	NEXT_HOP_MAX = 0xfffe, // Ids are below this.
};

// A step of the trie. An entry is a next_hop_id, or ROUTE_CHILD and the index of the next step.
struct route_step {
	uint32_t entries[256];
};

#define ROUTE_CHILD 0x80000000u

struct route_table {
	const struct route_step *steps[N_FAMILIES]; // The first of each is its root.
};

// 'bytes' are the address in network order, 4 of IPv4 or 16 of IPv6.
static inline next_hop_id route_find(const struct route_step *steps, const uint8_t *bytes)
{
	uint32_t entry = steps[0].entries[*bytes];

	while (entry & ROUTE_CHILD)
		entry = steps[entry & ~ROUTE_CHILD].entries[*++bytes];
	return (next_hop_id)entry;
}
