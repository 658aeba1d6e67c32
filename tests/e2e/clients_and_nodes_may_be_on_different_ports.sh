# Guideway stands between two networks, with a port in each.
#
#     client ──── bridge0 ──── t0  guideway  t1 ──── bridge1 ──┬──── node1
#     198.51.100.7                 10.0.0.1                    └──── node2
#     2001:db8:1::7                2001:db8:a::1
#
LAB_ARMS=2
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
add_all_services node1 node2
guideway_start
wait_until_served web web6
serves_everything
