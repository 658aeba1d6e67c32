#include "kubernetes/kubernetes.h"
#include "api/api.h"

static const char *const stage_words[N_STAGES] = {
	[STAGE_NONE] = "none",
	[STAGE_CLAIM] = "claim",
	[STAGE_WAIT] = "wait",
	[STAGE_SERVE] = "serve",
	[STAGE_RELEASE] = "release",
};

static json_t *watch_of(const struct watch_status *s)
{
	return json_pack("{s:b, s:s?, s:I, s:I, s:I}", "synced", s->synced, "failing",
		s->failing ? s->why : NULL, "lists", (json_int_t)s->n_lists, "events",
		(json_int_t)s->n_events, "failures", (json_int_t)s->n_failures);
}

static json_t *instance_of(const struct instance_status *s)
{
	const char *leader = s->leader[0] == '\0' ? NULL : s->leader;

	return json_pack("{s:s, s:b, s:b, s:s?}", "name", s->name, "election", s->election, "leads",
		s->leads, "leader", leader);
}

static json_t *addresses_of(const struct cluster_service *service)
{
	json_t *list = json_array();

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&service->address[f]))
			json_array_append_new(list, api_address(&service->address[f]));
	}
	return list;
}

static void add_service(void *argument, const struct cluster_service *service)
{
	const char *reason = service->reason[0] == '\0' ? NULL : service->reason;
	const char *message = service->message[0] == '\0' ? NULL : service->message;

	json_array_append_new(argument,
		json_pack("{s:s, s:s, s:b, s:s, s:o, s:s?, s:s?}", "service", service->object->key,
			"stage", stage_words[service->stage], "in_force", service->is_in_force,
			"mode", forwarding_mode_word(service->mode), "addresses",
			addresses_of(service), "reason", reason, "message", message));
}

static json_t *services_of(const struct kubernetes *k)
{
	json_t *list = json_array();

	cluster_each(kubernetes_cluster(k), add_service, list);
	return list;
}

static void begin(struct api_call *call)
{
	const struct kubernetes *k = call->from->kubernetes;
	struct kubernetes_status s;

	if (k == NULL) {
		api_fail(call, 404,
			"there is no cluster: kubernetes.enabled is false in the configuration");
		return;
	}
	kubernetes_read_status(k, &s);
	api_reply(call,
		json_pack("{s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "synced",
			s.is_synced, "instance", instance_of(&s.instance), "watch_services",
			watch_of(&s.watches[CLUSTER_SERVICES]), "watch_nodes",
			watch_of(&s.watches[CLUSTER_NODES]), "watch_endpointslices",
			watch_of(&s.watches[CLUSTER_SLICES]), "nodes", (json_int_t)s.counts.n_nodes,
			"nodes_used", (json_int_t)s.counts.n_nodes_used, "joins",
			(json_int_t)s.n_joins, "writes", (json_int_t)s.n_writes, "writes_failed",
			(json_int_t)s.n_writes_failed, "services", services_of(k)));
}

const struct api_route kubernetes_route = {
	.method = "GET",
	.path = "/v1/kubernetes",
	.arguments = (const char *const[]){NULL},
	.begin = begin,
};
