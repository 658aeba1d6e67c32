#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"

// Small numbers for what tables have: a key keeps its number from its first table until long after
// its last.
struct id_store;

// What tells one from another. What a kind of key has no use for is 0, and the name "".
struct id_key {
	const char *name;
	struct address address;
	uint16_t port;
	uint8_t protocol;
	uint64_t hash; // Of the rest; the caller's choice, the same each time. Where another name
	               // may come to stand where a name stood, no two of them have the same.
};

enum { ID_NONE = UINT32_MAX };

// Ids are below 'ids_max'. Returns NULL when out of memory.
struct id_store *id_store_create(size_t ids_max);

// Accepts NULL.
void id_store_destroy(struct id_store *store);

// Returns ID_NONE if it has none.
uint32_t id_store_find(const struct id_store *store, const struct id_key *key);

// Gives a key that has none the lowest free id. Returns 0, -ENOSPC or -ENOMEM.
int id_store_put(struct id_store *store, const struct id_key *key, uint32_t *ret_id);

void id_store_remove(struct id_store *store, uint32_t id);

// The table of 'generation' knows the id; that of a later one may not.
void id_store_mark(struct id_store *store, uint32_t id, uint64_t generation);

// The id is that of 'key': as long as the name stays where it is, it is found sooner.
void id_store_know(struct id_store *store, uint32_t id, const struct id_key *key);

// Of the last table that knew it; 0 for none yet.
uint64_t id_store_generation(const struct id_store *store, uint32_t id);

// NULL if the id is free.
const struct id_key *id_store_key(const struct id_store *store, uint32_t id);

// 0 if both are alike but for their hashes, or which comes first: by name, then by the rest.
int id_key_compare(const struct id_key *a, const struct id_key *b);

size_t id_store_count(const struct id_store *store); // Ids in use, and
size_t id_store_end(const struct id_store *store);   // one more than the highest of them.
