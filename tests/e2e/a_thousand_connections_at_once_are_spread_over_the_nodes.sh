# A thousand connections at once, over each family, stay with their nodes, evenly spread.
#
#     client ──────── guideway ──┬──── node1 ... node4
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   2001:db8:a::1
#
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2 node3 node4
service_add web 10.0.0.1:80/tcp node1 node2 node3 node4
service_add web6 [2001:db8:a::1]:80/tcp node1 node2 node3 node4
guideway_start
wait_until_served web web6

for service in web web6; do
	traffic_start $service client $service --flows 1000 --every 500 --seconds 5 --patience 4000
done
for service in web web6; do
	finish $service
	traffic_was_well $service
	# 250 to each, give or take five standard deviations of a fair choice.
	for node in node1 node2 node3 node4; do
		flows=$(traffic_of_node $service $node flows)
		[ "$flows" -ge 180 ] && [ "$flows" -le 320 ] || fail "$node got $flows of 1000"
	done
done
