# kubectl apply makes a Service, and Guideway serves it: by both families, TCP and UDP, from every
# pod, and its status, conditions and events say so. kubectl delete undoes all of it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

web_begin 4

for vip in $(vips web); do
	wait_until 5 get "$vip" # Until kube-proxy, too, knows of the Service.
	[ "$(pods_that_answer 60 get "$vip")" = "$(pods_of web | xargs -n 1 | sort | xargs)" ]
	wait_until 5 ask "$vip"
done
[ "$(field service/web '.status.loadBalancer.ingress[*].ipMode')" = "Proxy Proxy" ]
[ "$(finalizers web)" = guideway.dev/lb-cleanup ]
condition_is web Accepted "True AddressAssigned"
condition_is web Programmed "True Forwarding"
wait_until 5 eval 'kubectl describe service web | grep EnsuredLoadBalancer >/dev/null'
ctl kubernetes | grep "$namespace/web *served" >/dev/null
ctl kubernetes | grep -E "^edge +ipv4 +9 +1 +" >/dev/null

# A status that is right is written once: nothing is asked for but what is new.
before=$(requests | grep -c ' patch ')
sleep 3
[ "$(requests | grep -c ' patch ')" = "$before" ]

gone=$(vips web)
kubectl delete service web --timeout 15s >/dev/null
for vip in $gone; do
	wait_until 5 is_silent "$vip"
done
