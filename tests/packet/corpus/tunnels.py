"""The mode tunnel: what is sent to the node in an outer packet, and errors about that.

The outer packet is built by RFC 2003 (IPv4 in IPv4), RFC 4213 (IPv6 in IPv4), RFC 2473 (in IPv6),
RFC 6040 (congestion bits), and draft-ietf-intarea-gue (GUE, version 0).
"""

from scapy.fields import BitField, ByteField, ShortField
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import ARP
from scapy.layers.sctp import SCTP, SCTPChunkData, SCTPChunkInit
from scapy.packet import Packet

from answers import NO_MAC, TO_ALL, group_mac, group_of
from drops import STRANGER_MAC, expired, too_big
from forwarding import TCP_OPTIONS, data
from lab import (
    CLIENT_PORT,
    CLIENTS,
    CROSS,
    GUE,
    GUE_CROSS,
    HOP_NODE0,
    HOP_NODE1,
    MTUS,
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
)
from modes import IPV4_OPTIONS, IPV6_EXTENSIONS, chained

GUE_PORT = 6080  # By IANA.
IPV4_INSIDE, IPV6_INSIDE = 4, 41


class GueHeader(Packet):
    name = "GUE"
    fields_desc = [
        BitField("version", 0, 2),
        BitField("control", 0, 1),
        BitField("hlen", 0, 5),
        ByteField("proto", 0),
        ShortField("flags", 0),
    ]


class Tunnel:
    """The way of packets of family `f` to a port in outer packets."""

    def __init__(self, f, port, outer, node, is_gue):
        self.f, self.port, self.outer, self.node, self.is_gue = f, port, outer, node, is_gue
        self.hop = (NODE0_HOP, NODE1_HOP)[node]
        self.hop_number = (HOP_NODE0, HOP_NODE1)[node]
        self.port_mtu = MTUS[self.hop[1]]
        self.overhead = (20 if outer.is_ipv4 else 40) + (12 if is_gue else 0)
        self.mtu = self.port_mtu - self.overhead
        self.name = "%s in %s%s, node %d" % (
            f.name,
            "GUE over " if is_gue else "",
            outer.name,
            node,
        )

    def inner(self, l4, hops=64, **more):
        l4 = l4.copy()
        l4.sport, l4.dport = l4.sport or CLIENT_PORT, self.port
        return self.f.ip(self.f.client, self.f.vip, hops, **more) / l4

    def inner_of(self, length, **more):
        """A packet of just that length."""
        head = 28 if self.f.is_ipv4 else 48
        return self.inner(UDP(sport=CLIENT_PORT) / data(length - head), **more)

    def no_fragments(self):
        """What an inner packet needs for its sender to be told that it is too big."""
        return {"flags": "DF"} if self.f.is_ipv4 else {}

    def around(self, inner, **free):
        """The outer packet around `inner`, with the hop taken off, and its free fields given."""
        tos = inner.tos if self.f.is_ipv4 else inner.tc
        inside = inner.copy()
        if self.f.is_ipv4:
            inside.ttl -= 1
        else:
            inside.hlim -= 1
        protocol = IPV4_INSIDE if self.f.is_ipv4 else IPV6_INSIDE
        next_header = 17 if self.is_gue else protocol
        ends = {"src": self.outer.tunnel, "dst": self.outer.node(self.node)}
        if self.outer.is_ipv4:
            may_be_split = self.f.is_ipv4 and not inner.flags.DF
            flags = {"id": free["id"]} if may_be_split else {"id": 0, "flags": "DF"}
            packet = IP(tos=tos, ttl=64, proto=next_header, **ends, **flags)
        else:
            packet = IPv6(tc=tos, fl=free["flow_label"], hlim=64, nh=next_header, **ends)
        if self.is_gue:
            more = {"chksum": 0} if self.outer.is_ipv4 else {}
            packet = packet / UDP(sport=free["sport"], dport=GUE_PORT, **more)
            packet = packet / GueHeader(proto=protocol)
        return packet / bytes(inside)

    def free_fields(self, lab, sent=None):
        """Those of what just went out."""
        sent = sent or lab.sent()
        head = 20 if self.outer.is_ipv4 else 40
        lab.check("whether it is long enough", len(sent) >= head + 12, True)
        free = {}
        if self.outer.is_ipv4:
            free["id"] = int.from_bytes(sent[4:6], "big")
        else:
            free["flow_label"] = int.from_bytes(sent[1:4], "big") & 0xFFFFF
            lab.check("whether it has a flow label", free["flow_label"] > 0, True)
        if self.is_gue:
            free["sport"] = int.from_bytes(sent[head : head + 2], "big")
            lab.check("whether GUE's port is dynamic", free["sport"] >= 49152, True)
        return free

    def goes(self, lab, inner, **put):
        """The packet arrives, and goes to the node. Returns the outer one."""
        lab.put(inner, **put)
        lab.check("the drop reason", lab.drop, "none")
        lab.check("the way", lab.way, "port")
        outer = self.around(inner, **self.free_fields(lab))
        lab.expect_sent(outer, self.hop)
        return outer

    def is_too_big(self, lab, length, mtu):
        """A packet of that length is answered by what fits."""
        packet = self.inner_of(length, **self.no_fragments())
        lab.put(packet)
        lab.expect_answer(too_big(packet, self.f, mtu), drop="too-big")

    def fits(self, lab, length):
        self.goes(lab, self.inner_of(length, **self.no_fragments()))


TUNNELS = []
for f, other in ((V4, V6), (V6, V4)):
    TUNNELS += [
        Tunnel(f, TUNNEL, f, 1, False),
        Tunnel(f, NARROW, f, 0, False),
        Tunnel(f, CROSS, other, 0, False),
        Tunnel(f, GUE, f, 1, True),
        Tunnel(f, GUE_CROSS, other, 0, True),
    ]


def every(what, only=lambda t: True):
    """Registers a function as a case for each tunnel."""

    def register(function):
        for t in TUNNELS:
            if only(t):
                case("%s: %s" % (t.name, what), t=t)(function)
        return function

    return register


def is_over_ipv4(t):
    return t.outer.is_ipv4


def is_over_ipv6(t):
    return not t.outer.is_ipv4


@every("a TCP connection, of which one side is seen")
def _(lab, t):
    for flags, payload in [("S", b""), ("A", b""), ("PA", data(999)), ("FA", b"x"), ("R", b"")]:
        t.goes(lab, t.inner(TCP(sport=CLIENT_PORT, flags=flags, seq=7, ack=9) / payload))


@every("UDP of any length, to what fits")
def _(lab, t):
    head = 28 if t.f.is_ipv4 else 48
    for length in (head, head + 1, head + 2, head + 3, head + 512, t.mtu - 1, t.mtu):
        t.goes(lab, t.inner_of(length))


@every("SCTP, whatever its checksum")
def _(lab, t):
    for more in ({}, {"chksum": 0}, {"chksum": 0x12345678}):
        t.goes(lab, t.inner(SCTP(sport=CLIENT_PORT, tag=0, **more) / SCTPChunkInit()))
        t.goes(lab, t.inner(SCTP(sport=CLIENT_PORT, **more) / SCTPChunkData(data=data(77))))


@every("what its node sends on is a loop")
def _(lab, t):
    for l4 in (TCP(flags="S"), TCP(flags="A"), UDP(), SCTP(sport=CLIENT_PORT)):
        lab.put(t.inner(l4), port=t.hop[1])
        lab.expect_drop("loop")


@every("what the router before its node brings is none")
def _(lab, t):
    lab.ask("routed")
    t.goes(lab, t.inner(TCP(flags="S")), port=t.hop[1])


@every("traffic class and congestion bits are copied")
def _(lab, t):
    for traffic_class in (0, 1, 2, 3, 0xB8, 0xBB, 0x0F, 0xF0, 0xFF):
        more = {"tos": traffic_class} if t.f.is_ipv4 else {"tc": traffic_class}
        t.goes(lab, t.inner(TCP(flags="S"), **more))


@every("hop limits: one less inside, 64 outside")
def _(lab, t):
    for hops in (2, 3, 64, 65, 128, 255):
        t.goes(lab, t.inner(TCP(flags="S"), hops=hops))


@every("a hop limit that ends here")
def _(lab, t):
    for hops in (0, 1):
        for l4 in (TCP(flags="S"), UDP() / data(600), SCTP() / SCTPChunkInit()):
            packet = t.inner(l4, hops=hops)
            lab.put(packet)
            lab.expect_answer(expired(packet, t.f), drop="hop-limit")


@every("other fields inside stay")
def _(lab, t):
    for more in (
        [{"id": 0xBEEF}, {"id": 0xBEEF, "flags": "DF"}]
        if t.f.is_ipv4
        else [{"fl": 0xBEEF7}, {"fl": 0}]
    ):
        t.goes(lab, t.inner(TCP(flags="S", options=TCP_OPTIONS), **more))


@every("options or extension headers inside stay")
def _(lab, t):
    if t.f.is_ipv4:
        for _, options in IPV4_OPTIONS:
            t.goes(lab, t.inner(UDP() / b"x", options=options))
    else:
        for _, headers in IPV6_EXTENSIONS:
            t.goes(lab, chained(headers, t.inner(UDP() / b"x")))


@every("a wrong checksum inside stays wrong")
def _(lab, t):
    for l4 in (TCP, UDP):
        t.goes(lab, t.inner(l4(sport=CLIENT_PORT, chksum=0x1234) / b"data"))


@every("UDP without a checksum inside", lambda t: t.f.is_ipv4)
def _(lab, t):
    t.goes(lab, t.inner(UDP(sport=CLIENT_PORT, chksum=0) / b"x"))


@every("padding is cut off")
def _(lab, t):
    for n in (1, 6, 999):
        t.goes(lab, t.inner(TCP(flags="S")), padding=b"\xee" * n)


@every("what may not be fragmented inside may not be outside", is_over_ipv4)
def _(lab, t):
    for more in [{}, {"flags": "DF"}] if t.f.is_ipv4 else [{}]:
        for length in (100, 101, t.mtu):
            t.goes(lab, t.inner_of(length, **more))


@every(
    "identifications differ from packet to packet",
    lambda t: t.f.is_ipv4 and t.outer.is_ipv4,
)
def _(lab, t):
    ids = {t.goes(lab, t.inner(TCP(flags="S"))).id for _ in range(50)}
    lab.check("how many there are", len(ids), 50)


def entropy(t, outer):
    """What tells flows apart on the way to the node."""
    label = 0 if t.outer.is_ipv4 else outer.fl
    return label, outer.getlayer(UDP).sport if t.is_gue else 0


@every("all packets of a flow look alike on the way")
def _(lab, t):
    ways = {
        entropy(t, t.goes(lab, t.inner(TCP(sport=CLIENT_PORT, flags=flags) / payload)))
        for flags in ("S", "A", "PA", "FA")
        for payload in (b"", b"x", data(1000))
    }
    lab.check("how many ways they have", len(ways), 1)


@every("flows differ on the way", lambda t: t.is_gue or is_over_ipv6(t))
def _(lab, t):
    ways = {
        entropy(t, t.goes(lab, t.inner(TCP(sport=20000 + i, flags="S")))) for i in range(32)
    }
    # Of 32 in 251 places two are the same often, ten never.
    lab.check("whether there are many ways", len(ways) > 22, True)


@every(
    "a UDP checksum that comes out as 0 is sent as 0xffff",
    lambda t: t.is_gue and is_over_ipv6(t),
)
def _(lab, t):
    def with_tail(tail):
        return t.inner(UDP(sport=CLIENT_PORT, chksum=0x1234) / b"some" / tail)

    outer = t.goes(lab, with_tail(b"\0\0"))
    udp = IPv6(bytes(outer))[UDP]
    wanted = t.goes(lab, with_tail(udp.chksum.to_bytes(2, "big")))
    lab.check("the checksum", IPv6(bytes(wanted))[UDP].chksum, 0xFFFF)


@every("from the kernel")
def _(lab, t):
    packet = t.inner(TCP(flags="S"))
    network(packet).src = t.f.machine
    t.goes(lab, packet, kernel=True, src=PORT_MACS[0], dst=STRANGER_MAC)


@every("from another node")
def _(lab, t):
    node, port = (1, NODE1_SIDE) if t.node == 0 else (0, NODE0_SIDE)
    packet = t.inner(TCP(flags="S"))
    network(packet).src = t.f.node(node)
    t.goes(lab, packet, port=port)


@every("from an address of ours")
def _(lab, t):
    for l4 in (TCP(flags="S"), UDP() / b"x", SCTP() / SCTPChunkInit()):
        packet = t.inner(l4)
        network(packet).src = t.f.vip
        lab.put(packet)
        lab.expect_drop("bad-source")


@every("what does not fit is answered by what does")
def _(lab, t):
    for length in (t.mtu + 1, t.port_mtu):
        t.is_too_big(lab, length, t.mtu)
    t.fits(lab, t.mtu)


@every("SCTP and TCP that do not fit are answered by what does")
def _(lab, t):
    for l4 in (TCP(flags="A") / data(t.mtu), SCTP() / SCTPChunkData(data=data(t.mtu))):
        packet = t.inner(l4, **t.no_fragments())
        lab.put(packet)
        lab.expect_answer(too_big(packet, t.f, t.mtu), drop="too-big")


@every("waits for the node, and then goes to it")
def _(lab, t):
    lab.ask("hop %d -1" % t.hop_number)
    packet = t.inner(TCP(flags="S"))
    lab.put(packet)
    lab.check("the way", lab.way, "waiting")
    free = t.free_fields(lab, lab.out)
    lab.expect_waiting(t.around(packet, **free))
    lab.ask("hop %d %d" % (t.hop_number, t.hop[1]))
    lab.retry()
    lab.expect_sent(t.around(packet, **free), t.hop)


# What ICMP errors about outer packets say


def frag_needed(f, mtu):
    return ICMP(type=3, code=4, nexthopmtu=mtu) if f.is_ipv4 else ICMPv6PacketTooBig(mtu=mtu)


def quoted(t, outer, n):
    """So many bytes of an outer packet behind its IP header, or all, as a router far away has it."""
    outer = outer.copy()
    if t.outer.is_ipv4:
        outer.ttl = 61
    else:
        outer.hlim = 61
    whole = bytes(outer)
    return whole if n is None else whole[: (20 if t.outer.is_ipv4 else 40) + n]


def error(t, icmp, returned, source=None, hops=60):
    o = t.outer
    return o.ip(source or o.node_router, o.tunnel, hops) / icmp / returned


def is_learned(lab, t, mtu, n=8, length=200, **put):
    """The way to the node says that it takes so much, about a packet of that length."""
    outer = t.goes(lab, t.inner_of(length))
    before = lab.events("path-mtu-learned")
    put.setdefault("port", t.hop[1])
    lab.put(error(t, frag_needed(t.outer, mtu), quoted(t, outer, n)), **put)
    lab.check("the drop reason", lab.drop, "none")
    lab.check("the way", lab.way, "none")
    lab.check("how often it was learned", lab.events("path-mtu-learned") - before, 1)


SAID = 1350  # Leaves enough for IPv6 inside, whatever is around it.


def learns(what, n, **put):
    @every("the way says what it takes, " + what)
    def _(lab, t):
        is_learned(lab, t, SAID, n, **put)
        for length in (SAID - t.overhead + 1, t.mtu):
            t.is_too_big(lab, length, SAID - t.overhead)
        t.fits(lab, SAID - t.overhead)


learns("bringing back 8 bytes", 8)
learns("bringing back 9 bytes", 9)
learns("bringing back 28 bytes", 28)
learns("bringing back all", None)


@every("the way says what it takes, in a frame with padding behind")
def _(lab, t):
    is_learned(lab, t, SAID, padding=b"\xee" * 18)
    t.is_too_big(lab, t.mtu, SAID - t.overhead)


@every("the way says what it takes, through any port")
def _(lab, t):
    for port in (CLIENTS, NODE0_SIDE, NODE1_SIDE):
        lab.ask("world")
        is_learned(lab, t, SAID, port=port)
        t.is_too_big(lab, t.mtu, SAID - t.overhead)


@every("what the way takes is forgotten after ten minutes")
def _(lab, t):
    is_learned(lab, t, SAID)
    lab.ask("advance 599")
    t.is_too_big(lab, t.mtu, SAID - t.overhead)
    lab.ask("advance 2")
    t.fits(lab, t.mtu)


@every("what the way takes is as it was said last, if that is less")
def _(lab, t):
    is_learned(lab, t, SAID)
    is_learned(lab, t, SAID - 10)
    t.is_too_big(lab, t.mtu, SAID - 10 - t.overhead)


@every("a way that says that it takes more than the port changes nothing")
def _(lab, t):
    is_learned(lab, t, t.port_mtu + 1)
    t.fits(lab, t.mtu)
    t.is_too_big(lab, t.mtu + 1, t.mtu)


@every("no way takes less than every one has to", is_over_ipv4)
def _(lab, t):
    for said in (575, 68, 1, 0):
        lab.ask("world")
        is_learned(lab, t, said)
        t.is_too_big(lab, t.mtu, max(576 - t.overhead, 0 if t.f.is_ipv4 else 1280))


@every("IPv6 inside is never told less than 1280", lambda t: not t.f.is_ipv4)
def _(lab, t):
    is_learned(lab, t, 1280)
    t.is_too_big(lab, 1281, 1280)


@every("a narrow way to one node leaves others alone")
def _(lab, t):
    is_learned(lab, t, SAID)
    for other in TUNNELS:
        same_way = other.node == t.node and other.outer is t.outer
        if same_way:
            other.is_too_big(lab, other.mtu, SAID - other.overhead)
        else:
            other.fits(lab, other.mtu)


OTHER_ERRORS = {
    "IPv4": [
        ("network unreachable", ICMP(type=3, code=0)),
        ("host unreachable", ICMP(type=3, code=1)),
        ("protocol unreachable", ICMP(type=3, code=2)),
        ("port unreachable", ICMP(type=3, code=3)),
        ("administratively prohibited", ICMP(type=3, code=13)),
        ("time exceeded", ICMP(type=11, code=0)),
        ("parameter problem", ICMP(type=12, code=0)),
    ],
    "IPv6": [
        ("no route", ICMPv6DestUnreach(code=0)),
        ("administratively prohibited", ICMPv6DestUnreach(code=1)),
        ("address unreachable", ICMPv6DestUnreach(code=3)),
        ("port unreachable", ICMPv6DestUnreach(code=4)),
        ("time exceeded", ICMPv6TimeExceeded(code=0)),
        ("parameter problem", ICMPv6ParamProblem(code=1, ptr=6)),
    ],
}


def other_error(i, t):
    what, icmp = OTHER_ERRORS[t.outer.name][i]

    @case("%s: %s of an outer packet" % (t.name, what))
    def _(lab):
        outer = t.goes(lab, t.inner_of(500))
        for n in (8, 60, None):
            for source in (t.outer.node_router, t.outer.node(t.node)):
                lab.put(error(t, icmp, quoted(t, outer, n), source), port=t.hop[1])
                lab.expect_drop("tunnel")
        lab.check("how much was learned", lab.events("path-mtu-learned"), 0)
        t.fits(lab, t.mtu)


for tunnel in TUNNELS:
    for i in range(len(OTHER_ERRORS[tunnel.outer.name])):
        other_error(i, tunnel)


def for_the_kernel(what, kernel_class, make):
    """`make(t, outer)` gives errors to the tunnel source that are not about our outer packets."""

    @every("for the kernel: " + what)
    def _(lab, t):
        outer = t.goes(lab, t.inner_of(200))
        for packet in make(t, outer):
            lab.put(packet, port=NODE0_SIDE)
            lab.expect_passed(kernel_class)
        lab.check("how much was learned", lab.events("path-mtu-learned"), 0)
        t.fits(lab, t.mtu)


def changed(t, make):
    """An error about an outer packet that `make` has changed."""

    def errors(t, outer):
        for icmp in (frag_needed(t.outer, SAID), OTHER_ERRORS[t.outer.name][0][1]):
            packet = outer.copy()
            make(t, packet)
            yield error(t, icmp, quoted(t, packet, 8))

    return errors


def other_source(t, outer):
    outer.src = t.outer.machine


def to_no_node(t, outer):
    outer.dst = t.outer.client


def other_protocol(t, outer):
    if t.outer.is_ipv4:
        outer.proto = 47
    else:
        outer.nh = 47


def of_another_port(t, outer):
    outer[UDP].dport = GUE_PORT + 1


for_the_kernel("an error about a packet from elsewhere", "other", changed(None, other_source))
for_the_kernel("an error about a packet to no node", "other", changed(None, to_no_node))
for_the_kernel("an error about GRE to a node", "other", changed(None, other_protocol))


def wrong_sum(t, outer):
    good = bytes(error(t, frag_needed(t.outer, SAID), quoted(t, outer, 8)))
    bad = good[:-1] + bytes([good[-1] ^ 1])
    yield (IP if t.outer.is_ipv4 else IPv6)(bad)


for_the_kernel("an error with a wrong checksum", "other", wrong_sum)


def too_little(t, outer):
    for n in (0, 7):
        yield error(t, frag_needed(t.outer, SAID), quoted(t, outer, n))
    yield error(t, frag_needed(t.outer, SAID), bytes(outer)[:19])
    yield error(t, frag_needed(t.outer, SAID), b"")


for_the_kernel("an error that brings back less than 8 bytes", "other", too_little)


@every("for the kernel: an error about UDP to another port", lambda t: t.is_gue)
def _(lab, t):
    outer = t.goes(lab, t.inner_of(200))
    of_another_port(t, outer)
    lab.put(error(t, frag_needed(t.outer, SAID), quoted(t, outer, 8)), port=t.hop[1])
    lab.expect_passed("other")
    t.fits(lab, t.mtu)


def to_tunnel_source(what, make, kernel_class="other", **put):
    @both("to the tunnel source: " + what)
    def _(lab, f):
        for port in (CLIENTS, NODE0_SIDE):
            lab.put(make(f), port=port, **put)
            lab.expect_passed(kernel_class)


def outer_of(f, inside, **more):
    """An outer packet that comes to us."""
    return f.ip(f.router, f.tunnel, **more) / inside


to_tunnel_source("a SYN", lambda f: f.ip(f.client, f.tunnel) / TCP(dport=179, flags="S"))
to_tunnel_source(
    "a SYN to a service's port", lambda f: f.ip(f.client, f.tunnel) / TCP(dport=TUNNEL, flags="S")
)
to_tunnel_source("a datagram", lambda f: f.ip(f.client, f.tunnel) / UDP(dport=53) / b"x")
to_tunnel_source("SCTP", lambda f: f.ip(f.client, f.tunnel) / SCTP() / SCTPChunkInit())
to_tunnel_source("GUE", lambda f: outer_of(f, UDP(dport=GUE_PORT) / GueHeader() / data(40)))
to_tunnel_source(
    "IP in IP", lambda f: outer_of(f, V4.ip(V4.client, V4.vip) / TCP(dport=80, flags="S"))
)
to_tunnel_source(
    "IPv6 in IP", lambda f: outer_of(f, V6.ip(V6.client, V6.vip) / TCP(dport=80, flags="S"))
)
to_tunnel_source("the last hop", lambda f: f.ip(f.client, f.tunnel, 1) / TCP(flags="S"))
to_tunnel_source("from a node", lambda f: f.ip(f.node0, f.tunnel) / TCP(flags="SA"), "control")
to_tunnel_source(
    "an echo request",
    lambda f: f.ip(f.client, f.tunnel) / (ICMP(type=8) if f.is_ipv4 else ICMPv6EchoRequest()),
)
to_tunnel_source(
    "an error about its TCP",
    lambda f: f.ip(f.router, f.tunnel)
    / frag_needed(f, SAID)
    / bytes(f.ip(f.tunnel, f.client) / TCP(sport=179)),
)
to_tunnel_source(
    "an error about its TCP to a node",
    lambda f: f.ip(f.router, f.tunnel)
    / frag_needed(f, SAID)
    / bytes(f.ip(f.tunnel, f.node0) / TCP(dport=30080)),
)
to_tunnel_source("what is malformed", lambda f: f.ip(f.client, f.tunnel) / UDP(len=4) / b"x")


@case("to the tunnel source: ARP")
def _(lab):
    for port in (CLIENTS, NODE0_SIDE):
        request = ARP(op=1, psrc=V4.client, hwdst=NO_MAC, pdst=V4.tunnel)
        lab.put(request, port=port, dst=TO_ALL)
        lab.expect_passed("control")


@case("to the tunnel source: neighbour solicitation")
def _(lab):
    for port in (CLIENTS, NODE0_SIDE):
        packet = IPv6(src=V6.client, dst=group_of(V6.tunnel), hlim=255)
        lab.put(packet / ICMPv6ND_NS(tgt=V6.tunnel), port=port, dst=group_mac(V6.tunnel))
        lab.expect_passed("control")


@both("from the tunnel source: a service's client like any other")
def _(lab, f):
    for t in TUNNELS:
        if t.f is f:
            packet = t.inner(TCP(flags="S"))
            network(packet).src = f.tunnel
            t.goes(lab, packet, kernel=True, src=PORT_MACS[0], dst=STRANGER_MAC)
