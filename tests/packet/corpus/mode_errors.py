"""ICMP errors about flows in the modes dnat, dsr and tunnel, and the MSS in the modes that set it.

Without a flow the node is that of the flow's slot. In the mode dnat an error is about

    from the client's side     VIP:port -> client      and becomes     node:node_port -> client
    from the node's side       client -> node:node_port    becomes     client -> VIP:port

In the others an error from the client's side goes to the node like any packet of its flow.
"""

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.packet import Raw

from drops import STRANGER_MAC, too_big
from forwarding import computed, data, l4_of, with_zero_sum
from lab import (
    ABSENT,
    CLIENT_PORT,
    CLIENTS,
    CROSS,
    DNAT,
    DSR,
    DSR_BIG,
    GATEWAY,
    GUE,
    GUE_CROSS,
    HTTP,
    NARROW,
    NODE0_HOP,
    NODE0_SIDE,
    NODE1_HOP,
    NODE1_SIDE,
    PORT_MACS,
    TUNNEL,
    V4,
    V6,
    both,
    case,
    network,
    node_port,
)
from modes import IPV4_OPTIONS, IPV6_EXTENSIONS, chained, extension, of_node, to_client
from tunnels import TUNNELS, every

KINDS = {
    "IPv4": [
        ("network unreachable", ICMP(type=3, code=0)),
        ("host unreachable", ICMP(type=3, code=1)),
        ("port unreachable", ICMP(type=3, code=3)),
        ("fragmentation needed", ICMP(type=3, code=4, nexthopmtu=1280)),
        ("administratively prohibited", ICMP(type=3, code=13)),
        ("time exceeded", ICMP(type=11, code=0)),
        ("parameter problem", ICMP(type=12, code=0, ptr=9)),
    ],
    "IPv6": [
        ("no route", ICMPv6DestUnreach(code=0)),
        ("administratively prohibited", ICMPv6DestUnreach(code=1)),
        ("address unreachable", ICMPv6DestUnreach(code=3)),
        ("port unreachable", ICMPv6DestUnreach(code=4)),
        ("packet too big", ICMPv6PacketTooBig(mtu=1280)),
        ("time exceeded", ICMPv6TimeExceeded(code=0)),
        ("parameter problem", ICMPv6ParamProblem(code=0, ptr=7)),
    ],
}
TOO_BIG = {
    "IPv4": ICMP(type=3, code=4, nexthopmtu=1280),
    "IPv6": ICMPv6PacketTooBig(mtu=1280),
}
UNREACHABLE = {"IPv4": ICMP(type=3, code=1), "IPv6": ICMPv6DestUnreach(code=3)}


def l4_between(protocol, sport, dport, **more):
    if protocol is TCP:
        more = {"flags": "A", "seq": 77, **more}
    return protocol(sport=sport, dport=dport, **more)


def whole(packet):
    return bytes(packet)


def only(n):
    """The packet's IP header and `n` bytes of layer 4, which has no options before it."""

    def cut(packet):
        head = len(packet) - len(packet.getlayer(TCP) or packet.getlayer(UDP) or packet[SCTP])
        return bytes(packet)[: head + n]

    return cut


CUTS = [("8 bytes", only(8)), ("all", whole)]

# dnat: what was sent, as either end knows it, with a hop limit that has become less.


def sent_by_client(f, protocol, tail=None, dst=None, port=DNAT, head=(), **l4):
    """A client's packet as it came to us; as it went to the node with another `dst` and `port`."""
    packet = f.ip(f.client, dst or f.vip, 60) / l4_between(protocol, CLIENT_PORT, port, **l4)
    packet = packet / (data(40) if tail is None else tail)
    return chained(head, packet) if head else packet


def sent_to_node(f, protocol, tail=None, **more):
    return sent_by_client(f, protocol, tail, f.node0, node_port(DNAT), **more)


def sent_to_client(f, protocol, tail=None, src=None, port=DNAT, head=(), **l4):
    """A node's packet as it left us; as it came to us with another `src` and `port`."""
    packet = f.ip(src or f.vip, f.client, 60) / l4_between(protocol, port, CLIENT_PORT, **l4)
    packet = packet / (data(40) if tail is None else tail)
    return chained(head, packet) if head else packet


def sent_by_node(f, protocol, tail=None, **more):
    return sent_to_client(f, protocol, tail, f.node0, node_port(DNAT), **more)


def from_client_side(lab, f, icmp, sender, returned, wanted, hops=60, **put):
    """An error about a packet that we had sent to the client, for the node."""
    lab.put(f.ip(sender, f.vip, hops) / icmp / returned, **put)
    lab.expect_sent(f.ip(sender, f.node0, hops - 1) / icmp / wanted, NODE0_HOP)


def from_node_side(lab, f, icmp, sender, returned, wanted, hops=60, **put):
    """An error about a packet that we had sent to the node, for the client."""
    source = f.vip if sender == f.node0 else sender
    put.setdefault("port", NODE0_SIDE)
    lab.put(f.ip(sender, f.client, hops) / icmp / returned, **put)
    lab.expect_sent(f.ip(source, f.client, hops - 1) / icmp / wanted, GATEWAY)


def all_senders(lab, f, protocol, icmp, cut=whole, **more):
    pair = [cut(make(f, protocol, **more)) for make in (sent_to_client, sent_by_node)]
    for sender in (f.client, f.router):
        from_client_side(lab, f, icmp, sender, *pair)
    pair = [cut(make(f, protocol, **more)) for make in (sent_to_node, sent_by_client)]
    for sender in (f.node0, f.node_router):
        from_node_side(lab, f, icmp, sender, *pair)


for f in (V4, V6):
    for what, icmp in KINDS[f.name]:
        for protocol in (TCP, UDP):
            for how_much, cut in CUTS:

                @case(
                    "dnat: %s, bringing back %s of %s" % (what, how_much, protocol.__name__),
                    f,
                    protocol=protocol,
                    icmp=icmp,
                    cut=cut,
                )
                def _(lab, f, protocol, icmp, cut):
                    all_senders(lab, f, protocol, icmp, cut)


def cut_at(n, *protocols):
    @both("dnat: an error that brings back %d bytes" % n)
    def _(lab, f):
        for protocol in protocols:
            all_senders(lab, f, protocol, TOO_BIG[f.name], only(n))


for n in (9, 10):
    cut_at(n, TCP, UDP)
for n in (16, 18, 19, 20, 21):  # Of 17, half a checksum, nobody knows what is right.
    cut_at(n, TCP)


@both("dnat: an error that brings back a long packet")
def _(lab, f):
    all_senders(lab, f, TCP, TOO_BIG[f.name], tail=data(1101))


@case("dnat: an error about UDP without a checksum", V4)
def _(lab, f):
    for _, cut in CUTS:
        all_senders(lab, f, UDP, TOO_BIG["IPv4"], cut, chksum=0)


@both("dnat: an error about UDP whose checksum comes out as 0")
def _(lab, f):
    for there, here, goes in [
        (sent_to_client, sent_by_node, from_client_side),
        (sent_to_node, sent_by_client, from_node_side),
    ]:
        wanted = with_zero_sum(lambda tail, here=here: here(f, UDP, tail))
        returned = there(f, UDP, bytes(wanted)[-2:])
        goes(lab, f, TOO_BIG[f.name], f.router, returned, wanted)


@both("dnat: an error about a packet whose checksum was wrong")
def _(lab, f):
    for protocol in (TCP, UDP):
        returned, wanted = sent_to_node(f, protocol), sent_by_client(f, protocol)
        sums = computed(returned), computed(wanted)
        wrong = sums[0] ^ 0x1111
        l4_of(returned).chksum = wrong
        l4_of(wanted).chksum = (wrong - sums[0] + sums[1]) % 0xFFFF
        from_node_side(lab, f, UNREACHABLE[f.name], f.node_router, returned, wanted)


@both("dnat: an error that is followed by padding")
def _(lab, f):
    pair = [only(8)(make(f, UDP)) for make in (sent_to_node, sent_by_client)]
    from_node_side(lab, f, TOO_BIG[f.name], f.node0, *pair, padding=b"\xee" * 20)
    pair = [only(8)(make(f, UDP)) for make in (sent_to_client, sent_by_node)]
    from_client_side(lab, f, TOO_BIG[f.name], f.client, *pair, padding=b"\xee" * 20)


@case("dnat: an error about a packet with extension headers", V6)
def _(lab, f):
    for head in ([extension()], [extension(12), extension()]):
        for _, cut in CUTS:
            all_senders(lab, f, TCP, TOO_BIG[f.name], cut, head=head)


@case("dnat: an error about a packet with IPv4 options", V4)
def _(lab, f):
    pair = sent_to_node(f, UDP), sent_by_client(f, UDP)
    for packet in pair:
        packet[IP].options = [IPOption_NOP()] * 40
    from_node_side(lab, f, TOO_BIG[f.name], f.node_router, *pair)
    pair = [only(8)(packet) for packet in pair]
    from_node_side(lab, f, TOO_BIG[f.name], f.node_router, *pair)


@both("dnat: an error with options or extension headers of its own")
def _(lab, f):
    icmp = UNREACHABLE[f.name]

    def head(src, dst, hops):
        if f.is_ipv4:
            return IP(src=src, dst=dst, ttl=hops, options=[IPOption_NOP()] * 8)
        return IPv6(src=src, dst=dst, hlim=hops) / extension(12)

    lab.put(head(f.node0, f.client, 60) / icmp / sent_to_node(f, TCP), port=NODE0_SIDE)
    lab.expect_sent(head(f.vip, f.client, 59) / icmp / sent_by_client(f, TCP), GATEWAY)
    lab.put(head(f.router, f.vip, 60) / icmp / sent_to_client(f, TCP))
    lab.expect_sent(head(f.router, f.node0, 59) / icmp / sent_by_node(f, TCP), NODE0_HOP)


@both("dnat: an error by any port, of any hop limit above 1")
def _(lab, f):
    for port in (CLIENTS, NODE0_SIDE, NODE1_SIDE):
        for hops in (2, 255):
            pair = [whole(make(f, UDP)) for make in (sent_to_node, sent_by_client)]
            from_node_side(lab, f, UNREACHABLE[f.name], f.node0, *pair, hops=hops, port=port)
            pair = [whole(make(f, UDP)) for make in (sent_to_client, sent_by_node)]
            from_client_side(lab, f, UNREACHABLE[f.name], f.router, *pair, hops=hops, port=port)


@both("dnat: an error that the kernel forwards, or is itself the sender of")
def _(lab, f):
    more = {"kernel": True, "src": PORT_MACS[1], "dst": STRANGER_MAC}
    pair = [whole(make(f, UDP)) for make in (sent_to_node, sent_by_client)]
    for sender in (f.node0, f.node_router, f.machine):
        from_node_side(lab, f, UNREACHABLE[f.name], sender, *pair, **more)


@both("dnat: an error of another node keeps its source")
def _(lab, f):
    pair = [whole(make(f, UDP)) for make in (sent_to_node, sent_by_client)]
    from_node_side(lab, f, UNREACHABLE[f.name], f.node(1), *pair)


@both("dnat: the sender of an error hears of a packet that it knows, and answers go on")
def _(lab, f):
    packet = of_node(f, TCP(flags="A") / data(1000))
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_sent(to_client(f, packet), GATEWAY)
    returned = to_client(f, packet)
    wanted = packet.copy()
    if f.is_ipv4:
        wanted.ttl -= 1
    else:
        wanted.hlim -= 1
    from_client_side(lab, f, TOO_BIG[f.name], f.router, bytes(returned)[:500], bytes(wanted)[:500])
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_sent(to_client(f, packet), GATEWAY)


@both("dnat: an error about nothing of ours passes to the kernel")
def _(lab, f):
    good = sent_to_node(f, TCP)
    for change in [
        lambda packet: setattr(l4_of(packet), "dport", node_port(DNAT) + 1),
        lambda packet: setattr(l4_of(packet), "dport", node_port(DSR)),
        lambda packet: setattr(l4_of(packet), "dport", node_port(HTTP)),
        lambda packet: setattr(network(packet), "dst", f.node(1)),
        lambda packet: setattr(network(packet), "dst", f.router),
        lambda packet: setattr(network(packet), "src", f.router),
    ]:
        packet = good.copy()
        change(packet)
        for sender, kernel_class in ((f.node0, "control"), (f.node_router, "other")):
            lab.put(f.ip(sender, f.client) / UNREACHABLE[f.name] / packet, port=NODE0_SIDE)
            lab.expect_passed(kernel_class)


@both("dnat: an error about SCTP to the NodePort passes to the kernel")
def _(lab, f):
    returned = f.ip(f.client, f.node0) / SCTP(sport=CLIENT_PORT, dport=node_port(DNAT))
    lab.put(f.ip(f.node0, f.client) / UNREACHABLE[f.name] / returned, port=NODE0_SIDE)
    lab.expect_passed("control")


@both("dnat: an error about a node that is the service's no more passes to the kernel")
def _(lab, f):
    lab.ask("node 0 %d" % ABSENT)
    returned = sent_to_node(f, TCP)
    lab.put(f.ip(f.node0, f.client) / UNREACHABLE[f.name] / returned, port=NODE0_SIDE)
    lab.expect_passed("control")


@both("dnat: an error to this machine, as the client, is the kernel's")
def _(lab, f):
    returned = sent_to_node(f, TCP)
    network(returned).src = f.machine
    for padding in (b"", b"\0" * 7):
        packet = f.ip(f.node0, f.machine) / UNREACHABLE[f.name] / returned
        lab.put(packet, port=NODE0_SIDE, padding=padding)
        lab.expect_passed("control")


@both("dnat: an error with a wrong checksum is the kernel's")
def _(lab, f):
    right = bytes(f.ip(f.node_router, f.client) / UNREACHABLE[f.name] / sent_to_node(f, TCP))
    wrong = right[:-1] + bytes([right[-1] ^ 1])
    lab.put(wrong, port=NODE0_SIDE, ethertype=f.ethertype)
    lab.expect_passed("other")


@both("dnat: an error to a client without a route")
def _(lab, f):
    returned = sent_to_node(f, UDP)
    network(returned).src = f.lost
    lab.put(f.ip(f.node0, f.lost) / UNREACHABLE[f.name] / returned, port=NODE0_SIDE)
    lab.expect_drop("no-route")


@both("dnat: an error waits for a client on a connected network")
def _(lab, f):
    returned, wanted = sent_to_node(f, UDP), sent_by_client(f, UDP)
    network(returned).src = network(wanted).src = f.connected
    icmp = UNREACHABLE[f.name]
    lab.put(f.ip(f.node0, f.connected) / icmp / returned, port=NODE0_SIDE)
    lab.expect_waiting(f.ip(f.vip, f.connected, 63) / icmp / wanted)


# dsr: it goes as it came. The answer of the node, which the client's side has seen, was from the
# VIP.

NAMES = {TCP: "TCP", UDP: "UDP", SCTP: "SCTP"}


def answer(f, protocol, port):
    tail = SCTPChunkData(data=data(40)) if protocol is SCTP else data(40)
    return f.ip(f.vip, f.client, 60) / l4_between(protocol, port, CLIENT_PORT) / tail


for f in (V4, V6):
    for what, icmp in KINDS[f.name]:
        for protocol in (TCP, UDP, SCTP):

            @case("dsr: %s, about %s" % (what, NAMES[protocol]), f, protocol=protocol, icmp=icmp)
            def _(lab, f, protocol, icmp):
                for port, hop in ((DSR, NODE0_HOP), (DSR_BIG, NODE1_HOP)):
                    for _, cut in CUTS:
                        for sender in (f.client, f.router):
                            returned = cut(answer(f, protocol, port))
                            packet = f.ip(sender, f.vip, 60) / icmp / returned
                            lab.put(packet, padding=b"\xee" * 3)
                            lab.expect_sent(packet, hop)


@both("dsr: an error with options or extension headers of its own")
def _(lab, f):
    for _, extra in IPV4_OPTIONS if f.is_ipv4 else IPV6_EXTENSIONS:
        more = {"options": extra} if f.is_ipv4 else {}
        packet = f.ip(f.router, f.vip, **more) / UNREACHABLE[f.name] / answer(f, UDP, DSR)
        packet = packet if f.is_ipv4 else chained(extra, packet)
        lab.put(packet)
        lab.expect_sent(packet, NODE0_HOP)


# tunnel: it goes to the node whole, like any packet from there.


def tunnel_kind(i, protocol):
    for t in TUNNELS:
        what, icmp = KINDS[t.f.name][i]

        @case("%s: %s, about %s" % (t.name, what, NAMES[protocol]), t=t, icmp=icmp)
        def _(lab, t, icmp):
            for _, cut in CUTS:
                for sender in (t.f.client, t.f.router):
                    returned = Raw(cut(answer(t.f, protocol, t.port)))
                    t.goes(lab, t.f.ip(sender, t.f.vip, 60) / icmp / returned)


for i in (1, 2, 3, 4, 5, 6):
    tunnel_kind(i, TCP if i % 2 else UDP)
tunnel_kind(0, SCTP)


@every("an error looks on the way like its flow")
def _(lab, t):
    def way(outer):
        return [
            outer.getlayer(layer).getfieldval(field)
            for layer, field in ((IPv6, "fl"), (UDP, "sport"))
            if outer.haslayer(layer)
        ]

    flow = way(t.goes(lab, t.inner(TCP(sport=CLIENT_PORT, flags="A"))))
    returned = Raw(whole(answer(t.f, TCP, t.port)))
    error = t.f.ip(t.f.router, t.f.vip) / TOO_BIG[t.f.name] / returned
    lab.check("its way", way(t.goes(lab, error)), flow)


@every("an error's traffic class is copied")
def _(lab, t):
    for traffic_class in (0, 0xC0, 0xC3):
        more = {"tos": traffic_class} if t.f.is_ipv4 else {"tc": traffic_class}
        ip = t.f.ip(t.f.router, t.f.vip, **more)
        t.goes(lab, ip / TOO_BIG[t.f.name] / Raw(only(8)(answer(t.f, UDP, t.port))), padding=b"x")


# In all of them


MODE_PORTS = [("dnat", DNAT), ("dsr", DSR), ("tunnel", TUNNEL), ("gue", GUE_CROSS)]


def refused(what, reason, make, before=None):
    """`make(f, returned)` gives errors to the VIP, in bytes, about what a client was sent."""
    for mode, port in MODE_PORTS:

        @both("%s: %s" % (mode, what), port=port)
        def _(lab, f, port):
            if before:
                lab.ask(before % port)
            for protocol in (TCP, UDP):
                for packet in make(f, answer(f, protocol, port)):
                    lab.put(packet, ethertype=f.ethertype)
                    lab.expect_drop(reason)


def wrong_sums(f, returned):
    head = f.ip(f.router, f.vip)
    right = bytes(head / UNREACHABLE[f.name] / returned)
    for at in (len(head) + 2, len(head) + 3, len(right) - 1):
        yield right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :]


refused("an error with a wrong checksum", "bad-checksum", wrong_sums)


def too_short(f, returned):
    for n in (0, 4, 7):
        yield bytes(f.ip(f.router, f.vip) / UNREACHABLE[f.name] / only(n)(returned))
    yield bytes(f.ip(f.router, f.vip) / UNREACHABLE[f.name] / bytes(returned)[:19])
    yield bytes(f.ip(f.router, f.vip) / UNREACHABLE[f.name])


refused("an error that brings back less than 8 bytes", "truncated", too_short)


def other_version(f, returned):
    other = bytes([0x65 if f.is_ipv4 else 0x45]) + bytes(returned)[1:]
    yield bytes(f.ip(f.router, f.vip) / UNREACHABLE[f.name] / other)


refused("an error that brings back what is no packet", "malformed", other_version)


def about_others(f, returned):
    for change in [
        lambda packet: setattr(l4_of(packet), "sport", 4711),
        lambda packet: setattr(network(packet), "src", f.quiet_vip),
        lambda packet: setattr(network(packet), "src", f.client),
    ]:
        packet = returned.copy()
        change(packet)
        yield bytes(f.ip(f.router, f.vip) / UNREACHABLE[f.name] / packet)


refused("an error about what nobody sent", "no-flow", about_others)


def to_nobody(f, returned):
    yield bytes(f.ip(f.router, f.vip) / UNREACHABLE[f.name] / returned)


refused("an error while no node may be used", "no-target", to_nobody, "empty %d")


def of_bad_source(f, returned):
    source = "127.0.0.1" if f.is_ipv4 else "::1"
    yield bytes(f.ip(source, f.vip) / UNREACHABLE[f.name] / returned)


refused("an error of a source that no host may have", "bad-source", of_bad_source)


def queries(f, _):
    if f.is_ipv4:
        for kind in (0, 4, 5, 13, 17):
            yield bytes(f.ip(f.client, f.vip) / ICMP(type=kind) / data(28))
    else:
        for kind in (100, 129, 133):
            yield bytes(f.ip(f.client, f.vip) / ICMPv6DestUnreach(type=kind) / data(48))


refused("ICMP that is neither error nor echo", "icmp", queries)


@both("an error whose hop limit ends here, in other modes than snat")
def _(lab, f):
    for port in (DNAT, TUNNEL, GUE):
        for hops in (0, 1):
            lab.put(f.ip(f.router, f.vip, hops) / UNREACHABLE[f.name] / answer(f, TCP, port))
            lab.expect_drop("hop-limit")


# The MSS. A SYN says the largest segment that its sender takes; it may be made less on the way,
# never more (RFC 9293, section 3.7.1).

CLAMP = 1200
KEEPS = "keeps"


def mss_bytes(mss):
    return b"\x02\x04" + mss.to_bytes(2, "big")


def around(before, behind=b""):
    """An MSS that is too large, between other options, and what they become."""
    return before + mss_bytes(1460) + behind, before + mss_bytes(CLAMP) + behind


# The options of a SYN, and what they become.
MSS_CASES = [
    ("above", mss_bytes(1460), mss_bytes(CLAMP)),
    ("one above", mss_bytes(CLAMP + 1), mss_bytes(CLAMP)),
    ("as large as can be", mss_bytes(65535), mss_bytes(CLAMP)),
    ("equal", mss_bytes(CLAMP), KEEPS),
    ("below", mss_bytes(536), KEEPS),
    ("of nothing", mss_bytes(0), KEEPS),
    ("absent", b"", KEEPS),
    ("absent among others", b"\x01\x01\x04\x02\x03\x03\x07\x00", KEEPS),
    ("at an odd place", *around(b"\x01", b"\0\0\0")),
    ("behind others", *around(b"\x04\x02\x03\x03\x07", b"\x01\0\0")),
    ("at the end of the longest header", *around(b"\x01" * 36)),
    ("behind an unknown option", *around(b"\xfd\x04\xab\xcd")),
    ("behind the end of options", b"\0" * 4 + mss_bytes(1460), KEEPS),
    ("of a wrong length", b"\x02\x03\x05\x01", KEEPS),
    ("too long", b"\x02\x06\x05\xb4\0\0\0\0", KEEPS),
    ("cut at the end", b"\x01\x01\x02\x04", KEEPS),
    ("cut in its value", b"\x01\x02\x04\xff", KEEPS),
    ("behind an option of no length", b"\x08\0\x01\x01" + mss_bytes(1460), KEEPS),
    ("behind an option past the end", b"\x08\x0b\x01\x01" + mss_bytes(1460), KEEPS),
]


def with_options(packet, options):
    """A SYN with just these bytes of options, the checksum being right."""
    packet = packet.copy()
    ip, tcp = network(packet), packet[TCP]
    tcp.dataofs = 5 + len(options) // 4
    tcp.remove_payload()
    ip.len = ip.plen = None
    return packet / Raw(options)


# Ways of SYNs. Each lets one through: `make(packet)` gives it its options as it comes, and
# `make(packet, True)` as it goes.


def dnat_there(lab, f, make):
    head = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=DNAT, flags="S", seq=1)
    gone = f.ip(f.client, f.node0, 63) / TCP(
        sport=CLIENT_PORT, dport=node_port(DNAT), flags="S", seq=1
    )
    lab.put(make(head))
    lab.expect_sent(make(gone, True), NODE0_HOP)


def dnat_back(lab, f, make):
    head = of_node(f, TCP(flags="SA", seq=1, ack=2))
    lab.put(make(head), port=NODE0_SIDE)
    lab.expect_sent(make(to_client(f, head), True), GATEWAY)


def snat_there(lab, f, make):
    head = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=HTTP, flags="S", seq=1)
    lab.put(make(head))
    gone = f.ip(f.snat, f.node0, 63) / TCP(
        sport=lab.snat_port(), dport=node_port(HTTP), flags="S", seq=1
    )
    lab.expect_sent(make(gone, True), NODE0_HOP)


def snat_back(lab, f, make):
    lab.put(f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=HTTP, flags="S"))
    head = f.ip(f.node0, f.snat) / TCP(
        sport=node_port(HTTP), dport=lab.snat_port(), flags="SA", seq=1, ack=2
    )
    gone = f.ip(f.vip, f.client, 63) / TCP(
        sport=HTTP, dport=CLIENT_PORT, flags="SA", seq=1, ack=2
    )
    lab.put(make(head), port=NODE0_SIDE)
    lab.expect_sent(make(gone, True), GATEWAY)


def dsr_there(lab, f, make):
    head = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=DSR, flags="S", seq=1)
    lab.put(make(head))
    lab.expect_sent(make(head, True), NODE0_HOP)


def tunnel_there(port):
    def goes(lab, f, make):
        t = next(t for t in TUNNELS if t.f is f and t.port == port)
        head = t.inner(TCP(flags="S", seq=1))
        lab.put(make(head))
        wanted = make(head, True)
        lab.expect_sent(t.around(wanted, **t.free_fields(lab)), t.hop)

    return goes


MSS_PATHS = [
    ("snat", HTTP, snat_there),
    ("snat, reply", HTTP, snat_back),
    ("dnat", DNAT, dnat_there),
    ("dnat, reply", DNAT, dnat_back),
    ("dsr", DSR, dsr_there),
    ("ip in ip", NARROW, tunnel_there(NARROW)),
    ("crossing", CROSS, tunnel_there(CROSS)),
    ("gue", GUE_CROSS, tunnel_there(GUE_CROSS)),
]
# The same code there: a few show that it is reached.
MSS_FEW = ["above", "equal", "absent", "at an odd place", "of a wrong length"]

for path, port, goes in MSS_PATHS:
    for what, options, becomes in MSS_CASES:
        if port not in (HTTP, DNAT) and what not in MSS_FEW:
            continue

        @both(
            "%s: an MSS %s" % (path, what),
            port=port,
            goes=goes,
            before=options,
            after=options if becomes == KEEPS else becomes,
        )
        def _(lab, f, port, goes, before, after):
            lab.ask("mss %d %d" % (port, CLAMP))
            goes(lab, f, lambda head, gone=False: with_options(head, after if gone else before))

    @both("%s: an MSS where none is set" % path, port=port, goes=goes)
    def _(lab, f, port, goes):
        goes(lab, f, lambda head, gone=False: with_options(head, mss_bytes(9000)))

    @both("%s: data behind a SYN that says an MSS" % path, port=port, goes=goes)
    def _(lab, f, port, goes):
        lab.ask("mss %d %d" % (port, CLAMP))

        def make(head, gone=False):
            return with_options(head, mss_bytes(CLAMP if gone else 1460)) / Raw(data(77))

        goes(lab, f, make)

    @both("%s: an MSS where the checksum is wrong" % path, port=port, goes=goes)
    def _(lab, f, port, goes):
        lab.ask("mss %d %d" % (port, CLAMP))
        right = []

        def make(head, gone=False):
            """As wrong as it was before."""
            packet = with_options(head, mss_bytes(CLAMP if gone else 1460))
            right.append(computed(packet))
            wrong = right[0] ^ 0x2222
            packet[TCP].chksum = (wrong - right[0] + right[-1]) % 0xFFFF
            return packet

        goes(lab, f, make)


@both("an MSS in what is no SYN stays")
def _(lab, f):
    for port in (DNAT, DSR):
        lab.ask("mss %d %d" % (port, CLAMP))
    for flags in ("A", "F", "R", "PA"):
        packet = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=DSR, flags=flags)
        packet = with_options(packet, mss_bytes(1460))
        lab.put(packet)
        lab.expect_sent(packet, NODE0_HOP)
        packet = with_options(of_node(f, TCP(flags=flags)), mss_bytes(1460))
        lab.put(packet, port=NODE0_SIDE)
        lab.expect_sent(to_client(f, packet), GATEWAY)


@both("what looks like an MSS in UDP stays")
def _(lab, f):
    lab.ask("mss %d %d" % (DSR, CLAMP))
    for n in range(4):
        payload = b"\x02" * n + b"\x50\x02\0\0\0\0\0\0" + mss_bytes(1460)
        packet = f.ip(f.client, f.vip) / UDP(sport=CLIENT_PORT, dport=DSR) / payload
        lab.put(packet)
        lab.expect_sent(packet, NODE0_HOP)


def too_big_syn(port, mtu):
    def answered(lab, f):
        lab.ask("mss %d %d" % (port, CLAMP))
        more = {"flags": "DF"} if f.is_ipv4 else {}
        head = f.ip(f.client, f.vip, **more) / TCP(sport=CLIENT_PORT, dport=port, flags="S")
        packet = with_options(head, mss_bytes(1460)) / Raw(data(1400))
        lab.put(packet)
        lab.expect_answer(too_big(packet, f, mtu), drop="too-big")

    return answered


both("dnat: a SYN that is too big comes back as it was, whatever its MSS")(too_big_syn(DNAT, 1400))
both("dsr: a SYN that is too big comes back as it was, whatever its MSS")(too_big_syn(DSR, 1400))
