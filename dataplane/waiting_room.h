#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline.h"
#include "unresolved.h"

// Where a worker's packets wait for their next hop's MAC address: a bounded number of them, a few
// for each destination, and not for long.
struct waiting_room;

// Returns NULL when out of memory. 'unresolved' is told each destination that packets begin to
// wait for, and once a second as long as any do.
struct waiting_room *waiting_room_create(struct unresolved *unresolved);

// Frees the packets. Accepts NULL.
void waiting_room_destroy(struct waiting_room *room);

bool waiting_room_is_empty(const struct waiting_room *room);

// Takes a packet, or returns false: there is no room, and the packet is still the caller's.
bool waiting_room_put(struct waiting_room *room, const struct waiting *waiting, uint64_t now_ns);

// Puts into 'out' those that know their way now, at most BURST_MAX, drops those that waited for too
// long, and asks again for the others. Returns true if another call at once may find more.
bool waiting_room_leave(struct waiting_room *room, struct pipeline *pipeline,
	const struct forwarding_table *table, uint64_t now_ns, struct outcome *out);

// How many packets can wait at once, for who counts buffers.
size_t waiting_room_size(void);
