#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "burst.h"
#include "flow_hash.h"
#include "flow_table.h"
#include "pipeline.h"

// The forwarding mode 'snat'
// ==========================
//
//     client:port -> vip:port      becomes      snat:snat_port -> node:node_port
//     vip:port -> client:port      becomes      node:node_port -> snat:snat_port    (and back)
//
// Who owns a flow was settled before, and that a router may pass its packet on: its checksum is not
// 0 where it may not be, and its hop limit is above 1. Every packet that comes here is sent,
// dropped, rejected or passed on. Packets of one flow keep their order.

// Whether a hash of ours says who owns a flow, not the port's RSS: with affinity it does, since one
// worker remembers where the client went.
static inline bool snat_owner_is_known(
	const struct pipeline *pipeline, const struct service *service)
{
	return !pipeline->rss || service->affinity_s != 0;
}

// Who that is. 'hash' is flow_hash().
static inline unsigned snat_owner(const struct pipeline *pipeline, const struct service *service,
	enum family family, const void *client, service_id id, uint64_t hash)
{
	if (service->affinity_s != 0)
		hash = flow_hash(pipeline->hash_key, family, client, 0, id);
	return flow_hash_worker(hash, pipeline->n_workers);
}

// For each packet to a service, as early as can be and before its owner is asked for: sets 'hash',
// and asks for the memory where its flow would be. 'service' is set.
static inline __attribute__((always_inline)) void snat_prepare(
	const struct pipeline *pipeline, struct packet *p, enum family family)
{
	const uint8_t *client = p->l3 + (family == IPV4 ? 12 : 8);
	__be16 client_port = packet_source_port(p);

	p->hash = flow_hash(pipeline->hash_key, family, client, client_port, p->service);
	flow_table_prefetch(pipeline->flows[family], FLOW_FORWARD, p->hash);
}

static inline union return_key snat_return_key(const struct packet *p)
{
	return (union return_key){
		.node = p->node,
		.node_port = packet_source_port(p),
		.snat_port = packet_destination_port(p),
		.snat_index = p->snat_index,
		.protocol = p->protocol,
	};
}

// The same for each packet to an SNAT address: 'snat_index' and 'node' are set.
static inline __attribute__((always_inline)) void snat_prepare_reply(
	const struct pipeline *pipeline, struct packet *p, enum family family)
{
	p->hash = flow_hash_back(pipeline->hash_key, snat_return_key(p).word);
	flow_table_prefetch(pipeline->flows[family], FLOW_BACK, p->hash);
}

// For TCP and UDP packets to services, prepared. Finds or begins their flow and sends them
// to its node.
void snat_forward(struct burst *b, enum family family, struct packet_list *list);

// For TCP and UDP packets to an SNAT address, prepared. Sends them to their flow's client.
void snat_reply(struct burst *b, enum family family, struct packet_list *list);

// Forgets flows that have been silent for too long, a bounded number a call. To be called once a
// burst, and every now and then while there is none.
void snat_expire(struct pipeline *pipeline, const struct forwarding_table *table, uint32_t now_s);

// A flow with all its addresses, for those who rewrite what is inside an ICMP error.
struct snat_flow {
	struct address client;
	struct address vip;
	struct address snat;
	struct address target;
	__be16 client_port;
	__be16 port;
	__be16 snat_port;
	__be16 node_port;
	service_id service;
	node_id node;
	uint8_t protocol;
};

// The flow of which a client, or a router on the way to it, returned a packet that we had sent it:
// one from 'key->vip' and 'key->port' to the client. 'hash' is flow_hash() of it. Returns false if
// this worker has no such flow.
bool snat_find_of_client(const struct burst *b, const struct flow_key *key, service_id service,
	uint64_t hash, struct snat_flow *ret_flow);

// The flow of which a node, or a router on the way to it, returned a packet that we had sent it:
// one from table->snat[family][back->snat_index] and 'back->snat_port'. The owner is owner_of().
bool snat_find_of_node(const struct burst *b, enum family family, const union return_key *back,
	struct snat_flow *ret_flow);
