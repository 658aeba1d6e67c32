# A second Guideway beside the first: the same cluster and wires, at an edge of its own, until the case
# ends.
#
#              outside                             inside
#     client ───┬──────── wan0 edge  fab0 ──────────┬──── node1 ... node4
#               │         .250       .250           │
#               └──────── wan0 edge2 fab0 ──────────┘
#                         .240       .240
#
# Their names among instances are edge and edge2; but for these, sockets and state, both are told the
# same, and what is in guideway_more. A Lease lasts for lease_s, so that cases are short.

lease_s=4

snat_config()
{
	echo '"twin:fab"'
}

second_edge_add()
{
	second_edge_forget
	lab_hosts+=(edge2)
	edge_wires_add edge2 240
}

# That of a case before: the kernel takes its time with the wires of a namespace that is gone, and a
# case that was killed leaves all of it.
second_edge_forget()
{
	local interface

	if cluster_namespaces | grep -x "$cluster-edge2" >/dev/null; then
		kill_all_on edge2 || true
		ip netns del "$cluster-edge2"
	fi
	for interface in wan0 fab0 mgmt0; do
		ip_at wire link del "edge2-$interface" 2>/dev/null || true
	done
}

# second COMMAND...: of the second one.
second()
{
	local lab_guideway=guideway2 edge=edge2

	"$@"
}

# instance_config [KEY = VALUE;...]: with further keys of 'kubernetes.instances'.
instance_config()
{
	kubernetes_config "instances = { name = \"$edge\"; lease = $lease_s; renew = 2.5; retry = 0.5; $* };"
}

instance_begin()
{
	local guideway_more="$guideway_more $(instance_config "$@")"

	guideway_begin
}

two_begin()
{
	second_edge_add
	instance_begin "$@"
	wait_until 15 leads
	second instance_begin "$@"
	wait_until 15 second knows_both
}

instance()
{
	api kubernetes | json "d['instance']['$1']"
}

leads()
{
	[ "$(instance leads)" = True ]
}

follows()
{
	[ "$(instance leads)" = False ] && [[ "$(instance leader)" == "$1"_* ]]
}

knows_both()
{
	[ "$(api kubernetes | json 'len(d["instances"])')" = 2 ]
}

# by N COMMAND...: while the client goes by that edge.
by()
{
	local status=0

	client_goes_by "$1"
	"${@:2}" || status=$?
	client_goes_by 250
	return $status
}

# all_answer ADDRESS...: by HTTP and UDP.
all_answer()
{
	local vip

	for vip in "$@"; do
		get "$vip" >/dev/null && ask "$vip" >/dev/null || return 1
	done
}

# choices ADDRESS: the nodes that twenty clients of it would be sent to.
choices()
{
	local n client=198.51.100.10

	[[ $1 != *:* ]] || client="[2001:db8:c1::10]"
	for ((n = 0; n < 20; n++)); do
		api explain --get --data-urlencode protocol=tcp --data-urlencode "client=$client:$((20000 + n))" \
			--data-urlencode "vip=$(bracketed "$1"):80"
	done | grep -oE '"node": ?"[^"]*"'
}
