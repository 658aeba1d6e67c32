# guidewayctl kubernetes release --all: all Services, of every mode, lose our finalizers, conditions and
# addresses, so that nothing waits for a Guideway that is uninstalled; none is claimed again until it is
# told, and then all are as before.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

services="web dsr tunnel dnat"
modes_begin 2 "dsr tunnel dnat"
class_apply other
class_apply waiting 'loadBalancerIP: 198.51.100.77' # Which no pool has.
wait_until 15 has_vips other
wait_until 10 eval '[[ "$(condition waiting Accepted)" == "False "* ]]'
vips=$(vips_of $services)

refute ctl kubernetes release # It is of all.
refute eval 'echo no | ctl kubernetes release --all'
all_serve $vips
said=$(ctl kubernetes release --all --yes)
echo "$said" | grep -qx '6 of 6 Services are released'
for name in $services other waiting; do
	[ -z "$(vips $name)$(finalizers $name)$(field service/$name '.status.conditions[*]')" ]
done
wait_until 5 none_serves $vips

# Neither news nor new Services change that.
kubectl annotate service web a=b >/dev/null
class_apply new
sleep 2
[ -z "$(vips web)$(finalizers web)$(finalizers new)" ]
kubectl delete service other --timeout 5s >/dev/null

ctl kubernetes claim
wait_until 20 are_served $services
wait_until 15 has_vips new
