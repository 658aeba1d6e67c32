#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/route_table.h"
#include "route.h"

// Turns a list of routes into the steps that workers follow: include/guideway/route_table.h.

enum {
	ROUTES_MAX = 1 << 16,      // Of a family,
	ROUTE_STEPS_MAX = 1 << 18, // and the steps they may take: 256 MB.
};

// Takes the routes of 'family', in any order, and passes over those of the other. A prefix that
// comes twice goes to the lower of its next hops. No route at all is a trie that finds none.
// 'ret_steps' is the caller's to free(). Returns 0, -EINVAL for a prefix with bits past its length
// or longer than its family, -E2BIG for more than ROUTES_MAX routes or ROUTE_STEPS_MAX steps, or
// -ENOMEM.
int route_trie_build(enum family family, const struct route *routes, size_t n_routes,
	struct route_step **ret_steps, size_t *ret_n_steps);
