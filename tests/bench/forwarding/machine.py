"""The machine: its CPUs, its huge pages, what tells it apart."""

import os
import platform

from processes import Failure

PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
PAGE_MB = 2


def read(path, default=""):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return default


def choose_cpus():
    """For the generator and for the forwarder, the last two: the first has the kernel's work."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Failure("this takes two CPUs, one for the generator and one for the forwarder, and "
                      f"only CPU {allowed[0]} is allowed (see taskset -p $$)")
    return allowed[-2], allowed[-1]


class HugePages:
    """Reserves as many as are wanted and free, and gives them back."""

    def __init__(self, megabytes):
        self.before = int(read(PAGES + "nr_hugepages", "0"))
        free = int(read(PAGES + "free_hugepages", "0"))
        self.wanted = self.before + max(0, megabytes // PAGE_MB - free)
        self.write(self.wanted)
        self.there = int(read(PAGES + "nr_hugepages", "0"))

    @property
    def are_enough(self):
        return self.there >= self.wanted

    def write(self, n):
        if n == int(read(PAGES + "nr_hugepages", "0")):
            return
        try:
            with open(PAGES + "nr_hugepages", "w", encoding="utf-8") as file:
                file.write(str(n))
        except OSError:
            pass  # Not root, or no such pages: told by are_enough.

    def give_back(self):
        self.write(self.before)


def processor():
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def facts():
    return {"processor": processor(), "cpus": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "load": os.getloadavg()[0],
            "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "none")}
