"""Cycles by pipeline stage: tests/bench/bench, as scripts/bench stages runs it."""

import json
import subprocess
import tempfile
from collections import deque

import report
from processes import Failure

USUAL_MAX = 1 << 20


def follow(stream, progress):
    """Shows what is done, line by line; returns the last lines."""
    last = deque(maxlen=8)
    for line in stream:
        last.append(line)
        progress.say("stages: " + line.strip())
        progress.step()
    return "".join(last)


def measure(build, flows_max, cpu):
    progress = report.Progress()
    command = [f"{build}/tests/bench/bench", "--json", "--skip-machine", "--cpu", str(cpu),
               "--flows-max", str(max(flows_max, USUAL_MAX))]
    with tempfile.TemporaryFile("w+") as out:
        with subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True) as bench:
            last_words = follow(bench.stderr, progress)
        if bench.returncode != 0:
            raise Failure("the bench of stages failed: " + last_words)
        out.seek(0)
        return json.load(out)["results"]


def bound_text(result):
    """Of cycles, or of the ratio to what stands beside it."""
    if "ratio" in result:
        of = f" of x{result['ratio_bound']:.2f}" if "ratio_bound" in result else ""
        return f"x{result['ratio']:.2f}{of}"
    return f"{result['bound']:.0f}" if "bound" in result else "-"


def show(results):
    print(f"\n{'stages, without ports':44} {'flows':>10} {'cycles':>9} {'best':>9} {'bound':>14}")
    for r in results:
        print(f"{r['name']:44} {r['flows']:>10} {r['cycles']:>9.1f} {r['best']:>9.1f} "
              f"{bound_text(r):>14}")
