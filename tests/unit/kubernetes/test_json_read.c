#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "kubernetes/json_read.h"

static const struct nul_case {
	const char *name;
	const char *json;
	const char *text; // Of the member "x".
} nul_cases[] = {
	{"none", "{\"x\":\"ab\"}", "ab"},
	{"one", "{\"x\":\"a\\u0000b\"}", "a\ufffdb"},
	{"alone", "{\"x\":\"\\u0000\"}", "\ufffd"},
	{"two", "{\"x\":\"\\u0000\\u0000\"}", "\ufffd\ufffd"},
	{"a backslash and no NUL", "{\"x\":\"\\\\u0000\"}", "\\u0000"},
	{"a backslash and a NUL", "{\"x\":\"\\\\\\u0000\"}", "\\\ufffd"},
	{"other escapes", "{\"x\":\"\\\"\\n\\u0000\\u00e9\"}", "\"\n\ufffd\u00e9"},
	{"in a name", "{\"x\":\"a\",\"b\\u0000\":1}", "a"},
};

static void a_nul_is_read_as_another_character(void **)
{
	for (size_t i = 0; i < sizeof(nul_cases) / sizeof(nul_cases[0]); i++) {
		const struct nul_case *c = &nul_cases[i];
		json_t *json = json_parse(c->json, strlen(c->json));

		if (json == NULL || !json_text_is(json, "x", c->text))
			fail_msg("%s: \"%s\"", c->name, json_text_at(json, "x"));
		json_decref(json);
	}
}

// Cut within an escape, or with a byte 0 of its own.
static void what_is_no_json_stays_none(void **)
{
	static const char nul[] = "{\"x\":\"a\0b\"}", cut[] = "{\"x\":\"\\u0000\\u000";

	assert_null(json_parse(nul, sizeof(nul) - 1));
	assert_null(json_parse(cut, sizeof(cut) - 1));
	assert_null(json_parse("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_nul_is_read_as_another_character),
		cmocka_unit_test(what_is_no_json_stays_none),
	};

	return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}
