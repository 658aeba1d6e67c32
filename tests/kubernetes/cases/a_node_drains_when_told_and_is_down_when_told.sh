# A node that the autoscaler is about to delete takes no new connections and keeps its old ones; one
# that is told to be off is down at once, though it answers, and clients of its connections hear it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 2
class_apply web 'externalTrafficPolicy: Local'
class_apply plain # So that kube-proxy is asked about nodes.
wait_until 15 has_vips web
wait_until 10 answers_at_all web

vip=$(vips web | head -n 1)
pod=$(pods_of web | cut -d " " -f 1)
other=$(pods_of web | cut -d " " -f 2)
n=$(field "pod/$pod" .spec.nodeName)
n=${n#node}
wait_until 10 eval '[ "$(pods_that_answer 40 get "$vip" | wc -w)" = 2 ]'

# Connections that ask again and again; each has a line: its pod, and how it is.
spawn keep client /usr/bin/python3 "$kubernetes_folder/keep.py" "$lab_folder/kept" 16 "$vip"

# kept POD WORD: how many of the pod's connections are so.
kept()
{
	grep -c "^$1 $2" "$lab_folder/kept" || true
}

wait_until 10 eval '[ "$(kept "$pod" open)" -gt 0 ] && [ "$(kept "$other" open)" -gt 0 ]'
mine=$(kept "$pod" open) others=$(kept "$other" open)

node_taint "$n" "$autoscaler_taint"
wait_until 5 node_is "node$n" draining
[ "$(pods_that_answer 40 get "$vip")" = "$other" ]
says_that_it_goes()
{
	ctl -o json nodes "node$n" | grep 'the node is about to go' >/dev/null
}
wait_until 5 says_that_it_goes
sleep 2
[ "$(kept "$pod" open)" = "$mine" ]

node_taint "$n" "$out_taint"
wait_until 3 node_is "node$n" down
wait_until 3 eval '[ "$(kept "$pod" ConnectionResetError)" = "$mine" ]'
[ "$(kept "$other" open)" = "$others" ]
[ "$(pods_that_answer 40 get "$vip")" = "$other" ]

node_taint "$n" "$out_taint-"
node_taint "$n" "$autoscaler_taint-"
wait_until 10 node_is "node$n" up
wait_until 10 eval '[ "$(pods_that_answer 40 get "$vip" | wc -w)" = 2 ]'
