#include "cluster_inside.h"

#include <errno.h>
#include <stdlib.h>

#include "json_read.h"

// What outlives the process: what is served, by which nodes, and who of them has endpoints.

#define SAVED_KIND "guideway cluster 1"

static json_t *save_services(const struct cluster *c)
{
	struct entry_row row = cluster_list(c, CLUSTER_SERVICES);
	json_t *services = json_array();

	for (size_t i = 0; i < row.n; i++) {
		const struct service_entry *e = row.entries[i];

		if (e->stage == STAGE_SERVE)
			json_array_append_new(
				services, service_object_write(e->object, e->address));
	}
	free(row.entries);
	return services;
}

static json_t *save_nodes(const struct cluster *c)
{
	struct entry_row row = cluster_list(c, CLUSTER_NODES);
	json_t *nodes = json_array();

	cluster_keep_used(c, &row);
	for (size_t i = 0; i < row.n; i++)
		json_array_append_new(nodes, node_object_write(row.entries[i]));
	free(row.entries);
	return nodes;
}

// Of those that are served by them.
static json_t *save_slices(const struct cluster *c)
{
	struct entry_row row = cluster_list(c, CLUSTER_SLICES);
	json_t *slices = json_array();

	for (size_t i = 0; i < row.n; i++) {
		const struct slice_object *slice = ((struct slice_entry *)row.entries[i])->object;
		const struct service_entry *e = cluster_find_service(c, slice->service);

		if (e != NULL && e->stage == STAGE_SERVE && e->object->is_local)
			json_array_append_new(slices, slice_object_write(slice));
	}
	free(row.entries);
	return slices;
}

json_t *cluster_save(const struct cluster *cluster)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "kind", SAVED_KIND, "services",
		save_services(cluster), "nodes", save_nodes(cluster), "slices",
		save_slices(cluster));
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
