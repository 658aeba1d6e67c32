# The configuration is reloaded again and again under load: a node goes from the middle of the list,
# services come and go, a new node comes. No flow changes its node and none is lost.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2  removed
#     2001:db8:1::7              ├──── node3
#                     2001:db8:a::1 ── node4, and node5 that comes later
#
. "$(dirname "$0")/lib.sh"

nodes_are()
{
	local service

	lab_nodes=("$@")
	for service in "${service_names[@]}"; do
		service_nodes[$service]=$*
	done
	guideway_reload
}

lab client guideway node1 node2 node3 node4 node5
lab_nodes=(node1 node2 node3 node4)
add_all_services node1 node2 node3 node4
guideway_start
wait_until_served web web6 echo echo6
for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 60 --every 50 --seconds 60 --patience 2500
done
sleep 0.5

nodes_are node1 node3 node4
traffic_start coming client web --new 100 --seconds 2
finish coming
traffic_was_well coming
[ "$(traffic_of_node coming node2 flows)" = 0 ] || fail "a removed node got new connections"

for round in 1 2 3; do
	service_add web-$round 10.0.0.$((round + 1)):80/tcp node1 node3 node4
	nodes_are node1 node3 node4 node5
	wait_until 5 on client fetch_peer web-$round
	nodes_are node5 node4 node3 node1
done
service_names=(web web6 echo echo6)
nodes_are node1 node5
for service in web web6 echo echo6; do
	traffic_stop $service
	traffic_was_well $service
	[ "$(traffic_of_node $service node2 answers)" -gt 100 ] || fail "$service: node2 was given up"
done
[ "$(api status | json 'd["table"]["published"]')" -ge 8 ]
