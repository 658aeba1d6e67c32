#include "ask.h"

// Returns false where the packet is to no service: it has no ports, or is to an SNAT address.
static bool hash(const struct burst *b, struct packet *p)
{
	if (!packet_has_ports(p))
		return false;

	struct address destination = packet_destination(p);
	if (forwarding_table_find_snat(b->table, &destination) != NULL)
		return false;

	p->hash = index_hash_endpoint(&destination, packet_destination_port(p), p->protocol);
	return true;
}

// The slots of all are on their way before the first is read.
void ask_for_services(struct burst *b)
{
	const struct index *index = &b->table->service_index;
	struct packet_list list;

	list.n = 0;
	for (struct packet *p = b->packets; p < b->packets + b->n; p++) {
		if (hash(b, p)) {
			index_prefetch(index, p->hash);
			packet_list_add(&list, p);
		}
	}
	for (uint16_t i = 0; i < list.n; i++) {
		struct packet *p = list.at[i];

		p->service = index_guess(index, p->hash);
		ask_for_service(b, b->pipeline->counters->services.in, p->service);
	}
}
