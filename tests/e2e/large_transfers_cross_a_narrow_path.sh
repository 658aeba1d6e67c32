# Large transfers arrive whole, either way, though the path to the client is narrower in its middle
# than at either end: the router's "too big" reaches the node by way of Guideway.
#
#     far ──── far-gate ════════════ far-door ──── guideway ──┬──── node1
#     203.0.113.7       MTU 1300                   10.0.0.1   └──── node2
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

lab far guideway node1 node2
service_add web 10.0.0.1:80/tcp node1 node2
service_add web6 [2001:db8:a::1]:80/tcp node1 node2
guideway_start
wait_until 10 on far fetch_peer web
wait_until 10 on far fetch_peer web6

transfers far 3000000 web web6
[ "$(counter icmp-errors-translated)" -ge 2 ] || fail "no router said that the path is narrow"
