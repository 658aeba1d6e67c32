# What is shipped in config/kubernetes/ is what an API server takes, in every field: each file, and all
# that belongs together by its kustomization.
. "$(dirname "$0")/../lib.sh"

manifests=$repository/config/kubernetes

# taken ARGUMENT...: with unknown fields refused.
taken()
{
	admin apply --dry-run=server --validate=strict "$@" >"$lab_folder/answer" 2>&1
}

for manifest in "$manifests"/{,examples/}*.yaml; do
	[ "${manifest##*/}" != kustomization.yaml ] || continue
	taken -f "$manifest" || fail "${manifest##*/} is refused: $(cat "$lab_folder/answer")"
done
taken -k "$manifests" || fail "the kustomization is refused: $(cat "$lab_folder/answer")"
grep -q '^daemonset.apps/guideway ' "$lab_folder/answer"

# The same of one with a mistake, lest this cannot fail.
sed 's/verbs: /verb: /' "$manifests/rbac.yaml" >"$lab_folder/wrong.yaml"
refute taken -f "$lab_folder/wrong.yaml"
grep -q 'unknown field "rules\[0\].verb"' "$lab_folder/answer"
