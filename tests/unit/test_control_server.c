#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "clock.h"
#include "control_server.h"
#include "intent.h"
#include "log.h"
#include "recording_dataplane.h"

// The server in a loop of this thread; clients are threads.

struct place {
	struct scratch scratch;
	struct dataplane dp;
	struct config *config;
	struct control_sources sources;
	struct control_server *server;
	struct load load;
	struct loop_timer patience;
	struct loop_timer heart; // Beats each millisecond, if the loop is not held.
	size_t n_beats;
	char why[WHY_MAX];
};

static void ignore(void *)
{
}

static void stop(void *argument, uint64_t)
{
	loop_stop(argument);
}

static void beat(void *argument, uint64_t now_ns)
{
	struct place *p = argument;

	p->n_beats++;
	loop_timer_set(p->sources.loop, &p->heart, now_ns + NSEC_PER_MSEC);
}

static void run_for(struct place *p, uint64_t ms)
{
	loop_timer_set(p->sources.loop, &p->patience, loop_clock_ns() + ms * NSEC_PER_MSEC);
	assert_int_equal(loop_run(p->sources.loop), 0);
}

static int make_reconcile(struct place *p)
{
	struct reconcile_config config = {
		.loop = p->sources.loop,
		.dp = &p->dp,
		.drains = p->scratch.drains,
		.services_max = 64,
		.nodes_max = 64,
		.ready = ignore,
	};
	char why[WHY_MAX];

	int r = reconcile_create(&config, &p->sources.reconcile);
	return r < 0 ? r : reconcile_want(p->sources.reconcile, p->config, why);
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	p->config = config_of("a b");
	p->config->dataplane.n_workers = 1;
	add_service(p->config, "web", "ab");
	p->sources = (struct control_sources){.dp = &p->dp, .config = p->config, .load = &p->load};
	if (scratch_open(&p->scratch) < 0 || loop_create(&p->sources.loop) < 0 ||
		make_reconcile(p) < 0)
		return -1;
	snprintf(p->config->control_socket, sizeof(p->config->control_socket), "%s/run/socket",
		p->scratch.path);
	p->patience =
		(struct loop_timer){.name = "patience", .fn = stop, .argument = p->sources.loop};
	p->heart = (struct loop_timer){.name = "heart", .fn = beat, .argument = p};
	run_for(p, 20);
	return control_server_start(&p->sources, &p->server, p->why);
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	control_server_stop(p->server);
	reconcile_destroy(p->sources.reconcile);
	loop_destroy(p->sources.loop);
	free_config(p->config);
	int r = scratch_close(&p->scratch);
	free(p);
	return r;
}

// A client that asks once, in a thread of its own.
struct client {
	const char *socket;
	const char *method;
	const char *path;
	size_t body_bytes;
	long status; // 0 if it got no answer.
	char *answer;
	size_t len;
	pthread_t thread;
};

static size_t take(char *bytes, size_t size, size_t n, void *argument)
{
	struct client *c = argument;

	c->answer = realloc(c->answer, c->len + size * n + 1);
	memcpy(c->answer + c->len, bytes, size * n);
	c->len += size * n;
	c->answer[c->len] = '\0';
	return size * n;
}

static void *ask(void *argument)
{
	struct client *c = argument;
	CURL *curl = curl_easy_init();
	char url[256];
	char *body = calloc(c->body_bytes + 1, 1);

	snprintf(url, sizeof(url), "http://localhost%s", c->path);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
	if (strcmp(c->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)c->body_bytes);
	}
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &c->status);
	curl_easy_cleanup(curl);
	free(body);
	return NULL;
}

static void client_start(struct place *p, struct client *c, const char *method, const char *path)
{
	c->socket = p->config->control_socket;
	c->method = method;
	c->path = path;
	assert_int_equal(pthread_create(&c->thread, NULL, ask, c), 0);
}

// Runs the loop until the client has its answer. 'ret_answer' may be NULL.
static long client_finish(struct place *p, struct client *c, json_t **ret_answer)
{
	while (pthread_tryjoin_np(c->thread, NULL) == EBUSY)
		run_for(p, 5);
	if (ret_answer != NULL)
		*ret_answer = json_loadb(c->answer, c->len, 0, NULL);
	free(c->answer);
	return c->status;
}

static void a_question_over_the_socket_is_answered(void **state)
{
	struct place *p = *state;
	struct client client = {0};
	json_t *answer;

	client_start(p, &client, "GET", "/v1/nodes?node=b");
	assert_int_equal(client_finish(p, &client, &answer), 200);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(answer, "nodes"), 0), "name")),
		"b");
	json_decref(answer);
}

static void errors_have_their_status_and_a_sentence(void **state)
{
	struct place *p = *state;
	struct client client = {0};
	json_t *answer;

	client_start(p, &client, "GET", "/v1/nodes?node=x%20y");
	assert_int_equal(client_finish(p, &client, &answer), 404);
	assert_string_equal(
		json_string_value(json_object_get(answer, "error")), "there is no node \"x y\"");
	json_decref(answer);
}

static void a_drain_arrives_with_and_without_a_body(void **state)
{
	struct place *p = *state;
	struct client plain = {0};
	struct client with_body = {.body_bytes = 1000};
	uint64_t since_ns;

	client_start(p, &plain, "POST", "/v1/nodes/a/drain");
	assert_int_equal(client_finish(p, &plain, NULL), 200);
	client_start(p, &with_body, "POST", "/v1/nodes/b/drain");
	assert_int_equal(client_finish(p, &with_body, NULL), 200);
	assert_true(drains_has(p->scratch.drains, "a", &since_ns));
	assert_true(drains_has(p->scratch.drains, "b", &since_ns));
}

static void a_body_beyond_all_measure_is_not_read(void **state)
{
	struct place *p = *state;
	struct client client = {.body_bytes = 10000000};
	uint64_t since_ns;

	client_start(p, &client, "POST", "/v1/nodes/a/drain");
	assert_int_equal(client_finish(p, &client, NULL), 0);
	assert_false(drains_has(p->scratch.drains, "a", &since_ns));
}

// Takes as long as the recording dataplane's flows: none match, and all are looked at.
static void a_long_listing_does_not_hold_the_loop(void **state)
{
	struct place *p = *state;
	struct client client = {0};
	json_t *answer;

	for (size_t i = 0; i < RECORDED_FLOWS_MAX; i++)
		p->dp.flows[i] = (struct flow_view){.protocol = IPPROTO_TCP,
			.state = FLOW_ESTABLISHED,
			.client = address_from_ipv4(htonl((uint32_t)i))};
	p->dp.n_flows = RECORDED_FLOWS_MAX;
	p->dp.n_rounds = 16000; // As often as that: 65 million.
	loop_timer_set(p->sources.loop, &p->heart, 0);
	client_start(p, &client, "GET", "/v1/flows?client=203.0.113.1");
	assert_int_equal(client_finish(p, &client, &answer), 200);
	assert_int_equal(json_array_size(json_object_get(answer, "flows")), 0);
	json_decref(answer);
	loop_timer_cancel(p->sources.loop, &p->heart);

	// Held for a whole listing at a time it would beat a few times: before, between and after.
	assert_true(p->n_beats >= 20);
}

static void a_server_that_stops_ends_answers_under_way(void **state)
{
	struct place *p = *state;
	struct client client = {0};

	p->dp.n_flows = RECORDED_FLOWS_MAX;
	p->dp.n_rounds = 1000000;
	client_start(p, &client, "GET", "/v1/flows?client=203.0.113.1");
	run_for(p, 100);
	control_server_stop(p->server);
	p->server = NULL;
	assert_int_equal(client_finish(p, &client, NULL), 0);
	assert_int_equal(access(p->config->control_socket, F_OK), -1);
}

static void the_socket_is_for_owner_and_group(void **state)
{
	struct place *p = *state;
	struct stat stat_of;

	assert_int_equal(stat(p->config->control_socket, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0660);
}

static void a_group_that_is_not_there_is_named(void **state)
{
	struct place *p = *state;
	struct control_server *second = NULL;
	char why[WHY_MAX];

	control_server_stop(p->server);
	p->server = NULL;
	strcpy(p->config->control_group, "nobody-is-in-here");
	assert_int_equal(control_server_start(&p->sources, &second, why), -ESRCH);
	assert_non_null(strstr(why, "nobody-is-in-here"));
	assert_int_equal(access(p->config->control_socket, F_OK), -1);
}

static void a_socket_that_is_served_is_not_taken_and_a_dead_one_is(void **state)
{
	struct place *p = *state;
	struct control_server *second = NULL;
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char why[WHY_MAX];

	assert_int_equal(control_server_start(&p->sources, &second, why), -EADDRINUSE);
	assert_non_null(strstr(why, p->config->control_socket));
	assert_int_equal(access(p->config->control_socket, F_OK), 0);

	control_server_stop(p->server);
	p->server = NULL;
	strcpy(at.sun_path, p->config->control_socket);
	int dead = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(dead, (struct sockaddr *)&at, sizeof(at)), 0);
	close(dead); // As after kill -9: the file stays.
	assert_int_equal(control_server_start(&p->sources, &p->server, why), 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_question_over_the_socket_is_answered),
		IN_PLACE(errors_have_their_status_and_a_sentence),
		IN_PLACE(a_drain_arrives_with_and_without_a_body),
		IN_PLACE(a_body_beyond_all_measure_is_not_read),
		IN_PLACE(a_long_listing_does_not_hold_the_loop),
		IN_PLACE(a_server_that_stops_ends_answers_under_way),
		IN_PLACE(the_socket_is_for_owner_and_group),
		IN_PLACE(a_group_that_is_not_there_is_named),
		IN_PLACE(a_socket_that_is_served_is_not_taken_and_a_dead_one_is),
	};

	log_start(LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests_name("control_server", tests, NULL, NULL);
}
