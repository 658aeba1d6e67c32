#include "dnat.h"

#include "choose.h"
#include "mss.h"
#include "output.h"
#include "rewrite.h"
#include "traffic.h"

static inline __attribute__((always_inline)) void forward(
	struct burst *b, struct packet *p, enum family family)
{
	const struct node *node = &b->table->nodes[p->node];
	const struct service *service = choose_service(b, p);
	uint64_t hop = output_hop(b->pipeline, p->next_hop);

	if (unlikely(!burst_fits(b, p)))
		return;

	mss_clamp(service, p);
	traffic_count_in(b, p->service, p->node, p->ip_len);
	rewrite_end(p->l3, p->l4, family, p->protocol, DESTINATION_END,
		family == IPV4 ? (const void *)&node->ipv4 : &node->ipv6, service->node_port);
	output_send(b, p, hop);
}

void dnat_forward(struct burst *b, enum family family, const struct packet_list *list)
{
	for (uint16_t i = 0; i < list->n; i++) {
		if (family == IPV4)
			forward(b, list->at[i], IPV4);
		else
			forward(b, list->at[i], IPV6);
	}
}

static inline __attribute__((always_inline)) bool is_reply(
	const struct burst *b, struct packet *p, enum family family)
{
	service_id service =
		forwarding_table_find_return(b->table, family, packet_source_port(p), p->protocol);
	if (likely(service == SERVICE_NONE))
		return false;

	struct address source = packet_source_of(p, family);
	node_id node = forwarding_table_find_node(b->table, &source);
	if (node == NODE_NONE || b->table->services[service].states[node] == TARGET_ABSENT)
		return false;

	p->service = service;
	p->node = node;
	return true;
}

bool dnat_is_reply(const struct burst *b, struct packet *p)
{
	return p->family == IPV4 ? is_reply(b, p, IPV4) : is_reply(b, p, IPV6);
}

bool dnat_may_be_reply(const struct burst *b, const struct packet *p)
{
	struct address source = packet_source(p);

	return b->table->n_returns > 0 &&
		forwarding_table_find_node(b->table, &source) != NODE_NONE;
}

static inline __attribute__((always_inline)) void reply(
	struct burst *b, struct packet *p, enum family family)
{
	const struct service *service = choose_service(b, p);
	uint64_t hop = output_hop(b->pipeline, p->next_hop);

	if (unlikely(!burst_fits(b, p)))
		return;

	mss_clamp(service, p);
	traffic_count_out(b, p->service, p->node, p->ip_len);
	rewrite_end(p->l3, p->l4, family, p->protocol, SOURCE_END,
		family == IPV4 ? (const void *)&service->vip.words[3] : &service->vip,
		service->port);
	output_send(b, p, hop);
}

void dnat_reply(struct burst *b, enum family family, const struct packet_list *list)
{
	for (uint16_t i = 0; i < list->n; i++) {
		if (family == IPV4)
			reply(b, list->at[i], IPV4);
		else
			reply(b, list->at[i], IPV6);
	}
}
