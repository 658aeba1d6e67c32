"""Questions that are answered for our addresses: ARP, neighbour solicitation, echo."""

from scapy.layers.inet import ICMP, IP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    PadN,
)
from scapy.layers.l2 import ARP
from scapy.utils6 import in6_getnsma, in6_getnsmac
from scapy.compat import raw
from socket import AF_INET6, inet_ntop, inet_pton

from drops import STRANGER_MAC, data
from lab import (
    CLIENTS,
    NEIGHBOURS,
    NODE0_SIDE,
    PORT_MACS,
    V4,
    V6,
    both,
    case,
)

TO_ALL = "ff:ff:ff:ff:ff:ff"
NO_MAC = "00:00:00:00:00:00"

# ARP


def request(target, port=CLIENTS, sender=V4.client, **more):
    return ARP(op=1, hwsrc=NEIGHBOURS[port], psrc=sender, hwdst=NO_MAC, pdst=target, **more)


def reply(target, port=CLIENTS, sender=V4.client, mac=None):
    return ARP(
        op=2, hwsrc=PORT_MACS[port], psrc=target, hwdst=mac or NEIGHBOURS[port], pdst=sender
    )


def arp(what, target, port, padding=b"", dst=TO_ALL):
    @case("who has %s" % what)
    def _(lab):
        lab.put(request(target, port), port=port, dst=dst, padding=padding)
        lab.expect_answer(reply(target, port))


arp("a VIP", V4.vip, CLIENTS)
arp("a VIP, padded", V4.vip, CLIENTS, b"\0" * 18)
arp("a VIP, asked of us alone", V4.vip, CLIENTS, dst=PORT_MACS[0])
arp("a VIP, by the tagged port", V4.vip, NODE0_SIDE)
arp("an SNAT address", V4.snat, NODE0_SIDE)
arp("an SNAT address, padded", V4.snat, NODE0_SIDE, b"\0" * 14)


@case("who has a VIP, asked by one without an address yet")
def _(lab):
    lab.put(request(V4.vip, sender="0.0.0.0"), dst=TO_ALL)
    lab.expect_answer(reply(V4.vip, sender="0.0.0.0"))


@case("who has a VIP, asked by the kernel")
def _(lab):
    lab.put(
        ARP(op=1, hwsrc=PORT_MACS[1], psrc="192.0.2.99", hwdst=NO_MAC, pdst=V4.vip),
        port=NODE0_SIDE,
        kernel=True,
        src=PORT_MACS[1],
        dst=TO_ALL,
    )
    wanted = reply(V4.vip, NODE0_SIDE, "192.0.2.99", PORT_MACS[1])
    lab.expect_answer(wanted, kernel=True)


def arp_for_the_kernel(what, make):
    @case("ARP for the kernel: " + what)
    def _(lab):
        for port in (CLIENTS, NODE0_SIDE):
            lab.put(make(port), port=port, dst=TO_ALL)
            lab.expect_passed("control")


arp_for_the_kernel("an address of its own", lambda port: request(V4.machine, port))
arp_for_the_kernel("a VIP not to be answered for", lambda port: request(V4.quiet_vip, port))
arp_for_the_kernel("a reply", lambda port: reply(V4.vip, port))
arp_for_the_kernel(
    "another's announcement of a VIP", lambda port: request(V4.vip, port, sender=V4.vip)
)
arp_for_the_kernel("a request padded", lambda port: request(V4.machine, port) / (b"\0" * 18))
arp_for_the_kernel("a reverse request", lambda port: ARP(op=3, pdst=V4.vip))


@case("ARP that is cut, or of another kind, is the kernel's to judge")
def _(lab):
    for packet in (
        bytes(request(V4.vip))[:27],
        bytes(request(V4.vip))[:3],
        bytes(request(V4.vip, hwtype=6)),
        bytes(request(V4.vip, ptype=0x86DD)),
        bytes(request(V4.vip, hwlen=8)),
        bytes(request(V4.vip, plen=16)),
    ):
        lab.put(packet, dst=TO_ALL, ethertype=0x0806)
        lab.expect_passed("other")


# Neighbour solicitation


def group_of(target):
    return inet_ntop(AF_INET6, in6_getnsma(inet_pton(AF_INET6, target)))


def group_mac(target):
    return in6_getnsmac(in6_getnsma(inet_pton(AF_INET6, target)))


def solicitation(target, source=V6.client, to=None, hops=255, **ns):
    to = to or group_of(target)
    return IPv6(src=source, dst=to, hlim=hops) / ICMPv6ND_NS(tgt=target, **ns)


def link(mac):
    return ICMPv6NDOptSrcLLAddr(lladdr=mac)


def advertisement(target, port=CLIENTS, to=V6.client, solicited=1):
    return (
        IPv6(src=target, dst=to, hlim=255)
        / ICMPv6ND_NA(tgt=target, R=0, S=solicited, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=PORT_MACS[port])
    )


def neighbour(what, target, port=CLIENTS, to=None, options=b"", answered_to=None, padding=b""):
    @case("who has %s (IPv6)" % what)
    def _(lab):
        packet = solicitation(target, to=to) / options
        dst = PORT_MACS[port] if to else group_mac(target)
        lab.put(packet, port=port, dst=dst, padding=padding)
        lab.expect_answer(advertisement(target, port), dst=answered_to)


neighbour("a VIP", V6.vip, options=link(NEIGHBOURS[0]))
neighbour("a VIP, padded", V6.vip, options=link(NEIGHBOURS[0]), padding=b"\xee" * 9)
neighbour("a VIP, by the tagged port", V6.vip, NODE0_SIDE, options=link(NEIGHBOURS[1]))
neighbour("an SNAT address", V6.snat, NODE0_SIDE, options=link(NEIGHBOURS[1]))
neighbour("a VIP, asked of us alone", V6.vip, to=V6.vip, options=link(NEIGHBOURS[0]))
neighbour("a VIP, asked of us alone and without an option", V6.vip, to=V6.vip)
neighbour("a VIP, the sender's MAC address being missing", V6.vip)
neighbour(
    "a VIP, to be answered to another MAC address",
    V6.vip,
    options=link(STRANGER_MAC),
    answered_to=STRANGER_MAC,
)
neighbour(
    "a VIP, with options that nobody knows",
    V6.vip,
    options=bytes([200, 2] + [0] * 14) + bytes(link(NEIGHBOURS[0])) + bytes(ICMPv6NDOptMTU()),
)
neighbour("a VIP, with many options", V6.vip, options=bytes([200, 1] + [0] * 6) * 60)


@case("who has a VIP, asked by one who wants to have it (IPv6)")
def _(lab):
    lab.put(solicitation(V6.vip, source="::"), dst=group_mac(V6.vip))
    lab.expect_answer(
        advertisement(V6.vip, to="ff02::1", solicited=0), dst="33:33:00:00:00:01"
    )


@case("who has a VIP, asked behind extension headers (IPv6)")
def _(lab):
    packet = (
        IPv6(src=V6.client, dst=V6.vip, hlim=255)
        / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
        / ICMPv6ND_NS(tgt=V6.vip)
        / link(NEIGHBOURS[0])
    )
    lab.put(packet)
    lab.expect_answer(advertisement(V6.vip, to=V6.client))


@case("who has a VIP, asked by the kernel (IPv6)")
def _(lab):
    packet = solicitation(V6.vip, V6.machine) / link(PORT_MACS[1])
    lab.put(packet, NODE0_SIDE, kernel=True, src=PORT_MACS[1], dst=group_mac(V6.vip))
    lab.expect_answer(advertisement(V6.vip, NODE0_SIDE, to=V6.machine), kernel=True)


def not_answered(what, reason, packet):
    @case("a solicitation %s" % what)
    def _(lab):
        lab.put(packet, dst=group_mac(V6.vip))
        lab.expect_drop(reason)


not_answered("from afar", "malformed", solicitation(V6.vip, hops=254) / link(NEIGHBOURS[0]))
not_answered("from afar, with hop limit 64", "malformed", solicitation(V6.vip, hops=64))
not_answered("of another code", "malformed", solicitation(V6.vip, code=1))
not_answered("with an option of no length", "malformed", solicitation(V6.vip) / b"\1\0\0\0\0\0\0\0")
not_answered("with an option too long", "malformed", solicitation(V6.vip) / b"\1\2\0\0\0\0\0\0")
not_answered("with half an option", "malformed", solicitation(V6.vip) / b"\1\1\0\0")
not_answered("with a byte of an option", "malformed", solicitation(V6.vip) / b"\1")
not_answered("with a wrong checksum", "bad-checksum", solicitation(V6.vip, cksum=0x1234))
not_answered("with a checksum of 0", "bad-checksum", solicitation(V6.vip, cksum=0))
not_answered(
    "by one without an address who says its MAC address",
    "malformed",
    solicitation(V6.vip, source="::") / link(NEIGHBOURS[0]),
)
not_answered(
    "by one without an address, of us alone",
    "malformed",
    solicitation(V6.vip, source="::", to=V6.vip),
)
not_answered("from a group", "bad-source", solicitation(V6.vip, source="ff02::1"))
not_answered("from loopback", "bad-source", solicitation(V6.vip, source="::1"))


def nd_for_the_kernel(what, packet):
    @case("neighbour discovery for the kernel: " + what)
    def _(lab):
        lab.put(packet, dst="33:33:00:00:00:01")
        lab.expect_passed("control")


nd_for_the_kernel("an address of its own", solicitation(V6.machine) / link(NEIGHBOURS[0]))
nd_for_the_kernel("a VIP not to be answered for", solicitation(V6.quiet_vip))
nd_for_the_kernel("an IPv4-mapped VIP", solicitation("::ffff:" + V4.vip, to="ff02::1"))
nd_for_the_kernel("a solicitation from afar", solicitation(V6.machine, hops=3))
nd_for_the_kernel(
    "an advertisement", IPv6(src=V6.client, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=V6.vip)
)


@case("an advertisement to a VIP")
def _(lab):
    lab.put(IPv6(src=V6.client, dst=V6.vip, hlim=255) / ICMPv6ND_NA(tgt=V6.client))
    lab.expect_drop("icmp")


# Echo


def echo(f, **fields):
    return ICMP(type=8, **fields) if f.is_ipv4 else ICMPv6EchoRequest(**fields)


def echo_reply(f, **fields):
    return ICMP(type=0, **fields) if f.is_ipv4 else ICMPv6EchoReply(**fields)


def answer_head(f, source, to):
    more = {"flags": "DF", "id": 0} if f.is_ipv4 else {}
    return f.ip(source, to, 64, **more)


def echo_length(length):
    @both("an echo of %d bytes" % length)
    def _(lab, f):
        for ours in (f.vip, f.quiet_vip, f.snat):
            lab.put(f.ip(f.client, ours) / echo(f, id=77, seq=3) / data(length))
            wanted = answer_head(f, ours, f.client) / echo_reply(f, id=77, seq=3) / data(length)
            lab.expect_answer(wanted)


for n in [0, 1, 2, 56, 57, 1452, 1400]:
    echo_length(n)


@both("an echo by the tagged port")
def _(lab, f):
    lab.put(f.ip(f.node0, f.snat) / echo(f) / data(56), port=NODE0_SIDE)
    lab.expect_answer(answer_head(f, f.snat, f.node0) / echo_reply(f) / data(56))


@both("an echo with padding behind it")
def _(lab, f):
    lab.put(f.ip(f.client, f.vip) / echo(f) / b"x", padding=b"\xee" * 17)
    lab.expect_answer(answer_head(f, f.vip, f.client) / echo_reply(f) / b"x")


@both("an echo on its last hop")
def _(lab, f):
    lab.put(f.ip(f.client, f.vip, 1) / echo(f) / b"x")
    lab.expect_answer(answer_head(f, f.vip, f.client) / echo_reply(f) / b"x")


@both("an echo by the kernel")
def _(lab, f):
    lab.put(f.ip(f.machine, f.vip) / echo(f) / b"x", kernel=True, src=PORT_MACS[0])
    wanted = answer_head(f, f.vip, f.machine) / echo_reply(f) / b"x"
    lab.expect_answer(wanted, kernel=True)


@both("an echo with a wrong checksum")
def _(lab, f):
    packet = bytearray(raw(f.ip(f.client, f.vip) / echo(f) / data(56)))
    packet[-1] ^= 1
    lab.put(bytes(packet), ethertype=f.ethertype)
    lab.expect_drop("bad-checksum")


@case("an echo with IPv4 options is answered without")
def _(lab):
    for options in ([IPOption_NOP()] * 4, [IPOption_RR(routers=["0.0.0.0"] * 9)]):
        lab.put(IP(src=V4.client, dst=V4.vip, options=options) / echo(V4) / data(56))
        lab.expect_answer(answer_head(V4, V4.vip, V4.client) / echo_reply(V4) / data(56))


@case("an echo with extension headers is answered without")
def _(lab):
    extension = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])
    lab.put(IPv6(src=V6.client, dst=V6.vip) / extension / echo(V6) / data(56))
    lab.expect_answer(answer_head(V6, V6.vip, V6.client) / echo_reply(V6) / data(56))


@both("an echo to the machine itself is the kernel's")
def _(lab, f):
    lab.put(f.ip(f.client, f.machine) / echo(f) / data(56))
    lab.expect_passed("other")
