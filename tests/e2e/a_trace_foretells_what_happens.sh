# guidewayctl trace says of a packet what then happens when it is sent, byte by byte, and changes
# nothing; guidewayctl explain tells of affinity and of replies.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     2001:db8:1::7   2001:db8:a::1
#
# Runs under the sanitizers too.
. "$(dirname "$0")/lib.sh"

status_of()
{
	local status=0

	"$@" >/dev/null 2>&1 || status=$?
	echo "$status"
}

# ask_by PORT TTL: sends a datagram from that port to the service echo, and waits for the answer.
ask_by()
{
	here /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("198.51.100.7", int(sys.argv[1])))
s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[2]))
s.settimeout(1)
s.sendto(b"what is it?", ("10.0.0.1", 53))
s.recv(1500)' "$@" 2>"$lab_folder/ask.log"
}

# capture_begin NAME FILTER..., and capture_end NAME: what it has seen is in NAME.log.
capture_begin()
{
	rm -f "$lab_folder/$1.log"
	spawn "$1" guideway "$guidewayctl" -s "$lab_folder/guideway.sock" -o json capture \
		--seconds 2 "${@:2}"
	sleep 0.5
}

# what FILE POINT N FIELD: of the Nth packet that was seen there.
what()
{
	json "[p for p in d['packets'] if p['point'] == '$2'][$3]['$4']" <"$lab_folder/$1.log"
}

# traced ARGUMENT...: the trace as JSON.
traced()
{
	ctl -o json trace "$@"
}

# What a trace must not touch, as far as health checks do not either.
untouched()
{
	api counters | json '[d["drops"], d["services"],
		[d["events"][e] for e in ("flows-created", "flows-expired", "resets-sent", "handed-over",
			"icmp-errors-sent", "echo-answered", "fragmented", "reassembled")]]'
}

# The twenty bytes in hexadecimal of an IPv4 header behind an Ethernet header, as TTL 1 has it.
dying()
{
	/usr/bin/python3 -c '
import sys
frame = bytearray.fromhex(sys.argv[1])
checksum = int.from_bytes(frame[24:26], "big") + ((frame[22] - 1) << 8)
frame[22] = 1
frame[24:26] = ((checksum & 0xffff) + (checksum >> 16)).to_bytes(2, "big")
print(frame.hex())' "$1"
}

lab client guideway node1 node2
service_add web 10.0.0.1:80/tcp node1 node2
service_add web6 '[2001:db8:a::1]:80/tcp' node1
service_add echo 10.0.0.1:53/udp node1 node2
service_more[web6]='mode = "dnat";'
service_more[echo]='affinity = "client-ip"; affinity_timeout = 600;'
nodes_answer through-guideway
guideway_start
wait_until_served web web6 echo

# Of a flow that there is not yet, as what and to whom it will go.
refute grep -q 'affinity' <(ctl explain udp 198.51.100.99:40001 10.0.0.1:53 | grep -v '^flow')
foretold=$(traced udp 198.51.100.7:40001 10.0.0.1:53)
[ "$(json 'd["verdict"]' <<<"$foretold")" = leaves ]
json 'str(d["steps"])' <<<"$foretold" | grep -q 'one would begin'
ends=$(json 'd["frames"][0]["bytes"][52:76]' <<<"$foretold")
capture_begin echo --protocol udp
on client ask_by 40001 64
finish echo
[ "$(what echo out 0 bytes | cut -c 53-76)" = "$ends" ] || fail "it went another way than foretold"

# Now that there is a flow, packets that were seen would become what they became, byte by byte.
before=$(untouched)
for i in 0 1; do
	[ "$(traced "$(what echo in $i bytes)" | json 'd["frames"][0]["bytes"]')" = \
		"$(what echo out $i bytes)" ] || fail "packet $i would become something else"
done
ctl trace "@$lab_folder/echo.log" --number 1 | grep -q 'there is one, to node node'
ctl trace @- <<<"$(what echo in 1 bytes | fold -w 2 | tr '\n' ':')" | grep -q 'leaves by port 0'

# Packets that are dropped, and what their senders are told.
ctl trace tcp 198.51.100.7:40002 10.0.0.1:81 | grep 'dropped: .*no-service.*is told'
traced "$(dying "$(what echo in 0 bytes)")" | json 'd["drop"]' | grep -x hop-limit
traced "$(what echo in 0 bytes | sed s/^............/020000000099/)" | json 'd["drop"]' |
	grep -x not-for-us
traced udp 198.51.100.7:40002 192.0.2.100:1025 | json 'd["drop"], d["answered"]' |
	grep -x 'no-flow False'
traced tcp 198.51.100.7:40002 198.51.100.1:22 | json 'd["verdict"]' | grep -x kernel
[ "$(untouched)" = "$before" ] || fail "traces changed something"

# What then happens.
n_dead=$(drop hop-limit)
refute on client ask_by 40001 1
[ "$(drop hop-limit)" = $((n_dead + 1)) ]
capture_begin refused --port 81
refute on client curl -s --max-time 2 http://10.0.0.1:81/
finish refused
[ "$(what refused drop 0 drop)" = no-service ]
[ "$(traced "$(what refused in 0 bytes)" | json 'd["frames"][0]["bytes"]')" = \
	"$(what refused out 0 bytes)" ]

# A file of packets; one that was captured only in part is not taken for the whole.
capture_begin file --port 81 -w "$lab_folder/refused.pcapng"
refute on client curl -s --max-time 2 http://10.0.0.1:81/
finish file
ctl trace "@$lab_folder/refused.pcapng" | grep -q 'no-service'
[ "$(status_of ctl trace "@$lab_folder/refused.pcapng" --number 99)" = 2 ]

# Explanations of replies, and of a client that is remembered.
snat_port=$((16#$(what echo out 0 bytes | cut -c 69-72)))
node=$(what echo in 1 bytes | cut -c 53-60)
node=$((16#${node:0:2})).$((16#${node:2:2})).$((16#${node:4:2})).$((16#${node:6:2}))
ctl explain udp "$node:30053" "192.0.2.100:$snat_port" | grep -q 'forwarded to the client'
ctl -o json explain udp "$node:30053" 192.0.2.100:1 | json 'd["drop"]' | grep -x no-flow
ctl -o json explain tcp '[2001:db8:2::11]:30080' '[2001:db8:1::7]:40003' |
	json 'd["reply"], d["service"], d["node"]' | grep -x 'True web6 node1'
traced tcp '[2001:db8:2::11]:30080' '[2001:db8:1::7]:40003' | json 'd["verdict"]' | grep -x leaves
ctl explain udp 198.51.100.7:40009 10.0.0.1:53 | grep -E 'affinity +node node[12], remembered'

# What makes no sense.
[ "$(status_of ctl trace abc)" = 1 ]
grep -q '3 hexadecimal digits' <(ctl trace abc 2>&1)
[ "$(status_of ctl trace 0011)" = 1 ]
[ "$(status_of ctl trace "$(printf '%020000d' 0)")" = 2 ]
[ "$(status_of ctl trace udp 198.51.100.7:1 10.0.0.1:53 --port 7)" = 1 ]
[ "$(status_of ctl trace udp 198.51.100.7:1)" = 2 ]
[ "$(status_of ctl trace @/nowhere)" = 2 ]
[ "$(status_of ctl trace "$(printf '%018036d' 0)")" = 0 ]
