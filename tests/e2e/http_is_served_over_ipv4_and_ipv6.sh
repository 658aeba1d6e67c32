# HTTP through a VIP is answered by the nodes, over IPv4 and over IPv6.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2
#     2001:db8:1::7              └──── node3
#                     2001:db8:a::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2 node3
service_add web 10.0.0.1:80/tcp node1 node2 node3
service_add web6 [2001:db8:a::1]:80/tcp node1 node2 node3
guideway_start

for service in web web6; do
	peers=$(for _ in {1..40}; do on client fetch_peer $service; done | sort -u)
	[ "$peers" = $'node1\nnode2\nnode3' ] || fail "$service was answered by: $peers"
done
