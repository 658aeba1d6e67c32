#pragma once

#include <stddef.h>
#include <stdint.h>

// A hash map of things that carry their own link in it: chained, growing, without a key of its own.
// Things of one hash stand in one chain; the caller tells them apart.

struct map_link {
	struct map_link *next;
	uint64_t hash;
};

struct map {
	struct map_link **buckets; // [mask + 1], or NULL before the first is put in.
	size_t mask;
	size_t n;
};

// The thing of 'type' whose member 'member' is the link 'at', which is not NULL.
#define MAP_THING(at, type, member) ((type *)((char *)(at)-offsetof(type, member)))

// Gives back the buckets, not the things. The map is then empty.
void map_clear(struct map *map);

// Returns 0 or -ENOMEM.
int map_put(struct map *map, struct map_link *link, uint64_t hash);

// 'link' is in 'map'.
void map_remove(struct map *map, struct map_link *link);

// The first with this hash, and the next after 'link' with the same; NULL if there is none.
struct map_link *map_find(const struct map *map, uint64_t hash);
struct map_link *map_find_next(const struct map_link *link);

// All of them, one after another: the one after 'link', or the first after NULL. One may be removed
// once the one after it is known; nothing may be put in meanwhile.
struct map_link *map_after(const struct map *map, const struct map_link *link);

// For a walk with pauses in which anything may change: the first of bucket 'i', with those after it
// by their 'next'. What is there all the while is met at least once on the way from 0 to
// map_buckets(), since a map that grows only moves things up.
size_t map_buckets(const struct map *map);
struct map_link *map_bucket(const struct map *map, size_t i);
