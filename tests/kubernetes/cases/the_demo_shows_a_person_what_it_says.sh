# scripts/demo --kubernetes runs to its end, in a cluster of its own, and ends well: a Service is applied,
# pods answer through both of its VIPs, it says of itself that it is programmed, a node dies under load,
# which is counted, and when the Service is deleted its VIP is silent. (How little a dead node may cost
# other cases prove, on machines that have time for it.)
set -euo pipefail
cd "$(dirname "$0")/../../.."

demo=$(mktemp)
trap 'rm -f "$demo"' EXIT

# shows PATTERN: a line of it.
shows()
{
	grep -E "$1" "$demo" >/dev/null || fail "the demo does not show: $1"
}

fail()
{
	cat "$demo"
	echo "failed: $*"
	exit 1
} >&2

scripts/demo --kubernetes >"$demo" 2>&1 || fail "it ended with status $?"

shows '^    service/web created$'
[ "$(grep -A 1 '^    \$ curl -s http://' "$demo" | grep -cE '^    web-[0-9a-f]+-[0-9a-z]+$')" = 2 ] ||
	fail "no pod answers by curl"
shows '^    guideway.dev/Programmed +True +Forwarding$'
shows '^      Normal +EnsuredLoadBalancer '
shows '^    its [1-9][0-9]* connections were reset'
shows '^    of the other [1-9][0-9]*, [0-9]+ broke and [0-9]+ changed their pod$'
shows '^    of [1-9][0-9]{2,} new connections, [0-9]+ failed$'
shows '^    service "web" deleted'
silence=$(grep -A 1 '^    \$ curl -sS ' "$demo" | tail -n 1)
[[ $silence == *"curl: (28) "* ]] || fail "the VIP of a Service that is gone is not silent: $silence"
shows '^Done$'
