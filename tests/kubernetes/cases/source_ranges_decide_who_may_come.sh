# loadBalancerSourceRanges of live Services, in every mode: the client is let in, kept out, let in by the
# annotation, and the field wins over that. (Of what is no prefix, the API server takes none.)
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

annotation=service.beta.kubernetes.io/load-balancer-source-ranges
services="web dsr tunnel dnat"

# ranges_set RANGE...: none, and everybody may.
ranges_set()
{
	kubectl patch service $services --type merge \
		-p "{\"spec\": {\"loadBalancerSourceRanges\": [$(quoted "$@")]}}" >/dev/null
}

# vips_by 4|6: those of that family.
vips_by()
{
	case $1 in
	4) grep -v : <<<"$addresses" ;;
	6) grep : <<<"$addresses" ;;
	esac
}

# let_in 4|6, kept_out 4|6: the client, by that family.
let_in()
{
	all_serve $(vips_by "$1")
}

kept_out()
{
	none_serves $(vips_by "$1")
}

modes_begin 2 "dsr tunnel dnat" 'loadBalancerSourceRanges: [198.51.100.0/24, "2001:db8:c1::/64"]'
addresses=$(vips_of $services)

ranges_set 198.51.100.99/32 2001:db8:c1::/64
wait_until 5 kept_out 4
let_in 6
dropped=$(drop source-not-allowed)
kept_out 4
[ "$(drop source-not-allowed)" -ge $((dropped + 8)) ] || fail "it was not Guideway that kept all out"
ranges_set 198.51.100.10/32 # Of the other family nobody.
wait_until 5 let_in 4
kept_out 6

ranges_set
kubectl annotate service $services "$annotation=192.0.2.0/24, 2001:db8:c1::10/128" >/dev/null
wait_until 5 kept_out 4
wait_until 5 let_in 6
ranges_set 0.0.0.0/0 # The field wins, and with /0 both families are open.
wait_until 5 let_in 4
let_in 6

ranges_set
wait_until 5 kept_out 4
kubectl annotate service $services "$annotation-" >/dev/null
wait_until 5 all_serve $addresses
