#!/usr/bin/python3
"""Counts the cases of a run of `meson test`.

usage: count_cases.py testlog.json

Prints "PASSED FAILED". A program that reports no cases of its own counts as one; one that failed
otherwise than by a case (a crash, a timeout) counts as one that failed besides those it reported.
"""

import json
import re
import sys

CMOCKA_PASSED = re.compile(r"^\[ +OK \] ", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] (\w+)$", re.M)
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def cases(test):
    """Returns (passed, failed) of one program."""
    output = test.get("stdout", "") + test.get("stderr", "")
    summaries = SUMMARY.findall(output)
    if summaries:
        passed, failed = map(int, summaries[-1])
    else:
        passed = len(CMOCKA_PASSED.findall(output))
        failed = len(set(CMOCKA_FAILED.findall(output)))

    well = test["result"] in ("OK", "EXPECTEDFAIL")
    if not well and failed == 0:
        failed = 1
    if well and passed + failed == 0:
        passed = 1
    return passed, failed


def main():
    with open(sys.argv[1], encoding="utf-8") as log:
        counts = [cases(json.loads(line)) for line in log]
    print(sum(c[0] for c in counts), sum(c[1] for c in counts))


main()
