# In every mode: a user makes a load balancer a NodePort Service, and a load balancer again, with and without
# a class; and deletes it, and applies another under its name: at no time has it more, or less, than it asks
# for.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

standard=service.kubernetes.io/load-balancer-cleanup ours=guideway.dev/lb-cleanup
services="web dsr tunnel dnat"

# type_set TYPE [CLASS]
type_set()
{
	kubectl patch service $services --type merge \
		-p "{\"spec\": {\"type\": \"$1\", \"loadBalancerClass\": ${2:-null}}}" >/dev/null
}

# all_have FIELD...: what they have there, one after another.
all_have()
{
	kubectl get service $services --output "jsonpath=$(printf '{.items[*]%s}' "$@")"
}

are_bare()
{
	[ -z "$(all_have '.status.loadBalancer.ingress[*]' '.metadata.finalizers[*]' '.status.conditions[*]')" ]
}

# bear FINALIZER...: these, each of them, and no others.
bear()
{
	[ "$(all_have '.metadata.finalizers[*]' | xargs -n 1 | sort | xargs)" = \
		"$(for service in $services; do printf '%s\n' "$@"; done | sort | xargs)" ]
}

guideway_more="$(kubernetes_config 'classless = true;') $(tunnel_config)"
guideway_begin
deployment_add web 2
class_apply web
for mode in dsr tunnel dnat; do
	beside $mode
done
wait_until 20 are_served $services
bear $ours
vips=$(vips_of $services)

type_set NodePort
wait_until 10 are_bare
wait_until 5 none_serves $vips
[ "$(all_have '.spec.ports[*].nodePort' | wc -w)" = 8 ] # Whose they are, is not ours to say.

type_set LoadBalancer
wait_until 20 are_served $services
bear $ours $standard
type_set ClusterIP
wait_until 10 are_bare

type_set LoadBalancer '"example.com/other"'
sleep 2
are_bare
type_set ClusterIP
type_set LoadBalancer '"guideway.dev/lb"'
wait_until 20 are_served $services
bear $ours

# Others under their names: of other UIDs, with ports of their own.
before=$(all_have .metadata.uid)
kubectl delete service $services --timeout 15s >/dev/null
for service in $services; do
	service_annotations="guideway.dev/forwarding: ${service/web/snat}" service_apply "$service"
done
with_pods_of web dsr tunnel dnat
for uid in $(all_have .metadata.uid); do
	[[ " $before " != *" $uid "* ]]
done
wait_until 20 are_served $services
bear $ours $standard
