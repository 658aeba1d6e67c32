"""The command line of scripts/bench."""

import argparse
from dataclasses import dataclass

import cases
import ports

HELP = """\
Sends whole packets from a generator, which is their sink too, through Guideway and back over memif (or
ports of the kernel), in turn with testpmd's macswap and io on ports alike. Sizes count the frame's
checksum.
"""
MORE = """\
scripts/bench stages [OPTION]...   cycles by pipeline stage and by table, without ports (see there)
scripts/bench stages --help
scripts/doctor                     what of this machine stands in the way of good figures
"""


@dataclass(frozen=True)
class Effort:
    rounds: int       # Each forwarder is measured so often,
    slice_s: float    # for so long.
    trial_s: float    # One trial of the search for the highest rate without loss.
    resolution: float  # How near that search comes, as a share of the highest rate at all.
    tolerance: float  # The loss that counts as none, as a share.


def words_of(allowed, what):
    def parse(text):
        words = tuple(text.split(","))
        for word in words:
            if word not in allowed:
                raise argparse.ArgumentTypeError(
                    f"'{word}' is no {what}; there are {', '.join(allowed)}")
        return words
    return parse


def parse_sizes(text):
    sizes = tuple(text.split(","))
    for size in sizes:
        if size != "imix" and not (size.isdigit() and 64 <= int(size) <= 1518
                                   and int(size) % 2 == 0):
            raise argparse.ArgumentTypeError(
                f"'{size}' is no size; even numbers from 64 to 1518 are, and imix")
    return sizes


def parse_count(text):
    units = {"k": 1 << 10, "M": 1 << 20}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "")
    if not number.isdigit() or not 1 <= int(number) * units.get(unit, 1) <= 1 << 24:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no number of flows; 1 to 16M are, such as 64k")
    return int(number) * units.get(unit, 1)


def parse_counts(text):
    return tuple(map(parse_count, text.split(",")))


def within(least, most, kind):
    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
        return number
    return parse


def parse_cpus(text):
    cpus = text.split(",")
    if len(set(cpus)) != 2 or len(cpus) != 2 or not all(cpu.isdigit() for cpu in cpus):
        raise argparse.ArgumentTypeError(f"'{text}' is not two CPUs, such as 2,3")
    return tuple(map(int, cpus))


def parser():
    p = argparse.ArgumentParser(prog="scripts/bench", description=HELP, epilog=MORE,
                                allow_abbrev=False,  # scripts/bench reads some of them itself.
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="a look, in about a minute")
    what = p.add_argument_group("what is measured (lists are comma-separated)")
    what.add_argument("--modes", type=words_of(cases.MODES, "mode"), default=cases.MODES)
    what.add_argument("--directions", type=words_of(("forward", "return"), "direction"),
                      default=("forward", "return"))
    what.add_argument("--families", type=words_of(("4", "6"), "family"), default=("4", "6"))
    what.add_argument("--protocols", type=words_of(("tcp", "udp"), "protocol"), default=("tcp",))
    what.add_argument("--sizes", type=parse_sizes,
                      help="64,128,512,1518,imix; the first is that of all other figures")
    what.add_argument("--flows", type=parse_counts,
                      help="64k,1,1k,1M,16M; the first is that of all other figures")
    what.add_argument("--variants", type=words_of(("swaps", "churn"), "variant"),
                      help="swaps: a new table every 10 ms; churn: a node comes or goes ten times "
                      "a second")
    what.add_argument("--nodes", type=within(1, 1000, int), default=16)
    what.add_argument("--services", type=within(1, 10000, int), default=1,
                      help="of each kind; flows have them in turn (dnat has one)")
    how = p.add_argument_group("how")
    how.add_argument("--port-kind", choices=tuple(ports.KINDS), default="memif",
                     help="memif (the default) costs least, so that the forwarder is what is "
                     "measured; the others lead through the kernel and take 1000 cycles a packet "
                     "and more, as where no driver of DPDK takes the card")
    how.add_argument("--cpus", type=parse_cpus, metavar="A,B",
                     help="of the generator and of the forwarders (isolated ones, if there are, "
                     "else the last two)")
    how.add_argument("--rounds", type=within(1, 1000, int))
    how.add_argument("--slice", type=within(0.05, 60, float), metavar="S",
                     help="seconds that each forwarder is measured in a round")
    how.add_argument("--trial", type=within(0.05, 60, float), metavar="S",
                     help="seconds of one trial at a set rate")
    how.add_argument("--loss", type=within(0, 100, float), default=0, metavar="PERCENT",
                     help="that counts as none (0)")
    how.add_argument("--no-search", action="store_true",
                     help="neither the highest rate without loss nor latency")
    how.add_argument("--no-stages", action="store_true",
                     help="without cycles by stage, which a run that is not quick ends with")
    how.add_argument("--minutes", type=within(0.1, 1440, float),
                     help="leave out what has not begun by then (2 for --quick, else 120)")
    how.add_argument("--small-pages", action="store_true", help="reserve no huge pages")
    out = p.add_argument_group("what becomes of it")
    out.add_argument("--json", metavar="FILE", help="write all figures there")
    out.add_argument("--pictures", metavar="FOLDER",
                     help="draw rate against flows and against size there, as SVG (gnuplot)")
    out.add_argument("--compare", metavar="OLD.json", help="show what changed since")
    out.add_argument("--from", dest="replay", metavar="FILE.json",
                     help="measure nothing: show, draw and compare what --json wrote")
    out.add_argument("--against", metavar="REV",
                     help="build that revision too, and measure it in turn with this one")
    hard = p.add_argument_group("on real hardware")
    hard.add_argument("--ports", metavar="A,B", help="PCI addresses: print what each machine runs")
    hard.add_argument("--generator", choices=("testpmd", "pktgen"), default="testpmd")
    # scripts/bench says where things are.
    p.add_argument("--build", default="build", help=argparse.SUPPRESS)
    p.add_argument("--against-build", help=argparse.SUPPRESS)
    return p


def parse(arguments):
    options = parser().parse_args(arguments)
    quick = options.quick
    options.families = tuple(map(int, options.families))
    options.sizes = options.sizes or (("64",) if quick else cases.SIZES)
    options.flows = options.flows or ((1 << 16,) if quick else
                                      (1 << 16, 1, 1 << 10, 1 << 20, 1 << 24))
    if options.variants is None:
        options.variants = () if quick else ("swaps", "churn")
    options.minutes = options.minutes or (2 if quick else 120)
    options.effort = Effort(
        rounds=options.rounds or (3 if quick else 7),
        slice_s=options.slice or (0.1 if quick else 0.5),
        trial_s=options.trial or (0.1 if quick else 1.0),
        resolution=0.05 if quick else 0.01, tolerance=options.loss / 100)
    return options
