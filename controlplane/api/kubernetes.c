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

// Null if it is not followed.
static json_t *watch_of(const struct kubernetes_status *status, enum cluster_resource resource)
{
	const struct watch_status *s = &status->watches[resource];

	if (!status->is_followed[resource])
		return json_null();
	return json_pack("{s:b, s:s?, s:I, s:I, s:I, s:I}", "synced", s->synced, "failing",
		s->failing ? s->why : NULL, "lists", (json_int_t)s->n_lists, "events",
		(json_int_t)s->n_events, "failures", (json_int_t)s->n_failures, "left_out",
		(json_int_t)s->n_bad_objects);
}

// Seconds since then; null for never.
static json_t *ago(uint64_t then_ns, uint64_t now_ns)
{
	return then_ns == 0 ? json_null() : json_real((double)(now_ns - then_ns) / NSEC_PER_SEC);
}

// A resourceVersion; null of one that releases all.
static json_t *version_of(uint64_t in_force)
{
	return in_force == IN_FORCE_NOT_ALL ? json_null() : json_integer((json_int_t)in_force);
}

struct instance_list {
	json_t *list;
	const char *leader;
	uint64_t now_ns;
};

static void add_instance(void *argument, const struct instance_seen *seen)
{
	const struct instance_list *to = argument;
	bool leads = to->leader[0] != '\0' && strcmp(seen->holder, to->leader) == 0;

	json_array_append_new(to->list,
		json_pack("{s:s, s:s, s:b, s:o, s:o, s:b}", "name", seen->name, "holder",
			seen->holder, "leads", leads, "renewed_s",
			ago(seen->renewed_ns, to->now_ns), "in_force", version_of(seen->in_force),
			"own", seen->is_own));
}

static json_t *instances_of(const struct kubernetes *k, const struct instance_status *s)
{
	struct instance_list to = {json_array(), s->leader, loop_clock_ns()};

	instance_each(kubernetes_instance(k), add_instance, &to);
	return to.list;
}

static json_t *instance_of(const struct instance_status *s)
{
	const char *leader = s->leader[0] == '\0' ? NULL : s->leader;

	const char *key = s->shares_key ? shared_key_word(s->key) : "configured";

	return json_pack("{s:s, s:b, s:b, s:s?, s:o, s:s}", "name", s->name, "election",
		s->election, "leads", s->leads, "leader", leader, "leader_renewed_s",
		ago(s->leader_renewed_ns, loop_clock_ns()), "hash_key", key);
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

	return json_pack("{s:s, s:s, s:b, s:b, s:s, s:o, s:s?, s:s?, s:s?, s:s?}", "service",
		service->object->key, "stage", stage_words[service->stage], "in_force",
		service->is_in_force, "lacks_nodes", service->lacks_nodes, "mode",
		forwarding_mode_word(service->mode), "addresses", addresses_of(service), "reason",
		reason, "message", message, "overwritten_by", service->overwritten_by,
		"write_error", service->write_error);
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

static json_t *stages_of(const struct cluster_counts *counts)
{
	json_t *stages = json_object();

	for (enum stage stage = STAGE_CLAIM; stage < N_STAGES; stage++)
		json_object_set_new(stages, stage_words[stage],
			json_integer((json_int_t)counts->n_services[stage]));
	return stages;
}

static json_t *pool_of(const struct book_pool *pool)
{
	json_t *document = json_pack("{s:s}", "name", pool->name);

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (pool->size[f] > 0)
			json_object_set_new(document, family_word(f),
				json_pack("{s:f, s:I, s:I}", "size", (double)pool->size[f], "held",
					(json_int_t)pool->used[f], "resting",
					(json_int_t)pool->resting[f]));
	}
	return document;
}

static json_t *pools_of(const struct cluster *cluster)
{
	uint64_t now_ns = loop_clock_ns();
	json_t *list = json_array();
	struct book_pool pool;

	for (size_t i = 0; i < cluster_count_pools(cluster); i++) {
		cluster_read_pool(cluster, i, now_ns, &pool);
		json_array_append_new(list, pool_of(&pool));
	}
	return list;
}

static json_t *refusals_of(const struct cluster *cluster)
{
	json_t *refusals = json_object();

	for (enum book_answer answer = BOOK_GIVEN + 1; answer < N_BOOK_ANSWERS; answer++)
		json_object_set_new(refusals, book_answer_word(answer),
			json_integer((json_int_t)cluster_count_refusals(cluster, answer)));
	return refusals;
}

// Returns NULL, having answered, where there is no cluster.
static struct kubernetes *cluster_of(struct api_call *call)
{
	if (call->from->kubernetes == NULL)
		api_fail(call, 404,
			"there is no cluster: kubernetes.enabled is false in the configuration");
	return call->from->kubernetes;
}

static json_t *summary_of(const struct kubernetes *k)
{
	const struct cluster *cluster = kubernetes_cluster(k);
	struct kubernetes_status s;

	kubernetes_read_status(k, &s);
	return json_pack("{s:b, s:b, s:s?, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:f, "
			 "s:I, s:I, s:I, s:o, s:o, s:o}",
		"synced", s.is_synced, "claiming", s.is_claiming, "server_version",
		s.server.text[0] == '\0' ? NULL : s.server.text, "server_is_old",
		server_release_is_old(&s.server), "instance", instance_of(&s.instance), "instances",
		instances_of(k, &s.instance), "watch_services", watch_of(&s, CLUSTER_SERVICES),
		"watch_nodes", watch_of(&s, CLUSTER_NODES), "watch_endpointslices",
		watch_of(&s, CLUSTER_SLICES), "watch_namespaces", watch_of(&s, CLUSTER_NAMESPACES),
		"nodes", (json_int_t)s.counts.n_nodes, "nodes_used",
		(json_int_t)s.counts.n_nodes_used, "joins", (json_int_t)s.n_joins, "last_join_ms",
		(double)s.took_ns / NSEC_PER_MSEC, "writes", (json_int_t)s.n_writes,
		"writes_failed", (json_int_t)s.n_writes_failed, "events_lost",
		(json_int_t)cluster_count_lost_events(cluster), "stages", stages_of(&s.counts),
		"pools", pools_of(cluster), "refusals", refusals_of(cluster));
}

static void begin(struct api_call *call)
{
	const struct kubernetes *k = cluster_of(call);

	if (k == NULL)
		return;

	begin_list(call, summary_of(k));
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

static void begin_summary(struct api_call *call)
{
	const struct kubernetes *k = cluster_of(call);

	if (k != NULL)
		api_reply(call, summary_of(k));
}

static void release_all(struct api_call *call)
{
	struct kubernetes *k = cluster_of(call);

	if (k == NULL)
		return;
	kubernetes_release_all(k);
	api_reply(call, summary_of(k));
}

static void claim(struct api_call *call)
{
	struct kubernetes *k = cluster_of(call);

	if (k == NULL)
		return;
	kubernetes_claim(k);
	api_reply(call, summary_of(k));
}

const struct api_route kubernetes_route = {
	.method = "GET",
	.path = "/v1/kubernetes",
	.arguments = (const char *const[]){NULL},
	.begin = begin,
	.step = step,
};

const struct api_route kubernetes_summary_route = {
	.method = "GET",
	.path = "/v1/kubernetes/summary",
	.arguments = (const char *const[]){NULL},
	.begin = begin_summary,
};

const struct api_route kubernetes_release_route = {
	.method = "POST",
	.path = "/v1/kubernetes/release",
	.arguments = (const char *const[]){NULL},
	.begin = release_all,
};

const struct api_route kubernetes_claim_route = {
	.method = "POST",
	.path = "/v1/kubernetes/claim",
	.arguments = (const char *const[]){NULL},
	.begin = claim,
};
