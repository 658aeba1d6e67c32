"""What to run where there are cards: command lines, a configuration, and a script for pktgen.

    generator machine                       machine of the forwarder
    port A ──────────────────────────────── port A, clients
    port B ──────────────────────────────── port B, nodes

What goes out by the one comes back by the other; with one cable there is A alone, for both.
"""

import re
from dataclasses import replace

import cases
import machine
from cases import FLOWS, SIZES, count_text
from forwarders import DESCRIPTORS
from processes import Failure
from world import VIP_PORT, World, generator_options, vip

PCI = re.compile(r"([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
RATES = (10, 25, 50, 75, 90, 100)  # Percent of the line.
PACKETS_MB = 1024  # Of any of these programs, well measured.


def parse_ports(text):
    """One or two, told apart."""
    ports = text.lower().split(",")
    for port in ports:
        if not PCI.fullmatch(port):
            raise Failure(f"--ports: '{port}' is no PCI address; 0000:3b:00.0 is (see "
                          "dpdk-devbind.py --status)")
    ports = [port if port.count(":") == 2 else "0000:" + port for port in ports]
    ports = list(dict.fromkeys(ports))
    if len(ports) > 2:
        raise Failure(f"--ports: {len(ports)} ports are too many: clients are at the first, nodes "
                      "at the second, or both at one")
    return ports


def numa_node_of(port):
    return machine.read(f"/sys/bus/pci/devices/{port}/numa_node", "-1")


def cpus_near(port):
    """Those of the port's NUMA node, as a list; of all, where that is not known."""
    node = numa_node_of(port)
    near = machine.read(f"/sys/devices/system/node/node{node}/cpulist")
    return near or machine.read("/sys/devices/system/cpu/online", "0")


def choose_cpus(near):
    """For a poller, another and what only waits: the port's own; where it has too few, of all."""
    usable = near if len(near) >= 3 else machine.online_cpus() | set(near)
    order = machine.best_first(usable, machine.isolated_cpus())
    return order[0], order[1 % len(order)], order[-1]


def heading(text):
    print(f"\n# --- {text} " + "-" * max(4, 90 - len(text)))


def allow(ports):
    return " ".join(f"-a {port}" for port in ports)


def here_document(command, text):
    print(f"{command} <<'END'\n{text.strip()}\nEND")


def prepare(ports, megabytes, pollers):
    print("modprobe vfio-pci")
    for port in ports:
        print(f"dpdk-devbind.py --bind=vfio-pci {port}")
    print(f"echo {-(-megabytes // machine.PAGE_MB)} >/proc/sys/vm/nr_hugepages"
          f"     # 2 MB pages: {megabytes} MB")
    print(f"scripts/doctor --cpus {','.join(map(str, pollers))} {' '.join(ports)}")


def world_of(options, ports):
    """Of what the generator can send."""
    if options.generator == "pktgen":
        chosen = [cases.Case("snat", protocol="udp", flows=flows) for flows in FLOWS]
    else:
        chosen = cases.choose(options)
    return World(chosen, options.nodes, options.services, len(ports))


def configuration(ports, world, cpu):
    """What a Guideway takes as it is."""
    return world.configuration("bench", [
        f'device = "{port}"; rx_descriptors = {DESCRIPTORS}; tx_descriptors = {DESCRIPTORS};'
        for port in ports], cpu, "/run")


def testpmd_line(ports, cpus, mode, *more):
    poller, _, sleeper = cpus
    return " ".join([f"dpdk-testpmd -l {sleeper},{poller} {allow(ports)} --in-memory --",
                     f"--forward-mode={mode} --rxd={DESCRIPTORS} --txd={DESCRIPTORS}",
                     "--nb-cores=1 --stats-period=1", *more])


def show_forwarder(ports, cpus, world):
    heading("the machine of the forwarder")
    poller, _, sleeper = cpus
    prepare(ports, world.memory_mb() + PACKETS_MB, [poller])
    print("\n# once as the ceiling,")
    print(testpmd_line(ports, cpus, "macswap"))
    print("\n# and once as Guideway, with as many descriptors. Packets that go on to nodes and "
          "clients\n# need no ARP: the generator's addresses are told.")
    here_document("cat >guideway-bench.conf", configuration(ports, world, poller))
    print(f"taskset -c {sleeper},{poller} build/controlplane/guideway "
          "--config guideway-bench.conf &")
    print("sleep 5; build/controlplane/guidewayctl --socket /run/bench.sock status")
    here_document("ip -batch -", world.addresses())
    for name, twin in zip(("A", "B"), world.twins):
        print(f"cat /sys/class/net/{twin}/address     # FORWARDER_{name}, for the other machine")


def show_own_generator(ports, cpus, world, case):
    """Twice, since a VIP in snat mode forwards what belongs to an open connection."""
    line = (f"build/tests/support/generator/generator -l {cpus[0]} {allow(ports)} --in-memory -- "
            f"\\\n    {generator_options(case, world, 'FORWARDER_A')}")
    by_nodes = " --nodes-by 1" if len(ports) > 1 else ""
    print(f"{line}{by_nodes} --open")
    print(f"{line}{by_nodes} --seconds 10")


def show_testpmd(ports, cpus, world, options):
    heading("the generator's machine")
    prepare(ports, PACKETS_MB, cpus[:1])
    case = replace(cases.usual_cases(options.modes, options.families, options.protocols)[0],
                   flows=options.flows[0], size=options.sizes[0])
    print("\n# Our own generator has both ends on one clock: it opens the flows, then sends. "
          "--help tells\n# the rest: other sizes, a set rate, what comes from nodes.")
    show_own_generator(ports, cpus, world, case)
    print("\n# testpmd's flowgen sends UDP between addresses of its own: it shows the ceiling, and "
          "what a\n# forwarder does with packets that are not for it.")
    for size in SIZES:
        if size != "imix":
            print(testpmd_line(ports, cpus, "flowgen", "--flowgen-flows=1024",
                               f"--txpkts={int(size) - 4}"))


def lua(ports):
    """Sweeps flows, sizes and rates. Flows come in turn, since pktgen picks none at random."""
    flows = ", ".join(map(str, FLOWS))
    sizes = ", ".join(size for size in SIZES if size != "imix")
    receiver = 1 if len(ports) > 1 else 0
    return f"""\
-- Guideway: UDP over IPv4, a line for each step: size flows percent sent received lost
package.path = package.path .. ";?.lua;test/?.lua;app/?.lua;"
require "Pktgen"

local send, receive = 0, {receiver}
local seconds = 10
local vip, vip_port = "{vip('snat', 'udp', 4)}", {VIP_PORT}
local forwarder_mac = "FORWARDER_A"

-- From 'first', as many as 'n' values, by steps of 1.
local function set_range(set, first, last, step)
	set(tostring(send), "start", first)
	set(tostring(send), "min", first)
	set(tostring(send), "max", last)
	set(tostring(send), "inc", step)
end

-- Address and port step at the same time, so that all pairs come only if their numbers have no
-- common factor: 255 ports and a power of two of addresses.
local function set_flows(flows)
	local ports = math.min(flows, 255)
	local addresses = math.max(1, math.floor(flows / 256))
	local n = addresses - 1
	local last = string.format("198.%d.%d.%d", 18 + math.floor(n / 65536),
		math.floor(n / 256) % 256, n % 256)

	pktgen.range.dst_mac(tostring(send), "start", forwarder_mac)
	set_range(pktgen.range.src_ip, "198.18.0.0", last, addresses > 1 and "0.0.0.1" or "0.0.0.0")
	set_range(pktgen.range.dst_ip, vip, vip, "0.0.0.0")
	set_range(pktgen.range.src_port, 1024, 1023 + ports, ports > 1 and 1 or 0)
	set_range(pktgen.range.dst_port, vip_port, vip_port, 0)
	pktgen.range.ip_proto(tostring(send), "udp")
	pktgen.set_range(tostring(send), "on")
	return ports * addresses
end

local function measure(size, flows, percent)
	set_range(pktgen.range.pkt_size, size, size, 0)
	pktgen.set(tostring(send), "rate", percent)
	pktgen.clr()
	pktgen.start(tostring(send))
	pktgen.delay(seconds * 1000)
	pktgen.stop(tostring(send))
	pktgen.delay(1000)

	local stats = pktgen.portStats("all", "port")
	local sent, received = stats[send].opackets, stats[receive].ipackets
	printf("%d %d %d %d %d %d\\n", size, flows, percent, sent, received, sent - received)
end

for _, wanted in ipairs({{ {flows} }}) do
	local flows = set_flows(wanted)
	for _, size in ipairs({{ {sizes} }}) do
		for _, percent in ipairs({{ {', '.join(map(str, RATES))} }}) do
			measure(size, flows, percent)
		end
	end
end
pktgen.quit()
"""


def show_pktgen(ports, cpus, _, __):
    heading("the generator's machine")
    pollers = cpus[:len(ports)]
    prepare(ports, PACKETS_MB, pollers)
    matrix = ",".join(f"{cpu}.{number}" for number, cpu in enumerate(pollers))
    lcores = ",".join(map(str, dict.fromkeys((cpus[2], *pollers))))
    print(f"pktgen -l {lcores} {allow(ports)} -- -P -m \"{matrix}\" -f guideway.lua")
    heading("guideway.lua; FORWARDER_A is the MAC address of the forwarder's port A")
    print(lua(ports), end="")


def advice(ports, cpus):
    heading("which CPUs")
    for port in ports:
        print(f"# {port} is on NUMA node {numa_node_of(port)}, whose CPUs are {cpus_near(port)}"
              if numa_node_of(port) not in ("-1", "") else
              f"# {port} is not in this machine, or has no NUMA node: take CPUs of its own node")
    isolated = machine.isolated_cpus()
    print(f"# Below, CPU {cpus[0]} polls, {'isolated' if cpus[0] in isolated else 'not isolated'}: "
          "scripts/doctor tells what else to do for it.\n"
          "# Flows: " + ", ".join(map(count_text, FLOWS)))


def show(options):
    ports = parse_ports(options.ports)
    cpus = choose_cpus(set(machine.numbers_of(cpus_near(ports[0]))))
    world = world_of(options, ports)
    advice(ports, cpus)
    show_forwarder(ports, cpus, world)
    {"testpmd": show_testpmd, "pktgen": show_pktgen}[options.generator](ports, cpus, world, options)
