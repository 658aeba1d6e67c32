"""What is measured: each case is one kind of packet through one kind of service."""

from dataclasses import asdict, dataclass, replace

MODES = ("snat", "dnat", "dsr", "tunnel")
ANSWERED_MODES = ("snat", "dnat")  # Those whose answers come back through the forwarder.
FAMILIES = (4, 6)
SIZES = ("64", "128", "512", "1518", "imix")
FLOWS = (1, 1 << 10, 1 << 16, 1 << 20, 1 << 24)
USUAL_SIZE = "64"
USUAL_FLOWS = 1 << 16
# What a tunnel puts around its packets has to fit the port's MTU: GUE over IPv6 takes most.
LARGEST = 1518
TUNNEL_LARGEST = LARGEST - 52
# Of headers and a time stamp; with the frame's checksum, as sizes are told.
LEAST = {(4, "tcp"): 64, (4, "udp"): 64, (6, "tcp"): 84, (6, "udp"): 72}


@dataclass(frozen=True)
class Case:
    mode: str
    direction: str = "forward"
    family: int = 4
    protocol: str = "tcp"
    size: str = USUAL_SIZE
    flows: int = USUAL_FLOWS
    variant: str = ""  # "swaps", "churn" or none.

    @property
    def bytes(self):
        """Of a frame, as it is: not every size has room for the headers of every packet."""
        if self.size == "imix":
            return "imix"
        size = max(int(self.size), LEAST[self.family, self.protocol])
        return min(size, self.largest)

    @property
    def largest(self):
        """Of a mix."""
        return TUNNEL_LARGEST if self.mode == "tunnel" else LARGEST

    @property
    def name(self):
        words = [self.mode, self.direction, f"IPv{self.family}", self.protocol, str(self.bytes),
                 count_text(self.flows)]
        return " ".join(words + [self.variant] * bool(self.variant))

    @property
    def needs_opening(self):
        """In snat mode a flow is what its first packets make it."""
        return self.mode == "snat" or self.direction == "return"

    def to_json(self):
        return {**asdict(self), "bytes": self.bytes, "name": self.name}


def count_text(n):
    for unit, letter in ((1 << 20, "M"), (1 << 10, "k")):
        if n >= unit and n % unit == 0:
            return f"{n // unit}{letter}"
    return str(n)


def directions_of(mode):
    return ("forward", "return") if mode in ANSWERED_MODES else ("forward",)


def usual_cases(modes, families, protocols):
    return [Case(mode, direction, family, protocol)
            for mode in modes for family in families for protocol in protocols
            for direction in directions_of(mode)]


def with_sizes(cases, sizes):
    return [replace(case, size=size) for case in cases for size in sizes]


def with_flows(cases, flows):
    return [replace(case, flows=n) for case in cases for n in flows]


def with_variants(cases, variants):
    return [replace(case, variant=variant) for case in cases for variant in variants
            if case.direction == "forward" and case.mode in ("snat", "dsr")]


def choose(options):
    """One thing differs at a time: sizes at the usual number of flows, flows at the usual size."""
    usual = usual_cases(options.modes, options.families, options.protocols)
    usual = [c for c in usual if c.direction in options.directions]
    chosen = with_sizes(with_flows(usual, [options.flows[0]]), options.sizes)
    chosen += with_flows(with_sizes(usual, [options.sizes[0]]), options.flows)
    chosen += with_variants(with_flows(usual, [options.flows[0]]), options.variants)
    return in_order_of_opening(dict.fromkeys(chosen))


def in_order_of_opening(cases):
    """Those that need the same flows open stand beside each other, small crowds first."""
    return sorted(cases, key=lambda c: (c.flows, c.mode, c.family, c.protocol, c.variant))
