#pragma once

#include <stddef.h>
#include <stdint.h>

// Parts that tables have in common, each there once: found by what it was made of, and freed with
// its last reference.
struct part_store;

struct part {
	void *value; // Aligned to a cache line.

	// The store's own.
	struct part *next;
	uint64_t hash;
	size_t n_references;
	size_t key_len;
	void *key;
};

// Returns NULL when out of memory.
struct part_store *part_store_create(void);

// Accepts NULL. Parts still referred to are freed with it.
void part_store_destroy(struct part_store *store);

// The part made of 'key', with one more reference, or NULL if there is none.
struct part *part_store_find(struct part_store *store, const void *key, size_t key_len);

// A part made of 'key', of which there is none yet, with one reference. Its value is the caller's
// to write before anybody else has it. Returns NULL when out of memory.
struct part *part_store_add(
	struct part_store *store, const void *key, size_t key_len, size_t value_len);

void part_store_refer(struct part *part);

// Takes one reference away. Accepts NULL for 'part'.
void part_store_release(struct part_store *store, struct part *part);
