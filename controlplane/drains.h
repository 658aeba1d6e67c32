#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state_directory.h"

// The nodes that the operator drained: kept by name in the state directory, over reloads and
// restarts, whether or not the configuration has them just now.

struct drains;

// Reads what was kept; each of them counts as drained at 'now_ns'. Returns 0, -EINVAL if the file
// has a line that is no name, or -errno.
int drains_open(struct state_directory *directory, uint64_t now_ns, struct drains **ret_drains);

// Accepts NULL.
void drains_close(struct drains *drains);

// True if it is drained; then 'ret_since_ns' says since when.
bool drains_has(const struct drains *drains, const char *name, uint64_t *ret_since_ns);

// Both are on disk when they return 0; on failure (-errno) all is as before. A node drained
// already, or not drained, is no error.
int drains_put(struct drains *drains, const char *name, uint64_t now_ns);
int drains_remove(struct drains *drains, const char *name);

size_t drains_count(const struct drains *drains);
