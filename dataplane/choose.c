#include "choose.h"

#include <netinet/in.h>

#include "guideway/vip_probe.h"
#include "tcp_state.h"

// A flow between two addresses of ours would feed itself its own replies. Of TCP it is enough to
// ask this of SYNs: nobody answers what follows none.
static inline bool may_begin(const struct packet *p)
{
	return p->protocol != IPPROTO_TCP || tcp_is_syn(p->tcp_flags);
}

static inline uint32_t acknowledgment_of(const struct packet *p)
{
	return rte_be_to_cpu_32(((const struct rte_tcp_hdr *)p->l4)->recv_ack);
}

// A SYN, or the RST that takes it back: without an acknowledgment its number says nothing else.
static inline bool is_probe(const struct burst *b, const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && !(p->tcp_flags & RTE_TCP_ACK_FLAG) &&
		is_vip_probe(acknowledgment_of(p)) && choose_service(b, p)->mode != MODE_DNAT;
}

// One that a port brings was sent on by a node that does not know the VIP.
static enum drop_reason choose_probed(struct burst *b, struct packet *p)
{
	const struct service *service = choose_service(b, p);
	node_id node = vip_probe_node(acknowledgment_of(p));

	if (p->origin != ORIGIN_KERNEL)
		return DROP_LOOP;
	if (node >= b->table->n_nodes || service->states[node] == TARGET_ABSENT)
		return DROP_NOT_READY;
	p->node = node;
	p->next_hop = b->table->nodes[node].next_hop[service->target_family];
	return p->next_hop == NEXT_HOP_NONE ? DROP_NO_ROUTE : DROP_NONE;
}

static inline enum drop_reason choose(struct burst *b, struct packet *p)
{
	const struct service *service = choose_service(b, p);

	if (unlikely(is_probe(b, p)))
		return choose_probed(b, p);
	if (unlikely(!choose_admits(b, service, p)))
		return DROP_SOURCE;
	p->node = choose_node(service, (uint32_t)p->hash);
	if (unlikely(p->node == NODE_NONE))
		return choose_nobody(service);
	p->next_hop = b->table->nodes[p->node].next_hop[service->target_family];
	if (unlikely(p->next_hop == NEXT_HOP_NONE))
		return DROP_NO_ROUTE;
	return may_begin(p) && unlikely(burst_is_from_us(b, p)) ? DROP_BAD_SOURCE : DROP_NONE;
}

void choose_nodes(struct burst *b, struct packet_list *list)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < list->n; i++) {
		struct packet *p = list->at[i];
		enum drop_reason reason = choose(b, p);

		if (likely(reason == DROP_NONE))
			list->at[kept++] = p;
		else if (reason == DROP_NO_TARGET)
			burst_reject(b, p, reason);
		else
			burst_drop(b, p, reason);
	}
	list->n = kept;
}
