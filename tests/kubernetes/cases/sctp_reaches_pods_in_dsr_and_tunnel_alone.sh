# SCTP in dsr and tunnel: an INIT reaches a pod on each node through its kube-proxy, and the INIT ACK the
# client, from the VIP and by both families. A Service of SCTP alone is programmed two seconds after its
# status was written, since nobody can ask its nodes. In snat the port is refused, with its error in the
# status, and its TCP sibling is served.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

# Whoever answered one of so many.
tags_of()
{
	{ on client /usr/bin/python3 "$sctp" ask "$1" 900 20000 20039 || true; } | sort -u | xargs
}

# sctp_apply MODE [FIELD...]: a Service of that name, with a port of SCTP.
sctp_apply()
{
	kubectl apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Service
		metadata: {name: $1, annotations: {guideway.dev/forwarding: $1}}
		spec:
		  type: LoadBalancer
		  loadBalancerClass: guideway.dev/lb
		  selector: {app: sctp}
		  ipFamilyPolicy: RequireDualStack
		  ports:
		  - {name: sctp, port: 900, targetPort: 9000, protocol: SCTP}
		$(printf '  %s\n' "${@:2}")
	YAML
}

# In versions.log, when each version of the Service "dsr" came, its first VIP, and whether it is programmed.
versions_are_followed()
{
	local version='{.status.loadBalancer.ingress[0].ip} {.status.conditions[?(@.type=="guideway.dev/Programmed")].status}'

	spawn versions control bash -c 'timeout 60 "$@" | while read -r line; do echo "$EPOCHREALTIME $line"; done' versions \
		"$bin/kubectl" --kubeconfig "$cluster_folder/kubeconfig.admin" --namespace "$namespace" \
		get services --field-selector metadata.name=dsr --watch --output "jsonpath=$version{'\n'}"
}

# Of the two seconds, half of one may be lost by who follows it.
programmed_late='NF == 3 && !written { written = $1 } $3 == "True" { exit !($1 - written >= 1.5) }
	END { if (!written || $3 != "True") exit 1 }'

every_pod_answers()
{
	[ "$(tags_of "$1")" = "1 2 3 4" ]
}

# port_errors SERVICE: of its first address, a line "PORT/PROTOCOL ERROR" for each port that has one.
port_errors()
{
	kubectl get service "$1" --output json | json '*(str(p["port"]) + "/" + p["protocol"] + " " + p["error"]
		for p in d["status"]["loadBalancer"]["ingress"][0]["ports"] if "error" in p)'
}

guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
nodes_undo_tunnels
deployment_add sctp 4
pods_answer_sctp sctp
versions_are_followed
sctp_apply dsr 'externalTrafficPolicy: Local'
wait_until 10 condition_is dsr Programmed "True Forwarding"
wait_until 5 awk "$programmed_late" "$lab_folder/versions.log"
sctp_apply tunnel
sctp_apply snat '- {name: http, port: 80, targetPort: 8080}'
for vip in $(vips dsr); do
	wait_until 5 every_pod_answers "$vip"
done

wait_until 10 condition_is tunnel Programmed "True Forwarding"
for vip in $(vips tunnel); do
	wait_until 5 every_pod_answers "$vip"
done

wait_until 10 condition_is snat Programmed "True Forwarding"
[ "$(port_errors snat)" = "900/SCTP guideway.dev/ProtocolNotSupported" ]
all_answer_to $(vips snat)
[ -z "$(tags_of "$(vips snat | head -n 1)")" ]
