#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include <rte_branch_prediction.h>

#include "flow_table.h"
#include "guideway/forwarding_table.h"
#include "pipeline.h"
#include "tcp_state.h"

// What both directions of snat ask of a flow.

// How many packets ahead of the one at work a flow's memory is asked for. Asked for all at once the
// lines would wait for each other, since a core can wait for some 12 to 16 lines; asked for one at
// a time they come while other packets are rewritten.
enum { SNAT_GUESS_AHEAD = 24 };

static inline __attribute__((always_inline)) void snat_guess(
	const struct flow_table *ft, enum family family, enum flow_side side, struct packet *p)
{
	p->flow = flow_table_guess(ft, family, side, p->hash);
}

// The table may be younger than the flow: an id beyond its end names nothing any more.
static inline bool snat_has_service(const struct forwarding_table *table, const struct flow *flow)
{
	return flow->service < table->n_services && service_exists(&table->services[flow->service]);
}

static inline bool snat_has_target(
	const struct forwarding_table *table, enum family family, const struct flow *flow)
{
	return flow->back.node < table->n_nodes && flow->back.snat_index < table->n_snat[family];
}

static inline struct flow_context snat_context(const struct burst *b)
{
	return (struct flow_context){b->table, b->pipeline->counters, b->now_s};
}

// Brings the flow's state up to a packet from that side, where the packet may change it.
void snat_change_state(const struct burst *b, struct flow_table *ft, struct flow *flow,
	const struct packet *p, enum tcp_side from);

// What is true of nearly every packet: its flow is established and stays so.
static inline void snat_follow_state(const struct burst *b, struct flow_table *ft,
	struct flow *flow, const struct packet *p, enum tcp_side from)
{
	bool plain = p->protocol == IPPROTO_UDP || tcp_is_plain(p->tcp_flags);

	if (likely(flow->state == FLOW_ESTABLISHED && plain))
		flow->seen_s = b->now_s;
	else
		snat_change_state(b, ft, flow, p, from);
}
