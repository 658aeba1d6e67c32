"""Who is where: addresses that Guideway and the generator agree on.

    clients    198.18.0.0/15 and 2001:2::/48, the networks of RFC 2544 and RFC 5180
    VIPs       10.200.0.0 and on: a /16 for each mode and protocol; 2001:db8:c8::/48 and on
    nodes      10.128.0.1 and on; 2001:db8:3::1 and on
    SNAT       10.129.0.1 and on; 2001:db8:4::1 and on

All are the generator, at the far end of the one port there is; of two, clients are by the first and
nodes by the second.
"""

from cases import MODES

PROTOCOLS = ("tcp", "udp")
VIP_PORT = 80
GENERATOR_MAC = "02:00:00:00:00:01"
FORWARDER_MAC = "02:00:00:00:00:02"
FLOWS_PER_SNAT_ADDRESS = 40000  # And node: two thirds of the ports that there are.
SNAT_MAX = 256
FLOWS_LEAST = 1024
LONG_S = 86400


def place_of(mode, protocol):
    return MODES.index(mode) * len(PROTOCOLS) + PROTOCOLS.index(protocol)


def vip(mode, protocol, family, number=0):
    place = place_of(mode, protocol)
    if family == 6:
        return f"2001:db8:{0xc8 + place:x}::{number:x}"
    return f"10.{200 + place}.{number >> 8}.{number & 255}"


def node_port(mode, protocol):
    return 30000 + place_of(mode, protocol)


def node(family, number):
    number += 1
    return f"2001:db8:3::{number:x}" if family == 6 else f"10.128.{number >> 8}.{number & 255}"


def node_mac(number):
    return f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}"


def snat_address(family, number):
    number += 1
    return f"2001:db8:4::{number:x}" if family == 6 else f"10.129.{number >> 8}.{number & 255}"


def n_snat_addresses(flows, nodes):
    return min(SNAT_MAX, max(1, -(-flows // (nodes * FLOWS_PER_SNAT_ADDRESS))))


def neighbour(address, mac, twin):
    return f"neighbour replace {address} lladdr {mac} nud permanent dev {twin}"


def quoted(words):
    return ", ".join(f'"{word}"' for word in words)


class World:
    """What the cases need, all at once, in one configuration."""

    def __init__(self, cases, n_nodes, n_services, n_ports=1):
        self.twins = [f"gw{number}" for number in range(n_ports)]
        self.n_nodes = n_nodes
        self.n_services = n_services
        self.kinds = sorted({(c.mode, c.protocol, c.family) for c in cases})
        self.flows = {family: sum(self.most_flows(cases, family, protocol)
                                  for protocol in PROTOCOLS) for family in (4, 6)}

    @staticmethod
    def most_flows(cases, family, protocol):
        """Flows of a small crowd are among those of a large one."""
        return max([c.flows for c in cases if c.mode == "snat" and c.family == family and
                    c.protocol == protocol], default=0)

    def vips_of(self, mode):
        """A NodePort of dnat belongs to one service, and the generator's nodes have one."""
        return 1 if mode == "dnat" else self.n_services

    def memory_mb(self):
        """Of flows, with their indexes, and of packets."""
        flows = self.room(4) * (32 + 21) + self.room(6) * (64 + 21)
        return flows // (1 << 20) + 192

    def room(self, family):
        return max(self.flows[family] * 5 // 4, FLOWS_LEAST)

    def configuration(self, instance, ports, cpu, folder, huge=True):
        """Of a Guideway that serves all of them. One more node, spare, serves nobody."""
        ports = [f'{{ {port} twin = "{twin}"; }}' for port, twin in zip(ports, self.twins)]
        n_snat = [n_snat_addresses(self.flows[family], self.n_nodes) for family in (4, 6)]
        snat = [snat_address(f, i) for f, n in zip((4, 6), n_snat) for i in range(n)]
        services = [self.service(*kind, i) for kind in self.kinds
                    for i in range(self.vips_of(kind[0]))]
        return f"""\
instance = "{instance}";
ports = ( {", ".join(ports)} );
workers = {{ cpus = [ {cpu} ]; idle = "poll"; }};
flows = {{ ipv4 = {self.room(4)}; ipv6 = {self.room(6)}; }};
memory = {{ services = {max(64, 2 * len(services))}; nodes = {2 * self.n_nodes + 16};
           hugepages = {"true" if huge else "false"}; }};
timeouts = {{ tcp = {LONG_S}; udp = {LONG_S}; tcp_half_open = 3600; udp_one_way = 3600; }};
snat = [ {quoted(snat)} ];
tunnel = {{ source = [ "10.128.255.254", "2001:db8:3::fffe" ]; }};
health = {{ kind = "none"; }};
control = {{ socket = "{folder}/{instance}.sock"; }};
state = "{folder}/{instance}.state";
nodes = (
{self.nodes()}
);
services = (
{",".join(services)}
);
"""

    def nodes(self):
        lines = [f'{{ name = "n{i}"; address = [ "{node(4, i)}", "{node(6, i)}" ]; }}'
                 for i in range(self.n_nodes)]
        spare = self.n_nodes
        lines.append(f'{{ name = "spare"; address = [ "{node(4, spare)}", "{node(6, spare)}" ]; }}')
        return ",\n".join(lines)

    def service(self, mode, protocol, family, number):
        names = [f"n{i}" for i in range(self.n_nodes)]
        where = "" if mode in ("dsr", "tunnel") else f"node_port = {node_port(mode, protocol)}; "
        return (f'{{ name = "{mode}-{protocol}{family}-{number}"; mode = "{mode}"; '
                f'vip = "{vip(mode, protocol, family, number)}"; port = {VIP_PORT}; {where}'
                f'protocol = "{protocol}"; nodes = [ {quoted(names)} ]; check = "none"; }}\n')

    def addresses(self):
        """For `ip -batch`: the twins' addresses, and everybody's MAC address."""
        to_clients, to_nodes = self.twins[0], self.twins[-1]
        lines = ["link set lo up", *[f"link set {twin} up" for twin in self.twins],
                 f"address add 10.128.255.254/16 dev {to_nodes}",
                 f"address add 198.51.100.1/24 dev {to_clients}",
                 f"address add 2001:db8:3::fffe/64 dev {to_nodes} nodad",
                 f"address add 2001:db8:1::1/64 dev {to_clients} nodad"]
        for address in ("198.51.100.2", "2001:db8:1::2"):
            lines.append(neighbour(address, GENERATOR_MAC, to_clients))
        for i in range(self.n_nodes + 1):
            lines += [neighbour(node(family, i), node_mac(i), to_nodes) for family in (4, 6)]
        lines += ["route add 198.18.0.0/15 via 198.51.100.2",
                  f"route add 2001:2::/48 via 2001:db8:1::2 dev {to_clients}"]
        return "\n".join(lines) + "\n"


def generator_options(case, world, forwarder_mac=FORWARDER_MAC):
    """Of a case, for the generator (tests/support/generator)."""
    options = {
        "family": case.family, "protocol": case.protocol, "size": case.bytes,
        "largest": case.largest,
        "flows": case.flows, "vips": world.vips_of(case.mode), "direction": case.direction,
        "vip": vip(case.mode, case.protocol, case.family), "vip-port": VIP_PORT,
        "node-port": node_port(case.mode, case.protocol),
        "source-mac": GENERATOR_MAC, "destination-mac": forwarder_mac,
    }
    return " ".join(f"--{name} {value}" for name, value in options.items())
