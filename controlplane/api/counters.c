#include "api/api.h"

// All that is counted: by event and drop reason, over all workers and of each; by service; by node.

enum phase { PHASE_WORKERS, PHASE_SERVICES, PHASE_NODES, PHASE_END };

static json_t *events_of(const struct counters *counters)
{
	json_t *events = json_object();

	for (enum event e = 0; e < N_EVENTS; e++)
		json_object_set_new(
			events, event_word(e), json_integer((json_int_t)counters->events[e]));
	return events;
}

static json_t *drops_of(const struct counters *counters)
{
	json_t *drops = json_object();

	for (enum drop_reason r = DROP_NONE + 1; r < N_DROP_REASONS; r++)
		json_object_set_new(
			drops, drop_reason_word(r), json_integer((json_int_t)counters->drops[r]));
	return drops;
}

static json_t *sentences(void)
{
	json_t *sentences = json_object();

	for (enum event e = 0; e < N_EVENTS; e++)
		json_object_set_new(sentences, event_word(e), json_string(event_sentence(e)));
	for (enum drop_reason r = DROP_NONE + 1; r < N_DROP_REASONS; r++)
		json_object_set_new(
			sentences, drop_reason_word(r), json_string(drop_reason_sentence(r)));
	return sentences;
}

static void begin(struct api_call *call)
{
	struct counters sum;

	dataplane_read_counters(call->from->dp, &sum);
	api_text(call, "{\"events\":");
	call->has_items = false;
	api_item(call, events_of(&sum));
	api_text(call, ",\n\"drops\":");
	call->has_items = false;
	api_item(call, drops_of(&sum));
	api_text(call, ",\n\"sentences\":");
	call->has_items = false;
	api_item(call, sentences());
	api_list(call, ",\n\"workers\":[");
}

// Returns false after the last.
static bool add_worker(struct api_call *call, size_t i)
{
	const struct load *load = call->from->load;
	struct counters counters;
	unsigned cpu;

	if (dataplane_read_worker(call->from->dp, i, &counters, &cpu) < 0)
		return false;
	api_item(call,
		json_pack("{s:i, s:i, s:f, s:o, s:o}", "worker", (int)i, "cpu", (int)cpu, "busy",
			i < load->n_workers ? load->workers[i].busy : 0.0, "events",
			events_of(&counters), "drops", drops_of(&counters)));
	return true;
}

static json_t *named_traffic(const char *name, const struct traffic *traffic)
{
	json_t *document = api_traffic(traffic);

	if (document != NULL)
		json_object_set_new(document, "name", json_string(name));
	return document;
}

static bool add_service(struct api_call *call, size_t i)
{
	const struct model *model = &reconcile_plan(call->from->reconcile)->model;
	struct traffic traffic;

	if (i >= model->n_services)
		return false;

	const struct model_service *service = &model->services[i];

	reconcile_read_service(call->from->reconcile, service, &traffic);
	api_item(call, named_traffic(service->name, &traffic));
	return true;
}

static bool add_node(struct api_call *call, size_t i)
{
	const struct plan *plan = reconcile_plan(call->from->reconcile);
	struct traffic traffic;

	if (i >= plan->n_nodes)
		return false;

	const struct model_node *node = &plan->names[i];

	reconcile_read_node(call->from->reconcile, node, &traffic);
	json_t *document = named_traffic(node->name, &traffic);
	if (document != NULL)
		json_object_set_new(document, "addresses", api_addresses(node));
	api_item(call, document);
	return true;
}

static bool step(struct api_call *call)
{
	static bool (*const adds[])(struct api_call *, size_t) = {
		[PHASE_WORKERS] = add_worker,
		[PHASE_SERVICES] = add_service,
		[PHASE_NODES] = add_node,
	};
	static const char *const betweens[] = {
		[PHASE_WORKERS] = "],\n\"services\":[",
		[PHASE_SERVICES] = "],\n\"nodes\":[",
		[PHASE_NODES] = "]}",
	};

	if (adds[call->phase](call, call->at++))
		return true;
	api_list(call, betweens[call->phase++]);
	call->at = 0;
	return call->phase != PHASE_END;
}

const struct api_route counters_route = {
	.method = "GET",
	.path = "/v1/counters",
	.arguments = (const char *const[]){NULL},
	.begin = begin,
	.step = step,
};
