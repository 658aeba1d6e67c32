# The lab: hosts in network namespaces around a real Guideway
# ===========================================================
#
#     client ────────┐                        ┌──────── node1   192.0.2.11, 2001:db8:2::11
#     198.51.100.7   ├── wire ── guideway     ├──────── node2   192.0.2.12, 2001:db8:2::12
#     2001:db8:1::7  │   (a bridge)           │          ...
#                    └────────────────────────┘
#
# Everybody hangs on one bridge, in a namespace of its own, the wire. Guideway's port is a TAP
# device of DPDK whose kernel end is moved there (LAB_DRIVER says otherwise); its twin, in the
# namespace guideway, is 198.51.100.1 towards clients and 192.0.2.1 towards nodes. Clients route the
# VIPs, 10.0.0.0/24 and 2001:db8:a::/64, to it. SNAT
# addresses: 192.0.2.100 and 2001:db8:2::100.
#
# A node serves HTTP and echoes UDP behind a NodePort that nftables redirects to where the server
# listens, as kube-proxy does.
#
# Every namespace carries the script's process id, so that labs do not meet; all of it goes away
# when the script ends, however it ends.

set -Eeuo pipefail

repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
build=${GUIDEWAY_BUILD:-$repository/build}
support=$build/tests/support

lab_name=${LAB_NAME:-gw$$} # tests/kubernetes/ brings hosts of its own.
lab_folder=/run/gw$$
rm -rf "$lab_folder"
mkdir "$lab_folder"
declare -A lab_processes=() # Process id by name.
lab_hosts=()

# What a scenario may set before it calls lab():
LAB_DRIVER=${LAB_DRIVER:-tap} # tap, af_packet, af_xdp or memif,
LAB_ARMS=${LAB_ARMS:-1}       # one port for all, or 2: one for clients and one for nodes,
LAB_WORKERS=${LAB_WORKERS:-0} # the CPUs of the workers,
LAB_IDLE=${LAB_IDLE:-sleep}   # what they do with nothing to do: sleep or poll.
LAB_MTU=${LAB_MTU:-1500}      # Of every interface.
LAB_ADOPT=${LAB_ADOPT:-false} # Whether it takes over the addresses of a kernel interface.
LAB_VLAN=${LAB_VLAN:-0}       # The tag that packets carry on Guideway's side of the wire.
LAB_FLOWS=65536               # Of each family.
LAB_MODE=${LAB_MODE:-snat}    # Of all services.
LAB_SNAT=${LAB_SNAT:-}        # As in guideway.conf; the addresses above if empty.
LAB_CHECK_STATUS=200          # What the nodes' answer to a check has to be.
LAB_CHECK_INTERVAL=0.5
LAB_CHECK_TIMEOUT=0.5
# How long Guideway may take to end: a fifth of a second, but namespaces of another scenario that are
# being removed hold the kernel's lock over interfaces for longer. The look for leaks takes longer.
END_LIMIT_MS=4000
[[ $build != *sanitized* ]] || END_LIMIT_MS=8000

# Whole stacks, of memory that libraries took for us too.
export ASAN_OPTIONS=fast_unwind_on_malloc=0

# --- Beginning and end ---------------------------------------------------------------------------

fail()
{
	echo "failed: $*" >&2
	exit 1
}

refute()
{
	if "$@"; then
		fail "should not be: $*"
	fi
}

show_what_is_known()
{
	local log

	for log in "$lab_folder"/*.log; do
		[ -s "$log" ] || continue
		echo "--- ${log##*/}"
		head -n -40 "$log" | grep -E "^(warning|error):" | tail -n 40
		tail -n 40 "$log"
	done
}

# What a scenario that went well still has to show: every Guideway that it leaves running ends as it
# should, and none had anything that a sanitizer complains of.
ended_well()
{
	local name complaints

	for name in "${!lab_processes[@]}"; do
		[[ $name != guideway* ]] || ends_well "$name" || return 1
	done
	complaints=$(grep -lsE "AddressSanitizer|LeakSanitizer|runtime error:" "$lab_folder"/*.log)
	[ -z "$complaints" ] || { echo "failed: a sanitizer complains in ${complaints##*/}" >&2 && return 1; }
}

# From here on a signal does not interrupt: what there is has to go.
lab_remove()
{
	local status=$? host

	trap - EXIT ERR
	trap '' INT TERM
	set +e
	[ "$status" != 0 ] || ended_well || status=1
	[ "$status" = 0 ] || show_what_is_known >&2
	exec 2>/dev/null # The shell's own words about who was killed are of no interest.
	for host in "${lab_hosts[@]}"; do
		kill_all_on "$host"
		ip netns del "$lab_name-$host"
	done
	wait
	rm -rf "$lab_folder"
	exit "$status"
}
trap lab_remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'echo "failed at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR

kill_all_on()
{
	local pids

	pids=$(ip netns pids "$lab_name-$1" 2>/dev/null)
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null
}

# --- Hosts ---------------------------------------------------------------------------------------

# on HOST COMMAND...: runs a command, or one of the functions below, on a host.
on()
{
	local at=$1

	shift
	if declare -F "$1" >/dev/null; then
		"$@"
	else
		here "$@"
	fi
}

# Inside functions that are called through on(): runs a command on that host.
here()
{
	ip netns exec "$lab_name-$at" "$@"
}

# spawn NAME HOST COMMAND...: runs a command in the background, its output in NAME.log.
spawn()
{
	local name=$1 host=$2

	shift 2
	ip netns exec "$lab_name-$host" "$@" >>"$lab_folder/$name.log" 2>&1 </dev/null &
	lab_processes[$name]=$!
}

# Sends a signal to what spawn() started, and waits for its end: by that signal, or with status 0.
end()
{
	local name=$1 signal=${2:-TERM} status=0

	kill "-$signal" "${lab_processes[$name]}"
	finish "$name" || status=$?
	[ "$status" = 0 ] || [ "$status" = $((128 + $(kill -l "$signal"))) ] ||
		fail "$name ended with status $status"
}

# ends_well NAME: a Guideway ends when it is told to, soon, and with status 0.
ends_well()
{
	local name=$1 told=$EPOCHREALTIME status=0

	kill -TERM "${lab_processes[$name]}" || { echo "failed: $name has ended by itself" >&2 && return 1; }
	while is_running "$name" && [ "$(milliseconds_since "$told")" -lt 10000 ]; do
		sleep 0.02
	done
	ended_in_ms=$(milliseconds_since "$told")
	! is_running "$name" || kill -KILL "${lab_processes[$name]}"
	finish "$name" || status=$?
	[ "$status" = 0 ] && [ "$ended_in_ms" -le "$END_LIMIT_MS" ] && return
	echo "failed: $name ended with status $status after $ended_in_ms ms" >&2
	return 1
}

# Waits for the end of what spawn() started; its status.
finish()
{
	local status=0

	wait "${lab_processes[$1]}" 2>/dev/null || status=$?
	unset "lab_processes[$1]"
	return "$status"
}

is_running()
{
	kill -0 "${lab_processes[$1]}" 2>/dev/null
}

# wait_until SECONDS COMMAND...: tries a command until it succeeds.
wait_until()
{
	local deadline=$((SECONDS + $1 + 1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || fail "still not after a while: $*"
		sleep 0.05
	done
}

host_add()
{
	ip netns add "$lab_name-$1"
	lab_hosts+=("$1")
	ip -n "$lab_name-$1" link set lo up
	on "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv6.conf.default.accept_ra=0 net.ipv4.conf.all.rp_filter=0 \
		net.ipv6.conf.default.router_solicitations=0
}

bridge_add()
{
	ip -n "$lab_name-wire" link add "$1" type bridge mcast_snooping 0
	on wire sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1"
	ip -n "$lab_name-wire" link set "$1" mtu "$LAB_MTU" up
}

# Puts an interface that is already in the wire's namespace on a bridge.
bridge_attach()
{
	on wire sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
	ip -n "$lab_name-wire" link set "$2" mtu "$LAB_MTU" master "$1" up
}

# plug HOST INTERFACE BRIDGE: a cable between a host and a bridge.
plug()
{
	local host=$1 interface=$2 bridge=$3

	ip -n "$lab_name-wire" link add "$host-$interface" mtu "$LAB_MTU" type veth \
		peer name "$interface" netns "$lab_name-$host" mtu "$LAB_MTU"
	bridge_attach "$bridge" "$host-$interface"
	checksums_complete "$host" "$interface"
	ip -n "$lab_name-$host" link set "$interface" up
}

# checksums_complete HOST INTERFACE: between kernels a checksum is left to be done by hardware that a
# veth does not have; only a TAP does it on the way.
checksums_complete()
{
	[ "$LAB_DRIVER" = tap ] || on "$1" ethtool -K "$2" tx off >/dev/null
}

# pull HOST, and push it in again: the cable of its eth0.
pull()
{
	ip -n "$lab_name-wire" link set "$1-eth0" down
}

push()
{
	ip -n "$lab_name-wire" link set "$1-eth0" up
}

# addresses HOST INTERFACE ADDRESS...
addresses()
{
	local host=$1 interface=$2 address

	shift 2
	for address in "$@"; do
		case $address in
		*:*) ip -n "$lab_name-$host" addr add "$address" dev "$interface" nodad ;;
		*) ip -n "$lab_name-$host" addr add "$address" dev "$interface" ;;
		esac
	done
}

routes_to_vips()
{
	ip -n "$lab_name-$1" route add 10.0.0.0/24 via "$2"
	ip -n "$lab_name-$1" route add 2001:db8:a::/64 via "$3"
}

client_add()
{
	local digits=${1//[^0-9]/}
	local n=$((7 + ${digits:-0}))

	host_add "$1"
	plug "$1" eth0 "$client_bridge"
	addresses "$1" eth0 "198.51.100.$n/24" "2001:db8:1::$n/64"
	routes_to_vips "$1" 198.51.100.1 2001:db8:1::1
}

# A client far away: the path to it is narrower in its middle than at either end.
#
#     NAME ──── NAME-gate ════════════ NAME-door ──── bridge of the clients
#     203.0.113.7         MTU 1300     198.51.100.254
#     2001:db8:3::7                    2001:db8:1::fe
FAR_MTU=1300
far_client_add()
{
	local gate=$1-gate door=$1-door

	host_add "$1"
	host_add "$gate"
	host_add "$door"
	plug "$door" eth0 "$client_bridge"
	cable "$1" eth0 "$gate" eth1 "$LAB_MTU"
	cable "$gate" eth0 "$door" eth1 "$FAR_MTU"
	for router in "$gate" "$door"; do
		on "$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	done
	addresses "$1" eth0 203.0.113.7/24 2001:db8:3::7/64
	addresses "$gate" eth1 203.0.113.1/24 2001:db8:3::1/64
	addresses "$gate" eth0 198.18.0.1/24 2001:db8:4::1/64
	addresses "$door" eth1 198.18.0.2/24 2001:db8:4::2/64
	addresses "$door" eth0 198.51.100.254/24 2001:db8:1::fe/64
	route_to "$1" default 203.0.113.1 2001:db8:3::1
	route_to "$gate" default 198.18.0.2 2001:db8:4::2
	route_to "$door" far 198.18.0.1 2001:db8:4::1
	routes_to_vips "$door" 198.51.100.1 2001:db8:1::1
}

# cable HOST INTERFACE HOST INTERFACE MTU: between two hosts, without a bridge.
cable()
{
	ip -n "$lab_name-$1" link add "$2" mtu "$5" type veth \
		peer name "$4" netns "$lab_name-$3" mtu "$5"
	checksums_complete "$1" "$2"
	checksums_complete "$3" "$4"
	ip -n "$lab_name-$1" link set "$2" up
	ip -n "$lab_name-$3" link set "$4" up
}

# route_to HOST default|far IPV4-GATEWAY IPV6-GATEWAY
route_to()
{
	local ipv4=$2 ipv6=$2

	[ "$2" = default ] || { ipv4=203.0.113.0/24 ipv6=2001:db8:3::/64; }
	ip -n "$lab_name-$1" route replace "$ipv4" via "$3"
	ip -n "$lab_name-$1" -6 route replace "$ipv6" via "$4"
}

node_address()
{
	local n=$((10 + ${1//[^0-9]/}))

	[ "${2:-4}" = 4 ] && echo "192.0.2.$n" || echo "2001:db8:2::$n"
}

node_add()
{
	host_add "$1"
	plug "$1" eth0 "$node_bridge"
	addresses "$1" eth0 "$(node_address "$1" 4)/24" "$(node_address "$1" 6)/64"
	node_ports_open "$1"
	node_serve "$1"
}

# What kube-proxy does for a NodePort, for packets from the network and from the node itself.
node_ports_open()
{
	on "$1" nft -f - <<-'RULES'
		table inet kube {
			chain prerouting {
				type nat hook prerouting priority -100
				jump node_ports
			}
			chain output {
				type nat hook output priority -100
				fib daddr type local jump node_ports
			}
			chain node_ports {
				tcp dport 30080 redirect to :8080
				udp dport 30053 redirect to :5353
				tcp dport 30201 redirect to :5201
				udp dport 30201 redirect to :5201
			}
		}
	RULES
}

node_serve()
{
	spawn "$1" "$1" "$support/node" "$1" 8080 5353
}

# --- What nodes need in other modes than snat ----------------------------------------------------

# Nodes accept what comes to a VIP, as kube-proxy does, and undo tunnels.
nodes_have_vips()
{
	local node service

	for node in "${lab_nodes[@]}"; do
		for service in "${service_names[@]}"; do
			node_accepts "$node" "$service"
		done
		node_undoes_tunnels "$node"
	done
}

node_accepts()
{
	local vip=${service_vip[$2]} protocol=${service_protocol[$2]} listens=8080 family=4 word=ip

	case $2 in
	echo*) listens=5353 ;;
	bulk*) listens=5201 ;;
	esac
	case $vip in
	*:*) family=6 word=ip6 ;;
	esac
	local to
	to=$(node_address "$1" $family)
	[ $family = 4 ] || to=[$to]
	on "$1" nft add rule inet kube prerouting "$word" daddr "$vip" "$protocol" dport \
		"${service_port[$2]}" dnat "$word" to "$to:$listens"
}

# What comes out of a tunnel comes in by tun0.
node_undoes_tunnels()
{
	spawn "$1-decap" "$1" "$support/decap" tun0 6080
	wait_until 5 ip -n "$lab_name-$1" link show tun0
	ip -n "$lab_name-$1" link set tun0 mtu 9000 up
}

# Nodes answer clients through Guideway (dnat), or straight away (dsr, tunnel).
nodes_answer()
{
	local node

	for node in "${lab_nodes[@]}"; do
		case $1 in
		through-guideway)
			route_to "$node" default 192.0.2.1 2001:db8:2::1
			;;
		directly)
			ip -n "$lab_name-$node" route replace 198.51.100.0/24 dev eth0
			ip -n "$lab_name-$node" route replace 2001:db8:1::/64 dev eth0
			route_to "$node" far 198.51.100.254 2001:db8:1::fe
			;;
		esac
	done
}

# The address that the node sees as the client's.
fetch_client()
{
	here curl -sf --max-time 3 "$(url_of "$1" /client)"
}

# The node's servers end; its kernel then refuses connections.
node_kill()
{
	end "$1" KILL
}

# lab HOST...: client*, far*, guideway and node*, as drawn above.
lab()
{
	local host

	[ "$(id -u)" = 0 ] || fail "only root can make network namespaces"
	host_add wire
	client_bridge=bridge0
	node_bridge=bridge$((LAB_ARMS - 1))
	bridge_add bridge0
	[ "$LAB_ARMS" = 1 ] || bridge_add bridge1
	for host in "$@"; do
		case $host in
		guideway) host_add guideway && port_prepare_all ;;
		node*) node_add "$host" ;;
		far*) far_client_add "$host" ;;
		*) client_add "$host" ;;
		esac
	done
	lab_nodes=($(printf '%s\n' "$@" | grep '^node' || true))
	lab_far=$(printf '%s\n' "$@" | grep '^far' || true)
}

# --- Guideway's ports ----------------------------------------------------------------------------

# The kernel end of port N, by TAP.
tap_name()
{
	echo "t$((guideway_number * LAB_ARMS + $1))"
}

# How the configuration names port N. Its MAC address is the same after a restart, as a card's is.
port_device()
{
	local mac=02:00:00:00:01:0$((guideway_number * LAB_ARMS + $1))

	case $LAB_DRIVER in
	tap) echo "net_tap$1,iface=$(tap_name "$1"),mac=$mac" ;;
	memif) echo "net_memif$1,role=server,socket=$lab_folder/memif$1,socket-abstract=no,mac=$mac" ;;
	*) echo "p$1" ;;
	esac
}

# What must be there before Guideway starts,
port_prepare_all()
{
	local n

	for ((n = 0; n < LAB_ARMS; n++)); do
		case $LAB_DRIVER in
		af_packet | af_xdp) plug guideway "p$n" "bridge$n" ;;
		esac
	done
}

# and what can be done only once it runs.
port_finish()
{
	local n=$1 tap

	case $LAB_DRIVER in
	tap)
		tap=$(tap_name "$n")
		wait_until 15 ip -n "$lab_name-$lab_guideway" link show "twin$n"
		ip -n "$lab_name-$lab_guideway" link set "$tap" netns "$lab_name-wire"
		# The driver's port and the kernel's end have one MAC address, and a bridge would
		# take what is for its own port's address for itself.
		ip -n "$lab_name-wire" link set "$tap" address "02:00:00:00:00:0$n"
		wire_attach "$n" "$tap"
		;;
	memif)
		wait_until 15 test -S "$lab_folder/memif$n"
		memif_peer_start "$n"
		;;
	esac
}

# Puts port N's end in the wire on the bridge, or what tags its packets between the two.
wire_attach()
{
	local n=$1 end=$2

	if [ "$LAB_VLAN" = 0 ]; then
		bridge_attach "bridge$n" "$end"
		return
	fi
	ip -n "$lab_name-wire" link set "$end" nomaster up
	spawn "tags$n" wire /usr/bin/python3 "$repository/tests/support/tag.py" "$end" "tags$n" "$LAB_VLAN"
	wait_until 15 ip -n "$lab_name-wire" link show "tags$n"
	bridge_attach "bridge$n" "tags$n"
}

# The far end of a memif: testpmd carries its packets to a TAP on the bridge and back, a queue
# for a queue.
memif_peer_start()
{
	local n=$1 queues

	queues=$(wc -w <<<"$LAB_WORKERS")
	spawn "memif$n-peer" wire timeout 300 dpdk-testpmd --lcores=0@0,1@1 --no-pci --no-huge -m 256 \
		--no-shconf --no-telemetry --iova-mode=va --file-prefix="$lab_name-peer$n" \
		--vdev="net_memif$n,role=client,socket=$lab_folder/memif$n,socket-abstract=no" \
		--vdev="net_tap$n,iface=m$n" \
		-- --no-lsc-interrupt --total-num-mbufs=8192 --forward-mode=io --stats-period=60 \
		--rxq="$queues" --txq="$queues"
	wait_until 15 ip -n "$lab_name-wire" link show "m$n"
	bridge_attach "bridge$n" "m$n"
}

# However it ends: DPDK's driver may crash when its peer goes while it polls.
memif_peer_end()
{
	kill -KILL "${lab_processes[memif$1-peer]}" 2>/dev/null || true
	finish "memif$1-peer" || true
}

twin_addresses()
{
	local last=$((LAB_ARMS - 1)) number=$((guideway_number + 1)) n

	wait_until 15 ip -n "$lab_name-$lab_guideway" link show "twin$last"
	addresses "$lab_guideway" twin0 "198.51.100.$number/24" "2001:db8:1::$number/64"
	addresses "$lab_guideway" "twin$last" "192.0.2.$number/24" "2001:db8:2::$number/64"
	for ((n = 0; n < LAB_ARMS; n++)); do
		ip -n "$lab_name-$lab_guideway" link set "twin$n" up
	done
	[ -z "${lab_far:-}" ] || route_to "$lab_guideway" far 198.51.100.254 2001:db8:1::fe
}

# --- What Guideway is told -----------------------------------------------------------------------

declare -A service_check=() # Of a service whose check is another than "http", all of it.
declare -A service_vip=() service_port=() service_protocol=() service_nodes=() service_more=()
declare -A node_more=()      # Further keys of a service's or a node's configuration.
declare -A node_addresses=() # Of nodes with others than theirs by number.
guideway_number=0            # Tells several apart: 0 is 198.51.100.1 and 192.0.2.1, and so on.
service_names=()
lab_nodes=()
guideway_more="" # Further keys of the whole configuration.

# service_add NAME VIP:PORT/PROTOCOL NODE...: web* is HTTP, echo* the UDP echo, bulk* iperf3.
service_add()
{
	local name=$1 endpoint=${2%/*}

	service_names+=("$name")
	service_protocol[$name]=${2##*/}
	service_port[$name]=${endpoint##*:}
	service_vip[$name]=$(tr -d '[]' <<<"${endpoint%:*}")
	shift 2
	service_nodes[$name]=$*
}

node_port_of()
{
	case $1 in
	web*) echo 30080 ;;
	echo*) echo 30053 ;;
	bulk*) echo 30201 ;;
	esac
}

url_of()
{
	local vip=${service_vip[$1]}

	case $vip in
	*:*) vip=[$vip] ;;
	esac
	echo "http://$vip:${service_port[$1]}${2:-/}"
}

# The configuration that all of this makes.
guideway_config()
{
	local n ports=() name

	for ((n = 0; n < LAB_ARMS; n++)); do
		ports+=("$(port_config "$n")")
	done
	cat <<-CONFIG
		instance = "$lab_name-$lab_guideway";
		log = "debug";
		ports = ( $(join "${ports[@]}") );
		workers = { cpus = [ ${LAB_WORKERS// /, } ]; idle = "$LAB_IDLE"; };
		flows = { ipv4 = $LAB_FLOWS; ipv6 = $LAB_FLOWS; };
		memory = { services = 64; nodes = 64; hugepages = false; };
		snat = $(snat_config);
		health = {
			kind = "http"; port = 30080; status = $LAB_CHECK_STATUS;
			interval = $LAB_CHECK_INTERVAL; timeout = $LAB_CHECK_TIMEOUT; rise = 1; fall = 2;
		};
		control = { socket = "$lab_folder/$lab_guideway.sock"; };
		state = "$lab_folder/$lab_guideway.state";
		mode = "$LAB_MODE";
		tunnel = { source = [ "192.0.2.1", "2001:db8:2::1" ]; };
		nodes = (
		$(for name in "${lab_nodes[@]}"; do node_config "$name"; done)
		);
		services = (
		$(for name in "${service_names[@]}"; do service_config "$name"; done)
		);
		$guideway_more
	CONFIG
}

snat_config()
{
	echo "${LAB_SNAT:-[ \"192.0.2.10$guideway_number\", \"2001:db8:2::10$guideway_number\" ]}"
}

# A list's elements.
join()
{
	local IFS=,

	echo "$*"
}

quoted()
{
	local word words=()

	for word in "$@"; do
		words+=("\"$word\"")
	done
	join "${words[@]}"
}

port_config()
{
	local driver=""

	case $LAB_DRIVER in
	af_packet | af_xdp) driver="driver = \"$LAB_DRIVER\"; " ;;
	esac
	echo "{ device = \"$(port_device "$1")\"; twin = \"twin$1\"; mtu = $LAB_MTU; vlan = $LAB_VLAN;" \
		"${driver}adopt = $LAB_ADOPT; }"
}

node_config()
{
	local addresses=${node_addresses[$1]:-$(node_address "$1" 4) $(node_address "$1" 6)}

	echo "	{ name = \"$1\"; address = [ $(quoted $addresses) ]; ${node_more[$1]:-} }$(comma_unless_last "$1" "${lab_nodes[@]}")"
}

service_config()
{
	echo "	{ name = \"$1\"; vip = \"${service_vip[$1]}\"; port = ${service_port[$1]};" \
		"protocol = \"${service_protocol[$1]}\"; node_port = $(node_port_of "$1");" \
		"nodes = [ $(quoted ${service_nodes[$1]}) ]; check = ${service_check[$1]:-\"http\"}; ${service_more[$1]:-} }$(
			comma_unless_last "$1" "${service_names[@]}")"
}

# comma_unless_last WORD WORDS...
comma_unless_last()
{
	[ "$1" = "${*: -1}" ] || echo ,
}

# --- Guideway itself -----------------------------------------------------------------------------

guideway=$build/controlplane/guideway
guidewayctl=$build/controlplane/guidewayctl
lab_guideway=guideway # The host it runs on; what belongs to it is named after it.

# Starts it from the present configuration. Returns when the management API answers.
guideway_begin()
{
	local n

	guideway_config >"$lab_folder/$lab_guideway.conf"
	spawn "$lab_guideway" "$lab_guideway" "$guideway" --config "$lab_folder/$lab_guideway.conf"
	for ((n = 0; n < LAB_ARMS; n++)); do
		port_finish "$n"
	done
	[ "$LAB_ADOPT" = true ] || twin_addresses
	wait_until 15 api status
}

# The same. Returns when every node is up: a first check may be faster than what guideway_begin()
# does for the port.
guideway_start()
{
	guideway_begin
	wait_until 15 nodes_are_up
}

# Reads the present configuration anew, and waits until it is in force.
guideway_reload()
{
	local log=$lab_folder/$lab_guideway.log n_before

	guideway_config >"$lab_folder/$lab_guideway.conf"
	n_before=$(grep -c 'read .* again' "$log" || true)
	kill -HUP "${lab_processes[$lab_guideway]}"
	wait_until 5 eval '[ $(grep -c "read .* again" "'"$log"'") -gt '"$n_before"' ]'
	wait_until 5 no_table_waits
}

guideway_stop()
{
	local n

	ends_well "$lab_guideway"
	for ((n = 0; n < LAB_ARMS; n++)); do
		[ "$LAB_DRIVER" != memif ] || memif_peer_end "$n"
	done
}

ctl()
{
	"$guidewayctl" -s "$lab_folder/$lab_guideway.sock" "$@"
}

# api RESOURCE [OPTION]...: asks the management API, as curl does.
api()
{
	curl -sf --max-time 5 --unix-socket "$lab_folder/$lab_guideway.sock" "${@:2}" \
		"http://guideway/v1/$1"
}

# json EXPRESSION: of the document 'd' that comes in.
json()
{
	/usr/bin/python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"
}

no_table_waits()
{
	[ "$(api status | json 'd["table"]["waiting"]')" = 0 ]
}

# node_is NODE STATE: up, down, draining, ...
node_is()
{
	[ "$(api "nodes?node=$1" | json 'd["nodes"][0]["state"]')" = "$2" ]
}

nodes_are_up()
{
	[ "$(api nodes | json 'all(n["state"] in ("up", "draining", "unused") for n in d["nodes"])')" = True ]
}

# counter NAME, drop NAME: over all workers.
counter()
{
	api counters | json "d['events']['$1']"
}

drop()
{
	api counters | json "d['drops']['$1']"
}

# Both took packets from the port, made flows of their own, and gave the other what was its.
both_workers_worked()
{
	api counters | json 'all(w["events"][e] > 0 for w in d["workers"]
		for e in ("flows-created", "handed-over", "tx-packets"))' | grep -x True
}

# starts_again_after_a_kill: with all that kill -9 leaves lying about.
starts_again_after_a_kill()
{
	local n

	for ((n = 0; n < LAB_ARMS; n++)); do
		[ "$LAB_DRIVER" != memif ] || memif_peer_end "$n"
	done
	end "$lab_guideway" KILL
	[ -S "$lab_folder/$lab_guideway.sock" ]
	guideway_start
}

# peers SERVICE N: the nodes that answer N new connections, each named once.
peers()
{
	local n

	for ((n = 0; n < $2; n++)); do
		fetch_peer "$1"
	done | sort -u | xargs
}

# wait_until_served SERVICE...: until the client gets an answer.
wait_until_served()
{
	local service

	for service in "$@"; do
		case $service in
		web*) wait_until 10 on client fetch_peer "$service" ;;
		echo*) wait_until 10 on client ask_peer "$service" ;;
		esac
	done
}

# --- Asking the way clients do -------------------------------------------------------------------

# The node that answers a new connection to a service.
fetch_peer()
{
	here curl -sf --max-time 3 "$(url_of "$1")"
}

# The node that answers a datagram.
ask_peer()
{
	here "$support/traffic" --udp --flows 1 --every 5000 --seconds 1 --patience 900 \
		"${service_vip[$1]}" "${service_port[$1]}" | awk 'NR == 2 { print $1; found = 1 }
		END { exit !found }'
}

# traffic_start NAME HOST SERVICE OPTION...: clients that notice (support/traffic.c), in the
# background; each of their answers is a line in NAME.flows.
traffic_start()
{
	local name=$1 host=$2 service=$3

	shift 3
	[ "${service_protocol[$service]}" = tcp ] || set -- --udp "$@"
	spawn "$name" "$host" "$support/traffic" --log "$lab_folder/$name.flows" "$@" \
		"${service_vip[$service]}" "${service_port[$service]}"
}

# Ends it, and shows its totals.
traffic_stop()
{
	end "$1"
	cat "$lab_folder/$1.log"
}

# traffic_total NAME WORD: of flows, asked, answered, lost, moved, broken, failed.
traffic_total()
{
	awk -v word="$2" '$1 == "flows" { for (i = 1; i < NF; i += 2) if ($i == word) n = $(i + 1) }
		END { print n + 0 }' "$lab_folder/$1.log"
}

# traffic_of_node NAME NODE WORD: of flows, answers, broken.
traffic_of_node()
{
	awk -v node="$2" -v word="$3" '$1 == node { for (i = 2; i < NF; i += 2) if ($i == word) n = $(i + 1) }
		END { print n + 0 }' "$lab_folder/$1.log"
}

# traffic_was_well NAME [PER_MILLE]: nothing happened to these flows that a client would notice; of
# datagrams, so many may be lost in the queues of an overloaded machine.
traffic_was_well()
{
	local word n

	[ "$(traffic_total "$1" answered)" -gt 0 ] || fail "$1: nothing was answered"
	n=$(traffic_total "$1" lost)
	[ $((n * 1000)) -le $(($(traffic_total "$1" asked) * ${2:-0})) ] || fail "$1: $n lost"
	for word in moved broken failed; do
		[ "$(traffic_total "$1" "$word")" = 0 ] ||
			fail "$1: $(traffic_total "$1" "$word") $word"
	done
}

# new_flows_of_node_between NAME NODE FROM TO: flows whose first question was asked then, and that
# NODE answered. Times are seconds since 1970, as in $EPOCHREALTIME.
new_flows_of_node_between()
{
	awk -v node="$2" -v from="$3" -v to="$4" '$3 == "first" && $4 == node && $5 >= from &&
		$5 < to { n++ } END { print n + 0 }' "$lab_folder/$1.flows"
}

# The same of answers of any kind.
answers_of_node_between()
{
	awk -v node="$2" -v from="$3" -v to="$4" '($3 == "first" || $3 == "answer") && $4 == node &&
		$5 >= from && $5 < to { n++ } END { print n + 0 }' "$lab_folder/$1.flows"
}

# failed_between NAME FROM TO: flows that began then and never had an answer.
failed_between()
{
	awk -v from="$2" -v to="$3" '$4 == "-" && $5 >= from && $5 < to { n++ } END { print n + 0 }' \
		"$lab_folder/$1.flows"
}

# The nodes whose flows lost a datagram or were cut.
lossy_nodes()
{
	awk '$3 != "first" && $3 != "answer" && $3 != "moved" { print $4 }' "$lab_folder/$1.flows" |
		sort -u
}

# seconds_from_now SECONDS: a time, as in $EPOCHREALTIME.
seconds_from_now()
{
	awk -v now="$EPOCHREALTIME" -v more="$1" 'BEGIN { printf "%.6f\n", now + more }'
}

milliseconds_since()
{
	awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%d\n", (now - then) * 1000 }'
}

# digest_of BYTES: of what every node serves as /bytes/BYTES.
digest_of()
{
	"$support/node" --bytes "$1" | sha256sum | cut -d ' ' -f 1
}

# transfers HOST BYTES SERVICE...: so much arrives whole, either way.
transfers()
{
	local host=$1 size=$2 service want

	shift 2
	want=$(digest_of "$size")
	"$support/node" --bytes "$size" >"$lab_folder/upload"
	for service in "$@"; do
		[ "$(on "$host" curl -sf --max-time 20 "$(url_of "$service" "/bytes/$size")" |
			sha256sum)" = "$want  -" ] || fail "$service: what came down is not what was sent"
		[[ "$(on "$host" curl -sf --max-time 20 -T "$lab_folder/upload" \
			"$(url_of "$service" /upload)")" = *" $want" ]] ||
			fail "$service: what went up is not what was sent"
	done
}

# datagrams_cross HOST BYTES SERVICE...: one of that size, and its answer.
datagrams_cross()
{
	local host=$1 size=$2 service

	shift 2
	for service in "$@"; do
		on "$host" /usr/bin/python3 -c 'import socket, sys
vip, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((vip, port))
sent = bytes(i % 251 for i in range(size))
s.send(sent)
assert s.recv(65536).endswith(sent)' \
			"${service_vip[$service]}" "${service_port[$service]}" "$size" ||
			fail "$service: a datagram of $size bytes was not answered as sent"
	done
}

# serves_everything: TCP and UDP over both families, from many flows at once, and a transfer either
# way; for the services web, web6, echo and echo6 of add_all_services().
serves_everything()
{
	local service

	for service in web web6 echo echo6; do
		traffic_start "$service" client "$service" --flows 100 --every 50 --new 30 --seconds 3
	done
	for service in web web6 echo echo6; do
		finish "$service"
		traffic_was_well "$service"
	done
	transfers client 5000000 web web6
}

# add_all_services NODE...
add_all_services()
{
	service_add web 10.0.0.1:80/tcp "$@"
	service_add web6 '[2001:db8:a::1]:80/tcp' "$@"
	service_add echo 10.0.0.1:53/udp "$@"
	service_add echo6 '[2001:db8:a::1]:53/udp' "$@"
}
