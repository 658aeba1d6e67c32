# A VIP on the client's own network is found by ARP and by neighbour discovery, and answers pings.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    198.51.100.80
#     2001:db8:1::7   2001:db8:1::80
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

lab client guideway node1
service_add web 198.51.100.80:80/tcp node1
service_add web6 [2001:db8:1::80]:80/tcp node1
guideway_start

[ "$(on client fetch_peer web)" = node1 ]
[ "$(on client fetch_peer web6)" = node1 ]
on client ping -q -c 3 -i 0.2 -W 2 198.51.100.80
on client ping -q -c 3 -i 0.2 -W 2 2001:db8:1::80

# It is the port that answers, not some other machine, and not both Guideway and its kernel.
mac=$(ip -n "$lab_name-guideway" -o link show twin0 | grep -o 'link/ether [^ ]*' | cut -d ' ' -f 2)
on client ip neigh show 198.51.100.80 | grep "$mac" >/dev/null
on client ip neigh show 2001:db8:1::80 | grep "$mac" >/dev/null
refute grep -q DUP <(on client ping -c 3 -i 0.2 -W 2 198.51.100.80)
