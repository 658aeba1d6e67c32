#pragma once

#include "guideway/dataplane.h"
#include "tables.h"

// The next hops that routes name: one for each neighbour that is used, and one for each twin that
// packets go to the kernel by. An id stays its neighbour's; it is given to another only when no
// table that a worker may see can name it.

struct next_hops;

typedef void set_next_hop_fn(void *context, next_hop_id id, const struct next_hop *hop);

// 'tables' outlive it. Returns NULL when out of memory.
struct next_hops *next_hops_create(
	const struct tables *tables, set_next_hop_fn *set_next_hop, void *context);

// Accepts NULL.
void next_hops_destroy(struct next_hops *h);

// Begins, and ends, the taking of all that the tables from 'generation' on may name.
void next_hops_begin(struct next_hops *h);
void next_hops_end(struct next_hops *h, uint64_t generation);

// The next hop of a neighbour on the twin of 'port', or of the kernel by that twin. Returns
// NEXT_HOP_NONE when there are no more ids or no memory.
next_hop_id next_hops_take(struct next_hops *h, uint8_t port, const struct address *neighbour);
next_hop_id next_hops_take_kernel(struct next_hops *h, uint8_t port);

// No worker can see a table older than 'generation'.
void next_hops_forget_before(struct next_hops *h, uint64_t generation);

// Tells what is known now of a neighbour, or of all of them, where it changed.
void next_hops_refresh(struct next_hops *h, uint8_t port, const struct address *neighbour);
void next_hops_refresh_all(struct next_hops *h);

size_t next_hops_count(const struct next_hops *h);

// Once true always true, until ids are free again.
bool next_hops_are_full(const struct next_hops *h);
