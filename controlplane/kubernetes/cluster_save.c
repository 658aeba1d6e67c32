#include "cluster_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"

// What outlives the process: what is served, by which nodes, and who of them has endpoints.

#define SAVED_KIND "guideway cluster 1"

enum {
	SAVED_AT_A_TIME = 100,        // Some 15 µs each.
	N_SAVED = CLUSTER_NAMESPACES, // What comes before these.
};

// A document takes many steps, since ten thousand Services take a tenth of a second. What changes
// meanwhile is in it as it was or as it is; the change itself is a reason to save again.
struct cluster_saving {
	json_t *lists[N_SAVED];
	enum cluster_resource resource; // Whose entries come next,
	char name[SLICE_KEY_MAX];       // after the one of this name; empty for the first.
};

static_assert(
	(int)SLICE_KEY_MAX >= (int)SERVICE_KEY_MAX && (int)SLICE_KEY_MAX >= (int)NAME_TEXT_MAX);

static const char *const list_names[N_SAVED] = {
	[CLUSTER_SERVICES] = "services",
	[CLUSTER_NODES] = "nodes",
	[CLUSTER_SLICES] = "slices",
};

static json_t *save_service(const struct service_entry *e)
{
	return e->stage == STAGE_SERVE ? service_object_write(e->object, e->address) : NULL;
}

static json_t *save_node(const struct cluster *c, const struct node_entry *e)
{
	return cluster_is_used(c, &e->object) ? node_object_write(&e->object) : NULL;
}

// Of those that are served by them.
static json_t *save_slice(const struct cluster *c, const struct slice_entry *slice)
{
	const struct service_entry *e = cluster_find_service(c, slice->object->service);

	return e != NULL && e->stage == STAGE_SERVE && e->object->is_local
		? slice_object_write(slice->object)
		: NULL;
}

// NULL for one that is not to be saved.
static json_t *save_entry(
	const struct cluster *c, enum cluster_resource resource, const void *entry)
{
	switch (resource) {
	case CLUSTER_NODES:
		return save_node(c, entry);
	case CLUSTER_SLICES:
		return save_slice(c, entry);
	default:
		return save_service(entry);
	}
}

struct cluster_saving *cluster_save_begin(void)
{
	struct cluster_saving *saving = calloc(1, sizeof(*saving));

	for (int i = 0; saving != NULL && i < N_SAVED; i++)
		saving->lists[i] = json_array();
	return saving;
}

bool cluster_save_on(const struct cluster *cluster, struct cluster_saving *saving)
{
	const struct entry_list *list = &cluster->entries[saving->resource];
	size_t first = entry_list_after(list, saving->name);
	size_t end = list->n - first < SAVED_AT_A_TIME ? list->n : first + SAVED_AT_A_TIME;

	for (size_t i = first; i < end; i++) {
		json_t *json = save_entry(cluster, saving->resource, list->entries[i]);

		if (json != NULL)
			json_array_append_new(saving->lists[saving->resource], json);
	}
	if (end < list->n) {
		strcpy(saving->name, list->entries[end - 1]);
		return true;
	}
	saving->name[0] = '\0';
	saving->resource++;
	return saving->resource < (enum cluster_resource)N_SAVED;
}

json_t *cluster_save_end(struct cluster_saving *saving)
{
	json_t *document = json_pack("{s:s}", "kind", SAVED_KIND);

	for (int i = 0; i < N_SAVED; i++)
		json_object_set_new(document, list_names[i], saving->lists[i]);
	free(saving);
	return document;
}

void cluster_save_give_up(struct cluster_saving *saving)
{
	if (saving != NULL)
		json_decref(cluster_save_end(saving));
}

static int tell_all(
	struct cluster *c, enum cluster_resource resource, const json_t *list, uint64_t now_ns)
{
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < json_array_size(list); i++)
		r = cluster_tell(c, resource, false, json_array_get(list, i), now_ns);
	return r == -ENOMEM ? r : 0;
}

int cluster_restore(struct cluster *cluster, const json_t *saved, uint64_t now_ns)
{
	if (!json_text_is(saved, "kind", SAVED_KIND))
		return -EINVAL;

	int r = tell_all(cluster, CLUSTER_NODES, json_at(saved, "nodes"), now_ns);
	if (r == 0)
		r = tell_all(cluster, CLUSTER_SLICES, json_at(saved, "slices"), now_ns);
	if (r == 0)
		r = tell_all(cluster, CLUSTER_SERVICES, json_at(saved, "services"), now_ns);
	if (r < 0)
		return r;
	cluster->is_known = cluster->has_changed = true;
	cluster_judge_all(cluster, now_ns);
	return 0;
}
