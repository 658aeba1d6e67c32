#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "announcers.h"
#include "lease.h"

// Which Guidewayes of a cluster live, and up to where they forward: each has a Lease of its own,
// renews it, and says so with it. Pure.

#define INSTANCE_LEASE_PREFIX "guideway-instance-"

struct instances;

// 'own' is the name of this one's Lease. NULL when out of memory.
struct instances *instances_create(const char *own);

// Accepts NULL.
void instances_destroy(struct instances *instances);

// What a watch tells of Leases: listed whole between begin and end, then as they change. Those that
// are no instance's are passed over. Returns 0 or -ENOMEM.
void instances_begin(struct instances *instances);
int instances_tell(struct instances *instances, bool is_gone, const json_t *lease, uint64_t now_ns);
void instances_end(struct instances *instances);

// The least that one of the others that live says is in force with it; UINT64_MAX if there is none,
// 0 if one has not said anything yet.
uint64_t instances_in_force(const struct instances *instances, uint64_t now_ns);

// Those that share the VIPs: of all that live those that say that they forward all that the cluster
// asks for (in_force_is_all()); if none does, those that say that they forward some; or else all,
// since they may forward what was known before. Of this one 'own_in_force' is what it forwards,
// whether the others know it yet or not.
void instances_announce(const struct instances *instances, uint64_t own_in_force, uint64_t now_ns,
	struct announcers *ret_announcers);

// All that live, in the order of their names; this one always does.
struct instance_seen {
	const char *name; // Of its Lease, without the prefix.
	const char *holder;
	uint64_t in_force;
	uint64_t renewed_ns; // When its Lease was seen to change, by our own clock.
	bool is_own;
};

typedef void instance_seen_fn(void *argument, const struct instance_seen *seen);
void instances_each(
	const struct instances *instances, uint64_t now_ns, instance_seen_fn *fn, void *argument);
