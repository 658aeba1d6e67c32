# Under constant load, a rollout, a drain of a node and a single pod that moves lose not one connection
# of Services Cluster and Local in snat, by either family, given pods that serve on for interval * fall +
# 1 s after their deletion; and in dsr (Local) and tunnel (Cluster) none but those that are open when their
# slot moves.
#
# Runs alone, since kube-proxy has to forget a pod in these four seconds, on every node.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

checks="interval = 1.0; timeout = 1.0; rise = 2; fall = 3;"
guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
deployment_add web 4
kubectl patch deployment web --patch '{"spec": {"template": {"spec": {
	"terminationGracePeriodSeconds": 10, "containers": [
	{"name": "agnhost", "lifecycle": {"preStop": {"sleep": {"seconds": 4}}}}]}}}}' >/dev/null
class_apply web
class_apply near 'externalTrafficPolicy: Local'
with_pods_of web near
beside dsr
beside tunnel

rolled_out()
{
	kubectl rollout status deployment/web --timeout 90s >/dev/null
}

rolled_out
wait_until 20 are_served web near dsr tunnel
flow_vips=$(vips_of web near)
stateless_vips=$(vips_of dsr tunnel)

# lose_nothing WHAT COMMAND...: while that runs, and for a while after it.
lose_nothing()
{
	load_begin 10 $flow_vips
	stateless_load_begin 10 $stateless_vips
	sleep 1
	"${@:2}"
	sleep 5
	load_end "$1"
	stateless_load_end "$1"
}

restart()
{
	kubectl rollout restart deployment/web >/dev/null
	rolled_out
}

drain()
{
	pods_leave 2 web
	node_taint 2 "$autoscaler_taint"
}

lose_nothing "a rollout" restart
lose_nothing "a drain of a node" drain
kubectl scale deployment web --replicas 1 >/dev/null
rolled_out
sleep 6 # Until the others have ended.
lose_nothing "a pod that moves" restart
