#include "kubernetes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "access.h"
#include "api_client.h"
#include "availability.h"
#include "clock.h"
#include "cluster_file.h"
#include "json_read.h"
#include "log.h"

// From news to status
// ===================
//
//     watch ──► cluster ──► join ──► reconcile ──► every worker ──► cluster ──► patch
//                │           2 ms                    5 ms           in force
//                └──► state directory, read by the next process
//
// News wait JOIN_NS for others, and for GAP_NS since the join before them: a list of ten thousand
// is one configuration, not ten thousand. That workers forward by it is asked every POLL_NS, and
// only then is it written down.

#define JOIN_NS (1 * NSEC_PER_MSEC)
#define GAP_NS (20 * NSEC_PER_MSEC)
#define POLL_NS (5 * NSEC_PER_MSEC)
#define SAVE_NS (2000 * NSEC_PER_MSEC)
#define TICK_NS (1000 * NSEC_PER_MSEC)
#define LEARN_NS (50 * NSEC_PER_MSEC)

enum {
	WRITES_AT_A_TIME = 4,
	EVENTS_AT_A_TIME = 4,
	LEFT_OUT_SAID = 5, // Of what was left out, so much is said by name.
};

static const char *const paths[N_CLUSTER_RESOURCES] = {
	[CLUSTER_SERVICES] = "/api/v1/services",
	[CLUSTER_NODES] = "/api/v1/nodes",
	[CLUSTER_SLICES] = "/apis/discovery.k8s.io/v1/endpointslices",
	[CLUSTER_NAMESPACES] = "/api/v1/namespaces",
};

static const char *const names[N_CLUSTER_RESOURCES] = {
	[CLUSTER_SERVICES] = "services",
	[CLUSTER_NODES] = "nodes",
	[CLUSTER_SLICES] = "endpointslices",
	[CLUSTER_NAMESPACES] = "namespaces",
};

// One watch's ears.
struct ear {
	struct kubernetes *k;
	enum cluster_resource resource;
	struct watch *watch; // NULL for one that is not followed.
	uint64_t n_left_out; // Objects that could be read, and are none.
};

// A patch under way.
struct writing {
	struct kubernetes *k;
	struct api_request *request; // NULL for none.
	struct cluster_write write;  // Without its patch.
};

// An event under way.
struct telling {
	struct kubernetes *k;
	struct api_request *request; // NULL for none.
	struct service_event event;
	struct event_request sent; // Without its body.
};

struct kubernetes {
	struct loop *loop;
	struct reconcile *reconcile;
	const struct config *file;
	struct cluster *cluster;
	struct cluster_config *joined; // What is wanted of 'reconcile'; NULL before it is the file.
	struct api_access access;
	struct instances_config instances; // As it was at the start.
	struct api_client *client;
	struct server_version *version;
	struct instance *instance;
	struct ear ears[N_CLUSTER_RESOURCES];
	struct writing writings[WRITES_AT_A_TIME];
	struct event_filter *filter;
	struct telling tellings[EVENTS_AT_A_TIME];
	struct cluster_file *cluster_file;
	struct availability *availability;
	bool awaits_force;             // Of what was joined last.
	bool is_to_be_saved;           // Likewise,
	struct cluster_saving *saving; // and what is on its way there, or NULL.
	uint64_t save_due_ns;          // Not before.
	uint64_t joined_ns;            // When the last join was.
	uint64_t news_ns;        // When the first news came that are in no join yet; 0 for none.
	uint64_t forced_news_ns; // Likewise those that are not in force yet.
	uint64_t took_ns;        // From the news that came into force last until they did.
	uint64_t n_joins;
	uint64_t n_writes;
	uint64_t n_writes_failed;
	uint64_t n_events_lost;  // As far as the log has it.
	struct loop_timer join;  // Waits while something is to be joined,
	struct loop_timer poll;  // and while it is not in force,
	struct loop_timer learn; // and while nodes do not know an address yet,
	struct loop_timer tick;  // and always.
	struct loop_timer save;  // Waits while something is being saved,
	struct loop_timer write; // and while there may be more to write than was found.
};

// From the cluster to a table

static void say_left_out(struct text_lines *left_out)
{
	size_t n = left_out->n < LEFT_OUT_SAID ? left_out->n : LEFT_OUT_SAID;

	for (size_t i = 0; i < n; i++)
		log_about(left_out->lines[i], LEVEL_WARNING, "%s", left_out->lines[i]);
	if (left_out->n > n)
		log_limited(
			LEVEL_WARNING, "%zu more nodes and services are left out", left_out->n - n);
	text_lines_clear(left_out);
}

static void await_force(struct kubernetes *k)
{
	if (!k->awaits_force)
		k->forced_news_ns = k->news_ns;
	k->news_ns = 0;
	k->joined_ns = loop_clock_ns();
	k->awaits_force = true;
	k->is_to_be_saved = cluster_is_synced(k->cluster);
	loop_timer_set(k->loop, &k->poll, loop_clock_ns() + POLL_NS);
}

// Joins the cluster with its file, and has it served. On failure all is as before.
static int join(struct kubernetes *k, char ret_why[WHY_MAX])
{
	struct text_lines left_out = {0};
	struct cluster_config *joined;

	int r = cluster_join(k->cluster, k->joined, &joined, &left_out);
	if (r < 0) {
		snprintf(ret_why, WHY_MAX, "out of memory");
		text_lines_clear(&left_out);
		return r;
	}
	say_left_out(&left_out);
	if (r == 1) {
		await_force(k);
		return 0;
	}
	r = reconcile_want(k->reconcile, cluster_config_of(joined), ret_why);
	if (r < 0) {
		cluster_config_free(joined);
		return r;
	}
	cluster_config_free(k->joined);
	k->joined = joined;
	k->n_joins++;
	await_force(k);
	return 0;
}

static void join_soon(struct kubernetes *k, uint64_t now_ns)
{
	uint64_t due_ns = now_ns + JOIN_NS;

	if (!cluster_is_known(k->cluster) || !cluster_has_changed(k->cluster))
		return;
	if (k->news_ns == 0)
		k->news_ns = now_ns;
	if (due_ns < k->joined_ns + GAP_NS)
		due_ns = k->joined_ns + GAP_NS;
	if (!loop_timer_waits(&k->join))
		loop_timer_set(k->loop, &k->join, due_ns);
}

static void join_now(void *argument, uint64_t now_ns)
{
	struct kubernetes *k = argument;
	char why[WHY_MAX];

	int r = join(k, why);
	if (r == 0)
		return;
	log_about("join", LEVEL_ERROR,
		"what the cluster asks for is not in force yet, the state before it is: %s", why);
	loop_timer_set(k->loop, &k->join, now_ns + TICK_NS);
}

// Only one of several instances writes.
static bool leads(const struct kubernetes *k)
{
	return instance_leads(k->instance, loop_clock_ns());
}

// Events: what cannot be sent is not sent again, since the status says the same.

static void tell_on(struct kubernetes *k);
static void event_sent(void *argument, const struct api_answer *answer);

static void event_failed(const char *why)
{
	log_limited(LEVEL_WARNING, "an event of a Service is not recorded: %s", why);
}

// Takes the request's body.
static void send_event(struct telling *t, const struct event_request *request)
{
	struct event_request none;

	t->sent = *request;
	t->sent.body = NULL;
	struct client_call call = {
		.method = request->is_patch ? "PATCH" : "POST",
		.path = request->path,
		.content_type = request->is_patch ? "application/strategic-merge-patch+json"
						  : "application/json",
		.body = request->body,
		.fn = event_sent,
		.argument = t,
	};
	int r = api_client_call(t->k->client, &call, &t->request);
	json_decref(request->body);
	if (r == 0)
		return;
	t->request = NULL;
	event_filter_answer(t->k->filter, &t->event, &t->sent, 0, &none);
	event_failed(strerror(-r));
}

static void event_sent(void *argument, const struct api_answer *answer)
{
	struct telling *t = argument;
	struct event_request next;

	t->request = NULL;
	if (event_filter_answer(t->k->filter, &t->event, &t->sent, answer->status, &next))
		send_event(t, &next);
	else if (!api_status_is_good(answer->status))
		event_failed(answer->why);
	tell_on(t->k);
}

static void say_lost_events(struct kubernetes *k)
{
	uint64_t n = cluster_count_lost_events(k->cluster);

	if (n != k->n_events_lost)
		log_limited(LEVEL_WARNING,
			"%llu events of Services are not told: too many were waiting to be; their "
			"conditions say the same",
			(unsigned long long)(n - k->n_events_lost));
	k->n_events_lost = n;
}

static void tell(struct telling *t)
{
	struct event_request request;

	while (t->request == NULL && cluster_next_event(t->k->cluster, &t->event)) {
		if (event_filter_take(t->k->filter, &t->event, time(NULL), &request))
			send_event(t, &request);
	}
}

static void tell_on(struct kubernetes *k)
{
	struct service_event event;

	say_lost_events(k);
	// The leader says the same.
	while (!leads(k) && cluster_next_event(k->cluster, &event))
		;
	for (size_t i = 0; i < EVENTS_AT_A_TIME; i++)
		tell(&k->tellings[i]);
}

// What is written

static void write_on(struct kubernetes *k, uint64_t now_ns);

static void written(void *argument, const struct api_answer *answer)
{
	struct writing *w = argument;
	struct kubernetes *k = w->k;
	uint64_t now_ns = loop_clock_ns();
	bool good = api_status_is_good(answer->status);

	w->request = NULL;
	k->n_writes_failed += !good;
	if (!good && answer->status != 404) // What is gone needs no status any more.
		log_about(w->write.key, LEVEL_WARNING,
			"the status of Service %s is not written, and will be tried again: %s",
			w->write.key, answer->why);
	if (good)
		cluster_wrote(k->cluster, &w->write, answer->json, now_ns);
	else
		cluster_write_failed(k->cluster, &w->write, answer->why);
	join_soon(k, now_ns);
	write_on(k, now_ns);
}

static int begin_write(struct writing *w, const struct cluster_write *write)
{
	char path[256];

	snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services/%s/status", write->space,
		write->name);
	w->write = *write;
	w->write.patch = NULL;
	struct client_call call = {
		.method = "PATCH",
		.path = path,
		.content_type = "application/strategic-merge-patch+json",
		.body = write->patch,
		.fn = written,
		.argument = w,
	};
	return api_client_call(w->k->client, &call, &w->request);
}

// Whatever there is to say to the cluster.
static void write_on(struct kubernetes *k, uint64_t now_ns)
{
	struct cluster_write write;

	instance_say_in_force(k->instance, cluster_in_force_version(k->cluster), now_ns);
	cluster_set_others(k->cluster, instance_others_in_force(k->instance, now_ns));
	tell_on(k);
	for (size_t i = 0; i < WRITES_AT_A_TIME; i++) {
		struct writing *w = &k->writings[i];

		if (w->request != NULL)
			continue;
		if (!leads(k))
			return;
		if (!cluster_next_write(k->cluster, now_ns, time(NULL), &write)) {
			if (cluster_may_write(k->cluster))
				loop_timer_set(k->loop, &k->write, now_ns);
			return;
		}
		k->n_writes++;
		if (begin_write(w, &write) < 0) {
			w->request = NULL;
			cluster_write_failed(k->cluster, &write, "out of memory");
		}
		json_decref(write.patch);
	}
}

static void write_more(void *argument, uint64_t now_ns)
{
	write_on(argument, now_ns);
}

static void follow_instance(struct kubernetes *k, uint64_t now_ns)
{
	if (cluster_set_lead(k->cluster, leads(k), now_ns) < 0)
		log_limited(LEVEL_ERROR, "the cluster is not led by this instance: out of memory");
	cluster_set_announcers(k->cluster, instance_announcers(k->instance));
	join_soon(k, now_ns);
}

static void instance_changed(void *argument, uint64_t now_ns)
{
	struct kubernetes *k = argument;

	follow_instance(k, now_ns);
	write_on(k, now_ns);
}

static bool awaits(void *argument, const char *name, uint64_t since_ns)
{
	struct kubernetes *k = argument;

	return reconcile_learn(k->reconcile, name, since_ns);
}

static void learn(void *argument, uint64_t now_ns)
{
	struct kubernetes *k = argument;

	if (cluster_learn(k->cluster, awaits, k, now_ns))
		loop_timer_set(k->loop, &k->learn, now_ns + LEARN_NS);
	write_on(k, now_ns);
}

static void poll_force(void *argument, uint64_t now_ns)
{
	struct kubernetes *k = argument;

	if (!k->awaits_force)
		return;
	if (!reconcile_is_in_force(k->reconcile)) {
		loop_timer_set(k->loop, &k->poll, now_ns + POLL_NS);
		return;
	}
	k->awaits_force = false;
	if (k->forced_news_ns != 0)
		k->took_ns = loop_clock_ns() - k->forced_news_ns;
	cluster_is_in_force(k->cluster, now_ns);
	learn(k, now_ns);
}

// What is known outlives us, and a failure of the disk is no reason to serve less.

static void say_unsaved(int error)
{
	log_about("save", LEVEL_WARNING,
		"what is known of the cluster is not written down, and a restart while "
		"no API server answers would not know it: %s",
		strerror(-error));
}

static void save_on(void *argument, uint64_t now_ns)
{
	struct kubernetes *k = argument;

	if (cluster_save_on(k->cluster, k->saving)) {
		loop_timer_set(k->loop, &k->save, now_ns);
		return;
	}
	int r = cluster_file_write(k->cluster_file, cluster_save_end(k->saving));
	k->saving = NULL;
	k->is_to_be_saved |= r == -EBUSY;
	if (r == 0)
		r = cluster_file_error(k->cluster_file); // Of the one before.
	if (r < 0 && r != -EBUSY)
		say_unsaved(r);
}

static void save(struct kubernetes *k, uint64_t now_ns)
{
	if (!k->is_to_be_saved || k->saving != NULL || now_ns < k->save_due_ns)
		return;
	k->save_due_ns = now_ns + SAVE_NS;
	k->is_to_be_saved = false;
	k->saving = cluster_save_begin();
	if (k->saving == NULL)
		say_unsaved(-ENOMEM);
	else
		save_on(k, now_ns);
}

// What was told since it was saved last, joined or not. The loop is over, so that it is put
// together in one step, and waited for.
static void save_last(struct kubernetes *k)
{
	bool is_behind = k->is_to_be_saved || k->saving != NULL;

	if (k->cluster == NULL || !cluster_is_synced(k->cluster) ||
		(!is_behind && !cluster_has_changed(k->cluster)))
		return;
	cluster_save_give_up(k->saving);
	k->saving = cluster_save_begin();
	while (k->saving != NULL && cluster_save_on(k->cluster, k->saving))
		;
	cluster_file_wait(k->cluster_file);
	int r = k->saving == NULL
		? -ENOMEM
		: cluster_file_write(k->cluster_file, cluster_save_end(k->saving));
	k->saving = NULL;
	if (r == 0)
		r = cluster_file_wait(k->cluster_file);
	if (r < 0)
		say_unsaved(r);
}

static void availability_changed(void *argument, const char *key, bool is_available)
{
	struct kubernetes *k = argument;

	cluster_tell_availability(k->cluster, key, is_available);
}

// Which Services have no node. Nobody knows while what is joined is not in force.
static void look_for_nodes(struct kubernetes *k, uint64_t now_ns)
{
	const struct plan *plan = reconcile_plan(k->reconcile);

	if (k->joined == NULL || plan == NULL || plan->config != cluster_config_of(k->joined))
		return;
	if (availability_look(k->availability, plan, k->file->n_services, now_ns,
		    availability_changed, k) < 0)
		log_limited(
			LEVEL_WARNING, "which Services have no node is not known: out of memory");
}

static void tick(void *argument, uint64_t now_ns)
{
	struct kubernetes *k = argument;

	loop_timer_set(k->loop, &k->tick, now_ns + TICK_NS);
	server_version_look(k->version, now_ns);
	save(k, now_ns);
	cluster_tick(k->cluster, now_ns);
	look_for_nodes(k, now_ns);
	join_soon(k, now_ns);
	write_on(k, now_ns);
}

// What is told

static void begun(void *argument)
{
	struct ear *ear = argument;

	cluster_begin(ear->k->cluster, ear->resource);
}

static void say_passed_over(struct ear *ear, const json_t *object, int error)
{
	const char *space = json_text_at(object, "metadata.namespace");

	ear->n_left_out++;
	log_limited(LEVEL_WARNING, "one of the %s is left out, %s%s\"%s\": %s",
		names[ear->resource], space, *space == '\0' ? "" : " ",
		json_text_at(object, "metadata.name"),
		error == -ENOMEM ? "out of memory" : "it has no name, or a port that none has");
}

static void told(void *argument, enum watch_change change, const json_t *object)
{
	struct ear *ear = argument;
	struct kubernetes *k = ear->k;
	uint64_t now_ns = loop_clock_ns();

	int r = cluster_tell(k->cluster, ear->resource, change == WATCH_GONE, object, now_ns);
	if (r < 0)
		say_passed_over(ear, object, r);
	join_soon(k, now_ns);
	if (ear->resource == CLUSTER_SERVICES)
		write_on(k, now_ns);
}

static void synced(void *argument, bool is_whole)
{
	struct ear *ear = argument;
	struct kubernetes *k = ear->k;
	uint64_t now_ns = loop_clock_ns();
	bool was_synced = cluster_is_synced(k->cluster);
	struct cluster_counts counts;

	if (!is_whole)
		cluster_left_out(k->cluster, ear->resource);
	cluster_end(k->cluster, ear->resource, now_ns);
	join_soon(k, now_ns);
	write_on(k, now_ns);
	if (was_synced || !cluster_is_synced(k->cluster))
		return;
	cluster_count(k->cluster, &counts);
	log_info("the cluster is known: %zu nodes, %zu of them used, and %zu Services for us",
		counts.n_nodes, counts.n_nodes_used,
		counts.n_services[STAGE_CLAIM] + counts.n_services[STAGE_WAIT] +
			counts.n_services[STAGE_SERVE]);
}

// Whether anything is ours

void kubernetes_release_all(struct kubernetes *k)
{
	uint64_t now_ns = loop_clock_ns();

	log_warning("all Services of the cluster are released, and none is claimed before a "
		    "restart, or guidewayctl kubernetes claim");
	cluster_release_all(k->cluster, now_ns);
	join_soon(k, now_ns);
	write_on(k, now_ns);
}

void kubernetes_claim(struct kubernetes *k)
{
	uint64_t now_ns = loop_clock_ns();

	log_info("Services of the cluster are claimed again");
	cluster_claim(k->cluster, now_ns);
	join_soon(k, now_ns);
	write_on(k, now_ns);
}

// What is followed

static int start_watch(struct kubernetes *k, enum cluster_resource resource)
{
	struct ear *ear = &k->ears[resource];
	struct watch_config config = {
		.loop = k->loop,
		.client = k->client,
		.name = names[resource],
		.path = paths[resource],
		.begun = begun,
		.told = told,
		.synced = synced,
		.argument = ear,
	};

	*ear = (struct ear){.k = k, .resource = resource};
	return watch_start(&config, &ear->watch);
}

static bool matters(const struct kubernetes *k, enum cluster_resource resource)
{
	return resource != CLUSTER_NAMESPACES || cluster_follows_namespaces(k->cluster);
}

// Namespaces only while a pool selects by their labels. Returns 0 or -ENOMEM.
static int follow_what_matters(struct kubernetes *k)
{
	int r = 0;

	for (enum cluster_resource i = 0; r == 0 && i < N_CLUSTER_RESOURCES; i++) {
		struct ear *ear = &k->ears[i];

		if (matters(k, i) && ear->watch == NULL) {
			r = start_watch(k, i);
		} else if (!matters(k, i) && ear->watch != NULL) {
			watch_stop(ear->watch);
			ear->watch = NULL;
			cluster_forget_namespaces(k->cluster);
		}
	}
	return r;
}

// Life

static void limit_writes(struct kubernetes *k)
{
	const struct kubernetes_config *config = &k->file->kubernetes;

	api_client_limit_writes(k->client, config->writes_per_s, config->writes_at_once);
}

int kubernetes_want(struct kubernetes *k, const struct config *file, char ret_why[WHY_MAX])
{
	const struct config *before = k->file;
	uint64_t now_ns = loop_clock_ns();

	if (cluster_set_file(k->cluster, file, now_ns) < 0) {
		snprintf(ret_why, WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	int r = cluster_is_known(k->cluster) ? join(k, ret_why)
					     : reconcile_want(k->reconcile, file, ret_why);
	if (r < 0) {
		cluster_set_file(k->cluster, before, now_ns);
		join_soon(k, now_ns);
		return r;
	}
	k->file = file;
	limit_writes(k);
	if (follow_what_matters(k) < 0)
		log_error("namespaces are not followed: out of memory");
	return 0;
}

static int start_client(struct kubernetes *k, char ret_why[WHY_MAX])
{
	int r = access_find(&k->file->kubernetes, &k->access, ret_why);

	if (r < 0)
		return r;
	log_info("the API server is %s", k->access.servers[0]);
	r = api_client_create(k->loop, &k->access, &k->client);
	if (r < 0) {
		snprintf(ret_why, WHY_MAX, "there is not enough memory for credentials");
		return r;
	}
	limit_writes(k);
	k->version = server_version_create(k->client);
	if (k->version == NULL) {
		snprintf(ret_why, WHY_MAX, "there is not enough memory for a cluster");
		return -ENOMEM;
	}
	server_version_look(k->version, loop_clock_ns());
	return 0;
}

static int start_instance(
	struct kubernetes *k, struct state_directory *directory, char ret_why[WHY_MAX])
{
	struct instance_config config = {
		.loop = k->loop,
		.client = k->client,
		.directory = directory,
		.file = &k->instances,
		.hash_key = k->file->has_hash_key ? NULL : k->file->dataplane.hash_key,
		.changed = instance_changed,
		.argument = k,
	};

	k->instances = k->file->kubernetes.instances;
	int r = instance_start(&config, &k->instance);
	if (r == 0)
		follow_instance(k, loop_clock_ns());
	else
		snprintf(ret_why, WHY_MAX,
			"the id of this instance can be neither read nor made in the state "
			"directory: %s",
			strerror(-r));
	return r;
}

// What the last process knew, if anything. Without it the API server is waited for.
static void restore(struct kubernetes *k)
{
	struct cluster_counts counts;
	json_t *saved = NULL;
	char why[WHY_MAX];

	int r = cluster_file_read(k->cluster_file, &saved);
	if (r == 0)
		r = cluster_restore(k->cluster, saved, loop_clock_ns());
	json_decref(saved);
	if (r == -ENOENT)
		return;
	if (r < 0) {
		log_warning("what was known of the cluster cannot be read, and nothing of it is "
			    "served before the API server answers: %s",
			strerror(-r));
		return;
	}
	cluster_count(k->cluster, &counts);
	log_info("served as it was known before, until the API server says otherwise: %zu "
		 "Services of the cluster, on %zu nodes",
		counts.n_services[STAGE_SERVE], counts.n_nodes_used);
	if (join(k, why) < 0)
		loop_timer_set(k->loop, &k->join, loop_clock_ns() + TICK_NS);
}

static int start(struct kubernetes *k, struct state_directory *directory, char ret_why[WHY_MAX])
{
	int r = cluster_create(k->file, &k->cluster);

	if (r == 0)
		r = cluster_file_open(directory, &k->cluster_file);
	k->filter = event_filter_create(k->file->dataplane.instance);
	k->availability = availability_create();
	if (r < 0 || k->filter == NULL || k->availability == NULL) {
		snprintf(ret_why, WHY_MAX, "there is not enough memory for a cluster");
		return -ENOMEM;
	}
	restore(k);
	r = start_client(k, ret_why);
	if (r < 0)
		return r;
	r = start_instance(k, directory, ret_why);
	if (r < 0)
		return r;
	r = follow_what_matters(k);
	if (r < 0)
		snprintf(ret_why, WHY_MAX, "the API server cannot be watched: %s", strerror(-r));
	return r;
}

int kubernetes_start(struct loop *loop, struct reconcile *reconcile,
	struct state_directory *directory, const struct config *file,
	struct kubernetes **ret_kubernetes, char ret_why[WHY_MAX])
{
	struct kubernetes *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		snprintf(ret_why, WHY_MAX, "there is not enough memory for a cluster");
		return -ENOMEM;
	}
	k->loop = loop;
	k->reconcile = reconcile;
	k->file = file;
	k->join = (struct loop_timer){.name = "cluster joined", .fn = join_now, .argument = k};
	k->poll = (struct loop_timer){.name = "cluster in force", .fn = poll_force, .argument = k};
	k->learn = (struct loop_timer){
		.name = "nodes of the cluster learn", .fn = learn, .argument = k};
	k->tick = (struct loop_timer){.name = "cluster's second", .fn = tick, .argument = k};
	k->save = (struct loop_timer){.name = "cluster saved", .fn = save_on, .argument = k};
	k->write = (struct loop_timer){.name = "status", .fn = write_more, .argument = k};
	for (size_t i = 0; i < WRITES_AT_A_TIME; i++)
		k->writings[i].k = k;
	for (size_t i = 0; i < EVENTS_AT_A_TIME; i++)
		k->tellings[i].k = k;
	int r = start(k, directory, ret_why);
	if (r < 0) {
		kubernetes_stop(k);
		return r;
	}
	loop_timer_set(loop, &k->tick, loop_clock_ns() + TICK_NS);
	*ret_kubernetes = k;
	return 0;
}

static void ended(void *argument)
{
	struct kubernetes *k = argument;

	loop_stop(k->loop);
}

void kubernetes_end(struct kubernetes *k)
{
	instance_end(k->instance, ended, k, loop_clock_ns());
}

void kubernetes_stop(struct kubernetes *k)
{
	if (k == NULL)
		return;

	for (size_t i = 0; i < N_CLUSTER_RESOURCES; i++)
		watch_stop(k->ears[i].watch);
	for (size_t i = 0; i < WRITES_AT_A_TIME; i++)
		api_client_cancel(k->client, k->writings[i].request);
	for (size_t i = 0; i < EVENTS_AT_A_TIME; i++)
		api_client_cancel(k->client, k->tellings[i].request);
	instance_stop(k->instance);
	server_version_destroy(k->version);
	api_client_destroy(k->client);
	event_filter_destroy(k->filter);
	availability_destroy(k->availability);
	api_access_clear(&k->access);
	loop_timer_cancel(k->loop, &k->join);
	loop_timer_cancel(k->loop, &k->poll);
	loop_timer_cancel(k->loop, &k->learn);
	loop_timer_cancel(k->loop, &k->tick);
	loop_timer_cancel(k->loop, &k->save);
	loop_timer_cancel(k->loop, &k->write);
	save_last(k);
	cluster_save_give_up(k->saving);
	cluster_file_close(k->cluster_file);
	cluster_destroy(k->cluster);
	cluster_config_free(k->joined);
	free(k);
}

void kubernetes_read_status(const struct kubernetes *k, struct kubernetes_status *ret_status)
{
	struct kubernetes_status status = {
		.is_synced = cluster_is_synced(k->cluster),
		.is_claiming = cluster_is_claiming(k->cluster),
		.n_joins = k->n_joins,
		.took_ns = k->took_ns,
		.n_writes = k->n_writes,
		.n_writes_failed = k->n_writes_failed,
	};

	for (size_t i = 0; i < N_CLUSTER_RESOURCES; i++) {
		status.is_followed[i] = k->ears[i].watch != NULL;
		if (status.is_followed[i])
			watch_read_status(k->ears[i].watch, &status.watches[i]);
		status.watches[i].n_bad_objects += k->ears[i].n_left_out;
	}
	instance_read_status(k->instance, &status.instance);
	status.server = *server_version_release(k->version);
	cluster_count(k->cluster, &status.counts);
	*ret_status = status;
}

const struct instance *kubernetes_instance(const struct kubernetes *k)
{
	return k->instance;
}

const struct cluster *kubernetes_cluster(const struct kubernetes *k)
{
	return k->cluster;
}
