# Two Guideways run on one machine, each with its own VIP, and one ends without the other noticing.
#
#     client ──┬───── guideway  ──┬──── node1
#              │      10.0.0.1    │
#              └───── guideway2 ──┴──── node2
#                     10.0.0.2
#
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
service_add web 10.0.0.1:80/tcp node1 node2
guideway_start
wait_until_served web
traffic_start standing client web --flows 50 --every 50 --seconds 60

host_add guideway2
lab_guideway=guideway2
guideway_number=1
service_names=()
service_add web2 10.0.0.2:80/tcp node1 node2
guideway_start
ip -n "$lab_name-client" route add 10.0.0.2 via 198.51.100.2
wait_until_served web2
ctl services | grep web2 >/dev/null
guideway_stop

lab_guideway=guideway
ctl services | grep web >/dev/null
traffic_stop standing
traffic_was_well standing
