#!/usr/bin/python3
"""Swaps tables as fast as they are published.

usage: swap.py SOCKET SECONDS LOG STATE: STATE:ACTION:NODE...

The first state is the present one. From then on each ACTION (drain or undrain) of NODE leads to the
next STATE, and the last to the first of them again. A swap begins when the one before is seen to be
published, by the generation that the management API tells. LOG gets a line for each state that is
over: "ASKED ENDED STATE", times as seconds since 1970. A state begins when it is asked for and ends
when no worker can forward by its table any more: on a busy machine a worker that was interrupted
forwards its burst by the table that it had taken, however many are published meanwhile.
"""

import http.client
import json
import socket
import sys
import time


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("guideway")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def ask(self, method, resource):
        self.request(method, "/v1/" + resource)
        answer = self.getresponse()
        document = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(document)
        return document

    def table(self):
        return self.ask("GET", "status")["table"]


class Swaps:
    """The states so far, those that are over in a log."""

    def __init__(self, connection, log, first):
        self.connection = connection
        self.log = log
        self.generation = connection.table()["generation"]
        self.going = [(0, self.generation, first)]  # Asked, generation, state: oldest first.
        self.took = []

    def look(self):
        """Notes which states are over, and returns the generation in force."""
        table = self.connection.table()
        now = time.time()
        # A state is over when a younger one is the oldest that a worker may see.
        while len(self.going) > 1 and self.going[1][1] <= table["oldest"]:
            asked, _, state = self.going.pop(0)
            print(f"{asked:.6f} {now:.6f} {state}", file=self.log)
        return table["generation"]

    def swap(self, state, action, node):
        asked = time.time()
        self.connection.ask("POST", f"nodes/{node}/{action}")
        while (generation := self.look()) == self.generation:
            if time.time() - asked > 5:
                raise RuntimeError(f"no table 5 s after {action} {node}")
            time.sleep(0.0005)
        self.generation = generation
        self.took.append(time.time() - asked)
        self.going.append((asked, generation, state))

    def end(self):
        for asked, _, state in self.going:
            print(f"{asked:.6f} inf {state}", file=self.log)


def main():
    connection = Connection(sys.argv[1])
    end = time.time() + float(sys.argv[2])
    first, *steps = [argument.split(":") for argument in sys.argv[4:]]
    with open(sys.argv[3], "w", encoding="utf-8") as log:
        swaps = Swaps(connection, log, first[0])
        while time.time() < end:
            for step in steps:
                swaps.swap(*step)
        swaps.end()
    took = sorted(swaps.took)
    print(f"{len(took)} swaps, each seen after {took[len(took) // 2] * 1000:.1f} ms (median), "
          f"{took[-1] * 1000:.1f} ms (longest)")


main()
