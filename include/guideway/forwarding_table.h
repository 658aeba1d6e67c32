#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/index.h"
#include "guideway/route_table.h"
#include "guideway/source_set.h"

// What the workers forward by: every service, the ring that spreads its new flows over nodes, the
// nodes, our own addresses, and the routes.
//
// Built by the control plane, read by the dataplane, changed by nobody: a change is a new table
// with the next generation. That is the whole of our locking. Parts that did not change (rings,
// routes, ...) are shared between tables by the builder, which counts the references.

typedef uint32_t service_id; // Index into services[]; the same service's from table to table.
typedef uint16_t node_id;    // Index into nodes[]; the same address's from table to table.

#define SERVICE_NONE UINT32_MAX
#define NODE_NONE UINT16_MAX

// What a service may do with a node.
enum target_state {
	TARGET_ABSENT,    // Not one of its nodes, or gone: flows that name it are over.
	TARGET_UP,        // Takes new flows and keeps its old ones.
	TARGET_DRAINING,  // Takes no new flows and keeps its old ones.
	TARGET_DOWN,      // Failed its health check: flows that name it are over.
	TARGET_NOT_READY, // Has not shown yet that it knows the VIP: takes no packets at all.
	N_TARGET_STATES,
};

// Whether flows that name it go on to it: of one that does not know the VIP they do not need that.
static inline bool target_keeps_flows(enum target_state state)
{
	return state != TARGET_ABSENT && state != TARGET_DOWN;
}

// How a service's packets reach its nodes, and how replies reach its clients.
enum forwarding_mode {
	MODE_SNAT,   // From an SNAT address to node:NodePort; replies come back to us.
	MODE_DNAT,   // From the client to node:NodePort; replies come back through us.
	MODE_DSR,    // As it came, to the node's MAC address; replies go straight to the client.
	MODE_TUNNEL, // As it came, in an outer packet to the node; likewise.
	N_MODES,
};

// What an outer packet of MODE_TUNNEL carries it in.
enum tunnel_kind {
	TUNNEL_IP,  // IP in IP (RFC 2003, RFC 2473, RFC 4213), by the families of both.
	TUNNEL_GUE, // Generic UDP encapsulation, version 0 (draft-ietf-intarea-gue-09).
};

// One (VIP, protocol, port). A line of memory, and all that a packet needs to choose its target.
struct service {
	struct address vip;
	const node_id *ring; // [ring_size], or NULL while no node may be used. Every slot is taken.
	const uint8_t *states; // [n_nodes of the table], enum target_state, by node_id.
	uint64_t salt;         // Of the service's name: sends a client to other nodes elsewhere.
	uint32_t ring_size;    // A prime.
	uint32_t idle_s;       // How long an established flow may be silent.
	__be16 port;
	__be16 node_port;
	uint8_t protocol;      // IPPROTO_TCP, _UDP or _SCTP; 0 where this id is of no service now.
	uint8_t mode;          // enum forwarding_mode.
	uint8_t target_family; // Of its nodes' addresses: the VIP's, except in MODE_TUNNEL.
	uint8_t tunnel_kind : 6;
	uint8_t is_awaited : 1;  // Without a ring since none of its targets is ready yet.
	uint8_t keeps_flows : 1; // It was in MODE_SNAT: what is of a flow of that time goes its
	                         // way.
	uint16_t mss; // SYNs that offer to take larger TCP segments are corrected to this; 0: none.
	uint16_t sources; // Who may come: 1 more than an index into source_sets[], 0 for everybody.
	uint32_t affinity_s; // A client's flows go to one node until so long after the last began;
	                     // 0 where each chooses for itself.
};
static_assert(sizeof(struct service) == 64);

static inline bool service_exists(const struct service *s)
{
	return s->protocol != 0;
}

static inline bool service_is(
	const struct service *s, const struct address *vip, __be16 port, uint8_t protocol)
{
	return s->port == port && s->protocol == protocol && address_equal(&s->vip, vip);
}

// An address of a node, by which flows know it. One of two addresses is there twice.
struct node {
	struct address ipv6;
	__be32 ipv4;                      // 0 if it has none.
	next_hop_id next_hop[N_FAMILIES]; // NEXT_HOP_NONE where it has no address or no route.
	bool is_neighbour[N_FAMILIES];    // That is the node itself, and not a router before it.
	uint8_t unused[6];
};
static_assert(sizeof(struct node) == 32);

// No address where it has none of that family.
static inline struct address node_address(const struct node *node, enum family family)
{
	if (family == IPV6)
		return node->ipv6;
	return node->ipv4 == 0 ? (struct address){0} : address_from_ipv4(node->ipv4);
}

// An address that Guideway answers for.
enum own_kind {
	OWN_VIP,
	OWN_SNAT,
	OWN_TUNNEL, // Where outer packets come from: the kernel's too, who has what is not ours.
};

struct own_address {
	struct address address;
	uint8_t kind;       // enum own_kind.
	uint8_t snat_index; // Of OWN_SNAT: its place in snat[family].
	bool answers_arp;   // ARP and neighbour solicitations.
	bool rejects;       // What is to no service's port is answered, else dropped in silence.
	bool is_shared;     // Of OWN_SNAT: the kernel has it as well, as an address of the machine.
	uint8_t unused[3];
};

// Whether all that is to it is our business. What is to another, and about no flow of ours, is the
// kernel's.
static inline bool own_address_is_ours_alone(const struct own_address *own)
{
	return own != NULL && own->kind != OWN_TUNNEL && !own->is_shared;
}

enum { SNAT_ADDRESSES_MAX = 256 };

// What applies to every service alike. Times are seconds.
struct forwarding_settings {
	uint32_t tcp_half_open_s; // From SYN to the handshake's third packet.
	uint32_t tcp_closing_s;   // After FIN from both sides, or a RST.
	uint32_t udp_one_way_s;   // Until the first reply.
	uint32_t snat_rest_s;     // A freed SNAT port rests this long for its target.
	bool reset_unknown_tcp;   // TCP of no known flow: answer with RST, else drop in silence.
	bool reset_dead_target;   // TCP of a flow whose target died: RST to the client, else start
	                          // anew.
	// What we send of ourselves, all workers together.
	uint32_t answers_per_s;                   // RSTs, and ICMP errors of each kind.
	uint32_t echoes_per_s;                    // Echo replies.
	uint32_t all_per_s;                       // The sum of these.
	struct address tunnel_source[N_FAMILIES]; // Of outer packets; no address where none is.
	__be16 gue_port;                          // Where nodes expect GUE.
};

struct forwarding_table {
	uint64_t generation;

	const struct service *services; // [n_services]
	size_t n_services;              // One more than the highest id in use.
	struct index service_index;     // By index_hash_endpoint() of (vip, port, protocol).

	const struct node *nodes; // [n_nodes]
	size_t n_nodes;           // One more than the highest id in use.
	struct index node_index;  // By index_hash_address().

	// Services in MODE_DNAT, by index_hash_node_port(): whose reply it is that a node sends. A
	// NodePort belongs to one of them.
	struct index return_index;
	size_t n_returns; // Services in it.

	const struct own_address *own; // [n_own]
	size_t n_own;
	struct index own_index; // By index_hash_address().

	const struct address *snat[N_FAMILIES]; // [n_snat[family]]; none is a VIP.
	size_t n_snat[N_FAMILIES];
	bool snat_filter[256]; // By snat_filter_place(): what has false here is none.

	const struct source_set *const *source_sets; // Services with the same list share a set.
	struct route_table routes;
	struct forwarding_settings settings;
};

// By a hash: networks are numbered alike, so that a VIP often ends as an SNAT address does.
static inline uint8_t snat_filter_place(const struct address *a)
{
	return (uint8_t)(a->words[3] * 0x9e3779b1u >> 24);
}

// 'hash' is index_hash_endpoint() of the rest. Returns SERVICE_NONE if there is none.
static inline service_id forwarding_table_find_service(const struct forwarding_table *table,
	uint64_t hash, const struct address *vip, __be16 port, uint8_t protocol)
{
	const struct index *index = &table->service_index;

	for (uint32_t i = (uint32_t)hash & index->mask;; i = (i + 1) & index->mask) {
		const struct index_slot *slot = &index->slots[i];

		if (slot->at == INDEX_EMPTY)
			return SERVICE_NONE;
		if (slot->tag != (uint32_t)(hash >> 32))
			continue;
		if (service_is(&table->services[slot->at], vip, port, protocol))
			return slot->at;
	}
}

// The service in MODE_DNAT whose nodes answer from 'node_port'; SERVICE_NONE if there is none.
static inline service_id forwarding_table_find_return(const struct forwarding_table *table,
	enum family family, __be16 node_port, uint8_t protocol)
{
	const struct index *index = &table->return_index;
	uint64_t hash = index_hash_node_port(family, node_port, protocol);

	for (uint32_t i = (uint32_t)hash & index->mask;; i = (i + 1) & index->mask) {
		const struct index_slot *slot = &index->slots[i];

		if (slot->at == INDEX_EMPTY)
			return SERVICE_NONE;
		if (slot->tag != (uint32_t)(hash >> 32))
			continue;

		const struct service *s = &table->services[slot->at];
		if (s->node_port == node_port && s->protocol == protocol &&
			s->target_family == family)
			return slot->at;
	}
}

// Returns NODE_NONE if no node has 'address'.
static inline node_id forwarding_table_find_node(
	const struct forwarding_table *table, const struct address *address)
{
	const struct index *index = &table->node_index;
	uint64_t hash = index_hash_address(address);

	for (uint32_t i = (uint32_t)hash & index->mask;; i = (i + 1) & index->mask) {
		const struct index_slot *slot = &index->slots[i];

		if (slot->at == INDEX_EMPTY)
			return NODE_NONE;
		if (slot->tag != (uint32_t)(hash >> 32))
			continue;

		const struct node *node = &table->nodes[slot->at];
		if (address_is_ipv4(address) ? node->ipv4 == address->words[3]
					     : address_equal(&node->ipv6, address))
			return (node_id)slot->at;
	}
}

// Returns NULL if 'address' is not ours to answer for.
static inline const struct own_address *forwarding_table_find_own(
	const struct forwarding_table *table, const struct address *address)
{
	const struct index *index = &table->own_index;
	uint64_t hash = index_hash_address(address);

	for (uint32_t i = (uint32_t)hash & index->mask;; i = (i + 1) & index->mask) {
		const struct index_slot *slot = &index->slots[i];

		if (slot->at == INDEX_EMPTY)
			return NULL;
		if (slot->tag == (uint32_t)(hash >> 32) &&
			address_equal(&table->own[slot->at].address, address))
			return &table->own[slot->at];
	}
}

// Returns NULL if 'address' is no SNAT address, as nearly always at the first look.
static inline const struct own_address *forwarding_table_find_snat(
	const struct forwarding_table *table, const struct address *address)
{
	if (!table->snat_filter[snat_filter_place(address)])
		return NULL;

	const struct own_address *own = forwarding_table_find_own(table, address);
	return own != NULL && own->kind == OWN_SNAT ? own : NULL;
}

// The way to 'address', by the routes.
static inline next_hop_id forwarding_table_route(
	const struct forwarding_table *table, const struct address *address)
{
	enum family family = address_family(address);

	return route_find(table->routes.steps[family], &address->bytes[family == IPV4 ? 12 : 0]);
}
