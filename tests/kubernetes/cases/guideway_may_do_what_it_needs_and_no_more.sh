# The shipped ServiceAccount: every row is something that Guideway does and may, or a neighbour of it
# that it may not; and a request that is refused is seen by the cases.
. "$(dirname "$0")/../lib.sh"

# rights yes|no NAMESPACE VERBS RESOURCE...
rights()
{
	local want=$1 where=$2 verb resource

	for verb in ${3//,/ }; do
		for resource in "${@:4}"; do
			[ "$(may "$where" "$verb" "$resource")" = "$want" ] ||
				fail "to $verb $resource in $where: should be $want"
		done
	done
}

# may NAMESPACE VERB RESOURCE[.GROUP][/NAME]: a subresource is written RESOURCE:SUBRESOURCE.
may()
{
	local resource=$3 more=()

	[[ $resource != *:* ]] || more=(--subresource "${resource#*:}")
	admin auth can-i "$2" "${resource%:*}" --namespace "$1" "${more[@]}" \
		--as system:serviceaccount:guideway:guideway 2>/dev/null || true
}

rights yes default get,list,watch services nodes namespaces endpointslices.discovery.k8s.io
rights no default create,update,patch,delete services nodes namespaces endpointslices.discovery.k8s.io
rights yes default patch services:status
rights no default patch nodes:status
rights yes default create,patch events
rights no default get,list,delete events
rights no default get,list,watch secrets configmaps pods leases.coordination.k8s.io
rights no default create secrets leases.coordination.k8s.io

rights yes guideway get,list,watch,create,update leases.coordination.k8s.io
rights no guideway patch,delete leases.coordination.k8s.io
rights yes guideway create secrets
rights yes guideway get,list,watch secrets/guideway-hash-key
rights no guideway get,list,watch secrets secrets/other
rights no guideway update,patch,delete secrets secrets/guideway-hash-key
rights no guideway get,list configmaps pods serviceaccounts

[ "$(may default get /version)" = yes ] # As everybody may, by system:public-info-viewer.

as_guideway()
{
	on edge "$bin/kubectl" --kubeconfig "$cluster_folder/kubeconfig.guideway" "$@" >/dev/null 2>&1
}

as_guideway get services --namespace default
requests | grep -qx '200 list services default'
nothing_was_forbidden
refute as_guideway get secrets --namespace kube-system
requests | grep -qx '403 list secrets kube-system'
refute nothing_was_forbidden 2>/dev/null
refute audit_forget 2>/dev/null
nothing_was_forbidden # Requests count from here.

# log_is_well TEXT: of an audit log that says that.
log_is_well()
{
	printf %b "$1" >"$lab_folder/audit.log"
	cluster_folder=$lab_folder audit_from=${2:-0} nothing_was_forbidden 2>/dev/null
}

event='{"auditID": "1", "verb": "list", "requestURI": "/", "stage": "Panic", "responseStatus": {"code": CODE}}'
allowed=${event/CODE/200} forbidden=${event/CODE/403}
log_is_well "$allowed\n"
refute log_is_well "$allowed\n${forbidden/1/2}\n"
refute log_is_well "$allowed\n${forbidden/1/2}\n{\"aud" # The last is being written.
log_is_well "$allowed\n{\"aud"
log_is_well "$forbidden\n$allowed\n" 5 # From within a line on.
refute log_is_well "no event\n"
