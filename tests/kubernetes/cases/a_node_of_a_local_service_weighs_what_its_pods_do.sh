# externalTrafficPolicy Local: a node with three pods gets three times as many connections as one with
# one, so that every pod gets its share, by either family, in every mode; and half of them once
# that is one, too. How many it has is what its kube-proxy says, not what the API server does.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

ASKED=300
services="web dsr tunnel dnat"

# pods_on N NAME REPLICAS: of the Services, with another Deployment for each node.
pods_on()
{
	deployment_add "$2" "$3"
	kubectl patch deployment "$2" --patch "{\"spec\": {\"template\": {
		\"metadata\": {\"labels\": {\"pods\": \"all\"}},
		\"spec\": {\"nodeSelector\": {\"kubernetes.io/hostname\": \"node$1\"}}}}}" >/dev/null
	kubectl rollout status "deployment/$2" --timeout 60s >/dev/null
}

# weigh MANY FEW: what the nodes do that are up, for all Services, by either family.
weigh()
{
	local service port

	for service in $services; do
		for port in 80/tcp 80/tcp6; do
			[ "$(api "services?service=$namespace/$service:$port" | json '*sorted((m["node"], m["weight"])
				for m in d["services"][0]["members"] if m["state"] == "up")')" = \
				"('node1', $1) ('node2', $2)" ] || return 1
		done
	done
}

# slices_say MANY FEW: how many endpoints are ready, in every slice.
slices_say()
{
	local of_each

	of_each=$(kubectl get endpointslices --output json | json '*{str([sum(e["conditions"]["ready"]
		for e in s["endpoints"] or [] if e["nodeName"] == n) for n in ("node1", "node2")]) for s in d["items"]}')
	[ "$of_each" = "[$1, $2]" ]
}

# pods_have_their_shares MANY FEW: how many pods there are of either.
pods_have_their_shares()
{
	local vip

	ask_all --times "$ASKED" $vips >"$lab_folder/answers"
	refute grep ' -$' "$lab_folder/answers"
	for vip in $vips; do
		is_about "$(grep -c " $vip many-" "$lab_folder/answers")" $((ASKED * $1 / ($1 + $2)))
		is_about "$(grep -c " $vip few-" "$lab_folder/answers")" $((ASKED * $2 / ($1 + $2)))
	done
}

# A deviation is at most 9; four of them make the difference between what is right and what is not.
is_about()
{
	[ "$1" -gt $(($2 - 36)) ] && [ "$1" -lt $(($2 + 36)) ] || fail "$1 of $ASKED, which should be $2"
}

checks="" # Nobody is to be found dead here in a hurry.
guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
nodes_undo_tunnels
clients_are_reached_by edge # As in dnat they have to be.
pods_on 1 many 3
pods_on 2 few 1
class_apply web 'externalTrafficPolicy: Local'
mode_apply dsr dsr 'externalTrafficPolicy: Local'
mode_apply tunnel tunnel 'externalTrafficPolicy: Local'
mode_apply dnat dnat 'externalTrafficPolicy: Local'
kubectl patch service $services --patch '{"spec": {"selector": {"app": null, "pods": "all"}}}' >/dev/null
wait_until 20 are_served $services
vips=$(vips_of $services)
wait_until 20 weigh 3 1
pods_have_their_shares 3 1

# Nobody has told the node that two of its pods are to end.
nodes_are_cut_off 1
kubectl scale deployment many --replicas 1 >/dev/null
wait_until 10 slices_say 1 1
sleep 2
weigh 3 1 || fail "the number of endpoints won over what kube-proxy says"
pods_have_their_shares 3 1

nodes_are_back 1
wait_until 40 weigh 1 1
pods_have_their_shares 1 1
