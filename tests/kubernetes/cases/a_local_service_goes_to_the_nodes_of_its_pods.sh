# externalTrafficPolicy Local: only nodes with ready pods of the Service get its packets, each by how
# many it has, also when the pods move; and the Service says that in snat the client's address is lost.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

web_begin 2 'externalTrafficPolicy: Local'
wait_until 10 answers_at_all web
all_answered web 20
condition_is web Degraded "True ClientAddressLost"

pods_nodes()
{
	kubectl get pods --selector app=web --field-selector status.phase=Running \
		--output 'jsonpath={.items[*].spec.nodeName}' | xargs -n 1 | sort -u | xargs
}

used_nodes()
{
	ctl -o json services "$namespace/web:80/tcp" | /usr/bin/python3 -c 'import json, sys
nodes = json.load(sys.stdin)["services"][0]["members"]
print(*sorted(n["node"] for n in nodes if n["state"] == "up"))'
}

nodes_are_those_of_the_pods()
{
	[ "$(used_nodes)" = "$(pods_nodes)" ]
}

wait_until 10 nodes_are_those_of_the_pods
kubectl scale deployment web --replicas 4 >/dev/null
kubectl rollout status deployment/web --timeout 60s >/dev/null
wait_until 10 nodes_are_those_of_the_pods
all_answered web 20
