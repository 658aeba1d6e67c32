#include "map.h"

#include <errno.h>
#include <stdlib.h>

enum { FEWEST_BUCKETS = 16 };

static void push(struct map_link **bucket, struct map_link *link)
{
	link->next = *bucket;
	*bucket = link;
}

static void move_all(struct map *map, struct map_link **buckets, size_t mask)
{
	for (size_t i = 0; map->buckets != NULL && i <= map->mask; i++) {
		for (struct map_link *next, *at = map->buckets[i]; at != NULL; at = next) {
			next = at->next;
			push(&buckets[at->hash & mask], at);
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->mask = mask;
}

static void grow(struct map *map)
{
	size_t n = map->buckets == NULL ? FEWEST_BUCKETS : 2 * (map->mask + 1);
	struct map_link **buckets = calloc(n, sizeof(struct map_link *));

	if (buckets != NULL)
		move_all(map, buckets, n - 1);
}

void map_clear(struct map *map)
{
	free(map->buckets);
	*map = (struct map){0};
}

int map_put(struct map *map, struct map_link *link, uint64_t hash)
{
	if (map->buckets == NULL || map->n > map->mask)
		grow(map);
	if (map->buckets == NULL) // Elsewhere longer chains do.
		return -ENOMEM;

	link->hash = hash;
	push(&map->buckets[hash & map->mask], link);
	map->n++;
	return 0;
}

void map_remove(struct map *map, struct map_link *link)
{
	struct map_link **at = &map->buckets[link->hash & map->mask];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	map->n--;
}

static struct map_link *of_hash(struct map_link *at, uint64_t hash)
{
	while (at != NULL && at->hash != hash)
		at = at->next;
	return at;
}

struct map_link *map_find(const struct map *map, uint64_t hash)
{
	return map->buckets == NULL ? NULL : of_hash(map->buckets[hash & map->mask], hash);
}

struct map_link *map_find_next(const struct map_link *link)
{
	return of_hash(link->next, link->hash);
}

struct map_link *map_after(const struct map *map, const struct map_link *link)
{
	if (map->buckets == NULL)
		return NULL;
	if (link != NULL && link->next != NULL)
		return link->next;

	for (size_t i = link == NULL ? 0 : (link->hash & map->mask) + 1; i <= map->mask; i++) {
		if (map->buckets[i] != NULL)
			return map->buckets[i];
	}
	return NULL;
}

size_t map_buckets(const struct map *map)
{
	return map->buckets == NULL ? 0 : map->mask + 1;
}

struct map_link *map_bucket(const struct map *map, size_t i)
{
	return map->buckets[i];
}
