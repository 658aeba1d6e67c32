# The token is taken away from Guideway (401): what it serves goes on, it says why it can write nothing,
# and a new token in the same file is taken up without a restart. All the time it is told of two API
# servers, of which the first is not there.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

# token_bound_to SECRET: holds as long as that exists.
token_bound_to()
{
	admin create secret generic "$1" --namespace guideway >/dev/null
	admin create token guideway --namespace guideway --bound-object-kind Secret --bound-object-name "$1"
}

is_refused()
{
	grep -E 'warning|error' "$lab_folder/guideway.log" | grep 401 >/dev/null
}

admin delete secret --namespace guideway --ignore-not-found first second >/dev/null # Of an earlier case.
token_bound_to first >"$lab_folder/token"
kubeconfig $management.10 "{tokenFile: $lab_folder/token}" >"$lab_folder/kubeconfig"
servers="servers = [ \"https://$management.10:6444\", \"https://$management.10:6443\" ];"
guideway_more=$(kubernetes_config "$servers" | sed "s|$cluster_folder/kubeconfig.guideway|$lab_folder/kubeconfig|")
guideway_begin
deployment_add web 2
class_apply web
wait_until 15 has_vips web
wait_until 5 answers_at_all web

admin delete secret first --namespace guideway >/dev/null
sleep 15 # The API server remembers for ten seconds that it knew the token.
class_apply late
with_pods_of web late
wait_until 10 is_refused
all_answered web 10
[ -z "$(vips late)" ]

token_bound_to second >"$lab_folder/token"
wait_until 75 has_vips late
wait_until 5 answers_at_all late
all_answered web 10
