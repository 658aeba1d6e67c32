#include "recording_dataplane.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void dataplane_publish(struct dataplane *dp, const struct forwarding_table *table)
{
	assert(dp->n_published < RECORDED_TABLES_MAX);
	dp->tables[dp->n_published++] = table;
}

const struct forwarding_table *dataplane_reclaim(struct dataplane *dp)
{
	if (dp->workers_hang || dp->n_reclaimed + 1 >= dp->n_published)
		return NULL;
	return dp->tables[dp->n_reclaimed++];
}

void dataplane_read_service(const struct dataplane *dp, service_id, struct traffic *ret_sum)
{
	*ret_sum = dp->traffic;
}

void dataplane_read_node(const struct dataplane *dp, node_id id, struct traffic *ret_sum)
{
	*ret_sum = dp->traffic;
	ret_sum->flows = dp->flows_of_node[id];
}

void dataplane_read_counters(const struct dataplane *dp, struct counters *ret_sum)
{
	*ret_sum = dp->counters;
}

int dataplane_read_worker(
	const struct dataplane *dp, size_t worker, struct counters *ret_counters, unsigned *ret_cpu)
{
	if (worker > 0)
		return -ENOENT;
	*ret_counters = dp->counters;
	*ret_cpu = 3;
	return 0;
}

int dataplane_read_port(struct dataplane *, size_t port, struct port_status *ret_status)
{
	if (port > 0)
		return -ENOENT;
	*ret_status = (struct port_status){
		.driver = "net_null", .twin = "gw0", .steering = STEERING_SOFTWARE};
	return 0;
}

const char *dataplane_flow_memory(const struct dataplane *)
{
	return "4 kB pages";
}

size_t dataplane_read_flows(const struct dataplane *dp, size_t worker, enum family family,
	uint64_t *cursor, struct flow_view *ret_flows, size_t n)
{
	size_t n_rounds = dp->n_rounds > 0 ? dp->n_rounds : 1;
	size_t i = 0;

	if (worker > 0 || family != IPV4)
		return 0;
	for (; i < n && *cursor < dp->n_flows * n_rounds; i++)
		ret_flows[i] = dp->flows[(*cursor)++ % dp->n_flows];
	if (*cursor == dp->n_flows * n_rounds)
		*cursor = 0;
	return i;
}

int dataplane_begin_capture(struct dataplane *dp, const struct capture_filter *filter)
{
	if (dp->captures)
		return -EBUSY;
	dp->captures = true;
	dp->capture_filter = *filter;
	return 0;
}

bool dataplane_take_captured(struct dataplane *dp, struct captured *ret_captured)
{
	if (dp->n_captured == 0)
		return false;
	dp->n_captured--;
	*ret_captured = (struct captured){.at_ns = 1700000000123456789,
		.len = 3000,
		.snap_len = 2,
		.point = CAPTURE_DROP,
		.drop = DROP_NO_SERVICE,
		.bytes = {0xab, 0x01}};
	return true;
}

uint64_t dataplane_end_capture(struct dataplane *dp)
{
	dp->captures = false;
	return 7;
}

void dataplane_explain(
	const struct dataplane *dp, const struct flow_key *key, struct explanation *ret_explanation)
{
	((struct dataplane *)dp)->explained = *key;
	*ret_explanation = dp->explanation;
}

int dataplane_begin_trace(struct dataplane *dp, const struct trace_request *request)
{
	if (dp->traces)
		return -EBUSY;
	dp->traces = true;
	dp->traced_request = *request;
	memcpy(dp->traced, request->frame, request->len);
	return 0;
}

const struct trace *dataplane_take_trace(struct dataplane *dp)
{
	if (dp->trace_delay == 0)
		return &dp->trace;
	dp->trace_delay--;
	return NULL;
}

void dataplane_end_trace(struct dataplane *dp)
{
	dp->traces = false;
}
