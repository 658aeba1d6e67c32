#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "flow_hash.h"
#include "flow_table.h"
#include "pipeline.h"

enum {
	N_SERVICES = 4, // The last does not exist.
	N_NODES = 5,
	START_S = 1000,
	HALF_OPEN_S = 30,
	ONE_WAY_S = 20,
	IDLE_S = 300,
	CLOSING_S = 10,
	REST_S = 60,
	MUCH = 1000000, // Budget without a bound.
};

static const uint64_t hash_key[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};

static const struct service services[N_SERVICES] = {
	{.protocol = IPPROTO_TCP, .idle_s = IDLE_S}, {.protocol = IPPROTO_UDP, .idle_s = IDLE_S},
	{.protocol = IPPROTO_TCP, .idle_s = 5000}, // Longer than the wheel.
};

static const struct forwarding_table times = {
	.services = services,
	.n_services = N_SERVICES,
	.settings = {.tcp_half_open_s = HALF_OPEN_S,
		.tcp_closing_s = CLOSING_S,
		.udp_one_way_s = ONE_WAY_S,
		.snat_rest_s = REST_S},
};

struct fixture {
	struct flow_table *ft;
	enum family family;
	struct flow_context context;
	struct worker_counters counters;
	_Atomic uint64_t services[N_SERVICES * TRAFFIC_BYTES / 8];
	_Atomic uint64_t nodes[N_NODES * TRAFFIC_BYTES / 8];
};

static struct fixture *fixture_create(enum family family, size_t n_flows)
{
	struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) & ~(size_t)63);
	size_t bytes = flow_table_bytes(family, n_flows);
	void *memory = aligned_alloc(64, bytes);

	memset(f, 0, sizeof(*f));
	memset(memory, 0, bytes);
	f->family = family;
	f->ft = flow_table_create(memory, family, n_flows, hash_key, START_S);
	f->counters.services = traffic_counters_at(f->services, N_SERVICES);
	f->counters.nodes = traffic_counters_at(f->nodes, N_NODES);
	f->context = (struct flow_context){&times, &f->counters, START_S};
	return f;
}

static void fixture_destroy(struct fixture *f)
{
	free(f->ft);
	free(f);
}

// A client and all that its flow is, by number.
static struct flow_identity identity_of(uint32_t client[4], uint32_t number, service_id service)
{
	for (unsigned i = 0; i < 4; i++)
		client[i] = htonl(0x0a000000 + number * (i + 1));

	return (struct flow_identity){
		.client = client,
		.client_port = htons((uint16_t)(1024 + number)),
		.service = service,
		.back = {.node = (node_id)(number % N_NODES),
			.node_port = htons(30080),
			.snat_port = htons((uint16_t)(1024 + number / N_NODES)),
			.snat_index = (uint8_t)service,
			.protocol = service == 1 ? IPPROTO_UDP : IPPROTO_TCP},
	};
}

static uint64_t hash_of(const struct fixture *f, const struct flow_identity *id)
{
	return flow_hash(hash_key, f->family, id->client, id->client_port, id->service);
}

static flow_at add(struct fixture *f, uint32_t number, service_id service)
{
	uint32_t client[4];
	struct flow_identity id = identity_of(client, number, service);

	return flow_table_add(
		f->ft, &f->context, &id, hash_of(f, &id), flow_hash_back(hash_key, id.back.word));
}

static flow_at find(const struct fixture *f, uint32_t number, service_id service)
{
	uint32_t client[4];
	struct flow_identity id = identity_of(client, number, service);

	return flow_table_find(f->ft, hash_of(f, &id), client, id.client_port, service);
}

static flow_at find_back(const struct fixture *f, uint32_t number, service_id service)
{
	uint32_t client[4];
	struct flow_identity id = identity_of(client, number, service);

	return flow_table_find_back(f->ft, flow_hash_back(hash_key, id.back.word), id.back);
}

static void seen(struct fixture *f, flow_at at, uint32_t seen_s)
{
	flow_table_flow(f->ft, f->family, at)->seen_s = seen_s;
}

static void expire(struct fixture *f, uint32_t now_s)
{
	f->context.now_s = now_s;
	flow_table_expire(f->ft, &f->context, MUCH);
}

static uint64_t event(const struct fixture *f, enum event event)
{
	return f->counters.events[event];
}

static void assert_sound(const struct fixture *f)
{
	const char *wrong = flow_table_check(f->ft);

	if (wrong != NULL)
		fail_msg("%s", wrong);
}

static void a_flow_is_found_from_both_sides(void **)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct fixture *f = fixture_create(family, 64);
		flow_at at = add(f, 7, 0);

		assert_int_not_equal(at, FLOW_NONE);
		assert_int_equal(find(f, 7, 0), at);
		assert_int_equal(find_back(f, 7, 0), at);
		assert_int_equal(find(f, 8, 0), FLOW_NONE);
		assert_int_equal(find(f, 7, 1), FLOW_NONE);
		assert_int_equal(find_back(f, 8, 0), FLOW_NONE);
		fixture_destroy(f);
	}
}

static void a_full_table_finds_every_flow_also_outside_its_bucket(void **)
{
	enum { N = 6000 };

	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct fixture *f = fixture_create(family, N);
		uint64_t overflows = 0;

		for (uint32_t i = 0; i < N; i++)
			assert_int_not_equal(add(f, i, 0), FLOW_NONE);

		const struct flow_bucket *buckets =
			(const void *)((uintptr_t)f->ft + f->ft->buckets[FLOW_FORWARD]);
		for (uint32_t b = 0; b < f->ft->n_buckets; b++)
			overflows += buckets[b].overflows;
		assert_in_range(overflows, 1, N / 25);

		for (uint32_t i = 0; i < N; i++) {
			assert_int_equal(find(f, i, 0), i);
			assert_int_equal(find_back(f, i, 0), i);
		}
		assert_sound(f);
		fixture_destroy(f);
	}
}

static void an_ended_flow_only_holds_its_port_and_only_while_it_rests(void **)
{
	struct fixture *f = fixture_create(IPV4, 64);
	flow_at at = add(f, 7, 0);

	flow_table_end(f->ft, &f->context, at);
	assert_int_equal(find(f, 7, 0), FLOW_NONE);
	assert_int_equal(find_back(f, 7, 0), at);

	expire(f, START_S + REST_S - 1);
	assert_int_equal(find_back(f, 7, 0), at);
	expire(f, START_S + REST_S);
	assert_int_equal(find_back(f, 7, 0), FLOW_NONE);
	assert_int_equal(flow_table_used(f->ft), 0);
	fixture_destroy(f);
}

static const struct time_case {
	const char *name;
	service_id service;
	enum flow_state state;
	uint32_t lives_s;
} time_cases[] = {
	{"tcp half open", 0, FLOW_HALF_OPEN, HALF_OPEN_S},
	{"udp half open", 1, FLOW_HALF_OPEN, ONE_WAY_S},
	{"tcp established", 0, FLOW_ESTABLISHED, IDLE_S},
	{"udp established", 1, FLOW_ESTABLISHED, IDLE_S},
	{"established for longer than the wheel", 2, FLOW_ESTABLISHED, 5000},
	{"closing", 0, FLOW_CLOSING, CLOSING_S},
};

static void a_silent_flow_ends_after_the_time_of_its_state(void **)
{
	for (size_t i = 0; i < sizeof(time_cases) / sizeof(time_cases[0]); i++) {
		const struct time_case *t = &time_cases[i];
		struct fixture *f = fixture_create(IPV4, 64);
		flow_at at = add(f, 7, t->service);

		print_message("    %s\n", t->name);
		if (t->state != FLOW_HALF_OPEN)
			flow_table_move(f->ft, &f->context, at, t->state);
		for (uint32_t s = 0; s < t->lives_s; s++)
			expire(f, START_S + s);
		assert_int_equal(find(f, 7, t->service), at);
		expire(f, START_S + t->lives_s);
		assert_int_equal(find(f, 7, t->service), FLOW_NONE);
		assert_int_equal(event(f, EVENT_FLOWS_EXPIRED), 1);
		assert_sound(f);
		fixture_destroy(f);
	}
}

static void a_flow_that_speaks_is_kept(void **)
{
	struct fixture *f = fixture_create(IPV4, 64);
	flow_at at = add(f, 7, 0);
	uint32_t now_s = START_S;

	flow_table_move(f->ft, &f->context, at, FLOW_ESTABLISHED);
	for (int i = 0; i < 20; i++) {
		now_s += IDLE_S - 1;
		expire(f, now_s);
		assert_int_equal(find(f, 7, 0), at);
		seen(f, at, now_s);
	}
	expire(f, now_s + IDLE_S);
	assert_int_equal(find(f, 7, 0), FLOW_NONE);
	fixture_destroy(f);
}

static void a_long_sleep_of_the_worker_loses_no_expiry(void **)
{
	struct fixture *f = fixture_create(IPV4, 64);

	for (uint32_t i = 0; i < 60; i++) {
		f->context.now_s = START_S + 7 * i;
		flow_at at = add(f, i, i % 3);

		if (i % 2 == 0)
			flow_table_move(f->ft, &f->context, at, FLOW_ESTABLISHED);
	}
	expire(f, START_S + 100000);
	assert_int_equal(flow_table_used(f->ft), f->ft->n_in_state[FLOW_RESTING]);
	expire(f, START_S + 100000 + REST_S);
	assert_int_equal(flow_table_used(f->ft), 0);
	assert_sound(f);
	fixture_destroy(f);
}

static void the_flows_of_a_service_that_is_gone_end_with_it(void **)
{
	struct fixture *f = fixture_create(IPV4, 64);
	flow_at at = add(f, 7, 3);

	flow_table_move(f->ft, &f->context, at, FLOW_ESTABLISHED);
	expire(f, START_S + 1);
	assert_int_equal(find(f, 7, 3), FLOW_NONE);
	assert_int_equal(f->counters.services.flows[3].now, 0);
	fixture_destroy(f);
}

static void expiry_keeps_to_its_budget_and_goes_on_from_there(void **)
{
	enum { N = 100, BUDGET = 8 };
	struct fixture *f = fixture_create(IPV4, N);

	for (uint32_t i = 0; i < N; i++)
		add(f, i, 0);
	f->context.now_s = START_S + HALF_OPEN_S;

	uint64_t before = 0;
	while (event(f, EVENT_FLOWS_EXPIRED) < N) {
		assert_in_range(flow_table_expire(f->ft, &f->context, BUDGET), 1, BUDGET);
		assert_in_range(event(f, EVENT_FLOWS_EXPIRED), before, before + BUDGET);
		before = event(f, EVENT_FLOWS_EXPIRED);
	}
	while (flow_table_expire(f->ft, &f->context, BUDGET) == BUDGET)
		;
	assert_int_equal(flow_table_expire(f->ft, &f->context, BUDGET), 0);
	assert_sound(f);
	fixture_destroy(f);
}

// Fills a table of 16 with four flows of each state, a second apart.
static void fill(struct fixture *f)
{
	static const enum flow_state states[] = {
		FLOW_ESTABLISHED, FLOW_CLOSING, FLOW_HALF_OPEN, FLOW_RESTING};

	for (uint32_t i = 0; i < 16; i++) {
		f->context.now_s = START_S + i;
		flow_at at = add(f, i, 0);

		assert_int_equal(at, i);
		if (states[i % 4] == FLOW_RESTING)
			flow_table_end(f->ft, &f->context, at);
		else if (states[i % 4] != FLOW_HALF_OPEN)
			flow_table_move(f->ft, &f->context, at, states[i % 4]);
	}
}

static void flows_give_way_in_order_and_established_ones_never(void **)
{
	static const uint32_t order[] = {3, 7, 11, 15, 2, 6, 10, 14};
	struct fixture *f = fixture_create(IPV4, 16);

	fill(f);
	for (uint32_t i = 0; i < 8; i++) {
		flow_at at = add(f, 100 + i, 0);

		assert_int_equal(at, order[i]); // The place of the one that gave way.
		flow_table_move(f->ft, &f->context, at, FLOW_ESTABLISHED);
	}
	for (uint32_t i = 0; i < 4; i++) {
		flow_at at = add(f, 200 + i, 0);

		assert_int_equal(at, 1 + 4 * i);
		flow_table_move(f->ft, &f->context, at, FLOW_ESTABLISHED);
	}
	assert_int_equal(add(f, 300, 0), FLOW_NONE);
	assert_int_equal(find(f, 0, 0), 0);
	assert_int_equal(event(f, EVENT_FLOWS_EVICTED_RESTING), 4);
	assert_int_equal(event(f, EVENT_FLOWS_EVICTED_HALF_OPEN), 4);
	assert_int_equal(event(f, EVENT_FLOWS_EVICTED_CLOSING), 4);
	assert_sound(f);
	fixture_destroy(f);
}

static void the_half_open_flow_that_would_expire_first_gives_way(void **)
{
	struct fixture *f = fixture_create(IPV4, 16);

	for (uint32_t i = 0; i < 16; i++)
		add(f, i, 0);
	flow_at first = add(f, 100, 1); // UDP, and due before those of TCP.
	assert_int_equal(first, 0);
	assert_int_equal(add(f, 200, 0), first);
	assert_int_equal(add(f, 300, 0), 1);
	fixture_destroy(f);
}

static void a_one_way_flow_that_still_speaks_outlives_a_flood(void **)
{
	struct fixture *f = fixture_create(IPV4, 16);
	flow_at talker = add(f, 0, 1);

	for (uint32_t i = 1; i < 1000; i++) {
		f->context.now_s = START_S + i / 4; // Fills the table in 4 s.
		seen(f, talker, f->context.now_s);
		assert_int_not_equal(add(f, i, 1), FLOW_NONE);
		flow_table_expire(f->ft, &f->context, 4);
		assert_int_equal(find(f, 0, 1), talker);
	}
	fixture_destroy(f);
}

static void gauges_count_what_is_not_resting(void **)
{
	struct fixture *f = fixture_create(IPV4, 64);
	flow_at a = add(f, 1, 0), b = add(f, 6, 0);

	add(f, 2, 1);
	assert_int_equal(f->counters.services.flows[0].now, 2);
	assert_int_equal(f->counters.services.flows[1].now, 1);
	assert_int_equal(f->counters.nodes.flows[1].now, 2); // 1 and 6 modulo 5.
	assert_int_equal(f->counters.nodes.flows[2].now, 1);

	flow_table_end(f->ft, &f->context, a);
	flow_table_remove(f->ft, &f->context, b);
	assert_int_equal(f->counters.services.flows[0].now, 0);
	assert_int_equal(f->counters.nodes.flows[1].now, 0);
	assert_int_equal(f->counters.services.flows[0].created, 2);
	assert_int_equal(f->counters.nodes.flows[1].created, 2);
	assert_int_equal(event(f, EVENT_FLOWS_CREATED), 3);
	fixture_destroy(f);
}

static void a_view_shows_the_flow_and_its_times(void **)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct fixture *f = fixture_create(family, 64);
		flow_at at = add(f, 7, 0);
		uint32_t client[4];
		struct flow_identity id = identity_of(client, 7, 0);
		struct address want =
			family == IPV4 ? address_from_ipv4(client[0]) : address_from_ipv6(client);
		struct flow_view view, looked;

		flow_table_move(f->ft, &f->context, at, FLOW_ESTABLISHED);
		assert_true(flow_table_view(f->ft, &times, at, START_S + 100, &view));
		assert_true(address_equal(&view.client, &want));
		assert_int_equal(view.client_port, id.client_port);
		assert_int_equal(view.node, id.back.node);
		assert_int_equal(view.node_port, id.back.node_port);
		assert_int_equal(view.snat_port, id.back.snat_port);
		assert_int_equal(view.protocol, IPPROTO_TCP);
		assert_int_equal(view.state, FLOW_ESTABLISHED);
		assert_int_equal(view.idle_s, 100);
		assert_int_equal(view.expires_s, IDLE_S - 100);

		assert_true(flow_table_look(f->ft, &times, hash_of(f, &id), &want, id.client_port,
			0, START_S + 100, &looked));
		assert_int_equal(looked.snat_port, view.snat_port);
		assert_int_equal(looked.idle_s, 100);
		assert_false(flow_table_look(f->ft, &times, hash_of(f, &id), &want, id.client_port,
			1, START_S + 100, &looked));
		assert_false(flow_table_view(f->ft, &times, at + 1, START_S, &view));
		fixture_destroy(f);
	}
}

// Makes and forgets flows until told to stop, so that few places are used again and again.
struct changer {
	struct fixture *f;
	_Atomic bool stop;
};

static void *change(void *arg)
{
	struct changer *changer = arg;
	struct fixture *f = changer->f;

	for (uint32_t i = 0; !changer->stop; i++) {
		flow_at at = add(f, i % 50000, 0);

		flow_table_move(f->ft, &f->context, at, FLOW_ESTABLISHED);
		flow_table_remove(f->ft, &f->context, at);
	}
	return NULL;
}

static void no_view_shows_half_of_one_flow_and_half_of_another(void **)
{
	struct fixture *f = fixture_create(IPV6, 16);
	struct changer changer = {.f = f};
	pthread_t thread;
	time_t end = time(NULL) + 20; // On a machine where the other thread hardly ever runs.
	uint32_t n_seen = 0;

	assert_int_equal(pthread_create(&thread, NULL, change, &changer), 0);
	while (n_seen < 200000 && time(NULL) < end) {
		struct flow_view view;

		if (!flow_table_view(f->ft, &times, 0, START_S, &view))
			continue;

		uint32_t client[4];
		uint32_t number = ntohl(view.client.words[0]) - 0x0a000000;
		struct flow_identity id = identity_of(client, number, 0);
		assert_memory_equal(view.client.words, client, sizeof(client));
		assert_int_equal(view.client_port, id.client_port);
		assert_int_equal(view.node, id.back.node);
		assert_int_equal(view.snat_port, id.back.snat_port);
		n_seen++;
	}
	changer.stop = true;
	pthread_join(thread, NULL);
	assert_true(n_seen > 0);
	fixture_destroy(f);
}

// The model: what a table should hold, by number of flow.
enum { MODEL_FLOWS = 150, MODEL_NUMBERS = 400, MODEL_STEPS = 40000 };

struct model {
	struct fixture *f;
	uint64_t random;
	struct model_flow {
		enum flow_state state;
		flow_at at;
		uint32_t seen_s;
		uint64_t moved; // When it came into its state; orders those of one second.
	} flows[MODEL_NUMBERS];
	uint64_t steps;
};

static uint32_t random_below(struct model *m, uint32_t n)
{
	m->random = m->random * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)((m->random >> 32) * n >> 32);
}

static service_id service_of(uint32_t number)
{
	return number % 2;
}

static uint32_t model_due_s(uint32_t number, const struct model_flow *flow)
{
	static const uint32_t patience_s[N_FLOW_STATES] = {
		[FLOW_ESTABLISHED] = IDLE_S, [FLOW_CLOSING] = CLOSING_S, [FLOW_RESTING] = REST_S};

	if (flow->state == FLOW_HALF_OPEN)
		return flow->seen_s + (service_of(number) == 1 ? ONE_WAY_S : HALF_OPEN_S);
	return flow->seen_s + patience_s[flow->state];
}

static void model_set(struct model *m, uint32_t number, enum flow_state state)
{
	m->flows[number].state = state;
	m->flows[number].seen_s = m->f->context.now_s;
	m->flows[number].moved = m->steps++;
}

static uint32_t model_count(const struct model *m, enum flow_state state)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MODEL_NUMBERS; i++)
		n += m->flows[i].state == state;
	return n;
}

static bool model_gives_way_before(
	const struct model *m, enum flow_state state, uint32_t number, uint32_t before)
{
	const struct model_flow *a = &m->flows[number], *b = &m->flows[before];

	if (a->state != state)
		return false;
	if (before == MODEL_NUMBERS)
		return true;
	if (state == FLOW_HALF_OPEN && model_due_s(number, a) != model_due_s(before, b))
		return model_due_s(number, a) < model_due_s(before, b);
	return a->moved < b->moved;
}

// Who gives way when the table is full; MODEL_NUMBERS if nobody does.
static uint32_t model_victim(const struct model *m)
{
	static const enum flow_state order[] = {FLOW_RESTING, FLOW_HALF_OPEN, FLOW_CLOSING};

	for (unsigned s = 0; s < 3; s++) {
		uint32_t victim = MODEL_NUMBERS;

		for (uint32_t i = 0; i < MODEL_NUMBERS; i++) {
			if (model_gives_way_before(m, order[s], i, victim))
				victim = i;
		}
		if (victim < MODEL_NUMBERS)
			return victim;
	}
	return MODEL_NUMBERS;
}

static void model_add(struct model *m, uint32_t number)
{
	bool full = model_count(m, FLOW_FREE) == MODEL_NUMBERS - MODEL_FLOWS;
	uint32_t victim = full ? model_victim(m) : MODEL_NUMBERS;
	flow_at at = add(m->f, number, service_of(number));

	if (full && victim == MODEL_NUMBERS) {
		assert_int_equal(at, FLOW_NONE);
		return;
	}
	if (full) {
		assert_int_equal(at, m->flows[victim].at);
		m->flows[victim].state = FLOW_FREE;
	}
	assert_int_not_equal(at, FLOW_NONE);
	m->flows[number].at = at;
	model_set(m, number, FLOW_HALF_OPEN);
}

static void model_change(struct model *m, uint32_t number)
{
	struct model_flow *flow = &m->flows[number];
	struct fixture *f = m->f;

	switch (random_below(m, 6)) {
	case 0:
		flow_table_remove(f->ft, &f->context, flow->at);
		flow->state = FLOW_FREE;
		break;
	case 1:
		if (flow->state == FLOW_RESTING)
			break;
		flow_table_end(f->ft, &f->context, flow->at);
		model_set(m, number, FLOW_RESTING);
		break;
	case 2:
		if (flow->state != FLOW_ESTABLISHED)
			break;
		flow->seen_s = f->context.now_s;
		seen(f, flow->at, flow->seen_s);
		break;
	default:
		if (flow->state == FLOW_RESTING)
			break;
		enum flow_state state = random_below(m, 3) == 0 ? FLOW_CLOSING : FLOW_ESTABLISHED;
		flow_table_move(f->ft, &f->context, flow->at, state);
		model_set(m, number, state);
	}
}

// With a budget, any of the flows that are due may have ended; without, all have.
static void model_expire(struct model *m, unsigned budget)
{
	struct fixture *f = m->f;

	flow_table_expire(f->ft, &f->context, budget);
	for (uint32_t i = 0; i < MODEL_NUMBERS; i++) {
		struct model_flow *flow = &m->flows[i];

		if (flow->state == FLOW_FREE)
			continue;

		bool due = (int32_t)(model_due_s(i, flow) - f->context.now_s) <= 0;
		bool there = flow->state == FLOW_RESTING
			? find_back(f, i, service_of(i)) == flow->at
			: find(f, i, service_of(i)) == flow->at;
		if (there) {
			assert_false(due && budget == MUCH);
			continue;
		}
		assert_true(due);
		if (flow->state == FLOW_RESTING)
			flow->state = FLOW_FREE;
		else
			model_set(m, i, FLOW_RESTING);
	}
}

// Those that ended in one call rest in an order that the model does not know: the table's own
// tells.
static void model_learn_order(struct model *m)
{
	const struct fixture *f = m->f;
	uint32_t resting_head = f->ft->n_flows + 1;
	uint32_t at = flow_table_flow(f->ft, f->family, resting_head)->next;

	for (uint64_t order = 1; at != resting_head; order++) {
		for (uint32_t i = 0; i < MODEL_NUMBERS; i++) {
			if (m->flows[i].state == FLOW_RESTING && m->flows[i].at == at)
				m->flows[i].moved = order;
		}
		at = flow_table_flow(f->ft, f->family, at)->next;
	}
}

static void model_compare(const struct model *m)
{
	const struct fixture *f = m->f;
	uint64_t of_service[N_SERVICES] = {0}, of_node[N_NODES] = {0};

	for (uint32_t i = 0; i < MODEL_NUMBERS; i++) {
		const struct model_flow *flow = &m->flows[i];
		bool speaks = flow->state != FLOW_FREE && flow->state != FLOW_RESTING;

		assert_int_equal(find(f, i, service_of(i)), speaks ? flow->at : FLOW_NONE);
		assert_int_equal(find_back(f, i, service_of(i)),
			flow->state != FLOW_FREE ? flow->at : FLOW_NONE);
		of_service[service_of(i)] += speaks;
		of_node[i % N_NODES] += speaks;
	}
	for (unsigned i = 0; i < N_SERVICES; i++)
		assert_int_equal(f->counters.services.flows[i].now, of_service[i]);
	for (unsigned i = 0; i < N_NODES; i++)
		assert_int_equal(f->counters.nodes.flows[i].now, of_node[i]);
	for (unsigned s = FLOW_HALF_OPEN; s < N_FLOW_STATES; s++)
		assert_int_equal(f->ft->n_in_state[s], model_count(m, s));
	assert_sound(f);
}

static void model_step(struct model *m)
{
	uint32_t number = random_below(m, MODEL_NUMBERS);

	switch (random_below(m, 20)) {
	case 0:
		m->f->context.now_s += random_below(m, 8);
		model_expire(m, MUCH);
		model_learn_order(m);
		break;
	case 1:
		m->f->context.now_s += random_below(m, 2);
		model_expire(m, random_below(m, 6));
		model_learn_order(m);
		break;
	default:
		if (m->flows[number].state == FLOW_FREE)
			model_add(m, number);
		else
			model_change(m, number);
	}
}

static void random_operations_agree_with_a_simple_model(void **)
{
	const uint64_t seed = 20241123;

	print_message("    seed %llu\n", (unsigned long long)seed);
	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct model m = {.f = fixture_create(family, MODEL_FLOWS), .random = seed};

		for (int i = 0; i < MODEL_STEPS; i++) {
			model_step(&m);
			if (i % 16 == 0)
				model_compare(&m);
		}
		model_compare(&m);
		assert_true(event(m.f, EVENT_FLOWS_EXPIRED) > 100);
		assert_true(event(m.f, EVENT_FLOWS_EVICTED_RESTING) > 100);
		assert_true(event(m.f, EVENT_FLOWS_EVICTED_HALF_OPEN) > 10);
		fixture_destroy(m.f);
	}
}

// An empty one over that of 'below'.
static struct fixture *lay_over(const struct fixture *below)
{
	struct fixture *f = fixture_create(below->family, 64);

	flow_table_lay_over(f->ft, below->ft);
	return f;
}

static void a_table_over_another_has_its_flows_and_changes_none(void **)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct fixture *below = fixture_create(family, 64);
		size_t bytes = flow_table_bytes(family, 64);
		void *before = malloc(bytes);

		for (uint32_t i = 0; i < 4; i++)
			add(below, i, 0);
		flow_table_move(below->ft, &below->context, 1, FLOW_ESTABLISHED);
		flow_table_end(below->ft, &below->context, 3);
		memcpy(before, below->ft, bytes);

		struct fixture *f = lay_over(below);
		flow_at at = find(f, 1, 0);
		assert_int_not_equal(at, FLOW_NONE);
		assert_int_equal(flow_table_flow(f->ft, family, at)->state, FLOW_ESTABLISHED);
		assert_int_equal(find(f, 1, 0), at);
		assert_int_equal(find_back(f, 1, 0), at);
		assert_int_equal(find(f, 3, 0), FLOW_NONE);
		assert_int_not_equal(find_back(f, 3, 0), FLOW_NONE);
		assert_int_equal(find(f, 9, 0), FLOW_NONE);

		flow_table_end(f->ft, &f->context, at);
		flow_table_move(f->ft, &f->context, find_back(f, 2, 0), FLOW_CLOSING);
		flow_table_remove(f->ft, &f->context, find(f, 0, 0));
		assert_int_not_equal(add(f, 9, 0), FLOW_NONE);
		assert_int_not_equal(find(f, 9, 0), FLOW_NONE);
		assert_memory_equal(below->ft, before, bytes);
		free(before);
		fixture_destroy(f);
		fixture_destroy(below);
	}
}

static void a_table_over_a_full_one_is_full_unless_a_flow_has_ended_here(void **)
{
	struct fixture *below = fixture_create(IPV4, FLOWS_MIN);

	for (uint32_t i = 0; i < FLOWS_MIN; i++)
		flow_table_move(below->ft, &below->context, add(below, i, 0), FLOW_ESTABLISHED);
	struct fixture *f = lay_over(below);
	assert_int_equal(add(f, 99, 0), FLOW_NONE);
	assert_int_not_equal(find(f, 5, 0), FLOW_NONE);
	assert_int_equal(add(f, 99, 0), FLOW_NONE);
	flow_table_end(f->ft, &f->context, find(f, 5, 0));
	assert_int_not_equal(add(f, 99, 0), FLOW_NONE);
	fixture_destroy(f);

	flow_table_move(below->ft, &below->context, 7, FLOW_CLOSING);
	f = lay_over(below);
	assert_int_not_equal(add(f, 99, 0), FLOW_NONE);
	fixture_destroy(f);
	fixture_destroy(below);
}

static bool look_back(const struct fixture *f, uint32_t number, struct flow_view *view)
{
	uint32_t client[4];
	struct flow_identity id = identity_of(client, number, 0);

	return flow_table_look_back(
		f->ft, &times, flow_hash_back(hash_key, id.back.word), id.back, START_S, view);
}

static void the_control_thread_finds_a_flow_by_its_replies(void **)
{
	for (enum family family = 0; family < N_FAMILIES; family++) {
		struct fixture *f = fixture_create(family, 6000);
		struct flow_view view;

		for (uint32_t i = 0; i < 6000; i++)
			add(f, i, 0);
		for (uint32_t i = 0; i < 6000; i++) {
			assert_true(look_back(f, i, &view));
			assert_int_equal(view.client_port, htons((uint16_t)(1024 + i)));
		}
		flow_table_end(f->ft, &f->context, 7);
		assert_false(look_back(f, 7, &view));
		assert_false(look_back(f, 6001, &view));
		fixture_destroy(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_is_found_from_both_sides),
		cmocka_unit_test(a_full_table_finds_every_flow_also_outside_its_bucket),
		cmocka_unit_test(an_ended_flow_only_holds_its_port_and_only_while_it_rests),
		cmocka_unit_test(a_silent_flow_ends_after_the_time_of_its_state),
		cmocka_unit_test(a_flow_that_speaks_is_kept),
		cmocka_unit_test(a_long_sleep_of_the_worker_loses_no_expiry),
		cmocka_unit_test(the_flows_of_a_service_that_is_gone_end_with_it),
		cmocka_unit_test(expiry_keeps_to_its_budget_and_goes_on_from_there),
		cmocka_unit_test(flows_give_way_in_order_and_established_ones_never),
		cmocka_unit_test(the_half_open_flow_that_would_expire_first_gives_way),
		cmocka_unit_test(a_one_way_flow_that_still_speaks_outlives_a_flood),
		cmocka_unit_test(gauges_count_what_is_not_resting),
		cmocka_unit_test(a_view_shows_the_flow_and_its_times),
		cmocka_unit_test(no_view_shows_half_of_one_flow_and_half_of_another),
		cmocka_unit_test(a_table_over_another_has_its_flows_and_changes_none),
		cmocka_unit_test(a_table_over_a_full_one_is_full_unless_a_flow_has_ended_here),
		cmocka_unit_test(the_control_thread_finds_a_flow_by_its_replies),
		cmocka_unit_test(random_operations_agree_with_a_simple_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
