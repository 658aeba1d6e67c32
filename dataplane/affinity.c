#include "affinity.h"

#include <assert.h>
#include <string.h>

enum { SET = 4 };

struct entry {
	struct address client; // None of a free one.
	service_id service;
	uint32_t seen_s; // When its last flow began.
	struct affinity_choice choice;
	uint32_t version; // Odd while the worker writes.
};
static_assert(sizeof(struct entry) == 32);

struct affinity {
	uint64_t mask;                 // Sets, a power of two, less one.
	const struct affinity *behind; // What this lies over, or NULL.
	uint8_t unused[48];
	struct entry sets[][SET];
};
static_assert(offsetof(struct affinity, sets) == 64);

static size_t sets_for(size_t n)
{
	size_t sets = 1;

	while (sets * SET < n)
		sets *= 2;
	return sets;
}

size_t affinity_bytes(size_t n)
{
	return sizeof(struct affinity) + sets_for(n) * sizeof(struct entry[SET]);
}

struct affinity *affinity_create(void *memory, size_t n)
{
	struct affinity *a = memory;

	a->mask = sets_for(n) - 1;
	return a;
}

void affinity_lay_over(struct affinity *a, const struct affinity *behind)
{
	a->behind = behind;
}

static bool is_of(const struct entry *e, const struct address *client, service_id service)
{
	return e->service == service && address_equal(&e->client, client);
}

bool affinity_find(const struct affinity *a, uint64_t hash, const struct address *client,
	service_id service, uint32_t now_s, uint32_t for_s, struct affinity_choice *ret_choice)
{
	const struct entry *set = a->sets[hash & a->mask];

	for (unsigned i = 0; i < SET; i++) {
		if (!is_of(&set[i], client, service) || now_s - set[i].seen_s >= for_s)
			continue;
		*ret_choice = set[i].choice;
		return true;
	}
	return a->behind != NULL &&
		affinity_find(a->behind, hash, client, service, now_s, for_s, ret_choice);
}

// Returns false where the worker wrote meanwhile.
static bool read_entry(const struct entry *e, struct entry *ret_entry)
{
	uint32_t before = __atomic_load_n(&e->version, __ATOMIC_ACQUIRE);

	// The fences pair with those in affinity_put(): what is read between two equal, even
	// versions is one entry.
	memcpy(ret_entry, e, sizeof(*e));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return before % 2 == 0 && __atomic_load_n(&e->version, __ATOMIC_RELAXED) == before;
}

bool affinity_look(const struct affinity *a, uint64_t hash, const struct address *client,
	service_id service, uint32_t now_s, uint32_t for_s, struct affinity_choice *ret_choice,
	uint32_t *ret_idle_s)
{
	const struct entry *set = a->sets[hash & a->mask];
	struct entry e;

	for (unsigned i = 0; i < SET; i++) {
		if (!read_entry(&set[i], &e) || !is_of(&e, client, service) ||
			now_s - e.seen_s >= for_s)
			continue;
		*ret_choice = e.choice;
		*ret_idle_s = now_s - e.seen_s;
		return true;
	}
	return false;
}

// Its own, or else a free one, or else the one that was seen longest ago.
static struct entry *place_for(
	struct entry *set, const struct address *client, service_id service, uint32_t now_s)
{
	struct entry *oldest = &set[0];

	for (unsigned i = 0; i < SET; i++) {
		if (is_of(&set[i], client, service))
			return &set[i];
		if (address_is_none(&oldest->client))
			continue;
		if (address_is_none(&set[i].client) ||
			now_s - set[i].seen_s > now_s - oldest->seen_s)
			oldest = &set[i];
	}
	return oldest;
}

void affinity_put(struct affinity *a, uint64_t hash, const struct address *client,
	service_id service, uint32_t now_s, struct affinity_choice choice)
{
	struct entry *e = place_for(a->sets[hash & a->mask], client, service, now_s);

	uint32_t version = e->version;

	__atomic_store_n(&e->version, version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE); // Both pair with read_entry().
	e->client = *client;
	e->service = service;
	e->seen_s = now_s;
	e->choice = choice;
	__atomic_store_n(&e->version, version + 2, __ATOMIC_RELEASE);
}
