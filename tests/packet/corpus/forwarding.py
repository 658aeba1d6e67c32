"""Packets to services, and replies."""

from functools import cache

from scapy.layers.inet import (
    IP,
    TCP,
    UDP,
    IPOption_NOP,
    IPOption_RR,
    IPOption_Router_Alert,
    IPOption_Timestamp,
)
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)

from lab import (
    BIG,
    CLIENT_PORT,
    DNS,
    GATEWAY,
    HTTP,
    LOCAL,
    NEIGHBOUR,
    NODE0_HOP,
    NODE0_SIDE,
    NODE1_HOP,
    NODE1_SIDE,
    SPREAD,
    UNRESOLVED,
    V4,
    V6,
    both,
    case,
    node_port,
    translated,
)


@cache
def data(n):
    return bytes((i * 31 + 7) % 256 for i in range(n))


def to_node(f, packet, snat_port, port=HTTP, node=0):
    return translated(packet, f.snat, f.node(node), snat_port, node_port(port))


def to_client(f, packet, port=HTTP, sport=CLIENT_PORT):
    return translated(packet, f.vip, f.client, port, sport)


def tcp_of_client(f, flags="A", payload=b"", port=HTTP, **more):
    return f.ip(f.client, f.vip) / TCP(
        sport=CLIENT_PORT, dport=port, flags=flags, **more
    ) / payload


def tcp_of_node(f, snat_port, flags="A", payload=b"", port=HTTP, node=0, **more):
    return f.ip(f.node(node), f.snat) / TCP(
        sport=node_port(port), dport=snat_port, flags=flags, **more
    ) / payload


def udp_of_client(f, payload, port=DNS, **more):
    return f.ip(f.client, f.vip) / UDP(sport=CLIENT_PORT, dport=port, **more) / payload


def udp_of_node(f, snat_port, payload, port=DNS, node=0, **more):
    return f.ip(f.node(node), f.snat) / UDP(
        sport=node_port(port), dport=snat_port, **more
    ) / payload


@both("a TCP connection from its SYN to its last FIN")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    for of_client, flags, payload in [
        (True, "PA", b"GET / HTTP/1.1\r\n\r\n"),
        (False, "A", b""),
        (False, "PA", data(1000)),
        (True, "A", b""),
        (True, "FA", b""),
        (False, "FA", b"bye"),
        (True, "A", b""),
    ]:
        if of_client:
            packet = tcp_of_client(f, flags, payload, seq=7, ack=9)
            lab.put(packet)
            lab.expect_sent(to_node(f, packet, snat_port), NODE0_HOP)
        else:
            packet = tcp_of_node(f, snat_port, flags, payload, seq=9, ack=7)
            lab.put(packet, port=NODE0_SIDE)
            lab.expect_sent(to_client(f, packet), GATEWAY)


@both("a UDP conversation")
def _(lab, f):
    snat_port = lab.open_udp(f)
    for i in range(3):
        packet = udp_of_client(f, data(i))
        lab.put(packet)
        lab.expect_sent(to_node(f, packet, snat_port, DNS), NODE0_HOP)
        packet = udp_of_node(f, snat_port, data(100 + i))
        lab.put(packet, port=NODE0_SIDE)
        lab.expect_sent(to_client(f, packet, DNS), GATEWAY)


def tcp_length(length):
    @both("%d bytes of TCP" % length)
    def _(lab, f):
        snat_port = lab.open_tcp(f)
        packet = tcp_of_client(f, payload=data(length))
        lab.put(packet)
        lab.expect_sent(to_node(f, packet, snat_port), NODE0_HOP)
        packet = tcp_of_node(f, snat_port, payload=data(length))
        lab.put(packet, port=NODE0_SIDE)
        lab.expect_sent(to_client(f, packet), GATEWAY)


for n in [1, 2, 3, 5, 6, 7, 255, 536, 1339, 1340]:
    tcp_length(n)


def udp_length(length):
    @both("%d bytes of UDP" % length)
    def _(lab, f):
        packet = udp_of_client(f, data(length))
        lab.put(packet)
        lab.expect_sent(to_node(f, packet, lab.snat_port(), DNS), NODE0_HOP)


for n in [0, 1, 2, 3, 12, 512, 1351, 1352]:
    udp_length(n)


@both("as much as an MTU of 9000 takes")
def _(lab, f):
    snat_port = lab.open_tcp(f, BIG, 1, NODE1_HOP)
    head = 40 if f.is_ipv4 else 60
    packet = tcp_of_client(f, payload=data(9000 - head), port=BIG)
    lab.put(packet, port=NODE1_SIDE)
    lab.expect_sent(to_node(f, packet, snat_port, BIG, 1), NODE1_HOP)


@both("padding behind a short packet is cut off")
def _(lab, f):
    syn = tcp_of_client(f, "S")
    lab.put(syn, padding=b"\xee" * 6)
    snat_port = lab.snat_port()
    lab.expect_sent(to_node(f, syn, snat_port), NODE0_HOP)
    reply = tcp_of_node(f, snat_port, "SA")
    lab.put(reply, port=NODE0_SIDE, padding=b"\xee")
    lab.expect_sent(to_client(f, reply), GATEWAY)


@both("a whole frame of padding behind a packet is cut off")
def _(lab, f):
    packet = udp_of_client(f, b"x")
    lab.put(packet, padding=b"\xee" * 1000)
    lab.expect_sent(to_node(f, packet, lab.snat_port(), DNS), NODE0_HOP)


TCP_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]


@both("TCP options stay")
def _(lab, f):
    syn = tcp_of_client(f, "S", options=TCP_OPTIONS)
    lab.put(syn)
    snat_port = lab.snat_port()
    lab.expect_sent(to_node(f, syn, snat_port), NODE0_HOP)
    reply = tcp_of_node(f, snat_port, "SA", options=TCP_OPTIONS)
    lab.put(reply, port=NODE0_SIDE)
    lab.expect_sent(to_client(f, reply), GATEWAY)


@both("the longest TCP header")
def _(lab, f):
    syn = tcp_of_client(f, "S", options=[("NOP", None)] * 40)
    lab.put(syn)
    lab.expect_sent(to_node(f, syn, lab.snat_port()), NODE0_HOP)


@both("SYN with data, urgent pointer and ECN")
def _(lab, f):
    syn = tcp_of_client(f, "SEC", b"early", urgptr=3, reserved=5, window=1)
    lab.put(syn)
    lab.expect_sent(to_node(f, syn, lab.snat_port()), NODE0_HOP)


def ipv4_options(what, options):
    @case("IPv4 options, " + what, V4)
    def _(lab, f):
        syn = IP(src=f.client, dst=f.vip, options=options) / TCP(
            sport=CLIENT_PORT, dport=HTTP, flags="S"
        )
        lab.put(syn)
        snat_port = lab.snat_port_behind(len(syn[IP]) - 20)
        lab.expect_sent(to_node(f, syn, snat_port), NODE0_HOP)
        reply = IP(src=f.node0, dst=f.snat, options=options) / TCP(
            sport=node_port(HTTP), dport=snat_port, flags="SA"
        )
        lab.put(reply, port=NODE0_SIDE)
        lab.expect_sent(to_client(f, reply), GATEWAY)


ipv4_options("one word", [IPOption_NOP()] * 4)
ipv4_options("router alert", [IPOption_Router_Alert()])
ipv4_options("record route", [IPOption_RR(routers=["0.0.0.0"] * 9)])
ipv4_options("timestamp", [IPOption_Timestamp()])
ipv4_options("as many as there may be", [IPOption_NOP()] * 40)


def extensions(what, *headers):
    @case("IPv6 extension headers, " + what, V6)
    def _(lab, f):
        def chained(src, dst, l4):
            packet = IPv6(src=src, dst=dst)
            for header in headers:
                packet = packet / header
            return packet / l4

        syn = chained(f.client, f.vip, TCP(sport=CLIENT_PORT, dport=HTTP, flags="S"))
        lab.put(syn)
        snat_port = lab.snat_port_behind(len(syn) - 20)
        lab.expect_sent(to_node(f, syn, snat_port), NODE0_HOP)
        reply = chained(
            f.node0, f.snat, TCP(sport=node_port(HTTP), dport=snat_port, flags="SA")
        )
        lab.put(reply, port=NODE0_SIDE)
        lab.expect_sent(to_client(f, reply), GATEWAY)


extensions("hop by hop", IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]))
extensions("destination", IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]))
extensions("a long one", IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 132)]))
extensions("a route that has ended", IPv6ExtHdrRouting(addresses=["2001:db8::99"], segleft=0))
extensions("a fragment that is all", IPv6ExtHdrFragment(offset=0, m=0, id=77))
extensions(
    "several",
    IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]),
    IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)]),
    IPv6ExtHdrRouting(addresses=["2001:db8::99"], segleft=0),
    IPv6ExtHdrFragment(offset=0, m=0, id=78),
    IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]),
)
extensions("eight", *[IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])] * 8)


def header_field(what, ipv4, ipv6):
    @both(what + " stays")
    def _(lab, f):
        more = ipv4 if f.is_ipv4 else ipv6
        packet = f.ip(f.client, f.vip, **more) / UDP(sport=CLIENT_PORT, dport=DNS) / b"x"
        lab.put(packet)
        snat_port = lab.snat_port()
        lab.expect_sent(to_node(f, packet, snat_port, DNS), NODE0_HOP)
        packet = f.ip(f.node0, f.snat, **more) / UDP(
            sport=node_port(DNS), dport=snat_port
        ) / b"y"
        lab.put(packet, port=NODE0_SIDE)
        lab.expect_sent(to_client(f, packet, DNS), GATEWAY)


header_field("the traffic class", {"tos": 0xB9}, {"tc": 0xB9})
header_field("the identification or flow label", {"id": 0xBEEF}, {"fl": 0xBEEF7})
header_field("leave to fragment, or not,", {"flags": "DF"}, {})


def hop_limit(hops):
    @both("a hop limit of %d becomes %d" % (hops, hops - 1))
    def _(lab, f):
        packet = f.ip(f.client, f.vip, hops) / UDP(sport=CLIENT_PORT, dport=DNS) / b"x"
        lab.put(packet)
        snat_port = lab.snat_port()
        lab.expect_sent(to_node(f, packet, snat_port, DNS), NODE0_HOP)
        packet = f.ip(f.node0, f.snat, hops) / UDP(
            sport=node_port(DNS), dport=snat_port
        ) / b"y"
        lab.put(packet, port=NODE0_SIDE)
        lab.expect_sent(to_client(f, packet, DNS), GATEWAY)


for n in [2, 128, 255]:
    hop_limit(n)


@case("UDP without a checksum keeps having none", V4)
def _(lab, f):
    packet = udp_of_client(f, b"question", chksum=0)
    lab.put(packet)
    snat_port = lab.snat_port()
    lab.expect_sent(to_node(f, packet, snat_port, DNS), NODE0_HOP)
    packet = udp_of_node(f, snat_port, b"answer", chksum=0)
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_sent(to_client(f, packet, DNS), GATEWAY)


def l4_of(packet):
    return packet.getlayer(TCP) or packet.getlayer(UDP)


def computed(packet):
    """The checksum of layer 4 that scapy computes."""
    return l4_of(type(packet)(bytes(packet))).chksum


def with_zero_sum(packet_with):
    """A packet of `packet_with(two bytes)` whose checksum comes out as 0, sent as 0xffff."""
    packet = packet_with(computed(packet_with(b"\0\0")).to_bytes(2, "big"))
    assert computed(packet) == 0xFFFF
    return packet


@both("a UDP checksum that comes out as 0 on the way to the node is sent as 0xffff")
def _(lab, f):
    snat_port = lab.open_udp(f)
    wanted = with_zero_sum(lambda tail: to_node(f, udp_of_client(f, tail), snat_port, DNS))
    packet = udp_of_client(f, bytes(wanted)[-2:])
    lab.put(packet)
    lab.expect_sent(wanted, NODE0_HOP)


@both("a UDP checksum that comes out as 0 on the way to the client is sent as 0xffff")
def _(lab, f):
    snat_port = lab.open_udp(f)
    wanted = with_zero_sum(lambda tail: to_client(f, udp_of_node(f, snat_port, tail), DNS))
    packet = udp_of_node(f, snat_port, bytes(wanted)[-2:])
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_sent(wanted, GATEWAY)


@both("a UDP checksum of 0xffff, which stands for 0, is updated like any other")
def _(lab, f):
    snat_port = lab.open_udp(f)
    packet = with_zero_sum(lambda tail: udp_of_client(f, tail))
    lab.put(packet)
    lab.expect_sent(to_node(f, packet, snat_port, DNS), NODE0_HOP)


@both("a TCP checksum that comes out as 0 is sent as 0")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    tail = computed(to_node(f, tcp_of_client(f, payload=b"\0\0"), snat_port))
    packet = tcp_of_client(f, payload=tail.to_bytes(2, "big"))
    wanted = to_node(f, packet, snat_port)
    assert computed(wanted) == 0
    lab.put(packet)
    lab.expect_sent(wanted, NODE0_HOP)


def wrong_by_as_much(wrong, before, after):
    """What a checksum `wrong`, where `before` was right, becomes where `after` is right."""
    # Equation 3 of RFC 1624 keeps the difference of the sums, modulo 0xffff.
    total = (wrong - before + after) % 0xFFFF
    return total


@both("a wrong TCP checksum stays wrong by as much")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    right = tcp_of_client(f, payload=b"data")
    wrong = computed(right) ^ 0x1234
    wanted = to_node(f, right, snat_port)
    l4_of(wanted).chksum = wrong_by_as_much(wrong, computed(right), computed(wanted))
    packet = right.copy()
    l4_of(packet).chksum = wrong
    lab.put(packet)
    lab.expect_sent(wanted, NODE0_HOP)


@both("a wrong UDP checksum stays wrong by as much")
def _(lab, f):
    snat_port = lab.open_udp(f)
    right = udp_of_node(f, snat_port, b"data")
    wrong = computed(right) ^ 0x4321
    wanted = to_client(f, right, DNS)
    l4_of(wanted).chksum = wrong_by_as_much(wrong, computed(right), computed(wanted))
    packet = right.copy()
    l4_of(packet).chksum = wrong
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_sent(wanted, GATEWAY)


@both("bytes behind a datagram, within the packet, stay")
def _(lab, f):
    packet = udp_of_client(f, b"datagram" + b"behind", len=16, chksum=0x1234)
    lab.put(packet)
    lab.check("the length", len(lab.out) - 18, len(packet))
    lab.check("the end", lab.out[-14:], b"datagrambehind")


def client_port(sport):
    @both("client port %d" % sport)
    def _(lab, f):
        lab.open_tcp(f, sport=sport)


for n in [1, 80, 65535]:
    client_port(n)


@both("TCP and UDP of one port number are two services")
def _(lab, f):
    lab.open_tcp(f, BIG, 1, NODE1_HOP)
    lab.open_udp(f, BIG, 1, NODE1_HOP)


@both("one client port to two services is two flows")
def _(lab, f):
    first = lab.open_tcp(f)
    second = lab.open_tcp(f, BIG, 1, NODE1_HOP)
    packet = tcp_of_client(f, payload=b"to the first")
    lab.put(packet)
    lab.expect_sent(to_node(f, packet, first), NODE0_HOP)
    packet = tcp_of_client(f, payload=b"to the second", port=BIG)
    lab.put(packet)
    lab.expect_sent(to_node(f, packet, second, BIG, 1), NODE1_HOP)


@both("two flows to one node have two SNAT ports")
def _(lab, f):
    ports = {lab.open_tcp(f, sport=40000 + i) for i in range(20)}
    lab.check("the number of ports", len(ports), 20)
    lab.check("whether all are above 1023", min(ports) > 1023, True)


@both("a flow stays with its node, others go to others")
def _(lab, f):
    hops = []
    for sport in range(40000, 40032):
        packet = f.ip(f.client, f.vip) / UDP(sport=sport, dport=SPREAD) / b"x"
        lab.put(packet)
        node = {NODE0_SIDE: 0, NODE1_SIDE: 1}[lab.at]
        hop = (NODE0_HOP, NODE1_HOP)[node]
        snat_port = lab.snat_port()
        for _ in range(3):
            lab.put(packet)
            lab.expect_sent(to_node(f, packet, snat_port, SPREAD, node), hop)
        hops.append(node)
    lab.check("the nodes met", set(hops), {0, 1})


@both("a SYN that is repeated goes the same way")
def _(lab, f):
    syn = tcp_of_client(f, "S")
    lab.put(syn)
    snat_port = lab.snat_port()
    for _ in range(3):
        lab.put(syn)
        lab.expect_sent(to_node(f, syn, snat_port), NODE0_HOP)


@both("a reply may come by any port")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    packet = tcp_of_node(f, snat_port, payload=b"data")
    lab.put(packet, port=NODE1_SIDE)
    lab.expect_sent(to_client(f, packet), GATEWAY)


@both("a node that is this machine is reached through the kernel, and answers through it")
def _(lab, f):
    syn = tcp_of_client(f, "S", port=LOCAL)
    lab.put(syn)
    snat_port = lab.snat_port()
    lab.expect_to_kernel(to_node(f, syn, snat_port, LOCAL, 2), NODE0_SIDE)
    reply = tcp_of_node(f, snat_port, "SA", port=LOCAL, node=2)
    lab.put(reply, port=NODE0_SIDE, kernel=True)
    lab.expect_sent(to_client(f, reply, LOCAL), GATEWAY)


@both("the kernel is a client like any other")
def _(lab, f):
    syn = f.ip(f.machine, f.vip) / TCP(sport=CLIENT_PORT, dport=HTTP, flags="S")
    lab.put(syn, kernel=True, dst="02:00:00:00:77:77")
    lab.expect_sent(to_node(f, syn, lab.snat_port()), NODE0_HOP)


@both("a packet waits for a next hop that nobody knows")
def _(lab, f):
    syn = tcp_of_client(f, "S", port=UNRESOLVED)
    lab.put(syn)
    wanted = to_node(f, syn, 0, UNRESOLVED, 3)
    l4_of(wanted).sport = int.from_bytes(lab.out[20:22] if f.is_ipv4 else lab.out[40:42], "big")
    lab.expect_waiting(wanted)


@both("a reply waits for a client on a connected network")
def _(lab, f):
    question = f.ip(f.connected, f.vip) / UDP(sport=CLIENT_PORT, dport=DNS) / b"x"
    lab.put(question)
    snat_port = lab.snat_port()
    answer = udp_of_node(f, snat_port, b"y")
    lab.put(answer, port=NODE0_SIDE)
    lab.expect_waiting(translated(answer, f.vip, f.connected, DNS, CLIENT_PORT))


@case("a reply goes straight to a neighbour", V4)
def _(lab, f):
    question = f.ip(f.neighbour, f.vip) / UDP(sport=CLIENT_PORT, dport=DNS) / b"x"
    lab.put(question)
    answer = udp_of_node(f, lab.snat_port(), b"y")
    lab.put(answer, port=NODE0_SIDE)
    lab.expect_sent(translated(answer, f.vip, f.neighbour, DNS, CLIENT_PORT), NEIGHBOUR)


@both("a draining node keeps its flows")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    lab.ask("node 0 2")
    packet = tcp_of_client(f, payload=b"data")
    lab.put(packet)
    lab.expect_sent(to_node(f, packet, snat_port), NODE0_HOP)


@both("a SYN on a closed connection begins another")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    packet = tcp_of_client(f, "RA")
    lab.put(packet)
    lab.expect_sent(to_node(f, packet, snat_port), NODE0_HOP)
    syn = tcp_of_client(f, "S", seq=99)
    lab.put(syn)
    lab.check("whether the port is another", lab.snat_port() != snat_port, True)
    lab.expect_sent(to_node(f, syn, lab.snat_port()), NODE0_HOP)


@both("an established connection outlives silence below its idle time")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    for _ in range(4):
        lab.ask("advance 290")
        packet = tcp_of_client(f, payload=b"still here")
        lab.put(packet)
        lab.expect_sent(to_node(f, packet, snat_port), NODE0_HOP)


@both("a tag's priority does not matter")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    packet = tcp_of_node(f, snat_port, payload=b"data")
    lab.put(packet, port=NODE0_SIDE)
    frame = bytearray(lab.in_bytes)
    frame[14] |= 0xF0  # Priority 7 and the drop eligible bit.
    lab.put_bytes(bytes(frame), port=NODE0_SIDE)
    lab.expect_sent(to_client(f, packet), GATEWAY)


@both("a packet in a frame to all is forwarded")
def _(lab, f):
    syn = tcp_of_client(f, "S")
    lab.put(syn, dst="ff:ff:ff:ff:ff:ff")
    lab.expect_sent(to_node(f, syn, lab.snat_port()), NODE0_HOP)
