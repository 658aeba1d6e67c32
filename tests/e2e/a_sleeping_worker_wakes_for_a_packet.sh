# A worker that may sleep takes next to no CPU with nothing to do, and wakes for the first packet.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#
LAB_IDLE=sleep
. "$(dirname "$0")/lib.sh"

# Of CPU time, all threads together.
milliseconds_used()
{
	awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' \
		"/proc/${lab_processes[guideway]}/stat"
}

lab client guideway node1
service_add web 10.0.0.1:80/tcp node1
service_add echo 10.0.0.1:53/udp node1
guideway_start
wait_until_served web echo
before=$(milliseconds_used)
sleep 3
used=$(($(milliseconds_used) - before))
[ "$used" -lt 1000 ] || fail "it took $used ms of CPU to do nothing for 3 s"

quickest=9999
for round in 1 2 3 4 5; do
	sleep 0.5
	rtt=$(on client ping -n -c 1 -W 2 10.0.0.1 | sed -n 's/.*time=\([0-9]*\).*/\1/p')
	[ "$rtt" -gt "$quickest" ] || quickest=$rtt
done
[ "$quickest" -lt 20 ] || fail "a ping of a sleeping worker takes $quickest ms at best"
[ "$(on client fetch_peer web)" = node1 ]
