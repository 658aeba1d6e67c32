"""ICMP errors about flows, from the client's side and from the node's."""

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
)

from forwarding import data, tcp_of_client, to_node, with_zero_sum
from lab import (
    CLIENT_PORT,
    DNS,
    GATEWAY,
    HTTP,
    LOCAL,
    NODE0_HOP,
    NODE0_SIDE,
    V4,
    V6,
    both,
    case,
    node_port,
    translated,
)

UNREACHABLE = {"IPv4": ICMP(type=3, code=1), "IPv6": ICMPv6DestUnreach(code=3)}
TOO_BIG = {"IPv4": ICMP(type=3, code=4, nexthopmtu=1280), "IPv6": ICMPv6PacketTooBig(mtu=1280)}


class Flow:
    """An open flow, and the packets that were sent along it."""

    def __init__(self, lab, f, protocol):
        self.f = f
        self.protocol = protocol
        self.port = HTTP if protocol is TCP else DNS
        self.snat_port = (lab.open_tcp if protocol is TCP else lab.open_udp)(f)

    def l4(self, sport, dport, **fields):
        if self.protocol is TCP:
            fields.setdefault("flags", "A")
            fields.setdefault("seq", 77)
        return self.protocol(sport=sport, dport=dport, **fields) / data(40)

    # What the client had sent, and what became of it.

    def of_client(self, header=(), **l4):
        ip = self.f.ip(self.f.client, self.f.vip, 60)
        for h in header:
            ip = ip / h.copy()
        return ip / self.l4(CLIENT_PORT, self.port, **l4)

    def to_node(self, header=(), **l4):
        return translated(
            self.of_client(header, **l4),
            self.f.snat,
            self.f.node0,
            self.snat_port,
            node_port(self.port),
            hops=0,
        )

    # What the node had sent, and what became of it.

    def of_node(self, header=(), **l4):
        ip = self.f.ip(self.f.node0, self.f.snat, 60)
        for h in header:
            ip = ip / h.copy()
        return ip / self.l4(node_port(self.port), self.snat_port, **l4)

    def to_client(self, header=(), **l4):
        return translated(
            self.of_node(header, **l4),
            self.f.vip,
            self.f.client,
            self.port,
            CLIENT_PORT,
            hops=0,
        )


def from_node_side(lab, flow, icmp, sender, returned, wanted, **put):
    """An error about a packet that we had sent to the node, for the client."""
    f = flow.f
    source = f.vip if sender == f.node0 else sender
    lab.put(f.ip(sender, f.snat, 60) / icmp / returned, port=NODE0_SIDE, **put)
    lab.expect_sent(f.ip(source, f.client, 59) / icmp / wanted, GATEWAY)


def from_client_side(lab, flow, icmp, sender, returned, wanted, **put):
    """An error about a packet that we had sent to the client, for the node."""
    f = flow.f
    lab.put(f.ip(sender, f.vip, 60) / icmp / returned, **put)
    lab.expect_sent(f.ip(f.snat, f.node0, 59) / icmp / wanted, NODE0_HOP)


def both_sides(lab, f, protocol, icmp, cut=lambda packet: packet, header=(), **l4):
    """Errors from both sides, by routers and by the ends."""
    flow = Flow(lab, f, protocol)
    pair = cut(flow.to_node(header, **l4)), cut(flow.of_client(header, **l4))
    from_node_side(lab, flow, icmp, f.node_router, *pair)
    from_node_side(lab, flow, icmp, f.node0, *pair)
    pair = cut(flow.to_client(header, **l4)), cut(flow.of_node(header, **l4))
    from_client_side(lab, flow, icmp, f.router, *pair)
    from_client_side(lab, flow, icmp, f.client, *pair)


def header_len(packet):
    return len(packet) - len(packet.getlayer(TCP) or packet.getlayer(UDP))


def only(n):
    """The packet's IP header and `n` bytes of layer 4."""
    return lambda packet: bytes(packet)[: header_len(packet) + n]


def every_kind(f, kinds):
    for what, icmp in kinds:
        for protocol in (TCP, UDP):

            @case("%s, about %s (%s)" % (what, protocol.__name__, f.name))
            def _(lab, f=f, protocol=protocol, icmp=icmp):
                both_sides(lab, f, protocol, icmp)


every_kind(
    V4,
    [
        ("network unreachable", ICMP(type=3, code=0)),
        ("host unreachable", ICMP(type=3, code=1)),
        ("port unreachable", ICMP(type=3, code=3)),
        ("fragmentation needed", ICMP(type=3, code=4, nexthopmtu=1280)),
        ("administratively prohibited", ICMP(type=3, code=13)),
        ("time exceeded", ICMP(type=11, code=0)),
        ("parameter problem", ICMP(type=12, code=0, ptr=9)),
    ],
)
every_kind(
    V6,
    [
        ("no route", ICMPv6DestUnreach(code=0)),
        ("address unreachable", ICMPv6DestUnreach(code=3)),
        ("port unreachable", ICMPv6DestUnreach(code=4)),
        ("packet too big", ICMPv6PacketTooBig(mtu=1280)),
        ("time exceeded", ICMPv6TimeExceeded(code=0)),
        ("parameter problem", ICMPv6ParamProblem(code=0, ptr=7)),
    ],
)


def cut_at(n, *protocols):
    for protocol in protocols:

        @both("an error that brings back %d bytes of %s" % (n, protocol.__name__))
        def _(lab, f, protocol=protocol):
            both_sides(lab, f, protocol, TOO_BIG[f.name], cut=only(n))


cut_at(8, TCP, UDP)
cut_at(9, TCP, UDP)
for n in (16, 18, 19, 20, 21):
    cut_at(n, TCP)


@both("an error that brings back a long packet")
def _(lab, f):
    flow = Flow(lab, f, TCP)
    pair = [p / data(1100) for p in (flow.to_node(), flow.of_client())]
    from_node_side(lab, flow, TOO_BIG[f.name], f.node_router, *pair)


@both("an error that is followed by padding")
def _(lab, f):
    flow = Flow(lab, f, UDP)
    cut = only(8)
    from_node_side(
        lab,
        flow,
        TOO_BIG[f.name],
        f.node_router,
        cut(flow.to_node()),
        cut(flow.of_client()),
        padding=b"\xee" * 20,
    )


@case("an error about UDP without a checksum", V4)
def _(lab, f):
    both_sides(lab, f, UDP, TOO_BIG["IPv4"], chksum=0)


@case("an error about a packet with IPv4 options", V4)
def _(lab, f):
    flow = Flow(lab, f, TCP)

    def with_options(packet):
        packet = packet.copy()
        packet[IP].options = [IPOption_NOP()] * 40
        return packet

    for cut in (lambda packet: packet, only(8)):
        pair = [cut(with_options(p)) for p in (flow.to_node(), flow.of_client())]
        from_node_side(lab, flow, TOO_BIG["IPv4"], f.node_router, *pair)


@case("an error with IPv4 options of its own", V4)
def _(lab, f):
    flow = Flow(lab, f, TCP)
    options = [IPOption_NOP()] * 8
    icmp = UNREACHABLE["IPv4"]
    lab.put(
        IP(src=f.node_router, dst=f.snat, options=options) / icmp / flow.to_node(),
        port=NODE0_SIDE,
    )
    wanted = IP(src=f.node_router, dst=f.client, ttl=63, options=options) / icmp
    lab.expect_sent(wanted / flow.of_client(), GATEWAY)


def extension():
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])


@case("an error about a packet with extension headers", V6)
def _(lab, f):
    both_sides(lab, f, TCP, TOO_BIG["IPv6"], header=[extension(), extension()])
    lab.ask("world")
    both_sides(lab, f, UDP, TOO_BIG["IPv6"], header=[extension()], cut=only(8))


@case("an error with extension headers of its own", V6)
def _(lab, f):
    flow = Flow(lab, f, TCP)
    icmp = UNREACHABLE["IPv6"]
    lab.put(
        IPv6(src=f.node_router, dst=f.snat) / extension() / icmp / flow.to_node(),
        port=NODE0_SIDE,
    )
    wanted = IPv6(src=f.node_router, dst=f.client, hlim=63) / extension() / icmp
    lab.expect_sent(wanted / flow.of_client(), GATEWAY)


@both("an error about UDP whose checksum comes out as 0")
def _(lab, f):
    flow = Flow(lab, f, UDP)

    def of_client(tail):
        return f.ip(f.client, f.vip, 60) / UDP(sport=CLIENT_PORT, dport=DNS) / tail

    wanted = with_zero_sum(of_client)
    returned = translated(
        of_client(bytes(wanted)[-2:]), f.snat, f.node0, flow.snat_port, node_port(DNS), hops=0
    )
    from_node_side(lab, flow, TOO_BIG[f.name], f.node_router, returned, wanted)


@case("an error about a first fragment", V4)
def _(lab, f):
    flow = Flow(lab, f, UDP)
    pair = [flow.to_node(), flow.of_client()]
    for packet in pair:
        packet[IP].flags = "MF"
    from_node_side(lab, flow, ICMP(type=11, code=1), f.node0, *pair)


@both("an error from this very machine")
def _(lab, f):
    flow = Flow(lab, f, TCP)
    icmp = UNREACHABLE[f.name]
    lab.put(f.ip(f.machine, f.snat, 60) / icmp / flow.to_node(), port=NODE0_SIDE, kernel=True)
    wanted = f.ip(f.machine, f.client, 59) / icmp / flow.of_client()
    lab.expect_sent(wanted, GATEWAY)


@both("an error does not disturb its flow")
def _(lab, f):
    flow = Flow(lab, f, TCP)
    lab.put(f.ip(f.node0, f.snat) / UNREACHABLE[f.name] / flow.to_node(), port=NODE0_SIDE)
    packet = tcp_of_client(f, payload=b"still there?")
    lab.put(packet)
    lab.expect_sent(to_node(f, packet, flow.snat_port), NODE0_HOP)


# Those that are not passed on


def refused(what, reason, make):
    """`make(f, flow)` gives errors from both sides."""

    @both(what)
    def _(lab, f):
        for protocol in (TCP, UDP):
            lab.ask("world")
            flow = Flow(lab, f, protocol)
            for packet, port in make(f, flow):
                lab.put(packet, port=port)
                lab.expect_drop(reason)


def wrong_sums(f, flow):
    for head, returned, port in [
        (f.ip(f.node0, f.snat), flow.to_node(), NODE0_SIDE),
        (f.ip(f.client, f.vip), flow.to_client(), 0),
    ]:
        right = bytes(head / UNREACHABLE[f.name] / returned)
        for at in (len(head) + 2, len(head) + 3, len(right) - 1):
            wrong = right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :]
            yield type(head)(wrong), port


refused("an error with a wrong checksum", "bad-checksum", wrong_sums)


def ends_here(f, flow):
    for hops in (0, 1):
        yield f.ip(f.node0, f.snat, hops) / UNREACHABLE[f.name] / flow.to_node(), NODE0_SIDE
        yield f.ip(f.client, f.vip, hops) / UNREACHABLE[f.name] / flow.to_client(), 0


refused("an error whose hop limit ends here", "hop-limit", ends_here)


def cut_too_short(f, flow):
    for n in (0, 4, 7):
        returned = only(n)(flow.to_node())
        yield f.ip(f.node0, f.snat) / UNREACHABLE[f.name] / returned, NODE0_SIDE
        returned = only(n)(flow.to_client())
        yield f.ip(f.client, f.vip) / UNREACHABLE[f.name] / returned, 0
    yield f.ip(f.node0, f.snat) / UNREACHABLE[f.name] / bytes(flow.to_node())[:19], NODE0_SIDE
    yield f.ip(f.node0, f.snat) / UNREACHABLE[f.name], NODE0_SIDE


refused("an error that brings back less than 8 bytes", "truncated", cut_too_short)


def other_version(f, flow):
    returned = bytearray(bytes(flow.to_node()))
    returned[0] = 0x65 if f.is_ipv4 else 0x40
    yield f.ip(f.node0, f.snat) / UNREACHABLE[f.name] / bytes(returned), NODE0_SIDE
    if f.is_ipv4:
        returned[0] = 0x44
        yield f.ip(f.node0, f.snat) / UNREACHABLE[f.name] / bytes(returned), NODE0_SIDE


refused("an error that brings back what is no packet", "malformed", other_version)


def about_nobody(f, flow):
    icmp = UNREACHABLE[f.name]
    l4 = flow.l4
    here, there = flow.snat_port, node_port(flow.port)
    for returned in [
        f.ip(f.snat, f.node0) / l4(here ^ 1, there),
        f.ip(f.snat, f.node0) / l4(here, there + 1),
        f.ip(f.snat, f.node(1)) / l4(here, there),
        f.ip(f.snat, f.client) / l4(here, there),
        f.ip(f.vip, f.node0) / l4(here, there),
        f.ip(f.node0, f.snat) / l4(there, here),
    ]:
        yield f.ip(f.node0, f.snat) / icmp / returned, NODE0_SIDE
    for returned in [
        f.ip(f.vip, f.client) / l4(flow.port, CLIENT_PORT + 1),
        f.ip(f.vip, f.client) / l4(flow.port + 1000, CLIENT_PORT),
        f.ip(f.vip, f.router) / l4(flow.port, CLIENT_PORT),
        f.ip(f.snat, f.client) / l4(flow.port, CLIENT_PORT),
        f.ip(f.client, f.vip) / l4(CLIENT_PORT, flow.port),
    ]:
        yield f.ip(f.client, f.vip) / icmp / returned, 0


refused("an error about a flow that nobody has", "no-flow", about_nobody)


def about_other_protocols(f, flow):
    icmp = UNREACHABLE[f.name]
    for protocol in (1, 50, 58, 132):
        more = {"proto": protocol} if f.is_ipv4 else {"nh": protocol}
        yield f.ip(f.node0, f.snat) / icmp / (f.ip(f.snat, f.node0, **more) / data(40)), NODE0_SIDE


refused("an error about neither TCP nor UDP", "no-flow", about_other_protocols)


def about_fragments(f, flow):
    icmp = UNREACHABLE[f.name]
    if f.is_ipv4:
        returned = flow.to_node()
        returned[IP].frag = 100
    else:
        returned = IPv6(src=f.snat, dst=f.node0) / IPv6ExtHdrFragment(offset=100, nh=6) / data(40)
    yield f.ip(f.node0, f.snat) / icmp / returned, NODE0_SIDE


refused("an error about a later fragment", "no-flow", about_fragments)


def of_bad_sources(f, flow):
    bad = "127.0.0.1" if f.is_ipv4 else "::1"
    yield f.ip(bad, f.snat) / UNREACHABLE[f.name] / flow.to_node(), NODE0_SIDE
    yield f.ip(bad, f.vip) / UNREACHABLE[f.name] / flow.to_client(), 0


refused("an error of a source that no host may have", "bad-source", of_bad_sources)


@both("an error about a flow that was forgotten")
def _(lab, f):
    flow = Flow(lab, f, TCP)
    lab.ask("advance 400")
    lab.put(f.ip(f.node0, f.snat) / UNREACHABLE[f.name] / flow.to_node(), port=NODE0_SIDE)
    lab.expect_drop("no-flow")


@both("an error for a node that is this machine goes to it through the kernel")
def _(lab, f):
    syn = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=LOCAL, flags="S")
    lab.put(syn)
    snat_port = lab.snat_port()
    icmp = UNREACHABLE[f.name]
    returned = f.ip(f.vip, f.client) / TCP(sport=LOCAL, dport=CLIENT_PORT, flags="SA")
    lab.put(f.ip(f.client, f.vip, 60) / icmp / returned)
    wanted = translated(returned, f.node(2), f.snat, node_port(LOCAL), snat_port, hops=0)
    lab.expect_to_kernel(f.ip(f.snat, f.node(2), 59) / icmp / wanted, NODE0_SIDE)
