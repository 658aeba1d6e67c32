#include "reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "verdict_log.h"

// From a change to a table
// ========================
//
//     verdict, drain, reload, route ──► touch ──► build ──► publish ──► reclaim ──► free ids
//                                         1 ms              every 5 ms while an old one is seen
//
// A change waits a millisecond for others to join it, and tables are at least GAP_NS apart: so a
// thousand nodes that fail together are one table or two. Nothing is queued; what is built is
// always the state of that moment. A reload is the exception: its table is built at once, since a
// configuration that has no table is refused, and the one before stays.
//
// A table makes only so many rings as take a few milliseconds: where a thousand sets of nodes
// change at once, some are made for each table, and the others are as they were until then
// (table_builder_limit_rings()). Only the table that has all of them is one of what is wanted: is
// in force, announced, or says that nothing begins at a node that leaves.
//
// Before the first of them each probe has had its first check: what is announced then is served.
// But whoever may write one Service chooses how long its checks take, and nobody else is to wait
// for that. So after PATIENCE_NS in all, through whatever changes meanwhile, first checks hold up
// nothing any more: nodes without a verdict get no flows until they have one.
//
// One that serves nothing is out even before the checks begin: it tells workers who the nodes are,
// whose answers a flood of others is not to push out on their way to the kernel (output.c).

#define JOIN_NS (1 * NSEC_PER_MSEC)
#define GAP_NS (4 * NSEC_PER_MSEC)
#define RECLAIM_NS (5 * NSEC_PER_MSEC)
#define SETTLE_NS (10 * NSEC_PER_MSEC)
#define AGE_NS (1000 * NSEC_PER_MSEC)
#define PATIENCE_NS (5 * NSEC_PER_SEC)
#define RETRY_NS (1000 * NSEC_PER_MSEC)

// Tables that wait. With so many, workers hang, and more tables would not help: changes wait for
// one to come back. A reload does not wait, and is refused when it is too much for memory.
enum {
	WAITING_MAX = 8,
	WAITING_WITH_RELOADS_MAX = 64,
};

// Of the rings that one table makes: about 4 ms.
enum { SLOTS_A_TABLE = 1 << 19 };

#define ANNOUNCED_NOTHING SIZE_MAX

struct reconcile {
	struct reconcile_config config;
	struct health *health;
	struct vip_prober *prober;
	struct table_builder *builder;
	struct plan *plan;
	struct reconcile_status status;
	uint64_t published_ns;         // When the last table was.
	uint64_t plan_generation;      // The first whole one built from this plan, or 0.
	uint64_t settled_generation;   // The first with all of its first verdicts, or 0.
	uint64_t unsettled_ns;         // Since when first checks hold up something; 0 if none does.
	size_t n_announced;            // Pools of it whose VIPs were told, or ANNOUNCED_NOTHING.
	uint64_t aged_ns;              // When age() ran last.
	struct build_report told;      // What the log said of the rings.
	struct traffic *service_bases; // [services_max]: what others counted under the id before.
	struct traffic *node_bases;    // [nodes_max]
	bool routes_changed;
	bool started; // First checks do not hold up the start any more.

	struct loop_timer settle;  // Waits until then.
	struct loop_timer build;   // Waits while there is something to build.
	struct loop_timer reclaim; // Waits while old tables are about.
	struct loop_timer age;     // Always waits: drains and leaving nodes.
};

static void touch(struct reconcile *r)
{
	uint64_t due_ns = loop_clock_ns() + JOIN_NS;

	if (!r->started)
		return;
	if (due_ns < r->published_ns + GAP_NS)
		due_ns = r->published_ns + GAP_NS;
	// One that waits for longer waits to try again what failed: now there is something new.
	if (!loop_timer_waits(&r->build) || r->build.due_ns > due_ns)
		loop_timer_set(r->config.loop, &r->build, due_ns);
}

// Building

// Takes the kernel's routes into the builder. Returns 0 or -errno.
static int take_routes(struct reconcile *r)
{
	const struct route *routes;
	size_t n_routes;

	if (r->config.kernel == NULL || !r->routes_changed)
		return 0;

	int e = kernel_routes(r->config.kernel, r->status.generation + 1, &routes, &n_routes);
	if (e < 0)
		return e;
	e = table_builder_set_routes(r->builder, routes, n_routes);
	if (e < 0)
		return e;
	r->routes_changed = false;
	return 0;
}

static size_t rings_a_table(uint32_t ring_size)
{
	return ring_size < SLOTS_A_TABLE ? SLOTS_A_TABLE / ring_size : 1;
}

static int build_model(struct reconcile *r, const struct model *model,
	const struct forwarding_table **ret_table, char ret_why[WHY_MAX])
{
	int e = take_routes(r);
	if (e < 0) {
		snprintf(ret_why, WHY_MAX, "the kernel's routes do not fit: %s", strerror(-e));
		return e;
	}
	table_builder_limit_rings(r->builder, rings_a_table(model->ring_size));
	return table_builder_build(r->builder, model, NULL, ret_table, &r->status.report, ret_why);
}

// The kernel's routes say which nodes are on a network of ours.
static void find_neighbours(struct reconcile *r, struct plan *plan)
{
	if (r->config.kernel == NULL || (plan->knows_neighbours && !r->routes_changed))
		return;
	for (size_t i = 0; i < plan->n_nodes; i++) {
		for (enum family f = IPV4; f < N_FAMILIES; f++) {
			struct model_node *node = &plan->names[i];

			node->is_neighbour[f] = !address_is_none(&node->address[f]) &&
				kernel_is_neighbour(r->config.kernel, &node->address[f]);
		}
	}
	plan->knows_neighbours = true;
}

static int build(struct reconcile *r, struct plan *plan, const struct forwarding_table **ret_table,
	char ret_why[WHY_MAX])
{
	struct reconcile_status *s = &r->status;
	uint64_t began_ns = loop_clock_ns();

	find_neighbours(r, plan);
	int e = build_model(r, plan_refresh(plan, began_ns), ret_table, ret_why);
	s->build_ns = loop_clock_ns() - began_ns;
	if (s->build_ns > s->build_longest_ns)
		s->build_longest_ns = s->build_ns;
	return e;
}

// The table built last has all its rings.
static bool is_whole(const struct reconcile *r)
{
	return r->status.report.n_services_late == 0;
}

// What is served now is announced, once the table that serves it is out and the nodes of a new
// service have had their first checks.
static void announce(struct reconcile *r)
{
	struct address *addresses;
	size_t n;

	if (r->config.kernel == NULL || r->plan_generation == 0 || !is_whole(r) ||
		r->n_announced == r->plan->n_settled)
		return;

	int e = plan_announced(r->plan, &addresses, &n);
	if (e == 0) {
		e = kernel_announce(r->config.kernel, addresses, n, loop_clock_ns());
		free(addresses);
	}
	if (e < 0)
		log_error("addresses cannot be announced: %s", strerror(-e));
	else
		r->n_announced = r->plan->n_settled;
}

// Weights that a ring is too small for are no failure, but not what was asked either.
static void tell_of_rings(struct reconcile *r)
{
	const struct build_report *now = &r->status.report;

	if (now->n_rings_scaled == r->told.n_rings_scaled &&
		now->n_targets_left_out == r->told.n_targets_left_out)
		return;
	if (now->n_rings_scaled > 0)
		log_about("rings", LEVEL_WARNING,
			"%zu rings are too small for the weights of their nodes, and %zu nodes get "
			"no new flows for that: raise ring_size, or make weights less unequal",
			now->n_rings_scaled, now->n_targets_left_out);
	else
		log_about("rings", LEVEL_INFO, "rings are large enough for all weights again");
	r->told = *now;
}

static void put_out(struct reconcile *r, const struct forwarding_table *table)
{
	struct reconcile_status *s = &r->status;

	dataplane_publish(r->config.dp, table);
	r->published_ns = loop_clock_ns();
	if (s->generation == 0)
		s->oldest = table->generation;
	else
		s->n_waiting++;
	s->generation = table->generation;
	s->n_published++;
	if (s->n_waiting > 0 && !loop_timer_waits(&r->reclaim))
		loop_timer_set(r->config.loop, &r->reclaim, r->published_ns + RECLAIM_NS);
}

// The nodes and the routes, and no address of ours: all packets go on to the kernel.
static void publish_nodes(struct reconcile *r)
{
	struct model bare = *plan_refresh(r->plan, loop_clock_ns());
	const struct forwarding_table *table;
	char why[WHY_MAX];

	bare.n_services = bare.n_sets = bare.n_snat[IPV4] = bare.n_snat[IPV6] = 0;
	if (build_model(r, &bare, &table, why) == 0)
		put_out(r, table);
	else
		log_warning("workers cannot be told who the nodes are before their first checks, "
			    "which may fail in a flood: %s",
			why);
}

// Longer where the operator gives all checks longer, or there are so many that they wait for turns.
static uint64_t patience_ns(const struct reconcile *r)
{
	uint64_t timeout_ns = r->plan->config->check.timeout_ms * NSEC_PER_MSEC;
	uint64_t least_ns = r->config.patience_ns;

	return (timeout_ns > least_ns ? timeout_ns : least_ns) + health_longest_wait_ns(r->health);
}

// Whether first checks still hold up what waits for them, where not all are 'settled'.
static bool hold_up(struct reconcile *r, bool settled, uint64_t now_ns)
{
	if (settled)
		r->unsettled_ns = 0;
	else if (r->unsettled_ns == 0)
		r->unsettled_ns = now_ns;
	return !settled && now_ns < r->unsettled_ns + patience_ns(r);
}

// The table in force has all first verdicts of the plan, but for those that took too long.
static void note_settled(struct reconcile *r, uint64_t now_ns)
{
	if (hold_up(r, r->plan->n_settled == r->plan->n_pools, now_ns))
		return;
	plan_settle(r->plan);
	if (r->settled_generation == 0 && r->plan_generation != 0 && is_whole(r))
		r->settled_generation = r->status.generation;
}

static void publish(struct reconcile *r, const struct forwarding_table *table)
{
	struct reconcile_status *s = &r->status;

	put_out(r, table);
	if (r->plan->learning != NULL)
		learning_ask(r->plan->learning, r->plan);
	if (!is_whole(r)) {
		touch(r);
		return;
	}
	tell_of_rings(r);
	if (r->plan_generation == 0)
		r->plan_generation = table->generation;
	note_settled(r, r->published_ns);
	announce(r);
	if (!s->ready) {
		s->ready = true;
		r->config.ready(r->config.argument);
	}
}

static void build_and_publish(void *argument, uint64_t now_ns)
{
	struct reconcile *r = argument;
	const struct forwarding_table *table;

	if (r->status.n_waiting >= WAITING_MAX) {
		loop_timer_set(r->config.loop, &r->build, now_ns + RECLAIM_NS);
		return;
	}
	int e = build(r, r->plan, &table, r->status.why);
	r->status.failing = e < 0;
	if (e == 0) {
		publish(r, table);
		return;
	}
	log_about("table", LEVEL_ERROR, "a change is not in force yet, the state before it is: %s",
		r->status.why);
	loop_timer_set(r->config.loop, &r->build, now_ns + RETRY_NS);
}

// Nothing is served before every probe has had its first check, unless one takes too long.
static void settle(void *argument, uint64_t now_ns)
{
	struct reconcile *r = argument;
	bool settled = health_is_settled(r->health);

	if (hold_up(r, settled, now_ns)) {
		loop_timer_set(r->config.loop, &r->settle, now_ns + SETTLE_NS);
		return;
	}
	if (!settled)
		log_warning("first checks of nodes are not over after %.3g s, and hold up nothing "
			    "any more: nodes of which nothing is known yet get no flows",
			patience_ns(r) / (double)NSEC_PER_SEC);
	r->started = true;
	build_and_publish(r, now_ns);
}

// What is over

// An id that nothing names counts no more: whoever gets it next begins there.
static bool is_held(const struct traffic *traffic, struct traffic *ret_base)
{
	if (traffic->flows != 0)
		return true;
	*ret_base = *traffic;
	return false;
}

static bool service_held(void *argument, uint32_t id)
{
	struct reconcile *r = argument;
	struct traffic traffic;

	dataplane_read_service(r->config.dp, id, &traffic);
	return is_held(&traffic, &r->service_bases[id]);
}

static bool service_has_flows(void *argument, uint32_t id)
{
	struct reconcile *r = argument;
	struct traffic traffic;

	dataplane_read_service(r->config.dp, id, &traffic);
	return traffic.flows != 0;
}

static bool node_held(void *argument, uint32_t id)
{
	struct reconcile *r = argument;
	struct traffic traffic;

	dataplane_read_node(r->config.dp, (node_id)id, &traffic);
	return is_held(&traffic, &r->node_bases[id]);
}

static bool is_seen_by_all(const struct reconcile *r, uint64_t generation)
{
	return generation != 0 && r->status.oldest >= generation;
}

bool reconcile_is_in_force(const struct reconcile *r)
{
	return is_seen_by_all(r, r->settled_generation);
}

// A node that leaves. That it has no flow says something only once no worker sees a table by which
// it could get a new one.
static bool leaving_held(void *argument, const struct address *address)
{
	struct reconcile *r = argument;
	node_id id = table_builder_node(r->builder, address);
	struct traffic traffic;

	if (id == NODE_NONE)
		return false; // It never was in a table.
	if (!is_seen_by_all(r, r->plan_generation))
		return true;
	dataplane_read_node(r->config.dp, id, &traffic);
	return traffic.flows != 0;
}

// Gives back what no worker sees any more. Never waits: what is not free yet is asked for again.
static void reclaim(void *argument, uint64_t now_ns)
{
	struct reconcile *r = argument;
	const struct forwarding_table *table;

	while ((table = dataplane_reclaim(r->config.dp)) != NULL) {
		r->status.oldest = table->generation + 1;
		r->status.n_waiting--;
		table_builder_release(r->builder, table);
	}
	if (r->config.kernel != NULL)
		kernel_forget_before(r->config.kernel, r->status.oldest);
	if (r->status.n_waiting > 0)
		loop_timer_set(r->config.loop, &r->reclaim, now_ns + RECLAIM_NS);
}

// Who knows which VIP

static node_id id_of_node(void *argument, const struct address *address)
{
	const struct reconcile *r = argument;

	return table_builder_node(r->builder, address);
}

// Of the node that has the id at one of its addresses.
static struct address address_of_node(void *argument, node_id id, enum family family)
{
	const struct reconcile *r = argument;
	const struct address *known = table_builder_node_address(r->builder, id);

	for (size_t i = 0; known != NULL && i < r->plan->n_nodes; i++) {
		const struct address *addresses = r->plan->names[i].address;

		if (address_equal(&addresses[IPV4], known) ||
			address_equal(&addresses[IPV6], known))
			return addresses[family];
	}
	return (struct address){0};
}

static bool may_ask(void *argument)
{
	const struct reconcile *r = argument;

	return is_seen_by_all(r, r->status.generation);
}

static void learnt(void *argument)
{
	touch(argument);
}

bool reconcile_learn(struct reconcile *r, const char *service, uint64_t since_ns)
{
	size_t i = r->plan == NULL ? SIZE_MAX : plan_find_service(r->plan, service);
	struct vip_probe *probe = i == SIZE_MAX ? NULL : learning_probe(r->plan->learning, i);

	if (probe == NULL)
		return false;
	if (since_ns != UINT64_MAX)
		vip_probe_tell(probe, since_ns);
	return learning_awaits(r->plan->learning, i) || loop_timer_waits(&r->build) ||
		!is_seen_by_all(r, r->status.generation);
}

static struct plan *make_plan(struct reconcile *r, const struct config *config, uint64_t now_ns)
{
	struct plan *plan = plan_create(config, r->plan, r->config.drains, r->health, now_ns);

	if (plan != NULL && plan_learn(plan, r->prober, id_of_node, r) < 0) {
		plan_destroy(plan, r->health);
		return NULL;
	}
	return plan;
}

static void take_plan(struct reconcile *r, struct plan *plan)
{
	plan_destroy(r->plan, r->health);
	r->plan = plan;
	health_limit(r->health, plan->config->checks_per_s);
	r->plan_generation = r->settled_generation = 0;
	r->n_announced = ANNOUNCED_NOTHING;
}

// Makes the plan anew without what is gone. Out of memory, it is gone all the same.
static void shrink(struct reconcile *r, uint64_t now_ns)
{
	struct plan *plan = make_plan(r, r->plan->config, now_ns);
	if (plan == NULL)
		return;

	take_plan(r, plan);
	touch(r);
}

static void age(void *argument, uint64_t now_ns)
{
	struct reconcile *r = argument;

	loop_timer_set(r->config.loop, &r->age, now_ns + r->config.age_ns);
	if (r->plan == NULL)
		return;
	if (plan_end_leaving(r->plan, leaving_held, r, now_ns))
		shrink(r, now_ns);
	if (plan_drain_ended(r->plan, r->aged_ns, now_ns))
		touch(r);
	// That a first check ran out without a verdict, or takes too long, makes no table.
	if (r->started && r->plan->n_settled < r->plan->n_pools) {
		plan_refresh(r->plan, now_ns);
		note_settled(r, now_ns);
	}
	announce(r);
	table_builder_free_ids(r->builder, service_held, node_held, r);
	if (table_builder_end_flows(r->builder, service_has_flows, r))
		touch(r);
	r->aged_ns = now_ns;
}

// What changes

// That all is well at first is said once for all of them, when the first table is out; and whether
// a node that lives has somebody at its NodePort is nobody's concern.
static bool is_worth_a_line(enum verdict before, enum verdict now)
{
	bool was_alive = before == VERDICT_UP || before == VERDICT_REFUSING;
	bool is_alive = now == VERDICT_UP || now == VERDICT_REFUSING;

	if (before == VERDICT_NONE)
		return now == VERDICT_DOWN;
	return now != before && !(was_alive && is_alive);
}

static void verdict_changed(void *argument, const struct probe *probe, enum verdict before)
{
	struct reconcile *r = argument;

	if (is_worth_a_line(before, probe_verdict(probe)))
		log_verdict(r->plan, probe, loop_clock_ns());
	touch(r);
}

void reconcile_routes_changed(struct reconcile *r)
{
	if (r->config.kernel == NULL || !kernel_routes_changed(r->config.kernel))
		return;

	r->routes_changed = true;
	touch(r);
}

// Has the kernel keep the nodes resolved. Returns 0 or -ENOMEM.
static int want_nodes(struct reconcile *r, uint64_t now_ns)
{
	const struct plan *plan = r->plan;
	size_t n = 0;

	if (r->config.kernel == NULL)
		return 0;

	struct address *addresses = calloc(plan->n_nodes * N_FAMILIES + 1, sizeof(*addresses));
	if (addresses == NULL)
		return -ENOMEM;

	for (size_t i = 0; i < plan->n_nodes * N_FAMILIES; i++) {
		const struct address *a = &plan->names[i / N_FAMILIES].address[i % N_FAMILIES];

		if (!address_is_none(a))
			addresses[n++] = *a;
	}
	int e = kernel_want(r->config.kernel, addresses, n, now_ns);
	free(addresses);
	return e;
}

// Takes 'plan' with its table, or destroys it: a plan without a table would keep every later change
// from coming out.
static int put_in_force(struct reconcile *r, struct plan *plan, char ret_why[WHY_MAX])
{
	const struct forwarding_table *table;

	int e = build(r, plan, &table, ret_why);
	if (e < 0) {
		plan_destroy(plan, r->health);
		return e;
	}
	loop_timer_cancel(r->config.loop, &r->build);
	take_plan(r, plan);
	r->status.failing = false;
	publish(r, table);
	return 0;
}

static int want(
	struct reconcile *r, const struct config *config, uint64_t now_ns, char ret_why[WHY_MAX])
{
	if (r->status.n_waiting >= WAITING_WITH_RELOADS_MAX) {
		snprintf(ret_why, WHY_MAX, "%zu tables wait for workers that hang",
			r->status.n_waiting);
		return -EBUSY;
	}

	struct plan *plan = make_plan(r, config, now_ns);
	if (plan == NULL) {
		snprintf(ret_why, WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	if (r->started)
		return put_in_force(r, plan, ret_why);
	take_plan(r, plan);
	publish_nodes(r); // Its checks begin with the next step of the loop.
	loop_timer_set(r->config.loop, &r->settle, now_ns);
	return 0;
}

int reconcile_want(struct reconcile *r, const struct config *config, char ret_why[WHY_MAX])
{
	uint64_t now_ns = loop_clock_ns();

	int e = want(r, config, now_ns, ret_why);
	if (e < 0)
		return e;
	if (want_nodes(r, now_ns) < 0)
		log_error("the kernel is not asked to keep nodes resolved: out of memory");
	return 0;
}

// The nodes of that name that are not drained, or are, be so from now on. Returns false if all
// were.
static bool set_drained(struct reconcile *r, const char *node, bool drained, uint64_t now_ns)
{
	const size_t *nodes;
	size_t n = r->plan == NULL ? 0 : plan_find_nodes(r->plan, node, &nodes);
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		if (r->plan->nodes[nodes[i]].drained == drained)
			continue;
		plan_set_drained(r->plan, nodes[i], drained, now_ns);
		changed = true;
	}
	return changed;
}

static bool has_node(const struct reconcile *r, const char *node)
{
	const size_t *nodes;

	return r->plan != NULL && plan_find_nodes(r->plan, node, &nodes) > 0;
}

int reconcile_drain(struct reconcile *r, const char *node)
{
	uint64_t now_ns = loop_clock_ns();

	if (!has_node(r, node))
		return -ENOENT;

	int e = drains_put(r->config.drains, node, now_ns);
	if (e < 0 || !set_drained(r, node, true, now_ns))
		return e;

	log_info("node %s drains: it takes no new flows and keeps the old", node);
	touch(r);
	return 0;
}

int reconcile_undrain(struct reconcile *r, const char *node)
{
	uint64_t since_ns;

	if (!has_node(r, node) && !drains_has(r->config.drains, node, &since_ns))
		return -ENOENT;

	int e = drains_remove(r->config.drains, node);
	if (e < 0 || !set_drained(r, node, false, 0))
		return e;

	log_info("node %s drains no more: it takes new flows again", node);
	touch(r);
	return 0;
}

// What is counted

// Flows are a gauge: those there are are its own.
static void subtract(struct traffic *traffic, const struct traffic *base)
{
	traffic->packets_in -= base->packets_in;
	traffic->bytes_in -= base->bytes_in;
	traffic->packets_out -= base->packets_out;
	traffic->bytes_out -= base->bytes_out;
	traffic->flows_created -= base->flows_created;
}

static void add(struct traffic *sum, const struct traffic *traffic)
{
	sum->packets_in += traffic->packets_in;
	sum->bytes_in += traffic->bytes_in;
	sum->packets_out += traffic->packets_out;
	sum->bytes_out += traffic->bytes_out;
	sum->flows_created += traffic->flows_created;
	sum->flows += traffic->flows;
}

void reconcile_read_service(
	const struct reconcile *r, const struct model_service *service, struct traffic *ret_traffic)
{
	service_id id = table_builder_service(r->builder, service);

	*ret_traffic = (struct traffic){0};
	if (id == SERVICE_NONE)
		return;
	dataplane_read_service(r->config.dp, id, ret_traffic);
	subtract(ret_traffic, &r->service_bases[id]);
}

void reconcile_read_node(
	const struct reconcile *r, const struct model_node *node, struct traffic *ret_traffic)
{
	*ret_traffic = (struct traffic){0};
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		node_id id = table_builder_node(r->builder, &node->address[family]);
		struct traffic traffic;

		if (id == NODE_NONE)
			continue;
		dataplane_read_node(r->config.dp, id, &traffic);
		subtract(&traffic, &r->node_bases[id]);
		add(ret_traffic, &traffic);
	}
}

// Life

void reconcile_read_status(const struct reconcile *r, struct reconcile_status *ret_status)
{
	*ret_status = r->status;
}

void reconcile_refresh(struct reconcile *r)
{
	plan_refresh(r->plan, loop_clock_ns());
}

const struct plan *reconcile_plan(const struct reconcile *r)
{
	return r->plan;
}

const struct table_builder *reconcile_builder(const struct reconcile *r)
{
	return r->builder;
}

const struct health *reconcile_health(const struct reconcile *r)
{
	return r->health;
}

const struct vip_prober *reconcile_prober(const struct reconcile *r)
{
	return r->prober;
}

static struct vip_prober *create_prober(struct reconcile *r)
{
	struct vip_prober_config config = {
		.loop = r->config.loop,
		.ports = r->config.ports,
		.n_ports = r->config.n_ports,
		.address_of = address_of_node,
		.may_ask = may_ask,
		.learnt = learnt,
		.argument = r,
	};

	return vip_prober_create(&config);
}

static struct loop_timer timer(struct reconcile *r, const char *name, loop_timer_fn *fn)
{
	return (struct loop_timer){.name = name, .fn = fn, .argument = r};
}

int reconcile_create(const struct reconcile_config *config, struct reconcile **ret_reconcile)
{
	int e = -ENOMEM;

	struct reconcile *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return e;

	r->config = *config;
	if (r->config.age_ns == 0)
		r->config.age_ns = AGE_NS;
	if (r->config.patience_ns == 0)
		r->config.patience_ns = PATIENCE_NS;
	r->routes_changed = config->kernel != NULL;
	r->aged_ns = loop_clock_ns();
	r->settle = timer(r, "wait for first verdicts", settle);
	r->build = timer(r, "build a table", build_and_publish);
	r->reclaim = timer(r, "reclaim tables", reclaim);
	r->age = timer(r, "end drains", age);
	r->service_bases = calloc(config->services_max + 1, sizeof(*r->service_bases));
	r->node_bases = calloc(config->nodes_max + 1, sizeof(*r->node_bases));
	r->prober = create_prober(r);
	if (r->service_bases == NULL || r->node_bases == NULL || r->prober == NULL)
		goto fail;
	e = table_builder_create(config->services_max, config->nodes_max, &r->builder);
	if (e < 0)
		goto fail;
	e = health_create(config->loop, verdict_changed, r, &r->health);
	if (e < 0)
		goto fail;

	loop_timer_set(config->loop, &r->age, r->aged_ns + r->config.age_ns);
	*ret_reconcile = r;
	return 0;

fail:
	reconcile_destroy(r);
	return e;
}

void reconcile_destroy(struct reconcile *r)
{
	if (r == NULL)
		return;

	loop_timer_cancel(r->config.loop, &r->settle);
	loop_timer_cancel(r->config.loop, &r->build);
	loop_timer_cancel(r->config.loop, &r->reclaim);
	loop_timer_cancel(r->config.loop, &r->age);
	plan_destroy(r->plan, r->health);
	health_destroy(r->health);
	vip_prober_destroy(r->prober);
	table_builder_destroy(r->builder);
	free(r->service_bases);
	free(r->node_bases);
	free(r);
}
