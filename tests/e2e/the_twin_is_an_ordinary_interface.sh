# What is for the machine itself goes to it by the twin: ping, TCP and UDP, either way.
#
#     client ──────── guideway
#     198.51.100.7    198.51.100.1 on twin0
#     2001:db8:1::7   2001:db8:1::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

lab client guideway node1
service_add web 10.0.0.1:80/tcp node1
guideway_start
wait_until_served web
spawn own guideway "$support/node" own 8080 5353
wait_until 5 on client curl -sf http://198.51.100.1:8080/

for address in 198.51.100.1 2001:db8:1::1; do
	refute grep -qE 'DUP|[^0]% packet loss' <(on client ping -c 5 -i 0.2 -W 2 "$address")
done
for address in 198.51.100.7 2001:db8:1::7; do
	refute grep -qE 'DUP|[^0]% packet loss' <(on guideway ping -c 5 -i 0.2 -W 2 "$address")
done
size=5000000
for address in 198.51.100.1 [2001:db8:1::1]; do
	[ "$(on client curl -sf --max-time 20 "http://$address:8080/bytes/$size" | sha256sum)" = \
		"$(digest_of $size)  -" ]
done
on client "$support/traffic" --udp --flows 10 --every 50 --seconds 1 198.51.100.1 5353 |
	grep -q 'lost 0 moved 0 broken 0 failed 0'

# tcpdump on the twin sees what the kernel gets.
spawn dump guideway timeout 10 tcpdump -n -l -i twin0 -c 2 icmp
wait_until 5 grep -q listening "$lab_folder/dump.log"
on client ping -q -c 3 -i 0.2 -W 2 198.51.100.1
finish dump
