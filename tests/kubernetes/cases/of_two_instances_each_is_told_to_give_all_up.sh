# guidewayctl kubernetes says of both instances who leads, and since when; and of release --all that each
# has to be told: then the one that leads next claims nothing, until it is told to.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

shows()
{
	ctl kubernetes | grep -E "$1" >/dev/null
}

is_released()
{
	[ -z "$(vips web)$(finalizers web)$(field service/web '.status.conditions[*]')" ]
}

two_begin
wait_until 15 second follows edge
shows '^edge_[0-9a-f]{8} leads: it writes to Services$'
shows '^edge_[0-9a-f]{8} \(this one\) +leads +[0-9.]+ s ago$'
shows '^edge2_[0-9a-f]{8} +follows +[0-9.]+ s ago$'
second shows '^edge2_[0-9a-f]{8} does not lead; the leader is edge_[0-9a-f]{8}, whose Lease was renewed [0-9.]+ s ago$'

deployment_add web 2
class_apply web
wait_until 15 has_vips web
addresses=$(vips web)
wait_until 10 all_answer $addresses

refute second ctl kubernetes release --all --yes
all_answer $addresses
said=$(ctl kubernetes release --all --yes 2>&1)
grep -x '1 of 1 Services are released' <<<"$said" >/dev/null
grep -x 'guidewayctl: each other instance has to be told the same .*: edge2' <<<"$said" >/dev/null
is_released

end guideway
wait_until 15 second leads
sleep 2
is_released
second ctl kubernetes claim
wait_until 15 has_vips web
by 240 wait_until 10 all_answer $(vips web)
