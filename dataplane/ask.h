#pragma once

#include <rte_prefetch.h>

#include "burst.h"
#include "pipeline.h"

// Asking ahead for services
// =========================
//
//     slot of the index  ->  service, its counters
//
// That is what a packet reads and writes of its service. Of few services it stays in a core's
// caches. Of thousands it does not, and is asked for before it is read: for packets to services
// before the burst is sorted, for replies as soon as their flow is there, which names the service.
//
// This decides nothing: a guess, by the tag in the slot, is held against the service itself when
// the packet is sorted. A wrong one, of four billion, costs a line of memory and a search.

// Of a service that is 96 or 112 bytes, of so many 220 kB: a core's second cache, beside rings and
// flows, holds hardly more. Of 1000 services asking still costs more than it saves: tests/bench.
enum { FEW_SERVICES = 2048 };

static inline bool ask_pays(const struct burst *b)
{
	return b->table->n_services > FEW_SERVICES;
}

// 'counters' are those of the packet's way. Of an id that names none, nothing is asked.
static inline void ask_for_service(
	const struct burst *b, const struct traffic_counter *counters, service_id service)
{
	if (service >= b->table->n_services)
		return;
	rte_prefetch0(&b->table->services[service]);
	rte_prefetch0_write(&counters[service]);
}

// For all packets of a burst that may be to a service: sets 'hash' to what the index has it by, and
// 'service' to the guess.
void ask_for_services(struct burst *b);

// Of such a packet, to 'destination'.
static inline bool ask_guess_is_right(
	const struct burst *b, const struct packet *p, const struct address *destination)
{
	return p->service == SERVICE_NONE ||
		service_is(&b->table->services[p->service], destination, packet_destination_port(p),
			p->protocol);
}
