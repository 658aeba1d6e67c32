# SCTP in dsr: an INIT reaches a pod on each node through its kube-proxy, and the INIT ACK the client,
# from the VIP and by both families. A Service of SCTP alone is programmed two seconds after its status
# was written, since nobody can ask its nodes.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

tags_of()
{
	local n

	for ((n = 0; n < 30; n++)); do
		on client /usr/bin/python3 "$sctp" ask "$1" 900 $((20000 + n)) || true
	done | sort -u | xargs
}

# In versions.log, when each version of the Service came, its first VIP, and whether it is programmed.
versions_are_followed()
{
	local version='{.status.loadBalancer.ingress[0].ip} {.status.conditions[?(@.type=="guideway.dev/Programmed")].status}'

	spawn versions control bash -c '"$@" | while read -r line; do echo "$EPOCHREALTIME $line"; done' versions \
		"$bin/kubectl" --kubeconfig "$cluster_folder/kubeconfig.admin" --namespace "$namespace" \
		get services --watch --output "jsonpath=$version{'\n'}"
}

# Of the two seconds, half of one may be lost by who follows it.
programmed_late='NF == 3 && !written { written = $1 } $3 == "True" { exit !($1 - written >= 1.5) }
	END { if (!written || $3 != "True") exit 1 }'

every_pod_answers()
{
	[ "$(tags_of "$1")" = "1 2 3 4" ]
}

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 4
pods_answer_sctp web
versions_are_followed
kubectl apply -f - >/dev/null <<-YAML
	apiVersion: v1
	kind: Service
	metadata: {name: web, annotations: {guideway.dev/forwarding: dsr}}
	spec:
	  type: LoadBalancer
	  loadBalancerClass: guideway.dev/lb
	  externalTrafficPolicy: Local
	  selector: {app: web}
	  ipFamilyPolicy: RequireDualStack
	  ports: [{name: sctp, port: 900, targetPort: 9000, protocol: SCTP}]
YAML
wait_until 10 has_vips web
wait_until 10 condition_is web Programmed "True Forwarding"
wait_until 5 awk "$programmed_late" "$lab_folder/versions.log"
for vip in $(vips web); do
	wait_until 5 every_pod_answers "$vip"
done
