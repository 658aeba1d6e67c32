#pragma once

#include <assert.h>
#include <emmintrin.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guideway/address.h"

// Whom a service lets in: a set of addresses of both families, made of prefixes.
//
// Built by the control plane (controlplane/source_set.c, which also says why it is as it is), then
// immutable. A service that lets everybody in has no set, and pays for none. A set of up to seven
// ranges of IPv4 is known by one line of memory; each line more tells sixteen times as many apart.
//
// Of each family it holds the edges: the last address before each range of the set, and the last
// in it. So a source is in the set if the edges below it are odd in number. The edges lie in the
// leaves of a tree. What is above the leaves says which of them to look at.

// A node. Its keys ascend, filled up with the highest address, which is below none.
struct source_node_ipv4 {
	int32_t keys[15]; // source_key_ipv4() of the address.
	uint32_t below;   // The place of the first node below; the next are beside it. Of a leaf
	                  // SOURCE_LEAF, and 1 if the edges before it are odd in number.
};
static_assert(sizeof(struct source_node_ipv4) == 64);

struct source_node_ipv6 {
	unsigned __int128 keys[7]; // Host byte order.
	uint32_t below;            // As above.
};
static_assert(sizeof(struct source_node_ipv6) == 128);

#define SOURCE_LEAF 0x80000000u

// The roots; behind them, up to 'len_bytes', are the other nodes. A node's place counts nodes of
// its family from the beginning of the set, so that the set may be copied.
struct source_set {
	_Alignas(64) struct source_node_ipv4 ipv4;
	_Alignas(64) uint64_t len_bytes; // Of the whole.
	_Alignas(64) struct source_node_ipv6 ipv6;
};
static_assert(offsetof(struct source_set, ipv6) == sizeof(struct source_node_ipv6));
static_assert(sizeof(struct source_set) == 256);

// An address in host byte order as a number with a sign, since SSE2 compares no others. The order
// stays.
static inline int32_t source_key_ipv4(uint32_t address)
{
	return (int32_t)(address ^ 0x80000000u);
}

// How many keys of the node are below 'key'. The 16 words of the node are compared at once; the
// last is none of the keys.
static inline uint32_t source_keys_below_ipv4(const struct source_node_ipv4 *node, int32_t key)
{
	const __m128i *words = (const __m128i *)node;
	__m128i wanted = _mm_set1_epi32(key);
	__m128i low = _mm_packs_epi32(
		_mm_cmplt_epi32(words[0], wanted), _mm_cmplt_epi32(words[1], wanted));
	__m128i high = _mm_packs_epi32(
		_mm_cmplt_epi32(words[2], wanted), _mm_cmplt_epi32(words[3], wanted));
	unsigned below = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high));

	return (uint32_t)__builtin_ctz(~below | 1u << 15);
}

static inline uint32_t source_keys_below_ipv6(
	const struct source_node_ipv6 *node, unsigned __int128 key)
{
	uint32_t n = 0;

	for (int i = 0; i < 7; i++)
		n += node->keys[i] < key;
	return n;
}

// 'source' is 4 bytes in network order, wherever they lie.
static inline bool source_set_has_ipv4(const struct source_set *set, const void *source)
{
	const struct source_node_ipv4 *nodes = (const void *)set, *node = &set->ipv4;
	uint32_t address;

	memcpy(&address, source, sizeof(address));
	int32_t key = source_key_ipv4(be32toh(address));
	for (;;) {
		uint32_t at = node->below + source_keys_below_ipv4(node, key);

		if (at & SOURCE_LEAF)
			return at & 1;
		node = &nodes[at];
	}
}

// 'source' is 16 bytes in network order, wherever they lie.
static inline bool source_set_has_ipv6(const struct source_set *set, const void *source)
{
	const struct source_node_ipv6 *nodes = (const void *)set, *node = &set->ipv6;
	uint64_t halves[2];

	memcpy(halves, source, sizeof(halves));
	unsigned __int128 key = (unsigned __int128)be64toh(halves[0]) << 64 | be64toh(halves[1]);
	for (;;) {
		uint32_t at = node->below + source_keys_below_ipv6(node, key);

		if (at & SOURCE_LEAF)
			return at & 1;
		node = &nodes[at];
	}
}

// 'source' is the 4 bytes of 'family' IPv4 or the 16 of IPv6, in network order, wherever they lie.
static inline bool source_set_has(
	const struct source_set *set, enum family family, const void *source)
{
	return family == IPV4 ? source_set_has_ipv4(set, source) : source_set_has_ipv6(set, source);
}
