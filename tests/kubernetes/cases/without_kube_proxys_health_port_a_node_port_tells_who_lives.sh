# A cluster whose kube-proxies tell of themselves on the loopback alone, as those of k3s do, needs no
# setting: nodes are up as long as a NodePort of theirs gives any answer, and one that is killed is down.
# As soon as a kube-proxy answers, it decides about its node.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

for n in 1 2 3 4; do
	node_refuses "$n" 10256
done
web_begin 1
for n in 1 2 3 4; do
	wait_until 5 node_is "node$n" up
done
wait_until 15 answers_at_all web
all_answered web 20

# Without endpoints NodePorts refuse: no reason to take a node for dead.
kubectl scale deployment web --replicas 0 >/dev/null
sleep 4
for n in 1 2 3 4; do
	node_is "node$n" up
done
kubectl scale deployment web --replicas 1 >/dev/null
kubectl rollout status deployment/web --timeout 60s >/dev/null

home=$(field pods '.items[0].spec.nodeName')
victim=1
[ "$home" != node1 ] || victim=2
node_dies "$victim"
wait_until 8 node_is "node$victim" down
all_answered web 20
node_returns "$victim" # Its port answers now.
wait_until 10 node_is "node$victim" up

says_kube_proxy_is_up()
{
	ctl -o json nodes "node$victim" | /usr/bin/python3 -c 'import json, sys
checks = json.load(sys.stdin)["nodes"][0]["checks"]
sys.exit(not any(c["kind"] == "kube-proxy" and c["verdict"] == "up" for c in checks))'
}
wait_until 5 says_kube_proxy_is_up
node_refuses "$victim" 10256
wait_until 5 node_is "node$victim" down
all_answered web 20
