#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>

#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "snat.h"

// The two stages alone: a client and nodes made of bytes, and the ways out of a burst as a record
// of what was taken.

enum {
	WEB,      // TCP.
	DNS,      // UDP.
	DEAD_END, // TCP, no node.
	FORMER,   // Was a service.
	N_SERVICES,
	N_NODES = 3,
	RING_SIZE = 7,
	NODE_PORT = 30080,
	START_S = 1000,
	REST_S = 60,
};

enum way { NOWHERE, SENT, DROPPED, REJECTED, PASSED_BY, PASSED_ON };

struct wire {
	struct packet p;
	enum way way;
	enum drop_reason reason;
	uint8_t bytes[80];
};

static bool passes_on, answers;

static struct wire *wire_of(struct packet *p)
{
	return (struct wire *)p->mbuf;
}

void output_send(struct burst *, struct packet *p, uint64_t)
{
	wire_of(p)->way = SENT;
}

void burst_drop(struct burst *, struct packet *p, enum drop_reason reason)
{
	wire_of(p)->way = DROPPED;
	wire_of(p)->reason = reason;
}

bool burst_reject(struct burst *, struct packet *p, enum drop_reason reason)
{
	wire_of(p)->way = REJECTED;
	wire_of(p)->reason = reason;
	return answers;
}

void burst_count(struct burst *b, enum event event)
{
	counter_add(&b->pipeline->counters->events[event], 1);
}

void burst_pass_by(struct burst *, struct packet *p)
{
	wire_of(p)->way = PASSED_BY;
}

bool burst_pass_on(struct burst *, struct packet *p)
{
	if (passes_on)
		wire_of(p)->way = PASSED_ON;
	return passes_on;
}

bool burst_fits_port(struct burst *, struct packet *)
{
	return true;
}

struct world {
	struct burst burst;
	struct pipeline pipeline;
	struct worker_counters counters;
	_Atomic uint64_t services_counted[N_SERVICES * TRAFFIC_BYTES / 8];
	_Atomic uint64_t nodes_counted[N_NODES * TRAFFIC_BYTES / 8];
	struct forwarding_table table;
	struct service services[N_FAMILIES][N_SERVICES];
	struct node nodes[N_NODES];
	uint8_t states[N_NODES];
	node_id ring[RING_SIZE];
	struct address snat[N_FAMILIES][2];
	struct route_step root;
	enum family family;
};

static struct address address(const char *text)
{
	uint8_t bytes[16];

	if (strchr(text, ':') != NULL) {
		assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
		return address_from_ipv6(bytes);
	}

	__be32 ipv4;
	assert_int_equal(inet_pton(AF_INET, text, &ipv4), 1);
	return address_from_ipv4(ipv4);
}

static struct address vip(enum family family)
{
	return address(family == IPV4 ? "10.0.0.1" : "2001:db8::1");
}

static void make_nodes(struct world *w)
{
	for (uint32_t i = 0; i < N_NODES; i++) {
		struct address ipv6 = address("2001:db8:1::");

		ipv6.bytes[15] = (uint8_t)(i + 1);
		w->nodes[i] = (struct node){.ipv6 = ipv6,
			.ipv4 = htonl(0xc0000201 + i),
			.next_hop = {(next_hop_id)(10 + i), (next_hop_id)(20 + i)}};
		w->states[i] = TARGET_UP;
	}
	for (uint32_t i = 0; i < RING_SIZE; i++)
		w->ring[i] = (node_id)(i % N_NODES);
}

static void make_services(struct world *w, enum family family)
{
	for (uint32_t i = 0; i < FORMER; i++) {
		w->services[family][i] = (struct service){.vip = vip(family),
			.ring = i == DEAD_END ? NULL : w->ring,
			.states = w->states,
			.salt = i,
			.ring_size = RING_SIZE,
			.idle_s = 300,
			.port = htons((uint16_t)(80 + i)),
			.node_port = htons((uint16_t)(NODE_PORT + i)),
			.protocol = i == DNS ? IPPROTO_UDP : IPPROTO_TCP};
	}
}

static void make_table(struct world *w)
{
	static const struct index_slot no_address = {.at = INDEX_EMPTY};

	w->snat[IPV4][0] = address("10.0.0.10");
	w->snat[IPV4][1] = address("10.0.0.11");
	w->snat[IPV6][0] = address("2001:db8::10");
	w->snat[IPV6][1] = address("2001:db8::11");
	for (unsigned i = 0; i < 256; i++)
		w->root.entries[i] = 5;
	w->table = (struct forwarding_table){
		.services = w->services[w->family],
		.n_services = N_SERVICES,
		.nodes = w->nodes,
		.n_nodes = N_NODES,
		.own_index = {.slots = &no_address},
		.snat = {w->snat[IPV4], w->snat[IPV6]},
		.n_snat = {1, 1},
		.routes = {.steps = {&w->root, &w->root}},
		.settings = {.tcp_half_open_s = 30,
			.tcp_closing_s = 10,
			.udp_one_way_s = 20,
			.snat_rest_s = REST_S,
			.reset_unknown_tcp = true,
			.reset_dead_target = true},
	};
}

static _Atomic uint64_t next_hops[NEXT_HOP_MAX];

static struct world *world_create(enum family family, size_t n_flows)
{
	struct world *w = aligned_alloc(64, (sizeof(*w) + 63) & ~(size_t)63);

	memset(w, 0, sizeof(*w));
	w->family = family;
	make_nodes(w);
	make_services(w, IPV4);
	make_services(w, IPV6);
	make_table(w);
	w->counters.services = traffic_counters_at(w->services_counted, N_SERVICES);
	w->counters.nodes = traffic_counters_at(w->nodes_counted, N_NODES);
	w->pipeline = (struct pipeline){.n_workers = 1,
		.next_hops = next_hops,
		.counters = &w->counters,
		.owners = owner_map_create(1),
		.hash_key = {0x243f6a8885a308d3, 0x13198a2e03707344}};
	for (enum family f = 0; f < N_FAMILIES; f++) {
		size_t bytes = flow_table_bytes(f, n_flows);
		void *memory = aligned_alloc(64, bytes);

		memset(memory, 0, bytes);
		w->pipeline.flows[f] =
			flow_table_create(memory, f, n_flows, w->pipeline.hash_key, START_S);
	}
	w->burst.pipeline = &w->pipeline;
	w->burst.table = &w->table;
	w->burst.now_s = START_S;
	w->burst.mtu_min = 1500;
	passes_on = false;
	answers = true;
	return w;
}

static void world_destroy(struct world *w)
{
	for (enum family f = 0; f < N_FAMILIES; f++) {
		const char *wrong = flow_table_check(w->pipeline.flows[f]);

		if (wrong != NULL)
			fail_msg("%s", wrong);
		free(w->pipeline.flows[f]);
	}
	owner_map_destroy((struct owner_map *)w->pipeline.owners);
	free(w);
}

// The ends of a packet.
struct ends {
	struct address source;
	struct address destination;
	uint16_t source_port;
	uint16_t destination_port;
};

static void assert_ends_equal(const struct ends *a, const struct ends *b)
{
	assert_true(address_equal(&a->source, &b->source));
	assert_true(address_equal(&a->destination, &b->destination));
	assert_int_equal(a->source_port, b->source_port);
	assert_int_equal(a->destination_port, b->destination_port);
}

static uint16_t l4_checksum(const struct wire *wire)
{
	return wire->p.family == IPV4 ? rte_ipv4_udptcp_cksum((void *)wire->p.l3, wire->p.l4)
				      : rte_ipv6_udptcp_cksum((void *)wire->p.l3, wire->p.l4);
}

static void write_ip(struct wire *wire, const struct ends *ends, uint16_t l4_len)
{
	struct rte_ipv4_hdr *ipv4 = (void *)wire->p.l3;
	struct rte_ipv6_hdr *ipv6 = (void *)wire->p.l3;

	if (wire->p.family == IPV4) {
		*ipv4 = (struct rte_ipv4_hdr){.version_ihl = 0x45,
			.total_length = htons((uint16_t)(20 + l4_len)),
			.time_to_live = 64,
			.next_proto_id = wire->p.protocol,
			.src_addr = ends->source.words[3],
			.dst_addr = ends->destination.words[3]};
		ipv4->hdr_checksum = rte_ipv4_cksum(ipv4);
		return;
	}
	*ipv6 = (struct rte_ipv6_hdr){.vtc_flow = htonl(6u << 28),
		.payload_len = htons(l4_len),
		.proto = wire->p.protocol,
		.hop_limits = 64};
	memcpy((uint8_t *)ipv6 + 8, &ends->source, 16);
	memcpy((uint8_t *)ipv6 + 24, &ends->destination, 16);
}

static void write_l4(struct wire *wire, const struct ends *ends, uint8_t flags)
{
	struct rte_tcp_hdr *tcp = (void *)wire->p.l4;
	struct rte_udp_hdr *udp = (void *)wire->p.l4;

	if (wire->p.protocol == IPPROTO_TCP) {
		*tcp = (struct rte_tcp_hdr){.src_port = htons(ends->source_port),
			.dst_port = htons(ends->destination_port),
			.data_off = 5 << 4,
			.tcp_flags = flags};
		tcp->cksum = l4_checksum(wire);
		return;
	}
	*udp = (struct rte_udp_hdr){.src_port = htons(ends->source_port),
		.dst_port = htons(ends->destination_port),
		.dgram_len = htons(12)};
	udp->dgram_cksum = l4_checksum(wire);
}

static void write_packet(struct wire *wire, enum family family, uint8_t protocol,
	const struct ends *ends, uint8_t flags)
{
	uint16_t l3_len = family == IPV4 ? 20 : 40;
	uint16_t l4_len = protocol == IPPROTO_TCP ? 20 : 12;

	*wire = (struct wire){0};
	wire->p.mbuf = (struct rte_mbuf *)wire;
	wire->p.l3 = wire->bytes + 2; // As behind an Ethernet header.
	wire->p.l4 = wire->p.l3 + l3_len;
	wire->p.family = family;
	wire->p.protocol = protocol;
	wire->p.ip_len = l3_len + l4_len;
	wire->p.tcp_flags = flags;
	write_ip(wire, ends, l4_len);
	write_l4(wire, ends, flags);
}

static struct ends ends_of(const struct wire *wire)
{
	struct packet *p = (struct packet *)&wire->p;

	return (struct ends){packet_source(p), packet_destination(p), ntohs(packet_source_port(p)),
		ntohs(packet_destination_port(p))};
}

static void assert_checksums_are_right(const struct wire *wire)
{
	struct rte_ipv4_hdr ip;

	if (wire->p.family == IPV4) {
		memcpy(&ip, wire->p.l3, sizeof(ip));
		ip.hdr_checksum = 0;
		assert_int_equal(
			rte_ipv4_cksum(&ip), ((struct rte_ipv4_hdr *)wire->p.l3)->hdr_checksum);
		assert_int_equal(rte_ipv4_udptcp_cksum_verify((void *)wire->p.l3, wire->p.l4), 0);
	} else {
		assert_int_equal(rte_ipv6_udptcp_cksum_verify((void *)wire->p.l3, wire->p.l4), 0);
	}
}

enum {
	SYN = RTE_TCP_SYN_FLAG,
	ACK = RTE_TCP_ACK_FLAG,
	FIN = RTE_TCP_FIN_FLAG | ACK,
	RST = RTE_TCP_RST_FLAG
};

static struct address client_address(enum family family, uint32_t number)
{
	struct address a = address(family == IPV4 ? "198.51.100.0" : "2001:db8:c::");

	a.words[3] = htonl(ntohl(a.words[3]) + number / 50000);
	return a;
}

static uint16_t client_port(uint32_t number)
{
	return (uint16_t)(10000 + number % 50000);
}

// A packet of client 'number' to the service, ready for snat_forward().
static void write_request(
	struct world *w, struct wire *wire, uint32_t number, service_id service, uint8_t flags)
{
	const struct service *s = &w->services[w->family][service];
	struct ends ends = {
		client_address(w->family, number), s->vip, client_port(number), ntohs(s->port)};

	write_packet(wire, w->family, s->protocol, &ends, flags);
	wire->p.service = service;
	snat_prepare(&w->pipeline, &wire->p, wire->p.family);
}

static void forward(struct world *w, struct packet **packets, uint16_t n)
{
	struct packet_list lists[N_FAMILIES] = {0};

	for (uint16_t i = 0; i < n; i++)
		packet_list_add(&lists[packets[i]->family], packets[i]);
	snat_forward(&w->burst, IPV4, &lists[IPV4]);
	snat_forward(&w->burst, IPV6, &lists[IPV6]);
}

// Forwards it, and tells the ends with which it left.
// In the burst of those before.
static enum way request_in_burst(struct world *w, uint32_t number, service_id service,
	uint8_t flags, struct ends *ret_ends, enum drop_reason *ret_reason)
{
	struct wire wire;
	struct packet *p = &wire.p;

	write_request(w, &wire, number, service, flags);
	forward(w, &p, 1);
	if (wire.way == SENT)
		assert_checksums_are_right(&wire);
	*ret_ends = ends_of(&wire);
	if (ret_reason != NULL)
		*ret_reason = wire.reason;
	return wire.way;
}

static enum way request(struct world *w, uint32_t number, service_id service, uint8_t flags,
	struct ends *ret_ends, enum drop_reason *ret_reason)
{
	w->burst.n_draws = 0;
	return request_in_burst(w, number, service, flags, ret_ends, ret_reason);
}

static node_id node_of(const struct world *w, const struct address *target)
{
	for (node_id i = 0; i < N_NODES; i++) {
		if (w->family == IPV4 ? target->words[3] == w->nodes[i].ipv4
				      : address_equal(target, &w->nodes[i].ipv6))
			return i;
	}
	return NODE_NONE;
}

// The node answers what came to it with these ends.
static enum way answer(struct world *w, uint8_t protocol, const struct ends *to_node, uint8_t flags,
	struct ends *ret_ends, enum drop_reason *ret_reason)
{
	struct ends ends = {to_node->destination, to_node->source, to_node->destination_port,
		to_node->source_port};
	struct wire wire;
	struct packet *p = &wire.p;

	write_packet(&wire, w->family, protocol, &ends, flags);
	wire.p.node = node_of(w, &to_node->destination);
	wire.p.snat_index = !address_equal(&to_node->source, &w->snat[w->family][0]);
	snat_prepare_reply(&w->pipeline, p, p->family);
	struct packet_list list = {.n = 1, .at = {p}};
	snat_reply(&w->burst, w->family, &list);
	if (wire.way == SENT) {
		assert_checksums_are_right(&wire);
		assert_int_equal(wire.p.next_hop, 5);
	}
	*ret_ends = ends_of(&wire);
	if (ret_reason != NULL)
		*ret_reason = wire.reason;
	return wire.way;
}

static struct ends handshake(struct world *w, uint32_t number)
{
	struct ends to_node, to_client, again;

	assert_int_equal(request(w, number, WEB, SYN, &to_node, NULL), SENT);
	assert_int_equal(answer(w, IPPROTO_TCP, &to_node, SYN | ACK, &to_client, NULL), SENT);
	assert_int_equal(request(w, number, WEB, ACK, &again, NULL), SENT);
	assert_ends_equal(&again, &to_node);
	return to_node;
}

static uint32_t in_state(const struct world *w, enum flow_state state)
{
	return w->pipeline.flows[w->family]->n_in_state[state];
}

// Until nothing is left to do.
static void expire(struct world *w, uint32_t now_s)
{
	for (int i = 0; i < 3000; i++)
		snat_expire(&w->pipeline, &w->table, now_s);
}

static void a_packet_goes_to_a_node_and_its_answer_comes_from_the_vip(void **)
{
	for (int i = 0; i < 4; i++) {
		struct world *w = world_create(i % 2, 64);
		service_id service = i / 2 == 0 ? WEB : DNS;
		uint8_t protocol = w->services[w->family][service].protocol;
		struct ends to_node, to_client;
		struct address client = client_address(w->family, 7), own_vip = vip(w->family);

		assert_int_equal(request(w, 7, service, SYN, &to_node, NULL), SENT);
		assert_true(address_equal(&to_node.source, &w->snat[w->family][0]));
		assert_int_not_equal(node_of(w, &to_node.destination), NODE_NONE);
		assert_int_equal(to_node.destination_port, NODE_PORT + service);
		assert_in_range(to_node.source_port, SNAT_PORT_MIN, 65535);

		assert_int_equal(answer(w, protocol, &to_node, SYN | ACK, &to_client, NULL), SENT);
		assert_true(address_equal(&to_client.source, &own_vip));
		assert_true(address_equal(&to_client.destination, &client));
		assert_int_equal(to_client.source_port, 80 + service);
		assert_int_equal(to_client.destination_port, client_port(7));
		world_destroy(w);
	}
}

static void assert_counted_a_handshake(const struct traffic_counters *counters, size_t id)
{
	assert_int_equal(counters->in[id].packets, 2);
	assert_int_equal(counters->in[id].bytes, 80);
	assert_int_equal(counters->out[id].packets, 1);
	assert_int_equal(counters->out[id].bytes, 40);
	assert_int_equal(counters->flows[id].now, 1);
	assert_int_equal(counters->flows[id].created, 1);
}

static void traffic_is_counted_by_service_and_node(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct ends to_node = handshake(w, 7);
	assert_counted_a_handshake(&w->counters.services, WEB);
	assert_counted_a_handshake(&w->counters.nodes, node_of(w, &to_node.destination));
	world_destroy(w);
}

static void the_slot_chooses_the_node(void **)
{
	struct world *w = world_create(IPV6, 4096);
	uint32_t of_node[N_NODES] = {0};

	for (uint32_t i = 0; i < 2000; i++) {
		struct address client = client_address(IPV6, i);
		uint32_t slot = flow_hash_slot(w->pipeline.hash_key, IPV6, &client,
			htons(client_port(i)), w->services[IPV6][WEB].salt, RING_SIZE);
		struct ends to_node;

		assert_int_equal(request(w, i, WEB, SYN, &to_node, NULL), SENT);
		assert_int_equal(node_of(w, &to_node.destination), w->ring[slot]);
		of_node[w->ring[slot]]++;
	}
	// 3, 2 and 2 of 7 slots.
	assert_in_range(of_node[0], 750, 960);
	assert_in_range(of_node[1], 480, 660);
	assert_in_range(of_node[2], 480, 660);
	world_destroy(w);
}

static void a_connection_opens_closes_and_begins_anew_by_a_syn(void **)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct world *w = world_create(family, 64);
		struct ends to_node = handshake(w, 7), ends;

		assert_int_equal(in_state(w, FLOW_ESTABLISHED), 1);
		request(w, 7, WEB, SYN, &ends, NULL); // The node knows what to say to this.
		assert_int_equal(in_state(w, FLOW_ESTABLISHED), 1);

		request(w, 7, WEB, FIN, &ends, NULL);
		answer(w, IPPROTO_TCP, &to_node, FIN, &ends, NULL);
		assert_int_equal(in_state(w, FLOW_CLOSING), 1);
		assert_int_equal(request(w, 7, WEB, ACK, &ends, NULL), SENT);

		assert_int_equal(request(w, 7, WEB, SYN, &ends, NULL), SENT);
		assert_int_not_equal(ends.source_port, to_node.source_port);
		assert_int_equal(in_state(w, FLOW_RESTING), 1);
		assert_int_equal(in_state(w, FLOW_HALF_OPEN), 1);
		world_destroy(w);
	}
}

static void a_syn_sent_again_keeps_its_flow(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct ends first, again;

	request(w, 7, WEB, SYN, &first, NULL);
	w->burst.now_s += 3;
	request(w, 7, WEB, SYN, &again, NULL);
	assert_ends_equal(&again, &first);
	assert_int_equal(flow_table_used(w->pipeline.flows[IPV4]), 1);
	world_destroy(w);
}

static void packets_of_one_new_flow_in_one_burst_share_it(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct wire wires[3];
	struct packet *packets[3];

	for (int i = 0; i < 3; i++) {
		write_request(w, &wires[i], 7, DNS, 0);
		packets[i] = &wires[i].p;
	}
	forward(w, packets, 3);
	assert_int_equal(flow_table_used(w->pipeline.flows[IPV4]), 1);
	for (int i = 0; i < 3; i++) {
		struct ends first = ends_of(&wires[0]), ends = ends_of(&wires[i]);

		assert_int_equal(wires[i].way, SENT);
		assert_ends_equal(&ends, &first);
	}
	world_destroy(w);
}

// In a full table a flow that begins takes the place of the oldest half-open one, of which the same
// burst has a packet.
static void a_flow_that_gives_way_in_the_burst_of_its_own_packet_is_not_mistaken(void **)
{
	struct world *w = world_create(IPV4, FLOWS_MIN);
	struct ends ends;

	for (uint32_t i = 0; i < FLOWS_MIN; i++) {
		w->burst.now_s = START_S + i;
		request(w, i, WEB, SYN, &ends, NULL);
	}

	struct wire wires[2];
	struct packet *packets[2] = {&wires[0].p, &wires[1].p};
	write_request(w, &wires[0], 1000, WEB, SYN);
	write_request(w, &wires[1], 0, WEB, SYN);
	forward(w, packets, 2);

	struct ends of_new = ends_of(&wires[0]), of_old = ends_of(&wires[1]);
	struct address new_client = client_address(IPV4, 1000),
		       old_client = client_address(IPV4, 0);
	struct ends to_client;
	assert_int_equal(answer(w, IPPROTO_TCP, &of_new, SYN | ACK, &to_client, NULL), SENT);
	assert_true(address_equal(&to_client.destination, &new_client));
	assert_int_equal(to_client.destination_port, client_port(1000));
	if (answer(w, IPPROTO_TCP, &of_old, SYN | ACK, &to_client, NULL) == SENT) {
		assert_true(address_equal(&to_client.destination, &old_client));
		assert_int_equal(to_client.destination_port, client_port(0));
	}
	assert_int_equal(w->counters.events[EVENT_FLOWS_EVICTED_HALF_OPEN], 1);
	world_destroy(w);
}

static void both_families_may_share_a_burst(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct wire wires[6];
	struct packet *packets[6];

	for (int i = 0; i < 6; i++) {
		w->family = i % 3 == 0 ? IPV4 : IPV6;
		write_request(w, &wires[i], (uint32_t)i, DNS, 0);
		packets[i] = &wires[i].p;
	}
	forward(w, packets, 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(wires[i].way, SENT);
		assert_checksums_are_right(&wires[i]);
	}
	assert_int_equal(flow_table_used(w->pipeline.flows[IPV4]), 2);
	assert_int_equal(flow_table_used(w->pipeline.flows[IPV6]), 4);
	world_destroy(w);
}

static const struct unknown_case {
	const char *name;
	uint8_t flags;
	bool resets;
	bool rss;
	enum way want;
} unknown_cases[] = {
	{"ack", ACK, true, false, REJECTED},
	{"ack, told to be silent", ACK, false, false, DROPPED},
	{"reset", RST, true, false, DROPPED},
	{"fin", FIN, true, false, REJECTED},
	{"syn and ack", SYN | ACK, true, false, REJECTED},
	{"syn and reset", SYN | RST, true, false, DROPPED},
	{"ack that another worker may know", ACK, true, true, PASSED_ON},
};

static void other_tcp_of_no_flow_leaves_nothing(void **)
{
	for (size_t i = 0; i < sizeof(unknown_cases) / sizeof(unknown_cases[0]); i++) {
		const struct unknown_case *t = &unknown_cases[i];
		struct world *w = world_create(IPV4, 64);
		struct ends ends;
		enum drop_reason reason;

		print_message("    %s\n", t->name);
		w->table.settings.reset_unknown_tcp = t->resets;
		w->pipeline.rss = passes_on = t->rss;
		assert_int_equal(request(w, 7, WEB, t->flags, &ends, &reason), t->want);
		if (t->want != PASSED_ON)
			assert_int_equal(reason, DROP_UNKNOWN_TCP);
		assert_int_equal(flow_table_used(w->pipeline.flows[IPV4]), 0);
		world_destroy(w);
	}
}

// What becomes of an established flow's packet when its node is in another state.
static const struct target_case {
	const char *name;
	service_id service;
	enum target_state state;
	uint8_t flags;
	bool resets;
	enum way want;
	bool moves;
} target_cases[] = {
	{"tcp, up", WEB, TARGET_UP, ACK, true, SENT, false},
	{"tcp, draining", WEB, TARGET_DRAINING, ACK, true, SENT, false},
	{"tcp, down", WEB, TARGET_DOWN, ACK, true, REJECTED, false},
	{"tcp, gone", WEB, TARGET_ABSENT, ACK, true, REJECTED, false},
	{"tcp, down, a reset", WEB, TARGET_DOWN, RST, true, DROPPED, false},
	{"tcp, down, told to be silent", WEB, TARGET_DOWN, ACK, false, SENT, true},
	{"tcp, down, begins anew", WEB, TARGET_DOWN, SYN, true, SENT, true},
	{"udp, draining", DNS, TARGET_DRAINING, 0, true, SENT, false},
	{"udp, down", DNS, TARGET_DOWN, 0, true, SENT, true},
	{"udp, gone", DNS, TARGET_ABSENT, 0, true, SENT, true},
};

static void a_flow_follows_the_fate_of_its_target(void **)
{
	for (size_t i = 0; i < sizeof(target_cases) / sizeof(target_cases[0]); i++) {
		const struct target_case *t = &target_cases[i];
		struct world *w = world_create(i % 2, 64);
		uint8_t protocol = w->services[w->family][t->service].protocol;
		struct ends before, after, ends;
		enum drop_reason reason;

		print_message("    %s\n", t->name);
		request(w, 7, t->service, SYN, &before, NULL);
		answer(w, protocol, &before, SYN | ACK, &ends, NULL);
		request(w, 7, t->service, ACK, &ends, NULL);
		assert_int_equal(in_state(w, FLOW_ESTABLISHED), 1);

		node_id dead = node_of(w, &before.destination);
		w->states[dead] = t->state;
		w->table.settings.reset_dead_target = t->resets;
		if (t->state != TARGET_UP) {
			for (uint32_t s = 0; s < RING_SIZE; s++)
				w->ring[s] = (node_id)((dead + 1 + s % 2) % N_NODES);
		}

		assert_int_equal(request(w, 7, t->service, t->flags, &after, &reason), t->want);
		if (t->want == SENT && t->moves)
			assert_int_not_equal(node_of(w, &after.destination), dead);
		else if (t->want == SENT)
			assert_ends_equal(&after, &before);
		else
			assert_int_equal(reason, DROP_DEAD_TARGET);
		world_destroy(w);
	}
}

static void a_dead_targets_client_is_told_again_until_it_begins_anew(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct ends to_node = handshake(w, 7), ends;
	node_id dead = node_of(w, &to_node.destination);

	w->states[dead] = TARGET_DOWN;
	for (uint32_t s = 0; s < RING_SIZE; s++)
		w->ring[s] = (node_id)((dead + 1) % N_NODES);
	for (int i = 0; i < 3; i++)
		assert_int_equal(request(w, 7, WEB, ACK, &ends, NULL), REJECTED);
	assert_int_equal(in_state(w, FLOW_CLOSING), 1);
	assert_int_equal(request(w, 7, WEB, SYN, &ends, NULL), SENT);
	assert_int_equal(node_of(w, &ends.destination), (dead + 1) % N_NODES);
	world_destroy(w);
}

static void a_node_or_address_that_the_table_lost_is_a_dead_target(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct ends ends;

	handshake(w, 7);
	w->table.n_snat[IPV4] = 0;
	assert_int_equal(request(w, 7, WEB, ACK, &ends, NULL), REJECTED);
	w->table.n_snat[IPV4] = 1;
	w->table.n_nodes = 0;
	assert_int_equal(request(w, 7, WEB, ACK, &ends, NULL), REJECTED);
	world_destroy(w);
}

static void new_flows_that_cannot_be_have_their_reasons(void **)
{
	struct world *w = world_create(IPV4, 64);
	enum drop_reason reason;
	struct ends ends;

	assert_int_equal(request(w, 7, DEAD_END, SYN, &ends, &reason), REJECTED);
	assert_int_equal(reason, DROP_NO_TARGET);

	for (int i = 0; i < N_NODES; i++)
		w->nodes[i].next_hop[IPV4] = NEXT_HOP_NONE;
	assert_int_equal(request(w, 7, WEB, SYN, &ends, &reason), DROPPED);
	assert_int_equal(reason, DROP_NO_ROUTE);
	assert_int_equal(flow_table_used(w->pipeline.flows[IPV4]), 0);
	world_destroy(w);
}

static void established_flows_do_not_give_way(void **)
{
	struct world *w = world_create(IPV4, FLOWS_MIN);
	enum drop_reason reason;
	struct ends ends;

	for (uint32_t i = 0; i < FLOWS_MIN; i++)
		handshake(w, i);
	assert_int_equal(request(w, 1000, WEB, SYN, &ends, &reason), DROPPED);
	assert_int_equal(reason, DROP_FLOWS_FULL);
	assert_int_equal(request(w, 3, WEB, ACK, &ends, NULL), SENT);
	world_destroy(w);
}

static void replies_without_a_flow_are_dropped(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct ends to_node = handshake(w, 7), ends, other = to_node;
	enum drop_reason reason;

	other.source_port ^= 1;
	assert_int_equal(answer(w, IPPROTO_TCP, &other, ACK, &ends, &reason), DROPPED);
	assert_int_equal(reason, DROP_NO_FLOW);

	// Its service goes, then it rests.
	w->services[IPV4][WEB].protocol = 0;
	assert_int_equal(answer(w, IPPROTO_TCP, &to_node, ACK, &ends, &reason), DROPPED);
	assert_int_equal(reason, DROP_NO_FLOW);
	expire(w, START_S + 1000);
	assert_int_equal(in_state(w, FLOW_RESTING), 1);
	w->services[IPV4][WEB].protocol = IPPROTO_TCP;
	assert_int_equal(answer(w, IPPROTO_TCP, &to_node, ACK, &ends, &reason), DROPPED);
	assert_int_equal(reason, DROP_NO_FLOW);
	world_destroy(w);
}

// To one target, from one address: 60 000 flows, each with a port of its own.
static void ports_are_unique_towards_a_target(void **)
{
	enum { N = 60000 };
	struct world *w = world_create(IPV4, N);
	bool *taken = calloc(65536, sizeof(*taken));

	memset(w->ring, 0, sizeof(w->ring));
	for (uint32_t i = 0; i < N; i++) {
		struct ends to_node;

		assert_int_equal(request(w, i, DNS, 0, &to_node, NULL), SENT);
		assert_false(taken[to_node.source_port]);
		taken[to_node.source_port] = true;
	}
	free(taken);
	world_destroy(w);
}

static void all_addresses_of_the_pool_are_used_and_targets_share_ports(void **)
{
	enum { N = 150000 };
	struct world *w = world_create(IPV4, N);
	uint32_t of_address[2] = {0};

	w->table.n_snat[IPV4] = 2;
	for (uint32_t i = 0; i < N; i++) {
		struct ends to_node, to_client;

		assert_int_equal(request(w, i, DNS, 0, &to_node, NULL), SENT);
		of_address[address_equal(&to_node.source, &w->snat[IPV4][1])]++;
		if (i % 1000 != 0)
			continue;
		assert_int_equal(answer(w, IPPROTO_UDP, &to_node, 0, &to_client, NULL), SENT);
		assert_int_equal(to_client.destination_port, client_port(i));
	}
	assert_in_range(of_address[0], N / 2 - N / 50, N / 2 + N / 50);
	world_destroy(w);
}

static void ports_rest_while_others_are_free_and_then_are_used_early(void **)
{
	struct world *w = world_create(IPV4, 70000);
	struct ends ends;
	uint32_t n = 0;

	// Takes nearly every port, until a half-open flow has to give way; ends all those flows,
	// then takes as many again.
	memset(w->ring, 0, sizeof(w->ring));
	while (w->counters.events[EVENT_FLOWS_EVICTED_HALF_OPEN] == 0) {
		assert_int_equal(request(w, n, DNS, 0, &ends, NULL), SENT);
		n++;
	}
	n--;
	assert_in_range(n, 58000, SNAT_PORTS);
	assert_int_equal(w->counters.events[EVENT_SNAT_PORT_REUSED_EARLY], 0);

	// 20 s one way, then they rest.
	expire(w, START_S + 20);
	assert_int_equal(in_state(w, FLOW_RESTING), n);
	w->burst.now_s = START_S + 21;
	for (uint32_t i = 0; i < SNAT_PORTS - n; i++)
		assert_int_equal(request(w, 100000 + i, DNS, 0, &ends, NULL), SENT);
	uint64_t early = w->counters.events[EVENT_SNAT_PORT_REUSED_EARLY];
	assert_in_range(early, 1, (SNAT_PORTS - n) / 2);
	assert_int_equal(in_state(w, FLOW_RESTING), n - early);

	expire(w, START_S + 20 + REST_S);
	assert_int_equal(in_state(w, FLOW_RESTING), SNAT_PORTS - n); // The last, after their 20 s.
	world_destroy(w);
}

// With every port taken by flows that were answered, nothing gives way, and a burst does not draw
// for ever.
static void four_workers_together_carry_50000_flows_to_each_target_by_one_address(void **)
{
	enum { N_WORKERS = 4, N_TARGETS = 3, PER_WORKER = N_TARGETS * 12500 };
	struct world *w = world_create(IPV4, N_WORKERS * PER_WORKER);
	static bool taken[N_TARGETS][65536];
	enum drop_reason reason = DROP_NONE;
	struct ends ends;

	memset(taken, 0, sizeof(taken));
	owner_map_destroy((struct owner_map *)w->pipeline.owners);
	w->pipeline.owners = owner_map_create(N_WORKERS);
	for (uint32_t i = 0; i < N_WORKERS * PER_WORKER; i++) {
		// One table does for all: what a worker may take is what it owns.
		w->pipeline.worker = i % N_WORKERS;
		for (uint32_t slot = 0; slot < RING_SIZE; slot++)
			w->ring[slot] = (node_id)(i / N_WORKERS % N_TARGETS);
		assert_int_equal(request(w, i, DNS, 0, &ends, &reason), SENT);
		node_id node = node_of(w, &ends.destination);

		assert_false(taken[node][ends.source_port]);
		taken[node][ends.source_port] = true;
	}
	assert_int_equal(w->counters.events[EVENT_FLOWS_EVICTED_HALF_OPEN], 0);
	assert_int_equal(w->counters.events[EVENT_SNAT_PORT_REUSED_EARLY], 0);
	world_destroy(w);
}

static void established_flows_keep_their_ports(void **)
{
	struct world *w = world_create(IPV4, 70000);
	enum drop_reason reason;
	struct ends to_node, ends;
	uint32_t n = 0;

	memset(w->ring, 0, sizeof(w->ring));
	while (request(w, n, DNS, 0, &to_node, &reason) == SENT) {
		assert_int_equal(answer(w, IPPROTO_UDP, &to_node, 0, &ends, NULL), SENT);
		n++;
	}
	assert_int_equal(reason, DROP_NO_PORT);
	assert_in_range(n, 58000, SNAT_PORTS);
	assert_int_equal(w->counters.events[EVENT_FLOWS_EVICTED_HALF_OPEN], 0);

	w->burst.n_draws = 0;
	for (uint32_t i = 0; i < BURST_MAX; i++)
		request_in_burst(w, 100000 + i, DNS, 0, &ends, NULL);
	assert_in_range(w->burst.n_draws, 1, 512 + 128 + 4 * BURST_MAX);
	world_destroy(w);
}

static void a_flow_whose_client_could_not_be_told_goes_on_when_its_target_returns(void **)
{
	struct world *w = world_create(IPV4, 64);
	struct ends to_node = handshake(w, 7), ends;
	node_id node = node_of(w, &to_node.destination);

	answers = false;
	w->states[node] = TARGET_DOWN;
	assert_int_equal(request(w, 7, WEB, ACK, &ends, NULL), REJECTED);
	assert_int_equal(in_state(w, FLOW_ESTABLISHED), 1);
	w->states[node] = TARGET_UP;
	assert_int_equal(request(w, 7, WEB, ACK, &ends, NULL), SENT);
	assert_ends_equal(&ends, &to_node);
	world_destroy(w);
}

static void an_errors_flow_is_found_from_either_side(void **)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct world *w = world_create(family, 64);
		struct ends to_node = handshake(w, 7);
		struct flow_key key = {client_address(family, 7), vip(family),
			htons(client_port(7)), htons(80), IPPROTO_TCP};
		const void *client =
			family == IPV4 ? (const void *)&key.client.words[3] : &key.client;
		uint64_t hash =
			flow_hash(w->pipeline.hash_key, family, client, key.client_port, WEB);
		union return_key back = {.node = node_of(w, &to_node.destination),
			.node_port = htons(NODE_PORT),
			.snat_port = htons(to_node.source_port),
			.protocol = IPPROTO_TCP};
		struct snat_flow a, b;

		assert_true(snat_find_of_client(&w->burst, &key, WEB, hash, &a));
		assert_true(snat_find_of_node(&w->burst, family, &back, &b));
		assert_memory_equal(&a, &b, offsetof(struct snat_flow, protocol) + 1);
		assert_true(address_equal(&a.client, &key.client));
		assert_true(address_equal(&a.vip, &key.vip));
		assert_true(address_equal(&a.snat, &to_node.source));
		assert_true(address_equal(&a.target, &to_node.destination));
		assert_int_equal(a.snat_port, htons(to_node.source_port));
		assert_int_equal(a.port, htons(80));

		back.snat_port ^= 1;
		assert_false(snat_find_of_node(&w->burst, family, &back, &b));
		world_destroy(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_goes_to_a_node_and_its_answer_comes_from_the_vip),
		cmocka_unit_test(traffic_is_counted_by_service_and_node),
		cmocka_unit_test(the_slot_chooses_the_node),
		cmocka_unit_test(a_connection_opens_closes_and_begins_anew_by_a_syn),
		cmocka_unit_test(a_syn_sent_again_keeps_its_flow),
		cmocka_unit_test(packets_of_one_new_flow_in_one_burst_share_it),
		cmocka_unit_test(
			a_flow_that_gives_way_in_the_burst_of_its_own_packet_is_not_mistaken),
		cmocka_unit_test(both_families_may_share_a_burst),
		cmocka_unit_test(other_tcp_of_no_flow_leaves_nothing),
		cmocka_unit_test(a_flow_follows_the_fate_of_its_target),
		cmocka_unit_test(a_dead_targets_client_is_told_again_until_it_begins_anew),
		cmocka_unit_test(a_node_or_address_that_the_table_lost_is_a_dead_target),
		cmocka_unit_test(new_flows_that_cannot_be_have_their_reasons),
		cmocka_unit_test(established_flows_do_not_give_way),
		cmocka_unit_test(replies_without_a_flow_are_dropped),
		cmocka_unit_test(ports_are_unique_towards_a_target),
		cmocka_unit_test(all_addresses_of_the_pool_are_used_and_targets_share_ports),
		cmocka_unit_test(ports_rest_while_others_are_free_and_then_are_used_early),
		cmocka_unit_test(
			four_workers_together_carry_50000_flows_to_each_target_by_one_address),
		cmocka_unit_test(established_flows_keep_their_ports),
		cmocka_unit_test(
			a_flow_whose_client_could_not_be_told_goes_on_when_its_target_returns),
		cmocka_unit_test(an_errors_flow_is_found_from_either_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
