# A configuration file written by hand from what kubectl says, for cases without Guideway's own
# Kubernetes client.

nodes_by_hand()
{
	local n rows=()

	for ((n = 1; n <= n_nodes; n++)); do
		rows+=("{ name = \"node$n\"; address = [ \"$(node_ip4 "$n")\", \"$(node_ip6 "$n")\" ]; }")
	done
	echo "health = { kind = \"http\"; port = 10256; path = \"/healthz\";" \
		"interval = 0.5; timeout = 0.5; rise = 1; fall = 2; };"
	echo "nodes = ( $(join "${rows[@]}") );"
}

# services_by_hand SERVICE each|all: VIPs 203.0.113.N and 2001:db8:113::N, with N a node's number or,
# for all of them, 100.
services_by_hand()
{
	local n rows=()

	if [ "$2" = all ]; then
		rows+=("$(services_at "$1" 100)")
	else
		for ((n = 1; n <= n_nodes; n++)); do
			rows+=("$(services_at "$1" "$n" "nodes = [ \"node$n\" ];")")
		done
	fi
	echo "services = ( $(join "${rows[@]}") );"
}

services_at()
{
	local vip rows=()

	for vip in "203.0.113.$2" "2001:db8:113::$2"; do
		rows+=("{ name = \"http-$vip\"; vip = \"$vip\"; port = 80; protocol = \"tcp\";
			node_port = $(node_port "$1" http); ${3:-} }")
		rows+=("{ name = \"echo-$vip\"; vip = \"$vip\"; port = 53; protocol = \"udp\";
			node_port = $(node_port "$1" echo); check = { port = 10256; }; ${3:-} }")
	done
	join "${rows[@]}"
}
