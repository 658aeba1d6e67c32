"""The machine: its CPUs, its huge pages, what tells it apart."""

import os
import platform

from processes import Failure

CPU = "/sys/devices/system/cpu/"
PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
PAGE_MB = 2


def read(path, default=""):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return default


def numbers_of(cpu_list):
    """Of "0,2-3": [0, 2, 3]."""
    numbers = []
    for part in filter(None, cpu_list.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def online_cpus():
    return set(numbers_of(read(CPU + "online", "0")))


def isolated_cpus():
    """Which the kernel gives to nobody who does not ask: no shell has them in its mask."""
    return set(numbers_of(read(CPU + "isolated")))


def threads_of_core(cpu):
    return set(numbers_of(read(f"{CPU}cpu{cpu}/topology/thread_siblings_list"))) or {cpu}


def best_first(cpus, isolated, threads=threads_of_core):
    """For those who poll: whose core nobody has yet, isolated ones before others, and the last
    before the first, which has the kernel's work."""
    order, taken = [], set()
    for cpu in sorted(cpus, key=lambda cpu: (cpu not in isolated, -cpu)):
        order.append((bool(threads(cpu) & taken), cpu))
        taken.add(cpu)
    return [cpu for _, cpu in sorted(order, key=lambda one: one[0])]


def choose_cpus(wanted=None):
    """For the generator and for the forwarder: those that are wanted, else the two best."""
    usable = os.sched_getaffinity(0) | isolated_cpus()
    if wanted:
        missing = [cpu for cpu in wanted if cpu not in online_cpus()]
        if missing:
            raise Failure(f"--cpus: this machine has no CPU {missing[0]}; it has "
                          f"{read(CPU + 'online', '0')}")
        return wanted
    if len(usable) < 2:
        raise Failure("this takes two CPUs, one for the generator and one for the forwarder, and "
                      f"only CPU {min(usable)} is allowed (see taskset -p $$; --cpus A,B)")
    forwarder, generator = best_first(usable, isolated_cpus())[:2]
    return generator, forwarder


def allow_cpus(cpus):
    """To us and to what we start: Guideway takes no CPU that it is not allowed to run on."""
    try:
        os.sched_setaffinity(0, os.sched_getaffinity(0) | set(cpus))
    except OSError as what:
        raise Failure(f"CPUs {cpus[0]} and {cpus[1]} are not to be had: {what.strerror} (a cpuset "
                      "may leave them out)") from None


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
    return {"processor": processor(), "cpus": len(online_cpus()),
            "kernel": platform.release(), "load": os.getloadavg()[0],
            "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "none")}
