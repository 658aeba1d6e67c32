# After kill -9 the next start puts an adopted interface back as it was and adopts it again; a
# session with the machine lives through it. Between the two nothing of the kernel's silence is left
# but what the record says.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   p0, with 198.51.100.1, 192.0.2.1 and default routes
#
LAB_DRIVER=${LAB_DRIVER:-af_packet}
. "$(dirname "$0")/lib.sh"

in_guideway()
{
	ip netns exec "$lab_name-guideway" "$@"
}

addresses_of()
{
	ip -n "$lab_name-guideway" -o addr show dev "$1" scope global | awk '{ print $4 }' | sort
}

# All routes but the kernel's own, with the name of the interface taken out.
routes_of()
{
	{
		ip -n "$lab_name-guideway" route show dev "$1"
		ip -n "$lab_name-guideway" -6 route show dev "$1"
	} | grep -v -e 'proto kernel' -e fe80 | sort
}

lab client guideway node1
addresses guideway p0 198.51.100.1/24 2001:db8:1::1/64 192.0.2.1/24 2001:db8:2::1/64
ip -n "$lab_name-guideway" route add default via 198.51.100.7 metric 50 proto static
ip -n "$lab_name-guideway" route add default via 2001:db8:1::7 metric 50
in_guideway ethtool -K p0 gro on
had_addresses=$(addresses_of p0)
had_routes=$(routes_of p0)
service_add web 10.0.0.1:80/tcp node1

spawn own guideway "$support/node" own 8080 5353
wait_until 5 on client curl -sf http://198.51.100.1:8080/
spawn session client "$support/traffic" --log "$lab_folder/session.flows" --flows 10 --every 100 \
	--patience 20000 --seconds 100 198.51.100.1 8080
LAB_ADOPT=true
for round in 1 2; do
	guideway_start
	wait_until_served web
	[ "$(addresses_of twin0)" = "$had_addresses" ]
	[ "$(routes_of twin0)" = "$had_routes" ]
	[ -z "$(addresses_of p0)" ]
	in_guideway nft list ruleset | grep 'policy drop' >/dev/null

	end guideway KILL
	[ -z "$(in_guideway nft list ruleset)" ] || fail "the drop rule outlived its process"
	[ -s "$lab_folder/guideway.state/interfaces.json" ]
done

# Without adoption the start puts them back, and then refuses the interface that has them.
LAB_ADOPT=false
guideway_config >"$lab_folder/guideway.conf"
refute in_guideway timeout 10 "$guideway" --config "$lab_folder/guideway.conf" 2>"$lab_folder/refusal.log"
grep -q 'p0.*adopt' "$lab_folder/refusal.log"
[ "$(addresses_of p0)" = "$had_addresses" ]
[ "$(routes_of p0)" = "$had_routes" ]
[ ! -e "$lab_folder/guideway.state/interfaces.json" ]
[ "$(on guideway cat /proc/sys/net/ipv6/conf/p0/disable_ipv6)" = 0 ]
in_guideway ethtool -k p0 | grep 'generic-receive-offload: on' >/dev/null
[[ $(in_guideway ip link show p0) != *PROMISC* ]] || fail "p0 is still promiscuous"
on client ping -qc 2 -i 0.2 198.51.100.1
on client ping -qc 2 -i 0.2 2001:db8:1::1

sleep 2
traffic_stop session
traffic_was_well session
