"""Prints what was asked of the API server, a request a line: answer, verb, what, and of whom.

usage: audit.py LOG OFFSET

Reads the audit log from that many bytes on. A watch is told when it begins.
"""

import json
import sys


def answer_of(event):
    """Who may, and is refused for another reason (its namespace goes), is answered 403 as well."""
    code = event["responseStatus"]["code"]
    may = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
    return "403-not-now" if code == 403 and may else code


def is_end_of_watch(event):
    """Of one that may have begun before OFFSET. What is refused does not begin."""
    return (event["verb"] == "watch" and event["stage"] == "ResponseComplete"
            and event["responseStatus"]["code"] == 200)


def line_of(event):
    object_ = event.get("objectRef", {})
    what = "/".join(filter(None, (object_.get("resource"), object_.get("subresource"))))
    whose = "/".join(filter(None, (object_.get("namespace"), object_.get("name"))))
    return f"{answer_of(event)} {event['verb']} {what or event['requestURI']} {whose}"


def main(path, offset):
    told = set()
    with open(path, "rb") as log:
        log.seek(int(offset))
        for text in log:
            event = json.loads(text)
            if event["auditID"] not in told and not is_end_of_watch(event):
                told.add(event["auditID"])
                print(line_of(event).rstrip())


main(*sys.argv[1:])
