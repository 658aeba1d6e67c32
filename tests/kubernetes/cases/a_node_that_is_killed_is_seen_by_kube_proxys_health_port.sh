# A node of each of kube-proxy's modes loses its link, kubelet, kube-proxy and pods at once: the check
# of port 10256 says so, no client waits for it from then on, and it is used again once it is back.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../by_hand.sh"

# all_answered N: so many requests in a row, to pods that may be on the dead node only if the cluster
# still thinks that they live.
all_answered()
{
	local n

	for ((n = 0; n < $1; n++)); do
		get 203.0.113.100 >/dev/null && get 2001:db8:113::100 >/dev/null ||
			{ echo "not answered: request $n" >&2 && return 1; }
	done
}

deployment_add web 1
service_apply web 'loadBalancerClass: example.com/nobody'
guideway_more=$(nodes_by_hand; services_by_hand web all)
guideway_start
wait_until 5 all_answered 20

# The node of the only pod is to live.
home=$(field pods '.items[0].spec.nodeName')
for n in 1 2; do
	[ "$home" != "node$n" ] || n=$((n + 2))
	node_dies "$n"
	wait_until 5 node_is "node$n" down
	all_answered 20
	node_returns "$n"
	wait_until 5 node_is "node$n" up
	all_answered 20
done
