#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "admission.h"
#include "announcers.h"
#include "config.h"
#include "endpoint_shares.h"
#include "node_object.h"
#include "service_object.h"
#include "text_lines.h"

// The configuration file joined with a cluster: what the file says, and for each port and address
// of a Service one service over the cluster's nodes. So all that knows configurations knows
// clusters.

// Most of it is the same from one configuration to the next, and is made only once: the services of
// a Service that did not change, and the nodes while none did. Configurations share them, and
// whoever compares two of them finds at one glance that a service is the same one. What comes out
// is what would come out if all of it were made anew.

// What one Service was made into; nobody changes it.
struct service_piece;

// Gives pieces up: one that is not used any more lives as long as the last configuration that has
// it. So that making and freeing a configuration looks at no piece, it does not count who has it,
// but when it was retired.
struct piece_keeper;

// The nodes, and who has which address, as they were found in the file and the cluster.
struct cluster_ground;

// A Service that is served, by the addresses that it was given. Side by side, so that of those that
// did not change nothing else is looked at.
struct served {
	const struct service_object *object; // NULL for one that is not served.
	const struct admission *admission;
	const struct address *address; // [N_FAMILIES] No address where it has none of a family.
	const struct address *leaving; // Likewise; what it had before, and is to have still.
	const struct address *first;   // At another, names say at which.
	bool is_stale;                 // It changed, or where its endpoints are.

	// Written by joins: what it was made into, and of that what is asked each time.
	struct service_piece *piece; // NULL before it was made.
	uint64_t made_on;            // Which ground, or terms where it is not Local.
	bool is_local;
	size_t sources_at; // As in the piece, as is the next.
	uint32_t node_port_rank;
	uint32_t n_services;
	uint32_t n_in; // The first of these are in the configuration: the others have no room. Who
	               // knows that it was in one before a restart may set it to UINT32_MAX.
};

// The slices of the Service 'key'; they are good until the view's end.
typedef struct slice_object *const *slices_fn(void *argument, const char *key, size_t *ret_n);

struct cluster_view {
	const struct node_object *const *nodes; // [n_nodes] Those that may be used, by name.
	size_t n_nodes;
	struct served *services; // [n_services], in any order.
	size_t n_services;
	struct piece_keeper *keeper;
	const struct announcers *announcers; // Who answers for their addresses.
	slices_fn *slices;                   // Asked of those that are Local.
	void *argument;
	struct cluster_ground **ground; // Kept likewise. Is NULL once the file or the nodes have
	                                // changed: then it is made anew.
};

struct cluster_config;

// 'file' outlives what is made; 'view' does not have to. What cannot be taken in is left out, and
// 'ret_left_out' has a line for each: a node whose address is the file's or another node's, and
// what there is no room for. Returns 0 or -ENOMEM.
int cluster_config_build(const struct config *file, const struct cluster_view *view,
	struct cluster_config **ret_joined, struct text_lines *ret_left_out);

// Accepts NULL.
void cluster_config_free(struct cluster_config *joined);
void cluster_ground_release(struct cluster_ground *ground);

// Returns NULL when out of memory. Lives until the last configuration made with it is freed.
struct piece_keeper *piece_keeper_create(void);

// Accepts NULL.
void piece_keeper_release(struct piece_keeper *keeper);

// The file has changed: all pieces are to be made anew.
void piece_keeper_forget_terms(struct piece_keeper *keeper);

// No configuration made from now on has the piece. Accepts NULL for it.
void piece_keeper_retire(struct piece_keeper *keeper, struct service_piece *piece);

// True if the two are made of the very same pieces, so that one is as good as the other.
bool cluster_config_is_same(const struct cluster_config *a, const struct cluster_config *b);

// True if services are left out, for want of room.
bool cluster_config_lacks_room(const struct cluster_config *joined);

// The whole, as a file could have said it. It is the joined one's.
const struct config *cluster_config_of(const struct cluster_config *joined);

// What a service is called: "default/web:80/tcp", "default/web:80/tcp6" at its IPv6 address; where
// its Service has come to be at another address than its first, "default/web:80/tcp@203.0.113.8".
void cluster_service_name(const struct served *served, const struct service_port *port,
	const struct address *vip, char ret_name[NAME_TEXT_MAX]);
