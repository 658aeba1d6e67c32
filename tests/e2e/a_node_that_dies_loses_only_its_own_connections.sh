# A node is cut off under load: soon nothing goes to it any more, its connections are reset and its
# datagrams go elsewhere, those of the others go on; and it comes back.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2  cut off for a while
#     2001:db8:1::7              ├──── node3
#                     2001:db8:a::1 ── node4
#
# Runs alone, since it measures time.
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2 node3 node4
add_all_services node1 node2 node3 node4
guideway_start
wait_until_served web web6 echo echo6

for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 60 --every 50 --seconds 60 --patience 2500
done
traffic_start coming client web --new 50 --seconds 60 --patience 8000
sleep 1
pull node2
wait_until 5 node_is node2 down
down=$(seconds_from_now 0.1) # A table takes some milliseconds to be in force.
sleep 2.5
back=$EPOCHREALTIME
push node2
wait_until 5 node_is node2 up
sleep 1
for name in web web6 echo echo6 coming; do
	traffic_stop $name
done

late=$(new_flows_of_node_between coming node2 "$down" "$back")
[ "$late" = 0 ] || fail "$late connections went to node2 while it was down"
[ "$(new_flows_of_node_between coming node2 "$back" 9999999999)" -gt 0 ] || fail "node2 got no more"
[ "$(traffic_total coming failed)" = 0 ]
for service in web web6; do
	[ "$(traffic_total $service moved)" = 0 ]
	[ "$(traffic_of_node $service node2 broken)" -gt 0 ]
	[ "$(lossy_nodes $service)" = node2 ] || fail "$service: flows broke of $(lossy_nodes $service)"
done
for service in echo echo6; do
	[ "$(lossy_nodes $service)" = node2 ] || fail "$service: flows lost of $(lossy_nodes $service)"
	[ "$(traffic_total $service moved)" -gt 0 ] || fail "$service: nothing moved"
done
[ "$(drop dead-target)" -gt 0 ]
