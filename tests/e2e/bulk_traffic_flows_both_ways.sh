# iperf3 runs through a VIP, either way, TCP and UDP, IPv4 and IPv6.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   2001:db8:a::1
#
# Its control connection and its data must meet on one node, so there is only one.
#
# Runs alone, since it takes both CPUs.
. "$(dirname "$0")/lib.sh"

megabits_of()
{
	/usr/bin/python3 -c 'import json, sys
end = json.load(sys.stdin)["end"]
print(int((end.get("sum_received") or end["sum"])["bits_per_second"] / 1e6))'
}

lab client guideway node1
service_add web 10.0.0.1:80/tcp node1
service_add bulk 10.0.0.1:5201/tcp node1
service_add bulk-udp 10.0.0.1:5201/udp node1
service_add bulk6 [2001:db8:a::1]:5201/tcp node1
service_add bulk6-udp [2001:db8:a::1]:5201/udp node1
spawn iperf3 node1 iperf3 -s
guideway_start
wait_until_served web

for vip in 10.0.0.1 2001:db8:a::1; do
	for way in "" -R "--udp --bitrate 20M" "--udp --bitrate 20M -R"; do
		rate=$(on client timeout 20 iperf3 -c $vip -t 2 $way --json | megabits_of)
		echo "$vip $way: $rate Mbit/s"
		[ "$rate" -ge 10 ]
	done
done
