#include <errno.h>
#include <time.h>

#include <rte_cycles.h>

#include "capture.h"
#include "parts.h"
#include "worker.h"

// Capturing, by the control thread
// ================================
//
// Workers are told by a pointer each. When it is taken back a worker may still be in a burst that
// has it: so the memory stays, and whoever captures next waits until every worker has been seen
// between two bursts.

static bool has_memory(struct dataplane *dp)
{
	for (size_t i = 0; i < dp->n_workers; i++) {
		if (dp->captures[i] == NULL)
			dp->captures[i] = capture_create();
		if (dp->captures[i] == NULL)
			return false;
	}
	return true;
}

static void tell_workers(struct dataplane *dp, bool capture)
{
	// Release: pairs with the load in pipeline.c's begin().
	for (size_t i = 0; i < dp->n_workers; i++)
		atomic_store_explicit(&dp->workers[i]->pipeline.capture,
			capture ? dp->captures[i] : NULL, memory_order_release);
}

int dataplane_begin_capture(struct dataplane *dp, const struct capture_filter *filter)
{
	bool is_quiet = dp->capture_token == 0 ||
		rte_rcu_qsbr_check(dp->readers, dp->capture_token, false) == 1;

	if (dp->captures_now || !is_quiet)
		return -EBUSY;
	if (!has_memory(dp))
		return -ENOMEM;

	for (size_t i = 0; i < dp->n_workers; i++)
		capture_prepare(dp->captures[i], filter);
	dp->captures_now = true;
	tell_workers(dp, true);
	return 0;
}

// From the workers' clock to that of people.
static uint64_t since_1970(const struct dataplane *dp, uint64_t at_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ago_ns = clock_ns(&dp->clock, rte_rdtsc()) - at_ns;
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - ago_ns;
}

bool dataplane_take_captured(struct dataplane *dp, struct captured *ret_captured)
{
	for (size_t i = 0; i < dp->n_workers; i++) {
		if (dp->captures[i] == NULL || !capture_take(dp->captures[i], ret_captured))
			continue;
		ret_captured->at_ns = since_1970(dp, ret_captured->at_ns);
		return true;
	}
	return false;
}

uint64_t dataplane_end_capture(struct dataplane *dp)
{
	uint64_t lost = 0;

	if (!dp->captures_now)
		return 0;

	tell_workers(dp, false);
	dp->capture_token = rte_rcu_qsbr_start(dp->readers);
	dp->captures_now = false;
	for (size_t i = 0; i < dp->n_workers; i++)
		lost += capture_lost(dp->captures[i]);
	return lost;
}
