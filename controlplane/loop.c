#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

// Timers wait in a pairing heap (Fredman, Sedgewick, Sleator and Tarjan, "The Pairing Heap: A New
// Form of Self-Adjusting Heap", Algorithmica 1986): it lives in the timers themselves, so setting
// one never fails, and costs O(1); taking the first or cancelling one costs O(log n) amortised.
//
// A turn first serves the fds that are ready, then the timers that are due: of an answer and the
// deadline for it, both there, the answer wins. Either is bounded, so that neither starves the
// other.

enum {
	EVENTS_PER_TURN = 256,
	TIMERS_PER_TURN = 64,
};

struct watch {
	const char *name;
	loop_fd_fn *fn; // NULL where the fd is not watched.
	void *argument;
	uint32_t generation; // Tells an event of this watch from one of an fd closed before.
};

struct loop {
	int epoll_fd;
	bool stopping;
	struct watch *watches; // [n_watches], by fd.
	size_t n_watches;
	struct loop_timer *first;
	uint64_t lost_ns;
	struct loop_status status;
	struct loop_step lately; // The longest since loop_take_longest().
};

uint64_t loop_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

int loop_create(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	if (loop == NULL)
		return -ENOMEM;

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (loop == NULL)
		return;

	close(loop->epoll_fd);
	free(loop->watches);
	free(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

uint64_t loop_lost_ns(const struct loop *loop)
{
	return loop->lost_ns;
}

void loop_read_status(const struct loop *loop, struct loop_status *ret_status)
{
	*ret_status = loop->status;
}

struct loop_step loop_take_longest(struct loop *loop)
{
	struct loop_step step = loop->lately;

	loop->lately = (struct loop_step){0};
	return step;
}

// File descriptors

static int make_room(struct loop *loop, size_t n)
{
	if (n <= loop->n_watches)
		return 0;

	size_t n_new = n < 64 ? 64 : 2 * n;
	struct watch *watches = reallocarray(loop->watches, n_new, sizeof(*watches));
	if (watches == NULL)
		return -ENOMEM;

	for (size_t i = loop->n_watches; i < n_new; i++)
		watches[i] = (struct watch){0};
	loop->watches = watches;
	loop->n_watches = n_new;
	return 0;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, const char *name, loop_fd_fn *fn,
	void *argument)
{
	int r = make_room(loop, (size_t)fd + 1);
	if (r < 0)
		return r;

	struct watch *w = &loop->watches[fd];
	bool is_new = w->fn == NULL;
	uint32_t generation = is_new ? w->generation + 1 : w->generation;
	struct epoll_event event = {
		.events = events,
		.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd,
	};

	if (epoll_ctl(loop->epoll_fd, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) < 0)
		return -errno;
	*w = (struct watch){.name = name, .fn = fn, .argument = argument, .generation = generation};
	return 0;
}

void loop_forget(struct loop *loop, int fd)
{
	if (fd < 0 || (size_t)fd >= loop->n_watches || loop->watches[fd].fn == NULL)
		return;

	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[fd].fn = NULL;
}

// Timers

// The one of two heaps whose top is due first becomes the parent of the other. Accepts NULL.
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->due_ns < a->due_ns) {
		struct loop_timer *swap = a;

		a = b;
		b = swap;
	}
	b->next = a->child;
	if (b->next != NULL)
		b->next->link = &b->next;
	b->link = &a->child;
	a->child = b;
	return a;
}

// Makes one heap of a list of siblings: in pairs from the left, then all pairs from the right.
static struct loop_timer *meld_siblings(struct loop_timer *list)
{
	struct loop_timer *pairs = NULL;
	struct loop_timer *all = NULL;

	while (list != NULL) {
		struct loop_timer *a = list;
		struct loop_timer *b = a->next;

		list = b != NULL ? b->next : NULL;
		a->next = NULL;
		if (b != NULL)
			b->next = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct loop_timer *pair = pairs;

		pairs = pair->next;
		pair->next = NULL;
		all = meld(all, pair);
	}
	return all;
}

static void put_first(struct loop *loop, struct loop_timer *first)
{
	loop->first = first;
	if (first != NULL) {
		first->next = NULL;
		first->link = &loop->first;
	}
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (!loop_timer_waits(timer))
		return;

	*timer->link = timer->next;
	if (timer->next != NULL)
		timer->next->link = timer->link;

	struct loop_timer *children = meld_siblings(timer->child);

	timer->link = NULL;
	timer->next = NULL;
	timer->child = NULL;
	put_first(loop, meld(loop->first, children));
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ns)
{
	loop_timer_cancel(loop, timer);
	timer->due_ns = due_ns;
	put_first(loop, meld(loop->first, timer));
}

// Turns

// Books the step that began at 'began_ns', and returns when it ended.
static uint64_t end_step(struct loop *loop, const char *name, uint64_t began_ns)
{
	uint64_t now_ns = loop_clock_ns();
	uint64_t took_ns = now_ns - began_ns;

	loop->status.steps++;
	if (took_ns > loop->status.longest.took_ns)
		loop->status.longest = (struct loop_step){.name = name, .took_ns = took_ns};
	if (took_ns > loop->lately.took_ns)
		loop->lately = (struct loop_step){.name = name, .took_ns = took_ns};
	if (took_ns > SLOW_STEP_NS) {
		loop->status.slow_steps++;
		loop->lost_ns += took_ns;
	}
	return now_ns;
}

static uint64_t serve(struct loop *loop, const struct epoll_event *event, uint64_t now_ns)
{
	const struct watch *w = &loop->watches[(uint32_t)event->data.u64];

	// Forgotten by an earlier step of this turn, and maybe watched anew.
	if (w->fn == NULL || w->generation != event->data.u64 >> 32)
		return now_ns;

	const char *name = w->name;

	w->fn(w->argument, event->events, now_ns);
	return end_step(loop, name, now_ns);
}

static void serve_timers(struct loop *loop, uint64_t now_ns)
{
	uint64_t began_ns = now_ns;

	for (int n = 0; n < TIMERS_PER_TURN && !loop->stopping; n++) {
		struct loop_timer *timer = loop->first;
		// One set by a step of this turn for at once has to wait for the next turn.
		if (timer == NULL || timer->due_ns > began_ns)
			return;

		const char *name = timer->name;

		loop_timer_cancel(loop, timer);
		timer->fn(timer->argument, now_ns);
		now_ns = end_step(loop, name, now_ns);
	}
}

static int wait_for_events(struct loop *loop, struct epoll_event *ret_events)
{
	uint64_t now_ns = loop_clock_ns();
	struct timespec timeout = {0};

	if (loop->first == NULL)
		return epoll_pwait2(loop->epoll_fd, ret_events, EVENTS_PER_TURN, NULL, NULL);

	if (loop->first->due_ns > now_ns) {
		uint64_t wait_ns = loop->first->due_ns - now_ns;

		timeout.tv_sec = (time_t)(wait_ns / NSEC_PER_SEC);
		timeout.tv_nsec = (long)(wait_ns % NSEC_PER_SEC);
	}
	int n = epoll_pwait2(loop->epoll_fd, ret_events, EVENTS_PER_TURN, &timeout, NULL);

	// The time that a step took over is booked by end_step(): here it is time that we slept
	// too long, because the machine had no core for us.
	uint64_t due_ns = loop->first->due_ns > now_ns ? loop->first->due_ns : now_ns;
	uint64_t woke_ns = loop_clock_ns();
	if (woke_ns > due_ns + SLOW_STEP_NS)
		loop->lost_ns += woke_ns - due_ns;
	return n;
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_PER_TURN];

	loop->stopping = false;
	while (!loop->stopping) {
		int n = wait_for_events(loop, events);
		if (n < 0 && errno != EINTR)
			return -errno;

		uint64_t now_ns = loop_clock_ns();
		for (int i = 0; i < n && !loop->stopping; i++)
			now_ns = serve(loop, &events[i], now_ns);
		serve_timers(loop, now_ns);
	}
	return 0;
}
