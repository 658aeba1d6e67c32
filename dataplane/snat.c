#include "snat.h"

#include "snat_flow.h"

enum {
	// Steps of expiry a burst: twice what it may begin, since a flow ends and then rests.
	EXPIRE_BUDGET = 2 * BURST_MAX,
};

void snat_expire(struct pipeline *pipeline, const struct forwarding_table *table, uint32_t now_s)
{
	const struct flow_context c = {table, pipeline->counters, now_s};

	if (table == NULL)
		return;
	for (enum family family = 0; family < N_FAMILIES; family++) {
		if (pipeline->flows[family] != NULL)
			flow_table_expire(pipeline->flows[family], &c, EXPIRE_BUDGET);
	}
}

// A UDP flow is established once its node has answered.
static enum flow_state udp_state_after(enum flow_state state, enum tcp_side from)
{
	return from == TCP_NODE ? FLOW_ESTABLISHED : state;
}

void snat_change_state(const struct burst *b, struct flow_table *ft, struct flow *flow,
	const struct packet *p, enum tcp_side from)
{
	const struct flow_context c = snat_context(b);
	enum flow_state state = p->protocol == IPPROTO_TCP
		? tcp_state_after(flow->state, &flow->marks, from, p->tcp_flags)
		: udp_state_after(flow->state, from);

	if (state != flow->state)
		flow_table_move(ft, &c, flow_table_at(ft, p->family, flow), state);
	else if (state == FLOW_ESTABLISHED || p->protocol == IPPROTO_UDP)
		flow->seen_s = b->now_s; // A half-open connection has its time, whatever comes.
}

// Returns false where the table has lost what the flow needs.
static bool describe(const struct forwarding_table *table, enum family family,
	const struct flow *flow, struct snat_flow *ret_flow)
{
	if (!snat_has_service(table, flow) || !snat_has_target(table, family, flow))
		return false;

	const struct service *service = &table->services[flow->service];
	const struct node *node = &table->nodes[flow->back.node];

	*ret_flow = (struct snat_flow){
		.client = family == IPV4 ? address_from_ipv4(flow->client[0])
					 : address_from_ipv6(flow->client),
		.vip = service->vip,
		.snat = table->snat[family][flow->back.snat_index],
		.target = family == IPV4 ? address_from_ipv4(node->ipv4) : node->ipv6,
		.client_port = flow->client_port,
		.port = service->port,
		.snat_port = flow->back.snat_port,
		.node_port = flow->back.node_port,
		.service = flow->service,
		.node = flow->back.node,
		.protocol = flow->back.protocol,
	};
	return true;
}

bool snat_find_of_client(const struct burst *b, const struct flow_key *key, service_id service,
	uint64_t hash, struct snat_flow *ret_flow)
{
	enum family family = address_family(&key->client);
	const struct flow_table *ft = b->pipeline->flows[family];
	const void *client = family == IPV4 ? (const void *)&key->client.words[3] : &key->client;
	flow_at at = flow_table_find(ft, hash, client, key->client_port, service);

	return at != FLOW_NONE &&
		describe(b->table, family, flow_table_flow(ft, family, at), ret_flow);
}

bool snat_find_of_node(const struct burst *b, enum family family, const union return_key *back,
	struct snat_flow *ret_flow)
{
	const struct flow_table *ft = b->pipeline->flows[family];
	uint64_t hash = flow_hash_back(b->pipeline->hash_key, back->word);
	flow_at at = flow_table_find_back(ft, hash, *back);
	if (at == FLOW_NONE)
		return false;

	const struct flow *flow = flow_table_flow(ft, family, at);
	return flow->state != FLOW_RESTING && describe(b->table, family, flow, ret_flow);
}
