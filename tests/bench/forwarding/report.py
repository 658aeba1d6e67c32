"""What people read: a table, a line for each case as soon as it is measured."""

import sys

from forwarders import HUGE, SMALL

COLUMNS = "{:44} {:>8} {:>7} {:>8} {:>6} {:>7} {:>7} {:>9}   {}"
HEADINGS = (
    ("", "macswap", "io", "guideway", "ratio", "cycles", "loss", "loss-free",
     "latency at 50 % / 90 % of that:"),
    ("", "Mpps", "Mpps", "Mpps", "", "above", "", "Mpps", "50, 90, 99, 99.9 %; microseconds"),
)


def mpps(value):
    return "-" if value is None else f"{value / 1e6:.3f}"


def latency_text(latencies):
    """Percentiles at each share of the loss-free rate, in microseconds."""
    parts = [", ".join(f"{latency[q] / 1e3:.0f}" for q in ("50", "90", "99", "99.9"))
             for latency in (latencies or {}).values()]
    return " / ".join(parts) if parts else "-"


def row(result, name):
    forwarders = result["forwarders"]
    of = forwarders[name]
    # A forwarder that took all there was might have done more.
    mark = "" if of["saturated"] and forwarders["macswap"]["saturated"] else "*"
    above = "-" if of["cycles_above"] is None else f"{of['cycles_above']:.0f}{mark}"
    ratio = "-" if of["ratio"] is None else f"{of['ratio']:.2f}"
    swaps = f" {result['tables_per_s']:.0f}/s" if "tables_per_s" in result else ""
    title = result["name"] + swaps + ("" if name == "guideway" else f" [{name}]")
    return COLUMNS.format(
        title, mpps(forwarders["macswap"]["pps"]), mpps(forwarders["io"]["pps"]), mpps(of["pps"]),
        ratio, above, f"{of['loss']:.2%}", mpps(of.get("loss_free_pps")),
        latency_text(of.get("latency_ns")))


def ceiling_row(result):
    """What stands beside the highest rate without loss."""
    of = result["forwarders"]["macswap"]
    return COLUMNS.format("    macswap of the same", "", "", "", "", "", "",
                          mpps(of["loss_free_pps"]), latency_text(of["latency_ns"]))


def guideways_of(result):
    return [name for name in result["forwarders"] if name not in ("macswap", "io")]


def print_heading():
    for heading in HEADINGS:
        print(COLUMNS.format(*heading))


def print_result(result):
    for name in guideways_of(result):
        print(row(result, name), flush=True)
    if "loss_free_pps" in result["forwarders"]["macswap"]:
        print(ceiling_row(result), flush=True)


def print_notes(results):
    if any("*" in row(r, name) for r in results for name in guideways_of(r)):
        print("* not saturated, or macswap was not: the generator was the limit, and the figure "
              "may be more or less")


def pages_of_others(document):
    return HUGE if document["huge"] else SMALL


def pages_text(document, name):
    """What a Guideway lives on, and what that means where the ceiling has something else."""
    of = document["pages"][name]
    others = pages_of_others(document)
    text = f"{name}: flows on {of['flows']}, packets on {of['packets']}"
    return text if of["packets"] == others else f"{text}; MIND: macswap's are on {others}"


def print_pages(document):
    for name in document["pages"]:
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

    def __init__(self, n_steps, stream=sys.stderr):
        self.n_steps = n_steps
        self.n_done = 0
        self.stream = stream
        self.on_terminal = stream.isatty()

    def say(self, what):
        line = f"[{self.n_done + 1}/{self.n_steps}] {what}"
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
