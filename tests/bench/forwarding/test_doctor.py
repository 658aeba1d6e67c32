#!/usr/bin/python3
"""scripts/doctor, beside a real testpmd on ports of DPDK that take no machine.

usage: test_doctor.py
"""

import contextlib
import io
import os
import sys
import tempfile

import doctor
import trial


def finding_of(findings, words):
    (finding,) = [f for f in findings if words in f.what]
    return finding


def card():
    """What testpmd tells of a port that is nothing, and keeps its key to itself; with its key."""
    text, _ = doctor.port_info("net_null0")
    table = "Redirection table size: 128"
    assert table in text, text
    return text.replace(table, "Hash key size in bytes: 40\n" + table)


def a_port_that_hashes_all_is_good():
    assert str(doctor.rss_of_device("p", card())) == (
        "good    p: RSS: 1024 queues, a key of 40 bytes, a table of 128, hashes all that is wanted")


def a_port_that_lacks_something_is_bad():
    text = card()
    for of_port, of_another, told in (
            (" ipv6-udp ", " ", "does not hash ipv6-udp"),
            ("Hash key size in bytes: 40", "Hash key size in bytes: 16", "a key of 16 bytes"),
            ("table size: 128", "table size: 1024", "a table of 1024"),
            ("table size: 128", "table size: 96", "a table of 96"),
            ("table size: 128", "table size: 0", "a table of 0")):
        assert of_port in text, (of_port, text)
        finding = doctor.rss_of_device("p", text.replace(of_port, of_another))
        assert not finding.good and told in finding.what, finding
    finding = finding_of(doctor.port_findings("net_null0", {0}), "RSS")
    assert str(finding).startswith("BAD     net_null0: RSS: 1024 queues, a key of 0 bytes, a table "
                                   "of 128, hashes all that is wanted"), str(finding)


def a_port_that_is_none_is_told():
    (finding,) = doctor.port_findings("nonsense0", {0})
    assert not finding.good and "neither a PCI address nor an interface" in finding.what


def what_dpdk_says_of_a_port_that_it_does_not_take_is_told():
    (finding,) = doctor.port_findings("net_nonsense0", {0})
    assert not finding.good and "DPDK cannot take it" in finding.what, finding


def the_mtu_of_a_port_and_the_most_are_told():
    finding = finding_of(doctor.port_findings("net_null0", {0}), "MTU")
    assert str(finding) == "good    net_null0: MTU 1500, at most 65535", finding
    finding = finding_of(doctor.port_findings("lo", {0}), "MTU")
    assert not finding.good and "lo: MTU 65536, at most not told" in finding.what, finding


def interrupts_that_may_come_to_workers_are_named():
    with tempfile.TemporaryDirectory() as folder:
        for number, cpus, action in ((9, "0", "acpi"), (24, "0-3", "eth0"), (25, "2", "nvme"),
                                     (26, "1-2", None)):
            os.makedirs(f"{folder}/{number}" + (f"/{action}" if action else ""))
            with open(f"{folder}/{number}/smp_affinity_list", "w", encoding="utf-8") as file:
                file.write(cpus + "\n")
        assert doctor.interrupts_at({2}, folder) == ["24", "25"]
        assert doctor.interrupts_at({1}, folder) == ["24"]
        assert doctor.interrupts_at({4}, folder) == []


def what_the_kernel_keeps_from_workers_is_a_line_each():
    findings = doctor.machine_findings({4095})
    for words in ("huge pages", "isolated CPUs", "nohz_full", "rcu_nocbs", "interrupts:",
                  "governor", "steal", "irqbalance"):
        finding_of(findings, words)
    assert not finding_of(findings, "nohz_full").good
    assert "boot with rcu_nocbs=4095" in str(finding_of(findings, "rcu_nocbs"))
    assert finding_of(findings, "interrupts:").good


def a_port_far_from_its_workers_is_bad():
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/numa_node", "w", encoding="utf-8") as file:
            file.write("0\n")
        if 0 not in doctor.node_cpus():
            print("        (not tried: this kernel tells of no NUMA node)")
            return
        assert doctor.pci_numa("p", folder, {0}).good
        finding = doctor.pci_numa("p", folder, {4095})
        assert not finding.good and "workers are on 4095" in finding.what, finding


def mistakes_on_the_command_line_are_named():
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            doctor.parse(["--cpus", "2-"])
        except SystemExit:
            pass
    assert "'2-' is no list of CPUs, such as 2,4-6" in err.getvalue(), err.getvalue()
    assert doctor.parse(["--cpus", "2,4-6", "eth0"]).cpus == {2, 4, 5, 6}


if __name__ == "__main__":
    trial.run(sys.modules[__name__])
