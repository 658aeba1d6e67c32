# Two Guidewayes on one cluster: both forward, at the same addresses and to the same nodes, since they
# share the hash key; one of them leads, and only it writes to Services. It writes a status once the other
# forwards by it, too, or after five seconds.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

# status_comes NAME: after how many milliseconds a new Service has it.
status_comes()
{
	local applied

	class_apply "$1"
	applied=$EPOCHREALTIME
	wait_until 10 has_vips "$1"
	milliseconds_since "$applied"
}

lease_s=15 # Longer than what is waited for the other one while it lives.
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

prompt=$(status_comes prompt)
[ "$prompt" -lt 4000 ] || fail "a status came after $prompt ms"
kill -STOP "${lab_processes[guideway2]}"
late=$(status_comes late)
[ "$late" -gt 4000 ] && [ "$late" -lt 9000 ] || fail "without the other one, a status came after $late ms"
kill -CONT "${lab_processes[guideway2]}"
echo "Says: a status came after $prompt ms, and after $late ms while the other instance was stopped"

kubectl delete service web --timeout 15s >/dev/null
for vip in $addresses; do
	wait_until 5 is_silent "$vip"
	by 240 wait_until 5 is_silent "$vip"
done
