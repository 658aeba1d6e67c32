# For a minute tables swap every few milliseconds under load. Every new connection goes to the node
# that its client has in one of the tables in force at that moment, and no flow ever moves.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2
#                                ├──── node3  drained and undrained,
#                                └──── node4  as is this one
#
# Draining a node takes it out of the ring for new flows, and leaves those that it has. So there are
# four rings, and the next is always one call away: neither drained, 4, 3 and 4, 3.
#
# Runs alone, since it measures time.
. "$(dirname "$0")/lib.sh"

SECONDS_OF_SWAPS=${SECONDS_OF_SWAPS:-60}
ports=20000-23999

# Where every client port goes while nothing changes.
record()
{
	local state=$1

	sleep 0.2
	on client "$support/traffic" --new 1200 --seconds 5 --reset --ports "$ports" \
		--patience 3000 --log "$lab_folder/$state.flows" 10.0.0.1 80 >"$lab_folder/$state.log"
	traffic_was_well "$state"
	# What a busy machine did not answer in time is not judged by.
	[ "$(awk '$3 == "first" { print $2 }' "$lab_folder/$state.flows" | sort -u | wc -l)" -gt 3000 ]
}

LAB_CHECK_INTERVAL=2 # No node is to be given up: it is not about health.
LAB_CHECK_TIMEOUT=2
lab client guideway node1 node2 node3 node4
service_add web 10.0.0.1:80/tcp node1 node2 node3 node4
service_add echo 10.0.0.1:53/udp node1 node2 node3 node4
guideway_start
wait_until_served web echo

record none
ctl drain node4
record 4
ctl drain node3
record 34
ctl undrain node4
record 3
ctl undrain node3

traffic_start standing client web --flows 300 --every 100 --seconds 300 --patience 3000
traffic_start asking client echo --flows 300 --every 100 --seconds 300 --patience 3000
sleep 1
spawn swaps guideway /usr/bin/python3 "$repository/tests/support/swap.py" \
	"$lab_folder/guideway.sock" "$SECONDS_OF_SWAPS" "$lab_folder/swaps" \
	none: 4:drain:node4 34:drain:node3 3:undrain:node4 none:undrain:node3
sleep 1
spawn coming client "$support/traffic" --new 300 --asks 3 --every 500 --reset --ports "$ports" \
	--seconds $((SECONDS_OF_SWAPS - 2)) --patience 3000 --log "$lab_folder/coming.flows" 10.0.0.1 80
finish coming
finish swaps
cat "$lab_folder/swaps.log"
for name in standing asking; do
	traffic_stop $name
done
for name in standing coming; do
	traffic_was_well $name
done
traffic_was_well asking 2

cd "$lab_folder"
"$repository/tests/support/judge_swaps.py" swaps coming.flows \
	none=none.flows 4=4.flows 34=34.flows 3=3.flows
[ "$(wc -l <swaps)" -ge $((SECONDS_OF_SWAPS * 20)) ] || fail "only $(wc -l <swaps) swaps"
