# An interface with addresses is refused, unless Guideway may adopt it: then its addresses and
# routes move to the twin and back, and a session with the machine lives through both.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   p0, with 198.51.100.1, 192.0.2.1 and a default route
#
LAB_DRIVER=af_packet
. "$(dirname "$0")/lib.sh"

addresses_of()
{
	ip -n "$lab_name-guideway" -o addr show dev "$1" scope global | awk '{ print $4 }' | sort
}

lab client guideway node1
addresses guideway p0 198.51.100.1/24 2001:db8:1::1/64 192.0.2.1/24 2001:db8:2::1/64
ip -n "$lab_name-guideway" route add default via 198.51.100.7
ip -n "$lab_name-guideway" route add default via 2001:db8:1::7
had=$(addresses_of p0)
service_add web 10.0.0.1:80/tcp node1

guideway_config >"$lab_folder/guideway.conf"
refute on guideway timeout 10 "$guideway" --config "$lab_folder/guideway.conf" 2>"$lab_folder/refusal.log"
grep -q 'p0.*adopt' "$lab_folder/refusal.log"
[ "$(addresses_of p0)" = "$had" ]

spawn own guideway "$support/node" own 8080 5353
wait_until 5 on client curl -sf http://198.51.100.1:8080/
spawn session client "$support/traffic" --log "$lab_folder/session.flows" --flows 10 --every 100 \
	--patience 8000 --seconds 60 198.51.100.1 8080
LAB_ADOPT=true
for round in 1 2; do
	guideway_start
	wait_until_served web
	[ "$(addresses_of twin0)" = "$had" ]
	[ -z "$(addresses_of p0)" ]
	ip -n "$lab_name-guideway" route show default | grep 'via 198.51.100.7 dev twin0' >/dev/null
	ip -n "$lab_name-guideway" -6 route show default | grep 'via 2001:db8:1::7 dev twin0' >/dev/null
	guideway_stop
	[ "$(addresses_of p0)" = "$had" ]
	ip -n "$lab_name-guideway" route show default | grep 'via 198.51.100.7 dev p0' >/dev/null
	ip -n "$lab_name-guideway" -6 route show default | grep 'via 2001:db8:1::7 dev p0' >/dev/null
	sleep 1
done
traffic_stop session
traffic_was_well session
