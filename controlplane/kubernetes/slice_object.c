#include "slice_object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"

#define SERVICE_LABEL "kubernetes.io/service-name"

static int parse_names(const json_t *json, struct slice_object *slice)
{
	const char *space = json_text_at(json, "metadata.namespace");
	const char *name = json_text_at(json, "metadata.name");
	const char *service =
		json_string_value(json_object_get(json_at(json, "metadata.labels"), SERVICE_LABEL));

	if (!is_name_of_object(space, SPACE_TEXT_MAX) || !is_name_of_object(name, NAME_TEXT_MAX))
		return -EINVAL;
	snprintf(slice->key, sizeof(slice->key), "%s/%s", space, name);
	if (service != NULL && is_name_of_object(service, SPACE_TEXT_MAX))
		snprintf(slice->service, sizeof(slice->service), "%s/%s", space, service);
	slice->family = json_text_is(json, "addressType", "IPv6") ? IPV6 : IPV4;
	return 0;
}

static struct slice_node *node_of(struct slice_object *slice, const char *name)
{
	struct slice_node *node = slice->nodes;

	for (size_t i = 0; i < slice->n_nodes; i++, node++) {
		if (strcmp(node->name, name) == 0)
			return node;
	}
	strcpy(node->name, name);
	slice->n_nodes++;
	return node;
}

// What is not said is yes, for both (the API's defaults for clients).
static bool is_yes(const json_t *endpoint, const char *condition)
{
	return !json_is_false(json_at(endpoint, condition));
}

static void take_endpoint(struct slice_object *slice, const json_t *endpoint)
{
	const char *name = json_text_at(endpoint, "nodeName");
	bool is_ready = is_yes(endpoint, "conditions.ready");
	bool is_serving = json_at(endpoint, "conditions.serving") == NULL
		? is_ready
		: is_yes(endpoint, "conditions.serving");

	if (*name == '\0' || strlen(name) >= NAME_TEXT_MAX || (!is_ready && !is_serving))
		return;
	struct slice_node *node = node_of(slice, name);
	node->n_ready += is_ready;
	node->n_serving += is_serving;
}

// Most have far fewer nodes than endpoints.
static void shrink(struct slice_object *slice)
{
	void *smaller = realloc(slice->nodes, (slice->n_nodes + 1) * sizeof(*slice->nodes));

	if (smaller != NULL)
		slice->nodes = smaller;
}

int slice_object_parse(const json_t *json, struct slice_object **ret_slice)
{
	struct slice_object *slice = calloc(1, sizeof(*slice));
	const json_t *endpoints = json_at(json, "endpoints");
	size_t n = json_array_size(endpoints);

	if (slice == NULL)
		return -ENOMEM;
	int r = n > SLICE_ENDPOINTS_MAX ? -EINVAL : parse_names(json, slice);
	if (r == 0) {
		slice->nodes = calloc(n + 1, sizeof(*slice->nodes));
		r = slice->nodes == NULL ? -ENOMEM : 0;
	}
	if (r < 0) {
		slice_object_free(slice);
		return r;
	}
	for (size_t i = 0; i < n; i++)
		take_endpoint(slice, json_array_get(endpoints, i));
	shrink(slice);
	*ret_slice = slice;
	return 0;
}

static void write_endpoints(json_t *list, const struct slice_node *node)
{
	for (uint32_t i = 0; i < node->n_serving || i < node->n_ready; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:{s:b, s:b}}", "nodeName", node->name, "conditions",
				"ready", i < node->n_ready, "serving", i < node->n_serving));
}

json_t *slice_object_write(const struct slice_object *slice)
{
	json_t *list = json_array();
	size_t space_len = strcspn(slice->key, "/");

	for (size_t i = 0; i < slice->n_nodes; i++)
		write_endpoints(list, &slice->nodes[i]);
	return json_pack("{s:{s:s%, s:s, s:{s:s}}, s:s, s:o}", "metadata", "namespace", slice->key,
		space_len, "name", slice->key + space_len + 1, "labels", SERVICE_LABEL,
		slice->service + space_len + 1, "addressType",
		slice->family == IPV6 ? "IPv6" : "IPv4", "endpoints", list);
}

bool slice_object_equal(const struct slice_object *a, const struct slice_object *b)
{
	return strcmp(a->service, b->service) == 0 && a->family == b->family &&
		a->n_nodes == b->n_nodes &&
		memcmp(a->nodes, b->nodes, a->n_nodes * sizeof(*a->nodes)) == 0;
}

void slice_object_free(struct slice_object *slice)
{
	if (slice == NULL)
		return;

	free(slice->nodes);
	free(slice);
}
