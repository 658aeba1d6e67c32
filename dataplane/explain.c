#include <netinet/in.h>

#include "affinity.h"
#include "choose.h"
#include "flow_hash.h"
#include "parts.h"
#include "snat.h"
#include "worker.h"

// The journey of a packet that does not arrive
// ============================================
//
// The same questions as in pipeline.c and snat_forward.c, in the same order, asked by the control
// thread of the same tables; nothing is changed. A flow that comes or goes this very moment may be
// missed.

// What the steps share.
struct question {
	const struct dataplane *dp;
	const struct forwarding_table *table;
	const struct flow_key *key;
	enum family family;
	const void *client; // Of key->client, in the family's own length.
	uint64_t hash;      // flow_hash().
	uint32_t now_s;
};

static uint64_t hop_of(const struct question *q, next_hop_id id)
{
	return id < NEXT_HOP_MAX ? atomic_load_explicit(&q->dp->next_hops[id], memory_order_relaxed)
				 : 0;
}

// While it is not resolved, packets wait.
static enum drop_reason explain_next_hop(
	const struct question *q, next_hop_id next_hop, struct explanation *e)
{
	e->next_hop = next_hop;
	e->next_hop_resolved = hop_of(q, next_hop) & (NEXT_HOP_RESOLVED | NEXT_HOP_TO_KERNEL);
	return next_hop == NEXT_HOP_NONE ? DROP_NO_ROUTE : DROP_NONE;
}

static enum drop_reason explain_reply(const struct question *q, service_id service, node_id node,
	const struct address *client, struct explanation *e)
{
	e->is_reply = true;
	e->service = service;
	e->mode = q->table->services[service].mode;
	e->node = node;
	return explain_next_hop(q, forwarding_table_route(q->table, client), e);
}

// To an SNAT address: the flow's owner knows the client.
static enum drop_reason explain_snat_reply(
	const struct question *q, const struct own_address *own, struct explanation *e)
{
	const struct flow_key *key = q->key;
	union return_key back = {
		.node = forwarding_table_find_node(q->table, &key->client),
		.node_port = key->client_port,
		.snat_port = key->port,
		.snat_index = own->snat_index,
		.protocol = key->protocol,
	};

	e->worker = owner_of(q->dp->owners, &key->client, key->client_port, &key->vip, key->port);
	e->flow_found = flow_table_look_back(q->dp->workers[e->worker]->pipeline.flows[q->family],
		q->table, flow_hash_back(q->dp->config.hash_key, back.word), back, q->now_s,
		&e->flow);
	if (!e->flow_found || e->flow.service >= q->table->n_services ||
		!service_exists(&q->table->services[e->flow.service]))
		return DROP_NO_FLOW;
	return explain_reply(q, e->flow.service, e->flow.node, &e->flow.client, e);
}

// To none of our addresses: from a NodePort of a node in the mode dnat, or else the kernel's, which
// DROP_NONE without a service says.
static enum drop_reason explain_others(const struct question *q, struct explanation *e)
{
	const struct flow_key *key = q->key;
	uint64_t hop = hop_of(q, forwarding_table_route(q->table, &key->vip));
	service_id service =
		forwarding_table_find_return(q->table, q->family, key->client_port, key->protocol);
	node_id node = forwarding_table_find_node(q->table, &key->client);

	if ((hop & NEXT_HOP_TO_KERNEL) || service == SERVICE_NONE || node == NODE_NONE ||
		q->table->services[service].states[node] == TARGET_ABSENT)
		return DROP_NONE;
	return explain_reply(q, service, node, &key->vip, e);
}

static enum drop_reason explain_no_service(const struct question *q, struct explanation *e)
{
	const struct own_address *own = forwarding_table_find_own(q->table, &q->key->vip);

	if (own == NULL || own->kind == OWN_TUNNEL)
		return explain_others(q, e);
	if (own->kind != OWN_SNAT)
		return DROP_NO_SERVICE;

	enum drop_reason drop = explain_snat_reply(q, own, e);
	return drop == DROP_NO_FLOW && own->is_shared ? explain_others(q, e) : drop;
}

static bool look_at(const struct question *q, unsigned worker, struct explanation *e)
{
	const struct flow_table *flows = q->dp->workers[worker]->pipeline.flows[q->family];

	e->flow_found = flow_table_look(flows, q->table, q->hash, &q->key->client,
		q->key->client_port, e->service, q->now_s, &e->flow);
	if (e->flow_found)
		e->worker = worker;
	return e->flow_found;
}

// Where RSS decides, whoever has the flow owns it.
static void explain_flow(const struct question *q, struct explanation *e)
{
	unsigned n_workers = (unsigned)q->dp->n_workers;

	const struct service *service = &q->table->services[e->service];
	const struct pipeline *pipeline = &q->dp->workers[0]->pipeline;

	if (snat_owner_is_known(pipeline, service)) {
		e->worker =
			snat_owner(pipeline, service, q->family, q->client, e->service, q->hash);
		look_at(q, e->worker, e);
		return;
	}
	for (unsigned i = 0; i < n_workers && !look_at(q, i, e); i++)
		continue;
}

static void explain_slot(const struct question *q, struct explanation *e)
{
	const struct service *service = &q->table->services[e->service];

	bool needs_snat = service->mode == MODE_SNAT;
	if (service->ring == NULL || (needs_snat && q->table->n_snat[q->family] == 0))
		return;
	e->slot = choose_slot_of(
		&q->dp->workers[0]->pipeline, q->family, q->client, q->key->client_port, service);
	e->slot_node = service->ring[e->slot];
}

// Where a client with affinity went before, if that node may take its new flows.
static void explain_affinity(const struct question *q, struct explanation *e)
{
	const struct service *service = &q->table->services[e->service];
	uint64_t hash = flow_hash(q->dp->config.hash_key, q->family, q->client, 0, e->service);
	struct affinity_choice before;
	uint32_t idle_s;

	if (service->affinity_s == 0 || e->slot_node == NODE_NONE ||
		!affinity_look(q->dp->workers[e->worker]->pipeline.affinity, hash, &q->key->client,
			e->service, q->now_s, service->affinity_s, &before, &idle_s))
		return;
	if (before.node >= q->table->n_nodes || before.snat_index >= q->table->n_snat[q->family] ||
		service->states[before.node] != TARGET_UP)
		return;
	e->affinity_found = true;
	e->affinity_node = before.node;
	e->affinity_left_s = service->affinity_s - idle_s;
}

static bool flow_can_go_on(const struct question *q, const struct explanation *e)
{
	const struct flow_view *flow = &e->flow;

	if (!e->flow_found || flow->node >= q->table->n_nodes ||
		flow->snat_index >= q->table->n_snat[q->family])
		return false;

	return target_keeps_flows(q->table->services[e->service].states[flow->node]);
}

// A packet of a flow whose target died is answered by a reset, or its flow begins anew; one of no
// flow is taken to be one that may begin it.
static enum drop_reason explain_node(const struct question *q, struct explanation *e)
{
	bool reset = q->key->protocol == IPPROTO_TCP && q->table->settings.reset_dead_target;

	if (flow_can_go_on(q, e))
		e->node = e->flow.node;
	else if (e->flow_found && reset)
		return DROP_DEAD_TARGET;
	else
		e->node = e->affinity_found ? e->affinity_node : e->slot_node;
	return e->node == NODE_NONE ? choose_nobody(&q->table->services[e->service]) : DROP_NONE;
}

static bool admits(const struct question *q, const struct service *service)
{
	return service->sources == 0 ||
		source_set_has(q->table->source_sets[service->sources - 1], q->family, q->client);
}

static bool is_from_us(const struct question *q)
{
	const struct own_address *own = forwarding_table_find_own(q->table, &q->key->client);

	return own_address_is_ours_alone(own);
}

static enum drop_reason explain_way(
	const struct question *q, const struct service *service, struct explanation *e)
{
	enum drop_reason drop = explain_node(q, e);

	if (drop != DROP_NONE)
		return drop;
	return explain_next_hop(q, q->table->nodes[e->node].next_hop[service->target_family], e);
}

// With a flow, nobody is asked who may begin one.
static enum drop_reason explain_service(const struct question *q, struct explanation *e)
{
	const struct service *service = &q->table->services[e->service];
	bool is_snat = service->mode == MODE_SNAT;

	if (is_snat || service->keeps_flows)
		explain_flow(q, e);
	is_snat |= e->flow_found;
	e->mode = is_snat ? MODE_SNAT : service->mode;
	explain_slot(q, e);
	if (is_snat)
		explain_affinity(q, e);
	if (!e->flow_found && !admits(q, service))
		return DROP_SOURCE;
	if (is_snat && !e->flow_found && is_from_us(q))
		return DROP_BAD_SOURCE;

	enum drop_reason drop = explain_way(q, service, e);
	return drop == DROP_NONE && !is_snat && is_from_us(q) ? DROP_BAD_SOURCE : drop;
}

void dataplane_explain(
	const struct dataplane *dp, const struct flow_key *key, struct explanation *ret_explanation)
{
	struct explanation e = {
		.service = SERVICE_NONE,
		.worker = UINT32_MAX,
		.slot_node = NODE_NONE,
		.affinity_node = NODE_NONE,
		.node = NODE_NONE,
		.next_hop = NEXT_HOP_NONE,
	};
	struct question q = {
		.dp = dp,
		.table = atomic_load(&dp->table),
		.key = key,
		.family = address_family(&key->client),
		.client = &key->client,
		.now_s = clock_s(clock_ns(&dp->clock, rte_rdtsc())),
	};

	if (q.family == IPV4)
		q.client = &key->client.words[3];
	if (q.table != NULL)
		e.service = forwarding_table_find_service(q.table,
			index_hash_endpoint(&key->vip, key->port, key->protocol), &key->vip,
			key->port, key->protocol);
	if (q.table != NULL && e.service == SERVICE_NONE) {
		e.drop = explain_no_service(&q, &e);
	} else if (e.service != SERVICE_NONE) {
		q.hash = flow_hash(
			dp->config.hash_key, q.family, q.client, key->client_port, e.service);
		e.drop = explain_service(&q, &e);
	}
	*ret_explanation = e;
}
