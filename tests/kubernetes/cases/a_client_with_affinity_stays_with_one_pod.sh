# sessionAffinity ClientIP, in every mode: all connections of a client reach one pod, and without it many.
# In snat kube-proxy takes an SNAT address for the client, so that with one of them there is one pod a
# node for all clients, which the Service says; more SNAT addresses spread new clients over more pods. In
# the modes that keep the client's address, clients need nothing of that.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

services="web dsr tunnel dnat"

# clients FIRST LAST: that many addresses of the client.
clients()
{
	seq -f "$outside4.%g" "$1" "$2"
}

clients_add()
{
	local address

	for address in $(clients 101 160); do
		ip_at client addr replace "$address/24" dev eth0
	done
}

case_undo()
{
	local address

	for address in $(clients 101 160); do
		ip_at client addr del "$address/24" dev eth0
	done
}

# pods_of_clients FIRST LAST TIMES: who answers each of them at each Service, asked so often: a line
# "CLIENT VIP POD" for each pod.
pods_of_clients()
{
	ask_all --times "$3" $(clients "$1" "$2" | sed 's/^/--from /') $vips | sort -u
}

# stay FIRST LAST: each with one pod of each Service, in a dozen connections.
stay()
{
	local told

	told=$(pods_of_clients "$1" "$2" 12)
	! grep ' -$' <<<"$told" && [ "$(wc -l <<<"$told")" = $((($2 - $1 + 1) * $(wc -w <<<"$vips"))) ]
}

# n_pods VIP: of those in 'told'.
n_pods()
{
	awk -v vip="$1" '$2 == vip { print $3 }' <<<"$told" | sort -u | wc -l
}

modes_begin 8 "dsr tunnel dnat"
clients_add
vips=$(vips_of $services | grep -v :)
told=$(pods_of_clients 10 10 30)
for vip in $vips; do
	[ "$(n_pods "$vip")" -gt 2 ]
done

kubectl patch service $services --type merge -p '{"spec": {"sessionAffinity": "ClientIP"}}' >/dev/null
wait_until 10 stay 10 10
wait_until 5 condition_is web Degraded "True AffinityBySNATAddress"
wait_until 5 eval 'kubectl describe service web | grep "Warning *AffinityBySNATAddress" >/dev/null'
stay 101 105
told=$(pods_of_clients 101 130 1)
few=$(n_pods "$(head -n 1 <<<"$vips")")
[ "$few" -le $n_nodes ]
for vip in $(tail -n +2 <<<"$vips"); do
	[ "$(n_pods "$vip")" -gt $n_nodes ]
done
for service in dsr tunnel dnat; do
	[ -z "$(condition $service Degraded)" ]
done

for n in {241..248}; do
	snat4+="\", \"$inside4.$n" # The configuration's list gets them all.
done
guideway_reload
told=$(pods_of_clients 131 160 1)
many=$(n_pods "$(head -n 1 <<<"$vips")")
echo "Says: 30 clients reached $few pods by one SNAT address, and 30 others $many by nine"
[ "$many" -gt $n_nodes ]
stay 10 10
