#!/usr/bin/python3
"""Judges the pipeline by frames that scapy builds, independently of Guideway's code.

usage: corpus.py RUNNER [PATTERN]
       corpus.py --daemon GUIDEWAY FOLDER [PATTERN]
       corpus.py --seeds RUNNER FOLDER

Each case runs with its frames whole, in small segments, and among thousands of services (with
CORPUS_WORLDS=1 in the environment only the first, which takes half the time); or through the
daemon, which keeps its files in the folder, in a network namespace with nothing else in it. Prints
a line for each and ends with the line "N passed, N failed". With --seeds the folder gets, in parse
and pipeline, what the fuzzers of these names begin with.
"""

import os
import sys
import time

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
from cannot import names_without_case, reason_against
from daemon import DaemonLab
from lab import CASES, WORLDS, Mismatch, PipelineLab
from seeds import SeedLab

FAILURES_MAX = 50


def run(lab, name, function, arguments):
    try:
        lab.begin()
        function(lab, *arguments)
    except Mismatch as mismatch:
        print("FAILED  %s: %s" % (name, mismatch))
        lab.broke()
        return False
    if lab.tells_what_passed:
        print("ok      " + name)
    return True


def run_all(lab, cases):
    results = []
    for c in cases:
        results.append(run(lab, *c))
        if results.count(False) == FAILURES_MAX:
            print("FAILED  so much that the rest is not tried")
            break
    ended_well = lab.close() == 0
    if not ended_well:
        print("FAILED  what was judged did not end well")
    failed = results.count(False) + (not ended_well)
    print("%d passed, %d failed" % (results.count(True), failed))
    return 1 if failed or not results else 0


def run_through_daemon(guideway, folder, pattern=""):
    cases = [c for c in CASES if pattern in c[0]]
    for name, _, _ in cases:
        if reason_against(name):
            print("not so  %s: %s" % (name, reason_against(name)))
    lab = DaemonLab(guideway, folder)
    begin = time.monotonic()
    try:
        status = run_all(lab, [c for c in cases if not reason_against(c[0])])
    finally:
        lab.stop()
    print("%d starts, %d reloads, %d s" % (lab.n_starts, lab.n_reloads, time.monotonic() - begin))
    return status


def run_through_pipeline(runner, pattern=""):
    worlds = WORLDS[: int(os.environ.get("CORPUS_WORLDS", len(WORLDS)))]
    return run_all(PipelineLab(runner, worlds), [c for c in CASES if pattern in c[0]])


def main(arguments):
    names = [c[0] for c in CASES]
    assert len(set(names)) == len(names), "two cases have one name"
    assert not names_without_case(names), "cannot.py names no case: %s" % names_without_case(names)

    if arguments[0] == "--daemon":
        return run_through_daemon(*arguments[1:])
    if arguments[0] == "--seeds":
        return run_all(SeedLab(*arguments[1:]), CASES)
    return run_through_pipeline(*arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
