#pragma once

#include <assert.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// An IPv4 or IPv6 address: 16 bytes in network order, IPv4 as IPv4-mapped IPv6
// (RFC 4291, section 2.5.5.2), so that one compare tells any two apart. All bytes 0 is no address.
struct address {
	union {
		uint8_t bytes[16];
		__be32 words[4]; // words[3] is the whole of an IPv4 address.
		uint64_t halves[2];
	};
};
static_assert(sizeof(struct address) == 16);

enum {
	// The longest text of an address, with its end (INET6_ADDRSTRLEN).
	ADDRESS_TEXT_MAX = 46,
};

// The two families, as an index.
enum family { IPV4, IPV6, N_FAMILIES };

// What stands before the four bytes of IPv4, as it lies in memory.
static inline __be32 address_ipv4_marker(void)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0xffff0000u : 0x0000ffffu;
}

// Made of whole halves, since hashes and comparisons read those: a load of what two stores have
// written waits until both are in the cache.
static inline struct address address_from_ipv4(__be32 ipv4)
{
	uint64_t marker = address_ipv4_marker();
	uint64_t half = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? (uint64_t)ipv4 << 32 | marker
								  : marker << 32 | ipv4;

	return (struct address){.halves = {0, half}};
}

static inline struct address address_from_ipv6(const void *bytes16)
{
	struct address a;

	memcpy(a.bytes, bytes16, sizeof(a.bytes));
	return a;
}

static inline bool address_is_ipv4(const struct address *a)
{
	return a->halves[0] == 0 && a->words[2] == address_ipv4_marker();
}

static inline enum family address_family(const struct address *a)
{
	return address_is_ipv4(a) ? IPV4 : IPV6;
}

static inline bool address_is_none(const struct address *a)
{
	return (a->halves[0] | a->halves[1]) == 0;
}

static inline bool address_equal(const struct address *a, const struct address *b)
{
	return ((a->halves[0] ^ b->halves[0]) | (a->halves[1] ^ b->halves[1])) == 0;
}
