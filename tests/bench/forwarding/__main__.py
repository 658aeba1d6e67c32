"""Guideway end to end, without a network card: scripts/bench.

    generator ──── ports ──── forwarder: guideway, macswap or io
    (and sink)                one at a time, the others stopped
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from itertools import groupby

import builds
import cases
import compare
import hardware
import machine
import options as command_line
import own_rate
import pictures
import report
import stages
from lab import Lab
from ports import KINDS
from procedure import Procedure
from processes import Failure, Processes
from world import World

OTHERS_MB = 2 * 128 + 256 + 64  # testpmd twice, the generator, and what is rounded up.


def builds_of(options):
    builds = {"guideway": options.build}
    if options.against_build:
        builds[options.against] = options.against_build
    return builds


def notes_of(cpus, options):
    notes = []
    if len(machine.online_cpus()) == len(cpus):
        notes.append(f"with two CPUs the generator has CPU {cpus[0]} together with the control "
                     "threads of the forwarders and the rest of the machine")
    if os.getloadavg()[0] > 1:
        notes.append(f"others keep this machine busy (load {os.getloadavg()[0]:.1f}): figures can "
                     "only be set against those of the same line")
    if 6 in options.families and "tcp" in options.protocols:
        notes.append("the smallest TCP packet of IPv6 with its time stamp is 84 bytes")
    return notes


def describe(options, cpus, huge):
    return {"version": 1, "machine": machine.facts(), "cpus": cpus, "nodes": options.nodes,
            "services": options.services, "ports": KINDS[options.port_kind].words,
            "notes": notes_of(cpus, options), "huge": huge, "pages": {}, "cases": []}


def measure_case(case, options, lab, progress):
    procedure = Procedure(lab, options.effort)
    progress.say(case.name)
    result = procedure.measure(case)
    if not options.no_search:
        progress.say(f"{case.name}: highest rates without loss")
        procedure.search(case, result)
    progress.step()
    report.print_result(result)
    return result


def tell_pages(lab, document):
    """Each number of flows takes memory anew, so they may be others."""
    if lab.pages() != document["pages"]:
        document["pages"] = lab.pages()
        report.print_pages(document)


def measure_all(chosen, options, processes, document, end):
    """Until all is measured or the time is over. The memory of a Guideway is for as many flows as the
    case has, since a few in the memory of many would cost more than they do."""
    progress = report.Progress(len(chosen))
    measured = document["cases"]
    for _, group in groupby(chosen, key=lambda case: case.flows):
        group = list(group)
        lab = Lab(processes, KINDS[options.port_kind], builds_of(options),
                  world_of(group, options), document["cpus"], document["huge"])
        tell_pages(lab, document)
        for case in group:
            if time.monotonic() >= end:
                break
            if not measured:
                report.print_heading()
            measured.append(measure_case(case, options, lab, progress))
        processes.end_all()
        if time.monotonic() >= end:
            break
    if len(measured) < len(chosen):
        document["left_out"] = [case.name for case in chosen[len(measured):]]
        print(f"{options.minutes:g} minutes are over: {len(chosen) - len(measured)} cases are left "
              "out (--minutes)")


def run(options, chosen, processes, document):
    end = time.monotonic() + options.minutes * 60
    document["build"] = builds.facts(options.build)
    if not options.quick and not options.no_stages:
        document["stages"] = stages.measure(options.build, max(options.flows),
                                             document["cpus"][1])
    document["own_rate"] = own_rate.measure(processes, KINDS[options.port_kind], options.build,
                                             document["cpus"])
    report.print_machine(document)
    measure_all(chosen, options, processes, document, end)
    report.print_notes(document["cases"])


def world_of(chosen, options):
    return World(chosen, options.nodes, options.services)


def choose_cases(options):
    chosen = cases.choose(options)
    if not chosen:
        raise Failure("these options leave nothing to measure: only snat and dnat have a return "
                      "direction")
    return chosen


def memory_mb(options, chosen):
    """Of those who run at the same time, for the most flows that there are."""
    if options.small_pages:
        return 0
    largest = [case for case in chosen if case.flows == chosen[-1].flows]
    return len(builds_of(options)) * world_of(largest, options).memory_mb() + OTHERS_MB


def measure(options, old):
    """Returns the document, which is to be set beside an old one if there is one. Whatever happens,
    nothing of it stays behind."""
    chosen = choose_cases(options)
    cpus = machine.choose_cpus(options.cpus)
    machine.allow_cpus(cpus)
    processes = Processes(tempfile.mkdtemp(prefix="guideway-bench-"))
    pages = machine.HugePages(memory_mb(options, chosen))
    document = describe(options, cpus, not options.small_pages and pages.are_enough)
    try:
        if old:
            compare.refuse_another(old, document)
        run(options, chosen, processes, document)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Impatience does not leave half behind.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        processes.end_all()
        pages.give_back()
        shutil.rmtree(processes.folder, ignore_errors=True)
    return document


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as what:
        raise Failure(f"{path} cannot be read as what --json wrote: {what}") from None
    if "results" in document:  # Of scripts/bench stages.
        document = {"machine": document["machine"], "cases": [], "stages": document["results"],
                    "build": document.get("build", {})}
    if "cases" not in document:
        raise Failure(f"{path} has no cases: it is not what --json wrote")
    return document


def show(document):
    if not document["cases"]:
        return
    report.print_machine(document)
    report.print_pages(document)
    report.print_heading()
    for result in document["cases"]:
        report.print_result(result)
    report.print_notes(document["cases"])


def main():
    options = command_line.parse(sys.argv[1:])
    if options.ports:
        hardware.show(options)
        return
    old = load(options.compare) if options.compare else None
    if options.replay:
        document = load(options.replay)
        show(document)
    else:
        document = measure(options, old)
    if "stages" in document:
        stages.show(document["stages"])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
    if old:
        compare.show(old, document)
    if options.pictures:
        pictures.draw(document, options.pictures)


def interrupted(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        main()
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
