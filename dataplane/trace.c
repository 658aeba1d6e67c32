// A packet on tracing paper
// =========================
//
//     the worker's                    what the packet meets
//     flow memory, affinity           an empty one laid over it: what is looked for is copied
//     fragments that wait             likewise, datagram by datagram
//     limiters, identifications       a copy
//     path MTUs                       a copy
//     counters                        others, all 0, which then tell what happened
//     table, next hops, owners        the same: no packet changes them
//
// So it is the pipeline itself that says what becomes of the packet, not a second opinion about it.
// A worker does this for one packet between two of its bursts, when what it has stands still; all
// memory is made and cleared by the control thread, who takes the packet to the next worker where
// it would be handed over. What only delivery finds out (a full ring, a port without a link) is not
// known here, nor a waiting room without room.

#include "trace.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "affinity.h"
#include "choose.h"
#include "clock.h"
#include "dnat.h"
#include "fragment.h"
#include "icmp.h"
#include "neighbour.h"
#include "output.h"
#include "parse.h"
#include "reassembly.h"
#include "snat.h"

enum {
	// More than one packet draws ports, and its own.
	N_FLOWS = 256,
	N_CLIENTS = 4,
	BUFFER_LEN = 2048, // As ports have them.
	INNER_MAX = 256,   // Of an ICMP error's packet inside.
};

static_assert(TRACE_PORTS == (int)KIND_PORTS && TRACE_ICMP == (int)KIND_ICMP);
static_assert(TRACE_IP == (int)KIND_IP && TRACE_ARP == (int)KIND_ARP);
static_assert(TRACE_OTHER == (int)KIND_OTHER);
static_assert(TRACE_FRAMES_MAX == (int)FRAGMENTS_MAX);

struct tracer {
	size_t services_max;
	size_t nodes_max;
	struct rte_mempool *buffers;

	// What lies over the worker's own.
	struct pipeline pipeline;
	struct worker_counters counters;
	void *flow_memory[N_FAMILIES];
	void *affinity_memory;
	struct reassembly *reassembly;
	_Atomic uint64_t *path_mtus; // [nodes_max * N_FAMILIES]

	// The packet, until it is visited.
	struct rte_mbuf *mbuf;
	enum origin origin;
	bool was_handed;

	const struct pipeline *live; // During a visit.
	struct outcome out;
	struct trace trace;
};

struct tracer *tracer_create(size_t services_max, size_t nodes_max)
{
	static unsigned n_tracers;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct tracer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	snprintf(name, sizeof(name), "trace%u", n_tracers++);
	t->services_max = services_max;
	t->nodes_max = nodes_max;
	t->buffers = rte_pktmbuf_pool_create(
		name, TRACE_BUFFERS, 0, 0, RTE_PKTMBUF_HEADROOM + BUFFER_LEN, SOCKET_ID_ANY);
	t->counters.services =
		traffic_counters_at(calloc(services_max, TRAFFIC_BYTES), services_max);
	t->counters.nodes = traffic_counters_at(calloc(nodes_max, TRAFFIC_BYTES), nodes_max);
	t->path_mtus = calloc(nodes_max * N_FAMILIES, sizeof(*t->path_mtus));
	t->affinity_memory = aligned_alloc(64, affinity_bytes(N_CLIENTS));
	for (enum family family = 0; family < N_FAMILIES; family++)
		t->flow_memory[family] = aligned_alloc(64, flow_table_bytes(family, N_FLOWS));
	t->reassembly = reassembly_create(REASSEMBLY_WAYS, REASSEMBLY_SEGMENTS, t->counters.drops);
	if (t->buffers == NULL || t->counters.services.in == NULL || t->counters.nodes.in == NULL ||
		t->path_mtus == NULL || t->affinity_memory == NULL ||
		t->flow_memory[IPV4] == NULL || t->flow_memory[IPV6] == NULL ||
		t->reassembly == NULL) {
		tracer_destroy(t);
		return NULL;
	}
	return t;
}

void tracer_destroy(struct tracer *t)
{
	if (t == NULL)
		return;
	rte_pktmbuf_free(t->mbuf);
	reassembly_destroy(t->reassembly);
	for (enum family family = 0; family < N_FAMILIES; family++)
		free(t->flow_memory[family]);
	free(t->affinity_memory);
	free((void *)t->path_mtus);
	free(t->counters.services.in);
	free(t->counters.nodes.in);
	rte_mempool_free(t->buffers);
	free(t);
}

// Clears what the last visit left.
static void prepare(struct tracer *t, const uint64_t hash_key[2], uint64_t now_ns)
{
	struct pipeline *p = &t->pipeline;

	memset(t->affinity_memory, 0, affinity_bytes(N_CLIENTS));
	p->affinity = affinity_create(t->affinity_memory, N_CLIENTS);
	for (enum family family = 0; family < N_FAMILIES; family++) {
		memset(t->flow_memory[family], 0, flow_table_bytes(family, N_FLOWS));
		p->flows[family] = flow_table_create(
			t->flow_memory[family], family, N_FLOWS, hash_key, clock_s(now_ns));
	}
	reassembly_clear(t->reassembly);
	memset(t->counters.services.in, 0, t->services_max * TRAFFIC_BYTES);
	memset(t->counters.nodes.in, 0, t->nodes_max * TRAFFIC_BYTES);
	memset(t->counters.events, 0, sizeof(t->counters.events));
	memset(t->counters.drops, 0, sizeof(t->counters.drops));
	outcome_empty(&t->out);
}

// In as many mbufs as it takes. Returns NULL when out of them.
static struct rte_mbuf *make_packet(struct tracer *t, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *packet = NULL;

	for (size_t at = 0; at < len; at += BUFFER_LEN) {
		uint16_t n = (uint16_t)RTE_MIN(len - at, (size_t)BUFFER_LEN);
		struct rte_mbuf *m = rte_pktmbuf_alloc(t->buffers);

		if (m == NULL) {
			rte_pktmbuf_free(packet);
			return NULL;
		}
		memcpy(rte_pktmbuf_append(m, n), frame + at, n);
		if (packet == NULL)
			packet = m;
		else
			rte_pktmbuf_chain(packet, m);
	}
	return packet;
}

bool tracer_begin(struct tracer *t, const struct trace_request *request, unsigned worker,
	const uint64_t hash_key[2], uint64_t now_ns)
{
	assert(request->len >= TRACE_FRAME_MIN && request->len <= TRACE_FRAME_MAX);
	prepare(t, hash_key, now_ns);
	rte_pktmbuf_free(t->mbuf);
	t->mbuf = make_packet(t, request->frame, request->len);
	if (t->mbuf == NULL)
		return false;

	t->mbuf->port = (uint16_t)request->port;
	t->origin = request->from_kernel ? ORIGIN_KERNEL : ORIGIN_PORT;
	t->was_handed = false;
	t->trace.n_visits = 0;
	t->trace.drop = DROP_NONE;
	t->trace.is_kept = false;
	t->trace.n_frames = 0;
	t->trace.n_bytes = 0;
	memset(t->trace.has_event, 0, sizeof(t->trace.has_event));
	t->trace.visits[0].worker = worker;
	return true;
}

// What the worker has, under what the packet may change.
static void lay_over(
	struct tracer *t, const struct pipeline *live, const struct forwarding_table *table)
{
	struct pipeline mine = *live;

	mine.affinity = t->pipeline.affinity;
	mine.reassembly = t->reassembly;
	mine.buffers = t->buffers;
	mine.counters = &t->counters;
	mine.path_mtus = t->path_mtus;
	atomic_init(&mine.capture, NULL);
	for (enum family family = 0; family < N_FAMILIES; family++) {
		mine.flows[family] = t->pipeline.flows[family];
		flow_table_lay_over(mine.flows[family], live->flows[family]);
	}
	affinity_lay_over(mine.affinity, live->affinity);
	reassembly_lay_over(t->reassembly, live->reassembly, t->buffers);
	for (size_t i = 0; table != NULL && i < table->n_nodes * N_FAMILIES; i++)
		t->path_mtus[i] = atomic_load_explicit(&live->path_mtus[i], memory_order_relaxed);
	t->pipeline = mine;
}

// What it looks like
// ==================

static void read_headers(const struct packet *p, struct trace_headers *h)
{
	*h = (struct trace_headers){.kind = (enum trace_kind)p->kind, .fault = p->fault};
	if (p->kind == KIND_ARP || p->kind == KIND_OTHER)
		return;
	h->family = p->family;
	h->protocol = p->protocol;
	h->hop_limit = *packet_hop_limit(p);
	h->ip_len = p->ip_len;
	h->source = packet_source(p);
	h->destination = packet_destination(p);
	if (p->kind != KIND_PORTS)
		return;
	h->source_port = packet_source_port(p);
	h->destination_port = packet_destination_port(p);
	h->tcp_flags = p->protocol == IPPROTO_TCP ? p->tcp_flags : 0;
}

// Of a copy, since to read what lies in several segments moves it.
static void read_inner(const struct packet *p, struct trace_visit *visit)
{
	uint32_t at = p->l2_len + (uint32_t)(p->l4 - p->l3) + 8;
	uint32_t end = RTE_MIN(p->mbuf->pkt_len, p->l2_len + (uint32_t)p->ip_len);
	uint32_t len = end > at ? RTE_MIN(end - at, (uint32_t)INNER_MAX) : 0;
	uint8_t copy[INNER_MAX];
	struct returned r;

	const void *from = rte_pktmbuf_read(p->mbuf, at, len, copy);
	if (from == NULL)
		return;
	if (from != copy)
		memcpy(copy, from, len);
	if (parse_returned(copy, len, p->family, &r) != DROP_NONE)
		return;
	visit->has_inner = true;
	visit->inner = (struct trace_headers){
		.kind = TRACE_PORTS,
		.family = r.family,
		.protocol = r.protocol,
		.source = r.source,
		.destination = r.destination,
		.source_port = r.source_port,
		.destination_port = r.destination_port,
	};
}

static void look_at_parsed(const struct burst *b, struct trace_visit *visit)
{
	const struct packet *p = &b->packets[0];

	visit->is_unread = b->n == 0;
	if (visit->is_unread)
		return;
	read_headers(p, &visit->headers);
	visit->is_fragment = p->fault == DROP_FRAGMENT;
	if (p->kind == KIND_ICMP && p->fault == DROP_NONE && icmp_is_error(p))
		read_inner(p, visit);
}

// Whose it is
// ===========

static bool is_in(const struct packet_list lists[N_FAMILIES], const struct packet *p)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		if (lists[family].n > 0 && lists[family].at[0] == p)
			return true;
	}
	return false;
}

// What goes on is in a list; what ended while sorting is asked again, in the same order.
static enum trace_whose whose(
	const struct tracer *t, const struct burst *b, const struct trace_visit *visit)
{
	const struct packet *p = &b->packets[0];
	const struct address *destination = &visit->headers.destination;
	const _Atomic uint64_t *events = t->counters.events;

	if (events[EVENT_ARP_ANSWERED] + events[EVENT_ND_ANSWERED] > 0)
		return TRACE_NEIGHBOUR;
	if (p->service != SERVICE_NONE)
		return is_in(b->to_clients, p) ? TRACE_TO_CLIENT : TRACE_TO_SERVICE;
	if (is_in(b->to_snat, p))
		return TRACE_TO_SNAT;
	if (visit->headers.kind == TRACE_ARP || visit->headers.kind == TRACE_OTHER)
		return TRACE_TO_NOBODY;

	const struct own_address *own = forwarding_table_find_own(b->table, destination);
	if (own != NULL && !own->is_shared)
		return own->kind == OWN_VIP     ? TRACE_TO_VIP
			: own->kind == OWN_SNAT ? TRACE_TO_SNAT
						: TRACE_TO_TUNNEL;
	return output_is_to_kernel(b, destination) ? TRACE_TO_MACHINE : TRACE_TO_NOBODY;
}

// What was chosen
// ===============

static void look_at_choice(const struct tracer *t, const struct burst *b, const struct packet *p,
	struct trace_visit *visit)
{
	const struct service *service = choose_service(b, p);

	visit->has_sources = service->sources != 0;
	visit->is_admitted = choose_admits(b, service, p);
	if (service->ring == NULL)
		return;
	visit->has_slot = true;
	visit->slot = choose_slot(t->live, p, p->family, service);
	visit->slot_node = choose_node(service, visit->slot);
}

static void look_at_affinity(const struct tracer *t, const struct burst *b, const struct packet *p,
	struct trace_visit *visit)
{
	const struct service *service = choose_service(b, p);
	struct address client = packet_source(p);
	struct affinity_choice before;
	uint64_t hash = flow_hash(
		t->live->hash_key, p->family, p->l3 + (p->family == IPV4 ? 12 : 8), 0, p->service);

	visit->has_affinity = service->affinity_s != 0 &&
		affinity_find(t->live->affinity, hash, &client, p->service, b->now_s,
			service->affinity_s, &before);
	if (visit->has_affinity)
		visit->affinity_node = before.node;
}

static void look_at_flow(const struct tracer *t, const struct burst *b, const struct packet *p,
	struct trace_visit *visit)
{
	const struct flow_table *ft = t->live->flows[p->family];
	bool is_reply = visit->whose == TRACE_TO_SNAT;
	flow_at at = is_reply ? flow_table_find_back(ft, p->hash, snat_return_key(p))
			      : flow_table_find(ft, p->hash, p->l3 + (p->family == IPV4 ? 12 : 8),
					packet_source_port(p), p->service);

	visit->flow_found = at != FLOW_NONE &&
		flow_table_view(ft, b->table, at, b->now_s, &visit->flow) &&
		visit->flow.state != FLOW_RESTING;
}

static void look_at_sorted(struct tracer *t, const struct burst *b, struct trace_visit *visit)
{
	const struct packet *p = &b->packets[0];
	bool is_kept = reassembly_held(t->reassembly) > 0;

	visit->is_whole = t->counters.events[EVENT_REASSEMBLED] > 0;
	for (enum family family = 0; family < N_FAMILIES; family++) {
		const struct packet_list *snat = &b->to_services[MODE_SNAT][family];
		bool goes_on = b->to_snat[family].n + b->to_clients[family].n > 0;

		for (enum forwarding_mode mode = 0; mode < N_MODES; mode++) {
			if (b->to_services[mode][family].n == 0)
				continue;
			look_at_choice(t, b, p, visit);
			goes_on = true;
		}
		if (goes_on && visit->is_whole)
			read_headers(p, &visit->headers);
		if (snat->n > 0)
			look_at_affinity(t, b, p, visit);
	}
	visit->whose = visit->is_unread || is_kept ? TRACE_TO_NOBODY : whose(t, b, visit);
	if (is_in(b->to_services[MODE_SNAT], p) || is_in(b->to_snat, p))
		look_at_flow(t, b, p, visit);
}

static void look_at_end(struct tracer *t, const struct burst *b, struct trace_visit *visit)
{
	const struct packet *p = &b->packets[0];

	visit->service = p->service;
	visit->node = p->node;
	visit->next_hop = p->next_hop;
	if (p->service != SERVICE_NONE)
		visit->mode = p->flow != FLOW_NONE ? MODE_SNAT : choose_service(b, p)->mode;
	visit->flow_begun = t->counters.events[EVENT_FLOWS_CREATED] > 0;
	if (p->flow != FLOW_NONE)
		flow_table_view(t->pipeline.flows[visit->headers.family], b->table, p->flow,
			b->now_s, &visit->flow);
}

static void look(void *argument, const struct burst *b, enum pipeline_stage stage)
{
	struct tracer *t = argument;
	struct trace_visit *visit = &t->trace.visits[t->trace.n_visits];

	switch (stage) {
	case STAGE_PARSED:
		look_at_parsed(b, visit);
		break;
	case STAGE_SORTED:
		look_at_sorted(t, b, visit);
		break;
	case STAGE_ENDED:
		look_at_end(t, b, visit);
		break;
	}
}

// How it ends
// ===========

static void add_frame(
	struct tracer *t, struct rte_mbuf *m, enum trace_way way, uint8_t port, uint32_t skip)
{
	struct trace *trace = &t->trace;
	uint32_t len = m->pkt_len - skip;

	if (trace->n_frames < TRACE_FRAMES_MAX && len <= TRACE_BYTES_MAX - trace->n_bytes) {
		uint8_t *to = &trace->bytes[trace->n_bytes];
		const void *from = rte_pktmbuf_read(m, skip, len, to);

		if (from != to)
			memcpy(to, from, len);
		trace->frames[trace->n_frames++] =
			(struct trace_frame){way, port, trace->n_bytes, len};
		trace->n_bytes += len;
	}
	rte_pktmbuf_free(m);
}

static void take_outcome(struct tracer *t, struct trace_visit *visit)
{
	struct outcome *out = &t->out;

	for (uint8_t port = 0; port < t->pipeline.n_ports; port++) {
		for (uint16_t i = 0; i < out->n.tx[port]; i++)
			add_frame(t, out->tx[port][i], TRACE_BY_PORT, port, 0);
		for (int class = 0; class < N_KERNEL_CLASSES; class ++) {
			for (uint16_t i = 0; i < out->n.to_kernel[port][class]; i++)
				add_frame(t, out->to_kernel[port][class][i],
					class == KERNEL_CONTROL ? TRACE_BY_TWIN_CONTROL
								: TRACE_BY_TWIN,
					port, 0);
		}
	}
	for (uint16_t i = 0; i < out->n.waiting; i++) {
		t->trace.waits_for = out->waiting[i].to;
		add_frame(t, out->waiting[i].mbuf, TRACE_WAITS, 0, out->waiting[i].mbuf->l2_len);
	}
	for (unsigned i = 0; i < t->pipeline.n_workers; i++) {
		if (out->n.handed[i] == 0)
			continue;
		visit->handed_to = i;
		t->mbuf = out->handed[i][0];
	}
	outcome_empty(out);
}

static void take_counters(struct tracer *t)
{
	for (int i = 0; i < N_EVENTS; i++)
		t->trace.has_event[i] |= t->counters.events[i] > 0;
	for (int i = 0; i < N_DROP_REASONS; i++) {
		// Others that make room for a fragment are not this packet.
		if (t->counters.drops[i] > 0 && i != DROP_FRAGMENT_EVICTED)
			t->trace.drop = i;
	}
	t->trace.is_kept = reassembly_held(t->reassembly) > 0 && t->trace.drop == DROP_NONE;
}

void tracer_visit(struct tracer *t, const struct pipeline *live,
	const struct forwarding_table *table, uint64_t now_ns)
{
	struct trace_visit *visit = &t->trace.visits[t->trace.n_visits];
	const struct pipeline_watcher watcher = {look, t};

	*visit = (struct trace_visit){
		.worker = live->worker,
		.service = SERVICE_NONE,
		.slot_node = NODE_NONE,
		.affinity_node = NODE_NONE,
		.node = NODE_NONE,
		.next_hop = NEXT_HOP_NONE,
		.handed_to = UINT32_MAX,
	};
	lay_over(t, live, table);
	t->live = live;

	struct rte_mbuf *mbuf = t->mbuf;
	t->mbuf = NULL;
	pipeline_watch(
		&t->pipeline, table, mbuf, t->was_handed, t->origin, now_ns, &t->out, &watcher);
	take_outcome(t, visit);
	take_counters(t);
	t->trace.n_visits++;
}

bool tracer_goes_on(struct tracer *t, uint64_t now_ns, unsigned *ret_worker)
{
	const struct trace_visit *last = &t->trace.visits[t->trace.n_visits - 1];

	if (t->mbuf == NULL || t->trace.n_visits == TRACE_VISITS_MAX)
		return false;
	t->was_handed = true;
	prepare(t, t->pipeline.hash_key, now_ns);
	*ret_worker = last->handed_to;
	return true;
}

struct trace *tracer_result(struct tracer *t)
{
	return &t->trace;
}
