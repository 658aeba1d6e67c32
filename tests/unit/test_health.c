#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "canned_server.h"
#include "health.h"
#include "mute.h"

// Verdicts, without a socket

static const struct standing_case {
	const char *name;
	const char *answers;  // '+' up, '~' draining, '-' down.
	const char *verdicts; // After each, in the same letters; rise is 2 and fall is 3.
} standing_cases[] = {
	{"the first good answer decides", "+", "+"},
	{"the first bad answer decides", "-", "-"},
	{"bad answers take fall in a row", "+---", "+++-"},
	{"a good answer starts the row anew", "+--+--", "++++++"},
	{"good answers take rise in a row", "-++", "--+"},
	{"a bad answer starts the row anew", "-+-+", "----"},
	{"a first answer counts in its row", "++---", "++++-"},
	{"one that drains drains at once", "++~", "++~"},
	{"one that drains no more is up at once", "~~+", "~~+"},
	{"one that drains has come back as any", "-~~", "--~"},
	{"one that drains goes down as any", "~---", "~~~-"},
	{"of good answers the last one counts", "-~+", "--+"},
};

static enum verdict verdict_of(char letter)
{
	return letter == '+' ? VERDICT_UP : letter == '~' ? VERDICT_DRAINING : VERDICT_DOWN;
}

static void verdicts_follow_rise_and_fall(void **)
{
	for (size_t i = 0; i < sizeof(standing_cases) / sizeof(standing_cases[0]); i++) {
		const struct standing_case *c = &standing_cases[i];
		struct standing standing = {0};

		for (size_t j = 0; c->answers[j] != '\0'; j++) {
			enum verdict before = standing.verdict;
			bool changed = standing_take(&standing, verdict_of(c->answers[j]), 2, 3);

			if (standing.verdict != verdict_of(c->verdicts[j]) ||
				changed != (standing.verdict != before))
				fail_msg("%s: answer %zu", c->name, j);
		}
	}
}

static void an_inherited_verdict_takes_as_many_answers_as_any(void **)
{
	struct standing standing = {.verdict = VERDICT_UP};

	assert_false(standing_take(&standing, VERDICT_DOWN, 2, 3));
	assert_false(standing_take(&standing, VERDICT_DOWN, 2, 3));
	assert_true(standing_take(&standing, VERDICT_DOWN, 2, 3));
	assert_int_equal(standing.verdict, VERDICT_DOWN);
}

static void a_late_loop_makes_a_timeout_say_nothing_but_not_for_ever(void **)
{
	const uint64_t second_ns = 1000000000;

	assert_true(timeout_counts(0, second_ns, 0));
	assert_true(timeout_counts(second_ns / 10, second_ns, 0));
	assert_false(timeout_counts(second_ns / 10 + 1, second_ns, 0));
	assert_false(timeout_counts(second_ns, second_ns, 2));
	assert_true(timeout_counts(second_ns, second_ns, 3));
}

// Probes, with real sockets on the loopback

struct bench {
	struct loop *loop;
	struct health *health;
	struct loop_timer patience; // Ends the loop where nothing else does.
	size_t n_changes;
	size_t stop_after; // As many changes.
	int listener;
	uint16_t port;
};

static void note_change(void *argument, const struct probe *, enum verdict)
{
	struct bench *b = argument;

	if (++b->n_changes == b->stop_after)
		loop_stop(b->loop);
}

static void give_up(void *argument, uint64_t)
{
	struct bench *b = argument;

	loop_stop(b->loop);
}

static void run_for(struct bench *b, uint64_t ms)
{
	loop_timer_set(b->loop, &b->patience, loop_clock_ns() + ms * 1000000);
	assert_int_equal(loop_run(b->loop), 0);
	loop_timer_cancel(b->loop, &b->patience);
}

static int make_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	*state = b;
	b->stop_after = 1;
	b->patience = (struct loop_timer){.name = "patience", .fn = give_up, .argument = b};
	b->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(b->listener, (struct sockaddr *)&at, len) < 0 || listen(b->listener, 16) < 0)
		return -1;
	getsockname(b->listener, (struct sockaddr *)&at, &len);
	b->port = ntohs(at.sin_port);
	if (loop_create(&b->loop) < 0)
		return -1;
	return health_create(b->loop, note_change, b, &b->health);
}

static int unmake_bench(void **state)
{
	struct bench *b = *state;

	health_destroy(b->health);
	loop_destroy(b->loop);
	if (b->listener >= 0)
		close(b->listener);
	free(b);
	return 0;
}

static void close_listener(struct bench *b)
{
	close(b->listener);
	b->listener = -1;
}

static struct probe_config probe_of(const struct bench *b, enum check_kind kind)
{
	return (struct probe_config){
		.address = address_from_ipv4(htonl(INADDR_LOOPBACK)),
		.port = b->port,
		.check = {.kind = kind,
			.path = "/healthz",
			.status_first = 200,
			.status_last = 299,
			.interval_ms = 50,
			.timeout_ms = 1000,
			.rise = 2,
			.fall = 2},
	};
}

static void a_listening_port_is_up_and_a_closed_one_down_with_the_reason(void **state)
{
	struct bench *b = *state;
	struct probe_config config = probe_of(b, CHECK_TCP);
	struct probe *probe = health_acquire(b->health, &config, VERDICT_NONE);

	assert_false(health_is_settled(b->health));
	run_for(b, 2000);
	assert_int_equal(probe_verdict(probe), VERDICT_UP);
	assert_true(health_is_settled(b->health));

	close_listener(b);
	b->stop_after = 2;
	run_for(b, 2000);
	assert_int_equal(probe_verdict(probe), VERDICT_DOWN);
	assert_string_equal(probe_reason(probe), "connection refused");
	assert_int_equal(probe_run(probe), 2);
	health_release(b->health, probe);
}

static void a_node_port_that_refuses_is_a_living_nodes_and_a_silent_one_is_not(void **state)
{
	struct bench *b = *state;
	struct address loopback = address_from_ipv4(htonl(INADDR_LOOPBACK));
	struct probe_config refusing = probe_of(b, CHECK_NODE_PORT), silent = refusing;
	struct mute mute = {.listener = -1};

	assert_int_equal(mute_start(&mute, &loopback), 0);
	silent.port = mute.port;
	silent.check.timeout_ms = 50;
	close_listener(b);
	struct probe *alive = health_acquire(b->health, &refusing, VERDICT_NONE);
	struct probe *dead = health_acquire(b->health, &silent, VERDICT_NONE);
	b->stop_after = 2;
	run_for(b, 2000);

	assert_int_equal(probe_verdict(alive), VERDICT_REFUSING);
	assert_string_equal(probe_reason(alive), "connection refused");
	assert_int_equal(probe_verdict(dead), VERDICT_DOWN);
	assert_string_equal(probe_reason(dead), "connection timed out after 0.05 s");
	health_release(b->health, alive);
	health_release(b->health, dead);
	mute_stop(&mute);
}

static void equal_probes_are_one_and_others_are_not(void **state)
{
	struct bench *b = *state;
	struct probe_config config = probe_of(b, CHECK_TCP);
	struct probe_config slower = config;
	struct health_status status;

	slower.check.interval_ms = 51;
	struct probe *first = health_acquire(b->health, &config, VERDICT_NONE);
	struct probe *other = health_acquire(b->health, &slower, VERDICT_NONE);
	config.check.port = 7; // Of the check, which the probe's port overrides.
	struct probe *same = health_acquire(b->health, &config, VERDICT_NONE);

	assert_ptr_equal(first, same);
	assert_ptr_not_equal(first, other);
	health_read_status(b->health, &status);
	assert_int_equal(status.n_probes, 2);

	health_release(b->health, first);
	health_release(b->health, other);
	health_read_status(b->health, &status);
	assert_int_equal(status.n_probes, 1);
	health_release(b->health, same);
	assert_true(health_is_settled(b->health));
}

// Accepts without an answer: HTTP then runs into its timeout.
static void silence_runs_into_the_timeout_and_is_the_first_verdict(void **state)
{
	struct bench *b = *state;
	struct probe_config config = probe_of(b, CHECK_HTTP);

	config.check.timeout_ms = 40;
	struct probe *probe = health_acquire(b->health, &config, VERDICT_NONE);
	run_for(b, 2000);

	assert_int_equal(probe_verdict(probe), VERDICT_DOWN);
	assert_string_equal(probe_reason(probe), "no answer after 0.04 s");
	health_release(b->health, probe);
}

static void hold_the_loop(void *, uint64_t)
{
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

static void a_check_that_ran_out_while_the_loop_was_held_is_repeated_not_counted(void **state)
{
	struct bench *b = *state;
	struct probe_config config = probe_of(b, CHECK_HTTP);
	struct loop_timer hold = {.name = "hold", .fn = hold_the_loop};
	struct health_status status;

	config.check.timeout_ms = 200;
	config.check.interval_ms = 10000;
	struct probe *probe = health_acquire(b->health, &config, VERDICT_NONE);
	loop_timer_set(b->loop, &hold, loop_clock_ns() + 101000000); // It has begun by then.
	run_for(b, 450);

	health_read_status(b->health, &status);
	assert_true(status.n_repeated >= 1);
	assert_int_equal(probe_verdict(probe), VERDICT_NONE);
	assert_true(health_is_settled(b->health)); // Its first check did run out.

	run_for(b, 2000); // The repeated one counts.
	assert_int_equal(probe_verdict(probe), VERDICT_DOWN);
	health_release(b->health, probe);
}

static void limit_sockets(rlim_t limit)
{
	struct rlimit now;

	getrlimit(RLIMIT_NOFILE, &now);
	now.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void a_check_that_cannot_begin_settles_nothing_before_its_timeout(void **state)
{
	struct bench *b = *state;
	struct probe_config config = probe_of(b, CHECK_TCP);
	struct rlimit before;

	getrlimit(RLIMIT_NOFILE, &before);
	limit_sockets(0);
	struct probe *probe = health_acquire(b->health, &config, VERDICT_NONE);
	run_for(b, 300); // The first attempt is within 100 ms, and others follow.
	bool settled_early = health_is_settled(b->health);
	run_for(b, 1200);
	limit_sockets(before.rlim_cur);

	assert_false(settled_early);
	assert_true(health_is_settled(b->health));
	assert_int_equal(probe_verdict(probe), VERDICT_NONE);
	assert_string_equal(probe_reason(probe), "Too many open files");
	health_release(b->health, probe);
}

#define SERVICE_WEB \
	"{\"service\": {\"namespace\": \"shop\", \"name\": \"web\"}, \"localEndpoints\": 3}"

static void serve(struct bench *b, struct canned_server *server, const char *head, const char *body)
{
	struct address loopback = address_from_ipv4(htonl(INADDR_LOOPBACK));

	assert_int_equal(canned_server_start(server, &loopback, 0, head, body), 0);
	b->port = server->port;
}

static void a_node_whose_kube_proxy_says_that_it_goes_drains(void **state)
{
	struct bench *b = *state;
	struct canned_server server;

	serve(b, &server, "503 Service Unavailable",
		"{\"nodeEligible\": false, \"healthy\": true}");
	struct probe_config config = probe_of(b, CHECK_KUBE_PROXY);
	struct probe *probe = health_acquire(b->health, &config, VERDICT_NONE);
	run_for(b, 2000);

	assert_int_equal(probe_verdict(probe), VERDICT_DRAINING);
	assert_string_equal(probe_reason(probe), "the node is about to go");
	health_release(b->health, probe);
	canned_server_stop(&server);
}

static void a_services_port_tells_a_weight_and_that_it_changed(void **state)
{
	struct bench *b = *state;
	struct canned_server server;

	serve(b, &server, "200 OK\r\nX-Load-Balancing-Endpoint-Weight: 3", SERVICE_WEB);
	struct probe_config config = probe_of(b, CHECK_SERVICE);
	strcpy(config.check.service, "shop/web");
	struct probe *probe = health_acquire(b->health, &config, VERDICT_NONE);
	run_for(b, 2000);
	assert_int_equal(probe_verdict(probe), VERDICT_UP);
	assert_int_equal(probe_weight(probe), 3);

	server.head = "200 OK\r\nX-Load-Balancing-Endpoint-Weight: 5";
	b->stop_after = 2;
	run_for(b, 2000);
	assert_int_equal(b->n_changes, 2);
	assert_int_equal(probe_weight(probe), 5);

	// One bad answer is not enough for a verdict, nor for a weight.
	server.head = "503 Service Unavailable";
	server.body = "";
	b->stop_after = 3;
	run_for(b, 2000);
	assert_int_equal(probe_verdict(probe), VERDICT_DOWN);
	assert_int_equal(probe_weight(probe), 5);
	health_release(b->health, probe);
	canned_server_stop(&server);
}

// Answers every connection with the status that its path names.
static void *serve_http(void *argument)
{
	int listener = *(int *)argument;
	char request[2048];
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		ssize_t n = read(fd, request, sizeof(request) - 1);
		const char *status = "400 Bad Request";

		request[n > 0 ? n : 0] = '\0';
		if (strncmp(request, "GET /good HTTP/1.1\r\n", 20) == 0 &&
			strstr(request, "\r\nHost: app.example\r\n") != NULL)
			status = "204 No Content";
		if (strncmp(request, "GET /bad ", 9) == 0)
			status = "503 Service Unavailable";
		dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
		close(fd);
	}
	return NULL;
}

static void an_http_check_goes_by_the_status_and_names_its_host(void **state)
{
	struct bench *b = *state;
	struct probe_config good = probe_of(b, CHECK_HTTP);
	struct probe_config bad = good;
	pthread_t server;

	strcpy(good.check.path, "/good");
	strcpy(good.check.host, "app.example");
	strcpy(bad.check.path, "/bad");
	good.check.timeout_ms = bad.check.timeout_ms = 2000;
	pthread_create(&server, NULL, serve_http, &b->listener);
	struct probe *up = health_acquire(b->health, &good, VERDICT_NONE);
	struct probe *down = health_acquire(b->health, &bad, VERDICT_NONE);
	b->stop_after = 2;
	run_for(b, 3000);

	assert_int_equal(probe_verdict(up), VERDICT_UP);
	assert_int_equal(probe_verdict(down), VERDICT_DOWN);
	assert_string_equal(probe_reason(down), "HTTP status 503");
	health_release(b->health, up);
	health_release(b->health, down);
	shutdown(b->listener, SHUT_RDWR);
	pthread_join(server, NULL);
}

static void a_probe_released_under_way_says_nothing_more(void **state)
{
	struct bench *b = *state;
	struct probe_config config = probe_of(b, CHECK_HTTP);

	config.check.timeout_ms = 200;
	struct probe *probe = health_acquire(b->health, &config, VERDICT_NONE);
	run_for(b, 120); // It waits for an answer now.
	health_release(b->health, probe);
	run_for(b, 300);
	assert_int_equal(b->n_changes, 0);
}

static void a_thousand_probes_need_no_thread_each(void **state)
{
	struct bench *b = *state;
	struct probe *probes[1000];
	struct probe_config config = probe_of(b, CHECK_TCP);

	config.check.interval_ms = 60000;
	config.check.timeout_ms = 5000;
	close_listener(b);
	for (uint32_t i = 0; i < 1000; i++) {
		config.address = address_from_ipv4(htonl(0x7f010001 + i));
		probes[i] = health_acquire(b->health, &config, VERDICT_NONE);
	}
	b->stop_after = 1000;
	run_for(b, 5000);
	assert_int_equal(b->n_changes, 1000);
	assert_true(health_is_settled(b->health));
	for (size_t i = 0; i < 1000; i++)
		health_release(b->health, probes[i]);
}

static void no_more_checks_begin_in_a_second_than_allowed(void **state)
{
	struct bench *b = *state;
	struct probe *probes[100];
	struct probe_config config = probe_of(b, CHECK_TCP);
	struct health_status status;

	health_limit(b->health, 100);
	for (uint32_t i = 0; i < 100; i++) {
		config.address = address_from_ipv4(htonl(0x7f010001 + i));
		probes[i] = health_acquire(b->health, &config, VERDICT_NONE);
	}
	b->stop_after = SIZE_MAX;
	run_for(b, 550);
	health_read_status(b->health, &status);
	assert_in_range(status.n_checks, 30, 56);
	assert_in_range(status.n_waiting, 44, 100);

	run_for(b, 650); // Each has its turn, though the first would be due twenty times more.
	assert_true(health_is_settled(b->health));
	for (size_t i = 0; i < 100; i++)
		health_release(b->health, probes[i]);
	health_read_status(b->health, &status);
	assert_int_equal(status.n_waiting, 0);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, make_bench, unmake_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_follow_rise_and_fall),
		cmocka_unit_test(an_inherited_verdict_takes_as_many_answers_as_any),
		cmocka_unit_test(a_late_loop_makes_a_timeout_say_nothing_but_not_for_ever),
		WITH_BENCH(a_listening_port_is_up_and_a_closed_one_down_with_the_reason),
		WITH_BENCH(a_node_port_that_refuses_is_a_living_nodes_and_a_silent_one_is_not),
		WITH_BENCH(equal_probes_are_one_and_others_are_not),
		WITH_BENCH(silence_runs_into_the_timeout_and_is_the_first_verdict),
		WITH_BENCH(a_check_that_ran_out_while_the_loop_was_held_is_repeated_not_counted),
		WITH_BENCH(a_check_that_cannot_begin_settles_nothing_before_its_timeout),
		WITH_BENCH(an_http_check_goes_by_the_status_and_names_its_host),
		WITH_BENCH(a_node_whose_kube_proxy_says_that_it_goes_drains),
		WITH_BENCH(a_services_port_tells_a_weight_and_that_it_changed),
		WITH_BENCH(a_probe_released_under_way_says_nothing_more),
		WITH_BENCH(a_thousand_probes_need_no_thread_each),
		WITH_BENCH(no_more_checks_begin_in_a_second_than_allowed),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
