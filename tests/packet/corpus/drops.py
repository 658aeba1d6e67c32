"""What goes no further, and what its sender is told."""

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_RS,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.utils import checksum

from forwarding import data, tcp_of_client, tcp_of_node, to_node, udp_of_client, udp_of_node
from lab import (
    BIG,
    CLIENT_PORT,
    DNS,
    DOWN,
    HTTP,
    NO_ROUTE,
    NO_TARGET,
    NODE0_HOP,
    NODE0_SIDE,
    NODE1_HOP,
    NODE1_SIDE,
    NEIGHBOURS,
    PORT_MACS,
    V4,
    V6,
    both,
    case,
    framed,
    node_port,
)

STRANGER_MAC = "02:00:00:00:99:99"


def syn_of_client(f, port=HTTP, **more):
    return tcp_of_client(f, "S", port=port, **more)


# What is said back. Everything about it is said anew, but for what the sender is to recognise.


def reset_of(packet, f, **fields):
    ip = packet.getlayer(IP) or packet.getlayer(IPv6)
    tcp = packet[TCP]
    more = {"flags": "DF", "id": 0} if f.is_ipv4 else {}
    return f.ip(ip.dst, ip.src, 64, **more) / TCP(
        sport=tcp.dport, dport=tcp.sport, window=0, **fields
    )


def error_of(packet, f, icmp_v4, icmp_v6):
    ip = packet.getlayer(IP) or packet.getlayer(IPv6)
    whole = bytes(ip)
    if f.is_ipv4:
        header = IP(src=ip.dst, dst=ip.src, ttl=64, flags="DF", id=0)
        return header / icmp_v4 / whole[: 576 - 28]
    return IPv6(src=ip.dst, dst=ip.src, hlim=64) / icmp_v6 / whole[: 1280 - 48]


def unreachable(packet, f):
    return error_of(packet, f, ICMP(type=3, code=3), ICMPv6DestUnreach(code=4))


def expired(packet, f):
    return error_of(packet, f, ICMP(type=11, code=0), ICMPv6TimeExceeded(code=0))


def too_big(packet, f, mtu):
    return error_of(
        packet, f, ICMP(type=3, code=4, nexthopmtu=mtu), ICMPv6PacketTooBig(mtu=mtu)
    )


# Frames


def short_frame(length):
    @case("a frame of %d bytes" % length)
    def _(lab):
        lab.put_bytes(bytes(framed(syn_of_client(V4), 0))[:length])
        lab.expect_drop("truncated")


for n in [1, 6, 13]:
    short_frame(n)


@case("a frame that ends inside its tag")
def _(lab):
    lab.put_bytes(bytes(framed(syn_of_client(V4), NODE0_SIDE))[:16], port=NODE0_SIDE)
    lab.expect_drop("truncated")


@both("a frame for another machine")
def _(lab, f):
    lab.put(syn_of_client(f), dst=STRANGER_MAC)
    lab.expect_drop("not-for-us")


@both("a frame for the MAC address of another port of ours")
def _(lab, f):
    lab.put(syn_of_client(f), dst=PORT_MACS[1])
    lab.expect_drop("not-for-us")


def wrong_tag(what, port, *tags):
    @both("a frame with " + what)
    def _(lab, f):
        frame = Ether(src=NEIGHBOURS[port], dst=PORT_MACS[port])
        for tag in tags:
            frame = frame / tag.copy()
        lab.put_bytes(bytes(frame / syn_of_client(f)), port=port)
        lab.expect_drop("wrong-vlan")


wrong_tag("a tag on a port without", 0, Dot1Q(vlan=100))
wrong_tag("a priority tag on a port without", 0, Dot1Q(vlan=0, prio=5))
wrong_tag("a service tag on a port without", 0, Dot1AD(vlan=100))
wrong_tag("another tag than the port's", NODE0_SIDE, Dot1Q(vlan=101))
wrong_tag("a priority tag on a port with another", NODE0_SIDE, Dot1Q(vlan=0))
wrong_tag("no tag on a port with one", NODE0_SIDE)
wrong_tag("a service tag of the port's number", NODE0_SIDE, Dot1AD(vlan=100))
wrong_tag("two tags", NODE0_SIDE, Dot1Q(vlan=100), Dot1Q(vlan=7))
wrong_tag("a service tag below the port's", NODE0_SIDE, Dot1Q(vlan=100), Dot1AD(vlan=7))


@both("a frame of the kernel's with a tag")
def _(lab, f):
    frame = Ether(src=PORT_MACS[1], dst=STRANGER_MAC) / Dot1Q(vlan=100) / syn_of_client(f)
    lab.put_bytes(bytes(frame), port=NODE0_SIDE, kernel=True)
    lab.expect_drop("wrong-vlan")


# IP headers. What is wrong concerns only whom a packet is for: to somebody else it passes.


def bad_ip(what, reason, f, make):
    """`make(destination)` gives the bytes of the IP packet."""

    @case("%s (%s)" % (what, f.name))
    def _(lab):
        for ours in (f.vip, f.quiet_vip, f.snat):
            lab.put(make(ours), ethertype=f.ethertype)
            lab.expect_drop(reason)

    @case("%s, but to somebody else (%s)" % (what, f.name))
    def _(lab):
        lab.put(make(f.machine), ethertype=f.ethertype)
        lab.expect_passed("other")


def whole(f, destination, **more):
    return f.ip(f.client, destination, **more) / TCP(
        sport=CLIENT_PORT, dport=HTTP, flags="S"
    ) / data(30)


def changed(f, destination, changes, sum_again=True):
    """The bytes of a SYN with some set otherwise, the IPv4 header's checksum being right."""
    packet = bytearray(bytes(whole(f, destination)))
    for at, byte in changes.items():
        packet[at] = byte
    if f.is_ipv4 and sum_again:
        header_len = max((packet[0] & 15) * 4, 20)
        packet[10:12] = b"\0\0"
        packet[10:12] = inet_sum(bytes(packet[:header_len]))
    return bytes(packet)


def inet_sum(header):
    return checksum(header).to_bytes(2, "big")


L4 = {V4: 20, V6: 40}
for family in (V4, V6):
    at = L4[family]
    wrong_version = {0: 0x55} if family.is_ipv4 else {0: 0x40}
    for what, reason, changes in [
        ("another version in the IP header", "malformed", wrong_version),
        ("a TCP header of 4 words", "malformed", {at + 12: 0x40}),
        ("a TCP header of no words", "malformed", {at + 12: 0x00}),
        ("a TCP header longer than its packet", "malformed", {at + 12: 0xF0}),
    ]:
        bad_ip(what, reason, family, lambda to, f=family, c=changes: changed(f, to, c))

    def cut(to, n, f=family):
        return bytes(whole(f, to))[:n]

    for what, n in [
        ("a packet cut in its data", at + 49),
        ("a packet cut before its data", at + 20),
        ("a packet cut in its TCP header", at + 19),
        ("a packet cut in its ports", at + 3),
        ("a packet cut behind its IP header", at),
    ]:
        bad_ip(what, "truncated", family, lambda to, n=n, f=family, cut=cut: cut(to, n))

    def too_short(to, n, f=family):
        """The IP header says that so much of TCP is there."""
        packet = whole(f, to)
        if f.is_ipv4:
            packet.len = 20 + n
        else:
            packet.plen = n
        return packet

    for n in [0, 3, 19]:
        bad_ip(
            "an IP length that leaves %d bytes of TCP" % n,
            "truncated",
            family,
            lambda to, n=n, make=too_short: make(to, n),
        )

    def option_cut(to, f=family):
        """A TCP header of 6 words, of which the last byte is missing."""
        return f.ip(f.client, to) / TCP(dport=HTTP, flags="S", dataofs=6) / data(3)

    bad_ip("a TCP header a byte longer than its packet", "malformed", family, option_cut)

    def udp(to, f=family, **more):
        return f.ip(f.client, to) / UDP(sport=CLIENT_PORT, dport=DNS, **more) / b"x"

    for n in [0, 7, 10, 65535]:
        bad_ip(
            "a UDP length of %d where 9 are" % n,
            "malformed",
            family,
            lambda to, n=n, make=udp: make(to, len=n),
        )


for what, changes in [
    ("an IPv4 header of 4 words", {0: 0x44}),
    ("an IPv4 header of no words", {0: 0x40}),
    ("an IPv4 length below its header's", {2: 0, 3: 19}),
]:
    bad_ip(what, "malformed", V4, lambda to, c=changes: changed(V4, to, c))
bad_ip(
    "IPv4 options past the length",
    "malformed",
    V4,
    lambda to: changed(V4, to, {0: 0x4F, 2: 0, 3: 59}),
)
bad_ip(
    "IPv4 options past the end of the frame",
    "truncated",
    V4,
    lambda to: changed(V4, to, {0: 0x4F})[:50],
)
for at in [1, 4, 8, 10, 11, 15]:
    bad_ip(
        "an IPv4 header with byte %d wrong" % at,
        "bad-checksum",
        V4,
        lambda to, at=at: changed(
            V4, to, {at: bytes(whole(V4, to))[at] ^ 1}, sum_again=False
        ),
    )


def padded_option():
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])


def many_extensions(to, n):
    packet = IPv6(src=V6.client, dst=to)
    for _ in range(n):
        packet = packet / padded_option()
    return packet / TCP(sport=CLIENT_PORT, dport=HTTP, flags="S")


bad_ip("nine extension headers", "malformed", V6, lambda to: many_extensions(to, 9))
bad_ip("fifty extension headers", "malformed", V6, lambda to: many_extensions(to, 50))
bad_ip(
    "an extension header past the end",
    "truncated",
    V6,
    lambda to: IPv6(src=V6.client, dst=to, nh=60) / b"\x06\x09\x01\x04\0\0\0\0",
)
bad_ip(
    "an extension header cut short",
    "truncated",
    V6,
    lambda to: IPv6(src=V6.client, dst=to, nh=0) / b"\x06\0\x01",
)
bad_ip(
    "a route that goes on",
    "malformed",
    V6,
    lambda to: IPv6(src=V6.client, dst=to)
    / IPv6ExtHdrRouting(addresses=["2001:db8::99"], segleft=1)
    / TCP(dport=HTTP, flags="S"),
)
bad_ip(
    "UDP over IPv6 without a checksum",
    "zero-checksum",
    V6,
    lambda to: IPv6(src=V6.client, dst=to) / UDP(sport=7, dport=DNS, chksum=0) / b"x",
)


@case("a packet cut before its destination passes to the kernel")
def _(lab):
    for f, at in [(V4, 19), (V6, 39)]:
        lab.put(bytes(whole(f, f.vip))[:at], ethertype=f.ethertype)
        lab.expect_passed("other")


@case("an IPv6 packet to an IPv4-mapped address of ours passes to the kernel")
def _(lab):
    lab.put(IPv6(src=V6.client, dst="::ffff:" + V4.vip) / TCP(dport=HTTP, flags="S"))
    lab.expect_passed("other")


def bad_source(f, source):
    @case("a packet from %s" % source)
    def _(lab):
        for packet in [
            f.ip(source, f.vip) / TCP(sport=CLIENT_PORT, dport=HTTP, flags="S"),
            f.ip(source, f.vip) / UDP(sport=CLIENT_PORT, dport=DNS),
        ]:
            lab.put(packet)
            lab.expect_drop("bad-source")


for source in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.0.1", "240.0.0.1"]:
    bad_source(V4, source)
bad_source(V4, "255.255.255.255")
bad_source(V4, V4.vip)
bad_source(V4, V4.quiet_vip)
bad_source(V4, V4.snat)
for source in ["::", "::1", "ff02::1", "::ffff:198.51.100.7", V6.vip, V6.snat]:
    bad_source(V6, source)


@both("a bad source, to a port that no service owns, hears nothing")
def _(lab, f):
    lab.put(f.ip("127.0.0.1" if f.is_ipv4 else "::1", f.vip) / UDP(dport=4711))
    lab.expect_drop("bad-source")


# Hop limits


def hop_limit(hops):
    @both("a hop limit of %d ends here" % hops)
    def _(lab, f):
        for packet in [
            f.ip(f.client, f.vip, hops) / TCP(sport=CLIENT_PORT, dport=HTTP, flags="S"),
            f.ip(f.client, f.vip, hops) / UDP(sport=CLIENT_PORT, dport=DNS) / data(600),
        ]:
            lab.put(packet)
            lab.expect_answer(expired(packet, f), drop="hop-limit")

    @both("a hop limit of %d of a reply ends here" % hops)
    def _(lab, f):
        snat_port = lab.open_tcp(f)
        packet = f.ip(f.node0, f.snat, hops) / TCP(
            sport=node_port(HTTP), dport=snat_port, flags="A"
        )
        lab.put(packet, port=NODE0_SIDE)
        lab.expect_answer(expired(packet, f), drop="hop-limit")


hop_limit(1)
hop_limit(0)


# Nobody there


def reset(what, of_flags, payload, **wanted):
    @both("%s for no service is reset" % what)
    def _(lab, f):
        packet = tcp_of_client(f, of_flags, payload, port=4711, seq=1000, ack=2000)
        lab.put(packet)
        lab.expect_answer(reset_of(packet, f, **wanted), drop="no-service")


reset("SYN", "S", b"", flags="RA", seq=0, ack=1001)
reset("SYN with data", "S", b"hello", flags="RA", seq=0, ack=1006)
reset("FIN", "F", b"", flags="RA", seq=0, ack=1001)
reset("SYN, FIN and data", "SF", b"abc", flags="RA", seq=0, ack=1005)
reset("data without ACK", "P", b"hello", flags="RA", seq=0, ack=1005)
reset("nothing at all", "", b"", flags="RA", seq=0, ack=1000)
reset("ACK", "A", b"", flags="R", seq=2000, ack=0)
reset("SYN and ACK", "SA", b"", flags="R", seq=2000, ack=0)
reset("data", "PA", data(900), flags="R", seq=2000, ack=0)
reset("FIN and ACK", "FA", b"x", flags="R", seq=2000, ack=0)


@both("a sequence number that wraps is acknowledged around the wrap")
def _(lab, f):
    packet = tcp_of_client(f, "S", b"hello", port=4711, seq=0xFFFFFFFD)
    lab.put(packet)
    lab.expect_answer(reset_of(packet, f, flags="RA", seq=0, ack=3), drop="no-service")


@both("TCP options do not count as data in a reset")
def _(lab, f):
    packet = tcp_of_client(f, "S", port=4711, seq=5, options=[("MSS", 1460), ("SAckOK", b"")])
    lab.put(packet)
    lab.expect_answer(reset_of(packet, f, flags="RA", seq=0, ack=6), drop="no-service")


@both("padding does not count as data in a reset")
def _(lab, f):
    packet = syn_of_client(f, 4711, seq=5)
    lab.put(packet, padding=b"\0" * 6)
    lab.expect_answer(reset_of(packet, f, flags="RA", seq=0, ack=6), drop="no-service")


@case("a reset of a packet with IPv4 options has none", V4)
def _(lab, f):
    packet = IP(src=f.client, dst=f.vip, options=[IPOption_NOP()] * 40) / TCP(
        sport=7, dport=4711, flags="S", seq=5
    )
    lab.put(packet)
    lab.expect_answer(reset_of(packet, f, flags="RA", seq=0, ack=6), drop="no-service")


@case("a reset of a packet with extension headers has none", V6)
def _(lab, f):
    packet = IPv6(src=f.client, dst=f.vip) / padded_option() / padded_option() / TCP(
        sport=7, dport=4711, flags="S", seq=5
    )
    lab.put(packet)
    lab.expect_answer(reset_of(packet, f, flags="RA", seq=0, ack=6), drop="no-service")


@both("a reset is not answered by a reset")
def _(lab, f):
    for flags in ("R", "RA"):
        lab.put(tcp_of_client(f, flags, port=4711))
        lab.expect_drop("no-service")


@both("what came in a frame to all is not answered")
def _(lab, f):
    lab.put(syn_of_client(f, 4711), dst="ff:ff:ff:ff:ff:ff")
    lab.expect_drop("no-service")
    lab.put(udp_of_client(f, b"x", port=4711), dst="01:00:5e:00:00:01")
    lab.expect_drop("no-service")


def udp_error(length):
    @both("%d bytes of UDP for no service" % length)
    def _(lab, f):
        packet = udp_of_client(f, data(length), port=4711)
        lab.put(packet)
        lab.expect_answer(unreachable(packet, f), drop="no-service")


for n in [0, 1, 8, 519, 520, 521, 1183, 1184, 1185, 1400]:
    udp_error(n)


@both("a protocol that is neither TCP nor UDP nor ICMP")
def _(lab, f):
    for protocol in (132, 50, 47, 4, 59, 58 if f.is_ipv4 else 1):
        more = {"proto": protocol} if f.is_ipv4 else {"nh": protocol}
        lab.put(f.ip(f.client, f.vip, **more) / data(40))
        lab.expect_drop("no-service")


@both("a protocol without a payload")
def _(lab, f):
    more = {"proto": 50} if f.is_ipv4 else {"nh": 59}
    lab.put(f.ip(f.client, f.vip, **more))
    lab.expect_drop("no-service")


@both("another VIP is another service")
def _(lab, f):
    packet = f.ip(f.client, f.quiet_vip) / TCP(sport=7, dport=HTTP, flags="S", seq=5)
    lab.put(packet)
    lab.expect_answer(reset_of(packet, f, flags="RA", seq=0, ack=6), drop="no-service")


@both("another protocol is another service")
def _(lab, f):
    packet = udp_of_client(f, b"x", port=HTTP)
    lab.put(packet)
    lab.expect_answer(unreachable(packet, f), drop="no-service")


@both("the kernel too is told that nobody is there")
def _(lab, f):
    packet = f.ip(f.machine, f.vip) / TCP(sport=7, dport=4711, flags="S", seq=5)
    lab.put(packet, kernel=True, src=PORT_MACS[0], dst=STRANGER_MAC)
    lab.expect_answer(
        reset_of(packet, f, flags="RA", seq=0, ack=6), drop="no-service", kernel=True
    )


@both("a service without targets rejects")
def _(lab, f):
    packet = syn_of_client(f, NO_TARGET, seq=5)
    lab.put(packet)
    lab.expect_answer(reset_of(packet, f, flags="RA", seq=0, ack=6), drop="no-target")
    packet = udp_of_client(f, b"x", port=NO_TARGET)
    lab.put(packet)
    lab.expect_answer(unreachable(packet, f), drop="no-target")


@both("a node without a route")
def _(lab, f):
    lab.put(syn_of_client(f, NO_ROUTE))
    lab.expect_drop("no-route")


@both("a client without a route")
def _(lab, f):
    lab.put(f.ip(f.lost, f.vip) / UDP(sport=7, dport=DNS) / b"x")
    lab.put(udp_of_node(f, lab.snat_port(), b"y"), port=NODE0_SIDE)
    lab.expect_drop("no-route")


# Flows


@both("TCP of no known flow is reset")
def _(lab, f):
    for flags in ("A", "PA", "FA", "SA"):
        packet = tcp_of_client(f, flags, seq=1000, ack=2000)
        lab.put(packet)
        wanted = reset_of(packet, f, flags="R", seq=2000, ack=0)
        lab.expect_answer(wanted, drop="unknown-tcp")


@both("a reset of no known flow")
def _(lab, f):
    lab.put(tcp_of_client(f, "R"))
    lab.expect_drop("unknown-tcp")


@both("TCP of no known flow, in silence")
def _(lab, f):
    lab.ask("set reset_unknown_tcp 0")
    lab.put(tcp_of_client(f, "A"))
    lab.expect_drop("unknown-tcp")


@both("TCP of no known flow leaves nothing")
def _(lab, f):
    lab.put(tcp_of_client(f, "A"))
    lab.open_tcp(f)


@both("a flow is forgotten after its idle time")
def _(lab, f):
    lab.open_tcp(f)
    lab.ask("advance 400")
    packet = tcp_of_client(f, "A", seq=1000, ack=2000)
    lab.put(packet)
    wanted = reset_of(packet, f, flags="R", seq=2000, ack=0)
    lab.expect_answer(wanted, drop="unknown-tcp")


@both("a reply to nobody")
def _(lab, f):
    snat_port = lab.open_tcp(f)
    for packet in [
        tcp_of_node(f, snat_port ^ 1),
        tcp_of_node(f, snat_port, port=HTTP + 1),
        tcp_of_node(f, snat_port, node=1),
        f.ip(f.client, f.snat) / TCP(sport=node_port(HTTP), dport=snat_port),
        f.ip(f.node0, f.snat) / UDP(sport=node_port(HTTP), dport=snat_port),
        f.ip(f.node0, f.snat) / TCP(sport=node_port(HTTP), dport=22, flags="S"),
    ]:
        lab.put(packet, port=NODE0_SIDE)
        lab.expect_drop("no-flow")


@both("a reply after its flow was forgotten")
def _(lab, f):
    snat_port = lab.open_udp(f)
    lab.ask("advance 1000")
    lab.put(udp_of_node(f, snat_port, b"late"), port=NODE0_SIDE)
    lab.expect_drop("no-flow")


@both("a connection of a dead node is reset")
def _(lab, f):
    lab.open_tcp(f)
    lab.ask("node 0 %d" % DOWN)
    packet = tcp_of_client(f, "PA", b"data", seq=1000, ack=2000)
    lab.put(packet)
    wanted = reset_of(packet, f, flags="R", seq=2000, ack=0)
    lab.expect_answer(wanted, drop="dead-target")
    lab.put(tcp_of_client(f, "R"))
    lab.expect_drop("dead-target")


@both("a connection of a dead node begins anew in silence, if so configured")
def _(lab, f):
    lab.open_tcp(f)
    lab.ask("node 0 %d" % DOWN)
    lab.ask("set reset_dead_target 0")
    packet = tcp_of_client(f, "PA", b"data")
    lab.put(packet)
    lab.expect_sent(to_node(f, packet, lab.snat_port()), NODE0_HOP)


@case("no SNAT port is this worker's", V4)
def _(lab, f):
    lab.ask("world starved")
    lab.put(syn_of_client(f))
    lab.expect_drop("no-port")
    lab.put(udp_of_client(f, b"x"))
    lab.expect_drop("no-port")


@case("flow memory is full of established flows", V4)
def _(lab, f):
    for i in range(512):
        lab.put(f.ip(f.client, f.vip) / UDP(sport=1024 + i, dport=DNS))
        lab.check("the drop reason", lab.drop, "none")
        answer = f.ip(f.node0, f.snat) / UDP(sport=node_port(DNS), dport=lab.snat_port())
        lab.put(answer, port=NODE0_SIDE)
        lab.check("the drop reason", lab.drop, "none")
    lab.put(f.ip(f.client, f.vip) / UDP(sport=5000, dport=DNS))
    lab.expect_drop("flows-full")


# Limits


@both("no more answers than the settings allow")
def _(lab, f):
    lab.ask("set answers_per_s 10")
    packet = syn_of_client(f, 4711, seq=5)
    wanted = reset_of(packet, f, flags="RA", seq=0, ack=6)
    for _ in range(2):
        lab.put(packet)
        lab.expect_answer(wanted, drop="no-service")
    lab.put(packet)
    lab.expect_drop("no-service")
    packet = udp_of_client(f, b"x", port=4711)  # Errors have a limit of their own.
    lab.put(packet)
    lab.expect_answer(unreachable(packet, f), drop="no-service")


@both("no answers at all")
def _(lab, f):
    lab.ask("set answers_per_s 0")
    lab.put(syn_of_client(f, 4711))
    lab.expect_drop("no-service")
    lab.put(udp_of_client(f, b"x", port=4711))
    lab.expect_drop("no-service")
    lab.put(f.ip(f.client, f.vip, 1) / UDP(dport=DNS))
    lab.expect_drop("hop-limit")


@both("no more echoes than the settings allow")
def _(lab, f):
    lab.ask("set echoes_per_s 10")
    echo = ICMP(type=8) if f.is_ipv4 else ICMPv6EchoRequest()
    for wanted in ("none", "none", "rate-limit"):
        lab.put(f.ip(f.client, f.vip) / echo)
        lab.check("the drop reason", lab.drop, wanted)


@both("each kind of ICMP error has a limit of its own")
def _(lab, f):
    lab.ask("set answers_per_s 10")
    for _ in range(2):
        lab.put(udp_of_client(f, b"x", port=4711))
        lab.check("the way", lab.way, "port")
    lab.put(udp_of_client(f, b"x", port=4711))
    lab.expect_drop("no-service")
    for wanted in ("port", "port", "none"):
        lab.put(f.ip(f.client, f.vip, 1) / UDP(dport=DNS))
        lab.check("the drop reason", lab.drop, "hop-limit")
        lab.check("the way", lab.way, wanted)


@both("no more answers of all kinds together than the settings allow")
def _(lab, f):
    lab.ask("set all_per_s 20")
    echo = ICMP(type=8) if f.is_ipv4 else ICMPv6EchoRequest()
    lab.put(syn_of_client(f, 4711))
    lab.check("the way", lab.way, "port")
    lab.put(udp_of_client(f, b"x", port=4711))
    lab.check("the way", lab.way, "port")
    lab.put(f.ip(f.client, f.vip) / echo)
    lab.check("the way", lab.way, "port")
    lab.put(f.ip(f.client, f.vip) / echo)
    lab.expect_drop("rate-limit")
    lab.put(syn_of_client(f, 4711))
    lab.expect_drop("no-service")


@both("a VIP that keeps its closed ports quiet")
def _(lab, f):
    lab.ask("set rejects 0")
    lab.put(syn_of_client(f, 4711))
    lab.expect_drop("no-service")
    lab.put(udp_of_client(f, b"x", port=4711))
    lab.expect_drop("no-service")
    lab.open_tcp(f)  # Others are served.


# Sizes


@both("a packet larger than the node's MTU is answered by what fits")
def _(lab, f):
    lab.open_tcp(f)
    head = 40 if f.is_ipv4 else 60
    more = {"flags": "DF"} if f.is_ipv4 else {}
    for length in (1401, 1500):
        packet = f.ip(f.client, f.vip, **more) / TCP(
            sport=CLIENT_PORT, dport=HTTP, flags="A"
        ) / data(length - head)
        lab.put(packet)
        lab.expect_answer(too_big(packet, f, 1400), drop="too-big")


@both("a reply larger than the client's MTU is answered by what fits")
def _(lab, f):
    snat_port = lab.open_tcp(f, BIG, 1, NODE1_HOP)
    head = 40 if f.is_ipv4 else 60
    more = {"flags": "DF"} if f.is_ipv4 else {}
    for length in (1501, 8000):
        packet = f.ip(f.node(1), f.snat, **more) / TCP(
            sport=node_port(BIG), dport=snat_port, flags="A"
        ) / data(length - head)
        lab.put(packet, port=NODE1_SIDE)
        lab.expect_answer(too_big(packet, f, 1500), drop="too-big")


# ICMP that is neither echo nor about a flow


def other_icmp(f, what, icmp):
    @case("%s to an address of ours (%s)" % (what, f.name))
    def _(lab):
        for to in (f.vip, f.snat):
            lab.put(f.ip(f.client, to, 255) / icmp)
            lab.expect_drop("icmp")


for what, icmp in [
    ("an echo reply", ICMP(type=0)),
    ("a source quench", ICMP(type=4) / data(28)),
    ("a redirect", ICMP(type=5) / data(28)),
    ("an echo request of another code", ICMP(type=8, code=1)),
    ("a timestamp request", ICMP(type=13)),
    ("an address mask request", ICMP(type=17)),
]:
    other_icmp(V4, what, icmp)
for what, icmp in [
    ("an echo reply", ICMPv6EchoRequest(type=129)),
    ("a router solicitation", ICMPv6ND_RS()),
    ("an unknown error", ICMPv6DestUnreach(type=100) / data(48)),
    ("a type of 0", ICMPv6DestUnreach(type=0) / data(48)),
]:
    other_icmp(V6, what, icmp)


@both("ICMP cut before its eighth byte")
def _(lab, f):
    more = {"proto": 1} if f.is_ipv4 else {"nh": 58}
    lab.put(f.ip(f.client, f.vip, **more) / b"\x08\0\0\0\0\0\0")
    lab.expect_drop("truncated")
