# What is shipped in config/kubernetes/ is what an API server takes, in every field.
. "$(dirname "$0")/../lib.sh"

for manifest in "$repository"/config/kubernetes/*.yaml; do
	admin apply --dry-run=server --validate=strict -f "$manifest" >/dev/null ||
		fail "$(basename "$manifest") is refused"
done

# The same of one with a mistake, lest this cannot fail.
sed 's/verbs: /verb: /' "$repository/config/kubernetes/rbac.yaml" >"$lab_folder/wrong.yaml"
refute admin apply --dry-run=server --validate=strict -f "$lab_folder/wrong.yaml" >"$lab_folder/refused" 2>&1
grep -q 'unknown field "rules\[0\].verb"' "$lab_folder/refused"
