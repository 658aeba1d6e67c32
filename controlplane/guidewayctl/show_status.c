#include <stdio.h>

#include "show.h"
#include "table.h"

static void show_ports(const json_t *ports)
{
	static const char *const headers[] = {"PORT", "DRIVER", "TWIN", "LINK", "MAC", ">MTU",
		">QUEUES", "STEERING", ">RX MISSED", ">TX ERRORS", NULL};
	struct table table;
	size_t i;
	json_t *port;

	table_begin(&table, headers);
	json_array_foreach(ports, i, port)
	{
		table_cell(&table, "%s", text_of(port, "device"));
		table_cell(&table, "%s", text_of(port, "driver"));
		table_cell(&table, "%s", text_of(port, "twin"));
		table_cell(&table, "%s", is_true(port, "link_up") ? "up" : "down");
		table_cell(&table, "%s", text_of(port, "mac"));
		table_cell(&table, "%lld", number_of(port, "mtu"));
		table_cell(&table, "%lld", number_of(port, "rx_queues"));
		table_cell(&table, "%s", text_of(port, "steering"));
		table_cell(&table, "%lld", number_of(port, "rx_missed"));
		table_cell(&table, "%lld", number_of(port, "tx_errors"));
	}
	printf("\n");
	table_print(&table);
	json_array_foreach(ports, i, port)
	{
		if (text_of(port, "note")[0] != '\0')
			printf("%s: %s\n", text_of(port, "device"), text_of(port, "note"));
	}
}

static void show_workers(const json_t *workers)
{
	static const char *const headers[] = {
		"WORKER", ">CPU", ">BUSY", ">PACKETS/S", ">BYTES/S", NULL};
	struct table table;
	char text[UNITS_TEXT_MAX];
	size_t i;
	json_t *w;

	table_begin(&table, headers);
	json_array_foreach(workers, i, w)
	{
		table_cell(&table, "%lld", number_of(w, "worker"));
		table_cell(&table, "%lld", number_of(w, "cpu"));
		table_cell(&table, "%.1f %%", 100 * real_of(w, "busy"));
		table_cell(&table, "%s", with_units(real_of(w, "rx_packets_per_s"), "", text));
		table_cell(&table, "%s", with_units(real_of(w, "rx_bytes_per_s"), "B", text));
	}
	printf("\n");
	table_print(&table);
}

static void show_head(const json_t *answer)
{
	const json_t *table = json_object_get(answer, "table");
	const json_t *flows = json_object_get(answer, "flows");
	char text[UNITS_TEXT_MAX];

	printf("guideway %s, instance %s, process %lld, up %s: %s\n", text_of(answer, "version"),
		text_of(answer, "instance"), number_of(answer, "pid"),
		as_duration(number_of(answer, "uptime_s"), text),
		is_true(answer, "ready") ? "serving" : "waiting for first verdicts of its checks");
	printf("%lld services (%lld of them without a usable node), %lld nodes\n",
		number_of(answer, "services"), number_of(table, "services_unserved"),
		number_of(answer, "nodes"));
	printf("table %lld in force, built in %lld us (longest %lld us)\n",
		number_of(table, "generation"), number_of(table, "build_us"),
		number_of(table, "build_longest_us"));
	if (json_is_string(json_object_get(table, "failing")))
		printf("NOT IN FORCE: the newest state cannot be built: %s\n",
			text_of(table, "failing"));
	if (number_of(table, "rings_scaled") > 0)
		printf("RINGS TOO SMALL: %lld of them for the weights of their nodes, %lld nodes "
		       "without new flows for that: raise ring_size\n",
			number_of(table, "rings_scaled"), number_of(table, "targets_left_out"));
	printf("flows: %lld of %lld IPv4, %lld of %lld IPv6, on %s\n", number_of(flows, "ipv4"),
		number_of(flows, "ipv4_max"), number_of(flows, "ipv6"),
		number_of(flows, "ipv6_max"), text_of(flows, "memory"));
}

static void show_insides(const json_t *answer)
{
	const json_t *health = json_object_get(answer, "health");
	const json_t *learning = json_object_get(health, "learning");
	const json_t *kernel = json_object_get(answer, "kernel");
	const json_t *loop = json_object_get(answer, "loop");

	printf("\nhealth: %lld probes, %lld under way, %lld checks done, %lld of them repeated\n",
		number_of(health, "probes"), number_of(health, "under_way"),
		number_of(health, "checks"), number_of(health, "repeated"));
	if (number_of(learning, "vips") > 0)
		printf("learning: %lld VIPs, %lld nodes do not know theirs yet\n",
			number_of(learning, "vips"), number_of(learning, "silent"));
	if (number_of(health, "waiting") > 0)
		printf("CHECKS WAIT: %lld are due, and checks_per_second lets no more begin\n",
			number_of(health, "waiting"));
	if (number_of(health, "silent_node_ports") > 0)
		printf("SILENT NODEPORTS: of %lld nodes whose kube-proxy is well, but is the "
		       "network of their pods?\n",
			number_of(health, "silent_node_ports"));
	printf("kernel: %lld routes, %lld neighbours, %lld next hops\n",
		number_of(kernel, "routes"), number_of(kernel, "neighbours"),
		number_of(kernel, "next_hops"));
	printf("control loop: longest step %.1f ms (%s), %lld over 10 ms\n",
		(double)number_of(loop, "longest_us") / 1000, text_of(loop, "longest"),
		number_of(loop, "slow_steps"));
}

void show_status(const json_t *answer)
{
	show_head(answer);
	show_ports(json_object_get(answer, "ports"));
	show_workers(json_object_get(answer, "workers"));
	show_insides(answer);
}
