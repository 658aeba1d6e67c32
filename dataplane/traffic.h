#pragma once

#include "burst.h"
#include "pipeline.h"

// The counters of a service and of a node, of packets either way.

static inline void traffic_count_in(
	const struct burst *b, service_id service_id, node_id node_id, uint16_t bytes)
{
	struct traffic_counters *service = &b->pipeline->counters->services[service_id];
	struct traffic_counters *node = &b->pipeline->counters->nodes[node_id];

	counter_add(&service->packets_in, 1);
	counter_add(&service->bytes_in, bytes);
	counter_add(&node->packets_in, 1);
	counter_add(&node->bytes_in, bytes);
}

static inline void traffic_count_out(
	const struct burst *b, service_id service_id, node_id node_id, uint16_t bytes)
{
	struct traffic_counters *service = &b->pipeline->counters->services[service_id];
	struct traffic_counters *node = &b->pipeline->counters->nodes[node_id];

	counter_add(&service->packets_out, 1);
	counter_add(&service->bytes_out, bytes);
	counter_add(&node->packets_out, 1);
	counter_add(&node->bytes_out, bytes);
}
