#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/little_table.h"
#include "lab.h"

// The whole dataplane, workers, twins and all, mostly on a TAP of DPDK's whose other end is in our
// hands.

#define TAP "net_tap0,iface=t0"
#define CLIENT "198.51.100.7"
#define VIP "10.0.0.1"
#define NODE "192.0.2.10"
#define SNAT "192.0.2.1"

enum { HOP_GATEWAY, HOP_NODE, CLIENTS = 64, TABLES = 300, FIRST_PORT = 20000 };

static const struct rte_ether_addr gateway_mac = {{0x02, 0, 0, 0, 1, 0}};
static const struct rte_ether_addr node_mac = {{0x02, 0, 0, 0, 1, 1}};

struct site {
	struct dataplane *dp;
	struct wire wire; // To the port,
	struct wire twin; // and to the kernel.
	struct rte_ether_addr mac;
};

static struct site site_start(const struct dataplane_config *config, const char *far_end)
{
	struct site site = {.dp = lab_start(config)};
	struct port_status status;

	require(dataplane_read_port(site.dp, 0, &status) == 0);
	memcpy(&site.mac, status.mac, sizeof(status.mac));
	shell("ip link set %s up", far_end);
	site.wire = wire_open(far_end);
	site.twin = wire_open("gw0");
	dataplane_follow_links(site.dp);
	return site;
}

static struct little_table *make_table(void)
{
	struct little_table *t = little_table_create();
	node_id node = little_table_add_node(t, NODE, NULL, HOP_NODE);

	little_table_add_service(t, VIP, 80, IPPROTO_TCP, 30080, &node, 1);
	little_table_add_vip(t, VIP, true);
	little_table_add_snat(t, SNAT);
	little_table_add_route(t, "0.0.0.0/0", HOP_GATEWAY);
	little_table_add_route(t, NODE "/32", HOP_NODE);
	little_table_finish(t);
	return t;
}

static void set_hop(struct dataplane *dp, next_hop_id id, const struct rte_ether_addr *mac)
{
	struct next_hop hop = {.port = 0, .resolved = true};

	memcpy(hop.mac, mac, sizeof(hop.mac));
	dataplane_set_next_hop(dp, id, &hop);
}

static void publish(struct site *site, struct little_table *t)
{
	set_hop(site->dp, HOP_GATEWAY, &gateway_mac);
	set_hop(site->dp, HOP_NODE, &node_mac);
	dataplane_publish(site->dp, &t->table);
}

static uint64_t event(const struct site *site, enum event event)
{
	struct counters counters;

	dataplane_read_counters(site->dp, &counters);
	return counters.events[event];
}

static uint64_t drops(const struct site *site, enum drop_reason reason)
{
	struct counters counters;

	dataplane_read_counters(site->dp, &counters);
	return counters.drops[reason];
}

// From the client, a SYN or what follows it.
static void send_as_client(const struct site *site, uint16_t client_port, uint8_t flags)
{
	uint8_t bytes[FRAME_BYTES_MAX];
	const struct frame frame = FRAME(IP(CLIENT, VIP), TCP(client_port, 80, flags));

	wire_send(&site->wire, bytes, frame_write(&frame, &gateway_mac, &site->mac, 0, 0, bytes));
}

// Takes what reaches the node, which must be that packet rewritten. Returns the SNAT port.
static uint16_t receive_as_node(const struct site *site, uint8_t flags)
{
	static uint8_t got[FRAME_BYTES_MAX], want[FRAME_BYTES_MAX];
	size_t got_len = wire_receive(&site->wire, got, 1000);

	require(got_len > 0);
	uint16_t snat_port = (uint16_t)(got[34] << 8 | got[35]);
	const struct frame frame =
		FRAME(IP(SNAT, NODE, .hop_limit = 63), TCP(snat_port, 30080, flags));
	size_t want_len = frame_write(&frame, &site->mac, &node_mac, 0, 0, want);

	require(got_len == want_len && memcmp(got, want, want_len) == 0);
	return snat_port;
}

static void send_as_node(const struct site *site, uint16_t snat_port)
{
	uint8_t bytes[FRAME_BYTES_MAX];
	const struct frame frame = FRAME(IP(NODE, SNAT), TCP(30080, snat_port, SYN | ACK));

	wire_send(&site->wire, bytes, frame_write(&frame, &node_mac, &site->mac, 0, 0, bytes));
}

static void receive_as_client(const struct site *site, uint16_t client_port)
{
	static uint8_t got[FRAME_BYTES_MAX], want[FRAME_BYTES_MAX];
	const struct frame frame =
		FRAME(IP(VIP, CLIENT, .hop_limit = 63), TCP(80, client_port, SYN | ACK));
	size_t got_len = wire_receive(&site->wire, got, 1000);
	size_t want_len = frame_write(&frame, &site->mac, &gateway_mac, 0, 0, want);

	require(got_len == want_len && memcmp(got, want, want_len) == 0);
}

// Returns the SNAT port.
static uint16_t connect_client(const struct site *site, uint16_t client_port)
{
	send_as_client(site, client_port, SYN);
	uint16_t snat_port = receive_as_node(site, SYN);

	send_as_node(site, snat_port);
	receive_as_client(site, client_port);
	return snat_port;
}

static void carry_strangers(void)
{
	struct dataplane_config config = lab_config(TAP, 1);
	struct site site = site_start(&config, "t0");
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	require(wire_carries(&site.wire, &site.twin, site.mac.addr_bytes, 60));
	require(wire_carries(&site.wire, &site.twin, broadcast, 1514));
	require(wire_carries(&site.twin, &site.wire, gateway_mac.addr_bytes, 60));
	require(wire_carries(&site.twin, &site.wire, gateway_mac.addr_bytes, 1514));
	dataplane_stop(site.dp);
}

static void what_is_for_nobody_here_passes_between_port_and_twin(void **)
{
	try_out(carry_strangers);
}

static size_t count_flows(struct dataplane *dp, size_t n_workers)
{
	struct flow_view flows[256];
	size_t n = 0;

	for (size_t worker = 0; worker < n_workers; worker++) {
		uint64_t cursor = 0;

		do
			n += dataplane_read_flows(dp, worker, IPV4, &cursor, flows, 256);
		while (cursor != 0);
	}
	return n;
}

static void check_explanation(const struct site *site, uint16_t client_port)
{
	const struct flow_key key = {
		.client = address_of(CLIENT),
		.vip = address_of(VIP),
		.client_port = htons(client_port),
		.port = htons(80),
		.protocol = IPPROTO_TCP,
	};
	struct explanation e;

	dataplane_explain(site->dp, &key, &e);
	require(e.drop == DROP_NONE && e.service == 0 && e.node == 0);
	require(e.flow_found && e.flow.client_port == key.client_port);
	require(e.next_hop == HOP_NODE && e.next_hop_resolved);
}

// What the dataplane foretells of the frame, within a second.
static const struct trace *foretell(const struct site *site, const uint8_t *frame, size_t len)
{
	const struct trace_request request = {.frame = frame, .len = len};
	const struct trace *trace = NULL;

	require(dataplane_begin_trace(site->dp, &request) == 0);
	require(dataplane_begin_trace(site->dp, &request) == -EBUSY);
	for (int i = 0; i < 1000 && trace == NULL; i++) {
		usleep(1000);
		trace = dataplane_take_trace(site->dp);
	}
	require(trace != NULL);
	dataplane_end_trace(site->dp);
	return trace;
}

// Of a packet of the client's, which then is sent. Returns how many workers it meets.
static size_t check_trace(const struct site *site, uint16_t client_port, uint8_t flags)
{
	static uint8_t bytes[FRAME_BYTES_MAX], got[FRAME_BYTES_MAX];
	const struct frame frame = FRAME(IP(CLIENT, VIP), TCP(client_port, 80, flags));
	size_t len = frame_write(&frame, &gateway_mac, &site->mac, 0, 0, bytes);
	uint64_t n_flows = event(site, EVENT_FLOWS_CREATED);

	const struct trace *trace = foretell(site, bytes, len);
	require(trace->drop == DROP_NONE && trace->n_frames == 1);
	require(trace->frames[0].way == TRACE_BY_PORT && trace->frames[0].port == 0);
	require(trace->visits[trace->n_visits - 1].flow_begun == (flags == SYN));
	require(event(site, EVENT_FLOWS_CREATED) == n_flows);

	wire_send(&site->wire, bytes, len);
	size_t got_len = wire_receive(&site->wire, got, 1000);
	require(got_len == trace->frames[0].len);
	require(memcmp(got, &trace->bytes[trace->frames[0].at], got_len) == 0);
	return trace->n_visits;
}

static void check_traces(const struct site *site)
{
	enum { N = 16 };
	size_t n_visits = 0;

	for (uint16_t i = 0; i < N; i++)
		n_visits += check_trace(site, FIRST_PORT + i, ACK) +
			check_trace(site, FIRST_PORT + CLIENTS + i, SYN);
	require(n_visits > 2 * N && n_visits <= 4 * N); // Each meets one or two.
}

// A trace that nobody waits for is no hindrance once its worker has come to it.
static void check_trace_given_up(const struct site *site)
{
	static const uint8_t frame[60];
	const struct trace_request request = {.frame = frame, .len = sizeof(frame)};
	const struct trace_request no_port = {.frame = frame, .len = sizeof(frame), .port = 1};
	const struct trace_request too_short = {.frame = frame, .len = TRACE_FRAME_MIN - 1};
	const struct trace_request too_long = {.frame = frame, .len = TRACE_FRAME_MAX + 1};

	require(dataplane_begin_trace(site->dp, &no_port) == -ENOENT);
	require(dataplane_begin_trace(site->dp, &too_short) == -EMSGSIZE);
	require(dataplane_begin_trace(site->dp, &too_long) == -EMSGSIZE);
	require(dataplane_begin_trace(site->dp, &request) == 0);
	dataplane_end_trace(site->dp);
	usleep(100000);
	require(foretell(site, frame, sizeof(frame))->drop == DROP_NOT_FOR_US);
}

static void check_explanation_of_reply(const struct site *site, uint16_t snat_port)
{
	struct flow_key key = {
		.client = address_of(NODE),
		.vip = address_of(SNAT),
		.client_port = htons(30080),
		.port = htons(snat_port),
		.protocol = IPPROTO_TCP,
	};
	struct explanation e;

	dataplane_explain(site->dp, &key, &e);
	require(e.drop == DROP_NONE && e.is_reply && e.service == 0 && e.node == 0);
	require(e.flow_found && ntohs(e.flow.client_port) == FIRST_PORT + CLIENTS - 1);
	require(e.next_hop == HOP_GATEWAY && e.next_hop_resolved);
	key.client_port = htons(30081);
	dataplane_explain(site->dp, &key, &e);
	require(e.drop == DROP_NO_FLOW && !e.is_reply);
}

static void share_flows(void)
{
	struct dataplane_config config = lab_config(TAP, 2);
	struct site site = site_start(&config, "t0");
	struct little_table *t = make_table();
	struct counters of_worker[2], all;
	struct traffic traffic;
	uint16_t snat_port = 0;
	unsigned cpu;

	publish(&site, t);
	for (uint16_t i = 0; i < CLIENTS; i++)
		snat_port = connect_client(&site, FIRST_PORT + i);

	for (size_t i = 0; i < 2; i++) {
		require(dataplane_read_worker(site.dp, i, &of_worker[i], &cpu) == 0);
		require(of_worker[i].flows[IPV4] > CLIENTS / 4);
		require(cpu == config.worker_cpus[i]);
	}
	dataplane_read_counters(site.dp, &all);
	require(all.flows[IPV4] == CLIENTS && all.flows_max[IPV4] == 4096);
	require(all.events[EVENT_HANDED_OVER] > 0 && all.drops[DROP_NO_FLOW] == 0);
	require(count_flows(site.dp, 2) == CLIENTS);
	dataplane_read_service(site.dp, 0, &traffic);
	require(traffic.flows == CLIENTS && traffic.packets_in == CLIENTS);
	dataplane_read_node(site.dp, 0, &traffic);
	require(traffic.flows == CLIENTS && traffic.packets_out == CLIENTS);
	check_explanation(&site, FIRST_PORT);
	check_explanation_of_reply(&site, snat_port);
	check_traces(&site);
	check_trace_given_up(&site);
	dataplane_stop(site.dp);
	free(t);
}

static void two_workers_on_one_cpu_share_flows_and_find_every_reply(void **)
{
	try_out(share_flows);
}

// AF_XDP has one queue on a veth, so the second worker receives by hand-over and sends by the
// first.
static void share_one_queue(void)
{
	struct dataplane_config config = lab_config("e0", 2);
	struct port_status status;
	config.ports[0].driver = DRIVER_AF_XDP;
	shell("ip link add e0 type veth peer name e1");
	struct site site = site_start(&config, "e1");
	struct little_table *t = make_table();

	require(dataplane_read_port(site.dp, 0, &status) == 0);
	require(status.tx_queues == 1 && strstr(status.note, "1 of 2 workers") != NULL);
	publish(&site, t);
	for (uint16_t i = 0; i < CLIENTS; i++)
		connect_client(&site, FIRST_PORT + i);
	require(count_flows(site.dp, 2) == CLIENTS);
	dataplane_stop(site.dp);
}

static void a_worker_without_a_queue_sends_by_one_that_has(void **)
{
	try_out(share_one_queue);
}

static void swap_tables(void)
{
	struct dataplane_config config = lab_config(TAP, 2);
	struct site site = site_start(&config, "t0");
	struct little_table *tables[TABLES];
	size_t n_reclaimed = 0;

	for (int i = 0; i < TABLES; i++) {
		const struct forwarding_table *old;

		tables[i] = make_table();
		tables[i]->table.generation = (uint64_t)i + 1;
		publish(&site, tables[i]);
		if (i % 10 == 0)
			connect_client(&site, (uint16_t)(FIRST_PORT + i));
		while ((old = dataplane_reclaim(site.dp)) != NULL) {
			require(old == &tables[n_reclaimed]->table);
			memset(tables[n_reclaimed], 0xdb, sizeof(*tables[0]));
			n_reclaimed++;
		}
	}
	for (int i = 0; i < 1000 && n_reclaimed < TABLES - 1; i++, usleep(1000))
		n_reclaimed += dataplane_reclaim(site.dp) != NULL;
	require(n_reclaimed == TABLES - 1);
	require(dataplane_reclaim(site.dp) == NULL);
	require(count_flows(site.dp, 2) == TABLES / 10);
	dataplane_stop(site.dp);
}

static void tables_swapped_under_traffic_come_back_in_order_when_nobody_reads_them(void **)
{
	try_out(swap_tables);
}

static void wait_for_node(void)
{
	struct dataplane_config config = lab_config(TAP, 1);
	struct site site = site_start(&config, "t0");
	struct little_table *t = make_table();
	uint8_t bytes[FRAME_BYTES_MAX];
	struct address asked[8], node = address_of(NODE);

	publish(&site, t);
	dataplane_set_next_hop(site.dp, HOP_NODE, &(struct next_hop){.resolved = false});
	send_as_client(&site, FIRST_PORT, SYN);

	struct pollfd event_fd = {.fd = dataplane_event_fd(site.dp), .events = POLLIN};
	require(poll(&event_fd, 1, 1000) == 1);
	require(dataplane_take_unresolved(site.dp, asked, 8) == 1);
	require(address_equal(&asked[0], &node));
	require(poll(&event_fd, 1, 0) == 0);
	require(wire_receive(&site.wire, bytes, 20) == 0);

	set_hop(site.dp, HOP_NODE, &node_mac);
	receive_as_node(&site, SYN);
	require(event(&site, EVENT_WAITED) == 1);
	require(drops(&site, DROP_UNRESOLVED) == 0);
	dataplane_stop(site.dp);
	free(t);
}

static void a_packet_waits_while_its_next_hop_is_asked_for(void **)
{
	try_out(wait_for_node);
}

// As when the control thread had too much to ask for, or the kernel gave up.
static void lose_what_was_asked(void)
{
	struct dataplane_config config = lab_config(TAP, 1);
	struct site site = site_start(&config, "t0");
	struct pollfd event_fd = {.fd = dataplane_event_fd(site.dp), .events = POLLIN};
	struct little_table *t = make_table();
	struct address asked[8], node = address_of(NODE);
	uint16_t port = FIRST_PORT;

	publish(&site, t);
	dataplane_set_next_hop(site.dp, HOP_NODE, &(struct next_hop){.resolved = false});
	int64_t begun_ms = now_ms();
	send_as_client(&site, port, SYN);
	require(poll(&event_fd, 1, 1000) == 1);
	require(dataplane_take_unresolved(site.dp, asked, 8) == 1);

	// After a second, however slow the machine is, and not with every packet.
	while (poll(&event_fd, 1, 100) == 0 && now_ms() < begun_ms + 10000)
		send_as_client(&site, ++port, SYN);
	require(now_ms() >= begun_ms + 900 && now_ms() < begun_ms + 10000);
	require(dataplane_take_unresolved(site.dp, asked, 8) == 1);
	require(address_equal(&asked[0], &node));
	dataplane_stop(site.dp);
	free(t);
}

static void what_packets_still_wait_for_is_asked_for_again(void **)
{
	try_out(lose_what_was_asked);
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void sleep_when_idle(void)
{
	struct dataplane_config config = lab_config(TAP, 1);
	config.idle_sleeps = true;
	struct site site = site_start(&config, "t0");
	struct little_table *t = make_table(), *next = make_table();

	publish(&site, t);
	usleep(20000);
	double before = cpu_seconds();
	usleep(200000);
	require(cpu_seconds() - before < 0.15); // Of one that polls it is 0.2.

	// Who sleeps holds up neither packets nor tables.
	connect_client(&site, FIRST_PORT);
	publish(&site, next);
	usleep(5000);
	require(dataplane_reclaim(site.dp) == &t->table);
	dataplane_stop(site.dp);
}

static void an_idle_worker_sleeps_if_it_may_and_wakes_for_packets(void **)
{
	try_out(sleep_when_idle);
}

static void drop_to_twin_that_is_down(void)
{
	struct dataplane_config config = lab_config(TAP, 1);
	struct site site = site_start(&config, "t0");

	shell("ip link set gw0 down");
	require(!wire_carries(&site.wire, &site.wire, site.mac.addr_bytes, 60));
	require(event(&site, EVENT_TO_KERNEL) > 0);
	require(drops(&site, DROP_KERNEL_DOWN) > 0);
	dataplane_stop(site.dp);
}

static void what_a_twin_that_is_down_refuses_is_counted(void **)
{
	try_out(drop_to_twin_that_is_down);
}

static void take_two_ports(void)
{
	struct dataplane_config config = lab_config(TAP, 2);
	config.n_ports = 2;
	config.ports[1] = config.ports[0];
	strcpy(config.ports[1].device, "net_tap1,iface=t1");
	strcpy(config.ports[1].twin, "gw1");
	struct site site = site_start(&config, "t0");
	struct port_status status;

	shell("ip link set t1 up");
	struct wire wire = wire_open("t1"), twin = wire_open("gw1");
	require(dataplane_read_port(site.dp, 1, &status) == 0);
	require(dataplane_read_port(site.dp, 2, &status) == -ENOENT);
	require(strcmp(status.twin, "gw1") == 0 && status.rx_queues == 2);

	require(wire_carries(&wire, &twin, status.mac, 60));
	require(wire_carries(&twin, &wire, gateway_mac.addr_bytes, 60));
	require(wire_carries(&site.wire, &site.twin, site.mac.addr_bytes, 60));
	dataplane_stop(site.dp);
}

static void each_port_has_a_twin_of_its_own(void **)
{
	try_out(take_two_ports);
}

static bool was_dropped_for_the_port(void *site)
{
	return drops(site, DROP_PORT_DOWN) == 1;
}

// A memif has a link while its peer is there.
static void send_by_a_port_without_a_link(void)
{
	struct dataplane_config config = lab_config(TAP, 1);
	config.n_ports = 2;
	config.ports[1] = config.ports[0];
	snprintf(config.ports[1].device, sizeof(config.ports[1].device),
		"net_memif0,role=server,socket=/run/memif-%d,socket-abstract=no", (int)getpid());
	strcpy(config.ports[1].twin, "gw1");
	struct site site = site_start(&config, "t0");
	struct next_hop hop = {.port = 1, .resolved = true};

	struct little_table *t = make_table();
	publish(&site, t);
	dataplane_set_next_hop(site.dp, HOP_NODE, &hop);
	send_as_client(&site, FIRST_PORT, SYN);
	require(holds_within(2000, was_dropped_for_the_port, &site));
	dataplane_stop(site.dp);
	free(t);
}

static void what_a_port_without_a_link_cannot_send_is_counted(void **)
{
	try_out(send_by_a_port_without_a_link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_for_nobody_here_passes_between_port_and_twin),
		cmocka_unit_test(two_workers_on_one_cpu_share_flows_and_find_every_reply),
		cmocka_unit_test(a_worker_without_a_queue_sends_by_one_that_has),
		cmocka_unit_test(
			tables_swapped_under_traffic_come_back_in_order_when_nobody_reads_them),
		cmocka_unit_test(a_packet_waits_while_its_next_hop_is_asked_for),
		cmocka_unit_test(what_packets_still_wait_for_is_asked_for_again),
		cmocka_unit_test(an_idle_worker_sleeps_if_it_may_and_wakes_for_packets),
		cmocka_unit_test(what_a_twin_that_is_down_refuses_is_counted),
		cmocka_unit_test(each_port_has_a_twin_of_its_own),
		cmocka_unit_test(what_a_port_without_a_link_cannot_send_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
