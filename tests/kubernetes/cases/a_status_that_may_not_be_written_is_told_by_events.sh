# Where something in the cluster refuses what Guideway writes of a Service, as an admission policy does,
# 'kubectl describe' says so, of a status as of a Service that waits for its end; both are tried again.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

policy=$cluster-nobody-writes

case_undo()
{
	admin delete validatingadmissionpolicybinding,validatingadmissionpolicy $policy --ignore-not-found
} >/dev/null 2>&1

# Whoever writes the status of a Service of the case's namespace is told that nobody may.
statuses_are_refused()
{
	admin apply -f - >/dev/null <<-YAML
		apiVersion: admissionregistration.k8s.io/v1
		kind: ValidatingAdmissionPolicy
		metadata: {name: $policy}
		spec:
		  failurePolicy: Fail
		  matchConstraints:
		    resourceRules:
		    - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [services/status]}
		  validations:
		  - {expression: "false", message: nobody writes here}
		---
		apiVersion: admissionregistration.k8s.io/v1
		kind: ValidatingAdmissionPolicyBinding
		metadata: {name: $policy}
		spec:
		  policyName: $policy
		  validationActions: [Deny]
		  matchResources:
		    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $namespace}}
	YAML
	wait_until 30 refute_write
}

refute_write()
{
	! kubectl patch service theirs --subresource=status --type merge \
		-p "{\"metadata\": {\"annotations\": {\"tried\": \"$RANDOM\"}}}"
}

says()
{
	kubectl describe service web | grep -E "Warning +$1 .*nobody writes here" >/dev/null
}

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 1
service_apply theirs 'loadBalancerClass: example.com/other'
statuses_are_refused
class_apply web
wait_until 20 says UpdateLoadBalancerFailed
case_undo
wait_until 30 has_vips web

statuses_are_refused
kubectl delete service web --wait=false >/dev/null
wait_until 20 says DeleteLoadBalancerFailed
[ -n "$(finalizers web)" ]
case_undo
wait_until 30 eval '! kubectl get service web >/dev/null 2>&1'
