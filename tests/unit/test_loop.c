#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

enum { N_TIMERS = 500 };

struct fired {
	struct loop *loop;
	struct loop_timer timers[N_TIMERS];
	uint64_t order[N_TIMERS]; // due_ns of those that fired, in the order they did.
	size_t n;
	size_t n_wanted;
};

static int make_loop(void **state)
{
	struct fired *fired = calloc(1, sizeof(*fired));

	*state = fired;
	return loop_create(&fired->loop);
}

static int unmake_loop(void **state)
{
	struct fired *fired = *state;

	loop_destroy(fired->loop);
	free(fired);
	return 0;
}

static struct fired *all; // What note() writes to: a timer's argument is the timer.

static void note(void *argument, uint64_t now_ns)
{
	struct loop_timer *timer = argument;

	assert_true(now_ns >= timer->due_ns);
	all->order[all->n++] = timer->due_ns;
	if (all->n == all->n_wanted)
		loop_stop(all->loop);
}

static void set_all(struct fired *fired)
{
	uint64_t now_ns = loop_clock_ns();

	all = fired;
	for (size_t i = 0; i < N_TIMERS; i++) {
		struct loop_timer *t = &fired->timers[i];

		*t = (struct loop_timer){.name = "note", .fn = note, .argument = t};
		loop_timer_set(fired->loop, t, now_ns + (uint64_t)rand() % 5000000);
	}
}

static void timers_fire_in_the_order_they_are_due(void **state)
{
	struct fired *fired = *state;

	set_all(fired);
	fired->n_wanted = N_TIMERS;
	assert_int_equal(loop_run(fired->loop), 0);

	assert_int_equal(fired->n, N_TIMERS);
	for (size_t i = 1; i < fired->n; i++)
		assert_true(fired->order[i - 1] <= fired->order[i]);
}

static void a_cancelled_timer_never_fires_and_a_moved_one_fires_once(void **state)
{
	struct fired *fired = *state;
	uint64_t now_ns = loop_clock_ns();

	set_all(fired);
	for (size_t i = 0; i < N_TIMERS; i += 2)
		loop_timer_cancel(fired->loop, &fired->timers[i]);
	for (size_t i = 1; i < N_TIMERS; i += 4)
		loop_timer_set(fired->loop, &fired->timers[i], now_ns + 1000 * i);
	fired->n_wanted = N_TIMERS / 2;
	assert_int_equal(loop_run(fired->loop), 0);

	assert_int_equal(fired->n, N_TIMERS / 2);
	for (size_t i = 0; i < N_TIMERS; i++)
		assert_false(loop_timer_waits(&fired->timers[i]));
	for (size_t i = 1; i < fired->n; i++)
		assert_true(fired->order[i - 1] <= fired->order[i]);
}

static int fds[2]; // Both are ready; who is served first forgets both.

static void take(void *argument, uint32_t events, uint64_t)
{
	struct fired *fired = argument;

	assert_int_equal(events, EPOLLIN);
	fired->n++;
	loop_forget(fired->loop, fds[0]);
	loop_forget(fired->loop, fds[1]);
}

static void end(void *argument, uint64_t)
{
	loop_stop(argument);
}

static void a_forgotten_fd_is_not_served_even_if_its_event_is_at_hand(void **state)
{
	struct fired *fired = *state;
	struct loop_timer timer = {.name = "end", .fn = end, .argument = fired->loop};

	for (int i = 0; i < 2; i++) {
		fds[i] = eventfd(1, 0);
		assert_int_equal(loop_watch(fired->loop, fds[i], EPOLLIN, "take", take, fired), 0);
	}
	loop_forget(fired->loop, 9999); // Never watched.
	loop_timer_set(fired->loop, &timer, loop_clock_ns() + 10000000);
	assert_int_equal(loop_run(fired->loop), 0);

	assert_int_equal(fired->n, 1);
	close(fds[0]);
	close(fds[1]);
}

static void retake(void *argument, uint32_t, uint64_t)
{
	struct fired *fired = argument;

	fired->n++;
	for (int i = 0; i < 2; i++)
		loop_forget(fired->loop, fds[i]);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		fds[i] = eventfd(0, 0); // The same number, and nothing to read.
		assert_int_equal(
			loop_watch(fired->loop, fds[i], EPOLLIN, "retake", retake, fired), 0);
	}
}

static void an_fd_that_takes_over_a_number_does_not_get_the_old_ones_event(void **state)
{
	struct fired *fired = *state;
	struct loop_timer timer = {.name = "end", .fn = end, .argument = fired->loop};

	for (int i = 0; i < 2; i++) {
		fds[i] = eventfd(1, 0);
		assert_int_equal(
			loop_watch(fired->loop, fds[i], EPOLLIN, "retake", retake, fired), 0);
	}
	loop_timer_set(fired->loop, &timer, loop_clock_ns() + 10000000);
	assert_int_equal(loop_run(fired->loop), 0);

	assert_int_equal(fired->n, 1);
	close(fds[0]);
	close(fds[1]);
}

static void dawdle(void *argument, uint64_t)
{
	struct fired *fired = argument;

	nanosleep(&(struct timespec){.tv_nsec = 15000000}, NULL);
	loop_stop(fired->loop);
}

static void a_step_that_held_the_loop_is_named_and_counts_as_lost_time(void **state)
{
	struct fired *fired = *state;
	struct loop_timer timer = {.name = "dawdle", .fn = dawdle, .argument = fired};

	loop_timer_set(fired->loop, &timer, 0);
	assert_int_equal(loop_run(fired->loop), 0);

	struct loop_status status;
	loop_read_status(fired->loop, &status);
	assert_int_equal(status.slow_steps, 1);
	assert_string_equal(status.longest.name, "dawdle");
	assert_true(status.longest.took_ns >= 15000000);
	assert_true(loop_lost_ns(fired->loop) >= 15000000);
	assert_string_equal(loop_take_longest(fired->loop).name, "dawdle");
	assert_null(loop_take_longest(fired->loop).name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			timers_fire_in_the_order_they_are_due, make_loop, unmake_loop),
		cmocka_unit_test_setup_teardown(
			a_cancelled_timer_never_fires_and_a_moved_one_fires_once, make_loop,
			unmake_loop),
		cmocka_unit_test_setup_teardown(
			a_forgotten_fd_is_not_served_even_if_its_event_is_at_hand, make_loop,
			unmake_loop),
		cmocka_unit_test_setup_teardown(
			an_fd_that_takes_over_a_number_does_not_get_the_old_ones_event, make_loop,
			unmake_loop),
		cmocka_unit_test_setup_teardown(
			a_step_that_held_the_loop_is_named_and_counts_as_lost_time, make_loop,
			unmake_loop),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
