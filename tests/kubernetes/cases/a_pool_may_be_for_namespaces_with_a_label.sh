# A pool may be for namespaces that have a label: a Service waits, and says why, until its namespace
# has it; one that was served keeps its address when the label goes, and says that, too. Without such a
# pool, namespaces are not followed at all.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

guideway_more=$(kubernetes_config | sed 's/addresses = /namespace_labels = [ "tier=front" ]; &/')
guideway_begin
deployment_add web 2
class_apply web
wait_until 10 condition_is web Accepted "False NoPool"
wait_until 5 eval 'kubectl describe service web | grep SyncLoadBalancerFailed >/dev/null'

admin label namespace "$namespace" tier=front >/dev/null
wait_until 10 has_vips web
wait_until 10 answers_at_all web
before=$(vips web)
[ -z "$(condition web Degraded)" ]

admin label namespace "$namespace" tier- >/dev/null
wait_until 10 condition_is web Degraded "True OutsidePools"
[ "$(vips web)" = "$before" ]
answers_at_all web

class_apply other
wait_until 10 condition_is other Accepted "False NoPool"

ctl kubernetes | grep '^Namespaces: followed' >/dev/null
guideway_more=$(kubernetes_config)
guideway_reload
wait_until 10 has_vips other
wait_until 10 eval '[ -z "$(condition web Degraded)" ]'
refute eval 'ctl kubernetes | grep "^Namespaces"'
