#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kubernetes/json_documents.h"

// All documents of 'text', fed 'piece' bytes at a time, each with a '|' behind, items with a '+';
// and what the end was, if it is a failure.
static void cut_up(enum json_stream kind, const char *text, size_t piece, char ret_all[1024])
{
	struct json_documents *documents = json_documents_create(kind, 64);
	struct json_document document;
	size_t len = strlen(text);
	int r = 0;

	ret_all[0] = '\0';
	for (size_t at = 0; at < len && r == 0; at += piece) {
		size_t n = len - at < piece ? len - at : piece;

		assert_int_equal(json_documents_feed(documents, text + at, n), 0);
		while ((r = json_documents_next(documents, &document)) == 1) {
			strncat(ret_all, document.text, document.len);
			strcat(ret_all, document.is_item ? "+" : "|");
		}
	}
	if (r == -EMSGSIZE)
		strcat(ret_all, "too long");
	else if (r == -EBADMSG)
		strcat(ret_all, "bad");
	else if (!json_documents_is_between(documents))
		strcat(ret_all, "cut");
	json_documents_destroy(documents);
}

static const struct {
	enum json_stream kind;
	const char *text;
	const char *all;
} cases[] = {
	{JSON_EACH, "", ""},
	{JSON_EACH, " \r\n\t", ""},
	{JSON_EACH, "{}", "{}|"},
	{JSON_EACH, "{}\n{\"a\":[1,{}]}\n", "{}|{\"a\":[1,{}]}|"},
	{JSON_EACH, "{}{}", "{}|{}|"},
	{JSON_EACH, "{\"a\":\"}{][\\\"}\"} {}", "{\"a\":\"}{][\\\"}\"}|{}|"},
	{JSON_EACH, "{\"a\\\\\":\"\\\\\"}", "{\"a\\\\\":\"\\\\\"}|"},
	{JSON_EACH, "{\"\u20ac\":\"\U0001f600\"}", "{\"\u20ac\":\"\U0001f600\"}|"},
	{JSON_EACH, "{\"items\":[{},{}]}", "{\"items\":[{},{}]}|"},
	{JSON_EACH, "{} {\"a", "{}|cut"},
	{JSON_EACH, "{} [1]", "{}|bad"},
	{JSON_EACH, "{} 1", "{}|bad"},
	{JSON_EACH, "{} \"x\"", "{}|bad"},
	{JSON_EACH, "}", "bad"},
	{JSON_EACH, "{},{}", "{}|bad"},
	{JSON_EACH, "{\"a\":\"01234567890123456789012345678901234567890123456789012345\"}",
		"{\"a\":\"01234567890123456789012345678901234567890123456789012345\"}|"},
	{JSON_EACH, "{\"a\":\"012345678901234567890123456789012345678901234567890123456\"}",
		"too long"},
	{JSON_EACH, "{\"a\":[                                                             ",
		"too long"},
	{JSON_LIST, "{\"kind\":\"L\",\"items\":[{\"a\":1},{\"b\":[{}]}],\"m\":2}",
		"{\"a\":1}+{\"b\":[{}]}+{\"kind\":\"L\",\"items\":[],\"m\":2}|"},
	{JSON_LIST, "{\"items\" : [ {} , {} ] }", "{}+{}+{\"items\" : [] }|"},
	{JSON_LIST, "{\"items\":[]}", "{\"items\":[]}|"},
	{JSON_LIST, "{\"items\":null}", "{\"items\":null}|"},
	{JSON_LIST, "{\"a\":\"items\",\"b\":[1]}", "{\"a\":\"items\",\"b\":[1]}|"},
	{JSON_LIST, "{\"a\":{\"items\":[{}]}}", "{\"a\":{\"items\":[{}]}}|"},
	{JSON_LIST, "{\"items\":[{\"items\":[{}]}]}", "{\"items\":[{}]}+{\"items\":[]}|"},
	{JSON_LIST, "{\"xitems\":[{}]}", "{\"xitems\":[{}]}|"},
	{JSON_LIST, "{\"items\":[1]}", "bad"},
	{JSON_LIST, "{\"items\":[{},[]]}", "{}+bad"},
	{JSON_LIST, "{\"items\":[{}", "{}+cut"},
	{JSON_LIST, "{\"items\":[{}]", "{}+cut"},
	{JSON_LIST,
		"{\"items\":[{\"a\":\"0123456789012345678901234567890\"},"
		"{\"a\":\"0123456789012345678901234567890\"}]}",
		"{\"a\":\"0123456789012345678901234567890\"}+"
		"{\"a\":\"0123456789012345678901234567890\"}+{\"items\":[]}|"},
	{JSON_LIST,
		"{\"a\":\"0123456789012345678901234567890\",\"b\":\"0123456789012345678901234\"}",
		"too long"},
};

static void a_stream_cut_anywhere_becomes_the_same_documents(void **)
{
	char all[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t piece = 1; piece <= strlen(cases[i].text) + 1; piece++) {
			cut_up(cases[i].kind, cases[i].text, piece, all);
			if (strcmp(all, cases[i].all) != 0)
				fail_msg("%s by %zu: %s", cases[i].text, piece, all);
		}
	}
}

static void a_failure_stays(void **)
{
	struct json_documents *documents = json_documents_create(JSON_EACH, 64);
	struct json_document document;

	assert_int_equal(json_documents_feed(documents, "1", 1), 0);
	assert_int_equal(json_documents_next(documents, &document), -EBADMSG);
	assert_int_equal(json_documents_feed(documents, "{}", 2), 0);
	assert_int_equal(json_documents_next(documents, &document), -EBADMSG);
	assert_false(json_documents_is_between(documents));
	json_documents_destroy(documents);
	json_documents_destroy(NULL);
}

static double feed_bytes(size_t n)
{
	struct json_documents *documents = json_documents_create(JSON_EACH, n);
	struct json_document document;
	struct timespec began, ended;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
	json_documents_feed(documents, "{\"a\":\"", 6);
	for (size_t i = 0; i < n - 8; i += 8) {
		json_documents_feed(documents, "abcdefgh", 8);
		assert_int_equal(json_documents_next(documents, &document), 0);
	}
	json_documents_feed(documents, "\"}", 2);
	assert_int_equal(json_documents_next(documents, &document), 1);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
	json_documents_destroy(documents);
	return (double)(ended.tv_sec - began.tv_sec) +
		(double)(ended.tv_nsec - began.tv_nsec) / 1e9;
}

// 4 MiB of small pieces, looked at anew with each, would be 10^12 bytes.
static void each_byte_is_looked_at_once(void **)
{
	assert_true(feed_bytes(4 << 20) < 2);
}

// A million documents through a buffer that does not grow: what was told makes room.
static void a_long_stream_takes_no_more_room_than_a_short_one(void **)
{
	struct json_documents *documents = json_documents_create(JSON_EACH, 64);
	struct json_document document;
	size_t n = 0;

	for (size_t i = 0; i < 1000000; i++) {
		assert_int_equal(json_documents_feed(documents, "{\"a\":\"bcdef\"}{\"g", 16), 0);
		while (json_documents_next(documents, &document) == 1)
			n++;
		assert_int_equal(json_documents_feed(documents, "\":1}\n", 5), 0);
		while (json_documents_next(documents, &document) == 1)
			n++;
	}
	assert_int_equal(n, 2000000);
	json_documents_destroy(documents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_cut_anywhere_becomes_the_same_documents),
		cmocka_unit_test(a_failure_stays),
		cmocka_unit_test(each_byte_is_looked_at_once),
		cmocka_unit_test(a_long_stream_takes_no_more_room_than_a_short_one),
	};

	return cmocka_run_group_tests_name("json_documents", tests, NULL, NULL);
}
