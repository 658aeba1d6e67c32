#include "pipeline.h"

#include <netinet/in.h>

#include <rte_branch_prediction.h>

#include "ask.h"
#include "capture.h"
#include "choose.h"
#include "clock.h"
#include "collect.h"
#include "dnat.h"
#include "dsr.h"
#include "icmp.h"
#include "neighbour.h"
#include "output.h"
#include "owner.h"
#include "parse.h"
#include "segments.h"
#include "snat.h"
#include "tunnel.h"

// From a received burst to where each packet goes
// ===============================================
//
//     parse      headers                what nobody here is to see is dropped
//     ask        whose it may be        of thousands of services: asks for their memory
//     sort       whose it is            a service's, an SNAT address's, ours, or the kernel's
//     steer      whose flow it is       another worker's is handed over
//     forward    client -> node         snat: finds or begins the flow, rewrites, sends
//                                       dnat, dsr, tunnel: by its slot, without a flow
//     reply      node -> client         snat: by its flow;  dnat: by its NodePort
//
// Each stage takes all packets of a burst before the next begins, so that the memory it asks for
// arrives while it works on other packets. What is rare ends while sorting: ARP, neighbour
// discovery, echo and what is to be rejected are answered in their own memory; ICMP errors follow
// the flow that they are about; what is for none of our addresses passes to the kernel, or if it
// came from there, out of the port.
//
// Whose a packet is, is asked in this order: an SNAT address's, which is never a VIP; a service's,
// by VIP, port and protocol; another address of our own; the machine's own addresses, which are the
// kernel's; a reply of a node in the mode dnat, whose destination is the client; the rest is the
// kernel's, who forwards it if it is a router. An SNAT address that the machine has as well
// (is_shared) is ours for what comes from a node and is of a flow, and else the kernel's, who
// answers ARP and ping for it.
//
// Whatever ends a packet's way puts it into the outcome, or drops it by its reason: burst.h.

// Nothing but an address of ours makes a packet, and what is wrong with it, our business.
static void sort_ours(struct burst *b, struct packet *p, const struct own_address *own)
{
	capture_in(b, p);
	if (p->fault != DROP_NONE)
		return burst_drop(b, p, p->fault);

	segments_cut(p->mbuf, p->l2_len + p->ip_len);
	if (p->kind == KIND_ICMP)
		icmp_to_us(b, p, own);
	else if (own->rejects)
		(void)burst_reject(b, p, DROP_NO_SERVICE);
	else
		burst_drop(b, p, DROP_NO_SERVICE);
}

static void sort_whole(struct burst *b, struct packet *p);

// Only the whole says whose it is. It is no fragment any more, so this does not go round.
static void sort_fragment(struct burst *b, struct packet *p)
{
	capture_in(b, p);
	if (collect_fragment(b, p))
		sort_whole(b, p);
}

static bool is_fragment_for_us(const struct burst *b, const struct packet *p,
	const struct own_address *own, const struct address *destination)
{
	if (p->fault != DROP_FRAGMENT)
		return false;
	if (own_address_is_ours_alone(own))
		return true;

	struct address source = packet_source(p);
	if (own != NULL && own->is_shared)
		return forwarding_table_find_node(b->table, &source) != NODE_NONE;
	return dnat_may_be_reply(b, p) && !output_is_to_kernel(b, destination);
}

static void sort_by_address(struct burst *b, struct packet *p)
{
	struct address destination = packet_destination(p);
	const struct own_address *own = forwarding_table_find_own(b->table, &destination);

	if (is_fragment_for_us(b, p, own, &destination))
		sort_fragment(b, p);
	else if (own_address_is_ours_alone(own))
		sort_ours(b, p, own);
	else if (p->kind != KIND_ICMP || p->fault != DROP_NONE || !icmp_to_others(b, p, own))
		burst_pass_by(b, p);
}

static bool is_answered_as_neighbour(struct burst *b, struct packet *p)
{
	if (p->kind == KIND_ARP)
		return neighbour_answer_arp(b, p);
	return p->kind == KIND_ICMP && is_neighbour_solicitation(p) &&
		neighbour_answer_solicitation(b, p);
}

static void sort_rare(struct burst *b, struct packet *p)
{
	if (is_answered_as_neighbour(b, p))
		return;
	if (p->kind == KIND_ARP || p->kind == KIND_OTHER)
		burst_pass_by(b, p);
	else
		sort_by_address(b, p);
}

static inline void cut_padding(struct packet *p)
{
	segments_cut(p->mbuf, p->l2_len + p->ip_len);
}

// Returns false if it goes no further.
static inline __attribute__((always_inline)) bool may_go_on(
	struct burst *b, struct packet *p, enum family family)
{
	cut_padding(p);
	if (unlikely(*packet_hop_limit_of(p, family) <= 1)) {
		burst_expire(b, p);
		return false;
	}
	return true;
}

// To a service that keeps no flows.
static inline __attribute__((always_inline)) void sort_by_slot(struct burst *b, struct packet *p,
	enum family family, const struct service *service, enum forwarding_mode mode)
{
	if (mode == MODE_DSR)
		cut_padding(p); // Its hop limit does not change.
	else if (unlikely(!may_go_on(b, p, family)))
		return;

	choose_prepare(b, p, family, service);
	b->is_by_slot = true;
	packet_list_add(&b->to_services[mode][family], p);
}

static inline __attribute__((always_inline)) void sort_by_flow(
	struct burst *b, struct packet *p, enum family family)
{
	if (unlikely(!may_go_on(b, p, family)))
		return;

	snat_prepare(b->pipeline, p, family);
	packet_list_add(&b->to_services[MODE_SNAT][family], p);
}

// Compiled once for each mode, too, so that the compiler knows where its list is.
static inline __attribute__((always_inline)) void sort_to_service(
	struct burst *b, struct packet *p, enum family family)
{
	const struct service *service = choose_service(b, p);

	capture_in(b, p);
	if (service->mode == MODE_SNAT || unlikely(service->keeps_flows))
		sort_by_flow(b, p, family);
	else if (service->mode == MODE_DSR)
		sort_by_slot(b, p, family, service, MODE_DSR);
	else if (service->mode == MODE_DNAT)
		sort_by_slot(b, p, family, service, MODE_DNAT);
	else
		sort_by_slot(b, p, family, service, MODE_TUNNEL);
}

// To none of our addresses.
static inline __attribute__((always_inline)) void sort_to_others(
	struct burst *b, struct packet *p, enum family family)
{
	struct address destination = packet_destination_of(p, family);
	next_hop_id next_hop = forwarding_table_route(b->table, &destination);
	uint64_t hop = output_hop(b->pipeline, next_hop);

	if (hop & NEXT_HOP_TO_KERNEL || !dnat_is_reply(b, p))
		return burst_pass_by(b, p);
	p->next_hop = next_hop;
	capture_in(b, p);
	b->is_by_slot = true;
	if (may_go_on(b, p, family))
		packet_list_add(&b->to_clients[family], p);
}

// To an SNAT address: a reply, or if the kernel has the address as well what may be one. That no
// flow is its own is found out later.
static inline bool may_be_reply(
	const struct burst *b, const struct packet *p, const struct own_address *own)
{
	return likely(!own->is_shared) ||
		(p->node != NODE_NONE && *packet_hop_limit(p) > 1 &&
			owner_map_has(b->pipeline->owners, packet_destination_port(p)));
}

// To an SNAT address that the kernel has, too, and nothing that may be a reply. Rare, and so apart.
static __attribute__((noinline)) void sort_to_shared(struct burst *b, struct packet *p)
{
	sort_to_others(b, p, p->family);
}

static inline __attribute__((always_inline)) void sort_to_snat(
	struct burst *b, struct packet *p, enum family family, const struct own_address *own)
{
	struct address source = packet_source_of(p, family);

	p->snat_index = own->snat_index;
	p->node = forwarding_table_find_node(b->table, &source);
	if (unlikely(!may_be_reply(b, p, own)))
		return sort_to_shared(b, p);

	capture_in(b, p);
	if (unlikely(!may_go_on(b, p, family)))
		return;

	snat_prepare_reply(b->pipeline, p, family);
	packet_list_add(&b->to_snat[family], p);
}

static inline __attribute__((always_inline)) void sort_ports_of(
	struct burst *b, struct packet *p, enum family family)
{
	struct address destination = packet_destination_of(p, family);
	const struct own_address *own = forwarding_table_find_own(b->table, &destination);

	if (own_address_is_ours_alone(own))
		sort_ours(b, p, own);
	else
		sort_to_others(b, p, family);
}

// To no service, and to no SNAT address. Apart, so that what is to one has all registers.
static __attribute__((noinline)) void sort_ports(struct burst *b, struct packet *p)
{
	if (p->family == IPV4)
		sort_ports_of(b, p, IPV4);
	else
		sort_ports_of(b, p, IPV6);
}

// 'asked' where ask_for_services() has left what it found.
static inline __attribute__((always_inline)) service_id find_service(const struct burst *b,
	const struct packet *p, const struct address *destination, bool asked)
{
	rte_be16_t port = packet_destination_port(p);

	if (asked && likely(ask_guess_is_right(b, p, destination)))
		return p->service;
	return forwarding_table_find_service(b->table,
		index_hash_endpoint(destination, port, p->protocol), destination, port,
		p->protocol);
}

static inline __attribute__((always_inline)) void sort_family(
	struct burst *b, struct packet *p, enum family family, bool asked)
{
	struct address destination = packet_destination_of(p, family);
	const struct own_address *snat = forwarding_table_find_snat(b->table, &destination);
	if (snat != NULL)
		return sort_to_snat(b, p, family, snat);

	p->service = find_service(b, p, &destination, asked);
	if (p->service != SERVICE_NONE)
		sort_to_service(b, p, family);
	else
		sort_ports(b, p);
}

static inline __attribute__((always_inline)) void sort_packet(
	struct burst *b, struct packet *p, bool asked)
{
	if (unlikely(!packet_has_ports(p)))
		sort_rare(b, p);
	else if (p->family == IPV4)
		sort_family(b, p, IPV4, asked);
	else
		sort_family(b, p, IPV6, asked);
}

// Apart, so that the rest of the burst has its sorting in line.
static __attribute__((noinline)) void sort_whole(struct burst *b, struct packet *p)
{
	sort_packet(b, p, false);
}

static void sort(struct burst *b, bool asked)
{
	struct packet *end = b->packets + b->n;

	for (struct packet *p = b->packets; p < end; p++)
		sort_packet(b, p, asked);
}

// The hash says which worker has the flow, where the port has not had its say.
static void steer_to_services(struct burst *b, struct packet_list *list)
{
	const struct pipeline *pipeline = b->pipeline;
	uint16_t kept = 0;

	for (uint16_t i = 0; i < list->n; i++) {
		struct packet *p = list->at[i];
		const struct service *service = choose_service(b, p);

		if (!snat_owner_is_known(pipeline, service)) {
			list->at[kept++] = p;
			continue;
		}
		unsigned worker = snat_owner(pipeline, service, p->family,
			p->l3 + (p->family == IPV4 ? 12 : 8), p->service, p->hash);

		if (worker == pipeline->worker)
			list->at[kept++] = p;
		else
			burst_hand_over(b, p, worker);
	}
	list->n = kept;
}

// The SNAT port says it.
static void steer_to_snat(struct burst *b, struct packet_list *list)
{
	const struct pipeline *pipeline = b->pipeline;
	uint16_t kept = 0;

	for (uint16_t i = 0; i < list->n; i++) {
		struct packet *p = list->at[i];
		struct address node = packet_source(p);
		struct address snat = packet_destination(p);
		unsigned worker = owner_of(pipeline->owners, &node, packet_source_port(p), &snat,
			packet_destination_port(p));

		if (worker == pipeline->worker)
			list->at[kept++] = p;
		else
			burst_hand_over(b, p, worker);
	}
	list->n = kept;
}

static void steer(struct burst *b)
{
	if (b->pipeline->n_workers == 1)
		return;
	for (enum family family = 0; family < N_FAMILIES; family++) {
		steer_to_services(b, &b->to_services[MODE_SNAT][family]);
		steer_to_snat(b, &b->to_snat[family]);
	}
}

// Before the first table there are no addresses of ours.
static void pass_all_by(struct burst *b)
{
	for (uint16_t i = 0; i < b->n; i++)
		burst_pass_by(b, &b->packets[i]);
}

// Most lists of a burst are empty, and a stage that has nothing to do is not called.
static void forward_by_flow(struct burst *b, enum family family)
{
	struct packet_list *to_services = &b->to_services[MODE_SNAT][family];
	struct packet_list *to_snat = &b->to_snat[family];

	if (to_services->n > 0)
		snat_forward(b, family, to_services);
	if (to_snat->n > 0)
		snat_reply(b, family, to_snat);
}

static void forward_in_mode(struct burst *b, enum family family, enum forwarding_mode mode)
{
	struct packet_list *list = &b->to_services[mode][family];

	if (list->n == 0)
		return;
	choose_nodes(b, list);
	if (mode == MODE_DNAT)
		dnat_forward(b, family, list);
	else if (mode == MODE_DSR)
		dsr_forward(b, list);
	else
		tunnel_forward(b, list);
}

// What needs no flow.
static void forward_by_slot(struct burst *b, enum family family)
{
	for (enum forwarding_mode mode = MODE_DNAT; mode < N_MODES; mode++)
		forward_in_mode(b, family, mode);
	if (b->to_clients[family].n > 0)
		dnat_reply(b, family, &b->to_clients[family]);
}

static inline void show(
	const struct burst *b, const struct pipeline_watcher *watcher, enum pipeline_stage stage)
{
	if (watcher != NULL)
		watcher->look(watcher->argument, b, stage);
}

// 'watcher' is NULL, and costs nothing, where nobody looks.
static inline __attribute__((always_inline)) void go_on(
	struct burst *b, const struct pipeline_watcher *watcher)
{
	if (unlikely(b->table == NULL))
		return pass_all_by(b);

	bool asks = ask_pays(b);
	if (asks)
		ask_for_services(b);
	sort(b, asks);
	show(b, watcher, STAGE_SORTED);
	steer(b);
	for (enum family family = 0; family < N_FAMILIES; family++)
		forward_by_flow(b, family);
	for (enum family family = 0; b->is_by_slot && family < N_FAMILIES; family++)
		forward_by_slot(b, family);
}

// Member by member, since most of a burst is room for packets.
static void begin(struct burst *b, struct pipeline *p, const struct forwarding_table *table,
	uint64_t now_ns, struct outcome *out)
{
	b->pipeline = p;
	b->table = table;
	b->out = out;
	// Acquire: pairs with the store in dataplane_capture(): what is wanted is set.
	b->capture = atomic_load_explicit(&p->capture, memory_order_acquire);
	b->was_handed = false;
	b->now_ns = now_ns;
	b->now_s = clock_s(now_ns);
	b->mtu_min = p->mtu_min;
	b->n = 0;
	b->n_draws = 0;
	b->is_by_slot = false;
	b->n_fragments_handed = 0;
	for (enum family family = 0; family < N_FAMILIES; family++) {
		for (enum forwarding_mode mode = 0; mode < N_MODES; mode++)
			b->to_services[mode][family].n = 0;
		b->to_snat[family].n = b->to_clients[family].n = 0;
	}
}

void pipeline_forward(struct pipeline *p, const struct forwarding_table *table,
	struct rte_mbuf **mbufs, uint16_t n, enum origin origin, uint64_t now_ns,
	struct outcome *out)
{
	struct burst b;

	begin(&b, p, table, now_ns, out);
	parse_burst(&b, mbufs, n, origin);
	go_on(&b, NULL);
}

void pipeline_forward_handed(struct pipeline *p, const struct forwarding_table *table,
	struct rte_mbuf **mbufs, uint16_t n, uint64_t now_ns, struct outcome *out)
{
	struct burst b;

	begin(&b, p, table, now_ns, out);
	b.was_handed = true;
	parse_burst_handed(&b, mbufs, n);
	go_on(&b, NULL);
}

void pipeline_watch(struct pipeline *p, const struct forwarding_table *table, struct rte_mbuf *mbuf,
	bool was_handed, enum origin origin, uint64_t now_ns, struct outcome *out,
	const struct pipeline_watcher *watcher)
{
	struct burst b;

	begin(&b, p, table, now_ns, out);
	b.was_handed = was_handed;
	b.packets[0] = (struct packet){
		.service = SERVICE_NONE,
		.flow = FLOW_NONE,
		.node = NODE_NONE,
		.next_hop = NEXT_HOP_NONE,
	};
	if (was_handed)
		parse_burst_handed(&b, &mbuf, 1);
	else
		parse_burst(&b, &mbuf, 1, origin);
	show(&b, watcher, STAGE_PARSED);
	go_on(&b, watcher);
	show(&b, watcher, STAGE_ENDED);
}

bool pipeline_retry(struct pipeline *p, const struct forwarding_table *table,
	const struct waiting *waiting, struct outcome *out)
{
	struct burst b;

	begin(&b, p, table, 0, out);
	return output_retry(&b, waiting);
}

void pipeline_prepare(struct pipeline *p)
{
	p->mtu_min = UINT16_MAX;
	for (size_t i = 0; i < p->n_ports; i++) {
		p->mtu_min = RTE_MIN(p->mtu_min, p->ports[i].mtu);
		p->headers[i] = output_header(&p->ports[i]);
	}
}
