#include "availability.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "service_object.h"

// Pools are few, and almost always all of them have a node that is up: only if one has none are
// services looked at, and only theirs are remembered.

#define LASTS_NS (3 * NSEC_PER_SEC)

// A Service without nodes.
struct lack {
	char key[SERVICE_KEY_MAX];
	uint64_t since_ns;
	bool is_told;
	bool has_node; // Of another of its ports or addresses: then it is none.
};

struct lacks {
	struct lack *lacks; // [n], by their keys, none twice.
	size_t n;
};

struct availability {
	struct lacks known;
};

static int compare_lacks(const void *left, const void *right)
{
	return strcmp(((const struct lack *)left)->key, ((const struct lack *)right)->key);
}

static struct lack *find(const struct lacks *lacks, const char *key)
{
	struct lack sought;

	strcpy(sought.key, key);
	return lacks->n == 0
		? NULL
		: bsearch(&sought, lacks->lacks, lacks->n, sizeof(sought), compare_lacks);
}

// Before its first checks are over nobody knows.
static bool is_empty(const struct pool *pool)
{
	return pool->settled && pool->n_in[TARGET_UP] == 0;
}

static bool some_pool_is_empty(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_pools; i++) {
		if (is_empty(&plan->pools[i]))
			return true;
	}
	return false;
}

// Of "default/web:80/tcp". Returns false for what no Service is called.
static bool key_of(const struct service_config *service, char ret_key[SERVICE_KEY_MAX])
{
	size_t len = strcspn(service->name, ":");

	if (len >= SERVICE_KEY_MAX)
		return false;
	memcpy(ret_key, service->name, len);
	ret_key[len] = '\0';
	return true;
}

static void drop_doubles(struct lacks *lacks)
{
	size_t n = 0;

	qsort(lacks->lacks, lacks->n, sizeof(*lacks->lacks), compare_lacks);
	for (size_t i = 0; i < lacks->n; i++) {
		if (n == 0 || compare_lacks(&lacks->lacks[n - 1], &lacks->lacks[i]) != 0)
			lacks->lacks[n++] = lacks->lacks[i];
	}
	lacks->n = n;
}

static void drop_those_with_nodes(const struct plan *plan, size_t first, struct lacks *lacks)
{
	char key[SERVICE_KEY_MAX];
	size_t n = 0;

	for (size_t i = first; i < plan->config->n_services; i++) {
		struct lack *lack = !is_empty(&plan->pools[plan->pool_of[i]]) &&
				key_of(plan->config->services[i], key)
			? find(lacks, key)
			: NULL;

		if (lack != NULL)
			lack->has_node = true;
	}
	for (size_t i = 0; i < lacks->n; i++) {
		if (!lacks->lacks[i].has_node)
			lacks->lacks[n++] = lacks->lacks[i];
	}
	lacks->n = n;
}

static int collect(const struct plan *plan, size_t first, uint64_t now_ns, struct lacks *ret_lacks)
{
	struct lacks lacks = {0};

	if (some_pool_is_empty(plan)) {
		lacks.lacks = calloc(plan->config->n_services + 1, sizeof(*lacks.lacks));
		if (lacks.lacks == NULL)
			return -ENOMEM;
		for (size_t i = first; i < plan->config->n_services; i++) {
			struct lack *lack = &lacks.lacks[lacks.n];

			lack->since_ns = now_ns;
			lacks.n += is_empty(&plan->pools[plan->pool_of[i]]) &&
				key_of(plan->config->services[i], lack->key);
		}
		drop_doubles(&lacks);
		drop_those_with_nodes(plan, first, &lacks);
	}
	*ret_lacks = lacks;
	return 0;
}

// Since when it is so, if it was so before.
static void remember(const struct lacks *before, struct lacks *now)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct lack *same = find(before, now->lacks[i].key);

		if (same != NULL)
			now->lacks[i] = *same;
	}
}

static void tell(const struct lacks *before, struct lacks *now, uint64_t now_ns,
	availability_changed_fn *fn, void *argument)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct lack *lack = &before->lacks[i];

		if (lack->is_told && find(now, lack->key) == NULL)
			fn(argument, lack->key, true);
	}
	for (size_t i = 0; i < now->n; i++) {
		struct lack *lack = &now->lacks[i];

		if (lack->is_told || now_ns - lack->since_ns < LASTS_NS)
			continue;
		lack->is_told = true;
		fn(argument, lack->key, false);
	}
}

int availability_look(struct availability *availability, const struct plan *plan, size_t first,
	uint64_t now_ns, availability_changed_fn *fn, void *argument)
{
	struct lacks before = availability->known, now;

	int r = collect(plan, first, now_ns, &now);
	if (r < 0)
		return r;
	remember(&before, &now);
	tell(&before, &now, now_ns, fn, argument);
	availability->known = now;
	free(before.lacks);
	return 0;
}

struct availability *availability_create(void)
{
	return calloc(1, sizeof(struct availability));
}

void availability_destroy(struct availability *availability)
{
	if (availability == NULL)
		return;

	free(availability->known.lacks);
	free(availability);
}
