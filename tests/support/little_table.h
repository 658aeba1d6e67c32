#pragma once

#include "guideway/forwarding_table.h"

// A forwarding table made by hand, for tests of the dataplane: a few services over a few nodes.
// Wrong use ends the test.

enum {
	LITTLE_SERVICES = 2304,
	LITTLE_RINGS = 96, // Of the first services; others share these.
	LITTLE_NODES = 16,
	LITTLE_ADDRESSES = 16,
	LITTLE_SNAT = 4,
	LITTLE_RING = 251, // A prime.
	LITTLE_STEPS = 64,
	LITTLE_SLOTS = 256,
	LITTLE_SERVICE_SLOTS = 8192,
};

struct little_table {
	struct forwarding_table table; // Good once little_table_finish() was called.
	struct service services[LITTLE_SERVICES];
	node_id rings[LITTLE_RINGS][LITTLE_RING];
	uint8_t states[LITTLE_SERVICES][LITTLE_NODES]; // enum target_state, by service and node.
	struct node nodes[LITTLE_NODES];
	struct own_address own[LITTLE_ADDRESSES];
	struct address snat[N_FAMILIES][LITTLE_SNAT];
	struct index_slot service_slots[LITTLE_SERVICE_SLOTS];
	struct index_slot node_slots[LITTLE_SLOTS];
	struct index_slot own_slots[LITTLE_SLOTS];
	struct index_slot return_slots[LITTLE_SERVICE_SLOTS];
	struct route_step steps[N_FAMILIES][LITTLE_STEPS];
	size_t n_steps[N_FAMILIES];
};

// "192.0.2.1" or "2001:db8::1".
struct address address_of(const char *text);

// All times and rates are set to what is usual; no routes. To be freed with free().
struct little_table *little_table_create(void);

// On a network of ours. Either address may be NULL.
node_id little_table_add_node(
	struct little_table *t, const char *ipv4, const char *ipv6, next_hop_id next_hop);

// Spread evenly over 'n' nodes, all up; with none of them it has no ring.
service_id little_table_add_service(struct little_table *t, const char *vip, uint16_t port,
	uint8_t protocol, uint16_t node_port, const node_id *nodes, size_t n);

// Another like 'id', with the same VIP, protocol, mode, ring and nodes.
service_id little_table_add_like(
	struct little_table *t, service_id id, uint16_t port, uint16_t node_port);

// The mode of a service that was added; 'target_family' matters to MODE_TUNNEL.
void little_table_set_mode(struct little_table *t, service_id id, enum forwarding_mode mode,
	enum family target_family, enum tunnel_kind tunnel_kind);

void little_table_add_tunnel_source(struct little_table *t, const char *address);
void little_table_add_vip(struct little_table *t, const char *vip, bool answers_arp);
void little_table_add_snat(struct little_table *t, const char *address);

// "192.0.2.0/24"; longer prefixes after those that they lie in.
void little_table_add_route(struct little_table *t, const char *prefix, next_hop_id next_hop);

// Makes the indexes. To be called again after a change.
void little_table_finish(struct little_table *t);
