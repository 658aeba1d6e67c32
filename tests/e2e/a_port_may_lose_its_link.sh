# A port may have no link at the start, and lose it later; the twin's carrier follows.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#                     p0, by AF_PACKET
#
LAB_DRIVER=af_packet
. "$(dirname "$0")/lib.sh"

port_cable()
{
	ip -n "$lab_name-wire" link set guideway-p0 "$1"
}

twin_has_carrier()
{
	[ "$(on guideway cat /sys/class/net/twin0/carrier)" = "$1" ]
}

lab client guideway node1
service_add web 10.0.0.1:80/tcp node1
port_cable down
guideway_begin
wait_until 5 twin_has_carrier 0
port_cable up
wait_until 5 twin_has_carrier 1
wait_until_served web
port_cable down
wait_until 5 twin_has_carrier 0
port_cable up
wait_until 5 twin_has_carrier 1
wait_until_served web
