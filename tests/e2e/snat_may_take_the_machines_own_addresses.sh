# snat = "twin": nodes see the machine's own addresses, which the machine goes on using. They come and
# go as they like.
#
#     client ──────── twin0 guideway twin1 ────┬──── node1
#     198.51.100.7           192.0.2.1         └──── node2
#     2001:db8:1::7          2001:db8:2::1
#
# Runs under the sanitizers too.
LAB_ARMS=2
LAB_WORKERS="0 1"
LAB_SNAT='"twin:twin1"'
. "$(dirname "$0")/lib.sh"

# sees ADDRESS: a node, as whoever asks.
sees()
{
	[ "$(on client fetch_client web | tr -d '[]')" = "$1" ]
}

snat_is()
{
	grep 'snat: nodes see' "$lab_folder/guideway.log" | tail -n 1 | grep -x ".* twin1: $1"
}

is_silent()
{
	! on client fetch_peer "$1"
}

# Servers of the machine listen at ports that flows of ours might have, and its own connections go to
# the NodePorts that ours go to.
machine_is_reached_and_reaches()
{
	local address

	for address in 192.0.2.1 [2001:db8:2::1]; do
		on node1 curl -sf --max-time 3 "http://$address:8080/"
	done
	for address in 192.0.2.1 2001:db8:2::1; do
		on node1 ping -q -c 2 -i 0.2 -W 2 "$address"
	done
	for address in 192.0.2.11 [2001:db8:2::12]; do
		on guideway curl -sf --max-time 3 "http://$address:30080/"
	done
} >/dev/null

lab client guideway node1 node2
add_all_services node1 node2
guideway_start # Its twins have their addresses only after that.
grep -q 'snat: twin1 has no IPv4 address: services of that family in mode snat are not served' \
	"$lab_folder/guideway.log"
wait_until_served web web6 echo echo6
sees 192.0.2.1
spawn own guideway "$support/node" own 8080 5353
wait_until 5 machine_is_reached_and_reaches
serves_everything

# All of it at once, the machine being a client as well, by the same address.
ip -n "$lab_name-guideway" route add 10.0.0.0/24 dev twin1 src 192.0.2.1
traffic_start web client web --flows 100 --every 50 --new 30 --seconds 4
traffic_start machine guideway web --flows 40 --every 50 --seconds 4
for n in 1 2 3 4 5; do
	machine_is_reached_and_reaches
done
for name in web machine; do
	finish "$name"
	traffic_was_well "$name"
done

# Another address is used as well, and when it goes the flows of the first do not notice.
traffic_start stays client web --flows 50 --every 50 --seconds 60
wait_until 5 test -s "$lab_folder/stays.flows"
sleep 1
ip -n "$lab_name-guideway" addr add 192.0.2.9/24 dev twin1
wait_until 5 sees 192.0.2.9
ip -n "$lab_name-guideway" addr del 192.0.2.9/24 dev twin1
wait_until 5 snat_is '192.0.2.1, 2001:db8:2::1'
for n in 1 2 3 4 5 6; do
	sees 192.0.2.1
done
traffic_stop stays
traffic_was_well stays

# Without an address of a family its services are not served.
ip -n "$lab_name-guideway" addr del 2001:db8:2::1/64 dev twin1
wait_until 5 grep -q 'snat: twin1 has no IPv6 address' "$lab_folder/guideway.log"
wait_until 5 is_silent web6
on client fetch_peer web
addresses guideway twin1 2001:db8:2::1/64
wait_until_served web6
