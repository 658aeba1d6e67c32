#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fake.h"
#include "kubernetes/credentials.h"

// Requests

struct asked {
	struct api_request *request;
	unsigned n_answers;
	struct api_answer answer;
	char why[API_WHY_MAX];
	char *json;
	uint64_t answered_ns;
};

enum { ASKED_MAX = 16 };
static struct asked asked[ASKED_MAX];
static size_t n_wanted;

static void take_answer(void *argument, const struct api_answer *answer)
{
	struct asked *a = argument;

	a->request = NULL;
	a->n_answers++;
	a->answer = *answer;
	snprintf(a->why, sizeof(a->why), "%s", answer->why);
	a->json = answer->json == NULL ? NULL : json_dumps(answer->json, JSON_COMPACT);
	a->answered_ns = loop_clock_ns();
}

static bool are_answered(const struct follower *)
{
	size_t n = 0;

	for (size_t i = 0; i < ASKED_MAX; i++)
		n += asked[i].n_answers;
	return n >= n_wanted;
}

static bool never(const struct follower *)
{
	return false;
}

static void ask(struct follower *f, size_t i, const char *method, const char *path, json_t *body)
{
	struct client_call call = {
		.method = method,
		.path = path,
		.content_type = body == NULL ? NULL : "application/strategic-merge-patch+json",
		.body = body,
		.timeout_ms = 1000,
		.fn = take_answer,
		.argument = &asked[i],
	};

	assert_int_equal(api_client_call(f->client, &call, &asked[i].request), 0);
	json_decref(body);
}

static int set_up(void **state)
{
	for (size_t i = 0; i < ASKED_MAX; i++)
		asked[i] = (struct asked){0};
	n_wanted = 1;
	return follower_create(state);
}

static int tear_down(void **state)
{
	for (size_t i = 0; i < ASKED_MAX; i++)
		free(asked[i].json);
	return follower_destroy(state);
}

static void start_client(struct follower *f, const char *scenario)
{
	const char *urls[] = {f->fake.url};
	struct text_lines mistakes = {0};

	if (scenario != NULL) {
		fake_start(&f->fake, scenario, NULL, NULL);
		assert_int_equal(api_access_set_servers(&f->access, urls, 1, &mistakes), 0);
	}
	assert_int_equal(api_client_create(f->loop, &f->access, &f->client), 0);
}

static void a_patch_goes_out_and_its_answer_comes_back(void **state)
{
	struct follower *f = *state;

	start_client(f, "takes_writes");
	ask(f, 0, "PATCH", "/api/v1/namespaces/n/services/s/status",
		json_pack("{s:s}", "a", "\u00e9"));
	assert_true(follower_run(f, are_answered, 3000));
	assert_int_equal(asked[0].answer.status, 200);
	assert_string_equal(asked[0].why, "");
	assert_string_equal(asked[0].json, "{\"body\":{\"a\":\"\u00e9\"}}");
	assert_int_equal(fake_count(&f->fake,
				 "PATCH /api/v1/namespaces/n/services/s/status "
				 "Content-Type: application/strategic-merge-patch+json"),
		1);
}

static void what_went_wrong_is_said_in_words(void **state)
{
	static const struct {
		const char *path;
		unsigned status;
		const char *why;
	} cases[] = {
		{"/conflict", 409, "HTTP status 409: the object has been modified"},
		{"/html", 200, "is not JSON"},
		{"/large", 0, "an answer of more than 1048576 bytes by http://127.0.0.1:"},
		{"/never", 0, "no answer in time by http://127.0.0.1:"},
	};
	struct follower *f = *state;

	n_wanted = sizeof(cases) / sizeof(cases[0]);
	start_client(f, "takes_writes");
	for (size_t i = 0; i < n_wanted; i++)
		ask(f, i, "GET", cases[i].path, NULL);
	assert_true(follower_run(f, are_answered, 5000));
	for (size_t i = 0; i < n_wanted; i++) {
		if (asked[i].answer.status != cases[i].status ||
			strstr(asked[i].why, cases[i].why) == NULL)
			fail_msg("%s: %u %s", cases[i].path, asked[i].answer.status, asked[i].why);
		assert_false(asked[i].answer.unreachable);
	}
	assert_true(asked[3].answer.timed_out);
}

static void a_nul_within_a_text_is_another_character(void **state)
{
	struct follower *f = *state;

	start_client(f, "nuls");
	ask(f, 0, "GET", "/x", NULL);
	assert_true(follower_run(f, are_answered, 3000));
	assert_string_equal(asked[0].json, "{\"x\":\"a\ufffdb\",\"y\":\"\\\\u0000\"}");
}

static void writes_come_in_their_turn(void **state)
{
	struct follower *f = *state;
	uint64_t began_ns = loop_clock_ns();

	n_wanted = 13;
	start_client(f, "takes_writes");
	api_client_limit_writes(f->client, 5, 10);
	for (size_t i = 0; i < n_wanted; i++)
		ask(f, i, "PATCH", "/x", json_object());
	ask(f, 13, "GET", "/x", NULL);
	assert_true(follower_run(f, are_answered, 5000));
	// The read overtakes writes that wait.
	assert_true(asked[13].answered_ns < asked[10].answered_ns);
	n_wanted = 14;
	assert_true(follower_run(f, are_answered, 5000));
	for (size_t i = 10; i < 13; i++)
		assert_true(asked[i].answered_ns - began_ns >= (i - 9) * 200 * NSEC_PER_MSEC);
	assert_true(asked[12].answered_ns - began_ns < 2 * NSEC_PER_SEC);
}

static void a_server_that_is_busy_is_not_written_to_for_as_long_as_it_says(void **state)
{
	struct follower *f = *state;

	n_wanted = 1;
	start_client(f, "takes_writes");
	ask(f, 0, "PATCH", "/busy", json_object());
	assert_true(follower_run(f, are_answered, 3000));
	assert_int_equal(asked[0].answer.status, 429);

	ask(f, 1, "PATCH", "/x", json_object());
	ask(f, 2, "GET", "/x", NULL);
	n_wanted = 3;
	assert_true(follower_run(f, are_answered, 3000));
	assert_true(asked[2].answered_ns - asked[0].answered_ns < 900 * NSEC_PER_MSEC);
	assert_true(asked[1].answered_ns - asked[0].answered_ns >= NSEC_PER_SEC);
}

static void what_is_cancelled_is_not_answered(void **state)
{
	struct follower *f = *state;

	start_client(f, "takes_writes");
	ask(f, 0, "GET", "/never", NULL);
	ask(f, 1, "GET", "/x", NULL);
	api_client_cancel(f->client, asked[1].request); // Before it is sent,
	follower_run(f, never, 200);
	api_client_cancel(f->client, asked[0].request); // and under way.
	api_client_cancel(f->client, NULL);
	follower_run(f, never, 1200);
	assert_int_equal(asked[0].n_answers + asked[1].n_answers, 0);
	assert_int_equal(fake_count(&f->fake, "GET"), 1);
}

static void no_more_requests_wait_than_there_is_room_for(void **state)
{
	struct follower *f = *state;
	struct api_request *request;
	struct client_call call = {.method = "PATCH", .path = "/x", .fn = take_answer};

	start_client(f, "takes_writes");
	for (size_t i = 0; i < API_REQUESTS_MAX; i++)
		assert_int_equal(api_client_call(f->client, &call, &request), 0);
	assert_int_equal(api_client_call(f->client, &call, &request), -EBUSY);
	api_client_destroy(f->client);
	f->client = NULL;
}

static void a_request_waits_for_no_slow_stream(void **state)
{
	struct follower *f = *state;

	follower_start(f, "slow");
	follower_run(f, never, 200);
	ask(f, 0, "GET", "/version", NULL);
	assert_true(follower_run(f, are_answered, 500));
	assert_int_equal(f->n_synced, 0);
	assert_true(follower_run(f, is_synced_once, 30000));
}

static void who_is_impersonated_is_said(void **state)
{
	static char *groups[] = {"g1", "g2"};
	static struct api_pair extra[] = {{"team/x", "blue"}};
	struct follower *f = *state;

	f->access.as = "jane";
	f->access.as_groups = groups;
	f->access.n_as_groups = 2;
	f->access.as_extra = extra;
	f->access.n_as_extra = 1;
	f->access.username = "u";
	f->access.password = "p:w";
	start_client(f, "takes_writes");
	ask(f, 0, "GET", "/x", NULL);
	assert_true(follower_run(f, are_answered, 3000));
	f->access.as = f->access.username = f->access.password =
		NULL; // None of them was allocated.
	f->access.n_as_groups = f->access.n_as_extra = 0;
	f->access.as_groups = NULL;
	f->access.as_extra = NULL;
	assert_int_equal(fake_count(&f->fake, "Impersonate-User: jane"), 1);
	assert_int_equal(fake_count(&f->fake, "Impersonate-Group: g2"), 1);
	assert_int_equal(fake_count(&f->fake, "Impersonate-Extra-Team%2Fx: blue"), 1);
	assert_int_equal(fake_count(&f->fake, "Authorization: Basic dTpwOnc="), 1);
}

// Servers

static void a_server_that_cannot_be_connected_is_passed_over(void **state)
{
	const char *urls[] = {"http://127.0.0.1:9", "http://no-such-host.invalid", NULL};
	struct follower *f = *state;
	struct text_lines mistakes = {0};
	struct api_client_status status;

	fake_start(&f->fake, "takes_writes", NULL, NULL);
	urls[2] = f->fake.url;
	assert_int_equal(api_access_set_servers(&f->access, urls, 3, &mistakes), 0);
	start_client(f, NULL);
	ask(f, 0, "PATCH", "/x", json_object());
	assert_true(follower_run(f, are_answered, 15000));
	assert_int_equal(asked[0].answer.status, 200);
	api_client_read_status(f->client, &status);
	assert_string_equal(status.server, f->fake.url);
	assert_int_equal(status.n_failovers, 2);
}

static void with_no_server_to_be_connected_each_is_tried_once(void **state)
{
	const char *urls[] = {"http://127.0.0.1:9", "http://127.0.0.1:10"};
	struct follower *f = *state;
	struct text_lines mistakes = {0};

	assert_int_equal(api_access_set_servers(&f->access, urls, 2, &mistakes), 0);
	start_client(f, NULL);
	ask(f, 0, "GET", "/x", NULL);
	assert_true(follower_run(f, are_answered, 5000));
	assert_true(asked[0].answer.unreachable);
	assert_string_equal(asked[0].why, "connection refused by http://127.0.0.1:10");
}

// TLS

static void start_tls(struct follower *f, const char *ca, const char *option)
{
	const char *urls[] = {f->fake.url};
	struct text_lines mistakes = {0};

	fake_start(&f->fake, "takes_writes", "--tls", option);
	assert_int_equal(api_access_set_servers(&f->access, urls, 1, &mistakes), 0);
	if (ca != NULL)
		f->access.ca_pem = fake_read(&f->fake, ca);
	start_client(f, NULL);
	ask(f, 0, "GET", "/x", NULL);
	assert_true(follower_run(f, are_answered, 10000));
}

static void a_server_of_the_name_and_authority_is_trusted(void **state)
{
	struct follower *f = *state;

	f->access.tls_server_name = strdup("kubernetes.example");
	start_tls(f, "ca.pem", NULL);
	assert_int_equal(asked[0].answer.status, 200);
	// It is the name of TLS alone.
	assert_int_equal(fake_count(&f->fake, strstr(f->fake.url, "127.0.0.1:")), 1);
}

static void a_server_of_another_name_is_not(void **state)
{
	struct follower *f = *state;

	start_tls(f, "ca.pem", NULL);
	assert_int_equal(asked[0].answer.status, 0);
	assert_true(asked[0].answer.unreachable);
	assert_non_null(strstr(asked[0].why, "127.0.0.1"));
	assert_int_equal(fake_count(&f->fake, "GET"), 0);
}

static void a_server_of_another_authority_is_not(void **state)
{
	struct follower *f = *state;

	f->access.tls_server_name = strdup("kubernetes.example");
	start_tls(f, "other-ca.pem", NULL);
	assert_int_equal(asked[0].answer.status, 0);
	assert_non_null(strstr(asked[0].why, "certificate"));
	assert_int_equal(fake_count(&f->fake, "GET"), 0);
}

static void a_server_of_no_known_authority_is_not(void **state)
{
	struct follower *f = *state;

	f->access.tls_server_name = strdup("kubernetes.example");
	start_tls(f, NULL, NULL);
	assert_int_equal(asked[0].answer.status, 0);
	assert_int_equal(fake_count(&f->fake, "GET"), 0);
}

static void only_a_kubeconfig_that_says_so_trusts_anybody(void **state)
{
	struct follower *f = *state;

	f->access.insecure = true;
	start_tls(f, NULL, NULL);
	assert_int_equal(asked[0].answer.status, 200);
}

static void a_client_certificate_is_shown(void **state)
{
	struct follower *f = *state;
	char name[128];

	// Files that are not there yet are looked for at each request.
	f->access.tls_server_name = strdup("kubernetes.example");
	f->access.certificate_file = strdup("/nowhere/client.pem");
	f->access.key_file = strdup("/nowhere/client.key");
	start_tls(f, "ca.pem", "--client-ca");
	assert_string_equal(asked[0].why,
		"the client certificate cannot be read from "
		"/nowhere/client.pem: No such file or directory");
	api_client_destroy(f->client);
	free(f->access.certificate_file);
	free(f->access.key_file);
	snprintf(name, sizeof(name), "%s/client.pem", f->fake.folder);
	f->access.certificate_file = strdup(name);
	snprintf(name, sizeof(name), "%s/client.key", f->fake.folder);
	f->access.key_file = strdup(name);
	start_client(f, NULL);
	ask(f, 1, "GET", "/x", NULL);
	n_wanted = 2;
	assert_true(follower_run(f, are_answered, 5000));
	assert_int_equal(asked[1].answer.status, 200);
}

// Proxies

// A kubeconfig of the fake by a name that only the second one knows, which is a proxy.
static void start_behind(struct follower *f, const char *scenario, const char *proxy)
{
	struct text_lines mistakes = {0};
	char text[1024];

	fake_start(&f->fake, "takes_writes", "--tls", NULL);
	fake_start(&f->second, scenario, NULL, NULL);
	snprintf(text, sizeof(text),
		"current-context: c\n"
		"contexts: [{name: c, context: {cluster: a, user: u}}]\n"
		"users: [{name: u, user: {token: t}}]\n"
		"clusters: [{name: a, cluster: {server: 'https://kubernetes.example:%u',\n"
		"  certificate-authority: '%s/ca.pem', proxy-url: '%s127.0.0.1:%u'}}]\n",
		f->fake.port, f->fake.folder, proxy, f->second.port);
	if (kubeconfig_parse_text(text, strlen(text), "/kubeconfig", &f->access, &mistakes) < 0)
		fail_msg("%s", mistakes.lines[0]);
	start_client(f, NULL);
	ask(f, 0, "GET", "/x", NULL);
	assert_true(follower_run(f, are_answered, 10000));
}

static void a_server_is_reached_by_the_proxy_that_the_kubeconfig_has(void **state)
{
	struct follower *f = *state;
	char name[64];

	start_behind(f, "proxy", "http://jane:secret@");
	assert_string_equal(asked[0].why, "");
	assert_int_equal(asked[0].answer.status, 200);
	snprintf(name, sizeof(name), "CONNECT kubernetes.example:%u ", f->fake.port);
	assert_int_equal(fake_count(&f->second, name), 1);
	assert_int_equal(fake_count(&f->second, "Proxy-Authorization: Basic amFuZTpzZWNyZXQ="), 1);
	// What is for the server is the server's alone.
	assert_int_equal(fake_count(&f->second, " Authorization: Bearer t"), 0);
	assert_int_equal(fake_count(&f->fake, "Authorization: Bearer t"), 1);
	assert_int_equal(fake_count(&f->fake, "Proxy-Authorization"), 0);
}

static void a_proxy_of_socks_resolves_names_itself(void **state)
{
	struct follower *f = *state;
	char name[64];

	start_behind(f, "socks_proxy", "socks5://");
	assert_string_equal(asked[0].why, "");
	assert_int_equal(asked[0].answer.status, 200);
	snprintf(name, sizeof(name), "05010003 kubernetes.example:%u", f->fake.port);
	assert_int_equal(fake_count(&f->second, name), 1);
}

static void a_proxy_that_refuses_or_is_not_there_has_sent_nothing(void **state)
{
	struct follower *f = *state;

	start_behind(f, "refusing_proxy", "http://");
	assert_true(asked[0].answer.unreachable);
	assert_non_null(strstr(asked[0].why, "502"));

	fake_stop(&f->second);
	ask(f, 1, "GET", "/x", NULL);
	n_wanted = 2;
	assert_true(follower_run(f, are_answered, 10000));
	assert_true(asked[1].answer.unreachable);
	assert_non_null(strstr(
		asked[1].why, "connection refused by the proxy to https://kubernetes.example:"));
	assert_int_equal(fake_count(&f->fake, "GET"), 0);
}

// Tokens

static void a_token_that_was_renewed_is_used_at_once(void **state)
{
	struct follower *f = *state;
	char path[128];

	fake_start(&f->fake, "renewed_token", NULL, NULL);
	fake_write(&f->fake, "token", "old\n");
	snprintf(path, sizeof(path), "%s/token", f->fake.folder);
	f->access.token_file = strdup(path);
	follower_watch(f, 0);
	assert_true(follower_run(f, is_synced_once, 3000));
	assert_int_equal(follower_status(f).n_failures, 0);
	assert_int_equal(fake_count(&f->fake, "Authorization: Bearer old"), 1);
	assert_int_equal(fake_count(&f->fake, "Authorization: Bearer new"), 1);
}

static bool has_failed_twice(const struct follower *f)
{
	return follower_status(f).n_failures >= 2;
}

static void a_token_that_is_refused_for_ever_is_tried_once_a_time(void **state)
{
	struct follower *f = *state;

	f->access.token = strdup("mine");
	follower_start(f, "never_let_in");
	assert_true(follower_run(f, has_failed_twice, 6000));
	assert_string_equal(follower_status(f).why, "HTTP status 401: Unauthorized");
	assert_int_equal(fake_count(&f->fake, "Authorization: Bearer mine"), 2);
}

// Programs

static void write_program(struct follower *f, const char *script)
{
	char path[128];

	fake_write(&f->fake, "program", script);
	snprintf(path, sizeof(path), "%s/program", f->fake.folder);
	assert_int_equal(chmod(path, 0700), 0);
	f->access.exec.command = strdup(path);
	f->access.exec.api_version = strdup("client.authentication.k8s.io/v1");
	f->access.exec.timeout_ms = 700;
}

#define SAY(status)                                          \
	"echo '{\"kind\":\"ExecCredential\",\"apiVersion\":" \
	"\"client.authentication.k8s.io/v1\",\"status\":" status "}'\n"

static void start_with_program(struct follower *f, const char *script)
{
	fake_start(&f->fake, "asks_token", NULL, NULL);
	write_program(f, script);
	follower_watch(f, 0);
}

static bool is_failing(const struct follower *f)
{
	return follower_status(f).failing;
}

static void a_program_is_asked_once_for_many_requests(void **state)
{
	struct follower *f = *state;

	start_with_program(f,
		"#!/bin/sh\necho run >>\"${0%/*}/runs\"\n" SAY(
			"{\"token\":\"first\","
			"\"expirationTimestamp\":\"2999-01-02T03:04:05Z\"}"));
	n_wanted = 3;
	for (size_t i = 0; i < 3; i++)
		ask(f, i, "GET", "/x", NULL);
	assert_true(follower_run(f, are_answered, 5000));
	assert_true(follower_run(f, is_synced_once, 5000));
	char *runs = fake_read(&f->fake, "runs");
	assert_string_equal(runs, "run\n");
	free(runs);
}

static void a_program_gets_its_arguments_its_cluster_and_none_of_our_files(void **state)
{
	static char *args[] = {"one two", ""};
	static struct api_pair env[] = {{"COLOUR", "deep blue"}};
	struct follower *f = *state;
	char expected[512];

	int fd = open("/dev/null", O_RDONLY); // One that any child of ours would have.
	f->access.exec.args = args;
	f->access.exec.n_args = 2;
	f->access.exec.env = env;
	f->access.exec.n_env = 1;
	f->access.exec.provide_cluster_info = true;
	start_with_program(f,
		"#!/bin/sh\n"
		"{ echo \"$#/$1/$2/$COLOUR\"; echo \"$KUBERNETES_EXEC_INFO\"\n"
		"readlink /proc/self/fd/0; } >\"${0%/*}/told\"\n"
		"ls /proc/self/fd >>\"${0%/*}/told\"\n" SAY("{\"token\":\"first\"}"));
	assert_true(follower_run(f, is_synced_once, 5000));
	close(fd);
	f->access.exec.args = NULL; // None of them was allocated.
	f->access.exec.env = NULL;
	f->access.exec.n_args = f->access.exec.n_env = 0;
	char *text = fake_read(&f->fake, "told");
	snprintf(expected, sizeof(expected),
		"2/one two//deep blue\n{\"kind\":\"ExecCredential\",\"apiVersion\":"
		"\"client.authentication.k8s.io/v1\",\"spec\":{\"interactive\":false,"
		"\"cluster\":{\"server\":\"%s\"}}}\n/dev/null\n"
		"0\n1\n2\n3\n", // The last is the folder that is listed.
		f->fake.url);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void a_program_that_left_something_behind_is_over_nevertheless(void **state)
{
	struct follower *f = *state;

	start_with_program(f,
		"#!/bin/sh\nsleep 60 &\necho $! >\"${0%/*}/left\"\n" SAY("{\"token\":\"first\"}"));
	assert_true(follower_run(f, is_synced_once, 3000));
	char *left = fake_read(&f->fake, "left");
	usleep(100000);
	// A zombie at most, for whom nobody waits here.
	char path[64], state_text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", atoi(left));
	FILE *file = fopen(path, "re");
	if (file != NULL) {
		assert_true(fread(state_text, 1, sizeof(state_text) - 1, file) > 0);
		fclose(file);
		assert_non_null(strstr(state_text, ") Z "));
	}
	free(left);
}

static const struct {
	const char *name;
	const char *script;
	const char *why;
} bad_programs[] = {
	{"hangs", "#!/bin/sh\nsleep 60\n", "did not end in time"},
	{"fails", "#!/bin/sh\necho 'log in first' >&2\nexit 3\n", "exit status 3: log in first"},
	{"is killed", "#!/bin/sh\nkill -9 $$\n", "ended by signal 9"},
	{"says nothing", "#!/bin/sh\n", "is not JSON"},
	{"says rubbish", "#!/bin/sh\necho rubbish\n", "is not JSON"},
	{"says too much", "#!/bin/sh\nyes '{'\n", "did not end in time"},
	{"says a megabyte", "#!/bin/sh\nhead -c 1048576 /dev/zero\n", "more than 262144 bytes"},
	{"is of another version",
		"#!/bin/sh\necho '{\"kind\":\"ExecCredential\",\"apiVersion\":\"v0\"}'\n",
		"\"apiVersion\" is not that"},
	{"has no token", "#!/bin/sh\n" SAY("{}"), "neither a token nor"},
	{"has half a certificate", "#!/bin/sh\n" SAY("{\"clientKeyData\":\"x\"}"), "only one"},
	{"has no time", "#!/bin/sh\n" SAY("{\"token\":\"first\",\"expirationTimestamp\":\"soon\"}"),
		"expirationTimestamp is no time"},
	{"has two lines", "#!/bin/sh\n" SAY("{\"token\":\"a\\\\nb\"}"), "a control character"},
};

static void a_program_that_is_no_good_is_said_to_be(void **)
{
	for (size_t i = 0; i < sizeof(bad_programs) / sizeof(bad_programs[0]); i++) {
		void *state;
		struct follower *f;

		assert_int_equal(follower_create(&state), 0);
		f = state;
		start_with_program(f, bad_programs[i].script);
		if (!follower_run(f, is_failing, 3000) ||
			strstr(follower_status(f).why, bad_programs[i].why) == NULL)
			fail_msg("%s: %s", bad_programs[i].name, follower_status(f).why);
		assert_int_equal(fake_count(&f->fake, "GET"), 0);
		follower_destroy(&state);
	}
}

static void a_program_that_is_not_there_comes_with_a_hint(void **state)
{
	struct follower *f = *state;

	fake_start(&f->fake, "asks_token", NULL, NULL);
	f->access.exec.command = strdup("/nowhere/program");
	f->access.exec.api_version = strdup("client.authentication.k8s.io/v1");
	f->access.exec.install_hint = strdup("install it from there");
	follower_watch(f, 0);
	assert_true(follower_run(f, is_failing, 3000));
	assert_string_equal(follower_status(f).why,
		"the credentials' program /nowhere/program cannot be started: No such file or "
		"directory; install it from there");
}

static void a_program_is_ended_with_its_owner(void **state)
{
	struct follower *f = *state;

	start_with_program(f, "#!/bin/sh\nsleep 60\n");
	f->access.exec.timeout_ms = 60000;
	follower_run(f, never, 200);
	uint64_t began_ns = loop_clock_ns();
	watch_stop(f->watch);
	api_client_destroy(f->client);
	f->watch = NULL;
	f->client = NULL;
	assert_true(loop_clock_ns() - began_ns < NSEC_PER_SEC);
}

// Credentials, by the clock

static void count_change(void *argument)
{
	(*(unsigned *)argument)++;
}

static void files_are_read_anew_when_they_are_old(void **state)
{
	struct follower *f = *state;
	struct credentials *credentials;
	struct credential credential;
	char why[CREDENTIALS_WHY_MAX], path[128];
	unsigned n_changes = 0;
	uint64_t now_ns = loop_clock_ns();

	fake_start(&f->fake, "silent", NULL, NULL);
	fake_write(&f->fake, "token", "first\n\n");
	snprintf(path, sizeof(path), "%s/token", f->fake.folder);
	f->access.token_file = strdup(path);
	assert_int_equal(
		credentials_create(f->loop, &f->access, count_change, &n_changes, &credentials), 0);
	assert_int_equal(
		credentials_look(credentials, now_ns, &credential, why), CREDENTIALS_READY);
	assert_string_equal(credential.token, "first");
	uint64_t generation = credential.generation;

	fake_write(&f->fake, "token", "second");
	credentials_look(credentials, now_ns + 59 * NSEC_PER_SEC, &credential, why);
	assert_string_equal(credential.token, "first");
	credentials_look(credentials, now_ns + 60 * NSEC_PER_SEC, &credential, why);
	assert_string_equal(credential.token, "second");
	assert_true(credential.generation != generation);

	// What is no token, or not there any more, changes nothing.
	fake_write(&f->fake, "token", "");
	credentials_look(credentials, now_ns + 120 * NSEC_PER_SEC, &credential, why);
	assert_string_equal(credential.token, "second");
	fake_write(&f->fake, "token", "a\nInjected: header\n");
	assert_false(credentials_refused(
		credentials, credential.generation, now_ns + 121 * NSEC_PER_SEC));
	unlink(path);
	assert_int_equal(
		credentials_look(credentials, now_ns + 300 * NSEC_PER_SEC, &credential, why),
		CREDENTIALS_READY);
	assert_string_equal(credential.token, "second");

	// One that was refused is read at once, and worth another try only if it is another.
	fake_write(&f->fake, "token", "third");
	generation = credential.generation;
	assert_true(credentials_refused(credentials, generation, now_ns + 301 * NSEC_PER_SEC));
	credentials_look(credentials, now_ns + 301 * NSEC_PER_SEC, &credential, why);
	assert_string_equal(credential.token, "third");
	assert_false(credentials_refused(
		credentials, credential.generation, now_ns + 302 * NSEC_PER_SEC));
	credentials_destroy(credentials);
	assert_int_equal(n_changes, 0);
}

#define ASKING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ASKING(a_patch_goes_out_and_its_answer_comes_back),
		ASKING(what_went_wrong_is_said_in_words),
		ASKING(a_nul_within_a_text_is_another_character),
		ASKING(writes_come_in_their_turn),
		ASKING(a_server_that_is_busy_is_not_written_to_for_as_long_as_it_says),
		ASKING(what_is_cancelled_is_not_answered),
		ASKING(no_more_requests_wait_than_there_is_room_for),
		ASKING(a_request_waits_for_no_slow_stream),
		ASKING(who_is_impersonated_is_said),
		ASKING(a_server_that_cannot_be_connected_is_passed_over),
		ASKING(with_no_server_to_be_connected_each_is_tried_once),
		ASKING(a_server_of_the_name_and_authority_is_trusted),
		ASKING(a_server_of_another_name_is_not),
		ASKING(a_server_of_another_authority_is_not),
		ASKING(a_server_of_no_known_authority_is_not),
		ASKING(only_a_kubeconfig_that_says_so_trusts_anybody),
		ASKING(a_client_certificate_is_shown),
		ASKING(a_server_is_reached_by_the_proxy_that_the_kubeconfig_has),
		ASKING(a_proxy_of_socks_resolves_names_itself),
		ASKING(a_proxy_that_refuses_or_is_not_there_has_sent_nothing),
		ASKING(a_token_that_was_renewed_is_used_at_once),
		ASKING(a_token_that_is_refused_for_ever_is_tried_once_a_time),
		ASKING(a_program_is_asked_once_for_many_requests),
		ASKING(a_program_gets_its_arguments_its_cluster_and_none_of_our_files),
		ASKING(a_program_that_left_something_behind_is_over_nevertheless),
		cmocka_unit_test(a_program_that_is_no_good_is_said_to_be),
		ASKING(a_program_that_is_not_there_comes_with_a_hint),
		ASKING(a_program_is_ended_with_its_owner),
		ASKING(files_are_read_anew_when_they_are_old),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("api_client", tests, NULL, NULL);
}
