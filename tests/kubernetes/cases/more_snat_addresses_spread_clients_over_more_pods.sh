# sessionAffinity ClientIP in snat: kube-proxy sees SNAT addresses as clients, so that each node sends
# all that come by one of them to one pod; the Service says so, and each SNAT address more spreads
# clients over more pods.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

clients=40

# Of as many clients, each with an address of its own, the pods that they see.
pods_seen()
{
	local n vip=$1

	for ((n = 1; n <= clients; n++)); do
		on client curl -sf --max-time 3 --interface "$outside4.$((100 + n))" "http://$vip/hostname" || true
		echo
	done | sort -u | grep -c .
}

for ((n = 1; n <= clients; n++)); do
	ip_at client addr replace "$outside4.$((100 + n))/24" dev eth0
done
clients_go()
{
	local n

	for ((n = 1; n <= clients; n++)); do
		ip_at client addr del "$outside4.$((100 + n))/24" dev eth0 2>/dev/null
	done
	case_remove
}
trap clients_go EXIT

web_begin 16 'sessionAffinity: ClientIP'
wait_until 10 answers_at_all web
wait_until 10 condition_is web Degraded "True AffinityBySNATAddress"
wait_until 5 eval 'kubectl describe service web | grep "Warning *AffinityBySNATAddress" >/dev/null'
vip=$(vips web | grep -v :)
few=$(pods_seen "$vip")
[ "$few" -le 4 ] # One of each node.

end guideway
snat4=$inside4.230\",\ \"$inside4.231\",\ \"$inside4.232\",\ \"$inside4.233\",\ \"$inside4.234\",\ \"$inside4.235
guideway_begin
wait_until 10 get "$vip"
many=$(pods_seen "$vip")
echo "pods that $clients clients see: $few by one SNAT address, $many by six"
[ "$many" -ge $((few + 3)) ]
