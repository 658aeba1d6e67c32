# In the mode dsr nodes have the VIP and answer clients directly: Guideway sees one direction only.
#
#     client ──────── guideway ──┬──── node1 ────┐
#     198.51.100.7    10.0.0.1   └──── node2 ──┐ │
#     2001:db8:1::7   2001:db8:a::1            │ │
#        └─────────────────────────────────────┴─┘
#
# Runs under the sanitizers too.
LAB_MODE=dsr
. "$(dirname "$0")/lib.sh"

lab client far guideway node1 node2
add_all_services node1 node2
nodes_have_vips
nodes_answer directly
guideway_start
wait_until_served web web6 echo echo6

[ "$(on client fetch_client web)" = 198.51.100.7 ]
[ "$(on client fetch_client web6)" = 2001:db8:1::7 ]
serves_everything
[ "$(counter flows-created)" = 0 ] || fail "a mode without flows made some"
[ "$(api services | json 'sum(s["traffic"]["packets_out"] for s in d["services"])')" = 0 ] ||
	fail "replies came through Guideway"

# What routers say to the VIP about the nodes' own packets reaches the node that sent them.
transfers far 3000000 web web6
[ "$(counter icmp-errors-translated)" -ge 2 ] || fail "no router said that the path is narrow"
