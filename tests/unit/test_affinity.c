#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "affinity.h"

enum { CLIENTS = 4, HOUR = 3600 }; // One set: all meet.

static const struct affinity_choice first = {7, 1}, second = {9, 2};

static int begin(void **state)
{
	void *memory = aligned_alloc(64, affinity_bytes(CLIENTS));

	assert_non_null(memory);
	memset(memory, 0, affinity_bytes(CLIENTS));
	*state = affinity_create(memory, CLIENTS);
	return 0;
}

static int end(void **state)
{
	free(*state);
	return 0;
}

static struct address client(unsigned n)
{
	return address_from_ipv4(__builtin_bswap32(0xc6336400 + n));
}

static bool is_known(struct affinity *a, unsigned n, service_id service, uint32_t now_s)
{
	struct address c = client(n);
	struct affinity_choice choice;

	return affinity_find(a, n, &c, service, now_s, HOUR, &choice);
}

static void put(struct affinity *a, unsigned n, service_id service, uint32_t now_s,
	struct affinity_choice choice)
{
	struct address c = client(n);

	affinity_put(a, n, &c, service, now_s, choice);
}

static void a_client_goes_where_it_went_until_its_time_is_over(void **state)
{
	struct affinity *a = *state;
	struct address c = client(1);
	struct affinity_choice choice;

	put(a, 1, 5, 100, first);
	assert_true(affinity_find(a, 1, &c, 5, 100 + HOUR - 1, HOUR, &choice));
	assert_int_equal(choice.node, first.node);
	assert_int_equal(choice.snat_index, first.snat_index);
	assert_false(is_known(a, 1, 5, 100 + HOUR));

	put(a, 1, 5, 200, second);
	assert_true(affinity_find(a, 1, &c, 5, 100 + HOUR, HOUR, &choice));
	assert_int_equal(choice.node, second.node);
}

static void services_and_clients_are_told_apart(void **state)
{
	struct affinity *a = *state;

	put(a, 1, 5, 100, first);
	assert_false(is_known(a, 1, 6, 100));
	assert_false(is_known(a, 2, 5, 100));
}

static void the_client_that_came_longest_ago_makes_room(void **state)
{
	struct affinity *a = *state;

	for (unsigned n = 0; n < CLIENTS; n++)
		put(a, n, 5, 100 + n, first);
	put(a, 0, 5, 150, second); // Comes again: client 1 is the oldest now.
	put(a, 4, 5, 160, first);
	assert_true(is_known(a, 0, 5, 160));
	assert_false(is_known(a, 1, 5, 160));
	for (unsigned n = 2; n <= CLIENTS; n++)
		assert_true(is_known(a, n, 5, 160));
}

static void the_control_thread_sees_it_too_and_how_long_ago_it_was(void **state)
{
	struct affinity *a = *state;
	struct address c = client(1), other = client(2);
	struct affinity_choice choice;
	uint32_t idle_s;

	put(a, 1, 5, 100, first);
	assert_true(affinity_look(a, 1, &c, 5, 100, HOUR, &choice, &idle_s));
	assert_int_equal(choice.node, first.node);
	put(a, 1, 5, 200, second);
	assert_true(affinity_look(a, 1, &c, 5, 230, HOUR, &choice, &idle_s));
	assert_int_equal(choice.node, second.node);
	assert_int_equal(choice.snat_index, second.snat_index);
	assert_int_equal(idle_s, 30);
	assert_false(affinity_look(a, 1, &c, 6, 230, HOUR, &choice, &idle_s));
	assert_false(affinity_look(a, 2, &other, 5, 230, HOUR, &choice, &idle_s));
	assert_false(affinity_look(a, 1, &c, 5, 200 + HOUR, HOUR, &choice, &idle_s));
}

static void one_over_another_knows_its_clients_and_changes_none(void **state)
{
	struct affinity *below = *state, *a;
	void *above;

	put(below, 1, 5, 100, first);
	begin(&above);
	a = above;
	affinity_lay_over(a, below);
	assert_true(is_known(a, 1, 5, 100));
	assert_false(is_known(a, 2, 5, 100));
	put(a, 2, 5, 100, second);
	assert_true(is_known(a, 2, 5, 100));
	assert_false(is_known(below, 2, 5, 100));
	end(&above);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_client_goes_where_it_went_until_its_time_is_over),
		TEST(services_and_clients_are_told_apart),
		TEST(the_control_thread_sees_it_too_and_how_long_ago_it_was),
		TEST(one_over_another_knows_its_clients_and_changes_none),
		TEST(the_client_that_came_longest_ago_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
