# In the mode dnat nodes see the client's own address, and answer it through Guideway.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2
#     2001:db8:1::7              └──── node3
#                     2001:db8:a::1
#
# Runs under the sanitizers too.
LAB_MODE=dnat
. "$(dirname "$0")/lib.sh"

lab client far guideway node1 node2 node3
add_all_services node1 node2 node3
nodes_answer through-guideway
guideway_start
wait_until_served web web6 echo echo6

[ "$(on client fetch_client web)" = 198.51.100.7 ]
[ "$(on client fetch_client web6)" = 2001:db8:1::7 ]
serves_everything
[ "$(counter flows-created)" = 0 ] || fail "a mode without flows made some"

# Through a path that is narrow in its middle, either way.
transfers far 3000000 web web6
[ "$(counter icmp-errors-translated)" -ge 2 ] || fail "no router said that the path is narrow"
