# Where another writer overwrites what a Service says that it is reached by, again and again, Guideway
# stops writing it, and says whom it leaves it to; what it forwards, it forwards on. Once the Service
# changes, its status is written again.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

web_begin 2
wait_until 10 answers_at_all web
ours=$(vips web)

overwrite()
{
	kubectl patch service web --subresource=status --type merge --field-manager fighter \
		-p '{"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}}' >/dev/null
}

written_by_guideway()
{
	requests | grep -c "patch services/status $namespace/web"
}

for ((n = 0; n < 6; n++)); do
	overwrite
	sleep 1
done
wait_until 5 eval 'kubectl describe service web | grep "Warning *StatusConflict.*fighter" >/dev/null'
wait_until 5 eval 'ctl kubernetes | grep "$namespace/web *served.*StatusConflict.*fighter" >/dev/null'
[ "$(vips web)" = 198.51.100.9 ]
before=$(written_by_guideway)
overwrite
sleep 3
[ "$(written_by_guideway)" = "$before" ]
for vip in $ours; do
	get "$vip" >/dev/null
	ask "$vip" >/dev/null
done

kubectl patch service web --type merge -p '{"spec": {"sessionAffinity": "ClientIP"}}' >/dev/null
wait_until 10 eval '[ "$(vips web)" = "$ours" ]'
