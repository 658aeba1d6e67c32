# Once everything is said, the audit log has nothing more of us but Leases that are kept and watches
# that begin again: whatever Services there are, served, degraded or refused, and of either of two
# instances.
#
# QUIET_S=300 tests/kubernetes/cases/... watches for five minutes, which is too long for scripts/test.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

quiet_s=${QUIET_S:-60}

# service_with NAME ANNOTATION
service_with()
{
	class_apply "$1"
	kubectl annotate service "$1" "$2" >/dev/null
}

guideway_more=$(tunnel_config)
checks="" # Nobody is to be found dead here in a hurry.
two_begin
nodes_undo_tunnels
deployment_add web 2
class_apply web
class_apply local 'externalTrafficPolicy: Local'
class_apply affinity 'sessionAffinity: ClientIP'
class_apply deaf 'allocateLoadBalancerNodePorts: false'
service_with direct guideway.dev/forwarding=dsr
service_with through guideway.dev/forwarding=tunnel
service_with mistaken guideway.dev/forwarding=by-pigeon
service_with elsewhere guideway.dev/load-balancer-ips=192.0.2.1
service_apply theirs 'loadBalancerClass: example.com/other'
with_pods_of web local affinity deaf direct through mistaken elsewhere theirs
for name in web local affinity direct through mistaken; do
	wait_until 15 has_vips $name
done
wait_until 10 answers_at_all web
wait_until 20 condition_is through Programmed "True Forwarding"
wait_until 10 eval '[ -n "$(condition elsewhere Accepted)" ]'
sleep 10 # Kubernetes has its own things to say of what is new.

# What is asked for is not compared by its number, but a watch that ends at once would be many. Each of the
# two may begin one again.
asked_too_much()
{
	local asked

	asked=$(requests) || return 1
	grep -vE '^200 (get|update) leases guideway/|^200 watch ' <<<"$asked" || true
	sed -n '/^200 watch /p' <<<"$asked" | sort | uniq -c | awk '$1 > 2'
}

audit_forget
sleep "$quiet_s"
too_much=$(asked_too_much)
[ -z "$too_much" ] || fail "in $quiet_s idle seconds Guideway asked for: $too_much"

# It was not deaf.
class_apply late
wait_until 10 has_vips late
[ -n "$(asked_too_much)" ]
