# A node that the autoscaler is about to delete takes no new connections, in any mode, and in snat keeps its
# old ones; one that is told to be off is down at once, though it answers, and clients of its connections
# hear it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

guideway_more="$(kubernetes_config) $(tunnel_config)"
guideway_begin
deployment_add web 2
class_apply web 'externalTrafficPolicy: Local'
beside dsr
beside tunnel 'externalTrafficPolicy: Local'
beside dnat 'externalTrafficPolicy: Local'
class_apply plain # So that kube-proxy is asked about nodes.
wait_until 20 are_served web dsr tunnel dnat

vips=$(vips_of web dsr tunnel dnat)
pod=$(pods_of web | cut -d " " -f 1)
other=$(pods_of web | cut -d " " -f 2)
n=$(field "pod/$pod" .spec.nodeName)
n=${n#node}

# answered_by POD...: each of them answers at each address, and nobody else does.
answered_by()
{
	local vip

	[ "$(ask_all --times 30 $vips | cut -d " " -f 2- | sort -u)" = \
		"$(for vip in $vips; do printf "$vip %s\n" "$@"; done | sort -u)" ]
}

wait_until 10 answered_by "$pod" "$other"

# Connections that ask again and again; each has a line: its pod, and how it is.
spawn keep client /usr/bin/python3 "$kubernetes_folder/keep.py" "$lab_folder/kept" 16 \
	"$(vips web | head -n 1)"

# kept POD WORD: how many of the pod's connections are so.
kept()
{
	grep -c "^$1 $2" "$lab_folder/kept" || true
}

wait_until 10 eval '[ "$(kept "$pod" open)" -gt 0 ] && [ "$(kept "$other" open)" -gt 0 ]'
mine=$(kept "$pod" open) others=$(kept "$other" open)

node_taint "$n" "$autoscaler_taint"
wait_until 5 node_is "node$n" draining
answered_by "$other"
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
node_taint "$n" "$autoscaler_taint-"
answered_by "$other"
node_is "node$n" down

node_taint "$n" "$out_taint-"
wait_until 10 node_is "node$n" up
wait_until 10 answered_by "$pod" "$other"
