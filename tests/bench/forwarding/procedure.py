"""How a case is measured: rates in turn, the highest rate without loss, latency at parts of it.

What is measured of a forwarder is what the generator says of it: see measure() of
tests/support/generator. Nothing here knows how packets are sent, so that it can be tried on
forwarders that are arithmetic.
"""

from itertools import count
from statistics import median

import bounds

# A forwarder that takes all that it is offered may have been able to do more.
SATURATED = 0.02
# More than so much that was due and not offered, and the rate was another.
LATE_MAX = 0.01
LATENCY_SHARES = (0.5, 0.9)
TRIALS = 2  # Until a rate has failed.
UPWARD = 1.25  # Where nothing is lost yet, the next rate is so much higher,
UPWARD_MOST = 8  # up to so many times the first.
FIRST_SEED = 1
FIRST_TRIAL_SEED = 1 << 20  # Of no round.


def offered(measurement):
    return measurement["sent"] + measurement["refused"]


def loss(measurement):
    """At a set rate: on a wire, what the port refuses would be lost as well."""
    return (offered(measurement) - measurement["received"]) / max(1, offered(measurement))


GOOD, LATE, LOSSY = "good", "late", "lossy"


def judge(measurement, tolerance):
    """Of a trial at a set rate. Late is the generator's fault: it proves nothing."""
    if measurement["late"] > LATE_MAX * (offered(measurement) + measurement["late"]):
        return LATE
    return GOOD if loss(measurement) <= tolerance else LOSSY


# Plans: generators that say at which rate the next trial is to be, and are sent its measurement, so
# that those of several forwarders go on in turn.

def tried(rate, tolerance):
    """What fails has one more trial, since a machine does other things by chance. Returns the
    judgement and the measurement."""
    for _ in range(TRIALS):
        measurement = yield rate
        judgement = judge(measurement, tolerance)
        if judgement == GOOD:
            break
    return judgement, measurement


def find_loss_free(top, resolution, tolerance):
    """The highest rate without loss, in the manner of RFC 2544, section 26.1: by bisection, to
    within 'resolution', a share of 'top', which is where the search begins. What passes there is
    followed upward. Returns the rate, 0 if there is none, and whether it may be more, since the
    generator was too late to tell.
    """
    good, bad, rate, why = 0.0, None, top, GOOD
    while (bad is None and rate <= UPWARD_MOST * top) or (
            bad is not None and bad - good > resolution * top):
        judgement, _ = yield from tried(rate, tolerance)
        if judgement == GOOD:
            good = rate
        else:
            bad, why = rate, judgement
        rate = UPWARD * good if bad is None else (good + bad) / 2
    return good, why != LOSSY


def find_latency(loss_free, tolerance):
    """At parts of that rate. Returns the latencies by part, and what was wrong with those trials
    that say nothing."""
    latencies, failed = {}, {}
    for share in LATENCY_SHARES if loss_free >= 1 else ():
        judgement, measurement = yield from tried(share * loss_free, tolerance)
        if judgement == GOOD:
            latencies[f"{share:.0%}"] = measurement["latency_ns"]
        else:
            failed[f"{share:.0%}"] = judgement
    return latencies, failed


def search(top, effort):
    """Both. Returns what a result has of it."""
    rate, is_least = 0, False
    if top >= 1:
        rate, is_least = yield from find_loss_free(top, effort.resolution, effort.tolerance)
    latencies, failed = yield from find_latency(rate, effort.tolerance)
    return {"loss_free_pps": rate, "loss_free_is_least": is_least, "latency_ns": latencies,
            "latency_failed": failed}


def advance(plan, measurement=None):
    """Returns the plan's next rate and None, or None and what it has found."""
    try:
        return plan.send(measurement), None
    except StopIteration as end:
        return None, end.value


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
    ratios = [mine / other for mine, other, _ in pairs]
    cycles = [hz / mine - hz / other for mine, other, hz in pairs]
    return {"ratio": median(ratios), "ratio_spread": [min(ratios), max(ratios)],
            "cycles_above": median(cycles), "cycles_spread": [min(cycles), max(cycles)]}


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
            self.compare(result, rounds, name)
        return result

    def compare(self, result, rounds, name):
        """Adds what one Guideway does beside the ceiling, and what the design asks of that."""
        of, ceiling = (result["forwarders"][which] for which in (name, self.lab.CEILING))
        of.update(compared(rounds, name, self.lab.CEILING))
        of["bound"] = bounds.judge(result, of, ceiling, self.lab.ports.is_costly)
        of["beside"] = {other: compared(rounds, name, other) for other in self.lab.guideways
                        if other != name}

    def search(self, case, result):
        """Adds to a result what is found at set rates, a trial of each forwarder in turn."""
        of = result["forwarders"]
        plans = {f: search(of[f.name]["pps"], self.effort) for f in self.lab.searched()}
        rates = {}
        for forwarder, plan in plans.items():
            self.go_on(rates, forwarder, plan, of, None)
        for seed in count(FIRST_TRIAL_SEED):
            if not rates:
                return
            for forwarder, rate in list(rates.items()):
                with self.lab.only(forwarder, case):
                    measurement = self.lab.offer(forwarder, case, rate, self.effort.trial_s, seed)
                self.go_on(rates, forwarder, plans[forwarder], of, measurement)

    @staticmethod
    def go_on(rates, forwarder, plan, ret_of, measurement):
        """With one plan: notes the next rate, or what was found."""
        rate, found = advance(plan, measurement)
        if found is None:
            rates[forwarder] = rate
        else:
            rates.pop(forwarder, None)
            ret_of[forwarder.name].update(found)
