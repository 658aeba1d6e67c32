#include "snat.h"

#include "affinity.h"
#include "choose.h"
#include "mss.h"
#include "output.h"
#include "rewrite.h"
#include "snat_flow.h"
#include "traffic.h"

// From client to node
// ===================
//
//     (snat_prepare)   hash                  asks for the bucket
//     guess            bucket                asks for the flow
//     forward          flow, target          rewrites, sends; what has no flow is set aside
//     choose           slot, port            of those: asks for the bucket that the port would be
//     in begin            flow                  begins it, rewrites, sends
//
// A service that was in this mode and is in another now keeps the flows of that time: what is of
// none of them, as its owner has it, goes to the stage of the mode that it is in.
//
// Beginning comes last, since a flow that begins may take the place of one that was guessed.
//
// The port
// --------
// Candidates for a flow's SNAT address and port are drawn by its hash from those that its worker
// owns towards the target, and the first that no flow has, and that does not rest, is taken. With
// a share f of the ports taken, n draws fail with probability f^n: at 50 000 flows to a target by
// one address (f = 0.78) 128 draws fail once in 10^14. If all the draws fail, one that only rests
// is taken before its time; or else, since nobody has answered yet, that of the oldest half-open
// flow drawn: so a flood of SYNs with invented addresses takes ports from itself, mostly.
//
// A draw costs a cache line. Where a target has no port left, and a flood asks for one, a burst
// draws no more than DRAWS_PER_BURST times and then a few times a packet, so that the flows of
// other targets have their time.

enum { DRAWS_MAX = 128, DRAWS_PER_BURST = 512, DRAWS_LEAST = 4 };

// Where a new flow would go, and as whom.
struct choice {
	bool has_snat_index; // The client's, that it had before: else any will do.
	uint8_t snat_index;
	union return_key back;
	uint64_t hash_back;
};

static inline __attribute__((always_inline)) const void *client_of(
	const struct packet *p, enum family family)
{
	return p->l3 + (family == IPV4 ? 12 : 8);
}

static inline bool is_syn(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && tcp_is_syn(p->tcp_flags);
}

static inline bool target_lives(
	const struct burst *b, const struct packet *p, const struct flow *flow)
{
	if (unlikely(!snat_has_target(b->table, p->family, flow)))
		return false;

	return target_keeps_flows(choose_service(b, p)->states[flow->back.node]);
}

// Of a flow whose target lives.
static inline bool begins_anew(const struct packet *p, const struct flow *flow)
{
	return unlikely(flow->state == FLOW_CLOSING) && is_syn(p);
}

static inline __attribute__((always_inline)) void turn_to_node(
	const struct burst *b, struct packet *p, enum family family, const struct flow *flow)
{
	const struct node *node = &b->table->nodes[flow->back.node];
	const struct address *snat = &b->table->snat[family][flow->back.snat_index];
	const struct rewrite to = {
		.source = family == IPV4 ? (const void *)&snat->words[3] : snat,
		.destination = family == IPV4 ? (const void *)&node->ipv4 : &node->ipv6,
		.source_port = flow->back.snat_port,
		.destination_port = flow->back.node_port,
	};

	rewrite_packet(p->l3, p->l4, family, p->protocol, &to);
}

static inline __attribute__((always_inline)) void send_to_node(
	struct burst *b, struct packet *p, enum family family, const struct flow *flow)
{
	p->node = flow->back.node;
	p->next_hop = b->table->nodes[p->node].next_hop[family];
	uint64_t hop = output_hop(b->pipeline, p->next_hop);
	if (unlikely(!burst_fits(b, p)))
		return;

	mss_clamp(choose_service(b, p), p);
	traffic_count_in(b, flow->service, flow->back.node, p->ip_len);
	turn_to_node(b, p, family, flow);
	output_send(b, p, hop);
}

// Returns false, having done nothing, where it takes more than that: begin().
static inline __attribute__((always_inline)) bool forward(
	struct burst *b, struct packet *p, struct flow_table *ft, enum family family)
{
	if (p->flow == FLOW_NONE)
		return false;

	struct flow *flow = flow_table_flow(ft, family, p->flow);
	__be16 client_port = packet_source_port(p);
	if (unlikely(!flow_is(flow, family, client_of(p, family), client_port, p->service)))
		return false;
	if (unlikely(!target_lives(b, p, flow) || begins_anew(p, flow)))
		return false;

	snat_follow_state(b, ft, flow, p, TCP_CLIENT);
	send_to_node(b, p, family, flow);
	return true;
}

// The nth draw.
static inline __attribute__((always_inline)) void draw(const struct burst *b,
	const struct packet *p, enum family family, node_id id, unsigned nth,
	struct choice *ret_choice)
{
	const struct pipeline *pipeline = b->pipeline;
	const struct node *node = &b->table->nodes[id];
	struct address target = family == IPV4 ? address_from_ipv4(node->ipv4) : node->ipv6;
	uint64_t random = fold_multiply(p->hash + nth, pipeline->hash_key[1] ^ 0xa0761d6478bd642f);
	uint32_t index = (uint32_t)((random >> 32) * b->table->n_snat[family] >> 32);
	if (unlikely(ret_choice->has_snat_index))
		index = ret_choice->snat_index;
	const struct service *service = choose_service(b, p);

	union return_key back = {
		.node = id,
		.node_port = service->node_port,
		.snat_port = owner_port(pipeline->owners, pipeline->worker, &target,
			service->node_port, &b->table->snat[family][index], (uint32_t)random),
		.snat_index = (uint8_t)index,
		.protocol = p->protocol,
	};
	ret_choice->back = back;
	ret_choice->hash_back = flow_hash_back(pipeline->hash_key, back.word);
}

static inline __attribute__((always_inline)) node_id node_by_slot(
	const struct burst *b, const struct packet *p, enum family family)
{
	const struct service *service = choose_service(b, p);

	if (unlikely(b->table->n_snat[family] == 0))
		return NODE_NONE;
	return choose_node(service, choose_slot(b->pipeline, p, family, service));
}

static uint64_t affinity_hash(const struct burst *b, const struct packet *p, enum family family)
{
	return flow_hash(b->pipeline->hash_key, family, client_of(p, family), 0, p->service);
}

// A client that is to keep its node, and its SNAT address, has those that it had before, if it may.
static __attribute__((noinline)) void choose_again(
	struct burst *b, struct packet *p, enum family family, struct choice *ret_choice)
{
	const struct service *service = choose_service(b, p);
	uint64_t hash = affinity_hash(b, p, family);
	struct address client = packet_source(p);
	struct affinity_choice before;

	ret_choice->has_snat_index = true;
	ret_choice->snat_index = (uint8_t)((hash >> 32) * b->table->n_snat[family] >> 32);
	if (!affinity_find(b->pipeline->affinity, hash, &client, p->service, b->now_s,
		    service->affinity_s, &before) ||
		before.node >= b->table->n_nodes || before.snat_index >= b->table->n_snat[family] ||
		service->states[before.node] != TARGET_UP)
		return;

	p->node = before.node;
	ret_choice->snat_index = before.snat_index;
}

static __attribute__((noinline)) void remember_choice(
	struct burst *b, const struct packet *p, enum family family, const struct choice *choice)
{
	struct address client = packet_source(p);

	affinity_put(b->pipeline->affinity, affinity_hash(b, p, family), &client, p->service,
		b->now_s, (struct affinity_choice){p->node, choice->back.snat_index});
}

static inline __attribute__((always_inline)) void choose(struct burst *b, struct packet *p,
	const struct flow_table *ft, enum family family, struct choice *ret_choice)
{
	p->node = node_by_slot(b, p, family);
	if (unlikely(p->node == NODE_NONE || choose_service(b, p)->mode != MODE_SNAT))
		return;

	ret_choice->has_snat_index = false;
	if (unlikely(choose_service(b, p)->affinity_s != 0))
		choose_again(b, p, family, ret_choice);
	draw(b, p, family, p->node, 0, ret_choice);
	flow_table_prefetch(ft, FLOW_BACK, ret_choice->hash_back);
}

// Of those whose ports were drawn, the flow that may lose it: one that rests, or else the half-open
// one that began first.
static flow_at prefer_victim(
	const struct flow_table *ft, enum family family, flow_at victim, flow_at drawn)
{
	const struct flow *flow = flow_table_flow(ft, family, drawn);

	if (flow->state != FLOW_RESTING && flow->state != FLOW_HALF_OPEN)
		return victim;
	if (victim == FLOW_NONE)
		return drawn;

	const struct flow *before = flow_table_flow(ft, family, victim);
	bool is_better = flow->state != before->state ? flow->state == FLOW_RESTING
						      : flow->seen_s < before->seen_s;
	return is_better ? drawn : victim;
}

static void take_port(struct burst *b, struct flow_table *ft, enum family family, flow_at victim,
	struct choice *choice)
{
	const struct flow_context c = snat_context(b);
	const struct flow *flow = flow_table_flow(ft, family, victim);
	enum event event = flow->state == FLOW_RESTING ? EVENT_SNAT_PORT_REUSED_EARLY
						       : EVENT_FLOWS_EVICTED_HALF_OPEN;

	choice->back = flow->back;
	choice->hash_back = flow_hash_back(b->pipeline->hash_key, choice->back.word);
	flow_table_remove(ft, &c, victim);
	burst_count(b, event);
}

static inline unsigned draws_left(const struct burst *b)
{
	return b->n_draws < DRAWS_PER_BURST ? DRAWS_MAX : DRAWS_LEAST;
}

// Makes 'choice' one that is free. Returns false if there is none.
static inline __attribute__((always_inline)) bool settle(struct burst *b, struct packet *p,
	struct flow_table *ft, enum family family, struct choice *choice)
{
	flow_at victim = FLOW_NONE;

	for (unsigned nth = 0, most = draws_left(b); nth < most; nth++, b->n_draws++) {
		if (nth > 0)
			draw(b, p, family, p->node, nth, choice);
		if (unlikely(choice->back.snat_port == 0))
			return false;

		flow_at at = flow_table_find_back(ft, choice->hash_back, choice->back);
		if (likely(at == FLOW_NONE))
			return true;
		victim = prefer_victim(ft, family, victim, at);
	}
	if (victim == FLOW_NONE)
		return false;

	take_port(b, ft, family, victim, choice);
	return true;
}

static inline __attribute__((always_inline)) void begin(struct burst *b, struct packet *p,
	struct flow_table *ft, enum family family, struct choice *choice)
{
	if (unlikely(p->node == NODE_NONE)) {
		burst_reject(b, p, DROP_NO_TARGET);
		return;
	}

	p->next_hop = b->table->nodes[p->node].next_hop[family];
	if (unlikely(p->next_hop == NEXT_HOP_NONE))
		return burst_drop(b, p, DROP_NO_ROUTE);
	if (unlikely(!burst_fits(b, p)))
		return; // Before there is a flow.
	if (unlikely(!settle(b, p, ft, family, choice)))
		return burst_drop(b, p, DROP_NO_PORT);

	const struct flow_context c = snat_context(b);
	const struct flow_identity new = {
		.client = client_of(p, family),
		.client_port = packet_source_port(p),
		.service = p->service,
		.back = choice->back,
	};
	p->flow = flow_table_add(ft, &c, &new, p->hash, choice->hash_back);
	if (unlikely(p->flow == FLOW_NONE))
		return burst_drop(b, p, DROP_FLOWS_FULL);

	if (unlikely(choose_service(b, p)->affinity_s != 0))
		remember_choice(b, p, family, choice);
	send_to_node(b, p, family, flow_table_flow(ft, family, p->flow));
}

// Of no known flow, and begins none.
static void refuse_unknown(struct burst *b, struct packet *p)
{
	if (b->pipeline->rss && burst_pass_on(b, p))
		return;

	if (b->table->settings.reset_unknown_tcp && !(p->tcp_flags & RTE_TCP_RST_FLAG))
		burst_reject(b, p, DROP_UNKNOWN_TCP);
	else
		burst_drop(b, p, DROP_UNKNOWN_TCP);
}

// Its client is told, and again at its next packets, until the flow has been closing for long
// enough or the client begins anew. While the limiter has it that nobody is told, the flow stays as
// it is: its target may come back.
static void refuse_dead(struct burst *b, struct packet *p, struct flow_table *ft)
{
	const struct flow_context c = snat_context(b);
	const struct flow *flow = flow_table_flow(ft, p->family, p->flow);
	flow_at at = p->flow;
	bool is_over = p->tcp_flags & RTE_TCP_RST_FLAG;

	if (is_over)
		burst_drop(b, p, DROP_DEAD_TARGET);
	else
		is_over = burst_reject(b, p, DROP_DEAD_TARGET);
	if (is_over && flow->state != FLOW_CLOSING)
		flow_table_move(ft, &c, at, FLOW_CLOSING);
}

// Of no flow of the time when its service was in this mode.
static void leave_to_slot(struct burst *b, struct packet *p)
{
	p->flow = FLOW_NONE;
	choose_prepare(b, p, p->family, choose_service(b, p));
	b->is_by_slot = true;
	packet_list_add(&b->to_services[choose_service(b, p)->mode][p->family], p);
}

// Where the port's RSS says who owns a flow, all workers are asked for one that may be there.
static bool is_of_others(struct burst *b, struct packet *p)
{
	return !snat_owner_is_known(b->pipeline, choose_service(b, p)) && !is_syn(p) &&
		burst_pass_on(b, p);
}

// Ends the flow that the packet's own takes the place of. Returns false if the packet ends here.
static bool make_way(struct burst *b, struct packet *p, struct flow_table *ft)
{
	const struct flow_context c = snat_context(b);

	if (p->protocol == IPPROTO_TCP && !is_syn(p) && b->table->settings.reset_dead_target) {
		refuse_dead(b, p, ft);
		return false;
	}
	flow_table_end(ft, &c, p->flow);
	return true;
}

// For a packet whose flow was not found at first sight, or cannot go on. It may have begun since,
// in this very burst.
static inline __attribute__((always_inline)) void forward_set_aside(struct burst *b,
	struct packet *p, struct flow_table *ft, enum family family, struct choice *choice)
{
	p->flow = flow_table_find(
		ft, p->hash, client_of(p, family), packet_source_port(p), p->service);
	if (unlikely(p->flow != FLOW_NONE)) {
		if (forward(b, p, ft, family) || !make_way(b, p, ft))
			return;
		if (unlikely(choose_service(b, p)->mode != MODE_SNAT))
			return leave_to_slot(b, p);
	} else if (unlikely(choose_service(b, p)->mode != MODE_SNAT)) {
		if (!is_of_others(b, p))
			leave_to_slot(b, p);
		return;
	} else if (unlikely(!choose_admits(b, choose_service(b, p), p))) {
		return burst_drop(b, p, DROP_SOURCE);
	} else if (unlikely(burst_is_from_us(b, p))) {
		return burst_drop(b, p, DROP_BAD_SOURCE);
	} else if (p->protocol == IPPROTO_TCP && !tcp_is_syn(p->tcp_flags)) {
		return refuse_unknown(b, p);
	}
	begin(b, p, ft, family, choice);
}

static inline __attribute__((always_inline)) void forward_family(
	struct burst *b, const struct packet_list *list, enum family family)
{
	struct flow_table *ft = b->pipeline->flows[family];
	struct packet *aside[BURST_MAX];
	struct choice choices[BURST_MAX];
	uint16_t n_aside = 0;

	for (uint16_t i = 0; i < RTE_MIN(list->n, SNAT_GUESS_AHEAD); i++)
		snat_guess(ft, family, FLOW_FORWARD, list->at[i]);
	for (uint16_t i = 0; i < list->n; i++) {
		if (i + SNAT_GUESS_AHEAD < list->n)
			snat_guess(ft, family, FLOW_FORWARD, list->at[i + SNAT_GUESS_AHEAD]);
		if (!forward(b, list->at[i], ft, family))
			aside[n_aside++] = list->at[i];
	}
	for (uint16_t i = 0; i < n_aside; i++)
		choose(b, aside[i], ft, family, &choices[i]);
	for (uint16_t i = 0; i < n_aside; i++)
		forward_set_aside(b, aside[i], ft, family, &choices[i]);
}

void snat_forward(struct burst *b, enum family family, struct packet_list *list)
{
	if (family == IPV4)
		forward_family(b, list, IPV4);
	else
		forward_family(b, list, IPV6);
}
