# Under constant load a node is excluded by its label, is used again, is deleted from the cluster,
# switched off, and joins it as a new one: a connection that goes by way of it goes on as long as the
# machine does, new ones go elsewhere until it is back, and not one is lost. In dsr and tunnel new ones do
# the same, and those are lost alone that are open when their slot moves.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

label=node.kubernetes.io/exclude-from-external-load-balancers
n="" # The node.

case_undo()
{
	[ -z "$n" ] || kubectl label node "node$n" "$label-" >/dev/null || node_dies "$n"
}

# The first node without a pod of the Service: what comes to a pod by way of it has its address.
idle_node()
{
	local n

	for ((n = 1; n <= n_nodes; n++)); do
		[ -n "$(kubectl get pods --field-selector "spec.nodeName=node$n" --output name)" ] || break
	done
	echo "$n"
}

# talk_begin NAME: opens connections until one goes by way of the node, and asks over that one, five times
# a second, for whom the pod sees.
talk_begin()
{
	spawn "$1" client /usr/bin/python3 -u -c 'import http.client, sys, time
vip, node = sys.argv[1:]
def ask():
    connection.request("GET", "/clientip")
    return connection.getresponse().read().decode()
while True:
    connection = http.client.HTTPConnection(vip, 80, timeout=5)
    connection.connect()
    socket = connection.sock
    if ask().startswith(node + ":"):
        break
while connection.sock is socket:
    print(ask(), flush=True)
    time.sleep(0.2)' "$vip" "$(node_ip4 "$n")"
	wait_until 10 talks "$1" 5
}

# talks NAME N: it has had so many answers, all by way of the same node and its port.
talks()
{
	[ "$(wc -l <"$lab_folder/$1.log")" -ge "$2" ] && [ "$(sort -u "$lab_folder/$1.log" | wc -l)" = 1 ]
}

goes_on()
{
	wait_until 10 talks "$1" $(($(wc -l <"$lab_folder/$1.log") + 15))
	is_running "$1"
}

# Of 40 new connections to each Service some do.
services_by_the_node()
{
	ask_all --times 40 --word clientip $(vips_of $services | grep -v :) |
		awk -v node="$(node_ip4 "$n"):" 'index($3, node) == 1 { print $2 }' | sort -u | wc -l
}

go_by_the_node()
{
	[ "$(services_by_the_node)" = "$(wc -w <<<"$services")" ]
}

go_elsewhere()
{
	[ "$(services_by_the_node)" = 0 ]
}

# loads_begin, loads_end WHAT: at all Services.
loads_begin()
{
	load_begin 20 $(vips web)
	stateless_load_begin 20 $(vips_of dsr tunnel)
}

loads_end()
{
	load_end "$1"
	stateless_load_end "$1"
}

# Checks as they are unless configured: kube-proxy says that it is well before it has written its rules,
# so that one answer of a node that boots is too few.
checks=""
guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
deployment_add web 2
class_apply web
mode_apply dsr dsr # Cluster, so that a node without a pod is one of its.
with_pods_of web dsr
beside tunnel
services="web dsr tunnel"
wait_until 20 are_served $services
vip=$(vips web | grep -v :)
n=$(idle_node)

loads_begin
talk_begin excluded
kubectl label node "node$n" "$label=" >/dev/null
wait_until 10 go_elsewhere
goes_on excluded
kubectl label node "node$n" "$label-" >/dev/null
wait_until 10 go_by_the_node
goes_on excluded
loads_end "a node that is excluded for a while"

loads_begin
talk_begin deleted
kubectl delete node "node$n" >/dev/null
wait_until 10 go_elsewhere
goes_on deleted
end deleted
end excluded
node_dies "$n"
sleep 3
go_elsewhere
node_boots "$n"
wait_until 20 go_by_the_node
loads_end "a node that is deleted, switched off and new"
