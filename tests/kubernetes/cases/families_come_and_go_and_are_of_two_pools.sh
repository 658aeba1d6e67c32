# Dual stack, in every mode: a Service has its addresses of two families from different pools. What prefers
# both is served at one until a pool has the other, what requires both waits for it, and what wants one
# again keeps that one, which is served all the time.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

modes="snat dsr tunnel dnat"
prefer=$(printf 'prefers-%s ' $modes)

four='{ name = "four"; addresses = [ "203.0.113.1-203.0.113.9" ]; }'
six='{ name = "six"; addresses = [ "2001:db8:113::/120" ]; }'

# pools_are POOL...: with checks as they are unless configured, which a busy machine does not fail.
pools_are()
{
	guideway_more="$(kubernetes_config | grep -v '^health = ' |
		sed "s|pools = .*|pools = ( $(join "$@") );|") $(tunnel_config)"
}

# families_apply NAME MODE POLICY FAMILY
families_apply()
{
	kubectl apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Service
		metadata: {name: $1, annotations: {guideway.dev/forwarding: $2}}
		spec:
		  type: LoadBalancer
		  loadBalancerClass: guideway.dev/lb
		  selector: {app: web}
		  ipFamilyPolicy: $3
		  ipFamilies: [$4]
		  ports:
		  - {name: http, port: 80, targetPort: 8080, protocol: TCP}
		  - {name: echo, port: 53, targetPort: 8081, protocol: UDP}
	YAML
}

# are_given N SERVICE...: so many addresses each.
are_given()
{
	[ "$(vips_of "${@:2}" | wc -l)" = $(($1 * ($# - 1))) ]
}

pools_are "$four"
guideway_begin
nodes_undo_tunnels
clients_are_reached_by edge # As in dnat they have to be.
deployment_add web 2
families_apply one snat SingleStack IPv4
families_apply requires tunnel RequireDualStack IPv6
for mode in $modes; do
	families_apply "prefers-$mode" $mode PreferDualStack IPv4
done
wait_until 20 are_served one $prefer
are_given 1 one $prefer
wait_until 10 condition_is requires Accepted "False NoPool"
[ -z "$(vips requires)" ]
kept=$(vips_of $prefer)

load_begin 20 $(head -n 1 <<<"$kept")
stateless_load_begin 10 $(tail -n +2 <<<"$kept")
pools_are "$four" "$six"
guideway_reload
wait_until 20 are_given 2 requires $prefer
wait_until 10 are_served requires $prefer
# Each with its primary family first, and no pool gives what is its routers'.
[ "$(columns $prefer '.status.loadBalancer.ingress[*].ip' | grep -cE '^203\.[0-9.]+,2001:db8:113::.+')" = 4 ]
[[ "$(vips requires)" = 2001:db8:113::?*$'\n'203.* ]]
[ "$(vips_of $prefer | grep -v :)" = "$kept" ]
has_vips one 1
sixes=$(vips_of $prefer | grep :)

kubectl patch service $prefer --patch '{"spec": {"ipFamilyPolicy": "SingleStack"}}' >/dev/null
wait_until 10 are_given 1 $prefer
wait_until 5 none_serves $sixes
[ "$(vips_of $prefer)" = "$kept" ]
load_end "families that come and go"
stateless_load_end "families that come and go"
