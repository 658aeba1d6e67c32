#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "burst.h"
#include "pipeline.h"

// Packets of our own, made in the place of the one that they answer.

enum { ANSWER_HOP_LIMIT = 64 };

// Whether another answer of this kind may be sent now, of which there are to be 'rate' a second
// over all workers.
bool answer_is_allowed(struct burst *b, enum limit limit, uint32_t rate);

// Of a header without options.
static inline uint16_t answer_ip_header_len(const struct packet *p)
{
	return p->family == IPV4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

// Makes 'l3' the place of an IP header yet to be written: the Ethernet header moves to right before
// it, and the packet begins there. Returns false, having done nothing, where the mbuf has no room.
// The old IP header is partly overwritten if 'l3' moves up.
bool answer_begin(struct packet *p, uint8_t *l3);

// Writes an IP header without options at 'p->l3' for 'l4_len' bytes of 'p->protocol' behind it,
// and cuts off what is beyond them.
void answer_write_ip(struct packet *p, const struct address *from, const struct address *to,
	uint8_t hop_limit, uint16_t l4_len);

// The checksum of layer 4, over all of it, its checksum field included: 0 where that was right, and
// what belongs into it where it was 0. Knows the pseudo-header of TCP and ICMPv6.
uint16_t answer_checksum(const struct packet *p);
