"""What the generator itself can do, beside what testpmd can."""

import json
import re
import subprocess

from forwarders import start_testpmd, testpmd
from processes import Failure

NULL_PORT = "net_null0,no-rx=1"
REPORTS = 3  # Of testpmd, one a second; the first is of nothing yet.


def of_generator(build, cpu, size):
    """Into a port that takes everything."""
    done = subprocess.run(
        [f"{build}/tests/support/generator/generator", "--no-pci", "--no-huge", "--no-shconf",
         "-m", "128", "-l", str(cpu), "--no-telemetry", "--iova-mode=va", "--log-level=error",
         f"--vdev={NULL_PORT}", "--", "--size", str(size), "--flows", "65536", "--seconds", "0.5"],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure("the generator does not run: " + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])["tx_pps"]


def of_testpmd(processes, around, vdev, cpus, size, what):
    """Its forward-mode flowgen; the most packets a second that it reports as 'what', Rx or Tx."""
    name = f"bench-flowgen-{what}"
    process = processes.start(name, around(testpmd(
        "flowgen", name, vdev, (cpus[1], cpus[0]), False, "--stats-period=1",
        f"--txpkts={size - 4}")))

    def rates():
        return re.findall(rf"{what}-pps:\s+(\d+)", processes.last_words(name, 1000))

    processes.wait_until("it reports", name, process, lambda: len(rates()) >= REPORTS)
    processes.end(process)
    return max(map(float, rates()))


def measure(processes, kind, build, cpus, size=64):
    """Into a null port, and what comes back from an `io` forwarder over ports of the kind."""
    ports = kind(processes)
    ports.open()
    rates = {"generator_null_pps": of_generator(build, cpus[0], size),
             "testpmd_null_pps": of_testpmd(processes, list, NULL_PORT, cpus, size, "Tx")}
    number = 9  # A port that no forwarder has.
    forwarder = start_testpmd(processes, ports, "io", number, cpus, False)
    rates["testpmd_back_pps"] = of_testpmd(
        processes, ports.around_generator, ports.of_generator(number), cpus, size, "Rx")
    processes.end(forwarder.process)
    processes.end_all()
    return rates
