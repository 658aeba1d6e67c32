# Dual stack: a Service has its addresses of two families from different pools. What prefers both is
# served at one until a pool has the other, what requires both waits for it, and what wants one again
# keeps that one, which is served all the time.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

four='{ name = "four"; addresses = [ "203.0.113.1-203.0.113.9" ]; }'
six='{ name = "six"; addresses = [ "2001:db8:113::/120" ]; }'

# pools_are POOL...: with checks as they are unless configured, which a busy machine does not fail.
pools_are()
{
	guideway_more=$(kubernetes_config | grep -v '^health = ' |
		sed "s|pools = .*|pools = ( $(join "$@") );|")
}

# families_apply NAME POLICY FAMILY
families_apply()
{
	kubectl apply -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Service
		metadata: {name: $1}
		spec:
		  type: LoadBalancer
		  loadBalancerClass: guideway.dev/lb
		  selector: {app: web}
		  ipFamilyPolicy: $2
		  ipFamilies: [$3]
		  ports:
		  - {name: http, port: 80, targetPort: 8080, protocol: TCP}
		  - {name: echo, port: 53, targetPort: 8081, protocol: UDP}
	YAML
}

pools_are "$four"
guideway_begin
deployment_add web 2
families_apply one SingleStack IPv4
families_apply prefers PreferDualStack IPv4
families_apply requires RequireDualStack IPv6
wait_until 15 has_vips one 1
wait_until 15 has_vips prefers 1
wait_until 10 condition_is requires Accepted "False NoPool"
[ -z "$(vips requires)" ]
kept=$(vips prefers)
wait_until 5 get "$kept"

load_begin 20 "$kept"
pools_are "$four" "$six"
guideway_reload
for name in prefers requires; do
	wait_until 10 has_vips $name 2
	wait_until 10 answers_at_all $name
done
[ "$(vips prefers)" = "$kept"$'\n'2001:db8:113::1 ]  # Each with its primary family first,
[[ "$(vips requires)" = 2001:db8:113::2$'\n'203.* ]] # and no pool gives what is its routers'.
has_vips one 1
six_of_prefers=$(vips prefers | tail -n 1)

kubectl patch service prefers --patch '{"spec": {"ipFamilyPolicy": "SingleStack"}}' >/dev/null
wait_until 10 has_vips prefers 1
wait_until 5 is_silent "$six_of_prefers"
[ "$(vips prefers)" = "$kept" ]
load_end "families that come and go"
