# Whoever applies the examples of config/kubernetes gets what they say, with the pools of the shipped
# ConfigMap; and all of it goes when they are deleted.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

manifests=$repository/config/kubernetes

# The group 'kubernetes' of the ConfigMap, but by a kubeconfig, and with Services without a class.
shipped_group()
{
	admin create --dry-run=client -f "$manifests/configmap.yaml" \
		--output 'jsonpath={.data.guideway\.conf}' | sed -n '/^kubernetes = {/,/^};/p' |
		sed "s|classless = false|classless = true; kubeconfig = \"$cluster_folder/kubeconfig.guideway\"|"
}

# address_of SERVICE [N]: the only one that it has, or the Nth.
address_of()
{
	vips "$1" | sed -n "${2:-1}p"
}

# comes_from SERVICE: whom its pods see.
comes_from()
{
	get "$(address_of "$1")" /clientip | sed 's/:[0-9]*$//'
}

says_plain() { serves plain; }
says_classless()
{
	serves classless
	[ "$(finalizers classless)" = "service.kubernetes.io/load-balancer-cleanup guideway.dev/lb-cleanup" ] ||
		[ "$(finalizers classless)" = "guideway.dev/lb-cleanup service.kubernetes.io/load-balancer-cleanup" ]
}
says_dual_stack()
{
	serves dual-stack
	[[ "$(vips dual-stack | xargs)" == 203.0.113.*\ 2001:db8:113::* ]]
	wait_until 5 get "$(address_of dual-stack 2)"
}
says_requested_address()
{
	serves requested-address
	[ "$(vips requested-address)" = 203.0.113.80 ]
}
says_pool()
{
	serves pool
	[ "$(address_of pool | cut -d . -f 4)" -gt 127 ]
}
says_shared_address()
{
	serves shared-web
	has_vips shared-admin 1
	[ "$(vips shared-web)" = "$(vips shared-admin)" ]
	wait_until 5 get "$(vips shared-admin)" /hostname 8000
}
says_mixed_protocols()
{
	wait_until 10 has_vips mixed-protocols 1
	wait_until 5 get "$(vips mixed-protocols)" /hostname 53
	wait_until 5 ask "$(vips mixed-protocols)"
}
says_source_ranges()
{
	serves source-ranges
	refute at wire curl -sf --max-time 1 "http://$(vips source-ranges)/" # 10.89.0.1 is not of them.
}
says_affinity()
{
	serves affinity
	condition_is affinity Degraded "True AffinityBySNATAddress"
	[ "$(pods_that_answer 20 get "$(vips affinity)" | wc -w)" = 1 ]
}
says_local()
{
	serves local
	condition_is local Degraded "True ClientAddressLost"
	[ "$(comes_from local)" = "$snat4" ]
}
says_direct_answer()
{
	serves direct-answer
	[ "$(comes_from direct-answer)" = $outside4.10 ]
	[ "$(field service/direct-answer '.status.loadBalancer.ingress[0].ipMode')" = VIP ]
}
says_no_node_ports()
{
	[ -z "$(field service/no-node-ports '.spec.ports[*].nodePort')" ]
	serves no-node-ports
}

says_dnat()
{
	clients_are_reached_by edge
	serves dnat
	[ "$(comes_from dnat)" = $outside4.10 ]
	clients_are_reached_by router
}
says_tunnel()
{
	nodes_undo_tunnels
	serves tunnel
	[ "$(comes_from tunnel)" = $outside4.10 ]
	[ "$(api "services?service=$namespace/tunnel:80/tcp" | json 'd["services"][0]["tunnel"]')" = gue ]
}
says_sctp()
{
	pods_answer_sctp web
	wait_until 15 condition_is sctp Programmed "True Forwarding"
	wait_until 10 on client /usr/bin/python3 "$sctp" ask "$(vips sctp)" 9000 20000
}
says_ipv6_first()
{
	serves ipv6-first
	[[ "$(vips ipv6-first | xargs)" == 2001:db8:113::*\ 203.0.113.* ]]
}
says_load_balancer_ip()
{
	serves load-balancer-ip
	[ "$(vips load-balancer-ip)" = 203.0.113.81 ]
}
says_tuning()
{
	serves tuning
	[ -z "$(condition tuning Degraded)" ]
	[ "$(api "services?service=$namespace/tuning:80/tcp" |
		json '[d["services"][0][key] for key in ("idle_s", "mss", "fail_open")]')" = "[900, 1300, True]" ]
	[ "$(ctl -o json nodes node1 | grep -o "\"$(node_ip4 1):10256\"" | wc -l)" = 2 ] # That of all, and its own.
}

# serves SERVICE: it has an address, and pods answer there.
serves()
{
	wait_until 15 eval "[ -n \"\$(vips $1)\" ]"
	wait_until 10 get "$(address_of "$1")"
}

guideway_more="health = { interval = 0.5; timeout = 0.5; rise = 1; fall = 2; }; $(tunnel_config) $(shipped_group)"
guideway_begin
kubectl apply -f "$manifests/examples" >/dev/null
kubectl rollout status deployment/web --timeout 60s >/dev/null
for example in "$manifests"/examples/*.yaml; do
	name=$(basename "$example" .yaml)
	[ "$name" = web ] || "says_${name//-/_}" || fail "$name is not served as it says"
done

all_are_gone()
{
	[ -z "$(kubectl get services --output name)" ]
}

kubectl delete -f "$manifests/examples" --timeout 30s >/dev/null
wait_until 5 all_are_gone
