#include "output.h"

#include <netinet/in.h>

#include <rte_branch_prediction.h>
#include <rte_ether.h>

#include "capture.h"
#include "checksum.h"
#include "neighbour.h"
#include "pipeline.h"
#include "segments.h"
#include "split.h"

// The ways out
// ============
//
//     next hop known        Ethernet header, VLAN tag, out of its port
//     next hop is the kernel    Ethernet header, to the twin of its port
//     next hop not known    waits, until pipeline_retry() finds it known
//
// A packet's Ethernet header is written anew right before its IP header, wherever in its memory
// that has come to lie: whether there was or is to be a VLAN tag makes no difference.

// RFC 8200, section 4.5.
struct fragment_header {
	uint8_t next;
	uint8_t reserved;
	rte_be16_t offset;
	rte_be32_t id;
};
static_assert(sizeof(struct fragment_header) == 8);

static void put_tx(struct outcome *out, uint8_t port, struct rte_mbuf *m)
{
	out->tx[port][out->n.tx[port]++] = m;
}

static void put_to_kernel(
	struct outcome *out, uint8_t port, enum kernel_class class, struct rte_mbuf *m)
{
	out->to_kernel[port][class][out->n.to_kernel[port][class]++] = m;
}

static inline rte_be16_t ether_type(enum family family)
{
	return family == IPV4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4) : RTE_BE16(RTE_ETHER_TYPE_IPV6);
}

struct port_header output_header(const struct port_facts *port)
{
	struct port_header header = {
		.vlan = port->vlan,
		.mtu = port->mtu,
		.len = RTE_ETHER_HDR_LEN + (port->vlan != 0 ? RTE_VLAN_HLEN : 0),
	};

	for (enum family family = 0; family < N_FAMILIES; family++) {
		rte_be16_t type =
			port->vlan != 0 ? RTE_BE16(RTE_ETHER_TYPE_VLAN) : ether_type(family);

		header.from[family] = mac_word(&port->mac) << 16 >> 16 | (uint64_t)type << 48;
	}
	return header;
}

static inline void write_tag(const struct packet *p, uint16_t vlan)
{
	const rte_be16_t tag[] = {rte_cpu_to_be_16(vlan), ether_type(p->family)};

	memcpy(p->l3 - sizeof(tag), tag, sizeof(tag));
}

// In words of eight bytes, of which the next takes back what is not a MAC address. Returns false
// where the mbuf has no room for it.
static inline bool write_ethernet(
	const struct packet *p, uint64_t to, const struct port_header *header)
{
	uint8_t *frame = p->l3 - header->len;

	if (unlikely(!segments_begin(p->mbuf, frame)))
		return false;
	if (header->vlan != 0)
		write_tag(p, header->vlan);
	memcpy(frame, &to, sizeof(to));
	memcpy(frame + RTE_ETHER_ADDR_LEN, &header->from[p->family], sizeof(header->from[0]));
	return true;
}

static void hold(struct burst *b, struct packet *p, const struct address *to)
{
	struct outcome *out = b->out;

	p->mbuf->l2_len = p->l3 - rte_pktmbuf_mtod(p->mbuf, uint8_t *);
	out->waiting[out->n.waiting++] = (struct waiting){
		.mbuf = p->mbuf,
		.to = *to,
		.next_hop = p->next_hop,
	};
}

static void put_finished_to_kernel(struct burst *b, struct packet *p, uint8_t port)
{
	capture_out(b, p, port);
	put_to_kernel(b->out, port, KERNEL_OTHER, p->mbuf);
}

static void send_to_kernel(struct burst *b, struct packet *p, uint8_t port)
{
	struct port_facts twin = b->pipeline->ports[port];

	twin.vlan = 0; // The kernel knows of none.
	const struct port_header header = output_header(&twin);
	if (!write_ethernet(p, mac_word(&twin.mac), &header))
		burst_drop(b, p, DROP_NO_MEMORY);
	else
		put_finished_to_kernel(b, p, port);
}

static void send_rare(struct burst *b, struct packet *p, uint64_t hop, const struct address *to)
{
	if (p->next_hop == NEXT_HOP_NONE)
		burst_drop(b, p, DROP_NO_ROUTE);
	else if (hop & NEXT_HOP_TO_KERNEL)
		send_to_kernel(b, p, next_hop_port(hop));
	else
		hold(b, p, to);
}

bool output_may_split(const struct packet *p)
{
	return packet_may_be_split(p->l3, segments_available(p->mbuf, p->l3), p->family);
}

unsigned output_split(struct burst *b, struct packet *p, uint16_t mtu,
	struct rte_mbuf *ret_fragments[FRAGMENTS_MAX])
{
	struct outcome *out = b->out;
	unsigned most = RTE_MIN(FRAGMENTS_MAX, FRAGMENTS_ROOM - out->n.fragments + 1);
	uint16_t l2_len = p->l3 - rte_pktmbuf_mtod(p->mbuf, uint8_t *);
	bool may_split = output_may_split(p);
	unsigned n = split_packet(p->mbuf, l2_len, p->ip_len, p->family, mtu,
		pipeline_next_id(b->pipeline), b->pipeline->buffers, ret_fragments, most);

	if (n == 0) {
		burst_drop(b, p, may_split ? DROP_NO_MEMORY : DROP_TOO_BIG);
		return 0;
	}
	out->n.fragments += n - 1;
	burst_count(b, EVENT_FRAGMENTED);
	return n;
}

static void send_fragment(struct burst *b, struct packet *p, uint64_t hop);

static __attribute__((noinline)) void send_in_fragments(
	struct burst *b, struct packet *p, uint64_t hop)
{
	struct rte_mbuf *fragments[FRAGMENTS_MAX];
	uint16_t mtu = b->pipeline->ports[next_hop_port(hop)].mtu;
	unsigned n = output_split(b, p, mtu, fragments);

	for (unsigned i = 0; i < n; i++) {
		struct packet fragment = {
			.mbuf = fragments[i],
			.l3 = rte_pktmbuf_mtod(fragments[i], uint8_t *),
			.ip_len = (uint16_t)fragments[i]->pkt_len,
			.family = p->family,
			.protocol = p->protocol,
			.captured = p->captured,
		};
		send_fragment(b, &fragment, hop);
	}
}

static inline __attribute__((always_inline)) void send_plain(
	struct burst *b, struct packet *p, uint64_t hop)
{
	uint8_t port = next_hop_port(hop);
	const struct port_header *header = &b->pipeline->headers[port];
	if (unlikely(p->ip_len > header->mtu))
		return send_in_fragments(b, p, hop);
	if (unlikely(!write_ethernet(p, hop, header)))
		return burst_drop(b, p, DROP_NO_MEMORY);

	put_tx(b->out, port, p->mbuf);
	capture_out(b, p, port); // Last: what a function goes on with after a call it has to save.
}

static __attribute__((noinline)) void send_fragment(struct burst *b, struct packet *p, uint64_t hop)
{
	send_plain(b, p, hop);
}

static __attribute__((noinline)) void send_to_destination(
	struct burst *b, struct packet *p, uint64_t hop)
{
	struct address destination = packet_destination(p);

	send_rare(b, p, hop, &destination);
}

void output_send(struct burst *b, struct packet *p, uint64_t hop)
{
	if (likely(output_is_known(hop)))
		send_plain(b, p, hop);
	else
		send_to_destination(b, p, hop);
}

void burst_send(struct burst *b, struct packet *p)
{
	output_send(b, p, output_hop(b->pipeline, p->next_hop));
}

// While its node is not resolved it waits for that: its destination is our own address.
static __attribute__((noinline)) void send_to_node(struct burst *b, struct packet *p, uint64_t hop)
{
	struct address node = node_address(&b->table->nodes[p->node], p->family);

	send_rare(b, p, hop, &node);
}

void output_send_to_node(struct burst *b, struct packet *p, uint64_t hop)
{
	if (likely(output_is_known(hop)))
		send_plain(b, p, hop);
	else
		send_to_node(b, p, hop);
}

uint16_t output_mtu(const struct burst *b, const struct packet *p)
{
	uint64_t hop = output_hop(b->pipeline, p->next_hop);

	return output_is_known(hop) ? b->pipeline->ports[next_hop_port(hop)].mtu : UINT16_MAX;
}

bool output_is_to_kernel(const struct burst *b, const struct address *destination)
{
	uint64_t hop = output_hop(b->pipeline, forwarding_table_route(b->table, destination));

	return hop & NEXT_HOP_TO_KERNEL;
}

bool burst_fits_port(struct burst *b, struct packet *p)
{
	uint16_t mtu = output_mtu(b, p);
	if (p->ip_len <= mtu || output_may_split(p))
		return true;

	burst_too_big(b, p, mtu);
	return false;
}

static void put_back(struct burst *b, struct packet *p, struct rte_mbuf *m)
{
	p->mbuf = m;
	capture_out(b, p, p->port);
	if (p->origin == ORIGIN_PORT)
		put_tx(b->out, p->port, m);
	else
		put_to_kernel(b->out, p->port, KERNEL_CONTROL, m);
}

// What is ours may be cut: in IPv6 a fragment header says so (RFC 8200, section 4.5).
static bool permit_split(struct burst *b, struct packet *p)
{
	struct rte_ipv4_hdr *ipv4 = (struct rte_ipv4_hdr *)p->l3;
	struct rte_ipv6_hdr *ipv6 = (struct rte_ipv6_hdr *)(p->l3 - sizeof(struct fragment_header));

	if (p->family == IPV4) {
		ipv4->fragment_offset = 0;
		ipv4->hdr_checksum = 0;
		ipv4->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ipv4, sizeof(*ipv4)));
		return true;
	}
	if (!segments_begin(p->mbuf, (uint8_t *)ipv6))
		return false;

	memmove(ipv6, p->l3, sizeof(*ipv6));
	struct fragment_header header = {
		.next = ipv6->proto, .id = rte_cpu_to_be_32(pipeline_next_id(b->pipeline))};
	memcpy(ipv6 + 1, &header, sizeof(header));
	ipv6->proto = IPPROTO_FRAGMENT;
	p->l3 = (uint8_t *)ipv6;
	p->ip_len += sizeof(header);
	ipv6->payload_len = rte_cpu_to_be_16(p->ip_len - sizeof(*ipv6));
	return true;
}

// Each with the Ethernet header, and the tag, of the whole.
static void send_back_in_fragments(struct burst *b, struct packet *p)
{
	struct rte_mbuf *fragments[FRAGMENTS_MAX];
	uint8_t l2[UINT8_MAX];

	memcpy(l2, p->l3 - p->l2_len, p->l2_len);
	if (!permit_split(b, p))
		return burst_drop(b, p, DROP_NO_MEMORY);

	unsigned n = output_split(b, p, b->pipeline->ports[p->port].mtu, fragments);
	for (unsigned i = 0; i < n; i++) {
		p->l3 = rte_pktmbuf_mtod(fragments[i], uint8_t *);
		p->l4 = NULL; // It was the whole's.
		memcpy(rte_pktmbuf_prepend(fragments[i], p->l2_len), l2, p->l2_len);
		put_back(b, p, fragments[i]);
	}
}

void burst_send_back(struct burst *b, struct packet *p)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)(p->l3 - p->l2_len);

	eth->dst_addr = eth->src_addr;
	eth->src_addr = b->pipeline->ports[p->port].mac;
	if (unlikely(p->kind != KIND_ARP && p->ip_len > b->pipeline->ports[p->port].mtu))
		send_back_in_fragments(b, p);
	else
		put_back(b, p, p->mbuf);
}

// Health checks and the kernel's knowledge of its neighbours live by these.
static enum kernel_class class_of(const struct burst *b, const struct packet *p)
{
	if (p->kind == KIND_ARP || (p->kind == KIND_ICMP && is_neighbour_discovery(p)))
		return KERNEL_CONTROL;
	if (p->l3 == NULL || b->table == NULL)
		return KERNEL_OTHER;

	struct address source = packet_source(p);
	bool is_node = forwarding_table_find_node(b->table, &source) != NODE_NONE;
	return is_node ? KERNEL_CONTROL : KERNEL_OTHER;
}

// The addresses move to where the tag was.
static void strip_tag(struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	memmove(frame + RTE_VLAN_HLEN, frame, 2 * RTE_ETHER_ADDR_LEN);
	segments_begin(m, frame + RTE_VLAN_HLEN);
}

static bool insert_tag(struct rte_mbuf *m, uint16_t vlan)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	rte_be16_t tag[] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(vlan)};

	if (!segments_begin(m, frame - sizeof(tag)))
		return false;

	memmove(frame - sizeof(tag), frame, 2 * RTE_ETHER_ADDR_LEN);
	memcpy(frame + 2 * RTE_ETHER_ADDR_LEN - sizeof(tag), tag, sizeof(tag));
	return true;
}

static void pass_to_kernel(struct burst *b, struct packet *p)
{
	enum kernel_class class = class_of(b, p);

	if (b->pipeline->ports[p->port].vlan != 0)
		strip_tag(p->mbuf);
	put_to_kernel(b->out, p->port, class, p->mbuf);
}

void burst_pass_by(struct burst *b, struct packet *p)
{
	uint16_t vlan = b->pipeline->ports[p->port].vlan;

	if (p->origin == ORIGIN_PORT)
		pass_to_kernel(b, p);
	else if (vlan != 0 && !insert_tag(p->mbuf, vlan))
		burst_drop(b, p, DROP_NO_MEMORY);
	else
		put_tx(b->out, p->port, p->mbuf);
}

// By whom it is to go to, not by the next hop that it waited for: the routes may be others by now.
bool output_retry(struct burst *b, const struct waiting *waiting)
{
	enum family family = address_family(&waiting->to);
	struct packet p = {
		.mbuf = waiting->mbuf,
		.l3 = rte_pktmbuf_mtod_offset(waiting->mbuf, uint8_t *, waiting->mbuf->l2_len),
		.ip_len = waiting->mbuf->pkt_len - waiting->mbuf->l2_len,
		.family = family,
		.next_hop = forwarding_table_route(b->table, &waiting->to),
	};

	uint64_t hop = output_hop(b->pipeline, p.next_hop);
	if (p.next_hop != NEXT_HOP_NONE && !(hop & (NEXT_HOP_RESOLVED | NEXT_HOP_TO_KERNEL)))
		return false;

	if (p.next_hop != NEXT_HOP_NONE)
		burst_count(b, EVENT_WAITED);
	burst_send(b, &p);
	return true;
}
