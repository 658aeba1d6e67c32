#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "guideway/address.h"

// Packets cut into fragments for a narrower way: RFC 791, section 3.2; RFC 8200, section 4.5.

// Whether the packet, of which 'available' bytes lie at 'l3', may be split: IPv4 without DF, and
// IPv6 that has a fragment header, since its sender has split it before.
bool packet_may_be_split(const uint8_t *l3, uint16_t available, enum family family);

// Copies the packet into fragments of at most 'mtu' bytes, at most 'most', and frees it. Its IP
// header lies 'l2_len' bytes into its first segment, where the IPv6 extension headers up to the
// fragment header, or the IPv4 options, are as well; it is 'ip_len' bytes long, and what follows is
// left behind.
//
// The fragments are from 'pool', begin at their IP header with room for a link layer header of
// 'l2_len' bytes, and RTE_PKTMBUF_HEADROOM, before it, and have the packet's 'port'. Each is one
// segment where the pool's buffers are large enough. Their identification is 'id' (host byte order;
// 16 bits of it in IPv4): of a packet that is a fragment itself it must be that which it has, since
// others bear it too.
//
// Returns how many there are, or 0: the packet is as it was and still the caller's, and
// 'ret_fragments' [most] holds nothing. It may not be split, is not all there, the 'mtu' leaves no
// room for 8 bytes, it would be more than 'most', or there is no memory.
unsigned split_packet(struct rte_mbuf *m, uint16_t l2_len, uint16_t ip_len, enum family family,
	uint16_t mtu, uint32_t id, struct rte_mempool *pool, struct rte_mbuf **ret_fragments,
	unsigned most);
