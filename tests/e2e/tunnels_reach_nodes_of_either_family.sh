# In the mode tunnel packets reach nodes in outer packets of IP or GUE, over the nodes' IPv4 or IPv6
# whatever the VIP's family is, and nodes answer clients directly.
#
#     client ──────── guideway ══════╦════ node1 ────┐
#     198.51.100.7    10.0.0.1       ╚════ node2 ──┐ │
#     2001:db8:1::7   2001:db8:a::1                │ │
#        └─────────────────────────────────────────┴─┘
#
LAB_MODE=tunnel
. "$(dirname "$0")/lib.sh"

# A node of one family only is reached by that.
nodes_are_reached_over()
{
	local node

	for node in node1 node2; do
		node_addresses[$node]=$(node_address "$node" "$1")
	done
}

lab client far guideway node1 node2
add_all_services node1 node2
nodes_have_vips
nodes_answer directly
nodes_are_reached_over 4
guideway_start

for family in 4 6; do
	for kind in ip gue; do
		nodes_are_reached_over $family
		for service in web web6 echo echo6; do
			service_more[$service]="tunnel = \"$kind\";"
		done
		guideway_reload
		wait_until 10 nodes_are_up
		wait_until_served web web6 echo echo6
		[ "$(on client fetch_client web)" = 198.51.100.7 ]
		[ "$(on client fetch_client web6)" = 2001:db8:1::7 ]
		serves_everything
		transfers far 1000000 web web6
	done
done
[ "$(counter flows-created)" = 0 ] || fail "a mode without flows made some"
