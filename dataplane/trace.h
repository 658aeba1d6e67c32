#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/trace.h"
#include "pipeline.h"

// Lets one packet through the real pipeline on paper: what a worker has is copied or laid over, so
// that the packet meets all of it, and changes none.
struct tracer;

enum { TRACE_BUFFERS = 511 };

// Of workers whose counters have room for so many services and nodes. Returns NULL when out of
// memory.
struct tracer *tracer_create(size_t services_max, size_t nodes_max);

// Accepts NULL.
void tracer_destroy(struct tracer *t);

// Begins with a frame; worker 'worker' is to be visited next. Returns false when out of buffers.
bool tracer_begin(struct tracer *t, const struct trace_request *request, unsigned worker,
	const uint64_t hash_key[2], uint64_t now_ns);

// By the worker that is to be visited, 'live' being its own pipeline, between two bursts; or by
// whoever knows that it rests.
void tracer_visit(struct tracer *t, const struct pipeline *live,
	const struct forwarding_table *table, uint64_t now_ns);

// After a visit: whether the packet goes on to another worker, and to which. If so all is ready for
// that visit.
bool tracer_goes_on(struct tracer *t, uint64_t now_ns, unsigned *ret_worker);

// What is known when it goes on no more; the tracer's until the next tracer_begin().
struct trace *tracer_result(struct tracer *t);
