#include "service_status.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "address_text.h"
#include "json_read.h"
#include "recorded_addresses.h"

// Strategic merge: lists of finalizers and conditions are merged by their elements, so that what
// others wrote stays; ingress is replaced whole.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md

const char *condition_word(enum condition_kind kind)
{
	static const char *const words[N_CONDITIONS] = {
		[CONDITION_ACCEPTED] = CONDITION_PREFIX "Accepted",
		[CONDITION_PROGRAMMED] = CONDITION_PREFIX "Programmed",
		[CONDITION_DEGRADED] = CONDITION_PREFIX "Degraded",
	};

	return words[kind];
}

// Finalizers, and what is recorded

static void change_finalizer(json_t *metadata, const char *finalizer, bool has, bool wants)
{
	const char *list = wants ? "finalizers" : "$deleteFromPrimitiveList/finalizers";

	if (has == wants)
		return;
	if (json_object_get(metadata, list) == NULL)
		json_object_set_new(metadata, list, json_array());
	json_array_append_new(json_object_get(metadata, list), json_string(finalizer));
}

static void change_record(
	json_t *metadata, const struct service_object *object, const struct wanted_status *wanted)
{
	const char *is = service_annotation(object, RECORDED_ADDRESSES);
	char text[RECORD_TEXT_MAX];

	recorded_addresses_format(object, wanted->record, text);
	if (strcmp(is == NULL ? "" : is, text) == 0)
		return;
	json_object_set_new(metadata, "annotations",
		json_pack("{s:s?}", RECORDED_ADDRESSES, text[0] == '\0' ? NULL : text));
}

// Returns NULL if nothing is to change.
static json_t *metadata_patch(
	const struct service_object *object, const struct wanted_status *wanted)
{
	json_t *metadata = json_object();

	change_finalizer(
		metadata, FINALIZER_OURS, object->has_our_finalizer, wanted->has_our_finalizer);
	change_finalizer(metadata, FINALIZER_STANDARD, object->has_standard_finalizer,
		wanted->has_standard_finalizer);
	change_record(metadata, object, wanted);
	if (json_object_size(metadata) > 0)
		return metadata;
	json_decref(metadata);
	return NULL;
}

// Ingress

static bool has_port_error(const struct service_object *object, const struct admission *admission)
{
	for (size_t i = 0; admission != NULL && i < object->n_ports; i++) {
		if (admission_port_error(admission, &object->ports[i]) != NULL)
			return true;
	}
	return false;
}

// Of one address, all ports; or NULL where none has an error.
static json_t *port_list(const struct service_object *object, const struct admission *admission)
{
	json_t *list = has_port_error(object, admission) ? json_array() : NULL;

	for (size_t i = 0; list != NULL && i < object->n_ports; i++) {
		const struct service_port *port = &object->ports[i];
		const char *error = admission_port_error(admission, port);
		json_t *entry = json_pack("{s:i, s:s, s:s*}", "port", port->port, "protocol",
			service_protocol_word(port->protocol), "error", error);

		json_array_append_new(list, entry);
	}
	return list;
}

static json_t *ingress_entry(const struct service_object *object,
	const struct wanted_status *wanted, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	return json_pack("{s:s, s:s, s:o*}", "ip", address_format(address, text), "ipMode",
		wanted->ip_mode == IP_MODE_PROXY ? "Proxy" : "VIP", "ports",
		port_list(object, wanted->admission));
}

static json_t *ingress_list(const struct service_object *object, const struct wanted_status *wanted)
{
	json_t *list = json_array();

	for (size_t i = 0; i < object->n_families; i++) {
		const struct address *address = &wanted->address[object->families[i]];

		if (!address_is_none(address))
			json_array_append_new(list, ingress_entry(object, wanted, address));
	}
	return list;
}

// No mode is VIP: the API server says so where nobody else does, but not all of them do.
static bool same_entry(const json_t *is, const json_t *wanted)
{
	bool is_proxy = json_text_is(is, "ipMode", "Proxy");
	const json_t *ports = json_at(is, "ports"), *wanted_ports = json_at(wanted, "ports");

	return json_text_is(is, "ip", json_text_at(wanted, "ip")) &&
		is_proxy == json_text_is(wanted, "ipMode", "Proxy") &&
		(ports == wanted_ports || json_equal(ports, wanted_ports));
}

static bool same_ingress(const json_t *is, const json_t *wanted)
{
	if (json_array_size(is) != json_array_size(wanted))
		return false;
	for (size_t i = 0; i < json_array_size(wanted); i++) {
		if (!same_entry(json_array_get(is, i), json_array_get(wanted, i)))
			return false;
	}
	return true;
}

bool service_status_has_ingress(
	const struct service_object *object, const struct wanted_status *wanted)
{
	json_t *list = ingress_list(object, wanted);
	bool has = same_ingress(object->ingress_json, list);

	json_decref(list);
	return has;
}

// Returns NULL if nothing is to change.
static json_t *ingress_patch(
	const struct service_object *object, const struct wanted_status *wanted)
{
	if (!wanted->says_ingress)
		return NULL;

	json_t *list = ingress_list(object, wanted);
	if (same_ingress(object->ingress_json, list)) {
		json_decref(list);
		return NULL;
	}
	if (json_array_size(list) == 0) {
		json_decref(list);
		list = json_null();
	}
	return json_pack("{s:o}", "ingress", list);
}

// Conditions

static bool says(const json_t *is, const char *status, const struct condition *wanted)
{
	return json_text_is(is, "status", status) && json_text_is(is, "reason", wanted->reason) &&
		json_text_is(is, "message", wanted->message);
}

// Returns NULL if nothing is to change.
static json_t *condition_patch(const struct service_object *object, const char *type,
	const struct condition *wanted, int64_t now_s)
{
	const json_t *is = service_condition(object, type);
	const char *status = wanted->is_true ? "True" : "False";
	char now[JSON_TIME_MAX];

	if (wanted->reason[0] == '\0')
		return is == NULL ? NULL
				  : json_pack("{s:s, s:s}", "$patch", "delete", "type", type);
	if (is != NULL && says(is, status, wanted))
		return NULL;
	json_format_time(now_s, now);
	const char *since = is != NULL && json_text_is(is, "status", status)
		? json_text_at(is, "lastTransitionTime")
		: now;
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", type, "status", status, "reason",
		wanted->reason, "message", wanted->message, "lastTransitionTime", since);
}

static json_t *conditions_patch(
	const struct service_object *object, const struct wanted_status *wanted, int64_t now_s)
{
	json_t *list = json_array();

	for (int kind = 0; wanted->says_conditions && kind < N_CONDITIONS; kind++) {
		json_t *patch = condition_patch(object, condition_word((enum condition_kind)kind),
			&wanted->conditions[kind], now_s);

		if (patch != NULL)
			json_array_append_new(list, patch);
	}
	if (json_array_size(list) > 0)
		return list;
	json_decref(list);
	return NULL;
}

// The whole

static json_t *whole(const struct service_object *object, json_t *metadata, json_t *status)
{
	if (metadata == NULL)
		metadata = json_object();
	json_object_set_new(metadata, "uid", json_string(object->uid));
	return json_pack("{s:o, s:o*}", "metadata", metadata, "status", status);
}

json_t *service_status_patch(
	const struct service_object *object, const struct wanted_status *wanted, int64_t now_s)
{
	json_t *metadata = metadata_patch(object, wanted);
	json_t *ingress = ingress_patch(object, wanted);
	json_t *conditions = conditions_patch(object, wanted, now_s);
	json_t *status = NULL;

	if (ingress != NULL || conditions != NULL)
		status = json_pack(
			"{s:o*, s:o*}", "loadBalancer", ingress, "conditions", conditions);
	return metadata == NULL && status == NULL ? NULL : whole(object, metadata, status);
}
