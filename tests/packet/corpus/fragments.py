"""Fragments that come, and packets that leave in some.

A datagram is cut here, into pieces of bytes by RFC 791 and RFC 8200, and what goes out is put together
again here; what it must then be is scapy's datagram with other ends.
"""

from itertools import permutations

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.sctp import SCTP, SCTPChunkData

from forwarding import data
from lab import (
    BIG,
    CLIENT_PORT,
    CLIENTS,
    CROSS,
    DNAT,
    DNS,
    DSR,
    GATEWAY,
    GUE,
    MTUS,
    NARROW,
    NODE0_HOP,
    NODE0_SIDE,
    NODE1_HOP,
    V4,
    V6,
    VLANS,
    both,
    case,
    framed,
    node_port,
    translated,
)

ID = 0x1234


def piece(f, packet, at, end, more=None, ident=ID, **ip):
    """The fragment of the bytes from `at` to `end` behind the packet's IP header."""
    whole = bytes(packet)
    body = whole[20 if f.is_ipv4 else 40 :]
    more = end < len(body) if more is None else more
    protocol = whole[9] if f.is_ipv4 else whole[6]
    if f.is_ipv4:
        flags = "MF" if more else 0
        return IP(
            src=packet.src, dst=packet.dst, ttl=64, id=ident, flags=flags, frag=at // 8,
            proto=protocol, **ip
        ) / body[at:end]
    head = IPv6ExtHdrFragment(nh=protocol, offset=at // 8, m=int(more), id=ident)
    return IPv6(src=packet.src, dst=packet.dst, hlim=64, **ip) / head / body[at:end]


def pieces(f, packet, *cuts, **more):
    length = len(bytes(packet)) - (20 if f.is_ipv4 else 40)
    edges = [0, *cuts, length]
    return [piece(f, packet, a, b, **more) for a, b in zip(edges, edges[1:])]


def put_all(lab, fragments, port=CLIENTS):
    """All are kept but the last, which is the last that was missing."""
    for fragment in fragments[:-1]:
        lab.put(fragment, port=port)
        lab.check("the drop reason", lab.drop, "none")
        lab.check("the way", lab.way, "kept")
    lab.put(fragments[-1], port=port)
    lab.check("the drop reason", lab.drop, "none")
    lab.check("the way", lab.way, "port")


def stripped(lab, frame, mac, port):
    """The IP packet in a frame to `mac` that left by `port`."""
    lab.check("the port", lab.at, port)
    head = bytes(framed(b"", port, dst=mac, ethertype=int.from_bytes(frame[-2:], "big")))
    at = 18 if VLANS[port] else 14
    lab.check("the addresses", frame[: at - 2], head[: at - 2])
    return frame[at:]


def put_together(lab, f, hop):
    """What went out, as one packet, in bytes. Each piece fits its port and is well made."""
    bodies, total, idents = {}, None, set()
    for frame in lab.outs:
        packet = stripped(lab, frame, *hop)
        if len(packet) > MTUS[hop[1]]:
            lab.check("the length of a fragment", len(packet), MTUS[hop[1]])
        if f.is_ipv4:
            at, more = (packet[6] << 8 | packet[7]) & 0x1FFF, packet[6] >> 5 & 1
            lab.check("the length", int.from_bytes(packet[2:4], "big"), len(packet))
            sums = IP(packet)
            del sums.chksum
            lab.check("the checksum", packet[10:12], bytes(sums)[10:12])
            idents.add(packet[4:6])
            body = packet[20:]
            head = packet[:20]
        else:
            lab.check("the length", int.from_bytes(packet[4:6], "big"), len(packet) - 40)
            lab.check("the next header", packet[6], 44)
            word = int.from_bytes(packet[42:44], "big")
            at, more = word >> 3, word & 1
            idents.add(packet[44:48])
            body, head = packet[48:], packet[:6] + packet[40:41] + packet[7:40]
        if more:
            lab.check("what is left of 8 bytes", len(body) % 8, 0)
        else:
            total = at * 8 + len(body)
        bodies[at * 8] = body
    lab.check("the number of identifications", len(idents), 1)
    whole = b""
    for at in sorted(bodies):
        lab.check("where a fragment begins", at, len(whole))
        whole += bodies[at]
    lab.check("the whole length", len(whole), total)
    if f.is_ipv4:
        return bytes(IP(head[:2] + (20 + total).to_bytes(2, "big") + bytes(4) + head[8:10]
                        + bytes(2) + head[12:]))[:20] + whole
    return head[:4] + total.to_bytes(2, "big") + head[6:] + whole


def wanted(f, packet):
    """A packet's bytes without what fragmenting changes."""
    whole = bytearray(bytes(packet))
    if f.is_ipv4:
        whole[4:8] = bytes(4)
        whole[10:12] = bytes(2)
    return bytes(whole)


def expect_fragments(lab, f, packet, hop, least=2):
    if len(lab.outs) < least:
        lab.check("how many went out", len(lab.outs), least)
    found = bytearray(put_together(lab, f, hop))
    if f.is_ipv4:
        found[10:12] = bytes(2)
    lab.check("the whole", bytes(found).hex(), wanted(f, packet).hex())


def question(f, length, port=DNS):
    return f.ip(f.client, f.vip) / UDP(sport=CLIENT_PORT, dport=port) / data(length)


def answer(f, snat_port, length):
    return f.ip(f.node0, f.snat) / UDP(sport=node_port(DNS), dport=snat_port) / data(length)


def order(n, indexes):
    @both("a datagram in fragments that come in the order %s" % "".join(map(str, indexes)))
    def _(lab, f):
        lab.open_udp(f)
        packet = question(f, 3000)
        parts = pieces(f, packet, 1000, 2000)
        put_all(lab, [parts[i] for i in indexes])
        snat_port = int.from_bytes(
            put_together(lab, f, NODE0_HOP)[20 if f.is_ipv4 else 40 :][:2], "big"
        )
        expect_fragments(
            lab, f, translated(packet, f.snat, f.node0, snat_port, node_port(DNS)), NODE0_HOP
        )


for indexes in permutations(range(3)):
    order(3, indexes)


@both("an answer in fragments goes to its client")
def _(lab, f):
    snat_port = lab.open_udp(f)
    packet = answer(f, snat_port, 4000)
    put_all(lab, pieces(f, packet, 1320, 2640), port=NODE0_SIDE)
    expect_fragments(lab, f, translated(packet, f.vip, f.client, DNS, CLIENT_PORT), GATEWAY)


@both("a datagram in fragments goes on whole where it fits")
def _(lab, f):
    packet = question(f, 3000, BIG)
    put_all(lab, pieces(f, packet, 1400, 2800))
    out = stripped(lab, lab.out, *NODE1_HOP)
    if f.is_ipv4:
        lab.check("the fragment field", out[6:8], bytes(2))
        snat_port = int.from_bytes(out[20:22], "big")
        found = bytearray(out)
        found[4:8] = bytes(4)
        found[10:12] = bytes(2)
    else:
        lab.check("the next header", out[6], 44)
        lab.check("the fragment field", out[42:44], bytes(2))
        snat_port = int.from_bytes(out[48:50], "big")
        found = out[:4] + (len(out) - 48).to_bytes(2, "big") + out[40:41] + out[7:40] + out[48:]
    lab.check(
        "the whole",
        bytes(found).hex(),
        wanted(f, translated(packet, f.snat, f.node(1), snat_port, node_port(BIG))).hex(),
    )


@both("dnat: a datagram in fragments, and its answer in some")
def _(lab, f):
    packet = question(f, 2500, DNAT)
    put_all(lab, pieces(f, packet, 800, 1600))
    expect_fragments(
        lab, f, translated(packet, f.client, f.node0, CLIENT_PORT, node_port(DNAT)), NODE0_HOP
    )
    packet = f.ip(f.node0, f.client) / UDP(sport=node_port(DNAT), dport=CLIENT_PORT) / data(2500)
    put_all(lab, list(reversed(pieces(f, packet, 1200, 2400))), port=NODE0_SIDE)
    expect_fragments(lab, f, translated(packet, f.vip, f.client, DNAT, CLIENT_PORT), GATEWAY)


@both("dsr: a datagram in fragments")
def _(lab, f):
    packet = question(f, 2500, DSR)
    put_all(lab, pieces(f, packet, 800, 1600))
    expect_fragments(lab, f, packet, NODE0_HOP)


@both("dsr: SCTP in fragments")
def _(lab, f):
    packet = f.ip(f.client, f.vip) / SCTP(sport=CLIENT_PORT, dport=DSR) / SCTPChunkData(
        data=data(2500)
    )
    put_all(lab, pieces(f, packet, 800, 1600))
    expect_fragments(lab, f, packet, NODE0_HOP)


def inner_of(lab, f, frame, outer_len):
    packet = stripped(lab, frame, *NODE0_HOP)
    if len(packet) > MTUS[NODE0_SIDE]:
        lab.check("the length of an outer packet", len(packet), MTUS[NODE0_SIDE])
    return packet[outer_len:]


def tunnelled(what, port, overhead):
    @both("%s: a datagram in fragments goes in as many outer packets" % what)
    def _(lab, f):
        packet = question(f, 3000, port)
        put_all(lab, pieces(f, packet, 1000, 2000))
        outer = overhead(f)
        inner = [inner_of(lab, f, frame, outer) for frame in lab.outs]
        if len(inner) < 3:
            lab.check("how many went out", len(inner), 3)
        # As if they had come from a node of the other port, one hop further on.
        lab.outs = [bytes(framed(one, NODE0_SIDE, dst=NODE0_HOP[0], ethertype=f.ethertype))
                    for one in inner]
        packet = packet.copy()
        if f.is_ipv4:
            packet.ttl -= 1
        else:
            packet.hlim -= 1
        expect_fragments(lab, f, packet, NODE0_HOP)


tunnelled("tunnel", NARROW, lambda f: 20 if f.is_ipv4 else 40)
tunnelled("tunnel of the other family", CROSS, lambda f: 40 if f.is_ipv4 else 20)


@case("a packet larger than the MTU that may be fragmented is", V4)
def _(lab, f):
    snat_port = lab.open_tcp(f)
    packet = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=80, flags="A") / data(1460)
    lab.put(packet)
    lab.check("the drop reason", lab.drop, "none")
    expect_fragments(lab, f, translated(packet, f.snat, f.node0, snat_port, node_port(80)), NODE0_HOP)


@both("a ping in fragments is answered in some")
def _(lab, f):
    if f.is_ipv4:
        ping, pong = ICMP(type=8, id=7, seq=1), ICMP(type=0, id=7, seq=1)
    else:
        ping, pong = ICMPv6EchoRequest(id=7, seq=1), ICMPv6EchoReply(id=7, seq=1)
    packet = f.ip(f.client, f.vip) / ping / data(3000)
    put_all(lab, pieces(f, packet, 1000, 2000))
    expect_fragments(lab, f, f.ip(f.vip, f.client) / pong / data(3000), GATEWAY)


@both("a datagram in fragments to no service is rejected as a whole")
def _(lab, f):
    packet = question(f, 2000, 4711)
    parts = pieces(f, packet, 1000)
    lab.put(parts[0])
    lab.check("the way", lab.way, "kept")
    lab.put(parts[1])
    lab.check("the drop reason", lab.drop, "no-service")
    lab.check("the way", lab.way, "port")


# What is refused.


@both("a fragment to somebody else passes")
def _(lab, f):
    packet = f.ip(f.client, f.machine) / UDP(sport=CLIENT_PORT, dport=DNS) / data(2000)
    for part in pieces(f, packet, 1000):
        lab.put(part)
        lab.expect_passed("other")


@both("a first fragment without its ports")
def _(lab, f):
    packet = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=80, flags="S") / data(100)
    lab.put(piece(f, packet, 0, 16))
    lab.expect_drop("fragment-tiny")
    lab.put(piece(f, packet, 8, 64))
    lab.expect_drop("fragment-tiny")


@both("fragments that overlap take their datagram with them")
def _(lab, f):
    packet = question(f, 2000)
    lab.put(piece(f, packet, 0, 1000))
    lab.check("the way", lab.way, "kept")
    lab.put(piece(f, packet, 992, 2008))
    lab.expect_drop("fragment-overlap")
    lab.put(piece(f, packet, 1000, 2008))
    lab.expect_drop("fragment-overlap")
    put_all(lab, pieces(f, packet, 1000, ident=ID + 1))  # Another is another matter.


@both("a fragment that comes twice is one")
def _(lab, f):
    packet = question(f, 2000)
    parts = pieces(f, packet, 1000)
    lab.put(parts[0])
    lab.put(parts[0])
    lab.expect_drop("fragment-duplicate")
    lab.put(parts[1])
    lab.check("the drop reason", lab.drop, "none")
    lab.check("the way", lab.way, "port")


@both("a fragment of no multiple of 8 bytes that is not the last")
def _(lab, f):
    packet = question(f, 2000)
    lab.put(piece(f, packet, 0, 1001))
    lab.expect_drop("malformed")


@both("a fragment beyond 65535 bytes")
def _(lab, f):
    packet = question(f, 1000)
    at = 65528
    part = piece(f, packet, 0, 512, more=True)
    if f.is_ipv4:
        part.frag = at // 8
    else:
        part[IPv6ExtHdrFragment].offset = at // 8
    lab.put(part)
    lab.expect_drop("malformed")


@both("fragments whose others do not come in time are forgotten")
def _(lab, f):
    packet = question(f, 2000)
    parts = pieces(f, packet, 1000)
    lab.put(parts[0])
    lab.check("the way", lab.way, "kept")
    lab.ask("advance 16")
    lab.put(parts[1])
    lab.check("the way", lab.way, "kept")
    lab.put(parts[0])
    lab.check("the way", lab.way, "port")


@both("a flood of lone fragments costs others nothing")
def _(lab, f):
    snat_port = lab.open_udp(f)
    lone = question(f, 1000)
    for i in range(700):
        lab.put(piece(f, lone, 8, 64, more=True, ident=5000 + i))
    packet = question(f, 30)
    lab.put(packet)
    lab.expect_sent(translated(packet, f.snat, f.node0, snat_port, node_port(DNS)), NODE0_HOP)
    packet = question(f, 2000)
    parts = pieces(f, packet, 1000)
    lab.put(parts[0])
    lab.check("the drop reason", lab.drop, "fragment-evicted")  # The oldest of the flood.
    lab.put(parts[1])
    expect_fragments(lab, f, translated(packet, f.snat, f.node0, snat_port, node_port(DNS)), NODE0_HOP)


@both("an error about a first fragment follows its flow")
def _(lab, f):
    snat_port = lab.open_udp(f)
    sent = f.ip(f.vip, f.client, hops=63) / UDP(sport=DNS, dport=CLIENT_PORT) / data(3000)
    first = piece(f, sent, 0, 1400)
    if f.is_ipv4:
        error = ICMP(type=3, code=4, nexthopmtu=1300)
        quoted = bytes(first)[:28]
    else:
        error = ICMPv6PacketTooBig(mtu=1300)
        quoted = bytes(first)[:56]
    lab.put(f.ip(f.router, f.vip) / error / quoted)
    lab.check("the drop reason", lab.drop, "none")
    lab.check("the way", lab.way, "port")
    out = stripped(lab, lab.out, *NODE0_HOP)
    inner = out[28:] if f.is_ipv4 else out[48:]
    ports = inner[20:24] if f.is_ipv4 else inner[48:52]
    lab.check(
        "the ports inside", ports, node_port(DNS).to_bytes(2, "big") + snat_port.to_bytes(2, "big")
    )
