# A Service that no node can serve is told of by a Warning event, and so is its end: of a Local one when
# its last pod goes, of any when no node may be used; and it is told of again where somebody deleted the
# event that would be counted up. One that Guideway has no room for says so, too, and is served once another
# has gone.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

# tells SERVICE REASON N: events of that reason, each as often as it was counted up.
tells()
{
	[ "$(kubectl get events --field-selector "involvedObject.name=$1,reason=$2" \
		--output 'jsonpath={.items[*].count}' | tr ' ' '\n' | awk '{ n += $1 } END { print n + 0 }')" -ge "$3" ]
}

exclude_nodes()
{
	admin label nodes --all node.kubernetes.io/exclude-from-external-load-balancers"$1" >/dev/null
}

# However the case ends, the nodes are there for the next.
include_nodes_at_the_end()
{
	exclude_nodes - 2>/dev/null
	case_remove
}

guideway_more=$(kubernetes_config)
memory_more='services = 8;'
guideway_begin
deployment_add web 2
class_apply web
deployment_add local 1
class_apply local 'externalTrafficPolicy: Local'
wait_until 15 has_vips web
wait_until 15 has_vips local
wait_until 10 answers_at_all web
wait_until 10 answers_at_all local
refute tells web UnAvailableLoadBalancer 1

kubectl scale deployment local --replicas 0 >/dev/null
wait_until 15 tells local UnAvailableLoadBalancer 1
ctl kubernetes | grep "$namespace/local *served, but by no node" >/dev/null
kubectl scale deployment local --replicas 1 >/dev/null
wait_until 15 tells local UpdatedLoadBalancer 1
refute tells web UnAvailableLoadBalancer 1

kubectl delete events --all >/dev/null
trap include_nodes_at_the_end EXIT
exclude_nodes =
wait_until 15 tells web UnAvailableLoadBalancer 1
wait_until 5 tells local UnAvailableLoadBalancer 2
exclude_nodes -
wait_until 15 tells web UpdatedLoadBalancer 1
wait_until 10 answers_at_all web

class_apply early
with_pods_of web early
wait_until 15 condition_is early Programmed "False NoRoom"
wait_until 5 tells early SyncLoadBalancerFailed 1
ctl kubernetes | grep "$namespace/early *not all served" >/dev/null
refute has_vips early
answers_at_all web
answers_at_all local
kubectl delete service local >/dev/null
wait_until 15 has_vips early
wait_until 5 answers_at_all early
condition_is early Programmed "True Forwarding"
