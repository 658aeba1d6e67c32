#include "learning.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

struct learner {
	size_t service; // Index into the configuration's services, in rising order.
	struct vip_probe *probe;
	struct model_target *targets; // Of its own set; NULL while it has its pool's.
	bool awaits;
};

// Those of a pool that could take new flows, by their ids in rising order.
struct eligible {
	const struct pool *pool;
	node_id *nodes; // [n]
	size_t n;
	bool has_strangers; // Some have no id yet.
	bool has_hopes;     // Some of the others will be such, as far as it is up to them.
};

struct learning {
	struct learner *learners; // [n_learners]
	size_t n_learners;
	node_id_fn *id_of;
	void *argument;
	struct eligible eligible; // Of one pool after another: learners beside each other share it.
};

static int order_nodes(const void *left, const void *right)
{
	return *(const node_id *)left - *(const node_id *)right;
}

static node_id id_of_member(
	const struct learning *l, const struct plan *plan, const struct pool *pool, size_t node)
{
	return l->id_of(l->argument, &plan->names[node].address[pool->family]);
}

static bool takes_new_flows(const struct model_target *target)
{
	return target->state == TARGET_UP && target->weight > 0;
}

// Its checks keep it from taking new flows, and nobody else: it may have just begun to answer.
static bool is_hope(const struct model_target *target)
{
	return target->state != TARGET_UP && target->weight > 0;
}

static const struct eligible *find_eligible(
	struct learning *l, const struct plan *plan, const struct pool *pool)
{
	struct eligible *e = &l->eligible;

	if (e->pool == pool)
		return e;
	e->pool = pool;
	e->n = 0;
	e->has_strangers = e->has_hopes = false;
	for (size_t i = 0; i < pool->n_targets; i++) {
		const struct model_target *target = &pool->targets[i];
		node_id id;

		e->has_hopes |= is_hope(target);
		if (!takes_new_flows(target))
			continue;
		id = id_of_member(l, plan, pool, target->node);
		e->has_strangers |= id == NODE_NONE;
		if (id != NODE_NONE)
			e->nodes[e->n++] = id;
	}
	qsort(e->nodes, e->n, sizeof(*e->nodes), order_nodes);
	return e;
}

// Who does not know the VIP takes nothing. Without memory nobody does.
static struct model_set make_set(struct learning *l, const struct plan *plan,
	const struct pool *pool, struct learner *learner)
{
	size_t n_ready = 0, n_silent = 0;

	learner->targets = calloc(pool->n_targets + 1, sizeof(*learner->targets));
	if (learner->targets != NULL)
		memcpy(learner->targets, pool->targets, pool->n_targets * sizeof(*pool->targets));
	for (size_t i = 0; learner->targets != NULL && i < pool->n_targets; i++) {
		struct model_target *target = &learner->targets[i];

		if (!takes_new_flows(target))
			continue;
		bool knows =
			vip_probe_knows(learner->probe, id_of_member(l, plan, pool, target->node));
		if (!knows)
			target->state = TARGET_NOT_READY;
		n_ready += knows;
		n_silent += !knows;
	}
	learner->awaits = n_ready == 0 && n_silent > 0;
	return (struct model_set){
		.targets = learner->targets,
		.n_targets = learner->targets == NULL ? 0 : pool->n_targets,
		.fail_open = pool->fail_open,
	};
}

static void refresh_learner(struct learning *l, struct plan *plan, struct learner *learner)
{
	struct model_service *service = &plan->services[learner->service];
	const struct pool *pool = &plan->pools[plan->pool_of[learner->service]];
	const struct eligible *eligible = find_eligible(l, plan, pool);

	free(learner->targets);
	learner->targets = NULL;
	learner->awaits = eligible->n == 0 && eligible->has_hopes;
	service->set = plan->pool_of[learner->service];
	if (!eligible->has_strangers &&
		vip_probe_is_done(learner->probe, eligible->nodes, eligible->n))
		return;
	plan->sets[plan->model.n_sets] = make_set(l, plan, pool, learner);
	service->set = plan->model.n_sets++;
}

void learning_refresh(struct learning *learning, struct plan *plan)
{
	plan->model.n_sets = plan->n_pools;
	learning->eligible.pool = NULL;
	for (size_t i = 0; i < learning->n_learners; i++)
		refresh_learner(learning, plan, &learning->learners[i]);
}

void learning_ask(struct learning *learning, const struct plan *plan)
{
	learning->eligible.pool = NULL;
	for (size_t i = 0; i < learning->n_learners; i++) {
		const struct learner *learner = &learning->learners[i];
		const struct pool *pool = &plan->pools[plan->pool_of[learner->service]];
		const struct eligible *eligible = find_eligible(learning, plan, pool);

		vip_probe_want(learner->probe, eligible->nodes, eligible->n);
	}
}

static struct learner *find_learner(const struct learning *l, size_t service)
{
	size_t low = 0, high = l == NULL ? 0 : l->n_learners;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (l->learners[middle].service == service)
			return &l->learners[middle];
		if (l->learners[middle].service < service)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

struct vip_probe *learning_probe(const struct learning *learning, size_t service)
{
	const struct learner *learner = find_learner(learning, service);

	return learner == NULL ? NULL : learner->probe;
}

bool learning_awaits(const struct learning *learning, size_t service)
{
	const struct learner *learner = find_learner(learning, service);

	return learner != NULL && learner->awaits;
}

bool learning_is_ready(const struct learning *learning, const struct plan *plan, size_t service,
	const struct member *member)
{
	const struct learner *learner = find_learner(learning, service);
	const struct pool *pool = &plan->pools[plan->pool_of[service]];

	return learner == NULL ||
		vip_probe_knows(learner->probe, id_of_member(learning, plan, pool, member->node));
}

// The port that stands for the service: of TCP its own, else that of the one that it goes with.
static struct vip_probe *acquire(const struct plan *plan, struct vip_prober *prober, size_t i)
{
	const struct service_config *service = plan->config->services[i];
	size_t with = i + (size_t)service->learns_with;
	// One that there was no room for is left out.
	bool is_alone = service->learns_with == LEARNS_ALONE || with >= plan->config->n_services;
	const struct service_config *asked = plan->config->services[is_alone ? i : with];
	struct vip_probe_config config = {
		.vip = asked->vip,
		.port = is_alone ? 0 : asked->port,
		.mode = asked->mode,
		.tunnel_kind = asked->tunnel_kind,
	};

	strcpy(config.name, asked->name);
	return vip_probe_acquire(prober, &config);
}

static int add_learners(struct learning *l, const struct plan *plan, struct vip_prober *prober)
{
	for (size_t i = 0; i < plan->config->n_services; i++) {
		if (!plan->config->services[i]->is_learnt)
			continue;
		struct vip_probe *probe = acquire(plan, prober, i);
		if (probe == NULL)
			return -ENOMEM;
		l->learners[l->n_learners++] = (struct learner){.service = i, .probe = probe};
	}
	return 0;
}

static size_t count_learnt(const struct plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->config->n_services; i++)
		n += plan->config->services[i]->is_learnt;
	return n;
}

int learning_create(const struct plan *plan, struct vip_prober *prober, node_id_fn *id_of,
	void *argument, struct learning **ret_learning)
{
	size_t n = count_learnt(plan);
	struct learning *l = n == 0 ? NULL : calloc(1, sizeof(*l));

	if (n == 0) {
		*ret_learning = NULL;
		return 0;
	}
	if (l == NULL)
		return -ENOMEM;
	l->id_of = id_of;
	l->argument = argument;
	l->learners = calloc(n, sizeof(*l->learners));
	l->eligible.nodes = calloc(plan->n_nodes + 1, sizeof(node_id));
	if (l->learners == NULL || l->eligible.nodes == NULL || add_learners(l, plan, prober) < 0) {
		learning_destroy(l);
		return -ENOMEM;
	}
	*ret_learning = l;
	return 0;
}

void learning_destroy(struct learning *learning)
{
	if (learning == NULL)
		return;
	for (size_t i = 0; i < learning->n_learners; i++) {
		vip_probe_release(learning->learners[i].probe);
		free(learning->learners[i].targets);
	}
	free(learning->learners);
	free(learning->eligible.nodes);
	free(learning);
}
