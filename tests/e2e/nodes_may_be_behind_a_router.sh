# Nodes are reached by a route over a gateway; while the gateway is not there, connections wait and
# then fail, and they go as soon as it is.
#
#     client ──────── guideway ──────── router ──┬──── node1  192.0.2.11 is not where it is:
#     198.51.100.7    10.0.0.1     192.0.2.254   │            192.168.1.11, 2001:db8:5:1::11
#     2001:db8:1::7   2001:db8:a::1              └──── node2  192.168.2.12, 2001:db8:5:2::12
#
. "$(dirname "$0")/lib.sh"

node_behind_router()
{
	local n=${1//[^0-9]/}
	local ipv4=192.168.$n ipv6=2001:db8:5:$n:

	host_add "$1"
	cable router "eth$n" "$1" eth0 "$LAB_MTU"
	addresses router "eth$n" "$ipv4.1/24" "$ipv6:1/64"
	addresses "$1" eth0 "$ipv4.1$n/24" "$ipv6:1$n/64"
	route_to "$1" default "$ipv4.1" "$ipv6:1"
	node_ports_open "$1"
	node_serve "$1"
	node_addresses[$1]="$ipv4.1$n $ipv6:1$n"
	lab_nodes+=("$1")
}

lab client guideway
host_add router
plug router eth0 "$node_bridge"
addresses router eth0 192.0.2.254/24 2001:db8:2::fe/64
on router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
node_behind_router node1
node_behind_router node2
add_all_services node1 node2
for service in web web6 echo echo6; do
	service_check[$service]='"none"' # So that it is packets that meet the missing gateway.
done
pull router
guideway_begin
ip -n "$lab_name-guideway" route add 192.168.0.0/16 via 192.0.2.254
ip -n "$lab_name-guideway" route add 2001:db8:5::/48 via 2001:db8:2::fe
for service in web web6; do
	refute on client curl -sf --max-time 2 "$(url_of $service)"
done
[ "$(drop unresolved)" -gt 0 ]

push router
wait_until_served web web6 echo echo6
serves_everything
for service in web web6 echo echo6; do
	unset "service_check[$service]"
done
guideway_reload
wait_until 10 nodes_are_up
serves_everything
