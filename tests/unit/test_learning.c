#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>

#include "clock.h"
#include "intent.h"
#include "learning.h"
#include "plan.h"

// Nodes have the ids of their letters. Services learn by time alone: nobody is asked here.

struct place {
	struct scratch scratch;
	struct loop *loop;
	struct health *health;
	struct vip_prober *prober;
	struct config *config;
	struct plan *plan;
	bool c_is_new; // It has no id yet.
	unsigned n_learnt;
	struct loop_timer timer;
};

static void ignore(void *, const struct probe *, enum verdict)
{
}

static struct address address_of_node(void *, node_id, enum family)
{
	return (struct address){0};
}

static bool may_ask(void *)
{
	return true;
}

static void learnt(void *argument)
{
	((struct place *)argument)->n_learnt++;
}

static node_id id_of(void *argument, const struct address *address)
{
	const struct place *p = argument;
	uint32_t letter = ntohl(address->words[3]) - INADDR_LOOPBACK;

	return p->c_is_new && letter == 'c' - 'a' ? NODE_NONE : (node_id)letter;
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	if (scratch_open(&p->scratch) < 0 || loop_create(&p->loop) < 0)
		return -1;
	p->prober = vip_prober_create(&(struct vip_prober_config){.loop = p->loop,
		.address_of = address_of_node,
		.may_ask = may_ask,
		.learnt = learnt,
		.argument = p});
	p->config = config_of("a b c");
	return health_create(p->loop, ignore, NULL, &p->health);
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	plan_destroy(p->plan, p->health);
	vip_prober_destroy(p->prober);
	health_destroy(p->health);
	loop_destroy(p->loop);
	free_config(p->config);
	int r = scratch_close(&p->scratch);
	free(p);
	return r;
}

static void plan(struct place *p)
{
	struct plan *made =
		plan_create(p->config, p->plan, p->scratch.drains, p->health, loop_clock_ns());

	assert_non_null(made);
	assert_int_equal(plan_learn(made, p->prober, id_of, p), 0);
	plan_destroy(p->plan, p->health);
	p->plan = made;
	plan_refresh(p->plan, 0);
}

static struct service_config *add_learnt(struct place *p, const char *name, const char *nodes)
{
	struct service_config *service = add_service(p->config, name, nodes);

	service->mode = MODE_DSR;
	service->is_learnt = true;
	service->learns_with = LEARNS_ALONE;
	return service;
}

static void stop(void *argument, uint64_t)
{
	loop_stop(((struct place *)argument)->loop);
}

// The nodes that are wanted learn.
static void learn(struct place *p, size_t service)
{
	learning_ask(p->plan->learning, p->plan);
	vip_probe_tell(learning_probe(p->plan->learning, service), 0);
	p->timer = (struct loop_timer){.name = "stop", .fn = stop, .argument = p};
	loop_timer_set(p->loop, &p->timer, loop_clock_ns() + 5 * NSEC_PER_MSEC);
	assert_int_equal(loop_run(p->loop), 0);
	plan_refresh(p->plan, 0);
}

// Its nodes in order, in words: "a:up b:not ready".
static const char *nodes_of(const struct place *p, size_t service)
{
	static char text[128];
	const struct model *model = &p->plan->model;
	const struct model_set *set = &model->sets[model->services[service].set];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < set->n_targets; i++)
		len += (size_t)sprintf(text + len, "%s%c:%s", i > 0 ? " " : "",
			model->nodes[set->targets[i].node].name[0],
			set->targets[i].state == TARGET_UP ? "up" : "not ready");
	return text;
}

static void a_service_without_nodes_that_know_its_vip_awaits_them(void **state)
{
	struct place *p = *state;

	add_service(p->config, "plain", "ab");
	add_learnt(p, "web", "ab");
	plan(p);
	assert_string_equal(nodes_of(p, 0), "a:up b:up");
	assert_string_equal(nodes_of(p, 1), "a:not ready b:not ready");
	assert_false(learning_awaits(p->plan->learning, 0));
	assert_true(learning_awaits(p->plan->learning, 1));

	learn(p, 1);
	assert_int_equal(p->n_learnt, 1);
	assert_string_equal(nodes_of(p, 1), "a:up b:up");
	assert_false(learning_awaits(p->plan->learning, 1));
	assert_int_equal(p->plan->services[1].set, p->plan->pool_of[1]);
}

static void a_node_that_is_new_takes_nothing_and_the_others_all(void **state)
{
	struct place *p = *state;

	p->c_is_new = true;
	add_learnt(p, "web", "abc");
	plan(p);
	learn(p, 0);
	assert_string_equal(nodes_of(p, 0), "a:up b:up c:not ready");
	assert_false(learning_awaits(p->plan->learning, 0));
	assert_false(
		learning_is_ready(p->plan->learning, p->plan, 0, &p->plan->pools[0].members[2]));

	p->c_is_new = false;
	learn(p, 0);
	assert_string_equal(nodes_of(p, 0), "a:up b:up c:up");
}

static void what_is_known_outlives_a_new_plan(void **state)
{
	struct place *p = *state;

	add_learnt(p, "web", "ab");
	plan(p);
	learn(p, 0);
	plan(p);
	assert_string_equal(nodes_of(p, 0), "a:up b:up");

	// At another port, it is asked for anew.
	p->config->services[0]->port++;
	p->config->services[0]->learns_with = 0;
	plan(p);
	assert_string_equal(nodes_of(p, 0), "a:not ready b:not ready");
}

static void ports_of_a_service_learn_together(void **state)
{
	struct place *p = *state;

	add_learnt(p, "web", "ab")->learns_with = 0;
	add_learnt(p, "dns", "ab")->learns_with = -1;
	plan(p);
	assert_ptr_equal(
		learning_probe(p->plan->learning, 0), learning_probe(p->plan->learning, 1));
	assert_true(learning_awaits(p->plan->learning, 1));
}

static void who_drains_is_not_waited_for(void **state)
{
	struct place *p = *state;

	add_learnt(p, "web", "ab");
	plan(p);
	plan_set_drained(p->plan, 0, true, 0);
	plan_set_drained(p->plan, 1, true, 0);
	plan_refresh(p->plan, 0);
	assert_false(learning_awaits(p->plan->learning, 0));
}

// What is known of a's check of the service before there is a plan.
static struct probe *know(
	struct place *p, const struct service_config *service, enum verdict verdict)
{
	struct probe_config config = {.address = p->config->nodes[0].address[IPV4],
		.port = service->check.port,
		.check = service->check};
	struct probe *probe = health_acquire(p->health, &config, verdict);

	assert_non_null(probe);
	return probe;
}

// As while its kube-proxy has not heard of the Service, or of its endpoints, yet.
static void whom_its_check_keeps_out_is_waited_for(void **state)
{
	static const enum verdict verdicts[] = {VERDICT_DOWN, VERDICT_DRAINING};
	struct place *p = *state;
	struct service_config *service = add_learnt(p, "web", "a");

	service->check = (struct check_config){.kind = CHECK_TCP,
		.port = 30080,
		.interval_ms = 1000,
		.timeout_ms = 1000,
		.rise = 1,
		.fall = 1};
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		struct probe *probe = know(p, service, verdicts[i]);

		plan(p);
		assert_true(learning_awaits(p->plan->learning, 0));
		plan_set_drained(p->plan, 0, true, 0);
		plan_refresh(p->plan, 0);
		assert_false(learning_awaits(p->plan->learning, 0));
		health_release(p->health, probe);
		plan_destroy(p->plan, p->health);
		p->plan = NULL;
	}
}

static void where_nobody_has_to_learn_nothing_is_kept(void **state)
{
	struct place *p = *state;

	add_service(p->config, "plain", "ab");
	plan(p);
	assert_null(p->plan->learning);
	assert_false(learning_awaits(p->plan->learning, 0));
	assert_null(learning_probe(p->plan->learning, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_service_without_nodes_that_know_its_vip_awaits_them, make_place,
			unmake_place),
		cmocka_unit_test_setup_teardown(a_node_that_is_new_takes_nothing_and_the_others_all,
			make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			what_is_known_outlives_a_new_plan, make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			ports_of_a_service_learn_together, make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			who_drains_is_not_waited_for, make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			whom_its_check_keeps_out_is_waited_for, make_place, unmake_place),
		cmocka_unit_test_setup_teardown(
			where_nobody_has_to_learn_nothing_is_kept, make_place, unmake_place),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
