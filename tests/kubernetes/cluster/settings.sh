# What the parts of the test cluster agree on: names, places and addresses. Sourced by all of them.
#
# Namespaces, processes and files of a cluster carry its name; clusters of different names do not
# meet.

set -euo pipefail

kubernetes_folder=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
cluster=${KUBERNETES_CLUSTER:-gwk}
cluster_folder=/run/$cluster # Keys, logs and the data of etcd while it runs; logs afterwards.
cache=${KUBERNETES_CACHE:-/var/cache/guideway/kubernetes}
bin=$cache/bin

kubernetes_version=v1.35.4
n_nodes=4

# The first family is what Services have that ask for none. Both are always there.
first_family=${KUBERNETES_FAMILY:-ipv4}

# Where the cluster is, by family: 10.89.0.1 and fd00:89::1, and so on. Clients are outside of the
# nodes' /16, as upstream's tests of source addresses require.
inside4=10.89.0 inside6=fd00:89:
outside4=198.51.100 outside6=2001:db8:c1:
management=172.30.89
pods4=10.244 pods6=fd00:244:0
services4=10.96.0.0/16 services6=fd00:96::/112
vips4=203.0.113.0/24 vips6=2001:db8:113::/64

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# both IPV4 IPV6: with a comma between them, the first family first.
both()
{
	case $first_family in
	ipv4) echo "$1,$2" ;;
	ipv6) echo "$2,$1" ;;
	*) die "KUBERNETES_FAMILY is ipv4 or ipv6, not $first_family" ;;
	esac
}

# first IPV4 IPV6: that of the first family.
first()
{
	both "$@" | cut -d, -f1
}

# attempt SECONDS COMMAND...: tries a command until it succeeds.
attempt()
{
	local deadline=$((SECONDS + $1 + 1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || die "still not after a while: $*; see $cluster_folder/log"
		sleep 0.1
	done
}
