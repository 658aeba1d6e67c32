# guidewayctl shows status, services, nodes, flows, counters and explanations, for people and as
# JSON, as curl gets it; its exit status says what went wrong.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     2001:db8:1::7   2001:db8:a::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

# status_of COMMAND...: its exit status.
status_of()
{
	local status=0

	"$@" >/dev/null 2>&1 || status=$?
	echo "$status"
}

# n_flows FILTER...
n_flows()
{
	ctl -o json flows "$@" | json 'len(d["flows"])'
}

lab client client1 guideway node1 node2
add_all_services node1 node2
guideway_start
wait_until_served web web6 echo
traffic_start web client web --flows 30 --every 100 --seconds 100 --patience 5000
traffic_start echo6 client echo6 --flows 20 --every 100 --seconds 100 --patience 5000
traffic_start other client1 web --flows 10 --every 100 --seconds 100 --patience 5000
wait_until 10 eval '[ $(n_flows --state established --service web) = 40 ]'
wait_until 10 eval '[ $(n_flows --state established --service echo6) = 20 ]'

ctl status | grep net_tap >/dev/null
ctl status | grep 'twin0' >/dev/null
for service in web web6 echo echo6; do
	ctl services | grep -w $service >/dev/null
done
[ "$(ctl services web | grep -c 'node[12]')" = 2 ]
ctl nodes | grep 'node1.* up' >/dev/null
ctl nodes node2 | grep node2 >/dev/null
ctl counters | grep flows-created >/dev/null
refute grep -q 'handover-full' <(ctl counters)
for command in status services "services web" nodes "nodes node1" flows counters; do
	ctl -o json $command | json 'type(d).__name__' | grep -x dict >/dev/null
done
[ "$(ctl -o json status | json 'd["pid"]')" = "${lab_processes[guideway]}" ]

# Filters of flows.
[ "$(n_flows --client 198.51.100.8 --protocol tcp --state established)" = 10 ]
[ "$(n_flows --client 198.51.100.8/31 --state established --service web)" = 10 ]
[ "$(n_flows --client 2001:db8:1::/64 --protocol udp --state established)" = 20 ]
[ "$(n_flows --service web --limit 5)" = 5 ]
ctl -o json flows --service web --limit 5 | json 'd["truncated"]' | grep -x True >/dev/null
[ "$(n_flows --service web --protocol udp)" = 0 ]
of_both=$(($(n_flows --service web --node node1 --state established) +
	$(n_flows --service web --node node2 --state established)))
[ "$of_both" = 40 ]
[ "$(ctl flows --client 198.51.100.8 --state established | grep -c 198.51.100.8:)" = 10 ]

# An explanation agrees with what happens.
port=$(ctl -o json flows --client 198.51.100.8 --state established | json 'd["flows"][0]["client"]' |
	sed 's/.*://')
ctl explain tcp "198.51.100.8:$port" 10.0.0.1:80 | grep 'node[12]' >/dev/null
explained=$(ctl -o json explain tcp "198.51.100.8:$port" 10.0.0.1:80)
json 'd["flow_found"] and d["forwarded"]' <<<"$explained" | grep -x True >/dev/null
grep -q "first $(json 'd["node"]' <<<"$explained")" <(grep " $port " "$lab_folder/other.flows")
ctl -o json explain tcp 198.51.100.8:1 10.0.0.1:81 | json 'd["drop"]' | grep -x no-service >/dev/null

# The same by curl.
curl -sf --unix-socket "$lab_folder/guideway.sock" "http://localhost/v1/flows?service=web&limit=3" |
	json 'len(d["flows"])' | grep -x 3 >/dev/null
[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$lab_folder/guideway.sock" \
	http://localhost/v1/nothing)" = 404 ]
[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$lab_folder/guideway.sock" \
	"http://localhost/v1/flows?limit=x")" = 400 ]

# Drained and not any more.
ctl drain node2
wait_until 5 node_is node2 draining
ctl nodes | grep 'node2.*draining' >/dev/null
ctl undrain node2
wait_until 5 node_is node2 up

[ "$(status_of ctl status)" = 0 ]
[ "$(status_of ctl drain nobody)" = 1 ]
[ "$(status_of ctl flows --node nobody)" = 1 ]
[ "$(status_of ctl explain tcp here there)" = 1 ]
[ "$(status_of ctl)" = 2 ]
[ "$(status_of ctl dance)" = 2 ]
[ "$(status_of ctl status --node node1)" = 2 ]
[ "$(status_of ctl -o xml status)" = 2 ]
for name in web echo6 other; do
	traffic_stop $name
	traffic_was_well $name
done
guideway_stop
[ "$(status_of ctl status)" = 3 ]
