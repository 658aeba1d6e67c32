# Annotations tune a Service: its flows' timeout, the segments of TCP, its nodes' checks. One that there
# is not, or whose value is no good, is told of, and the Service is served on without it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

web_begin 2
wait_until 10 answers_at_all web
vip=$(vips web | head -n 1)

kubectl annotate service web guideway.dev/idle-timeout=2 guideway.dev/check-interval=0.2 >/dev/null

# Those of its UDP port that are not over. Flows from before are looked at when their old time ends.
established()
{
	ctl -o json flows --service "$namespace/web:53/udp" --state established | grep -c '"client"' || true
}

idle_is()
{
	ctl -o json services "$namespace/web:53/udp" | grep "\"idle_s\": $1,"
}

wait_until 10 idle_is 2
before=$(established)
ask "$vip" >/dev/null
[ "$(established)" = $((before + 1)) ]
wait_until 10 eval '[ "$(established)" -le "$before" ]'
[ -z "$(condition web Degraded)" ]

kubectl annotate service web guideway.dev/mss=huge guideway.dev/tiemout=3 >/dev/null
wait_until 10 condition_is web Degraded "True BadAnnotation"
wait_until 5 eval 'kubectl describe service web | grep "Warning *BadAnnotation.*from 536 to 65495.*guideway.dev/tiemout" >/dev/null'
all_answered web 5

kubectl annotate service web guideway.dev/mss- guideway.dev/tiemout- >/dev/null
wait_until 10 eval '[ -z "$(condition web Degraded)" ]'
