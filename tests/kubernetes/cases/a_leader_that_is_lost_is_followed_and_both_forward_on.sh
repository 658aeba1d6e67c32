# The leader is stopped, killed, and cut off from the API server: within its Lease the other writes,
# both forward throughout, as far as they run, and no address changes.
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

two_begin
deployment_add web 4
class_apply web
wait_until 15 has_vips web
addresses=$(vips web)
wait_until 10 all_answer $addresses
by 240 wait_until 10 all_answer $addresses

# Stopped: it holds its Lease no more when it goes on.
kill -STOP "${lab_processes[guideway]}"
wait_until 12 second leads
second_serves stopped
nothing_changed
kill -CONT "${lab_processes[guideway]}"
wait_until 12 follows edge2
wait_until 10 all_answer $addresses $(vips stopped)

# Killed: first the one that leads now goes in order, and nobody waits.
second end guideway2
wait_until 3 leads
second instance_begin
wait_until 15 second follows edge
end guideway KILL
wait_until 12 second leads
second_serves killed
nothing_changed
instance_begin
wait_until 15 follows edge2
wait_until 10 all_answer $addresses $(vips stopped) $(vips killed)

# Cut off: the one that leads stops writing by itself, and forwards on.
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
