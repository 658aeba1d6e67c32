"""The cases' frames as seeds for the fuzzers of tests/fuzz: what a case puts in is an input of
fuzz_pipeline, and each of its frames is one of fuzz_parse. Both sources say how an input reads."""

import hashlib
import os
import shutil

from lab import CLIENTS, VLANS, WHOLE, PipelineLab

# Longer inputs make a fuzzer slow, and are no more to it.
FRAME_MAX, SEED_MAX, STEPS_MAX = 1599, 4096, 64

# Of fuzz_pipeline.c: the world's byte, a step's and a shape's. A raw frame is kind 0.
CLAMPS_MSS = 8
FROM_KERNEL, HAS_SHAPE = 32, 64
TAKES_TIME = 64
PAUSES_S = [0, 0.001, 0.02, 0.9, 5, 16, 61, 400]

# Of fuzz_parse.c: an input's first byte, and the MAC address of its ports.
IS_RETURNED, IS_IPV6, HAS_VLAN, PARSED_FROM_KERNEL = 1, 2, 2, 4
OUR_MAC = bytes([2, 0, 0, 0, 0, 1])

ICMP_ERRORS = {1: range(3, 13), 58: range(1, 128)}


def step_of(frame, port, kernel, pause_s):
    how = port << 2 | (FROM_KERNEL if kernel else 0) | (HAS_SHAPE if pause_s else 0)
    step = bytes([how]) + len(frame).to_bytes(2, "big") + frame
    if pause_s:
        nearest = min(range(len(PAUSES_S)), key=lambda i: abs(PAUSES_S[i] - pause_s))
        step += bytes([TAKES_TIME, nearest])
    return step


def parsed(frame, port, kernel):
    how = PARSED_FROM_KERNEL if kernel else HAS_VLAN if VLANS[port] else 0
    ours = frame[:5] == OUR_MAC[:5]
    return bytes([how, 0]) + (OUR_MAC + frame[6:] if ours else frame)


def returned(frame, port, kernel):
    """What an ICMP error in the frame brings back, or None."""
    ip = frame[18 if VLANS[port] and not kernel else 14 :]
    if len(ip) < 48:
        return None
    is_ipv6 = ip[0] >> 4 == 6
    protocol, at = (ip[6], 40) if is_ipv6 else (ip[9], (ip[0] & 15) * 4)
    if ip[at : at + 1] == b"" or ip[at] not in ICMP_ERRORS.get(protocol, ()):
        return None
    return bytes([IS_RETURNED | (IS_IPV6 if is_ipv6 else 0), 0]) + ip[at + 8 :]


class SeedLab(PipelineLab):
    """A conversation with the pipeline, of which the frames that go in are kept."""

    tells_what_passed = False

    def __init__(self, runner, folder):
        super().__init__(runner, [WHOLE])
        self.folder = folder
        self.forget()
        for name in ("parse", "pipeline"):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
            os.makedirs(os.path.join(folder, name))

    def forget(self):
        self.world, self.steps, self.n_steps, self.pause_s = 0, b"", 0, 0

    def ask(self, line):
        words = line.split()
        if words[0] == "world":
            self.write("pipeline", self.steps and bytes([self.world]) + self.steps)
            self.forget()
        elif words[0] == "mss":
            self.world |= CLAMPS_MSS
        elif words[0] == "advance":
            self.pause_s += int(words[1])
        return super().ask(line)

    def put_bytes(self, frame, port=CLIENTS, kernel=False):
        frame = bytes(frame)
        self.write("parse", parsed(frame, port, kernel))
        self.write("parse", returned(frame, port, kernel))
        step = step_of(frame, port, kernel, self.pause_s)
        if (
            len(frame) <= FRAME_MAX
            and len(self.steps) + len(step) < SEED_MAX
            and self.n_steps < STEPS_MAX
        ):
            self.steps += step
            self.n_steps += 1
            self.pause_s = 0
        super().put_bytes(frame, port, kernel)

    def close(self):
        self.ask("world")
        return super().close()

    def write(self, fuzzer, seed):
        """By a name that is the same for the same bytes."""
        if not seed or len(seed) > SEED_MAX:
            return
        name = hashlib.sha1(seed).hexdigest()
        with open(os.path.join(self.folder, fuzzer, name), "wb") as file:
            file.write(seed)
