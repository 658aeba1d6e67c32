# guidewayctl captures what came to a VIP, what left for the nodes and the client, and what was dropped
# and why, which tcpdump on the twin does not see; as lines, and as a file that tcpdump reads.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#     2001:db8:1::7   2001:db8:a::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

# captured FILTER...: of two requests and one to a closed port, which are made meanwhile.
captured()
{
	spawn capture guideway "$guidewayctl" -s "$lab_folder/guideway.sock" capture "$@"
	sleep 0.5
	on client fetch_peer web >/dev/null
	on client fetch_peer web6 >/dev/null
	refute on client curl -s --max-time 2 http://10.0.0.1:81/
	finish capture || fail "capture ended with status $?"
}

lab client guideway node1
service_add web 10.0.0.1:80/tcp node1
service_add web6 '[2001:db8:a::1]:80/tcp' node1
guideway_start
wait_until_served web web6

captured --seconds 3
lines=$lab_folder/capture.log
grep 'in .*198.51.100.7 port .* > 10.0.0.1 port 80 S ' "$lines"
grep 'out .*192.0.2.100 port .* > 192.0.2.11 port 30080 S ' "$lines"
grep 'out .*10.0.0.1 port 80 > 198.51.100.7 port .* SA ' "$lines"
grep 'in .*2001:db8:1::7 port .* > 2001:db8:a::1 port 80 S ' "$lines"
grep 'drop .*198.51.100.7 port .* > 10.0.0.1 port 81 S .*no-service' "$lines"
grep 'out .*10.0.0.1 port 81 > 198.51.100.7 port .* RA ' "$lines"

# A packet that is wanted as it comes is shown as it leaves as well, and no other is.
captured --seconds 3 --host 10.0.0.1 --port 80 -w "$lab_folder/capture.pcapng"
tcpdump -nr "$lab_folder/capture.pcapng" >"$lab_folder/dump" 2>"$lab_folder/dump.log"
grep '198.51.100.7.* > 10.0.0.1.80: Flags \[S\]' "$lab_folder/dump"
grep '192.0.2.100.* > 192.0.2.11.30080: Flags \[S\]' "$lab_folder/dump"
grep '10.0.0.1.80 > 198.51.100.7.*: Flags \[S.\]' "$lab_folder/dump"
refute grep -e 2001:db8 -e '10.0.0.1.81' "$lab_folder/dump"

# It ends with as many packets as are wanted; only one captures at a time.
spawn long guideway "$guidewayctl" -s "$lab_folder/guideway.sock" capture --seconds 20 --packets 3
sleep 0.5
refute ctl capture --seconds 1 2>"$lab_folder/refusal"
grep -q 'captures already' "$lab_folder/refusal"
on client fetch_peer web >/dev/null
finish long
grep -q '3 packets captured' "$lab_folder/long.log"
refute ctl capture --host nowhere 2>/dev/null
refute ctl capture --packets 0 2>/dev/null
