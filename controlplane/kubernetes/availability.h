#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"

// Which Services no node can serve: each of their ports, at each address, has none that is up.
// Pure: a plan comes in once a second, and what has come to be so, or ended, goes out.

struct availability;

// NULL when out of memory.
struct availability *availability_create(void);

// Accepts NULL.
void availability_destroy(struct availability *availability);

// 'key' is of the Service.
typedef void availability_changed_fn(void *argument, const char *key, bool is_available);

// Looks at the plan's services from 'first' on, which are the cluster's, by the last refresh. A
// Service is told of when it has been without nodes for a few seconds, so that the moment between
// two pods is no news, and when it has one again. Returns 0, or -ENOMEM, and then nothing is told.
int availability_look(struct availability *availability, const struct plan *plan, size_t first,
	uint64_t now_ns, availability_changed_fn *fn, void *argument);
