#!/usr/bin/python3
"""Swaps tables as fast as they are published.

usage: swap.py SOCKET SECONDS LOG STATE: STATE:ACTION:NODE...

The first state is the present one. From then on each ACTION (drain or undrain) of NODE leads to the
next STATE, and the last to the first of them again. A swap begins when the one before is seen to be
published, by the generation that the management API tells. LOG gets a line for each state:
"ASKED DONE STATE", times as seconds since 1970.
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

    def generation(self):
        return self.ask("GET", "status")["table"]["generation"]

    def swap(self, action, node):
        """Returns when it was asked for and when it was seen to be done."""
        before = self.generation()
        asked = time.time()
        self.ask("POST", f"nodes/{node}/{action}")
        while self.generation() == before:
            if time.time() - asked > 5:
                raise RuntimeError(f"no table 5 s after {action} {node}")
            time.sleep(0.0005)
        return asked, time.time()


def main():
    connection = Connection(sys.argv[1])
    end = time.time() + float(sys.argv[2])
    first, *steps = [argument.split(":") for argument in sys.argv[4:]]
    took = []
    with open(sys.argv[3], "w", encoding="utf-8") as log:
        print(0, 0, first[0], file=log)
        while time.time() < end:
            for state, action, node in steps:
                asked, done = connection.swap(action, node)
                took.append(done - asked)
                print(f"{asked:.6f} {done:.6f} {state}", file=log)
    took.sort()
    print(f"{len(took)} swaps, each seen after {took[len(took) // 2] * 1000:.1f} ms (median), "
          f"{took[-1] * 1000:.1f} ms (longest)")


main()
