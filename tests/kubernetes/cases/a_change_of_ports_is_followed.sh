# A user changes the ports of live Services, in every mode: one more, another number, another
# NodePort, another protocol, one less. Each is followed at the same address, and what did not change
# never stops.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

services="web dsr tunnel dnat"

# ports_set PORT...: all that they have from now on, in YAML.
ports_set()
{
	kubectl patch service $services --type json \
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
	all_answer_to --port "$1" $vips
}

answers_at()
{
	all_answer_to --udp --port "$1" $vips
}

serves_not_at()
{
	none_answers_to --port "$1" $vips
}

answers_not_at()
{
	none_answers_to --udp --port "$1" $vips
}

modes_begin 2 "dsr tunnel dnat"
vips=$(vips_of $services)
ports_set "$http"
wait_until 10 serves_at 80
wait_until 5 answers_not_at 53
for service in $services; do
	spawn "traffic-$service" client "$support/traffic" --flows 10 --new 10 --seconds 120 --patience 5000 \
		"$(vips $service | head -n 1)" 80
done

ports_set "$http" "$(port more 8000 8080)"
wait_until 10 serves_at 8000
ports_set "$http" "$(port more 8001 8080)"
wait_until 10 serves_at 8001
wait_until 5 serves_not_at 8000
services=web ports_set "$http" "$(port more 8001 8080 TCP 30999)"
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

for service in $services; do
	end "traffic-$service"
	[ "$(traffic_total "traffic-$service" answered)" -gt 100 ]
	[ "$(traffic_total "traffic-$service" broken) $(traffic_total "traffic-$service" failed)" = "0 0" ] ||
		fail "of what did not change in $service: $(cat "$lab_folder/traffic-$service.log")"
done
[ "$(vips_of $services)" = "$vips" ]
