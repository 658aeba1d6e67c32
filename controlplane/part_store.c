#include "part_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"

enum { N_BUCKETS = 1024, CACHE_LINE = 64 };

struct part_store {
	struct part *buckets[N_BUCKETS];
};

struct part_store *part_store_create(void)
{
	return calloc(1, sizeof(struct part_store));
}

static void destroy(struct part *part)
{
	free(part->value);
	free(part->key);
	free(part);
}

void part_store_destroy(struct part_store *store)
{
	if (store == NULL)
		return;

	for (size_t i = 0; i < N_BUCKETS; i++) {
		while (store->buckets[i] != NULL) {
			struct part *part = store->buckets[i];

			store->buckets[i] = part->next;
			destroy(part);
		}
	}
	free(store);
}

// Four words at a time, in lanes that do not wait for each other.
static uint64_t hash_of(const uint8_t *bytes, size_t len)
{
	uint64_t lanes[4] = {len, 1, 2, 3}, words[4], word = 0, hash;

	for (; len >= sizeof(words); bytes += sizeof(words), len -= sizeof(words)) {
		memcpy(words, bytes, sizeof(words));
		for (size_t i = 0; i < 4; i++)
			lanes[i] = mix(lanes[i] ^ words[i]);
	}
	hash = mix(mix(mix(lanes[0]) ^ lanes[1]) ^ lanes[2]) ^ lanes[3];
	for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		hash = mix(hash ^ word);
	}
	word = 0;
	memcpy(&word, bytes, len);
	return mix(hash ^ word);
}

struct part *part_store_find(struct part_store *store, const void *key, size_t key_len)
{
	uint64_t hash = hash_of(key, key_len);
	struct part *part = store->buckets[hash % N_BUCKETS];

	for (; part != NULL; part = part->next) {
		if (part->hash == hash && part->key_len == key_len &&
			memcmp(part->key, key, key_len) == 0) {
			part->n_references++;
			break;
		}
	}
	return part;
}

struct part *part_store_add(
	struct part_store *store, const void *key, size_t key_len, size_t value_len)
{
	struct part *part = calloc(1, sizeof(*part));
	if (part == NULL)
		return NULL;

	part->key = malloc(key_len);
	part->value =
		aligned_alloc(CACHE_LINE, (value_len + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
	if (part->key == NULL || part->value == NULL) {
		destroy(part);
		return NULL;
	}

	memcpy(part->key, key, key_len);
	part->key_len = key_len;
	part->hash = hash_of(key, key_len);
	part->n_references = 1;
	part->next = store->buckets[part->hash % N_BUCKETS];
	store->buckets[part->hash % N_BUCKETS] = part;
	return part;
}

void part_store_refer(struct part *part)
{
	part->n_references++;
}

void part_store_release(struct part_store *store, struct part *part)
{
	if (part == NULL)
		return;

	assert(part->n_references > 0);
	if (--part->n_references > 0)
		return;

	struct part **link = &store->buckets[part->hash % N_BUCKETS];
	while (*link != part)
		link = &(*link)->next;
	*link = part->next;
	destroy(part);
}
