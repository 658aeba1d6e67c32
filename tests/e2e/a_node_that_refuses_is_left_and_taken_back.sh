# A node's servers die, so that its kernel refuses: after two checks nothing goes to it any more, its
# connections alone end, and it is taken back when they return.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2  refuses for a while
#     2001:db8:1::7              └──── node3
#                     2001:db8:a::1
#
# Runs alone, since it measures time.
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2 node3
add_all_services node1 node2 node3
guideway_start
wait_until_served web web6 echo echo6

for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 60 --every 50 --seconds 60 --patience 4000
done
traffic_start coming client web --new 50 --seconds 60 --patience 4000
sleep 1
died=$EPOCHREALTIME
node_kill node2
wait_until 5 node_is node2 down
took=$(milliseconds_since "$died")
down=$(seconds_from_now 0.2) # A table takes some milliseconds to be in force.
sleep 2
back=$EPOCHREALTIME
node_serve node2
wait_until 5 node_is node2 up
sleep 1
for name in web web6 echo echo6 coming; do
	traffic_stop $name
done

# Two intervals, and what a busy machine takes.
[ "$took" -le 3000 ] || fail "node2 was left only after $took ms"
[ "$(failed_between coming 0 "$died")" = 0 ]
[ "$(failed_between coming "$down" 9999999999)" = 0 ] || fail "connections failed after node2 was left"
[ "$(new_flows_of_node_between coming node2 "$back" 9999999999)" -gt 0 ] || fail "node2 got no more"
for service in web web6 echo echo6; do
	[ "$(lossy_nodes $service | grep -v '^-$')" = node2 ] || fail "$service: flows ended of $(lossy_nodes $service)"
	[ "$(failed_between $service "$down" 9999999999)" = 0 ]
done
