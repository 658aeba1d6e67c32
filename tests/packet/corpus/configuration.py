"""The configuration of Guideway that makes the world of lab.py, and what cases change in it."""

import os

from lab import (
    ABSENT,
    BIG,
    CROSS,
    DNAT,
    DNS,
    DOWN,
    DSR,
    DSR_BIG,
    GUE,
    GUE_CROSS,
    HTTP,
    LOCAL,
    MTUS,
    NARROW,
    NO_ROUTE,
    NO_TARGET,
    PORT_MACS,
    SPREAD,
    TUNNEL,
    UNRESOLVED,
    V4,
    V6,
    VLANS,
    Mismatch,
    node_port,
)

NODES = range(5)
WIRES = ["w%d" % i for i in range(3)]
TWINS = ["gw%d" % i for i in range(3)]
DEVICES = [
    ("net_tap0,iface=w0,mac=" + PORT_MACS[0], "auto"),
    ("net_tap1,iface=w1,mac=" + PORT_MACS[1], "auto"),
    ("p2", "af_packet"),
]

# A node that a service does not name any more is one of its until then.
DRAIN_S = 1

# The services of each VIP: ports, protocols, nodes, and what else there is to say of them.
TCP_UDP, ALL = ["tcp", "udp"], ["tcp", "udp", "sctp"]
SERVICES = [
    (HTTP, ["tcp"], [0], ""),
    (DNS, ["udp"], [0], ""),
    (BIG, TCP_UDP, [1], ""),
    (LOCAL, ["tcp"], [2], ""),
    (UNRESOLVED, ["tcp"], [3], ""),
    (NO_ROUTE, ["tcp"], [4], ""),
    (NO_TARGET, TCP_UDP, [], ""),
    (SPREAD, TCP_UDP, [0, 1], ""),
    (DNAT, TCP_UDP, [0], 'mode = "dnat";'),
    (DSR, ALL, [0], 'mode = "dsr";'),
    (DSR_BIG, ALL, [1], 'mode = "dsr";'),
    (TUNNEL, ALL, [1], 'mode = "tunnel";'),
    (NARROW, ALL, [0], 'mode = "tunnel";'),
    (CROSS, ALL, [0], 'mode = "tunnel";'),
    (GUE, ALL, [1], 'mode = "tunnel"; tunnel = "gue";'),
    (GUE_CROSS, ALL, [0], 'mode = "tunnel"; tunnel = "gue";'),
]
CROSSING = [CROSS, GUE_CROSS]
OTHER = {V4: V6, V6: V4}


def node_name(i, f):
    """Each family's is a node of its own, so that there are some for services that cross."""
    return "n%d-%s" % (i, f.name[3])


class Settings:
    """What cases change by a new configuration."""

    def __eq__(self, other):
        return self.__dict__ == other.__dict__

    def __init__(self, moved):
        self.moved = moved  # How often all nodes have been given other addresses.
        self.answers = {
            "unknown_tcp": '"reset"',
            "dead_node": '"reset"',
            "per_second": "100000",
            "echoes_per_second": "100000",
            "all_per_second": "1000000",
        }
        self.closed_ports = "reject"
        self.mss = {}
        self.empty = set()
        self.without_node0 = False
        self.node0_is_down = False

    def change(self, words):
        """By a line of runner.c's, in words."""
        kind, *rest = words
        if kind == "mss":
            self.mss[int(rest[0])] = int(rest[1])
        elif kind == "empty":
            self.empty.add(int(rest[0]))
        elif kind == "node" and int(rest[1]) == ABSENT:
            self.without_node0 = True
        elif kind == "node" and int(rest[1]) == DOWN:
            self.node0_is_down = True
        elif kind == "set" and rest == ["rejects", "0"]:
            self.closed_ports = "drop"
        elif kind == "set" and rest == ["reset_unknown_tcp", "0"]:
            self.answers["unknown_tcp"] = '"drop"'
        elif kind == "set" and rest == ["reset_dead_target", "0"]:
            self.answers["dead_node"] = '"restart"'
        elif kind == "set" and rest == ["answers_per_s", "0"]:
            self.answers["per_second"] = "0"
        else:
            raise Mismatch("nobody can make it so from outside: " + " ".join(words))

    def nodes_of(self, port, nodes):
        if port in self.empty:
            return []
        return [i for i in nodes if i != 0 or not self.without_node0]

    def service(self, f, port, protocol, nodes, more):
        nodes = self.nodes_of(port, nodes)
        family = OTHER[f] if port in CROSSING else f
        name = "s%d-%s-%s" % (port, protocol, f.name[3])
        check = '"none"'
        if self.node0_is_down and 0 in nodes:
            check = '{ kind = "tcp"; port = 9; }'
        return (
            '{ name = "%s"; vip = "%s"; port = %d; protocol = "%s"; node_port = %d; nodes = [ %s ];'
            ' check = %s; mss = %d; idle = 300; announce = false; closed_ports = "%s"; %s }'
            % (
                name,
                f.vip,
                port,
                protocol,
                node_port(port),
                ", ".join('"%s"' % node_name(i, family) for i in nodes) or '"nobody"',
                check,
                self.mss.get(port, 0),
                self.closed_ports,
                more,
            )
        )

    def quiet_service(self, f):
        return (
            '{ name = "quiet-%s"; vip = "%s"; port = 9; node_port = 9; nodes = [ "nobody" ];'
            ' check = "none"; answer_arp = false; announce = false; closed_ports = "%s"; }'
            % (f.name[3], f.quiet_vip, self.closed_ports)
        )

    def services(self):
        for f in (V4, V6):
            yield self.quiet_service(f)
            for port, protocols, nodes, more in SERVICES:
                for protocol in protocols:
                    yield self.service(f, port, protocol, nodes, more)

    def text(self, folder):
        ports = ",\n".join(
            '{ device = "%s"; driver = "%s"; twin = "%s"; mtu = %d; vlan = %d; }'
            % (*DEVICES[i], TWINS[i], MTUS[i], VLANS[i])
            for i in range(3)
        )
        nodes = ",\n".join(
            '{ name = "%s"; address = "%s"; }' % (node_name(i, f), f.node(i))
            for i in NODES
            for f in (V4, V6)
        )
        return CONFIGURATION % {
            "pid": os.getpid(),
            "cpu": min(os.sched_getaffinity(0)),
            "drain": DRAIN_S,
            "folder": folder,
            "ports": ports,
            "nodes": nodes,
            "answers": " ".join("%s = %s;" % item for item in self.answers.items()),
            "snat": '"%s", "%s"' % (V4.snat, V6.snat),
            "tunnel": '"%s", "%s"' % (V4.tunnel, V6.tunnel),
            "services": ",\n".join(self.services()),
        }


CONFIGURATION = """
instance = "corpus-%(pid)d";
ports = ( %(ports)s );
workers = { cpus = [ %(cpu)d ]; idle = "sleep"; };
flows = { ipv4 = 65536; ipv6 = 65536; };
memory = { services = 256; nodes = 4096; hugepages = false; };
snat = [ %(snat)s ];
tunnel = { source = [ %(tunnel)s ]; };
hash_key = "0123456789abcdeffedcba9876543210";
answers = { %(answers)s };
timeouts = { drain = %(drain)d; };
health = { interval = 0.1; timeout = 0.05; fall = 1; };
control = { socket = "%(folder)s/guideway.sock"; };
state = "%(folder)s/state";
nodes = ( %(nodes)s, { name = "nobody"; address = [ "192.0.2.99", "2001:db8:2::99" ]; weight = 0; } );
services = ( %(services)s );
"""
