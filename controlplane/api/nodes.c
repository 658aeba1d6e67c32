#include <errno.h>
#include <string.h>

#include "address_text.h"
#include "api/api.h"
#include "verdict_log.h"

// What is known of a node from the pools that have it.
struct node_summary {
	const struct probe *probes[16]; // Each once; the first so many.
	size_t n_probes;
	size_t n_services;
	size_t n_pools;
	size_t n_up;
	size_t n_draining; // By their own word.
	bool is_unknown;   // Some probe has no result yet.
};

// Members that do not leave stand in the order of their nodes.
static const struct member *member_of(const struct pool *pool, size_t node)
{
	size_t n_staying = pool->n_members - pool->n_leaving;
	size_t low = 0;
	size_t high = n_staying;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pool->members[middle].node < node)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < n_staying && pool->members[low].node == node)
		return &pool->members[low];
	for (size_t i = n_staying; i < pool->n_members; i++) {
		if (pool->members[i].node == node && !pool->members[i].gone)
			return &pool->members[i];
	}
	return NULL;
}

static void add_probe(struct node_summary *summary, const struct probe *probe)
{
	for (size_t i = 0; i < summary->n_probes; i++) {
		if (summary->probes[i] == probe)
			return;
	}
	if (summary->n_probes < sizeof(summary->probes) / sizeof(summary->probes[0]))
		summary->probes[summary->n_probes++] = probe;
}

static struct node_summary summarize(const struct plan *plan, size_t node)
{
	struct node_summary summary = {0};

	for (size_t i = 0; i < plan->n_pools; i++) {
		const struct member *m = member_of(&plan->pools[i], node);

		if (m == NULL)
			continue;

		enum verdict verdict = member_verdict(m);

		summary.n_pools++;
		summary.n_services += plan->pools[i].n_services;
		summary.n_up += verdict == VERDICT_UP;
		summary.n_draining += verdict == VERDICT_DRAINING;
		summary.is_unknown |= verdict == VERDICT_NONE;
		if (m->probe != NULL)
			add_probe(&summary, m->probe);
		if (m->fallback != NULL)
			add_probe(&summary, m->fallback);
	}
	return summary;
}

static const char *state_of(const struct plan_node *node, const struct node_summary *summary)
{
	if (summary->n_pools == 0)
		return "unused";
	if (summary->is_unknown)
		return "unknown";
	if (node->is_out || (summary->n_up == 0 && summary->n_draining == 0))
		return "down";
	if (node->drained || !node->configured || summary->n_draining == summary->n_pools)
		return "draining";
	return summary->n_up == summary->n_pools ? "up" : "partly up";
}

static json_t *checks_of(const struct node_summary *summary)
{
	json_t *checks = json_array();

	for (size_t i = 0; i < summary->n_probes; i++) {
		const struct probe *probe = summary->probes[i];
		const struct probe_config *config = probe_config_of(probe);
		char endpoint[ENDPOINT_TEXT_MAX];

		endpoint_format(&config->address, config->port, endpoint);
		json_array_append_new(checks,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "kind",
				check_kind_word(config->check.kind), "endpoint", endpoint, "path",
				check_path(&config->check), "verdict",
				verdict_word(probe_verdict(probe)), "reason", probe_reason(probe),
				"in_a_row", (int)probe_run(probe)));
	}
	return checks;
}

// Of the addresses, each one's.
static json_t *ids_of(const struct control_sources *from, const struct model_node *node)
{
	json_t *ids = json_array();

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		node_id id =
			table_builder_node(reconcile_builder(from->reconcile), &node->address[f]);

		if (id != NODE_NONE)
			json_array_append_new(ids, json_integer(id));
	}
	return ids;
}

static json_t *traffic_of(const struct control_sources *from, const struct model_node *node)
{
	struct traffic traffic;

	reconcile_read_node(from->reconcile, node, &traffic);
	return api_traffic(&traffic);
}

static json_t *document_of(const struct api_call *call, size_t i)
{
	const struct plan *plan = reconcile_plan(call->from->reconcile);
	const struct plan_node *node = &plan->nodes[i];
	const struct model_node *name = &plan->names[i];
	struct node_summary summary = summarize(plan, i);

	return json_pack("{s:s, s:o, s:o, s:i, s:s, s:b, s:b, s:b, s:i, s:o, s:o}", "name",
		name->name, "addresses", api_addresses(name), "ids", ids_of(call->from, name),
		"weight", (int)node->weight, "state", state_of(node, &summary), "drained",
		node->drained, "out", node->is_out, "leaving", !node->configured, "services",
		(int)summary.n_services, "checks", checks_of(&summary), "traffic",
		traffic_of(call->from, name));
}

// There are more than one where it was at other addresses before.
static json_t *documents_of(const struct api_call *call, const size_t *nodes, size_t n)
{
	json_t *documents = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(documents, document_of(call, nodes[i]));
	return documents;
}

static void begin(struct api_call *call)
{
	const char *name = api_argument(call, "node");

	if (name == NULL) {
		api_list(call, "{\"nodes\":[");
		return;
	}
	const size_t *nodes;
	size_t n = plan_find_nodes(reconcile_plan(call->from->reconcile), name, &nodes);
	if (n == 0)
		api_fail(call, 404, "there is no node \"%s\"", name);
	else
		api_reply(call, json_pack("{s:o}", "nodes", documents_of(call, nodes, n)));
}

static bool step(struct api_call *call)
{
	if (call->at < reconcile_plan(call->from->reconcile)->n_nodes) {
		api_item(call, document_of(call, call->at++));
		return true;
	}
	api_text(call, "]}");
	return false;
}

const struct api_route nodes_route = {
	.method = "GET",
	.path = "/v1/nodes",
	.arguments = (const char *const[]){"node", NULL},
	.begin = begin,
	.step = step,
};

// Draining

static void answer(struct api_call *call, int r, bool drained)
{
	if (r == -ENOENT)
		api_fail(call, 404, "there is no node \"%s\"", call->name);
	else if (r < 0)
		api_fail(call, 500,
			"it cannot be written to the state directory, so it is not so: %s",
			strerror(-r));
	else
		api_reply(call, json_pack("{s:s, s:b}", "node", call->name, "drained", drained));
}

static void drain(struct api_call *call)
{
	answer(call, reconcile_drain(call->from->reconcile, call->name), true);
}

static void undrain(struct api_call *call)
{
	answer(call, reconcile_undrain(call->from->reconcile, call->name), false);
}

const struct api_route drain_route = {
	.method = "POST",
	.path = "/v1/nodes/*/drain",
	.arguments = (const char *const[]){NULL},
	.begin = drain,
};

const struct api_route undrain_route = {
	.method = "POST",
	.path = "/v1/nodes/*/undrain",
	.arguments = (const char *const[]){NULL},
	.begin = undrain,
};
