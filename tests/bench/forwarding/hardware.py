"""What to run where there are cards: command lines, and a script for pktgen.

    generator machine                       machine of the forwarder
    port A ──────────────────────────────── port A
    port B ──────────────────────────────── port B

What goes out by the one is to come back by the other; with one cable A and B are the same.
"""

import re

import machine
import world
from cases import FLOWS, SIZES, count_text
from processes import Failure

PCI = re.compile(r"([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
RATES = (10, 25, 50, 75, 90, 100)  # Percent of the line.


def parse_ports(text):
    ports = text.lower().split(",")
    for port in ports:
        if not PCI.fullmatch(port):
            raise Failure(f"--ports: '{port}' is no PCI address; 0000:3b:00.0 is (see "
                          "dpdk-devbind.py --status)")
    return [port if port.count(":") == 2 else "0000:" + port for port in ports]


def numa_node_of(port):
    return machine.read(f"/sys/bus/pci/devices/{port}/numa_node", "-1")


def cpus_near(port):
    """Those of the port's NUMA node, as a list; of all, where that is not known."""
    node = numa_node_of(port)
    near = machine.read(f"/sys/devices/system/node/node{node}/cpulist")
    return near or machine.read("/sys/devices/system/cpu/online", "0")


def heading(text):
    print(f"\n# --- {text} " + "-" * max(4, 90 - len(text)))


def allow(ports):
    return " ".join(f"-a {port}" for port in dict.fromkeys(ports))


def prepare(ports):
    print("modprobe vfio-pci")
    for port in dict.fromkeys(ports):
        print(f"dpdk-devbind.py --bind=vfio-pci {port}")
    print("echo 2048 >/proc/sys/vm/nr_hugepages     # 4 GB of 2 MB pages")
    print("scripts/doctor " + " ".join(dict.fromkeys(ports)))


def show_forwarder(ports, cpus):
    heading("the machine of the forwarder: once as the ceiling, once as Guideway")
    prepare(ports)
    print(f"dpdk-testpmd -l {cpus[0]},{cpus[1]} {allow(ports)} --in-memory -- "
          "--forward-mode=macswap --rxd=2048 --txd=2048 --nb-cores=1 --stats-period=1")
    devices = ", ".join(f'{{ device = "{port}"; }}' for port in dict.fromkeys(ports))
    print("\n# guideway.conf; the rest as in config/guideway.conf")
    print(f"ports = ( {devices} );")
    print(f"workers = {{ cpus = [ {cpus[1]} ]; }};")


def testpmd_line(ports, cpus, flows, size):
    return (f"dpdk-testpmd -l {cpus[0]},{cpus[1]} {allow(ports)} --in-memory -- "
            f"--forward-mode=flowgen --flowgen-flows={flows} --txpkts={size} --rxd=2048 --txd=2048 "
            "--nb-cores=1 --stats-period=1")


def show_testpmd(ports, cpus):
    heading("the generator's machine")
    prepare(ports)
    print("# flowgen sends UDP between addresses of its own: it shows the ceiling, and what a\n"
          "# forwarder does with packets that are not for it. For flows to VIPs take pktgen, or our\n"
          "# own generator, which keeps both ends on one clock and has one port for both (--help):")
    print(f"build/tests/support/generator/generator -l {cpus[1]} -a {ports[0]} --in-memory -- \\\n"
          f"    --flows 65536 --vip {world.vip('snat', 'tcp', 4)} --destination-mac FORWARDER")
    for size in SIZES:
        if size != "imix":
            print(testpmd_line(ports, cpus, 1024, int(size) - 4))


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
local vip, vip_port = "{world.vip('snat', 'udp', 4)}", {world.VIP_PORT}
local forwarder_mac = "FORWARDER"

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


def show_pktgen(ports, cpus):
    heading("the generator's machine")
    prepare(ports)
    matrix = ",".join(f"{cpu}.{number}" for number, cpu in
                      enumerate(cpus[1:1 + len(dict.fromkeys(ports))]))
    print(f"pktgen -l {','.join(map(str, cpus))} {allow(ports)} -- -P -m \"{matrix}\" "
          "-f guideway.lua")
    heading("guideway.lua; FORWARDER is the MAC address of the forwarder's port A")
    print(lua(list(dict.fromkeys(ports))), end="")


def advice(ports):
    heading("which CPUs")
    for port in dict.fromkeys(ports):
        print(f"# {port} is on NUMA node {numa_node_of(port)}, whose CPUs are {cpus_near(port)}"
              if numa_node_of(port) not in ("-1", "") else
              f"# {port} is not in this machine, or has no NUMA node: take CPUs of its own node")
    print("# Workers poll: keep interrupts away from their CPUs (isolcpus=, irqaffinity=), and\n"
          "# leave the first CPU to the rest. Flows: " + ", ".join(map(count_text, FLOWS)))


def show(options):
    ports = parse_ports(options.ports)
    near = machine.numbers_of(cpus_near(ports[0]))
    cpus = (near + [near[-1] + 1, near[-1] + 2])[:3] if len(near) < 3 else near[:3]
    advice(ports)
    show_forwarder(ports, cpus)
    {"testpmd": show_testpmd, "pktgen": show_pktgen}[options.generator](ports, cpus)
