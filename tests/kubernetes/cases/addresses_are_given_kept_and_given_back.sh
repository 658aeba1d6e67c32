# Addresses: one is asked for by annotation and given, one that another has is refused with a reason,
# several Services share one by a key, each in a mode of its own, and a restart changes none. What a Service says that it has, as its
# author or a backup may write it, gives it no address of others.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

# service_at NAME ANNOTATIONS PORT
service_at()
{
	kubectl apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Service
		metadata: {name: $1, annotations: {$2}}
		spec:
		  type: LoadBalancer
		  loadBalancerClass: guideway.dev/lb
		  selector: {app: web}
		  ipFamilies: [IPv4]
		  ports: [{port: $3, targetPort: 8080}]
	YAML
}

# claimed_at NAME ADDRESS: as if Guideway had claimed it and recorded the address.
claimed_at()
{
	kubectl apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Service
		metadata:
		  name: $1
		  finalizers: [guideway.dev/lb-cleanup]
		  annotations: {guideway.dev/addresses: $2}
		spec:
		  type: LoadBalancer
		  loadBalancerClass: guideway.dev/lb
		  selector: {app: web}
		  ipFamilies: [IPv4]
		  ports: [{port: 80, targetPort: 8080}]
	YAML
}

# is_recorded NAME ADDRESS
is_recorded()
{
	[ "$(field "service/$1" '.metadata.annotations.guideway\.dev/addresses')" = "$2" ]
}

# are_shared: third and those of the other modes have one address, and are served there.
are_shared()
{
	local port

	[ "$(vips_of third dsr tunnel dnat | sort | uniq -c | xargs)" = "4 $(vips third)" ] || return 1
	for port in {82..85}; do
		get "$(vips third)" /hostname $port || return 1
	done
}

guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
nodes_undo_tunnels
clients_are_reached_by edge # As in dnat they have to be.
deployment_add web 2
service_at first 'guideway.dev/load-balancer-ips: 203.0.113.7' 80
wait_until 15 has_vips first 1
[ "$(vips first)" = 203.0.113.7 ]
wait_until 5 get 203.0.113.7

service_at second 'guideway.dev/load-balancer-ips: 203.0.113.7' 81
wait_until 10 eval '[[ "$(condition second Accepted)" == "False "* ]]'
[ -z "$(vips second)" ]
ctl kubernetes | grep -x "addresses that were not given: 1 Taken" >/dev/null
wait_until 5 eval 'kubectl describe service second | grep SyncLoadBalancerFailed >/dev/null'

share='guideway.dev/share-address: web'
service_at third "$share" 82
service_at dsr "$share, guideway.dev/forwarding: dsr" 83
service_at tunnel "$share, guideway.dev/forwarding: tunnel" 84
service_at dnat "$share, guideway.dev/forwarding: dnat" 85
wait_until 20 are_shared

claimed_at copy 203.0.113.7
claimed_at node "$(kubectl get node node1 --output \
	'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}' | cut -d ' ' -f 1)"
for name in copy node; do
	wait_until 10 has_vips $name 1
	[[ "$(vips $name)" = 203.0.113.* ]] && [ "$(vips $name)" != 203.0.113.7 ]
	is_recorded $name "$(vips $name)"
done

before=$(vips_of first third dsr tunnel dnat copy)
end guideway
kubectl annotate service copy --overwrite guideway.dev/addresses=203.0.113.7 >/dev/null
guideway_begin
wait_until 10 get 203.0.113.7
wait_until 10 is_recorded copy "$(vips copy)"
wait_until 5 are_shared
[ "$(vips_of first third dsr tunnel dnat copy)" = "$before" ]
is_recorded first 203.0.113.7

kubectl delete service first --timeout 15s >/dev/null
kubectl annotate service second --overwrite guideway.dev/load-balancer-ips=203.0.113.8 >/dev/null
wait_until 10 has_vips second 1
[ "$(vips second)" = 203.0.113.8 ]

# One that is served and asks for another is served at both until its status names the new one.
wait_until 5 get 203.0.113.8 /hostname 81
kubectl annotate service second --overwrite guideway.dev/load-balancer-ips=203.0.113.9 >/dev/null
until [ "$(vips second)" = 203.0.113.9 ]; do
	get 203.0.113.8 /hostname 81 >/dev/null || [ "$(vips second)" = 203.0.113.9 ]
done
get 203.0.113.9 /hostname 81
wait_until 5 eval '! get 203.0.113.8 /hostname 81'
