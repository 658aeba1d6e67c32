# A node may be the machine that Guideway runs on: its packets go by the twin.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   2001:db8:a::1
#                     node0, on 192.0.2.1 and 2001:db8:2::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

lab client guideway node1
node_ports_open guideway
spawn node0 guideway "$support/node" node0 8080 5353
node_addresses[node0]="192.0.2.1 2001:db8:2::1"
lab_nodes+=(node0)
add_all_services node0 node1
guideway_start
wait_until_served web web6
serves_everything
for service in web web6 echo echo6; do
	[ "$(traffic_of_node $service node0 flows)" -gt 0 ] || fail "$service: node0 got none"
done
