#include "ask.h"

static uint64_t hash_of(const struct packet *p)
{
	struct address destination = packet_destination(p);

	return index_hash_endpoint(&destination, packet_destination_port(p), p->protocol);
}

// The slots of all are on their way before the first is read.
void ask_for_services(const struct burst *b)
{
	const struct index *index = &b->table->service_index;
	const struct traffic_counter *counters = b->pipeline->counters->services.in;
	uint64_t hashes[BURST_MAX];
	uint16_t n = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		if (!packet_has_ports(&b->packets[i]))
			continue;
		hashes[n] = hash_of(&b->packets[i]);
		index_prefetch(index, hashes[n++]);
	}
	for (uint16_t i = 0; i < n; i++)
		ask_for_service(b, counters, index_guess(index, hashes[i]));
}
