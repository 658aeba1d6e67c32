#include "cluster_inside.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TRIED_AT_A_TIME = 500, // Of those that wait for an address.
};

// Events

void cluster_tell_event(struct cluster *c, const struct service_object *object, bool is_warning,
	const char *reason, const char *format, ...)
{
	struct service_event *event;
	va_list arguments;

	// What is only known from before a restart has had its events.
	if (!cluster_is_synced(c))
		return;
	event = event_queue_add(c->events);
	if (event == NULL) {
		c->n_events_lost += c->leads;
		return;
	}
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

uint64_t cluster_count_lost_events(const struct cluster *cluster)
{
	return cluster->n_events_lost;
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

// Lists of Services

void cluster_enlist(struct service_entry *e, enum service_link_kind kind, struct service_list *list)
{
	struct service_link *link = &e->links[kind];

	if (link->list != NULL)
		TAILQ_REMOVE(link->list, e, links[kind].link);
	link->list = list;
	if (list != NULL)
		TAILQ_INSERT_TAIL(list, e, links[kind].link);
}

// Which nodes may be used

void cluster_forget_ground(struct cluster *c)
{
	cluster_ground_release(c->ground);
	c->ground = NULL;
	c->has_reserved = false;
}

// One that leaves is left out, and drains; but of one that is off, also if it was leaving, nothing
// can go on: only who is there can be told to be down.
bool cluster_is_used(const struct cluster *c, const struct node_object *node)
{
	return has_addresses(node->address) && (!node->is_leaving || node->is_out) &&
		(!node->is_excluded || c->file->kubernetes.ignore_exclude_label);
}

// What is served

bool cluster_has_changed(const struct cluster *cluster)
{
	return cluster->has_changed;
}

// What joins have of Services
// ---------------------------
// In a list of its own beside the entries, which are far from each other: a join walks along it,
// and looks only at those that changed.

// Of one that is there.
static size_t place_of(const struct cluster *c, const struct service_entry *e)
{
	return entry_list_after(&c->entries[CLUSTER_SERVICES], e->key) - 1;
}

int cluster_put_served(struct cluster *c, const struct service_entry *e)
{
	size_t n = c->entries[CLUSTER_SERVICES].n, at = place_of(c, e);

	if (n > c->served_room) {
		struct served *more = realloc(c->served, 2 * n * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		c->served = more;
		c->served_room = 2 * n;
	}
	memmove(&c->served[at + 1], &c->served[at], (n - 1 - at) * sizeof(*c->served));
	c->served[at] = (struct served){0};
	return 0;
}

void cluster_remove_served(struct cluster *c, const struct service_entry *e)
{
	size_t n = c->entries[CLUSTER_SERVICES].n, at = place_of(c, e);

	piece_keeper_retire(c->keeper, c->served[at].piece);
	memmove(&c->served[at], &c->served[at + 1], (n - 1 - at) * sizeof(*c->served));
}

void cluster_remake(struct cluster *c, struct service_entry *e)
{
	cluster_enlist(e, LINK_PIECE, &c->to_be_made);
}

static void serve(struct cluster *c, const struct service_entry *e, struct served *served)
{
	if (e->stage != STAGE_SERVE) {
		piece_keeper_retire(c->keeper, served->piece);
		*served = (struct served){0};
		return;
	}
	if (served->object == NULL && cluster_standing(e->object) == STANDING_PUBLISHED)
		served->n_in = UINT32_MAX; // It was served before we came.
	served->object = e->object;
	served->admission = &e->admission;
	served->address = e->address;
	served->leaving = e->leaving;
	served->first = e->first;
	served->is_stale = true;
}

// Many that change at once mostly come in the order of the entries.
static void serve_changed(struct cluster *c)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];
	struct service_entry *e;
	size_t at = 0;

	while ((e = TAILQ_FIRST(&c->to_be_made)) != NULL) {
		if (at >= services->n || services->entries[at] != e)
			at = place_of(c, e);
		serve(c, e, &c->served[at++]);
		cluster_enlist(e, LINK_PIECE, NULL);
	}
}

static struct slice_object *const *slices_of(void *argument, const char *key, size_t *ret_n)
{
	const struct cluster *c = argument;
	const struct slice_group *group = entry_list_find(&c->slice_groups, key);

	*ret_n = group == NULL ? 0 : group->n;
	return group == NULL ? NULL : group->slices;
}

// What is no good in a node's annotation is not looked at. Returns 0 or -ENOMEM.
static int note_mistake(struct cluster *c, const struct node_object *node)
{
	if (node->bad_address[0] == '\0')
		return 0;
	return text_lines_add(&c->node_mistakes,
		"node %s: its annotation " NODE_ADDRESSES " has \"%s\", which is not looked at; it "
		"must be a unicast address, or one of each family: \"10.1.0.5,fd01::5\"",
		node->name, node->bad_address);
}

// Returns 0 or -ENOMEM.
static int gather_nodes(struct cluster *c)
{
	const struct entry_list *nodes = &c->entries[CLUSTER_NODES];
	const struct node_object **used = calloc(nodes->n + 1, sizeof(*used));

	if (used == NULL)
		return -ENOMEM;
	free(c->nodes_used);
	c->nodes_used = used;
	c->n_nodes_used = 0;
	text_lines_clear(&c->node_mistakes);
	for (size_t i = 0; i < nodes->n; i++) {
		const struct node_entry *e = nodes->entries[i];

		if (cluster_is_used(c, &e->object))
			used[c->n_nodes_used++] = &e->object;
		if (note_mistake(c, &e->object) < 0)
			return -ENOMEM;
	}
	return 0;
}

// Those whose stage is new are in this join.
static void date_unjoined(struct cluster *c)
{
	struct service_entry *e;

	while ((e = TAILQ_FIRST(&c->unjoined)) != NULL) {
		e->since = c->join;
		cluster_enlist(e, LINK_STAGE, &c->not_in_force);
	}
}

static void set_room(struct cluster *c, struct service_entry *e, bool lacks_room)
{
	if (e->lacks_room == lacks_room)
		return;
	e->lacks_room = lacks_room;
	e->is_followed = false;
	if (lacks_room)
		cluster_tell_event(c, e->object, true, "SyncLoadBalancerFailed", "%s", NO_ROOM);
	else
		cluster_enlist(e, LINK_STAGE, &c->unjoined);
	cluster_look_at(c, e);
}

// Before those that were not joined yet are dated: who has got room is one of them.
static void note_room(struct cluster *c, const struct cluster_config *joined)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];
	bool lacked_room = c->lacks_room;

	c->lacks_room = cluster_config_lacks_room(joined);
	for (size_t i = 0; (lacked_room || c->lacks_room) && i < services->n; i++)
		set_room(c, services->entries[i], c->served[i].n_in < c->served[i].n_services);
}

// What was passed over in nodes, and who is not served where others are. Returns 0 or -ENOMEM.
static int say_mistakes(const struct cluster *c, struct text_lines *left_out)
{
	const struct service_entry *e;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->node_mistakes.n; i++)
		r = text_lines_add(left_out, "%s", c->node_mistakes.lines[i]);
	TAILQ_FOREACH(e, &c->meeting, links[LINK_RIVAL].link)
	{
		if (r == 0)
			r = text_lines_add(left_out, "%s: %s", e->key, e->message);
	}
	return r;
}

static int join(
	struct cluster *c, struct cluster_config **ret_joined, struct text_lines *ret_left_out)
{
	if (c->ground == NULL && gather_nodes(c) < 0)
		return -ENOMEM;
	serve_changed(c);
	if (say_mistakes(c, ret_left_out) < 0)
		return -ENOMEM;
	struct cluster_view view = {
		.nodes = c->nodes_used,
		.n_nodes = c->n_nodes_used,
		.services = c->served,
		.n_services = c->entries[CLUSTER_SERVICES].n,
		.keeper = c->keeper,
		.slices = slices_of,
		.argument = c,
		.ground = &c->ground,
		.announcers = &c->announcers,
	};
	return cluster_config_build(c->file, &view, ret_joined, ret_left_out);
}

int cluster_join(struct cluster *cluster, const struct cluster_config *before,
	struct cluster_config **ret_joined, struct text_lines *ret_left_out)
{
	struct cluster_config *joined;

	int r = join(cluster, &joined, ret_left_out);
	if (r < 0)
		return r;

	cluster->has_changed = false;
	note_room(cluster, joined);
	cluster->joined_version = cluster->told_version;
	if (before != NULL && cluster_config_is_same(joined, before)) {
		date_unjoined(cluster);
		cluster_config_free(joined);
		return 1;
	}
	cluster->join++;
	date_unjoined(cluster);
	*ret_joined = joined;
	return 0;
}

// What it had before is free now.
static void take_force(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	if (e->stage == STAGE_SERVE)
		cluster_settle(c, e, now_ns);
	else if (e->stage == STAGE_WAIT) // It keeps what it has for when it can be served.
		address_book_settle(c->book, e->key, now_ns);
	else if (e->stage != STAGE_CLAIM)
		address_book_release(c->book, e->key, now_ns);
	cluster_enlist(e, LINK_STAGE, NULL);
	cluster_look_at(c, e);
}

// Their ports and nodes may be others.
static void forget_what_nodes_know(struct cluster *c)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];

	for (size_t i = 0; i < services->n; i++)
		((struct service_entry *)services->entries[i])->knows = false;
}

void cluster_is_in_force(struct cluster *cluster, uint64_t now_ns)
{
	struct service_entry *e, *next;

	cluster->in_force = cluster->join;
	cluster->in_force_version = cluster->joined_version;
	forget_what_nodes_know(cluster);
	for (e = TAILQ_FIRST(&cluster->not_in_force); e != NULL; e = next) {
		next = TAILQ_NEXT(e, links[LINK_STAGE].link);
		if (service_is_in_force(cluster, e))
			take_force(cluster, e, now_ns);
	}
}

static void end_conflicts(struct cluster *c, uint64_t now_ns)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];

	for (size_t i = 0; i < services->n; i++) {
		struct service_entry *e = services->entries[i];

		if (!status_conflict_is_on(&e->conflict))
			continue;
		status_conflict_ends(&e->conflict, now_ns);
		cluster_look_at(c, e);
	}
}

// So many at most, and the others the next time: each is at the end of the list after it.
void cluster_tick(struct cluster *cluster, uint64_t now_ns)
{
	struct service_entry *e, *last = TAILQ_LAST(&cluster->waiting, service_list);

	if (!cluster_is_known(cluster))
		return;
	end_conflicts(cluster, now_ns);
	for (size_t i = 0; i < TRIED_AT_A_TIME; i++) {
		e = TAILQ_FIRST(&cluster->waiting);
		if (e == NULL)
			break;
		cluster_judge(cluster, e, now_ns);
		if (e == last)
			break;
	}
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
	const struct entry_list *nodes = &cluster->entries[CLUSTER_NODES];
	const struct entry_list *services = &cluster->entries[CLUSTER_SERVICES];
	struct cluster_counts counts = {.n_nodes = nodes->n};

	for (size_t i = 0; i < nodes->n; i++)
		counts.n_nodes_used += cluster_is_used(cluster, nodes->entries[i]);
	for (size_t i = 0; i < services->n; i++)
		counts.n_services[((struct service_entry *)services->entries[i])->stage]++;
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

bool cluster_read_service(
	const struct cluster *cluster, size_t at, struct cluster_service *ret_service)
{
	const struct entry_list *services = &cluster->entries[CLUSTER_SERVICES];

	if (at >= services->n)
		return false;

	const struct service_entry *e = services->entries[at];
	bool lacks_room = e->stage == STAGE_SERVE && e->lacks_room;
	*ret_service = (struct cluster_service){
		.object = e->object,
		.stage = e->stage,
		.is_in_force = !lacks_room && service_is_in_force(cluster, e),
		.mode = e->admission.mode,
		.reason = lacks_room ? NO_ROOM_WORD : e->reason,
		.message = lacks_room ? NO_ROOM : e->message,
		.lacks_nodes = e->stage == STAGE_SERVE && e->lacks_nodes,
		.write_error = e->write_error[0] == '\0' ? NULL : e->write_error,
		.overwritten_by = status_conflict_is_on(&e->conflict) ? e->conflict.writer : NULL,
	};
	memcpy(ret_service->address, e->address, sizeof(e->address));
	return true;
}

// Life

int cluster_set_file(struct cluster *cluster, const struct config *file, uint64_t now_ns)
{
	int r = address_book_set_pools(
		cluster->book, file->kubernetes.pools, file->kubernetes.n_pools);
	if (r < 0)
		return r;
	cluster->file = file;
	piece_keeper_forget_terms(cluster->keeper);
	cluster_forget_ground(cluster);
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
	cluster->later_ns = UINT64_MAX;
	TAILQ_INIT(&cluster->to_look_at);
	TAILQ_INIT(&cluster->to_look_at_later);
	TAILQ_INIT(&cluster->unjoined);
	TAILQ_INIT(&cluster->not_in_force);
	TAILQ_INIT(&cluster->waiting);
	TAILQ_INIT(&cluster->meeting);
	TAILQ_INIT(&cluster->to_be_made);
	cluster->others_in_force = UINT64_MAX;
	cluster->announcers.all = true;
	cluster->book = address_book_create();
	cluster->events = event_queue_create();
	cluster->keeper = piece_keeper_create();
	if (cluster->book == NULL || cluster->events == NULL || cluster->keeper == NULL ||
		cluster_set_file(cluster, file, 0) < 0) {
		cluster_destroy(cluster);
		return -ENOMEM;
	}
	*ret_cluster = cluster;
	return 0;
}

void cluster_destroy(struct cluster *cluster)
{
	if (cluster == NULL)
		return;

	for (size_t i = 0; i < cluster->entries[CLUSTER_SERVICES].n; i++)
		piece_keeper_retire(cluster->keeper, cluster->served[i].piece);
	free(cluster->served);
	cluster_free_told(cluster);
	cluster_forget_ground(cluster);
	piece_keeper_release(cluster->keeper);
	free(cluster->nodes_used);
	text_lines_clear(&cluster->node_mistakes);
	map_clear(&cluster->endpoints);
	address_book_destroy(cluster->book);
	event_queue_destroy(cluster->events);
	free(cluster);
}
