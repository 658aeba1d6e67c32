#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guideway/counters.h"

static void assert_is_a_word(const char *word)
{
	assert_non_null(word);
	assert_true(strlen(word) > 0);
	assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz-"), strlen(word));
}

static void every_drop_reason_has_a_word_and_a_sentence(void **)
{
	for (int i = 0; i < N_DROP_REASONS; i++) {
		assert_is_a_word(drop_reason_word(i));
		assert_non_null(drop_reason_sentence(i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(drop_reason_word(i), drop_reason_word(j));
	}
}

static void every_event_has_a_word_and_a_sentence(void **)
{
	for (int i = 0; i < N_EVENTS; i++) {
		assert_is_a_word(event_word(i));
		assert_non_null(event_sentence(i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(event_word(i), event_word(j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_drop_reason_has_a_word_and_a_sentence),
		cmocka_unit_test(every_event_has_a_word_and_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
