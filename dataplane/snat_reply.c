#include "snat.h"

#include "ask.h"
#include "mss.h"
#include "output.h"
#include "rewrite.h"
#include "snat_flow.h"
#include "traffic.h"

// From node to client
// ===================
//
//     (snat_prepare_reply)   hash                    asks for the bucket
//     guess                  bucket                  asks for the flow
//     (ask)                  flow                    of thousands of services: asks for its own
//     reply                  flow, service, route    rewrites, sends

// How many packets ahead of the one at work the service is asked for: the flow that names it, asked
// for four times as far ahead, has come by then.
enum { ASK_AHEAD = SNAT_GUESS_AHEAD / 4 };

// NULL where there is no flow, or only a resting port.
static inline __attribute__((always_inline)) struct flow *find(
	const struct flow_table *ft, const struct packet *p, enum family family)
{
	flow_at at = p->flow;

	if (unlikely(at == FLOW_NONE ||
		    !flow_is_back(flow_table_flow(ft, family, at), snat_return_key(p))))
		at = flow_table_find_back(ft, p->hash, snat_return_key(p));
	if (unlikely(at == FLOW_NONE))
		return NULL;

	struct flow *flow = flow_table_flow(ft, family, at);
	return likely(flow->state != FLOW_RESTING) ? flow : NULL;
}

static inline __attribute__((always_inline)) void turn_back(struct packet *p, enum family family,
	const struct service *service, const struct flow *flow)
{
	const struct rewrite to = {
		.source = family == IPV4 ? (const void *)&service->vip.words[3] : &service->vip,
		.destination = flow->client,
		.source_port = service->port,
		.destination_port = flow->client_port,
	};

	rewrite_packet(p->l3, p->l4, family, p->protocol, &to);
}

// What is of no flow is the kernel's where the address is, too.
static __attribute__((noinline)) void leave(struct burst *b, struct packet *p)
{
	struct address destination = packet_destination(p);
	const struct own_address *own = forwarding_table_find_own(b->table, &destination);

	if (own != NULL && own->is_shared)
		burst_pass_by(b, p);
	else
		burst_drop(b, p, DROP_NO_FLOW);
}

static inline __attribute__((always_inline)) void reply(
	struct burst *b, struct packet *p, struct flow_table *ft, enum family family)
{
	struct flow *flow = find(ft, p, family);
	if (unlikely(flow == NULL || !snat_has_service(b->table, flow)))
		return leave(b, p);

	p->service = flow->service;
	p->next_hop = route_find(b->table->routes.steps[family], (const uint8_t *)flow->client);
	uint64_t hop = output_hop(b->pipeline, p->next_hop);
	if (unlikely(!burst_fits(b, p)))
		return;

	mss_clamp(&b->table->services[flow->service], p);
	snat_follow_state(b, ft, flow, p, TCP_NODE);
	traffic_count_out(b, flow->service, flow->back.node, p->ip_len);
	turn_back(p, family, &b->table->services[flow->service], flow);
	output_send(b, p, hop);
}

static inline __attribute__((always_inline)) void ask(const struct burst *b,
	const struct flow_table *ft, enum family family, const struct packet *p)
{
	if (p->flow != FLOW_NONE)
		ask_for_service(b, b->pipeline->counters->services.out,
			flow_table_flow(ft, family, p->flow)->service);
}

static inline __attribute__((always_inline)) void reply_family(
	struct burst *b, const struct packet_list *list, enum family family)
{
	struct flow_table *ft = b->pipeline->flows[family];
	uint16_t n_to_ask = ask_pays(b) ? list->n : 0;

	for (uint16_t i = 0; i < RTE_MIN(list->n, SNAT_GUESS_AHEAD); i++)
		snat_guess(ft, family, FLOW_BACK, list->at[i]);
	for (uint16_t i = 0; i < list->n; i++) {
		if (i + SNAT_GUESS_AHEAD < list->n)
			snat_guess(ft, family, FLOW_BACK, list->at[i + SNAT_GUESS_AHEAD]);
		if (i + ASK_AHEAD < n_to_ask)
			ask(b, ft, family, list->at[i + ASK_AHEAD]);
		reply(b, list->at[i], ft, family);
	}
}

void snat_reply(struct burst *b, enum family family, struct packet_list *list)
{
	if (family == IPV4)
		reply_family(b, list, IPV4);
	else
		reply_family(b, list, IPV6);
}
