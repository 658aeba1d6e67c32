# Two workers share a memif port and one CPU: each makes flows of its own and
# gives the other what is the other's.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     2001:db8:1::7   2001:db8:a::1
#
LAB_DRIVER=memif
LAB_WORKERS="0 0"
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
add_all_services node1 node2
guideway_start
wait_until_served web web6 echo echo6
serves_everything
both_workers_worked
