# For three seconds a client floods the machine's own address: health checks, which go the same way
# to the kernel, do not fail, and connections go on.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     floods          198.51.100.1
#
# Runs alone, since it takes both CPUs.
. "$(dirname "$0")/lib.sh"

lab client client1 guideway node1 node2
LAB_CHECK_INTERVAL=1
LAB_CHECK_TIMEOUT=1
service_add web 10.0.0.1:80/tcp node1 node2
guideway_start
wait_until_served web
traffic_start standing client web --flows 20 --every 100 --seconds 60 --patience 5000
spawn flood client1 timeout 10 /usr/bin/python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("198.51.100.1", 9))
until = time.monotonic() + 3
n = 0
while time.monotonic() < until:
    for _ in range(100):
        try: s.send(bytes(100)); n += 1
        except OSError: pass
print(n)'
finish flood
sleep 1
nodes_are_up
refute grep -E 'node[12].* (down|fails)' "$lab_folder/guideway.log"
traffic_stop standing
traffic_was_well standing

# It was a flood.
sent=$(tail -n 1 "$lab_folder/flood.log")
[ "$sent" -ge 30000 ] || fail "only $sent datagrams were sent"
[ "$(counter rx-packets)" -ge $((sent / 4)) ] || fail "only $(counter rx-packets) of $sent arrived"
