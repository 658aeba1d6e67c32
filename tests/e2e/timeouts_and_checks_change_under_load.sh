# Timeouts, checks and answers are changed again and again under load, and nothing is lost; what
# needs a restart is named in the log, and is as before.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   ├──── node2
#     2001:db8:1::7              └──── node3
#                     2001:db8:a::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2 node3
LAB_CHECK_INTERVAL=1
LAB_CHECK_TIMEOUT=1
add_all_services node1 node2 node3
guideway_start
wait_until_served web web6 echo echo6
for service in web web6 echo echo6; do
	traffic_start $service client $service --flows 40 --every 100 --new 20 --seconds 100 --patience 5000
done
for round in 1 2 3; do
	LAB_CHECK_INTERVAL=1.$round
	LAB_CHECK_STATUS='"200-299"'
	guideway_more="timeouts = { tcp = ${round}000; udp = ${round}00; tcp_half_open = 1$round; drain = $round; };
		answers = { per_second = ${round}00; };"
	guideway_reload
	sleep 0.3
	for service in web web6; do
		service_check[$service]='"tcp"'
		service_more[$service]="idle = 60$round;"
	done
	guideway_more="answers = { unknown_tcp = \"drop\"; };"
	guideway_reload
	sleep 0.3
	service_check=()
	service_more=()
	LAB_CHECK_STATUS=200
	guideway_more=""
	guideway_reload
	sleep 0.3
done
refute grep 'only at a restart' "$lab_folder/guideway.log"

LAB_FLOWS=1024
LAB_IDLE=poll
guideway_reload
grep 'flows.*only at a restart' "$lab_folder/guideway.log"
grep 'idle.*only at a restart' "$lab_folder/guideway.log"
refute grep -E '(nodes|services|health).*only at a restart' "$lab_folder/guideway.log"
[ "$(api status | json 'd["flows"]["ipv4_max"]')" -ge 65536 ]
nodes_are_up
for service in web web6 echo echo6; do
	traffic_stop $service
	traffic_was_well $service
done
