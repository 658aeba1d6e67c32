#pragma once

#include "burst.h"
#include "pipeline.h"

// The counters of a service and of a node, of packets either way.

static inline void traffic_count(struct traffic_counter *counter, uint16_t bytes)
{
	counter_add(&counter->packets, 1);
	counter_add(&counter->bytes, bytes);
}

static inline void traffic_count_in(
	const struct burst *b, service_id service, node_id node, uint16_t bytes)
{
	const struct worker_counters *counters = b->pipeline->counters;

	traffic_count(&counters->services.in[service], bytes);
	traffic_count(&counters->nodes.in[node], bytes);
}

static inline void traffic_count_out(
	const struct burst *b, service_id service, node_id node, uint16_t bytes)
{
	const struct worker_counters *counters = b->pipeline->counters;

	traffic_count(&counters->services.out[service], bytes);
	traffic_count(&counters->nodes.out[node], bytes);
}
