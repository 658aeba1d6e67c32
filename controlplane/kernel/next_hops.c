#include "next_hops.h"

#include <stdlib.h>

#include "guideway/index.h"

// A next hop is in the list that was taken last, or it left with some generation, and may be in
// tables before that one. Ids that are free are taken again last in, first out, so that the words
// in use stay close together.

struct entry {
	struct map_link link;
	struct address neighbour; // None: the kernel.
	uint8_t port;
	next_hop_id id;
	bool in_use;   // In the list taken last, or in the one being taken.
	bool taken;    // In the one being taken.
	uint64_t left; // The first generation without it, when not in use.
	struct next_hop told;
};

struct next_hops {
	const struct tables *tables;
	set_next_hop_fn *set_next_hop;
	void *context;
	struct map entries;
	next_hop_id free_ids[NEXT_HOP_MAX]; // [n_free_ids]
	size_t n_free_ids;
	bool full;
};

struct next_hops *next_hops_create(
	const struct tables *tables, set_next_hop_fn *set_next_hop, void *context)
{
	struct next_hops *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->tables = tables;
	h->set_next_hop = set_next_hop;
	h->context = context;
	while (h->n_free_ids < NEXT_HOP_MAX) {
		h->free_ids[h->n_free_ids] = (next_hop_id)(NEXT_HOP_MAX - 1 - h->n_free_ids);
		h->n_free_ids++;
	}
	return h;
}

static void drop(struct next_hops *h, struct entry *e)
{
	h->free_ids[h->n_free_ids++] = e->id;
	h->full = false;
	map_remove(&h->entries, &e->link);
	free(e);
}

void next_hops_destroy(struct next_hops *h)
{
	if (h == NULL)
		return;
	for (struct map_link *next, *at = map_after(&h->entries, NULL); at != NULL; at = next) {
		next = map_after(&h->entries, at);
		drop(h, MAP_THING(at, struct entry, link));
	}
	map_clear(&h->entries);
	free(h);
}

// What is known of it now.
static struct next_hop look(const struct next_hops *h, const struct entry *e)
{
	const struct twin *twin = &h->tables->twins[e->port];
	struct next_hop hop = {.port = e->port};

	if (address_is_none(&e->neighbour)) {
		hop.to_kernel = hop.resolved = true;
		return hop;
	}

	const struct neighbour *n = tables_find_neighbour(h->tables, twin->ifindex, &e->neighbour);
	if (twin->up && neighbour_is_usable(n)) {
		hop.resolved = true;
		memcpy(hop.mac, n->is.mac, sizeof(hop.mac));
	}
	return hop;
}

static bool is_same(const struct next_hop *a, const struct next_hop *b)
{
	return a->port == b->port && a->resolved == b->resolved && a->to_kernel == b->to_kernel &&
		memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static void tell(struct next_hops *h, struct entry *e)
{
	struct next_hop now = look(h, e);

	if (is_same(&now, &e->told))
		return;
	e->told = now;
	h->set_next_hop(h->context, e->id, &now);
}

static uint64_t hash(const struct next_hops *h, uint8_t port, const struct address *neighbour)
{
	return fold_multiply(index_hash_address(neighbour) ^ port, h->tables->key | 1);
}

static struct entry *find(const struct next_hops *h, uint8_t port, const struct address *neighbour)
{
	struct map_link *at = map_find(&h->entries, hash(h, port, neighbour));

	for (; at != NULL; at = map_find_next(at)) {
		struct entry *e = MAP_THING(at, struct entry, link);
		if (e->port == port && address_equal(&e->neighbour, neighbour))
			return e;
	}
	return NULL;
}

static struct entry *add(struct next_hops *h, uint8_t port, const struct address *neighbour)
{
	if (h->n_free_ids == 0) {
		h->full = true;
		return NULL;
	}

	struct entry *e = calloc(1, sizeof(*e));
	if (e == NULL || map_put(&h->entries, &e->link, hash(h, port, neighbour)) < 0) {
		free(e);
		return NULL;
	}
	e->neighbour = *neighbour;
	e->port = port;
	e->id = h->free_ids[--h->n_free_ids];
	// Whoever had the id before may have left a MAC address there.
	e->told = look(h, e);
	h->set_next_hop(h->context, e->id, &e->told);
	return e;
}

void next_hops_begin(struct next_hops *h)
{
	for (struct map_link *at = map_after(&h->entries, NULL); at != NULL;
		at = map_after(&h->entries, at))
		MAP_THING(at, struct entry, link)->taken = false;
}

void next_hops_end(struct next_hops *h, uint64_t generation)
{
	for (struct map_link *at = map_after(&h->entries, NULL); at != NULL;
		at = map_after(&h->entries, at)) {
		struct entry *e = MAP_THING(at, struct entry, link);
		if (e->in_use && !e->taken)
			e->left = generation;
		e->in_use = e->taken;
	}
}

next_hop_id next_hops_take(struct next_hops *h, uint8_t port, const struct address *neighbour)
{
	struct entry *e = find(h, port, neighbour);

	if (e == NULL)
		e = add(h, port, neighbour);
	if (e == NULL)
		return NEXT_HOP_NONE;
	e->taken = e->in_use = true;
	return e->id;
}

next_hop_id next_hops_take_kernel(struct next_hops *h, uint8_t port)
{
	const struct address none = {0};

	return next_hops_take(h, port, &none);
}

void next_hops_forget_before(struct next_hops *h, uint64_t generation)
{
	for (struct map_link *next, *at = map_after(&h->entries, NULL); at != NULL; at = next) {
		struct entry *e = MAP_THING(at, struct entry, link);
		next = map_after(&h->entries, at);
		if (!e->in_use && generation >= e->left)
			drop(h, e);
	}
}

void next_hops_refresh(struct next_hops *h, uint8_t port, const struct address *neighbour)
{
	struct entry *e = find(h, port, neighbour);

	if (e != NULL)
		tell(h, e);
}

void next_hops_refresh_all(struct next_hops *h)
{
	for (struct map_link *at = map_after(&h->entries, NULL); at != NULL;
		at = map_after(&h->entries, at))
		tell(h, MAP_THING(at, struct entry, link));
}

size_t next_hops_count(const struct next_hops *h)
{
	return h->entries.n;
}

bool next_hops_are_full(const struct next_hops *h)
{
	return h->full;
}
