# Nodes of the cluster come and go, in every mode: one that is killed is found out by kube-proxy's health
# port, or that of a Local Service, one that is excluded by its label drains, and both are used again.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

label=node.kubernetes.io/exclude-from-external-load-balancers
services="web tunnel dnat near"

# nodes_of DEPLOYMENT: those of its pods.
nodes_of()
{
	kubectl get pods --selector "app=$1" --output 'jsonpath={.items[*].spec.nodeName}'
}

# nodes_for SERVICE: those that take its new connections.
nodes_for()
{
	api "services?service=$namespace/$1:80/tcp" | json '" ".join(m["node"]
		for m in d["services"][0]["members"] if m["state"] == "up")'
}

# is_for, is_not_for NODE: all Services, and none.
is_for()
{
	local service

	for service in $services; do
		[[ " $(nodes_for "$service") " == *" $1 "* ]] || return 1
	done
}

is_not_for()
{
	local service

	for service in $services; do
		[[ " $(nodes_for "$service") " != *" $1 "* ]] || return 1
	done
}

# all_are_answered: so many at once that each node has some.
all_are_answered()
{
	all_answer_to --times 20 $vips
}

kubectl label node --all "$label-" >/dev/null # Of a case that failed before.
modes_begin 1 "tunnel dnat"
deployment_add near 2
mode_apply near dsr 'externalTrafficPolicy: Local'
wait_until 20 are_served near
vips=$(vips_of $services)
all_are_answered

# It has a pod of the Local one, whose other pod lives, and not the only one of the others.
victim=$(nodes_of near | tr ' ' '\n' | grep -vx "$(nodes_of web)" | head -n 1)
wait_until 5 is_for "$victim"
node_dies "${victim#node}"
wait_until 5 node_is "$victim" down
wait_until 5 is_not_for "$victim"
all_are_answered
node_boots "${victim#node}"
clients_are_reached_by edge
wait_until 10 node_is "$victim" up
wait_until 40 is_for "$victim" # Once its pod is there again.
all_are_answered

kubectl label node "$victim" "$label=" >/dev/null
wait_until 5 is_not_for "$victim"
all_are_answered
kubectl label node "$victim" "$label-" >/dev/null
wait_until 5 is_for "$victim"
all_are_answered
