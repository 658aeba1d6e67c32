#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fake.h"

static bool never(const struct follower *)
{
	return false;
}

static bool is_failing(const struct follower *f)
{
	return follower_status(f).failing;
}

static bool is_well(const struct follower *f)
{
	return !follower_status(f).failing;
}

static bool has_failed_twice(const struct follower *f)
{
	return follower_status(f).n_failures >= 2;
}

static bool has_e(const struct follower *f)
{
	return strchr(follower_names(f), 'e') != NULL;
}

static bool has_z(const struct follower *f)
{
	return strchr(follower_names(f), 'z') != NULL;
}

static bool has_b(const struct follower *f)
{
	return strchr(follower_names(f), 'b') != NULL;
}

// A server that does as it should

static void a_streamed_list_goes_on_as_a_watch_and_then_from_the_last_version(void **state)
{
	struct follower *f = *state;

	follower_start(f, "streams");
	assert_true(follower_run(f, has_e, 5000));

	assert_string_equal(follower_names(f), "a c d e");
	assert_int_equal(f->n_begun, 1);
	assert_int_equal(f->n_synced, 1);
	assert_int_equal(fake_count(&f->fake, "sendInitialEvents=true"), 1);
	assert_int_equal(fake_count(&f->fake, "&resourceVersion=20&timeoutSeconds="), 1);
	assert_int_equal(fake_count(&f->fake, "User-Agent: guideway/"), 2);
	struct watch_status status = follower_status(f);
	assert_int_equal(status.n_failures, 0);
	assert_int_equal(status.n_objects, 3);
	assert_int_equal(status.n_events, 4);
	assert_string_equal(status.resource_version, "21");
}

static bool is_changed(const struct follower *f)
{
	return f->n_told == 3;
}

static void a_stream_may_be_cut_between_any_two_bytes(void **state)
{
	struct follower *f = *state;

	follower_start(f, "bytes_alone");
	assert_true(follower_run(f, is_changed, 5000));
	assert_string_equal(follower_names(f), "a b");
	assert_string_equal(f->objects[0].note, "\U0001f600");
	assert_int_equal(follower_status(f).n_failures, 0);
}

static void a_server_without_streamed_lists_is_asked_page_by_page(void **state)
{
	struct follower *f = *state;

	follower_start(f, "pages");
	assert_true(follower_run(f, has_z, 5000));

	assert_string_equal(follower_names(f), "a b c d z");
	assert_int_equal(f->n_begun, 2); // It was begun as a stream before.
	assert_int_equal(f->n_synced, 1);
	assert_int_equal(fake_count(&f->fake, "services?limit=500"), 3);
	assert_int_equal(fake_count(&f->fake, "continue=second%2F%2B%3D"), 1);
	assert_int_equal(fake_count(&f->fake, "&resourceVersion=30&"), 1);
	assert_int_equal(follower_status(f).n_failures, 0);
}

static void a_list_whose_pages_expire_is_asked_for_whole(void **state)
{
	struct follower *f = *state;

	follower_start(f, "expired_page");
	assert_true(follower_run(f, is_synced_once, 6000));
	assert_string_equal(follower_names(f), "a c");
	assert_int_equal(fake_count(&f->fake, "services?resourceVersion= "), 1);
}

static void a_server_that_takes_a_streamed_list_for_a_watch_is_found_out(void **state)
{
	struct follower *f = *state;

	fake_start(&f->fake, "ignores_streaming", NULL, NULL);
	follower_watch(f, 300);
	assert_true(follower_run(f, is_synced_once, 5000));
	assert_string_equal(follower_names(f), "a b");
	assert_int_equal(fake_count(&f->fake, "sendInitialEvents"), 1);
}

static void a_streamed_list_that_came_to_nothing_once_is_tried_again(void **state)
{
	struct follower *f = *state;

	fake_start(&f->fake, "silent_once", NULL, NULL);
	follower_watch(f, 300);
	assert_true(follower_run(f, is_synced_twice, 8000));
	assert_string_equal(follower_names(f), "a c");
	assert_int_equal(fake_count(&f->fake, "services?limit=500"), 1);
	assert_int_equal(fake_count(&f->fake, "sendInitialEvents"), 2);
}

static bool has_all(const struct follower *f)
{
	return f->n_synced == 1;
}

// How long a step takes depends on who else has the machine: it is told that there are many.
static void a_large_list_is_taken_in_many_steps_of_the_loop(void **state)
{
	struct follower *f = *state;

	follower_start(f, "many");
	assert_true(follower_run(f, has_all, 60000));
	assert_int_equal(f->n_told, 20000);
	assert_true(f->n_told_at_most < 20000 / 4);
}

// A server in trouble

static void what_is_throttled_waits_as_long_as_the_server_says(void **state)
{
	struct follower *f = *state;
	uint64_t began_ns = loop_clock_ns();

	follower_start(f, "storm");
	assert_true(follower_run(f, is_failing, 2000));
	assert_non_null(strstr(follower_status(f).why, "HTTP status 429: too many requests"));
	assert_true(follower_run(f, is_synced_once, 20000));
	// Retry-After said 2 and twice 1, and pauses grow from 0.8 s.
	assert_true(loop_clock_ns() - began_ns >= 2 * NSEC_PER_SEC + 4800 * NSEC_PER_MSEC);
	assert_int_equal(fake_count(&f->fake, "watch=1"), 4);
	assert_false(follower_status(f).failing);
}

static void an_expired_version_is_a_reason_to_list_anew(void **state)
{
	struct follower *f = *state;

	follower_start(f, "error_410");
	assert_true(follower_run(f, is_synced_once, 2000));
	assert_true(follower_run(f, is_synced_twice, 5000));
	assert_string_equal(follower_names(f), "a c");
}

static void an_expired_version_may_also_be_a_status_of_http(void **state)
{
	struct follower *f = *state;

	follower_start(f, "status_410");
	assert_true(follower_run(f, is_synced_twice, 8000));
	assert_string_equal(follower_names(f), "a c");
	assert_int_equal(fake_count(&f->fake, "&resourceVersion=10&"), 1);
}

static void throttling_within_the_stream_waits_and_lists_nothing_anew(void **state)
{
	struct follower *f = *state;
	uint64_t began_ns = loop_clock_ns();

	follower_start(f, "error_429");
	assert_true(follower_run(f, has_b, 8000));
	assert_true(loop_clock_ns() - began_ns >= 2 * NSEC_PER_SEC);
	assert_int_equal(f->n_begun, 1);
	assert_int_equal(fake_count(&f->fake, "&resourceVersion=10&"), 1);
}

static void a_version_ahead_of_the_server_is_a_reason_to_list_anew(void **state)
{
	struct follower *f = *state;

	follower_start(f, "too_large_version");
	assert_true(follower_run(f, is_synced_twice, 8000));
	assert_string_equal(follower_names(f), "b");
}

static void what_is_forbidden_is_tried_again(void **state)
{
	struct follower *f = *state;

	follower_start(f, "forbidden");
	assert_true(follower_run(f, is_failing, 2000));
	assert_non_null(strstr(follower_status(f).why, "HTTP status 403: services is forbidden"));
	assert_true(follower_run(f, is_synced_once, 8000));
}

static void errors_and_cuts_are_tried_again(void **state)
{
	struct follower *f = *state;

	follower_start(f, "broken");
	assert_true(follower_run(f, is_synced_once, 40000));
	assert_string_equal(follower_names(f), "a");
	assert_int_equal(follower_status(f).n_failures, 4);
}

static void a_server_that_goes_away_costs_no_list(void **state)
{
	struct follower *f = *state;

	follower_start(f, "away");
	assert_true(follower_run(f, is_synced_once, 2000));
	assert_true(follower_run(f, has_failed_twice, 8000));
	assert_non_null(strstr(follower_status(f).why, "connection refused by http://127.0.0.1:"));
	assert_string_equal(follower_names(f), "a");
	assert_true(follower_run(f, has_b, 15000));
	assert_int_equal(f->n_begun, 1);
	assert_int_equal(follower_status(f).n_lists, 1);
	assert_true(follower_run(f, is_well, 2000));
}

static void watches_that_end_at_once_are_not_begun_at_once(void **state)
{
	struct follower *f = *state;

	follower_start(f, "ends_at_once");
	follower_run(f, never, 5000);
	assert_int_equal(f->n_begun, 1);
	assert_in_range(fake_count(&f->fake, "watch=1"), 3, 6);
}

static void a_silent_server_is_left_for_another(void **state)
{
	struct follower *f = *state;

	fake_start(&f->fake, "silent", NULL, NULL);
	fake_start(&f->second, "streams", NULL, NULL);
	follower_watch(f, 300);
	assert_true(follower_run(f, is_synced_once, 8000));
	assert_int_equal(fake_count(&f->fake, "watch=1"), 1);
	assert_int_equal(fake_count(&f->second, "watch=1"), 1);
}

static void a_server_in_trouble_is_left_for_another(void **state)
{
	struct follower *f = *state;

	fake_start(&f->fake, "sick", NULL, NULL);
	fake_start(&f->second, "streams", NULL, NULL);
	follower_watch(f, 0);
	assert_true(follower_run(f, has_e, 8000));
	assert_int_equal(fake_count(&f->fake, "GET"), 1);
	assert_int_equal(fake_count(&f->second, "watch=1"), 2);
}

// Pauses are at least 0.8, 1.6 and 3.2 s.
static void servers_in_trouble_are_asked_no_more_than_one_would_be(void **state)
{
	struct follower *f = *state;

	fake_start(&f->fake, "sick", NULL, NULL);
	fake_start(&f->second, "sick", NULL, NULL);
	follower_watch(f, 0);
	assert_false(follower_run(f, is_synced_once, 5000));
	assert_in_range(fake_count(&f->fake, "GET"), 1, 2);
	assert_in_range(fake_count(&f->second, "GET"), 1, 2);
}

static void a_silent_server_alone_is_tried_again(void **state)
{
	struct follower *f = *state;

	fake_start(&f->fake, "silent", NULL, NULL);
	follower_watch(f, 300);
	assert_true(follower_run(f, has_failed_twice, 8000));
	assert_non_null(strstr(follower_status(f).why, "no answer in time by http://127.0.0.1:"));
}

// What is none of an API server's

static const char *const rubbish[] = {"html", "empty", "other json", "a list without a version",
	"a page followed by itself", "a number", "an array", "items of numbers", "utf-16",
	"a huge item", "a huge list", "a string without an end"};

// All at once, since most of it is waiting. A list that is none is one that is not synced; else
// there would be one more of them, and something gone before.
static void follow_all(const char *group, const char *const *kinds, size_t n, uint64_t n_failures)
{
	struct follower *followers[32];
	struct loop *loop;
	char scenario[96];

	assert_int_equal(loop_create(&loop), 0);
	for (size_t i = 0; i < n; i++) {
		followers[i] = follower_create_on(loop);
		snprintf(scenario, sizeof(scenario), "%s: %s", group, kinds[i]);
		follower_start(followers[i], scenario);
	}
	for (size_t i = 0; i < n; i++) {
		struct follower *f = followers[i];

		if (!follower_run(f, is_synced_twice, 30000))
			fail_msg("%s: not well again: %s", kinds[i], follower_status(f).why);
		if (f->n_synced != 2 || strcmp(follower_names(f), "a c") != 0)
			fail_msg("%s: %zu lists, and then %s", kinds[i], f->n_synced,
				follower_names(f));
		if (follower_status(f).n_failures < n_failures)
			fail_msg("%s: passed over", kinds[i]);
		follower_free(f);
	}
	loop_destroy(loop);
}

static void a_list_that_is_none_changes_nothing(void **)
{
	// The 410 that leads to it is one failure.
	follow_all("rubbish", rubbish, sizeof(rubbish) / sizeof(rubbish[0]), 2);
}

static const char *const bad_events[] = {"no json", "no object", "an object that is a text",
	"an unknown type", "html", "a huge event", "bad utf-8"};

static void an_event_that_cannot_be_read_is_a_reason_to_list_anew(void **)
{
	follow_all("bad event", bad_events, sizeof(bad_events) / sizeof(bad_events[0]), 1);
}

static const char *const unreadable[] = {"bad utf-8", "a lone surrogate", "a nul",
	"no comma in an object", "too deep", "too large a number"};

static bool has_d(const struct follower *f)
{
	return strchr(follower_names(f), 'd') != NULL;
}

// It may be what the second list does not have. The 410 between the lists is the only failure.
static void assert_does_without_it(struct follower *f, const char *what)
{
	if (!follower_run(f, has_d, 10000))
		fail_msg("%s: not followed: %s", what, follower_status(f).why);
	struct watch_status status = follower_status(f);
	if (strcmp(follower_names(f), "a b c d") != 0 || f->n_synced != 2 || f->n_lacking != 2 ||
		status.n_bad_objects != 3 || status.n_failures != 1)
		fail_msg("%s: %s, %zu lists, %zu of them lacking, %d left out, %d failures", what,
			follower_names(f), f->n_synced, f->n_lacking, (int)status.n_bad_objects,
			(int)status.n_failures);
}

static void an_object_that_cannot_be_read_is_left_out(void **)
{
	static const char *const formats[] = {"a page has %s", "a stream has %s"};
	const size_t n = 2 * sizeof(unreadable) / sizeof(unreadable[0]);
	struct follower *followers[2 * sizeof(unreadable) / sizeof(unreadable[0])];
	char scenarios[2 * sizeof(unreadable) / sizeof(unreadable[0])][64];
	struct loop *loop;

	assert_int_equal(loop_create(&loop), 0);
	for (size_t i = 0; i < n; i++) {
		followers[i] = follower_create_on(loop);
		snprintf(scenarios[i], sizeof(scenarios[i]), formats[i % 2], unreadable[i / 2]);
		follower_start(followers[i], scenarios[i]);
	}
	for (size_t i = 0; i < n; i++) {
		assert_does_without_it(followers[i], scenarios[i]);
		follower_free(followers[i]);
	}
	loop_destroy(loop);
}

static void a_nul_within_a_text_is_another_character(void **state)
{
	struct follower *f = *state;

	follower_start(f, "nuls");
	assert_true(follower_run(f, has_b, 5000));
	assert_string_equal(f->objects[0].note, "x\ufffdy");
	assert_string_equal(f->objects[1].note, "\ufffd");
	assert_int_equal(follower_status(f).n_bad_objects, 0);
	assert_int_equal(f->n_lacking, 0);
}

#define FOLLOWING(test) cmocka_unit_test_setup_teardown(test, follower_create, follower_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLLOWING(a_streamed_list_goes_on_as_a_watch_and_then_from_the_last_version),
		FOLLOWING(a_stream_may_be_cut_between_any_two_bytes),
		FOLLOWING(a_server_without_streamed_lists_is_asked_page_by_page),
		FOLLOWING(a_list_whose_pages_expire_is_asked_for_whole),
		FOLLOWING(a_server_that_takes_a_streamed_list_for_a_watch_is_found_out),
		FOLLOWING(a_streamed_list_that_came_to_nothing_once_is_tried_again),
		FOLLOWING(a_large_list_is_taken_in_many_steps_of_the_loop),
		FOLLOWING(what_is_throttled_waits_as_long_as_the_server_says),
		FOLLOWING(an_expired_version_is_a_reason_to_list_anew),
		FOLLOWING(an_expired_version_may_also_be_a_status_of_http),
		FOLLOWING(throttling_within_the_stream_waits_and_lists_nothing_anew),
		FOLLOWING(a_version_ahead_of_the_server_is_a_reason_to_list_anew),
		FOLLOWING(what_is_forbidden_is_tried_again),
		FOLLOWING(errors_and_cuts_are_tried_again),
		FOLLOWING(a_server_that_goes_away_costs_no_list),
		FOLLOWING(watches_that_end_at_once_are_not_begun_at_once),
		FOLLOWING(a_silent_server_is_left_for_another),
		FOLLOWING(a_server_in_trouble_is_left_for_another),
		FOLLOWING(servers_in_trouble_are_asked_no_more_than_one_would_be),
		FOLLOWING(a_silent_server_alone_is_tried_again),
		cmocka_unit_test(a_list_that_is_none_changes_nothing),
		cmocka_unit_test(an_event_that_cannot_be_read_is_a_reason_to_list_anew),
		cmocka_unit_test(an_object_that_cannot_be_read_is_left_out),
		FOLLOWING(a_nul_within_a_text_is_another_character),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
