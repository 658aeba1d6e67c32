# Another load balancer serves the Services without a class, and Guideway those of its own: each at its
# own addresses, at the same time and on the same machine, with none of the other's marks; and what the
# other left of its finalizer when it ended is not Guideway's to take away.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

standard=service.kubernetes.io/load-balancer-cleanup

# other_begin: it gives addresses from 203.0.113.1 and 2001:db8:113::1 on.
other_begin()
{
	KUBECONFIG=$cluster_folder/kubeconfig.node spawn reflb edge "$bin/reflb"
}

guideway_more=$(kubernetes_config | sed -e 's/113\.1-203.0.113.9/113.201-203.0.113.209/' \
	-e 's/113::1-2001:db8:113::9/113::c1-2001:db8:113::c9/')
guideway_begin
other_begin
deployment_add web 2
service_apply theirs
class_apply ours
service_apply nobodys 'loadBalancerClass: example.com/nobody'
with_pods_of web theirs ours nobodys
for name in theirs ours; do
	wait_until 15 has_vips $name
	wait_until 10 answers_at_all $name
done
vips theirs | grep -x 203.0.113.1
vips ours | grep -x 203.0.113.201
[ "$(finalizers theirs)" = $standard ]
[ "$(finalizers ours)" = guideway.dev/lb-cleanup ]
[ -z "$(field service/theirs '.status.conditions[*]')" ]
[ -z "$(vips nobodys)$(finalizers nobodys)$(field service/nobodys '.status.conditions[*]')" ]

# One of each goes, and the others stay.
class_apply ours-too
service_apply theirs-too
wait_until 15 has_vips ours-too
wait_until 15 has_vips theirs-too
kubectl delete service ours-too theirs-too --timeout 15s >/dev/null
for name in theirs ours; do
	all_answered $name 5
done

# The other one ends, and a Service that it served is none any more.
end reflb
kubectl patch service theirs --type merge -p '{"spec": {"type": "ClusterIP"}}' >/dev/null
ends_well guideway
guideway_begin
wait_until 10 answers_at_all ours
sleep 2
[ "$(finalizers theirs)" = $standard ]
asked=$(requests)
refute grep " patch .*$namespace/theirs" <<<"$asked"
other_begin
wait_until 10 eval '[ -z "$(finalizers theirs)" ]'
