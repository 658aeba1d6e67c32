#pragma once

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "burst.h"
#include "flow_hash.h"
#include "pipeline.h"

// Which node a packet goes to that no flow has an answer for: its client and service choose a slot
// of the service's ring, and the ring says whose it is.
//
// All modes choose here, and only here: what is to keep connections where they are while a slot
// moves has its place in choose_node().

static inline const struct service *choose_service(const struct burst *b, const struct packet *p)
{
	return &b->table->services[p->service];
}

// With affinity all flows of a client have one slot.
static inline __attribute__((always_inline)) uint32_t choose_slot_of(
	const struct pipeline *pipeline, enum family family, const void *client, __be16 client_port,
	const struct service *service)
{
	return flow_hash_slot(pipeline->hash_key, family, client,
		service->affinity_s == 0 ? client_port : 0, service->salt, service->ring_size);
}

static inline __attribute__((always_inline)) uint32_t choose_slot(const struct pipeline *pipeline,
	const struct packet *p, enum family family, const struct service *service)
{
	return choose_slot_of(pipeline, family, p->l3 + (family == IPV4 ? 12 : 8),
		packet_source_port(p), service);
}

// Whether the service lets the packet's source in.
static inline bool choose_admits(
	const struct burst *b, const struct service *service, const struct packet *p)
{
	return likely(service->sources == 0) ||
		source_set_has(b->table->source_sets[service->sources - 1], p->family,
			p->l3 + (p->family == IPV4 ? 12 : 8));
}

// NODE_NONE while no node may be used.
static inline node_id choose_node(const struct service *service, uint32_t slot)
{
	return likely(service->ring != NULL) ? service->ring[slot] : NODE_NONE;
}

// Why choose_node() finds none.
static inline enum drop_reason choose_nobody(const struct service *service)
{
	return service->is_awaited ? DROP_NOT_READY : DROP_NO_TARGET;
}

// For each packet to a service without flows, as early as can be: sets 'hash' to its slot and asks
// for the slot's memory.
static inline __attribute__((always_inline)) void choose_prepare(
	const struct burst *b, struct packet *p, enum family family, const struct service *service)
{
	p->hash = choose_slot(b->pipeline, p, family, service);
	if (likely(service->ring != NULL))
		rte_prefetch0(&service->ring[p->hash]);
}

// A stage: sets 'node' and 'next_hop' of prepared packets. Those that can have none end here.
void choose_nodes(struct burst *b, struct packet_list *list);
