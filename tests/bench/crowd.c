#include "crowd.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_tcp.h>

#include "ask.h"
#include "choose.h"
#include "clock.h"
#include "dnat.h"
#include "dsr.h"
#include "little_table.h"
#include "output.h"
#include "parse.h"
#include "segments.h"
#include "snat.h"
#include "tunnel.h"

enum {
	N_NODES = 8,
	N_SERVICES = 16,
	N_SNAT = 4,
	RING_SIZE = 65537,
	NODE_PORT = 30000,
	FRAME_BYTES = 74,
	HOP = 1,
	BURST_NS = 3200, // From one burst to the next, as of ten million packets a second.
	NODES_MAX = 1024,
};

static const uint64_t hash_key[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};
static const struct port_facts port = {.mac = {{2, 0, 0, 0, 0, 1}}, .mtu = 1500};

static void add_services(struct little_table *t, const struct crowd_mode *mode, enum family family,
	const node_id nodes[N_NODES])
{
	enum family target_family = mode->mode == MODE_TUNNEL ? IPV4 : family;

	for (int i = 0; i < N_SERVICES; i++) {
		service_id id = little_table_add_service(t,
			family == IPV4 ? "10.0.0.1" : "2001:db8::1", (uint16_t)(80 + i),
			IPPROTO_TCP, (uint16_t)(NODE_PORT + i), nodes, N_NODES);

		little_table_set_mode(t, id, mode->mode, target_family, mode->tunnel_kind);
	}
}

static struct little_table *make_table(const struct crowd_mode *mode, enum family family)
{
	struct little_table *t = little_table_create();
	char text[ADDRESS_TEXT_MAX];
	node_id nodes[N_NODES];

	for (int i = 0; i < N_NODES; i++) {
		char ipv6[ADDRESS_TEXT_MAX];

		snprintf(text, sizeof(text), "192.0.2.%d", i + 10);
		snprintf(ipv6, sizeof(ipv6), "2001:db8:2::%x", i + 10);
		nodes[i] = little_table_add_node(t, text, ipv6, HOP);
	}
	add_services(t, mode, family, nodes);
	little_table_add_vip(t, family == IPV4 ? "10.0.0.1" : "2001:db8::1", true);
	for (int i = 0; i < N_SNAT; i++) {
		snprintf(text, sizeof(text), family == IPV4 ? "192.0.2.%d" : "2001:db8:2::%d",
			i + 1);
		little_table_add_snat(t, text);
	}
	little_table_add_tunnel_source(t, "192.0.2.9");
	little_table_add_route(t, "0.0.0.0/1", HOP);
	little_table_add_route(t, "2000::/3", HOP);
	little_table_finish(t);
	return t;
}

static void make_ring(struct crowd *c)
{
	struct service *services = c->little->services;

	c->ring = malloc(RING_SIZE * sizeof(*c->ring));
	bench_require(c->ring != NULL, "out of memory");
	for (int i = 0; i < RING_SIZE; i++)
		c->ring[i] = (node_id)((uint32_t)i * 2654435761u % N_NODES);
	for (int i = 0; i < N_SERVICES; i++) {
		services[i].ring = c->ring;
		services[i].ring_size = RING_SIZE;
	}
}

static struct rte_mempool *packet_pool(void)
{
	static struct rte_mempool *pool;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create(
			"packets", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	bench_require(pool != NULL, "out of memory");
	return pool;
}

static struct traffic_counters make_counters(size_t n)
{
	size_t bytes = RTE_ALIGN(n * TRAFFIC_BYTES, 64);
	void *memory = aligned_alloc(64, bytes);

	bench_require(memory != NULL, "out of memory");
	memset(memory, 0, bytes);
	return traffic_counters_at(memory, n);
}

static void make_pipeline(struct crowd *c, const struct bench *b)
{
	static _Atomic uint64_t next_hops[NEXT_HOP_MAX];
	static _Atomic uint64_t path_mtus[NODES_MAX * N_FAMILIES];
	const struct rte_ether_addr gateway = {{2, 0, 0, 0, 0, 9}};
	uint64_t word = NEXT_HOP_RESOLVED;

	memcpy(&word, &gateway, sizeof(gateway));
	for (size_t i = 0; i < NEXT_HOP_MAX; i++)
		next_hops[i] = word;
	bench_require(c->table->n_nodes <= NODES_MAX, "too many nodes");
	c->counters.services = make_counters(c->table->n_services);
	c->counters.nodes = make_counters(c->table->n_nodes);
	bench_require(flow_memory_map(flow_table_bytes(c->family, c->n_flows), -1,
			      bench_options(b)->hugepages, &c->flow_memory) == 0 &&
			flow_memory_map(
				c->n_flows * sizeof(*c->back), -1, false, &c->back_memory) == 0,
		"out of memory");
	c->back = c->back_memory.at;

	c->pipeline = (struct pipeline){
		.n_workers = 1,
		.counters = &c->counters,
		.owners = owner_map_create(1),
		.next_hops = next_hops,
		.path_mtus = path_mtus,
		.ports = &port,
		.n_ports = 1,
		.hash_key = {hash_key[0], hash_key[1]},
	};
	bench_require(c->pipeline.owners != NULL, "out of memory");
	c->pipeline.flows[c->family] = flow_table_create(c->flow_memory.at, c->family, c->n_flows,
		hash_key, (uint32_t)(c->now_ns / 1000000000));
	pipeline_prepare(&c->pipeline);
}

static struct crowd *allocate(const struct crowd_mode *mode, enum family family, uint64_t n_flows)
{
	struct crowd *c = aligned_alloc(64, RTE_ALIGN(sizeof(*c), 64));

	bench_require(c != NULL, "out of memory");
	memset(c, 0, sizeof(*c));
	c->family = family;
	c->mode = mode;
	c->n_flows = n_flows;
	c->now_ns = 1000000000000;
	c->out = calloc(1, sizeof(*c->out));
	bench_require(
		c->out != NULL && rte_pktmbuf_alloc_bulk(packet_pool(), c->mbufs, BURST_MAX) == 0,
		"out of memory");
	return c;
}

struct crowd *crowd_create(
	const struct bench *b, const struct crowd_mode *mode, enum family family, uint64_t n_flows)
{
	struct crowd *c = allocate(mode, family, n_flows);

	c->little = make_table(mode, family);
	c->table = &c->little->table;
	make_ring(c);
	make_pipeline(c, b);
	return c;
}

struct crowd *crowd_create_over(const struct bench *b, const struct crowd_mode *mode,
	enum family family, uint64_t n_flows, const struct forwarding_table *table)
{
	struct crowd *c = allocate(mode, family, n_flows);

	c->table = table;
	make_pipeline(c, b);
	return c;
}

void crowd_destroy(struct crowd *c)
{
	rte_pktmbuf_free_bulk(c->mbufs, BURST_MAX);
	flow_memory_unmap(&c->flow_memory);
	flow_memory_unmap(&c->back_memory);
	owner_map_destroy((struct owner_map *)c->pipeline.owners);
	free(c->counters.services.in);
	free(c->counters.nodes.in);
	free(c->little);
	free(c->ring);
	free(c->out);
	free(c);
}

// Clients
// -------

struct ends {
	struct address source;
	struct address destination;
	rte_be16_t source_port;
	rte_be16_t destination_port;
};

static service_id service_of(const struct crowd *c, uint64_t client)
{
	return (service_id)(client % c->table->n_services);
}

// One address a client, 2^24 of them.
static struct address client_address(enum family family, uint64_t client)
{
	struct address a = address_of(family == IPV4 ? "11.0.0.0" : "2001:db8:c::");

	a.words[3] |= htonl((uint32_t)client & 0xffffff);
	return a;
}

static rte_be16_t client_port(uint64_t client)
{
	return htons((uint16_t)(1024 + client * 2654435761u % 60000));
}

static void write_ip(struct crowd *c, uint8_t *l3, const struct ends *ends)
{
	if (c->family == IPV4) {
		struct rte_ipv4_hdr ip = {
			.version_ihl = 0x45,
			.total_length = htons(40),
			.time_to_live = 64,
			.next_proto_id = IPPROTO_TCP,
			.src_addr = ends->source.words[3],
			.dst_addr = ends->destination.words[3],
		};

		ip.hdr_checksum = rte_ipv4_cksum(&ip);
		memcpy(l3, &ip, sizeof(ip));
		return;
	}

	struct rte_ipv6_hdr ip = {.vtc_flow = htonl(6u << 28),
		.payload_len = htons(20),
		.proto = IPPROTO_TCP,
		.hop_limits = 64};
	memcpy((uint8_t *)&ip + 8, &ends->source, 16);
	memcpy((uint8_t *)&ip + 24, &ends->destination, 16);
	memcpy(l3, &ip, sizeof(ip));
}

static void write_packet(
	struct crowd *c, struct rte_mbuf *m, const struct ends *ends, uint8_t tcp_flags)
{
	rte_pktmbuf_reset(m);
	uint16_t len = c->family == IPV4 ? 54 : 74;
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, len + c->padding_bytes);
	struct rte_ether_hdr eth = {.dst_addr = port.mac,
		.src_addr = {{2, 0, 0, 0, 0, 8}},
		.ether_type = htons(c->family == IPV4 ? 0x0800 : 0x86dd)};
	struct rte_tcp_hdr tcp = {.src_port = ends->source_port,
		.dst_port = ends->destination_port,
		.data_off = 5 << 4,
		.tcp_flags = tcp_flags};

	m->port = 0;
	memcpy(frame, &eth, sizeof(eth));
	write_ip(c, frame + 14, ends);
	memcpy(frame + (c->family == IPV4 ? 34 : 54), &tcp, sizeof(tcp));
	memset(frame + len, 0, c->padding_bytes);
}

void crowd_write_requests(struct crowd *c, const uint64_t clients[BURST_MAX], uint8_t tcp_flags)
{
	for (int i = 0; i < BURST_MAX; i++) {
		const struct service *s = &c->table->services[service_of(c, clients[i])];
		const struct ends ends = {client_address(c->family, clients[i]), s->vip,
			client_port(clients[i]), s->port};

		write_packet(c, c->mbufs[i], &ends, tcp_flags);
	}
}

static struct ends ends_of_snat_reply(const struct crowd *c, uint64_t client)
{
	union return_key back = c->back[client];

	return (struct ends){node_address(&c->table->nodes[back.node], c->family),
		c->table->snat[c->family][back.snat_index], back.node_port, back.snat_port};
}

// By any of the nodes: none remembers which it was.
static struct ends ends_of_dnat_reply(const struct crowd *c, uint64_t client)
{
	const struct node *node =
		&c->table->nodes[client / c->table->n_services % c->table->n_nodes];

	return (struct ends){node_address(node, c->family), client_address(c->family, client),
		c->table->services[service_of(c, client)].node_port, client_port(client)};
}

void crowd_write_replies(struct crowd *c, const uint64_t clients[BURST_MAX], uint8_t tcp_flags)
{
	for (int i = 0; i < BURST_MAX; i++) {
		const struct ends ends = c->mode->mode == MODE_DNAT
			? ends_of_dnat_reply(c, clients[i])
			: ends_of_snat_reply(c, clients[i]);

		write_packet(c, c->mbufs[i], &ends, tcp_flags);
	}
}

static void take_outcome(struct crowd *c)
{
	bench_require(c->out->n.tx[0] == BURST_MAX, "a packet was not sent");
	outcome_empty(c->out);
}

uint64_t crowd_forward(struct crowd *c)
{
	c->now_ns += BURST_NS;

	uint64_t start = bench_now();

	pipeline_forward(
		&c->pipeline, c->table, c->mbufs, BURST_MAX, ORIGIN_PORT, c->now_ns, c->out);
	snat_expire(&c->pipeline, c->table, (uint32_t)(c->now_ns / 1000000000));

	uint64_t took = bench_now() - start;
	take_outcome(c);
	return took - bench_overhead();
}

// Stages
// ------

struct stopwatch {
	int64_t *cycles; // [N_CROWD_STAGES]
	uint64_t start;
};

static void end_stage(struct stopwatch *watch, enum crowd_stage stage)
{
	watch->cycles[stage] += (int64_t)(bench_now() - watch->start - bench_overhead());
	watch->start = bench_now();
}

// What begin() of pipeline.c does before the first.
static void begin_burst(struct crowd *c, struct burst *b)
{
	c->now_ns += BURST_NS;
	b->pipeline = &c->pipeline;
	b->table = c->table;
	b->out = c->out;
	b->capture = NULL;
	b->was_handed = false;
	b->now_ns = c->now_ns;
	b->now_s = clock_s(c->now_ns);
	b->mtu_min = c->pipeline.mtu_min;
	b->n = 0;
	b->n_draws = 0;
	b->is_by_slot = c->mode->mode != MODE_SNAT;
	b->n_fragments_handed = 0;
	b->to_services[c->mode->mode][c->family].n = 0;
	b->to_snat[c->family].n = b->to_clients[c->family].n = 0;
}

// All that comes before sorting.
static void read_burst(struct crowd *c, struct burst *b, struct stopwatch *watch)
{
	watch->start = bench_now();
	parse_burst(b, c->mbufs, BURST_MAX, ORIGIN_PORT);
	end_stage(watch, CROWD_PARSE);
	if (ask_pays(b)) {
		ask_for_services(b);
		end_stage(watch, CROWD_ASK);
	}
	bench_require(b->n == BURST_MAX, "a packet was not parsed");
	watch->start = bench_now();
}

static void end_burst(struct crowd *c, struct burst *b, struct stopwatch *watch)
{
	snat_expire(&c->pipeline, c->table, b->now_s);
	end_stage(watch, CROWD_EXPIRE);
	take_outcome(c);
}

static service_id find_service(const struct burst *b, const struct packet *p)
{
	struct address vip = packet_destination(p);
	rte_be16_t vip_port = packet_destination_port(p);

	return forwarding_table_find_service(b->table,
		index_hash_endpoint(&vip, vip_port, p->protocol), &vip, vip_port, p->protocol);
}

// What is wrong with a packet is asked after its stage, which is not to take longer for it.
static bool may_go_on(struct packet *p)
{
	if (p->mbuf->pkt_len != p->l2_len + (uint32_t)p->ip_len)
		segments_cut(p->mbuf, p->l2_len + p->ip_len);
	return *packet_hop_limit(p) > 1;
}

// Returns whether all are to services.
static bool sort_requests(struct crowd *c, struct burst *b)
{
	bool all = true;

	for (int i = 0; i < BURST_MAX; i++) {
		struct packet *p = &b->packets[i];

		p->service = find_service(b, p);
		all &= p->service != SERVICE_NONE && may_go_on(p);
		packet_list_add(&b->to_services[c->mode->mode][c->family], p);
	}
	return all;
}

static void prepare_requests(struct crowd *c, struct burst *b)
{
	for (int i = 0; i < BURST_MAX; i++) {
		if (c->mode->mode == MODE_SNAT)
			snat_prepare(b->pipeline, &b->packets[i], c->family);
		else
			choose_prepare(
				b, &b->packets[i], c->family, choose_service(b, &b->packets[i]));
	}
}

static void forward(struct burst *b, enum family family, enum forwarding_mode mode)
{
	struct packet_list *list = &b->to_services[mode][family];

	if (mode == MODE_SNAT)
		return snat_forward(b, family, list);

	choose_nodes(b, list);
	if (mode == MODE_DNAT)
		dnat_forward(b, family, list);
	else if (mode == MODE_DSR)
		dsr_forward(b, list);
	else
		tunnel_forward(b, list);
}

void crowd_forward_by_stages(struct crowd *c, int64_t ret_cycles[N_CROWD_STAGES])
{
	struct stopwatch watch = {.cycles = ret_cycles};
	struct burst b;

	begin_burst(c, &b);
	read_burst(c, &b, &watch);
	bool all = sort_requests(c, &b);
	end_stage(&watch, CROWD_SORT);
	bench_require(all, "a packet is to no service");
	watch.start = bench_now();
	prepare_requests(c, &b);
	end_stage(&watch, CROWD_PREPARE);
	forward(&b, c->family, c->mode->mode);
	end_stage(&watch, CROWD_OWN);
	end_burst(c, &b, &watch);
}

// Both return whether it is known as a reply.

static bool sort_reply_to_client(struct burst *b, struct packet *p)
{
	struct address to = packet_destination(p);
	bool is_ours = find_service(b, p) != SERVICE_NONE ||
		forwarding_table_find_own(b->table, &to) != NULL;

	p->next_hop = forwarding_table_route(b->table, &to);
	packet_list_add(&b->to_clients[p->family], p);
	return !is_ours && !(output_hop(b->pipeline, p->next_hop) & NEXT_HOP_TO_KERNEL) &&
		dnat_is_reply(b, p) && may_go_on(p);
}

static bool sort_reply_to_snat(struct burst *b, struct packet *p)
{
	struct address to = packet_destination(p), node = packet_source(p);
	const struct own_address *own = forwarding_table_find_snat(b->table, &to);

	packet_list_add(&b->to_snat[p->family], p);
	if (own == NULL)
		return false;
	p->snat_index = own->snat_index;
	p->node = forwarding_table_find_node(b->table, &node);
	return may_go_on(p);
}

static bool sort_replies(struct crowd *c, struct burst *b)
{
	bool all = true;

	for (int i = 0; i < BURST_MAX; i++)
		all &= c->mode->mode == MODE_DNAT ? sort_reply_to_client(b, &b->packets[i])
						  : sort_reply_to_snat(b, &b->packets[i]);
	return all;
}

static void reply(struct burst *b, enum family family, enum forwarding_mode mode)
{
	if (mode == MODE_DNAT)
		dnat_reply(b, family, &b->to_clients[family]);
	else
		snat_reply(b, family, &b->to_snat[family]);
}

void crowd_reply_by_stages(struct crowd *c, int64_t ret_cycles[N_CROWD_STAGES])
{
	struct stopwatch watch = {.cycles = ret_cycles};
	struct burst b;

	begin_burst(c, &b);
	read_burst(c, &b, &watch);
	bool all = sort_replies(c, &b);
	end_stage(&watch, CROWD_SORT);
	bench_require(all, "a reply is not known as one");
	watch.start = bench_now();
	for (int i = 0; c->mode->mode == MODE_SNAT && i < BURST_MAX; i++)
		snat_prepare_reply(&c->pipeline, &b.packets[i], c->family);
	end_stage(&watch, CROWD_PREPARE);
	reply(&b, c->family, c->mode->mode);
	end_stage(&watch, CROWD_OWN);
	end_burst(c, &b, &watch);
}

bool crowd_has_stage(const struct crowd *c, enum crowd_stage stage, bool of_replies)
{
	const struct burst b = {.table = c->table};

	if (stage == CROWD_ASK)
		return ask_pays(&b);
	return stage != CROWD_PREPARE || !of_replies || c->mode->mode == MODE_SNAT;
}

void crowd_learn(struct crowd *c, const uint64_t clients[BURST_MAX])
{
	const struct flow_table *ft = c->pipeline.flows[c->family];

	for (int i = 0; i < BURST_MAX; i++) {
		struct address address = client_address(c->family, clients[i]);
		const void *bytes = c->family == IPV4 ? (const void *)&address.words[3] : &address;
		rte_be16_t from = client_port(clients[i]);
		service_id service = service_of(c, clients[i]);
		uint64_t hash = flow_hash(hash_key, c->family, bytes, from, service);
		flow_at at = flow_table_find(ft, hash, bytes, from, service);

		bench_require(at != FLOW_NONE, "a flow is not there");
		c->back[clients[i]] = flow_table_flow(ft, c->family, at)->back;
	}
}

void crowd_open(struct crowd *c, uint64_t n)
{
	uint64_t clients[BURST_MAX];

	for (uint64_t first = 0; first < n; first += BURST_MAX) {
		for (int i = 0; i < BURST_MAX; i++)
			clients[i] = (first + i) % n;
		crowd_write_requests(c, clients, RTE_TCP_SYN_FLAG);
		crowd_forward(c);
		crowd_learn(c, clients);
		crowd_write_replies(c, clients, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
		crowd_forward(c);
		crowd_write_requests(c, clients, RTE_TCP_ACK_FLAG);
		crowd_forward(c);
	}
}
