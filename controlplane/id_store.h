#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Small numbers for names. A name keeps its number from its first table until long after its last.
struct id_store;

enum { ID_NONE = UINT32_MAX };

// Ids are below 'ids_max'. Returns NULL when out of memory.
struct id_store *id_store_create(size_t ids_max);

// Accepts NULL.
void id_store_destroy(struct id_store *store);

// 'hash' is name_hash() of 'name'. Returns ID_NONE if it has none.
uint32_t id_store_find(const struct id_store *store, const char *name, uint64_t hash);

// Gives a name that has none the lowest free id. Returns 0, -ENOSPC or -ENOMEM.
int id_store_put(struct id_store *store, const char *name, uint64_t hash, uint32_t *ret_id);

void id_store_remove(struct id_store *store, uint32_t id);

// The table of 'generation' knows the id; that of a later one may not.
void id_store_mark(struct id_store *store, uint32_t id, uint64_t generation);

// Of the last table that knew it; 0 for none yet.
uint64_t id_store_generation(const struct id_store *store, uint32_t id);

// NULL if the id is free.
const char *id_store_name(const struct id_store *store, uint32_t id);

size_t id_store_count(const struct id_store *store); // Ids in use, and
size_t id_store_end(const struct id_store *store);   // one more than the highest of them.
