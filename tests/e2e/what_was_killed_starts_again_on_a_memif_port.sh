# After kill -9 it starts again on a memif port, though its sockets are left, and nobody cleans up.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   2001:db8:a::1
#
LAB_DRIVER=memif
. "$(dirname "$0")/lib.sh"

# The far end of a memif polls: it takes a CPU of its own.
LAB_CHECK_INTERVAL=2
LAB_CHECK_TIMEOUT=2

lab client guideway node1
service_add web 10.0.0.1:80/tcp node1
service_add web6 '[2001:db8:a::1]:80/tcp' node1
guideway_start
for round in 1 2; do
	wait_until_served web web6
	starts_again_after_a_kill
done
wait_until_served web web6
guideway_stop
[ ! -e "$lab_folder/guideway.sock" ]
