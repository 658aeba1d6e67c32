#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limiter.h"

#define NS_PER_S 1000000000ull

// How often it allows something that is asked for every 'step_ns' from 'from_ns' to 'to_ns'.
static unsigned count_allowed(
	struct limiter *limiter, uint32_t rate, uint64_t from_ns, uint64_t to_ns, uint64_t step_ns)
{
	unsigned allowed = 0;

	for (uint64_t now_ns = from_ns; now_ns < to_ns; now_ns += step_ns)
		allowed += limiter_allows(limiter, rate, now_ns);
	return allowed;
}

static void a_flood_is_answered_at_the_rate(void **)
{
	static const uint32_t rates[] = {1, 7, 100, 1000, 20000};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct limiter limiter = {0};
		unsigned allowed =
			count_allowed(&limiter, rates[i], NS_PER_S, 11 * NS_PER_S, 20000);

		assert_in_range(allowed, 10 * rates[i], 10 * rates[i] + rates[i] / 10 + 1);
	}
}

static void a_tenth_of_a_second_is_allowed_at_once_and_one(void **)
{
	struct limiter limiter = {0};
	unsigned allowed = 0;

	for (int i = 0; i < 1000; i++)
		allowed += limiter_allows(&limiter, 500, 5 * NS_PER_S);
	assert_int_equal(allowed, 51);
}

static void silence_saves_up_no_more_than_that(void **)
{
	struct limiter limiter = {0};
	unsigned allowed = 0;

	limiter_allows(&limiter, 500, NS_PER_S);
	for (int i = 0; i < 1000; i++)
		allowed += limiter_allows(&limiter, 500, 3600 * NS_PER_S);
	assert_int_equal(allowed, 51);
}

static void a_rate_of_nothing_allows_nothing(void **)
{
	struct limiter limiter = {0};

	assert_int_equal(count_allowed(&limiter, 0, 0, 100 * NS_PER_S, NS_PER_S), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_is_answered_at_the_rate),
		cmocka_unit_test(a_tenth_of_a_second_is_allowed_at_once_and_one),
		cmocka_unit_test(silence_saves_up_no_more_than_that),
		cmocka_unit_test(a_rate_of_nothing_allows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
