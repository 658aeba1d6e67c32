# The wires of the cluster
# ========================
#
#              outside 198.51.100.0/24             inside 10.89.0.0/24
#     client ───┬──────── wan0 edge fab0 ───────────┬──── node1 ... node4
#          .10  │         .250      .250            │     .101      .104
#               │                                   │
#               └──────── .1 wire .1 ───────────────┴──── control
#                                                         .10
#              management 172.30.89.0/24
#     edge mgmt0 .250 ─────────────── .10 mgmt0 control
#
# With IPv6 likewise: 2001:db8:c1::/64 outside, fd00:89::/64 inside. Each of them is a network
# namespace; the bridges are in 'wire', which is also the router between outside and inside.
#
# Guideway runs in 'edge', and may take wan0 and fab0 whole: it reaches the API server by mgmt0. The
# client sends what is for VIPs to wan0; what nodes and pods send there goes by the router to fab0.

# at HOST COMMAND...: runs a command there.
at()
{
	ip netns exec "$cluster-$1" "${@:2}"
}

# ip_at HOST ARGUMENT...: what "ip" does, there.
ip_at()
{
	ip -n "$cluster-$1" "${@:2}"
}

namespace_add()
{
	ip netns add "$cluster-$1"
	ip_at "$1" link set lo up
	at "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
}

forwards()
{
	at "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# cable HOST INTERFACE BRIDGE: frames on it carry whole checksums and are no larger than its MTU, as
# on a real one.
cable_add()
{
	ip_at wire link add "$1-$2" type veth peer name "$2" netns "$cluster-$1"
	ip_at wire link set "$1-$2" master "$3" up
	ip_at "$1" link set "$2" up
	at "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null
}

# place HOST INTERFACE IPV4 [IPV6]: gives it addresses; again, if it has them.
place()
{
	ip_at "$1" addr replace "$3" dev "$2"
	[ -z "${4:-}" ] || ip_at "$1" addr replace "$4" dev "$2" nodad
}

# route HOST IPV4 IPV6 IPV4-GATEWAY IPV6-GATEWAY
route()
{
	ip_at "$1" route replace "$2" via "$4"
	ip_at "$1" -6 route replace "$3" via "$5"
}

default_route()
{
	route "$1" default default "$2" "$3"
}

wire_add()
{
	local bridge n=0

	namespace_add wire
	forwards wire
	# Of an address of its own: else it has that of one of its cables, and another when a node boots,
	# and for nine seconds what nodes send to the router is lost.
	for bridge in outside inside management; do
		ip_at wire link add "$bridge" address "02:00:00:00:03:0$((++n))" type bridge mcast_snooping 0
		ip_at wire link set "$bridge" up
	done
	place wire outside $outside4.1/24 $outside6:1/64
	place wire inside $inside4.1/24 $inside6:1/64
}

control_add()
{
	namespace_add control
	cable_add control eth0 inside
	cable_add control mgmt0 management
	place control eth0 $inside4.10/24 $inside6:10/64
	place control mgmt0 $management.10/24
	# Nodes that were cut off for a while hear of what they missed at once, where the kernel can.
	at control sysctl -qw net.ipv4.tcp_rto_max_ms=1000 2>/dev/null || true
	default_route control $inside4.1 $inside6:1
}

edge_add()
{
	edge_wires_add edge 250
	route wire $vips4 $vips6 $inside4.250 $inside6:250
}

# The addresses and routes of the edge; again, after a Guideway that was killed while it had them.
edge_settle()
{
	edge_place edge 250
}

# edge_wires_add HOST N: where a Guideway may run, with N at the end of its addresses.
edge_wires_add()
{
	namespace_add "$1"
	forwards "$1"
	cable_add "$1" wan0 outside
	cable_add "$1" fab0 inside
	cable_add "$1" mgmt0 management
	# As a card's: who knew another of that address would send to nobody for a while.
	ip_at "$1" link set wan0 address "$(printf 02:00:00:00:01:%02x "$2")"
	ip_at "$1" link set fab0 address "$(printf 02:00:00:00:02:%02x "$2")"
	edge_place "$1" "$2"
}

# What no load balancer takes ends in silence. A Guideway that was killed leaves its interfaces without
# IPv6, for its own next start to put right; the next case's is another.
edge_place()
{
	at "$1" sysctl -qw net.ipv6.conf.wan0.disable_ipv6=0 net.ipv6.conf.fab0.disable_ipv6=0
	place "$1" wan0 "$outside4.$2/24" "$outside6:$2/64"
	place "$1" fab0 "$inside4.$2/24" "$inside6:$2/64"
	place "$1" mgmt0 "$management.$2/24"
	default_route "$1" $inside4.1 $inside6:1
	ip_at "$1" route replace blackhole $vips4
	ip_at "$1" -6 route replace blackhole $vips6 metric 9999
}

client_add()
{
	namespace_add client
	cable_add client eth0 outside
	place client eth0 $outside4.10/24 $outside6:10/64
	default_route client $outside4.1 $outside6:1
	client_goes_by 250
}

# client_goes_by N: what the client sends to VIPs goes to the edge with that number in its addresses.
client_goes_by()
{
	route client $vips4 $vips6 "$outside4.$1" "$outside6:$1"
}

node_ip4()
{
	echo "$inside4.$((100 + $1))"
}

node_ip6()
{
	echo "$inside6:$((100 + $1))"
}

node_pods4()
{
	echo "$pods4.$1.0/24"
}

node_pods6()
{
	echo "$pods6:$1::/64"
}

# Everybody inside knows where a node's pods are; the edge does not.
node_wires_add()
{
	local n

	namespace_add "node$1"
	forwards "node$1"
	cable_add "node$1" eth0 inside
	ip_at "node$1" link set eth0 address "02:00:00:00:00:0$1" # It stays when a node boots.
	place "node$1" eth0 "$(node_ip4 "$1")/24" "$(node_ip6 "$1")/64"
	default_route "node$1" $inside4.1 $inside6:1
	for ((n = 1; n <= n_nodes; n++)); do
		[ "$n" = "$1" ] || pods_route "node$1" "$n"
	done
}

# pods_route HOST NODE
pods_route()
{
	route "$1" "$(node_pods4 "$2")" "$(node_pods6 "$2")" "$(node_ip4 "$2")" "$(node_ip6 "$2")"
}

network_add()
{
	local n

	wire_add
	control_add
	edge_add
	client_add
	for ((n = 1; n <= n_nodes; n++)); do
		node_wires_add "$n"
		pods_route wire "$n"
		pods_route control "$n"
	done
}

cluster_namespaces()
{
	ip netns list | awk -v mine="$cluster-" 'index($1, mine) == 1 { print $1 }'
}
