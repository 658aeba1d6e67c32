#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/forwarding_table.h"

// One worker's memory of where clients went that are to come to the same node again, and from which
// SNAT address they did. Of a fixed size: when it is full, of those that share a place the one that
// has not come for longest is forgotten, and chooses anew by its slot.
//
// An entry may outlive the node or service that its ids were of. It is good for a choice only while
// the table says that this service may use this node.
struct affinity;

struct affinity_choice {
	node_id node;
	uint8_t snat_index;
};

// The bytes that 'n' clients take, rounded up to a power of two.
size_t affinity_bytes(size_t n);

// In memory of so many bytes that begins at a multiple of 64 and is zeroed; it stays the caller's.
struct affinity *affinity_create(void *memory, size_t n);

// Lays an empty memory over another: where it knows nothing the other is asked, which never
// changes.
void affinity_lay_over(struct affinity *a, const struct affinity *behind);

// Where the client went within the last 'for_s' seconds. 'hash' is flow_hash() of it with port 0.
// Returns false if that is not known.
bool affinity_find(const struct affinity *a, uint64_t hash, const struct address *client,
	service_id service, uint32_t now_s, uint32_t for_s, struct affinity_choice *ret_choice);

// The same for the control thread, while the worker goes on: may miss what changes this very
// moment. 'ret_idle_s' is how long ago that was.
bool affinity_look(const struct affinity *a, uint64_t hash, const struct address *client,
	service_id service, uint32_t now_s, uint32_t for_s, struct affinity_choice *ret_choice,
	uint32_t *ret_idle_s);

// Remembers that it goes there now.
void affinity_put(struct affinity *a, uint64_t hash, const struct address *client,
	service_id service, uint32_t now_s, struct affinity_choice choice);
