#include "api/api.h"
#include "protocol.h"
#include "verdict_log.h"

// What its nodes are to a service, counted.
static json_t *counts_of(const struct pool *pool)
{
	return json_pack("{s:i, s:i, s:i, s:i}", "up", (int)pool->n_in[TARGET_UP], "draining",
		(int)pool->n_in[TARGET_DRAINING], "down", (int)pool->n_in[TARGET_DOWN], "total",
		(int)(pool->n_members - pool->n_leaving));
}

static enum target_state state_of(
	const struct plan *plan, size_t service, const struct member *m, uint64_t now_ns)
{
	enum target_state state = member_state(plan, m, now_ns);

	return state == TARGET_UP && !learning_is_ready(plan->learning, plan, service, m)
		? TARGET_NOT_READY
		: state;
}

static json_t *members_of(const struct plan *plan, size_t service, uint64_t now_ns)
{
	const struct pool *pool = &plan->pools[plan->pool_of[service]];
	json_t *members = json_array();

	for (size_t i = 0; i < pool->n_members; i++) {
		const struct member *m = &pool->members[i];

		json_array_append_new(members,
			json_pack("{s:s, s:s, s:i, s:b}", "node", plan->names[m->node].name,
				"state", target_state_word(state_of(plan, service, m, now_ns)),
				"weight", (int)member_weight(m), "leaving", m->leaving));
	}
	return members;
}

static json_t *traffic_of(const struct control_sources *from, const struct model_service *service)
{
	struct traffic traffic;

	reconcile_read_service(from->reconcile, service, &traffic);
	return api_traffic(&traffic);
}

// How its packets reach its nodes.
static void add_mode(json_t *document, const struct model_service *service)
{
	bool is_tunnel = service->mode == MODE_TUNNEL;
	json_t *mode =
		json_pack("{s:s, s:s?, s:s, s:i, s:i}", "mode", forwarding_mode_word(service->mode),
			"tunnel", is_tunnel ? tunnel_kind_word(service->tunnel_kind) : NULL,
			"target_family", family_word(service->target_family), "affinity_s",
			(int)service->affinity_s, "mss", (int)service->mss);

	json_object_update(document, mode);
	json_decref(mode);
}

static json_t *document_of(const struct api_call *call, size_t i, bool with_members)
{
	const struct plan *plan = reconcile_plan(call->from->reconcile);
	const struct service_config *s = plan->config->services[i];
	const struct pool *pool = &plan->pools[plan->pool_of[i]];
	const struct model_service *service = &plan->services[i];
	service_id id = table_builder_service(reconcile_builder(call->from->reconcile), service);

	json_t *document = json_pack("{s:s, s:o, s:i, s:s, s:i, s:s, s:b, s:i, s:o, s:o}", "name",
		s->name, "vip", api_address(&s->vip), "port", s->port, "protocol",
		protocol_word(s->protocol), "node_port", s->node_port, "check",
		check_kind_word(s->check.kind), "fail_open", s->fail_open, "idle_s", (int)s->idle_s,
		"nodes", counts_of(pool), "traffic", traffic_of(call->from, service));
	if (document != NULL)
		add_mode(document, service);
	if (document != NULL && id != SERVICE_NONE)
		json_object_set_new(document, "id", json_integer(id));
	if (document != NULL && with_members)
		json_object_set_new(document, "members", members_of(plan, i, loop_clock_ns()));
	return document;
}

static void begin(struct api_call *call)
{
	const char *name = api_argument(call, "service");

	reconcile_refresh(call->from->reconcile);
	if (name == NULL) {
		api_list(call, "{\"services\":[");
		return;
	}
	size_t i = plan_find_service(reconcile_plan(call->from->reconcile), name);
	if (i == SIZE_MAX)
		api_fail(call, 404, "there is no service \"%s\"", name);
	else
		api_reply(call, json_pack("{s:[o]}", "services", document_of(call, i, true)));
}

// A service a step. Its place is a number: a reload in between may make one come twice or not at
// all, as it would between two calls.
static bool step(struct api_call *call)
{
	if (call->at < reconcile_plan(call->from->reconcile)->config->n_services) {
		api_item(call, document_of(call, call->at++, false));
		return true;
	}
	api_text(call, "]}");
	return false;
}

const struct api_route services_route = {
	.method = "GET",
	.path = "/v1/services",
	.arguments = (const char *const[]){"service", NULL},
	.begin = begin,
	.step = step,
};
