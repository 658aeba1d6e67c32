# The API server goes away: forwarding goes on, nodes are checked on, and even a Guideway that is
# restarted meanwhile serves what it knew, be it a moment old, in every mode. When it is back, what changed
# is followed.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../modes.sh"

services="web dsr tunnel dnat"
modes_begin 2 "dsr tunnel dnat"
addresses=$(vips_of $services)
release=$(kubectl get --raw /version | sed -n 's/.*"gitVersion": "\(.*\)",/\1/p')
ctl kubernetes | grep -F "the API server is of Kubernetes $release" >/dev/null

audit_forget
apiserver_stop
for n in 1 2 3 4 5; do
	all_serve $addresses
	sleep 1
done
end guideway
guideway_begin
wait_until 10 all_serve $addresses
grep -q 'served as it was known before' "$lab_folder/guideway.log"

apiserver_start
audit_forgive
kubectl delete service $services --timeout 60s >/dev/null
wait_until 5 none_serves $addresses

# While it runs it writes down what it knows each other second: these come faster.
for name in late later; do
	class_apply $name
	wait_until 15 has_vips $name
done
end guideway
audit_forget
apiserver_stop
guideway_begin
ctl -o json services | grep -F "$namespace/later:80/tcp" >/dev/null
apiserver_start
audit_forgive
