#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/forwarding_table.h"
#include "name.h"
#include "source_prefix.h"

// What is wanted right now: the configuration joined with the nodes' health, in plain terms. The
// whole input of table_builder_build(), together with the routes.

struct model_node {
	char name[NAME_TEXT_MAX];           // What rings know it by, and people. Of one name, a set
	                                    // has at most one that takes new flows.
	struct address address[N_FAMILIES]; // What flows know it by: none comes twice. No address
	                                    // where it has none of a family.
	bool is_neighbour[N_FAMILIES];      // At that address it is on a network of ours.
};

// A node as a member of a target set. Where it has no address of a service's family, it is none of
// that service's targets.
struct model_target {
	size_t node;             // Index into the model's nodes.
	uint32_t weight;         // Relative to the other members; 0 takes no new flows.
	enum target_state state; // Never TARGET_ABSENT. TARGET_NOT_READY would be TARGET_UP.
};

// Nodes that any number of services use alike.
struct model_set {
	const struct model_target *targets; // [n_targets], in any order, no node twice.
	size_t n_targets;
	bool fail_open; // With no target up, those down are used as if up, each by its weight; else
	                // new flows are rejected.
};

struct model_service {
	const char *name;   // Salts its hash. Each has another, and at another endpoint it is
	                    // another service.
	uint64_t name_hash; // name_hash() of it, or 0 where nobody has reckoned it yet;
	uint64_t salt;      // name_hash_until() an @, likewise.
	struct address vip;
	uint16_t port;      // Host byte order.
	uint16_t node_port; // Host byte order.
	uint8_t protocol;   // IPPROTO_TCP, _UDP or _SCTP.
	enum forwarding_mode mode;
	enum tunnel_kind tunnel_kind;
	enum family target_family; // The VIP's, except in MODE_TUNNEL.
	size_t sources;            // 1 more than an index into source_lists; 0 for everybody.
	uint16_t mss;              // 0 for no correction of what SYNs say.
	bool answers_arp;          // ARP and ND for the VIP; services that share one agree,
	bool rejects;              // and on whether what is to no service's port is answered.
	uint32_t idle_s;
	uint32_t affinity_s; // 0 for none.
	size_t set;          // Index into the model's sets.
};

struct model {
	const struct model_node *nodes; // [n_nodes], in any order.
	size_t n_nodes;
	const struct model_set *sets; // [n_sets]
	size_t n_sets;
	const struct model_service *services; // [n_services], in any order.
	size_t n_services;
	const struct source_list *source_lists; // [n_source_lists], no two alike.
	size_t n_source_lists;
	const struct address *snat[N_FAMILIES]; // [n_snat[family]]
	size_t n_snat[N_FAMILIES];
	bool snat_is_shared; // They are the machine's own: own_address.is_shared.
	uint32_t ring_size;  // A prime.
	struct forwarding_settings settings;
};
