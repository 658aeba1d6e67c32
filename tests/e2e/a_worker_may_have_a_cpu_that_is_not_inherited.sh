# A worker may have a CPU that Guideway did not inherit, as none inherits those of isolcpus=, and its
# other threads keep to those that they have. A CPU that there is not is refused.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     2001:db8:1::7   2001:db8:a::1
LAB_WORKERS=0
. "$(dirname "$0")/lib.sh"

# threads PATTERN: the CPUs of those that are called so, each list once.
threads()
{
	local thread

	for thread in "/proc/${lab_processes[guideway]}"/task/*; do
		! grep -xE "$1" "$thread/comm" >/dev/null || sed -n 's/^Cpus_allowed_list:\t//p' "$thread/status"
	done | sort -u
}

taskset --pid --cpu-list 1 $$ >/dev/null
lab client guideway node1 node2
add_all_services node1 node2
guideway_start
wait_until_served web web6 echo echo6
[ "$(threads '.*worker.*')" = 0 ]
[ "$(threads guideway)" = 1 ]
end guideway

guideway_config | sed 's/cpus = \[ 0 \]/cpus = [ 0, 999 ]/' >"$lab_folder/guideway.conf"
refute on guideway "$guideway" --config "$lab_folder/guideway.conf" >"$lab_folder/refused.log" 2>&1
grep 'worker 1: CPU 999 is not one that this process may use' "$lab_folder/refused.log" >/dev/null
