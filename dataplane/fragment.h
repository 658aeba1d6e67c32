#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "guideway/address.h"

// What the headers of a fragment say.
//
// Offsets are from the IP header on, which lies 'l2_len' bytes into the first segment of 'mbuf';
// from there to 'payload' all lies in that segment.
struct fragment {
	struct rte_mbuf *mbuf; // These two are set by the caller.
	uint8_t l2_len;

	uint8_t family;   // enum family.
	uint8_t protocol; // Of what is behind: IPv4's, or that of the IPv6 fragment header.
	uint8_t ecn;      // RFC 3168: 0 to 3.
	bool more;        // It is not the last.
	uint16_t ip_len;
	uint16_t payload;     // Where its data begin.
	uint16_t fragment_at; // Where the fragment header is. IPv6 only.
	uint16_t offset;      // Of its data in the datagram, in bytes: a multiple of 8.
	uint32_t id;          // Host byte order; 16 bits of IPv4.
	struct address source;
	struct address destination;
};
static_assert(sizeof(struct fragment) == 64);

// Reads the IP header at 'l3', of which, and of what follows, there are 'available' bytes. Returns
// false if it is not that of a fragment (a fragment that is the whole datagram is none), or not all
// there. Leaves what the caller sets alone.
bool fragment_read(
	const uint8_t *l3, uint16_t available, enum family family, struct fragment *ret_fragment);

// The same of all fragments of a datagram, and as good as random for who does not know the key:
// flow_hash_worker() of it may choose the worker, whose reassembly looks at the lower bits.
uint64_t fragment_hash(const uint64_t key[2], const struct fragment *f);

// IPv6: passes at most 8 extension headers, and says where the fragment header is, all of which is
// among the 'available' bytes at 'l3'. Returns false if there is none.
bool fragment_find_header(const uint8_t *l3, uint16_t available, uint16_t *ret_at);

// IPv6: whether it is an extension header that may stand before or behind a fragment header.
bool fragment_is_extension(uint8_t protocol);
