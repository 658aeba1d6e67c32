"""The world of the corpus, as world.c makes it, and what a case may do in it.

Every frame here, put in or expected, is built by scapy, which computes all lengths and checksums.
"""

import subprocess
from functools import cache

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

# Ports, by who is behind them.
CLIENTS, NODE0_SIDE, NODE1_SIDE = 0, 1, 2
PORT_MACS = ["02:00:00:00:00:%02x" % i for i in range(3)]
MTUS = [1500, 1400, 9000]
VLANS = [0, 100, 0]

# Next hops: (MAC address, port).
GATEWAY = ("02:00:00:00:01:00", CLIENTS)
NODE0_HOP = ("02:00:00:00:01:01", NODE0_SIDE)
NODE1_HOP = ("02:00:00:00:01:02", NODE1_SIDE)
NEIGHBOUR = ("02:00:00:00:01:05", CLIENTS)
NEIGHBOURS = [GATEWAY[0], NODE0_HOP[0], NODE1_HOP[0]]

HTTP, DNS, BIG, LOCAL, UNRESOLVED, NO_ROUTE, NO_TARGET, SPREAD = 80, 53, 81, 82, 83, 84, 85, 443
DNAT, DSR, TUNNEL, NARROW, CROSS, GUE, GUE_CROSS, DSR_BIG = range(1000, 1008)
CLIENT_PORT = 31337

# The numbers of next hops.
HOP_NODE0, HOP_NODE1 = 1, 2

# Target states.
ABSENT, UP, DRAINING, DOWN = range(4)


def node_port(port):
    return 30000 + port


class Family:
    """One of IPv4 and IPv6: the world's addresses, and IP headers."""

    def __init__(self, name, **addresses):
        self.name = name
        self.is_ipv4 = name == "IPv4"
        self.__dict__.update(addresses)

    def ip(self, src, dst, hops=64, **more):
        if self.is_ipv4:
            return IP(src=src, dst=dst, ttl=hops, **more)
        return IPv6(src=src, dst=dst, hlim=hops, **more)

    @property
    def ethertype(self):
        return 0x0800 if self.is_ipv4 else 0x86DD

    def node(self, i):
        return self.node0[:-1] + str(i)


V4 = Family(
    "IPv4",
    client="198.51.100.7",
    router="198.51.100.254",
    connected="203.0.113.9",
    neighbour="203.0.113.5",
    lost="100.64.0.1",  # No route leads there.
    vip="10.0.0.1",
    quiet_vip="10.0.0.2",
    snat="192.0.2.1",
    tunnel="192.0.2.2",
    node0="192.0.2.10",
    node_router="192.0.2.254",
    machine="198.51.100.1",  # The kernel's own.
    group="224.0.0.5",
)
V6 = Family(
    "IPv6",
    client="2001:db8:c::7",
    router="2001:db8:c::fe",
    connected="2001:db8:113::9",
    neighbour=None,
    lost="2001:db8:dead::1",
    vip="2001:db8::1",
    quiet_vip="2001:db8::2",
    snat="2001:db8:2::1",
    tunnel="2001:db8:2::2",
    node0="2001:db8:2::10",
    node_router="2001:db8:2::fe",
    machine="2001:db8:c::1",
    group="ff02::5",
)


def network(packet):
    """The outermost IP header."""
    return packet.getlayer(IP) if packet.haslayer(IP) else packet.getlayer(IPv6)


def translated(packet, src, dst, sport, dport, hops=1):
    """The packet with other ends, `hops` further on."""
    packet = packet.copy()
    ip = network(packet)
    ip.src, ip.dst = src, dst
    if isinstance(ip, IP):
        ip.ttl -= hops
    else:
        ip.hlim -= hops
    l4 = packet.getlayer(TCP) or packet.getlayer(UDP)
    l4.sport, l4.dport = sport, dport
    return packet


ETHERTYPES = {IP: 0x0800, IPv6: 0x86DD, ARP: 0x0806}


@cache
def ethernet(src, dst, vlan, ethertype):
    """The bytes of a header; of few, so they are built once."""
    if vlan:
        return bytes(Ether(src=src, dst=dst) / Dot1Q(vlan=vlan, type=ethertype))
    return bytes(Ether(src=src, dst=dst, type=ethertype))


def framed(packet, port, src=None, dst=None, tagged=True, ethertype=None):
    """The packet in a frame of that port, in bytes. Of bytes the `ethertype` has to be told."""
    ends = src or PORT_MACS[port], dst or PORT_MACS[port]
    vlan = VLANS[port] if tagged else 0
    return ethernet(*ends, vlan, ethertype or ETHERTYPES[type(packet)]) + bytes(packet)


class Mismatch(Exception):
    """The pipeline did something else than a case expects."""


# Where the same frames have to fare alike, and what the runner is told before. 13 bytes are not
# even an Ethernet header.
WHOLE = ("whole", "segments 0")
WORLDS = [
    WHOLE,
    ("in segments of 13", "segments 13"),
    ("in segments of 50", "segments 50"),
    ("among thousands of services", "crowd"),
]


class Lab:
    """What a case does and expects. How frames get to the pipeline, and what is known of them then,
    is a subclass's matter: PipelineLab here, DaemonLab in daemon.py."""

    tells_what_passed = True

    def begin(self):
        """A new world."""
        self.ask("world")

    def ask(self, line):
        """Changes the world, in the words of runner.c."""
        raise NotImplementedError

    def put_bytes(self, frame, port=CLIENTS, kernel=False):
        """A frame arrives. Sets what take() sets."""
        raise NotImplementedError

    def retry(self):
        """What waits is tried again."""
        raise NotImplementedError

    def events(self, word):
        """How often something has happened in this world."""
        raise NotImplementedError

    def broke(self):
        """A case has failed. What it left behind must not reach the next."""

    def close(self):
        """Returns 0 if all ended well."""
        raise NotImplementedError

    # What a case does.

    def sent(self):
        """The IP packet that just went out, in bytes."""
        return self.out[18 if self.way == "port" and VLANS[self.at] else 14 :]

    def put(self, packet, port=CLIENTS, kernel=False, padding=b"", **ether):
        """A packet arrives from the neighbour at `port`, or from the kernel."""
        ether.setdefault("src", NEIGHBOURS[port])
        frame = framed(packet, port, tagged=not kernel, **ether)
        self.put_bytes(frame + padding, port, kernel)

    def snat_port(self):
        """The port that was chosen for the packet that just went out."""
        at = 18 if self.way == "port" and VLANS[self.at] else 14
        return self.snat_port_behind(20 if self.out[at:] and self.out[at] >> 4 == 4 else 40)

    def snat_port_behind(self, header_len):
        """The same of a packet with so long an IP header, its extensions included."""
        at = 18 if self.way == "port" and VLANS[self.at] else 14
        at += header_len
        return int.from_bytes(self.out[at : at + 2], "big")

    # What it expects.

    def check(self, what, found, wanted):
        if found != wanted:
            raise Mismatch("%s is %s, not %s" % (what, found, wanted))

    def check_bytes(self, wanted):
        wanted = bytes(wanted)
        if self.out == wanted:
            return
        differ = [i for i, (a, b) in enumerate(zip(self.out, wanted)) if a != b]
        at = differ[0] if differ else min(len(self.out), len(wanted))
        raise Mismatch(
            "byte %d differs\n    found  %s\n    wanted %s" % (at, self.out.hex(), wanted.hex())
        )

    def expect_drop(self, reason):
        """Nothing goes out."""
        self.check("the drop reason", self.drop, reason)
        self.check("the way", self.way, "none")

    def expect_sent(self, packet, hop):
        mac, port = hop
        self.check("the drop reason", self.drop, "none")
        self.check("the way", self.way, "port")
        self.check("the port", self.at, port)
        self.check_bytes(framed(packet, port, dst=mac))

    def expect_waiting(self, packet):
        self.check("the drop reason", self.drop, "none")
        self.check("the way", self.way, "waiting")
        self.check_bytes(packet)

    def expect_to_kernel(self, packet, port):
        """Forwarded to this very machine."""
        self.check("the drop reason", self.drop, "none")
        self.check("the way", self.way, "kernel")
        self.check("the port", self.at, port)
        self.check("the class", self.kernel_class, "other")
        self.check_bytes(framed(packet, port, tagged=False))

    def expect_passed(self, kernel_class):
        """As it came, but for the tag, to the kernel."""
        wanted = self.in_bytes
        if VLANS[self.in_port]:
            wanted = wanted[:12] + wanted[16:]
        self.check("the drop reason", self.drop, "none")
        self.check("the way", self.way, "kernel")
        self.check("the port", self.at, self.in_port)
        self.check("the class", self.kernel_class, kernel_class)
        self.check_bytes(wanted)

    def expect_out(self):
        """As it came, but for the tag, from the kernel."""
        vlan = VLANS[self.in_port]
        wanted = self.in_bytes
        if vlan:
            wanted = wanted[:12] + bytes([0x81, 0, vlan >> 8, vlan & 255]) + wanted[12:]
        self.check("the drop reason", self.drop, "none")
        self.check("the way", self.way, "port")
        self.check("the port", self.at, self.in_port)
        self.check_bytes(wanted)

    def expect_answer(self, packet, drop="none", dst=None, kernel=False):
        """Back to where it came from."""
        self.check("the drop reason", self.drop, drop)
        self.check("the way", self.way, "kernel" if kernel else "port")
        self.check("the port", self.at, self.in_port)
        if kernel:
            self.check("the class", self.kernel_class, "control")
        dst = dst or self.in_bytes[6:12].hex(":")
        self.check_bytes(framed(packet, self.in_port, dst=dst, tagged=not kernel))

    # What many cases begin with.

    def open_tcp(self, f, port=HTTP, node=0, hop=NODE0_HOP, sport=CLIENT_PORT):
        """A handshake. Returns the SNAT port."""
        syn = f.ip(f.client, f.vip) / TCP(sport=sport, dport=port, flags="S", seq=1000)
        self.put(syn)
        snat_port = self.snat_port()
        ends = (f.snat, f.node(node), snat_port, node_port(port))
        self.expect_sent(translated(syn, *ends), hop)
        reply = f.ip(f.node(node), f.snat) / TCP(
            sport=node_port(port), dport=snat_port, flags="SA", seq=5000, ack=1001
        )
        self.put(reply, port=hop[1])
        self.expect_sent(translated(reply, f.vip, f.client, port, sport), GATEWAY)
        ack = f.ip(f.client, f.vip) / TCP(
            sport=sport, dport=port, flags="A", seq=1001, ack=5001
        )
        self.put(ack)
        self.expect_sent(translated(ack, *ends), hop)
        return snat_port

    def open_udp(self, f, port=DNS, node=0, hop=NODE0_HOP, sport=CLIENT_PORT):
        """A datagram and its answer. Returns the SNAT port."""
        question = f.ip(f.client, f.vip) / UDP(sport=sport, dport=port) / b"question"
        self.put(question)
        snat_port = self.snat_port()
        self.expect_sent(
            translated(question, f.snat, f.node(node), snat_port, node_port(port)), hop
        )
        answer = f.ip(f.node(node), f.snat) / UDP(
            sport=node_port(port), dport=snat_port
        ) / b"answer"
        self.put(answer, port=hop[1])
        self.expect_sent(translated(answer, f.vip, f.client, port, sport), GATEWAY)
        return snat_port


class PipelineLab(Lab):
    """A conversation with the pipeline through runner.c: with several, which must agree, that get
    the same frames in other worlds."""

    def __init__(self, runner, worlds=WORLDS):
        self.worlds = worlds
        self.processes = [
            subprocess.Popen([runner], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in worlds
        ]
        for process, (_, line) in zip(self.processes, worlds):
            self.say(process, line)
            self.hear(process)

    def say(self, process, line):
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def hear(self, process):
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError("the runner ended with status %s" % process.wait())
        return answer.rstrip("\n")

    def ask(self, line):
        for process in self.processes:
            self.say(process, line)
        answers = [self.hear(process) for process in self.processes]
        for (name, _), answer in zip(self.worlds, answers):
            if answer != answers[0]:
                raise Mismatch(
                    "%s the answer is\n    %s\n    and not\n    %s" % (name, answer, answers[0])
                )
        return answers[0]

    def close(self):
        for process in self.processes:
            process.stdin.close()
        return max(process.wait() for process in self.processes)

    def put_bytes(self, frame, port=CLIENTS, kernel=False):
        origin = "kernel" if kernel else "port"
        self.take(self.ask("frame %s %d %s" % (origin, port, bytes(frame).hex())))
        self.in_port = port
        self.in_bytes = bytes(frame)

    def take(self, answer):
        if answer.startswith("differs"):
            raise Mismatch("the trace %s" % answer)
        self.way, at, self.kernel_class, self.drop, out = answer.split(" ")
        self.at = int(at)
        self.outs = [bytes.fromhex(one) for one in out.split(",")]
        self.out = self.outs[0]

    def retry(self):
        """What waits is tried again."""
        self.take(self.ask("retry"))

    def events(self, word):
        return int(self.ask("event " + word))


CASES = []


def case(name, *families, **fixed):
    """Registers a function as a case, for each family if it is for some."""

    def register(function):
        for family in families or [None]:
            arguments = ([family] if family else []) + list(fixed.values())
            suffix = " (%s)" % family.name if family else ""
            CASES.append((name + suffix, function, arguments))
        return function

    return register


def both(name, **fixed):
    return case(name, V4, V6, **fixed)
