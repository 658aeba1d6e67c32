# A user changes the ports of a live Service: one more, another number, another NodePort, another
# protocol, one less. Each is followed at the same address, and what did not change never stops.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

# ports_set PORT...: all that it has from now on, in YAML.
ports_set()
{
	kubectl patch service web --type json \
		-p "[{\"op\": \"replace\", \"path\": \"/spec/ports\", \"value\": [$(join "$@")]}]" >/dev/null
}

http='{"name": "http", "port": 80, "targetPort": 8080}'

# port NAME PORT TARGET [PROTOCOL [NODE-PORT]]
port()
{
	echo "{\"name\": \"$1\", \"port\": $2, \"targetPort\": $3, \"protocol\": \"${4:-TCP}\", \"nodePort\": ${5:-0}}"
}

serves_at()
{
	local vip

	for vip in $vips; do
		get "$vip" /hostname "$1" >/dev/null || return 1
	done
}

answers_at()
{
	local vip

	for vip in $vips; do
		ask "$vip" hostname "$1" >/dev/null || return 1
	done
}

serves_not_at()
{
	! serves_at "$1"
}

answers_not_at()
{
	! answers_at "$1"
}

web_begin 2
vips=$(vips web)
ports_set "$http"
wait_until 10 serves_at 80
wait_until 5 answers_not_at 53
spawn traffic client "$support/traffic" --flows 20 --new 20 --seconds 120 --patience 5000 \
	"$(head -n 1 <<<"$vips")" 80

ports_set "$http" "$(port more 8000 8080)"
wait_until 10 serves_at 8000
ports_set "$http" "$(port more 8001 8080)"
wait_until 10 serves_at 8001
wait_until 5 serves_not_at 8000
ports_set "$http" "$(port more 8001 8080 TCP 30999)"
wait_until 10 eval '[ "$(node_port web more)" = 30999 ]'
wait_until 10 serves_at 8001
ctl -o json services "$namespace/web:8001/tcp" | grep 30999 >/dev/null
ports_set "$http" "$(port more 8001 8081 UDP)"
wait_until 10 answers_at 8001
wait_until 5 serves_not_at 8001
ports_set "$http" "$(port both 8001 8080)" "$(port more 8001 8081 UDP)"
wait_until 10 serves_at 8001
answers_at 8001
ports_set "$http"
wait_until 10 serves_not_at 8001
wait_until 5 answers_not_at 8001

end traffic
[ "$(traffic_total traffic answered)" -gt 100 ]
[ "$(traffic_total traffic broken)$(traffic_total traffic failed)" = 00 ]
[ "$(vips web)" = "$vips" ]
