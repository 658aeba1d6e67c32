#include "documents.h"

#include <string.h>

#include "clock.h"
#include "kubernetes/json_read.h"
#include "kubernetes/lease_keeper.h"

// Those that want one Lease, and an API server that has it: what they ask is answered at once
// unless a test says otherwise, and time goes on in steps of 100 ms.

#define STEP_NS (100 * NSEC_PER_MSEC)
#define START_NS (1000 * NSEC_PER_SEC)
#define NOW_US INT64_C(1767225600123456) // Then: 2026-01-01T00:00:00.123456Z

enum { N_KEEPERS = 2 };

struct place {
	struct lease_keeper *keepers[N_KEEPERS];
	bool is_stopped[N_KEEPERS]; // Its process gets no time.
	bool is_cut_off[N_KEEPERS]; // It gets no answer but its own timeout's.
	json_t *lease;              // As the API server has it; NULL for none.
	int version;
	unsigned n_requests;
	uint64_t now_ns;
};

static const char *const names[N_KEEPERS] = {"east", "west"};

static struct lease_keeper *make_keeper(const char *holder)
{
	struct lease_keeper_config config = {
		.space = "guideway",
		.name = "guideway-leader",
		.holder = holder,
		.lease_ms = 15000,
		.renew_ms = 10000,
		.retry_ms = 2000,
	};
	struct lease_keeper *keeper = lease_keeper_create(&config);

	assert_non_null(keeper);
	return keeper;
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->now_ns = START_NS;
	for (int i = 0; i < N_KEEPERS; i++)
		p->keepers[i] = make_keeper(names[i]);
	*state = p;
	return 0;
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < N_KEEPERS; i++)
		lease_keeper_destroy(p->keepers[i]);
	json_decref(p->lease);
	free(p);
	return 0;
}

// The API server

static void store(struct place *p, const json_t *body)
{
	char version[16];

	json_decref(p->lease);
	p->lease = json_deep_copy(body);
	snprintf(version, sizeof(version), "%d", ++p->version);
	json_object_set_new(
		json_object_get(p->lease, "metadata"), "resourceVersion", json_string(version));
}

static unsigned serve(struct place *p, const struct api_ask *request)
{
	const char *version = json_text_at(request->body, "metadata.resourceVersion");

	if (strcmp(request->method, "POST") == 0) {
		assert_string_equal(
			request->path, "/apis/coordination.k8s.io/v1/namespaces/guideway/leases");
		if (p->lease != NULL)
			return 409;
		store(p, request->body);
		return 201;
	}
	assert_string_equal(request->path,
		"/apis/coordination.k8s.io/v1/namespaces/guideway/leases/guideway-leader");
	if (p->lease == NULL)
		return 404;
	if (strcmp(request->method, "PUT") == 0) {
		assert_string_not_equal(version, "");
		if (!json_text_is(p->lease, "metadata.resourceVersion", version))
			return 409;
		store(p, request->body);
	}
	return 200;
}

static void answer(struct place *p, int i, struct api_ask *request)
{
	unsigned status = p->is_cut_off[i] ? 0 : serve(p, request);

	lease_keeper_answered(p->keepers[i], status, status == 0 ? NULL : p->lease, p->now_ns);
	json_decref(request->body);
}

static bool asks(struct place *p, int i, struct api_ask *ret_request)
{
	int64_t now_us = NOW_US + (int64_t)((p->now_ns - START_NS) / 1000);

	return lease_keeper_next(p->keepers[i], p->now_ns, now_us, ret_request);
}

static void run_one(struct place *p, int i)
{
	struct api_ask request;

	for (int n = 0; !p->is_stopped[i] && asks(p, i, &request); n++) {
		assert_true(n < 4); // No storm of requests.
		p->n_requests++;
		answer(p, i, &request);
	}
}

static bool holds(const struct place *p, int i)
{
	return lease_keeper_holds(p->keepers[i], p->now_ns);
}

static void run(struct place *p, double seconds)
{
	uint64_t end_ns = p->now_ns + (uint64_t)(seconds * NSEC_PER_SEC);

	for (; p->now_ns < end_ns; p->now_ns += STEP_NS) {
		for (int i = 0; i < N_KEEPERS; i++)
			run_one(p, i);
		assert_false(holds(p, 0) && holds(p, 1));
	}
}

// One that holds it, and another that waits.
static void east_leads(struct place *p)
{
	p->is_stopped[1] = true;
	run(p, 1);
	p->is_stopped[1] = false;
	run(p, 5);
	assert_true(holds(p, 0));
}

static int64_t transitions(const struct place *p)
{
	return json_number_at(p->lease, "spec.leaseTransitions");
}

// What must be true

static void who_finds_none_makes_it(void **state)
{
	struct place *p = *state;

	run(p, 1);
	assert_true(holds(p, 0));
	assert_true(json_text_is(p->lease, "spec.holderIdentity", "east"));
	assert_int_equal(json_number_at(p->lease, "spec.leaseDurationSeconds"), 15);
	assert_true(json_text_is(p->lease, "spec.renewTime", "2026-01-01T00:00:00.123456Z"));
	assert_true(json_text_is(p->lease, "spec.acquireTime", "2026-01-01T00:00:00.123456Z"));
	assert_int_equal(transitions(p), 0);
}

static void of_two_that_find_none_one_makes_it(void **state)
{
	struct place *p = *state;
	struct api_ask east, west;

	assert_true(asks(p, 0, &east) && asks(p, 1, &west));
	answer(p, 0, &east);
	answer(p, 1, &west);
	assert_true(asks(p, 0, &east) && asks(p, 1, &west));
	assert_string_equal(west.method, "POST");
	answer(p, 0, &east);
	answer(p, 1, &west);
	assert_true(holds(p, 0));
	run(p, 60);
	assert_true(holds(p, 0));
}

static void it_is_renewed_every_retry(void **state)
{
	struct place *p = *state;
	int before;

	p->is_stopped[1] = true;
	run(p, 1);
	before = p->version;
	p->n_requests = 0;
	run(p, 20);
	assert_int_equal(p->version - before, 10);
	assert_int_equal(p->n_requests, 10);
	assert_int_equal(transitions(p), 0);
}

static void another_waits_while_it_is_renewed(void **state)
{
	struct place *p = *state;

	east_leads(p);
	run(p, 120);
	assert_true(holds(p, 0));
	assert_string_equal(lease_keeper_holder(p->keepers[1]), "east");
}

static void one_that_is_silent_is_followed_when_its_time_is_over(void **state)
{
	struct place *p = *state;

	east_leads(p);
	p->is_stopped[0] = true;
	run(p, 12);
	assert_false(holds(p, 1));
	run(p, 12); // 15 since it was last renewed, and up to 4.4 more to look again.
	assert_true(holds(p, 1));
	assert_int_equal(transitions(p), 1);

	p->is_stopped[0] = false;
	assert_false(holds(p, 0));
	run(p, 60);
	assert_true(holds(p, 1));
}

static void one_that_is_cut_off_stops_before_another_begins(void **state)
{
	struct place *p = *state;

	east_leads(p);
	p->is_cut_off[0] = true;
	run(p, 7);
	assert_true(holds(p, 0));
	run(p, 3.2);
	assert_false(holds(p, 0));
	assert_false(holds(p, 1)); // And run() asserts that there never were two.
	run(p, 12);
	assert_true(holds(p, 1));
}

static void a_short_outage_changes_nothing(void **state)
{
	struct place *p = *state;

	east_leads(p);
	p->is_cut_off[0] = p->is_cut_off[1] = true;
	run(p, 7);
	p->is_cut_off[0] = p->is_cut_off[1] = false;
	run(p, 30);
	assert_true(holds(p, 0));
	assert_int_equal(transitions(p), 0);
}

static void clocks_of_others_are_not_looked_at(void **state)
{
	struct place *p = *state;
	json_t *spec;

	p->is_stopped[0] = true;
	p->lease = document("{'metadata': {'name': 'guideway-leader', 'resourceVersion': '7'},"
			    " 'spec': {'holderIdentity': 'north', 'leaseDurationSeconds': 15,"
			    " 'renewTime': '1999-01-01T00:00:00.000000Z'}}");
	run(p, 14);
	assert_false(holds(p, 1));
	spec = json_object_get(p->lease, "spec");
	json_object_set_new(spec, "renewTime", json_string("1999-01-01T00:00:02.000000Z"));
	run(p, 14);
	assert_false(holds(p, 1));
	json_object_set_new(spec, "renewTime", json_string("2099-01-01T00:00:00.000000Z"));
	run(p, 24);
	assert_true(holds(p, 1));
}

static void it_is_given_up_at_the_end(void **state)
{
	struct place *p = *state;

	east_leads(p);
	lease_keeper_end(p->keepers[0], p->now_ns);
	run_one(p, 0);
	assert_true(lease_keeper_has_ended(p->keepers[0]));
	assert_false(holds(p, 0));
	assert_true(json_text_is(p->lease, "spec.holderIdentity", ""));
	assert_int_equal(json_number_at(p->lease, "spec.leaseDurationSeconds"), 1);
	run(p, 5);
	assert_true(holds(p, 1));
}

static void one_that_renews_while_it_is_told_to_end_gives_it_up_after_that(void **state)
{
	struct place *p = *state;
	struct api_ask request;

	east_leads(p);
	while (!asks(p, 0, &request))
		p->now_ns += STEP_NS;
	lease_keeper_end(p->keepers[0], p->now_ns);
	assert_false(lease_keeper_has_ended(p->keepers[0]));
	answer(p, 0, &request);
	run_one(p, 0);
	assert_true(lease_keeper_has_ended(p->keepers[0]));
	assert_true(json_text_is(p->lease, "spec.holderIdentity", ""));
}

static void who_does_not_hold_it_has_nothing_to_give_up(void **state)
{
	struct place *p = *state;

	east_leads(p);
	lease_keeper_end(p->keepers[1], p->now_ns);
	assert_true(lease_keeper_has_ended(p->keepers[1]));
	run(p, 20);
	assert_true(holds(p, 0));
}

static void a_restart_takes_it_up_again(void **state)
{
	struct place *p = *state;

	east_leads(p);
	lease_keeper_destroy(p->keepers[0]);
	p->keepers[0] = make_keeper(names[0]);
	run_one(p, 0);
	assert_true(holds(p, 0));
	assert_int_equal(transitions(p), 0);
}

static void one_that_was_deleted_is_made_anew(void **state)
{
	struct place *p = *state;

	east_leads(p);
	json_decref(p->lease);
	p->lease = NULL;
	run(p, 5);
	assert_true(holds(p, 0) || holds(p, 1));
}

// "" for nothing.
static const char *said(const struct place *p)
{
	const json_t *annotations = json_at(p->lease, "metadata.annotations");
	const char *in_force = json_string_value(json_object_get(annotations, LEASE_IN_FORCE));

	return in_force == NULL ? "" : in_force;
}

static void what_is_in_force_is_said_at_once_if_it_is_asked_for(void **state)
{
	struct place *p = *state;

	p->is_stopped[1] = true;
	lease_keeper_say_in_force(p->keepers[0], 40, false, p->now_ns);
	run(p, 1);
	assert_string_equal(said(p), "40");
	lease_keeper_say_in_force(p->keepers[0], 41, false, p->now_ns);
	run(p, 0.5);
	assert_string_equal(said(p), "40");
	lease_keeper_say_in_force(p->keepers[0], 42, true, p->now_ns);
	run(p, 0.3);
	assert_string_equal(said(p), "42");
}

static void that_anything_is_in_force_or_nothing_any_more_is_said_at_once(void **state)
{
	struct place *p = *state;

	p->is_stopped[1] = true;
	run(p, 1);
	assert_string_equal(said(p), "");
	lease_keeper_say_in_force(p->keepers[0], 41, false, p->now_ns);
	lease_keeper_say_in_force(p->keepers[0], 42, false, p->now_ns);
	run(p, 0.3);
	assert_string_equal(said(p), "42");
	lease_keeper_say_in_force(p->keepers[0], IN_FORCE_NOT_ALL, false, p->now_ns);
	run(p, 0.3);
	assert_string_equal(said(p), "not-all");
}

static void a_restart_says_nothing_of_what_was_in_force_before(void **state)
{
	struct place *p = *state;

	p->is_stopped[1] = true;
	lease_keeper_say_in_force(p->keepers[0], 41, true, p->now_ns);
	run(p, 1);
	assert_string_equal(said(p), "41");
	lease_keeper_destroy(p->keepers[0]);
	p->keepers[0] = make_keeper(names[0]);
	run_one(p, 0);
	assert_true(holds(p, 0));
	assert_string_equal(said(p), "");
}

static void what_others_wrote_into_it_stays(void **state)
{
	struct place *p = *state;

	east_leads(p);
	json_object_set_new(json_object_get(p->lease, "metadata"), "labels",
		json_pack("{s:s}", "team", "edge"));
	json_object_set_new(
		json_object_get(p->lease, "metadata"), "resourceVersion", json_string("other"));
	run(p, 5);
	assert_true(json_text_is(p->lease, "metadata.labels.team", "edge"));
	assert_true(holds(p, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_finds_none_makes_it),
		TEST(of_two_that_find_none_one_makes_it),
		TEST(it_is_renewed_every_retry),
		TEST(another_waits_while_it_is_renewed),
		TEST(one_that_is_silent_is_followed_when_its_time_is_over),
		TEST(one_that_is_cut_off_stops_before_another_begins),
		TEST(a_short_outage_changes_nothing),
		TEST(clocks_of_others_are_not_looked_at),
		TEST(it_is_given_up_at_the_end),
		TEST(one_that_renews_while_it_is_told_to_end_gives_it_up_after_that),
		TEST(who_does_not_hold_it_has_nothing_to_give_up),
		TEST(a_restart_takes_it_up_again),
		TEST(one_that_was_deleted_is_made_anew),
		TEST(what_is_in_force_is_said_at_once_if_it_is_asked_for),
		TEST(that_anything_is_in_force_or_nothing_any_more_is_said_at_once),
		TEST(a_restart_says_nothing_of_what_was_in_force_before),
		TEST(what_others_wrote_into_it_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
