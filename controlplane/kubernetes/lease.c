#include "lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json_read.h"

static uint64_t parse_in_force(const char *text)
{
	if (text == NULL)
		return 0;
	return strcmp(text, LEASE_NOT_ALL) == 0 ? IN_FORCE_NOT_ALL : strtoull(text, NULL, 10);
}

int lease_parse(const json_t *json, struct lease *ret_lease)
{
	struct lease lease = {
		.duration_s = json_number_at(json, "spec.leaseDurationSeconds"),
		.transitions = json_number_at(json, "spec.leaseTransitions"),
	};
	const json_t *annotations = json_at(json, "metadata.annotations");
	const char *in_force = json_string_value(json_object_get(annotations, LEASE_IN_FORCE));

	if (!json_copy_text(json, "metadata.name", lease.name, sizeof(lease.name)) ||
		!json_copy_text(json, "spec.holderIdentity", lease.holder, sizeof(lease.holder)) ||
		lease.name[0] == '\0')
		return -EINVAL;
	lease.in_force = parse_in_force(in_force);
	*ret_lease = lease;
	return 0;
}

bool lease_is_same(const json_t *a, const json_t *b)
{
	return json_equal(json_at(a, "spec"), json_at(b, "spec"));
}

// MicroTime: RFC 3339 with six decimals, and no fewer.
static json_t *micro_time(int64_t at_us)
{
	time_t at_s = at_us / 1000000;
	char text[LEASE_TIME_MAX];
	struct tm utc;

	gmtime_r(&at_s, &utc);
	size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + len, sizeof(text) - len, ".%06dZ", (int)(at_us % 1000000));
	return json_string(text);
}

static json_t *member(json_t *object, const char *name)
{
	if (!json_is_object(json_object_get(object, name)))
		json_object_set_new(object, name, json_object());
	return json_object_get(object, name);
}

// What the process before said of itself does not stay.
static void write_in_force(json_t *metadata, uint64_t in_force)
{
	char text[24] = LEASE_NOT_ALL;

	if (in_force == 0) {
		json_object_del(json_object_get(metadata, "annotations"), LEASE_IN_FORCE);
		return;
	}
	if (in_force != IN_FORCE_NOT_ALL)
		snprintf(text, sizeof(text), "%" PRIu64, in_force);
	json_object_set_new(member(metadata, "annotations"), LEASE_IN_FORCE, json_string(text));
}

json_t *lease_write(const json_t *before, const char *space, const struct lease *lease,
	bool is_acquired, int64_t now_us)
{
	// What others wrote into it stays; the resourceVersion makes the write fail if it changed.
	json_t *json = before == NULL ? json_object() : json_deep_copy(before);
	json_t *metadata = member(json, "metadata"), *spec = member(json, "spec");

	if (spec == NULL) {
		json_decref(json);
		return NULL;
	}
	json_object_set_new(json, "apiVersion", json_string("coordination.k8s.io/v1"));
	json_object_set_new(json, "kind", json_string("Lease"));
	json_object_set_new(metadata, "name", json_string(lease->name));
	json_object_set_new(metadata, "namespace", json_string(space));
	write_in_force(metadata, lease->in_force);
	json_object_set_new(spec, "holderIdentity", json_string(lease->holder));
	json_object_set_new(spec, "leaseDurationSeconds", json_integer(lease->duration_s));
	json_object_set_new(spec, "leaseTransitions", json_integer(lease->transitions));
	json_object_set_new(spec, "renewTime", micro_time(now_us));
	if (is_acquired)
		json_object_set_new(spec, "acquireTime", micro_time(now_us));
	return json;
}
