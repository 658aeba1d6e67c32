"""Compares what became of Kubernetes' own specs with what is said to pass, and prints a line for each.

usage: judge.py REPORT PASSES RUN

    REPORT  Ginkgo's, in JSON
    PASSES  lines of "RUN... | SPEC": the runs that a spec passes in
    RUN     which of them this was

Ends with "N passed, N failed": of the specs that are said to pass in this run. Status 1 if one of
them did not.
"""

import json
import re
import sys

REASON_LONGEST = 160


def name_of(spec):
    """Without tags such as [sig-network]."""
    text = " ".join((spec["ContainerHierarchyTexts"] or []) + [spec["LeafNodeText"]])
    return " ".join(re.sub(r"\[[^]]*\]", "", text).split())


def was_left_out(spec):
    """By the choice of specs; one that skips itself says why."""
    return spec["State"] == "skipped" and not spec.get("Failure")


def read_report(path):
    """Returns the specs by name."""
    with open(path, encoding="utf-8") as report:
        suites = json.load(report)
    specs = [spec for suite in suites for spec in suite["SpecReports"] or []]
    return {name_of(spec): spec for spec in specs if spec["LeafNodeType"] == "It"}


def read_passes(path, run):
    """Returns the names of all specs, and of those that pass in this run."""
    named, passing = set(), set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            runs, bar, name = line.partition(" | ")
            if line.startswith("#") or not bar:
                continue
            named.add(name.strip())
            if run in runs.split():
                passing.add(name.strip())
    return named, passing


def reason_of(spec):
    lines = spec.get("Failure", {}).get("Message", "").strip().splitlines()
    return lines[0][:REASON_LONGEST] if lines else spec["State"]


def requests_of(spec):
    """What the specs of rolling updates, which allow 5 % of errors, counted."""
    log = spec.get("CapturedGinkgoWriterOutput", "")
    requests = sum(map(int, re.findall(r"total HTTP requests: (\d+)", log)))
    errors = sum(map(int, re.findall(r"(?:Network|HTTP) errors: (\d+)", log)))
    return f", {errors} of {requests} requests failed" if requests else ""


def judge(spec, is_said_to_pass):
    """Returns a verdict and what is to be said of it."""
    if spec is None:
        return ("FAILED", "there is no such spec") if is_said_to_pass else ("absent", "")
    if was_left_out(spec):
        return "left out", ""
    seconds = f"{spec['RunTime'] / 1e9:.0f} s"
    if spec["State"] != "passed":
        return ("FAILED" if is_said_to_pass else "absent"), f"{seconds}: {reason_of(spec)}"
    if not is_said_to_pass:
        return "BEYOND", f"{seconds}: passes, and is not said to"
    return "ok", seconds + requests_of(spec)


def main(report, passes, run):
    specs = read_report(report)
    named, passing = read_passes(passes, run)
    ran = {name for name, spec in specs.items() if not was_left_out(spec)}
    verdicts = []
    for name in sorted(named | ran):
        verdict, words = judge(specs.get(name), name in passing)
        verdicts.append(verdict)
        if verdict != "left out":
            print(f"  {verdict:7} {name}{words and f' ({words})'}")
    print(f"{verdicts.count('ok')} passed, {verdicts.count('FAILED')} failed")
    return verdicts.count("FAILED") > 0


sys.exit(main(*sys.argv[1:]))
