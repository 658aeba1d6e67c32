"""What people read: a table, a line for each case as soon as it is measured."""

import sys

from bounds import HELD, MISSED, UNKNOWN
from forwarders import HUGE, SMALL
from procedure import LATE, LOSSY

COLUMNS = "{:44} {:>8} {:>7} {:>8} {:>16} {:>15} {:>12} {:>7} {:>10}   {}"
HEADINGS = (
    ("", "macswap", "io", "guideway", "ratio", "cycles above", "bound", "loss", "loss-free",
     "latency at 50 % / 90 % of that:"),
    ("", "Mpps", "Mpps", "Mpps", "least..most", "least..most", "", "", "Mpps",
     "50, 90, 99, 99.9 %; microseconds"),
)


def mpps(value):
    return "-" if value is None else f"{value / 1e6:.3f}"


def latency_text(of):
    """Percentiles at each share of the loss-free rate, in microseconds, or why there are none."""
    latencies, failed = of.get("latency_ns") or {}, of.get("latency_failed") or {}
    parts = [", ".join(f"{latencies[share][q] / 1e3:.0f}" for q in ("50", "90", "99", "99.9"))
             if share in latencies else failed[share] for share in sorted({*latencies, *failed})]
    return " / ".join(parts) if parts else "-"


def loss_free_text(of):
    least = ">=" if of.get("loss_free_is_least") else ""
    return least + mpps(of.get("loss_free_pps"))


def is_saturated(result, name):
    """Both, else the generator was the limit: a forwarder that took all there was might have done
    more."""
    return all(result["forwarders"][which]["saturated"] for which in (name, "macswap"))


def spread_text(of, key, spread, digits, mark):
    if of[key] is None:
        return "-"
    text = f"{of[key]:.{digits}f}{mark}"
    if spread in of:
        text += " {:.{d}f}..{:.{d}f}".format(*of[spread], d=digits)
    return text


def bound_text(of):
    """Of cycles, or of the ratio."""
    bound = of.get("bound")
    if not bound:
        return "-"
    number = f"{bound['bound']:.1f}" if bound["of"] == "ratio" else f"{bound['bound']:.0f}"
    return f"{number} {bound['verdict']}"


def row(result, name):
    forwarders = result["forwarders"]
    of = forwarders[name]
    mark = "" if is_saturated(result, name) else "*"
    swaps = f" {result['tables_per_s']:.0f}/s" if "tables_per_s" in result else ""
    title = result["name"] + swaps + ("" if name == "guideway" else f" [{name}]")
    return COLUMNS.format(
        title, mpps(forwarders["macswap"]["pps"]), mpps(forwarders["io"]["pps"]), mpps(of["pps"]),
        spread_text(of, "ratio", "ratio_spread", 2, mark),
        spread_text(of, "cycles_above", "cycles_spread", 0, mark), bound_text(of),
        f"{of['loss']:.2%}", loss_free_text(of), latency_text(of))


def ceiling_row(result):
    """What stands beside the highest rate without loss."""
    of = result["forwarders"]["macswap"]
    return COLUMNS.format("    macswap of the same", "", "", "", "", "", "", "", loss_free_text(of),
                          latency_text(of))


def beside_row(result, name, other):
    """One Guideway beside another that was measured in turn with it."""
    of = result["forwarders"][name]["beside"][other]
    all_there_was = all(result["forwarders"][one]["saturated"] for one in (name, other))
    mark = "" if all_there_was else "*"
    return COLUMNS.format(f"    {name} beside {other}", "", "", "",
                          spread_text(of, "ratio", "ratio_spread", 2, mark),
                          spread_text(of, "cycles_above", "cycles_spread", 0, mark),
                          "", "", "", "").rstrip()


def guideways_of(result):
    return [name for name in result["forwarders"] if name not in ("macswap", "io")]


def print_heading():
    for heading in HEADINGS:
        print(COLUMNS.format(*heading))


def print_result(result):
    for name in guideways_of(result):
        print(row(result, name), flush=True)
    first, *others = guideways_of(result)
    for other in others:
        if "beside" in result["forwarders"][first]:
            print(beside_row(result, first, other), flush=True)
    if "loss_free_pps" in result["forwarders"]["macswap"]:
        print(ceiling_row(result), flush=True)


def print_bounds(results):
    """How many of them are held."""
    verdicts = [r["forwarders"][name]["bound"]["verdict"] for r in results
                for name in guideways_of(r) if r["forwarders"][name].get("bound")]
    if verdicts:
        print("the design's bounds: " + ", ".join(
            f"{verdicts.count(verdict)} {verdict}" for verdict in (HELD, MISSED, UNKNOWN)))
    if UNKNOWN in verdicts:
        print(f"{UNKNOWN}: the generator was the limit")


def print_notes(results):
    print_bounds(results)
    rows = [row(r, name) for r in results for name in guideways_of(r)]
    rows += [ceiling_row(r) for r in results if "loss_free_pps" in r["forwarders"]["macswap"]]
    if any("*" in line for line in rows):
        print("* not saturated, or macswap was not: the generator was the limit, and the figure "
              "may be more or less")
    if any(">=" in line for line in rows):
        print(">= for more than that the generator was late")
    if any(line.endswith((LATE, LOSSY)) or f"{LATE} /" in line or f"{LOSSY} /" in line
           for line in rows):
        print(f"{LATE}: the generator was, twice; {LOSSY}: packets were lost there, twice: such a "
              "trial says nothing of latency")


def pages_of_others(document):
    return HUGE if document["huge"] else SMALL


def pages_text(document, name):
    """What a Guideway lives on, and what that means where the ceiling has something else."""
    of = document["pages"][name]
    others = pages_of_others(document)
    text = f"{name}: flows on {of['flows']}, packets on {of['packets']}"
    return text if of["packets"] == others else f"{text}; MIND: macswap's are on {others}"


def print_pages(document):
    for name in document.get("pages", {}):
        print(pages_text(document, name))


def print_machine(document):
    machine, rates = document["machine"], document.get("own_rate")
    print(f"{machine['processor']}, {machine['cpus']} CPUs, load {machine['load']:.1f}; generator "
          f"and sink on CPU {document['cpus'][0]}, forwarders in turn on CPU {document['cpus'][1]}")
    print(f"ports: {document['ports']}; generator and testpmd on {pages_of_others(document)}")
    for note in document["notes"]:
        print("note: " + note)
    if rates:
        print(f"into a null port the generator sends {mpps(rates['generator_null_pps'])} Mpps, "
              f"testpmd's flowgen {mpps(rates['testpmd_null_pps'])}; from `io` over these ports "
              f"flowgen gets {mpps(rates['testpmd_back_pps'])} back")
    print()


class Progress:
    """One line on a terminal, which the next line of the table takes the place of."""

    def __init__(self, n_steps=None, stream=sys.stderr):
        self.n_steps = n_steps
        self.n_done = 0
        self.stream = stream
        self.on_terminal = stream.isatty()

    def say(self, what):
        of_all = "" if self.n_steps is None else f"/{self.n_steps}"
        line = f"[{self.n_done + 1}{of_all}] {what}"
        if self.on_terminal:
            self.stream.write("\r\033[K" + line)
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def step(self):
        self.n_done += 1
        if self.on_terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()
