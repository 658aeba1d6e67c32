#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "config.h"
#include "config_language.h"
#include "log.h"

// What every good file has, in three lines; what a test adds begins in line 4.
#define BASE                                    \
	"ports = ( { device = \"eth1\"; } );\n" \
	"workers = { cpus = [ 1 ]; };\n"        \
	"snat = [ \"192.0.2.10\", \"2001:db8::10\" ];\n"
#define NODES                                                    \
	"nodes = ( { name = \"n1\"; address = \"10.0.0.11\"; }," \
	" { name = \"n2\"; address = [ \"10.0.0.12\", \"fd00::12\" ]; } );\n"
#define SERVICE(more) "services = ( { name = \"web\"; node_port = 30080; " more " } );\n"
#define WEB "vip = \"192.0.2.80\"; port = 80; "

static struct text_lines mistakes;

static int end(void **)
{
	text_lines_clear(&mistakes);
	return 0;
}

static struct config *parse(const char *text)
{
	struct config *config;
	int r = config_parse_text(text, strlen(text), "a.conf", &config, &mistakes);

	if (r < 0)
		fail_msg("%s", mistakes.n > 0 ? mistakes.lines[0] : "no mistake");
	assert_int_equal(mistakes.n, 0);
	return config;
}

static void what_is_left_out_has_its_default(void **)
{
	struct config *config = parse(BASE);
	const struct port_config *port = &config->dataplane.ports[0];

	assert_int_equal(config->dataplane.n_ports, 1);
	assert_string_equal(port->device, "eth1");
	assert_string_equal(port->twin, "gw0");
	assert_int_equal(port->mtu, 1500);
	assert_int_equal(port->driver, DRIVER_AUTO);
	assert_int_equal(config->dataplane.worker_cpus[0], 1);
	assert_int_equal(config->dataplane.flows_max[IPV4], 1 << 20);
	assert_int_equal(config->dataplane.flows_max[IPV6], 1 << 18);
	assert_true(config->dataplane.hugepages);
	assert_false(config->dataplane.idle_sleeps);
	assert_false(config->has_hash_key);
	assert_int_equal(config->n_snat[IPV4], 1);
	assert_int_equal(config->n_snat[IPV6], 1);
	assert_int_equal(config->ring_size, 65537);
	assert_int_equal(config->settings.snat_rest_s, 60);
	assert_true(config->settings.reset_unknown_tcp);
	assert_true(config->settings.reset_dead_target);
	assert_int_equal(config->drain_s, 300);
	assert_int_equal(config->log_level, LEVEL_INFO);
	assert_string_equal(config->dataplane.instance, "guideway");
	assert_string_equal(config->control_socket, "/run/guideway/guideway.sock");
	assert_string_equal(config->state, "/var/lib/guideway/guideway");
	config_free(config);
}

static void everything_can_be_said(void **)
{
	struct config *config = parse(
		"instance = \"edge-1\"; log = \"debug\"; state = \"/tmp/state\";\n"
		"ports = ( { device = \"net_tap0,iface=t0\"; twin = \"lan0\"; driver = "
		"\"af_packet\"; steering = \"software\"; mtu = 9000; vlan = 12; rx_descriptors = "
		"512; tx_descriptors = 256; adopt = true; }, { device = \"eth2\"; } );\n"
		"workers = { cpus = [ 2, 3, 3 ]; idle = \"sleep\"; };\n"
		"flows = { ipv4 = 4096; ipv6 = 128; };\n"
		"memory = { services = 10; nodes = 5; packet_buffers = 8192; hugepages = false; "
		"};\n"
		"snat = \"192.0.2.10\"; ring_size = 251;\n"
		"hash_key = \"00112233445566778899aAbBcCdDeEfF\";\n"
		"timeouts = { tcp = 1; tcp_half_open = 2; tcp_closing = 3; udp = 4; udp_one_way = "
		"5; snat_rest = 6; drain = 0; };\n"
		"answers = { unknown_tcp = \"drop\"; dead_node = \"restart\"; per_second = 7; "
		"echoes_per_second = 8; };\n"
		"control = { socket = \"/tmp/gw.sock\"; group = \"adm\"; };\n");
	const struct port_config *port = &config->dataplane.ports[0];

	assert_string_equal(config->dataplane.instance, "edge-1");
	assert_int_equal(config->log_level, LEVEL_DEBUG);
	assert_string_equal(config->state, "/tmp/state");
	assert_string_equal(port->device, "net_tap0,iface=t0");
	assert_string_equal(port->twin, "lan0");
	assert_int_equal(port->driver, DRIVER_AF_PACKET);
	assert_int_equal(port->steering, STEERING_SOFTWARE);
	assert_int_equal(port->mtu, 9000);
	assert_int_equal(port->vlan, 12);
	assert_int_equal(port->rx_descriptors, 512);
	assert_int_equal(port->tx_descriptors, 256);
	assert_true(config->adopt[0]);
	assert_false(config->adopt[1]);
	assert_string_equal(config->dataplane.ports[1].twin, "gw1");
	assert_int_equal(config->dataplane.n_workers, 3);
	assert_int_equal(config->dataplane.worker_cpus[2], 3);
	assert_true(config->dataplane.idle_sleeps);
	assert_int_equal(config->dataplane.flows_max[IPV6], 128);
	assert_int_equal(config->services_max, 10);
	assert_int_equal(config->nodes_max, 5);
	assert_int_equal(config->dataplane.services_max, 20); // Half of them may be gone,
	assert_int_equal(config->dataplane.nodes_max, 20);    // of two addresses each.
	assert_int_equal(config->dataplane.packet_buffers, 8192);
	assert_false(config->dataplane.hugepages);
	assert_true(config->has_hash_key);
	assert_int_equal(config->dataplane.hash_key[0], 0x0011223344556677);
	assert_int_equal(config->dataplane.hash_key[1], 0x8899aabbccddeeff);
	assert_int_equal(config->settings.tcp_half_open_s, 2);
	assert_int_equal(config->settings.tcp_closing_s, 3);
	assert_int_equal(config->settings.udp_one_way_s, 5);
	assert_int_equal(config->settings.snat_rest_s, 6);
	assert_int_equal(config->drain_s, 0);
	assert_false(config->settings.reset_unknown_tcp);
	assert_false(config->settings.reset_dead_target);
	assert_int_equal(config->settings.answers_per_s, 7);
	assert_int_equal(config->settings.echoes_per_s, 8);
	assert_string_equal(config->control_socket, "/tmp/gw.sock");
	assert_string_equal(config->control_group, "adm");
	config_free(config);
}

static void a_service_has_its_mode(void **)
{
	struct config *config = parse(BASE NODES
		"mode = \"dsr\"; tunnel = { kind = \"gue\"; source = \"192.0.2.5\"; gue_port = 9; "
		"};\n"
		"services = ( { name = \"a\"; vip = \"192.0.2.80\"; port = 80; },\n"
		"{ name = \"b\"; vip = \"192.0.2.80\"; port = 81; node_port = 1; mode = \"snat\"; "
		"},\n"
		"{ name = \"c\"; vip = \"fd00::80\"; port = 80; mode = \"tunnel\"; mss = 1300; "
		"protocol = \"sctp\"; },\n"
		"{ name = \"d\"; vip = \"fd00::80\"; port = 81; mode = \"tunnel\"; "
		"tunnel = \"ip\"; } );\n");
	const struct service_config *s = config->services[0];

	assert_int_equal(config->settings.gue_port, htons(9));
	assert_int_equal(s[0].mode, MODE_DSR);
	assert_int_equal(s[0].check.kind, CHECK_NONE); // There is no port to ask.
	assert_int_equal(s[1].mode, MODE_SNAT);
	assert_int_equal(s[2].mode, MODE_TUNNEL);
	assert_int_equal(s[2].tunnel_kind, TUNNEL_GUE);
	assert_int_equal(s[2].target_family, IPV4); // Not all nodes have an IPv6 address.
	assert_int_equal(s[2].mss, 1300);
	assert_int_equal(s[2].protocol, IPPROTO_SCTP);
	assert_int_equal(s[3].tunnel_kind, TUNNEL_IP);
	config_free(config);
}

#define KUBERNETES(more) "kubernetes = { " more " };\n"
#define POOL(more) KUBERNETES("pools = ( { name = \"edge\"; " more " } );")

static void a_cluster_is_for_those_who_ask_for_it(void **)
{
	struct config *config = parse(BASE);
	const struct kubernetes_config *k = &config->kubernetes;

	assert_false(k->enabled);
	assert_string_equal(k->kubeconfig, "");
	assert_int_equal(k->n_servers, 0);
	assert_string_equal(k->class, "guideway.dev/lb");
	assert_false(k->classless);
	assert_int_equal(k->node_check, NODE_CHECK_KUBE_PROXY);
	assert_false(k->ignore_exclude_label);
	assert_int_equal(k->writes_per_s, 50);
	assert_int_equal(k->writes_at_once, 100);
	assert_int_equal(k->n_pools, 0);
	assert_true(k->instances.election);
	assert_string_equal(k->instances.space, "guideway");
	assert_int_equal(k->instances.lease_ms, 15000);
	assert_int_equal(k->instances.renew_ms, 10000);
	assert_int_equal(k->instances.retry_ms, 2000);
	config_free(config);
}

static void of_a_cluster_everything_can_be_said(void **)
{
	struct config *config = parse(BASE KUBERNETES(
		"enabled = true; kubeconfig = \"/etc/guideway/kubeconfig\"; servers = [ "
		"\"https://10.0.0.2:6443\", \"https://[fd00::2]:6443\" ]; class = "
		"\"example.com/edge\"; classless = true; node_check = \"node-port\"; "
		"ignore_exclude_label = true; pools = ( { name = \"a\"; addresses = [ "
		"\"198.51.100.0/30\", \"198.51.100.7-198.51.100.9\", \"2001:db8:80::/64\" ]; "
		"automatic = false; avoid_edges = true; namespaces = [ \"shop\", \"mail\" ]; "
		"namespace_labels = [ \"tier=front\" ]; service_labels = [ \"a.b/c=d\", "
		"\"e=\" ]; }, { name = \"b\"; addresses = [ \"198.51.100.6\" ]; } );"));
	const struct kubernetes_config *k = &config->kubernetes;
	const struct address_pool *a = &k->pools[0], *b = &k->pools[1];
	char text[RANGE_TEXT_MAX];

	assert_true(k->enabled);
	assert_string_equal(k->kubeconfig, "/etc/guideway/kubeconfig");
	assert_int_equal(k->n_servers, 2);
	assert_string_equal(k->servers[1], "https://[fd00::2]:6443");
	assert_string_equal(k->class, "example.com/edge");
	assert_true(k->classless);
	assert_int_equal(k->node_check, NODE_CHECK_NODE_PORT);
	assert_true(k->ignore_exclude_label);
	assert_int_equal(k->n_pools, 2);
	assert_string_equal(a->name, "a");
	assert_int_equal(a->n_ranges, 3);
	assert_string_equal(address_range_format(&a->ranges[0], text), "198.51.100.0/30");
	assert_string_equal(address_range_format(&a->ranges[1], text), "198.51.100.7-198.51.100.9");
	assert_string_equal(address_range_format(&a->ranges[2], text), "2001:db8:80::/64");
	assert_false(a->automatic);
	assert_true(a->avoid_edges);
	assert_int_equal(a->namespaces.n, 2);
	assert_string_equal(a->namespaces.texts[1], "mail");
	assert_string_equal(a->namespace_labels.texts[0], "tier=front");
	assert_int_equal(a->service_labels.n, 2);
	assert_string_equal(a->service_labels.texts[1], "e=");
	assert_true(b->automatic);
	assert_false(b->avoid_edges);
	assert_int_equal(b->namespaces.n, 0);
	assert_string_equal(address_range_format(&b->ranges[0], text), "198.51.100.6");
	config_free(config);
}

static void services_with_the_same_sources_share_a_list(void **)
{
	struct config *config = parse(BASE NODES
		"services = ( { name = \"a\"; " WEB "node_port = 1; "
		"sources = [ \"198.51.100.0/24\", \"2001:db8::/32\" ]; },\n"
		"{ name = \"b\"; vip = \"192.0.2.81\"; port = 80; node_port = 1; "
		"sources = [ \"2001:db8::/33\", \"2001:db8:8000::/33\", \"198.51.100.7/24\" ]; },\n"
		"{ name = \"c\"; vip = \"192.0.2.82\"; port = 80; node_port = 1; "
		"sources = [ \"10.0.0.0/8\" ]; },\n"
		"{ name = \"d\"; vip = \"192.0.2.83\"; port = 80; node_port = 1; "
		"sources = [ \"10.0.0.0/8\", \"::/0\" ]; },\n"
		"{ name = \"e\"; vip = \"192.0.2.84\"; port = 80; node_port = 1; } );\n");
	const struct service_config *s = config->services[0];

	assert_int_equal(config->n_source_lists, 2);
	assert_int_equal(s[0].sources, 1);
	assert_int_equal(s[1].sources, 1);
	assert_int_equal(s[2].sources, 2);
	assert_int_equal(s[3].sources, 0); // Everybody.
	assert_int_equal(s[4].sources, 0);
	config_free(config);
}

static void a_service_has_its_nodes_and_its_times(void **)
{
	struct config *config = parse(BASE NODES
		"timeouts = { tcp = 100; udp = 50; };\n"
		"services = ( { name = \"all\"; vip = \"192.0.2.80\"; port = 80; node_port = "
		"30080; },"
		" { name = \"one\"; vip = \"2001:db8::80\"; port = 53; protocol = \"udp\"; "
		"node_port "
		"= 30053; nodes = [ \"n2\" ]; on_all_down = \"fail-open\"; announce = false; "
		"answer_arp = false; },"
		" { name = \"own\"; vip = \"192.0.2.80\"; port = 81; node_port = 30081; nodes = ( "
		"\"n2\", \"n1\" ); idle = 7; } );\n");
	const struct service_config *all = config->services[0], *one = all + 1, *own = all + 2;

	assert_int_equal(config->n_services, 3);
	assert_int_equal(all->n_nodes, 2);
	assert_int_equal(all->idle_s, 100);
	assert_int_equal(all->protocol, IPPROTO_TCP);
	assert_int_equal(all->port, 80);
	assert_int_equal(all->node_port, 30080);
	assert_true(all->announce && all->answers_arp && !all->fail_open);
	assert_int_equal(one->n_nodes, 1);
	assert_int_equal(one->nodes[0], 1);
	assert_int_equal(one->idle_s, 50);
	assert_int_equal(one->protocol, IPPROTO_UDP);
	assert_true(!one->announce && !one->answers_arp && one->fail_open);
	assert_int_equal(own->nodes[0], 0);
	assert_int_equal(own->nodes[1], 1);
	assert_int_equal(own->idle_s, 7);
	config_free(config);
}

static void a_check_is_as_health_has_it_but_for_what_it_says(void **)
{
	struct config *config = parse(BASE NODES
		"services = ( { name = \"a\"; vip = \"192.0.2.80\"; port = 80; node_port = 1; },"
		" { name = \"b\"; vip = \"192.0.2.80\"; port = 81; node_port = 1; check = \"tcp\"; "
		"},"
		" { name = \"c\"; vip = \"192.0.2.80\"; port = 82; node_port = 1; check = { kind = "
		"\"https\"; status = 204; interval = 3; verify = true; host = \"c.example\"; port "
		"= "
		"8443; }; },"
		" { name = \"d\"; vip = \"192.0.2.80\"; port = 53; protocol = \"udp\"; node_port = "
		"1; "
		"} );\n"
		"health = { kind = \"http\"; path = \"/ok\"; interval = 0.5; timeout = 0.25; fall "
		"= 9; "
		"};\n");
	const struct check_config *a = &config->services[0]->check,
				  *b = &config->services[1]->check;
	const struct check_config *c = &config->services[2]->check;

	assert_int_equal(a->kind, CHECK_HTTP);
	assert_string_equal(a->path, "/ok");
	assert_int_equal(a->interval_ms, 500);
	assert_int_equal(a->timeout_ms, 250);
	assert_int_equal(a->status_first, 200);
	assert_int_equal(a->status_last, 399);
	assert_int_equal(a->rise, 2);
	assert_int_equal(b->kind, CHECK_TCP);
	assert_int_equal(b->fall, 9);
	assert_int_equal(c->kind, CHECK_HTTPS);
	assert_int_equal(c->status_first, 204);
	assert_int_equal(c->status_last, 204);
	assert_int_equal(c->interval_ms, 3000);
	assert_int_equal(c->timeout_ms, 250);
	assert_int_equal(c->port, 8443);
	assert_string_equal(c->host, "c.example");
	assert_string_equal(c->path, "/ok");
	assert_true(c->verify);
	assert_int_equal(config->services[3]->check.kind, CHECK_NONE);
	config_free(config);
}

static const struct mistake_case {
	const char *text;
	const char *want; // The one line.
} cases[] = {
	{BASE "ring_size = 65536;",
		"a.conf:4: ring_size: found 65536; must be a prime number, of which 65537 is the "
		"next"},
	{BASE "ring_size = 7;",
		"a.conf:4: ring_size: found 7; must be a whole number from 11 to 16777213"},
	{BASE "ring_size = 65537.0;",
		"a.conf:4: ring_size: found 65537; must be a whole number from 11 to 16777213"},
	{BASE "rings = 5;",
		"a.conf:4: rings: found a key that does not exist; must be instance, log, ports, "
		"workers, flows, memory, snat, mode, tunnel, timeouts, answers, ring_size, "
		"hash_key, health, checks_per_second, "
		"nodes, "
		"services, kubernetes, control or state"},
	{BASE "ring_sise = 5;",
		"a.conf:4: ring_sise: found a key that does not exist; must be one that does, such "
		"as "
		"ring_size"},
	{BASE "\ntimeouts = {\n drian = 1; };",
		"a.conf:6: timeouts.drian: found a key that does not exist; must be one that does, "
		"such as drain"},
	{BASE "timeouts = 5;", "a.conf:4: timeouts: found 5; must be a group of keys: { ... }"},
	{BASE "log = \"loud\";",
		"a.conf:4: log: found \"loud\"; must be \"error\", \"warning\", \"info\" or "
		"\"debug\""},
	{BASE "log = 3;",
		"a.conf:4: log: found 3; must be \"error\", \"warning\", \"info\" or \"debug\""},
	{BASE "memory = { hugepages = 1; };",
		"a.conf:4: memory.hugepages: found 1; must be true or false"},
	{BASE "flows = { ipv4 = 63; };",
		"a.conf:4: flows.ipv4: found 63; must be a whole number from 64 to 268435456"},
	{BASE "flows = { ipv4 = 4294967360; };",
		"a.conf:4: found 4294967360; must be a number from -2147483648 to 2147483647"},
	{BASE "flows = { ipv4 = 4294967360L; };",
		"a.conf:4: flows.ipv4: found 4294967360; must be a whole number from 64 to "
		"268435456"},
	{BASE "flows = { ipv4 = 0x100000040; };",
		"a.conf:4: found 0x100000040; must be a number from -2147483648 to 2147483647"},
	{BASE "hash_key = \"secret\";",
		"a.conf:4: hash_key: found something else; must be 32 hexadecimal digits"},
	{BASE "instance = \"a/b\";",
		"a.conf:4: instance: found \"a/b\"; must be a name of at most 31 letters, digits, "
		"- or "
		"_"},
	{BASE "state = \"here\";",
		"a.conf:4: state: found \"here\"; must be a path that begins with /, of at most "
		"255 "
		"bytes"},
	{BASE "control = { socket = \"gw.sock\"; };",
		"a.conf:4: control.socket: found \"gw.sock\"; must be a path that begins with /, "
		"of at "
		"most 107 bytes"},
	{BASE "@include \"other.conf\"", "a.conf:4: found @; must be all in one file"},
	{BASE "log = \"info;\n\n\n", "a.conf:4: found no end of a text; must be another \""},
	{BASE "log = \"info\"; log = \"debug\";",
		"a.conf:4: found a duplicate setting name; must be settings as libconfig has them: "
		"name = value;"},
	{BASE "\n\nlog = ;",
		"a.conf:6: found a syntax error; must be settings as libconfig has them: name = "
		"value;"},

	{"workers = { cpus = [ 1 ]; };",
		"a.conf:1: ports: found nothing; must be a list of 1 to 16 ports, such as ( { "
		"device = "
		"\"eth1\"; } )"},
	{"ports = ( { device = \"eth1\"; } );",
		"a.conf:1: workers: found nothing; must be a group, such as { cpus = [ 1 ]; }"},
	{"ports = ( { device = \"eth1\"; } ); workers = { };",
		"a.conf:1: workers.cpus: found nothing; must be a list of 1 to 64 CPU numbers, "
		"such as "
		"[ 2, 3 ]"},
	{"ports = ( { device = \"eth1\"; } ); workers = { cpus = [ -1 ]; };",
		"a.conf:1: workers.cpus: found a list of 1; must be a list of 1 to 64 CPU numbers, "
		"such "
		"as [ 2, 3 ]"},
	{"ports = ( ); workers = { cpus = [ 1 ]; };",
		"a.conf:1: ports: found a list of 0; must be a list of 1 to 16 ports, such as ( { "
		"device "
		"= \"eth1\"; } )"},
	{"ports = ( 5 ); workers = { cpus = [ 1 ]; };",
		"a.conf:1: ports: found a list of 1; must be a list of 1 to 16 ports, such as ( { "
		"device "
		"= \"eth1\"; } )"},
	{"ports = ( { mtu = 1500; } ); workers = { cpus = [ 1 ]; };",
		"a.conf:1: ports.[0].device: found nothing; must be a device, such as \"eth1\" or "
		"\"0000:3b:00.0\""},
	{"ports = (\n{ device = \"eth1\"; },\n{ device = \"eth1\"; } ); workers = { cpus = [ 1 ]; "
	 "};",
		"a.conf:3: ports.[1].device: found \"eth1\", which port [0] has too; must be "
		"another "
		"device"},
	{"ports = (\n{ device = \"0000:3b:00.0\"; },\n{ device = \"3B:00.0,a=b\"; } ); workers = { "
	 "cpus "
	 "= [ 1 ]; };",
		"a.conf:3: ports.[1].device: found \"3B:00.0,a=b\", which port [0] has too; must "
		"be another device"},
	{"ports = (\n{ device = \"net_tap0,iface=a\"; },\n{ device = \"net_tap0,iface=b\"; } ); "
	 "workers = { cpus = [ 1 ]; };",
		"a.conf:3: ports.[1].device: found \"net_tap0,iface=b\", which port [0] has too; "
		"must be another device"},
	{"ports = (\n{ device = \"net_af_packet0,qpairs=2,iface=eth7,x=y\"; } ); workers = { cpus "
	 "= [ 1 ]; };",
		"a.conf:2: ports.[0].device: found \"net_af_packet0,qpairs=2,iface=eth7,x=y\"; "
		"must "
		"be the interface itself, and how it is driven beside it: device = \"eth7\"; "
		"driver = "
		"\"af_packet\";"},
	{"ports = (\n{ device = \"net_af_xdp1\"; } ); workers = { cpus = [ 1 ]; };",
		"a.conf:2: ports.[0].device: found \"net_af_xdp1\"; must be the interface itself, "
		"and how it is driven beside it: device = \"eth1\"; driver = \"af_xdp\";"},
	{"ports = (\n{ device = \"a\"; },\n{ device = \"b\"; twin = \"gw0\"; } ); workers = { cpus "
	 "= "
	 "[ 1 ]; };",
		"a.conf:3: ports.[1].twin: found \"gw0\", which is port [0]'s twin too; must be "
		"another "
		"name"},
	{"ports = (\n{ device = \"eth1\"; twin = \"eth1\"; } ); workers = { cpus = [ 1 ]; };",
		"a.conf:2: ports.[0].twin: found \"eth1\", which is port [0]'s device; must be "
		"another "
		"name"},
	{"ports = (\n{ device = \"eth1\"; twin = \"sixteen-letters-\"; } ); workers = { cpus = [ 1 "
	 "]; "
	 "};",
		"a.conf:2: ports.[0].twin: found \"sixteen-letters-\"; must be an interface name "
		"of at "
		"most 15 letters, digits, -, _ or ."},
	{"ports = (\n{ device = \"eth1\"; mtu = 9001; } ); workers = { cpus = [ 1 ]; };",
		"a.conf:2: ports.[0].mtu: found 9001; must be a whole number from 68 to 9000"},
	{"ports = (\n{ device = \"eth1\"; vlan = 4095; } ); workers = { cpus = [ 1 ]; };",
		"a.conf:2: ports.[0].vlan: found 4095; must be a whole number from 0 to 4094"},

	{BASE NODES SERVICE("vip = \"10.0.0.300\"; port = 80;"),
		"a.conf:5: services.[0].vip: found \"10.0.0.300\"; must be a unicast IPv4 or IPv6 "
		"address, such as \"192.0.2.80\""},
	{BASE NODES SERVICE("vip = \"224.0.0.1\"; port = 80;"),
		"a.conf:5: services.[0].vip: found \"224.0.0.1\"; must be a unicast IPv4 or IPv6 "
		"address, such as \"192.0.2.80\""},
	{BASE NODES SERVICE("vip = \"192.0.2.80\";"),
		"a.conf:5: services.[0].port: found nothing; must be a whole number from 1 to "
		"65535"},
	{BASE NODES SERVICE("vip = \"192.0.2.80\"; port = 65536;"),
		"a.conf:5: services.[0].port: found 65536; must be a whole number from 1 to 65535"},
	{BASE NODES SERVICE(WEB "protocol = \"quic\";"),
		"a.conf:5: services.[0].protocol: found \"quic\"; must be \"tcp\", \"udp\" or "
		"\"sctp\""},
	{BASE NODES SERVICE(WEB "protocol = \"sctp\";"),
		"a.conf:5: services.[0].protocol: found \"sctp\" in a mode that changes ports; "
		"must "
		"be in mode \"dsr\" or \"tunnel\""},
	{BASE NODES "services = ( { name = \"a\"; " WEB " mode = \"dnat\"; } );\n",
		"a.conf:5: services.[0].node_port: found nothing, which only the modes \"dsr\" and "
		"\"tunnel\" do without; must be a port from 1 to 65535"},
	{BASE NODES "mode = \"dnat\"; services = ( { name = \"a\"; " WEB " node_port = 9; },\n"
		    "{ name = \"b\"; " WEB "node_port = 9; protocol = \"udp\"; },\n"
		    "{ name = \"c\"; vip = \"192.0.2.81\"; port = 80; node_port = 9; } );\n",
		"a.conf:7: services.[2].node_port: found 9, as of the service in line 5, both in "
		"mode \"dnat\", which knows replies by it; must be another"},
	{BASE NODES SERVICE(WEB "mode = \"tunnel\";"),
		"a.conf:5: services.[0].mode: found \"tunnel\" to IPv4 addresses, but "
		"tunnel.source "
		"has none; must be beside a source of that family"},
	{BASE NODES "tunnel = { source = \"192.0.2.5\"; };\n" SERVICE(
		 "vip = \"fd00::80\"; port = 80; mode = \"tunnel\"; nodes = [ \"n2\" ];"),
		"a.conf:6: services.[0].mode: found \"tunnel\" to IPv6 addresses, but "
		"tunnel.source "
		"has none; must be beside a source of that family"},
	{BASE "nodes = ( { name = \"n1\"; address = \"10.0.0.11\"; },"
	      " { name = \"n2\"; address = \"fd00::12\"; } );\n"
	      "tunnel = { source = [ \"192.0.2.5\", \"fd00::5\" ]; };\n" SERVICE(
		      WEB "mode = \"tunnel\";"),
		"a.conf:6: services.[0].nodes: found nodes without a family that all of them have; "
		"must be nodes that all have an IPv4 or all have an IPv6 address"},
	{BASE "tunnel = { source = [ \"192.0.2.5\", \"192.0.2.6\" ]; };\n",
		"a.conf:4: tunnel.source.[1]: found \"192.0.2.6\"; must be one of each family at "
		"most"},
	{BASE NODES SERVICE(WEB "sources = [ \"10.0.0.0/33\" ];"),
		"a.conf:5: services.[0].sources.[0]: found \"10.0.0.0/33\"; must be a prefix, such "
		"as "
		"\"198.51.100.0/24\" or \"2001:db8::/32\""},
	{BASE NODES SERVICE(WEB "sources = [ ];"),
		"a.conf:5: services.[0].sources: found a list of 0; must be a list of prefixes, "
		"such "
		"as [ \"198.51.100.0/24\", \"2001:db8::/32\" ]"},
	{BASE "tunnel = { gue_port = 0; };\n",
		"a.conf:4: tunnel.gue_port: found 0; must be a port from 1 to 65535"},
	{BASE NODES SERVICE(WEB "nodes = [ \"n1\",\n\"n3\" ];"),
		"a.conf:6: services.[0].nodes.[1]: found \"n3\"; must be the name of a node"},
	{BASE NODES SERVICE(WEB "nodes = [ \"n1\", \"n1\" ];"),
		"a.conf:5: services.[0].nodes: found \"n1\" twice; must be once"},
	{BASE NODES SERVICE(WEB "nodes = \"n1\";"),
		"a.conf:5: services.[0].nodes: found \"n1\"; must be a list of names of nodes, "
		"such as [ "
		"\"n1\", \"n2\" ]"},
	{BASE NODES SERVICE("vip = \"2001:db8::80\"; port = 80; nodes = [ \"n2\", \"n1\" ];"),
		"a.conf:5: services.[0].nodes.[1]: found \"n1\", which has no IPv6 address; must "
		"be a "
		"node of the VIP's family"},
	{BASE NODES SERVICE("vip = \"2001:db8::80\"; port = 80;"),
		"a.conf:5: services.[0].nodes: found nothing, which is all nodes, but nodes.[0] "
		"\"n1\" "
		"has no IPv6 address; must be nodes of the VIP's family"},
	{BASE NODES SERVICE("vip = \"192.0.2.10\"; port = 80;"),
		"a.conf:5: services.[0].vip: found \"192.0.2.10\", which is an SNAT address in "
		"line 3; "
		"must be an address of its own"},
	{BASE NODES SERVICE("vip = \"10.0.0.11\"; port = 80;"),
		"a.conf:5: services.[0].vip: found \"10.0.0.11\", which is the address of a node "
		"in line "
		"4; must be an address of its own"},
	{BASE NODES SERVICE(WEB "check = \"ping\";"),
		"a.conf:5: services.[0].check: found \"ping\"; must be \"none\", \"tcp\", "
		"\"http\", "
		"\"https\", or a group of the keys of health"},
	{BASE NODES SERVICE(WEB "check = { status = \"200-99\"; };"),
		"a.conf:5: services.[0].check.status: found \"200-99\"; must be a status or a "
		"range of "
		"them from 100 to 599, such as 200 or \"200-399\""},
	{BASE KUBERNETES("kubeconfig = \"kubeconfig\";"),
		"a.conf:4: kubernetes.kubeconfig: found \"kubeconfig\"; must be a path that "
		"begins with /, of at most 255 bytes"},
	{BASE KUBERNETES("servers = [ \"https://a\",\n\"http://10.0.0.2:6443\" ];"),
		"a.conf:5: kubernetes.servers.[1]: found \"http://10.0.0.2:6443\"; must be a URL, "
		"such as \"https://10.0.0.2:6443\""},
	{BASE KUBERNETES("servers = [ \"https://\" ];"),
		"a.conf:4: kubernetes.servers.[0]: found \"https://\"; must be a URL, such as "
		"\"https://10.0.0.2:6443\""},
	{BASE KUBERNETES("servers = \"https://10.0.0.2:6443\";"),
		"a.conf:4: kubernetes.servers: found \"https://10.0.0.2:6443\"; must be a list of "
		"at most 8 URLs, such as [ \"https://10.0.0.2:6443\" ]"},
	{BASE KUBERNETES(
		 "servers = [ \"https://a\", \"https://a\", \"https://a\", \"https://a\", "
		 "\"https://a\", \"https://a\", \"https://a\", \"https://a\", \"https://a\" ];"),
		"a.conf:4: kubernetes.servers: found a list of 9; must be a list of at most 8 "
		"URLs, "
		"such as [ \"https://10.0.0.2:6443\" ]"},
	{BASE KUBERNETES("class = \"a b\";"),
		"a.conf:4: kubernetes.class: found \"a b\"; must be a name, such as "
		"\"example.com/edge\""},
	{BASE KUBERNETES("node_check = \"ping\";"),
		"a.conf:4: kubernetes.node_check: found \"ping\"; must be \"kube-proxy\", "
		"\"node-port\" or \"none\""},
	{BASE KUBERNETES("instances = { namespace = \"Guide way\"; };"),
		"a.conf:4: kubernetes.instances.namespace: found \"Guide way\"; must be the name "
		"of a namespace, such as \"guideway\""},
	{BASE KUBERNETES("instances = { name = \"Edge\"; };"),
		"a.conf:4: kubernetes.instances.name: found \"Edge\"; must be a name of at most 63 "
		"small letters, digits, - or ."},
	{BASE KUBERNETES("instances = { lease = 10; };"),
		"a.conf:4: kubernetes.instances.renew: found 10; must be less than 'lease', which "
		"is 10"},
	{BASE KUBERNETES("instances = {\nretry = 8.5; };"),
		"a.conf:5: kubernetes.instances.retry: found 8.5; must be less than 'renew', which "
		"is 10, divided by 1.2"},
	{BASE KUBERNETES("pools = ( { addresses = [ \"198.51.100.0/24\" ]; } );"),
		"a.conf:4: kubernetes.pools.[0].name: found nothing; must be a name of at most 63 "
		"letters, digits, -, _ or ."},
	{BASE POOL(""),
		"a.conf:4: kubernetes.pools.[0].addresses: found nothing; must be a list of them, "
		"such as [ \"192.0.2.128/25\", \"198.51.100.10-198.51.100.19\", "
		"\"2001:db8:80::/64\" ]"},
	{BASE POOL("addresses = [ \"198.51.100.0/25\",\n\"198.51.100.128/24\" ];"),
		"a.conf:5: kubernetes.pools.[0].addresses.[1]: found \"198.51.100.128/24\"; must "
		"be a prefix without bits past its length, a range or an address, such as "
		"\"192.0.2.128/25\", \"192.0.2.10-192.0.2.19\" or \"2001:db8::80\""},
	{BASE POOL("addresses = [ \"198.51.100.9-198.51.100.7\" ];"),
		"a.conf:4: kubernetes.pools.[0].addresses.[0]: found "
		"\"198.51.100.9-198.51.100.7\"; must be a range whose first address is not after "
		"its last"},
	{BASE POOL("addresses = [ \"198.51.100.9-2001:db8::1\" ];"),
		"a.conf:4: kubernetes.pools.[0].addresses.[0]: found "
		"\"198.51.100.9-2001:db8::1\"; must be a range of one family"},
	{BASE POOL("addresses = [ \"223.0.0.0-225.0.0.0\" ];"),
		"a.conf:4: kubernetes.pools.[0].addresses.[0]: found \"223.0.0.0-225.0.0.0\"; "
		"must be without multicast, loopback, link-local and unspecified addresses"},
	{BASE POOL("addresses = [ \"0.0.0.0/0\" ];"),
		"a.conf:4: kubernetes.pools.[0].addresses.[0]: found \"0.0.0.0/0\"; must be "
		"without multicast, loopback, link-local and unspecified addresses"},
	{BASE POOL("addresses = [ \"::/64\" ];"),
		"a.conf:4: kubernetes.pools.[0].addresses.[0]: found \"::/64\"; must be without "
		"multicast, loopback, link-local and unspecified addresses"},
	{BASE POOL("addresses = [ \"198.51.100.0/24\",\n\"198.51.100.0/32\" ];"),
		"a.conf:5: kubernetes.pools.[0].addresses.[1]: found \"198.51.100.0/32\", which "
		"overlaps 198.51.100.0/24 of pool \"edge\" in line 4; must be addresses of its "
		"own"},
	{BASE POOL("addresses = [ \"198.51.100.255\",\n"
		   "\"198.51.100.0/24\" ];"),
		"a.conf:4: kubernetes.pools.[0].addresses.[0]: found \"198.51.100.255\", which "
		"overlaps 198.51.100.0/24 of pool \"edge\" in line 5; must be addresses of its "
		"own"},
	{BASE KUBERNETES("pools = ( { name = \"a\"; addresses = [ \"2001:db8:80::/64\" ]; },\n{ "
			 "name = \"b\"; addresses = [ \"2001:db8:80::9-2001:db8:80:1::1\" ]; } );"),
		"a.conf:5: kubernetes.pools.[1].addresses.[0]: found "
		"\"2001:db8:80::9-2001:db8:80:1::1\", which overlaps 2001:db8:80::/64 of pool "
		"\"a\" in "
		"line 4; must be addresses of its own"},
	{BASE KUBERNETES("pools = ( { name = \"a\"; addresses = [ \"198.51.100.1\" ]; },\n{ "
			 "name = \"a\"; addresses = [ \"198.51.100.2\" ]; } );"),
		"a.conf:5: kubernetes.pools.[1].name: found \"a\", as in line 4; must be a name of "
		"its own"},
	{BASE POOL("addresses = [ \"192.0.2.0/28\" ];"),
		"a.conf:3: snat: found \"192.0.2.10\", which Services get from pool \"edge\" in "
		"line 4; must be an address that no pool has"},
	{BASE NODES POOL("addresses = [ \"fd00::/64\" ];"),
		"a.conf:4: nodes.[1].address: found \"fd00::12\", which Services get from pool "
		"\"edge\" in line 5; must be an address that no pool has"},
	{BASE NODES SERVICE(WEB) POOL("addresses = [ \"192.0.2.70-192.0.2.80\" ];"),
		"a.conf:5: services.[0].vip: found \"192.0.2.80\", which Services get from pool "
		"\"edge\" in line 6; must be an address that no pool has"},
	{BASE "tunnel = { source = \"192.0.2.5\"; };\n" POOL("addresses = [ \"192.0.2.5\" ];"),
		"a.conf:4: tunnel.source: found \"192.0.2.5\", which Services get from pool "
		"\"edge\" in line 5; must be an address that no pool has"},
	{BASE POOL("addresses = [ \"198.51.100.1\" ]; namespaces = [ \"a/b\" ];"),
		"a.conf:4: kubernetes.pools.[0].namespaces.[0]: found \"a/b\"; must be a list of "
		"names of namespaces, such as [ \"default\" ]"},
	{BASE POOL("addresses = [ \"198.51.100.1\" ]; service_labels = [ \"public\" ];"),
		"a.conf:4: kubernetes.pools.[0].service_labels.[0]: found \"public\"; must be a "
		"list of labels, such as [ \"exposure=public\" ]"},
	{BASE POOL("addresses = [ \"198.51.100.1\" ]; namespace_labels = [ \"a=b=c\" ];"),
		"a.conf:4: kubernetes.pools.[0].namespace_labels.[0]: found \"a=b=c\"; must be a "
		"list of labels, such as [ \"team=web\" ]"},
	{BASE "/*/ \" */ ring_size = 99999999999; # \"",
		"a.conf:4: found 99999999999; must be a number from -2147483648 to 2147483647"},
	{BASE NODES SERVICE(WEB "check = { path = \"/\xe9\"; };"),
		"a.conf:5: services.[0].check.path: found \"/\xe9\"; must be a path that begins "
		"with /, of ASCII without blanks"},
	{BASE NODES SERVICE(WEB "check = { path = \"/a b\"; };"),
		"a.conf:5: services.[0].check.path: found \"/a b\"; must be a path that begins "
		"with /, of ASCII without blanks"},
	{BASE NODES SERVICE(WEB "check = { timeout = 3; };"),
		"a.conf:5: services.[0].check.timeout: found 3; must be at most the interval, 2 "
		"seconds"},
	{BASE NODES SERVICE(WEB "protocol = \"udp\"; check = \"tcp\";"),
		"a.conf:5: services.[0].check: found no port to ask about a udp service; must be a "
		"group "
		"with a port, such as { kind = \"tcp\"; port = 10256; }, or \"none\""},
	{BASE "health = { interval = 0.01; };",
		"a.conf:4: health.interval: found 0.01; must be a number of seconds from 0.1 to "
		"3600"},
	{BASE "health = { interval = \"2s\"; };",
		"a.conf:4: health.interval: found \"2s\"; must be a number of seconds from 0.1 to "
		"3600"},
	{BASE NODES "services = ( { name = \"a\"; vip = \"192.0.2.80\"; port = 80; node_port = 1; "
		    "},\n{ name = \"b\"; vip = \"192.0.2.80\"; port = 80; node_port = 2; } );",
		"a.conf:6: services.[1].port: found 192.0.2.80:80/tcp, as of the service in line "
		"5; must "
		"be another port, protocol or VIP"},
	{BASE NODES "services = ( { name = \"a\"; vip = \"192.0.2.80\"; port = 80; node_port = 1; "
		    "},\n{ name = \"a\"; vip = \"192.0.2.80\"; port = 81; node_port = 2; } );",
		"a.conf:6: services.[1].name: found \"a\", as in line 5; must be a name of its "
		"own"},
	{BASE NODES
		"services = ( { name = \"a\"; vip = \"192.0.2.80\"; port = 80; node_port = 1; "
		"},\n{ name = \"b\"; vip = \"192.0.2.80\"; port = 81; node_port = 2; announce = "
		"false; } );",
		"a.conf:6: services.[1].announce: found false; must be as of the service with the "
		"same "
		"VIP in line 5, true"},
	{BASE NODES
		"memory = { services = 1; };\nservices = ( { name = \"a\"; vip = \"192.0.2.80\"; "
		"port = 80; node_port = 1; }, { name = \"b\"; vip = \"192.0.2.80\"; port = 81; "
		"node_port = 2; } );",
		"a.conf:6: services: found 2 services; must be at most memory.services, 1"},
	{BASE NODES "memory = { nodes = 1; };",
		"a.conf:4: nodes: found 2 nodes; must be at most memory.nodes, 1"},
	{"ports = ( { device = \"eth1\"; } ); workers = { cpus = [ 1 ]; };\n" NODES SERVICE(WEB),
		"a.conf:3: services.[0].vip: found an IPv4 address, but snat has none; must be of "
		"a "
		"family that snat has"},

	{BASE "nodes = ( { name = \"n 1\"; address = \"10.0.0.11\"; } );",
		"a.conf:4: nodes.[0].name: found \"n 1\"; must be a name of at most 253 letters, "
		"digits, "
		"-, _, ., : or /"},
	{BASE "nodes = ( { name = \"n1\"; } );",
		"a.conf:4: nodes.[0].address: found nothing; must be a unicast IPv4 or IPv6 "
		"address, "
		"such as \"10.0.0.11\", or one of each, such as [ \"10.0.0.11\", \"fd00::11\" ]"},
	{BASE "nodes = ( { name = \"n1\"; address = [ \"10.0.0.11\", \"10.0.0.12\" ]; } );",
		"a.conf:4: nodes.[0].address.[1]: found \"10.0.0.12\"; must be a unicast IPv4 or "
		"IPv6 "
		"address, such as \"10.0.0.11\", or one of each, such as [ \"10.0.0.11\", "
		"\"fd00::11\" "
		"]"},
	{BASE "nodes = ( { name = \"n1\"; address = \"fe80::1\"; } );",
		"a.conf:4: nodes.[0].address: found \"fe80::1\"; must be a unicast IPv4 or IPv6 "
		"address, such as \"10.0.0.11\", or one of each, such as [ \"10.0.0.11\", "
		"\"fd00::11\" "
		"]"},
	{BASE "nodes = ( { name = \"n1\"; address = \"10.0.0.11\"; },\n{ name = \"n1\"; address = "
	      "\"10.0.0.12\"; } );",
		"a.conf:5: nodes.[1].name: found \"n1\", as in line 4; must be a name of its own"},
	{BASE "nodes = ( { name = \"n1\"; address = \"10.0.0.11\"; },\n{ name = \"n2\"; address = "
	      "\"10.0.0.11\"; } );",
		"a.conf:5: nodes.[1].address: found \"10.0.0.11\", which is the address of a node "
		"in "
		"line 4; must be an address of its own"},
	{BASE "nodes = ( { name = \"n1\"; address = \"192.0.2.10\"; } );",
		"a.conf:4: nodes.[0].address: found \"192.0.2.10\", which is an SNAT address in "
		"line 3; "
		"must be an address of its own"},
	{BASE "nodes = ( { name = \"n1\"; address = \"10.0.0.11\"; weight = -1; } );",
		"a.conf:4: nodes.[0].weight: found -1; must be a whole number from 0 to 1000000"},
	{"ports = ( { device = \"eth1\"; } ); workers = { cpus = [ 1 ]; };\nsnat = [ "
	 "\"192.0.2.1\", "
	 "\"192.0.2.1\" ];",
		"a.conf:2: snat: found \"192.0.2.1\", which is an SNAT address in line 2; must be "
		"an "
		"address of its own"},
	{"ports = ( { device = \"eth1\"; } ); workers = { cpus = [ 1 ]; };\nsnat = [ \"192.0.2\" "
	 "];",
		"a.conf:2: snat.[0]: found \"192.0.2\"; must be a unicast IPv4 or IPv6 address, "
		"such as "
		"\"192.0.2.10\", or \"twin\" alone"},
	{"ports = ( { device = \"eth1\"; } ); workers = { cpus = [ 1 ]; };\nsnat = [ \"twin\" ];",
		"a.conf:2: snat.[0]: found \"twin\"; must be a unicast IPv4 or IPv6 address, such "
		"as \"192.0.2.10\", or \"twin\" alone"},
	{"ports = ( { device = \"eth1\"; } ); workers = { cpus = [ 1 ]; };\nsnat = \"twin:eth1\";",
		"a.conf:2: snat: found \"twin:eth1\", but no port has that twin; must be such as "
		"\"twin:gw0\""},
	{"ports = ( { device = \"eth1\"; }, { device = \"eth2\"; } ); workers = { cpus = [ 1 ]; "
	 "};\nsnat = \"twin\";",
		"a.conf:2: snat: found \"twin\" with 2 ports; must name the twin of one, such as "
		"\"twin:gw0\""},
};

static void each_mistake_is_one_line_that_says_what_would_be_right(void **)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mistake_case *c = &cases[i];
		struct config *config = NULL;

		assert_int_equal(
			config_parse_text(c->text, strlen(c->text), "a.conf", &config, &mistakes),
			-EINVAL);
		assert_null(config);
		assert_true(mistakes.n > 0);
		assert_string_equal(mistakes.lines[0], c->want);
		if (mistakes.n > 1)
			fail_msg("also: %s", mistakes.lines[1]);
		text_lines_clear(&mistakes);
	}
}

static void all_mistakes_are_told_in_the_order_of_the_file(void **)
{
	const char *text = "log = 1;\nports = ( { device = \"eth1\"; mtu = 1; } );\n"
			   "workers = { cpus = [ 1 ]; };\nring_size = 65536;\nhealth = { rise = 0; "
			   "};\nnodes = ( { name = \"n1\"; address = \"x\"; } );\nservices = 5;\n";
	static const char *const keys[] = {"log", "ports.[0].mtu", "ring_size", "health.rise",
		"nodes.[0].address", "services"};
	struct config *config;

	assert_int_equal(config_parse_text(text, strlen(text), "b", &config, &mistakes), -EINVAL);
	assert_int_equal(mistakes.n, sizeof(keys) / sizeof(keys[0]));
	for (size_t i = 0; i < mistakes.n; i++)
		assert_non_null(strstr(mistakes.lines[i], keys[i]));
}

static void a_range_that_overlaps_several_is_told_of_each(void **)
{
	struct config *config;
	const char *text = BASE POOL("addresses = [ \"198.51.100.0/24\",\n"
				     "\"198.51.100.1\",\n\"198.51.100.9\" ];");

	assert_int_equal(
		config_parse_text(text, strlen(text), "a.conf", &config, &mistakes), -EINVAL);
	assert_int_equal(mistakes.n, 2);
	assert_non_null(strstr(mistakes.lines[0], "a.conf:5: "));
	assert_non_null(strstr(mistakes.lines[1], "overlaps 198.51.100.0/24"));
}

static void a_text_may_end_anywhere(void **)
{
	const char *text = BASE NODES SERVICE(WEB "check = { kind = \"http\"; };") "/* \" */ # x";

	for (size_t len = 0; len <= strlen(text); len++) {
		struct config *config = NULL;
		char *part = malloc(len + 1); // Exactly as long: a sanitizer sees what is past it.

		memcpy(part, text, len);
		part = realloc(part, len == 0 ? 1 : len);
		if (config_parse_text(part, len, "cut", &config, &mistakes) == 0)
			config_free(config);
		else
			assert_true(mistakes.n > 0);
		text_lines_clear(&mistakes);
		free(part);
	}
}

static void a_zero_byte_is_no_end(void **)
{
	const char text[] = BASE "\0 log = 7;";
	struct config *config;

	assert_int_equal(
		config_parse_text(text, sizeof(text) - 1, "zero", &config, &mistakes), -EINVAL);
	assert_string_equal(mistakes.lines[0], "zero:1: found a zero byte; must be text");
}

static void what_looks_like_a_number_in_a_text_is_none(void **)
{
	config_free(parse(BASE "// 99999999999\n/* 99999999999\n@ */ # @ 99999999999\n"
			       "/*/ 99999999999 */ /* *//* 99999999999\n99999999999 */\n"
			       "instance = \"99999999999\";"));
}

static void a_file_that_is_not_there_is_said(void **)
{
	struct config *config;

	assert_int_equal(config_parse_file("/nowhere/a.conf", &config, &mistakes), -ENOENT);
	assert_string_equal(mistakes.lines[0], "/nowhere/a.conf: No such file or directory");
}

static bool needs(const char *now, const char *wanted, const char *key)
{
	struct config *a = parse(now), *b = parse(wanted);
	struct text_lines keys = {0};
	bool found = false;

	assert_int_equal(config_needs_restart(a, b, &keys), 0);
	for (size_t i = 0; i < keys.n; i++)
		found |= strncmp(keys.lines[i], key, strlen(key)) == 0;
	if (keys.n > 1)
		fail_msg("%s and %s", keys.lines[0], keys.lines[1]);
	text_lines_clear(&keys);
	config_free(a);
	config_free(b);
	return found;
}

static void what_a_reload_cannot_change_is_named(void **)
{
#define PORT(more) "ports = ( { device = \"eth1\"; " more " } );"
#define REST "workers = { cpus = [ 1 ]; };"
	assert_true(needs(PORT("") REST, PORT("mtu = 9000;") REST, "ports.[0].mtu"));
	assert_true(needs(PORT("") REST, PORT("adopt = true;") REST, "ports.[0].adopt"));
	assert_true(needs(PORT("") REST,
		"ports = ( { device = \"eth1\"; }, { device = \"eth2\"; } );" REST, "ports"));
	assert_true(needs(PORT("") REST, PORT("") "workers = { cpus = [ 2 ]; };", "workers.cpus"));
	assert_true(
		needs(PORT("") REST, PORT("") "workers = { cpus = [ 1, 1 ]; };", "workers.cpus"));
	assert_true(needs(BASE, BASE "flows = { ipv6 = 64; };", "flows.ipv6"));
	assert_true(needs(BASE,
		BASE "instance = \"b\"; control = { socket = "
		     "\"/run/guideway/guideway.sock\"; }; state = "
		     "\"/var/lib/guideway/guideway\";",
		"instance"));
	assert_true(
		needs(BASE, BASE "hash_key = \"00000000000000000000000000000000\";", "hash_key"));
	assert_true(needs(BASE, BASE "control = { group = \"adm\"; };", "control.group"));
	assert_true(needs(BASE, BASE "state = \"/tmp\";", "state"));
	assert_true(needs(BASE, BASE KUBERNETES("enabled = true;"), "kubernetes.enabled"));
	assert_true(needs(BASE, BASE KUBERNETES("kubeconfig = \"/k\";"), "kubernetes.kubeconfig"));
	assert_true(
		needs(BASE, BASE KUBERNETES("servers = [ \"https://a\" ];"), "kubernetes.servers"));
	assert_true(needs(BASE, BASE KUBERNETES("class = \"a/b\";"), "kubernetes.class"));
	assert_true(needs(BASE, BASE KUBERNETES("classless = true;"), "kubernetes.classless"));
	assert_true(needs(PORT("") REST "snat = [ \"192.0.2.1\", \"192.0.2.2\" ];",
		PORT("") REST "snat = [ \"192.0.2.2\", \"192.0.2.1\" ];", "snat"));
	assert_true(needs(PORT("") REST "snat = [ \"192.0.2.1\", \"192.0.2.2\" ];",
		PORT("") REST "snat = [ \"192.0.2.1\" ];", "snat"));
}

static void what_a_reload_changes_is_not(void **)
{
	assert_false(needs(BASE, BASE, ""));
	assert_false(needs(BASE,
		BASE NODES SERVICE(
			WEB) "log = \"debug\"; ring_size = 251; timeouts = { tcp = 5; }; "
			     "answers = { per_second = 1; }; health = { rise = 1; };",
		""));
	assert_false(needs(BASE,
		BASE KUBERNETES("node_check = \"none\"; ignore_exclude_label = true; pools = ( { "
				"name = \"a\"; addresses = [ \"198.51.100.1\" ]; } );"),
		""));
	assert_false(needs(PORT("") REST "snat = [ \"192.0.2.1\" ];",
		PORT("") REST "snat = [ \"192.0.2.1\", \"192.0.2.2\", \"2001:db8::1\" ];", ""));
}

static void snat_may_have_the_addresses_of_a_twin(void **)
{
	struct config *config = parse(PORT("") REST "snat = \"twin\";" NODES SERVICE(WEB));

	assert_string_equal(config->snat_twin, "gw0");
	assert_int_equal(config->n_snat[IPV4] + config->n_snat[IPV6], 0);
	config_free(config);

	config = parse(
		"ports = ( { device = \"eth1\"; }, { device = \"eth2\"; twin = \"fab\"; } );" REST
		"snat = \"twin:fab\";");
	assert_string_equal(config->snat_twin, "fab");
	config_free(config);

	assert_true(needs(PORT("") REST "snat = \"twin\";",
		PORT("") REST "snat = [ \"192.0.2.1\" ];", "snat"));
	assert_false(
		needs(PORT("") REST "snat = \"twin\";", PORT("") REST "snat = \"twin:gw0\";", ""));
}

static void the_shipped_file_has_no_mistake(void **)
{
	struct config *config;
	int r = config_parse_file(SHIPPED_FILE, &config, &mistakes);

	if (r < 0)
		fail_msg("%s", mistakes.lines[0]);
	assert_true(config->n_services > 0 && config->n_nodes > 0);
	config_free(config);
}

static char *read_shipped_file(void)
{
	FILE *file = fopen(SHIPPED_FILE, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static void expect_keys(const char *text, const struct keys *keys)
{
	char name[64];

	for (size_t i = 0; i < keys->n; i++) {
		const struct key *key = &keys->keys[i];

		snprintf(name, sizeof(name), " %s = ", key->name);
		for (char *c = name; *c != '\0'; c++)
			assert_true(*c != '\t');
		if (strstr(text, name) == NULL)
			fail_msg("%s is not in the shipped file", key->name);
		expect_keys(text, &key->keys);
	}
}

static void every_key_is_in_the_shipped_file(void **)
{
	char *text = read_shipped_file();

	for (char *c = text; *c != '\0'; c++) {
		if (*c == '\t' || *c == '\n')
			*c = ' ';
	}
	expect_keys(text, &config_language);
	free(text);
}

// The file says so itself: what it shows is the default, but for examples.
static void the_shipped_file_shows_the_defaults(void **)
{
	struct config *shipped, *plain = parse(BASE);
	struct text_lines keys = {0};

	assert_int_equal(config_parse_file(SHIPPED_FILE, &shipped, &mistakes), 0);
	assert_int_equal(config_needs_restart(plain, shipped, &keys), 0);
	assert_int_equal(keys.n, 0);
	assert_memory_equal(&shipped->settings, &plain->settings, sizeof(plain->settings));
	assert_memory_equal(&shipped->check, &plain->check, sizeof(plain->check));
	assert_int_equal(shipped->drain_s, plain->drain_s);
	assert_int_equal(shipped->tcp_idle_s, plain->tcp_idle_s);
	assert_int_equal(shipped->udp_idle_s, plain->udp_idle_s);
	assert_int_equal(shipped->ring_size, plain->ring_size);
	assert_int_equal(shipped->log_level, plain->log_level);
	config_free(shipped);
	config_free(plain);
}

static void check_words(const struct keys *keys)
{
	for (size_t i = 0; i < keys->n; i++) {
		const struct key *key = &keys->keys[i];

		assert_true(strlen(key->help) > 0);
		if (key->kind == VALUE_TEXT || key->kind == VALUE_OTHER)
			assert_non_null(key->must);
		if (key->kind == VALUE_OTHER)
			assert_non_null(key->parse);
		if (key->kind == VALUE_WORD)
			assert_non_null(key->words);
		if (key->flags & KEY_REQUIRED)
			continue;
		if (key->kind == VALUE_TEXT || key->kind == VALUE_OTHER)
			assert_non_null(key->text);
		if (key->kind == VALUE_NUMBER || key->kind == VALUE_SECONDS)
			assert_true(key->least <= key->standard && key->standard <= key->most);
		check_words(&key->keys);
	}
}

static void every_key_has_its_words_and_a_good_default(void **)
{
	struct text_lines lines = {0};

	check_words(&config_language);
	assert_int_equal(config_help(&lines), 0);
	assert_true(lines.n > 60);
	text_lines_clear(&lines);
}

// 'n_services' over 'n_nodes', each at a port of its own, checked as 'health' says.
static struct config *parse_many(unsigned n_services, unsigned n_nodes, const char *health)
{
	size_t room = 1 << 20, at = 0;
	char *text = malloc(room);

	assert_non_null(text);
	at += (size_t)snprintf(text, room, "%s%snodes = (\n", BASE, health);
	for (unsigned i = 0; i < n_nodes; i++)
		at += (size_t)snprintf(text + at, room - at,
			"%s{ name = \"n%u\"; address = \"10.0.%u.%u\"; }\n", i == 0 ? "" : ",", i,
			i / 250, 1 + i % 250);
	at += (size_t)snprintf(text + at, room - at, ");\nservices = (\n");
	for (unsigned i = 0; i < n_services; i++)
		at += (size_t)snprintf(text + at, room - at,
			"%s{ name = \"s%u\"; vip = \"198.18.0.1\"; port = %u; node_port = %u; }\n",
			i == 0 ? "" : ",", i, 1 + i, 30000 + i);
	snprintf(text + at, room - at, ");\n");

	struct config *config = parse(text);
	free(text);
	return config;
}

static const struct many_case {
	const char *name;
	unsigned n_services;
	unsigned n_nodes;
	const char *health;
	size_t n_warnings;
} many[] = {
	{"as many as are usual", 1000, 100, "", 0},
	{"one too many", 1001, 100, "", 1},
	{"one port for all", 1001, 100, "health = { port = 10256; };\n", 0},
	{"not checked", 1001, 100, "health = { kind = \"none\"; };\n", 0},
};

static void more_checks_than_can_be_meant_are_warned_of(void **)
{
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		const struct many_case *c = &many[i];
		struct config *config = parse_many(c->n_services, c->n_nodes, c->health);
		struct text_lines warnings = {0};

		assert_int_equal(config_warnings(config, &warnings), 0);
		if (warnings.n != c->n_warnings)
			fail_msg("%s: %zu warnings", c->name, warnings.n);
		if (warnings.n > 0)
			assert_non_null(strstr(warnings.lines[0], "100100 ports"));
		text_lines_clear(&warnings);
		config_free(config);
	}
}

static void a_cluster_without_a_pool_is_warned_of(void **)
{
	struct config *none = parse(BASE KUBERNETES("enabled = true;"));
	struct config *one = parse(BASE KUBERNETES("enabled = true; pools = ( { name = \"a\"; "
						   "addresses = [ \"198.51.100.1\" ]; } );"));
	struct text_lines warnings = {0};

	assert_int_equal(config_warnings(one, &warnings), 0);
	assert_int_equal(warnings.n, 0);
	assert_int_equal(config_warnings(none, &warnings), 0);
	assert_int_equal(warnings.n, 1);
	assert_non_null(strstr(warnings.lines[0], "kubernetes.pools has no pool"));
	text_lines_clear(&warnings);
	config_free(none);
	config_free(one);
}

static void ten_thousand_services_over_a_thousand_nodes_are_read_whole(void **)
{
	size_t room = 4 << 20, at = 0;
	char *text = malloc(room);
	struct config *config;

	assert_non_null(text);
	at += (size_t)snprintf(text, room, "%smemory = { services = 10000; };\nnodes = (\n", BASE);
	for (unsigned i = 0; i < 1000; i++)
		at += (size_t)snprintf(text + at, room - at,
			"%s{ name = \"n%u\"; address = \"10.0.%u.%u\"; }\n", i == 0 ? "" : ",", i,
			i / 250, 1 + i % 250);
	at += (size_t)snprintf(text + at, room - at, ");\nservices = (\n");
	for (unsigned i = 0; i < 10000; i++)
		at += (size_t)snprintf(text + at, room - at,
			"%s{ name = \"s%u\"; vip = \"198.18.%u.%u\"; port = 80; node_port = %u; "
			"}\n",
			i == 0 ? "" : ",", i, i / 250, 1 + i % 250, 30000 + i);
	snprintf(text + at, room - at, ");\n");

	config = parse(text);
	assert_int_equal(config->n_services, 10000);
	assert_int_equal(config->services[9999]->n_nodes, 1000);
	assert_int_equal(config->services[9999]->node_port, 39999);
	config_free(config);
	free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		TEST(what_is_left_out_has_its_default),
		TEST(everything_can_be_said),
		TEST(a_service_has_its_mode),
		TEST(a_cluster_is_for_those_who_ask_for_it),
		TEST(of_a_cluster_everything_can_be_said),
		TEST(services_with_the_same_sources_share_a_list),
		TEST(a_service_has_its_nodes_and_its_times),
		TEST(a_check_is_as_health_has_it_but_for_what_it_says),
		TEST(each_mistake_is_one_line_that_says_what_would_be_right),
		TEST(all_mistakes_are_told_in_the_order_of_the_file),
		TEST(a_range_that_overlaps_several_is_told_of_each),
		TEST(a_text_may_end_anywhere),
		TEST(a_zero_byte_is_no_end),
		TEST(what_looks_like_a_number_in_a_text_is_none),
		TEST(a_file_that_is_not_there_is_said),
		TEST(what_a_reload_cannot_change_is_named),
		TEST(what_a_reload_changes_is_not),
		TEST(snat_may_have_the_addresses_of_a_twin),
		TEST(the_shipped_file_has_no_mistake),
		TEST(every_key_is_in_the_shipped_file),
		TEST(the_shipped_file_shows_the_defaults),
		TEST(every_key_has_its_words_and_a_good_default),
		TEST(more_checks_than_can_be_meant_are_warned_of),
		TEST(a_cluster_without_a_pool_is_warned_of),
		TEST(ten_thousand_services_over_a_thousand_nodes_are_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
