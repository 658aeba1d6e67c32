#include "cluster_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"

// What the API server tells: objects that are there, change and go, and whole lists of them.

// Services

static void free_service(void *entry)
{
	struct service_entry *e = entry;

	service_object_free(e->object);
	free(e->claims);
	free(e);
}

static void forget_service(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	c->has_changed |= e->stage == STAGE_SERVE;
	address_book_release(c->book, e->key, now_ns);
	for (int kind = 0; kind < N_SERVICE_LINKS; kind++)
		cluster_enlist(e, (enum service_link_kind)kind, NULL);
	cluster_drop_endpoints(c, e);
	cluster_remove_served(c, e);
	entry_list_remove(&c->entries[CLUSTER_SERVICES], e);
	free_service(e);
}

static struct service_entry *add_service(struct cluster *c, const char *key)
{
	struct service_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	strcpy(e->key, key);
	e->reason = "";
	if (entry_list_put(&c->entries[CLUSTER_SERVICES], e) < 0) {
		free(e);
		return NULL;
	}
	if (cluster_put_served(c, e) < 0) {
		entry_list_remove(&c->entries[CLUSTER_SERVICES], e);
		free(e);
		return NULL;
	}
	return e;
}

// An answer to a write of ours may be newer than what the watch tells after it.
static bool is_stale(const struct service_object *is, const struct service_object *told)
{
	return is != NULL && strcmp(is->uid, told->uid) == 0 && told->version != 0 &&
		told->version < is->version;
}

// Of those that are read, all that 'a' has.
static bool has_annotations_of(const json_t *b, const json_t *a)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)a, name, value)
	{
		if (is_read_annotation(name) && !json_equal(value, json_object_get(b, name)))
			return false;
	}
	return true;
}

static bool asks_alike(const struct service_object *a, const struct service_object *b)
{
	return service_object_asks_alike(a, b) &&
		has_annotations_of(a->annotations, b->annotations) &&
		has_annotations_of(b->annotations, a->annotations);
}

// Our ingress went by another's hand: ours changes only with what is wanted.
static void ingress_overwritten(
	struct cluster *c, struct service_entry *e, const json_t *json, uint64_t now_ns)
{
	if (!status_conflict_overwritten(&e->conflict, json, now_ns))
		return;
	cluster_tell_event(c, e->object, true, "StatusConflict",
		"%s overwrites status.loadBalancer.ingress; what we forward is served on, but the "
		"status is not written any more until the Service changes, or 10 minutes have "
		"passed",
		e->conflict.writer);
}

// It will ask for what 'object' asks for.
static void ask_otherwise(
	struct cluster *c, struct service_entry *e, const struct service_object *object)
{
	e->conflict = (struct status_conflict){0};
	cluster_learn_ports(e, object);
	if (e->stage == STAGE_SERVE)
		cluster_begin_anew(c, e);
}

// Puts 'object' in the place of what was known, and finds what becomes of it.
static void replace_object(struct cluster *c, struct service_entry *e,
	struct service_object *object, const json_t *json, uint64_t now_ns)
{
	struct service_object *before = e->object;
	bool had_ingress = before != NULL && cluster_has_its_ingress(e);
	bool has_another = had_ingress && !json_equal(before->ingress_json, object->ingress_json);

	if (before != NULL && !asks_alike(before, object))
		ask_otherwise(c, e, object);
	e->object = object;
	cluster_remake(c, e);
	service_object_free(before);
	if (cluster_is_known(c))
		cluster_judge(c, e, now_ns);
	if (has_another && e->stage == STAGE_SERVE)
		ingress_overwritten(c, e, json, now_ns);
	cluster_settle(c, e, now_ns);
}

// Takes 'object', which was read from 'json'. Under the same name, one with another uid is another
// Service.
static int take_service(
	struct cluster *c, struct service_object *object, const json_t *json, uint64_t now_ns)
{
	struct service_entry *e = cluster_find_service(c, object->key);

	if (e != NULL && strcmp(e->object->uid, object->uid) != 0) {
		forget_service(c, e, now_ns);
		e = NULL;
	}
	if (e == NULL)
		e = add_service(c, object->key);
	if (e == NULL) {
		service_object_free(object);
		return -ENOMEM;
	}
	e->is_listed = true;
	if (object->version > c->told_version)
		c->told_version = object->version;
	if (is_stale(e->object, object)) {
		service_object_free(object);
		return 0;
	}
	c->has_changed |= e->stage == STAGE_SERVE;
	replace_object(c, e, object, json, now_ns);
	return 0;
}

int cluster_tell_service(struct cluster *c, bool is_gone, const json_t *json, uint64_t now_ns)
{
	struct service_object *object;
	char key[SERVICE_KEY_MAX];

	if (is_gone) {
		struct service_entry *e =
			object_key(json, key) ? cluster_find_service(c, key) : NULL;

		if (e != NULL)
			forget_service(c, e, now_ns);
		return 0;
	}
	int r = service_object_parse(json, &object);
	return r < 0 ? r : take_service(c, object, json, now_ns);
}

// Nodes

static void nodes_change(struct cluster *c)
{
	cluster_forget_ground(c);
	c->has_changed = true;
}

static void forget_node(struct cluster *c, struct node_entry *e)
{
	nodes_change(c);
	entry_list_remove(&c->entries[CLUSTER_NODES], e);
	free(e);
}

static int add_node(struct cluster *c, const struct node_object *object)
{
	struct node_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return -ENOMEM;
	*e = (struct node_entry){*object, true};
	if (entry_list_put(&c->entries[CLUSTER_NODES], e) < 0) {
		free(e);
		return -ENOMEM;
	}
	nodes_change(c);
	return 0;
}

// Most of what is told of nodes is their kubelets' reports, which change nothing here.
static int tell_node(struct cluster *c, bool is_gone, const json_t *json)
{
	struct node_object object;

	int r = node_object_parse(json, &object);
	if (r < 0)
		return r;

	struct node_entry *e = entry_list_find(&c->entries[CLUSTER_NODES], object.name);
	if (e == NULL)
		return is_gone ? 0 : add_node(c, &object);
	if (is_gone) {
		forget_node(c, e);
		return 0;
	}
	e->is_listed = true;
	if (memcmp(&e->object, &object, sizeof(object)) != 0) {
		e->object = object;
		nodes_change(c);
	}
	return 0;
}

// Slices of endpoints

// Only what is spread by endpoints changes with them.
static void slice_changes(struct cluster *c, const struct slice_object *slice)
{
	struct service_entry *e = cluster_find_service(c, slice->service);

	if (e == NULL || !e->object->is_local)
		return;
	cluster_remake(c, e);
	c->has_changed |= e->stage == STAGE_SERVE;
}

static struct slice_group *find_group(struct cluster *c, const char *service)
{
	struct slice_group *group = entry_list_find(&c->slice_groups, service);

	if (group != NULL)
		return group;
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return NULL;
	strcpy(group->service, service);
	if (entry_list_put(&c->slice_groups, group) < 0) {
		free(group);
		return NULL;
	}
	return group;
}

static void free_group(void *entry)
{
	free(((struct slice_group *)entry)->slices);
	free(entry);
}

static void drop_if_empty(struct cluster *c, struct slice_group *group)
{
	if (group->n > 0)
		return;
	entry_list_remove(&c->slice_groups, group);
	free_group(group);
}

// Adds it to those of its Service. Returns 0 or -ENOMEM.
static int group_slice(struct cluster *c, struct slice_object *slice)
{
	struct slice_group *group = find_group(c, slice->service);

	if (group == NULL)
		return -ENOMEM;
	if (group->n == group->room) {
		size_t room = 2 * group->room + 1;
		struct slice_object **more = realloc(group->slices, room * sizeof(*more));

		if (more == NULL) {
			drop_if_empty(c, group);
			return -ENOMEM;
		}
		group->slices = more;
		group->room = room;
	}
	group->slices[group->n++] = slice;
	return 0;
}

static void ungroup_slice(struct cluster *c, const struct slice_object *slice)
{
	struct slice_group *group = entry_list_find(&c->slice_groups, slice->service);
	size_t i = 0;

	while (group->slices[i] != slice)
		i++;
	group->slices[i] = group->slices[--group->n];
	drop_if_empty(c, group);
}

static void free_slice(void *entry)
{
	slice_object_free(((struct slice_entry *)entry)->object);
	free(entry);
}

static void forget_slice(struct cluster *c, struct slice_entry *e)
{
	slice_changes(c, e->object);
	entry_list_remove(&c->entries[CLUSTER_SLICES], e);
	ungroup_slice(c, e->object);
	free_slice(e);
}

// Takes 'object'.
static int add_slice(struct cluster *c, struct slice_object *object)
{
	struct slice_entry *e = calloc(1, sizeof(*e));
	int r = e == NULL ? -ENOMEM : group_slice(c, object);

	if (r == 0) {
		*e = (struct slice_entry){.object = object, .is_listed = true};
		strcpy(e->key, object->key);
		r = entry_list_put(&c->entries[CLUSTER_SLICES], e);
		if (r < 0)
			ungroup_slice(c, object);
	}
	if (r < 0) {
		slice_object_free(object);
		free(e);
		return r;
	}
	slice_changes(c, object);
	return 0;
}

// Takes 'object', which says something else than before, maybe of another Service.
static int change_slice(struct cluster *c, struct slice_entry *e, struct slice_object *object)
{
	if (group_slice(c, object) < 0) {
		slice_object_free(object);
		return -ENOMEM;
	}
	slice_changes(c, e->object);
	slice_changes(c, object);
	ungroup_slice(c, e->object);
	slice_object_free(e->object);
	e->object = object;
	return 0;
}

static int tell_slice(struct cluster *c, bool is_gone, const json_t *json)
{
	struct slice_object *object;

	int r = slice_object_parse(json, &object);
	if (r < 0)
		return r;

	struct slice_entry *e = entry_list_find(&c->entries[CLUSTER_SLICES], object->key);
	if (e == NULL && !is_gone)
		return add_slice(c, object);
	if (e != NULL)
		e->is_listed = true;
	if (e != NULL && !is_gone && !slice_object_equal(e->object, object))
		return change_slice(c, e, object);
	if (e != NULL && is_gone)
		forget_slice(c, e);
	slice_object_free(object);
	return 0;
}

// Namespaces

static void free_namespace(void *entry)
{
	json_decref(((struct namespace_entry *)entry)->labels);
	free(entry);
}

static void forget_namespace(struct cluster *c, struct namespace_entry *e)
{
	entry_list_remove(&c->entries[CLUSTER_NAMESPACES], e);
	free_namespace(e);
}

void cluster_forget_namespaces(struct cluster *cluster)
{
	entry_list_clear(&cluster->entries[CLUSTER_NAMESPACES], free_namespace);
	cluster->is_listed[CLUSTER_NAMESPACES] = false;
}

static struct namespace_entry *add_namespace(struct cluster *c, const char *name)
{
	struct namespace_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	strcpy(e->name, name);
	if (entry_list_put(&c->entries[CLUSTER_NAMESPACES], e) < 0) {
		free(e);
		return NULL;
	}
	return e;
}

// Of a namespace that goes, the Services are going, too.
static int tell_namespace(struct cluster *c, bool is_gone, const json_t *json, uint64_t now_ns)
{
	json_t *labels = (json_t *)json_at(json, "metadata.labels");
	char name[SPACE_TEXT_MAX];

	if (!json_copy_text(json, "metadata.name", name, sizeof(name)) || *name == '\0')
		return -EINVAL;

	struct namespace_entry *e = entry_list_find(&c->entries[CLUSTER_NAMESPACES], name);
	if (is_gone) {
		if (e != NULL)
			forget_namespace(c, e);
		return 0;
	}
	if (e == NULL)
		e = add_namespace(c, name);
	if (e == NULL)
		return -ENOMEM;
	e->is_listed = true;
	if (e->labels == labels || json_equal(e->labels, labels))
		return 0;
	json_decref(e->labels);
	e->labels = json_incref(labels);
	if (c->is_listed[CLUSTER_NAMESPACES] && cluster_is_known(c))
		cluster_judge_namespace(c, name, now_ns);
	return 0;
}

// All of them

static bool *is_listed(enum cluster_resource resource, void *entry)
{
	switch (resource) {
	case CLUSTER_NODES:
		return &((struct node_entry *)entry)->is_listed;
	case CLUSTER_SLICES:
		return &((struct slice_entry *)entry)->is_listed;
	case CLUSTER_NAMESPACES:
		return &((struct namespace_entry *)entry)->is_listed;
	default:
		return &((struct service_entry *)entry)->is_listed;
	}
}

static int tell(struct cluster *c, enum cluster_resource resource, bool is_gone, const json_t *json,
	uint64_t now_ns)
{
	switch (resource) {
	case CLUSTER_NODES:
		return tell_node(c, is_gone, json);
	case CLUSTER_SLICES:
		return tell_slice(c, is_gone, json);
	case CLUSTER_NAMESPACES:
		return tell_namespace(c, is_gone, json, now_ns);
	default:
		return cluster_tell_service(c, is_gone, json, now_ns);
	}
}

void cluster_left_out(struct cluster *cluster, enum cluster_resource resource)
{
	cluster->has_left_out[resource] = true;
}

// What cannot be taken in is there nevertheless.
static void keep_known(struct cluster *c, enum cluster_resource resource, const json_t *json)
{
	const char *space = json_text_at(json, "metadata.namespace");
	const char *name = json_text_at(json, "metadata.name");
	bool is_of_space = resource == CLUSTER_SERVICES || resource == CLUSTER_SLICES;
	char key[SLICE_KEY_MAX];

	if (*name == '\0' || (is_of_space && *space == '\0')) {
		cluster_left_out(c, resource);
		return;
	}
	snprintf(key, sizeof(key), "%s%s%s", space, is_of_space ? "/" : "", name);
	void *entry = entry_list_find(&c->entries[resource], key);
	if (entry != NULL)
		*is_listed(resource, entry) = true;
}

int cluster_tell(struct cluster *cluster, enum cluster_resource resource, bool is_gone,
	const json_t *object, uint64_t now_ns)
{
	int r = tell(cluster, resource, is_gone, object, now_ns);

	if (r < 0 && !is_gone)
		keep_known(cluster, resource, object);
	return r;
}

// A list is newer than all that was told before, whatever its versions are: those of a cluster
// whose etcd was restored from a backup begin anew, below the ones that are known.
static void forget_versions(const struct entry_list *services)
{
	for (size_t i = 0; i < services->n; i++)
		((struct service_entry *)services->entries[i])->object->version = 0;
}

// What others are to follow, and what is in force, by the versions that there are.
static void take_versions_back(struct cluster *c)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];
	uint64_t newest = 0;

	for (size_t i = 0; i < services->n; i++) {
		struct service_entry *e = services->entries[i];
		uint64_t version = e->object->version;

		if (version != 0 && e->told_version > version)
			e->told_version = version;
		newest = version > newest ? version : newest;
	}
	if (newest < c->told_version)
		c->joined_version = c->in_force_version = 0;
	c->told_version = newest;
}

void cluster_begin(struct cluster *cluster, enum cluster_resource resource)
{
	const struct entry_list *entries = &cluster->entries[resource];

	cluster->has_left_out[resource] = false;
	for (size_t i = 0; i < entries->n; i++)
		*is_listed(resource, entries->entries[i]) = false;
	if (resource == CLUSTER_SERVICES)
		forget_versions(entries);
}

static void forget(struct cluster *c, enum cluster_resource resource, void *entry, uint64_t now_ns)
{
	switch (resource) {
	case CLUSTER_NODES:
		forget_node(c, entry);
		break;
	case CLUSTER_SLICES:
		forget_slice(c, entry);
		break;
	case CLUSTER_NAMESPACES:
		forget_namespace(c, entry);
		break;
	default:
		forget_service(c, entry, now_ns);
	}
}

// Before all is known people are told nothing; what is still so then is news to them.
static void forget_what_was_said(struct cluster *c)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];

	for (size_t i = 0; i < services->n; i++) {
		struct service_entry *e = services->entries[i];

		e->message[0] = '\0';
		e->answer = BOOK_GIVEN;
	}
}

// The first list of namespaces may come when what was known before a restart is served already.
void cluster_end(struct cluster *cluster, enum cluster_resource resource, uint64_t now_ns)
{
	const struct entry_list *entries = &cluster->entries[resource];
	bool is_first = !cluster->is_listed[resource], was_synced = cluster->was_synced;

	for (size_t i = 0; i < entries->n;) {
		if (cluster->has_left_out[resource] || *is_listed(resource, entries->entries[i]))
			i++;
		else
			forget(cluster, resource, entries->entries[i], now_ns);
	}
	if (resource == CLUSTER_SERVICES)
		take_versions_back(cluster);
	cluster->is_listed[resource] = true;
	cluster->was_synced |= cluster_is_synced(cluster);
	cluster->is_known |= cluster->was_synced;
	if (cluster->was_synced != was_synced)
		forget_what_was_said(cluster);
	else if (!(cluster->is_known && is_first && resource == CLUSTER_NAMESPACES))
		return;
	cluster_judge_all(cluster, now_ns);
	cluster->has_changed = true;
}

void cluster_free_told(struct cluster *c)
{
	entry_list_clear(&c->entries[CLUSTER_SERVICES], free_service);
	entry_list_clear(&c->entries[CLUSTER_NODES], free);
	entry_list_clear(&c->entries[CLUSTER_SLICES], free_slice);
	entry_list_clear(&c->entries[CLUSTER_NAMESPACES], free_namespace);
	entry_list_clear(&c->slice_groups, free_group);
}
