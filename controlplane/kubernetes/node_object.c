#include "node_object.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "address_pool.h"
#include "address_text.h"
#include "json_read.h"

#define EXCLUDE_LABEL "node.kubernetes.io/exclude-from-external-load-balancers"
#define AUTOSCALER_TAINT "ToBeDeletedByClusterAutoscaler"
#define SHUTDOWN_TAINT "node.cloudprovider.kubernetes.io/shutdown"
#define OUT_OF_SERVICE_TAINT "node.kubernetes.io/out-of-service"

// As Go's strconv.ParseBool has it: a value that says no includes the node again (Kubernetes 1.34).
static bool says_no(const char *text)
{
	static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

static bool is_excluded(const json_t *json)
{
	const json_t *value = json_object_get(json_at(json, "metadata.labels"), EXCLUDE_LABEL);
	const char *text = json_string_value(value);

	return value != NULL && (text == NULL || !says_no(text));
}

static bool has_taint(const json_t *json, const char *key)
{
	const json_t *taints = json_at(json, "spec.taints");

	for (size_t i = 0; i < json_array_size(taints); i++) {
		if (json_text_is(json_array_get(taints, i), "key", key))
			return true;
	}
	return false;
}

// What says that its pods are going (KEP-5683, KEP-2000).
static bool ends_its_pods(const json_t *condition)
{
	static const char *const types[] = {"DrainInProgress", "Drained", "MaintenanceInProgress",
		"GracefulNodeShutdownInProgress"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (json_text_is(condition, "type", types[i]))
			return json_text_is(condition, "status", "True");
	}
	return false;
}

static bool is_leaving(const json_t *json)
{
	const json_t *conditions = json_at(json, "status.conditions");

	for (size_t i = 0; i < json_array_size(conditions); i++) {
		if (ends_its_pods(json_array_get(conditions, i)))
			return true;
	}
	return has_taint(json, AUTOSCALER_TAINT) ||
		json_at(json, "metadata.deletionTimestamp") != NULL;
}

static bool is_out(const json_t *json)
{
	return has_taint(json, SHUTDOWN_TAINT) || has_taint(json, OUT_OF_SERVICE_TAINT);
}

// What is there already stays.
static void take_address(struct node_object *node, const char *text)
{
	struct address address;

	if (address_parse(text, &address) < 0)
		return;
	if (address_is_none(&node->address[address_family(&address)]))
		node->address[address_family(&address)] = address;
}

static void take_addresses_of_type(const json_t *json, const char *type, struct node_object *node)
{
	const json_t *addresses = json_at(json, "status.addresses");

	for (size_t i = 0; i < json_array_size(addresses); i++) {
		const json_t *entry = json_array_get(addresses, i);

		if (json_text_is(entry, "type", type))
			take_address(node, json_text_at(entry, "address"));
	}
}

// A part of the annotation. The first that is no good is kept for people.
static void take_annotated_address(struct node_object *node, const char *part, size_t len)
{
	char text[sizeof(node->bad_address)];
	struct address address, *place;

	snprintf(text, sizeof(text), "%.*s",
		text_whole(part, len < sizeof(text) ? len : sizeof(text) - 1), part);
	if (host_address_parse(text, &address) == 0) {
		place = &node->address[address_family(&address)];
		if (address_is_none(place) || address_equal(place, &address)) {
			*place = address;
			return;
		}
	}
	if (node->bad_address[0] == '\0')
		strcpy(node->bad_address, text);
}

static void take_annotated_addresses(const json_t *json, struct node_object *node)
{
	const char *at = json_string_value(
		json_object_get(json_at(json, "metadata.annotations"), NODE_ADDRESSES));

	while (at != NULL && *(at += strspn(at, ", ")) != '\0') {
		size_t len = strcspn(at, ", ");

		take_annotated_address(node, at, len);
		at += len;
	}
}

int node_object_parse(const json_t *json, struct node_object *ret_node)
{
	struct node_object node = {0};

	if (!json_copy_text(json, "metadata.name", node.name, sizeof(node.name)) ||
		node.name[0] == '\0')
		return -EINVAL;
	node.is_excluded = is_excluded(json);
	node.is_leaving = is_leaving(json);
	node.is_out = is_out(json);
	take_annotated_addresses(json, &node);
	take_addresses_of_type(json, "InternalIP", &node);
	take_addresses_of_type(json, "ExternalIP", &node);
	*ret_node = node;
	return 0;
}

json_t *node_object_write(const struct node_object *node)
{
	json_t *addresses = json_array();
	json_t *taints = json_array();
	char text[ADDRESS_TEXT_MAX];

	if (node->is_out)
		json_array_append_new(taints, json_pack("{s:s}", "key", OUT_OF_SERVICE_TAINT));

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&node->address[f]))
			json_array_append_new(addresses,
				json_pack("{s:s, s:s}", "type", "InternalIP", "address",
					address_format(&node->address[f], text)));
	}
	return json_pack("{s:{s:s}, s:{s:o}, s:{s:o}}", "metadata", "name", node->name, "spec",
		"taints", taints, "status", "addresses", addresses);
}
