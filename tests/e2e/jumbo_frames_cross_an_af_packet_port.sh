# Packets of 9000 bytes cross an AF_PACKET port whole, and datagrams and pings as large.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     2001:db8:1::7   2001:db8:a::1
#               MTU 9000
#
LAB_DRIVER=af_packet
LAB_MTU=9000
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
add_all_services node1 node2
guideway_start
wait_until_served web web6 echo echo6
transfers client 5000000 web web6
datagrams_cross client 8900 echo echo6
on client ping -q -c 2 -i 0.2 -W 2 -M do -s 8972 10.0.0.1
on client ping -q -c 2 -i 0.2 -W 2 -M do -s 8952 2001:db8:a::1

# Had they been cut, there would be six times as many.
packets=$(counter rx-packets)
[ "$packets" -lt 12000 ] || fail "20 MB took $packets packets"
[ "$(drop too-big)" = 0 ]
