#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"

static void every_level_has_a_word(void **)
{
	for (int i = 0; i < N_LOG_LEVELS; i++)
		assert_true(strlen(log_level_word(i)) > 0);
}

static void a_burst_is_said_and_the_rest_counted_once_per_interval(void **)
{
	struct log_limit limit = {.burst = 2};
	uint32_t n_more;

	assert_true(log_limit_take(&limit, 100, &n_more));
	assert_true(log_limit_take(&limit, 101, &n_more));
	for (int i = 0; i < 7; i++) {
		assert_false(log_limit_take(&limit, 100 + LOG_INTERVAL_S - 1, &n_more));
		assert_int_equal(n_more, 0);
	}

	assert_true(log_limit_take(&limit, 100 + LOG_INTERVAL_S, &n_more));
	assert_int_equal(n_more, 7);
	assert_true(log_limit_take(&limit, 100 + LOG_INTERVAL_S, &n_more));
	assert_int_equal(n_more, 0);
	assert_false(log_limit_take(&limit, 100 + LOG_INTERVAL_S, &n_more));
}

static void each_key_has_a_limit_of_its_own(void **)
{
	assert_ptr_equal(log_limit_of("snat-ports n1"), log_limit_of("snat-ports n1"));
	assert_ptr_not_equal(log_limit_of("snat-ports n1"), log_limit_of("snat-ports n2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_level_has_a_word),
		cmocka_unit_test(a_burst_is_said_and_the_rest_counted_once_per_interval),
		cmocka_unit_test(each_key_has_a_limit_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
