"""The forwarders and the generator, and who of them runs."""

import threading
import time
from contextlib import contextmanager

import forwarders
from generator import Generator, eal
from processes import Failure
from world import generator_options

SETTLE_S = 0.02  # Between what one forwarder did last and what the next does first.
CHANGES = {  # By variant: the node that is drained and undrained in turn, and how often.
    "swaps": ("spare", 0.010),
    "churn": ("n0", 0.100),
}


class Changes(threading.Thread):
    """Changes tables while packets are forwarded."""

    def __init__(self, guideway, variant):
        super().__init__(daemon=True)
        self.control = forwarders.Control(guideway.control.path)
        self.node, self.every_s = CHANGES[variant]
        self.is_over = threading.Event()
        self.n_tables = 0
        self.seconds = 0.0

    def generation(self):
        return self.control.ask("GET", "status")[1]["table"]["generation"]

    def run(self):
        first = self.generation()
        drained = False
        begin = due = time.monotonic()
        while drained or not self.is_over.is_set():
            drained = not drained
            self.control.ask("POST", f"nodes/{self.node}/{'drain' if drained else 'undrain'}")
            due = max(due + self.every_s, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))
        self.n_tables = self.generation() - first
        self.seconds = time.monotonic() - begin
        self.control.close()

    def end(self):
        self.is_over.set()
        self.join()
        if self.n_tables == 0:
            raise Failure(f"draining {self.node} and taking it back swapped no table")


class Lab:
    CEILING = "macswap"

    def __init__(self, processes, kind, builds, world, cpus, huge):
        """'kind' is of ports; 'builds' are folders of Guidewayes by name."""
        self.guideways = list(builds)
        self.processes = processes
        self.ports = kind(processes)
        self.ports.open()
        self.world = world
        self.opened = {}  # By forwarder: the flows that are open.
        self.swaps = [0, 0.0]  # Of the case: tables, in so many seconds.
        generator_cpu, cpu = cpus
        self.forwarders = [forwarders.start_testpmd(processes, self.ports, mode, number, cpus, huge)
                           for number, mode in enumerate(("macswap", "io"))]
        for forwarder in self.forwarders:
            forwarder.pause()
        for name, build in builds.items():
            guideway = forwarders.start_guideway(
                processes, self.ports, build, name, len(self.forwarders), cpu, world, huge)
            self.forwarders.append(guideway)
        self.generator = Generator(processes, self.ports, builds[self.guideways[0]],
                                   eal(generator_cpu, self.ports, len(self.forwarders), huge))
        self.connect()

    def connect(self):
        """Memifs shake hands while both ends run."""
        for forwarder in self.forwarders:
            forwarder.resume()
        for forwarder in self.forwarders:
            self.generator.ask(f"--port {forwarder.number} --packets 1 --seconds 0.1")
        for guideway in self.with_flows():
            self.processes.wait_until("its port has a link", guideway.log_name, guideway.process,
                                      guideway.control.has_link)
        for forwarder in self.forwarders:
            forwarder.pause()

    def with_flows(self):
        return [f for f in self.forwarders if f.has_flows]

    def pages(self):
        """What each Guideway lives on, by name."""
        return {f.name: f.pages for f in self.with_flows()}

    def searched(self):
        """Those whose highest rate without loss is found: the ceiling's says what is the ports'."""
        return [f for f in self.forwarders if f.has_flows or f.name == self.CEILING]

    def prepare(self, case):
        """Opens the flows of a case where they make a difference."""
        self.swaps = [0, 0.0]
        wanted = (case.mode, case.family, case.protocol, case.flows)
        for forwarder in self.with_flows():
            if case.needs_opening and self.opened.get(forwarder.name) != wanted:
                self.open(forwarder, case)
                self.opened[forwarder.name] = wanted

    def open(self, forwarder, case):
        forwarder.resume()
        answer = self.generator.ask(
            f"--port {forwarder.number} --open {generator_options(case, self.world)} "
            "--direction forward")
        forwarder.pause()
        if answer["opened"] < case.flows:
            raise Failure(f"{forwarder.name} opened {answer['opened']} flows of {case.flows}: "
                          f"{case.name}")

    @contextmanager
    def only(self, forwarder, case):
        """Lets it run, with the changes that belong to the case."""
        if forwarder.process.poll() is not None:
            raise Failure(f"{forwarder.name} ended:\n" +
                          self.processes.last_words(forwarder.log_name))
        forwarder.resume()
        changes = None
        if case.variant and forwarder.has_flows:
            changes = Changes(forwarder, case.variant)
            changes.start()
        time.sleep(SETTLE_S)
        try:
            yield
        finally:
            if changes is not None:
                changes.end()
                self.swaps[0] += changes.n_tables
                self.swaps[1] += changes.seconds
            forwarder.pause()

    def offer(self, forwarder, case, rate, seconds, seed):
        """Flows of one seed are the same ones in the same order, whoever has them."""
        opened_by = forwarder if forwarder.has_flows else self.with_flows()[0]
        return self.generator.ask(
            f"{generator_options(case, self.world)} --port {forwarder.number} "
            f"--opened-by {opened_by.number} --rate {rate:.0f} --seconds {seconds} "
            f"--seed {seed}")
