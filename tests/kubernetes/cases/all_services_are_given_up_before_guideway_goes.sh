# guidewayctl kubernetes release --all: all Services lose our finalizers, conditions and addresses, so
# that nothing waits for a Guideway that is uninstalled; none is claimed again until it is told, and
# then all are as before.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 2
class_apply web
class_apply other
class_apply waiting 'loadBalancerIP: 198.51.100.77' # Which no pool has.
wait_until 15 has_vips web
wait_until 15 has_vips other
wait_until 10 eval '[[ "$(condition waiting Accepted)" == "False "* ]]'
wait_until 10 answers_at_all web
vip=$(vips web | head -n 1)

refute ctl kubernetes release # It is of all.
refute eval 'echo no | ctl kubernetes release --all'
get "$vip" >/dev/null
said=$(ctl kubernetes release --all --yes)
echo "$said" | grep -qx '3 of 3 Services are released'
for name in web other waiting; do
	[ -z "$(vips $name)$(finalizers $name)$(field service/$name '.status.conditions[*]')" ]
done
wait_until 5 is_silent "$vip"

# Neither news nor new Services change that.
kubectl annotate service web a=b >/dev/null
class_apply new
sleep 2
[ -z "$(vips web)$(finalizers web)$(finalizers new)" ]
kubectl delete service other --timeout 5s >/dev/null

ctl kubernetes claim
wait_until 15 has_vips web
wait_until 15 has_vips new
wait_until 10 answers_at_all web
