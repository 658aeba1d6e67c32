# With flow memory full of established flows a new one is refused, none of the old is lost, and when
# some end there is room again.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     2001:db8:1::7   2001:db8:a::1
#
LAB_IDLE=sleep
. "$(dirname "$0")/lib.sh"

LAB_FLOWS=64
lab client guideway node1 node2
service_add web 10.0.0.1:80/tcp node1 node2
service_add web6 '[2001:db8:a::1]:80/tcp' node1 node2
guideway_start
wait_until_served web web6
for service in web web6; do
	traffic_start $service-old client $service --flows 40 --every 50 --seconds 100 --patience 5000
done
sleep 1
for service in web web6; do
	traffic_start $service-crowd client $service --flows 100 --every 50 --seconds 3 --patience 1500
done
sleep 2
full=$(drop flows-full)
[ "$(api status | json 'd["flows"]["ipv4"] <= d["flows"]["ipv4_max"]')" = True ]
for service in web web6; do
	finish $service-crowd
	[ "$(traffic_total $service-crowd failed)" -gt 0 ] || fail "$service: all of the crowd got in"
	[ "$(traffic_total $service-crowd answered)" -gt 0 ] || fail "$service: none of the crowd got in"
done
[ "$full" -gt 0 ]

# The crowd has left: its flows close, and closing ones give way.
wait_until_served web web6
for service in web web6; do
	traffic_stop $service-old
	traffic_was_well $service-old
done
