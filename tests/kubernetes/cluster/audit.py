"""Prints what was asked of the API server, a request a line: answer, verb, what, and of whom.

usage: audit.py LOG OFFSET

Reads the audit log from that many bytes on. A watch is told when it begins.
"""

import json
import sys


def line_of(event):
    object_ = event.get("objectRef", {})
    what = "/".join(filter(None, (object_.get("resource"), object_.get("subresource"))))
    whose = "/".join(filter(None, (object_.get("namespace"), object_.get("name"))))
    return f"{event['responseStatus']['code']} {event['verb']} {what or event['requestURI']} {whose}"


def main(path, offset):
    told = set()
    with open(path, "rb") as log:
        log.seek(int(offset))
        for text in log:
            event = json.loads(text)
            if event["auditID"] not in told:
                told.add(event["auditID"])
                print(line_of(event).rstrip())


main(*sys.argv[1:])
