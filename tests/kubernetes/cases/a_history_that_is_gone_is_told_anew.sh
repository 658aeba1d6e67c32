# Guideway is cut off from the API server, and before it is back etcd has forgotten all that it could
# have been told of meanwhile (410 Gone): traffic goes on all the time, and then it knows what is new,
# changed and gone.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

case_undo()
{
	ip_at wire link set edge-mgmt0 up
}

# etcd_asks WHAT JSON: by its HTTP gateway.
etcd_asks()
{
	at control curl -sf "http://127.0.0.1:2379/v3/kv/$1" -d "$2"
}

# What it remembers ends with how things are now, and so does what an API server can tell that starts
# after that.
etcd_forgets_history()
{
	local now

	now=$(etcd_asks range '{"key": "AA=="}' | json 'd["header"]["revision"]')
	etcd_asks compaction "{\"revision\": \"$now\", \"physical\": true}" >/dev/null
	apiserver_stop
	apiserver_start
}

# is_forgotten VERSION: what happened to Services after it.
is_forgotten()
{
	admin get --raw "/api/v1/services?watch=1&resourceVersion=$1&timeoutSeconds=1" |
		grep '"code":410' >/dev/null
}

services_listed()
{
	api kubernetes | json 'd["watch_services"]["lists"]'
}

has_no_mark_of_ours()
{
	[ -z "$(finalizers "$1")$(field "service/$1" '.status.conditions[*]')" ]
}

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 2
for name in web gone changed; do
	class_apply $name
	with_pods_of web $name
done
for name in web gone changed; do
	wait_until 15 has_vips $name
	wait_until 5 answers_at_all $name
done
vip=$(vips web | head -n 1) gone=$(vips gone | head -n 1)
version=$(admin get --raw /api/v1/services | json 'd["metadata"]["resourceVersion"]')
listed=$(services_listed)

spawn traffic client "$support/traffic" --flows 20 --new 20 --seconds 120 --patience 5000 "$vip" 80
ip_at wire link set edge-mgmt0 down
kubectl delete service gone --wait=false >/dev/null
kubectl patch service changed --type merge \
	--patch '{"spec": {"type": "ClusterIP", "loadBalancerClass": null}}' >/dev/null
class_apply new
with_pods_of web new
kubectl scale deployment web --replicas 3 >/dev/null
etcd_forgets_history
is_forgotten "$version"
get "$gone" >/dev/null # Nobody has told it.
ip_at wire link set edge-mgmt0 up

wait_until 60 has_vips new
wait_until 5 answers_at_all new
wait_until 10 is_silent "$gone"
kubectl wait --for delete service/gone --timeout 10s >/dev/null
wait_until 10 has_no_mark_of_ours changed
[ "$(services_listed)" -gt "$listed" ]

end traffic
[ "$(traffic_total traffic answered)" -gt 100 ]
[ "$(traffic_total traffic broken) $(traffic_total traffic failed)" = "0 0" ]
