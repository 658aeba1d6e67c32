"""The generator of tests/support/generator, and what of it the harness asks."""

import json
import subprocess

from processes import Failure


def eal(cpu, ports, n_ports, huge, megabytes=256):
    memory = ["--in-memory", "--single-file-segments"] if huge else ["--no-huge", "--no-shconf"]
    vdevs = [f"--vdev={ports.of_generator(i)}" for i in range(n_ports)]
    return ["--no-pci", *memory, "-m", str(megabytes), "-l", str(cpu), "--no-telemetry",
            "--iova-mode=va", "--file-prefix=bench-generator", "--log-level=error", *vdevs]


class Generator:
    """Answers one command after the other."""

    NAME = "generator"

    def __init__(self, processes, ports, build, arguments):
        self.processes = processes
        command = [f"{build}/tests/support/generator/generator", *arguments, "--", "--commands"]
        self.process = processes.start(self.NAME, ports.around_generator(command),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # Its end tells below.
        answer = self.read_answer()
        if not answer:
            raise Failure(f"the generator could not do '{command}':\n" +
                          self.processes.last_words(self.NAME))
        return answer

    def read_answer(self):
        """EAL writes to stdout too."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return {}
