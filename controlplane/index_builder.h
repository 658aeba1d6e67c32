#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/index.h"

// Writes the hash indexes of a table: include/guideway/index.h.

// How many slots an index over 'n' keys has: a power of two, so that it is at most half full.
size_t index_builder_slots(size_t n_keys);

// Makes an index without a key of [n_slots].
struct index index_builder_begin(struct index_slot *slots, size_t n_slots);

// Adds a key, of which there may be one more than before. Its slot is the first empty one from
// 'hash' on: of equal keys the first is the one that is found.
void index_builder_put(struct index *index, uint64_t hash, uint32_t at);
