#!/usr/bin/python3
"""scripts/doctor, beside a real testpmd on ports of DPDK that take no machine.

usage: test_doctor.py
"""

import sys

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
    finding = finding_of(doctor.port_findings("net_null0"), "RSS")
    assert str(finding).startswith("BAD     net_null0: RSS: 1024 queues, a key of 0 bytes, a table "
                                   "of 128, hashes all that is wanted"), str(finding)


def a_port_that_is_none_is_told():
    (finding,) = doctor.port_findings("nonsense0")
    assert not finding.good and "neither a PCI address nor an interface" in finding.what


def what_dpdk_says_of_a_port_that_it_does_not_take_is_told():
    (finding,) = doctor.port_findings("net_nonsense0")
    assert not finding.good and "DPDK cannot take it" in finding.what, finding


if __name__ == "__main__":
    trial.run(sys.modules[__name__])
