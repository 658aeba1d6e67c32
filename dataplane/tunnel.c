#include "tunnel.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include "checksum.h"
#include "choose.h"
#include "mss.h"
#include "output.h"
#include "rewrite.h"
#include "segments.h"
#include "traffic.h"

// The outer packet
// ================
//
//     type of service   copied, its congestion bits too (RFC 2003, RFC 6040 section 4.1)
//     don't fragment    IPv4: as the inner packet's, always if that is IPv6 (RFC 2003, RFC 4213)
//     hop limit         64; the inner one counts this machine as a hop
//     flow label, GUE's source port   by the slot, so that a node's NIC spreads flows over its
//                                     queues, and routers over their paths (RFC 6438)
//     UDP checksum      none over IPv4, whole over IPv6
//
// What does not fit the way to the node is the inner packet's affair: it is fragmented, or its
// sender told. The way is known to be narrow by the MTU of the port, and by what ICMP errors about
// outer packets have said, which is kept by node: MTU in the low 16 bits, the second in which it
// was learned in the high 32, 0 for nothing. Any worker may write it; whoever is last is right.

enum {
	OUTER_HOP_LIMIT = 64,
	GUE_PORT_MIN = 49152, // RFC 6335, section 6: dynamic ports.
	IPV4_MTU_MIN = 576,   // Less is not believed: everybody takes as much (RFC 791),
	IPV6_MTU_MIN = 1280,  // or this (RFC 8200).
};

struct gue_header {
	uint8_t control; // Version 0, data, no options.
	uint8_t protocol;
	rte_be16_t flags;
};
static_assert(sizeof(struct gue_header) == 4);

static uint16_t ip_header_len(enum family family)
{
	return family == IPV4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

// Of all that comes before the inner packet.
static inline uint16_t overhead_of(const struct service *service)
{
	uint16_t gue = sizeof(struct rte_udp_hdr) + sizeof(struct gue_header);

	return ip_header_len(service->target_family) +
		(service->tunnel_kind == TUNNEL_GUE ? gue : 0);
}

// What is known of a node's way is one word: when it was said, in seconds, whose way it is, and how
// much it takes. A node's id may come to be another's, so 16 bits made of the address say whose it
// is; of 65536 nodes that follow another, one inherits what the way to that took.

static inline _Atomic uint64_t *path_mtu_of(
	const struct pipeline *pipeline, node_id node, enum family family)
{
	return &pipeline->path_mtus[node * N_FAMILIES + family];
}

static uint16_t tag_of(const struct burst *b, node_id node, enum family family)
{
	struct address address = node_address(&b->table->nodes[node], family);
	uint32_t mixed = 0;

	// By Knuth's multiplier, every word at another place.
	for (int i = 0; i < 4; i++)
		mixed = (mixed ^ address.words[i]) * 2654435761u;
	return (uint16_t)(mixed >> 16);
}

static uint64_t path_mtu_word(const struct burst *b, node_id node, enum family family, uint16_t mtu)
{
	return (uint64_t)b->now_s << 32 | (uint32_t)tag_of(b, node, family) << 16 | mtu;
}

// What the way to a node is known to take.
static uint16_t known_mtu(const struct burst *b, node_id node, enum family outer)
{
	uint64_t word =
		atomic_load_explicit(path_mtu_of(b->pipeline, node, outer), memory_order_relaxed);

	if (word == 0 || b->now_s - (uint32_t)(word >> 32) >= PATH_MTU_AGE_S ||
		(uint16_t)(word >> 16) != tag_of(b, node, outer))
		return UINT16_MAX;
	return (uint16_t)word;
}

// What is inside.
struct inner {
	uint8_t traffic_class;
	uint8_t protocol; // As the outer header has it.
	bool may_be_split;
};

// IPv6 that may not be made smaller has its outer packet fragmented where that is too large (RFC
// 4213, section 3.2.2).
static inline struct inner inner_of(
	const struct burst *b, const struct packet *p, const struct service *service)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)p->l3;

	if (p->family == IPV6)
		return (struct inner){(uint8_t)(p->l3[0] << 4 | p->l3[1] >> 4), IPPROTO_IPV6,
			p->ip_len + overhead_of(service) >
				known_mtu(b, p->node, service->target_family)};
	return (struct inner){ip->type_of_service, IPPROTO_IPIP,
		!(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG))};
}

// Headers are written in place, field by field: one made elsewhere would be copied by loads of
// several fields at once, which wait until all the stores of them are in the cache.

// Of the words of a header whose checksum is 0, from its fields for the same reason.
static inline uint64_t ipv4_sum(const struct rte_ipv4_hdr *ip)
{
	return rte_cpu_to_be_16(ip->version_ihl << 8 | ip->type_of_service) + ip->total_length +
		ip->packet_id + ip->fragment_offset +
		rte_cpu_to_be_16(ip->time_to_live << 8 | ip->next_proto_id) +
		(uint64_t)ip->src_addr + ip->dst_addr;
}

static void write_ipv4(struct burst *b, struct packet *p, const struct inner *inner)
{
	const struct node *node = &b->table->nodes[p->node];
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)p->l3;

	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = inner->traffic_class,
		.total_length = rte_cpu_to_be_16(p->ip_len),
		.time_to_live = OUTER_HOP_LIMIT,
		.next_proto_id = p->protocol,
		.src_addr = b->table->settings.tunnel_source[IPV4].words[3],
		.dst_addr = node->ipv4,
	};

	// RFC 6864: only what may be fragmented needs an identification.
	if (inner->may_be_split)
		ip->packet_id = rte_cpu_to_be_16((uint16_t)pipeline_next_id(b->pipeline));
	else
		ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	ip->hdr_checksum = (uint16_t)~checksum_fold(ipv4_sum(ip));
}

static void write_ipv6(struct burst *b, struct packet *p, const struct inner *inner)
{
	const struct node *node = &b->table->nodes[p->node];
	uint32_t flow_label = ((uint32_t)p->hash + 1) & RTE_IPV6_HDR_FL_MASK;
	uint32_t first = 6u << 28 | (uint32_t)inner->traffic_class << 20 | flow_label;
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)p->l3;

	ip->vtc_flow = rte_cpu_to_be_32(first);
	ip->payload_len = rte_cpu_to_be_16(p->ip_len - sizeof(*ip));
	ip->proto = p->protocol;
	ip->hop_limits = OUTER_HOP_LIMIT;
	memcpy(&ip->src_addr, &b->table->settings.tunnel_source[IPV6], sizeof(struct address));
	memcpy(&ip->dst_addr, &node->ipv6, sizeof(struct address));
}

// Behind the IP header, which is written.
static void write_gue(struct burst *b, struct packet *p, enum family outer, uint8_t protocol)
{
	uint16_t len = p->ip_len - ip_header_len(outer);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)p->l4;
	const struct gue_header gue = {.protocol = protocol};

	udp->src_port = rte_cpu_to_be_16(GUE_PORT_MIN | (p->hash & (UINT16_MAX - GUE_PORT_MIN)));
	udp->dst_port = b->table->settings.gue_port;
	udp->dgram_len = rte_cpu_to_be_16(len);
	udp->dgram_cksum = 0;
	memcpy(udp + 1, &gue, sizeof(gue));
	if (outer == IPV4)
		return;

	uint32_t from = p->l4 - rte_pktmbuf_mtod(p->mbuf, uint8_t *);
	uint64_t sum = segments_sum(p->mbuf, from, len) + checksum_sum(p->l3 + 8, 32) +
		rte_cpu_to_be_16(len) + rte_cpu_to_be_16(IPPROTO_UDP);

	uint16_t checksum = (uint16_t)~checksum_fold(sum);
	udp->dgram_cksum = checksum != 0 ? checksum : UINT16_MAX;
}

// Returns false where the mbuf has no room for the outer header.
static bool encapsulate(struct burst *b, struct packet *p, const struct service *service)
{
	const struct inner inner = inner_of(b, p, service);
	enum family outer = service->target_family;
	uint16_t overhead = overhead_of(service);

	if (!segments_begin(p->mbuf, p->l3 - overhead))
		return false;

	p->l3 -= overhead;
	p->l4 = p->l3 + ip_header_len(outer);
	p->ip_len += overhead;
	p->protocol = service->tunnel_kind == TUNNEL_GUE ? IPPROTO_UDP : inner.protocol;
	p->family = outer;
	if (outer == IPV4)
		write_ipv4(b, p, &inner);
	else
		write_ipv6(b, p, &inner);
	if (service->tunnel_kind == TUNNEL_GUE)
		write_gue(b, p, outer, inner.protocol);
	return true;
}

// Of the inner packet. No IPv6 packet is to be smaller than its least MTU (RFC 2473, section 7.1):
// where the way takes less than that, the outer one has to be fragmented on it.
static uint16_t inner_mtu(const struct burst *b, const struct packet *p)
{
	const struct service *service = choose_service(b, p);
	uint16_t mtu = RTE_MIN(output_mtu(b, p), known_mtu(b, p->node, service->target_family));
	uint16_t least = p->family == IPV6 ? IPV6_MTU_MIN : 0;

	return RTE_MAX(mtu - overhead_of(service), least);
}

// 'mtu' is its inner_mtu(), as of the next.
static inline bool fits(struct burst *b, struct packet *p, uint16_t mtu)
{
	if (likely(p->ip_len <= mtu) || output_may_split(p))
		return true;
	burst_too_big(b, p, mtu);
	return false;
}

static inline void count_hop(struct packet *p)
{
	if (p->family == IPV4)
		rewrite_ipv4_header(p->l3, 0);
	else
		--*packet_hop_limit(p);
}

static void pack(struct burst *b, struct packet *p)
{
	if (unlikely(!encapsulate(b, p, choose_service(b, p))))
		return burst_drop(b, p, DROP_NO_MEMORY);
	burst_send(b, p);
}

static void pack_fragments(struct burst *b, struct packet *p, uint16_t mtu)
{
	struct rte_mbuf *fragments[FRAGMENTS_MAX];
	unsigned n = output_split(b, p, mtu, fragments);

	for (unsigned i = 0; i < n; i++) {
		struct packet fragment = *p;

		fragment.mbuf = fragments[i];
		fragment.l3 = rte_pktmbuf_mtod(fragments[i], uint8_t *);
		fragment.ip_len = (uint16_t)fragments[i]->pkt_len;
		pack(b, &fragment);
	}
}

// One that fits, or may be cut.
static void pack_and_send(struct burst *b, struct packet *p, uint16_t mtu)
{
	count_hop(p);
	if (likely(p->ip_len <= mtu))
		pack(b, p);
	else
		pack_fragments(b, p, mtu);
}

void tunnel_send(struct burst *b, struct packet *p)
{
	uint16_t mtu = inner_mtu(b, p);

	if (likely(fits(b, p, mtu)))
		pack_and_send(b, p, mtu);
}

// A router's MAC address may be that of any client behind it.
bool tunnel_returns(const struct burst *b, const struct packet *p)
{
	enum family outer = choose_service(b, p)->target_family;
	uint64_t hop = output_hop(b->pipeline, p->next_hop);

	return unlikely(output_returns(p, hop)) && b->table->nodes[p->node].is_neighbour[outer];
}

static inline void forward(struct burst *b, struct packet *p)
{
	uint16_t mtu = inner_mtu(b, p);

	if (unlikely(tunnel_returns(b, p)))
		return burst_drop(b, p, DROP_LOOP);
	if (unlikely(!fits(b, p, mtu)))
		return;

	mss_clamp(choose_service(b, p), p);
	traffic_count_in(b, p->service, p->node, p->ip_len);
	pack_and_send(b, p, mtu);
}

void tunnel_forward(struct burst *b, const struct packet_list *list)
{
	for (uint16_t i = 0; i < list->n; i++)
		forward(b, list->at[i]);
}

bool tunnel_has_sent(const struct burst *b, const struct returned *r)
{
	bool is_gue =
		r->protocol == IPPROTO_UDP && r->destination_port == b->table->settings.gue_port;
	bool is_outer = is_gue || r->protocol == IPPROTO_IPIP || r->protocol == IPPROTO_IPV6;

	return is_outer &&
		address_equal(&r->source, &b->table->settings.tunnel_source[r->family]) &&
		forwarding_table_find_node(b->table, &r->destination) != NODE_NONE;
}

// What the error says that fits, or 0 if it is about something else.
static uint32_t mtu_said(const struct packet *p)
{
	rte_be32_t word;
	memcpy(&word, p->l4 + 4, sizeof(word));

	// RFC 8201, section 4: no way may say less.
	if (p->family == IPV6)
		return p->l4[0] == ICMP6_PACKET_TOO_BIG && rte_be_to_cpu_32(word) >= IPV6_MTU_MIN
			? rte_be_to_cpu_32(word)
			: 0;
	if (p->l4[0] != ICMP_DEST_UNREACH || p->l4[1] != ICMP_FRAG_NEEDED)
		return 0;
	// Routers from before RFC 1191 say nothing, and are few.
	return RTE_MAX(rte_be_to_cpu_32(word) & UINT16_MAX, (uint32_t)IPV4_MTU_MIN);
}

void tunnel_take_error(struct burst *b, struct packet *p, const struct returned *r)
{
	node_id node = forwarding_table_find_node(b->table, &r->destination);
	uint32_t mtu = mtu_said(p);

	if (mtu == 0 || mtu > UINT16_MAX)
		return burst_drop(b, p, DROP_TUNNEL);

	// No error makes the way wider than it was known to be (RFC 1191, section 3). Relaxed: the
	// word is whole, and nothing else is read by it.
	if (mtu < known_mtu(b, node, p->family))
		atomic_store_explicit(path_mtu_of(b->pipeline, node, p->family),
			path_mtu_word(b, node, p->family, (uint16_t)mtu), memory_order_relaxed);
	burst_count(b, EVENT_PATH_MTU_LEARNED);
	rte_pktmbuf_free(p->mbuf);
}
