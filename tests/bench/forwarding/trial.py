"""Runs a test: its cases are the functions that take nothing, each named by what it proves."""

import inspect
import sys


def cases_of(module):
    return [value for value in vars(module).values()
            if inspect.isfunction(value) and value.__module__ == module.__name__ and
            not inspect.signature(value).parameters]


def run(module):
    failed = 0
    cases = cases_of(module)
    for case in cases:
        name = case.__name__.replace("_", " ")
        try:
            case()
            print("ok", name)
        except Exception as what:  # A case that breaks has failed, whatever it breaks by.
            failed += 1
            print("FAILED", name, repr(what))
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(failed > 0)
