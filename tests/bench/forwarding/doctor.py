#!/usr/bin/python3
"""What of this machine stands in the way of good figures: each line good or bad, and how to mend
it."""

import argparse
import json
import os
import re
import subprocess
import sys
import time

from machine import CPU, PAGES, best_first, isolated_cpus, numbers_of, online_cpus, read

NODES = "/sys/devices/system/node/"
PAGES_OF_NODE = "/hugepages/hugepages-2048kB/"
PCI = re.compile(r"([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
PAGES_WANTED = 512  # 1 GB: a million flows of each family, and packets.
ETHERNET = 18  # Bytes of a frame beside its packet, the checksum with them.
MTU_MOST = 65535
AF_XDP_MTU_MOST = 3498
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


def list_of(cpus):
    return ",".join(map(str, sorted(cpus))) or "none"


# --- The machine ---------------------------------------------------------------------------------

def node_cpus():
    """By NUMA node, its CPUs."""
    nodes = [name for name in (os.listdir(NODES) if os.path.isdir(NODES) else ())
             if re.fullmatch(r"node\d+", name)]
    return {int(node[4:]): set(numbers_of(read(f"{NODES}{node}/cpulist"))) for node in nodes}


def huge_pages_of(free, folder, where=""):
    return Finding(free >= PAGES_WANTED, f"huge pages{where}: {free} of 2 MB are free",
                   f"echo {PAGES_WANTED} >{folder}nr_hugepages, at boot hugepages={PAGES_WANTED} "
                   "(scripts/bench reserves its own while it runs)")


def huge_pages(workers):
    """Of each node that has a worker."""
    nodes = [node for node, cpus in sorted(node_cpus().items()) if cpus & workers]
    if len(node_cpus()) < 2 or not nodes:
        return [huge_pages_of(int(read(PAGES + "free_hugepages", "0")), PAGES)]
    folders = [f"{NODES}node{node}{PAGES_OF_NODE}" for node in nodes]
    return [huge_pages_of(int(read(folder + "free_hugepages", "0")), folder,
                          f" of node {node}, where workers are")
            for node, folder in zip(nodes, folders)]


def governor():
    of_cpus = {read(f"{CPU}{cpu}/cpufreq/scaling_governor") for cpu in os.listdir(CPU)
               if re.fullmatch(r"cpu\d+", cpu)} - {""}
    if not of_cpus:
        return Finding(True, "governor: none, the clock is not ours to set")
    return Finding(of_cpus == {"performance"}, f"governor: {', '.join(sorted(of_cpus))}",
                   f"for f in {CPU}cpu*/cpufreq/scaling_governor; do echo performance >$f; done")


def isolation(workers):
    isolated = isolated_cpus()
    if isolated:
        return Finding(workers <= isolated, f"isolated CPUs: {list_of(isolated)}; workers belong "
                       f"there, and are on {list_of(workers)}", "scripts/bench takes them first")
    return Finding(False, "isolated CPUs: none, so that the kernel runs others beside workers",
                   f"boot with isolcpus={list_of(workers)}" if len(online_cpus()) > 1 else
                   "it has one CPU only: workers and all others share it")


def spared(what, cpus, workers, mend):
    """Whether the kernel keeps something of its own away from workers."""
    return Finding(workers <= cpus, f"{what}: {list_of(cpus)}", mend)


def ticks(workers):
    full = read(CPU + "nohz_full")
    cpus = set(numbers_of(full)) if re.fullmatch(r"[\d,-]+", full) else set()  # Else "(null)".
    return spared("nohz_full, CPUs without a timer's tick", cpus, workers,
                  f"boot with nohz_full={list_of(workers)} (a kernel that has CONFIG_NO_HZ_FULL)")


def cpus_of_boot(name):
    """Of the kernel's command line. "all" is what "rcu_nocbs" alone means too."""
    found = re.findall(rf"(?:^|\s){name}(?:=(\S*))?(?=\s|$)", read("/proc/cmdline"))
    if not found:
        return set()
    cpus = found[-1]
    return online_cpus() if cpus in ("", "all") else set(numbers_of(cpus))


def callbacks(workers):
    """Those of nohz_full have none either."""
    cpus = cpus_of_boot("rcu_nocbs") | cpus_of_boot("nohz_full")
    return spared("rcu_nocbs, CPUs without RCU's callbacks", cpus, workers,
                  f"boot with rcu_nocbs={list_of(workers)}")


def interrupts_at(cpus, folder="/proc/irq"):
    """Numbers of those that somebody takes, which has a folder there, and that may come there."""
    found = []
    for number in sorted(filter(str.isdigit, os.listdir(folder)), key=int):
        path = f"{folder}/{number}"
        allowed = read(path + "/smp_affinity_list")
        is_taken = any(os.path.isdir(f"{path}/{name}") for name in os.listdir(path))
        if is_taken and set(numbers_of(allowed)) & cpus:
            found.append(number)
    return found


def interrupts(workers):
    found = interrupts_at(workers)
    others = online_cpus() - workers
    told = ", ".join(found[:8]) + (" and others" if len(found) > 8 else "")
    return Finding(not found, f"interrupts: {told or 'none'} may come to CPUs {list_of(workers)}",
                   f"for i in {' '.join(found)}; do echo {list_of(others)} "
                   ">/proc/irq/$i/smp_affinity_list; done, at boot "
                   f"irqaffinity={list_of(others)}; those of which a driver has one for each CPU "
                   "refuse, and come only where their queue is used")


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


def irqbalance():
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


def machine_findings(workers):
    of_workers = [check(workers) for check in (isolation, ticks, callbacks, interrupts)]
    return huge_pages(workers) + of_workers + [
        check() for check in (governor, hyper_threads, clock, load, steal, irqbalance,
                              numa_balancing)]


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


def pci_numa(port, folder, workers):
    node = read(folder + "/numa_node", "-1")
    if node == "-1":
        return Finding(True, f"{port}: NUMA node not told, or only one")
    near = set(numbers_of(read(f"{NODES}node{node}/cpulist")))
    return Finding(workers <= near, f"{port}: NUMA node {node}, CPUs {list_of(near)}; workers are "
                   f"on {list_of(workers)}",
                   f"isolate CPUs of node {node}, or put the card into a slot of the other's; "
                   f"of those that are isolated {list_of(near & isolated_cpus())} are near it")


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
    # A card takes seconds to find its other end, for which testpmd waits unless it is told not to.
    # A port between processes has none yet.
    link = [] if is_pci else ["--disable-link-check"]
    try:
        done = subprocess.run(
            ["dpdk-testpmd", f"--lcores=0@{cpus[0]},1@{cpus[1]}", *memory, *which, "--no-telemetry",
             "--file-prefix=guideway-doctor", "--", "-i", "--no-lsc-interrupt", *link,
             "--total-num-mbufs=4096"],
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


def mtu_finding(name, mtu, most, mend="packets of 1500 bytes do not fit"):
    return Finding(mtu >= 1500, f"{name}: MTU {mtu}, at most {most}", mend)


def mtu_of_device(name, text):
    frame = number_after("Maximum configurable length of RX packet", text)
    return mtu_finding(name, number_after("MTU", text), min(MTU_MOST, max(0, frame - ETHERNET)))


def dpdk_findings(name, device):
    text, complaint = port_info(device)
    if "Infos for port 0" not in text:
        last = (complaint.strip().splitlines() or ["testpmd says nothing"])[-1]
        return [Finding(False, f"{name}: DPDK cannot take it: {last}",
                        "what guideway --check says of it may tell more")]
    up = "Link status: up" in text
    return [rss_of_device(name, text),
            Finding(up, f"{name}: link {'up' if up else 'down'}",
                    "is its other end there? (a memif has one only while its peer runs)"),
            mtu_of_device(name, text)]


def pci_findings(port, workers):
    port = port if port.count(":") == 2 else "0000:" + port
    folder = f"/sys/bus/pci/devices/{port}"
    if not os.path.isdir(folder):
        return [Finding(False, f"{port}: there is no such device", "dpdk-devbind.py --status")]
    found = [iommu(), pci_driver(port, folder), pci_numa(port, folder, workers),
             pci_lanes(port, folder)]
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


def interface_mtu(name):
    try:
        (link,) = json.loads(output_of("ip", "-d", "-j", "link", "show", name))
    except ValueError:
        link = {}
    mtu, most = link.get("mtu", 0), link.get("max_mtu", 0) or "not told"
    finding = mtu_finding(name, mtu, most,
                          "AF_XDP carries 1500 to 3498 bytes; beyond that it is AF_PACKET, far "
                          "slower")
    finding.good = 1500 <= mtu <= AF_XDP_MTU_MOST
    return finding


def interface_findings(name):
    folder = f"/sys/class/net/{name}"
    state = read(folder + "/operstate")
    speed = read(folder + "/speed", "-1")
    speed = f", {speed} Mb/s" if not speed.startswith("-") else ""
    return [Finding(state in ("up", "unknown"), f"{name}: link {state}{speed}",
                    f"ip link set {name} up; is its other end there?"),
            interface_mtu(name), interface_queues(name), interface_rss(name)]


def port_findings(port, workers):
    if PCI.fullmatch(port.lower()):
        return pci_findings(port.lower(), workers)
    if port.startswith(("net_", "virtio_user")):
        return dpdk_findings(port.partition(",")[0], port)
    if os.path.isdir(f"/sys/class/net/{port}"):
        return interface_findings(port)
    return [Finding(False, f"{port}: neither a PCI address nor an interface of this machine",
                    "ip link; dpdk-devbind.py --status")]


def parse_cpus(text):
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no list of CPUs, such as 2,4-6")
    return set(numbers_of(text))


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/doctor", description=__doc__,
                                     epilog="Changes nothing. Ends with 1 if something is bad.",
                                     allow_abbrev=False)
    parser.add_argument("--cpus", type=parse_cpus, metavar="LIST",
                        help="of workers (those that are isolated, else those that scripts/bench "
                        "would take)")
    parser.add_argument("ports", nargs="*", metavar="PORT",
                        help="a PCI address, a kernel interface or a device of DPDK, such as "
                        "net_memif0,role=server")
    return parser.parse_args(arguments)


def usual_workers():
    """Those that are isolated, else those of a generator and a forwarder, of which one shares its
    CPU with all the rest where there are but two."""
    best = best_first(online_cpus(), isolated_cpus())
    return isolated_cpus() or set(best[:2 if len(best) > 2 else 1])


def main():
    options = parse(sys.argv[1:])
    workers = options.cpus or usual_workers()
    findings = machine_findings(workers)
    for port in options.ports:
        findings += port_findings(port, workers)
    for finding in findings:
        print(finding)
    n_bad = sum(not f.good for f in findings)
    print(f"{n_bad} of {len(findings)} are bad" if n_bad else "all is good")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
