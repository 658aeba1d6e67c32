"""Cycles by pipeline stage: tests/bench/bench, as scripts/bench stages runs it."""

import json
import subprocess

from processes import Failure


def measure(build):
    print("Measuring stages, without ports", flush=True)
    done = subprocess.run([f"{build}/tests/bench/bench", "--json", "--skip-machine"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure("the bench of stages failed: " + done.stderr)
    return json.loads(done.stdout)["results"]


def show(results):
    print(f"\n{'stages, without ports':44} {'flows':>10} {'cycles':>9} {'best':>9} {'bound':>7}")
    for r in results:
        bound = f"{r['bound']:.0f}" if "bound" in r else "-"
        print(f"{r['name']:44} {r['flows']:>10} {r['cycles']:>9.1f} {r['best']:>9.1f} {bound:>7}")
