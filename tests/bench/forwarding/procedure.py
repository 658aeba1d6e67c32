"""How a case is measured: rates in turn, the highest rate without loss, latency at parts of it.

What is measured of a forwarder is what the generator says of it: see measure() of
tests/support/generator. Nothing here knows how packets are sent, so that it can be tried on
forwarders that are arithmetic.
"""

from itertools import count
from statistics import median

# A forwarder that takes all that it is offered may have been able to do more.
SATURATED = 0.02
# More than so much that was due and not offered, and the rate was another.
LATE_MAX = 0.01
LATENCY_SHARES = (0.5, 0.9)
FIRST_SEED = 1
FIRST_TRIAL_SEED = 1 << 20  # Of no round.


def offered(measurement):
    return measurement["sent"] + measurement["refused"]


def loss(measurement):
    """At a set rate: on a wire, what the port refuses would be lost as well."""
    return (offered(measurement) - measurement["received"]) / max(1, offered(measurement))


def passes(measurement, tolerance):
    due = offered(measurement) + measurement["late"]
    return measurement["late"] <= LATE_MAX * due and loss(measurement) <= tolerance


def find_loss_free(offer, top, resolution, tolerance):
    """The highest rate without loss, in the manner of RFC 2544, section 26.1: by bisection, to
    within 'resolution', a share of 'top'. 'offer' takes a rate and returns a measurement. 0 if
    there is none.
    """
    good, bad, rate = 0.0, top, top
    while True:
        if passes(offer(rate), tolerance):
            good = rate
        else:
            bad = rate
        if bad - good <= resolution * top:
            return good
        rate = (good + bad) / 2


def summary(rounds, port_drops=False):
    """Of the rounds of one forwarder, each a measurement without a set rate. 'port_drops' is said of
    ports that refuse nothing, and lose what the forwarder does not take in time."""
    too_much = sum(r["refused"] + port_drops * r["lost"] for r in rounds)
    too_much /= max(1, sum(map(offered, rounds)))
    sent = sum(r["sent"] for r in rounds)
    pps = median(r["rx_pps"] for r in rounds)
    return {
        "pps": pps, "rounds": [r["rx_pps"] for r in rounds],
        "cycles": rounds[0]["tsc_hz"] / pps if pps else None,
        "loss": sum(r["lost"] for r in rounds) / max(1, sent),
        "saturated": too_much > SATURATED,
    }


def compared(rounds, name, ceiling):
    """Of one forwarder beside the ceiling: medians over the rounds of what is taken in each."""
    pairs = [(mine["rx_pps"], other["rx_pps"], mine["tsc_hz"])
             for mine, other in zip(rounds[name], rounds[ceiling])
             if mine["rx_pps"] and other["rx_pps"]]
    if not pairs:
        return {"ratio": None, "cycles_above": None}
    return {"ratio": median(mine / other for mine, other, _ in pairs),
            "cycles_above": median(hz / mine - hz / other for mine, other, hz in pairs)}


class Procedure:
    def __init__(self, lab, effort):
        self.lab = lab
        self.effort = effort  # rounds, slice_s, trial_s, resolution, tolerance

    def interleave(self, case):
        """Every forwarder once a round, so that what the machine does meets all of them, and the
        same flows, which are others in each round."""
        names = [f.name for f in self.lab.forwarders]
        rounds = {name: [] for name in names}
        for number in range(self.effort.rounds):
            for forwarder in self.lab.forwarders[number % len(names):] + \
                    self.lab.forwarders[:number % len(names)]:
                with self.lab.only(forwarder, case):
                    rounds[forwarder.name].append(
                        self.lab.offer(forwarder, case, 0, self.effort.slice_s,
                                       FIRST_SEED + number))
        return rounds

    def measure(self, case):
        self.lab.prepare(case)
        rounds = self.interleave(case)
        result = {**case.to_json(),
                  "forwarders": {name: summary(r, self.lab.ports.port_drops)
                                 for name, r in rounds.items()}}
        if case.variant:
            n_tables, seconds = self.lab.swaps
            result["tables_per_s"] = n_tables / seconds
        for name in self.lab.guideways:
            result["forwarders"][name].update(compared(rounds, name, self.lab.CEILING))
        return result

    def search(self, case, forwarder, result):
        """Adds to a result what is found at set rates."""
        of = result["forwarders"][forwarder.name]
        seeds = count(FIRST_TRIAL_SEED)
        with self.lab.only(forwarder, case):
            def offer(rate):
                return self.lab.offer(forwarder, case, rate, self.effort.trial_s, next(seeds))

            of["loss_free_pps"] = find_loss_free(
                offer, of["pps"], self.effort.resolution,
                self.effort.tolerance) if of["pps"] >= 1 else 0
            of["latency_ns"] = {}
            for share in LATENCY_SHARES:
                if of["loss_free_pps"] >= 1:
                    of["latency_ns"][f"{share:.0%}"] = offer(
                        share * of["loss_free_pps"])["latency_ns"]
