# What config/kubernetes/README.md has one do for a Guideway outside of the cluster is enough: with the
# token of token.yaml's Secret, and the kubeconfig as it stands there but for the places, it serves.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

manifests=$repository/config/kubernetes
readme=$manifests/README.md

# Without the token Guideway cannot release.
case_undo()
{
	kubectl delete services --all --timeout 30s >/dev/null
	admin delete -f "$manifests/token.yaml" --ignore-not-found >/dev/null
}

# The Secret's token is made by Kubernetes, soon.
secret_is_filled()
{
	[ -n "$(admin get secret -n guideway guideway-token -o jsonpath='{.data.token}')" ]
}

admin apply -f "$manifests/namespace.yaml" -f "$manifests/rbac.yaml" -f "$manifests/token.yaml" >/dev/null
wait_until 10 secret_is_filled
cd "$lab_folder"
eval "$(sed -n '/^    kubectl get secret /p' "$readme")"
[ -s ca.crt ] && [ -s token ]
sed -n '/^    apiVersion: v1$/,/^    current-context/p' "$readme" |
	sed "s|^    ||; s|/etc/guideway|$lab_folder|; s|https://[^\"]*|https://$management.10:6443|" >kubeconfig
chmod 600 ca.crt token kubeconfig

guideway_more=$(kubernetes_config | sed "s|$cluster_folder/kubeconfig.guideway|$lab_folder/kubeconfig|")
guideway_begin
deployment_add web 2
class_apply web
wait_until 15 has_vips web
wait_until 10 answers_at_all web
[ "$(requests | grep -c ' patch services/status ')" -gt 0 ]
