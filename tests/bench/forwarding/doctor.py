#!/usr/bin/python3
"""What of this machine stands in the way of good figures: each line good or bad, and how to mend
it.

usage: scripts/doctor [PORT]...

A PORT is a PCI address, a kernel interface or a device of DPDK, such as net_memif0,role=server.
Ends with 1 if something is bad.
"""

import os
import re
import subprocess
import sys
import time

from machine import CPU, PAGES, numbers_of, read

PCI = re.compile(r"([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
PAGES_WANTED = 512  # 1 GB: a million flows of each family, and packets.
STEAL_MAX = 0.01
STEAL_S = 0.5
# What has to be known of a port for replies to come to the worker of their flow: the same as
# port_read_rss() of dataplane/port.c asks for.
RSS_WANTED = ("ipv4-tcp", "ipv4-udp", "ipv6-tcp", "ipv6-udp")
RSS_KEY = range(40, 64 + 1)
RSS_TABLES = tuple(1 << bits for bits in range(10))


class Finding:
    def __init__(self, good, what, mend=""):
        self.good = good
        self.what = what
        self.mend = mend

    def __str__(self):
        mend = "" if self.good or not self.mend else f"\n        {self.mend}"
        return f"{'good' if self.good else 'BAD '}    {self.what}{mend}"


# --- The machine ---------------------------------------------------------------------------------

def huge_pages():
    free = int(read(PAGES + "free_hugepages", "0"))
    return Finding(free >= PAGES_WANTED, f"huge pages: {free} of 2 MB are free",
                   f"echo {PAGES_WANTED} >{PAGES}nr_hugepages, at boot hugepages={PAGES_WANTED} "
                   "(scripts/bench reserves its own while it runs)")


def governor():
    of_cpus = {read(f"{CPU}{cpu}/cpufreq/scaling_governor") for cpu in os.listdir(CPU)
               if re.fullmatch(r"cpu\d+", cpu)} - {""}
    if not of_cpus:
        return Finding(True, "governor: none, the clock is not ours to set")
    return Finding(of_cpus == {"performance"}, f"governor: {', '.join(sorted(of_cpus))}",
                   f"for f in {CPU}cpu*/cpufreq/scaling_governor; do echo performance >$f; done")


def isolated_cpus():
    isolated = read(CPU + "isolated")
    online = len(numbers_of(read(CPU + "online", "0")))
    if isolated:
        return Finding(True, f"isolated CPUs: {isolated}; workers belong there")
    return Finding(False, "isolated CPUs: none, so that the kernel runs others beside workers",
                   f"boot with isolcpus={'1' if online == 2 else f'1-{online - 1}'} "
                   "nohz_full=<the same> rcu_nocbs=<the same>" if online > 1 else
                   "it has one CPU only: workers and all others share it")


def hyper_threads():
    active = read(CPU + "smt/active", "0") == "1"
    return Finding(not active, "threads: two share a core" if active else "threads: one to a core",
                   f"leave the other thread of a worker's core idle, or echo off >{CPU}smt/control")


def clock():
    source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    flags = read("/proc/cpuinfo")
    steady = all(f" {flag}" in flags for flag in ("constant_tsc", "nonstop_tsc"))
    return Finding(steady, f"time-stamp counter: {'steady' if steady else 'not steady'} "
                   f"(the kernel's clock is {source})",
                   "cycles and times of this machine cannot be trusted")


def load():
    now = os.getloadavg()[0]
    return Finding(now < 0.5, f"load: {now:.2f}", "others are at work: wait until they are not")


def cpu_times():
    return list(map(int, read("/proc/stat").splitlines()[0].split()[1:9]))


def steal():
    """What the hypervisor took from us."""
    before = cpu_times()
    time.sleep(STEAL_S)
    passed = [now - then for now, then in zip(cpu_times(), before)]
    share = passed[7] / max(1, sum(passed))
    return Finding(share <= STEAL_MAX,
                   f"steal: {share:.0%} of the CPUs' time went to other machines",
                   "ask for CPUs of its own for this machine")


def interrupts():
    runs = any(read(f"/proc/{pid}/comm") == "irqbalance" for pid in os.listdir("/proc")
               if pid.isdigit())
    what = "moves interrupts to any CPU" if runs else "not there"
    return Finding(not runs, f"irqbalance: {what}",
                   "systemctl stop irqbalance, or name the workers' CPUs in "
                   "IRQBALANCE_BANNED_CPULIST")


def numa_balancing():
    on = read("/proc/sys/kernel/numa_balancing", "0") != "0"
    return Finding(not on, f"automatic NUMA balancing: {'on' if on else 'off'}",
                   "echo 0 >/proc/sys/kernel/numa_balancing")


def machine_findings():
    return [check() for check in (huge_pages, governor, isolated_cpus, hyper_threads, clock, load,
                                  steal, interrupts, numa_balancing)]


# --- Ports ---------------------------------------------------------------------------------------

def iommu():
    groups = os.path.isdir("/sys/kernel/iommu_groups") and os.listdir("/sys/kernel/iommu_groups")
    unsafe = read("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") == "Y"
    what = "on" if groups else "off, and vfio goes without" if unsafe else "off"
    return Finding(bool(groups) or unsafe, f"IOMMU: {what}",
                   "boot with intel_iommu=on iommu=pt (AMD: iommu=pt), or, without protection, "
                   "echo Y >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode")


def pci_driver(port, folder):
    driver = os.path.basename(os.path.realpath(folder + "/driver"))
    driver = driver if os.path.exists(folder + "/driver") else "none"
    vendor = read(folder + "/vendor")
    # NVIDIA's cards stay with the kernel's driver.
    good = driver in ("vfio-pci", "igb_uio", "uio_pci_generic") or vendor == "0x15b3"
    return Finding(good, f"{port}: driver {driver}",
                   f"modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci {port}")


def pci_numa(port, folder):
    node = read(folder + "/numa_node", "-1")
    if node == "-1":
        return Finding(True, f"{port}: NUMA node not told, or only one")
    near = read(f"/sys/devices/system/node/node{node}/cpulist", "?")
    return Finding(True, f"{port}: NUMA node {node}; its workers belong on CPUs {near}")


def pci_lanes(port, folder):
    now = [read(f"{folder}/current_link_{what}") for what in ("speed", "width")]
    most = [read(f"{folder}/max_link_{what}") for what in ("speed", "width")]
    if not all(now):
        return Finding(True, f"{port}: PCIe lanes not told")
    return Finding(now == most, f"{port}: PCIe {now[0]}, {now[1]} lanes, of {most[0]}, {most[1]}",
                   "put the card into a slot with as many lanes as it has")


def port_info(device):
    """What testpmd tells of a port, and where it fails its words."""
    is_pci = PCI.fullmatch(device)
    which = ["-a", device] if is_pci else ["--no-pci", f"--vdev={device}"]
    memory = ["--in-memory"] if is_pci else ["--no-huge", "--no-shconf", "-m", "128"]
    cpus = sorted(os.sched_getaffinity(0))[:1] * 2
    try:
        done = subprocess.run(
            ["dpdk-testpmd", f"--lcores=0@{cpus[0]},1@{cpus[1]}", *memory, *which, "--no-telemetry",
             "--file-prefix=guideway-doctor", "--", "-i", "--no-lsc-interrupt",
             "--disable-link-check", "--total-num-mbufs=4096"],
            input="show port info 0\nquit\n", capture_output=True, text=True, timeout=30,
            check=False)
    except FileNotFoundError:
        return "", "dpdk-testpmd is not there (scripts/setup installs it)"
    except subprocess.TimeoutExpired:
        return "", "testpmd does not end"
    return done.stdout, done.stderr


def number_after(words, text):
    found = re.search(re.escape(words) + r":?\s*(\d+)", text)
    return int(found[1]) if found else 0


def rss_kinds(text):
    """Several to a line, in lines that begin with spaces."""
    found = re.search(r"Supported RSS offload flow types:\n((?:[ \t]+.*\n)*)", text)
    return found[1].split() if found else []


def rss_of_device(name, text):
    queues = number_after("Max possible RX queues", text)
    key, table = (number_after(what, text) for what in ("Hash key size in bytes",
                                                        "Redirection table size"))
    kinds = rss_kinds(text)
    missing = [kind for kind in RSS_WANTED if kind not in kinds]
    good = not missing and key in RSS_KEY and table in RSS_TABLES
    hashes = "does not hash " + ", ".join(missing) if missing else "hashes all that is wanted"
    return Finding(good, f"{name}: RSS: {queues} queues, a key of {key} bytes, a table of {table}, "
                   f"{hashes}",
                   "one worker needs none; several hand packets over in software (steering) unless "
                   f"it hashes {', '.join(RSS_WANTED)} with a key of {RSS_KEY[0]} to {RSS_KEY[-1]} "
                   f"bytes and a table of a power of two up to {RSS_TABLES[-1]}")


def dpdk_findings(name, device):
    text, complaint = port_info(device)
    if "Infos for port 0" not in text:
        last = (complaint.strip().splitlines() or ["testpmd says nothing"])[-1]
        return [Finding(False, f"{name}: DPDK cannot take it: {last}",
                        "what guideway --check says of it may tell more")]
    up = "Link status: up" in text
    mtu = number_after("MTU", text)
    return [rss_of_device(name, text),
            Finding(up, f"{name}: link {'up' if up else 'down'}",
                    "is its other end there? (a memif has one only while its peer runs)"),
            Finding(mtu >= 1500, f"{name}: MTU {mtu}", "packets of 1500 bytes do not fit")]


def pci_findings(port):
    port = port if port.count(":") == 2 else "0000:" + port
    folder = f"/sys/bus/pci/devices/{port}"
    if not os.path.isdir(folder):
        return [Finding(False, f"{port}: there is no such device", "dpdk-devbind.py --status")]
    found = [iommu(), pci_driver(port, folder), pci_numa(port, folder), pci_lanes(port, folder)]
    return found + (dpdk_findings(port, port) if found[1].good else [])


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def interface_queues(name):
    text = output_of("ethtool", "-l", name).partition("Current hardware settings")[2]
    queues = max(number_after("Combined", text), number_after("RX", text), 1)
    return Finding(True, f"{name}: {queues} receive queues; AF_XDP needs as many as workers: "
                   f"ethtool -L {name} combined N")


def interface_rss(name):
    text = output_of("ethtool", "-x", name)
    has = "RSS hash key" in text and "Operation not supported" not in text
    return Finding(has, f"{name}: RSS: {'key and table are told' if has else 'not told'}",
                   "one worker needs none; several hand packets over in software (steering)")


def interface_findings(name):
    folder = f"/sys/class/net/{name}"
    state = read(folder + "/operstate")
    mtu = int(read(folder + "/mtu", "0"))
    speed = read(folder + "/speed", "-1")
    speed = f", {speed} Mb/s" if not speed.startswith("-") else ""
    return [Finding(state in ("up", "unknown"), f"{name}: link {state}{speed}",
                    f"ip link set {name} up; is its other end there?"),
            Finding(1500 <= mtu <= 3498, f"{name}: MTU {mtu}",
                    "AF_XDP carries 1500 to 3498 bytes; beyond that it is AF_PACKET, far slower"),
            interface_queues(name), interface_rss(name)]


def port_findings(port):
    if PCI.fullmatch(port.lower()):
        return pci_findings(port.lower())
    if port.startswith(("net_", "virtio_user")):
        return dpdk_findings(port.partition(",")[0], port)
    if os.path.isdir(f"/sys/class/net/{port}"):
        return interface_findings(port)
    return [Finding(False, f"{port}: neither a PCI address nor an interface of this machine",
                    "ip link; dpdk-devbind.py --status")]


def main():
    if any(a.startswith("-") for a in sys.argv[1:]):
        print(__doc__.strip())
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    findings = machine_findings()
    for port in sys.argv[1:]:
        findings += port_findings(port)
    for finding in findings:
        print(finding)
    n_bad = sum(not f.good for f in findings)
    print(f"{n_bad} of {len(findings)} are bad" if n_bad else "all is good")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
