# The annotation guideway.dev/forwarding moves a Service from one mode to any other, at the address
# that it has: its status says how, and after that all is answered.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
nodes_undo_tunnels
deployment_add web 4
class_apply web
wait_until 15 has_vips web
addresses=$(vips web)

is_in_mode()
{
	local ip_mode=VIP

	[ "$1" != snat ] || ip_mode=Proxy
	[ "$(field service/web '.status.loadBalancer.ingress[*].ipMode')" = "$ip_mode $ip_mode" ] &&
		condition_is web Programmed "True Forwarding" &&
		[ "$(api services?service="$namespace/web:80/tcp" | json 'd["services"][0]["mode"]')" = "${1%-gue}" ]
}

for mode in dsr tunnel snat tunnel-gue dnat dsr snat dnat tunnel; do
	clients_are_reached_by "$([ $mode = dnat ] && echo edge || echo router)"
	kubectl annotate service web --overwrite "guideway.dev/forwarding=$mode" >/dev/null
	wait_until 15 is_in_mode $mode
	[ "$(vips web)" = "$addresses" ]
	wait_until 5 answers_at_all web
	all_answered web 20
done

# A word that is none changes nothing, and is told of.
kubectl annotate service web --overwrite guideway.dev/forwarding=teleport >/dev/null
wait_until 10 condition_is web Degraded "True UnknownForwarding"
