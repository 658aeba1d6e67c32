#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice_object.h"

// Which nodes have endpoints of a Service, and how many: what externalTrafficPolicy Local spreads
// by. A node whose endpoints are all about to end is a reserve: they serve on for a while, and
// kube-proxy sends them what comes (KEP-1669).

struct share {
	const char *node; // Its name; the slices'.
	uint32_t weight;  // Endpoints; never 0.
	bool is_reserve;  // None of them is ready.
};

struct share_list {
	const struct share *shares; // [n], in the order of names, no name twice.
	size_t n;
};

struct endpoint_shares;

// Of the slices [n] of a Service, which outlive it. Returns NULL when out of memory.
struct endpoint_shares *endpoint_shares_create(struct slice_object *const *slices, size_t n);

// Accepts NULL.
void endpoint_shares_destroy(struct endpoint_shares *shares);

// Those by addresses of 'family'; they are the maker's. To be asked once of each family.
struct share_list endpoint_shares_find(struct endpoint_shares *shares, enum family family);
