#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "index_builder.h"
#include "sort_indexes.h"

// Ten thousand services over a thousand nodes are one pool, not ten million memberships: services
// with the same nodes, checked in the same way, share one. A reload makes all of it anew, and looks
// up what was there before, services by name and nodes by address, so that there is one way to any
// state, not one for each change.
//
// That a service is the very one that the configuration before had is seen by its address, in the
// order in which both have them: then it is in the same pool as whoever was in its pool before and
// is the same, too, and nothing of it is compared or copied by its name. A pool whose services and
// nodes are the same shares its members with the plan before, and what was found of them, as long
// as no check has found anything else.
//
// A service that comes joins the pool of those that are there and use the same nodes. Only where
// something of the pool before leaves, or its checks are others now, is a pool of those alone who
// were in it; the next plan without that has them together again.

// What a service wants of its pool. Those that want the same share one.
struct wish {
	const struct service_config *service;
	const struct pool *before; // What the service had in the plan before, or NULL.
	bool is_as_before;         // That has just the members that it wants.
	const struct pool *leaves; // 'before', if members of it that leave may be the service's
	                           // too, or checks begin with what was known there; else NULL.
	uint64_t hash;             // Of the nodes that it uses.
};

// An address of a node of the configuration.
struct place {
	struct address address;
	size_t node;
};

// What is needed only while a plan is made.
struct making {
	struct plan *plan;
	const struct plan *before; // NULL for none.
	struct health *health;
	uint64_t now_ns;
	size_t *same;         // [config->n_services]: index of the very same service before,
	size_t *named;        // and of the one of its name; SIZE_MAX for none.
	struct place *places; // [n_places], sorted.
	size_t n_places;
	bool same_nodes;               // All that there are, and none else, as before.
	bool same_cluster[N_FAMILIES]; // Likewise those that the cluster has.
	bool *carried_pools;           // [before->n_pools]: of a service that is still there.
	bool *carried;                 // [before->n_nodes][N_FAMILIES]: some service still has it.
	size_t *now_at;                // [before->n_nodes][N_FAMILIES]: whose address that is, as
	                               // an index into plan->nodes, or SIZE_MAX.
	bool copied_nodes;             // With their drains, which need not be as before else.
	const struct member **members; // [plan->n_nodes]: of the pool before the one being made.
	size_t *pool_now;              // [before->n_pools]: where services that are the same and
	                               // were in it are now; SIZE_MAX before the first of them.
	size_t *slots;                 // [slots_mask + 1]: pools by their hash, or SIZE_MAX.
	size_t slots_mask;
	const struct pool **leaves;          // [of pools]: as of a wish for it.
	const struct service_config *hashed; // Of a list that many share, and
	uint64_t hash;                       // the hash of its nodes.
};

// One more than asked, since calloc() may answer a wish for nothing with NULL.
static void *array(size_t n, size_t size)
{
	return calloc(n + 1, size);
}

// Names

typedef const char *name_fn(const struct plan *plan, size_t i);

static const char *node_name(const struct plan *plan, size_t i)
{
	return plan->names[i].name;
}

static const char *service_name(const struct plan *plan, size_t i)
{
	return plan->config->services[i]->name;
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_node_name(const void *a, const void *b, void *plan)
{
	size_t i = *(const size_t *)a;
	size_t j = *(const size_t *)b;
	int by_name = strcmp(node_name(plan, i), node_name(plan, j));

	return by_name != 0 ? by_name : order(i, j);
}

static int by_service_name(const void *a, const void *b, void *plan)
{
	return strcmp(
		service_name(plan, *(const size_t *)a), service_name(plan, *(const size_t *)b));
}

static void sort(struct plan *plan, size_t *indexes, size_t n, compare_indexes_fn *compare)
{
	for (size_t i = 0; i < n; i++)
		indexes[i] = i;
	sort_indexes(indexes, n, compare, plan);
}

// Where in 'sorted' the first is whose name is not before 'name'.
static size_t find(
	const struct plan *plan, const size_t *sorted, size_t n, name_fn *name_of, const char *name)
{
	size_t low = 0;
	size_t high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(name_of(plan, sorted[middle]), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t plan_find_nodes(const struct plan *plan, const char *name, const size_t **ret_nodes)
{
	size_t first = find(plan, plan->nodes_by_name, plan->n_nodes, node_name, name);
	size_t end = first;

	while (end < plan->n_nodes && strcmp(node_name(plan, plan->nodes_by_name[end]), name) == 0)
		end++;
	*ret_nodes = &plan->nodes_by_name[first];
	return end - first;
}

size_t plan_find_service(const struct plan *plan, const char *name)
{
	size_t n = plan->config->n_services;
	size_t at = find(plan, plan->services_by_name, n, service_name, name);

	if (at == n || strcmp(service_name(plan, plan->services_by_name[at]), name) != 0)
		return SIZE_MAX;
	return plan->services_by_name[at];
}

// Time

// 'since_ns' and the drain time; 0 of that is for ever.
static uint64_t drain_end(const struct plan *plan, uint64_t since_ns)
{
	uint32_t drain_s = plan->config->drain_s;

	return drain_s == 0 ? UINT64_MAX : since_ns + drain_s * NSEC_PER_SEC;
}

void plan_set_drained(struct plan *plan, size_t node, bool drained, uint64_t since_ns)
{
	plan->nodes[node].drained = drained;
	plan->nodes[node].until_ns = drained ? drain_end(plan, since_ns) : UINT64_MAX;
	plan->has_drained |= drained;
	for (size_t i = 0; i < plan->n_pools; i++)
		plan->pools[i].health_version = 0;
}

bool plan_drain_ended(const struct plan *plan, uint64_t after_ns, uint64_t now_ns)
{
	for (size_t i = 0; i < plan->n_nodes; i++) {
		uint64_t until_ns = plan->nodes[i].until_ns;

		if (until_ns > after_ns && until_ns <= now_ns)
			return true;
	}
	return false;
}

// kube-proxy decides wherever it answers, and a Service's port in the family that it answers in.
// From its first answer on, silence is a bad one.
const struct probe *member_judge(const struct member *member)
{
	const struct probe *probe = member->probe;
	bool is_first =
		member->fallback == NULL || probe_is_answered(probe) || !probe_is_settled(probe);

	return is_first ? probe : member->fallback;
}

// A node whose NodePort refuses lives, and may have no endpoint for the Service. Where the
// kube-proxies of others answer, though, its own has not begun yet.
enum verdict member_verdict(const struct member *member)
{
	const struct probe *judge = member_judge(member);
	enum verdict verdict = judge == NULL ? VERDICT_UP : probe_verdict(judge);

	if (verdict != VERDICT_REFUSING)
		return verdict;
	return judge == member->fallback && probe_kind_is_answered(member->probe) ? VERDICT_DOWN
										  : VERDICT_UP;
}

static bool is_silent(const struct member *member)
{
	return member->fallback != NULL && member_judge(member) == member->probe &&
		probe_config_of(member->fallback)->check.kind == CHECK_NODE_PORT &&
		probe_verdict(member->probe) == VERDICT_UP &&
		probe_verdict(member->fallback) == VERDICT_DOWN;
}

// A node is counted once, whatever pools it is in.
size_t plan_count_silent(const struct plan *plan)
{
	bool *counted = calloc(plan->n_nodes + 1, sizeof(*counted));
	size_t n = 0;

	for (size_t i = 0; counted != NULL && i < plan->n_pools; i++) {
		const struct pool *pool = &plan->pools[i];

		for (size_t j = 0; j < pool->n_members; j++) {
			const struct member *m = &pool->members[j];

			if (counted[m->node] || !is_silent(m))
				continue;
			counted[m->node] = true;
			n++;
		}
	}
	free(counted);
	return n;
}

enum target_state member_state(
	const struct plan *plan, const struct member *member, uint64_t now_ns)
{
	const struct plan_node *node = &plan->nodes[member->node];
	enum verdict verdict = member_verdict(member);

	if (member->gone || now_ns >= member->until_ns || now_ns >= node->until_ns)
		return TARGET_ABSENT;
	if (node->is_out || verdict == VERDICT_NONE || verdict == VERDICT_DOWN)
		return TARGET_DOWN;
	if (member->leaving || node->drained)
		return TARGET_DRAINING;
	if (member->is_reserve)
		return member->is_called ? TARGET_UP : TARGET_DRAINING;
	return verdict == VERDICT_DRAINING ? TARGET_DRAINING : TARGET_UP;
}

// A reserve's endpoints end, but serve on: until those that begin elsewhere are known to serve it
// takes what comes, or new flows would have nowhere to go.
static void call_reserves(const struct plan *plan, struct pool *pool, uint64_t now_ns)
{
	bool is_called = true;

	for (size_t i = 0; i < pool->n_members; i++) {
		const struct member *m = &pool->members[i];

		if (!m->is_reserve && member_weight(m) > 0 &&
			member_state(plan, m, now_ns) == TARGET_UP)
			is_called = false;
	}
	for (size_t i = 0; i < pool->n_members; i++)
		pool->members[i].is_called = is_called && pool->members[i].is_reserve;
}

uint32_t member_weight(const struct member *member)
{
	const struct probe *judge = member_judge(member);
	uint32_t said = judge == NULL ? 0 : probe_weight(judge);

	return said != 0 ? said : member->weight;
}

// Of one that drains, leaves or is off: none, even while it is down and the service fails open. Its
// old flows may go on then, and new ones are for others.
static uint32_t weight_of(const struct plan *plan, const struct member *member)
{
	const struct plan_node *node = &plan->nodes[member->node];
	bool is_ending = member->leaving || node->drained || node->is_out;
	bool waits = member->is_reserve && !member->is_called;

	return is_ending || waits ? 0 : member_weight(member);
}

static bool is_settled(const struct pool *pool)
{
	for (size_t i = 0; !pool->settled && i < pool->n_members; i++) {
		const struct probe *judge = member_judge(&pool->members[i]);

		if (judge != NULL && !probe_is_settled(judge))
			return false;
	}
	return true;
}

// What was found out last is so still, as long as nothing has an end by time.
static bool is_fresh(const struct plan *plan, const struct pool *pool)
{
	return pool->health_version == health_version(plan->health) && pool->n_leaving == 0 &&
		!plan->has_drained;
}

static void refresh_pool(const struct plan *plan, struct pool *pool, uint64_t now_ns)
{
	if (is_fresh(plan, pool))
		return;
	pool->health_version = health_version(plan->health);
	pool->settled = is_settled(pool);
	pool->n_targets = 0;
	memset(pool->n_in, 0, sizeof(pool->n_in));
	call_reserves(plan, pool, now_ns);
	for (size_t i = 0; i < pool->n_members; i++) {
		const struct member *m = &pool->members[i];
		enum target_state state = member_state(plan, m, now_ns);

		pool->n_in[state]++;
		if (state == TARGET_ABSENT)
			continue;
		pool->targets[pool->n_targets++] = (struct model_target){
			.node = m->node, .weight = weight_of(plan, m), .state = state};
	}
}

const struct model *plan_refresh(struct plan *plan, uint64_t now_ns)
{
	plan->n_settled = 0;
	for (size_t i = 0; i < plan->n_pools; i++) {
		struct pool *pool = &plan->pools[i];

		refresh_pool(plan, pool, now_ns);
		plan->n_settled += pool->settled;
		plan->sets[i] = (struct model_set){
			.targets = pool->targets,
			.n_targets = pool->n_targets,
			.fail_open = pool->fail_open,
		};
	}
	if (plan->learning != NULL)
		learning_refresh(plan->learning, plan);
	return &plan->model;
}

void plan_settle(struct plan *plan)
{
	if (plan->n_settled == plan->n_pools)
		return; // As with nearly every table, of which each pool would be looked at.
	for (size_t i = 0; i < plan->n_pools; i++)
		plan->pools[i].settled = true;
	plan->n_settled = plan->n_pools;
}

bool plan_end_leaving(struct plan *plan, node_held_fn *held, void *argument, uint64_t now_ns)
{
	bool ended = false;

	for (size_t i = 0; i < plan->n_pools; i++) {
		struct pool *pool = &plan->pools[i];

		for (size_t j = 0; pool->n_leaving > 0 && j < pool->n_members; j++) {
			struct member *m = &pool->members[j];

			if (!m->leaving || m->gone)
				continue;
			m->gone = now_ns >= m->until_ns ||
				!held(argument, &plan->names[m->node].address[pool->family]);
			ended |= m->gone;
		}
	}
	return ended;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct address));
}

int plan_announced(const struct plan *plan, struct address **ret_addresses, size_t *ret_n)
{
	const struct config *config = plan->config;
	size_t n = config->n_services + config->n_snat[IPV4] + config->n_snat[IPV6];
	size_t n_found = 0;
	size_t n_unique = 0;

	struct address *found = calloc(n + 1, sizeof(*found));
	if (found == NULL)
		return -ENOMEM;

	for (size_t i = 0; i < config->n_services; i++) {
		if (config->services[i]->announce && plan->pools[plan->pool_of[i]].settled)
			found[n_found++] = config->services[i]->vip;
	}
	// Those of a twin the kernel announces as it likes.
	for (enum family f = IPV4; config->snat_twin[0] == '\0' && f < N_FAMILIES; f++) {
		memcpy(&found[n_found], config->snat[f], config->n_snat[f] * sizeof(*found));
		n_found += config->n_snat[f];
	}
	qsort(found, n_found, sizeof(*found), by_bytes);
	for (size_t i = 0; i < n_found; i++) {
		if (n_unique == 0 || !address_equal(&found[i], &found[n_unique - 1]))
			found[n_unique++] = found[i];
	}
	*ret_addresses = found;
	*ret_n = n_unique;
	return 0;
}

// Nodes

static int compare_places(const void *a, const void *b)
{
	return by_bytes(&((const struct place *)a)->address, &((const struct place *)b)->address);
}

static void list_places(struct making *m)
{
	const struct config *config = m->plan->config;

	for (size_t i = 0; i < config->n_nodes * N_FAMILIES; i++) {
		const struct address *a = &config->nodes[i / N_FAMILIES].address[i % N_FAMILIES];

		if (!address_is_none(a))
			m->places[m->n_places++] = (struct place){*a, i / N_FAMILIES};
	}
	qsort(m->places, m->n_places, sizeof(*m->places), compare_places);
}

// Whose address it is now, or SIZE_MAX.
static size_t find_place(const struct making *m, const struct address *address)
{
	struct place wanted = {.address = *address};
	const struct place *found =
		bsearch(&wanted, m->places, m->n_places, sizeof(wanted), compare_places);

	return found == NULL ? SIZE_MAX : found->node;
}

// What the service had before. Under another family it is another service, whatever its name.
static const struct pool *pool_before(const struct making *m, size_t service)
{
	if (m->named[service] == SIZE_MAX)
		return NULL;

	const struct pool *pool = &m->before->pools[m->before->pool_of[m->named[service]]];
	bool is_same = m->same[service] != SIZE_MAX;

	return is_same || pool->family == m->plan->config->services[service]->target_family ? pool
											    : NULL;
}

// Of the nodes before, those that a service has which is still there.
static void find_carried(struct making *m)
{
	const struct plan *before = m->before;

	for (size_t i = 0; i < m->plan->config->n_services; i++) {
		const struct pool *pool = pool_before(m, i);

		if (pool != NULL)
			m->carried_pools[pool - before->pools] = true;
	}
	for (size_t i = 0; i < before->n_pools; i++) {
		const struct pool *pool = &before->pools[i];

		for (size_t j = 0; m->carried_pools[i] && j < pool->n_members; j++)
			m->carried[pool->members[j].node * N_FAMILIES + pool->family] |=
				!pool->members[j].gone;
	}
	for (size_t i = 0; i < before->n_nodes * N_FAMILIES; i++)
		m->now_at[i] =
			find_place(m, &before->names[i / N_FAMILIES].address[i % N_FAMILIES]);
}

// The node before goes on at those of its addresses that are carried and nobody's now.
static void add_leaving_node(struct making *m, size_t before)
{
	struct plan *plan = m->plan;
	struct model_node leaving = {0};
	bool leaves = false;

	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		size_t i = before * N_FAMILIES + family;

		if (!m->carried[i] || m->now_at[i] != SIZE_MAX)
			continue;
		m->now_at[i] = plan->n_nodes;
		leaving.address[family] = m->before->names[before].address[family];
		leaves = true;
	}
	if (!leaves)
		return;
	strcpy(leaving.name, m->before->names[before].name);
	plan->names[plan->n_nodes] = leaving;
	plan->nodes[plan->n_nodes] = (struct plan_node){
		.weight = m->before->nodes[before].weight,
		.is_out = m->before->nodes[before].is_out,
	};
	plan->n_nodes++;
}

// Where nothing leaves and the configurations share their nodes, all is as it was.
static bool copy_nodes(struct making *m)
{
	const struct plan *before = m->before;
	struct plan *plan = m->plan;
	size_t n = before == NULL ? 0 : before->n_nodes;

	if (before == NULL || before->config->nodes != plan->config->nodes ||
		n != plan->config->n_nodes || before->config->n_nodes != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (before->nodes[i].is_out != plan->config->nodes[i].is_out)
			return false;
	}
	memcpy(plan->names, before->names, n * sizeof(*plan->names));
	memcpy(plan->nodes, before->nodes, n * sizeof(*plan->nodes));
	memcpy(plan->nodes_by_name, before->nodes_by_name, n * sizeof(size_t));
	plan->n_nodes = n;
	plan->has_drained = before->has_drained;
	for (size_t i = 0; i < n * N_FAMILIES; i++)
		m->now_at[i] = i / N_FAMILIES;
	return true;
}

static bool is_same_node(const struct making *m, size_t i)
{
	const struct plan *plan = m->plan, *before = m->before;

	return plan->nodes[i].weight == before->nodes[i].weight &&
		plan->nodes[i].configured == before->nodes[i].configured &&
		memcmp(plan->names[i].address, before->names[i].address,
			sizeof(plan->names[i].address)) == 0 &&
		strcmp(plan->names[i].name, before->names[i].name) == 0;
}

static bool are_same_nodes(const struct making *m)
{
	bool same = m->before != NULL && m->plan->n_nodes == m->before->n_nodes;

	for (size_t i = 0; same && i < m->plan->n_nodes; i++)
		same = is_same_node(m, i);
	return same;
}

// Of both, the places among nodes that are the same.
static bool has_same_cluster(const struct making *m, enum family family)
{
	const struct node_indexes *now = &m->plan->config->cluster_nodes[family], *before;

	if (!m->same_nodes)
		return false;
	before = &m->before->config->cluster_nodes[family];
	return now->n == before->n &&
		(now->n == 0 || memcmp(now->at, before->at, now->n * sizeof(*now->at)) == 0);
}

static void add_nodes(struct making *m, const struct drains *drains)
{
	struct plan *plan = m->plan;
	uint64_t since_ns;

	m->same_nodes = m->copied_nodes = copy_nodes(m);
	if (m->same_nodes)
		return;
	for (size_t i = 0; i < plan->config->n_nodes; i++) {
		const struct node_config *node = &plan->config->nodes[i];

		strcpy(plan->names[i].name, node->name);
		memcpy(plan->names[i].address, node->address, sizeof(node->address));
		plan->nodes[i] = (struct plan_node){
			.configured = true, .weight = node->weight, .is_out = node->is_out};
	}
	plan->n_nodes = plan->config->n_nodes;
	if (m->before != NULL) {
		list_places(m);
		find_carried(m);
		for (size_t i = 0; i < m->before->n_nodes; i++)
			add_leaving_node(m, i);
	}
	sort(plan, plan->nodes_by_name, plan->n_nodes, by_node_name);
	for (size_t i = 0; i < plan->n_nodes; i++) {
		bool drained = drains_has(drains, plan->names[i].name, &since_ns);
		plan_set_drained(plan, i, drained, since_ns);
	}
	m->same_nodes = are_same_nodes(m);
}

// Services before and now

static bool is_called_so(
	const struct config *config, size_t i, const struct service_config *service)
{
	return i < config->n_services &&
		(config->services[i] == service ||
			strcmp(config->services[i]->name, service->name) == 0);
}

// Both are mostly in the same order; where they are not, a service is found by its name. Returns
// how many are the same.
static size_t find_services(struct making *m)
{
	const struct config *config = m->plan->config;
	const struct plan *before = m->before;
	size_t next = 0, n_same = 0;

	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *service = config->services[i];

		m->same[i] = m->named[i] = SIZE_MAX;
		if (before == NULL)
			continue;
		if (!is_called_so(before->config, next, service))
			next = plan_find_service(before, service->name);
		m->named[i] = next;
		if (next == SIZE_MAX)
			continue;
		if (before->config->services[next] == service) {
			m->same[i] = next;
			n_same++;
		}
		next++;
	}
	return n_same;
}

// Those whose names were there before are in their order already. Returns how many: they are in
// services_by_name, the others in 'ret_fresh'.
static size_t keep_order(struct making *m, size_t *now, size_t *ret_fresh)
{
	struct plan *plan = m->plan;
	size_t n_kept = 0, n_fresh = 0;

	for (size_t i = 0; i < m->before->config->n_services; i++)
		now[i] = SIZE_MAX;
	for (size_t i = 0; i < plan->config->n_services; i++) {
		if (m->named[i] != SIZE_MAX && now[m->named[i]] == SIZE_MAX)
			now[m->named[i]] = i;
		else
			ret_fresh[n_fresh++] = i;
	}
	for (size_t i = 0; i < m->before->config->n_services; i++) {
		size_t at = now[m->before->services_by_name[i]];

		if (at != SIZE_MAX)
			plan->services_by_name[n_kept++] = at;
	}
	return n_kept;
}

// Puts [n_fresh], in their order, among the first 'n_kept' of services_by_name.
static void merge_fresh(struct plan *plan, size_t n_kept, const size_t *fresh, size_t n_fresh)
{
	size_t *sorted = plan->services_by_name;

	while (n_fresh > 0) {
		size_t last = fresh[--n_fresh];
		size_t at = find(plan, sorted, n_kept, service_name, service_name(plan, last));

		memmove(&sorted[at + n_fresh + 1], &sorted[at], (n_kept - at) * sizeof(*sorted));
		sorted[at + n_fresh] = last;
		n_kept = at;
	}
}

static bool sort_services(struct making *m)
{
	struct plan *plan = m->plan;
	size_t n = plan->config->n_services;

	if (m->before == NULL) {
		sort(plan, plan->services_by_name, n, by_service_name);
		return true;
	}
	size_t *now = array(m->before->config->n_services, sizeof(*now));
	size_t *fresh = array(n, sizeof(*fresh));
	bool done = now != NULL && fresh != NULL;

	if (done) {
		size_t n_kept = keep_order(m, now, fresh);

		sort_indexes(fresh, n - n_kept, by_service_name, plan);
		merge_fresh(plan, n_kept, fresh, n - n_kept);
	}
	free(now);
	free(fresh);
	return done;
}

// Pools

static uint64_t hash_nodes(const struct service_config *service)
{
	uint64_t hash = service->uses_cluster ? UINT64_MAX : service->n_nodes;

	for (size_t i = 0; i < service->n_nodes; i++)
		hash = fold_multiply(hash ^ service->nodes[i], 0x9e3779b97f4a7c15);
	for (size_t i = 0; service->weights != NULL && i < service->n_nodes; i++)
		hash = fold_multiply(hash ^ service->weights[i], 0x9e3779b97f4a7c15);
	for (size_t i = 0; service->reserves != NULL && i < service->n_nodes; i++)
		hash = fold_multiply(hash ^ service->reserves[i], 0x9e3779b97f4a7c15);
	return hash;
}

static uint16_t check_port_of(const struct service_config *service)
{
	bool of_node_port = service->check.kind != CHECK_NONE && service->check.port == 0;

	return of_node_port ? service->node_port : service->check.port;
}

// Of lists of 'size' bytes; either may be NULL for none.
static int compare_lists(const void *a, const void *b, size_t size)
{
	if (a == b)
		return 0;
	if (a == NULL || b == NULL)
		return a == NULL ? -1 : 1;
	return memcmp(a, b, size);
}

// Of services with as many nodes.
static int compare_shares(const struct service_config *s, const struct service_config *t)
{
	int by_weight = compare_lists(s->weights, t->weights, s->n_nodes * sizeof(*s->weights));

	if (by_weight != 0)
		return by_weight;
	return compare_lists(s->reserves, t->reserves, s->n_nodes * sizeof(*s->reserves));
}

// Whether they use the same nodes, and check them alike.
static int compare_uses(const struct service_config *s, const struct service_config *t)
{
	const int orders[] = {
		order(check_port_of(s), check_port_of(t)),
		order(s->target_family, t->target_family),
		order(s->check.fallback_port, t->check.fallback_port),
		order(s->fail_open, t->fail_open),
		order(s->uses_cluster, t->uses_cluster),
		order(s->n_nodes, t->n_nodes),
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (orders[i] != 0)
			return orders[i];
	}
	int by_check = check_config_compare(&s->check, &t->check);
	if (by_check == 0)
		by_check = compare_shares(s, t);
	if (by_check != 0 || s->nodes == t->nodes)
		return by_check;
	return memcmp(s->nodes, t->nodes, s->n_nodes * sizeof(size_t));
}

static bool is_of_kind(const struct probe *probe, const struct probe_config *config)
{
	return probe != NULL && probe_config_of(probe)->check.kind == config->check.kind;
}

// Acquires the probe of 'config', which begins with what is known of its node: by 'probe_before',
// or else by the member 'before'. Either may be NULL. Mostly the one before is the very one, and
// need not be looked for.
static struct probe *acquire(struct making *m, const struct probe_config *config,
	const struct member *before, struct probe *probe_before)
{
	if (probe_before != NULL && health_share(probe_before, config))
		return probe_before;

	bool goes_on = is_of_kind(probe_before, config);
	enum verdict inherited = before == NULL ? VERDICT_NONE
		: goes_on                       ? probe_verdict(probe_before)
						: member_verdict(before);
	struct probe *probe = health_acquire(m->health, config, inherited);

	if (probe != NULL && goes_on)
		probe_inherit(probe, probe_before);
	return probe;
}

// What is asked beside 'first', of the same node. Returns false if there is nothing.
static bool fallback_of(const struct probe_config *first, const struct model_node *name,
	enum family family, struct probe_config *ret_config)
{
	*ret_config = *first;
	ret_config->port = first->check.fallback_port;
	if (first->check.kind == CHECK_SERVICE)
		ret_config->address = name->address[family == IPV4 ? IPV6 : IPV4];
	else
		ret_config->check.kind = CHECK_NODE_PORT;
	return ret_config->port != 0 && !address_is_none(&ret_config->address);
}

// Returns false when out of memory.
static bool add_probes(
	struct making *m, enum family family, const struct wish *wish, struct member *member)
{
	const struct model_node *name = &m->plan->names[member->node];
	const struct member *before = m->members[member->node];
	struct probe_config fallback,
		config = {
			.address = name->address[family],
			.port = check_port_of(wish->service),
			.check = wish->service->check,
		};

	if (config.check.kind == CHECK_NONE)
		return true;
	member->probe = acquire(m, &config, before, before == NULL ? NULL : before->probe);
	if (member->probe == NULL)
		return false;
	if (!fallback_of(&config, name, family, &fallback))
		return true;
	member->fallback = acquire(m, &fallback, before, before == NULL ? NULL : before->fallback);
	if (member->fallback == NULL)
		health_release(m->health, member->probe);
	return member->fallback != NULL;
}

// Returns false when out of memory.
static bool add_member(struct making *m, struct pool *pool, const struct wish *wish, size_t node)
{
	struct member *member = &pool->members[pool->n_members];

	*member = (struct member){
		.node = node, .weight = m->plan->nodes[node].weight, .until_ns = UINT64_MAX};
	if (!add_probes(m, pool->family, wish, member))
		return false;
	pool->n_members++;
	return true;
}

static bool add_leaving_members(struct making *m, struct pool *pool, const struct wish *wish)
{
	for (size_t i = 0; wish->before != NULL && i < wish->before->n_members; i++) {
		const struct member *before = &wish->before->members[i];
		size_t node = m->now_at[before->node * N_FAMILIES + pool->family];

		if (before->gone || node == SIZE_MAX || m->members[node] == NULL)
			continue;
		if (!add_member(m, pool, wish, node))
			return false;

		struct member *member = &pool->members[pool->n_members - 1];

		member->leaving = true;
		member->until_ns =
			before->leaving ? before->until_ns : drain_end(m->plan, m->now_ns);
		pool->n_leaving++;
	}
	return true;
}

// Lays out the members before by where their nodes are now.
static void lay_out(struct making *m, const struct pool *before)
{
	memset(m->members, 0, m->plan->n_nodes * sizeof(m->members[0]));
	for (size_t i = 0; before != NULL && i < before->n_members; i++) {
		const struct member *member = &before->members[i];
		size_t node = m->now_at[member->node * N_FAMILIES + before->family];

		if (!member->gone && node != SIZE_MAX)
			m->members[node] = member;
	}
}

static bool has_gone(const struct pool *pool)
{
	for (size_t i = 0; pool->n_leaving > 0 && i < pool->n_members; i++) {
		if (pool->members[i].gone)
			return true;
	}
	return false;
}

// The very same services use their nodes as they did.
static bool is_as_before(const struct making *m, const struct wish *wish, bool is_same)
{
	const struct pool *before = wish->before;

	if (wish->service->uses_cluster && !m->same_cluster[wish->service->target_family])
		return false;
	return m->same_nodes && before != NULL && !has_gone(before) &&
		(is_same ||
			compare_uses(wish->service,
				m->before->config->services[before->first_service]) == 0);
}

static void share_members(const struct making *m, struct pool *pool, const struct pool *before)
{
	pool->list = before->list;
	pool->list->n_references++;
	pool->members = before->members;
	pool->n_members = before->n_members;
	pool->n_leaving = before->n_leaving;
	pool->targets = before->targets;
	pool->n_targets = before->n_targets;
	pool->health_version = m->copied_nodes ? before->health_version : 0;
	memcpy(pool->n_in, before->n_in, sizeof(pool->n_in));
}

// Returns false when out of memory.
static bool create_list(struct pool *pool, size_t n_max)
{
	pool->list = calloc(1, sizeof(*pool->list) + n_max * sizeof(pool->list->members[0]));
	if (pool->list == NULL)
		return false;
	pool->list->n_references = 1;
	pool->list->targets = array(n_max, sizeof(*pool->list->targets));
	pool->members = pool->list->members;
	pool->targets = pool->list->targets;
	return pool->targets != NULL;
}

static bool add_members(struct making *m, struct pool *pool, const struct wish *wish)
{
	const struct service_config *service = wish->service;
	struct node_indexes nodes = config_nodes_of(m->plan->config, service);

	if (!create_list(pool, nodes.n + (wish->before != NULL ? wish->before->n_members : 0)))
		return false;
	lay_out(m, wish->before);
	for (size_t i = 0; i < nodes.n; i++) {
		if (!add_member(m, pool, wish, nodes.at[i]))
			return false;
		if (service->weights != NULL)
			pool->members[i].weight = service->weights[i];
		pool->members[i].is_reserve = service->reserves != NULL && service->reserves[i];
		m->members[nodes.at[i]] = NULL; // It does not leave.
	}
	return add_leaving_members(m, pool, wish);
}

static bool make_pool(struct making *m, const struct wish *wish, size_t service)
{
	struct plan *plan = m->plan;
	struct pool *pool = &plan->pools[plan->n_pools];

	m->leaves[plan->n_pools++] = wish->leaves;
	pool->family = wish->service->target_family;
	pool->fail_open = wish->service->fail_open;
	pool->hash = wish->hash;
	pool->first_service = service;
	if (!wish->is_as_before)
		return add_members(m, pool, wish);
	share_members(m, pool, wish->before);
	return true;
}

// Services that use all nodes share one list of them, without weights, which has to be hashed only
// once.
static uint64_t hash_of(struct making *m, const struct service_config *service)
{
	if (service->weights != NULL || service->reserves != NULL)
		return hash_nodes(service);
	if (m->hashed == NULL || m->hashed->uses_cluster != service->uses_cluster ||
		m->hashed->nodes != service->nodes || m->hashed->n_nodes != service->n_nodes) {
		m->hashed = service;
		m->hash = hash_nodes(service);
	}
	return m->hash;
}

static struct wish wish_of(struct making *m, size_t i)
{
	bool is_same = m->same[i] != SIZE_MAX;
	struct wish wish = {
		.service = m->plan->config->services[i],
		.before = pool_before(m, i),
	};

	wish.hash = is_same ? wish.before->hash : hash_of(m, wish.service);
	wish.is_as_before = is_as_before(m, &wish, is_same);
	if (!wish.is_as_before || wish.before->n_leaving > 0)
		wish.leaves = wish.before;
	return wish;
}

static bool fulfils(const struct making *m, size_t pool, const struct wish *wish)
{
	const struct plan *plan = m->plan;

	return plan->pools[pool].hash == wish->hash && m->leaves[pool] == wish->leaves &&
		compare_uses(plan->config->services[plan->pools[pool].first_service],
			wish->service) == 0;
}

// The pool of the service, by what it uses. SIZE_MAX when out of memory.
static size_t find_pool(struct making *m, size_t service)
{
	struct plan *plan = m->plan;
	struct wish wish = wish_of(m, service);
	size_t slot = wish.hash & m->slots_mask;

	while (m->slots[slot] != SIZE_MAX && !fulfils(m, m->slots[slot], &wish))
		slot = (slot + 1) & m->slots_mask;
	if (m->slots[slot] == SIZE_MAX) {
		m->slots[slot] = plan->n_pools;
		if (!make_pool(m, &wish, service))
			return SIZE_MAX;
	}
	plan->pools[m->slots[slot]].settled |= wish.before != NULL && wish.before->settled;
	return m->slots[slot];
}

static bool add_pools(struct making *m)
{
	struct plan *plan = m->plan;

	for (size_t i = 0; i < plan->config->n_services; i++) {
		bool is_same = m->same[i] != SIZE_MAX;
		size_t *now = is_same ? &m->pool_now[m->before->pool_of[m->same[i]]] : NULL;
		size_t pool = is_same ? *now : SIZE_MAX;

		if (pool == SIZE_MAX)
			pool = find_pool(m, i);
		if (pool == SIZE_MAX)
			return false;
		if (is_same)
			*now = pool;
		plan->pool_of[i] = pool;
		plan->pools[pool].n_services++;
	}
	return true;
}

// The model

static struct model_service service_of(const struct service_config *from)
{
	return (struct model_service){
		.name = from->name,
		.name_hash = name_hash(from->name),
		.salt = name_hash_until(from->name, '@'),
		.vip = from->vip,
		.port = from->port,
		.node_port = from->node_port,
		.protocol = from->protocol,
		.mode = from->mode,
		.tunnel_kind = from->tunnel_kind,
		.target_family = from->target_family,
		.mss = (uint16_t)from->mss,
		.answers_arp = from->answers_arp,
		.rejects = from->rejects,
		.idle_s = from->idle_s,
		.affinity_s = from->affinity_s,
		.sources = from->sources,
	};
}

static void add_services(const struct making *m)
{
	struct plan *plan = m->plan;

	for (size_t i = 0; i < plan->config->n_services; i++) {
		plan->services[i] = m->same[i] == SIZE_MAX ? service_of(plan->config->services[i])
							   : m->before->services[m->same[i]];
		plan->services[i].set = plan->pool_of[i];
	}
}

static void fill_model(const struct making *m)
{
	struct plan *plan = m->plan;
	const struct config *config = plan->config;

	add_services(m);
	plan->model = (struct model){
		.nodes = plan->names,
		.n_nodes = plan->n_nodes,
		.sets = plan->sets,
		.n_sets = plan->n_pools,
		.services = plan->services,
		.n_services = config->n_services,
		.source_lists = config->source_lists,
		.n_source_lists = config->n_source_lists,
		.snat = {config->snat[IPV4], config->snat[IPV6]},
		.n_snat = {config->n_snat[IPV4], config->n_snat[IPV6]},
		.snat_is_shared = config->snat_twin[0] != '\0',
		.ring_size = config->ring_size,
		.settings = config->settings,
	};
}

// Life

// Services that are the same are in no more pools than before.
static bool allocate(struct making *m, size_t n_not_same)
{
	struct plan *plan = m->plan;
	const struct config *config = plan->config;
	size_t n_before = m->before != NULL ? m->before->n_nodes : 0;
	size_t n_pools = m->before != NULL ? m->before->n_pools : 0;
	size_t n_nodes = config->n_nodes + n_before;
	size_t n_services = config->n_services;
	size_t n_pools_max = n_pools + n_not_same;

	plan->names = array(n_nodes, sizeof(*plan->names));
	plan->nodes = array(n_nodes, sizeof(*plan->nodes));
	plan->nodes_by_name = array(n_nodes, sizeof(size_t));
	plan->pools = array(n_pools_max, sizeof(*plan->pools));
	plan->sets = array(n_pools_max + n_services, sizeof(*plan->sets));
	plan->pool_of = array(n_services, sizeof(size_t));
	plan->services_by_name = array(n_services, sizeof(size_t));
	plan->services = array(n_services, sizeof(*plan->services));
	m->pool_now = array(n_pools, sizeof(size_t));
	m->places = array(config->n_nodes * N_FAMILIES, sizeof(*m->places));
	m->carried_pools = array(n_pools, sizeof(bool));
	m->carried = array(n_before * N_FAMILIES, sizeof(bool));
	m->now_at = array(n_before * N_FAMILIES, sizeof(size_t));
	m->members = array(n_nodes, sizeof(*m->members));
	m->leaves = array(n_pools_max, sizeof(*m->leaves));
	m->slots_mask = index_builder_slots(n_pools_max) - 1;
	m->slots = array(m->slots_mask, sizeof(size_t));
	return plan->names != NULL && plan->nodes != NULL && plan->nodes_by_name != NULL &&
		plan->pools != NULL && plan->sets != NULL && plan->pool_of != NULL &&
		plan->services_by_name != NULL && plan->services != NULL && m->pool_now != NULL &&
		m->places != NULL && m->carried_pools != NULL && m->carried != NULL &&
		m->now_at != NULL && m->members != NULL && m->leaves != NULL && m->slots != NULL;
}

static bool make(struct making *m, const struct config *config, const struct drains *drains)
{
	m->same = array(config->n_services, sizeof(size_t));
	m->named = array(config->n_services, sizeof(size_t));
	if (m->plan == NULL || m->same == NULL || m->named == NULL)
		return false;

	m->plan->config = config;
	m->plan->health = m->health;
	size_t n_same = find_services(m);
	if (!allocate(m, config->n_services - n_same) || !sort_services(m))
		return false;
	for (size_t i = 0; m->before != NULL && i < m->before->n_pools; i++)
		m->pool_now[i] = SIZE_MAX;
	for (size_t i = 0; i <= m->slots_mask; i++)
		m->slots[i] = SIZE_MAX;
	add_nodes(m, drains);
	for (enum family f = IPV4; f < N_FAMILIES; f++)
		m->same_cluster[f] = has_same_cluster(m, f);
	if (!add_pools(m))
		return false;
	fill_model(m);
	plan_refresh(m->plan, m->now_ns);
	return true;
}

struct plan *plan_create(const struct config *config, const struct plan *before,
	const struct drains *drains, struct health *health, uint64_t now_ns)
{
	struct making m = {
		.plan = calloc(1, sizeof(struct plan)),
		.before = before,
		.health = health,
		.now_ns = now_ns,
	};
	bool made = make(&m, config, drains);

	free(m.same);
	free(m.named);
	free(m.pool_now);
	free(m.places);
	free(m.carried_pools);
	free(m.carried);
	free(m.now_at);
	free(m.members);
	free(m.leaves);
	free(m.slots);
	if (made)
		return m.plan;
	plan_destroy(m.plan, health);
	return NULL;
}

int plan_learn(struct plan *plan, struct vip_prober *prober, node_id_fn *id_of, void *argument)
{
	return learning_create(plan, prober, id_of, argument, &plan->learning);
}

static void destroy_pool(struct pool *pool, struct health *health)
{
	if (pool->list == NULL || --pool->list->n_references > 0)
		return;
	for (size_t i = 0; i < pool->n_members; i++) {
		health_release(health, pool->members[i].probe);
		health_release(health, pool->members[i].fallback);
	}
	free(pool->list->targets);
	free(pool->list);
}

void plan_destroy(struct plan *plan, struct health *health)
{
	if (plan == NULL)
		return;

	learning_destroy(plan->learning);
	for (size_t i = 0; i < plan->n_pools; i++)
		destroy_pool(&plan->pools[i], health);
	free(plan->names);
	free(plan->nodes);
	free(plan->nodes_by_name);
	free(plan->pools);
	free(plan->sets);
	free(plan->pool_of);
	free(plan->services_by_name);
	free(plan->services);
	free(plan);
}
