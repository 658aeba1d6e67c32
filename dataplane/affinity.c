#include "affinity.h"

#include <assert.h>

enum { SET = 4 };

struct entry {
	struct address client; // None of a free one.
	service_id service;
	uint32_t seen_s; // When its last flow began.
	struct affinity_choice choice;
	uint8_t unused[4];
};
static_assert(sizeof(struct entry) == 32);

struct affinity {
	uint64_t mask; // Sets, a power of two, less one.
	uint8_t unused[56];
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

	*e = (struct entry){
		.client = *client, .service = service, .seen_s = now_s, .choice = choice};
}
