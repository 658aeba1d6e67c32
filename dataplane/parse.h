#pragma once

#include <stddef.h>
#include <stdint.h>

#include "burst.h"
#include "pipeline.h"

// Reads the headers of a frame that came by 'ret_packet->origin' and the port of 'facts'. Of its
// 'len' bytes the first 'first_len' lie at 'frame'. Sets what struct packet says of 'l3', 'l4',
// lengths, family, protocol, flags, kind and fault.
//
// Returns why nobody here is to see the frame, or DROP_NONE. What is wrong beyond its Ethernet
// header concerns only the one it is for, and is told by 'fault'.
enum drop_reason parse_frame(uint8_t *frame, size_t first_len, size_t len,
	const struct port_facts *facts, struct packet *ret_packet);

// The packet that an ICMP error brings back, as far as it does: at least 8 bytes of layer 4.
struct returned {
	uint8_t *l3;
	uint8_t *l4;
	size_t l4_len; // Bytes there are of it.
	struct address source;
	struct address destination;
	rte_be16_t source_port; // What is there, if it is neither TCP nor UDP.
	rte_be16_t destination_port;
	uint8_t family;
	uint8_t protocol;
};

// Reads the headers that lie in 'len' bytes at 'bytes'. Returns DROP_NONE, or what is wrong.
enum drop_reason parse_returned(
	uint8_t *bytes, size_t len, enum family family, struct returned *ret_returned);

// Reads a packet that is another than it was: p->mbuf was replaced. Returns false if it was
// dropped.
bool parse_again(struct burst *b, struct packet *p);

// The first stage: makes b->packets of 'n' mbufs, and drops what nobody here is to see. Those that
// were handed over bring their origin with them.
void parse_burst(struct burst *b, struct rte_mbuf **mbufs, uint16_t n, enum origin origin);
void parse_burst_handed(struct burst *b, struct rte_mbuf **mbufs, uint16_t n);
