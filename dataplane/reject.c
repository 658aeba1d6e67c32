#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <rte_tcp.h>

#include "answer.h"
#include "burst.h"
#include "capture.h"
#include "icmp.h"
#include "pipeline.h"

// What we say to the sender of a packet that goes no further
// ==========================================================
//
// Said from the address that the packet was for, to the machine that sent us the frame. It is made
// in the packet's own memory. Nothing is said about a packet that came in a frame to many (RFC
// 1122, section 3.2.2), and no more of each kind than the settings allow.

enum {
	// The whole ICMP error, with as much of the packet as fits (RFC 1812, section 4.3.2.3; RFC
	// 4443, section 2.4 (c)).
	ERROR_MAX_IPV4 = 576,
	ERROR_MAX_IPV6 = 1280,
	ICMP_HEADER_LEN = 8,
};

static bool may_answer(struct burst *b, const struct packet *p, enum limit limit)
{
	const struct rte_ether_hdr *eth =
		(const struct rte_ether_hdr *)rte_pktmbuf_mtod(p->mbuf, uint8_t *);

	return !rte_is_multicast_ether_addr(&eth->dst_addr) &&
		answer_is_allowed(b, limit, b->table->settings.answers_per_s);
}

// RFC 9293, section 3.10.7.1: what the sender expects next, or all that it sent, acknowledged.
static void write_reset(struct rte_tcp_hdr *tcp, uint32_t sent)
{
	bool has_ack = tcp->tcp_flags & RTE_TCP_ACK_FLAG;
	uint32_t seen = rte_be_to_cpu_32(tcp->sent_seq) + sent;

	*tcp = (struct rte_tcp_hdr){
		.src_port = tcp->dst_port,
		.dst_port = tcp->src_port,
		.sent_seq = has_ack ? tcp->recv_ack : 0,
		.recv_ack = has_ack ? 0 : rte_cpu_to_be_32(seen),
		.data_off = sizeof(*tcp) / 4 << 4,
		.tcp_flags = RTE_TCP_RST_FLAG | (has_ack ? 0 : RTE_TCP_ACK_FLAG),
	};
}

// SEG.LEN: its data; SYN and FIN count as a byte each.
static uint32_t sequence_len(const struct packet *p)
{
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)p->l4;

	return packet_l4_len(p) - (tcp->data_off >> 4) * 4u +
		!!(tcp->tcp_flags & RTE_TCP_SYN_FLAG) + !!(tcp->tcp_flags & RTE_TCP_FIN_FLAG);
}

static void send_reset(struct burst *b, struct packet *p)
{
	struct address sender = packet_source(p);
	struct address us = packet_destination(p);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)p->l4;

	write_reset(tcp, sequence_len(p));
	answer_begin(p, p->l4 - answer_ip_header_len(p)); // Never before where it was.
	answer_write_ip(p, &us, &sender, ANSWER_HOP_LIMIT, sizeof(*tcp));
	tcp->cksum = answer_checksum(p);
	burst_count(b, EVENT_RESETS_SENT);
	burst_send_back(b, p);
}

// What an ICMP error says, in the words of either family.
struct complaint {
	uint8_t type[N_FAMILIES];
	uint8_t code[N_FAMILIES];
	enum limit limit;
};

static const struct complaint port_unreachable = {{ICMP_DEST_UNREACH, ICMP6_DST_UNREACH},
	{ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT}, LIMIT_UNREACHABLE};
static const struct complaint too_big = {
	{ICMP_DEST_UNREACH, ICMP6_PACKET_TOO_BIG}, {ICMP_FRAG_NEEDED, 0}, LIMIT_TOO_BIG};
static const struct complaint expired = {{ICMP_TIME_EXCEEDED, ICMP6_TIME_EXCEEDED},
	{ICMP_EXC_TTL, ICMP6_TIME_EXCEED_TRANSIT}, LIMIT_EXPIRED};

// The header stands before the packet, of which 'l4_len' less the header remain. 'mtu' is where
// both families have it: IPv4 in the lower half of its word, the upper being 0.
static void write_error(struct packet *p, const struct complaint *complaint, uint16_t mtu)
{
	struct icmphdr icmp = {
		.type = complaint->type[p->family],
		.code = complaint->code[p->family],
		.un.gateway = rte_cpu_to_be_32(mtu),
	};

	memcpy(p->l4, &icmp, sizeof(icmp));
	icmp.checksum = answer_checksum(p);
	memcpy(p->l4, &icmp, sizeof(icmp));
}

// Whom the packet is to; or if that is not us, but the client that a reply in the mode dnat is to,
// the VIP that it would have come from.
static struct address own_address_for(const struct burst *b, const struct packet *p)
{
	struct address destination = packet_destination(p);

	return forwarding_table_find_own(b->table, &destination) != NULL
		? destination
		: b->table->services[p->service].vip;
}

// Returns false, having done nothing, where the mbuf has no room.
static bool send_error(struct burst *b, struct packet *p, const struct complaint *complaint,
	uint16_t mtu, enum drop_reason reason)
{
	struct address sender = packet_source(p);
	struct address us = own_address_for(b, p);
	uint16_t header_len = answer_ip_header_len(p) + ICMP_HEADER_LEN;
	uint16_t most = p->family == IPV4 ? ERROR_MAX_IPV4 : ERROR_MAX_IPV6;
	uint16_t l4_len = RTE_MIN(p->ip_len + header_len, most) - answer_ip_header_len(p);

	capture_drop(b, p, reason);
	if (!answer_begin(p, p->l3 - header_len))
		return false;

	p->protocol = p->family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	answer_write_ip(p, &us, &sender, ANSWER_HOP_LIMIT, l4_len);
	write_error(p, complaint, mtu);
	burst_count(b, EVENT_ICMP_ERRORS_SENT);
	burst_send_back(b, p);
	return true;
}

static bool drop_in_silence(struct burst *b, struct packet *p, enum drop_reason reason)
{
	burst_drop(b, p, reason);
	return false;
}

// Returns whether its sender was told.
static bool complain(struct burst *b, struct packet *p, const struct complaint *complaint,
	uint16_t mtu, enum drop_reason reason)
{
	// Nothing is said about what says itself that something is wrong (RFC 1122, section 3.2.2;
	// RFC 4443, section 2.4 (e)).
	if (p->kind == KIND_ICMP && icmp_is_error(p))
		return drop_in_silence(b, p, reason);
	if (!may_answer(b, p, complaint->limit) || !send_error(b, p, complaint, mtu, reason))
		return drop_in_silence(b, p, reason);

	burst_count_drop(b, reason);
	return true;
}

static bool reset(struct burst *b, struct packet *p, enum drop_reason reason)
{
	// A reset is never answered by one.
	if ((p->tcp_flags & RTE_TCP_RST_FLAG) || !may_answer(b, p, LIMIT_RESET))
		return drop_in_silence(b, p, reason);

	burst_count_drop(b, reason);
	capture_drop(b, p, reason);
	send_reset(b, p);
	return true;
}

bool burst_reject(struct burst *b, struct packet *p, enum drop_reason reason)
{
	if (p->protocol == IPPROTO_TCP)
		return reset(b, p, reason);
	if (p->protocol == IPPROTO_UDP)
		return complain(b, p, &port_unreachable, 0, reason);
	return drop_in_silence(b, p, reason);
}

void burst_expire(struct burst *b, struct packet *p)
{
	complain(b, p, &expired, 0, DROP_HOP_LIMIT);
}

void burst_too_big(struct burst *b, struct packet *p, uint16_t mtu)
{
	complain(b, p, &too_big, mtu, DROP_TOO_BIG);
}
