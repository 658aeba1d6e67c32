#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "service_object.h"

// A Lease of the API server (v1, coordination.k8s.io).
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/

// What its holder says beside that it lives: up to which resourceVersion of Services all of its
// workers forward; or, as a word, that it does not forward all of them, for it releases them or has
// no room: nobody waits for it.
#define LEASE_IN_FORCE "guideway.dev/in-force"
#define LEASE_NOT_ALL "not-all"
#define IN_FORCE_NOT_ALL UINT64_MAX

enum {
	LEASE_NAME_MAX = 128,
	LEASE_HOLDER_MAX = 128,
	LEASE_TIME_MAX = 40, // "2026-01-02T03:04:05.000000Z"
};

struct lease {
	char name[LEASE_NAME_MAX];
	char holder[LEASE_HOLDER_MAX]; // Empty for none.
	int64_t duration_s;
	int64_t transitions;
	uint64_t in_force; // 0 if it says nothing of it: it forwards nothing yet.
};

// Whether one that says that forwards all that the cluster asks for.
static inline bool in_force_is_all(uint64_t in_force)
{
	return in_force != 0 && in_force != IN_FORCE_NOT_ALL;
}

// Returns 0, or -EINVAL if it is none: no name, or a holder or name that is too long.
int lease_parse(const json_t *json, struct lease *ret_lease);

// Whether both say the same of who holds it, until when.
bool lease_is_same(const json_t *a, const json_t *b);

// The document of a Lease that 'before' becomes, or that is new if it is NULL, with 'lease' and
// renewed at 'now_us', the time of day since 1970. 'is_acquired': it had not been the holder's.
// NULL when out of memory.
json_t *lease_write(const json_t *before, const char *space, const struct lease *lease,
	bool is_acquired, int64_t now_us);
