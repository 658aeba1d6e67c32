# In dsr nodes learn the VIP from the status of the Service. One that has not gets no packets of it:
# while none has, packets end as target-not-ready and the Service is not programmed; once one has, it
# gets all; and the others join it when they know. A port that comes later is learnt the same way, while
# the others are served.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

# ready_nodes PORT/PROTOCOL
ready_nodes()
{
	api "services?service=$namespace/web:$1" | json '" ".join(sorted(
		m["node"] for m in d["services"][0]["members"] if m["state"] == "up"))'
}

ready_are()
{
	[ "$(ready_nodes "$1")" = "$2" ]
}

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 4
nodes_are_cut_off 1 2 3 4
mode_apply web dsr
wait_until 10 has_vips web
wait_until 5 condition_is web Programmed "False AwaitingNodes"
refute get "$(vips web | head -n 1)"
[ "$(drop target-not-ready)" -gt 0 ]
ctl explain tcp "$(first $outside4.10:7000 "[$outside6:10]:7000")" \
	"$(bracketed "$(vips web | head -n 1)"):80" | grep target-not-ready >/dev/null ||
	fail "explain does not say why"
refute eval 'kubectl describe service web | grep EnsuredLoadBalancer >/dev/null'

nodes_are_back 2
wait_until 20 condition_is web Programmed "True Forwarding"
wait_until 5 eval 'kubectl describe service web | grep EnsuredLoadBalancer >/dev/null'
for port in 80/tcp 80/tcp6 53/udp 53/udp6; do
	wait_until 5 ready_are $port node2
done
all_answered web 20
answers_at_all web

nodes_are_back 1 3 4
for port in 80/tcp 80/tcp6 53/udp 53/udp6; do
	wait_until 20 ready_are $port "node1 node2 node3 node4"
done
all_answered web 20

nodes_are_cut_off 1 2 3 4
kubectl patch service web --type json -p '[{"op": "add", "path": "/spec/ports/-",
	"value": {"name": "more", "port": 81, "targetPort": 8080}}]' >/dev/null
wait_until 10 condition_is web Programmed "False AwaitingNodes"
all_answered web 20
refute get "$(vips web | head -n 1)" /hostname 81
nodes_are_back 1 2 3 4
wait_until 20 condition_is web Programmed "True Forwarding"
for vip in $(vips web); do
	wait_until 5 get "$vip" /hostname 81 >/dev/null # Nodes may hear of its endpoints later.
done
