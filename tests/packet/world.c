#include "world.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "affinity.h"
#include "ask.h"
#include "reassembly.h"
#include "traced.h"

enum { BUFFERS_WITHHELD = 32, N_FLOWS = 512, N_CLIENTS = 64, NODES_MAX = LITTLE_NODES };

static const uint64_t hash_key[2] = {0x0123456789abcdef, 0xfedcba9876543210};

// A frame that went out after the first.
struct more {
	size_t len;
	uint8_t bytes[FRAME_BYTES_MAX];
};

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "world: %s\n", what);
	exit(2);
}

static bool are_crowded;

void world_crowd(bool is_crowded)
{
	are_crowded = is_crowded;
}

void world_start_environment(void)
{
	char *arguments[] = {"test", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m",
		"64", "-l", "0", "--iova-mode=va", "--log-level=error"};

	require(rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) >= 0,
		"DPDK's environment does not start");
	world_crowd(getenv("WORLD_CROWDED") != NULL);
}

struct rte_ether_addr world_hop_mac(next_hop_id hop)
{
	return (struct rte_ether_addr){{0x02, 0, 0, 0, 1, (uint8_t)hop}};
}

void world_set_hop(struct world *w, next_hop_id hop, uint8_t port, uint64_t flags)
{
	struct rte_ether_addr mac = world_hop_mac(hop);
	uint64_t word = 0;

	memcpy(&word, &mac, sizeof(mac));
	w->next_hops[hop] = word | (uint64_t)port << 48 | flags;
}

// On DPDK's heap, as in the program, and on pages that nothing else lies on.
static _Atomic uint64_t *make_path_mtus(void)
{
	const size_t page = 4096;

	return rte_zmalloc(
		"path MTUs", RTE_ALIGN_CEIL(NODES_MAX * N_FAMILIES * sizeof(uint64_t), page), page);
}

static void make_ports(struct world *w)
{
	static const uint16_t mtus[] = {1500, 1400, 9000};

	for (unsigned i = 0; i < WORLD_PORTS; i++)
		w->ports[i] = (struct port_facts){
			.mac = {{0x02, 0, 0, 0, 0, (uint8_t)i}},
			.mtu = mtus[i],
			.vlan = i == 1 ? WORLD_VLAN : 0,
		};

	w->next_hops = calloc(NEXT_HOP_MAX, sizeof(*w->next_hops));
	w->path_mtus = make_path_mtus();
	require(w->next_hops != NULL && w->path_mtus != NULL, "out of memory");
	world_set_hop(w, HOP_GATEWAY, 0, NEXT_HOP_RESOLVED);
	world_set_hop(w, HOP_NODE0, 1, NEXT_HOP_RESOLVED);
	world_set_hop(w, HOP_NODE1, 2, NEXT_HOP_RESOLVED);
	world_set_hop(w, HOP_LOCAL, 1, NEXT_HOP_RESOLVED | NEXT_HOP_TO_KERNEL);
	world_set_hop(w, HOP_UNRESOLVED, 0, 0);
	world_set_hop(w, HOP_NEIGHBOUR, 0, NEXT_HOP_RESOLVED);
}

static void add_services(struct little_table *t, const char *vip)
{
	static const node_id nodes[] = {0, 1, 2, 3, 4};
	static const struct {
		uint16_t port;
		uint8_t protocol;
		uint8_t node;
		uint8_t n;
	} services[] = {
		{PORT_HTTP, IPPROTO_TCP, 0, 1},
		{PORT_DNS, IPPROTO_UDP, 0, 1},
		{PORT_BIG, IPPROTO_TCP, 1, 1},
		{PORT_BIG, IPPROTO_UDP, 1, 1},
		{PORT_LOCAL, IPPROTO_TCP, 2, 1},
		{PORT_UNRESOLVED, IPPROTO_TCP, 3, 1},
		{PORT_NO_ROUTE, IPPROTO_TCP, 4, 1},
		{PORT_NO_TARGET, IPPROTO_TCP, 0, 0},
		{PORT_NO_TARGET, IPPROTO_UDP, 0, 0},
		{PORT_SPREAD, IPPROTO_TCP, 0, 2},
		{PORT_SPREAD, IPPROTO_UDP, 0, 2},
	};

	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		little_table_add_service(t, vip, services[i].port, services[i].protocol,
			WORLD_NODE_PORT + services[i].port, &nodes[services[i].node],
			services[i].n);
}

static void add_in_mode(struct little_table *t, const char *vip, uint8_t protocol, uint16_t port,
	node_id node, enum forwarding_mode mode, bool crosses, enum tunnel_kind kind)
{
	struct address address = address_of(vip);
	enum family family = address_family(&address), other = family == IPV4 ? IPV6 : IPV4;
	service_id id =
		little_table_add_service(t, vip, port, protocol, WORLD_NODE_PORT + port, &node, 1);

	little_table_set_mode(t, id, mode, crosses ? other : family, kind);
}

static void add_services_in_modes(struct little_table *t, const char *vip, uint8_t protocol)
{
	if (protocol != IPPROTO_SCTP)
		add_in_mode(t, vip, protocol, PORT_DNAT, 0, MODE_DNAT, false, TUNNEL_IP);
	add_in_mode(t, vip, protocol, PORT_DSR, 0, MODE_DSR, false, TUNNEL_IP);
	add_in_mode(t, vip, protocol, PORT_DSR_BIG, 1, MODE_DSR, false, TUNNEL_IP);
	add_in_mode(t, vip, protocol, PORT_TUNNEL, 1, MODE_TUNNEL, false, TUNNEL_IP);
	add_in_mode(t, vip, protocol, PORT_NARROW, 0, MODE_TUNNEL, false, TUNNEL_IP);
	add_in_mode(t, vip, protocol, PORT_CROSS, 0, MODE_TUNNEL, true, TUNNEL_IP);
	add_in_mode(t, vip, protocol, PORT_GUE, 1, MODE_TUNNEL, false, TUNNEL_GUE);
	add_in_mode(t, vip, protocol, PORT_GUE_CROSS, 0, MODE_TUNNEL, true, TUNNEL_GUE);
}

static void add_crowd(struct little_table *t)
{
	service_id n = (service_id)t->table.n_services;

	for (uint16_t i = 0; i < FEW_SERVICES; i++)
		little_table_add_like(t, i % n, PORT_CROWD + i, WORLD_NODE_PORT + PORT_CROWD + i);
}

static struct little_table *make_table(bool is_crowded)
{
	struct little_table *t = little_table_create();

	little_table_add_node(t, "192.0.2.10", "2001:db8:2::10", HOP_NODE0);
	little_table_add_node(t, "192.0.2.11", "2001:db8:2::11", HOP_NODE1);
	little_table_add_node(t, "192.0.2.12", "2001:db8:2::12", HOP_LOCAL);
	little_table_add_node(t, "192.0.2.13", "2001:db8:2::13", HOP_UNRESOLVED);
	little_table_add_node(t, "192.0.2.14", "2001:db8:2::14", NEXT_HOP_NONE);

	little_table_add_vip(t, "10.0.0.1", true);
	little_table_add_vip(t, "10.0.0.2", false);
	little_table_add_vip(t, "2001:db8::1", true);
	little_table_add_vip(t, "2001:db8::2", false);
	little_table_add_snat(t, "192.0.2.1");
	little_table_add_snat(t, "2001:db8:2::1");
	add_services(t, "10.0.0.1");
	add_services(t, "2001:db8::1");
	for (size_t i = 0; i < 3; i++) {
		static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

		add_services_in_modes(t, "10.0.0.1", protocols[i]);
		add_services_in_modes(t, "2001:db8::1", protocols[i]);
	}
	if (is_crowded)
		add_crowd(t);
	little_table_add_tunnel_source(t, "192.0.2.2");
	little_table_add_tunnel_source(t, "2001:db8:2::2");

	little_table_add_route(t, "198.51.100.0/24", HOP_GATEWAY);
	little_table_add_route(t, "203.0.113.0/24", NEXT_HOP_RESOLVE);
	little_table_add_route(t, "203.0.113.5/32", HOP_NEIGHBOUR);
	little_table_add_route(t, "2001:db8:c::/48", HOP_GATEWAY);
	little_table_add_route(t, "2001:db8:113::/64", NEXT_HOP_RESOLVE);
	little_table_add_route(t, "198.51.100.1/32", HOP_LOCAL);
	little_table_add_route(t, "2001:db8:c::1/128", HOP_LOCAL);
	little_table_add_route(t, "192.0.2.10/32", HOP_NODE0);
	little_table_add_route(t, "192.0.2.11/32", HOP_NODE1);
	little_table_add_route(t, "2001:db8:2::10/128", HOP_NODE0);
	little_table_add_route(t, "2001:db8:2::11/128", HOP_NODE1);
	little_table_finish(t);
	return t;
}

// Where all that a worker has to itself is to be.
struct room {
	struct pipeline *pipeline;
	struct worker_counters *counters;
	void **flow_memory; // [N_FAMILIES]
	void **affinity_memory;
};

static void make_flows(const struct world *w, const struct room *room, enum family family)
{
	size_t bytes = flow_table_bytes(family, N_FLOWS);
	void *memory = aligned_alloc(64, bytes);

	require(memory != NULL, "out of memory");
	memset(memory, 0, bytes);
	room->flow_memory[family] = memory;
	room->pipeline->flows[family] = flow_table_create(
		memory, family, N_FLOWS, hash_key, (uint32_t)(w->now_ns / 1000000000));
}

static struct traffic_counters make_counters(size_t n)
{
	void *memory = calloc(n, TRAFFIC_BYTES);

	require(memory != NULL, "out of memory");
	return traffic_counters_at(memory, n);
}

static void make_worker(struct world *w, unsigned worker, bool rss, const struct room *room)
{
	room->counters->services = make_counters(w->table->table.n_services);
	room->counters->nodes = make_counters(NODES_MAX);

	*room->pipeline = (struct pipeline){
		.worker = worker,
		.n_workers = w->n_workers,
		.rss = rss,
		.counters = room->counters,
		.owners = w->owners,
		.reassembly = reassembly_create(64, 512, room->counters->drops),
		.buffers = w->buffers,
		.next_hops = w->next_hops,
		.path_mtus = w->path_mtus,
		.ports = w->ports,
		.n_ports = WORLD_PORTS,
		.hash_key = {hash_key[0], hash_key[1]},
	};
	*room->affinity_memory = aligned_alloc(64, affinity_bytes(N_CLIENTS));
	require(*room->affinity_memory != NULL, "out of memory");
	memset(*room->affinity_memory, 0, affinity_bytes(N_CLIENTS));
	room->pipeline->affinity = affinity_create(*room->affinity_memory, N_CLIENTS);
	make_flows(w, room, IPV4);
	make_flows(w, room, IPV6);
	pipeline_prepare(room->pipeline);
}

static void free_worker(const struct room *room)
{
	free(room->counters->services.in);
	free(room->counters->nodes.in);
	free(room->flow_memory[IPV4]);
	free(room->flow_memory[IPV6]);
	free(*room->affinity_memory);
	reassembly_destroy(room->pipeline->reassembly);
}

static struct room room_of(struct world *w, unsigned worker)
{
	return (struct room){&w->pipelines[worker], &w->counters[worker], w->flow_memory[worker],
		&w->affinity_memory[worker]};
}

static struct room room_of_worker(struct world_worker *worker)
{
	return (struct room){&worker->pipeline, &worker->counters, worker->flow_memory,
		&worker->affinity_memory};
}

struct world_worker *world_create_worker(struct world *w, unsigned worker, bool rss)
{
	struct world_worker *made = aligned_alloc(64, RTE_ALIGN(sizeof(*made), 64));

	require(made != NULL, "out of memory");
	memset(made, 0, sizeof(*made));
	const struct room room = room_of_worker(made);
	make_worker(w, worker, rss, &room);
	return made;
}

void world_destroy_worker(struct world_worker *worker)
{
	const struct room room = room_of_worker(worker);

	free_worker(&room);
	free(worker);
}

// The buffers of the last world, all there: to make them takes most of a world's time.
static struct rte_mempool *spare;

// A pool that is full takes what is freed twice without a sign of it. This one has room for that,
// since some of its buffers are taken for ever, and then counts more than WORLD_BUFFERS.
static struct rte_mempool *make_buffers(void)
{
	static unsigned n_pools;
	struct rte_mbuf *taken[BUFFERS_WITHHELD];
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "world%u", n_pools++);
	struct rte_mempool *buffers = rte_pktmbuf_pool_create(name,
		WORLD_BUFFERS + BUFFERS_WITHHELD, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	require(buffers != NULL && rte_pktmbuf_alloc_bulk(buffers, taken, BUFFERS_WITHHELD) == 0,
		"out of memory");
	return buffers;
}

static struct rte_mempool *take_buffers(void)
{
	struct rte_mempool *buffers = spare;

	spare = NULL;
	return buffers != NULL ? buffers : make_buffers();
}

static void give_buffers_back(struct rte_mempool *buffers)
{
	if (spare == NULL && rte_mempool_avail_count(buffers) == WORLD_BUFFERS)
		spare = buffers;
	else
		rte_mempool_free(buffers);
}

static void fill(struct world *w, bool rss)
{
	w->now_ns = 1000000000000;
	w->table = make_table(w->is_crowded);
	make_ports(w);
	for (unsigned i = 0; i < w->n_workers; i++) {
		const struct room room = room_of(w, i);

		make_worker(w, i, rss, &room);
	}
}

struct world *world_create(unsigned n_workers, bool rss)
{
	struct world *w = aligned_alloc(64, RTE_ALIGN(sizeof(*w), 64));

	require(w != NULL && n_workers <= WORLD_WORKERS, "out of memory");
	memset(w, 0, sizeof(*w));
	w->is_crowded = are_crowded;
	w->n_workers = n_workers;
	w->buffers = take_buffers();
	w->owners = owner_map_create(n_workers);
	w->out = calloc(1, sizeof(*w->out));
	w->more = calloc(OUTCOME_MAX, sizeof(*w->more));
	require(w->more != NULL && w->owners != NULL && w->out != NULL, "out of memory");
	fill(w, rss);
	return w;
}

// What fill() has made.
static void clear(struct world *w)
{
	for (unsigned i = 0; i < w->n_workers; i++) {
		const struct room room = room_of(w, i);

		free_worker(&room);
	}
	free(w->next_hops);
	rte_free(w->path_mtus);
	free(w->table);
}

void world_renew(struct world *w, bool rss)
{
	clear(w);
	memset(w->counters, 0, sizeof(w->counters));
	w->segment_len = w->n_more = 0;
	fill(w, rss);
}

void world_destroy(struct world *w)
{
	clear(w);
	owner_map_destroy(w->owners);
	give_buffers_back(w->buffers);
	free(w->out);
	free(w->more);
	free(w);
}

static struct rte_mbuf *segment(struct world *w, const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->buffers);

	require(m != NULL, "no mbuf is left");
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	return m;
}

struct rte_mbuf *world_packet(struct world *w, uint16_t port, const uint8_t *bytes, size_t len)
{
	size_t most = w->segment_len != 0 ? w->segment_len : 2048;
	struct rte_mbuf *first = segment(w, bytes, RTE_MIN(len, most));

	for (size_t at = most; at < len; at += most) {
		struct rte_mbuf *m = segment(w, bytes + at, RTE_MIN(len - at, most));
		require(rte_pktmbuf_chain(first, m) == 0, "too many segments");
	}
	first->port = port;
	return first;
}

uint64_t world_drops(const struct world *w, enum drop_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->n_workers; i++)
		sum += w->counters[i].drops[reason];
	return sum;
}

uint64_t world_events(const struct world *w, enum event event)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->n_workers; i++)
		sum += w->counters[i].events[event];
	return sum;
}

static void take_bytes(struct rte_mbuf *m, size_t skip, struct ending *e)
{
	uint8_t room[FRAME_BYTES_MAX];

	rte_mbuf_sanity_check(m, 1);
	e->len = rte_pktmbuf_pkt_len(m) - skip;
	require(e->len <= sizeof(room), "a frame is longer than any");
	memcpy(e->bytes, rte_pktmbuf_read(m, (uint32_t)skip, (uint32_t)e->len, room), e->len);
	rte_pktmbuf_free(m);
}

size_t world_n_more(const struct world *w)
{
	return w->n_more;
}

const uint8_t *world_more(const struct world *w, size_t i, size_t *ret_len)
{
	*ret_len = w->more[i].len;
	return w->more[i].bytes;
}

static void take_more(struct world *w, struct rte_mbuf *m)
{
	struct more *more = &w->more[w->n_more++];

	more->len = rte_pktmbuf_pkt_len(m);
	memcpy(more->bytes, rte_pktmbuf_read(m, 0, (uint32_t)more->len, more->bytes), more->len);
	rte_pktmbuf_free(m);
}

static void take_from_port(struct world *w, unsigned port, struct ending *e)
{
	struct outcome *out = w->out;

	for (int class = 0; class < N_KERNEL_CLASSES; class ++) {
		if (out->n.to_kernel[port][class] == 0)
			continue;
		e->way = WAY_KERNEL;
		e->port = port;
		e->class = class;
		take_bytes(out->to_kernel[port][class][0], 0, e);
	}
	if (out->n.tx[port] > 0) {
		e->way = WAY_PORT;
		e->port = port;
		take_bytes(out->tx[port][0], 0, e);
		for (uint16_t i = 1; i < out->n.tx[port]; i++)
			take_more(w, out->tx[port][i]);
	}
}

// The one packet that may be there, and its other fragments.
static void take_ending(struct world *w, struct ending *e)
{
	struct outcome *out = w->out;

	w->n_more = 0;
	for (unsigned port = 0; port < WORLD_PORTS; port++)
		take_from_port(w, port, e);
	if (out->n.waiting > 0) {
		e->way = WAY_WAITING;
		e->destination = out->waiting[0].to;
		e->next_hop = out->waiting[0].next_hop;
		take_bytes(out->waiting[0].mbuf, out->waiting[0].mbuf->l2_len, e);
	}
	outcome_empty(out);
}

static struct rte_mbuf *take_handed(struct world *w, struct ending *e)
{
	for (unsigned i = 0; i < w->n_workers; i++) {
		if (w->out->n.handed[i] == 0)
			continue;
		e->worker = i;
		e->handed++;
		require(e->handed <= 2 * WORLD_WORKERS, "a packet goes round for ever");
		return w->out->handed[i][0];
	}
	return NULL;
}

static enum drop_reason find_drop(const struct world *w, const uint64_t before[N_DROP_REASONS])
{
	enum drop_reason found = DROP_NONE;

	for (int i = 0; i < N_DROP_REASONS; i++) {
		uint64_t n = world_drops(w, i) - before[i];
		require(n == 0 || found == DROP_NONE, "one packet, several reasons");
		if (n > 0)
			found = i;
	}
	return found;
}

// Fragments that wait for others.
static uint32_t world_held(const struct world *w)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < w->n_workers; i++)
		n += reassembly_held(w->pipelines[i].reassembly);
	return n;
}

static bool differences_are_fatal;

void world_trace(bool is_fatal)
{
	differences_are_fatal = is_fatal;
	traced_start();
}

static void judge_trace(const struct world *w, struct ending *e)
{
	e->differs = traced_judge(w, e);
	if (e->differs != NULL && differences_are_fatal)
		fprintf(stderr, "world: of a trace: %s\n", e->differs);
	require(e->differs == NULL || !differences_are_fatal, "a trace differs");
}

void world_put(struct world *w, unsigned worker, enum origin origin, uint16_t port,
	const uint8_t *bytes, size_t len, struct ending *ret_ending)
{
	struct rte_mbuf *m = world_packet(w, port, bytes, len);
	struct ending *e = ret_ending;
	uint64_t before[N_DROP_REASONS];

	for (int i = 0; i < N_DROP_REASONS; i++)
		before[i] = world_drops(w, i);
	traced_foretell(w, worker, origin, port, bytes, len);
	*e = (struct ending){.worker = worker};

	outcome_empty(w->out);
	pipeline_forward(&w->pipelines[worker], &w->table->table, &m, 1, origin, w->now_ns, w->out);
	while ((m = take_handed(w, e)) != NULL) {
		outcome_empty(w->out);
		pipeline_forward_handed(
			&w->pipelines[e->worker], &w->table->table, &m, 1, w->now_ns, w->out);
	}
	take_ending(w, e);
	e->drop = find_drop(w, before);
	if (e->way == WAY_NONE && world_held(w) > 0 &&
		(e->drop == DROP_NONE || e->drop == DROP_FRAGMENT_EVICTED))
		e->way = WAY_KEPT;
	require(rte_mempool_avail_count(w->buffers) + world_held(w) == WORLD_BUFFERS,
		"an mbuf is lost, or was freed twice");
	judge_trace(w, e);
}

void world_retry(struct world *w, const struct ending *waiting, struct ending *ret_ending)
{
	struct waiting again = {
		.mbuf = world_packet(w, 0, waiting->bytes, waiting->len),
		.to = waiting->destination,
		.next_hop = waiting->next_hop,
	};
	uint64_t before[N_DROP_REASONS];

	for (int i = 0; i < N_DROP_REASONS; i++)
		before[i] = world_drops(w, i);
	*ret_ending = (struct ending){.way = WAY_WAITING};

	outcome_empty(w->out);
	if (!pipeline_retry(&w->pipelines[0], &w->table->table, &again, w->out)) {
		rte_pktmbuf_free(again.mbuf);
		return;
	}
	ret_ending->way = WAY_NONE;
	take_ending(w, ret_ending);
	ret_ending->drop = find_drop(w, before);
}

size_t world_affinity_bytes(void)
{
	return affinity_bytes(N_CLIENTS);
}

static unsigned free_list(struct rte_mbuf **mbufs, uint16_t n)
{
	rte_pktmbuf_free_bulk(mbufs, n);
	return n;
}

unsigned world_free_outcome(struct outcome *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WORLD_PORTS; i++) {
		n += free_list(out->tx[i], out->n.tx[i]);
		for (int class = 0; class < N_KERNEL_CLASSES; class ++)
			n += free_list(out->to_kernel[i][class], out->n.to_kernel[i][class]);
	}
	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		n += free_list(out->handed[i], out->n.handed[i]);
	for (uint16_t i = 0; i < out->n.waiting; i++, n++)
		rte_pktmbuf_free(out->waiting[i].mbuf);
	outcome_empty(out);
	return n;
}
