"""The world of lab.py made of the real Guideway: its configuration, and the kernel beside it.

    raw socket ── TAP "w0" ── net_tap0 ─┐            ┌─ twin "gw0" ── raw socket
    raw socket ── TAP "w1" ── net_tap1 ─┼─ guideway ─┼─ twin "gw1" ── raw socket
    raw socket ── veth "w2" ───── "p2" ─┘            └─ twin "gw2" ── raw socket

The third is driven by AF_PACKET, since a TAP of DPDK's has an MTU of 1504 at most. All of it lives in
one network namespace, ours, in which the kernel's own stack hears and says nothing by these
interfaces (SILENCE): the only frames there are those of the cases, and what becomes of them. What the
daemon did with one is told by its counters: by them it is known when it is done, how many frames have
to come out, and for which reason one did not.

A case has its world to itself by having a client of its own, another with each begin(). What is known
of nodes, and a case may spoil for the next (SPOILS), is left behind by giving all nodes other
addresses.
"""

import copy
import http.client
import json
import select
import signal
import socket
import struct
import subprocess
import time

from configuration import DRAIN_S, NODES, TWINS, WIRES, Settings, node_name
from lab import (
    CLIENTS,
    DRAINING,
    DSR,
    DSR_BIG,
    GATEWAY,
    HOP_NODE0,
    HOP_NODE1,
    NEIGHBOUR,
    NODE0_HOP,
    NODE1_HOP,
    NODE1_SIDE,
    PORT_MACS,
    V4,
    V6,
    Lab,
    Mismatch,
)

PATIENCE_S = 5
SOON_S = 0.0015  # What the worker needs, as a rule.
CABLE = """
link add w2 mtu 9000 type veth peer name p2 address %s mtu 9000
link set p2 up
""" % PORT_MACS[2]

# Counted while a case runs, this says that later ones would meet what it left behind.
SPOILS = "path-mtu-learned"

# The longest that a TAP of DPDK's takes.
FRAME_MAX = 1504 + 14

# What clocks do, not the frame that was just put in.
BY_THE_CLOCK = ["fragment-timeout"]

# Where nodes are whose MAC addresses may be forgotten; services of mode dsr that lead to them alone;
# and what runner.c calls these next hops.
HOPS = {0: NODE0_HOP, 1: NODE1_HOP}
PORTS_OF_NODES = {0: DSR, 1: DSR_BIG}
NODES_OF_HOPS = {HOP_NODE0: 0, HOP_NODE1: 1}

# What the kernel is told once there are twins,
KERNEL = """
addr add 172.31.0.1/30 dev gw0
addr add fe80::1/64 dev gw0 nodad
neigh replace 172.31.0.2 lladdr %s dev gw0 nud permanent
neigh replace fe80::2 lladdr %s dev gw0 nud permanent
route add 198.51.0.0/16 via 172.31.0.2 dev gw0
route add 2001:db8:c::/48 via fe80::2 dev gw0
route add 203.0.113.0/24 dev gw0
route add 2001:db8:113::/64 dev gw0
neigh replace %s lladdr %s dev gw0 nud permanent
""" % (GATEWAY[0], GATEWAY[0], V4.neighbour, NEIGHBOUR[0])

# of this machine itself, in each family,
KERNEL_ITSELF = """
addr add {f.machine}/{bits} dev gw0{nodad}
addr add {f.tunnel}/{bits} dev gw1{nodad}
"""

# and of nodes. 2 is this machine, nobody knows 3's MAC address, and no route leads to 4.
KERNEL_NODES = """
route add {nodes[0]}/{bits} dev gw1
route add {nodes[1]}/{bits} dev gw2
addr add {nodes[2]}/{bits} dev gw1{nodad}
route add {nodes[3]}/{bits} dev gw0
"""

# Raw sockets hear a frame before these rules do. Ours mark what they say.
MARK = 7
SILENCE = "\n".join(
    "add table netdev quiet_%s; delete table netdev quiet_%s; table netdev quiet_%s {"
    ' chain in { type filter hook ingress device "%s" priority -500; policy drop; };'
    ' chain out { type filter hook egress device "%s" priority -500; policy drop; meta mark %d accept; };'
    " };" % (name, name, name, name, name, MARK)
    for name in WIRES + TWINS
)

# The kernel's names, which Python does not have.
SOL_PACKET, PACKET_AUXDATA, ETH_P_ALL = 263, 8, 3
TP_STATUS_VLAN_VALID = 0x10


class Unseen:
    """What cannot be seen from outside: as good as any of some words, or of all."""

    def __init__(self, *words):
        self.words = words

    def __eq__(self, other):
        return not self.words or other in self.words

    def __str__(self):
        return "unseen: " + " or ".join(self.words)


class Wire:
    """A raw socket on an interface. Frames go in and come out of it as they are."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((name, 0))
        self.socket.setblocking(False)

    def send(self, frame):
        try:
            self.socket.send(frame)
        except OSError as error:
            raise Mismatch("the kernel does not send %d bytes: %s" % (len(frame), error))

    def receive(self):
        """The next frame that comes out, or None if there is none yet."""
        while True:
            try:
                frame, others, _, sender = self.socket.recvmsg(65536, 256)
            except BlockingIOError:
                return None
            if sender[2] != socket.PACKET_OUTGOING:
                return self.tagged(frame, others)

    def tagged(self, frame, others):
        """The kernel takes the tag off, and says so beside the frame."""
        for _, _, data in others:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                return frame[:12] + struct.pack("!HH", tpid or 0x8100, tci) + frame[12:]
        return frame

    def close(self):
        self.socket.close()


class Api(http.client.HTTPConnection):
    """The management API, over one connection."""

    def __init__(self, path):
        super().__init__("guideway", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self.path)

    def ask(self, resource, method="GET"):
        self.request(method, "/v1/" + resource)
        answer = self.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError("%s: %s" % (resource, body.decode()))
        return json.loads(body)


def wait_until(what, condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Mismatch("still not so after %d s: %s" % (PATIENCE_S, what))
        time.sleep(0.0005)


def endpoint(address, port):
    return ("[%s]:%d" if ":" in address else "%s:%d") % (address, port)


def run(arguments, lines):
    done = subprocess.run(arguments, input=lines, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError("%s: %s%s" % (arguments[0], done.stdout, done.stderr))


def run_ip(lines):
    run(["ip", "-batch", "-"], lines)


def of_each(lines):
    """What to tell the kernel of each family."""
    return "".join(
        lines.format(
            f=f,
            nodes=[f.node(i) for i in NODES],
            bits=32 if f.is_ipv4 else 128,
            nodad="" if f.is_ipv4 else " nodad",
        )
        for f in (V4, V6)
    )


class Moment:
    """What was counted until now."""

    def __init__(self, document):
        self.events, self.drops = document["events"], document["drops"]

    def since(self, before, word):
        return self.events.get(word, 0) - before.events.get(word, 0)

    def dropped_since(self, before):
        """The reasons, as one word."""
        reasons = [
            word
            for word, n in self.drops.items()
            if n > before.drops[word] and word not in BY_THE_CLOCK
        ]
        return "+".join(reasons) or "none"


class DaemonLab(Lab):
    """A conversation with the real Guideway."""

    def __init__(self, guideway, folder):
        self.guideway, self.folder = guideway, folder
        self.process = self.api = None
        self.wires = self.twins = ()
        self.n_clients = self.n_starts = self.n_reloads = self.n_moves = 0
        self.kernel_class = Unseen()
        self.lost = set()  # Nodes whose MAC address was forgotten,
        self.drained = []  # names of those that are drained,
        self.found = False  # and whether the strangers' were told.
        self.is_broken = False

        run_ip(CABLE)

    # Start and stop

    def start(self):
        self.settings = self.wanted = Settings(self.n_moves)
        self.lost, self.drained, self.found, self.is_broken = set(), [], False, False
        self.write_configuration()
        log = open(self.folder + "/guideway.log", "a")
        arguments = [self.guideway, "--config", self.folder + "/guideway.conf"]
        self.process = subprocess.Popen(arguments, stdout=log, stderr=log)
        self.n_starts += 1
        self.api = Api(self.folder + "/guideway.sock")
        wait_until("its API answers", self.is_ready)
        self.tell_kernel()
        self.wires = [Wire(name) for name in WIRES]
        self.twins = [Wire(name) for name in TWINS]
        self.wait_for_nodes()
        wait_until("nothing is on its way", self.is_quiet)
        self.unspoilt = self.now

    def is_quiet(self):
        """What the kernel said before it was silenced is taken out of the way."""
        before = self.read_counters()
        time.sleep(0.03)
        self.now = self.read_counters()
        for wire in [*self.wires, *self.twins]:
            for _ in iter(wire.receive, None):
                pass
        words = ("rx-packets", "tx-packets", "from-kernel", "to-kernel")
        return not any(self.now.since(before, word) for word in words)

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("it ended with status %d" % self.process.returncode)
        try:
            return self.api.ask("status")["ready"]
        except (OSError, http.client.HTTPException):
            self.api.close()
            return False

    def stop_well(self):
        status = self.stop()
        if status != 0:
            raise RuntimeError("it ended with status %d" % status)

    def stop(self):
        """Returns its status."""
        if self.process is None:
            return 0
        for wire in [*self.wires, *self.twins]:
            wire.close()
        self.api.close()
        self.process.terminate()
        status = self.process.wait(PATIENCE_S)
        self.process = None
        return status

    def close(self):
        return self.stop()

    def write_configuration(self):
        with open(self.folder + "/guideway.conf", "w") as file:
            file.write(self.settings.text(self.folder))

    def read_counters(self):
        return Moment(self.api.ask("counters"))

    # The kernel beside it

    def tell_kernel(self):
        for name in WIRES + TWINS:
            with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % name, "w") as file:
                file.write("1" if name in WIRES else "0")
        run(["nft", "-f", "-"], SILENCE)
        up = "".join("link set %s up\n" % name for name in TWINS)
        # What a case puts in may be larger than what the port may send.
        up += "".join("link set %s mtu 9000 up\n" % name for name in WIRES)
        run_ip(up + KERNEL + of_each(KERNEL_ITSELF))
        self.tell_of_nodes()

    def tell_of_nodes(self):
        run_ip(of_each(KERNEL_NODES) + "".join(self.neighbour(node) for node in HOPS))

    def neighbour(self, node):
        mac, port = HOPS[node]
        return "".join(
            "neigh replace %s lladdr %s dev gw%d nud permanent\n" % (f.node(node), mac, port)
            for f in (V4, V6)
        )

    def knows(self, node, wanted=True):
        """Whether it knows the MAC address of a node, or does not by False, for packets of both
        families; by None whether it sends none there."""
        port = PORTS_OF_NODES[node]
        return all(
            self.api.ask(
                "explain?protocol=tcp&client=%s&vip=%s"
                % (endpoint(f.client, 9), endpoint(f.vip, port))
            ).get("next_hop_resolved")
            is wanted
            for f in (V4, V6)
        )

    def set_hop(self, node, is_known):
        self.reload()
        if is_known:
            run_ip(self.neighbour(node))
            self.lost.discard(node)
        else:
            lines = "".join(
                "neigh del %s dev gw%d\n" % (f.node(node), HOPS[node][1]) for f in (V4, V6)
            )
            run_ip(lines)
            self.lost.add(node)
        wait_until("a next hop is as it should be", lambda: self.knows(node, is_known))

    # The world

    def begin(self):
        if self.process is None:
            self.start()
        elif self.is_broken:
            self.stop_well()
            self.start()
        self.undo()
        if self.now.since(self.unspoilt, SPOILS):
            self.move_nodes()
        self.n_clients += 1
        V4.client = "198.51.%d.%d" % (101 + self.n_clients // 250, 1 + self.n_clients % 250)
        V6.client = "2001:db8:c:%x::7" % self.n_clients
        self.begun = self.now

    def broke(self):
        self.is_broken = True

    def move_nodes(self):
        """To other addresses, where they are other nodes to the daemon."""
        self.n_moves += 1
        V4.node0 = "192.168.%d.10" % self.n_moves
        V6.node0 = "2001:db8:2:%x::10" % self.n_moves
        self.tell_of_nodes()
        self.wanted.moved = self.n_moves
        self.reload()
        self.wait_for_nodes()
        self.unspoilt = self.now

    def wait_for_nodes(self):
        wait_until(
            "it knows the nodes' MAC addresses", lambda: all(self.knows(node) for node in HOPS)
        )

    def undo(self):
        """What the last case changed. What is configured is changed only when a frame comes."""
        self.wanted = Settings(self.n_moves)
        for name in self.drained:
            self.api.ask("nodes/%s/undrain" % name, "POST")
        if self.drained:
            self.wait_for_nodes()
        self.drained = []
        for node in list(self.lost):
            self.set_hop(node, True)
        if self.found:
            self.tell_of_strangers("del %s dev gw0\n")
        self.found = False

    def tell_of_strangers(self, line):
        strangers = [V4.node(3), V6.node(3), V4.connected, V6.connected]
        run_ip("".join("neigh " + line % one for one in strangers))

    def ask(self, line):
        words = line.split()
        if line == "world":
            self.begin()
        elif words[0] == "hop":
            self.set_hop(NODES_OF_HOPS[int(words[1])], int(words[2]) >= 0)
        elif words[0] == "node" and int(words[2]) == DRAINING:
            self.drain()
        else:
            self.change(words)

    def drain(self):
        self.drained = [node_name(0, f) for f in (V4, V6)]
        for name in self.drained:
            self.api.ask("nodes/%s/drain" % name, "POST")
        wait_until("it takes no new flows", lambda: self.knows(0, None))

    def change(self, words):
        # No case changes what another has changed.
        self.wanted = copy.deepcopy(self.wanted)
        self.wanted.change(words)

    def settle(self):
        wait_until("no table waits", lambda: self.api.ask("status")["table"]["waiting"] == 0)

    def reload(self):
        """Reads the wanted settings, unless they are in force."""
        if self.wanted == self.settings:
            return
        self.settings = self.wanted
        self.write_configuration()
        before = self.times_read()
        self.process.send_signal(signal.SIGHUP)
        self.n_reloads += 1
        wait_until("it has read its configuration again", lambda: self.times_read() > before)
        self.settle()
        if self.settings.without_node0:
            time.sleep(DRAIN_S + 1)
            self.settle()
        if self.settings.node0_is_down:
            wait_until("node 0 is down", lambda: self.knows(0, None))
            self.settle()
        self.now = self.read_counters()

    def times_read(self):
        with open(self.folder + "/guideway.log") as file:
            return file.read().count(" again: ")

    # Frames

    def put_bytes(self, frame, port=CLIENTS, kernel=False):
        self.reload()
        before = self.now
        if port == CLIENTS and len(frame) > FRAME_MAX:
            # It comes by the port that takes so much. The answer will go there.
            port, frame = NODE1_SIDE, bytes.fromhex(PORT_MACS[NODE1_SIDE].replace(":", "")) + frame[6:]
        self.in_port, self.in_bytes, self.left = port, bytes(frame), None
        (self.twins if kernel else self.wires)[port].send(self.in_bytes)
        self.wait_for_turn(before, "from-kernel" if kernel else "rx-packets")
        self.drop = self.now.dropped_since(before)
        self.collect(self.now.since(before, "tx-packets"), self.now.since(before, "to-kernel"))

    def wait_for_turn(self, before, origin):
        """Until a worker has taken a frame, and ended the turn in which it did."""

        def is_over():
            self.now = self.read_counters()
            n = self.now.since(before, "rx-packets") + self.now.since(before, "from-kernel")
            if n > 1:
                raise Mismatch("a frame came that is none of the case's")
            return self.now.since(before, origin) and self.now.since(before, "busy-polls")

        # By the time that a frame comes out, all else was counted.
        comes_out = self.comes_out(SOON_S)
        wait_until("the worker has taken a frame", is_over)
        if not comes_out:
            self.now = self.read_counters()

    def comes_out(self, wait_s):
        sockets = [wire.socket for wire in [*self.wires, *self.twins]]
        return bool(select.select(sockets, [], [], wait_s)[0])

    def collect(self, n_ports, n_kernel):
        """As many frames as are said to have come out of ports, and of twins."""
        found = self.receive(self.wires, n_ports), self.receive(self.twins, n_kernel)
        if n_ports and n_kernel:
            raise Mismatch("frames went out by ports and to the kernel")
        if not n_ports and not n_kernel:
            self.way = "none" if self.drop != "none" else Unseen("none", "kept", "waiting")
            self.at, self.outs = self.in_port, []
        else:
            self.way = "port" if n_ports else "kernel"
            self.at = (found[0] or found[1])[0][0]
            self.outs = [frame for _, frame in found[0] or found[1]]
        self.first = self.outs[0] if self.outs else None

    def receive(self, wires, n):
        """Pairs of port and frame."""
        found = []
        end = time.monotonic() + PATIENCE_S
        while True:
            for i, wire in enumerate(wires):
                for frame in iter(wire.receive, None):
                    found.append((i, frame))
            if len(found) == n:
                return found
            if len(found) > n or time.monotonic() > end:
                raise Mismatch("%d frames came out, %d were counted" % (len(found), n))
            select.select([wire.socket for wire in wires], [], [], 0.1)

    def events(self, word):
        return self.now.since(self.begun, word)

    # What waits is seen once its next hop is known.

    @property
    def out(self):
        """The first frame that came out; the packet that waits, where none did."""
        if self.first is None:
            before = self.way
            self.retry()
            self.first, self.way = self.sent(), before
        return self.first

    def retry(self):
        if self.left is None:
            self.left = self.leave()
        self.way = "port"
        self.at, self.outs = self.left
        self.first = self.outs[0]

    def leave(self):
        """The port and the frames by which what waits leaves."""
        before = self.now
        for node in list(self.lost):
            self.set_hop(node, True)
        self.tell_of_strangers("replace %s lladdr 02:00:00:00:01:04 dev gw0 nud permanent\n")
        self.found = True
        wait_until("what waits has left", lambda: self.has_left(before))
        self.collect(self.now.since(before, "tx-packets"), 0)
        return self.at, self.outs

    def has_left(self, before):
        self.now = self.read_counters()
        return self.now.since(before, "waited") > 0 and self.now.since(before, "tx-packets") > 0
