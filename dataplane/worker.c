#include "worker.h"

#include <assert.h>
#include <sched.h>
#include <time.h>

#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_pause.h>

#include "affinity.h"
#include "eal.h"
#include "reassembly.h"
#include "snat.h"
#include "trace.h"

// A worker's turn
// ===============
//
//     from other workers  --+
//     from ports            +-->  pipeline  -->  outcome  --> ports, other workers, twins,
//     from the kernel     --+                                 the waiting room
//
// The outcome of each burst is sent before the next is taken, so that the packets of a flow keep
// their order and no packet waits for a full burst.

enum {
	TX_TRIES = 4,
	// A turn that finds nothing costs 100 to 300 cycles: so many of them are about 50 us.
	IDLE_TURNS_BEFORE_SLEEP = 500,
	IDLE_TURNS_BEFORE_YIELD = 4,
	NS_PER_MS = 1000 * 1000,
	SLEEP_NS = 100 * 1000, // The kernel makes it up to 160 us.
};

static void count(struct worker *w, enum event event, uint64_t n)
{
	counter_add(&w->counters.events[event], n);
}

static void drop(struct worker *w, enum drop_reason reason, struct rte_mbuf **mbufs, unsigned n)
{
	if (n == 0)
		return;
	counter_add(&w->counters.drops[reason], n);
	rte_pktmbuf_free_bulk(mbufs, n);
}

static uint64_t bytes_of(struct rte_mbuf **mbufs, uint16_t n)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++)
		bytes += mbufs[i]->pkt_len;
	return bytes;
}

// Sending
// =======

// Makes one segment of a packet's several. Returns NULL when out of buffers.
static struct rte_mbuf *join(struct rte_mbuf *mbuf, struct rte_mempool *buffers)
{
	if (rte_pktmbuf_linearize(mbuf) == 0)
		return mbuf;

	struct rte_mbuf *copy = rte_pktmbuf_copy(mbuf, buffers, 0, UINT32_MAX);
	if (copy != NULL && copy->nb_segs > 1) {
		rte_pktmbuf_free(copy);
		copy = NULL;
	}
	rte_pktmbuf_free(mbuf);
	return copy;
}

// For ports that take no chains. Returns how many packets are left.
static uint16_t join_all(
	struct worker *w, const struct port *port, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		if (unlikely(mbuf->nb_segs > 1))
			mbuf = join(mbuf, port->buffers);
		if (unlikely(mbuf == NULL))
			counter_add(&w->counters.drops[DROP_NO_MEMORY], 1);
		else
			mbufs[kept++] = mbuf;
	}
	return kept;
}

static void transmit(struct worker *w, const struct port *port, struct rte_mbuf **mbufs, uint16_t n)
{
	uint64_t bytes = bytes_of(mbufs, n);
	uint16_t sent = 0;

	for (int i = 0; i < TX_TRIES && sent < n; i++)
		sent += rte_eth_tx_burst(
			port->id, queue_for(port, w->index), mbufs + sent, n - sent);

	if (unlikely(sent < n)) {
		bytes -= bytes_of(mbufs + sent, n - sent);
		drop(w, DROP_TX_FULL, mbufs + sent, n - sent);
	}
	count(w, EVENT_TX_PACKETS, sent);
	count(w, EVENT_TX_BYTES, bytes);
}

static void send_by(struct worker *w, struct port *port, struct rte_mbuf **mbufs, uint16_t n)
{
	if (unlikely(!atomic_load_explicit(&port->link_up, memory_order_relaxed))) {
		drop(w, DROP_PORT_DOWN, mbufs, n);
		return;
	}
	if (!port->sends_chains)
		n = join_all(w, port, mbufs, n);
	if (w->index < port->n_tx) {
		transmit(w, port, mbufs, n);
		return;
	}

	struct rte_ring *sender = w->dp->senders[port->index][queue_for(port, w->index)];
	unsigned given = rte_ring_enqueue_burst(sender, (void *const *)mbufs, n, NULL);
	drop(w, DROP_TX_FULL, mbufs + given, n - given);
}

// What other workers finished and have no queue for.
static bool send_for_others(struct worker *w, struct port *port)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	struct rte_ring *ring = w->dp->senders[port->index][w->index];

	if (ring == NULL)
		return false;
	unsigned n = rte_ring_sc_dequeue_burst(ring, (void **)mbufs, BURST_MAX, NULL);
	if (n > 0)
		transmit(w, port, mbufs, (uint16_t)n);
	return n > 0;
}

static void give_to_kernel(
	struct worker *w, size_t port, enum kernel_class way, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t given = twins_give(w->dp->twins, port, way, mbufs, n);

	count(w, EVENT_TO_KERNEL, given);
	drop(w, way == KERNEL_CONTROL ? DROP_KERNEL_CONTROL_FULL : DROP_KERNEL_FULL, mbufs + given,
		n - given);
	w->gave_to_twins = true;
}

static void hand_over(struct worker *w, unsigned to, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t given = handover_give(w->dp->handover, w->index, to, mbufs, n);

	count(w, EVENT_HANDED_OVER, given);
	drop(w, DROP_HANDOVER_FULL, mbufs + given, n - given);
}

static void let_wait(struct worker *w, const struct waiting *waiting)
{
	struct rte_mbuf *mbuf = waiting->mbuf;

	if (!waiting_room_put(w->waiting, waiting, w->now_ns))
		drop(w, DROP_UNRESOLVED, &mbuf, 1);
	w->gave_to_twins = true; // Their thread relays what is asked for.
}

static void deliver(struct worker *w)
{
	struct outcome *out = &w->out;
	struct dataplane *dp = w->dp;

	for (size_t port = 0; port < dp->n_ports; port++) {
		if (out->n.tx[port] > 0)
			send_by(w, &dp->ports[port], out->tx[port], out->n.tx[port]);
		for (int way = 0; way < N_KERNEL_CLASSES; way++) {
			if (out->n.to_kernel[port][way] > 0)
				give_to_kernel(w, port, way, out->to_kernel[port][way],
					out->n.to_kernel[port][way]);
		}
	}
	for (unsigned to = 0; to < w->pipeline.n_workers; to++) {
		if (out->n.handed[to] > 0)
			hand_over(w, to, out->handed[to], out->n.handed[to]);
	}
	for (uint16_t i = 0; i < out->n.waiting; i++)
		let_wait(w, &out->waiting[i]);
}

// Taking
// ======

static void forward(struct worker *w, struct rte_mbuf **mbufs, uint16_t n, enum origin origin)
{
	outcome_empty(&w->out);
	pipeline_forward(&w->pipeline, w->table, mbufs, n, origin, w->now_ns, &w->out);
	deliver(w);
}

static bool take_handed(struct worker *w, unsigned from)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n = handover_take(w->dp->handover, from, w->index, mbufs, BURST_MAX);

	if (n == 0)
		return false;
	outcome_empty(&w->out);
	pipeline_forward_handed(&w->pipeline, w->table, mbufs, n, w->now_ns, &w->out);
	deliver(w);
	return true;
}

// The kernel gives an AF_PACKET socket the tag beside the frame; the pipeline looks into it.
static uint16_t restore_tags(struct worker *w, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		if (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED && rte_vlan_insert(&mbuf) < 0)
			drop(w, DROP_NO_MEMORY, &mbuf, 1);
		else
			mbufs[kept++] = mbuf;
	}
	return kept;
}

static bool take_received(struct worker *w, const struct port *port, uint16_t queue)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n = rte_eth_rx_burst(port->id, queue, mbufs, BURST_MAX);

	if (n == 0)
		return false;
	count(w, EVENT_RX_PACKETS, n);
	count(w, EVENT_RX_BYTES, bytes_of(mbufs, n));

	// The pipeline knows ports by our numbers.
	if (port->id != port->index) {
		for (uint16_t i = 0; i < n; i++)
			mbufs[i]->port = port->index;
	}
	if (port->loses_tags)
		n = restore_tags(w, mbufs, n);
	forward(w, mbufs, n, ORIGIN_PORT);
	return true;
}

static bool take_from_kernel(struct worker *w, const struct port *port)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n = twins_take(w->dp->twins, port->index, mbufs, BURST_MAX);

	if (n == 0)
		return false;
	count(w, EVENT_FROM_KERNEL, n);
	forward(w, mbufs, n, ORIGIN_KERNEL);
	return true;
}

static bool serve_port(struct worker *w, struct port *port)
{
	bool busy = false;
	unsigned n_workers = w->pipeline.n_workers;

	for (unsigned queue = w->index; queue < port->n_rx; queue += n_workers)
		busy |= take_received(w, port, (uint16_t)queue);
	if (w->index == twin_worker(w->dp, port))
		busy |= take_from_kernel(w, port);
	if (w->index < port->n_tx)
		busy |= send_for_others(w, port);
	return busy;
}

// A table that was published since may name the way that packets wait for; a next hop's word may
// at any time.
static void let_waiting_leave(struct worker *w)
{
	bool more;

	if (waiting_room_is_empty(w->waiting))
		return;
	if (w->now_ns < w->retry_ns && w->table->generation == w->waiting_since)
		return;

	do {
		outcome_empty(&w->out);
		more = waiting_room_leave(w->waiting, &w->pipeline, w->table, w->now_ns, &w->out);
		deliver(w);
	} while (more);
	w->gave_to_twins |= unresolved_is_waiting(w->dp->unresolved); // What was asked again.
	w->retry_ns = w->now_ns + NS_PER_MS;
	w->waiting_since = w->table->generation;
}

// The loop
// ========

static bool take_turn(struct worker *w)
{
	struct dataplane *dp = w->dp;
	bool busy = false;

	for (unsigned from = 0; from < w->pipeline.n_workers; from++) {
		if (from != w->index)
			busy |= take_handed(w, from);
	}
	for (size_t i = 0; i < dp->n_ports; i++)
		busy |= serve_port(w, &dp->ports[i]);
	if (w->table != NULL) {
		let_waiting_leave(w);
		snat_expire(&w->pipeline, w->table, clock_s(w->now_ns));
		reassembly_expire(w->pipeline.reassembly, w->now_ns);
	}
	if (w->gave_to_twins)
		twins_wake(dp->twins);
	w->gave_to_twins = false;
	return busy;
}

// A worker that sleeps reads no table, and nobody who reclaims one waits for it.
static void sleep_a_little(struct worker *w)
{
	struct timespec duration = {.tv_nsec = SLEEP_NS};

	rte_rcu_qsbr_thread_offline(w->dp->readers, w->index);
	nanosleep(&duration, NULL);
	rte_rcu_qsbr_thread_online(w->dp->readers, w->index);
}

static void rest(struct worker *w)
{
	w->n_idle++;
	if (w->dp->config.idle_sleeps && w->n_idle > IDLE_TURNS_BEFORE_SLEEP)
		sleep_a_little(w);
	else if (w->shares_cpu && w->n_idle > IDLE_TURNS_BEFORE_YIELD)
		sched_yield();
	else
		rte_pause();
}

// Between two turns, when nothing moves.
static __attribute__((noinline)) void trace(struct worker *w)
{
	// Acquire: pairs with the store in put_before() of tracing.c.
	struct tracer *tracer = atomic_load_explicit(&w->tracer, memory_order_acquire);

	tracer_visit(tracer, &w->pipeline, w->table, w->now_ns);
	// Release: pairs with the load in is_with_worker() of tracing.c.
	atomic_store_explicit(&w->tracer, NULL, memory_order_release);
}

static void read_time(struct worker *w)
{
	w->tsc = rte_rdtsc();
	w->now_ns = clock_ns(&w->dp->clock, w->tsc);
}

static int run(void *argument)
{
	struct worker *w = argument;
	struct dataplane *dp = w->dp;

	rte_rcu_qsbr_thread_register(dp->readers, w->index);
	rte_rcu_qsbr_thread_online(dp->readers, w->index);
	read_time(w);

	while (!atomic_load_explicit(&w->stopping, memory_order_relaxed)) {
		// Acquire: pairs with the exchange in dataplane_publish().
		w->table = atomic_load_explicit(&dp->table, memory_order_acquire);

		uint64_t begin = w->tsc;
		bool busy = take_turn(w);
		if (unlikely(atomic_load_explicit(&w->tracer, memory_order_relaxed) != NULL))
			trace(w);

		// Nothing read through 'table' is held past this line.
		rte_rcu_qsbr_quiescent(dp->readers, w->index);

		if (busy)
			w->n_idle = 0;
		else
			rest(w);
		read_time(w);
		count(w, busy ? EVENT_BUSY_POLLS : EVENT_IDLE_POLLS, 1);
		if (busy)
			count(w, EVENT_BUSY_CYCLES, w->tsc - begin);
	}

	rte_rcu_qsbr_thread_offline(dp->readers, w->index);
	rte_rcu_qsbr_thread_unregister(dp->readers, w->index);
	return 0;
}

// Start and stop
// ==============

size_t worker_flows_max(const struct dataplane_config *config, enum family family)
{
	size_t n = (config->flows_max[family] + config->n_workers - 1) / config->n_workers;

	return n < FLOWS_MIN ? FLOWS_MIN : n > FLOWS_MAX ? FLOWS_MAX : n;
}

static int map_flows(struct worker *w, enum family family, int numa_node)
{
	const struct dataplane_config *config = &w->dp->config;
	size_t n = worker_flows_max(config, family);
	struct flow_memory *memory = &w->flow_memory[family];

	int r = flow_memory_map(flow_table_bytes(family, n), numa_node, config->hugepages, memory);
	if (r == 0)
		w->pipeline.flows[family] = flow_table_create(memory->at, family, n,
			config->hash_key, clock_s(clock_ns(&w->dp->clock, rte_rdtsc())));
	return r;
}

static int map_affinity(struct worker *w, int numa_node)
{
	const struct dataplane_config *config = &w->dp->config;
	size_t n = config->affinity_max / config->n_workers;

	int r = flow_memory_map(
		affinity_bytes(n), numa_node, config->hugepages, &w->affinity_memory);
	if (r == 0)
		w->pipeline.affinity = affinity_create(w->affinity_memory.at, n);
	return r;
}

static int map_counters(struct worker *w, int numa_node)
{
	const struct dataplane_config *config = &w->dp->config;
	size_t services_bytes = config->services_max * TRAFFIC_BYTES;
	size_t nodes_bytes = config->nodes_max * TRAFFIC_BYTES;

	int r = flow_memory_map(services_bytes + nodes_bytes, numa_node, false, &w->traffic);
	if (r < 0)
		return r;
	w->counters.services = traffic_counters_at(w->traffic.at, config->services_max);
	w->counters.nodes =
		traffic_counters_at((uint8_t *)w->traffic.at + services_bytes, config->nodes_max);
	return 0;
}

static bool shares_cpu(const struct dataplane_config *config, unsigned index)
{
	for (size_t i = 0; i < config->n_workers; i++) {
		if (i != index && config->worker_cpus[i] == config->worker_cpus[index])
			return true;
	}
	return false;
}

static void connect_pipeline(struct worker *w)
{
	struct dataplane *dp = w->dp;
	struct pipeline *p = &w->pipeline;

	p->worker = w->index;
	p->n_workers = (unsigned)dp->config.n_workers;
	p->rss = dp->steering == STEERING_RSS;
	p->counters = &w->counters;
	p->owners = dp->owners;
	p->next_hops = dp->next_hops;
	p->path_mtus = dp->path_mtus;
	p->buffers = dp->ports[0].buffers;
	p->ports = dp->facts;
	p->n_ports = dp->n_ports;
	p->hash_key[0] = dp->config.hash_key[0];
	p->hash_key[1] = dp->config.hash_key[1];
	pipeline_prepare(p);
}

// All that a worker remembers packets and flows by. Returns 0 or -errno.
static int create_memory(struct worker *w, int numa_node)
{
	w->waiting = waiting_room_create(w->dp->unresolved);
	w->pipeline.reassembly =
		reassembly_create(REASSEMBLY_DATAGRAMS, REASSEMBLY_SEGMENTS, w->counters.drops);
	if (w->waiting == NULL || w->pipeline.reassembly == NULL)
		return -ENOMEM;

	int r = map_counters(w, numa_node);
	for (enum family family = 0; r == 0 && family < N_FAMILIES; family++)
		r = map_flows(w, family, numa_node);
	return r < 0 ? r : map_affinity(w, numa_node);
}

int worker_start(struct dataplane *dp, unsigned index, struct worker **ret_worker)
{
	unsigned lcore = eal_worker_lcore(index);
	int numa_node = (int)rte_lcore_to_socket_id(lcore);
	int r = -ENOMEM;

	struct worker *w =
		rte_zmalloc_socket("worker", sizeof(*w), alignof(struct worker), numa_node);
	if (w == NULL)
		w = rte_zmalloc("worker", sizeof(*w), alignof(struct worker));
	if (w == NULL)
		goto fail;

	w->dp = dp;
	w->index = index;
	w->lcore = lcore;
	w->cpu = dp->config.worker_cpus[index];
	w->shares_cpu = shares_cpu(&dp->config, index);
	r = create_memory(w, numa_node);
	if (r < 0)
		goto fail;

	connect_pipeline(w);
	r = rte_eal_remote_launch(run, w, lcore);
	if (r < 0)
		goto fail;

	w->running = true;
	*ret_worker = w;
	return 0;

fail:
	worker_stop(w);
	return r;
}

void worker_ask_to_stop(struct worker *w)
{
	atomic_store_explicit(&w->stopping, true, memory_order_relaxed);
}

void worker_stop(struct worker *w)
{
	if (w == NULL)
		return;

	if (w->running) {
		worker_ask_to_stop(w);
		rte_eal_wait_lcore(w->lcore);
	}
	waiting_room_destroy(w->waiting);
	reassembly_destroy(w->pipeline.reassembly);
	for (enum family family = 0; family < N_FAMILIES; family++)
		flow_memory_unmap(&w->flow_memory[family]);
	flow_memory_unmap(&w->affinity_memory);
	flow_memory_unmap(&w->traffic);
	rte_free(w);
}
