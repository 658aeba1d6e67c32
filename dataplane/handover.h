#pragma once

#include <stdint.h>

#include <rte_mbuf.h>

// The way of packets from one worker to another: a ring for each ordered pair, with one producer
// and one consumer.
struct handover;

// Returns NULL when out of memory.
struct handover *handover_create(unsigned n_workers);

// Frees what is still in the rings. Accepts NULL.
void handover_destroy(struct handover *handover);

// From worker 'from' to worker 'to'. Returns how many were taken, the first ones; the rest stays
// the caller's. Only 'from' may call.
uint16_t handover_give(
	struct handover *handover, unsigned from, unsigned to, struct rte_mbuf **mbufs, uint16_t n);

// What 'from' gave to 'to', at most 'n'. Only 'to' may call.
uint16_t handover_take(struct handover *handover, unsigned from, unsigned to,
	struct rte_mbuf **ret_mbufs, uint16_t n);

// How many can be on their way at once, for who counts buffers.
size_t handover_room(unsigned n_workers);
