#include "parse.h"

#include <rte_arp.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#include "checksum.h"
#include "segments.h"

enum {
	// More extension headers than this are somebody's play, not a packet.
	EXTENSIONS_MAX = 8,
	// Headers in several segments are brought together up to here: Ethernet, IPv6 with all
	// extensions of an ordinary length, ICMPv6, and as much again of the packet inside.
	HEADERS_MAX = 512,
	// Packets ahead whose memory is asked for.
	PREFETCH_AHEAD = 4,
};

// What is left of a frame. take() is the only way to read from one, so no header is touched before
// it is known to be there.
struct cursor {
	uint8_t *at;
	uint8_t *end;
};

static inline void *take(struct cursor *c, size_t len)
{
	if (unlikely((size_t)(c->end - c->at) < len))
		return NULL;

	void *header = c->at;
	c->at += len;
	return header;
}

static inline bool is_tag(rte_be16_t type)
{
	return type == RTE_BE16(RTE_ETHER_TYPE_VLAN) || type == RTE_BE16(RTE_ETHER_TYPE_QINQ) ||
		type == RTE_BE16(RTE_ETHER_TYPE_QINQ1);
}

// The tag of a port that has one; its priority bits are anybody's.
static enum drop_reason parse_tag(struct cursor *c, rte_be16_t *type, uint16_t vlan)
{
	if (*type != RTE_BE16(RTE_ETHER_TYPE_VLAN))
		return DROP_WRONG_VLAN;

	const struct rte_vlan_hdr *tag = take(c, sizeof(*tag));
	if (tag == NULL)
		return DROP_TRUNCATED;
	if ((rte_be_to_cpu_16(tag->vlan_tci) & 0xfff) != vlan)
		return DROP_WRONG_VLAN;

	*type = tag->eth_proto;
	return DROP_NONE;
}

// What the kernel sends is for whomever the kernel says, and has no tag yet.
static inline enum drop_reason parse_ethernet(
	struct cursor *c, const struct port_facts *facts, enum origin origin, rte_be16_t *ret_type)
{
	const struct rte_ether_hdr *eth = take(c, sizeof(*eth));
	if (unlikely(eth == NULL))
		return DROP_TRUNCATED;

	*ret_type = eth->ether_type;
	if (origin != ORIGIN_PORT)
		return DROP_NONE;
	if (!mac_is_same(mac_word(&eth->dst_addr), mac_word(&facts->mac)) &&
		!rte_is_multicast_ether_addr(&eth->dst_addr))
		return DROP_NOT_FOR_US;
	return facts->vlan == 0 ? DROP_NONE : parse_tag(c, ret_type, facts->vlan);
}

static inline enum drop_reason parse_tcp(struct cursor *c, struct packet *p)
{
	const struct rte_tcp_hdr *tcp = take(c, sizeof(*tcp));
	if (unlikely(tcp == NULL))
		return DROP_TRUNCATED;

	size_t header_len = tcp->data_off >> 2 & 0x3c; // The upper half counts words.
	if (unlikely(header_len < sizeof(*tcp) || header_len > packet_l4_len(p)))
		return DROP_MALFORMED;

	p->tcp_flags = tcp->tcp_flags;
	p->kind = KIND_PORTS;
	return DROP_NONE;
}

static inline enum drop_reason parse_udp(struct cursor *c, struct packet *p)
{
	const struct rte_udp_hdr *udp = take(c, sizeof(*udp));
	if (unlikely(udp == NULL))
		return DROP_TRUNCATED;

	uint16_t len = rte_be_to_cpu_16(udp->dgram_len);
	if (unlikely(len < sizeof(*udp) || len > packet_l4_len(p)))
		return DROP_MALFORMED;
	if (unlikely(p->family == IPV6 && udp->dgram_cksum == 0))
		return DROP_ZERO_CHECKSUM;

	p->kind = KIND_PORTS;
	return DROP_NONE;
}

static enum drop_reason parse_sctp(struct cursor *c, struct packet *p)
{
	if (take(c, 12) == NULL) // RFC 9260, section 3.1.
		return DROP_TRUNCATED;

	p->kind = KIND_PORTS;
	return DROP_NONE;
}

static enum drop_reason parse_icmp(struct cursor *c, struct packet *p)
{
	if (take(c, 8) == NULL)
		return DROP_TRUNCATED;

	p->kind = KIND_ICMP;
	return DROP_NONE;
}

static inline enum drop_reason parse_l4(struct cursor *c, struct packet *p)
{
	p->l4 = c->at;
	if (p->protocol == IPPROTO_TCP)
		return parse_tcp(c, p);
	if (p->protocol == IPPROTO_UDP)
		return parse_udp(c, p);
	if (p->protocol == (p->family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return parse_icmp(c, p);
	if (p->protocol == IPPROTO_SCTP)
		return parse_sctp(c, p);
	return DROP_NONE;
}

// Sources that RFC 1122, section 3.2.1.3, forbids: this network, loopback, multicast, reserved.
static inline bool is_bad_ipv4_source(rte_be32_t source)
{
	uint8_t first = *(const uint8_t *)&source;

	return first == 0 || first == 127 || first >= 224;
}

// RFC 4291: multicast, the unspecified address, loopback; and IPv4-mapped, which are only names.
static inline bool is_bad_ipv6_source(const struct address *source)
{
	return source->bytes[0] == 0xff || address_is_ipv4(source) ||
		(source->halves[0] == 0 && source->words[2] == 0 &&
			(source->words[3] & RTE_BE32(~1u)) == 0);
}

// A packet that is to go on to further addresses of its sender's choice (RFC 7126, section 4.3), as
// an IPv6 routing header would have it.
static bool has_source_route(const struct rte_ipv4_hdr *ip, size_t header_len)
{
	enum { END = 0, NOP = 1, LOOSE = 131, STRICT = 137 };
	const uint8_t *options = (const uint8_t *)(ip + 1);
	size_t len = header_len - sizeof(*ip);

	for (size_t at = 0; at < len && options[at] != END;) {
		size_t option_len = options[at] == NOP ? 1 : at + 1 < len ? options[at + 1] : 0;

		if (options[at] == LOOSE || options[at] == STRICT)
			return true;
		if (option_len < (options[at] == NOP ? 1 : 2))
			return false;
		at += option_len;
	}
	return false;
}

static inline bool ipv4_checksum_is_right(const struct rte_ipv4_hdr *ip, size_t header_len)
{
	// Without options its length is a constant, and the sum five additions.
	uint64_t sum = likely(header_len == sizeof(*ip)) ? checksum_sum(ip, sizeof(*ip))
							 : checksum_sum(ip, header_len);

	return checksum_fold(sum) == UINT16_MAX;
}

// The bytes of the packet, 'ip_len' from 'l3' on, of which there are 'left' in the frame: no
// header of it lies in what may be behind.
static inline enum drop_reason bound(struct cursor *c, struct packet *p, size_t ip_len, size_t left)
{
	if (likely(ip_len <= (size_t)(c->end - p->l3)))
		c->end = p->l3 + ip_len;
	else if (ip_len > RTE_MIN(left, (size_t)UINT16_MAX))
		return DROP_TRUNCATED;

	p->ip_len = ip_len;
	return DROP_NONE;
}

// Of a packet whose header takes 'header_len' bytes: where that is a constant, its options and what
// they need are none of this.
static inline __attribute__((always_inline)) enum drop_reason parse_ipv4_of(
	struct cursor *c, size_t left, struct packet *p, size_t header_len)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)p->l3;
	size_t ip_len = rte_be_to_cpu_16(ip->total_length);
	if (unlikely(ip_len < header_len))
		return DROP_MALFORMED;

	enum drop_reason reason = bound(c, p, ip_len, left);
	if (unlikely(reason != DROP_NONE))
		return reason;
	if (unlikely(take(c, header_len - sizeof(*ip)) == NULL))
		return DROP_TRUNCATED;
	if (unlikely(!ipv4_checksum_is_right(ip, header_len)))
		return DROP_BAD_CHECKSUM;
	if (unlikely(header_len > sizeof(*ip) && has_source_route(ip, header_len)))
		return DROP_MALFORMED;

	const rte_be16_t fragment = RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK);
	if (unlikely(ip->fragment_offset & fragment))
		return DROP_FRAGMENT;

	reason = parse_l4(c, p);
	if (unlikely(reason == DROP_NONE && is_bad_ipv4_source(ip->src_addr)))
		return DROP_BAD_SOURCE;
	return reason;
}

// RFC 791: the header is 5 words, and 'ihl' counts them with the options.
static __attribute__((noinline)) enum drop_reason parse_ipv4_with_options(
	struct cursor c, size_t left, struct packet *p)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)p->l3;
	size_t header_len = rte_ipv4_hdr_len(ip);

	if (ip->version_ihl >> 4 != 4 || header_len < sizeof(*ip))
		return DROP_MALFORMED;
	return parse_ipv4_of(&c, left, p, header_len);
}

static inline enum drop_reason parse_ipv4(struct cursor *c, size_t left, struct packet *p)
{
	const struct rte_ipv4_hdr *ip = take(c, sizeof(*ip));
	if (unlikely(ip == NULL))
		return DROP_TRUNCATED;

	p->l3 = (uint8_t *)ip;
	p->family = IPV4;
	p->kind = KIND_IP;
	p->protocol = ip->next_proto_id;
	if (unlikely(ip->version_ihl != RTE_IPV4_VHL_DEF))
		return parse_ipv4_with_options(*c, left, p);
	return parse_ipv4_of(c, left, p, sizeof(*ip));
}

// Of a fragment header, what tells that the packet is not whole; or only that it has no beginning.
#define NOT_WHOLE (RTE_IPV6_EHDR_FO_MASK | RTE_IPV6_EHDR_MF_MASK)
#define NO_BEGINNING RTE_IPV6_EHDR_FO_MASK

// Passes one extension header, and says in 'protocol' what comes behind it.
static enum drop_reason pass_extension(struct cursor *c, uint8_t *protocol, uint16_t refused)
{
	bool is_fragment = *protocol == IPPROTO_FRAGMENT;
	bool is_routing = *protocol == IPPROTO_ROUTING;

	// RFC 8200, section 4: what comes behind, then a length in units of 8 bytes beyond the
	// first (of a fragment header reserved, being 8 bytes always), then its own.
	const uint8_t *extension = take(c, 8);
	if (extension == NULL || take(c, is_fragment ? 0 : extension[1] * 8) == NULL)
		return DROP_TRUNCATED;

	// A fragment that is the whole packet (RFC 6946) is no hindrance.
	uint16_t fragment = (uint16_t)(extension[2] << 8 | extension[3]);
	if (is_fragment && (fragment & refused))
		return DROP_FRAGMENT;

	// A packet that is to go on from us to further addresses of its own choice.
	if (is_routing && extension[3] != 0)
		return DROP_MALFORMED;

	*protocol = extension[0];
	return DROP_NONE;
}

static inline bool is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_DSTOPTS ||
		protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT;
}

static inline enum drop_reason pass_extensions(
	struct cursor *c, uint8_t *protocol, uint16_t refused)
{
	for (int i = 0; unlikely(is_extension(*protocol)); i++) {
		enum drop_reason reason =
			i < EXTENSIONS_MAX ? pass_extension(c, protocol, refused) : DROP_MALFORMED;
		if (reason != DROP_NONE)
			return reason;
	}
	return DROP_NONE;
}

static inline enum drop_reason parse_ipv6(struct cursor *c, size_t left, struct packet *p)
{
	const struct rte_ipv6_hdr *ip = take(c, sizeof(*ip));
	if (unlikely(ip == NULL))
		return DROP_TRUNCATED;

	struct address source = address_from_ipv6(&ip->src_addr);
	struct address destination = address_from_ipv6(&ip->dst_addr);
	// It would look as if it were to an IPv4 address, and one of ours perhaps.
	if (unlikely(address_is_ipv4(&destination)))
		return DROP_MALFORMED;

	p->l3 = (uint8_t *)ip;
	p->family = IPV6;
	p->kind = KIND_IP;
	p->protocol = ip->proto;
	if (unlikely((p->l3[0] & 0xf0) != 0x60))
		return DROP_MALFORMED;

	enum drop_reason reason =
		bound(c, p, sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len), left);
	if (unlikely(reason != DROP_NONE))
		return reason;
	reason = pass_extensions(c, &p->protocol, NOT_WHOLE);
	if (unlikely(reason != DROP_NONE))
		return reason;

	reason = parse_l4(c, p);
	if (unlikely(reason == DROP_NONE && is_bad_ipv6_source(&source)))
		return DROP_BAD_SOURCE;
	return reason;
}

// RFC 826, of IPv4 over Ethernet. Other ARP is nothing that we know.
static enum drop_reason parse_arp(struct cursor *c, struct packet *p)
{
	struct rte_arp_hdr *arp = take(c, sizeof(*arp));
	if (arp == NULL)
		return DROP_TRUNCATED;

	if (arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
		arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
		arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != sizeof(rte_be32_t))
		return DROP_NONE;

	p->l3 = (uint8_t *)arp;
	p->kind = KIND_ARP;
	return DROP_NONE;
}

static inline __attribute__((always_inline)) enum drop_reason read_frame(uint8_t *frame,
	size_t first_len, size_t len, const struct port_facts *facts, struct packet *p)
{
	struct cursor c = {frame, frame + first_len};
	rte_be16_t type;

	p->kind = KIND_OTHER;
	p->fault = DROP_NONE;
	p->l3 = NULL;

	enum drop_reason reason = parse_ethernet(&c, facts, p->origin, &type);
	if (unlikely(reason != DROP_NONE))
		return reason;

	p->l2_len = c.at - frame;
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		p->fault = parse_ipv4(&c, len - p->l2_len, p);
	else if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		p->fault = parse_ipv6(&c, len - p->l2_len, p);
	else if (type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		p->fault = parse_arp(&c, p);
	else if (is_tag(type)) // A foreign one, or one too many.
		return DROP_WRONG_VLAN;
	return DROP_NONE;
}

enum drop_reason parse_frame(uint8_t *frame, size_t first_len, size_t len,
	const struct port_facts *facts, struct packet *p)
{
	return read_frame(frame, first_len, len, facts, p);
}

static enum drop_reason parse_returned_ipv4(struct cursor *c, struct returned *r)
{
	const struct rte_ipv4_hdr *ip = take(c, sizeof(*ip));
	if (ip == NULL)
		return DROP_TRUNCATED;

	size_t header_len = rte_ipv4_hdr_len(ip);
	if (ip->version_ihl >> 4 != 4 || header_len < sizeof(*ip))
		return DROP_MALFORMED;
	if (take(c, header_len - sizeof(*ip)) == NULL)
		return DROP_TRUNCATED;
	if (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK))
		return DROP_FRAGMENT; // Not its beginning, and so without ports.

	r->source = address_from_ipv4(ip->src_addr);
	r->destination = address_from_ipv4(ip->dst_addr);
	r->protocol = ip->next_proto_id;
	return DROP_NONE;
}

static enum drop_reason parse_returned_ipv6(struct cursor *c, struct returned *r)
{
	const struct rte_ipv6_hdr *ip = take(c, sizeof(*ip));
	if (ip == NULL)
		return DROP_TRUNCATED;
	if ((*(const uint8_t *)ip & 0xf0) != 0x60)
		return DROP_MALFORMED;

	r->source = address_from_ipv6(&ip->src_addr);
	r->destination = address_from_ipv6(&ip->dst_addr);
	r->protocol = ip->proto;
	return pass_extensions(c, &r->protocol, NO_BEGINNING);
}

enum drop_reason parse_returned(
	uint8_t *bytes, size_t len, enum family family, struct returned *ret_returned)
{
	struct cursor c = {bytes, bytes + len};
	struct returned r = {.l3 = bytes, .family = family};

	enum drop_reason reason =
		family == IPV4 ? parse_returned_ipv4(&c, &r) : parse_returned_ipv6(&c, &r);
	if (reason != DROP_NONE)
		return reason;

	r.l4 = c.at;
	r.l4_len = c.end - c.at;
	const struct rte_udp_hdr *ports = take(&c, sizeof(*ports));
	if (ports == NULL)
		return DROP_TRUNCATED;

	r.source_port = ports->src_port;
	r.destination_port = ports->dst_port;
	*ret_returned = r;
	return DROP_NONE;
}

static inline __attribute__((always_inline)) enum drop_reason parse_first_segment(
	const struct burst *b, struct packet *p)
{
	struct rte_mbuf *m = p->mbuf;

	return read_frame(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, m->pkt_len,
		&b->pipeline->ports[p->port], p);
}

// The header that was missing may lie in the next segment.
static __attribute__((noinline)) enum drop_reason parse_gathered(
	const struct burst *b, struct packet *p, enum drop_reason reason)
{
	bool is_cut = reason == DROP_TRUNCATED || p->fault == DROP_TRUNCATED;
	uint16_t first_len = p->mbuf->data_len;

	if (!is_cut || !segments_gather(p->mbuf, HEADERS_MAX) || p->mbuf->data_len == first_len)
		return reason;
	return parse_first_segment(b, p);
}

// Returns false if it was dropped.
static inline bool parse_packet(struct burst *b, struct packet *p)
{
	p->port = p->mbuf->port;

	enum drop_reason reason = parse_first_segment(b, p);
	if (unlikely(p->mbuf->nb_segs > 1))
		reason = parse_gathered(b, p, reason);
	if (likely(reason == DROP_NONE))
		return true;

	burst_drop(b, p, reason);
	return false;
}

bool parse_again(struct burst *b, struct packet *p)
{
	packet_restore_way(p);
	return parse_packet(b, p);
}

void parse_burst(struct burst *b, struct rte_mbuf **mbufs, uint16_t n, enum origin origin)
{
	for (uint16_t i = 0; i < RTE_MIN(n, PREFETCH_AHEAD); i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));

	struct packet *p = b->packets;
	for (uint16_t i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + PREFETCH_AHEAD], void *));
		p->mbuf = mbufs[i];
		p->origin = origin;
		p->hops = 0;
		p->captured = false;
		p += parse_packet(b, p);
	}
	b->n = p - b->packets;
}

void parse_burst_handed(struct burst *b, struct rte_mbuf **mbufs, uint16_t n)
{
	struct packet *p = b->packets;

	for (uint16_t i = 0; i < n; i++) {
		p->mbuf = mbufs[i];
		packet_restore_way(p);
		p += parse_packet(b, p);
	}
	b->n = p - b->packets;
}
