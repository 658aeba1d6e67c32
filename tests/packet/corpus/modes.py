"""The modes that change a packet at one end, or not at all: dnat and dsr."""

from scapy.layers.inet import (
    ICMP,
    IP,
    TCP,
    UDP,
    IPOption_NOP,
    IPOption_RR,
    IPOption_Router_Alert,
)
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.sctp import SCTP, SCTPChunkData, SCTPChunkInit

from drops import STRANGER_MAC, expired, reset_of, too_big, unreachable
from forwarding import TCP_OPTIONS, computed, data, l4_of, with_zero_sum, wrong_by_as_much
from lab import (
    ABSENT,
    CLIENT_PORT,
    CLIENTS,
    CROSS,
    DNAT,
    DOWN,
    DRAINING,
    DSR,
    DSR_BIG,
    GATEWAY,
    GUE,
    GUE_CROSS,
    HOP_NODE0,
    HTTP,
    NARROW,
    NEIGHBOUR,
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
    translated,
)

# dnat: the destination changes on the way to the node, the source on the way back.


def of_client(f, l4, port=DNAT, hops=64, **more):
    l4 = l4.copy()
    l4.sport, l4.dport = CLIENT_PORT, port
    return f.ip(f.client, f.vip, hops, **more) / l4


def of_node(f, l4, port=DNAT, hops=64, **more):
    l4 = l4.copy()
    l4.sport, l4.dport = node_port(port), CLIENT_PORT
    return f.ip(f.node0, f.client, hops, **more) / l4


def to_node(f, packet):
    ip, l4 = network(packet), l4_of(packet)
    return translated(packet, ip.src, f.node0, l4.sport, node_port(l4.dport))


def to_client(f, packet):
    ip, l4 = network(packet), l4_of(packet)
    return translated(packet, f.vip, ip.dst, l4.sport - node_port(0), l4.dport)


def goes_to_node(lab, f, packet, wanted=None, **put):
    lab.put(packet, **put)
    lab.expect_sent(wanted or to_node(f, packet), NODE0_HOP)


def goes_to_client(lab, f, packet, wanted=None, **put):
    put.setdefault("port", NODE0_SIDE)
    lab.put(packet, **put)
    lab.expect_sent(wanted or to_client(f, packet), GATEWAY)


def there_and_back(what, make, *families):
    """`make(f)` gives a layer 4 that goes to the node, and one that comes back."""

    @case("dnat: " + what, *(families or (V4, V6)))
    def _(lab, f):
        there, back = make(f)
        goes_to_node(lab, f, of_client(f, there))
        goes_to_client(lab, f, of_node(f, back))


@both("dnat: a TCP connection from its SYN to its last FIN")
def _(lab, f):
    for of, flags, payload in [
        (of_client, "S", b""),
        (of_node, "SA", b""),
        (of_client, "A", b""),
        (of_client, "PA", b"GET / HTTP/1.1\r\n\r\n"),
        (of_node, "PA", data(1000)),
        (of_client, "FA", b""),
        (of_node, "FA", b"bye"),
        (of_client, "R", b""),
    ]:
        goes = goes_to_node if of is of_client else goes_to_client
        goes(lab, f, of(f, TCP(flags=flags, seq=7, ack=9) / payload))


@both("dnat: a UDP conversation")
def _(lab, f):
    for i in range(3):
        goes_to_node(lab, f, of_client(f, UDP() / data(i)))
        goes_to_client(lab, f, of_node(f, UDP() / data(100 + i)))


@both("dnat: no flow is needed, in either direction")
def _(lab, f):
    goes_to_client(lab, f, of_node(f, TCP(flags="PA") / b"first of all"))
    lab.ask("advance 4000")
    goes_to_node(lab, f, of_client(f, TCP(flags="PA") / b"nobody sent a SYN"))


for n in (1, 2, 3, 7, 536, 1339, 1340):
    there_and_back("%d bytes of TCP" % n, lambda f, n=n: (TCP(flags="A") / data(n),) * 2)
for n in (0, 1, 2, 3, 512, 1351, 1352):
    there_and_back("%d bytes of UDP" % n, lambda f, n=n: (UDP() / data(n),) * 2)
there_and_back(
    "TCP options stay",
    lambda f: (TCP(flags="S", options=TCP_OPTIONS), TCP(flags="SA", options=TCP_OPTIONS)),
)
there_and_back(
    "the longest TCP header", lambda f: (TCP(flags="S", options=[("NOP", None)] * 40),) * 2
)
there_and_back(
    "urgent pointer, ECN and reserved bits stay",
    lambda f: (TCP(flags="SEC", urgptr=3, reserved=5, window=1) / b"early",) * 2,
)
there_and_back("UDP without a checksum keeps none", lambda f: (UDP(chksum=0) / b"x",) * 2, V4)


@both("dnat: as much as the port takes")
def _(lab, f):
    head = 28 if f.is_ipv4 else 48
    goes_to_node(lab, f, of_client(f, UDP() / data(1400 - head)))
    goes_to_client(lab, f, of_node(f, UDP() / data(1500 - head)), port=NODE1_SIDE)


@both("dnat: padding is cut off")
def _(lab, f):
    goes_to_node(lab, f, of_client(f, TCP(flags="S")), padding=b"\xee" * 6)
    goes_to_client(lab, f, of_node(f, UDP() / b"x"), padding=b"\xee" * 1000)


def header_field(what, ipv4, ipv6):
    @both("dnat: %s stays" % what)
    def _(lab, f):
        more = ipv4 if f.is_ipv4 else ipv6
        goes_to_node(lab, f, of_client(f, UDP() / b"x", **more))
        goes_to_client(lab, f, of_node(f, UDP() / b"y", **more))


header_field("the traffic class", {"tos": 0xB9}, {"tc": 0xB9})
header_field("the identification or flow label", {"id": 0xBEEF}, {"fl": 0xBEEF7})
header_field("leave to fragment, or not,", {"flags": "DF"}, {})


def hop_limit(hops):
    @both("dnat: a hop limit of %d becomes %d" % (hops, hops - 1))
    def _(lab, f):
        goes_to_node(lab, f, of_client(f, TCP(flags="S"), hops=hops))
        goes_to_client(lab, f, of_node(f, TCP(flags="SA"), hops=hops))


for n in (2, 128, 255):
    hop_limit(n)


def hop_limit_ends(hops):
    @both("dnat: a hop limit of %d ends here" % hops)
    def _(lab, f):
        for l4 in (TCP(flags="S"), UDP() / data(600)):
            packet = of_client(f, l4, hops=hops)
            lab.put(packet)
            lab.expect_answer(expired(packet, f), drop="hop-limit")


hop_limit_ends(0)
hop_limit_ends(1)


def chained(headers, packet):
    """The packet with IPv6 extension headers."""
    ip = packet[IPv6].copy()
    l4 = ip.payload.copy()
    ip.remove_payload()
    for header in headers:
        ip = ip / header.copy()
    return ip / l4


def extension(n=4):
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * n)])


IPV4_OPTIONS = [
    ("one word", [IPOption_NOP()] * 4),
    ("router alert", [IPOption_Router_Alert()]),
    ("record route", [IPOption_RR(routers=["0.0.0.0"] * 9)]),
    ("as many as there may be", [IPOption_NOP()] * 40),
]
IPV6_EXTENSIONS = [
    ("hop by hop", [IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])]),
    ("destination", [extension()]),
    ("a long one", [extension(132)]),
    ("a route that has ended", [IPv6ExtHdrRouting(addresses=["2001:db8::99"], segleft=0)]),
    ("eight", [extension()] * 8),
]

for what, options in IPV4_OPTIONS:

    @case("dnat: IPv4 options, " + what, V4, options=options)
    def _(lab, f, options):
        goes_to_node(lab, f, of_client(f, TCP(flags="S"), options=options))
        goes_to_client(lab, f, of_node(f, UDP() / b"x", options=options))


for what, headers in IPV6_EXTENSIONS:

    @case("dnat: IPv6 extension headers, " + what, V6, headers=headers)
    def _(lab, f, headers):
        goes_to_node(lab, f, chained(headers, of_client(f, UDP() / b"x")))
        goes_to_client(lab, f, chained(headers, of_node(f, TCP(flags="SA"))))


@both("dnat: a UDP checksum that comes out as 0 is sent as 0xffff")
def _(lab, f):
    for of, to, goes in [
        (of_client, to_node, goes_to_node),
        (of_node, to_client, goes_to_client),
    ]:
        wanted = with_zero_sum(lambda tail, of=of, to=to: to(f, of(f, UDP() / tail)))
        goes(lab, f, of(f, UDP() / bytes(wanted)[-2:]), wanted)


@both("dnat: a UDP checksum of 0xffff, which stands for 0, is updated like any other")
def _(lab, f):
    goes_to_node(lab, f, with_zero_sum(lambda tail: of_client(f, UDP() / tail)))
    goes_to_client(lab, f, with_zero_sum(lambda tail: of_node(f, UDP() / tail)))


@both("dnat: a TCP checksum that comes out as 0 is sent as 0")
def _(lab, f):
    tail = computed(to_node(f, of_client(f, TCP() / b"\0\0")))
    packet = of_client(f, TCP() / tail.to_bytes(2, "big"))
    assert computed(to_node(f, packet)) == 0
    goes_to_node(lab, f, packet)


@both("dnat: a wrong checksum stays wrong by as much")
def _(lab, f):
    for of, to, goes in [
        (of_client, to_node, goes_to_node),
        (of_node, to_client, goes_to_client),
    ]:
        for l4 in (TCP() / b"data", UDP() / b"data"):
            packet = of(f, l4)
            wanted = to(f, packet)
            wrong = computed(packet) ^ 0x1234
            l4_of(wanted).chksum = wrong_by_as_much(wrong, computed(packet), computed(wanted))
            l4_of(packet).chksum = wrong
            goes(lab, f, packet, wanted)


@both("dnat: a frame's tag may have a priority")
def _(lab, f):
    packet = of_node(f, TCP(flags="SA"))
    lab.put(packet, port=NODE0_SIDE)
    frame = bytearray(lab.in_bytes)
    frame[14] |= 0xF0
    lab.put_bytes(bytes(frame), port=NODE0_SIDE)
    lab.expect_sent(to_client(f, packet), GATEWAY)


@both("dnat: a reply may come by any port")
def _(lab, f):
    for port in (CLIENTS, NODE0_SIDE, NODE1_SIDE):
        goes_to_client(lab, f, of_node(f, TCP(flags="SA")), port=port)


@both("dnat: the kernel is a client like any other")
def _(lab, f):
    packet = f.ip(f.machine, f.vip) / TCP(sport=CLIENT_PORT, dport=DNAT, flags="S")
    goes_to_node(lab, f, packet, kernel=True, dst=STRANGER_MAC)


@both("dnat: a reply that the kernel forwards is turned back")
def _(lab, f):
    packet = of_node(f, TCP(flags="SA"))
    goes_to_client(lab, f, packet, kernel=True, src=PORT_MACS[1], dst=STRANGER_MAC)


# Whose replies are turned back


def passes(lab, packet, kernel_class, **put):
    put.setdefault("port", NODE0_SIDE)
    lab.put(packet, **put)
    lab.expect_passed(kernel_class)


def not_a_reply(what, kernel_class, make, before=()):
    """`make(f)` gives packets that pass to the kernel as they are."""

    @both("dnat: not a reply: " + what)
    def _(lab, f):
        for line in before:
            lab.ask(line)
        for packet in make(f):
            passes(lab, packet, kernel_class)


def from_address(address, **more):
    """Packets from the NodePort of an address."""

    def make(f):
        for l4 in (TCP(flags="SA"), UDP() / b"x"):
            packet = of_node(f, l4, **more)
            network(packet).src = address(f)
            yield packet

    return make


not_a_reply("from a node of other services", "control", from_address(lambda f: f.node(1)))
not_a_reply("from no node", "other", from_address(lambda f: f.node_router))
not_a_reply("from a client", "other", from_address(lambda f: f.router))
not_a_reply("from this machine's address", "other", from_address(lambda f: f.machine))
not_a_reply("from the VIP", "other", from_address(lambda f: f.vip))
not_a_reply(
    "from a node that is the service's no more",
    "control",
    from_address(lambda f: f.node0),
    ["node 0 %d" % ABSENT],
)
not_a_reply(
    "from the NodePorts of services in other modes",
    "control",
    lambda f: [of_node(f, TCP(), port) for port in (HTTP, DSR, TUNNEL, GUE)],
)
not_a_reply(
    "from ports beside the NodePort",
    "control",
    lambda f: [of_node(f, UDP() / b"x", port) for port in (DNAT - 1, DNAT - 1000)],
)
not_a_reply(
    "to the NodePort",
    "control",
    lambda f: [
        f.ip(f.node0, f.client) / TCP(sport=DNAT, dport=node_port(DNAT)),
        f.ip(f.node0, f.node(1)) / TCP(sport=CLIENT_PORT, dport=node_port(DNAT)),
    ],
)
not_a_reply(
    "over another protocol",
    "control",
    lambda f: [
        f.ip(f.node0, f.client) / SCTP(sport=node_port(DNAT), dport=CLIENT_PORT),
        f.ip(f.node0, f.client, **({"proto": 50} if f.is_ipv4 else {"nh": 50}))
        / bytes(UDP(sport=node_port(DNAT))),
    ],
)
not_a_reply(
    "a client's packet to the NodePort itself",
    "other",
    lambda f: [f.ip(f.client, f.node0) / TCP(sport=CLIENT_PORT, dport=node_port(DNAT))],
)
not_a_reply(
    "ping from a node to a client",
    "control",
    lambda f: [
        f.ip(f.node0, f.client) / (ICMP(type=8) if f.is_ipv4 else ICMPv6EchoRequest())
    ],
)


@both("dnat: a reply to this machine is the kernel's, untouched")
def _(lab, f):
    for hops in (64, 1):
        for l4 in (TCP(flags="SA"), UDP() / b"x"):
            packet = of_node(f, l4, hops=hops)
            network(packet).dst = f.machine
            passes(lab, packet, "control")
            passes(lab, packet, "control", padding=b"\0" * 5)


@both("dnat: a reply of a node to another is turned back, as a client")
def _(lab, f):
    packet = f.ip(f.node(1), f.vip) / TCP(sport=CLIENT_PORT, dport=DNAT, flags="S")
    goes_to_node(lab, f, packet, port=NODE1_SIDE)
    packet = f.ip(f.node0, f.node(1)) / TCP(sport=node_port(DNAT), dport=CLIENT_PORT, flags="SA")
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_sent(to_client(f, packet), NODE1_HOP)


def state_of_node(what, state):
    @both("dnat: a node that %s still answers" % what)
    def _(lab, f):
        lab.ask("node 0 %d" % state)
        goes_to_client(lab, f, of_node(f, TCP(flags="PA") / b"data"))


state_of_node("drains", DRAINING)
state_of_node("is down", DOWN)


@case("dnat: a reply over UDP without a checksum, which IPv6 refuses, is not turned back")
def _(lab):
    passes(lab, of_node(V6, UDP(chksum=0) / b"x"), "control")


@both("dnat: a reply to a client without a route")
def _(lab, f):
    packet = of_node(f, UDP() / b"x")
    network(packet).dst = f.lost
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_drop("no-route")


@both("dnat: a reply waits for a client on a connected network")
def _(lab, f):
    packet = of_node(f, UDP() / b"x")
    network(packet).dst = f.connected
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_waiting(to_client(f, packet))


@case("dnat: a reply goes straight to a neighbour", V4)
def _(lab, f):
    packet = of_node(f, UDP() / b"x")
    network(packet).dst = f.neighbour
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_sent(to_client(f, packet), NEIGHBOUR)


@both("dnat: a packet waits for its node, and then goes to it")
def _(lab, f):
    lab.ask("hop %d -1" % HOP_NODE0)
    packet = of_client(f, TCP(flags="S"))
    lab.put(packet)
    lab.expect_waiting(to_node(f, packet))
    lab.ask("hop %d %d" % (HOP_NODE0, NODE0_SIDE))
    lab.retry()
    lab.expect_sent(to_node(f, packet), NODE0_HOP)


@both("dnat: a packet larger than the node's MTU is answered by what fits")
def _(lab, f):
    head = 40 if f.is_ipv4 else 60
    more = {"flags": "DF"} if f.is_ipv4 else {}
    for length in (1401, 1500):
        packet = of_client(f, TCP() / data(length - head), **more)
        lab.put(packet)
        lab.expect_answer(too_big(packet, f, 1400), drop="too-big")


# dsr: nothing changes but the MAC addresses.


def l4s(port):
    ports = {"sport": CLIENT_PORT, "dport": port}
    return [
        ("TCP", TCP(flags="S", **ports)),
        ("UDP", UDP(**ports) / b"question"),
        ("SCTP", SCTP(tag=0, **ports) / SCTPChunkInit()),
    ]


def goes_as_it_came(lab, packet, hop=NODE0_HOP, **put):
    lab.put(packet, **put)
    lab.expect_sent(packet, hop)


for name, l4 in l4s(DSR):

    @both("dsr: %s" % name, l4=l4)
    def _(lab, f, l4):
        goes_as_it_came(lab, f.ip(f.client, f.vip) / l4)

    @both("dsr: %s with padding behind it" % name, l4=l4)
    def _(lab, f, l4):
        for n in (1, 6, 1000):
            goes_as_it_came(lab, f.ip(f.client, f.vip) / l4, padding=b"\xee" * n)

    @both("dsr: %s of any hop limit" % name, l4=l4)
    def _(lab, f, l4):
        for hops in (1, 2, 64, 255):
            goes_as_it_came(lab, f.ip(f.client, f.vip, hops) / l4)

    @both("dsr: %s from the kernel" % name, l4=l4)
    def _(lab, f, l4):
        packet = f.ip(f.machine, f.vip) / l4
        goes_as_it_came(lab, packet, kernel=True, src=PORT_MACS[0], dst=STRANGER_MAC)

    @both("dsr: %s that the node sends on" % name, l4=l4)
    def _(lab, f, l4):
        for hops in (1, 64):
            packet = f.ip(f.client, f.vip, hops) / l4
            lab.put(packet, port=NODE0_SIDE)
            lab.expect_drop("loop")
            lab.put(packet, src=NODE0_HOP[0])
            lab.expect_drop("loop")

    @both("dsr: %s from an address of ours" % name, l4=l4)
    def _(lab, f, l4):
        for ours in (f.vip, f.quiet_vip, f.snat):
            lab.put(f.ip(ours, f.vip) / l4)
            lab.expect_drop("bad-source")


@both("dsr: SCTP data, whatever its checksum")
def _(lab, f):
    for more in ({}, {"chksum": 0}, {"chksum": 0x12345678}):
        l4 = SCTP(sport=CLIENT_PORT, dport=DSR, **more) / SCTPChunkData(data=data(99))
        goes_as_it_came(lab, f.ip(f.client, f.vip) / l4)


@both("dsr: a wrong checksum of TCP or UDP is the node's to see")
def _(lab, f):
    for l4 in (TCP, UDP):
        packet = f.ip(f.client, f.vip) / l4(sport=CLIENT_PORT, dport=DSR, chksum=0x1234)
        goes_as_it_came(lab, packet / b"data")


@both("dsr: what another node sends is no loop")
def _(lab, f):
    packet = f.ip(f.node(1), f.vip) / TCP(sport=CLIENT_PORT, dport=DSR, flags="S")
    goes_as_it_came(lab, packet, port=NODE1_SIDE)
    packet[TCP].dport = DSR_BIG
    goes_as_it_came(lab, packet, NODE1_HOP, port=NODE0_SIDE)


@both("dsr: any length, to what the port takes")
def _(lab, f):
    head = 28 if f.is_ipv4 else 48
    for n in (0, 1, 2, 3, 1399 - head, 1400 - head):
        l4 = UDP(sport=CLIENT_PORT, dport=DSR) / data(n)
        goes_as_it_came(lab, f.ip(f.client, f.vip) / l4)
    l4 = UDP(sport=CLIENT_PORT, dport=DSR_BIG) / data(9000 - head)
    goes_as_it_came(lab, f.ip(f.client, f.vip) / l4, NODE1_HOP, src=GATEWAY[0])


@both("dsr: every field of the IP header stays")
def _(lab, f):
    for more in (
        [{"tos": 0xFF, "id": 0xBEEF}, {"flags": "DF"}, {"flags": "evil"}]
        if f.is_ipv4
        else [{"tc": 0xFF, "fl": 0xBEEF7}]
    ):
        goes_as_it_came(lab, f.ip(f.client, f.vip, **more) / l4s(DSR)[0][1])


@case("dsr: IPv4 options stay", V4)
def _(lab, f):
    for _, options in IPV4_OPTIONS:
        for _, l4 in l4s(DSR):
            goes_as_it_came(lab, f.ip(f.client, f.vip, options=options) / l4)


@case("dsr: IPv6 extension headers stay", V6)
def _(lab, f):
    for _, headers in IPV6_EXTENSIONS:
        for _, l4 in l4s(DSR):
            goes_as_it_came(lab, chained(headers, f.ip(f.client, f.vip) / l4))


@case("dsr: UDP without a checksum", V4)
def _(lab, f):
    l4 = UDP(sport=CLIENT_PORT, dport=DSR, chksum=0) / b"x"
    goes_as_it_came(lab, f.ip(f.client, f.vip) / l4)


@both("dsr: a packet larger than the node's MTU is answered by what fits")
def _(lab, f):
    head = 28 if f.is_ipv4 else 48
    more = {"flags": "DF"} if f.is_ipv4 else {}
    for hops, length in ((64, 1401), (1, 1500)):
        packet = f.ip(f.client, f.vip, hops, **more) / UDP(
            sport=CLIENT_PORT, dport=DSR
        ) / data(length - head)
        lab.put(packet)
        lab.expect_answer(too_big(packet, f, 1400), drop="too-big")


@both("dsr: SCTP larger than the node's MTU is answered by what fits")
def _(lab, f):
    more = {"flags": "DF"} if f.is_ipv4 else {}
    packet = f.ip(f.client, f.vip, **more) / SCTP(
        sport=CLIENT_PORT, dport=DSR
    ) / SCTPChunkData(data=data(1400))
    lab.put(packet)
    lab.expect_answer(too_big(packet, f, 1400), drop="too-big")


@both("dsr: a packet waits for its node")
def _(lab, f):
    lab.ask("hop %d -1" % HOP_NODE0)
    packet = f.ip(f.client, f.vip, 1) / TCP(sport=CLIENT_PORT, dport=DSR, flags="S")
    lab.put(packet)
    lab.expect_waiting(packet)


@both("dsr: answers of the node are none of ours")
def _(lab, f):
    packet = f.ip(f.vip, f.client) / TCP(sport=DSR, dport=CLIENT_PORT, flags="SA")
    lab.put(packet, port=NODE0_SIDE)
    lab.expect_passed("other")


# What is alike in all modes without flows


@both("a client's packets go to one node, in dsr as in others")
def _(lab, f):
    for port, hop in ((DSR, NODE0_HOP), (DSR_BIG, NODE1_HOP)):
        for flags in ("S", "A", "PA", "FA", "R", ""):
            l4 = TCP(sport=CLIENT_PORT, dport=port, flags=flags)
            goes_as_it_came(lab, f.ip(f.client, f.vip) / l4, hop)


for mode, port in [("dnat", DNAT), ("dsr", DSR), ("tunnel", TUNNEL), ("gue", GUE_CROSS)]:

    @both("%s: without a node that may be used, TCP is reset" % mode, port=port)
    def _(lab, f, port):
        lab.ask("empty %d" % port)
        for flags, wanted in [
            ("S", {"flags": "RA", "seq": 0, "ack": 1001}),
            ("A", {"flags": "R", "seq": 2000, "ack": 0}),
        ]:
            l4 = TCP(sport=CLIENT_PORT, dport=port, flags=flags, seq=1000, ack=2000)
            packet = f.ip(f.client, f.vip) / l4
            lab.put(packet)
            lab.expect_answer(reset_of(packet, f, **wanted), drop="no-target")
        lab.put(f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=port, flags="R"))
        lab.expect_drop("no-target")

    @both("%s: without a node that may be used, UDP is unreachable" % mode, port=port)
    def _(lab, f, port):
        lab.ask("empty %d" % port)
        packet = f.ip(f.client, f.vip) / UDP(sport=CLIENT_PORT, dport=port) / data(100)
        lab.put(packet)
        lab.expect_answer(unreachable(packet, f), drop="no-target")

    @both("%s: packets that are wrong go no further" % mode, port=port)
    def _(lab, f, port):
        for reason, packet in wrong_packets(f, port):
            lab.put(packet, ethertype=f.ethertype)
            lab.expect_drop(reason)

    @both("%s: a flow must not begin at an address of ours" % mode, port=port)
    def _(lab, f, port):
        for ours in (f.vip, f.quiet_vip, f.snat):
            for l4 in (TCP(flags="S"), UDP() / b"x"):
                packet = f.ip(ours, f.vip) / l4
                l4_of(packet).sport, l4_of(packet).dport = 7, port
                lab.put(packet)
                lab.expect_drop("bad-source")

    @both("%s: another VIP, port or protocol is no service" % mode, port=port)
    def _(lab, f, port):
        more = {"proto": 33} if f.is_ipv4 else {"nh": 33}
        for packet in [
            f.ip(f.client, f.quiet_vip) / TCP(dport=port, flags="R"),
            f.ip(f.client, f.vip) / TCP(dport=port + 100, flags="R"),
            f.ip(f.client, f.vip, **more) / bytes(UDP(dport=port)),
        ]:
            lab.put(packet)
            lab.expect_drop("no-service")


# What nodes have to learn first: a SYN says in its acknowledgment number which node it asks.


def question(f, port, node, flags="S", mark=0x4757, source=None):
    l4 = TCP(sport=CLIENT_PORT, dport=port, flags=flags, seq=7, ack=mark << 16 | node)
    return f.ip(source or f.machine, f.vip) / l4


LEARNING = [("dsr", DSR, 0, NODE0_HOP), ("dsr", DSR_BIG, 1, NODE1_HOP)]
for mode, port, node, hop in LEARNING:

    @both("%s: node %d is asked, whether it knows the VIP or not" % (mode, node), port=port, node=node, hop=hop)
    def _(lab, f, port, node, hop):
        for change in (None, "await %d", "empty %d"):
            if change:
                lab.ask(change % port)
            for flags in ("S", "R"):
                packet = question(f, port, node, flags)
                lab.put(packet, port=NODE0_SIDE, kernel=True)
                lab.expect_sent(packet, hop)


for mode, port in [("dsr", DSR), ("tunnel", TUNNEL), ("gue", GUE_CROSS), ("crossing", CROSS)]:

    @both("%s: packets of clients end in silence until a node knows the VIP" % mode, port=port)
    def _(lab, f, port):
        lab.ask("await %d" % port)
        for flags in ("S", "A", "R"):
            lab.put(f.ip(f.client, f.vip) / TCP(sport=CLIENT_PORT, dport=port, flags=flags))
            lab.expect_drop("target-not-ready")
        lab.put(f.ip(f.client, f.vip) / UDP(sport=CLIENT_PORT, dport=port) / b"x")
        lab.expect_drop("target-not-ready")
        lab.put(f.ip(f.client, f.vip) / SCTP(sport=CLIENT_PORT, dport=port))
        lab.expect_drop("target-not-ready")

    @both("%s: a question that a node sends on reaches no other node" % mode, port=port)
    def _(lab, f, port):
        for node in (0, 1):
            for at in (NODE0_SIDE, NODE1_SIDE, CLIENTS):
                lab.put(question(f, port, node), port=at)
                lab.expect_drop("loop")

    @both("%s: a node that is none of the service's is not asked" % mode, port=port)
    def _(lab, f, port):
        # The daemon's node 5 is that of services which a case left empty, and theirs for a while.
        for node in (2, 4, 8, 0xFFFF):
            lab.put(question(f, port, node), port=NODE0_SIDE, kernel=True)
            lab.expect_drop("target-not-ready")


@both("dsr: a number that is acknowledged, or that asks nothing, names no node")
def _(lab, f):
    for flags, mark in (("A", 0x4757), ("SA", 0x4757), ("S", 0x4756), ("S", 0)):
        packet = question(f, DSR, 1, flags, mark, source=f.client)
        lab.put(packet)
        lab.expect_sent(packet, NODE0_HOP)


@both("dnat: nodes need not learn anything, and are not asked")
def _(lab, f):
    packet = question(f, DNAT, 1, source=f.client)
    goes_to_node(lab, f, packet)


@both("dnat: SCTP is no service")
def _(lab, f):
    lab.put(f.ip(f.client, f.vip) / SCTP(sport=CLIENT_PORT, dport=DNAT))
    lab.expect_drop("no-service")


for mode, port in [("dsr", DSR), ("tunnel", NARROW), ("gue", GUE_CROSS), ("crossing", CROSS)]:

    @both("%s: SCTP without a node that may be used" % mode, port=port)
    def _(lab, f, port):
        lab.ask("empty %d" % port)
        lab.put(f.ip(f.client, f.vip) / SCTP(sport=CLIENT_PORT, dport=port))
        lab.expect_drop("no-target")

    @both("%s: SCTP cut in its header" % mode, port=port)
    def _(lab, f, port):
        more = {"proto": 132} if f.is_ipv4 else {"nh": 132}
        l4 = bytes(SCTP(sport=CLIENT_PORT, dport=port))
        for n in (0, 4, 11):
            lab.put(f.ip(f.client, f.vip, **more) / l4[:n])
            lab.expect_drop("truncated")


def wrong_packets(f, port):
    """What each is dropped for, and its bytes."""
    tcp = f.ip(f.client, f.vip) / TCP(sport=7, dport=port, flags="S") / data(20)
    udp = f.ip(f.client, f.vip) / UDP(sport=7, dport=port) / data(20)
    head = len(tcp) - 40

    def changed(packet, at, byte):
        whole = bytes(packet)
        return whole[:at] + bytes([byte]) + whole[at + 1 :]

    yield "truncated", bytes(tcp)[:-1]
    yield "truncated", bytes(tcp)[: head + 10]
    yield "malformed", changed(tcp, head + 12, 0x40)
    yield "malformed", changed(tcp, head + 12, 0xF0)
    yield "malformed", changed(udp, head + 5, 7)
    yield "malformed", changed(udp, head + 5, 29)
    if f.is_ipv4:
        yield "bad-checksum", changed(udp, 10, bytes(udp)[10] ^ 1)
        yield "malformed", changed(udp, 0, 0x44)
    else:
        udp.chksum = 0
        yield "zero-checksum", bytes(udp)
        yield "malformed", bytes(chained([extension()] * 9, tcp))
    for source in ("127.0.0.1", "224.0.0.1") if f.is_ipv4 else ("::1", "ff02::1"):
        yield "bad-source", bytes(f.ip(source, f.vip) / UDP(sport=7, dport=port) / b"x")
