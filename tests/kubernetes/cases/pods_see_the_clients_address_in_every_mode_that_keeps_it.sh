# In dsr, tunnel and dnat a Service that is Local is reached by both families, TCP and UDP, through
# kube-proxies of both kinds, and its pods see the client's own address. In dsr and tunnel they answer
# the client past Guideway.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

packets_out()
{
	api services | json 'sum(s["traffic"]["packets_out"] for s in d["services"])'
}

# Each pod is on a node of its own, and so is reached through that node's kube-proxy.
every_pod_answers()
{
	[ "$(pods_that_answer 60 get "$1")" = "$(pods_of web | xargs -n 1 | sort | xargs)" ]
}

sees_the_client()
{
	local address=$outside4.10

	[[ $1 != *:* ]] || address=$outside6:10
	[[ $(get "$1" /clientip) == *"$address"* && $(ask "$1" clientip) == *"$address"* ]]
}

guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
nodes_undo_tunnels
deployment_add web 4
for mode in dsr tunnel tunnel-gue dnat; do
	[ $mode != dnat ] || clients_are_reached_by edge
	mode_apply web $mode 'externalTrafficPolicy: Local'
	wait_until 15 condition_is web Programmed "True Forwarding"
	[ "$(field service/web '.status.loadBalancer.ingress[*].ipMode')" = "VIP VIP" ]
	before=$(packets_out)
	for vip in $(vips web); do
		wait_until 10 every_pod_answers "$vip"
		wait_until 5 sees_the_client "$vip"
	done
	[ $mode = dnat ] || [ "$(packets_out)" = "$before" ] || fail "in $mode answers came through Guideway"
	kubectl delete service web --timeout 15s >/dev/null
done
