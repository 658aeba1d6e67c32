# The control plane: etcd, and what of Kubernetes is not on nodes, in the namespace 'control'.

apiserver_more=() # Flags of the API server's, for one that is not as for the cases.

# kubectl, as the administrator.
admin()
{
	at control "$bin/kubectl" --kubeconfig "$cluster_folder/kubeconfig.admin" "$@"
}

control_daemon()
{
	daemon "$1" ip netns exec "$cluster-control" "$bin/$1" "${@:2}"
}

etcd_start()
{
	control_daemon etcd --data-dir "$cluster_folder/etcd" --unsafe-no-fsync --log-level warn
}

# Returns when it is ready.
apiserver_start()
{
	local keys=$cluster_folder/keys

	# Of flags that come twice the last one counts.
	control_daemon kube-apiserver --etcd-servers http://127.0.0.1:2379 \
		--secure-port 6443 --advertise-address "$(first $inside4.10 $inside6:10)" \
		--tls-cert-file "$keys/apiserver.crt" --tls-private-key-file "$keys/apiserver.key" \
		--client-ca-file "$keys/ca.crt" \
		--service-account-issuer https://kubernetes.default.svc \
		--service-account-key-file "$keys/tokens.pub" \
		--service-account-signing-key-file "$keys/tokens.key" \
		--service-cluster-ip-range "$(both $services4 $services6)" \
		--authorization-mode Node,RBAC --allow-privileged \
		--kubelet-preferred-address-types InternalIP \
		--audit-policy-file "$kubernetes_folder/cluster/audit.yaml" \
		--audit-log-path "$cluster_folder/audit.log" "${apiserver_more[@]}"
	attempt 60 admin get --raw /readyz
}

apiserver_stop()
{
	daemon_end kube-apiserver
}

# One that a case stopped, and failed before it started it again.
apiserver_returns()
{
	! daemon_has_ended kube-apiserver || apiserver_start
}

controllers_start()
{
	local client=(--kubeconfig "$cluster_folder/kubeconfig.admin" --leader-elect=false
		--bind-address 127.0.0.1)

	control_daemon kube-controller-manager "${client[@]}" --allocate-node-cidrs=false \
		--service-account-private-key-file "$cluster_folder/keys/tokens.key" \
		--root-ca-file "$cluster_folder/keys/ca.crt" --kube-api-qps 100 --kube-api-burst 200
	control_daemon kube-scheduler "${client[@]}"
}

control_start()
{
	keys_make
	admin_kubeconfig 127.0.0.1 >"$cluster_folder/kubeconfig.admin"
	admin_kubeconfig $inside4.10 >"$cluster_folder/kubeconfig.node"
	etcd_start
	apiserver_start
	controllers_start
}

# Guideway's ServiceAccount and what it may do, as shipped.
guideway_admit()
{
	local manifests=$kubernetes_folder/../../config/kubernetes

	admin apply -f "$manifests/namespace.yaml" -f "$manifests/rbac.yaml" >/dev/null
	guideway_kubeconfig >"$cluster_folder/kubeconfig.guideway"
}
