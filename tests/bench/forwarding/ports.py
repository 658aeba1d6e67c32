"""What lies between generator and forwarders: ports of one kind in a run.

    memif                generator ───────── memif ───────── forwarder
    af_packet, af_xdp    generator ── g2 ── veth pair ── f ── forwarder
    tap                  generator ── g2 ─────────────────── forwarder

The kernel's interfaces lie in network namespaces, one of the generator and one of each forwarder.
No name holds these, only processes of ours: when those are gone, whatever ended them, so are the
namespaces and the interfaces.
"""

import subprocess

from processes import Failure
from world import FORWARDER_MAC

# Else libxdp puts a program of its own before ours, which needs bpffs; Guideway does the same.
ENVIRONMENT = ("env", "LIBXDP_SKIP_DISPATCHER=1")
RING_BITS = 11  # 2048 packets, as a card's queue.

# What the forwarder reads by AF_PACKET the kernel would take in as well. Guideway sees to that
# itself, in the same way.
DROP_RULE = """
nft 'table netdev bench { chain ingress {
	type filter hook ingress device f priority -2147483648; policy drop; }; }'
"""

VETH = """
pair="numtxqueues 1 numrxqueues 1"
ip link add f address $mac $pair type veth peer name $far $pair netns $generator
echo 1 >/proc/sys/net/ipv6/conf/f/disable_ipv6
ip link set f up
"""


class Memif:
    """Rings in shared memory: the kernel has no part in it, and a port refuses what is too much."""

    name = "memif"
    words = "memif, one arm, 2048 descriptors"
    port_drops = False
    is_costly = False

    def __init__(self, processes):
        self.folder = processes.folder

    def open(self):
        """Before anything else."""

    def device(self, number, role):
        return (f"net_memif{number},id=0,role={role},socket={self.folder}/memif{number},"
                f"socket-abstract=no,rsize={RING_BITS},bsize=2048")

    def of_generator(self, number):
        return self.device(number, "client")

    def of_testpmd(self, number):
        return self.device(number, "server")

    def of_guideway(self, number):
        """Of its configuration."""
        return f'device = "{self.of_testpmd(number)},mac={FORWARDER_MAC}";'

    def around_generator(self, command):
        return command

    def around_testpmd(self, _, command):
        return command

    def around_guideway(self, _, command):
        """Its twin has a name, so that two need namespaces of their own."""
        return ["unshare", "--net", "--", *command]

    def connect(self, number, process):
        """As soon as the forwarder has its port."""


class Kernel:
    """What is the same of all that lead through the kernel. Its sockets refuse nothing: what a
    forwarder does not take in time is lost behind them."""

    port_drops = True
    is_costly = True  # A thousand cycles a packet, and more.
    script = ""
    script_of_testpmd = ""

    def __init__(self, processes):
        self.processes = processes
        self.holder = None  # Of the generator's namespace.

    def open(self):
        name = "bench-network"
        self.holder = self.processes.start(name, ["unshare", "--net", "--", "sh", "-ec", """
for which in all default; do echo 1 >/proc/sys/net/ipv6/conf/$which/disable_ipv6; done
echo ready
exec sleep infinity"""])
        self.processes.wait_until("it has a network namespace", name, self.holder,
                                  lambda: "ready" in self.processes.last_words(name))

    def of_generator(self, number):
        return f"net_af_xdp{number},iface=g{number},start_queue=0,queue_count=1"

    def inside(self, pid, *command):
        done = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "--", *command],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")

    def around_generator(self, command):
        return [*ENVIRONMENT, "nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--", *command]

    def around(self, number, script, command):
        # 'exec' takes the place of the shell, so that what is stopped is the forwarder.
        return [*ENVIRONMENT, f"mac={FORWARDER_MAC}", f"far=g{number}",
                f"generator={self.holder.pid}", "unshare", "--net", "--", "sh", "-ec",
                script + 'exec "$@"', "sh", *command]

    def around_testpmd(self, number, command):
        return self.around(number, self.script + self.script_of_testpmd, command)

    def around_guideway(self, number, command):
        return self.around(number, self.script, command)

    def connect(self, number, process):
        self.inside(self.holder.pid, "ip", "link", "set", f"g{number}", "up")


class AfXdp(Kernel):
    name = "af_xdp"
    words = "AF_XDP over a veth pair, copying, one queue"
    script = VETH

    def of_testpmd(self, _):
        return "net_af_xdp0,iface=f,start_queue=0,queue_count=1"

    def of_guideway(self, _):
        return 'device = "f"; driver = "af_xdp";'


class AfPacket(Kernel):
    name = "af_packet"
    words = "AF_PACKET over a veth pair, one queue"
    script = VETH
    script_of_testpmd = DROP_RULE

    def of_testpmd(self, _):
        # As dataplane/device.c says it.
        return "net_af_packet0,iface=f,qpairs=1,framesz=2048,blocksz=32768,framecnt=512"

    def of_guideway(self, _):
        return 'device = "f"; driver = "af_packet";'


class Tap(Kernel):
    name = "tap"
    words = "TAP, one queue"

    def device(self, number):
        return f"net_tap0,iface=g{number},mac={FORWARDER_MAC}"

    def of_testpmd(self, number):
        return self.device(number)

    def of_guideway(self, number):
        return f'device = "{self.device(number)}";'

    def connect(self, number, process):
        """The interface goes to where the generator is; the forwarder keeps its file."""
        self.inside(process.pid, "ip", "link", "set", f"g{number}", "netns", str(self.holder.pid))
        super().connect(number, process)


KINDS = {kind.name: kind for kind in (Memif, AfPacket, AfXdp, Tap)}
