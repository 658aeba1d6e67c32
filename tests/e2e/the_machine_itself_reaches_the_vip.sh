# The machine that Guideway runs on is a client like any other, by its twin.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    198.51.100.80
#     2001:db8:1::7   2001:db8:1::80
#                                └──── node2
#
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
service_add web 198.51.100.80:80/tcp node1 node2
service_add web6 [2001:db8:1::80]:80/tcp node1 node2
service_add echo 198.51.100.80:53/udp node1 node2
guideway_start
wait_until_served web web6

for service in web web6 echo; do
	traffic_start $service guideway $service --flows 40 --every 50 --seconds 2
done
for service in web web6 echo; do
	finish $service
	traffic_was_well $service
	[ "$(traffic_of_node $service node1 flows)" -gt 0 ]
	[ "$(traffic_of_node $service node2 flows)" -gt 0 ]
done
size=2000000
[ "$(on guideway curl -sf --max-time 20 "$(url_of web /bytes/$size)" | sha256sum)" = \
	"$(digest_of $size)  -" ]
