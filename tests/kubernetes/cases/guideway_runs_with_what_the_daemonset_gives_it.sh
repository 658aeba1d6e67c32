# The shipped DaemonSet's capabilities, read-only root, ServiceAccount and ConfigMap are enough: with
# them alone, and other interfaces and CPUs, Guideway takes over an interface, finds the API server as
# every pod does, and serves; its probes say so; its end leaves the interface as it was.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

manifests=$repository/config/kubernetes

# shipped FILE JSONPATH
shipped()
{
	admin create --dry-run=client -f "$manifests/$1" --output "jsonpath=$2"
}

container='.spec.template.spec.containers[0]'
capabilities=$(shipped daemonset.yaml "{$container.securityContext.capabilities.add[*]}" | tr 'A-Z ' 'a-z,')
mkdir "$lab_folder"/{pod,pod/config,pod/account,pod/run,pod/state}

# The ConfigMap as it is passes its check.
shipped configmap.yaml '{.data.guideway\.conf}' >"$lab_folder/shipped.conf"
"$guideway" --check "$lab_folder/shipped.conf" | grep 'no mistakes' >/dev/null

# What the cluster puts into a pod.
admin create token guideway --namespace guideway --duration 1h >"$lab_folder/pod/account/token"
cp "$cluster_folder/keys/ca.crt" "$lab_folder/pod/account/ca.crt"
echo -n guideway >"$lab_folder/pod/account/namespace"

# What is made one's own of it.
ports='ports = (
	{ device = "wan0"; twin = "wan"; adopt = true; },
	{ device = "fab0"; twin = "fab"; adopt = true; }
);
memory = { hugepages = false; };
log = "debug";'
awk -v ports="$ports" -v snat='snat = "twin:fab";' \
	-v workers='workers = { cpus = [ 0 ]; idle = "sleep"; };' '
	/^ports = /   { print ports; next }
	/^workers = / { print workers; next }
	/^snat = /    { print snat; next }
	              { print }' "$lab_folder/shipped.conf" >"$lab_folder/pod/config/guideway.conf"

# guidewayctl as the probes of the manifest have it, in the socket's place.
probe_passes()
{
	local command

	command=$(shipped daemonset.yaml "{$container.$1.exec.command}" | json '__import__("shlex").join(d)')
	(ip netns exec "$cluster-edge" "$kubernetes_folder/pod" "$lab_folder/pod" "$capabilities" \
		bash -c "PATH=$build/controlplane:\$PATH; $command") >/dev/null
}

# Of anything but a machine that has no time for it, and that AF_XDP takes more capabilities.
complains()
{
	grep -E '^(warning|error):' "$lab_folder/guideway.log" |
		grep -vE 'the control loop was held|: by AF_PACKET, since AF_XDP does not work here'
}

at edge ip addr show dev wan0 >"$lab_folder/before"
spawn guideway edge env KUBERNETES_SERVICE_HOST=$management.10 KUBERNETES_SERVICE_PORT=6443 \
	"$kubernetes_folder/pod" "$lab_folder/pod" "$capabilities" \
	"$guideway" --config /etc/guideway/guideway.conf
ln -s pod/run/guideway.sock "$lab_folder/guideway.sock"
wait_until 30 api status
for probe in startupProbe livenessProbe readinessProbe; do
	wait_until 10 probe_passes $probe
done
refute complains

deployment_add web 2
class_apply web
wait_until 15 has_vips web
wait_until 10 answers_at_all web
kubectl delete service web --timeout 15s >/dev/null
ends_well guideway
at edge ip addr show dev wan0 | diff "$lab_folder/before" -
