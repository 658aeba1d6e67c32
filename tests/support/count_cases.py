#!/usr/bin/python3
"""Counts the cases of a run of `meson test`.

usage: count_cases.py testlog.json

Prints "PASSED FAILED", and a line for each program that failed, with its cases. A program that
reports no cases of its own counts as one; one that failed otherwise than by a case (a crash, a
timeout) counts as one that failed besides those it reported.
"""

import json
import re
import sys

CMOCKA_PASSED = re.compile(r"^\[ +OK \] ", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] (\w+)$", re.M)
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def output_of(test):
    return test.get("stdout", "") + test.get("stderr", "")


def cases(test):
    """Returns (passed, failed) of one program."""
    output = output_of(test)
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


def failure(test):
    names = CMOCKA_FAILED.findall(output_of(test))
    return f"{test['name']}: {', '.join(dict.fromkeys(names)) or test['result']}"


def main():
    with open(sys.argv[1], encoding="utf-8") as log:
        tests = [json.loads(line) for line in log]
    counts = [cases(test) for test in tests]
    print(sum(c[0] for c in counts), sum(c[1] for c in counts))
    for test, (_, failed) in zip(tests, counts):
        if failed:
            print(failure(test))


main()
