# After a restart, and after kill -9, a new connection from the same port goes to the same node.
#
#     client ──────── guideway ──┬──── node1 ... node4
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   2001:db8:a::1
#
. "$(dirname "$0")/lib.sh"

# Which node each of 400 ports has, of each service.
record()
{
	local service

	for service in web web6; do
		traffic_start $service-$1 client $service --new 400 --seconds 2 --reset \
			--ports 20000-20399 --patience 5000
	done
	for service in web web6; do
		finish $service-$1
		traffic_was_well $service-$1
		awk '$3 == "first" { print $2, $4 }' "$lab_folder/$service-$1.flows" | sort -u \
			>"$lab_folder/$service-$1.nodes"
		[ "$(wc -l <"$lab_folder/$service-$1.nodes")" = 400 ] || fail "$service: a port had two nodes"
	done
}

same_as_before()
{
	cmp "$lab_folder/web-before.nodes" "$lab_folder/web-$1.nodes"
	cmp "$lab_folder/web6-before.nodes" "$lab_folder/web6-$1.nodes"
}

lab client guideway node1 node2 node3 node4
service_add web 10.0.0.1:80/tcp node1 node2 node3 node4
service_add web6 '[2001:db8:a::1]:80/tcp' node1 node2 node3 node4
guideway_start
wait_until_served web web6
record before

guideway_stop
guideway_start
wait_until_served web web6
record restarted
same_as_before restarted

starts_again_after_a_kill
wait_until_served web web6
record killed
same_as_before killed
