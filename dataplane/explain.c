#include <netinet/in.h>

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

// Not to a service: ours to refuse, or else the kernel's, which DROP_NONE without a service says.
static enum drop_reason explain_no_service(const struct question *q)
{
	const struct own_address *own = forwarding_table_find_own(q->table, &q->key->vip);

	if (own == NULL)
		return DROP_NONE;
	return own->kind == OWN_SNAT ? DROP_NO_FLOW : DROP_NO_SERVICE;
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

static bool flow_can_go_on(const struct question *q, const struct explanation *e)
{
	const struct flow_view *flow = &e->flow;

	if (!e->flow_found || flow->node >= q->table->n_nodes ||
		flow->snat_index >= q->table->n_snat[q->family])
		return false;

	uint8_t state = q->table->services[e->service].states[flow->node];
	return state == TARGET_UP || state == TARGET_DRAINING;
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
		e->node = e->slot_node;
	return e->node == NODE_NONE ? DROP_NO_TARGET : DROP_NONE;
}

static enum drop_reason explain_next_hop(const struct question *q, struct explanation *e)
{
	enum family family = q->table->services[e->service].target_family;

	e->next_hop = q->table->nodes[e->node].next_hop[family];
	if (e->next_hop == NEXT_HOP_NONE)
		return DROP_NO_ROUTE;
	if (e->next_hop < NEXT_HOP_MAX) {
		uint64_t word =
			atomic_load_explicit(&q->dp->next_hops[e->next_hop], memory_order_relaxed);

		e->next_hop_resolved = word & (NEXT_HOP_RESOLVED | NEXT_HOP_TO_KERNEL);
	}
	return DROP_NONE; // While it is not resolved, packets wait.
}

static enum drop_reason explain_service(const struct question *q, struct explanation *e)
{
	const struct own_address *own = forwarding_table_find_own(q->table, &q->key->client);

	if (own != NULL && own->kind != OWN_TUNNEL)
		return DROP_BAD_SOURCE;

	const struct service *service = &q->table->services[e->service];

	if (service->sources != 0 &&
		!source_set_has(q->table->source_sets[service->sources - 1], q->family, q->client))
		return DROP_SOURCE;
	e->mode = service->mode;
	if (e->mode == MODE_SNAT)
		explain_flow(q, e);
	explain_slot(q, e);
	enum drop_reason drop = explain_node(q, e);
	return drop == DROP_NONE ? explain_next_hop(q, e) : drop;
}

void dataplane_explain(
	const struct dataplane *dp, const struct flow_key *key, struct explanation *ret_explanation)
{
	struct explanation e = {
		.service = SERVICE_NONE,
		.worker = UINT32_MAX,
		.slot_node = NODE_NONE,
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
	if (q.table != NULL && e.service == SERVICE_NONE)
		e.drop = explain_no_service(&q);
	if (e.service != SERVICE_NONE) {
		q.hash = flow_hash(
			dp->config.hash_key, q.family, q.client, key->client_port, e.service);
		e.drop = explain_service(&q, &e);
	}
	*ret_explanation = e;
}
