# loadBalancerSourceRanges of a live Service: the client is let in, kept out, let in by the annotation, and
# the field wins over that. (Of what is no prefix, the API server takes none.)
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

annotation=service.beta.kubernetes.io/load-balancer-source-ranges

# ranges_set RANGE...: none, and everybody may.
ranges_set()
{
	kubectl patch service web --type merge \
		-p "{\"spec\": {\"loadBalancerSourceRanges\": [$(quoted "$@")]}}" >/dev/null
}

# let_in 4|6, kept_out 4|6: the client, by that family.
let_in()
{
	local vip

	vip=$(vips web | sed -n "$([ "$1" = 4 ] && echo 1 || echo 2)p")
	get "$vip" >/dev/null && ask "$vip" >/dev/null
}

kept_out()
{
	local vip

	vip=$(vips web | sed -n "$([ "$1" = 4 ] && echo 1 || echo 2)p")
	! get "$vip" >/dev/null && ! ask "$vip" 2>/dev/null
}

web_begin 2 'loadBalancerSourceRanges: [198.51.100.0/24, "2001:db8:c1::/64"]'
wait_until 10 answers_at_all web

ranges_set 198.51.100.99/32 2001:db8:c1::/64
wait_until 5 kept_out 4
let_in 6
dropped=$(drop source-not-allowed)
kept_out 4
[ "$(drop source-not-allowed)" -gt "$dropped" ]
ranges_set 198.51.100.10/32 # Of the other family nobody.
wait_until 5 let_in 4
kept_out 6

ranges_set
kubectl annotate service web "$annotation=192.0.2.0/24, 2001:db8:c1::10/128" >/dev/null
wait_until 5 kept_out 4
wait_until 5 let_in 6
ranges_set 0.0.0.0/0 # The field wins, and with /0 both families are open.
wait_until 5 let_in 4
let_in 6

ranges_set
wait_until 5 kept_out 4
kubectl annotate service web "$annotation-" >/dev/null
wait_until 5 answers_at_all web
