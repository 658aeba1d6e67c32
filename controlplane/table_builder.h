#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/dataplane.h"
#include "guideway/forwarding_table.h"
#include "model.h"
#include "route.h"

// Makes forwarding tables of models, and remembers what must be the same from table to table: the
// ids of services and nodes, and every part that did not change.
//
// A node_id is of an address, whatever its node is called: flows are with an address, and end or
// go on with it. So a node of two addresses has two ids; one at another address has another id; and
// one renamed keeps what it had. A service_id is of a name at a VIP, port and protocol: at another
// endpoint, or by another name, it is another service, and flows of the old one are over.
struct table_builder;

// Ids stay below 'services_max' and 'nodes_max' (at most NODE_NONE). Returns 0 or -ENOMEM.
int table_builder_create(size_t services_max, size_t nodes_max, struct table_builder **ret_builder);

// Accepts NULL. Tables not released are freed with it: the dataplane must have stopped.
void table_builder_destroy(struct table_builder *builder);

// What the tables built from now on route by; before the first call, no route at all. On failure
// the routes are as before. Returns 0 or what route_trie_build() returns.
int table_builder_set_routes(
	struct table_builder *builder, const struct route *routes, size_t n_routes);

// Who knows the next hop towards a node. With 'find' NULL, the routes do.
struct next_hop_finder {
	next_hop_id (*find)(void *argument, const struct address *address);
	void *argument;
};

// What was built, for whoever tells the operator.
struct build_report {
	size_t n_rings_built;       // Those that no table had yet.
	size_t n_rings_scaled;      // Sets whose ring cannot do justice to their weights,
	size_t n_targets_left_out;  // and members of them without a slot.
	size_t n_services_unserved; // Services without a ring: no node may be used.
	size_t n_services_late;     // As of table_builder_limit_rings().
};

// From now on a table makes so many rings at most, and the rest of it is as wanted: services whose
// ring is not made then are late. They keep the ring that they had, as long as all of its nodes are
// in the model; without one their packets are dropped, not rejected. The next tables make what
// lacks, each going on where the last one had to stop, so that whatever changes meanwhile no
// service waits longer than for all others. At first there is no limit; 'n' is not 0.
void table_builder_limit_rings(struct table_builder *builder, size_t n);

// The table of 'model', with the next generation. It is the builder's, and lent until
// table_builder_release(). 'finder' may be NULL.
//
// A node that is not in the model any more, or not in the service's set, is TARGET_ABSENT. On
// failure 'ret_why' says in one sentence why, and nothing has changed. Returns 0, -ENOSPC if there
// are more services or nodes than ids for them (those that flows still hold count), -EINVAL if the
// model contradicts itself, or -ENOMEM. 'ret_report' may be NULL.
int table_builder_build(struct table_builder *builder, const struct model *model,
	const struct next_hop_finder *finder, const struct forwarding_table **ret_table,
	struct build_report *ret_report, char ret_why[WHY_MAX]);

// Gives a table back that no worker can see: what dataplane_reclaim() returned, or one that was
// never published. Accepts NULL.
void table_builder_release(struct table_builder *builder, const struct forwarding_table *table);

// The id that it has, be it in the last table or only still held; or SERVICE_NONE, NODE_NONE, as of
// no address.
service_id table_builder_service(
	const struct table_builder *builder, const struct model_service *service);
node_id table_builder_node(const struct table_builder *builder, const struct address *address);

// What the id was called in the last table that had it; NULL if it is free. Several node_ids may
// have one name. Good until the next table_builder_build() or table_builder_free_ids().
const char *table_builder_service_name(const struct table_builder *builder, service_id id);
const char *table_builder_node_name(const struct table_builder *builder, node_id id);

// NULL if the id is free. Good as long.
const struct address *table_builder_node_address(const struct table_builder *builder, node_id id);

// True if there is an id of that name.
bool table_builder_knows_service(const struct table_builder *builder, const char *name);
bool table_builder_knows_node(const struct table_builder *builder, const char *name);

// True while a flow, or anything else that counts, names the id.
typedef bool id_held_fn(void *argument, uint32_t id);

// A service that comes to another mode from MODE_SNAT keeps its flows of that time, until this
// finds that none is held any more. Then, and so returning true, the next table has it without
// them.
bool table_builder_end_flows(
	struct table_builder *builder, id_held_fn *service_held, void *argument);

// Frees the ids of what is not in the last table, that no table not yet released knows, and
// that are not held: so an id is reused only after a grace period. Asks 'held' only about such
// ids. Returns how many it freed.
size_t table_builder_free_ids(struct table_builder *builder, id_held_fn *service_held,
	id_held_fn *node_held, void *argument);
