#!/usr/bin/python3
"""Judges new flows by the generations of the table that were in force when they began.

usage: judge_swaps.py SWAPS TRAFFIC STATE=EXPECTED...

SWAPS is what swap.py wrote: "ASKED ENDED STATE", one line a state, in order. TRAFFIC is the log of traffic.c.
EXPECTED is a log of traffic.c too, made while STATE was in force and nothing changed: the node that
each client port goes to then.

A flow that was opened at s and answered at e must be with the node that its port has in one of the
states in force within [s, e]. A state is in force from when it was asked for until no worker can
forward by it any more.

Prints "N flows judged, N of them with a node that would have been wrong, N wrong".
"""

import bisect
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield line.split()


def first_answers(path):
    """Yields (port, node, opened, answered)."""
    for answered, port, what, node, opened in lines(path):
        if what == "first":
            yield port, node, float(opened), float(answered)


def intervals(path):
    """Returns (state, from, to) in order."""
    return [(state, float(asked), float(ended)) for asked, ended, state in lines(path)]


def states_within(force, starts, opened, answered):
    """The states in force at some moment of [opened, answered]."""
    last = bisect.bisect_right(starts, answered)
    states = set()
    for state, _, end in reversed(force[:last]):
        if end < opened:
            break
        states.add(state)
    return states


def main():
    force = intervals(sys.argv[1])
    starts = [start for _, start, _ in force]
    expected = {}
    for argument in sys.argv[3:]:
        state, path = argument.split("=")
        expected[state] = {port: node for port, node, _, _ in first_answers(path)}

    judged = telling = wrong = 0
    for port, node, opened, answered in first_answers(sys.argv[2]):
        if not all(port in nodes for nodes in expected.values()):
            continue  # On a busy machine a port may have had no answer in time.
        allowed = {expected[s][port] for s in states_within(force, starts, opened, answered)}
        everywhere = {nodes[port] for nodes in expected.values()}
        judged += 1
        telling += allowed != everywhere
        if node not in allowed:
            wrong += 1
            print(f"port {port} at {opened:.6f} went to {node}, not {sorted(allowed)}")
    print(f"{judged} flows judged, {telling} of them with a node that would have been wrong, {wrong} wrong")
    sys.exit(wrong != 0 or judged == 0 or telling == 0)


main()
