# With all nodes down a service rejects, so that clients hear it at once, or fails open and uses them
# all; when they are up again both serve.
#
#     client ──────── guideway ──┬──── node1  serves, though its check says
#     198.51.100.7    10.0.0.1   └──── node2  that it does not
#     2001:db8:1::7   2001:db8:a::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

# How a connection to a service fails, in curl's number: 7 is refused.
refusal_of()
{
	local status=0

	here curl -s --max-time 5 "$(url_of "$1")" >/dev/null || status=$?
	echo "$status"
}

datagram_is_refused()
{
	here /usr/bin/python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b"?")
try: s.recv(99)
except ConnectionRefusedError: sys.exit(0)
sys.exit(1)' "${service_vip[$1]}" "${service_port[$1]}"
}

lab client guideway node1 node2
add_all_services node1 node2
service_add web-open 10.0.0.2:80/tcp node1 node2
service_add web-open6 '[2001:db8:a::2]:80/tcp' node1 node2
service_add echo-open 10.0.0.2:53/udp node1 node2
for service in web-open web-open6 echo-open; do
	service_more[$service]='on_all_down = "fail-open";'
done
LAB_CHECK_STATUS=503
guideway_begin
for node in node1 node2; do
	wait_until 10 node_is $node down
done
wait_until 5 no_table_waits

for service in web web6; do
	[ "$(on client refusal_of $service)" = 7 ] || fail "$service: curl says $(on client refusal_of $service)"
done
for service in echo echo6; do
	on client datagram_is_refused $service || fail "$service: the client heard nothing"
done
wait_until_served web-open web-open6 echo-open
for service in web-open web-open6; do
	[ "$(on client peers $service 30)" = "node1 node2" ]
done
[ "$(drop no-target)" -gt 0 ]

LAB_CHECK_STATUS=200
guideway_reload
wait_until 10 nodes_are_up
wait_until_served web web6 echo echo6 web-open web-open6 echo-open
