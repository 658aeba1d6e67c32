# UDP through a VIP is answered from the VIP, and each conversation stays with its node.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2
#     2001:db8:1::7              └──── node3
#                     2001:db8:a::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2 node3
service_add echo 10.0.0.1:53/udp node1 node2 node3
service_add echo6 [2001:db8:a::1]:53/udp node1 node2 node3
guideway_start
wait_until_served echo
wait_until_served echo6

for service in echo echo6; do
	traffic_start $service client $service --flows 60 --every 50 --seconds 3
done
for service in echo echo6; do
	finish $service
	traffic_was_well $service
	for node in node1 node2 node3; do
		[ "$(traffic_of_node $service $node flows)" -gt 0 ] || fail "$node got none"
	done
done
