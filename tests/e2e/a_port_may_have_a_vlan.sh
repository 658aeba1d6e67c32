# On a port with a VLAN, packets carry its tag on the wire, and none on the twin.
#
#     client ──────── tags ═══ VLAN 7 ═══ guideway ──┬──── node1
#     198.51.100.7                        10.0.0.1   └──── node2
#     2001:db8:1::7                       2001:db8:a::1
#
LAB_VLAN=7
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
add_all_services node1 node2
guideway_begin
spawn dump guideway timeout 60 tcpdump -e -n -l -i twin0
guideway_is_ready() { nodes_are_up; }
wait_until 15 guideway_is_ready
wait_until_served web web6 echo echo6
for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 20 --every 100 --new 10 --seconds 2 --patience 5000
done
for service in web web6 echo echo6; do
	finish $service
	traffic_was_well $service
done
transfers client 1000000 web web6
datagrams_cross client 1400 echo echo6
on client ping -q -c 3 -i 0.2 -W 2 198.51.100.1
on client ping -q -c 3 -i 0.2 -W 2 2001:db8:1::1

refute grep 'a frame has tag' "$lab_folder/tags0.log"
wait_until 5 grep -q 'ICMP echo' "$lab_folder/dump.log"
refute grep -q 802.1Q "$lab_folder/dump.log"

# What has another tag, or none, is nobody's.
before=$(drop wrong-vlan)
on wire /usr/bin/python3 -c 'import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("'"$(tap_name 0)"'", 0))
for tag in b"", b"\x81\x00\x00\x08":
    s.send(b"\xff" * 6 + b"\x02\0\0\0\0\x77" + tag + b"\x08\x06" + bytes(46))'
wait_until 5 eval '[ "$(drop wrong-vlan)" -ge $((before + 2)) ]'
