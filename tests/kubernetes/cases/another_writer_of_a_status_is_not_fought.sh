# Where another writer overwrites what a Service says that it is reached by, again and again, Guideway
# stops writing it, and says whom it leaves it to; what it forwards, it forwards on, in snat and dnat. (In
# dsr and tunnel the nodes go by the status.) Once the Service changes, its status is written again.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

services="web dnat"

overwrite()
{
	kubectl patch service $services --subresource=status --type merge --field-manager fighter \
		-p '{"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}}' >/dev/null
}

written_by_guideway()
{
	requests | grep -c "patch services/status $namespace/"
}

# are_left_alone: it is said of each, by an event and by guidewayctl, to whom they are left.
are_left_alone()
{
	local service

	for service in $services; do
		kubectl describe service $service | grep "Warning *StatusConflict.*fighter" >/dev/null &&
			ctl kubernetes | grep "$namespace/$service *served.*StatusConflict.*fighter" >/dev/null ||
			return 1
	done
}

modes_begin 2 dnat
ours=$(vips_of $services)

for ((n = 0; n < 6; n++)); do
	overwrite
	sleep 1
done
wait_until 5 are_left_alone
[ "$(vips_of $services | xargs)" = "198.51.100.9 198.51.100.9" ]
before=$(written_by_guideway)
overwrite
sleep 3
[ "$(written_by_guideway)" = "$before" ]
all_serve $ours

kubectl patch service $services --type merge -p '{"spec": {"sessionAffinity": "ClientIP"}}' >/dev/null
wait_until 10 eval '[ "$(vips_of $services)" = "$ours" ]'
