# A real cluster, on this machine alone, and Guideway in front of it. What is real of it, and what
# stands in, is in tests/kubernetes/README.md.

# Ends all of it, in whatever state it is.
cluster_remove()
{
	local status=$?

	trap - EXIT ERR
	trap '' INT TERM
	set +e
	[ "$status" != 0 ] || ended_well || status=1
	! declare -F processes_end >/dev/null || processes_end
	tests/kubernetes/down
	rm -rf "/run/$KUBERNETES_CLUSTER"
	! declare -F case_leave >/dev/null || case_leave "$status"
	exit "$status"
}

export KUBERNETES_CLUSTER=gwk$$ # Beside those of the tests.
tests/kubernetes/build || exit 1
headline "A cluster of four nodes, a client outside of it, Guideway at its edge"
cat <<'PICTURE'
    client ──────────── guideway ──────┬──── node1   kube-proxy by nftables
    198.51.100.10                      ├──── node2               by iptables
    2001:db8:c1::10                    ├──── node3               by nftables
                                       └──── node4               by iptables

PICTURE
trap cluster_remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
began=$EPOCHREALTIME
tests/kubernetes/up || exit 1
CASE_NAMESPACE=shop
. tests/kubernetes/lib.sh
trap cluster_remove EXIT
admin config set-context --current --namespace shop >/dev/null

# typed ARGUMENT...: kubectl as the user of the cluster types it.
typed()
{
	shown "kubectl $*" kubectl "$@"
}

# file NAME: writes one of the user's files, and shows it.
file()
{
	cat >"$lab_folder/$1"
	shown "cat $1" cat "$lab_folder/$1"
}

# How many of the flows of each family every pod answered.
pods_table()
{
	local pod

	printf '    %-22s %9s %9s\n' "" "TCP IPv4" "TCP IPv6"
	for pod in $(pods_of web); do
		printf '    %-22s %9d %9d  %s\n' "$pod" "$(traffic_of_node ipv4 "$pod" flows)" \
			"$(traffic_of_node ipv6 "$pod" flows)" "$(bar "$(traffic_of_node ipv4 "$pod" flows)")"
	done
}

# load NAME ADDRESS OPTION...: clients of the Service (tests/support/traffic.c).
load()
{
	spawn "$1" client "$support/traffic" --log "$lab_folder/$1.flows" "${@:3}" "$2" 80
}

conditions()
{
	kubectl get service web --output \
		'jsonpath={range .status.conditions[*]}{.type} {.status} {.reason}{"\n"}{end}' |
		awk '{ printf "    %-26s %-6s %s\n", $1, $2, $3 }'
}

say "etcd, API server, controller manager, scheduler, and on each node kubelet and kube-proxy:"
say "all of them Kubernetes' own, up in $(($(milliseconds_since "$began") / 1000)) s"
echo
shown "kubectl get nodes" admin get nodes

headline "Guideway is told how to reach the cluster, and which addresses it may give"
guideway_more=$(
	cat <<-CONFIG
		kubernetes = {
		    enabled = true;
		    kubeconfig = "$cluster_folder/kubeconfig.guideway";
		    pools = ( {
		        name = "edge";
		        addresses = [ "203.0.113.1-203.0.113.9", "2001:db8:113::1-2001:db8:113::9" ];
		    } );
		};
		health = { interval = 0.5; timeout = 0.5; rise = 1; fall = 2; };
	CONFIG
)
guideway_begin
shown "cat guideway.conf" sed -n '/^kubernetes = {/,$p' "$lab_folder/guideway.conf"

headline "kubectl apply"
file web.yaml <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule,
         labelSelector: {matchLabels: {app: web}}}
      containers:
      - name: web
        image: agnhost
        args: [netexec, --http-port=8080]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  loadBalancerClass: guideway.dev/lb
  externalTrafficPolicy: Local # Only nodes that have pods of it get its traffic.
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
YAML
applied=$EPOCHREALTIME
typed apply -f "$lab_folder/web.yaml"
wait_until 15 has_vips web
say "its addresses were in its status after $(milliseconds_since "$applied") ms"
typed rollout status deployment/web --timeout 60s
typed get service web
typed get pods -o wide

headline "Through the VIPs"
for vip in $(vips web); do
	wait_until 10 get "$vip"
	show curl -s "http://$(bracketed "$vip")/hostname"
done
read -r vip4 vip6 < <(vips web | sort -t : -k 2 | xargs)
for family in 4 6; do
	vip=vip$family
	load ipv$family "${!vip}" --flows 400 --every 500 --seconds 2
done
finish ipv4
finish ipv6
say "and from 400 connections each:"
pods_table

headline "What the Service says of itself"
typed describe service web
say "its conditions:"
conditions

victim=$(pods_of web | cut -d ' ' -f 1)
node=$(field "pod/$victim" .spec.nodeName)
headline "$node is killed, with its pod, 200 connections open and 100 new ones a second"
load standing "$vip4" --flows 200 --every 100 --seconds 60 --patience 5000
load coming "$vip4" --new 100 --seconds 60 --patience 5000
sleep 2
killed=$EPOCHREALTIME
node_dies "${node#node}"
wait_until 5 node_is "$node" down
sleep 3
end standing
end coming

broken=$(traffic_of_node standing "$victim" broken)
say "link, kubelet, kube-proxy and pods went at once; it is checked every half second"
say "nothing went to it any more after $(trouble_lasted "$killed") s"
say "its $broken connections were reset, so that their clients could begin anew at once"
say "of the other $((200 - broken)), $(($(traffic_total standing broken) - broken)) broke and $(
	traffic_total standing moved) changed their pod"
say "of $(new_flows_of_all coming) new connections, $(traffic_total coming failed) failed"
say "Kubernetes itself finds it out in its own time:"
shown "kubectl get nodes" admin get nodes
ctl services | sed 's/^/    /'
ctl nodes | sed 's/^/    /'

headline "kubectl delete"
ctl kubernetes | sed 's/^/    /'
typed delete service web --timeout 15s
show curl -sS --max-time 2 "http://$vip4/"
ctl kubernetes | sed 's/^/    /'

headline "What Guideway asked the API server for"
requests | cut -d ' ' -f 2,3 | sort | uniq -c

demo_end "ip netns exec $lab_name-client curl http://VIP/" \
	"KUBERNETES_CLUSTER=$cluster tests/kubernetes/kubectl get services" \
	"$guidewayctl -s $lab_folder/guideway.sock kubernetes" \
	"scripts/demo --end $cluster"
