# A connection that was open in snat goes on, through the same pod, when the Service's annotation makes
# it dsr; new ones go by dsr, and show the pod the client's address.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

# talk ADDRESS: asks over one connection for whom the pod sees, five times a second, until it is killed.
talk()
{
	spawn talk client /usr/bin/python3 -u -c 'import http.client, sys, time
c = http.client.HTTPConnection(sys.argv[1], 80, timeout=5)
c.connect()
mine = c.sock
while c.sock is mine:
    c.request("GET", "/clientip")
    print(c.getresponse().read().decode(), flush=True)
    time.sleep(0.2)' "$1"
}

answers()
{
	wc -l <"$lab_folder/talk.log"
}

guideway_more=$(kubernetes_config)
guideway_begin
deployment_add web 4
class_apply web 'externalTrafficPolicy: Local'
wait_until 15 has_vips web
wait_until 10 answers_at_all web
vip=$(vips web | grep -v :)
talk "$vip"
wait_until 5 eval '[ "$(answers)" -ge 5 ]'

kubectl annotate service web guideway.dev/forwarding=dsr >/dev/null
wait_until 15 eval '[ "$(field service/web ".status.loadBalancer.ingress[*].ipMode")" = "VIP VIP" ]'
wait_until 60 condition_is web Programmed "True Forwarding"
client=$(on client ip -4 -o addr show eth0 | grep -o 'inet [0-9.]*' | cut -d' ' -f2)
sees_the_client()
{
	[[ "$(get "$vip" /clientip)" = "$client:"* ]]
}
wait_until 30 sees_the_client

before=$(answers)
wait_until 5 eval '[ "$(answers)" -ge $((before + 10)) ]'
is_running talk
[ "$(sort -u "$lab_folder/talk.log" | grep -c .)" = 1 ] # From one address and port, at one pod.
[[ "$(head -n 1 "$lab_folder/talk.log")" = "$snat4:"* ]]
end talk
