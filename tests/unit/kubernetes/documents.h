#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

// Documents of an API server for tests. Their texts have ' for ", since C has that.

static inline json_t *document(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	for (char *at = copy; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;

	json_error_t error;
	json_t *json = json_loads(copy, 0, &error);
	if (json == NULL)
		fail_msg("%s in: %s", error.text, copy);
	free(copy);
	return json;
}

// 'base' with what 'change' has in place of what it has, member by member.
static inline json_t *changed(const char *base, const char *change)
{
	json_t *json = document(base), *more = document(change);

	assert_int_equal(json_object_update_recursive(json, more), 0);
	json_decref(more);
	return json;
}
