#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "name.h"
#include "service_object.h"

// An EndpointSlice of the API server (discovery.k8s.io/v1), as far as it says which nodes have
// endpoints of a Service.
// https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/

enum {
	SLICE_KEY_MAX = SPACE_TEXT_MAX + NAME_TEXT_MAX,
	SLICE_ENDPOINTS_MAX = 1000, // As the API server has it.
};

// How many endpoints a node has in it.
struct slice_node {
	char name[NAME_TEXT_MAX];
	uint32_t n_ready;
	uint32_t n_serving; // Ready ones, and those that end but serve on.
};

struct slice_object {
	char key[SLICE_KEY_MAX];       // "namespace/name" of its own,
	char service[SERVICE_KEY_MAX]; // and of its Service; empty if it is none's.
	enum family family;            // Of the endpoints' addresses.
	struct slice_node *nodes;      // [n_nodes], no name twice.
	size_t n_nodes;
};

// Reads an EndpointSlice as the API server has it. Returns 0, -ENOMEM, or -EINVAL if it is none.
int slice_object_parse(const json_t *json, struct slice_object **ret_slice);

// The other way, of a slice that is a Service's, for slice_object_parse() to read again. NULL when
// out of memory.
json_t *slice_object_write(const struct slice_object *slice);

// Whether they say the same.
bool slice_object_equal(const struct slice_object *a, const struct slice_object *b);

// Accepts NULL.
void slice_object_free(struct slice_object *slice);
