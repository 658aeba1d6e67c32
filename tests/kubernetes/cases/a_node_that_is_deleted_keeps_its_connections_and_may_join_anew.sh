# Under constant load a node is excluded by its label, is used again, is deleted from the cluster,
# switched off, and joins it as a new one: a connection that goes by way of it goes on as long as the
# machine does, new ones go elsewhere until it is back, and not one is lost.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

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

# Of 40 new connections some do.
go_by_the_node()
{
	local i

	for ((i = 0; i < 40; i++)); do
		get "$vip" /clientip && echo
	done | grep "^$(node_ip4 "$n"):" >/dev/null
}

go_elsewhere()
{
	! go_by_the_node
}

# Checks as they are unless configured: kube-proxy says that it is well before it has written its rules,
# so that one answer of a node that boots is too few.
guideway_more=$(kubernetes_config | grep -v '^health = ')
guideway_begin
deployment_add web 2
class_apply web
wait_until 15 has_vips web
wait_until 10 answers_at_all web
vip=$(vips web | grep -v :)
n=$(idle_node)

load_begin 20 $(vips web)
talk_begin excluded
kubectl label node "node$n" "$label=" >/dev/null
wait_until 10 go_elsewhere
goes_on excluded
kubectl label node "node$n" "$label-" >/dev/null
wait_until 10 go_by_the_node
goes_on excluded
load_end "a node that is excluded for a while"

load_begin 20 $(vips web)
talk_begin deleted
kubectl delete node "node$n" >/dev/null
wait_until 10 go_elsewhere
goes_on deleted
end deleted
end excluded
node_dies "$n"
sleep 3
go_elsewhere
node_returns "$n"
wait_until 20 go_by_the_node
load_end "a node that is deleted, switched off and new"
