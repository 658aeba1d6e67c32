"""Cases that the code once failed."""

from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from drops import expired, too_big
from forwarding import data
from lab import (
    CLIENT_PORT,
    DSR,
    HOP_NODE0,
    NODE0_HOP,
    NODE0_SIDE,
    NODE1_SIDE,
    both,
    network,
)
from mode_errors import CLAMP, MSS_PATHS, UNREACHABLE, answer, mss_bytes, with_options
from modes import of_node
from tunnels import SAID, every, error, frag_needed, is_learned, is_over_ipv4, is_over_ipv6, quoted


# RFC 1812, section 4.3.2.4; RFC 4443, section 2.2: a router speaks as itself. The packet was to the
# client, for whom we must not speak; the VIP is the address that we have.
def from_vip(f, wanted):
    network(wanted).src = f.vip
    return wanted


@both("dnat: a reply whose hop limit ends here is answered by an address of ours")
def _(lab, f):
    packet = of_node(f, TCP(flags="A"), hops=1)
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_answer(from_vip(f, expired(packet, f)), drop="hop-limit")


@both("dnat: a reply larger than the client's MTU is answered by an address of ours")
def _(lab, f):
    more = {"flags": "DF"} if f.is_ipv4 else {}
    packet = of_node(f, UDP() / data(1600), **more)
    lab.put(packet, port=NODE1_SIDE)
    lab.expect_answer(from_vip(f, too_big(packet, f, 1500)), drop="too-big")


# It is to the VIP, to which no route leads that is meant for it.
@both("dsr: a packet that waited for its node goes to it")
def _(lab, f):
    lab.ask("hop %d -1" % HOP_NODE0)
    packet = f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=DSR, flags="S")
    lab.put(packet)
    lab.expect_waiting(packet)
    lab.ask("hop %d %d" % (HOP_NODE0, NODE0_SIDE))
    lab.retry()
    lab.expect_sent(packet, NODE0_HOP)


@both("dsr: an error of hop limit 1 goes to the node, no hop being counted")
def _(lab, f):
    packet = f.ip(f.router, f.vip, 1) / UNREACHABLE[f.name] / answer(f, TCP, DSR)
    lab.put(packet)
    lab.expect_sent(packet, NODE0_HOP)


@both("dsr: an error that the node sends on")
def _(lab, f):
    packet = f.ip(f.router, f.vip) / UNREACHABLE[f.name] / answer(f, TCP, DSR)
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_drop("loop")


# RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e.1).
@every("an error that does not fit is not answered by another")
def _(lab, t):
    returned = Raw(bytes(answer(t.f, TCP, t.port)) + data(t.mtu))
    ip = t.f.ip(t.f.router, t.f.vip, **t.no_fragments())
    lab.put(ip / UNREACHABLE[t.f.name] / returned)
    lab.expect_drop("too-big")


# RFC 8201, section 4: less than 1280 is discarded, not rounded up.
@every("what no IPv6 way may say is discarded", is_over_ipv6)
def _(lab, t):
    outer = t.goes(lab, t.inner_of(200))
    for said in (1279, 576, 0):
        icmp = frag_needed(t.outer, said)
        lab.put(error(t, icmp, quoted(t, outer, 8)), port=t.hop[1])
        lab.expect_drop("tunnel")
    t.fits(lab, t.mtu)


# RFC 1191, section 3; RFC 8201, section 4: such a message never increases the estimate.
@every("a way that says more than before changes nothing")
def _(lab, t):
    is_learned(lab, t, SAID)
    outer = t.goes(lab, t.inner_of(200))
    lab.put(error(t, frag_needed(t.outer, SAID + 20), quoted(t, outer, 8)), port=t.hop[1])
    t.is_too_big(lab, t.mtu, SAID - t.overhead)


# RFC 1122, section 3.2.1.7: a host does not discard what is for it because its hop limit is low.
@every("an error about the way that arrives with its last hop")
def _(lab, t):
    outer = t.goes(lab, t.inner_of(200))
    lab.put(
        error(t, frag_needed(t.outer, SAID), quoted(t, outer, 8), hops=1), port=t.hop[1]
    )
    lab.check("the way", lab.way, "none")
    t.is_too_big(lab, t.mtu, SAID - t.overhead)


# RFC 4213, section 3.2.2: where the IPv4 way leaves less than 1280, packets of up to 1280 go in
# outer ones that may be fragmented.
@every(
    "IPv6 over a way too narrow for it may be fragmented outside",
    lambda t: is_over_ipv4(t) and not t.f.is_ipv4,
)
def _(lab, t):
    is_learned(lab, t, 1280)
    inner = t.inner_of(1280)
    lab.put(inner)
    lab.check("the way", lab.way, "port")
    lab.check("whether it may not be fragmented", lab.sent()[6] & 0x40, 0)


# RFC 9293, section 3.1: the length of an option counts its kind and itself.
for path, port, goes in MSS_PATHS[:4]:

    @both("%s: an MSS behind an option of a length of 1" % path, port=port, goes=goes)
    def _(lab, f, port, goes):
        lab.ask("mss %d %d" % (port, CLAMP))
        options = b"\x08\x01\x01\x01" + mss_bytes(1460)
        goes(lab, f, lambda head, gone=False: with_options(head, options))


# What its sender has to recognise is the packet that it sent.
@every("a SYN that is too big comes back as it was, whatever its MSS")
def _(lab, t):
    lab.ask("mss %d %d" % (t.port, CLAMP))
    packet = with_options(t.inner(TCP(flags="S"), **t.no_fragments()), mss_bytes(1460))
    packet = packet / Raw(data(t.mtu))
    lab.put(packet)
    lab.expect_answer(too_big(packet, t.f, t.mtu), drop="too-big")
