#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "admission.h"
#include "service_object.h"

// What a Service is to say of us, and what has to be written so that it does.

#define CONDITION_PREFIX "guideway.dev/"

enum condition_kind {
	CONDITION_ACCEPTED,   // It is ours, and has its addresses.
	CONDITION_PROGRAMMED, // Every worker forwards by it.
	CONDITION_DEGRADED,   // It is served, but not as it asks.
	N_CONDITIONS,
};

// "guideway.dev/Accepted".
const char *condition_word(enum condition_kind kind);

enum { STATUS_MESSAGE_MAX = 512 };

struct condition {
	bool is_true;
	char reason[64]; // One word, in CamelCase; empty for a condition that is not to be there.
	char message[STATUS_MESSAGE_MAX];
};

struct wanted_status {
	bool has_our_finalizer;
	bool has_standard_finalizer;
	struct address
		record[N_FAMILIES]; // What is recorded for other instances; none for nothing.
	bool says_ingress;          // Else what is there stays as it is.
	struct address address[N_FAMILIES]; // By family, the first of the Service's families first.
	enum ip_mode ip_mode;
	const struct admission *admission; // For the errors of ports; NULL for none.
	bool says_conditions;              // Else those that are there stay.
	struct condition conditions[N_CONDITIONS];
};

// Whether its ingress is the one that is wanted.
bool service_status_has_ingress(
	const struct service_object *object, const struct wanted_status *wanted);

// A strategic merge patch of services/status that makes 'object' say what is wanted, or NULL if it
// says so already, or when out of memory. 'now_s' is the time of day, since 1970, for when a
// condition changed.
json_t *service_status_patch(
	const struct service_object *object, const struct wanted_status *wanted, int64_t now_s);
