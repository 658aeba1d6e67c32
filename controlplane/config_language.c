#include "config_language.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "log.h"
#include "maglev.h"

#define FIELD(type, member) .field = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
#define KEYS(of)                                   \
	{                                          \
		(of), sizeof(of) / sizeof((of)[0]) \
	}

static const char *const drivers[] = {"auto", "af_xdp", "af_packet", NULL};
static const char *const steerings[] = {"auto", "rss", "software", NULL};
static const char *const idles[] = {"poll", "sleep", NULL};
static const char *const unknown_tcp[] = {"drop", "reset", NULL};
static const char *const dead_node[] = {"restart", "reset", NULL};
static const char *const check_kinds[] = {"none", "tcp", "http", "https", NULL};
static const char *const modes[] = {"snat", "dnat", "dsr", "tunnel", NULL};
static const char *const service_modes[] = {"default", "snat", "dnat", "dsr", "tunnel", NULL};
static const char *const tunnel_kinds[] = {"ip", "gue", NULL};
static const char *const service_tunnels[] = {"default", "ip", "gue", NULL};
static const char *const affinities[] = {"none", "client-ip", NULL};
static const char *const unserved[] = {"drop", "reject", NULL};
static const char *const all_down[] = {"reject", "fail-open", NULL};
static const char *const node_checks[] = {"kube-proxy", "node-port", "none", NULL};
static const char *const announcers[] = {"one", "all", NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

static bool is_of(const char *text, const char *others)
{
	for (; *text != '\0'; text++) {
		if (!isalnum((unsigned char)*text) && strchr(others, *text) == NULL)
			return false;
	}
	return true;
}

static bool is_instance(const char *text)
{
	return *text != '\0' && is_of(text, "-_");
}

// What the kernel takes for an interface's name.
static bool is_interface(const char *text)
{
	return strlen(text) < IFNAMSIZ && is_of(text, "-_.") && strcmp(text, ".") != 0 &&
		strcmp(text, "..") != 0;
}

static bool is_name(const char *text)
{
	return *text != '\0' && is_of(text, "-_.:/");
}

static bool is_something(const char *text)
{
	return *text != '\0';
}

static bool is_path(const char *text)
{
	return *text == '/';
}

static bool is_absent_or_path(const char *text)
{
	return *text == '\0' || is_path(text);
}

// What may stand in the first line of an HTTP request: ASCII, which JSON may have as well.
static bool is_url_path(const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return false;
	}
	return *text == '/';
}

static bool is_host(const char *text)
{
	return is_of(text, "-_.:[]");
}

static const struct key ports[] = {
	{"device",
		"the port: a PCI address (0000:3b:00.0), a kernel interface (eth1), or a DPDK "
		"device (net_tap0,iface=t0)",
		VALUE_TEXT, KEY_REQUIRED, FIELD(struct port_entry, port.device),
		.must = "a device, such as \"eth1\" or \"0000:3b:00.0\"", .is_good = is_something},
	{"twin",
		"name of the kernel interface beside it, for what is not for a VIP; gw0, gw1, ... "
		"if empty",
		VALUE_TEXT, 0, FIELD(struct port_entry, port.twin), .text = "",
		.must = "an interface name of at most 15 letters, digits, -, _ or .",
		.is_good = is_interface},
	{"driver", "how a kernel interface is driven; auto tries AF_XDP first", VALUE_WORD, 0,
		FIELD(struct port_entry, port.driver), .words = drivers},
	{"steering",
		"how a flow's packets find its worker: by the port's RSS, or by a hash and a "
		"hand-over in software",
		VALUE_WORD, 0, FIELD(struct port_entry, port.steering), .words = steerings},
	{"mtu", "the largest IP packet, in bytes", VALUE_NUMBER, 0,
		FIELD(struct port_entry, port.mtu), 68, 9000, 1500},
	{"vlan", "the one tag that its packets carry; 0 for none", VALUE_NUMBER, 0,
		FIELD(struct port_entry, port.vlan), 0, 4094, 0},
	{"rx_descriptors", "of each receive queue; 0 for what the driver likes", VALUE_NUMBER, 0,
		FIELD(struct port_entry, port.rx_descriptors), 0, 32768, 0},
	{"tx_descriptors", "of each send queue; 0 for what the driver likes", VALUE_NUMBER, 0,
		FIELD(struct port_entry, port.tx_descriptors), 0, 32768, 0},
	{"adopt",
		"move the addresses and routes of the kernel interface to the twin at start, and "
		"back at the end",
		VALUE_TRUTH, 0, FIELD(struct port_entry, adopt), .standard = false},
};
const struct keys port_keys = KEYS(ports);

static const struct key workers[] = {
	{"cpus", "the CPUs that forward, one worker each", VALUE_OTHER, KEY_REQUIRED | KEY_RESTART,
		.must = "a list of 1 to 64 CPU numbers, such as [ 2, 3 ]", .parse = parse_cpus},
	{"idle",
		"what a worker does with nothing to do: poll on, or sleep for less than a "
		"millisecond at a time",
		VALUE_WORD, KEY_RESTART, FIELD(struct config, dataplane.idle_sleeps),
		.words = idles},
};

static const struct key flows[] = {
	{"ipv4", "IPv4 flows that there is memory for, over all workers", VALUE_NUMBER, KEY_RESTART,
		FIELD(struct config, dataplane.flows_max[IPV4]), 64, 1 << 28, 1 << 20},
	{"ipv6", "IPv6 flows that there is memory for, over all workers", VALUE_NUMBER, KEY_RESTART,
		FIELD(struct config, dataplane.flows_max[IPV6]), 64, 1 << 28, 1 << 18},
	{"clients", "clients of services with affinity whose node is remembered, over all workers",
		VALUE_NUMBER, KEY_RESTART, FIELD(struct config, dataplane.affinity_max), 64,
		1 << 28, 1 << 16},
};

static const struct key memory[] = {
	{"services",
		"services that there is room for, beside those that are gone and have flows still",
		VALUE_NUMBER, KEY_RESTART, FIELD(struct config, services_max), 1, 65536, 4096},
	{"nodes", "nodes that there is room for, beside those that are gone and have flows still",
		VALUE_NUMBER, KEY_RESTART, FIELD(struct config, nodes_max), 1, NODES_LIMIT, 1024},
	{"packet_buffers", "packet buffers over all workers; 0 for what ports and workers need",
		VALUE_NUMBER, KEY_RESTART, FIELD(struct config, dataplane.packet_buffers), 0,
		1 << 24, 0},
	{"hugepages", "use huge pages if enough are free; else 4 kB pages, always", VALUE_TRUTH,
		KEY_RESTART, FIELD(struct config, dataplane.hugepages), .standard = true},
};

static const struct key timeouts[] = {
	{"tcp", "seconds of silence that end an established TCP flow", VALUE_NUMBER, 0,
		FIELD(struct config, tcp_idle_s), 1, 604800, 3600},
	{"tcp_half_open", "seconds from SYN to the handshake's third packet", VALUE_NUMBER, 0,
		FIELD(struct config, settings.tcp_half_open_s), 1, 3600, 30},
	{"tcp_closing", "seconds after FIN from both sides, or a RST", VALUE_NUMBER, 0,
		FIELD(struct config, settings.tcp_closing_s), 1, 3600, 30},
	{"udp", "seconds of silence that end a UDP flow that was answered", VALUE_NUMBER, 0,
		FIELD(struct config, udp_idle_s), 1, 604800, 120},
	{"udp_one_way", "seconds of silence that end a UDP flow before its first answer",
		VALUE_NUMBER, 0, FIELD(struct config, settings.udp_one_way_s), 1, 3600, 30},
	{"snat_rest", "seconds that a freed SNAT port rests for its node while others are free",
		VALUE_NUMBER, 0, FIELD(struct config, settings.snat_rest_s), 0, 3600, 60},
	{"drain", "seconds that the flows of a draining node may go on; 0 for as long as they like",
		VALUE_NUMBER, 0, FIELD(struct config, drain_s), 0, 604800, 300},
};

static const struct key answers[] = {
	{"unknown_tcp", "what TCP of no known flow gets that does not begin one", VALUE_WORD, 0,
		FIELD(struct config, settings.reset_unknown_tcp), .words = unknown_tcp,
		.standard = 1},
	{"dead_node",
		"what the client of a node that died gets at its next packet: a reset, or a new "
		"flow in silence",
		VALUE_WORD, 0, FIELD(struct config, settings.reset_dead_target), .words = dead_node,
		.standard = 1},
	{"per_second", "resets, and ICMP errors of each kind, that are sent each second at most",
		VALUE_NUMBER, 0, FIELD(struct config, settings.answers_per_s), 0, 1000000, 1000},
	{"echoes_per_second", "pings of VIPs that are answered each second at most", VALUE_NUMBER,
		0, FIELD(struct config, settings.echoes_per_s), 0, 1000000, 1000},
	{"all_per_second", "all of these together that are sent each second at most", VALUE_NUMBER,
		0, FIELD(struct config, settings.all_per_s), 0, 5000000, 4000},
};

static const struct key check[] = {
	{"kind", "how a node is asked whether it serves: a TCP connection, or GET by HTTP or HTTPS",
		VALUE_WORD, 0, FIELD(struct check_config, kind), .words = check_kinds,
		.standard = CHECK_TCP},
	{"port", "the port that is asked; 0 for the service's node_port", VALUE_NUMBER, 0,
		FIELD(struct check_config, port), 0, 65535, 0},
	{"path", "what is got", VALUE_TEXT, 0, FIELD(struct check_config, path), .text = "/",
		.must = "a path that begins with /, of ASCII without blanks",
		.is_good = is_url_path},
	{"host", "what the Host header says; the node's address if empty", VALUE_TEXT, 0,
		FIELD(struct check_config, host), .text = "", .must = "a host name",
		.is_good = is_host},
	{"status", "the HTTP statuses that are good", VALUE_OTHER, 0, .text = "\"200-399\"",
		.must = "a status or a range of them from 100 to 599, such as 200 or \"200-399\"",
		.parse = parse_status},
	{"verify", "take an HTTPS answer only under a certificate that is good for 'host'",
		VALUE_TRUTH, 0, FIELD(struct check_config, verify), .standard = false},
	{"interval", "seconds from one question to the next", VALUE_SECONDS, 0,
		FIELD(struct check_config, interval_ms), 100, 3600000, 2000},
	{"timeout", "seconds until no answer is a bad one; never more than the interval",
		VALUE_SECONDS, 0, FIELD(struct check_config, timeout_ms), 50, 3600000, 1000},
	{"rise", "good answers in a row that make a node up", VALUE_NUMBER, 0,
		FIELD(struct check_config, rise), 1, 100, 2},
	{"fall", "bad answers in a row that make a node down", VALUE_NUMBER, 0,
		FIELD(struct check_config, fall), 1, 100, 3},
};
const struct keys check_keys = KEYS(check);

static const struct key nodes[] = {
	{"name", "tells nodes apart, now and after a reload", VALUE_TEXT, KEY_REQUIRED,
		FIELD(struct node_config, name),
		.must = "a name of at most 253 letters, digits, -, _, ., : or /",
		.is_good = is_name},
	{"address", "where its NodePorts are: one address, or one of each family", VALUE_OTHER,
		KEY_REQUIRED,
		.must = "a unicast IPv4 or IPv6 address, such as \"10.0.0.11\", or one of each, "
			"such as [ "
			"\"10.0.0.11\", \"fd00::11\" ]",
		.parse = parse_node_address},
	{"weight", "its share of new flows, relative to the other nodes; 0 for none", VALUE_NUMBER,
		0, FIELD(struct node_config, weight), 0, 1000000, 1},
};
const struct keys node_keys = KEYS(nodes);

static const struct key services[] = {
	{"name", "tells services apart, now and after a reload", VALUE_TEXT, KEY_REQUIRED,
		FIELD(struct service_config, name),
		.must = "a name of at most 253 letters, digits, -, _, ., : or /",
		.is_good = is_name},
	{"vip", "the virtual IP address that clients use", VALUE_OTHER, KEY_REQUIRED,
		.must = "a unicast IPv4 or IPv6 address, such as \"192.0.2.80\"",
		.parse = parse_vip},
	{"port", "the port that clients use", VALUE_NUMBER, KEY_REQUIRED,
		FIELD(struct service_config, port), 1, 65535},
	{"protocol", "tcp or udp; or sctp, in the modes dsr and tunnel", VALUE_OTHER, 0,
		.text = "\"tcp\"", .must = "\"tcp\", \"udp\" or \"sctp\"", .parse = parse_protocol},
	{"mode", "how its packets reach its nodes; default is what 'mode' says for all", VALUE_WORD,
		0, FIELD(struct service_config, mode_word), .words = service_modes},
	{"tunnel", "in the mode tunnel, what the outer packet is", VALUE_WORD, 0,
		FIELD(struct service_config, tunnel_word), .words = service_tunnels},
	{"mss",
		"the largest TCP segment that either side is to send, where it sees more offered; "
		"0 to leave that alone",
		VALUE_NUMBER, 0, FIELD(struct service_config, mss), 0, 65495, 0},
	{"node_port", "the port of its nodes; required in the modes snat and dnat", VALUE_NUMBER, 0,
		FIELD(struct service_config, node_port), 0, 65535, 0},
	{"nodes", "names of its nodes; all of them if left out", VALUE_OTHER, 0,
		.text = "all nodes", .must = "a list of names of nodes, such as [ \"n1\", \"n2\" ]",
		.parse = parse_nothing},
	{"check",
		"how its nodes are checked: a kind, or a group of the keys of 'health', which has "
		"what is left out",
		VALUE_OTHER, 0, .text = "as 'health' says; none for udp",
		.must = "\"none\", \"tcp\", \"http\", \"https\", or a group of the keys of health",
		.parse = parse_check},
	{"idle", "seconds of silence that end one of its flows; 0 for what 'timeouts' says",
		VALUE_NUMBER, 0, FIELD(struct service_config, idle_s), 0, 604800, 0},
	{"sources",
		"who may come: prefixes of client addresses. A family without one is closed; a /0 "
		"of "
		"either lets everybody in",
		VALUE_OTHER, 0, .text = "everybody",
		.must = "a list of prefixes, such as [ \"198.51.100.0/24\", \"2001:db8::/32\" ]",
		.parse = parse_sources},
	{"affinity", "whether all flows of a client go to one node: client-ip", VALUE_WORD, 0,
		FIELD(struct service_config, affinity_word), .words = affinities},
	{"affinity_timeout",
		"seconds after a client's last new flow that it may be sent to another node",
		VALUE_NUMBER, 0, FIELD(struct service_config, affinity_s), 1, 86400, 10800},
	{"on_all_down", "with all of its nodes down, reject new flows or use all nodes", VALUE_WORD,
		0, FIELD(struct service_config, fail_open), .words = all_down},
	{"announce", "announce the VIP when it appears (gratuitous ARP, unsolicited NA)",
		VALUE_TRUTH, 0, FIELD(struct service_config, announce), .standard = true},
	{"closed_ports",
		"what is to a port of the VIP that no service has: reject it, by TCP reset or ICMP "
		"port unreachable, or drop it in silence",
		VALUE_WORD, 0, FIELD(struct service_config, rejects), .words = unserved,
		.standard = 1},
	{"answer_arp", "answer ARP and neighbour solicitations for the VIP", VALUE_TRUTH, 0,
		FIELD(struct service_config, answers_arp), .standard = true},
};
const struct keys service_keys = KEYS(services);

static const struct key tunnel[] = {
	{"kind", "what the outer packet is: IP in IP, or generic UDP encapsulation", VALUE_WORD, 0,
		FIELD(struct config, tunnel_kind), .words = tunnel_kinds},
	{"source",
		"where outer packets come from, of each family of nodes: an address of this "
		"machine",
		VALUE_OTHER, 0, .text = "none",
		.must = "a unicast address, or one of each family, such as \"192.0.2.5\"",
		.parse = parse_tunnel_source},
	{"gue_port", "the UDP port where nodes expect GUE", VALUE_OTHER, 0, .text = "6080",
		.must = "a port from 1 to 65535", .parse = parse_gue_port},
};

static const struct key pools[] = {
	{"name", "what a Service asks for it by (guideway.dev/address-pool), and messages say",
		VALUE_TEXT, KEY_REQUIRED, FIELD(struct address_pool, name),
		.must = "a name of at most 63 letters, digits, -, _ or .", .is_good = is_pool_name},
	{"addresses", "its addresses, of either family: prefixes, ranges and single ones",
		VALUE_OTHER, KEY_REQUIRED,
		.must = "a list of them, such as [ \"192.0.2.128/25\", "
			"\"198.51.100.10-198.51.100.19\", \"2001:db8:80::/64\" ]",
		.parse = parse_pool_addresses},
	{"automatic", "whether Services that ask for no pool and no address get one of these",
		VALUE_TRUTH, 0, FIELD(struct address_pool, automatic), .standard = true},
	{"avoid_edges", "whether IPv4 addresses that end in .0 or .255 are left out", VALUE_TRUTH,
		0, FIELD(struct address_pool, avoid_edges), .standard = false},
	{"namespaces", "whose Services may have its addresses", VALUE_OTHER, 0, .text = "all",
		.must = "a list of names of namespaces, such as [ \"default\" ]",
		.parse = parse_pool_namespaces},
	{"namespace_labels", "labels that their namespaces must have, all of them", VALUE_OTHER, 0,
		.text = "none", .must = "a list of labels, such as [ \"team=web\" ]",
		.parse = parse_namespace_labels},
	{"service_labels", "labels that they must have themselves, all of them", VALUE_OTHER, 0,
		.text = "none", .must = "a list of labels, such as [ \"exposure=public\" ]",
		.parse = parse_service_labels},
};
const struct keys pool_keys = KEYS(pools);

static const struct key instances[] = {
	{"namespace", "the namespace of the cluster where they meet, which is there already",
		VALUE_TEXT, KEY_RESTART, FIELD(struct config, kubernetes.instances.space),
		.text = "guideway", .must = "the name of a namespace, such as \"guideway\"",
		.is_good = is_namespace},
	{"name", "tells this one from the others; the machine's name if empty", VALUE_TEXT,
		KEY_RESTART, FIELD(struct config, kubernetes.instances.name), .text = "",
		.must = "a name of at most 63 small letters, digits, - or .",
		.is_good = is_instance_name},
	{"election",
		"elect the one that gives addresses and writes to Services, by a Lease; if false, "
		"this one does, and must be the only one",
		VALUE_TRUTH, KEY_RESTART, FIELD(struct config, kubernetes.instances.election),
		.standard = true},
	{"announce",
		"who answers ARP and ND for a VIP, and announces it: one of those that live, which "
		"they find by its address, or all of them",
		VALUE_WORD, KEY_RESTART, FIELD(struct config, kubernetes.instances.announce),
		.words = announcers},
	{"lease", "seconds that a leader that is silent is waited for", VALUE_SECONDS, KEY_RESTART,
		FIELD(struct config, kubernetes.instances.lease_ms), 1000, 3600000, 15000},
	{"renew", "seconds that a leader writes on that cannot renew its Lease", VALUE_SECONDS,
		KEY_RESTART, FIELD(struct config, kubernetes.instances.renew_ms), 500, 3600000,
		10000},
	{"retry", "seconds between two renewals, or attempts", VALUE_SECONDS, KEY_RESTART,
		FIELD(struct config, kubernetes.instances.retry_ms), 100, 3600000, 2000},
};

static const struct key kubernetes[] = {
	{"enabled", "be the load balancer of a cluster, whose Services and nodes join those here",
		VALUE_TRUTH, KEY_RESTART, FIELD(struct config, kubernetes.enabled),
		.standard = false},
	{"kubeconfig",
		"the file that says how its API is reached; if empty, the credentials of the pod "
		"that we run in",
		VALUE_TEXT, KEY_RESTART, FIELD(struct config, kubernetes.kubeconfig), .text = "",
		.must = "a path that begins with /, of at most 255 bytes",
		.is_good = is_absent_or_path},
	{"servers", "its API servers, tried in turn", VALUE_OTHER, KEY_RESTART,
		FIELD(struct config, kubernetes.servers), .text = "the one that kubeconfig has",
		.must = "a list of at most 8 URLs, such as [ \"https://10.0.0.2:6443\" ]",
		.parse = parse_servers},
	{"class", "the loadBalancerClass of Services that are served", VALUE_TEXT, KEY_RESTART,
		FIELD(struct config, kubernetes.class), .text = "guideway.dev/lb",
		.must = "a name, such as \"example.com/edge\"", .is_good = is_class},
	{"classless", "whether Services without a class are served as well", VALUE_TRUTH,
		KEY_RESTART, FIELD(struct config, kubernetes.classless), .standard = false},
	{"node_check",
		"how nodes are checked for externalTrafficPolicy Cluster: by kube-proxy's health "
		"at "
		"port 10256, and where that never answers by a connection to a NodePort; by the "
		"latter alone; or not",
		VALUE_WORD, 0, FIELD(struct config, kubernetes.node_check), .words = node_checks},
	{"ignore_exclude_label",
		"whether nodes are used that node.kubernetes.io/exclude-from-external-load-"
		"balancers keeps out",
		VALUE_TRUTH, 0, FIELD(struct config, kubernetes.ignore_exclude_label),
		.standard = false},
	{"writes_per_second",
		"what is written to the API server each second at most: addresses, finalizers, "
		"status and events of Services",
		VALUE_NUMBER, 0, FIELD(struct config, kubernetes.writes_per_s), 1, 10000, 50},
	{"writes_at_once", "and so much of it in one moment, after a time without", VALUE_NUMBER, 0,
		FIELD(struct config, kubernetes.writes_at_once), 1, 10000, 100},
	{"pools", "addresses that Services may be given", VALUE_OTHER, 0, .text = "none",
		.must = "a list of at most 1024 pools, such as ( { name = \"edge\"; addresses = [ "
			"\"192.0.2.128/25\" ]; } )",
		.parse = parse_pools, .keys = KEYS(pools)},
	{"instances", "several Guidewayes on one cluster", VALUE_GROUP, 0, .keys = KEYS(instances)},
};

static const struct key control[] = {
	{"socket", "where guidewayctl reaches us; /run/guideway/INSTANCE.sock if empty", VALUE_TEXT,
		KEY_RESTART, FIELD(struct config, control_socket), .text = "",
		.must = "a path that begins with /, of at most 107 bytes",
		.is_good = is_absent_or_path},
	{"group", "whose members may use it; root alone if empty", VALUE_TEXT, KEY_RESTART,
		FIELD(struct config, control_group), .text = "", .must = "the name of a group",
		.is_good = is_host},
};

// In the order of reading: services need what stands before them.
static const struct key whole[] = {
	{"instance", "keeps several Guideways on one machine apart", VALUE_TEXT, KEY_RESTART,
		FIELD(struct config, dataplane.instance), .text = "guideway",
		.must = "a name of at most 31 letters, digits, - or _", .is_good = is_instance},
	{"log", "how much is said: errors only, or more", VALUE_WORD, 0,
		FIELD(struct config, log_level), .words = levels, .standard = LEVEL_INFO},
	{"ports", "where packets come and go", VALUE_OTHER, KEY_REQUIRED | KEY_RESTART,
		.must = "a list of 1 to 16 ports, such as ( { device = \"eth1\"; } )",
		.parse = parse_ports, .keys = KEYS(ports)},
	{"workers", "who forwards", VALUE_GROUP, KEY_REQUIRED,
		.must = "a group, such as { cpus = [ 1 ]; }", .keys = KEYS(workers)},
	{"flows", "memory for flows", VALUE_GROUP, 0, .keys = KEYS(flows)},
	{"memory", "memory for the rest", VALUE_GROUP, 0, .keys = KEYS(memory)},
	{"snat",
		"addresses that nodes see as the client's, of each family that services use; "
		"nobody else's, or this machine's own, by the name of the twin that has them",
		VALUE_OTHER, 0, .text = "none",
		.must = "a list of at most 256 unicast addresses of each family, such as [ "
			"\"192.0.2.10\" ], or \"twin\", of several ports \"twin:NAME\"",
		.parse = parse_snat},
	{"mode",
		"how packets reach nodes: snat and dnat to their NodePorts and back through here, "
		"dsr and tunnel to the VIP on them and straight back",
		VALUE_WORD, 0, FIELD(struct config, mode), .words = modes},
	{"tunnel", "the mode tunnel", VALUE_GROUP, 0, .keys = KEYS(tunnel)},
	{"timeouts", "how long things last", VALUE_GROUP, 0, .keys = KEYS(timeouts)},
	{"answers", "what we send of ourselves", VALUE_GROUP, 0, .keys = KEYS(answers)},
	{"ring_size", "slots of a service's ring; at least a hundred times the nodes spreads well",
		VALUE_NUMBER, 0, FIELD(struct config, ring_size), RING_SIZE_MIN, RING_SIZE_MAX,
		65537},
	{"hash_key",
		"the secret by which flows choose slots; the same on several Guideways behind ECMP",
		VALUE_OTHER, KEY_RESTART,
		.text = "made once, and kept in the state directory or the cluster",
		.must = "32 hexadecimal digits", .parse = parse_hash_key},
	{"health", "how nodes are checked, unless a service says otherwise", VALUE_GROUP, 0,
		FIELD(struct config, check), .keys = KEYS(check)},
	{"checks_per_second", "checks of nodes that begin each second at most; 0 for any number",
		VALUE_NUMBER, 0, FIELD(struct config, checks_per_s), 0, 1000000, 5000},
	{"nodes", "the machines that answer on NodePorts", VALUE_OTHER, 0, .text = "none",
		.must = "a list of nodes, such as ( { name = \"n1\"; address = \"10.0.0.11\"; } )",
		.parse = parse_nodes, .keys = KEYS(nodes)},
	{"services", "what is balanced", VALUE_OTHER, 0, .text = "none",
		.must = "a list of services, such as ( { name = \"web\"; vip = \"192.0.2.80\"; "
			"port "
			"= 80; node_port = 30080; } )",
		.parse = parse_services, .keys = KEYS(services)},
	{"kubernetes", "the cluster whose Services of type LoadBalancer are served", VALUE_GROUP, 0,
		.keys = KEYS(kubernetes)},
	{"control", "the management socket", VALUE_GROUP, 0, .keys = KEYS(control)},
	{"state", "the directory that outlives a restart; /var/lib/guideway/INSTANCE if empty",
		VALUE_TEXT, KEY_RESTART, FIELD(struct config, state), .text = "",
		.must = "a path that begins with /, of at most 255 bytes",
		.is_good = is_absent_or_path},
};
const struct keys config_language = KEYS(whole);
