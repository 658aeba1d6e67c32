#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"

// A read-only hash index over an array: open addressing with linear probing, at most half full.
// Eight slots share a cache line, so a lookup that finds costs one line here and one of the array.
// The hashes are not keyed: the keys in it are the operator's, not a sender's, and a sender's
// misses end at the first empty slot.
struct index_slot {
	uint32_t tag; // The upper half of the key's hash.
	uint32_t at;  // Where in the array, or INDEX_EMPTY.
};

#define INDEX_EMPTY UINT32_MAX

struct index {
	uint32_t mask;                  // Slots, a power of two, less one.
	const struct index_slot *slots; // [mask + 1]
};

// Asks for the memory where looking for what has 'hash' begins.
static inline void index_prefetch(const struct index *index, uint64_t hash)
{
	__builtin_prefetch(&index->slots[(uint32_t)hash & index->mask]);
}

// Where in the array what has 'hash' is, if it is there, but for one guess in four billion: nothing
// of the array is read. INDEX_EMPTY where it is not, but for as few.
static inline uint32_t index_guess(const struct index *index, uint64_t hash)
{
	for (uint32_t i = (uint32_t)hash & index->mask;; i = (i + 1) & index->mask) {
		const struct index_slot *slot = &index->slots[i];

		if (slot->at == INDEX_EMPTY || slot->tag == (uint32_t)(hash >> 32))
			return slot->at;
	}
}

// Both halves of a 64 x 64 bit product, folded: every bit of either factor reaches every bit of
// the result's middle (wyhash, Wang Yi 2019; the same step as in rapidhash and folly).
static inline uint64_t fold_multiply(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t index_hash_address(const struct address *a)
{
	return fold_multiply(a->halves[0] ^ 0x9e3779b97f4a7c15, a->halves[1] ^ 0xd1b54a32d192ed03);
}

// 'port' is in network byte order.
static inline uint64_t index_hash_endpoint(const struct address *a, __be16 port, uint8_t protocol)
{
	uint64_t tail = (uint64_t)port << 8 | protocol;

	if (address_is_ipv4(a)) // All of it fits one factor.
		return fold_multiply(((uint64_t)a->words[3] << 24 | tail) ^ 0x9e3779b97f4a7c15,
			0xd1b54a32d192ed03);
	return fold_multiply(index_hash_address(a) ^ tail, 0xa0761d6478bd642f);
}

// 'port' is in network byte order.
static inline uint64_t index_hash_node_port(enum family family, __be16 port, uint8_t protocol)
{
	uint64_t key = (uint64_t)family << 24 | (uint64_t)port << 8 | protocol;

	return fold_multiply(key ^ 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03);
}
