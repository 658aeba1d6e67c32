# Guideway in a lab of network namespaces, with services and nodes in its configuration file.

. tests/e2e/lib.sh

# How many of the flows of each kind every node took.
spread_table()
{
	local node kind row

	printf '    %-8s %9s %9s %9s %9s\n' "" "TCP IPv4" "TCP IPv6" "UDP IPv4" "UDP IPv6"
	for node in node1 node2 node3 node4; do
		row=()
		for kind in web web6 echo echo6; do
			row+=("$(traffic_of_node "$kind" "$node" flows)")
		done
		printf '    %-8s %9d %9d %9d %9d  %s\n' "$node" "${row[@]}" "$(bar "${row[0]}")"
	done
}

# The first new connection that NODE answered after TIME began so many seconds after it.
first_answer_after()
{
	awk -v node="$1" -v since="$2" '$3 == "first" && $4 == node && $5 > since {
		printf "%.2f", $5 - since; exit }' "$lab_folder/coming.flows"
}

new_flows_after()
{
	awk -v since="$1" '$3 == "first" && $5 > since { n++ } END { print n + 0 }' \
		"$lab_folder/coming.flows"
}

# One service more for each of the other modes. What nodes answer to client2 goes through Guideway,
# as the mode dnat needs it; to the client it goes straight.
add_modes()
{
	local node

	service_add web-dnat 10.0.0.11:80/tcp node1 node2 node3 node4
	service_add web-dsr 10.0.0.12:80/tcp node1 node2 node3 node4
	service_add web-ipip 10.0.0.13:80/tcp node1 node2 node3 node4
	service_add web-gue 10.0.0.14:80/tcp node1 node2 node3 node4
	service_more[web-dnat]='mode = "dnat";'
	service_more[web-dsr]='mode = "dsr";'
	service_more[web-ipip]='mode = "tunnel"; tunnel = "ip";'
	service_more[web-gue]='mode = "tunnel"; tunnel = "gue";'
	nodes_have_vips
	nodes_answer directly
	for node in "${lab_nodes[@]}"; do
		ip -n "$lab_name-$node" route add "$(client_address client2)" via 192.0.2.1
	done
	guideway_reload
}

# client_address CLIENT
client_address()
{
	ip -n "$lab_name-$1" -o -4 addr show dev eth0 | awk '{ sub("/.*", "", $4); print $4 }'
}

# mode_row MODE SERVICE CLIENT: what a request shows.
mode_row()
{
	local saw way=straight

	saw=$(on "$3" fetch_client "$2")
	[ "$(api "services?service=$2" | json 'd["services"][0]["traffic"]["packets_out"]')" = 0 ] ||
		way="through Guideway"
	printf '    %-12s %-15s %-15s %s\n' "$1" "$(client_address "$3")" "$saw" "$way"
}

headline "A client, Guideway and four nodes"
cat <<'PICTURE'
    client ──────────── guideway ──────┬──── node1  NodePort 30080 -> :8080
    198.51.100.7        10.0.0.1       ├──── node2
    2001:db8:1::7       2001:db8:a::1  ├──── node3
                                       └──── node4
PICTURE

lab client client2 guideway node1 node2 node3 node4
add_all_services node1 node2 node3 node4
guideway_start
wait_until_served web web6 echo echo6

headline "A request through each VIP"
show curl -s http://10.0.0.1/
show curl -s http://[2001:db8:a::1]/
say "and a datagram to 10.0.0.1:53: $green$(on client ask_peer echo)$plain"

headline "400 flows of each kind, spread by Maglev hashing"
for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 400 --every 500 --seconds 2
done
for service in web web6 echo echo6; do
	finish $service
done
spread_table

headline "The forwarding modes side by side"
add_modes
printf '    %-12s %-15s %-15s %s\n' "" "client" "the node saw" "its answer came"
wait_until 10 on client2 fetch_client web-dnat
for service in web-dsr web-ipip web-gue; do
	wait_until 10 on client fetch_client $service
done
mode_row snat web client
mode_row dnat web-dnat client2
mode_row dsr web-dsr client
mode_row "tunnel, IPIP" web-ipip client
mode_row "tunnel, GUE" web-gue client

headline "node2 is cut off, with 200 connections open and 100 new ones a second"
traffic_start standing client web --flows 200 --every 100 --seconds 60 --patience 5000
traffic_start coming client web --new 100 --seconds 60 --patience 5000
sleep 1.5
cut=$EPOCHREALTIME
pull node2
wait_until 5 node_is node2 down
sleep 2.5
back=$EPOCHREALTIME
push node2
wait_until 5 node_is node2 up
sleep 2
end standing
end coming

broken=$(traffic_of_node standing node2 broken)
broken_elsewhere=$(($(traffic_total standing broken) - broken))
moved=$(traffic_total standing moved)
n_new=$(new_flows_of_all coming)
n_failed=$(traffic_total coming failed)
say "nothing went to node2 any more after $(trouble_lasted "$cut") s"
say "its $broken connections were reset, so that their clients could begin anew at once"
say "of the other $((200 - broken)), $broken_elsewhere broke and $moved changed their node"
say "of $n_new new connections, $n_failed failed"

headline "It comes back"
n_back=$(new_flows_of_node_between coming node2 "$back" 9999999999)
n_since=$(new_flows_after "$back")
say "it got new connections again after $(first_answer_after node2 "$back") s,"
say "$n_back of the $n_since since then"

headline "What Guideway counted"
ctl services | sed 's/^/    /'
ctl nodes | sed 's/^/    /'

demo_end "ip netns exec $lab_name-client curl http://10.0.0.1/" \
	"$guidewayctl -s $lab_folder/guideway.sock status" \
	"scripts/demo --end $lab_name"
