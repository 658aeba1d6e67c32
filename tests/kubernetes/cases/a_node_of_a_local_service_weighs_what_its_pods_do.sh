# externalTrafficPolicy Local: a node with three pods gets three times as many connections as one with
# one, so that every pod gets its share, by either family; and half of them once that is one, too.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

ASKED=200

# pods_on N NAME REPLICAS: of the Service web, with another Deployment for each node.
pods_on()
{
	deployment_add "$2" "$3"
	kubectl patch deployment "$2" --patch "{\"spec\": {\"template\": {
		\"metadata\": {\"labels\": {\"service\": \"web\"}},
		\"spec\": {\"nodeSelector\": {\"kubernetes.io/hostname\": \"node$1\"}}}}}" >/dev/null
	kubectl rollout status "deployment/$2" --timeout 60s >/dev/null
}

# weigh MANY FEW: what the nodes do that are up, by either family.
weigh()
{
	local service

	for service in "$namespace/web:80/tcp" "$namespace/web:80/tcp6"; do
		[ "$(ctl -o json services "$service" | json '*sorted((m["node"], m["weight"])
			for m in d["services"][0]["members"] if m["state"] == "up")')" = \
			"('node1', $1) ('node2', $2)" ] || return 1
	done
}

# ask_all ADDRESS: who answers each of so many connections, in the file "answers".
ask_all()
{
	local n

	for ((n = 0; n < ASKED; n++)); do
		get "$1" && echo
	done >"$lab_folder/answers"
}

# pods_have_their_shares MANY FEW: how many pods there are of either.
pods_have_their_shares()
{
	local vip

	for vip in $(vips web); do
		ask_all "$vip"
		[ "$(wc -l <"$lab_folder/answers")" = "$ASKED" ] || fail "some were not answered"
		is_about "$(grep -c ^many- "$lab_folder/answers")" $((ASKED * $1 / ($1 + $2)))
	done
}

# A deviation is at most 7; four of them make the difference between what is right and what is not.
is_about()
{
	[ "$1" -gt $(($2 - 25)) ] && [ "$1" -lt $(($2 + 25)) ] || fail "$1 of $ASKED, which should be $2"
}

guideway_more=$(kubernetes_config | grep -v '^health = ') # Nobody is to be found dead here in a hurry.
guideway_begin
pods_on 1 many 3
pods_on 2 few 1
class_apply web 'externalTrafficPolicy: Local'
kubectl patch service web --patch '{"spec": {"selector": {"app": null, "service": "web"}}}' >/dev/null
wait_until 15 has_vips web
wait_until 10 answers_at_all web
wait_until 20 weigh 3 1
pods_have_their_shares 3 1

kubectl scale deployment many --replicas 1 >/dev/null
wait_until 30 weigh 1 1
pods_have_their_shares 1 1
