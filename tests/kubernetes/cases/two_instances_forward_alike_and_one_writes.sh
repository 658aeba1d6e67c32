# Two Guidewayes on one cluster: both forward, at the same addresses and to the same nodes, since they
# share the hash key; one of them leads, and only it writes to Services.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

two_begin
wait_until 15 second follows edge
[ "$(instance hash_key) $(second instance hash_key)" = "shared shared" ]
deployment_add web 4
class_apply web
wait_until 15 has_vips web
addresses=$(vips web)
[ "$(field service/web '.metadata.annotations.guideway\.dev/addresses')" = "$(echo $addresses | tr ' ' ,)" ]

wait_until 10 all_answer $addresses
by 240 wait_until 10 all_answer $addresses
for vip in $addresses; do
	[ "$(choices "$vip")" = "$(second choices "$vip")" ]
	[ "$(choices "$vip" | sort -u | wc -l)" -gt 1 ]
done

# What an idle minute is made of: Leases.
sleep 2
audit_forget
sleep 5
asked=$(requests)
refute grep -v ' leases ' <<<"$asked"

kubectl delete service web --timeout 15s >/dev/null
for vip in $addresses; do
	wait_until 5 is_silent "$vip"
	by 240 wait_until 5 is_silent "$vip"
done
