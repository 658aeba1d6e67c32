"""What the design asks of whole packets, beside macswap on the same ports.

    ports that cost little             cycles above macswap: the pipeline's bound and a quarter
    ports of a thousand cycles each    rate: nine tenths of macswap's
"""

HELD, MISSED, UNKNOWN = "held", "MISSED", "unknown"
MORE = 1.25
RATIO = 0.9
# Of the pipeline's own, for IPv4, as tests/bench has them: up to so many flows, so many cycles.
CYCLES = {
    ("dnat", "forward"): ((1 << 24, 30),),
    ("dsr", "forward"): ((1 << 24, 30),),
    ("snat", "forward"): ((1 << 20, 80), (1 << 24, 110)),
    ("snat", "return"): ((1 << 20, 70),),
}


def cycles_bound(case):
    """Of a case as a result has it, or None."""
    steps = CYCLES.get((case["mode"], case["direction"]), ()) if case["family"] == 4 else ()
    of_fitting = [cycles * MORE for flows, cycles in steps if case["flows"] <= flows]
    return of_fitting[0] if of_fitting else None


def judge(case, of, ceiling, is_costly):
    """Of one forwarder. 'is_costly' says it of the ports. Returns None where nothing is asked."""
    key, bound = ("ratio", RATIO) if is_costly else ("cycles_above", cycles_bound(case))
    if bound is None:
        return None
    is_known = of["saturated"] and ceiling["saturated"] and ceiling["pps"] > 0
    is_held = of["pps"] > 0 and of[key] is not None and (
        of[key] >= bound if is_costly else of[key] <= bound)
    return {"of": key, "bound": bound,
            "verdict": (HELD if is_held else MISSED) if is_known else UNKNOWN}
