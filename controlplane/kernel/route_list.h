#pragma once

#include "next_hops.h"
#include "route.h"
#include "tables.h"

// The routes of the tables in the dataplane's terms: each prefix once, with the id of its next hop.

struct route_list {
	struct route *routes; // [n]
	size_t n;
	size_t room;
};

// Writes the list anew, for the forwarding tables from 'generation' on. Returns 0, or -ENOMEM and
// leaves an empty list.
int route_list_build(struct route_list *list, const struct tables *tables, struct next_hops *hops,
	uint64_t generation);

void route_list_clear(struct route_list *list);
