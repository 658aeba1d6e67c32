# Of several load balancers in one cluster each keeps to its own: a Service of another class, or of
# none, gets nothing from us; one that becomes ClusterIP gives back all that it had of us.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 2
service_apply theirs 'loadBalancerClass: example.com/other'
service_apply classless
class_apply web
wait_until 15 has_vips web
for name in theirs classless; do
	[ -z "$(vips $name)$(finalizers $name)$(field service/$name '.status.conditions[*]')" ]
done

vip=$(vips web | head -n 1)
kubectl patch service web --type merge \
	-p '{"spec": {"type": "ClusterIP", "loadBalancerClass": null}}' >/dev/null
wait_until 10 eval '[ -z "$(finalizers web)$(field service/web ".status.conditions[*]")" ]'
wait_until 5 is_silent "$vip"
