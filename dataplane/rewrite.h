#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "checksum.h"
#include "guideway/address.h"

// Gives a packet other ends. Only what changes is read and summed (RFC 1624), so it costs the same
// for any length, and a checksum that was wrong stays wrong for its receiver to see.

struct rewrite {
	const void *source; // In network order, 4 or 16 bytes, wherever they lie.
	const void *destination;
	__be16 source_port;
	__be16 destination_port;
};

// Returns what the sum of the packet's words changes by. Of IPv4 the header's checksum follows.
static inline __attribute__((always_inline)) uint64_t rewrite_addresses(
	uint8_t *l3, enum family family, const struct rewrite *to)
{
	const size_t len = family == IPV4 ? 4 : 16;
	uint8_t *at = l3 + (family == IPV4 ? 12 : 8);
	uint8_t ends[32];

	memcpy(ends, to->source, len);
	memcpy(ends + len, to->destination, len);
	uint64_t change = checksum_change(at, ends, 2 * len);
	memcpy(at, ends, 2 * len);
	return change;
}

static inline uint64_t rewrite_ports(uint8_t *l4, const struct rewrite *to)
{
	const __be16 ports[] = {to->source_port, to->destination_port};
	uint64_t change = checksum_change(l4, ports, sizeof(ports));

	memcpy(l4, ports, sizeof(ports));
	return change;
}

// The hop limit's too. 'change' is that of the addresses.
static inline void rewrite_ipv4_header(uint8_t *l3, uint64_t change)
{
	const uint8_t hop[] = {1, 0}; // The time to live is the first byte of its word.
	uint16_t checksum, one;

	memcpy(&one, hop, sizeof(one));
	l3[8]--;
	memcpy(&checksum, l3 + 10, sizeof(checksum));
	checksum = checksum_update(checksum, change + checksum_change16(one, 0));
	memcpy(l3 + 10, &checksum, sizeof(checksum));
}

// A datagram without a checksum keeps having none; one whose checksum comes out as 0 would look
// like one (RFC 768).
static inline void rewrite_udp_checksum(uint8_t *l4, uint64_t change)
{
	uint16_t checksum;

	memcpy(&checksum, l4 + 6, sizeof(checksum));
	if (checksum == 0)
		return;
	checksum = checksum_update(checksum, change);
	if (checksum == 0)
		checksum = UINT16_MAX;
	memcpy(l4 + 6, &checksum, sizeof(checksum));
}

static inline void rewrite_tcp_checksum(uint8_t *l4, uint64_t change)
{
	uint16_t checksum;

	memcpy(&checksum, l4 + 16, sizeof(checksum));
	checksum = checksum_update(checksum, change);
	memcpy(l4 + 16, &checksum, sizeof(checksum));
}

static inline __attribute__((always_inline)) void rewrite_l4_checksum(
	uint8_t *l4, uint8_t protocol, uint64_t change)
{
	if (protocol == IPPROTO_TCP)
		rewrite_tcp_checksum(l4, change);
	else
		rewrite_udp_checksum(l4, change);
}

// Which end of a packet.
enum packet_end { SOURCE_END, DESTINATION_END };

// Gives a TCP or UDP packet, which has a hop more to go, one other end.
static inline __attribute__((always_inline)) void rewrite_end(uint8_t *l3, uint8_t *l4,
	enum family family, uint8_t protocol, enum packet_end end, const void *address, __be16 port)
{
	const size_t len = family == IPV4 ? 4 : 16;
	uint8_t *at = l3 + (family == IPV4 ? 12 : 8) + end * len;
	uint8_t *port_at = l4 + end * sizeof(port);
	uint64_t change = checksum_change(at, address, len);
	__be16 port_was;

	memcpy(at, address, len);
	if (family == IPV4)
		rewrite_ipv4_header(l3, change);
	else
		l3[7]--;

	memcpy(&port_was, port_at, sizeof(port_was));
	memcpy(port_at, &port, sizeof(port));
	rewrite_l4_checksum(l4, protocol, change + checksum_change16(port_was, port));
}

// The whole of it for a TCP or UDP packet, which has a hop more to go.
static inline __attribute__((always_inline)) void rewrite_packet(
	uint8_t *l3, uint8_t *l4, enum family family, uint8_t protocol, const struct rewrite *to)
{
	uint64_t change = rewrite_addresses(l3, family, to);

	if (family == IPV4)
		rewrite_ipv4_header(l3, change);
	else
		l3[7]--;

	change += rewrite_ports(l4, to);
	rewrite_l4_checksum(l4, protocol, change);
}
