# Where VIPs are on the clients' own segment one instance answers ARP and neighbour solicitations for
# each. One that comes takes its share when it forwards all, and not before; that of one that releases
# all, is stopped or killed goes to the other. One that is cut off from the API server alone goes on
# answering beside the other, which is the one exception, and meant: it may be the other that is wrong,
# and two that forward are better than none.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

first_mac=02:00:00:00:01:fa second_mac=02:00:00:00:01:f0

# who_answers SECONDS: a line for each of the addresses, as of who_answers.py.
who_answers()
{
	on client /usr/bin/python3 "$kubernetes_folder/who_answers.py" "$1" $addresses
}

# one_answers: for each; 'owners' are those who do, each once.
one_answers()
{
	local told

	told=$(who_answers 0.6)
	owners=$(cut -d ' ' -f 6- <<<"$told" | sort -u)
	[ "$(awk 'NF == 6' <<<"$told" | wc -l)" = "$n_addresses" ]
}

both_have_some()
{
	one_answers && [ "$(wc -l <<<"$owners")" = 2 ]
}

all_are_of()
{
	one_answers && [ "$owners" = "$1" ]
}

answers_begin()
{
	spawn answers client /usr/bin/python3 "$kubernetes_folder/who_answers.py" 0 $addresses
	wait_until 20 grep -x asking "$lab_folder/answers.log"
	sleep 0.5
}

# answers_end SILENT DOUBLED: for no address was there a longer silence, or answer by two; seconds.
answers_end()
{
	end answers
	awk -v silent="$1" -v doubled="$2" '$3 > silent || $5 > doubled { bad = 1 } END { exit bad || NR < 2 }' \
		"$lab_folder/answers.log" || { cat "$lab_folder/answers.log" >&2 && fail "not just one answered"; }
	awk 'NF > 5 { if ($3 > s) s = $3; if ($5 > d) d = $5 } END { print "Says:", s + 0, "s silent,", d + 0, "s doubled" }' \
		"$lab_folder/answers.log"
	rm "$lab_folder/answers.log"
}

# in_force_of_other IS: as it is in the API.
in_force_of_other()
{
	[ "$(api kubernetes | json '[i["in_force"] for i in d["instances"] if not i["own"]]')" = "$1" ]
}

# The addresses that one answers for.
answered_by()
{
	who_answers 0.6 | grep -F "$1" | cut -d ' ' -f 1
}

both_answer_for()
{
	[ "$(who_answers 0.6 | awk 'NF == 7 { print $1 }')" = "$1" ]
}

second_begin_without_room()
{
	local memory_more='services = 2;'

	second instance_begin
}

second_edge_add
instance_begin
wait_until 15 leads
names=(a b c d)
deployment_add a 2
for name in "${names[@]}"; do
	class_apply "$name"
done
with_pods_of a b c d
for name in "${names[@]}"; do
	wait_until 15 has_vips "$name"
done
addresses=$(for name in "${names[@]}"; do vips "$name" && echo; done)
n_addresses=$(wc -w <<<"$addresses")
wait_until 10 all_are_of $first_mac

# As a client of that segment sees it.
ip_at client route replace $vips4 dev eth0
ip_at client -6 route replace $vips6 dev eth0
wait_until 10 all_answer $addresses

# One that does not forward all.
answers_begin
second_begin_without_room
wait_until 15 in_force_of_other '[None]'
sleep 2
answers_end 2 0
all_are_of $first_mac
second end guideway2

# One that does.
answers_begin
second instance_begin
wait_until 20 both_have_some
answers_end 2 5
wait_until 5 all_answer $addresses # By what was announced: nothing is asked anew.

# All released by one of them.
answers_begin
refute second ctl kubernetes release --all --yes
wait_until 10 all_are_of $first_mac
answers_end 2 5
all_answer $addresses
answers_begin
second ctl kubernetes claim
wait_until 10 both_have_some
answers_end 2 5

# Stopped: a Lease lasts for 4 s.
answers_begin
kill -STOP "${lab_processes[guideway2]}"
wait_until 15 all_are_of $first_mac
answers_end 8 0
wait_until 5 all_answer $addresses
answers_begin
kill -CONT "${lab_processes[guideway2]}"
wait_until 15 both_have_some
answers_end 2 5
wait_until 5 all_answer $addresses

# Cut off from the API server alone.
seconds_share=$(answered_by $second_mac)
answers_begin
ip_at edge2 link set mgmt0 down
wait_until 15 both_answer_for "$seconds_share"
all_answer $addresses
ip_at edge2 link set mgmt0 up
wait_until 60 both_have_some
answers_end 2 99
[ "$(answered_by $second_mac)" = "$seconds_share" ]

second end guideway2 KILL
wait_until 15 all_are_of $first_mac
wait_until 5 all_answer $addresses
