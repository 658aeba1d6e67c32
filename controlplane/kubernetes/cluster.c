#include "cluster_inside.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Events

void cluster_tell_event(struct cluster *c, const struct service_object *object, bool is_warning,
	const char *reason, const char *format, ...)
{
	struct service_event *event;
	va_list arguments;

	// What is only known from before a restart has had its events.
	event = cluster_is_synced(c) ? event_queue_add(c->events) : NULL;
	if (event == NULL)
		return;
	*event = (struct service_event){.is_warning = is_warning, .reason = reason};
	strcpy(event->space, object->space);
	strcpy(event->name, object->name);
	strcpy(event->uid, object->uid);
	va_start(arguments, format);
	vsnprintf(event->message, sizeof(event->message), format, arguments);
	va_end(arguments);
}

bool cluster_next_event(struct cluster *cluster, struct service_event *ret_event)
{
	return event_queue_take(cluster->events, ret_event);
}

// What is known

bool cluster_is_synced(const struct cluster *cluster)
{
	return cluster->is_listed[CLUSTER_SERVICES] && cluster->is_listed[CLUSTER_NODES] &&
		cluster->is_listed[CLUSTER_SLICES] &&
		(cluster->is_listed[CLUSTER_NAMESPACES] || !cluster_follows_namespaces(cluster));
}

bool cluster_is_known(const struct cluster *cluster)
{
	return cluster->is_known;
}

bool cluster_follows_namespaces(const struct cluster *cluster)
{
	const struct kubernetes_config *config = &cluster->file->kubernetes;

	for (size_t i = 0; i < config->n_pools; i++) {
		if (config->pools[i].namespace_labels.n > 0)
			return true;
	}
	return false;
}

void cluster_tell_availability(struct cluster *cluster, const char *key, bool is_available)
{
	struct service_entry *e = cluster_find_service(cluster, key);

	if (e == NULL || e->lacks_nodes == !is_available)
		return;
	e->lacks_nodes = !is_available;
	if (e->stage != STAGE_SERVE)
		return; // It is on its way out, and nobody sends anything to it.
	if (is_available)
		cluster_tell_event(cluster, e->object, false, "UpdatedLoadBalancer",
			"There are nodes again that can serve it");
	else
		cluster_tell_event(cluster, e->object, true, "UnAvailableLoadBalancer",
			"There are no available nodes for LoadBalancer: none of them that it may "
			"use is well%s",
			e->object->is_local ? " and has endpoints, with externalTrafficPolicy Local"
					    : "");
}

// Which nodes may be used

// One that leaves is left out, and drains; but of one that is off, also if it was leaving, nothing
// can go on: only who is there can be told to be down.
static bool is_used(const struct cluster *c, const struct node_object *node)
{
	bool has_address =
		!address_is_none(&node->address[IPV4]) || !address_is_none(&node->address[IPV6]);

	return has_address && (!node->is_leaving || node->is_out) &&
		(!node->is_excluded || c->file->kubernetes.ignore_exclude_label);
}

void cluster_keep_used(const struct cluster *c, struct entry_row *nodes)
{
	size_t n = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		if (is_used(c, nodes->entries[i]))
			nodes->entries[n++] = nodes->entries[i];
	}
	nodes->n = n;
}

// What is served

bool cluster_has_changed(const struct cluster *cluster)
{
	return cluster->has_changed;
}

// What a join needs, and is given back after it.
struct joining {
	struct entry_row nodes;
	struct entry_row services;
	struct endpoint_shares *shares;
	struct served *served; // [n_served]
	size_t n_served;
};

static struct endpoint_shares *share_endpoints(const struct cluster *c)
{
	struct entry_row row = cluster_list(c, CLUSTER_SLICES);

	for (size_t i = 0; i < row.n; i++)
		row.entries[i] = ((struct slice_entry *)row.entries[i])->object;
	struct endpoint_shares *shares = row.entries == NULL
		? NULL
		: endpoint_shares_create((struct slice_object *const *)row.entries, row.n);
	free(row.entries);
	return shares;
}

static void serve(struct joining *j, const struct service_entry *e)
{
	struct served *served = &j->served[j->n_served++];

	*served = (struct served){.object = e->object, .admission = &e->admission};
	memcpy(served->address, e->address, sizeof(e->address));
	memcpy(served->leaving, e->leaving, sizeof(e->leaving));
	memcpy(served->first, e->first, sizeof(e->first));
	for (enum family f = IPV4; e->object->is_local && f < N_FAMILIES; f++)
		served->shares[f] = endpoint_shares_find(j->shares, e->key, f);
}

static void serve_all(struct cluster *c, struct joining *j)
{
	for (size_t i = 0; i < j->services.n; i++) {
		struct service_entry *e = j->services.entries[i];

		if (e->since == NOT_JOINED)
			e->since = c->join;
		if (e->stage == STAGE_SERVE)
			serve(j, e);
	}
}

static int join(struct cluster *c, struct joining *j, struct cluster_config **ret_joined,
	struct text_lines *ret_left_out)
{
	if (j->served == NULL || j->shares == NULL || j->nodes.entries == NULL ||
		j->services.entries == NULL)
		return -ENOMEM;
	c->join++;
	c->joined_version = c->told_version;
	cluster_keep_used(c, &j->nodes);
	serve_all(c, j);
	struct cluster_view view = {
		.nodes = (const struct node_object *const *)j->nodes.entries,
		.n_nodes = j->nodes.n,
		.services = j->served,
		.n_services = j->n_served,
		.announcers = &c->announcers,
	};
	return cluster_config_build(c->file, &view, ret_joined, ret_left_out);
}

int cluster_join(struct cluster *cluster, struct cluster_config **ret_joined,
	struct text_lines *ret_left_out)
{
	struct joining j = {
		.nodes = cluster_list(cluster, CLUSTER_NODES),
		.services = cluster_list(cluster, CLUSTER_SERVICES),
		.shares = share_endpoints(cluster),
	};

	j.served = calloc(j.services.n + 1, sizeof(*j.served));
	int r = join(cluster, &j, ret_joined, ret_left_out);
	if (r == 0)
		cluster->has_changed = false;
	free(j.nodes.entries);
	free(j.services.entries);
	free(j.served);
	endpoint_shares_destroy(j.shares);
	return r;
}

void cluster_is_in_force(struct cluster *cluster, uint64_t now_ns)
{
	struct entry_row row = cluster_list(cluster, CLUSTER_SERVICES);

	cluster->in_force = cluster->join;
	cluster->in_force_version = cluster->joined_version;
	for (size_t i = 0; i < row.n; i++) {
		struct service_entry *e = row.entries[i];

		e->knows = false; // Its ports and nodes may be others.
		if (!service_is_in_force(cluster, e))
			continue;
		if (e->stage == STAGE_SERVE)
			cluster_settle(cluster, e, now_ns);
		else if (e->stage != STAGE_CLAIM)
			address_book_release(cluster->book, e->key, now_ns);
	}
	free(row.entries);
}

void cluster_tick(struct cluster *cluster, uint64_t now_ns)
{
	struct entry_row row = {0};

	if (!cluster_is_known(cluster))
		return;
	row = cluster_list(cluster, CLUSTER_SERVICES);
	for (size_t i = 0; i < row.n; i++) {
		struct service_entry *e = row.entries[i];

		if (e->stage == STAGE_WAIT && e->admission.is_admitted)
			cluster_judge(cluster, e, now_ns);
		status_conflict_ends(&e->conflict, now_ns);
	}
	free(row.entries);
}

// Whether anything is ours

static void set_leaving(struct cluster *c, bool is_leaving, uint64_t now_ns)
{
	c->is_leaving = is_leaving;
	if (cluster_is_known(c))
		cluster_judge_all(c, now_ns);
}

void cluster_release_all(struct cluster *cluster, uint64_t now_ns)
{
	set_leaving(cluster, true, now_ns);
}

void cluster_claim(struct cluster *cluster, uint64_t now_ns)
{
	set_leaving(cluster, false, now_ns);
}

bool cluster_is_claiming(const struct cluster *cluster)
{
	return !cluster->is_leaving;
}

// What is told of it

void cluster_count(const struct cluster *cluster, struct cluster_counts *ret_counts)
{
	struct entry_row nodes = cluster_list(cluster, CLUSTER_NODES),
			 services = cluster_list(cluster, CLUSTER_SERVICES);
	struct cluster_counts counts = {.n_nodes = nodes.n};

	cluster_keep_used(cluster, &nodes);
	counts.n_nodes_used = nodes.n;
	for (size_t i = 0; i < services.n; i++)
		counts.n_services[((struct service_entry *)services.entries[i])->stage]++;
	free(nodes.entries);
	free(services.entries);
	*ret_counts = counts;
}

size_t cluster_count_pools(const struct cluster *cluster)
{
	return address_book_count_pools(cluster->book);
}

void cluster_read_pool(
	const struct cluster *cluster, size_t i, uint64_t now_ns, struct book_pool *ret_pool)
{
	address_book_read_pool(cluster->book, i, now_ns, ret_pool);
}

uint64_t cluster_count_refusals(const struct cluster *cluster, enum book_answer answer)
{
	return cluster->n_refusals[answer];
}

void cluster_each(const struct cluster *cluster, cluster_each_fn *fn, void *argument)
{
	struct entry_row row = cluster_list(cluster, CLUSTER_SERVICES);

	for (size_t i = 0; i < row.n; i++) {
		const struct service_entry *e = row.entries[i];
		struct cluster_service service = {
			.object = e->object,
			.stage = e->stage,
			.is_in_force = service_is_in_force(cluster, e),
			.mode = e->admission.mode,
			.reason = e->reason,
			.message = e->message,
			.lacks_nodes = e->stage == STAGE_SERVE && e->lacks_nodes,
			.write_error = e->write_error[0] == '\0' ? NULL : e->write_error,
			.overwritten_by =
				status_conflict_is_on(&e->conflict) ? e->conflict.writer : NULL,
		};

		memcpy(service.address, e->address, sizeof(service.address));
		if (e->stage != STAGE_NONE)
			fn(argument, &service);
	}
	free(row.entries);
}

// Life

int cluster_set_file(struct cluster *cluster, const struct config *file, uint64_t now_ns)
{
	int r = address_book_set_pools(
		cluster->book, file->kubernetes.pools, file->kubernetes.n_pools);
	if (r < 0)
		return r;
	cluster->file = file;
	cluster->has_changed = true;
	if (cluster_is_known(cluster))
		cluster_judge_all(cluster, now_ns);
	return 0;
}

int cluster_create(const struct config *file, struct cluster **ret_cluster)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	if (cluster == NULL)
		return -ENOMEM;
	cluster->file = file;
	cluster->others_in_force = UINT64_MAX;
	cluster->announcers.all = true;
	cluster->book = address_book_create();
	cluster->events = event_queue_create();
	if (cluster->book == NULL || cluster->events == NULL ||
		cluster_set_file(cluster, file, 0) < 0) {
		cluster_destroy(cluster);
		return -ENOMEM;
	}
	*ret_cluster = cluster;
	return 0;
}

static void free_service(void *entry)
{
	service_object_free(((struct service_entry *)entry)->object);
	free(entry);
}

static void free_slice(void *entry)
{
	slice_object_free(((struct slice_entry *)entry)->object);
	free(entry);
}

static void free_namespace(void *entry)
{
	json_decref(((struct namespace_entry *)entry)->labels);
	free(entry);
}

void cluster_forget_namespaces(struct cluster *cluster)
{
	entry_tree_clear(&cluster->entries[CLUSTER_NAMESPACES], free_namespace);
	cluster->is_listed[CLUSTER_NAMESPACES] = false;
}

void cluster_destroy(struct cluster *cluster)
{
	if (cluster == NULL)
		return;

	entry_tree_clear(&cluster->entries[CLUSTER_SERVICES], free_service);
	entry_tree_clear(&cluster->entries[CLUSTER_NODES], free);
	entry_tree_clear(&cluster->entries[CLUSTER_SLICES], free_slice);
	cluster_forget_namespaces(cluster);
	address_book_destroy(cluster->book);
	event_queue_destroy(cluster->events);
	free(cluster);
}
