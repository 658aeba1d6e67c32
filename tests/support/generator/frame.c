// Frames
// ======
//
//     Ethernet | IPv4 or IPv6, without options | TCP or UDP | zeroes | tag
//
// A frame is made once of each kind and length. To fill it is to copy it and to write what differs
// from flow to flow; its checksums are the sums of the kind, with that added.

#include "frame.h"

#include <string.h>

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

enum {
	ETHERNET_LEN = sizeof(struct rte_ether_hdr),
	HOP_LIMIT = 64,
	FIRST_SEQUENCE = 1000,   // Of a client,
	ANSWER_SEQUENCE = 50000, // and of a node.
};

static uint16_t read16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void write16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = (uint8_t)value;
}

static uint32_t read32(const uint8_t *at)
{
	return (uint32_t)read16(at) << 16 | read16(at + 2);
}

static void write32(uint8_t *at, uint32_t value)
{
	value = rte_cpu_to_be_32(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t sum16(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += read16(bytes + i);
	return sum;
}

static uint32_t halves(uint32_t value)
{
	return (value >> 16) + (value & 0xffff);
}

static uint16_t checksum(uint32_t sum)
{
	return (uint16_t)~halves(halves(sum));
}

static uint16_t headers_len(bool ipv6, uint8_t protocol)
{
	return ETHERNET_LEN + (ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr)) +
		(protocol == IPPROTO_TCP ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr));
}

uint16_t frame_least(bool ipv6, uint8_t protocol)
{
	uint16_t len = headers_len(ipv6, protocol) + FRAME_TAG_LEN;
	const uint16_t least = RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN;

	return len > least ? len : least;
}

static void put_ethernet(const struct frame_kind *kind, uint8_t *at)
{
	memcpy(at, kind->destination_mac, 6);
	memcpy(at + 6, kind->source_mac, 6);
	write16(at + 12, kind->ipv6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
}

static void put_ipv4(const struct frame_kind *kind, uint8_t *at)
{
	at[0] = RTE_IPV4_VHL_DEF;
	write16(at + 2, kind->len - ETHERNET_LEN);
	write16(at + 6, RTE_IPV4_HDR_DF_FLAG);
	at[8] = HOP_LIMIT;
	at[9] = kind->protocol;
}

static void put_ipv6(const struct frame_kind *kind, uint8_t *at)
{
	at[0] = 6 << 4;
	write16(at + 4, kind->len - ETHERNET_LEN - sizeof(struct rte_ipv6_hdr));
	at[6] = kind->protocol;
	at[7] = HOP_LIMIT;
	memcpy(at + 8, kind->source, 12);
	memcpy(at + 24, kind->destination, 12);
}

static void put_tcp(uint8_t flags, uint8_t *at)
{
	write32(at + 4, FIRST_SEQUENCE + !(flags & RTE_TCP_SYN_FLAG));
	if (flags & RTE_TCP_ACK_FLAG)
		write32(at + 8, ANSWER_SEQUENCE + 1);
	at[12] = sizeof(struct rte_tcp_hdr) / 4 << 4;
	at[13] = flags;
	write16(at + 14, UINT16_MAX);
}

void frame_make(const struct frame_kind *kind, struct frame *ret_frame)
{
	uint8_t *ip = ret_frame->bytes + ETHERNET_LEN;
	size_t ip_len = kind->ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	uint8_t *l4 = ip + ip_len;
	uint16_t l4_len = kind->len - ETHERNET_LEN - ip_len;
	bool is_udp = kind->protocol == IPPROTO_UDP;

	*ret_frame = (struct frame){
		.len = kind->len,
		.addresses_at = {ETHERNET_LEN + (kind->ipv6 ? 20 : 12),
			ETHERNET_LEN + (kind->ipv6 ? 36 : 16)},
		.ports_at = l4 - ret_frame->bytes,
		.checksum_at = l4 - ret_frame->bytes + (is_udp ? 6 : 16),
		.ipv6 = kind->ipv6,
		.is_udp = is_udp,
	};
	put_ethernet(kind, ret_frame->bytes);
	if (kind->ipv6)
		put_ipv6(kind, ip);
	else
		put_ipv4(kind, ip);
	if (is_udp)
		write16(l4 + 4, l4_len);
	else
		put_tcp(kind->tcp_flags, l4);

	// With the pseudo-header, of which IPv4 has only what frame_fill() adds.
	ret_frame->sum = sum16(l4, l4_len) + l4_len + kind->protocol;
	if (kind->ipv6)
		ret_frame->sum += sum16(kind->source, 12) + sum16(kind->destination, 12);
	ret_frame->ip_sum = sum16(ip, ip_len);
}

static void put_tag(uint8_t *at, uint64_t tag)
{
	write16(at, tag >> 32);
	write32(at + 2, (uint32_t)tag);
}

void frame_fill(const struct frame *f, const struct frame_ends *ends, uint64_t tag, uint8_t *to)
{
	uint32_t addresses = halves(ends->source) + halves(ends->destination);

	memcpy(to, f->bytes, f->len);
	write32(to + f->addresses_at[0], ends->source);
	write32(to + f->addresses_at[1], ends->destination);
	write16(to + f->ports_at, ends->source_port);
	write16(to + f->ports_at + 2, ends->destination_port);
	put_tag(to + f->len - FRAME_TAG_LEN, tag);
	if (!f->ipv6)
		write16(to + ETHERNET_LEN + 10, checksum(f->ip_sum + addresses));

	uint16_t check = checksum(f->sum + addresses + ends->source_port + ends->destination_port +
		(uint16_t)(tag >> 32) + halves((uint32_t)tag));
	// RFC 768: 0 would say that there is none.
	write16(to + f->checksum_at, check == 0 && f->is_udp ? UINT16_MAX : check);
}

// Where layer 4 begins; 0 if the frame is too short, or not one of those that are made here.
static size_t find_l4(const uint8_t *bytes, size_t len, uint8_t *ret_protocol)
{
	if (len < frame_least(false, IPPROTO_UDP))
		return 0;
	uint16_t type = read16(bytes + 12);
	bool ipv6 = type == RTE_ETHER_TYPE_IPV6;
	if (!ipv6 && (type != RTE_ETHER_TYPE_IPV4 || bytes[ETHERNET_LEN] != RTE_IPV4_VHL_DEF))
		return 0;

	*ret_protocol = bytes[ETHERNET_LEN + (ipv6 ? 6 : 9)];
	if ((*ret_protocol != IPPROTO_TCP && *ret_protocol != IPPROTO_UDP) ||
		len < headers_len(ipv6, *ret_protocol))
		return 0;
	return headers_len(ipv6, *ret_protocol) -
		(*ret_protocol == IPPROTO_TCP ? sizeof(struct rte_tcp_hdr)
					      : sizeof(struct rte_udp_hdr));
}

bool frame_read(
	const uint8_t *bytes, size_t len, struct frame_ends *ret_ends, uint8_t *ret_tcp_flags)
{
	uint8_t protocol;
	size_t l4 = find_l4(bytes, len, &protocol);

	if (l4 == 0)
		return false;
	bool ipv6 = l4 == ETHERNET_LEN + sizeof(struct rte_ipv6_hdr);
	*ret_ends = (struct frame_ends){
		.source = read32(bytes + ETHERNET_LEN + (ipv6 ? 20 : 12)),
		.destination = read32(bytes + ETHERNET_LEN + (ipv6 ? 36 : 16)),
		.source_port = read16(bytes + l4),
		.destination_port = read16(bytes + l4 + 2),
	};
	*ret_tcp_flags = protocol == IPPROTO_TCP ? bytes[l4 + 13] : 0;
	return true;
}

void frame_read_prefixes(const uint8_t *bytes, uint8_t ret_source[12], uint8_t ret_destination[12])
{
	memcpy(ret_source, bytes + ETHERNET_LEN + 8, 12);
	memcpy(ret_destination, bytes + ETHERNET_LEN + 24, 12);
}

uint64_t frame_tag(const uint8_t *bytes, size_t len)
{
	const uint8_t *at = bytes + len - FRAME_TAG_LEN;

	return (uint64_t)read16(at) << 32 | read32(at + 2);
}

bool frame_is_icmp(const uint8_t *bytes)
{
	if (read16(bytes + 12) == RTE_ETHER_TYPE_IPV6)
		return bytes[ETHERNET_LEN + 6] == IPPROTO_ICMPV6;
	return bytes[ETHERNET_LEN + 9] == IPPROTO_ICMP;
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t kept[16];

	memcpy(kept, a, len);
	memcpy(a, b, len);
	memcpy(b, kept, len);
}

// RFC 1624: the checksum after 'before' became 'after'.
static void correct(uint8_t *check, uint32_t before, uint32_t after)
{
	uint32_t sum = (uint16_t)~read16(check) + (uint32_t)(uint16_t)~halves(halves(before)) +
		halves(after);

	write16(check, checksum(sum));
}

static void renew_hop_limit(uint8_t *ip)
{
	uint16_t before = read16(ip + 8);

	ip[8] = HOP_LIMIT;
	correct(ip + 10, before, read16(ip + 8));
}

// Sequence numbers, and flags: bytes 4 to 14 of the header.
static void answer_tcp(uint8_t *tcp, size_t payload_len)
{
	uint32_t before = sum16(tcp + 4, 10);
	uint32_t sequence = read32(tcp + 4), acknowledged = read32(tcp + 8);
	bool is_syn = tcp[13] & RTE_TCP_SYN_FLAG;

	// What comes with a SYN is not taken before the handshake is over.
	write32(tcp + 4, tcp[13] & RTE_TCP_ACK_FLAG ? acknowledged : ANSWER_SEQUENCE);
	write32(tcp + 8, is_syn ? sequence + 1 : sequence + (uint32_t)payload_len);
	tcp[13] = RTE_TCP_ACK_FLAG | (is_syn ? RTE_TCP_SYN_FLAG : RTE_TCP_PSH_FLAG);
	correct(tcp + 16, before, sum16(tcp + 4, 10));
}

void frame_turn(uint8_t *bytes, size_t len)
{
	uint8_t protocol;
	size_t l4 = find_l4(bytes, len, &protocol);
	uint8_t *ip = bytes + ETHERNET_LEN;

	if (l4 == 0)
		return;
	swap(bytes, bytes + 6, 6);
	if (l4 == ETHERNET_LEN + sizeof(struct rte_ipv6_hdr)) {
		swap(ip + 8, ip + 24, 16);
		ip[7] = HOP_LIMIT;
	} else {
		swap(ip + 12, ip + 16, 4);
		renew_hop_limit(ip);
	}
	swap(bytes + l4, bytes + l4 + 2, 2);
	if (protocol == IPPROTO_TCP)
		answer_tcp(bytes + l4, len - l4 - sizeof(struct rte_tcp_hdr));
}
