#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "drains.h"
#include "health.h"
#include "learning.h"
#include "model.h"

// What is wanted, joined with what is so: a configuration, the probes that it asks for, the nodes
// that the operator drains, and those that the configuration no longer names but whose flows may
// go on. It says the same as the model, which it holds, and why.

// A node as one pool uses it, which is its address of the pool's family: at another address it is
// another member, and by another name the same.
struct member {
	size_t node;            // Index into the plan's nodes.
	struct probe *probe;    // NULL if it is not checked: then it is up.
	struct probe *fallback; // Decides while 'probe' has no answer ever. NULL for none.
	uint32_t weight;        // Its share of new flows, as long as it says no other.
	bool is_reserve;        // New flows are for it only while no other node of the pool is up,
	bool is_called;         // as is so now: written by plan_refresh().
	bool leaving;           // The services do not name it any more.
	bool gone;              // Its time is over: no flow may name it.
	uint64_t until_ns;      // When its time is over if it leaves; UINT64_MAX for never.
};

// Plans share it where their pools have the same members.
struct member_list {
	size_t n_references;
	struct model_target *targets; // Room for a pool's.
	struct member members[];
};

// Nodes that any number of services use alike, checked alike.
struct pool {
	enum family family;
	struct member_list *list;
	struct member *members; // [n_members] The list's.
	size_t n_members;
	size_t n_leaving; // Of the members.
	size_t n_services;
	size_t first_service; // Index into the configuration's services.
	uint64_t hash;        // Of the nodes that its services use.
	bool fail_open;

	// Written by plan_refresh().
	uint64_t health_version;      // As of health_version(), when the rest was; 0 for never.
	struct model_target *targets; // [n_targets], at most n_members. The list's.
	size_t n_targets;
	size_t n_in[N_TARGET_STATES]; // How many members are so.
	bool settled; // Once each member's first check had an end, or plan_settle() was called;
	              // others may join it later.
};

struct plan_node {
	bool configured;   // Else it is here only as a member that leaves, and its name may be that
	                   // of one that stays.
	bool drained;      // By the operator.
	bool is_out;       // Down, whatever is found out about it.
	uint64_t until_ns; // When a drained node's time is over; UINT64_MAX for never.
	uint32_t weight;
};

struct plan {
	const struct config *config; // Borrowed, as is the next.
	const struct health *health;
	struct model_node *names; // [n_nodes]: the configuration's nodes, then those that leave,
	                          // with what addresses of theirs no other has now.
	struct plan_node *nodes;  // [n_nodes]
	size_t n_nodes;
	bool has_drained;      // One of them is drained, or was.
	bool knows_neighbours; // Which of them are so, by the routes.
	struct pool *pools;    // [n_pools]
	size_t n_pools;
	size_t n_settled;         // Of the pools, by the last plan_refresh().
	size_t *pool_of;          // [config->n_services]
	size_t *nodes_by_name;    // [n_nodes], of one name in their own order.
	size_t *services_by_name; // [config->n_services]
	struct model_service *services;
	struct model_set *sets;    // [n_pools], then those of services that learn.
	struct learning *learning; // NULL if none has to.
	struct model model;
};

// The plan of 'config', which outlives it, and which nobody changes: that a service is the one that
// 'before' had is known by its address. What 'before' (or NULL) had and 'config' has not goes
// on, leaving, until its time is over. Both plans hold their probes: 'before' is destroyed next.
// Returns NULL when out of memory.
struct plan *plan_create(const struct config *config, const struct plan *before,
	const struct drains *drains, struct health *health, uint64_t now_ns);

// Accepts NULL.
void plan_destroy(struct plan *plan, struct health *health);

// Brings the model in line with verdicts, drains and the time. The model is good until the next.
const struct model *plan_refresh(struct plan *plan, uint64_t now_ns);

// First checks that have no end yet hold up nothing any more.
void plan_settle(struct plan *plan);

// Asked of a node that leaves: does a flow still go to its address?
typedef bool node_held_fn(void *argument, const struct address *address);

// Marks members whose time is over, or that leave and are not held by any flow. Returns true if
// there are new ones: the plan should be made anew, without them.
bool plan_end_leaving(struct plan *plan, node_held_fn *held, void *argument, uint64_t now_ns);

// True if a drained node's time came to its end after 'after_ns' and not after 'now_ns'.
bool plan_drain_ended(const struct plan *plan, uint64_t after_ns, uint64_t now_ns);

// A drain or its end, of a node of the plan.
void plan_set_drained(struct plan *plan, size_t node, bool drained, uint64_t since_ns);

// The addresses to be announced, each once: VIPs that are not told to be quiet, of services whose
// pools are settled, and those of SNAT that are ours alone. 'ret_addresses' is the caller's to
// free. Returns 0 or -ENOMEM.
int plan_announced(const struct plan *plan, struct address **ret_addresses, size_t *ret_n);

// Indexes of the nodes of that name, the configured one first; they are the plan's. Returns how
// many there are: more than one where it was at other addresses before.
size_t plan_find_nodes(const struct plan *plan, const char *name, const size_t **ret_nodes);

// Index of the service, or SIZE_MAX.
size_t plan_find_service(const struct plan *plan, const char *name);

// The probe that decides about a member now; NULL if none does.
const struct probe *member_judge(const struct member *member);

// Never VERDICT_REFUSING.
enum verdict member_verdict(const struct member *member);

// How many nodes are up although a connection to their NodePort gets no answer: those are said to
// be well by a kube-proxy that does not know better.
size_t plan_count_silent(const struct plan *plan);

// A member's share of new flows, relative to the pool's others, while it takes any.
uint32_t member_weight(const struct member *member);

// Has nodes of services that are to be learnt asked by 'prober'. As of learning_create().
int plan_learn(struct plan *plan, struct vip_prober *prober, node_id_fn *id_of, void *argument);

// What the services of a pool may do with a member now.
enum target_state member_state(
	const struct plan *plan, const struct member *member, uint64_t now_ns);
