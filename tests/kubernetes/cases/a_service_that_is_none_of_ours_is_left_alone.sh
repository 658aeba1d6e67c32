# Of several load balancers in one cluster each keeps to its own: a Service of another class, or of
# none, gets nothing from us; one that becomes ClusterIP gives back all that it had of us. Whatever others
# have in their annotations, be it U+0000, which the API server keeps, ours are followed.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

guideway_more=$(kubernetes_config)
service_annotations='example.com/note: "a\0b"'
service_apply theirs 'loadBalancerClass: example.com/other'
guideway_begin
deployment_add web 2
service_apply classless
service_annotations=
class_apply web
wait_until 15 has_vips web
for name in theirs classless; do
	kubectl get service $name --output json | grep -F '"example.com/note": "a\u0000b"' >/dev/null
done
refute eval 'ctl kubernetes | grep -E "NOT FOLLOWED|LEFT OUT"'
for name in theirs classless; do
	[ -z "$(vips $name)$(finalizers $name)$(field service/$name '.status.conditions[*]')" ]
done

vip=$(vips web | head -n 1)
kubectl patch service web --type merge \
	-p '{"spec": {"type": "ClusterIP", "loadBalancerClass": null}}' >/dev/null
wait_until 10 eval '[ -z "$(finalizers web)$(field service/web ".status.conditions[*]")" ]'
wait_until 5 is_silent "$vip"
