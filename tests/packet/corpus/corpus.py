#!/usr/bin/python3
"""Judges the pipeline by frames that scapy builds, independently of Guideway's code.

usage: corpus.py RUNNER [PATTERN]

Each case runs with its frames whole and in small segments. Prints a line for each and ends with the
line "N passed, N failed".
"""

import sys

import answers  # noqa: F401 - each of these registers its cases.
import drops  # noqa: F401
import errors  # noqa: F401
import forwarding  # noqa: F401
import fragments  # noqa: F401
import kernel  # noqa: F401
import mode_errors  # noqa: F401
import modes  # noqa: F401
import regressions  # noqa: F401
import tunnels  # noqa: F401
from lab import CASES, Lab, Mismatch


def run(lab, name, function, arguments):
    try:
        lab.begin()
        function(lab, *arguments)
    except Mismatch as mismatch:
        print("FAILED  %s: %s" % (name, mismatch))
        return False
    print("ok      " + name)
    return True


def main():
    lab = Lab(sys.argv[1])
    pattern = sys.argv[2] if len(sys.argv) > 2 else ""
    cases = [c for c in CASES if pattern in c[0]]
    names = [c[0] for c in cases]
    assert len(set(names)) == len(names), "two cases have one name"

    results = [run(lab, *c) for c in cases]
    ended_well = lab.close() == 0
    if not ended_well:
        print("FAILED  the runner")
    failed = results.count(False) + (not ended_well)
    print("%d passed, %d failed" % (results.count(True), failed))
    return 1 if failed or not results else 0


sys.exit(main())
