# Services of several modes in front of the same pods, for cases: what a case proves is proven of each of
# them, and they are asked at once, so that this takes no longer than one.
#
#     web      snat
#     dsr      dsr      externalTrafficPolicy Local
#     tunnel   tunnel
#     dnat     dnat     what nodes send to clients goes by the edge, whatever its Service

# So many that those are not missed that were given back, and rest.
cluster_addresses='"203.0.113.1-203.0.113.29", "2001:db8:113::1-2001:db8:113::1d"'

# beside MODE [FIELD...]: a Service named after its mode in front of the pods of "web", and what the mode
# asks of the nodes. The configuration has to have tunnel_config().
beside()
{
	case $1 in
	dsr) set -- "$@" 'externalTrafficPolicy: Local' ;;
	tunnel) nodes_undo_tunnels ;;
	dnat) clients_are_reached_by edge ;;
	esac
	mode_apply "$1" "$@"
	with_pods_of web "$1"
}

# modes_begin PODS "MODE..." [FIELD...]: web_begin, with these beside it. Returns when all are served.
modes_begin()
{
	local mode

	guideway_more="$(kubernetes_config) $(tunnel_config)"
	guideway_begin
	deployment_add web "$1"
	class_apply web "${@:3}"
	for mode in $2; do
		beside "$mode" "${@:3}"
	done
	wait_until 20 are_served web $2
}

# are_served SERVICE...: programmed, and answering at all of their addresses.
are_served()
{
	local reasons

	reasons=$(columns "$@" ".status.conditions[?(@.type=='guideway.dev/Programmed')].reason") &&
		[ "$(sort -u <<<"$reasons")" = Forwarding ] && all_serve $(vips_of "$@")
}

# vips_of SERVICE...: a line each.
vips_of()
{
	columns "$@" '.status.loadBalancer.ingress[*].ip' | tr , '\n' | grep -v '<none>'
}

# columns SERVICE... JSONPATH: what each has there, a line each, with commas in between; "<none>" for
# nothing. One kubectl for all, which takes as long to start as a case's step.
columns()
{
	kubectl get service "${@:1:$#-1}" --no-headers --output "custom-columns=:${*: -1}"
}

# --- Asking at many addresses at once ------------------------------------------------------------

# ask_all [OPTION...] ADDRESS...: ask_all.py from the client.
ask_all()
{
	on client /usr/bin/python3 "$kubernetes_folder/ask_all.py" "$@"
}

# all_answer_to and none_answers_to [OPTION...] ADDRESS...: to what ask_all asks them.
all_answer_to()
{
	local told

	told=$(ask_all "$@") && [ -n "$told" ] && ! grep ' -$' <<<"$told"
}

none_answers_to()
{
	local told

	told=$(ask_all --within 1 "$@") && [ -n "$told" ] && ! grep -v ' -$' <<<"$told"
}

# all_serve, none_serves ADDRESS...: TCP and UDP, at the ports of every Service.
all_serve()
{
	all_answer_to "$@" && all_answer_to --udp "$@"
}

none_serves()
{
	none_answers_to "$@" && none_answers_to --udp "$@"
}

# --- Under load ----------------------------------------------------------------------------------

# stateless_load_begin PER_SECOND ADDRESS...: load_begin, beside it, for modes that keep no flows.
stateless_load_begin()
{
	spawn stateless client /usr/bin/python3 "$kubernetes_folder/load.py" "$@"
}

# stateless_load_end WHAT: fails if one of them was refused or not answered. A connection that is open
# when its slot moves to another node is reset by that (README.md, "Limits"): no more than one of a
# hundred may have met this.
stateless_load_end()
{
	local log=$lab_folder/stateless.log asked failed

	end stateless
	read -r asked failed < <(sed -nE 's/^([0-9]+) asked, ([0-9]+) failed$/\1 \2/p' "$log")
	echo "Says: $1, in modes that keep no flows: $asked asked, $failed failed"
	[ "$asked" -gt 0 ] && [ $((failed * 100)) -le "$asked" ] &&
		! grep ' s, ' "$log" | grep -v ConnectionResetError >/dev/null ||
		{ head -n 20 "$log" >&2 && fail "connections were lost during $1"; }
	rm "$log"
}

# --- Nodes ---------------------------------------------------------------------------------------

# node_boots N: one that is dead returns, as the modes need it.
node_boots()
{
	local tunnels=${lab_processes[node$1-decap]:-}

	[ -z "$tunnels" ] || end "node$1-decap"
	node_returns "$1"
	[ -z "$tunnels" ] || node_undoes_tunnels "$1"
}

node_undoes_tunnels()
{
	spawn "node$1-decap" "node$1" "$support/decap" tun0 6080
	wait_until 5 ip_at "node$1" link set tun0 up
}
