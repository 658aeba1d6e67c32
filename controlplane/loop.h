#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The control thread's one loop: file descriptors, timers and nothing else. Whatever it calls is a
// step, and a step never waits: none should hold the loop for more than SLOW_STEP_NS, and the
// longest is measured.

#define SLOW_STEP_NS UINT64_C(10000000)

struct loop;

// 'events' are epoll's. 'now_ns' is the monotonic clock when the step began.
typedef void loop_fd_fn(void *argument, uint32_t events, uint64_t now_ns);
typedef void loop_timer_fn(void *argument, uint64_t now_ns);

// Owned by whoever sets it, and not moved while it waits.
struct loop_timer {
	// Written by its owner.
	const char *name; // Of the step, for warnings: "health check".
	loop_timer_fn *fn;
	void *argument;

	// Written by the loop: its place in a pairing heap.
	uint64_t due_ns;
	struct loop_timer *child;
	struct loop_timer *next;
	struct loop_timer **link; // What points here, or NULL while it does not wait.
};

static inline bool loop_timer_waits(const struct loop_timer *timer)
{
	return timer->link != NULL;
}

struct loop_step {
	const char *name; // NULL for none yet.
	uint64_t took_ns;
};

struct loop_status {
	uint64_t steps;
	uint64_t slow_steps; // Over SLOW_STEP_NS.
	struct loop_step longest;
};

// Returns 0 or -errno.
int loop_create(struct loop **ret_loop);

// Accepts NULL. Timers that wait are forgotten, fds are left open.
void loop_destroy(struct loop *loop);

// Runs until loop_stop(), called by a step. Returns 0, or -errno if polling itself fails.
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

// Calls 'fn' when any of 'events' (EPOLLIN, ...) is true of 'fd'. Of an fd watched already it
// changes what is watched for. 'name' outlives the watch. Returns 0 or -errno.
int loop_watch(struct loop *loop, int fd, uint32_t events, const char *name, loop_fd_fn *fn,
	void *argument);

// To be called before 'fd' is closed. An fd not watched is no error.
void loop_forget(struct loop *loop, int fd);

// Calls the timer once, no earlier than 'due_ns'. A timer that waits already is moved.
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_ns);

// A timer that does not wait is no error.
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

// The monotonic clock, in ns: now, not when the step began.
uint64_t loop_clock_ns(void);

// How long, in all, the loop has come late to what was due: because a step held it, or because
// the machine did not run it. Whoever judges others by a deadline asks whether this grew.
uint64_t loop_lost_ns(const struct loop *loop);

void loop_read_status(const struct loop *loop, struct loop_status *ret_status);

// The longest step since the last call of this.
struct loop_step loop_take_longest(struct loop *loop);
