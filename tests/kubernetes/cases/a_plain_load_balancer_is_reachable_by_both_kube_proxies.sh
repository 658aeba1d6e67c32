# The cluster itself is judged, by a load balancer that only routes: the client reaches every pod by
# the addresses in the status, TCP and UDP over both families; without it nobody answers, and a
# Service that is deleted goes.
. "$(dirname "$0")/../lib.sh"

deployment_add web 4
service_apply web
KUBECONFIG=$cluster_folder/kubeconfig.node spawn reflb edge "$bin/reflb"
wait_until 10 has_vips web

for vip in $(vips web); do
	wait_until 10 get "$vip"
	[ "$(pods_that_answer 60 get "$vip")" = "$(pods_of web | xargs -n 1 | sort | xargs)" ]
	wait_until 5 ask "$vip"
done

is_silent()
{
	! get "$1"
}

gone=$(vips web)
kubectl delete service web --timeout 10s >/dev/null
for vip in $gone; do
	wait_until 5 is_silent "$vip"
done
