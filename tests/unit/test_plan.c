#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>

#include "canned_server.h"
#include "clock.h"
#include "intent.h"
#include "mute.h"
#include "plan.h"

#define SECONDS NSEC_PER_SEC

struct place {
	struct scratch scratch;
	struct loop *loop;
	struct health *health;
	struct config *configs[4]; // Freed at the end.
	size_t n_configs;
	struct plan *plan;
};

static void ignore(void *, const struct probe *, enum verdict)
{
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	if (scratch_open(&p->scratch) < 0 || loop_create(&p->loop) < 0)
		return -1;
	return health_create(p->loop, ignore, NULL, &p->health);
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	plan_destroy(p->plan, p->health);
	health_destroy(p->health);
	loop_destroy(p->loop);
	for (size_t i = 0; i < p->n_configs; i++)
		free_config(p->configs[i]);
	int r = scratch_close(&p->scratch);
	free(p);
	return r;
}

static struct config *configure(struct place *p, const char *nodes)
{
	return p->configs[p->n_configs++] = config_of(nodes);
}

// Makes the plan anew, as a reload does.
static void plan(struct place *p, const struct config *config, uint64_t now_ns)
{
	struct plan *made = plan_create(config, p->plan, p->scratch.drains, p->health, now_ns);

	assert_non_null(made);
	plan_destroy(p->plan, p->health);
	p->plan = made;
}

// The service's nodes in words, sorted by name: "a:up c:draining".
static const char *nodes_of(const struct place *p, const char *service, uint64_t now_ns)
{
	static char text[256];
	static const char *const words[] = {
		[TARGET_UP] = "up", [TARGET_DRAINING] = "draining", [TARGET_DOWN] = "down"};
	const struct model *model = plan_refresh(p->plan, now_ns);
	size_t i = plan_find_service(p->plan, service);
	const struct model_set *set = &model->sets[model->services[i].set];
	size_t len = 0;

	text[0] = '\0';
	for (char name = 'a'; name <= 'z'; name++) {
		for (size_t j = 0; j < set->n_targets; j++) {
			const struct model_target *t = &set->targets[j];

			if (model->nodes[t->node].name[0] == name)
				len += (size_t)sprintf(text + len, "%s%c:%s", len > 0 ? " " : "",
					name, words[t->state]);
		}
	}
	return text;
}

// The configured one comes first.
static size_t find_node(const struct place *p, const char *name)
{
	const size_t *nodes;

	return plan_find_nodes(p->plan, name, &nodes) == 0 ? SIZE_MAX : nodes[0];
}

static bool held(void *, const struct address *)
{
	return true;
}

static bool not_held(void *, const struct address *)
{
	return false;
}

static void a_service_may_weigh_its_nodes_for_itself(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	const uint32_t weights[] = {3, 1}, others[] = {1, 3}, same[] = {3, 1};

	add_service(config, "plain", "ab");
	add_service(config, "weighed", "ab")->weights = weights;
	add_service(config, "otherwise", "ab")->weights = others;
	add_service(config, "likewise", "ab")->weights = same;
	plan(p, config, 0);

	const struct model *model = plan_refresh(p->plan, 0);
	assert_int_equal(p->plan->n_pools, 3);
	assert_int_equal(p->plan->pool_of[1], p->plan->pool_of[3]);
	assert_int_equal(model->sets[p->plan->pool_of[0]].targets[0].weight, 1);
	assert_int_equal(model->sets[p->plan->pool_of[1]].targets[0].weight, 3);
	assert_int_equal(model->sets[p->plan->pool_of[1]].targets[1].weight, 1);
	assert_int_equal(model->sets[p->plan->pool_of[2]].targets[0].weight, 1);
}

static void give_up(void *argument, uint64_t)
{
	loop_stop(argument);
}

// The probes' turn.
static void run_for(struct place *p, uint64_t ms)
{
	struct loop_timer patience = {.name = "patience", .fn = give_up, .argument = p->loop};

	loop_timer_set(p->loop, &patience, loop_clock_ns() + ms * NSEC_PER_MSEC);
	assert_int_equal(loop_run(p->loop), 0);
}

static void check(struct service_config *service, enum check_kind kind, uint16_t port)
{
	service->check = (struct check_config){.kind = kind,
		.port = port,
		.path = "/healthz",
		.service = "shop/web",
		.interval_ms = 50,
		.timeout_ms = 1000,
		.rise = 1,
		.fall = 1};
}

static void a_weight_that_a_node_gives_itself_wins(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	const uint32_t weights[] = {2, 2};
	struct service_config *service = add_service(config, "web", "ab");
	struct canned_server server;

	assert_int_equal(canned_server_start(&server, &config->nodes[0].address[IPV4], 0,
				 "200 OK\r\nX-Load-Balancing-Endpoint-Weight: 7",
				 "{\"service\": {\"namespace\": \"shop\", \"name\": \"web\"}}"),
		0);
	service->weights = weights;
	check(service, CHECK_SERVICE, server.port);
	plan(p, config, 0);
	run_for(p, 200);
	canned_server_stop(&server);

	const struct model *model = plan_refresh(p->plan, 0);
	assert_string_equal(nodes_of(p, "web", 0), "a:up b:down");
	assert_int_equal(model->sets[0].targets[0].weight, 7);
	assert_int_equal(model->sets[0].targets[1].weight, 2);
}

// What is known already of a node, before the plan asks. To be released.
static struct probe *know(struct place *p, const struct address *address, enum check_kind kind,
	uint16_t port, enum verdict verdict)
{
	struct service_config service;

	check(&service, kind, port);
	struct probe_config config = {.address = *address, .port = port, .check = service.check};
	struct probe *probe = health_acquire(p->health, &config, verdict);

	assert_non_null(probe);
	return probe;
}

static const struct fallback_case {
	const char *name;
	enum verdict first;
	enum verdict fallback;
	const char *want;
} fallback_cases[] = {
	{"a connection is made", VERDICT_DOWN, VERDICT_UP, "a:up"},
	{"a connection is refused", VERDICT_DOWN, VERDICT_REFUSING, "a:up"},
	{"a connection stays silent", VERDICT_DOWN, VERDICT_DOWN, "a:down"},
	{"kube-proxy had no time to answer yet", VERDICT_NONE, VERDICT_UP, "a:down"},
};

static void where_kube_proxy_never_answered_a_node_port_decides(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a");
	const struct address *a = &config->nodes[0].address[IPV4];
	struct service_config *service = add_service(config, "web", "a");

	check(service, CHECK_KUBE_PROXY, 10256);
	service->check.fallback_port = 30080;
	for (size_t i = 0; i < sizeof(fallback_cases) / sizeof(fallback_cases[0]); i++) {
		const struct fallback_case *c = &fallback_cases[i];
		struct probe *first = know(p, a, CHECK_KUBE_PROXY, 10256, c->first);
		struct probe *fallback = know(p, a, CHECK_NODE_PORT, 30080, c->fallback);

		plan(p, config, 0);
		if (strcmp(nodes_of(p, "web", 0), c->want) != 0)
			fail_msg("%s: %s", c->name, nodes_of(p, "web", 0));
		health_release(p->health, first);
		health_release(p->health, fallback);
		plan_destroy(p->plan, p->health);
		p->plan = NULL;
	}
}

static void where_kube_proxy_answered_it_decides_whatever_a_node_port_does(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b c");
	const struct node_config *nodes = config->nodes;
	struct service_config *service = add_service(config, "web", "abc");
	struct canned_server well, unwell, pod;
	struct mute mute = {.listener = -1};

	// Of c nothing answers at either port.
	assert_int_equal(canned_server_start(&well, &nodes[0].address[IPV4], 0, "200 OK", "{}"), 0);
	assert_int_equal(canned_server_start(&unwell, &nodes[1].address[IPV4], well.port,
				 "503 Service Unavailable", "{\"healthy\": false}"),
		0);
	assert_int_equal(mute_start(&mute, &nodes[0].address[IPV4]), 0);
	assert_int_equal(
		canned_server_start(&pod, &nodes[1].address[IPV4], mute.port, "200 OK", ""), 0);
	check(service, CHECK_KUBE_PROXY, well.port);
	service->check.fallback_port = mute.port;
	service->check.timeout_ms = 50;
	plan(p, config, 0);
	run_for(p, 400);

	assert_string_equal(nodes_of(p, "web", 0), "a:up b:down c:down");
	assert_int_equal(plan_count_silent(p->plan), 1);
	mute_stop(&mute);
	canned_server_stop(&well);
	canned_server_stop(&unwell);
	canned_server_stop(&pod);
}

static void a_kube_proxy_that_answered_once_is_asked_on_after_a_reload(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a");
	struct config *slower = configure(p, "a");
	struct canned_server server;

	assert_int_equal(canned_server_start(&server, &config->nodes[0].address[IPV4], 0,
				 "503 Service Unavailable", "{\"nodeEligible\": false}"),
		0);
	check(add_service(config, "web", "a"), CHECK_KUBE_PROXY, server.port);
	check(add_service(slower, "web", "a"), CHECK_KUBE_PROXY, server.port);
	config->services[0]->check.fallback_port = slower->services[0]->check.fallback_port = 1;
	slower->services[0]->check.interval_ms = 2000;
	plan(p, config, 0);
	run_for(p, 200);
	canned_server_stop(&server);

	assert_string_equal(nodes_of(p, "web", 0), "a:draining");
	plan(p, slower, 0);
	assert_string_equal(nodes_of(p, "web", 0), "a:draining");
}

static void a_service_whose_port_answers_in_one_family_is_asked_in_that(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	struct address *b6 = &config->nodes[1].address[IPV6];
	struct service_config *service = add_service(config, "web", "ab");

	b6->bytes[15] = 1; // ::1; the other has none of this family.
	check(service, CHECK_SERVICE, 31000);
	service->check.fallback_port = 31000;
	struct probe *known[] = {
		know(p, &config->nodes[0].address[IPV4], CHECK_SERVICE, 31000, VERDICT_DOWN),
		know(p, &config->nodes[1].address[IPV4], CHECK_SERVICE, 31000, VERDICT_DOWN),
		know(p, b6, CHECK_SERVICE, 31000, VERDICT_UP),
	};
	plan(p, config, 0);

	assert_string_equal(nodes_of(p, "web", 0), "a:down b:up");
	for (size_t i = 0; i < 3; i++)
		health_release(p->health, known[i]);
}

static const struct reserve_case {
	const char *name;
	enum verdict other;   // Of a,
	enum verdict reserve; // and of b.
	const char *want;
} reserve_cases[] = {
	{"another is up", VERDICT_UP, VERDICT_UP, "a:up b:draining"},
	{"the other is not known yet", VERDICT_NONE, VERDICT_UP, "a:down b:up"},
	{"the other has no endpoint ready yet", VERDICT_DRAINING, VERDICT_DRAINING,
		"a:draining b:up"},
	{"the other is down", VERDICT_DOWN, VERDICT_DRAINING, "a:down b:up"},
	{"both are down", VERDICT_DOWN, VERDICT_DOWN, "a:down b:down"},
};

static void a_reserve_takes_new_flows_while_no_other_node_can(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	const bool reserves[] = {false, true};
	struct service_config *service = add_service(config, "web", "ab");

	service->reserves = reserves;
	check(service, CHECK_SERVICE, 31000);
	for (size_t i = 0; i < sizeof(reserve_cases) / sizeof(reserve_cases[0]); i++) {
		const struct reserve_case *c = &reserve_cases[i];
		struct probe *a =
			know(p, &config->nodes[0].address[IPV4], CHECK_SERVICE, 31000, c->other);
		struct probe *b =
			know(p, &config->nodes[1].address[IPV4], CHECK_SERVICE, 31000, c->reserve);

		plan(p, config, 0);
		if (strcmp(nodes_of(p, "web", 0), c->want) != 0)
			fail_msg("%s: %s", c->name, nodes_of(p, "web", 0));
		health_release(p->health, a);
		health_release(p->health, b);
		plan_destroy(p->plan, p->health);
		p->plan = NULL;
	}
}

static void a_node_that_is_off_is_down_at_once_and_stays_so_when_it_leaves(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	struct config *off = configure(p, "a b");
	struct config *gone = configure(p, "a");

	add_service(config, "web", "ab");
	add_service(off, "web", "ab")->fail_open = true;
	add_service(gone, "web", "a");
	off->nodes[1].is_out = true;
	plan(p, config, 0);
	assert_string_equal(nodes_of(p, "web", 0), "a:up b:up");
	plan(p, off, 0);
	assert_string_equal(nodes_of(p, "web", 0), "a:up b:down");
	assert_int_equal(p->plan->model.sets[0].targets[1].weight, 0);
	plan(p, gone, 0);
	assert_string_equal(nodes_of(p, "web", 0), "a:up b:down");
}

static void services_with_other_reserves_have_other_pools(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	const bool one[] = {false, true}, same[] = {false, true}, other[] = {true, false};

	add_service(config, "plain", "ab");
	add_service(config, "one", "ab")->reserves = one;
	add_service(config, "same", "ab")->reserves = same;
	add_service(config, "other", "ab")->reserves = other;
	plan(p, config, 0);
	assert_int_equal(p->plan->n_pools, 3);
	assert_int_equal(p->plan->pool_of[1], p->plan->pool_of[2]);
}

static void services_with_the_same_nodes_and_checks_share_a_pool(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b c");
	struct health_status status;

	add_service(config, "one", "abc")->check.kind = CHECK_TCP;
	add_service(config, "two", "abc")->check.kind = CHECK_TCP;
	add_service(config, "other-nodes", "ab")->check.kind = CHECK_TCP;
	add_service(config, "unchecked", "abc");
	add_service(config, "open", "abc")->fail_open = true;
	for (size_t i = 0; i < 3; i++)
		config->services[i]->check.port = 10256;
	plan(p, config, 0);

	assert_int_equal(p->plan->n_pools, 4);
	assert_int_equal(p->plan->pool_of[0], p->plan->pool_of[1]);
	assert_int_equal(p->plan->pools[p->plan->pool_of[0]].n_services, 2);
	health_read_status(p->health, &status);
	assert_int_equal(status.n_probes, 3); // Of three nodes, whoever asks.
}

// A thousand that come one after the other are not a thousand pools.
static void a_service_that_comes_later_joins_the_pool_of_those_there(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b c"), *config = configure(p, "a b c");

	add_service(before, "one", "abc")->check.kind = CHECK_TCP;
	add_service(config, "one", "abc")->check.kind = CHECK_TCP;
	add_service(config, "two", "abc")->check.kind = CHECK_TCP;
	before->services[0]->check.port = 10256;
	config->services[0]->check.port = config->services[1]->check.port = 10256;
	plan(p, before, 0);
	plan(p, config, 0);

	assert_int_equal(p->plan->n_pools, 1);
}

static void while_a_node_leaves_the_others_of_its_pool_a_new_service_has_its_own(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b"), *leaves = configure(p, "b"),
		      *comes = configure(p, "b"), *later = configure(p, "b");

	add_service(before, "one", "ab");
	add_service(leaves, "one", "b");
	add_service(comes, "one", "b");
	add_service(comes, "two", "b");
	add_service(later, "one", "b");
	add_service(later, "two", "b");
	plan(p, before, 0);
	plan(p, leaves, 0);
	plan(p, comes, 0);
	assert_string_equal(nodes_of(p, "one", 1), "a:draining b:up");
	assert_string_equal(nodes_of(p, "two", 1), "b:up");

	plan_end_leaving(p->plan, not_held, NULL, 2);
	plan(p, later, 2); // Without it,
	plan(p, later, 2); // they are one again.
	assert_string_equal(nodes_of(p, "one", 2), "b:up");
	assert_int_equal(p->plan->n_pools, 1);
}

static void a_check_without_a_port_asks_the_services_own_node_port(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a");

	add_service(config, "one", "a")->check.kind = CHECK_TCP;
	add_service(config, "two", "a")->check.kind = CHECK_TCP;
	plan(p, config, 0);

	assert_int_equal(p->plan->n_pools, 2);
	const struct member *member = &p->plan->pools[p->plan->pool_of[1]].members[0];
	assert_int_equal(probe_config_of(member->probe)->port, 30082);
}

static void a_node_removed_drains_while_flows_hold_it_and_is_then_gone(void **state)
{
	struct place *p = *state;
	struct config *three = configure(p, "a b c");
	struct config *two = configure(p, "a c");

	add_service(three, "web", "abc");
	add_service(two, "web", "ac");
	plan(p, three, 0);
	plan(p, two, 1 * SECONDS);
	assert_string_equal(nodes_of(p, "web", 2 * SECONDS), "a:up b:draining c:up");

	assert_false(plan_end_leaving(p->plan, held, NULL, 2 * SECONDS));
	assert_true(plan_end_leaving(p->plan, not_held, NULL, 3 * SECONDS));
	assert_string_equal(nodes_of(p, "web", 3 * SECONDS), "a:up c:up");
	assert_int_equal(p->plan->model.n_nodes, 3);

	plan(p, two, 3 * SECONDS);
	assert_int_equal(p->plan->model.n_nodes, 2);
	assert_int_equal(find_node(p, "b"), SIZE_MAX);
}

static void a_node_that_one_service_gives_up_is_gone_from_it_alone(void **state)
{
	struct place *p = *state;
	struct config *both = configure(p, "a b");
	struct config *one = configure(p, "a b");

	add_service(both, "web", "ab");
	add_service(both, "dns", "ab")->check.kind = CHECK_TCP;
	add_service(one, "web", "a");
	add_service(one, "dns", "ab")->check.kind = CHECK_TCP;
	plan(p, both, 0);
	plan(p, one, 1 * SECONDS);
	plan(p, one, 2 * SECONDS);
	assert_string_equal(nodes_of(p, "web", 2 * SECONDS), "a:up b:draining");
	assert_true(plan_end_leaving(p->plan, not_held, NULL, 3 * SECONDS));

	plan(p, one, 3 * SECONDS);
	assert_string_equal(nodes_of(p, "web", 3 * SECONDS), "a:up");
	assert_int_equal(p->plan->pools[p->plan->pool_of[0]].n_members, 1);
	assert_int_equal(p->plan->pools[p->plan->pool_of[1]].n_members, 2);
}

static void a_node_has_the_weight_that_it_was_given_last(void **state)
{
	struct place *p = *state;
	struct config *light = configure(p, "a b");
	struct config *heavy = configure(p, "a b");

	add_service(light, "web", "ab");
	add_service(heavy, "web", "ab");
	heavy->nodes[1].weight = 7;
	plan(p, light, 0);
	plan(p, heavy, 1 * SECONDS);
	assert_int_equal(plan_refresh(p->plan, 2 * SECONDS)->sets[0].targets[1].weight, 7);
}

static void a_node_removed_is_gone_after_the_drain_time_whatever_holds_it(void **state)
{
	struct place *p = *state;
	struct config *two = configure(p, "a b");
	struct config *one = configure(p, "a");

	add_service(two, "web", "ab");
	add_service(one, "web", "a");
	plan(p, two, 0);
	plan(p, one, 10 * SECONDS);
	plan(p, one, 30 * SECONDS); // Another reload does not start its time anew.
	assert_string_equal(nodes_of(p, "web", 69 * SECONDS), "a:up b:draining");
	assert_string_equal(nodes_of(p, "web", 70 * SECONDS), "a:up");
	assert_true(plan_end_leaving(p->plan, held, NULL, 70 * SECONDS));
}

static void a_drain_time_of_zero_is_for_ever(void **state)
{
	struct place *p = *state;
	struct config *two = configure(p, "a b");
	struct config *one = configure(p, "a");

	add_service(two, "web", "ab");
	add_service(one, "web", "a");
	one->drain_s = 0;
	plan(p, two, 0);
	plan(p, one, 1 * SECONDS);
	assert_false(plan_end_leaving(p->plan, held, NULL, 1000000 * SECONDS));
	assert_string_equal(nodes_of(p, "web", 1000000 * SECONDS), "a:up b:draining");
}

static void a_node_put_back_while_it_leaves_is_as_if_it_never_left(void **state)
{
	struct place *p = *state;
	struct config *two = configure(p, "a b");
	struct config *one = configure(p, "a");

	add_service(two, "web", "ab");
	add_service(one, "web", "a");
	plan(p, two, 0);
	plan(p, one, 1 * SECONDS);
	plan(p, two, 2 * SECONDS);
	assert_string_equal(nodes_of(p, "web", 100 * SECONDS), "a:up b:up");
	assert_int_equal(p->plan->pools[0].n_leaving, 0);
}

static void a_node_that_one_service_loses_stays_with_the_others(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "a b");

	add_service(before, "web", "ab");
	add_service(before, "dns", "ab");
	add_service(after, "web", "a");
	add_service(after, "dns", "ab");
	plan(p, before, 0);
	plan(p, after, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up b:draining");
	assert_string_equal(nodes_of(p, "dns", 1), "a:up b:up");
}

static void a_node_that_left_with_its_last_service_is_not_kept(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "a");

	add_service(before, "web", "a");
	add_service(before, "dns", "b");
	add_service(after, "web", "a");
	plan(p, before, 0);
	plan(p, after, 0);
	assert_int_equal(p->plan->model.n_nodes, 1);
}

static void a_new_check_inherits_the_nodes_verdict_and_a_new_node_has_none(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a");
	struct config *after = configure(p, "a b");

	add_service(before, "web", "a");
	add_service(after, "web", "ab")->check = (struct check_config){
		.kind = CHECK_TCP, .interval_ms = 1000, .timeout_ms = 1000, .rise = 1, .fall = 1};
	plan(p, before, 0);
	plan(p, after, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up b:down");
}

static void a_check_that_changes_is_the_one_that_is_made(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a");
	struct check_config check = {
		.kind = CHECK_TCP, .interval_ms = 1000, .timeout_ms = 1000, .rise = 1, .fall = 1};

	add_service(before, "web", "a")->check = check;
	plan(p, before, 0);
	const struct probe *probe = p->plan->pools[0].members[0].probe;

	struct config *same = p->configs[p->n_configs++] = copy_of_config(before);
	plan(p, same, 0);
	assert_ptr_equal(p->plan->pools[0].members[0].probe, probe);

	struct config *after = p->configs[p->n_configs++] = copy_of_config(before);
	after->services[0]->check.interval_ms = 2000;
	plan(p, after, 0);
	probe = p->plan->pools[0].members[0].probe;
	assert_int_equal(probe_config_of(probe)->check.interval_ms, 2000);
}

// One more of the file's nodes is the cluster's, too; the service and all nodes are as before.
static void a_service_of_the_cluster_follows_the_clusters_nodes_and_no_other_does(void **state)
{
	static const size_t all[] = {0, 1, 2};
	struct place *p = *state;
	struct config *before = configure(p, "a b c");
	struct config after;

	add_service(before, "file", "ab");
	struct service_config *web = add_service(before, "web", "");
	web->uses_cluster = true;
	before->cluster_nodes[IPV4] = (struct node_indexes){all, 2};
	plan(p, before, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up b:up");

	after = *before;
	after.cluster_nodes[IPV4].n = 3;
	plan(p, &after, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up b:up c:up");
	assert_string_equal(nodes_of(p, "file", 1), "a:up b:up");
	plan(p, before, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up b:up c:draining");
}

static void a_node_at_another_address_leaves_the_old_and_has_no_verdict_at_the_new(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "a b");
	const size_t *nodes;

	add_service(before, "web", "ab");
	add_service(after, "web", "ab")->check = (struct check_config){
		.kind = CHECK_TCP, .interval_ms = 1000, .timeout_ms = 1000, .rise = 1, .fall = 1};
	after->nodes[1].address[IPV4] = address_from_ipv4(htonl(INADDR_LOOPBACK + 77));
	plan(p, before, 0);
	plan(p, after, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up b:down b:draining");

	assert_int_equal(plan_find_nodes(p->plan, "b", &nodes), 2);
	assert_true(p->plan->nodes[nodes[0]].configured);
	assert_false(p->plan->nodes[nodes[1]].configured);
	assert_true(address_equal(
		&p->plan->names[nodes[1]].address[IPV4], &before->nodes[1].address[IPV4]));

	plan(p, before, 2); // Back again: now the new one leaves, and is not up.
	assert_string_equal(nodes_of(p, "web", 3), "a:up b:up b:draining");
}

static void a_node_renamed_is_what_it_was(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "a x");

	add_service(before, "web", "ab");
	add_service(after, "web", "ax")->check.kind = CHECK_TCP; // Inherits the verdict.
	after->nodes[1].address[IPV4] = before->nodes[1].address[IPV4];
	plan(p, before, 0);
	plan(p, after, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up x:up");
	assert_int_equal(p->plan->n_nodes, 2);
}

static void two_nodes_that_change_names_change_nothing_else(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "b a");

	add_service(before, "web", "ab");
	add_service(after, "web", "ab");
	after->nodes[0].address[IPV4] = before->nodes[0].address[IPV4];
	after->nodes[1].address[IPV4] = before->nodes[1].address[IPV4];
	plan(p, before, 0);
	plan(p, after, 0);
	assert_string_equal(nodes_of(p, "web", 1), "a:up b:up");
	assert_int_equal(p->plan->n_nodes, 2);
}

static void of_two_addresses_one_may_leave_alone(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a");
	struct config *after = configure(p, "a");
	struct address old = {.bytes = {0xfd, [15] = 1}};
	struct address new = {.bytes = {0xfd, [15] = 2}};

	before->nodes[0].address[IPV6] = old;
	after->nodes[0].address[IPV6] = new;
	for (size_t i = 0; i < 2; i++) {
		add_service(i == 0 ? before : after, "four", "a");
		add_service(i == 0 ? before : after, "six", "a")->target_family = IPV6;
	}
	plan(p, before, 0);
	plan(p, after, 0);
	assert_string_equal(nodes_of(p, "four", 1), "a:up");
	assert_string_equal(nodes_of(p, "six", 1), "a:up a:draining");
	assert_int_equal(p->plan->n_nodes, 2);
	assert_true(address_equal(&p->plan->names[1].address[IPV6], &old));
	assert_true(address_is_none(&p->plan->names[1].address[IPV4]));
}

static void a_drain_is_of_all_nodes_of_its_name(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "a b");

	add_service(before, "web", "ab");
	add_service(after, "web", "ab");
	after->nodes[1].address[IPV4] = address_from_ipv4(htonl(INADDR_LOOPBACK + 77));
	assert_int_equal(drains_put(p->scratch.drains, "b", 10 * SECONDS), 0);
	plan(p, before, 20 * SECONDS);
	plan(p, after, 30 * SECONDS);
	assert_string_equal(nodes_of(p, "web", 69 * SECONDS), "a:up b:draining b:draining");
	assert_string_equal(nodes_of(p, "web", 70 * SECONDS), "a:up");
}

static void a_drained_node_drains_until_its_time_is_over_or_it_is_undrained(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");

	add_service(config, "web", "ab");
	assert_int_equal(drains_put(p->scratch.drains, "b", 10 * SECONDS), 0);
	plan(p, config, 20 * SECONDS);
	assert_string_equal(nodes_of(p, "web", 20 * SECONDS), "a:up b:draining");
	assert_string_equal(nodes_of(p, "web", 70 * SECONDS), "a:up");
	assert_false(plan_drain_ended(p->plan, 68 * SECONDS, 69 * SECONDS));
	assert_true(plan_drain_ended(p->plan, 69 * SECONDS, 70 * SECONDS));

	plan_set_drained(p->plan, find_node(p, "b"), false, 0);
	assert_string_equal(nodes_of(p, "web", 71 * SECONDS), "a:up b:up");
}

static uint32_t weight_of(const struct place *p, const char *node)
{
	const struct model *model = plan_refresh(p->plan, 1);

	for (size_t i = 0; i < model->sets[0].n_targets; i++) {
		const struct model_target *t = &model->sets[0].targets[i];

		if (strcmp(model->nodes[t->node].name, node) == 0)
			return t->weight;
	}
	fail_msg("%s is no target", node);
	return 0;
}

// A service that uses all of its nodes when they are down has no use for these.
static void nodes_down_that_drain_or_leave_have_no_weight(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b c");
	struct config *after = configure(p, "a b");

	add_service(before, "web", "abc")->check.kind = CHECK_TCP; // Not answered yet.
	add_service(after, "web", "ab")->check.kind = CHECK_TCP;
	assert_int_equal(drains_put(p->scratch.drains, "b", 0), 0);
	plan(p, before, 0);
	plan(p, after, 0);

	assert_string_equal(nodes_of(p, "web", 1), "a:down b:down c:down");
	assert_int_equal(weight_of(p, "a"), 1);
	assert_int_equal(weight_of(p, "b"), 0);
	assert_int_equal(weight_of(p, "c"), 0);
}

static void each_address_is_announced_once_and_quiet_ones_are_not(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a");
	struct address *addresses;
	size_t n;

	add_service(config, "web", "a");
	add_service(config, "tls", "a"); // Of the same VIP.
	struct service_config *quiet = add_service(config, "quiet", "a");
	quiet->vip = address_from_ipv4(htonl(0xc0000251));
	quiet->announce = false;
	config->snat[IPV4][0] = address_from_ipv4(htonl(0xc00002fe));
	config->n_snat[IPV4] = 1;
	plan(p, config, 0);

	assert_int_equal(plan_announced(p->plan, &addresses, &n), 0);
	assert_int_equal(n, 2);
	assert_true(address_equal(&addresses[0], &config->services[0]->vip));
	assert_true(address_equal(&addresses[1], &config->snat[IPV4][0]));
	free(addresses);
	assert_false(p->plan->model.snat_is_shared);

	strcpy(config->snat_twin, "gw0"); // The kernel announces its own.
	plan(p, config, 0);
	assert_int_equal(plan_announced(p->plan, &addresses, &n), 0);
	assert_int_equal(n, 1);
	assert_true(address_equal(&addresses[0], &config->services[0]->vip));
	free(addresses);
	assert_true(p->plan->model.snat_is_shared);
}

static void stop(void *argument, uint64_t)
{
	loop_stop(argument);
}

static size_t n_announced(struct place *p)
{
	struct address *addresses;
	size_t n;

	plan_refresh(p->plan, 1);
	assert_int_equal(plan_announced(p->plan, &addresses, &n), 0);
	free(addresses);
	return n;
}

static void let_checks_end(struct place *p)
{
	struct loop_timer patience = {.name = "patience", .fn = stop, .argument = p->loop};

	for (int i = 0; i < 50 && !health_is_settled(p->health); i++) {
		loop_timer_set(p->loop, &patience, loop_clock_ns() + 20 * NSEC_PER_MSEC);
		assert_int_equal(loop_run(p->loop), 0);
	}
	assert_true(health_is_settled(p->health));
}

// Nobody listens there: the first check has its end at once.
static const struct check_config quick_check = {.kind = CHECK_TCP,
	.port = 1,
	.interval_ms = 60000,
	.timeout_ms = 1000,
	.rise = 1,
	.fall = 1};

static void a_new_services_vip_is_announced_when_each_node_had_its_first_check(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "a b");
	struct service_config *dns;

	add_service(before, "web", "ab");
	add_service(after, "web", "ab");
	dns = add_service(after, "dns", "ab");
	dns->vip = address_from_ipv4(htonl(0xc0000251));
	dns->check = quick_check;
	plan(p, before, 0);
	assert_int_equal(n_announced(p), 1);
	plan(p, after, 0);
	assert_int_equal(n_announced(p), 1);
	let_checks_end(p);
	assert_int_equal(n_announced(p), 2);
}

// Announcing it again would be no news, and forgetting it a loss.
static void a_node_that_joins_a_service_does_not_take_its_vip_back(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b");
	struct config *after = configure(p, "a b");

	add_service(before, "web", "a")->check = quick_check;
	add_service(after, "web", "ab")->check = quick_check;
	plan(p, before, 0);
	assert_int_equal(n_announced(p), 0);
	plan(p, before, 0); // A reload meanwhile is no reason either.
	assert_int_equal(n_announced(p), 0);
	let_checks_end(p);
	assert_int_equal(n_announced(p), 1);
	plan(p, after, 0);
	assert_false(health_is_settled(p->health));
	assert_int_equal(n_announced(p), 1);
}

static void drains_are_kept_over_a_restart(void **state)
{
	struct place *p = *state;
	uint64_t since_ns;

	assert_int_equal(drains_put(p->scratch.drains, "a", 1), 0);
	assert_int_equal(drains_put(p->scratch.drains, "b", 2), 0);
	assert_int_equal(drains_put(p->scratch.drains, "c", 3), 0);
	assert_int_equal(drains_remove(p->scratch.drains, "b"), 0);
	drains_close(p->scratch.drains);
	p->scratch.drains = NULL;

	assert_int_equal(drains_open(p->scratch.directory, 100, &p->scratch.drains), 0);
	assert_int_equal(drains_count(p->scratch.drains), 2);
	assert_true(drains_has(p->scratch.drains, "c", &since_ns));
	assert_int_equal(since_ns, 100);
	assert_false(drains_has(p->scratch.drains, "b", &since_ns));
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_service_may_weigh_its_nodes_for_itself),
		IN_PLACE(a_weight_that_a_node_gives_itself_wins),
		IN_PLACE(where_kube_proxy_never_answered_a_node_port_decides),
		IN_PLACE(where_kube_proxy_answered_it_decides_whatever_a_node_port_does),
		IN_PLACE(a_kube_proxy_that_answered_once_is_asked_on_after_a_reload),
		IN_PLACE(a_service_whose_port_answers_in_one_family_is_asked_in_that),
		IN_PLACE(a_reserve_takes_new_flows_while_no_other_node_can),
		IN_PLACE(a_node_that_is_off_is_down_at_once_and_stays_so_when_it_leaves),
		IN_PLACE(services_with_other_reserves_have_other_pools),
		IN_PLACE(services_with_the_same_nodes_and_checks_share_a_pool),
		IN_PLACE(a_service_that_comes_later_joins_the_pool_of_those_there),
		IN_PLACE(while_a_node_leaves_the_others_of_its_pool_a_new_service_has_its_own),
		IN_PLACE(a_check_without_a_port_asks_the_services_own_node_port),
		IN_PLACE(a_node_removed_drains_while_flows_hold_it_and_is_then_gone),
		IN_PLACE(a_node_that_one_service_gives_up_is_gone_from_it_alone),
		IN_PLACE(a_node_has_the_weight_that_it_was_given_last),
		IN_PLACE(a_node_removed_is_gone_after_the_drain_time_whatever_holds_it),
		IN_PLACE(a_drain_time_of_zero_is_for_ever),
		IN_PLACE(a_node_put_back_while_it_leaves_is_as_if_it_never_left),
		IN_PLACE(a_node_that_one_service_loses_stays_with_the_others),
		IN_PLACE(a_node_that_left_with_its_last_service_is_not_kept),
		IN_PLACE(a_new_check_inherits_the_nodes_verdict_and_a_new_node_has_none),
		IN_PLACE(a_check_that_changes_is_the_one_that_is_made),
		IN_PLACE(a_service_of_the_cluster_follows_the_clusters_nodes_and_no_other_does),
		IN_PLACE(a_node_at_another_address_leaves_the_old_and_has_no_verdict_at_the_new),
		IN_PLACE(a_node_renamed_is_what_it_was),
		IN_PLACE(two_nodes_that_change_names_change_nothing_else),
		IN_PLACE(of_two_addresses_one_may_leave_alone),
		IN_PLACE(a_drain_is_of_all_nodes_of_its_name),
		IN_PLACE(a_drained_node_drains_until_its_time_is_over_or_it_is_undrained),
		IN_PLACE(nodes_down_that_drain_or_leave_have_no_weight),
		IN_PLACE(each_address_is_announced_once_and_quiet_ones_are_not),
		IN_PLACE(a_new_services_vip_is_announced_when_each_node_had_its_first_check),
		IN_PLACE(a_node_that_joins_a_service_does_not_take_its_vip_back),
		IN_PLACE(drains_are_kept_over_a_restart),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
