#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <signal.h>
#include <string.h>

#include "clock.h"
#include "fake.h"
#include "kubernetes/server_version.h"

// Of one test at a time.
static struct server_version *version;
static const char *wanted;

static int set_up(void **state)
{
	version = NULL;
	return follower_create(state);
}

static int tear_down(void **state)
{
	server_version_destroy(version);
	return follower_destroy(state);
}

static void start(struct follower *f, const char *scenario, const char *second)
{
	fake_start(&f->fake, scenario, NULL, NULL);
	if (second != NULL)
		fake_start(&f->second, second, NULL, NULL);
	follower_connect(f);
	version = server_version_create(f->client);
	assert_non_null(version);
	server_version_look(version, loop_clock_ns());
}

static bool is_wanted(const struct follower *)
{
	return strcmp(server_version_release(version)->text, wanted) == 0;
}

static bool never(const struct follower *)
{
	return false;
}

static void a_release_before_1_32_is_old(void **)
{
	static const struct {
		const char *text;
		bool is_old;
	} cases[] = {
		{"v1.31.4", true}, {"v1.32.0-eks-1", false}, {"v1.35.4", false}, {"v2.0.0", false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void *state;

		assert_int_equal(set_up(&state), 0);
		wanted = cases[i].text;
		start(state, wanted, NULL);
		if (!follower_run(state, is_wanted, 3000) ||
			server_release_is_old(server_version_release(version)) != cases[i].is_old)
			fail_msg("%s: %s", wanted, server_version_release(version)->text);
		tear_down(&state);
	}
}

static void it_is_asked_once(void **state)
{
	struct follower *f = *state;

	wanted = "v1.35.4";
	start(f, wanted, NULL);
	assert_true(follower_run(f, is_wanted, 3000));
	server_version_look(version, loop_clock_ns() + 3600 * NSEC_PER_SEC);
	follower_run(f, never, 200);
	assert_int_equal(fake_count(&f->fake, "GET /version"), 1);
}

static void ignore(void *, const struct api_answer *)
{
}

static void another_server_is_asked_when_it_is_turned_to(void **state)
{
	struct client_call call = {.method = "GET", .path = "/x", .fn = ignore};
	struct follower *f = *state;
	struct api_request *request;

	wanted = "v1.35.4";
	start(f, wanted, "v1.31.4");
	assert_true(follower_run(f, is_wanted, 3000));
	fake_stop(&f->fake);
	assert_int_equal(api_client_call(f->client, &call, &request), 0);
	follower_run(f, never, 300);
	server_version_look(version, loop_clock_ns() + 61 * NSEC_PER_SEC);
	wanted = "v1.31.4";
	assert_true(follower_run(f, is_wanted, 3000));
	assert_true(server_release_is_old(server_version_release(version)));
}

static void who_does_not_say_is_not_called_old(void **state)
{
	struct follower *f = *state;

	wanted = "anything";
	start(f, "never_let_in", NULL);
	assert_false(follower_run(f, is_wanted, 300));
	assert_int_equal(fake_count(&f->fake, "GET /version"), 1);
	assert_false(server_release_is_old(server_version_release(version)));

	// It is asked again after a while.
	server_version_look(version, loop_clock_ns() + 11 * NSEC_PER_SEC);
	follower_run(f, never, 200);
	assert_int_equal(fake_count(&f->fake, "GET /version"), 2);
}

#define ASKING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release_before_1_32_is_old),
		ASKING(it_is_asked_once),
		ASKING(another_server_is_asked_when_it_is_turned_to),
		ASKING(who_does_not_say_is_not_called_old),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("server_version", tests, NULL, NULL);
}
