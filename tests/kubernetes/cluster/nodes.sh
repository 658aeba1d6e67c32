# Nodes, from outside: each is a network namespace and one process in it, the script 'node'.

# Half of the nodes have one of kube-proxy's modes, half the other.
proxy_mode_of()
{
	[ $(($1 % 2)) = 1 ] && echo nftables || echo iptables
}

# nsenter, since "ip netns exec" would hide the cgroups under /sys.
node_start()
{
	daemon "node$1" nsenter --net="/run/netns/$cluster-node$1" unshare --mount --pid --fork --uts \
		--ipc --kill-child "$kubernetes_folder/cluster/node" "$1" "$(proxy_mode_of "$1")"
}

# Nobody else gives pods their addresses here.
node_register()
{
	local prefixes

	prefixes=$(both "$(node_pods4 "$1")" "$(node_pods6 "$1")")
	attempt 60 admin get node "node$1"
	admin patch node "node$1" --type merge --patch \
		"{\"spec\": {\"podCIDR\": \"${prefixes%,*}\", \"podCIDRs\": [\"${prefixes/,/\", \"}\"]}}" >/dev/null
}

# kube-proxy says that it is healthy before it has written its first rules.
node_await()
{
	admin wait --for condition=Ready --timeout 60s node "node$1" >/dev/null
	attempt 60 proxy_has_rules "node$1"
}

proxy_has_rules()
{
	[ "$(at "$1" curl -sf --max-time 1 http://127.0.0.1:10249/metrics |
		grep -c '^kubeproxy_sync_proxy_rules_last_timestamp_seconds.* [1-9]')" = 2 ]
}

nodes_start()
{
	local n

	for ((n = 1; n <= n_nodes; n++)); do
		node_start "$n"
	done
	for ((n = 1; n <= n_nodes; n++)); do
		node_register "$n"
	done
	for ((n = 1; n <= n_nodes; n++)); do
		node_await "$n"
	done
}

# node_kill N: the machine is gone at once, with its link, kubelet, kube-proxy and pods.
node_kill()
{
	ip_at wire link set "node$1-eth0" down
	daemon_signal "node$1" KILL
	attempt 5 daemon_has_ended "node$1"
}

# node_revive N: what was killed boots, and remembers nothing. Returns when it is ready. The kernel
# keeps the old namespace while connections of the dead have not given up, so its cable is cut. Nor does
# it mind that the API server has forgotten it, too.
node_revive()
{
	ip_at wire link del "node$1-eth0"
	ip netns del "$cluster-node$1"
	node_wires_add "$1"
	node_start "$1"
	node_register "$1"
	attempt 60 node_is_back "$1"
	node_await "$1"
}

# Whether what the API server knows of a node comes from its present kubelet.
node_is_back()
{
	local boot

	boot=$(cat "$cluster_folder/boot.node$1")
	[ "$(admin get node "node$1" --output 'jsonpath={.status.nodeInfo.bootID}')" = "$boot" ]
}
