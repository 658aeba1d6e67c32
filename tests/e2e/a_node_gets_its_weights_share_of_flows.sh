# A node of weight 3 gets three times as many flows as one of weight 1, and one of weight 0 none; a
# reload changes weights and moves no flow.
#
#     client ──────── guideway ──┬──── node1  weight 3, then 1
#     198.51.100.7    10.0.0.1   ├──── node2  weight 1
#     2001:db8:1::7              └──── node3  weight 0, then 2
#                     2001:db8:a::1
#
. "$(dirname "$0")/lib.sh"

# share_is NAME NODE PER_CENT: give or take five standard deviations of a fair choice.
share_is()
{
	local got

	got=$(traffic_of_node "$1" "$2" flows)
	awk -v n="$(traffic_total "$1" flows)" -v got="$got" -v p="$3" 'BEGIN {
		p /= 100; d = 5 * sqrt(n * p * (1 - p)); exit got < n * p - d || got > n * p + d }' ||
		fail "$1: $2 got $got of $(traffic_total "$1" flows) flows"
}

# all_are_answered NAME N: so many flows have had an answer.
all_are_answered()
{
	[ "$(grep -c ' first ' "$lab_folder/$1.flows")" = "$2" ]
}

lab client guideway node1 node2 node3
add_all_services node1 node2 node3
node_more[node1]="weight = 3;"
node_more[node3]="weight = 0;"
guideway_start
wait_until_served web web6 echo echo6
for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 200 --every 500 --seconds 60 --patience 5000
	# One after the other: datagrams of all flows at once are more than a TAP's queue takes.
	wait_until 10 all_are_answered $service 200
done

node_more[node1]="weight = 1;"
node_more[node3]="weight = 2;"
guideway_reload
traffic_start after client web --flows 500 --every 500 --seconds 2 --patience 5000
finish after
traffic_was_well after
share_is after node1 25
share_is after node2 25
share_is after node3 50
for service in web web6 echo echo6; do
	traffic_stop $service
	traffic_was_well $service
	share_is $service node1 75
	share_is $service node2 25
	[ "$(traffic_of_node $service node3 flows)" = 0 ] || fail "$service: node3 got flows"
done
