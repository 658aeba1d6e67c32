#include "icmp.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <rte_icmp.h>
#include <rte_tcp.h>

#include "answer.h"
#include "checksum.h"
#include "choose.h"
#include "echo.h"
#include "output.h"
#include "parse.h"
#include "pipeline.h"
#include "rewrite.h"
#include "segments.h"
#include "snat.h"
#include "tunnel.h"

// Errors about a flow
// ===================
//
// An error brings back the packet that it is about, as it was where the error arose; so the flow
// is found by it, and it is rewritten to what the error's receiver had sent:
//
//                           outer source   destination   packet inside
//     from the client's side   client      VIP           VIP:port -> client:client_port
//         becomes              SNAT        node          node:node_port -> SNAT:snat_port
//
//     from the node's side     node        SNAT address  SNAT:snat_port -> node:node_port
//         becomes              VIP         client        client:client_port -> VIP:port
//
// Without a flow the node is the one that the slot of the packet inside names. In the mode dnat
// only the node's end changes, and the error from its side is to the client; to a node in the
// modes dsr and tunnel an error goes like any packet of its flow, as it came.
//
// A router's error to a client keeps the router's address: that is what traceroute and people look
// for. To a node nothing comes but from SNAT addresses, which its network may insist on.
//
// Without these path-MTU discovery fails, and with it transfers over any path narrower than ours
// (RFC 5508, requirements 3 to 5). The packet inside may end 8 bytes behind its IP header, and its
// checksum counts within the ICMP message's: each change is one more step of both (RFC 1624).

enum {
	ICMP_HEADER_LEN = 8,
	// As much of the message is brought together, to read the headers inside.
	HEADERS_MAX = 512,
};

// What an error becomes.
struct passage {
	struct address source;
	struct address destination;
	struct address inside_source;
	struct address inside_destination;
	rte_be16_t inside_source_port;
	rte_be16_t inside_destination_port;
};

bool icmp_is_error(const struct packet *p)
{
	uint8_t type = p->l4[0];

	if (p->family == IPV6)
		return type >= ICMP6_DST_UNREACH && type <= ICMP6_PARAM_PROB;
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
		type == ICMP_PARAMETERPROB;
}

static const void *bytes_of(const struct address *a, enum family family)
{
	return family == IPV4 ? (const void *)&a->words[3] : a;
}

// Returns what the sum of the words changes by.
static uint64_t replace_checksum(uint8_t *at, uint16_t with)
{
	uint16_t was;

	memcpy(&was, at, sizeof(was));
	memcpy(at, &with, sizeof(with));
	return checksum_change16(was, with);
}

// The layer 4 inside, where its addresses change by 'change'. Its checksum may be cut off, and of
// UDP over IPv4 absent. Returns what the sum of its words changes by.
static uint64_t rewrite_inside_l4(
	const struct returned *r, const struct rewrite *to, uint64_t change)
{
	bool is_udp = r->protocol == IPPROTO_UDP;
	size_t at = is_udp ? offsetof(struct rte_udp_hdr, dgram_cksum)
			   : offsetof(struct rte_tcp_hdr, cksum);
	uint64_t ports = rewrite_ports(r->l4, to);
	uint16_t checksum;

	if (r->l4_len < at + sizeof(checksum))
		return ports;
	memcpy(&checksum, r->l4 + at, sizeof(checksum));
	if (is_udp && checksum == 0)
		return ports;

	checksum = checksum_update(checksum, change + ports);
	if (is_udp && checksum == 0)
		checksum = UINT16_MAX;
	return ports + replace_checksum(r->l4 + at, checksum);
}

static uint64_t rewrite_inside(const struct returned *r, const struct passage *passage)
{
	const struct rewrite to = {
		.source = bytes_of(&passage->inside_source, r->family),
		.destination = bytes_of(&passage->inside_destination, r->family),
		.source_port = passage->inside_source_port,
		.destination_port = passage->inside_destination_port,
	};
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)r->l3;
	uint64_t addresses = rewrite_addresses(r->l3, r->family, &to);
	uint64_t change = addresses + rewrite_inside_l4(r, &to, addresses);

	if (r->family == IPV6)
		return change;
	return change +
		replace_checksum(
			(uint8_t *)&ip->hdr_checksum, checksum_update(ip->hdr_checksum, addresses));
}

static void rewrite(struct packet *p, const struct returned *r, const struct passage *passage)
{
	const struct rewrite to = {
		.source = bytes_of(&passage->source, p->family),
		.destination = bytes_of(&passage->destination, p->family),
	};
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)p->l4;
	uint64_t change = rewrite_inside(r, passage);
	uint64_t addresses = rewrite_addresses(p->l3, p->family, &to);

	if (p->family == IPV4) {
		rewrite_ipv4_header(p->l3, addresses);
	} else {
		--*packet_hop_limit(p);
		change += addresses; // They count in the pseudo-header.
	}
	icmp->icmp_cksum = checksum_update(icmp->icmp_cksum, change);
}

static void send_on(struct burst *b, struct packet *p, const struct returned *r,
	const struct passage *to, next_hop_id next_hop)
{
	if (*packet_hop_limit(p) <= 1)
		return burst_drop(b, p, DROP_HOP_LIMIT);

	rewrite(p, r, to);
	p->next_hop = next_hop;
	burst_count(b, EVENT_ICMP_ERRORS_TRANSLATED);
	burst_send(b, p);
}

static void send_to_node(
	struct burst *b, struct packet *p, const struct returned *r, const struct snat_flow *flow)
{
	struct passage to = {
		.source = flow->snat,
		.destination = flow->target,
		.inside_source = flow->target,
		.inside_destination = flow->snat,
		.inside_source_port = flow->node_port,
		.inside_destination_port = flow->snat_port,
	};

	send_on(b, p, r, &to, b->table->nodes[flow->node].next_hop[p->family]);
}

static void send_to_client(
	struct burst *b, struct packet *p, const struct returned *r, const struct snat_flow *flow)
{
	struct address source = packet_source(p);
	bool is_of_node = address_equal(&source, &flow->target);
	struct passage to = {
		.source = is_of_node ? flow->vip : source,
		.destination = flow->client,
		.inside_source = flow->client,
		.inside_destination = flow->vip,
		.inside_source_port = flow->client_port,
		.inside_destination_port = flow->port,
	};

	send_on(b, p, r, &to, forwarding_table_route(b->table, &flow->client));
}

// The worker that the inner packet names, where it is another: true, and the error is there.
static bool is_of_another(struct burst *b, struct packet *p, unsigned worker)
{
	if (worker == b->pipeline->worker)
		return false;

	burst_hand_over(b, p, worker);
	return true;
}

static void send_to_dnat_node(struct burst *b, struct packet *p, const struct returned *r)
{
	struct address node = node_address(&b->table->nodes[p->node], p->family);
	struct passage to = {
		.source = packet_source(p),
		.destination = node,
		.inside_source = node,
		.inside_destination = r->destination,
		.inside_source_port = choose_service(b, p)->node_port,
		.inside_destination_port = r->destination_port,
	};

	send_on(b, p, r, &to, p->next_hop);
}

// To the node of a slot: 'p->service' is set.
static void follow_by_slot(struct burst *b, struct packet *p, const struct returned *r)
{
	const struct service *service = choose_service(b, p);
	enum forwarding_mode mode = service->mode;

	p->hash = choose_slot_of(b->pipeline, p->family, bytes_of(&r->destination, p->family),
		r->destination_port, service);
	p->node = choose_node(service, (uint32_t)p->hash);
	if (p->node == NODE_NONE)
		return burst_drop(b, p, choose_nobody(service));

	p->next_hop = b->table->nodes[p->node].next_hop[service->target_family];
	if (mode == MODE_DNAT)
		return send_to_dnat_node(b, p, r);
	if (mode == MODE_TUNNEL && *packet_hop_limit(p) <= 1)
		return burst_drop(b, p, DROP_HOP_LIMIT);

	uint64_t hop = output_hop(b->pipeline, p->next_hop);
	if (mode == MODE_DSR ? output_returns(p, hop) : tunnel_returns(b, p))
		return burst_drop(b, p, DROP_LOOP);

	burst_count(b, EVENT_ICMP_ERRORS_TRANSLATED);
	if (mode == MODE_TUNNEL)
		tunnel_send(b, p);
	else
		output_send_to_node(b, p, hop);
}

static void follow_from_client(struct burst *b, struct packet *p, const struct returned *r)
{
	const struct pipeline *pipeline = b->pipeline;
	struct flow_key key = {
		r->destination, r->source, r->destination_port, r->source_port, r->protocol};
	service_id service = forwarding_table_find_service(b->table,
		index_hash_endpoint(&key.vip, key.port, key.protocol), &key.vip, key.port,
		key.protocol);
	if (service == SERVICE_NONE)
		return burst_drop(b, p, DROP_NO_FLOW);

	p->service = service;
	bool has_slots = choose_service(b, p)->mode != MODE_SNAT;
	if (has_slots && !choose_service(b, p)->keeps_flows)
		return follow_by_slot(b, p, r);

	const void *client = bytes_of(&key.client, p->family);
	uint64_t hash = flow_hash(pipeline->hash_key, p->family, client, key.client_port, service);
	bool is_known = snat_owner_is_known(pipeline, choose_service(b, p));
	if (is_known &&
		is_of_another(b, p,
			snat_owner(
				pipeline, choose_service(b, p), p->family, client, service, hash)))
		return;

	struct snat_flow flow;
	if (snat_find_of_client(b, &key, service, hash, &flow))
		send_to_node(b, p, r, &flow);
	else if (!is_known && burst_pass_on(b, p))
		return;
	else if (has_slots)
		follow_by_slot(b, p, r);
	else
		burst_drop(b, p, DROP_NO_FLOW);
}

// Returns false, having done nothing, if it is about no flow.
static bool follow_from_node(
	struct burst *b, struct packet *p, const struct returned *r, const struct own_address *own)
{
	const struct pipeline *pipeline = b->pipeline;
	union return_key back = {
		.node = forwarding_table_find_node(b->table, &r->destination),
		.node_port = r->destination_port,
		.snat_port = r->source_port,
		.snat_index = own->snat_index,
		.protocol = r->protocol,
	};
	if (back.node == NODE_NONE || !owner_map_has(pipeline->owners, back.snat_port))
		return false;
	if (is_of_another(b, p,
		    owner_of(pipeline->owners, &r->destination, back.node_port, &r->source,
			    back.snat_port)))
		return true;

	struct snat_flow flow;
	if (!snat_find_of_node(b, p->family, &back, &flow))
		return false;
	segments_cut(p->mbuf, p->l2_len + p->ip_len);
	send_to_client(b, p, r, &flow);
	return true;
}

// Brings the headers inside together and reads them.
static enum drop_reason read_returned(struct packet *p, struct returned *ret_returned)
{
	struct rte_mbuf *m = p->mbuf;
	uint32_t at = p->l2_len + p->ip_len - packet_l4_len(p) + ICMP_HEADER_LEN;
	uint32_t end = p->l2_len + p->ip_len;

	if (!segments_gather(m, RTE_MIN(end, at + HEADERS_MAX)))
		return DROP_NO_MEMORY;
	return parse_returned(
		p->l4 + ICMP_HEADER_LEN, RTE_MIN(end, m->data_len) - at, p->family, ret_returned);
}

static bool has_ports(const struct returned *r)
{
	return r->protocol == IPPROTO_TCP || r->protocol == IPPROTO_UDP ||
		r->protocol == IPPROTO_SCTP;
}

// Reads what the error is about.
static enum drop_reason judge(struct packet *p, struct returned *ret_returned)
{
	struct returned r;

	if (answer_checksum(p) != 0)
		return DROP_BAD_CHECKSUM;
	enum drop_reason reason = read_returned(p, &r);
	if (reason != DROP_NONE)
		return reason == DROP_FRAGMENT ? DROP_NO_FLOW : reason;

	// What it is about was sent by whom it is for.
	struct address destination = packet_destination(p);
	if (!address_equal(&r.source, &destination))
		return DROP_NO_FLOW;

	*ret_returned = r;
	return DROP_NONE;
}

static void follow(struct burst *b, struct packet *p, const struct own_address *own)
{
	struct returned r;

	enum drop_reason reason = judge(p, &r);
	if (reason != DROP_NONE)
		burst_drop(b, p, reason);
	else if (tunnel_has_sent(b, &r))
		tunnel_take_error(b, p, &r);
	else if (!has_ports(&r))
		burst_drop(b, p, DROP_NO_FLOW);
	else if (own->kind == OWN_SNAT) {
		if (!follow_from_node(b, p, &r, own))
			burst_drop(b, p, DROP_NO_FLOW);
	} else
		follow_from_client(b, p, &r);
}

void icmp_to_us(struct burst *b, struct packet *p, const struct own_address *own)
{
	if (is_echo_request(p))
		echo_answer(b, p);
	else if (icmp_is_error(p))
		follow(b, p, own);
	else
		burst_drop(b, p, DROP_ICMP);
}

// From a node, or from a router on the way to it, about what a client sent in the mode dnat.
static void follow_to_client(struct burst *b, struct packet *p, const struct returned *r)
{
	const struct service *service = choose_service(b, p);
	struct address source = packet_source(p);
	struct passage to = {
		.source = address_equal(&source, &r->destination) ? service->vip : source,
		.destination = r->source,
		.inside_source = r->source,
		.inside_destination = service->vip,
		.inside_source_port = r->source_port,
		.inside_destination_port = service->port,
	};

	send_on(b, p, r, &to, forwarding_table_route(b->table, &r->source));
}

// Whether what is brought back went to a node in the mode dnat; sets 'p->service'.
static bool is_of_dnat(const struct burst *b, struct packet *p, const struct returned *r)
{
	node_id node = forwarding_table_find_node(b->table, &r->destination);
	service_id service =
		forwarding_table_find_return(b->table, r->family, r->destination_port, r->protocol);

	if (node == NODE_NONE || service == SERVICE_NONE ||
		b->table->services[service].states[node] == TARGET_ABSENT)
		return false;
	p->service = service;
	return true;
}

bool icmp_to_others(struct burst *b, struct packet *p, const struct own_address *own)
{
	struct address destination = packet_destination(p);
	struct returned r;

	if (!icmp_is_error(p) || judge(p, &r) != DROP_NONE)
		return false;
	if (own != NULL && tunnel_has_sent(b, &r)) {
		tunnel_take_error(b, p, &r);
		return true;
	}
	if (own != NULL && own->is_shared)
		return has_ports(&r) && follow_from_node(b, p, &r, own);
	if (!has_ports(&r) || output_is_to_kernel(b, &destination) || !is_of_dnat(b, p, &r))
		return false;

	segments_cut(p->mbuf, p->l2_len + p->ip_len);
	follow_to_client(b, p, &r);
	return true;
}
