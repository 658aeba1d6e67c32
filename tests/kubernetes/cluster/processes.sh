# The processes of the cluster, each in a session of its own with its output in NAME.log.

# daemon NAME COMMAND...: it outlives this script, also one that waits for what it has started. Its
# process id is noted with its start time, so that no other process is ever taken for it.
daemon()
{
	local name=$1

	shift
	setsid "$@" >>"$cluster_folder/log/$name.log" 2>&1 </dev/null &
	echo "$! $(start_time_of $!)" >"$cluster_folder/run/$name"
	disown $!
}

start_time_of()
{
	cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null
}

# Prints the process id if that very process still runs.
daemon_pid()
{
	local pid start

	read -r pid start 2>/dev/null <"$cluster_folder/run/$1" || return 1
	[ "$(start_time_of "$pid")" = "$start" ] && echo "$pid"
}

# daemon_signal NAME SIGNAL: to all of its session.
daemon_signal()
{
	local pid

	pid=$(daemon_pid "$1") || return 0
	kill "-$2" -- "-$pid" 2>/dev/null || true
}

daemon_has_ended()
{
	! daemon_pid "$1" >/dev/null
}

# daemon_end NAME [SIGNAL]: returns when it has ended, which it is made to after 10 s.
daemon_end()
{
	local n

	daemon_signal "$1" "${2:-TERM}"
	for ((n = 0; n < 100; n++)); do
		daemon_has_ended "$1" && break
		sleep 0.1
	done
	daemon_signal "$1" KILL
	attempt 5 daemon_has_ended "$1"
	rm -f "$cluster_folder/run/$1"
}
