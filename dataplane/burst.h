#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>

#include "flow_table.h"
#include "guideway/counters.h"
#include "guideway/forwarding_table.h"

// A burst on its way through the pipeline, and the ways out that every stage has.

struct pipeline;
struct outcome;

enum { BURST_MAX = 32 };

// How a packet reached the worker. Kept with the packet across a hand-over.
enum origin {
	ORIGIN_PORT,
	ORIGIN_KERNEL, // Came from the twin of mbuf->port.
};

// What a packet is.
enum packet_kind {
	KIND_PORTS, // TCP, UDP or SCTP.
	KIND_ICMP,  // ICMP over IPv4, or ICMPv6 over IPv6.
	KIND_IP,    // Anything else over IP, or what a fault hides.
	KIND_ARP,   // At 'l3', whole.
	KIND_OTHER,
};

// One packet, and what the stages have found out about it.
struct packet {
	struct rte_mbuf *mbuf;
	uint8_t *l3;   // struct rte_ipv4_hdr or rte_ipv6_hdr, by 'family'; NULL of KIND_OTHER.
	uint8_t *l4;   // What 'protocol' says, TCP with 20 bytes, SCTP with 12, UDP and ICMP with
	               // 8. From the Ethernet header to here and so far on, all lies in the first
	               // segment.
	uint64_t hash; // Of the flow, or of the return key; without flows the slot in its ring.

	service_id service;
	flow_at flow;
	node_id node; // The flow's, or of a packet to an SNAT address the one that sent it.
	next_hop_id next_hop;

	uint16_t ip_len;  // Of the whole IP packet; what follows it in the mbuf is cut off.
	uint8_t l2_len;   // As received: the IP header lies so far into the frame.
	uint8_t family;   // enum family.
	uint8_t protocol; // Of layer 4, IPv6 extension headers passed.
	uint8_t tcp_flags;
	uint8_t origin;     // enum origin.
	uint8_t port;       // It came by.
	uint8_t hops;       // Workers that have passed it on, not knowing who owns its flow.
	uint8_t snat_index; // Of a packet to an SNAT address: its place in table->snat[family].
	uint8_t kind;       // enum packet_kind.
	uint8_t fault;      // enum drop_reason: what is wrong with it, if it is for us.
	bool captured;      // Somebody looks at it: capture.h.
	uint8_t unused[7];
};
static_assert(sizeof(struct packet) == 64);

// Nearly all have, and nothing is wrong with them.
static inline bool packet_has_ports(const struct packet *p)
{
	return p->kind == KIND_PORTS && p->fault == DROP_NONE;
}

// 'family' is the packet's: a constant, where a stage is compiled once for each.
static inline __attribute__((always_inline)) struct address packet_source_of(
	const struct packet *p, enum family family)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)p->l3;

	return family == IPV4 ? address_from_ipv4(ip->src_addr) : address_from_ipv6(p->l3 + 8);
}

static inline struct address packet_source(const struct packet *p)
{
	return packet_source_of(p, p->family);
}

static inline __attribute__((always_inline)) struct address packet_destination_of(
	const struct packet *p, enum family family)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)p->l3;

	return family == IPV4 ? address_from_ipv4(ip->dst_addr) : address_from_ipv6(p->l3 + 24);
}

static inline struct address packet_destination(const struct packet *p)
{
	return packet_destination_of(p, p->family);
}

// TCP's and UDP's, in network order.
static inline rte_be16_t packet_source_port(const struct packet *p)
{
	return ((const struct rte_udp_hdr *)p->l4)->src_port;
}

static inline rte_be16_t packet_destination_port(const struct packet *p)
{
	return ((const struct rte_udp_hdr *)p->l4)->dst_port;
}

// The IPv4 time to live, or the IPv6 hop limit.
static inline __attribute__((always_inline)) uint8_t *packet_hop_limit_of(
	const struct packet *p, enum family family)
{
	return p->l3 +
		(family == IPV4 ? offsetof(struct rte_ipv4_hdr, time_to_live)
				: offsetof(struct rte_ipv6_hdr, hop_limits));
}

static inline uint8_t *packet_hop_limit(const struct packet *p)
{
	return packet_hop_limit_of(p, p->family);
}

// From the layer 4 header on.
static inline uint16_t packet_l4_len(const struct packet *p)
{
	return p->ip_len - (uint16_t)(p->l4 - p->l3);
}

// What goes with a packet that is handed over is kept where RSS had put its hash.
static inline void packet_keep_way(const struct packet *p)
{
	p->mbuf->hash.usr = (uint32_t)p->captured << 16 | (uint32_t)p->hops << 8 | p->origin;
}

static inline void packet_restore_way(struct packet *p)
{
	p->origin = (uint8_t)p->mbuf->hash.usr;
	p->hops = (uint8_t)(p->mbuf->hash.usr >> 8);
	p->captured = p->mbuf->hash.usr >> 16;
}

// Those packets of a burst that go the same way.
struct packet_list {
	uint16_t n;
	struct packet *at[BURST_MAX];
};

static inline void packet_list_add(struct packet_list *list, struct packet *p)
{
	list->at[list->n++] = p;
}

// What the stages of one burst share.
struct burst {
	struct pipeline *pipeline;
	const struct forwarding_table *table; // NULL only before the first is published, when no
	                                      // packet gets as far as a stage that reads it.
	struct outcome *out;
	struct capture *capture; // NULL while nobody looks.
	bool was_handed;         // Another worker has seen these come in.
	uint64_t now_ns;
	uint32_t now_s;   // The same in seconds, never 0.
	uint16_t mtu_min; // Of all ports: what is no longer fits whichever way it goes.
	uint16_t n_draws; // That snat has made for ports: snat_forward.c.
	uint16_t n_fragments_handed;
	bool is_by_slot; // Some of it goes without a flow.
	uint16_t n;
	struct packet packets[BURST_MAX]; // [n]

	// Those of them that are to be forwarded, by family, none of which a router would have to
	// stop: their headers are right and their hop limits above 1, except where they do not
	// change (MODE_DSR). To a service, by its mode, with 'service' and by snat_prepare() or
	// choose_prepare() 'hash' set; TCP and UDP to an SNAT address, with 'snat_index' and
	// 'node', to NODE_NONE where the source is none, and by snat_prepare_reply() 'hash'; and
	// replies in MODE_DNAT, with 'service', 'node' and 'next_hop'.
	struct packet_list to_services[N_MODES][N_FAMILIES];
	struct packet_list to_snat[N_FAMILIES];
	struct packet_list to_clients[N_FAMILIES];
};

// Whether the packet says to be from an address of ours. A flow between two of them would chase its
// own replies for ever; so whoever begins one asks this, and no other packet need be asked. The
// machine itself may be a client, though, by an address that it shares with us.
static inline bool burst_is_from_us(const struct burst *b, const struct packet *p)
{
	struct address source = packet_source(p);
	const struct own_address *own = forwarding_table_find_own(b->table, &source);

	return own_address_is_ours_alone(own) ||
		(own != NULL && own->is_shared && p->origin != ORIGIN_KERNEL);
}

// Count one.
void burst_count(struct burst *b, enum event event);
void burst_count_drop(struct burst *b, enum drop_reason reason);

// Each of the following ends the packet's way through this pipeline: it is not to be touched again.

// Frees the packet and counts it by its reason.
void burst_drop(struct burst *b, struct packet *p, enum drop_reason reason);

// Sends the finished packet by 'p->next_hop': fills in its Ethernet header and VLAN tag and puts it
// on its port, on the twin of its port, or among those that wait; or drops it.
void burst_send(struct burst *b, struct packet *p);

// Sends the finished packet, an answer of ours, to the machine that it came from. Its Ethernet
// header is as it came, and right before 'l3'.
void burst_send_back(struct burst *b, struct packet *p);

// Lets a packet that is none of our business pass as it came: to the kernel by the twin of its
// port, or if it came from there out of the port.
void burst_pass_by(struct burst *b, struct packet *p);

// Answers the packet's sender that it goes no further, as its protocol does: TCP by RST, else by
// ICMP port unreachable, as far as the limiters allow; and counts it as dropped for 'reason'. The
// packet is as it came: 'l3' and 'l4' are not rewritten yet. Returns whether it was answered.
bool burst_reject(struct burst *b, struct packet *p, enum drop_reason reason);

// Drops a packet, not rewritten yet, whose hop limit ends here; its sender is told.
void burst_expire(struct burst *b, struct packet *p);

// Gives the packet, not rewritten yet, to the worker that owns its flow.
void burst_hand_over(struct burst *b, struct packet *p, unsigned worker);

// For a packet, not rewritten yet, of whose flow this worker knows nothing and whose owner cannot
// be computed: passes it to the next worker and returns true, or returns false if it has been with
// each and is still the caller's.
bool burst_pass_on(struct burst *b, struct packet *p);

// Drops a packet, not rewritten yet, that is longer than 'mtu' and must not be fragmented; its
// sender is told.
void burst_too_big(struct burst *b, struct packet *p, uint16_t mtu);

bool burst_fits_port(struct burst *b, struct packet *p);

// For a packet, not rewritten yet, whose 'next_hop' is known: returns true if it fits the way out,
// in fragments if it may be cut into such. Else its sender is told what would, it is dropped, and
// is not the caller's any more.
static inline bool burst_fits(struct burst *b, struct packet *p)
{
	return __builtin_expect(p->ip_len <= b->mtu_min, 1) || burst_fits_port(b, p);
}
