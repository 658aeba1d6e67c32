#include "kubernetes/kubernetes.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "clock.h"

enum { SERVICES_A_STEP = 20 }; // Some 10 µs each.

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

static json_t *addresses_of(const struct cluster_service *service)
{
	json_t *list = json_array();

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&service->address[f]))
			json_array_append_new(list, api_address(&service->address[f]));
	}
	return list;
}

static json_t *document_of(const struct cluster_service *service)
{
	const char *reason = service->reason[0] == '\0' ? NULL : service->reason;
	const char *message = service->message[0] == '\0' ? NULL : service->message;

	return json_pack("{s:s, s:s, s:b, s:s, s:o, s:s?, s:s?}", "service", service->object->key,
		"stage", stage_words[service->stage], "in_force", service->is_in_force, "mode",
		forwarding_mode_word(service->mode), "addresses", addresses_of(service), "reason",
		reason, "message", message);
}

// What is said of the cluster as a whole, and the beginning of the list of its Services.
static void begin_list(struct api_call *call, json_t *document)
{
	char *text = json_dumps(document, JSON_COMPACT);

	json_decref(document);
	if (text == NULL) {
		api_reply(call, NULL);
		return;
	}
	text[strlen(text) - 1] = '\0'; // Its brace comes after the list.
	api_text(call, text);
	api_list(call, ",\n\"services\":[");
	free(text);
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
	begin_list(call,
		json_pack("{s:b, s:o, s:o, s:o, s:I, s:I, s:I, s:f, s:I, s:I}", "synced",
			s.is_synced, "watch_services", watch_of(&s.watches[CLUSTER_SERVICES]),
			"watch_nodes", watch_of(&s.watches[CLUSTER_NODES]), "watch_endpointslices",
			watch_of(&s.watches[CLUSTER_SLICES]), "nodes", (json_int_t)s.counts.n_nodes,
			"nodes_used", (json_int_t)s.counts.n_nodes_used, "joins",
			(json_int_t)s.n_joins, "last_join_ms", (double)s.took_ns / NSEC_PER_MSEC,
			"writes", (json_int_t)s.n_writes, "writes_failed",
			(json_int_t)s.n_writes_failed));
}

// As of services: a place is a number, and one that comes in between is told twice or not at all.
static bool step(struct api_call *call)
{
	struct cluster_service service;

	for (size_t i = 0; i < SERVICES_A_STEP; i++) {
		if (!cluster_read_service(
			    kubernetes_cluster(call->from->kubernetes), call->at++, &service)) {
			api_text(call, "]}");
			return false;
		}
		if (service.stage != STAGE_NONE)
			api_item(call, document_of(&service));
	}
	return true;
}

const struct api_route kubernetes_route = {
	.method = "GET",
	.path = "/v1/kubernetes",
	.arguments = (const char *const[]){NULL},
	.begin = begin,
	.step = step,
};
