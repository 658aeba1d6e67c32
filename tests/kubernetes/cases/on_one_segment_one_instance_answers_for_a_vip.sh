# Where VIPs are on the clients' own segment one instance answers ARP and neighbour solicitations for
# each; those of one that dies move to the other, the others stay.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../in_a_cluster.sh"
. "$(dirname "$0")/../two_edges.sh"

# answers ADDRESS...: a line for each that is answered for, with the MAC addresses that do, each once.
answers()
{
	on client /usr/bin/python3 - "$@" <<-'PYTHON'
		import logging, sys
		logging.disable()
		from scapy.all import *

		mac = get_if_hwaddr("eth0")
		who = {a: set() for a in sys.argv[1:]}

		def question(a):
		    if ":" not in a:
		        return Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc="198.51.100.10", pdst=a)
		    group = in6_getnsma(inet_pton(socket.AF_INET6, a))
		    return Ether(dst=in6_getnsmac(group)) / IPv6(src="2001:db8:c1::10",
		        dst=inet_ntop(socket.AF_INET6, group), hlim=255) / ICMPv6ND_NS(tgt=a) / \
		        ICMPv6NDOptSrcLLAddr(lladdr=mac)

		def note(p):
		    if ARP in p and p[ARP].op == 2 and p[ARP].psrc in who:
		        who[p[ARP].psrc].add(p.src)
		    if ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt in who:
		        who[p[ICMPv6ND_NA].tgt].add(p.src)

		s = AsyncSniffer(iface="eth0", prn=note, store=0,
		    started_callback=lambda: sendp([question(a) for a in who], iface="eth0", verbose=0))
		s.start()
		time.sleep(1)
		s.stop()
		for a in who:
		    print(a, *sorted(who[a]))
	PYTHON
}

# one_answers ADDRESS...: for each; 'owners' are those who do, each once.
one_answers()
{
	local told

	told=$(answers "$@")
	owners=$(cut -d ' ' -f 2- <<<"$told" | sort -u)
	[ "$(awk 'NF == 2' <<<"$told" | wc -l)" = $# ]
}

both_have_some()
{
	one_answers "$@" && [ "$(wc -l <<<"$owners")" = 2 ]
}

all_are_of()
{
	one_answers "${@:2}" && [ "$owners" = "$1" ]
}

two_begin
names=(a b c d)
deployment_add a 2
for name in "${names[@]}"; do
	class_apply "$name"
done
with_pods_of a b c d
for name in "${names[@]}"; do
	wait_until 15 has_vips "$name"
done
addresses=$(for name in "${names[@]}"; do vips "$name" && echo; done)
wait_until 20 both_have_some $addresses

# As a client of that segment sees it.
ip_at client route replace $vips4 dev eth0
ip_at client -6 route replace $vips6 dev eth0
wait_until 10 all_answer $addresses

second end guideway2 KILL
wait_until 15 all_are_of "$(on edge cat /sys/class/net/wan/address)" $addresses
wait_until 5 all_answer $addresses # By what was announced: nothing is asked anew.
