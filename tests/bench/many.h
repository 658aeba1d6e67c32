#pragma once

#include <stddef.h>

#include "model.h"
#include "table_builder.h"

// A cluster in which there is many of everything: a model of one set of nodes that all services
// have, IPv4, TCP, four SNAT addresses.

enum { MANY_RING_SIZE = 65537, MANY_SNAT = 4 };

struct many {
	struct model model;
	struct model_set set;
	struct model_node *nodes;
	struct model_target *targets; // [model.n_nodes], to be changed between builds.
	struct model_service *services;
	char (*names)[64]; // Of the services.
	struct address snat[MANY_SNAT];
};

// All nodes are up. Ends the program when out of memory.
void many_create(struct many *m, size_t n_services, size_t n_nodes, enum forwarding_mode mode);
void many_destroy(struct many *m);

// The next table. 'finder' may be NULL. Ends the program unless 'n_rings' were built anew.
const struct forwarding_table *many_build(const struct many *m, struct table_builder *builder,
	const struct next_hop_finder *finder, size_t n_rings);
