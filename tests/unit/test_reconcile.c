#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>

#include "clock.h"
#include "intent.h"
#include "log.h"
#include "reconcile.h"
#include "recording_dataplane.h"

// A kernel without routes, which writes down what is announced.
struct kernel {
	struct address announced[8];
	size_t n_announced;
};

bool kernel_routes_changed(const struct kernel *)
{
	return false;
}

int kernel_routes(struct kernel *, uint64_t, const struct route **ret_routes, size_t *ret_n_routes)
{
	static const struct route none;

	*ret_routes = &none;
	*ret_n_routes = 0;
	return 0;
}

bool kernel_is_neighbour(const struct kernel *, const struct address *)
{
	return true;
}

void kernel_forget_before(struct kernel *, uint64_t)
{
}

int kernel_want(struct kernel *, const struct address *, size_t, uint64_t)
{
	return 0;
}

int kernel_announce(struct kernel *k, const struct address *addresses, size_t n_addresses, uint64_t)
{
	assert_true(n_addresses <= 8);
	memcpy(k->announced, addresses, n_addresses * sizeof(*addresses));
	k->n_announced = n_addresses;
	return 0;
}

struct place {
	struct scratch scratch;
	struct loop *loop;
	struct dataplane dp;
	struct kernel kernel;
	struct reconcile *reconcile;
	struct config *configs[8];
	size_t n_configs;
	size_t n_ready;
	struct loop_timer patience;
};

static void count_ready(void *argument)
{
	struct place *p = argument;

	p->n_ready++;
}

static void stop(void *argument, uint64_t)
{
	struct place *p = argument;

	loop_stop(p->loop);
}

enum {
	AGE_MS = 30,
	PATIENCE_MS = 600,
};

static void run_for(struct place *p, uint64_t ms)
{
	loop_timer_set(p->loop, &p->patience, loop_clock_ns() + ms * NSEC_PER_MSEC);
	assert_int_equal(loop_run(p->loop), 0);
}

static struct config *configure(struct place *p, const char *nodes)
{
	return p->configs[p->n_configs++] = config_of(nodes);
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	p->patience = (struct loop_timer){.name = "patience", .fn = stop, .argument = p};
	if (scratch_open(&p->scratch) < 0 || loop_create(&p->loop) < 0)
		return -1;

	struct reconcile_config config = {
		.loop = p->loop,
		.dp = &p->dp,
		.kernel = &p->kernel,
		.drains = p->scratch.drains,
		.services_max = 4,
		.nodes_max = 4,
		.age_ns = AGE_MS * NSEC_PER_MSEC,
		.patience_ns = PATIENCE_MS * NSEC_PER_MSEC,
		.ready = count_ready,
		.argument = p,
	};
	return reconcile_create(&config, &p->reconcile);
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	reconcile_destroy(p->reconcile);
	loop_destroy(p->loop);
	for (size_t i = 0; i < p->n_configs; i++)
		free_config(p->configs[i]);
	int r = scratch_close(&p->scratch);
	free(p);
	return r;
}

static const struct forwarding_table *newest(const struct place *p)
{
	return p->dp.tables[p->dp.n_published - 1];
}

// Of the node at the address that config_of() gives to it.
static node_id id_of(const struct place *p, const char *node)
{
	struct address at = letter_address(node[0]);

	return table_builder_node(reconcile_builder(p->reconcile), &at);
}

static node_id id_at(const struct place *p, const struct address *address)
{
	return forwarding_table_find_node(newest(p), address);
}

static enum target_state state_of(const struct place *p, node_id id)
{
	return newest(p)->services[0].states[id];
}

static service_id service_at(const struct place *p, const struct service_config *s)
{
	__be16 port = htons(s->port);

	return forwarding_table_find_service(newest(p),
		index_hash_endpoint(&s->vip, port, s->protocol), &s->vip, port, s->protocol);
}

static void want(struct place *p, const struct config *config)
{
	char why[WHY_MAX];

	assert_int_equal(reconcile_want(p->reconcile, config, why), 0);
}

static void start_with_three_nodes(struct place *p)
{
	struct config *config = configure(p, "a b c");

	add_service(config, "web", "abc");
	want(p, config);
	run_for(p, 20);
	assert_int_equal(p->dp.n_published, 2); // One of the nodes alone, and this.
}

// On 127.0.0.1. Connections are made, and nobody accepts them.
static int listen_in_silence(uint16_t *ret_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

// The first checks decide alone, and their answers are to be known as those of nodes.
static void workers_know_the_nodes_before_the_first_checks_and_serve_nothing_yet(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	struct reconcile_status status;

	add_service(config, "web", "ab")->check.kind = CHECK_TCP;
	config->snat[IPV4][0] = address_from_ipv4(htonl(0xc00002fe));
	config->n_snat[IPV4] = 1;
	want(p, config);
	assert_int_equal(p->dp.n_published, 1);
	for (size_t i = 0; i < config->n_nodes; i++)
		assert_int_not_equal(
			forwarding_table_find_node(newest(p), &config->nodes[i].address[IPV4]),
			NODE_NONE);
	assert_int_equal(newest(p)->n_services, 0);
	assert_int_equal(newest(p)->n_own, 0);
	assert_int_equal(newest(p)->n_snat[IPV4], 0);

	reconcile_read_status(p->reconcile, &status);
	assert_false(status.ready);
	assert_int_equal(p->n_ready, 0);
	assert_int_equal(p->kernel.n_announced, 0);
}

static void the_first_table_that_serves_waits_for_a_verdict_on_each_node(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	struct service_config *web = add_service(config, "web", "ab");
	uint16_t port;
	int listener = listen_in_silence(&port);

	// Nobody listens at a, and b never answers.
	config->nodes[0].address[IPV4] = address_from_ipv4(htonl(INADDR_LOOPBACK + 7));
	config->nodes[1].address[IPV4] = address_from_ipv4(htonl(INADDR_LOOPBACK));
	web->check = (struct check_config){.kind = CHECK_HTTP,
		.port = port,
		.path = "/",
		.interval_ms = 60000,
		.timeout_ms = 400,
		.rise = 1,
		.fall = 1};
	want(p, config);
	run_for(p, 300);
	assert_int_equal(newest(p)->n_services, 0);
	assert_int_equal(p->n_ready, 0);

	run_for(p, 700);
	assert_int_equal(newest(p)->n_services, 1);
	assert_int_equal(p->n_ready, 1);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
			state_of(p, id_at(p, &config->nodes[i].address[IPV4])), TARGET_DOWN);
	close(listener);
}

// By the old configuration it serves on, whatever the new one's nodes do.
static void checks_begin_at_the_configurations_rate(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b c");

	add_service(config, "web", "abc")->check = (struct check_config){
		.kind = CHECK_TCP, .interval_ms = 60000, .timeout_ms = 400, .rise = 1, .fall = 1};
	config->checks_per_s = 2;
	want(p, config);
	run_for(p, PATIENCE_MS + 200);
	assert_int_equal(p->n_ready, 0); // The third begins after a second, and is waited for.
	run_for(p, 1000);
	assert_int_equal(p->n_ready, 1);
}

static void a_service_that_a_reload_adds_is_announced_after_its_first_checks(void **state)
{
	struct place *p = *state;
	struct config *two = configure(p, "a b c");
	uint16_t port;
	int listener = listen_in_silence(&port);

	add_service(two, "web", "abc");
	struct service_config *dns = add_service(two, "dns", "a");
	dns->vip = address_from_ipv4(htonl(0xc0000251));
	dns->check = (struct check_config){.kind = CHECK_HTTP,
		.port = port,
		.path = "/",
		.interval_ms = 60000,
		.timeout_ms = 400,
		.rise = 1,
		.fall = 1};
	start_with_three_nodes(p);
	assert_int_equal(p->kernel.n_announced, 1);
	want(p, two);
	run_for(p, 300);
	assert_int_equal(newest(p)->n_services, 2);
	assert_int_equal(p->kernel.n_announced, 1);
	run_for(p, 700);
	assert_int_equal(p->kernel.n_announced, 2);
	assert_true(address_equal(&p->kernel.announced[1], &dns->vip));
	close(listener);
}

// Of node a, where nobody answers the first check for an hour.
static void add_slow_service(struct config *config, const char *name, uint16_t port)
{
	struct service_config *slow = add_service(config, name, "a");

	slow->vip = address_from_ipv4(htonl(0xc0000263));
	slow->check = (struct check_config){.kind = CHECK_HTTP,
		.port = port,
		.path = "/",
		.interval_ms = 3600000,
		.timeout_ms = 3600000,
		.rise = 1,
		.fall = 1};
}

static void one_services_slow_check_holds_up_the_start_for_a_while_at_most(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b");
	uint16_t port;
	int listener = listen_in_silence(&port);

	add_service(config, "web", "ab");
	add_slow_service(config, "slow", port);
	want(p, config);
	run_for(p, PATIENCE_MS / 2);
	assert_int_equal(p->n_ready, 0);

	run_for(p, PATIENCE_MS);
	assert_int_equal(p->n_ready, 1);
	assert_true(reconcile_is_in_force(p->reconcile));
	assert_int_equal(p->kernel.n_announced, 2);
	service_id slow = service_at(p, config->services[1]);
	assert_int_equal(newest(p)->services[slow].states[id_of(p, "a")], TARGET_DOWN);
	close(listener);
}

static void where_all_checks_may_take_longer_they_are_waited_for(void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a");
	uint16_t port;
	int listener = listen_in_silence(&port);

	config->check.timeout_ms = 2 * PATIENCE_MS;
	add_slow_service(config, "slow", port);
	want(p, config);
	run_for(p, PATIENCE_MS * 3 / 2);
	assert_int_equal(p->n_ready, 0);
	run_for(p, PATIENCE_MS);
	assert_int_equal(p->n_ready, 1);
	close(listener);
}

static void one_services_slow_check_keeps_a_change_from_being_in_force_for_a_while_at_most(
	void **state)
{
	struct place *p = *state;
	struct config *two = configure(p, "a b c"), *three = configure(p, "a b c");
	uint16_t port;
	int listener = listen_in_silence(&port);

	add_service(two, "web", "abc");
	add_slow_service(two, "slow", port);
	add_service(three, "web", "abc");
	add_slow_service(three, "slow", port);
	add_service(three, "dns", "abc");
	start_with_three_nodes(p);
	want(p, two);
	run_for(p, PATIENCE_MS / 2);
	assert_false(reconcile_is_in_force(p->reconcile));
	run_for(p, PATIENCE_MS);
	assert_true(reconcile_is_in_force(p->reconcile));

	want(p, three); // It holds up nothing that comes later.
	run_for(p, 50);
	assert_true(reconcile_is_in_force(p->reconcile));
	close(listener);
}

// Each with a first check of its own, which nobody waits for long enough.
static void services_that_come_and_go_do_not_keep_all_else_from_being_in_force(void **state)
{
	struct place *p = *state;
	unsigned n_in_force = 0;
	uint16_t port;
	int listener = listen_in_silence(&port);

	start_with_three_nodes(p);
	for (char name[] = "slow0"; name[4] < '6'; name[4]++) {
		struct config *next = configure(p, "a b c");

		add_service(next, "web", "abc");
		add_slow_service(next, name, port);
		want(p, next);
		run_for(p, PATIENCE_MS / 3);
		n_in_force += reconcile_is_in_force(p->reconcile);
	}
	assert_in_range(n_in_force, 1, 5);
	close(listener);
}

static void changes_that_come_together_share_a_table_of_the_newest_state(void **state)
{
	struct place *p = *state;

	start_with_three_nodes(p);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(reconcile_drain(p->reconcile, "a"), 0);
		assert_int_equal(reconcile_drain(p->reconcile, "b"), 0);
		assert_int_equal(reconcile_undrain(p->reconcile, "a"), 0);
	}
	run_for(p, 20);
	assert_int_equal(p->dp.n_published, 3);
	assert_int_equal(state_of(p, id_of(p, "a")), TARGET_UP);
	assert_int_equal(state_of(p, id_of(p, "b")), TARGET_DRAINING);
}

static size_t count_late(const struct place *p)
{
	struct reconcile_status status;

	reconcile_read_status(p->reconcile, &status);
	return status.report.n_services_late;
}

// With rings so large that a table makes just one.
static void a_table_makes_few_rings_and_what_is_wanted_is_in_force_with_the_last_of_them(
	void **state)
{
	struct place *p = *state;
	struct config *config = configure(p, "a b c");

	config->ring_size = 524309;
	add_service(config, "web", "abc");
	add_service(config, "dns", "ab");
	add_service(config, "mail", "bc");
	want(p, config);
	run_for(p, 1000);
	assert_int_equal(p->dp.n_published, 4); // One of the nodes alone, then a ring each.
	assert_int_equal(p->n_ready, 1);
	assert_true(reconcile_is_in_force(p->reconcile));

	assert_int_equal(reconcile_drain(p->reconcile, "b"), 0);
	run_for(p, 1000);
	assert_int_equal(p->dp.n_published, 7);
	assert_int_equal(count_late(p), 0);
}

// By a table that lacks rings, flows may still begin at it.
static void a_node_leaves_only_when_no_ring_names_it_any_more(void **state)
{
	struct place *p = *state;
	struct config *three = configure(p, "a b c"), *two = configure(p, "a c");

	three->ring_size = two->ring_size = 2097169; // It takes longer than AGE_MS.
	add_service(three, "web", "abc");
	add_service(three, "dns", "ab");
	add_service(two, "web", "ac");
	add_service(two, "dns", "a");
	want(p, three);
	run_for(p, 1000);
	node_id b = id_of(p, "b");

	want(p, two);
	assert_int_equal(count_late(p), 1);
	for (unsigned i = 0; i < 1000 && id_of(p, "b") != NODE_NONE; i++) {
		assert_true(state_of(p, b) == TARGET_DRAINING || count_late(p) == 0);
		run_for(p, 1);
	}
	assert_int_equal(id_of(p, "b"), NODE_NONE);
}

struct storm {
	struct place *place;
	struct loop_timer timer;
	bool drained;
};

static void flip(void *argument, uint64_t now_ns)
{
	struct storm *s = argument;

	s->drained = !s->drained;
	if (s->drained)
		reconcile_drain(s->place->reconcile, "a");
	else
		reconcile_undrain(s->place->reconcile, "a");
	loop_timer_set(s->place->loop, &s->timer, now_ns + NSEC_PER_MSEC / 4);
}

static void a_storm_of_changes_makes_a_table_every_few_milliseconds(void **state)
{
	struct place *p = *state;
	struct storm storm = {.place = p};

	start_with_three_nodes(p);
	storm.timer = (struct loop_timer){.name = "storm", .fn = flip, .argument = &storm};
	uint64_t began_ns = loop_clock_ns();
	loop_timer_set(p->loop, &storm.timer, 0);
	run_for(p, 200);
	loop_timer_cancel(p->loop, &storm.timer);

	// One in 4 ms, the first two, the last.
	uint64_t took_ms = (loop_clock_ns() - began_ns) / NSEC_PER_MSEC;
	assert_in_range(p->dp.n_published, 4, took_ms / 4 + 3);
}

static void tables_do_not_pile_up_while_workers_hang_and_the_newest_state_comes_out_then(
	void **state)
{
	struct place *p = *state;
	struct storm storm = {.place = p};

	start_with_three_nodes(p);
	p->dp.workers_hang = true;
	storm.timer = (struct loop_timer){.name = "storm", .fn = flip, .argument = &storm};
	loop_timer_set(p->loop, &storm.timer, 0);
	run_for(p, 200);
	loop_timer_cancel(p->loop, &storm.timer);
	assert_true(p->dp.n_published <= 11);

	assert_int_equal(reconcile_drain(p->reconcile, "c"), 0);
	p->dp.workers_hang = false;
	run_for(p, 50);
	assert_int_equal(state_of(p, id_of(p, "c")), TARGET_DRAINING);

	struct reconcile_status status;
	reconcile_read_status(p->reconcile, &status);
	assert_int_equal(status.n_waiting, 0);
}

static void a_removed_nodes_id_is_kept_while_a_flow_holds_it_and_then_given_to_another(void **state)
{
	struct place *p = *state;
	struct config *two = configure(p, "a c");
	struct config *new = configure(p, "a c d");
	const size_t *nodes;

	add_service(two, "web", "ac");
	add_service(new, "web", "acd");
	start_with_three_nodes(p);
	node_id a = id_of(p, "a");
	node_id b = id_of(p, "b");
	node_id c = id_of(p, "c");

	p->dp.flows_of_node[b] = 1;
	want(p, two);
	run_for(p, 2 * AGE_MS + 50);
	assert_int_equal(id_of(p, "b"), b);
	assert_int_equal(state_of(p, b), TARGET_DRAINING);

	want(p, new);
	run_for(p, 50);
	assert_int_not_equal(id_of(p, "d"), b);
	assert_int_equal(id_of(p, "a"), a);
	assert_int_equal(id_of(p, "c"), c);

	p->dp.flows_of_node[b] = 0;
	run_for(p, 4 * AGE_MS + 100); // It ends, is absent in every table in force, and is freed.
	assert_int_equal(id_of(p, "b"), NODE_NONE);
	assert_int_equal(plan_find_nodes(reconcile_plan(p->reconcile), "b", &nodes), 0);
}

static void a_node_of_another_name_at_the_same_address_is_the_same_target(void **state)
{
	struct place *p = *state;
	struct config *renamed = configure(p, "a x c");
	size_t n_there = 0;

	add_service(renamed, "web", "axc");
	start_with_three_nodes(p);
	struct address b = letter_address('b');
	node_id before = id_at(p, &b);

	renamed->nodes[1].address[IPV4] = b;
	p->dp.flows_of_node[before] = 1;
	want(p, renamed);
	assert_int_equal(id_at(p, &b), before);
	assert_int_equal(state_of(p, before), TARGET_UP);
	for (size_t id = 0; id < newest(p)->n_nodes; id++)
		n_there += newest(p)->nodes[id].ipv4 == b.words[3];
	assert_int_equal(n_there, 1);
}

static void a_node_of_the_same_name_at_another_address_leaves_and_joins(void **state)
{
	struct place *p = *state;
	struct config *moved = configure(p, "a b c");

	add_service(moved, "web", "abc");
	start_with_three_nodes(p);
	struct address old = letter_address('b');
	struct address new = address_from_ipv4(htonl(INADDR_LOOPBACK + 77));
	const struct forwarding_table *first = newest(p);
	node_id before = id_at(p, &old);

	moved->nodes[1].address[IPV4] = new;
	p->dp.flows_of_node[before] = 1;
	p->dp.workers_hang = true; // The first table stays, to be compared.
	want(p, moved);
	node_id after = id_at(p, &new);
	assert_int_not_equal(after, before);
	assert_int_equal(id_at(p, &old), before);
	assert_int_equal(state_of(p, before), TARGET_DRAINING);
	assert_int_equal(state_of(p, after), TARGET_UP);
	for (uint32_t slot = 0; slot < 251; slot++) {
		node_id was = first->services[0].ring[slot];

		assert_int_equal(newest(p)->services[0].ring[slot], was == before ? after : was);
	}
}

static void a_node_that_gets_an_address_more_keeps_the_flows_of_the_one_it_had(void **state)
{
	struct place *p = *state;
	struct config *dual = configure(p, "a b c");

	add_service(dual, "web", "abc");
	start_with_three_nodes(p);
	struct address b = letter_address('b');
	node_id before = id_at(p, &b);

	dual->nodes[1].address[IPV6] = (struct address){.bytes = {0xfd, [15] = 2}};
	p->dp.flows_of_node[before] = 1;
	want(p, dual);
	assert_int_equal(id_at(p, &b), before);
	assert_int_equal(state_of(p, before), TARGET_UP);
}

static const struct endpoint_case {
	const char *name;
	struct address vip; // As it is before if this is no address.
	uint16_t port;
	uint8_t protocol;
} endpoints[] = {
	{"another VIP", {.bytes = {[10] = 0xff, 0xff, 192, 0, 2, 99}}, 81, IPPROTO_TCP},
	{"a VIP of the other family", {.bytes = {0xfd, [15] = 99}}, 81, IPPROTO_TCP},
	{"another port", {{{0}}}, 8081, IPPROTO_TCP},
	{"another protocol", {{{0}}}, 81, IPPROTO_UDP},
};

static void a_service_at_another_endpoint_is_another_service_with_the_old_ones_slots(void **state)
{
	struct place *p = *state;

	start_with_three_nodes(p);
	service_id before = service_at(p, p->configs[0]->services[0]);
	uint64_t salt = newest(p)->services[before].salt;
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		const struct endpoint_case *c = &endpoints[i];
		struct config *moved = configure(p, "a b c");
		struct service_config *web = add_service(moved, "web", "abc");

		web->port = c->port;
		web->protocol = c->protocol;
		if (!address_is_none(&c->vip))
			web->vip = c->vip;
		want(p, moved);

		service_id after = service_at(p, web);
		if (after == SERVICE_NONE || after == before ||
			service_exists(&newest(p)->services[before]))
			fail_msg("%s: %u, and then %u", c->name, before, after);
		assert_int_equal(newest(p)->services[after].salt, salt);
		want(p, p->configs[0]);
		assert_int_equal(service_at(p, p->configs[0]->services[0]), before);
		run_for(p, 2 * AGE_MS + 50); // The other id is freed.
	}
}

static uint64_t packets_of_service(const struct place *p, const char *name)
{
	const struct plan *plan = reconcile_plan(p->reconcile);
	size_t i = plan_find_service(plan, name);
	struct traffic traffic;

	reconcile_read_service(p->reconcile, &plan->services[i], &traffic);
	return traffic.packets_in;
}

static uint64_t packets_of_node(const struct place *p, const char *name)
{
	struct model_node node = {.address = {letter_address(name[0])}};
	struct traffic traffic;

	reconcile_read_node(p->reconcile, &node, &traffic);
	return traffic.packets_in;
}

static void who_gets_an_id_of_another_begins_to_count_at_zero(void **state)
{
	struct place *p = *state;
	struct config *before = configure(p, "a b c");
	struct config *between = configure(p, "a c");
	struct config *after = configure(p, "a c d");

	add_service(before, "web", "abc");
	add_service(before, "dns", "abc");
	add_service(between, "web", "ac");
	add_service(after, "web", "acd");
	add_service(after, "ftp", "acd");
	start_with_three_nodes(p);
	want(p, before);
	node_id b = id_of(p, "b");

	p->dp.traffic.packets_in = 100;
	want(p, between);
	run_for(p, 4 * AGE_MS + 100); // b and dns end, and their ids are freed.
	want(p, after);
	assert_int_equal(id_of(p, "d"), b);
	assert_int_equal(packets_of_node(p, "a"), 100);
	assert_int_equal(packets_of_node(p, "d"), 0);
	assert_int_equal(packets_of_node(p, "b"), 0);
	assert_int_equal(packets_of_service(p, "web"), 100);
	assert_int_equal(packets_of_service(p, "ftp"), 0);

	p->dp.traffic.packets_in = 130;
	assert_int_equal(packets_of_node(p, "d"), 30);
	assert_int_equal(packets_of_service(p, "ftp"), 30);
}

// Asks for what cannot be, and sees that nothing came of it but 'part' of a reason.
static void want_in_vain(struct place *p, const struct config *config, int error, const char *part)
{
	const struct plan *plan = reconcile_plan(p->reconcile);
	size_t n_published = p->dp.n_published;
	struct reconcile_status status;
	char why[WHY_MAX];

	assert_int_equal(reconcile_want(p->reconcile, config, why), error);
	assert_non_null(strstr(why, part));
	run_for(p, 50);
	reconcile_read_status(p->reconcile, &status);
	assert_false(status.failing);
	assert_int_equal(p->dp.n_published, n_published);
	assert_ptr_equal(reconcile_plan(p->reconcile), plan);
}

static void a_reload_with_too_many_nodes_is_refused_and_later_changes_come_out(void **state)
{
	struct place *p = *state;
	struct config *five = configure(p, "a b c d e"); // There is room for four.
	struct config *four = configure(p, "a b c d");

	add_service(five, "web", "abcde");
	add_service(four, "web", "abcd");
	start_with_three_nodes(p);
	want_in_vain(p, five, -ENOSPC, "room for 4");

	assert_int_equal(reconcile_drain(p->reconcile, "c"), 0);
	run_for(p, 50);
	assert_int_equal(state_of(p, id_of(p, "c")), TARGET_DRAINING);

	want(p, four);
	assert_int_equal(state_of(p, id_of(p, "d")), TARGET_UP);
}

static void nodes_that_leave_count_for_a_reload_and_end_though_it_was_refused(void **state)
{
	struct place *p = *state;
	struct config *two = configure(p, "a c");
	struct config *four = configure(p, "a c d e");

	add_service(two, "web", "ac");
	add_service(four, "web", "acde");
	start_with_three_nodes(p);
	node_id b = id_of(p, "b");

	p->dp.flows_of_node[b] = 1;
	want(p, two);
	want_in_vain(p, four, -ENOSPC, "room for 4"); // Three, and b.
	assert_int_equal(state_of(p, b), TARGET_DRAINING);

	p->dp.flows_of_node[b] = 0;
	run_for(p, 4 * AGE_MS + 100);
	assert_int_equal(id_of(p, "b"), NODE_NONE);
	want(p, four);
	assert_int_equal(state_of(p, id_of(p, "e")), TARGET_UP);
}

static void a_reload_that_makes_a_vip_of_an_snat_address_is_refused(void **state)
{
	struct place *p = *state;
	struct config *contradiction = configure(p, "a b c");
	struct service_config *web = add_service(contradiction, "web", "abc");

	contradiction->snat[IPV4][0] = web->vip;
	contradiction->n_snat[IPV4] = 1;
	start_with_three_nodes(p);
	want_in_vain(p, contradiction, -EINVAL, "SNAT");

	assert_int_equal(reconcile_drain(p->reconcile, "c"), 0);
	run_for(p, 50);
	assert_int_equal(state_of(p, id_of(p, "c")), TARGET_DRAINING);
}

static void a_drain_of_a_node_nobody_knows_is_refused(void **state)
{
	struct place *p = *state;

	start_with_three_nodes(p);
	assert_int_equal(reconcile_drain(p->reconcile, "z"), -ENOENT);
	assert_int_equal(reconcile_undrain(p->reconcile, "z"), -ENOENT);
	assert_int_equal(drains_count(p->scratch.drains), 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(workers_know_the_nodes_before_the_first_checks_and_serve_nothing_yet),
		IN_PLACE(the_first_table_that_serves_waits_for_a_verdict_on_each_node),
		IN_PLACE(checks_begin_at_the_configurations_rate),
		IN_PLACE(a_service_that_a_reload_adds_is_announced_after_its_first_checks),
		IN_PLACE(one_services_slow_check_holds_up_the_start_for_a_while_at_most),
		IN_PLACE(where_all_checks_may_take_longer_they_are_waited_for),
		IN_PLACE(
			one_services_slow_check_keeps_a_change_from_being_in_force_for_a_while_at_most),
		IN_PLACE(services_that_come_and_go_do_not_keep_all_else_from_being_in_force),
		IN_PLACE(changes_that_come_together_share_a_table_of_the_newest_state),
		IN_PLACE(
			a_table_makes_few_rings_and_what_is_wanted_is_in_force_with_the_last_of_them),
		IN_PLACE(a_node_leaves_only_when_no_ring_names_it_any_more),
		IN_PLACE(a_storm_of_changes_makes_a_table_every_few_milliseconds),
		IN_PLACE(
			tables_do_not_pile_up_while_workers_hang_and_the_newest_state_comes_out_then),
		IN_PLACE(
			a_removed_nodes_id_is_kept_while_a_flow_holds_it_and_then_given_to_another),
		IN_PLACE(a_node_of_another_name_at_the_same_address_is_the_same_target),
		IN_PLACE(a_node_of_the_same_name_at_another_address_leaves_and_joins),
		IN_PLACE(a_node_that_gets_an_address_more_keeps_the_flows_of_the_one_it_had),
		IN_PLACE(a_service_at_another_endpoint_is_another_service_with_the_old_ones_slots),
		IN_PLACE(who_gets_an_id_of_another_begins_to_count_at_zero),
		IN_PLACE(a_reload_with_too_many_nodes_is_refused_and_later_changes_come_out),
		IN_PLACE(nodes_that_leave_count_for_a_reload_and_end_though_it_was_refused),
		IN_PLACE(a_reload_that_makes_a_vip_of_an_snat_address_is_refused),
		IN_PLACE(a_drain_of_a_node_nobody_knows_is_refused),
	};

	log_start(LEVEL_ERROR);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests_name("reconcile", tests, NULL, NULL);
}
