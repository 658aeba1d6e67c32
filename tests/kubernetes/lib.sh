# Cases: a user of Kubernetes, clients outside of the cluster, and Guideway between them
# =====================================================================================
#
# The cluster that tests/kubernetes/up brought up is there for all cases, one after another. Its
# wires are drawn in cluster/network.sh: a case speaks of the hosts client, edge, wire, control and
# node1 to node4, odd ones with kube-proxy's mode nftables and even ones with iptables.
#
# A case has a Kubernetes namespace of its own, where "kubectl" is, and may kill nodes and stop the API
# server. However it ends, its namespace goes, what is dead comes back, and the edge is as it was; what
# else it changes, a function case_undo of its own undoes. A case fails, too, if Guideway asked the API
# server for anything that it may not have.
#
# Everything of tests/e2e/lib.sh that is not about its own hosts is here, too: on, spawn, end,
# wait_until, ctl, api, json, counter, drop, refute, fail.

. "$(dirname "${BASH_SOURCE[0]}")/cluster/settings.sh"
LAB_NAME=$cluster
. "$kubernetes_folder/../e2e/lib.sh"
for part in processes network keys control nodes; do
	. "$kubernetes_folder/cluster/$part.sh"
done
[ -e "$cluster_folder/kubeconfig.guideway" ] || fail "there is no cluster; tests/kubernetes/up brings it up"

# The API server refuses a name that is still going.
namespace=${CASE_NAMESPACE:-case-$$}
dead_nodes=() # By their numbers.
nodes_marked=""
autoscaler_taint=ToBeDeletedByClusterAutoscaler
out_taint=node.kubernetes.io/out-of-service
taints=("$autoscaler_taint" "$out_taint")
edge=edge # Where Guideway runs.
snat4=$inside4.251 snat6=$inside6:251

# --- Beginning and end ---------------------------------------------------------------------------

case_begin()
{
	edge_settle
	leases_forget
	audit_forgive
	admin create namespace "$namespace" >/dev/null
}

# A Guideway that was killed is waited for as long as its Lease lasts.
leases_forget()
{
	admin --namespace guideway delete leases --all >/dev/null
}

# Services go while who serves them is there, and pods while their nodes are.
case_remove()
{
	local status=$?

	trap - EXIT ERR
	trap '' INT TERM
	set +e
	(apiserver_returns) || status=1
	[ "$status" = 0 ] || { kubectl get all,events --output wide | tail -n 60; } >&2
	! declare -F case_undo >/dev/null || case_undo
	nodes_unmark
	(dead_nodes_return) && (ways_are_put_back) && namespace_remove && nothing_was_forbidden || status=1
	[ "$status" != 0 ] || ended_well || status=1
	processes_end
	case_leave "$status"
}

# On to what tests/e2e/lib.sh does at the end, with that status.
case_leave()
{
	(exit "$1")
	lab_remove
}
trap case_remove EXIT

namespace_remove()
{
	admin delete namespace "$namespace" --timeout 120s >/dev/null && return
	echo "failed: the namespace does not go; what is left in it:" >&2
	kubectl get all --output yaml | grep -A 5 -E '^    (name|finalizers):' >&2
	return 1
}

# What is still there; a Guideway that is killed leaves the edge without its addresses, so that it is
# asked first.
processes_end()
{
	local n

	[ "${#lab_processes[@]}" -gt 0 ] || return
	kill -TERM "${lab_processes[@]}" 2>/dev/null
	for ((n = 0; n < 50; n++)); do
		kill -0 "${lab_processes[@]}" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "${lab_processes[@]}" 2>/dev/null
}

# --- Kubernetes ----------------------------------------------------------------------------------

# kubectl ARGUMENT...: as the administrator, in the case's namespace.
kubectl()
{
	admin --namespace "$namespace" "$@"
}

# deployment_add NAME REPLICAS: of pods that tell who they are, on TCP port 8080 by HTTP and on UDP
# port 8081. Returns when all are ready.
deployment_add()
{
	kubectl apply -f - >/dev/null <<-YAML
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: $1}
		spec:
		  replicas: $2
		  selector: {matchLabels: {app: $1}}
		  template:
		    metadata: {labels: {app: $1}}
		    spec:
		      terminationGracePeriodSeconds: 1
		      topologySpreadConstraints:
		      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
		         labelSelector: {matchLabels: {app: $1}}}
		      containers:
		      - name: agnhost
		        image: agnhost
		        args: [netexec, --http-port=8080, --udp-port=8081]
		        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
	YAML
	kubectl rollout status "deployment/$1" --timeout 60s >/dev/null
}

# service_apply NAME [FIELD...]: a Service of type LoadBalancer and both families for a Deployment of
# that name, TCP port 80 and UDP port 53, with further fields of its spec in YAML, and what is in
# service_annotations.
service_apply()
{
	local name=$1

	shift
	kubectl apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Service
		metadata: {name: $name, annotations: {${service_annotations:-}}}
		spec:
		  type: LoadBalancer
		  selector: {app: $name}
		  ipFamilyPolicy: RequireDualStack
		  ports:
		  - {name: http, port: 80, targetPort: 8080, protocol: TCP}
		  - {name: echo, port: 53, targetPort: 8081, protocol: UDP}
		$(printf '  %s\n' "$@")
	YAML
}

# with_pods_of DEPLOYMENT SERVICE...: these Services are in front of that one's pods, too.
with_pods_of()
{
	local service

	for service in "${@:2}"; do
		kubectl set selector service "$service" "app=$1" >/dev/null
	done
}

# field KIND/NAME JSONPATH
field()
{
	kubectl get "$1" --output "jsonpath={$2}"
}

# node_port SERVICE http|echo
node_port()
{
	field "service/$1" ".spec.ports[?(@.name==\"$2\")].nodePort"
}

# vips SERVICE: what its status says, a line each.
vips()
{
	field "service/$1" '.status.loadBalancer.ingress[*].ip' | tr ' ' '\n'
}

has_vips()
{
	[ "$(vips "$1" | grep -c .)" = "${2:-2}" ]
}

pods_of()
{
	kubectl get pods --selector "app=$1" --output 'jsonpath={.items[*].metadata.name}'
}

# --- Nodes ---------------------------------------------------------------------------------------

# node_dies N: until the case ends, or node_returns.
node_dies()
{
	dead_nodes[$1]=$1
	node_kill "$1"
}

node_returns()
{
	node_revive "$1"
	unset "dead_nodes[$1]"
}

dead_nodes_return()
{
	local n

	for n in "${dead_nodes[@]}"; do
		node_returns "$n" || return 1
	done
}

# node_taint N KEY: with the effect NoSchedule, until the case ends; node_taint N KEY- takes it away.
node_taint()
{
	nodes_marked=yes
	case $2 in
	*-) kubectl taint node "node$1" "$2" ;;
	*) kubectl taint node "node$1" "$2=:NoSchedule" ;;
	esac >/dev/null
}

# node_refuses N PORT: its TCP port, to all but itself, until the case ends.
node_refuses()
{
	nodes_marked=yes
	on "node$1" nft "add table inet case
		add chain inet case input { type filter hook input priority -1; }
		add rule inet case input iif != lo tcp dport $2 reject with tcp reset"
}

# pods_leave N NAME: the pods of a Deployment are evicted, and none comes to the node until the case
# ends, or kubectl uncordon. Returns when others are ready elsewhere.
pods_leave()
{
	nodes_marked=yes
	kubectl drain "node$1" --ignore-daemonsets --pod-selector "app=$2" --timeout 60s >/dev/null 2>&1
	kubectl rollout status "deployment/$2" --timeout 90s >/dev/null
}

nodes_unmark()
{
	local n taint

	[ -n "$nodes_marked" ] || return 0
	for ((n = 1; n <= n_nodes; n++)); do
		on "node$n" nft delete table inet case
		kubectl uncordon "node$n"
		for taint in "${taints[@]}"; do
			kubectl taint node "node$n" "$taint-"
		done
	done
} >/dev/null 2>&1

# --- Ways of packets -----------------------------------------------------------------------------

# clients_are_reached_by edge|router: where nodes send what is for the client. What is not said
# otherwise goes by the router, past Guideway, as the modes dsr and tunnel have it; in dnat all has to
# come back through Guideway. Until the case ends, or another is chosen.
clients_are_reached_by()
{
	local n

	for ((n = 1; n <= n_nodes; n++)); do
		case $1 in
		edge) route "node$n" $outside4.0/24 $outside6:/64 $inside4.250 $inside6:250 ;;
		router) route "node$n" $outside4.0/24 $outside6:/64 $inside4.1 $inside6:1 ;;
		esac
	done
}

# Whatever tunnel a packet comes to a node in, it goes on as if it had come without: what is inside
# comes in by tun0.
nodes_undo_tunnels()
{
	local n

	for ((n = 1; n <= n_nodes; n++)); do
		spawn "node$n-decap" "node$n" "$support/decap" tun0 6080
	done
	for ((n = 1; n <= n_nodes; n++)); do
		wait_until 5 ip_at "node$n" link set tun0 up
	done
}

# nodes_are_cut_off NODE...: their kube-proxies hear nothing of the API server any more, as do their
# kubelets, and serve on; nodes_are_back ends it. For less than half a minute, or pods move.
nodes_are_cut_off()
{
	local n

	for n in "$@"; do
		at "node$n" nft 'add table inet cut; add chain inet cut in { type filter hook input priority 0; };
			add rule inet cut in tcp sport 6443 drop'
	done
}

nodes_are_back()
{
	local n

	for n in "$@"; do
		at "node$n" nft delete table inet cut
	done
}

ways_are_put_back()
{
	local n

	clients_are_reached_by router
	client_goes_by 250
	for ((n = 1; n <= n_nodes; n++)); do
		at "node$n" nft delete table inet cut 2>/dev/null || true
	done
}

# --- What Guideway asks of the API server --------------------------------------------------------

# Requests count from now on. Fails if one of those before was forbidden.
audit_forget()
{
	local from=$audit_from

	audit_forgive
	audit_from=$from nothing_was_forbidden
}

# The same, whatever was forbidden: a server that starts forbids everything for a moment.
audit_forgive()
{
	audit_from=$(stat -c %s "$cluster_folder/audit.log" 2>/dev/null || echo 0)
}

# Its requests since they count, a line each: "200 patch services/status default/web". None if the log
# cannot be read, and then it fails.
requests()
{
	[ ! -e "$cluster_folder/audit.log" ] ||
		/usr/bin/python3 "$kubernetes_folder/cluster/audit.py" "$cluster_folder/audit.log" "$audit_from"
}

nothing_was_forbidden()
{
	local asked forbidden

	asked=$(requests) || { echo 'failed: what Guideway asked for is not known' >&2 && return 1; }
	forbidden=$(sed -n '/^403 /p' <<<"$asked" | sort | uniq -c)
	[ -n "$forbidden" ] || return 0
	printf 'failed: Guideway asked for what it may not have:\n%s\n' "$forbidden" >&2
	return 1
}

# --- Guideway ------------------------------------------------------------------------------------

snat_config()
{
	echo "[ \"$snat4\", \"$snat6\" ]"
}

# What a case adds to it is in guideway_more.
guideway_config()
{
	cat <<-CONFIG
		instance = "$lab_name-$edge";
		log = "debug";
		ports = (
			{ device = "wan0"; twin = "wan"; driver = "af_packet"; adopt = true; },
			{ device = "fab0"; twin = "fab"; driver = "af_packet"; adopt = true; }
		);
		workers = { cpus = [ 0 ]; idle = "sleep"; };
		flows = { ipv4 = 65536; ipv6 = 65536; };
		memory = { hugepages = false; ${memory_more:-} };
		snat = $(snat_config);
		control = { socket = "$lab_folder/$lab_guideway.sock"; };
		state = "$lab_folder/$lab_guideway.state";
		$guideway_more
	CONFIG
}

# Starts it in the edge.
guideway_spawn()
{
	guideway_config >"$lab_folder/$lab_guideway.conf"
	KUBECONFIG=$cluster_folder/kubeconfig.guideway spawn "$lab_guideway" "$edge" \
		"$guideway" --config "$lab_folder/$lab_guideway.conf"
}

# The same. Returns when the management API answers.
guideway_begin()
{
	guideway_spawn
	wait_until 15 api status
}

# --- Asking the way clients do -------------------------------------------------------------------

# bracketed ADDRESS: as it stands in a URL.
bracketed()
{
	case $1 in
	*:*) echo "[$1]" ;;
	*) echo "$1" ;;
	esac
}

# get ADDRESS [PATH [PORT]]: by HTTP, from the client: /hostname is the pod, /clientip whom it sees.
get()
{
	on client curl -sf --max-time 3 "http://$(bracketed "$1"):${3:-80}${2:-/hostname}"
}

# ask ADDRESS [WORD [PORT]]: the same by UDP; "hostname" is the pod, "clientip" whom it sees.
ask()
{
	on client /usr/bin/python3 -c 'import socket, sys
address, word, port = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect((address, int(port)))
s.send(word.encode())
print(s.recv(1500).decode())' "$1" "${2:-hostname}" "${3:-53}"
}

# load_begin PER_SECOND ADDRESS...: from the client, new connections at so many a second to each.
load_begin()
{
	spawn load client /usr/bin/python3 "$kubernetes_folder/load.py" "$@"
}

# load_end WHAT: fails if one of them was lost during that.
load_end()
{
	end load
	grep -E '^[0-9]+ asked' "$lab_folder/load.log" | tail -n 1 | sed "s/^/Says: $1: /"
	grep -qE '^[1-9][0-9]* asked, 0 failed$' "$lab_folder/load.log" ||
		{ head -n 20 "$lab_folder/load.log" >&2 && fail "connections were lost during $1"; }
	rm "$lab_folder/load.log"
}

# pods_that_answer N COMMAND...: to that many of it, each pod named once.
pods_that_answer()
{
	local n

	for ((n = 0; n < $1; n++)); do
		"${@:2}" && echo
	done | sort -u | xargs
}

case_begin
