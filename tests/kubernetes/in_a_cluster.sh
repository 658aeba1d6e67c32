# A Guideway that follows the cluster, for cases.

# What Services may be given, of the addresses that the routers know.
cluster_addresses='"203.0.113.1-203.0.113.9", "2001:db8:113::1-2001:db8:113::9"'

# How nodes are asked. A case may have it otherwise: "" for what is so unless configured.
checks="interval = 0.5; timeout = 0.5; rise = 1; fall = 2;"

# kubernetes_config [KEY = VALUE;...]
kubernetes_config()
{
	cat <<-CONFIG
		health = { $checks };
		kubernetes = {
			enabled = true;
			kubeconfig = "$cluster_folder/kubeconfig.guideway";
			$*
			pools = ( { name = "edge"; addresses = [ $cluster_addresses ]; } );
		};
	CONFIG
}

# class_apply NAME [FIELD...]: service_apply with the class that is ours.
class_apply()
{
	service_apply "$1" "loadBalancerClass: guideway.dev/lb" "${@:2}"
}

# mode_apply NAME snat|dsr|tunnel|tunnel-gue|dnat [FIELD...]: class_apply in that forwarding mode.
mode_apply()
{
	local service_annotations="guideway.dev/forwarding: $2"

	class_apply "$1" "${@:3}"
}

sctp=$kubernetes_folder/cluster/sctp.py

# pods_answer_sctp NAME: pod N of the Deployment answers on port 9000 with the tag N. Pods have the
# machine's files, but for its /tmp, where a clone may be.
pods_answer_sctp()
{
	local pod n=0

	for pod in $(pods_of "$1"); do
		spawn "sctp-$((++n))" control "$bin/kubectl" --kubeconfig "$cluster_folder/kubeconfig.admin" \
			--namespace "$namespace" exec "$pod" -- /usr/bin/python3 -c "$(cat "$sctp")" answer 9000 "$n"
	done
}

# Where outer packets come from.
tunnel_config()
{
	echo "tunnel = { source = [ \"$inside4.250\", \"$inside6:250\" ]; };"
}

# web_begin PODS [FIELD...]: Guideway, and a Service "web" that it serves, with so many pods.
web_begin()
{
	guideway_more=$(kubernetes_config)
	guideway_begin
	deployment_add web "$1"
	class_apply web "${@:2}"
	wait_until 15 has_vips web
}

# condition SERVICE TYPE: "True AddressAssigned".
condition()
{
	field "service/$1" ".status.conditions[?(@.type==\"guideway.dev/$2\")]['status','reason']"
}

condition_is()
{
	[ "$(condition "$1" "$2")" = "$3" ]
}

is_silent()
{
	! get "$1" >/dev/null
}

answers_at_all()
{
	local vip

	for vip in $(vips "$1"); do
		get "$vip" >/dev/null && ask "$vip" >/dev/null || return 1
	done
}

finalizers()
{
	field "service/$1" '.metadata.finalizers[*]'
}

# all_answered SERVICE N: so many requests in a row at each of its addresses.
all_answered()
{
	local n vip addresses

	addresses=$(vips "$1")
	for ((n = 0; n < $2; n++)); do
		for vip in $addresses; do
			get "$vip" >/dev/null || { echo "not answered: request $n at $vip" >&2 && return 1; }
		done
	done
}
