"""Cycles by pipeline stage: tests/bench/bench, as scripts/bench stages runs it."""

import json
import subprocess

from processes import Failure

USUAL_MAX = 1 << 20


def measure(build, flows_max, cpu):
    print("Measuring stages, without ports", flush=True)
    done = subprocess.run([f"{build}/tests/bench/bench", "--json", "--skip-machine",
                           "--cpu", str(cpu), "--flows-max", str(max(flows_max, USUAL_MAX))],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure("the bench of stages failed: " + done.stderr)
    return json.loads(done.stdout)["results"]


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
