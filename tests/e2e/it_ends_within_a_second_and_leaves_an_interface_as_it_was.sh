# SIGTERM ends it within a second, with status 0, and an interface that it had is as it was.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#                     p0, by AF_PACKET
#
# Runs alone, since it measures time.
# Runs under the sanitizers too.
LAB_DRIVER=af_packet
. "$(dirname "$0")/lib.sh"

# What Guideway changes of it while it runs.
state_of_p0()
{
	on guideway ethtool -k p0 | grep -E '^(generic|large)-receive-offload|^rx-vlan'
	on guideway cat /proc/sys/net/ipv6/conf/p0/disable_ipv6
	ip -n "$lab_name-guideway" -o -d link show p0 | grep -oE 'PROMISC|ALLMULTI|promiscuity [0-9]+|mtu [0-9]+'
}

lab client guideway node1
on guideway ethtool -K p0 gro on
service_add web 10.0.0.1:80/tcp node1
had=$(state_of_p0)

quickest=9999
for round in 1 2 3; do
	guideway_start
	wait_until_served web
	on guideway nft list ruleset | grep drop >/dev/null
	[ "$(state_of_p0)" != "$had" ]

	guideway_stop
	[ "$ended_in_ms" -gt "$quickest" ] || quickest=$ended_in_ms
	[ "$(state_of_p0)" = "$had" ] || fail "p0 was: $had"$'\n'"and is: $(state_of_p0)"
	[ -z "$(on guideway nft list ruleset)" ] || fail "the drop rule is still there"
	refute ip -n "$lab_name-guideway" link show twin0 2>/dev/null
	[ ! -e "$lab_folder/guideway.sock" ] || fail "the control socket is still there"
done
[ "$quickest" -lt 1000 ] || [[ $build = *sanitized* ]] || fail "it took $quickest ms to end"
