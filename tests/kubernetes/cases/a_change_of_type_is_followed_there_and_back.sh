# A user makes a load balancer a NodePort Service, and a load balancer again, with and without a class;
# and deletes it, and applies another under its name: at no time has it more, or less, than it asks for.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

standard=service.kubernetes.io/load-balancer-cleanup ours=guideway.dev/lb-cleanup

type_set()
{
	kubectl patch service web --type merge \
		-p "{\"spec\": {\"type\": \"$1\", \"loadBalancerClass\": ${2:-null}}}" >/dev/null
}

is_bare()
{
	[ -z "$(vips web)$(finalizers web)$(field service/web '.status.conditions[*]')" ]
}

bears()
{
	[ "$(finalizers web | xargs -n 1 | sort | xargs)" = "$(printf '%s\n' "$@" | sort | xargs)" ]
}

is_served()
{
	has_vips web && answers_at_all web
}

guideway_more=$(kubernetes_config 'classless = true;')
guideway_begin
deployment_add web 2
class_apply web
wait_until 15 is_served
bears $ours
vip=$(vips web | head -n 1)

type_set NodePort
wait_until 10 is_bare
wait_until 5 is_silent "$vip"
[ -n "$(node_port web http)" ] # Whose it is, is not ours to say.

type_set LoadBalancer
wait_until 15 is_served
bears $ours $standard
type_set ClusterIP
wait_until 10 is_bare

type_set LoadBalancer '"example.com/other"'
sleep 2
is_bare
type_set ClusterIP
type_set LoadBalancer '"guideway.dev/lb"'
wait_until 15 is_served
bears $ours

# Another under its name: of another UID, with ports of its own.
before=$(field service/web .metadata.uid)
kubectl delete service web --timeout 15s >/dev/null
service_apply web
[ "$(field service/web .metadata.uid)" != "$before" ]
wait_until 15 is_served
bears $ours $standard
