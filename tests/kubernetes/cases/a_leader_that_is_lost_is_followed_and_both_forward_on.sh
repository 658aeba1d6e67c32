# The leader is stopped, killed, and cut off from the API server: within its Lease the other writes,
# both forward throughout, as far as they run, without a connection lost, and no address changes.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

# A Service more is served by edge2, at an address of its own.
second_serves()
{
	class_apply "$1"
	with_pods_of web "$1"
	wait_until 15 has_vips "$1"
	by 240 wait_until 10 all_answer $(vips "$1")
}

nothing_changed()
{
	[ "$(vips web)" = "$addresses" ] && by 240 all_answer $addresses
}

# steady_add NAME N: a Service that the client always reaches by the edge with that number in its
# addresses, for constant load.
steady_add()
{
	local vip

	class_apply "$1"
	with_pods_of web "$1"
	wait_until 15 has_vips "$1"
	for vip in $(vips "$1"); do
		case $vip in
		*:*) ip_at client -6 route replace "$vip/128" via "$outside6:$2" ;;
		*) ip_at client route replace "$vip/32" via "$outside4.$2" ;;
		esac
	done
	wait_until 10 all_answer $(vips "$1")
}

case_undo()
{
	ip_at client route flush root $vips4
	ip_at client -6 route flush root $vips6
}

two_begin
deployment_add web 4
class_apply web
wait_until 15 has_vips web
addresses=$(vips web)
wait_until 10 all_answer $addresses
by 240 wait_until 10 all_answer $addresses
steady_add by-edge 250
steady_add by-edge2 240

# Stopped: it holds its Lease no more when it goes on.
load_begin 20 $(vips by-edge2)
kill -STOP "${lab_processes[guideway]}"
wait_until 12 second leads
second_serves stopped
nothing_changed
kill -CONT "${lab_processes[guideway]}"
wait_until 12 follows edge2
wait_until 10 all_answer $addresses $(vips stopped)
load_end "the stop of the leader, by the other"

# Killed: first the one that leads now goes in order, and nobody waits.
second end guideway2
wait_until 3 leads
second instance_begin
wait_until 15 second follows edge
wait_until 10 all_answer $(vips by-edge2)
load_begin 20 $(vips by-edge2)
end guideway KILL
wait_until 12 second leads
second_serves killed
nothing_changed
instance_begin
wait_until 15 follows edge2
wait_until 10 all_answer $addresses $(vips stopped) $(vips killed)
load_end "the death of the leader, by the other"

# Cut off: the one that leads stops writing by itself, and forwards on.
wait_until 10 all_answer $(vips by-edge)
load_begin 20 $(vips by-edge) $(vips by-edge2)
ip_at edge2 link set mgmt0 down
wait_until 12 leads
refute second leads
nothing_changed
class_apply cut
with_pods_of web cut
wait_until 15 has_vips cut
wait_until 10 all_answer $addresses $(vips cut)
nothing_changed
ip_at edge2 link set mgmt0 up
by 240 wait_until 60 all_answer $(vips cut)
second follows edge
load_end "the leader's being cut off, by both"
