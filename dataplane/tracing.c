#include <errno.h>

#include <rte_cycles.h>

#include "parts.h"
#include "trace.h"
#include "worker.h"

// Tracing, by the control thread
// ==============================
//
// The packet lies before one worker after the other, by a pointer each that the worker takes back
// when it has done its part. Whoever gives up does not wait for that, but who traces next does.

static uint64_t now_ns(const struct dataplane *dp)
{
	return clock_ns(&dp->clock, rte_rdtsc());
}

static void put_before(struct dataplane *dp, unsigned worker)
{
	dp->traces_at = worker;
	// Release: pairs with the load in trace() of worker.c: the packet is there.
	atomic_store_explicit(&dp->workers[worker]->tracer, dp->tracer, memory_order_release);
}

// Acquire: pairs with the store in trace() of worker.c: what the worker found out is there.
static bool is_with_worker(const struct dataplane *dp)
{
	return atomic_load_explicit(&dp->workers[dp->traces_at]->tracer, memory_order_acquire) !=
		NULL;
}

// The worker of a port's first queue, or who takes what the kernel sends.
static unsigned first_worker(const struct dataplane *dp, const struct trace_request *request)
{
	return request->from_kernel ? twin_worker(dp, &dp->ports[request->port]) : 0;
}

int dataplane_begin_trace(struct dataplane *dp, const struct trace_request *request)
{
	if (request->port >= dp->n_ports)
		return -ENOENT;
	if (request->len < TRACE_FRAME_MIN || request->len > TRACE_FRAME_MAX)
		return -EMSGSIZE;
	if (dp->traces_now || is_with_worker(dp))
		return -EBUSY;
	if (dp->tracer == NULL)
		dp->tracer = tracer_create(dp->config.services_max, dp->config.nodes_max);

	unsigned worker = first_worker(dp, request);
	if (dp->tracer == NULL ||
		!tracer_begin(dp->tracer, request, worker, dp->config.hash_key, now_ns(dp)))
		return -ENOMEM;

	dp->traces_now = true;
	put_before(dp, worker);
	return 0;
}

// What delivery would find out, as far as it lasts.
static void deliver(const struct dataplane *dp, struct trace *trace)
{
	if (trace->n_frames == 0 || trace->frames[0].way != TRACE_BY_PORT ||
		atomic_load(&dp->ports[trace->frames[0].port].link_up))
		return;
	trace->n_frames = 0;
	if (trace->drop == DROP_NONE)
		trace->drop = DROP_PORT_DOWN;
}

const struct trace *dataplane_take_trace(struct dataplane *dp)
{
	unsigned worker;

	if (!dp->traces_now || is_with_worker(dp))
		return NULL;
	if (tracer_goes_on(dp->tracer, now_ns(dp), &worker)) {
		put_before(dp, worker);
		return NULL;
	}
	struct trace *trace = tracer_result(dp->tracer);
	deliver(dp, trace);
	return trace;
}

void dataplane_end_trace(struct dataplane *dp)
{
	dp->traces_now = false;
}
