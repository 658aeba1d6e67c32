#include "documents.h"

#include <string.h>

#include "kubernetes/event_filter.h"
#include "kubernetes/json_read.h"

enum { NOW_S = 1767225600 }; // 2026-01-01T00:00:00Z

static int make_filter(void **state)
{
	*state = event_filter_create("edge1");
	return *state == NULL ? -1 : 0;
}

static int unmake_filter(void **state)
{
	event_filter_destroy(*state);
	return 0;
}

static struct service_event about(const char *name, const char *message)
{
	struct service_event event = {.reason = "SyncLoadBalancerFailed", .is_warning = true};

	strcpy(event.space, "default");
	strcpy(event.name, name);
	snprintf(event.uid, sizeof(event.uid), "u-%s", name);
	snprintf(event.message, sizeof(event.message), "%s", message);
	return event;
}

// Method, path and the count. Lets go of the body.
static const char *text_of(struct event_request *request)
{
	static char text[512];

	snprintf(text, sizeof(text), "%s %s %d", request->is_patch ? "PATCH" : "POST",
		request->path, (int)json_integer_value(json_object_get(request->body, "count")));
	json_decref(request->body);
	return text;
}

// What becomes of it, "" for nothing; it is under way then.
static const char *begin(struct event_filter *filter, const struct service_event *event,
	int64_t now_s, struct event_request *ret_request)
{
	return event_filter_take(filter, event, now_s, ret_request) ? text_of(ret_request) : "";
}

// What its answer leads to, "" for nothing.
static const char *answer(struct event_filter *filter, const struct service_event *event,
	struct event_request *request, unsigned status)
{
	return event_filter_answer(filter, event, request, status, request) ? text_of(request) : "";
}

// What becomes of it, "" for nothing; it is recorded then.
static const char *take(
	struct event_filter *filter, const struct service_event *event, int64_t now_s)
{
	struct event_request request, none;
	const char *text = begin(filter, event, now_s, &request);

	if (*text != '\0')
		assert_false(event_filter_answer(filter, event, &request, 201, &none));
	return text;
}

static void assert_begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", text, with);
}

static void an_event_says_about_what_it_is(void **state)
{
	struct service_event event = about("web", "no address is free");
	struct event_request request;

	assert_true(event_filter_take(*state, &event, NOW_S, &request));
	assert_false(request.is_patch);
	assert_string_equal(request.path, "/api/v1/namespaces/default/events");

	const json_t *metadata = json_object_get(request.body, "metadata");
	const char *name = json_string_value(json_object_get(metadata, "name"));
	assert_int_equal(strncmp(name, "web.", 4), 0);
	json_object_del((json_t *)metadata, "name");
	json_t *wanted = document(
		"{'kind': 'Event', 'apiVersion': 'v1', 'metadata': {'namespace': 'default'},"
		" 'involvedObject': {'kind': 'Service', 'apiVersion': 'v1',"
		" 'namespace': 'default', 'name': 'web', 'uid': 'u-web'},"
		" 'type': 'Warning', 'reason': 'SyncLoadBalancerFailed',"
		" 'message': 'no address is free',"
		" 'source': {'component': 'guideway', 'host': 'edge1'},"
		" 'firstTimestamp': '2026-01-01T00:00:00Z',"
		" 'lastTimestamp': '2026-01-01T00:00:00Z', 'count': 1,"
		" 'reportingComponent': 'guideway', 'reportingInstance': 'edge1'}");
	assert_true(json_equal(request.body, wanted));
	json_decref(wanted);
	json_decref(request.body);
}

static void the_same_event_again_is_counted_up(void **state)
{
	struct service_event event = about("web", "no address is free");

	assert_int_equal(strncmp(take(*state, &event, NOW_S), "POST", 4), 0);
	const char *again = take(*state, &event, NOW_S + 60);
	assert_non_null(strstr(again, "PATCH /api/v1/namespaces/default/events/web."));
	assert_non_null(strstr(again, " 2"));
	assert_non_null(strstr(take(*state, &event, NOW_S + 120), " 3"));
}

static void after_ten_minutes_it_is_a_new_one(void **state)
{
	struct service_event event = about("web", "no address is free");

	take(*state, &event, NOW_S);
	assert_int_equal(strncmp(take(*state, &event, NOW_S + 600), "POST", 4), 0);
	assert_non_null(strstr(take(*state, &event, NOW_S + 601), " 2"));
}

static void a_repetition_of_what_could_not_be_created_is_created(void **state)
{
	static const unsigned answers[] = {0, 403, 409, 429, 500};
	struct service_event event;
	struct event_request request;
	char name[8];

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		snprintf(name, sizeof(name), "s%zu", i);
		event = about(name, "no address is free");
		assert_begins(begin(*state, &event, NOW_S, &request), "POST");
		assert_string_equal(answer(*state, &event, &request, answers[i]), "");
		assert_begins(take(*state, &event, NOW_S + 60), "POST");
		assert_non_null(strstr(take(*state, &event, NOW_S + 120), " 2"));
	}
}

static void what_somebody_deleted_is_created_anew_with_its_count(void **state)
{
	struct service_event event = about("web", "no address is free");
	struct event_request request, anew;

	take(*state, &event, NOW_S);
	assert_begins(begin(*state, &event, NOW_S + 60, &request), "PATCH");
	assert_true(event_filter_answer(*state, &event, &request, 404, &anew));
	assert_false(anew.is_patch);
	assert_string_equal(anew.path, "/api/v1/namespaces/default/events");
	assert_string_equal(json_text_at(anew.body, "firstTimestamp"), "2026-01-01T00:00:00Z");
	assert_string_equal(json_text_at(anew.body, "lastTimestamp"), "2026-01-01T00:01:00Z");
	assert_string_equal(json_text_at(anew.body, "message"), "no address is free");
	assert_int_equal(json_integer_value(json_object_get(anew.body, "count")), 2);
	json_decref(anew.body);
	assert_string_equal(answer(*state, &event, &anew, 201), "");
	assert_non_null(strstr(take(*state, &event, NOW_S + 120), " 3"));
}

// As where its namespace is going.
static void what_can_neither_be_counted_up_nor_created_is_left(void **state)
{
	struct service_event event = about("web", "no address is free");
	struct event_request request;

	take(*state, &event, NOW_S);
	begin(*state, &event, NOW_S, &request);
	assert_begins(answer(*state, &event, &request, 404), "POST");
	assert_string_equal(answer(*state, &event, &request, 404), "");
}

static void a_repetition_waits_for_what_is_under_way(void **state)
{
	struct service_event event = about("web", "no address is free");
	struct service_event other = about("web", "and another");
	struct event_request request;

	assert_begins(begin(*state, &event, NOW_S, &request), "POST");
	assert_string_equal(take(*state, &event, NOW_S + 1), "");
	assert_string_equal(take(*state, &event, NOW_S + 2), "");
	assert_begins(take(*state, &other, NOW_S + 2), "POST");

	const char *next = answer(*state, &event, &request, 201);
	assert_begins(next, "PATCH");
	assert_non_null(strstr(next, " 3"));
	assert_string_equal(take(*state, &event, NOW_S + 3), "");
	assert_non_null(strstr(answer(*state, &event, &request, 200), " 4"));
	assert_string_equal(answer(*state, &event, &request, 200), "");
}

static void what_waited_goes_with_the_first_that_could_not_be_created(void **state)
{
	struct service_event event = about("web", "no address is free");
	struct event_request request;

	begin(*state, &event, NOW_S, &request);
	assert_string_equal(take(*state, &event, NOW_S), "");
	assert_string_equal(answer(*state, &event, &request, 500), "");
	assert_non_null(strstr(take(*state, &event, NOW_S), "events 1"));
}

static void a_count_that_is_not_written_is_in_the_next_one(void **state)
{
	struct service_event event = about("web", "no address is free");
	struct event_request request;

	take(*state, &event, NOW_S);
	begin(*state, &event, NOW_S + 1, &request);
	assert_string_equal(answer(*state, &event, &request, 500), "");
	const char *next = take(*state, &event, NOW_S + 2);
	assert_begins(next, "PATCH");
	assert_non_null(strstr(next, " 3"));
}

static void two_that_are_not_alike_have_names_of_their_own(void **state)
{
	struct service_event one = about("web", "one"), other = about("web", "other");
	struct event_request a, b;

	assert_true(event_filter_take(*state, &one, NOW_S, &a));
	assert_true(event_filter_take(*state, &other, NOW_S, &b));
	assert_false(json_equal(
		json_object_get(a.body, "metadata"), json_object_get(b.body, "metadata")));
	json_decref(a.body);
	json_decref(b.body);
}

static void too_many_alike_are_put_together(void **state)
{
	char message[32];
	struct service_event event;
	struct event_request request;

	for (int i = 0; i < EVENTS_ALIKE_MAX; i++) {
		snprintf(message, sizeof(message), "message %d", i);
		event = about("web", message);
		assert_int_equal(strncmp(take(*state, &event, NOW_S), "POST", 4), 0);
	}
	event = about("web", "one more");
	assert_non_null(strstr(take(*state, &event, NOW_S), "POST"));
	event = about("web", "and one more");
	assert_non_null(strstr(begin(*state, &event, NOW_S, &request), " 2"));

	// Also when it is created anew.
	assert_true(event_filter_answer(*state, &event, &request, 404, &request));
	assert_string_equal(json_text_at(request.body, "message"),
		"(combined from similar events): and one more");
	json_decref(request.body);
}

static void an_object_has_a_burst_and_then_one_in_five_minutes(void **state)
{
	struct service_event event = about("web", "again"), other = about("other", "again");

	for (int i = 0; i < EVENT_BURST; i++)
		assert_string_not_equal(take(*state, &event, NOW_S), "");
	assert_string_equal(take(*state, &event, NOW_S), "");
	assert_string_not_equal(take(*state, &other, NOW_S), "");
	assert_string_equal(take(*state, &event, NOW_S + 299), "");
	assert_string_not_equal(take(*state, &event, NOW_S + 300), "");
	assert_string_equal(take(*state, &event, NOW_S + 300), "");
}

// Its memory has a bound: more objects than that only make old ones new again.
static void any_number_of_objects_may_have_events(void **state)
{
	char name[32];

	for (int i = 0; i < 3 * EVENTS_KNOWN_MAX; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		struct service_event event = about(name, "again");
		assert_int_equal(strncmp(take(*state, &event, NOW_S + i), "POST", 4), 0);
	}
}

#define WITH_FILTER(test) cmocka_unit_test_setup_teardown(test, make_filter, unmake_filter)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILTER(an_event_says_about_what_it_is),
		WITH_FILTER(the_same_event_again_is_counted_up),
		WITH_FILTER(after_ten_minutes_it_is_a_new_one),
		WITH_FILTER(a_repetition_of_what_could_not_be_created_is_created),
		WITH_FILTER(what_somebody_deleted_is_created_anew_with_its_count),
		WITH_FILTER(what_can_neither_be_counted_up_nor_created_is_left),
		WITH_FILTER(a_repetition_waits_for_what_is_under_way),
		WITH_FILTER(what_waited_goes_with_the_first_that_could_not_be_created),
		WITH_FILTER(a_count_that_is_not_written_is_in_the_next_one),
		WITH_FILTER(two_that_are_not_alike_have_names_of_their_own),
		WITH_FILTER(too_many_alike_are_put_together),
		WITH_FILTER(an_object_has_a_burst_and_then_one_in_five_minutes),
		WITH_FILTER(any_number_of_objects_may_have_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
