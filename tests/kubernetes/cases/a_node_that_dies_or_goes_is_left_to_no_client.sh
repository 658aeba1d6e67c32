# Nodes of the cluster come and go: one that is killed is found out by kube-proxy's health port, one
# that is excluded by its label drains, and both are used again.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

label=node.kubernetes.io/exclude-from-external-load-balancers
kubectl label node --all "$label-" >/dev/null # Of a case that failed before.
web_begin 1
wait_until 5 all_answered web 20

home=$(field pods '.items[0].spec.nodeName')
victim=node1
[ "$home" != node1 ] || victim=node2
node_dies "${victim#node}"
wait_until 5 node_is "$victim" down
all_answered web 20
node_returns "${victim#node}"
wait_until 10 node_is "$victim" up

is_named()
{
	ctl nodes | grep "^$1 .*up" >/dev/null
}

is_not_named()
{
	! is_named "$1"
}

kubectl label node "$victim" "$label=" >/dev/null
wait_until 5 is_not_named "$victim"
all_answered web 20
kubectl label node "$victim" "$label-" >/dev/null
wait_until 5 is_named "$victim"
