# From inside of the cluster, too, a VIP is reached in every mode: from a node and from a pod, with
# the Service's pod on the same node and on another, by nodes of both of kube-proxy's kinds.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

# pod_on NODE: a pod of no Service.
pod_on()
{
	kubectl run "asker-$1" --image agnhost --overrides \
		"{\"spec\": {\"nodeName\": \"$1\", \"terminationGracePeriodSeconds\": 1}}" >/dev/null
	kubectl wait --for condition=Ready --timeout 30s "pod/asker-$1" >/dev/null
}

reaches_from_pod()
{
	[ "$(kubectl exec "asker-$1" -- curl -sf --max-time 3 "http://$(bracketed "$2")/hostname")" = "$pod" ]
}

reaches_from_node()
{
	[ "$(on "$1" curl -sf --max-time 3 "http://$(bracketed "$2")/hostname")" = "$pod" ]
}

guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
nodes_undo_tunnels
deployment_add web 1
pod=$(pods_of web)
home=$(field pods '.items[0].spec.nodeName')
other=node$((${home#node} % n_nodes + 1)) # Of kube-proxy's other kind.
pod_on "$home"
pod_on "$other"

for mode in snat dsr tunnel dnat; do
	clients_are_reached_by "$([ $mode = dnat ] && echo edge || echo router)"
	mode_apply web $mode
	wait_until 15 condition_is web Programmed "True Forwarding"
	for vip in $(vips web); do
		for node in "$home" "$other"; do
			wait_until 10 reaches_from_node "$node" "$vip"
			wait_until 10 reaches_from_pod "$node" "$vip"
		done
		wait_until 10 get "$vip" # And the client still.
	done
done
