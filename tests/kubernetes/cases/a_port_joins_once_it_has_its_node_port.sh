# A port without a NodePort, in a mode that needs one, is told of by its error, an event and a condition,
# while the others serve; and it joins at the same address when it has one. A Service that has only such
# ports is told so, and keeps its address over the time in which it cannot be served.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

# ports_apply NODE_PORT...: of the ports 80, 81, ... of the Service; "" for none.
ports_apply()
{
	local port=80 node_port

	{
		cat <<-YAML
			apiVersion: v1
			kind: Service
			metadata: {name: web}
			spec:
			  type: LoadBalancer
			  loadBalancerClass: guideway.dev/lb
			  allocateLoadBalancerNodePorts: false
			  selector: {app: web}
			  ipFamilies: [IPv4]
			  ports:
		YAML
		for node_port in "$@"; do
			echo "  - {name: p$port, port: $port, targetPort: 8080${node_port:+, nodePort: $node_port}}"
			port=$((port + 1))
		done
	} | kubectl apply -f - >/dev/null
}

# says EXPRESSION: in a line of what people see of the Service.
says()
{
	kubectl describe service web | grep -E "$1" >/dev/null
}

errors()
{
	field service/web '.status.loadBalancer.ingress[0].ports[*].error'
}

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 2
ports_apply 31480 ""
wait_until 15 has_vips web 1
vip=$(vips web)
wait_until 10 get "$vip"
[ "$(errors)" = guideway.dev/NoNodePort ]
[ "$(field service/web '.status.loadBalancer.ingress[0].ports[?(@.error)].port')" = 81 ]
wait_until 5 condition_is web Degraded "True NoNodePort"
wait_until 5 says 'Warning +NoNodePort .*81/TCP \(guideway.dev/NoNodePort\)'
refute get "$vip" /hostname 81

ports_apply 31480 31481
wait_until 10 get "$vip" /hostname 81
get "$vip"
[ "$(vips web)" = "$vip" ]
wait_until 5 eval '[ -z "$(errors)" ] && [ -z "$(condition web Degraded)" ]'

# Nothing is left that can be served, and then there is again.
ports_apply ""
wait_until 10 condition_is web Accepted "False NoUsablePort"
[ -z "$(vips web)" ]
wait_until 5 says 'SyncLoadBalancerFailed .*80/TCP \(guideway.dev/NoNodePort\)'
[ "$(field service/web '.metadata.annotations.guideway\.dev/addresses')" = "$vip" ]
ports_apply 31480
wait_until 10 get "$vip"
wait_until 5 has_vips web 1
[ "$(vips web)" = "$vip" ]
