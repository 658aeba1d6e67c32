# A client of a Service without an endpoint hears at once that nobody serves it, by TCP and UDP and in
# both families: of one that is Cluster by the error that a node's kube-proxy sends, whatever its mode;
# of one that is Local by Guideway's own.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"

guideway_more=$(kubernetes_config)
guideway_begin
class_apply web
class_apply near 'externalTrafficPolicy: Local'

# refused_at_once ADDRESS N: N times, so that every node has its turn; slowly, since the kernel of each
# sends one such error a second to one address, and six at once.
refused_at_once()
{
	on client /usr/bin/python3 -c 'import socket, sys, time
address, n = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
def hears(kind, port):
    with socket.socket(family, kind) as s:
        s.settimeout(0.9) # A SYN that is lost comes again after 1 s.
        try:
            s.connect((address, port))
            s.send(b"hostname")
            s.recv(100)
        except ConnectionRefusedError:
            return True
        except OSError as error:
            print(address, port, repr(error))
            return False
ok = True
for _ in range(n):
    ok = hears(socket.SOCK_STREAM, 80) and hears(socket.SOCK_DGRAM, 53) and ok
    time.sleep(0.5)
sys.exit(not ok)' "$@"
}

for service in web near; do
	wait_until 15 has_vips "$service"
	for vip in $(vips "$service"); do
		wait_until 10 refused_at_once "$vip" 1
		refused_at_once "$vip" 10
	done
done

# It was the nodes that said so of the one: they are up, and got packets.
for n in 1 2 3 4; do
	node_is "node$n" up
	ctl -o json nodes "node$n" | grep -E '"packets_in": *[1-9]' >/dev/null
done
