# Guideway in the cluster's edge, with nodes and NodePorts in its configuration file: the client
# reaches pods through each node's real kube-proxy, TCP and UDP over both families.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../by_hand.sh"

deployment_add web 2
service_apply web 'loadBalancerClass: example.com/nobody'
guideway_more=$(nodes_by_hand; services_by_hand web each)
guideway_start

# VIPs N to 4 are those of the node of that number alone.
for ((n = 1; n <= n_nodes; n++)); do
	for vip in 203.0.113.$n 2001:db8:113::$n; do
		wait_until 5 get "$vip"
		[ "$(pods_that_answer 20 get "$vip")" = "$(pods_of web | xargs -n 1 | sort | xargs)" ]
		wait_until 5 ask "$vip"
	done
done

# Every one of them carried it: kube-proxy of each mode, by its own tables.
on node1 nft list table ip kube-proxy | grep -q "$(node_port web http)"
on node2 iptables -t nat -S | grep -q -- "--dport $(node_port web http)"
