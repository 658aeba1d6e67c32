"""Prints what was asked of the API server, a request a line: answer, verb, what, and of whom.

usage: audit.py LOG OFFSET

Reads the audit log from that many bytes on, whole lines only. A watch is told when it begins. What cannot
be read is an error, and then nothing is told.
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


def whole_lines(path, offset):
    """Those that begin after OFFSET. The last one may still be under way."""
    with open(path, "rb") as log:
        log.seek(max(0, offset - 1))
        if offset > 0:
            log.readline()
        return [line for line in log if line.endswith(b"\n")]


def main(path, offset):
    lines = {}
    for text in whole_lines(path, int(offset)):
        event = json.loads(text)
        if not is_end_of_watch(event):
            lines.setdefault(event["auditID"], line_of(event).rstrip())
    if lines:
        print(*lines.values(), sep="\n")


main(*sys.argv[1:])
