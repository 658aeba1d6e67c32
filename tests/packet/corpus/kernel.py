"""What passes between the wire and the kernel as it is."""

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, LLC, STP, Dot3, Ether

from drops import STRANGER_MAC, data
from lab import (
    CLIENTS,
    HTTP,
    NODE0_SIDE,
    PORT_MACS,
    V4,
    V6,
    both,
    case,
)


def for_the_kernel(what, kernel_class, make, dst=None):
    """`make(family)` gives a packet that is the kernel's."""

    @both("for the kernel: " + what)
    def _(lab, f):
        for port in (CLIENTS, NODE0_SIDE):
            lab.put(make(f), port=port, dst=dst or PORT_MACS[port])
            lab.expect_passed(kernel_class)


for_the_kernel("a SYN", "other", lambda f: f.ip(f.client, f.machine) / TCP(dport=22, flags="S"))
for_the_kernel(
    "a SYN to a service's port", "other", lambda f: f.ip(f.client, f.machine) / TCP(dport=HTTP)
)
for_the_kernel("a datagram", "other", lambda f: f.ip(f.client, f.machine) / UDP() / data(99))
for_the_kernel("with padding", "other", lambda f: f.ip(f.client, f.machine) / UDP() / b"")
for_the_kernel(
    "a health check's answer", "control", lambda f: f.ip(f.node0, f.machine) / TCP(flags="SA")
)
for_the_kernel(
    "an answer of another node", "control", lambda f: f.ip(f.node(4), f.machine) / TCP(flags="SA")
)
for_the_kernel(
    "a fragment of a node's", "control", lambda f: fragment(f, f.node0, f.machine)
)
for_the_kernel("a fragment", "other", lambda f: fragment(f, f.client, f.machine))
for_the_kernel("the last hop", "other", lambda f: f.ip(f.client, f.machine, 1) / TCP())
for_the_kernel(
    "another protocol",
    "other",
    lambda f: f.ip(f.client, f.machine, **({"proto": 89} if f.is_ipv4 else {"nh": 89})),
)
for_the_kernel(
    "a source that no host may have",
    "other",
    lambda f: f.ip("0.0.0.0" if f.is_ipv4 else "::", f.machine) / UDP(),
)
for_the_kernel("a source of ours", "other", lambda f: f.ip(f.vip, f.machine) / UDP())
for_the_kernel(
    "a group's", "other", lambda f: f.ip(f.client, f.group) / UDP(), "01:00:5e:00:00:05"
)
for_the_kernel(
    "everybody's",
    "other",
    lambda f: f.ip("0.0.0.0" if f.is_ipv4 else "::", "255.255.255.255" if f.is_ipv4 else f.group)
    / UDP(sport=68, dport=67),
    "ff:ff:ff:ff:ff:ff",
)


def fragment(f, source, to):
    if f.is_ipv4:
        return IP(src=source, dst=to, flags="MF") / data(64)
    return IPv6(src=source, dst=to) / IPv6ExtHdrFragment(m=1, nh=17) / data(64)


def discovery(what, icmp):
    @case("for the kernel: " + what)
    def _(lab):
        lab.put(
            IPv6(src="fe80::1", dst="ff02::1", hlim=255) / icmp, dst="33:33:00:00:00:01"
        )
        lab.expect_passed("control")


discovery("a router advertisement", ICMPv6ND_RA())
discovery("a neighbour advertisement", ICMPv6ND_NA(tgt="fe80::1"))


@case("for the kernel: a multicast listener's report")
def _(lab):
    lab.put(IPv6(src="fe80::1", dst="ff02::16", hlim=1) / ICMPv6MLReport2())
    lab.expect_passed("other")


@case("for the kernel: an ICMP error about its own packet")
def _(lab):
    returned = IP(src=V4.machine, dst=V4.client) / TCP(sport=22)
    lab.put(IP(src=V4.router, dst=V4.machine) / ICMP(type=3, code=4) / returned)
    lab.expect_passed("other")


def other_frame(what, ethertype, payload):
    @case("for the kernel: " + what)
    def _(lab):
        for port in (CLIENTS, NODE0_SIDE):
            lab.put(payload, port=port, dst="01:80:c2:00:00:0e", ethertype=ethertype)
            lab.expect_passed("other")


other_frame("LLDP", 0x88CC, data(60))
other_frame("an experiment", 0x88B5, data(1))
other_frame("nothing in a frame", 0x88B5, b"")
other_frame("MPLS", 0x8847, data(100))
other_frame("a length in place of a type", 60, data(60))
other_frame("no IPv4 header", 0x0800, b"")
other_frame("no IPv6 header", 0x86DD, b"\x60")


@case("for the kernel: spanning tree")
def _(lab):
    lab.put_bytes(bytes(Dot3(dst="01:80:c2:00:00:00", src=STRANGER_MAC) / LLC() / STP()))
    lab.expect_passed("other")


# And out


def from_the_kernel(what, make, dst=STRANGER_MAC):
    @both("from the kernel: " + what)
    def _(lab, f):
        for port in (CLIENTS, NODE0_SIDE):
            lab.put(make(f), port=port, kernel=True, src=PORT_MACS[port], dst=dst)
            lab.expect_out()


from_the_kernel("a SYN", lambda f: f.ip(f.machine, f.client) / TCP(dport=179, flags="S"))
from_the_kernel("a health check", lambda f: f.ip(f.machine, f.node0) / TCP(dport=30080))
from_the_kernel("a datagram", lambda f: f.ip(f.machine, f.lost) / UDP() / data(1000))
from_the_kernel("a fragment", lambda f: fragment(f, f.machine, f.client))
from_the_kernel("a hop limit of 1", lambda f: f.ip(f.machine, f.client, 1) / TCP(dport=179))
from_the_kernel("from an address of ours", lambda f: f.ip(f.vip, f.client) / UDP())
from_the_kernel(
    "to all",
    lambda f: f.ip("0.0.0.0" if f.is_ipv4 else "::", "255.255.255.255" if f.is_ipv4 else f.group)
    / UDP(sport=68, dport=67),
    "ff:ff:ff:ff:ff:ff",
)
from_the_kernel("what is malformed", lambda f: f.ip(f.machine, f.client, version=9) / UDP())


def from_the_kernel_once(what, packet):
    @case("from the kernel: " + what)
    def _(lab):
        for port in (CLIENTS, NODE0_SIDE):
            lab.put(packet, port=port, kernel=True, src=PORT_MACS[port], dst=STRANGER_MAC)
            lab.expect_out()


from_the_kernel_once("who has a neighbour", ARP(op=1, psrc=V4.machine, pdst=V4.client))
from_the_kernel_once("who has, asked as a VIP", ARP(op=1, psrc=V4.vip, pdst=V4.client))
from_the_kernel_once("an announcement of a VIP", ARP(op=1, psrc=V4.vip, pdst=V4.vip))
from_the_kernel_once("an announcement by a reply", ARP(op=2, psrc=V4.vip, pdst=V4.vip))
from_the_kernel_once(
    "who has a neighbour (IPv6)",
    IPv6(src=V6.machine, dst="ff02::1:ff00:7", hlim=255) / ICMPv6ND_NS(tgt=V6.client),
)
from_the_kernel_once(
    "an announcement of a VIP (IPv6)",
    IPv6(src=V6.vip, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=V6.vip, R=0, S=0, O=1),
)


@case("from the kernel: LLDP")
def _(lab):
    lab.put(data(50), kernel=True, dst="01:80:c2:00:00:0e", ethertype=0x88CC)
    lab.expect_out()


@case("from the kernel: a frame of its own without a packet")
def _(lab):
    lab.put_bytes(bytes(Ether(src=PORT_MACS[0], dst=STRANGER_MAC, type=0x88B5)), kernel=True)
    lab.expect_out()
