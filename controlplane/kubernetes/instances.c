#include "instances.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "entry_list.h"
#include "name.h"

// One lives for as long as its Lease is seen to change, by our own clock (lease_keeper.c has why).

struct seen {
	char name[LEASE_NAME_MAX]; // Of its Lease.
	bool is_listed;
	struct lease lease;
	json_t *json;
	uint64_t changed_ns;
};

struct instances {
	char own[LEASE_NAME_MAX];
	struct entry_list seen;
};

struct instances *instances_create(const char *own)
{
	struct instances *instances = calloc(1, sizeof(*instances));

	if (instances != NULL)
		strcpy(instances->own, own);
	return instances;
}

static void free_seen(void *entry)
{
	struct seen *seen = entry;

	json_decref(seen->json);
	free(seen);
}

static void forget(struct instances *instances, struct seen *seen)
{
	entry_list_remove(&instances->seen, seen);
	free_seen(seen);
}

void instances_destroy(struct instances *instances)
{
	if (instances == NULL)
		return;
	entry_list_clear(&instances->seen, free_seen);
	free(instances);
}

static struct seen *add(struct instances *instances, const char *name)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	if (seen == NULL)
		return NULL;
	strcpy(seen->name, name);
	if (entry_list_put(&instances->seen, seen) < 0) {
		free(seen);
		return NULL;
	}
	return seen;
}

static void see(struct seen *seen, const struct lease *lease, const json_t *json, uint64_t now_ns)
{
	if (seen->json == NULL || !lease_is_same(seen->json, json))
		seen->changed_ns = now_ns;
	json_decref(seen->json);
	seen->json = json_deep_copy(json);
	seen->lease = *lease;
	seen->is_listed = true;
}

int instances_tell(struct instances *instances, bool is_gone, const json_t *json, uint64_t now_ns)
{
	struct lease lease;

	if (lease_parse(json, &lease) < 0 ||
		strncmp(lease.name, INSTANCE_LEASE_PREFIX, strlen(INSTANCE_LEASE_PREFIX)) != 0)
		return 0;

	struct seen *seen = entry_list_find(&instances->seen, lease.name);
	if (is_gone) {
		if (seen != NULL)
			forget(instances, seen);
		return 0;
	}
	if (seen == NULL)
		seen = add(instances, lease.name);
	if (seen == NULL)
		return -ENOMEM;
	see(seen, &lease, json, now_ns);
	return 0;
}

void instances_begin(struct instances *instances)
{
	const struct entry_list *all = &instances->seen;

	for (size_t i = 0; i < all->n; i++)
		((struct seen *)all->entries[i])->is_listed = false;
}

void instances_end(struct instances *instances)
{
	const struct entry_list *all = &instances->seen;

	for (size_t i = 0; i < all->n;) {
		struct seen *seen = all->entries[i];

		if (seen->is_listed)
			i++;
		else
			forget(instances, seen);
	}
}

static bool is_own(const struct instances *instances, const struct seen *seen)
{
	return strcmp(seen->name, instances->own) == 0;
}

static bool lives(const struct instances *instances, const struct seen *seen, uint64_t now_ns)
{
	return is_own(instances, seen) ||
		(seen->lease.holder[0] != '\0' &&
			now_ns <
				seen->changed_ns + (uint64_t)seen->lease.duration_s * NSEC_PER_SEC);
}

uint64_t instances_in_force(const struct instances *instances, uint64_t now_ns)
{
	const struct entry_list *all = &instances->seen;
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < all->n; i++) {
		const struct seen *seen = all->entries[i];

		if (!is_own(instances, seen) && lives(instances, seen, now_ns) &&
			seen->lease.in_force < least)
			least = seen->lease.in_force;
	}
	return least;
}

void instances_each(
	const struct instances *instances, uint64_t now_ns, instance_seen_fn *fn, void *argument)
{
	const struct entry_list *all = &instances->seen;

	for (size_t i = 0; i < all->n; i++) {
		const struct seen *seen = all->entries[i];
		struct instance_seen told = {
			.name = seen->name + strlen(INSTANCE_LEASE_PREFIX),
			.holder = seen->lease.holder,
			.in_force = seen->lease.in_force,
			.renewed_ns = seen->changed_ns,
			.is_own = is_own(instances, seen),
		};

		if (lives(instances, seen, now_ns))
			fn(argument, &told);
	}
}

// Who shares the VIPs: the best of those that live. One that comes forwards before it answers for
// any, and one that ceases answers until all can have seen that it does: so for a moment two
// answer, rather than nobody.

enum rank { FORWARDS_NOTHING_YET, FORWARDS_NOT_ALL, FORWARDS_ALL };

struct sharing {
	struct announcers announcers;
	uint64_t own_in_force;
	enum rank least;
};

static enum rank rank_of(uint64_t in_force)
{
	if (in_force == 0)
		return FORWARDS_NOTHING_YET;
	return in_force_is_all(in_force) ? FORWARDS_ALL : FORWARDS_NOT_ALL;
}

// What our own Lease has may be of the process before.
static enum rank own_rank(uint64_t in_force, const struct instance_seen *seen)
{
	enum rank rank = rank_of(in_force), seen_rank = rank_of(seen->in_force);

	return rank == FORWARDS_NOT_ALL && seen_rank > rank ? seen_rank : rank;
}

static void add_announcer(void *argument, const struct instance_seen *seen)
{
	struct sharing *sharing = argument;
	struct announcers *announcers = &sharing->announcers;
	enum rank rank =
		seen->is_own ? own_rank(sharing->own_in_force, seen) : rank_of(seen->in_force);

	if (announcers->n < ANNOUNCERS_MAX && rank >= sharing->least)
		announcers->hashes[announcers->n++] = name_hash(seen->name);
}

void instances_announce(const struct instances *instances, uint64_t own_in_force, uint64_t now_ns,
	struct announcers *ret_announcers)
{
	struct sharing sharing = {
		.announcers =
			{
				.known = true,
				.own = name_hash(instances->own + strlen(INSTANCE_LEASE_PREFIX)),
			},
		.own_in_force = own_in_force,
		.least = FORWARDS_ALL,
	};

	instances_each(instances, now_ns, add_announcer, &sharing);
	while (sharing.announcers.n == 0 && sharing.least > FORWARDS_NOTHING_YET) {
		sharing.least--;
		instances_each(instances, now_ns, add_announcer, &sharing);
	}
	*ret_announcers = sharing.announcers;
}
