#include "id_store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct id {
	struct id_key key;  // Its name is our own copy, or NULL if the id is free.
	uintptr_t named_at; // Where the name was by which it was last found; maybe nothing is there
	                    // any more.
};

// Open addressing with linear probing, at most half full.
struct id_store {
	struct id *ids;        // [ids_max]
	uint64_t *generations; // [ids_max] By themselves, since all are written for each table.
	size_t ids_max;
	size_t count;
	size_t lowest_free;
	size_t end;
	uint32_t *slots; // [mask + 1], ids or ID_NONE.
	size_t mask;
};

struct id_store *id_store_create(size_t ids_max)
{
	struct id_store *store = calloc(1, sizeof(*store));
	size_t n_slots = 8;

	if (store == NULL)
		return NULL;
	while (n_slots < ids_max * 2)
		n_slots *= 2;

	store->ids_max = ids_max;
	store->mask = n_slots - 1;
	store->ids = calloc(ids_max, sizeof(*store->ids));
	store->generations = calloc(ids_max, sizeof(*store->generations));
	store->slots = malloc(n_slots * sizeof(*store->slots));
	if (store->ids == NULL || store->generations == NULL || store->slots == NULL) {
		id_store_destroy(store);
		return NULL;
	}
	for (size_t i = 0; i < n_slots; i++)
		store->slots[i] = ID_NONE;
	return store;
}

void id_store_destroy(struct id_store *store)
{
	if (store == NULL)
		return;

	for (size_t i = 0; i < store->end; i++)
		free((char *)store->ids[i].key.name);
	free(store->ids);
	free(store->generations);
	free(store->slots);
	free(store);
}

int id_key_compare(const struct id_key *a, const struct id_key *b)
{
	int order = strcmp(a->name, b->name);

	if (order == 0)
		order = memcmp(&a->address, &b->address, sizeof(a->address));
	if (order == 0)
		order = (int)a->port - (int)b->port;
	return order != 0 ? order : (int)a->protocol - (int)b->protocol;
}

static bool is_at_endpoint(const struct id_key *a, const struct id_key *b)
{
	return a->port == b->port && a->protocol == b->protocol &&
		address_equal(&a->address, &b->address);
}

// A name of the same hash at the same place is the same name: of most keys no text has to be
// looked at, which would come from far away.
static bool is_key(const struct id *id, const struct id_key *key)
{
	return id->key.hash == key->hash && is_at_endpoint(&id->key, key) &&
		(id->named_at == (uintptr_t)key->name || strcmp(id->key.name, key->name) == 0);
}

// The slot of the key, or the empty one where it would be.
static size_t slot_of(const struct id_store *store, const struct id_key *key)
{
	size_t slot = key->hash & store->mask;

	for (; store->slots[slot] != ID_NONE; slot = (slot + 1) & store->mask) {
		if (is_key(&store->ids[store->slots[slot]], key))
			break;
	}
	return slot;
}

uint32_t id_store_find(const struct id_store *store, const struct id_key *key)
{
	return store->slots[slot_of(store, key)];
}

int id_store_put(struct id_store *store, const struct id_key *key, uint32_t *ret_id)
{
	size_t slot = slot_of(store, key), at = store->lowest_free;

	assert(store->slots[slot] == ID_NONE);
	while (at < store->end && store->ids[at].key.name != NULL)
		at++;
	if (at == store->ids_max)
		return -ENOSPC;

	char *copy = strdup(key->name);
	if (copy == NULL)
		return -ENOMEM;

	store->ids[at] = (struct id){.key = *key, .named_at = (uintptr_t)key->name};
	store->ids[at].key.name = copy;
	store->slots[slot] = (uint32_t)at;
	store->lowest_free = at + 1;
	store->count++;
	if (at == store->end)
		store->end++;
	*ret_id = (uint32_t)at;
	return 0;
}

// Moves back whoever follows and had been pushed past the slot that is now empty, so that no search
// ends too early (Knuth, TAOCP volume 3, section 6.4, algorithm R).
static void close_gap(struct id_store *store, size_t gap)
{
	for (size_t i = (gap + 1) & store->mask; store->slots[i] != ID_NONE;
		i = (i + 1) & store->mask) {
		size_t home = store->ids[store->slots[i]].key.hash & store->mask;

		if (((i - home) & store->mask) < ((i - gap) & store->mask))
			continue; // Its home is behind the gap.
		store->slots[gap] = store->slots[i];
		gap = i;
	}
	store->slots[gap] = ID_NONE;
}

void id_store_remove(struct id_store *store, uint32_t id)
{
	assert(id < store->end && store->ids[id].key.name != NULL);

	close_gap(store, slot_of(store, &store->ids[id].key));
	free((char *)store->ids[id].key.name);
	store->ids[id] = (struct id){0};
	store->generations[id] = 0;
	store->count--;
	if (id < store->lowest_free)
		store->lowest_free = id;
	while (store->end > 0 && store->ids[store->end - 1].key.name == NULL)
		store->end--;
}

void id_store_mark(struct id_store *store, uint32_t id, uint64_t generation)
{
	store->generations[id] = generation;
}

void id_store_know(struct id_store *store, uint32_t id, const struct id_key *key)
{
	store->ids[id].named_at = (uintptr_t)key->name;
}

uint64_t id_store_generation(const struct id_store *store, uint32_t id)
{
	return store->generations[id];
}

const struct id_key *id_store_key(const struct id_store *store, uint32_t id)
{
	bool is_used = id < store->end && store->ids[id].key.name != NULL;

	return is_used ? &store->ids[id].key : NULL;
}

size_t id_store_count(const struct id_store *store)
{
	return store->count;
}

size_t id_store_end(const struct id_store *store)
{
	return store->end;
}
