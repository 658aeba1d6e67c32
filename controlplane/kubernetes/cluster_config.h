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

// A Service that is served, by the addresses that it was given.
struct served {
	const struct service_object *object;
	const struct admission *admission;
	struct address address[N_FAMILIES];   // No address where it has none of a family.
	struct address leaving[N_FAMILIES];   // Likewise; what it had before, and is to have still.
	struct address first[N_FAMILIES];     // At another, names say at which.
	struct share_list shares[N_FAMILIES]; // Of one that is Local: who has endpoints, by the
	                                      // family of their addresses.
};

struct cluster_view {
	const struct node_object *const *nodes; // [n_nodes] Those that may be used, by name.
	size_t n_nodes;
	const struct served *services; // [n_services], in any order.
	size_t n_services;
	const struct announcers *announcers; // Who answers for their addresses.
};

struct cluster_config;

// 'file' outlives what is made; 'view' does not have to. What cannot be taken in is left out, and
// 'ret_left_out' has a line for each: a node whose address is the file's or another node's, and
// what there is no room for. Returns 0 or -ENOMEM.
int cluster_config_build(const struct config *file, const struct cluster_view *view,
	struct cluster_config **ret_joined, struct text_lines *ret_left_out);

// Accepts NULL.
void cluster_config_free(struct cluster_config *joined);

// The whole, as a file could have said it. It is the joined one's.
const struct config *cluster_config_of(const struct cluster_config *joined);

// What a service is called: "default/web:80/tcp", "default/web:80/tcp6" at its IPv6 address; where
// its Service has come to be at another address than its first, "default/web:80/tcp@203.0.113.8".
void cluster_service_name(const struct served *served, const struct service_port *port,
	const struct address *vip, char ret_name[NAME_TEXT_MAX]);
