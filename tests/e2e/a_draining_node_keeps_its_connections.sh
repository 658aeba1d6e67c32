# A draining node takes no new connections and keeps those that it has; that it drains outlives a
# reload and a restart. When the drain time is over its connections end.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2  drains
#     2001:db8:1::7              └──── node3
#                     2001:db8:a::1
#
. "$(dirname "$0")/lib.sh"

# Of node2, within the last half second.
answers_lately()
{
	answers_of_node_between "$1" node2 "$(seconds_from_now -0.5)" 9999999999
}

lab client guideway node1 node2 node3
add_all_services node1 node2 node3
guideway_more="timeouts = { drain = 4; };"
guideway_start
wait_until_served web web6 echo echo6

for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 60 --every 50 --seconds 60
done
sleep 0.5
ctl drain node2
wait_until 5 node_is node2 draining
wait_until 5 no_table_waits
traffic_start coming client web --new 100 --seconds 2
finish coming
guideway_reload
traffic_was_well coming
[ "$(traffic_of_node coming node2 flows)" = 0 ] || fail "a draining node got new connections"
for service in web web6 echo echo6; do
	[ "$(answers_lately $service)" -gt 0 ] || fail "$service: node2 is not asked any more"
	[ ! -s "$lab_folder/$service.log" ] || fail "$service ended early"
done

# The drain time ends: its clients hear so, and nobody else does.
for service in web web6 echo echo6; do
	wait_until 10 eval "[ \$(answers_lately $service) = 0 ]"
done
for service in web web6 echo echo6; do
	traffic_stop $service
	[ "$(lossy_nodes $service)" = node2 ] || [ -z "$(lossy_nodes $service)" ] ||
		fail "$service: flows were lost of $(lossy_nodes $service)"
done

guideway_stop
guideway_start
wait_until_served web
node_is node2 draining
ctl undrain node2
wait_until 5 node_is node2 up
wait_until 5 no_table_waits
traffic_start again client web --new 100 --seconds 2
finish again
traffic_was_well again
[ "$(traffic_of_node again node2 flows)" -gt 0 ] || fail "node2 got no connection after undrain"
