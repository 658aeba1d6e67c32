# sessionAffinity ClientIP: all connections of a client reach one pod, and without it all pods. In the
# mode snat kube-proxy takes an SNAT address for the client, so that with one of them there is one pod a
# node for all clients; more SNAT addresses spread new clients over more pods.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

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

# pod_of CLIENT
pod_of()
{
	on client curl -sf --max-time 3 --interface "$1" "http://$vip/hostname" && echo
}

# n_pods_of CLIENT...: that they reach, once each.
n_pods_of()
{
	local client

	for client in "$@"; do
		pod_of "$client"
	done | sort -u | wc -l
}

# stays CLIENT: in a dozen connections.
stays()
{
	[ "$(n_pods_of $(printf "$1 %.0s" {1..12}))" = 1 ]
}

guideway_more=$(kubernetes_config)
guideway_begin
clients_add
deployment_add web 8
class_apply web
wait_until 15 has_vips web
wait_until 10 answers_at_all web
vip=$(vips web | head -n 1)
refute stays $outside4.10

kubectl patch service web --type merge -p '{"spec": {"sessionAffinity": "ClientIP"}}' >/dev/null
wait_until 10 stays $outside4.10
wait_until 5 condition_is web Degraded "True AffinityBySNATAddress"
for client in $(clients 101 105); do
	stays "$client"
done
few=$(n_pods_of $(clients 101 130))
[ "$few" -le $n_nodes ]

for n in {241..248}; do
	snat4+="\", \"$inside4.$n" # The configuration's list gets them all.
done
guideway_reload
many=$(n_pods_of $(clients 131 160))
echo "Says: 30 clients reached $few pods by one SNAT address, and 30 others $many by nine"
[ "$many" -gt $n_nodes ]
stays $outside4.10
