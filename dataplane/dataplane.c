#include "guideway/dataplane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "capture.h"
#include "device.h"
#include "eal.h"
#include "parts.h"
#include "trace.h"
#include "why.h"
#include "worker.h"
#include "xdp.h"

enum {
	SENDER_RING_SIZE = 512,
	BUFFERS_AT_HAND = 512, // In a worker's cache and in its bursts.
	BUFFERS_MIN = 4096,
	MEGABYTE = 1 << 20,
	EAL_BYTES = 48 * MEGABYTE,           // Of DPDK itself, and what a heap loses.
	RINGS_BYTES = 8 * 1024,              // From one worker to another.
	QUEUE_BYTES = MEGABYTE,              // Of a driver, for a queue.
	WORKER_BYTES = sizeof(struct worker) // Of worker_start(), beside flows.
		+ 64 * 1024,
};

// Memory
// ======

// How many packets can be anywhere at once.
static size_t count_buffers(const struct dataplane_config *config)
{
	unsigned n_workers = (unsigned)config->n_workers;
	size_t n = BUFFERS_MIN;

	if (config->packet_buffers != 0)
		return config->packet_buffers;
	for (size_t i = 0; i < config->n_ports; i++)
		n += port_buffers_wanted(&config->ports[i], n_workers) + twin_room();
	n += n_workers * (BUFFERS_AT_HAND + waiting_room_size() + REASSEMBLY_SEGMENTS);
	return n + handover_room(n_workers);
}

static bool is_among(uint16_t len, const uint16_t *lens, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (lens[i] == len)
			return true;
	}
	return false;
}

// Ports with buffers of another length have a pool of their own, as many again. A port for large
// frames may turn out to be content with small buffers.
static size_t count_bytes(
	const struct dataplane_config *config, size_t n_buffers, size_t page_bytes)
{
	uint16_t lens[1 + PORTS_MAX] = {PORT_BUFFER_LEN};
	size_t n_lens = 1;
	size_t bytes = EAL_BYTES + NEXT_HOP_MAX * sizeof(uint64_t);

	for (size_t i = 0; i < config->n_ports; i++) {
		uint16_t len = port_buffer_len(&config->ports[i]);

		if (!is_among(len, lens, n_lens))
			lens[n_lens++] = len;
		bytes += config->n_workers * QUEUE_BYTES;
	}
	for (size_t i = 0; i < n_lens; i++)
		bytes += buffers_bytes(n_buffers, lens[i], page_bytes);
	bytes += buffers_bytes(TRACE_BUFFERS, PORT_BUFFER_LEN, page_bytes);
	return bytes + config->n_workers * (WORKER_BYTES + config->n_workers * RINGS_BYTES);
}

// Steering
// ========

static bool same_rss(const struct port_rss *a, const struct port_rss *b)
{
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0 &&
		a->reta_size == b->reta_size &&
		memcmp(a->reta, b->reta, a->reta_size * sizeof(a->reta[0])) == 0;
}

// A reply may come by another port than its flow, so RSS decides owners only if all ports compute
// alike.
static bool all_can_steer(const struct dataplane *dp, struct port_rss *ret_rss)
{
	if (dp->config.n_workers == 1)
		return false;
	for (size_t i = 0; i < dp->n_ports; i++) {
		struct port_rss rss = {0};

		if (dp->config.ports[i].steering == STEERING_SOFTWARE || !dp->ports[i].can_steer ||
			port_read_rss(&dp->ports[i], &rss) < 0)
			return false;
		if (i == 0)
			*ret_rss = rss;
		else if (!same_rss(&rss, ret_rss))
			return false;
	}
	return true;
}

static int choose_steering(struct dataplane *dp, char ret_why[WHY_MAX])
{
	struct port_rss rss = {0};
	unsigned n_workers = (unsigned)dp->config.n_workers;

	if (all_can_steer(dp, &rss)) {
		dp->steering = STEERING_RSS;
		dp->owners = owner_map_create_rss(
			n_workers, rss.key, rss.key_len, rss.reta, rss.reta_size);
	} else {
		dp->steering = STEERING_SOFTWARE;
		dp->owners = owner_map_create(n_workers);
	}
	for (size_t i = 0; i < dp->n_ports; i++) {
		if (dp->config.ports[i].steering == STEERING_RSS && dp->steering != STEERING_RSS)
			port_note(&dp->ports[i],
				"flows are steered by software, since not every port hashes by a "
				"key that can be read, alike and for every worker");
	}
	if (dp->owners == NULL)
		return why(ret_why, -ENOMEM, "no memory for the map of owners");
	if (dp->config.snat_port_first != 0)
		owner_map_narrow(dp->owners, dp->config.snat_port_first, dp->config.snat_port_last);
	return 0;
}

// Start
// =====

void dataplane_clean_up(const char *interface)
{
	char program[XDP_NAME_MAX];

	// What cannot be taken away is met again, and told of, by whoever opens the port.
	(void)xdp_clean_up(interface, program);
}

static bool are_one(const char *device, const char *other)
{
	char name[DEVICE_TEXT_MAX], other_name[DEVICE_TEXT_MAX];

	device_name(device, name);
	device_name(other, other_name);
	return strcmp(name, other_name) == 0;
}

static int check(const struct dataplane_config *config, char ret_why[WHY_MAX])
{
	if (config->n_ports == 0 || config->n_ports > PORTS_MAX)
		return why(ret_why, -EINVAL, "%zu ports: it takes 1 to %d", config->n_ports,
			PORTS_MAX);
	if (config->n_workers == 0 || config->n_workers > WORKERS_MAX)
		return why(ret_why, -EINVAL, "%zu workers: it takes 1 to %d", config->n_workers,
			WORKERS_MAX);
	for (size_t i = 0; i < config->n_ports; i++) {
		for (size_t j = 0; j < i; j++) {
			if (are_one(config->ports[i].device, config->ports[j].device))
				return why(ret_why, -EINVAL,
					"%s: two ports name this device; each needs one of its own",
					config->ports[i].device);
		}
	}
	return 0;
}

static int open_ports(struct dataplane *dp, char ret_why[WHY_MAX])
{
	unsigned n_workers = (unsigned)dp->config.n_workers;

	for (size_t i = 0; i < dp->config.n_ports; i++) {
		const struct port_config *config = &dp->config.ports[i];
		struct port *port = &dp->ports[i];
		int r = port_open(config, i, n_workers, dp->buffers, port, ret_why);

		if (r < 0)
			return r;
		dp->n_ports++;
		dp->facts[i] = (struct port_facts){port->mac, port->mtu, config->vlan};
	}
	return 0;
}

// For the workers that get no TX queue.
static int make_senders(struct dataplane *dp, const struct port *port)
{
	char name[RTE_RING_NAMESIZE];

	for (uint16_t q = 0; port->n_tx < dp->config.n_workers && q < port->n_tx; q++) {
		snprintf(name, sizeof(name), "sender_%u_%u", port->index, q);
		dp->senders[port->index][q] = rte_ring_create(
			name, SENDER_RING_SIZE, SOCKET_ID_ANY, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
		if (dp->senders[port->index][q] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int make_shared(struct dataplane *dp, char ret_why[WHY_MAX])
{
	unsigned n_workers = (unsigned)dp->config.n_workers;
	size_t readers_bytes = rte_rcu_qsbr_get_memsize(n_workers);
	int r = 0;

	dp->readers = rte_zmalloc("readers", readers_bytes, RTE_CACHE_LINE_SIZE);
	dp->path_mtus = rte_zmalloc("path MTUs",
		dp->config.nodes_max * N_FAMILIES * sizeof(dp->path_mtus[0]), RTE_CACHE_LINE_SIZE);
	dp->next_hops = rte_zmalloc(
		"next hops", NEXT_HOP_MAX * sizeof(dp->next_hops[0]), RTE_CACHE_LINE_SIZE);
	dp->handover = handover_create(n_workers);
	dp->unresolved = unresolved_create();
	for (size_t i = 0; r == 0 && i < dp->n_ports; i++)
		r = make_senders(dp, &dp->ports[i]);
	if (r < 0 || dp->readers == NULL || dp->next_hops == NULL || dp->path_mtus == NULL ||
		dp->handover == NULL || dp->unresolved == NULL)
		return why(ret_why, -ENOMEM, "no memory for what %u workers share", n_workers);

	rte_rcu_qsbr_init(dp->readers, n_workers);
	return 0;
}

static int start_twins(struct dataplane *dp, char ret_why[WHY_MAX])
{
	struct twin_config twins[PORTS_MAX] = {0};

	for (size_t i = 0; i < dp->n_ports; i++) {
		const struct port *port = &dp->ports[i];

		twins[i] = (struct twin_config){
			.mac = port->mac,
			.mtu = port->mtu,
			.link_up = atomic_load(&port->link_up),
			.buffers = port->buffers,
		};
		memcpy(twins[i].name, dp->config.ports[i].twin, sizeof(twins[i].name));
	}
	return twins_start(twins, dp->n_ports, dp->unresolved, &dp->twins, ret_why);
}

// Cores and ports of different NUMA nodes work, at half the speed or less.
static void note_numa(struct dataplane *dp, const struct worker *w)
{
	int worker_node = (int)rte_lcore_to_socket_id(w->lcore);

	for (size_t i = 0; i < dp->n_ports; i++) {
		int node = dp->ports[i].numa_node;

		if (node >= 0 && node != worker_node)
			port_note(&dp->ports[i],
				"the port is on NUMA node %d, but CPU %u of worker %u on %d", node,
				w->cpu, w->index, worker_node);
	}
}

static int start_workers(struct dataplane *dp, char ret_why[WHY_MAX])
{
	for (unsigned i = 0; i < dp->config.n_workers; i++) {
		int r = worker_start(dp, i, &dp->workers[i]);

		if (r < 0)
			return why(ret_why, r,
				"worker %u does not start: %s; is there memory for %zu IPv4 and "
				"%zu IPv6 flows?",
				i, strerror(-r), worker_flows_max(&dp->config, IPV4),
				worker_flows_max(&dp->config, IPV6));
		dp->n_workers++;
		note_numa(dp, dp->workers[i]);
	}
	return 0;
}

static struct dataplane *create(const struct dataplane_config *config)
{
	struct dataplane *dp = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*dp));

	if (dp == NULL)
		return NULL;
	memset(dp, 0, sizeof(*dp));
	dp->config = *config;
	dp->retired_end = &dp->retired;
	return dp;
}

static int start(struct dataplane *dp, char ret_why[WHY_MAX])
{
	size_t n_buffers = count_buffers(&dp->config);
	const struct eal_memory memory = {
		.on_huge_pages = count_bytes(&dp->config, n_buffers, 2 * MEGABYTE),
		.on_small_pages = count_bytes(&dp->config, n_buffers, 4096),
	};

	int r = eal_start(&dp->config, &memory, ret_why);
	if (r < 0)
		return r;

	dp->clock = clock_create();
	dp->buffers = buffers_create((unsigned)n_buffers);
	if (dp->buffers == NULL)
		return why(ret_why, -ENOMEM, "no memory for packet buffers");
	r = open_ports(dp, ret_why);
	if (r == 0)
		r = choose_steering(dp, ret_why);
	if (r == 0)
		r = make_shared(dp, ret_why);
	if (r == 0)
		r = start_twins(dp, ret_why);
	if (r == 0)
		r = start_workers(dp, ret_why);
	return r;
}

int dataplane_start(
	const struct dataplane_config *config, struct dataplane **ret_dp, char ret_why[WHY_MAX])
{
	int r = check(config, ret_why);
	if (r < 0)
		return r;

	struct dataplane *dp = create(config);
	if (dp == NULL)
		return why(ret_why, -ENOMEM, "no memory for the dataplane");

	r = start(dp, ret_why);
	if (r < 0) {
		dataplane_stop(dp);
		return r;
	}
	eal_end_start();
	*ret_dp = dp;
	return 0;
}

// Stop
// ====

static void free_senders(struct dataplane *dp)
{
	struct rte_mbuf *mbuf;

	for (size_t i = 0; i < PORTS_MAX; i++) {
		for (size_t q = 0; q < WORKERS_MAX; q++) {
			struct rte_ring *ring = dp->senders[i][q];

			while (ring != NULL && rte_ring_dequeue(ring, (void **)&mbuf) == 0)
				rte_pktmbuf_free(mbuf);
			rte_ring_free(ring);
		}
	}
}

static void free_retired(struct dataplane *dp)
{
	while (dp->retired != NULL) {
		struct retired *first = dp->retired;

		dp->retired = first->next;
		free(first);
	}
}

void dataplane_stop(struct dataplane *dp)
{
	if (dp == NULL)
		return;

	eal_begin_stop();
	for (size_t i = 0; i < dp->n_workers; i++)
		worker_ask_to_stop(dp->workers[i]);
	for (size_t i = 0; i < dp->n_workers; i++)
		worker_stop(dp->workers[i]);
	twins_stop(dp->twins);
	for (size_t i = 0; i < dp->n_ports; i++)
		port_close(&dp->ports[i]);

	handover_destroy(dp->handover);
	free_senders(dp);
	unresolved_destroy(dp->unresolved);
	owner_map_destroy(dp->owners);
	buffers_destroy(dp->buffers);
	rte_free((void *)dp->next_hops);
	rte_free((void *)dp->path_mtus);
	rte_free(dp->readers);
	free_retired(dp);
	for (size_t i = 0; i < WORKERS_MAX; i++)
		capture_destroy(dp->captures[i]);
	tracer_destroy(dp->tracer);
	free(dp);
}

// Tables
// ======

static void retire(struct dataplane *dp, const struct forwarding_table *table, uint64_t token)
{
	struct retired *last = malloc(sizeof(*last));

	// Out of memory, the table is never given back. That costs its memory and nothing else.
	if (last == NULL)
		return;
	*last = (struct retired){.table = table, .token = token};
	*dp->retired_end = last;
	dp->retired_end = &last->next;
}

void dataplane_publish(struct dataplane *dp, const struct forwarding_table *table)
{
	// Release: a worker that sees the new pointer sees all it points to. Pairs with the load in
	// run() of worker.c.
	const struct forwarding_table *before =
		atomic_exchange_explicit(&dp->table, table, memory_order_acq_rel);

	if (before != NULL)
		retire(dp, before, rte_rcu_qsbr_start(dp->readers));
}

const struct forwarding_table *dataplane_reclaim(struct dataplane *dp)
{
	struct retired *first = dp->retired;

	if (first == NULL || rte_rcu_qsbr_check(dp->readers, first->token, false) != 1)
		return NULL;

	const struct forwarding_table *table = first->table;
	dp->retired = first->next;
	if (dp->retired == NULL)
		dp->retired_end = &dp->retired;
	free(first);
	return table;
}

void dataplane_set_next_hop(struct dataplane *dp, next_hop_id id, const struct next_hop *hop)
{
	uint64_t word = (uint64_t)hop->port << 48;

	assert(id < NEXT_HOP_MAX && hop->port < dp->n_ports);
	memcpy(&word, hop->mac, sizeof(hop->mac));
	word |= hop->resolved ? NEXT_HOP_RESOLVED : 0;
	word |= hop->to_kernel ? NEXT_HOP_TO_KERNEL : 0;
	// Relaxed: the word is whole, and nothing else is read by it.
	atomic_store_explicit(&dp->next_hops[id], word, memory_order_relaxed);
}

int dataplane_event_fd(const struct dataplane *dp)
{
	return unresolved_fd(dp->unresolved);
}

size_t dataplane_take_unresolved(struct dataplane *dp, struct address *ret_addresses, size_t n)
{
	return unresolved_take(dp->unresolved, ret_addresses, n);
}

// Ports
// =====

int dataplane_read_port(struct dataplane *dp, size_t i, struct port_status *ret_status)
{
	struct rte_eth_stats stats = {0};

	if (i >= dp->n_ports)
		return -ENOENT;

	const struct port *port = &dp->ports[i];
	rte_eth_stats_get(port->id, &stats);
	*ret_status = (struct port_status){
		.mtu = port->mtu,
		.rx_queues = port->n_rx,
		.tx_queues = port->n_tx,
		.steering = dp->steering,
		.link_up = atomic_load_explicit(&port->link_up, memory_order_relaxed),
		.numa_node = port->numa_node,
		.rx_missed = stats.imissed + stats.ierrors + stats.rx_nombuf,
		.tx_errors = stats.oerrors,
	};
	memcpy(ret_status->driver, port->driver, sizeof(ret_status->driver));
	memcpy(ret_status->note, port->note, sizeof(ret_status->note));
	memcpy(ret_status->twin, dp->config.ports[i].twin, sizeof(ret_status->twin));
	memcpy(ret_status->mac, &port->mac, sizeof(ret_status->mac));
	return 0;
}

void dataplane_follow_links(struct dataplane *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++) {
		struct port *port = &dp->ports[i];
		bool up = port_read_link(port);

		if (up == atomic_load_explicit(&port->link_up, memory_order_relaxed))
			continue;
		atomic_store_explicit(&port->link_up, up, memory_order_relaxed);
		twins_set_carrier(dp->twins, i, up);
	}
}

// The largest pages that all of it has.
const char *dataplane_flow_memory(const struct dataplane *dp)
{
	enum page_kind worst = PAGES_HUGE;

	for (size_t i = 0; i < dp->n_workers; i++) {
		for (int family = 0; family < N_FAMILIES; family++) {
			enum page_kind pages = dp->workers[i]->flow_memory[family].pages;

			worst = pages > worst ? pages : worst;
		}
	}
	return page_kind_words(worst);
}

bool dataplane_has_huge_pages(const struct dataplane *)
{
	return rte_eal_has_hugepages();
}

// Counters
// ========

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_counters(const struct worker_counters *from, struct counters *to)
{
	for (int i = 0; i < N_EVENTS; i++)
		to->events[i] += read_counter(&from->events[i]);
	for (int i = 0; i < N_DROP_REASONS; i++)
		to->drops[i] += read_counter(&from->drops[i]);
}

static void add_worker(const struct worker *w, struct counters *to)
{
	add_counters(&w->counters, to);
	for (enum family family = 0; family < N_FAMILIES; family++) {
		to->flows[family] += flow_table_used(w->pipeline.flows[family]);
		to->flows_max[family] += worker_flows_max(&w->dp->config, family);
	}
}

void dataplane_read_counters(const struct dataplane *dp, struct counters *ret_sum)
{
	struct counters sum = {0};

	for (size_t i = 0; i < dp->n_workers; i++)
		add_worker(dp->workers[i], &sum);
	add_counters(twins_counters(dp->twins), &sum);
	*ret_sum = sum;
}

int dataplane_read_worker(
	const struct dataplane *dp, size_t worker, struct counters *ret_counters, unsigned *ret_cpu)
{
	struct counters sum = {0};

	if (worker >= dp->n_workers)
		return -ENOENT;
	add_worker(dp->workers[worker], &sum);
	*ret_counters = sum;
	*ret_cpu = dp->workers[worker]->cpu;
	return 0;
}

static void add_traffic(const struct traffic_counters *from, size_t id, struct traffic *to)
{
	to->packets_in += read_counter(&from->in[id].packets);
	to->bytes_in += read_counter(&from->in[id].bytes);
	to->packets_out += read_counter(&from->out[id].packets);
	to->bytes_out += read_counter(&from->out[id].bytes);
	to->flows_created += read_counter(&from->flows[id].created);
	to->flows += read_counter(&from->flows[id].now);
}

void dataplane_read_service(const struct dataplane *dp, service_id id, struct traffic *ret_sum)
{
	assert(id < dp->config.services_max);
	*ret_sum = (struct traffic){0};
	for (size_t i = 0; i < dp->n_workers; i++)
		add_traffic(&dp->workers[i]->counters.services, id, ret_sum);
}

void dataplane_read_node(const struct dataplane *dp, node_id id, struct traffic *ret_sum)
{
	assert(id < dp->config.nodes_max);
	*ret_sum = (struct traffic){0};
	for (size_t i = 0; i < dp->n_workers; i++)
		add_traffic(&dp->workers[i]->counters.nodes, id, ret_sum);
}

size_t dataplane_read_flows(const struct dataplane *dp, size_t worker, enum family family,
	uint64_t *cursor, struct flow_view *ret_flows, size_t n)
{
	// The control thread is who publishes, so the table does not go while it reads.
	const struct forwarding_table *table = atomic_load(&dp->table);
	uint32_t now_s = clock_s(clock_ns(&dp->clock, rte_rdtsc()));
	size_t found = 0;

	if (worker >= dp->n_workers || table == NULL) {
		*cursor = 0;
		return 0;
	}

	const struct flow_table *flows = dp->workers[worker]->pipeline.flows[family];
	uint64_t end = *cursor + n < flows->n_flows ? *cursor + n : flows->n_flows;
	for (uint64_t at = *cursor; at < end; at++)
		found += flow_table_view(flows, table, (flow_at)at, now_s, &ret_flows[found]);
	*cursor = end == flows->n_flows ? 0 : end;
	return found;
}
