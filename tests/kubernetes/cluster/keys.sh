# Keys, certificates and kubeconfigs. All parts of Kubernetes are the one administrator; Guideway has
# the token of its ServiceAccount.

ec_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

keys_make()
{
	cd "$cluster_folder/keys"
	openssl req -x509 "${ec_key[@]}" -keyout ca.key -out ca.crt -days 3650 -subj /CN=test \
		-addext keyUsage=critical,keyCertSign,digitalSignature 2>/dev/null
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out tokens.key 2>/dev/null
	openssl pkey -in tokens.key -pubout -out tokens.pub
	sign apiserver /CN=kube-apiserver "subjectAltName=$(apiserver_names)"
	sign admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
	cd "$OLDPWD"
}

apiserver_names()
{
	local name address

	for name in kubernetes kubernetes.default kubernetes.default.svc localhost; do
		printf 'DNS:%s,' $name
	done
	for address in 127.0.0.1 $inside4.10 $inside6:10 $management.10; do
		printf 'IP:%s,' "$address"
	done
	echo "IP:${services4%.*}.1,IP:${services6%/*}1"
}

# sign NAME SUBJECT EXTENSION
sign()
{
	openssl req "${ec_key[@]}" -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" \
		-days 3650 -extfile <(echo "$3") 2>/dev/null
}

# kubeconfig SERVER USER: 'user' is a YAML flow mapping.
kubeconfig()
{
	cat <<-CONFIG
		apiVersion: v1
		kind: Config
		clusters: [{name: test, cluster: {
		  server: "https://$1:6443", certificate-authority-data: $(base64 -w0 "$cluster_folder/keys/ca.crt")}}]
		users: [{name: user, user: $2}]
		contexts: [{name: test, context: {cluster: test, user: user}}]
		current-context: test
	CONFIG
}

admin_kubeconfig()
{
	kubeconfig "$1" "{
	  client-certificate-data: $(base64 -w0 "$cluster_folder/keys/admin.crt"),
	  client-key-data: $(base64 -w0 "$cluster_folder/keys/admin.key")}"
}

# What Guideway gets: the token of its ServiceAccount, and the way by mgmt0.
guideway_kubeconfig()
{
	local token

	token=$(admin create token guideway --namespace guideway --duration 24h)
	kubeconfig $management.10 "{token: $token}"
}
