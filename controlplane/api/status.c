#include <stdio.h>
#include <unistd.h>

#include "api/api.h"
#include "guideway/flow.h"

static const char *const steering_words[] = {
	[STEERING_AUTO] = "auto",
	[STEERING_RSS] = "rss",
	[STEERING_SOFTWARE] = "software",
};

static json_t *port_of(const struct port_config *config, const struct port_status *port)
{
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", port->mac[0], port->mac[1],
		port->mac[2], port->mac[3], port->mac[4], port->mac[5]);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:b, s:i, s:I, s:I}",
		"device", config->device, "driver", port->driver, "note", port->note, "twin",
		port->twin, "mac", mac, "mtu", port->mtu, "rx_queues", port->rx_queues, "tx_queues",
		port->tx_queues, "steering", steering_words[port->steering], "link_up",
		port->link_up, "numa_node", port->numa_node, "rx_missed",
		(json_int_t)port->rx_missed, "tx_errors", (json_int_t)port->tx_errors);
}

static json_t *ports_of(const struct control_sources *from)
{
	json_t *ports = json_array();
	struct port_status port;

	for (size_t i = 0; dataplane_read_port(from->dp, i, &port) == 0; i++)
		json_array_append_new(ports, port_of(&from->config->dataplane.ports[i], &port));
	return ports;
}

static json_t *workers_of(const struct control_sources *from)
{
	json_t *workers = json_array();

	for (size_t i = 0; i < from->load->n_workers; i++) {
		const struct worker_load *w = &from->load->workers[i];

		json_array_append_new(workers,
			json_pack("{s:i, s:i, s:f, s:f, s:f}", "worker", (int)i, "cpu", (int)w->cpu,
				"busy", w->busy, "rx_packets_per_s", w->rx_packets_per_s,
				"rx_bytes_per_s", w->rx_bytes_per_s));
	}
	return workers;
}

static json_t *table_of(const struct reconcile_status *s)
{
	return json_pack("{s:I, s:I, s:I, s:i, s:I, s:I, s:s?, s:I, s:I, s:I}", "generation",
		(json_int_t)s->generation, "oldest", (json_int_t)s->oldest, "published",
		(json_int_t)s->n_published, "waiting", (int)s->n_waiting, "build_us",
		(json_int_t)(s->build_ns / 1000), "build_longest_us",
		(json_int_t)(s->build_longest_ns / 1000), "failing", s->failing ? s->why : NULL,
		"rings_scaled", (json_int_t)s->report.n_rings_scaled, "targets_left_out",
		(json_int_t)s->report.n_targets_left_out, "services_unserved",
		(json_int_t)s->report.n_services_unserved);
}

static json_t *flows_of(const struct control_sources *from)
{
	struct counters sum;

	dataplane_read_counters(from->dp, &sum);
	return json_pack("{s:I, s:I, s:I, s:I, s:s}", "ipv4", (json_int_t)sum.flows[IPV4],
		"ipv4_max", (json_int_t)sum.flows_max[IPV4], "ipv6", (json_int_t)sum.flows[IPV6],
		"ipv6_max", (json_int_t)sum.flows_max[IPV6], "memory",
		dataplane_flow_memory(from->dp));
}

// Who is asked whether they know a VIP.
static json_t *learning_of(const struct control_sources *from)
{
	struct vip_prober_status s;

	vip_prober_read_status(reconcile_prober(from->reconcile), &s);
	return json_pack("{s:I, s:I, s:I, s:I}", "vips", (json_int_t)s.n_probes, "silent",
		(json_int_t)s.n_silent, "asked", (json_int_t)s.n_asked, "answered",
		(json_int_t)s.n_answered);
}

static json_t *health_of(const struct control_sources *from)
{
	struct health_status s;

	health_read_status(reconcile_health(from->reconcile), &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "probes", (json_int_t)s.n_probes,
		"waiting", (json_int_t)s.n_waiting, "under_way", (json_int_t)s.n_under_way,
		"checks", (json_int_t)s.n_checks, "repeated", (json_int_t)s.n_repeated,
		"silent_node_ports", (json_int_t)plan_count_silent(reconcile_plan(from->reconcile)),
		"learning", learning_of(from));
}

static json_t *kernel_of(const struct control_sources *from)
{
	struct kernel_status s = {0};

	if (from->kernel != NULL)
		kernel_read_status(from->kernel, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "routes", (json_int_t)s.n_routes,
		"neighbours", (json_int_t)s.n_neighbours, "next_hops", (json_int_t)s.n_next_hops,
		"dumps", (json_int_t)s.n_dumps, "lost", (json_int_t)s.n_lost, "resolve_refused",
		(json_int_t)s.n_resolve_refused, "next_hops_full", s.next_hops_full);
}

static json_t *loop_of(const struct control_sources *from)
{
	struct loop_status s;

	loop_read_status(from->loop, &s);
	return json_pack("{s:I, s:I, s:I, s:s?}", "steps", (json_int_t)s.steps, "slow_steps",
		(json_int_t)s.slow_steps, "longest_us", (json_int_t)(s.longest.took_ns / 1000),
		"longest", s.longest.name);
}

static void begin(struct api_call *call)
{
	const struct control_sources *from = call->from;
	const struct plan *plan = reconcile_plan(from->reconcile);
	struct reconcile_status s;

	reconcile_read_status(from->reconcile, &s);
	api_reply(call,
		json_pack("{s:s, s:s, s:i, s:I, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			"version", GUIDEWAY_VERSION, "instance", from->config->dataplane.instance,
			"pid", (int)getpid(), "uptime_s",
			(json_int_t)((loop_clock_ns() - from->started_ns) / 1000000000), "ready",
			s.ready, "services", (json_int_t)plan->config->n_services, "nodes",
			(json_int_t)plan->config->n_nodes, "table", table_of(&s), "ports",
			ports_of(from), "workers", workers_of(from), "flows", flows_of(from),
			"health", health_of(from), "kernel", kernel_of(from), "loop",
			loop_of(from)));
}

const struct api_route status_route = {
	.method = "GET",
	.path = "/v1/status",
	.arguments = (const char *const[]){NULL},
	.begin = begin,
};
