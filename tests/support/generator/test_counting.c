// What the generator counts by: how many packets are due, and how long they took.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "histogram.h"
#include "pace.h"
#include "tag.h"

enum { HZ = 1000000 }; // Cycles a second.

static void as_many_are_due_as_the_rate_says(void **)
{
	struct pace p = pace_at(1000, HZ, 500);

	assert_int_equal(pace_take(&p, 500, 32), 0);
	assert_int_equal(pace_take(&p, 1499, 32), 0);
	assert_int_equal(pace_take(&p, 1500, 32), 1);
	assert_int_equal(pace_take(&p, 1500, 32), 0);
	assert_int_equal(pace_take(&p, 500 + 40 * 1000, 32), 32);
	assert_int_equal(pace_take(&p, 500 + 40 * 1000, 32), 7);
	assert_int_equal(p.late, 0);
}

static void what_was_slept_through_is_late_and_not_made_up_for(void **)
{
	struct pace p = pace_at(1000, HZ, 0);
	unsigned n = 0, taken;

	while ((taken = pace_take(&p, HZ, 32)) > 0)
		n += taken;
	assert_int_equal(n, PACE_DEBT_MAX);
	assert_int_equal(p.late, 1000 - PACE_DEBT_MAX);
	assert_int_equal(pace_take(&p, HZ + 1000, 32), 1);
}

static void small_values_are_told_exactly(void **)
{
	struct histogram h = {0};

	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	for (uint64_t value = 1; value <= 10; value++)
		histogram_add(&h, value);
	assert_int_equal(histogram_quantile(&h, 0.5), 5);
	assert_int_equal(histogram_quantile(&h, 0.9), 9);
	assert_int_equal(histogram_quantile(&h, 0.99), 10);
	assert_int_equal(h.greatest, 10);
}

static void large_values_are_told_to_a_sixty_fourth(void **)
{
	for (unsigned bit = 6; bit < 64; bit++) {
		uint64_t value = (UINT64_C(1) << bit) + (UINT64_C(1) << bit) / 3;
		struct histogram h = {0};

		histogram_add(&h, value);
		uint64_t told = histogram_quantile(&h, 1);
		assert_true(told <= value && value - told <= value / HISTOGRAM_STEPS);
	}
	assert_in_range(histogram_slot(UINT64_MAX), 0, HISTOGRAM_SLOTS - 1);
}

static void a_tag_says_what_went_in(void **)
{
	uint64_t tag = tag_of(7, (UINT64_C(3) << TAG_VALUE_BITS) + 42);

	assert_int_equal(tag_run(tag), 7);
	assert_int_equal(tag_value(tag), 42);
	assert_int_equal(tag_next_run(UINT8_MAX), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_are_due_as_the_rate_says),
		cmocka_unit_test(what_was_slept_through_is_late_and_not_made_up_for),
		cmocka_unit_test(small_values_are_told_exactly),
		cmocka_unit_test(large_values_are_told_to_a_sixty_fourth),
		cmocka_unit_test(a_tag_says_what_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
