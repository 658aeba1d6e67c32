"""What is measured, each behind a port of its own (ports.py), all of one kind."""

import json
import socket
import subprocess
from http.client import HTTPConnection

from processes import Failure, pause, resume

TESTPMD_MB = 128
TESTPMD_MBUFS = 16384
DESCRIPTORS = 2048  # Of all.


def testpmd(mode, name, vdev, cpus, huge, *more):
    """A command line. The first lcore sleeps."""
    memory = ["--in-memory", "--single-file-segments"] if huge else ["--no-huge", "--no-shconf"]
    return ["dpdk-testpmd", f"--lcores=0@{cpus[0]},1@{cpus[1]}", "--no-pci", *memory, "-m",
            str(TESTPMD_MB), "--no-telemetry", "--iova-mode=va", f"--file-prefix={name}",
            f"--vdev={vdev}", "--", "--no-lsc-interrupt", "--disable-link-check",
            f"--total-num-mbufs={TESTPMD_MBUFS}",
            f"--rxd={DESCRIPTORS}", f"--txd={DESCRIPTORS}", f"--forward-mode={mode}", *more]


class Forwarder:
    """Waits, stopped, while another is measured."""

    def __init__(self, name, number, process, log_name):
        self.name = name
        self.log_name = log_name
        self.number = number  # Of its port, at the generator.
        self.process = process
        self.has_flows = False

    def pause(self):
        pause(self.process)

    def resume(self):
        resume(self.process)


def start_testpmd(processes, ports, mode, number, cpus, huge):
    name = f"bench-{mode}"
    process = processes.start(name, ports.around_testpmd(number, testpmd(
        mode, name, ports.of_testpmd(number), cpus, huge, "--stats-period=3600")))
    processes.wait_until("it forwards", name, process,
                         lambda: "Press enter" in processes.last_words(name, 50) or
                         "Port statistics" in processes.last_words(name, 50))
    ports.connect(number, process)
    return Forwarder(mode, number, process, name)


class Control(HTTPConnection):
    """Guideway's management API."""

    def __init__(self, path):
        super().__init__("guideway", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, resource):
        self.request(method, "/v1/" + resource)
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())

    def is_ready(self):
        try:
            return self.ask("GET", "status")[1].get("ready", False)
        except OSError:
            self.close()
            return False

    def has_link(self):
        """It looks once a second, and drops what it has no link for."""
        return all(port["link_up"] for port in self.ask("GET", "status")[1]["ports"])


SMALL, HUGE = "4 kB pages", "2 MB pages"


class Guideway(Forwarder):
    def __init__(self, number, name, process, control, pages):
        super().__init__(name, number, process, name)
        self.control = control
        self.pages = pages  # That it got, of "flows" and of "packets".
        self.has_flows = True


def pages_of(control, log, huge):
    """Its status has those of flows; of packets its log tells when they are not as asked for."""
    with open(log, encoding="utf-8", errors="replace") as file:
        is_small = not huge or f"packet buffers are on {SMALL}" in file.read()
    return {"flows": control.ask("GET", "status")[1]["flows"]["memory"],
            "packets": SMALL if is_small else HUGE}


def give_addresses(process, world):
    done = subprocess.run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "ip", "-batch", "-"],
                          input=world.addresses(), text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise Failure("its twin cannot have its addresses: " + done.stderr)


def start_guideway(processes, ports, build, name, number, cpu, world, huge):
    folder = processes.folder
    path = f"{folder}/{name}.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(world.configuration(name, [ports.of_guideway(number)], cpu, folder,
                                       huge))
    process = processes.start(name, ports.around_guideway(
        number, [f"{build}/controlplane/guideway", "--config", path]))
    control = Control(f"{folder}/{name}.sock")
    processes.wait_until("it is ready", name, process, control.is_ready)
    ports.connect(number, process)
    give_addresses(process, world)
    return Guideway(number, name, process, control,
                    pages_of(control, processes.log_of(name), huge))
