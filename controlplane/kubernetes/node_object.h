#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "guideway/address.h"
#include "name.h"

// A Node of the API server (v1, core), as far as it concerns a load balancer.
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/

// The annotation that names addresses of a node.
#define NODE_ADDRESSES "guideway.dev/node-addresses"

enum { BAD_ADDRESS_MAX = 64 };

struct node_object {
	char name[NAME_TEXT_MAX];
	struct address address[N_FAMILIES]; // No address where it has none of a family.
	bool is_excluded;                   // By its label: no load balancer is to use it.
	bool is_leaving; // It is being deleted, drained or shut down in peace, or is about to be.
	bool is_out;     // It is told to be off, by a taint: nothing of it runs any more.
	char bad_address[BAD_ADDRESS_MAX]; // The first in its annotation that is no address of a
	                                   // host, or a second one of its family; empty for none.
};

// Reads a Node as the API server has it. What its address is: the first that it has of the type
// InternalIP, of each family; else the first ExternalIP. The annotation
// NODE_ADDRESSES ("10.1.0.5,fd01::5") names others, such as those of a network that is for data
// alone. Returns 0, or -EINVAL if it has no name that fits.
int node_object_parse(const json_t *json, struct node_object *ret_node);

// The other way, of a node that may be used, for node_object_parse() to read again. NULL when out
// of memory.
json_t *node_object_write(const struct node_object *node);
