#!/usr/bin/python3
"""The harness without packets: what it measures, how it judges, what it writes.

usage: test_forwarding.py GUIDEWAY
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import __main__ as this
import bounds
import builds
import cases
import compare
import hardware
import machine
import options
import pictures
import ports
import procedure
import report
import trial
import world
from processes import Failure, Processes, pause

GUIDEWAY = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
HZ = 1_000_000_000


class Arithmetic:
    """A forwarder that forwards so many a second, and loses the rest, behind a generator that can
    send so many."""

    def __init__(self, capacity, generator=1e9):
        self.capacity = capacity
        self.generator = generator
        self.asked = []

    def __call__(self, rate):
        self.asked.append(rate)
        sent = min(rate, self.generator)
        return measurement(sent, min(sent, self.capacity), late=rate - sent)


def carry_out(plan, offer):
    """Returns what a plan finds of one forwarder."""
    rate, found = procedure.advance(plan)
    while found is None:
        rate, found = procedure.advance(plan, offer(rate))
    return found


def loss_free(offer, top=1e6):
    return carry_out(procedure.find_loss_free(top, 0.01, 0), offer)


@dataclass(eq=False)
class OnPaper:
    name: str
    has_flows: bool


class ArithmeticLab:
    """Forwarders by name, each with what it can do, in place of processes."""

    CEILING = "macswap"

    def __init__(self, **capacities):
        self.ports = ports.Memif
        self.capacities = capacities
        self.forwarders = [OnPaper(name, name == "guideway") for name in capacities]
        self.guideways = ["guideway"]
        self.swaps = [0, 0.0]
        self.running = None
        self.offers = []  # (forwarder, rate, seed)

    def searched(self):
        return [f for f in self.forwarders if f.name != "io"]

    def prepare(self, case):
        """They know all flows."""

    @contextlib.contextmanager
    def only(self, forwarder, case):
        assert self.running is None, "two run at once"
        self.running = forwarder
        yield
        self.running = None
        if case.variant and forwarder.has_flows:
            self.swaps[0] += 50  # In half a second.
            self.swaps[1] += 0.5

    def offer(self, forwarder, _, rate, seconds, seed):
        assert forwarder is self.running
        self.offers.append((forwarder.name, rate, seed))
        capacity = self.capacities[forwarder.name]
        sent = (rate or 1e9) * seconds
        taken = min(sent, capacity * seconds)
        return {**measurement(taken if rate == 0 else sent, taken,
                              refused=sent - taken if rate == 0 else 0),
                "rx_pps": taken / seconds, "latency_ns": {"50": 1000}}


def effort(**more):
    return options.Effort(**{"rounds": 3, "slice_s": 0.5, "trial_s": 1.0, "resolution": 0.01,
                             "tolerance": 0, **more})


def measurement(sent, received, refused=0, late=0):
    return {"sent": sent, "refused": refused, "late": late, "received": received,
            "lost": sent - received, "rx_pps": received, "tsc_hz": HZ}


def document(pps=5e6, sizes=("64", "512"), flows=(1, 65536)):
    rounds = {name: [measurement(rate, rate, refused=rate)] * 3
              for name, rate in (("macswap", 10e6), ("io", 12e6), ("guideway", pps))}
    results = []
    for case in cases.with_sizes(cases.with_flows([cases.Case("snat")], flows), sizes):
        result = {**case.to_json(),
                  "forwarders": {n: procedure.summary(r) for n, r in rounds.items()}}
        result["forwarders"]["guideway"].update(
            procedure.compared(rounds, "guideway", "macswap"))
        results.append(result)
    return {"machine": {"processor": "P", "cpus": 2, "load": 0.0}, "cpus": [0, 1],
            "ports": "memif", "huge": True, "notes": [], "cases": results,
            "pages": {"guideway": {"flows": "2 MB pages", "packets": "2 MB pages"}}}


def printed(function, *arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        function(*arguments)
    return out.getvalue()


def complaint(*words):
    """Of a command line that is wrong."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            options.parse(list(words))
        except SystemExit:
            return err.getvalue()
    raise AssertionError(f"{words} are taken")


# --- Cases ---------------------------------------------------------------------------------------

def bisection_finds_the_highest_rate_without_loss():
    forwarder = Arithmetic(0.7e6)
    found, is_least = loss_free(forwarder)
    assert 0.69e6 <= found <= 0.7e6 and not is_least, found
    assert forwarder.asked[:2] == [1e6, 1e6] and len(set(forwarder.asked)) <= 9, forwarder.asked


def a_forwarder_that_loses_nothing_is_asked_for_more():
    found, is_least = loss_free(Arithmetic(2e6))
    assert 1.99e6 <= found <= 2e6 and not is_least, found


def what_the_generator_cannot_send_is_no_bound_of_the_forwarder():
    found, is_least = loss_free(Arithmetic(9e6, generator=1.5e6))
    assert 1.49e6 <= found <= 1.52e6 and is_least, found
    assert loss_free(Arithmetic(9e9)) == (1e6 * 1.25 ** 9, True)


def a_forwarder_that_always_loses_has_no_such_rate():
    assert loss_free(lambda rate: measurement(100, 99)) == (0, False)


def a_trial_that_fails_is_tried_once_more():
    forwarder = Arithmetic(1e6)
    failures = iter([1, 0, 0, 1, 0] + [0] * 100)

    def offer(rate):
        good = forwarder(rate)
        return measurement(100, 99) if next(failures) else good

    assert loss_free(offer) == (1e6, False)


def what_was_not_offered_in_time_proves_nothing():
    assert procedure.judge(measurement(90, 90, late=10), 0) == "late"
    assert loss_free(lambda rate: measurement(90, 90, late=10)) == (0, True)


def what_the_port_refuses_at_a_set_rate_is_lost():
    assert procedure.loss(measurement(90, 90, refused=10)) == 0.1
    assert procedure.judge(measurement(90, 90, refused=10), 0.05) == "lossy"
    assert procedure.judge(measurement(90, 90, refused=10), 0.1) == "good"


def latency_of_a_trial_that_failed_is_not_told():
    good = {**measurement(100, 100), "latency_ns": {"50": 1}}
    at_ninety = iter([measurement(100, 99), measurement(50, 50, late=50)])
    found = carry_out(procedure.find_latency(100, 0),
                      lambda rate: good if rate < 60 else next(at_ninety))
    assert found == ({"50%": {"50": 1}}, {"90%": "late"}), found
    latency = {"50": 1e4, "90": 2e4, "99": 3e4, "99.9": 4e4}
    assert report.latency_text({"latency_ns": {"50%": latency},
                                "latency_failed": {"90%": "late"}}) == "10, 20, 30, 40 / late"


def the_search_takes_turns_between_guideway_and_macswap():
    lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=5e6)
    search = procedure.Procedure(lab, effort(resolution=0.05))
    result = search.measure(cases.Case("snat"))
    lab.offers.clear()
    search.search(cases.Case("snat"), result)
    found = result["forwarders"]
    assert 4.7e6 <= found["guideway"]["loss_free_pps"] <= 5e6, found["guideway"]
    assert 9.5e6 <= found["macswap"]["loss_free_pps"] <= 10e6, found["macswap"]
    assert set(found["guideway"]["latency_ns"]) == {"50%", "90%"}
    assert "loss_free_pps" not in found["io"]
    names = [name for name, _, _ in lab.offers]
    assert names[:8] == ["macswap", "guideway"] * 4, names
    assert [seed for _, _, seed in lab.offers[:4]] == [1 << 20, 1 << 20, (1 << 20) + 1] + \
        [(1 << 20) + 1]


def each_forwarder_has_each_place_in_a_round():
    lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=5e6)
    rounds = procedure.Procedure(lab, effort(rounds=6)).interleave(cases.Case("snat"))
    assert {name: len(of) for name, of in rounds.items()} == dict.fromkeys(rounds, 6)
    names = [name for name, _, _ in lab.offers]
    for place in range(3):
        assert sorted(names[place::3]) == sorted(["macswap", "io", "guideway"] * 2), names


def a_result_has_rates_ratio_and_the_case():
    lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=8e6)
    case = cases.Case("dnat", "return", 6, "udp", "512", 1024)
    result = procedure.Procedure(lab, effort()).measure(case)
    assert result["name"] == case.name and "tables_per_s" not in result
    assert {name: of["pps"] for name, of in result["forwarders"].items()} == lab.capacities
    of = result["forwarders"]["guideway"]
    assert (of["ratio"], of["cycles_above"], of["saturated"]) == (0.8, 25, True), of
    assert of["rounds"] == [8e6] * 3 and of["cycles"] == 125


def swaps_and_churn_are_counted_while_guideway_runs():
    for variant in ("swaps", "churn"):
        lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=5e6)
        result = procedure.Procedure(lab, effort()).measure(cases.Case("dsr", variant=variant))
        assert result["tables_per_s"] == 100 and lab.swaps == [150, 1.5], lab.swaps
        assert f"{variant} 100/s" in report.row(result, "guideway")


def a_forwarder_that_forwards_nothing_is_not_searched():
    lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=0)
    search = procedure.Procedure(lab, effort())
    result = search.measure(cases.Case("snat"))
    search.search(cases.Case("snat"), result)
    assert result["forwarders"]["guideway"]["loss_free_pps"] == 0
    assert "guideway" not in [name for name, rate, _ in lab.offers if rate]


def cycles_above_are_of_the_same_round():
    rounds = {"macswap": [measurement(10e6, 10e6), measurement(5e6, 5e6)],
              "guideway": [measurement(5e6, 5e6), measurement(2.5e6, 2.5e6)]}
    of = procedure.compared(rounds, "guideway", "macswap")
    assert of == {"ratio": 0.5, "ratio_spread": [0.5, 0.5], "cycles_above": 150,
                  "cycles_spread": [100, 200]}, of


def flows_are_others_in_each_round_and_the_same_for_all():
    lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=5e6)
    procedure.Procedure(lab, effort()).measure(cases.Case("snat"))
    by_round = [lab.offers[i:i + 3] for i in range(0, 9, 3)]
    for offers in by_round:
        assert {name for name, _, _ in offers} == {"macswap", "io", "guideway"}
        assert len({seed for _, _, seed in offers}) == 1, offers
    assert len({offers[0][2] for offers in by_round}) == 3, by_round
    assert [offers[0][0] for offers in by_round] == ["macswap", "io", "guideway"]


def bounds_of_whole_packets_are_judged():
    def verdict(case, pps, ceiling=10e6, saturated=True, is_costly=False):
        rounds = {name: [measurement(rate, rate, refused=(rate or 1) * saturated)]
                  for name, rate in (("macswap", ceiling), ("guideway", pps))}
        of = {**procedure.summary(rounds["guideway"]),
              **procedure.compared(rounds, "guideway", "macswap")}
        return bounds.judge(case.to_json(), of, procedure.summary(rounds["macswap"]), is_costly)

    dsr = cases.Case("dsr")
    assert verdict(dsr, HZ / 137)["verdict"] == "held"  # Macswap takes 100 cycles.
    assert verdict(dsr, HZ / 139) == {"of": "cycles_above", "bound": 37.5, "verdict": "MISSED"}
    assert verdict(dsr, HZ / 139, saturated=False)["verdict"] == "unknown"
    assert verdict(dsr, 0)["verdict"] == "MISSED"
    assert verdict(dsr, HZ / 137, ceiling=0)["verdict"] == "unknown"
    assert verdict(cases.Case("snat", flows=1 << 20), HZ / 199)["verdict"] == "held"
    assert verdict(cases.Case("snat", flows=1 << 24), HZ / 230)["verdict"] == "held"
    assert verdict(cases.Case("snat", "return"), HZ / 190)["verdict"] == "MISSED"
    for case in (cases.Case("tunnel"), cases.Case("dsr", family=6), cases.Case("dnat", "return"),
                 cases.Case("snat", "return", flows=1 << 24)):
        assert verdict(case, HZ / 139) is None, case
        assert verdict(case, 9.1e6, is_costly=True)["verdict"] == "held"
        assert verdict(case, 8.9e6, is_costly=True)["verdict"] == "MISSED"


def the_report_says_which_bounds_are_held():
    lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=5e6)
    result = procedure.Procedure(lab, effort()).measure(cases.Case("snat"))
    assert " 100 held " in report.row(result, "guideway")
    assert "1 held, 0 MISSED, 0 unknown" in printed(report.print_notes, [result])


def what_ports_of_the_kernel_lose_was_too_much_for_the_forwarder():
    rounds = [measurement(2e6, 1e6)]
    assert not procedure.summary(rounds)["saturated"]
    assert procedure.summary(rounds, port_drops=True)["saturated"]
    assert not procedure.summary([measurement(1e6, 1e6)], port_drops=True)["saturated"]


def a_figure_of_a_forwarder_that_was_not_saturated_is_marked():
    rounds = [measurement(1e6, 1e6, refused=0)]
    assert not procedure.summary(rounds)["saturated"]
    assert procedure.summary([measurement(1e6, 1e6, refused=1e6)])["saturated"]
    shown = document()
    assert "*" not in report.row(shown["cases"][0], "guideway")
    shown["cases"][0]["forwarders"]["macswap"]["saturated"] = False
    row = report.row(shown["cases"][0], "guideway")
    assert "0.50* 0.50..0.50" in row and "100* 100..100" in row, row
    shown["cases"][0]["forwarders"]["guideway"].update(loss_free_pps=5e6, loss_free_is_least=True)
    assert " >=5.000 " in report.row(shown["cases"][0], "guideway")
    notes = printed(report.print_notes, shown["cases"])
    assert "the generator was the limit" in notes and ">= for more" in notes


def the_ceiling_s_highest_rate_without_loss_stands_below():
    (result,) = document(sizes=("64",), flows=(1,))["cases"]
    assert "macswap of the same" not in printed(report.print_result, result)
    latency = {"50": 1e4, "90": 2e4, "99": 3e4, "99.9": 4e4}
    for of in result["forwarders"].values():
        of.update(loss_free_pps=7e6, latency_ns={"50%": latency, "90%": latency})
    (_, below) = printed(report.print_result, result).splitlines()
    assert below.split()[-11:-8] == ["same", "7.000", "10,"], below


def a_full_run_has_every_mode_family_and_direction():
    chosen = cases.choose(options.parse([]))
    usual = {(c.mode, c.direction, c.family) for c in chosen}
    assert usual == {(m, d, f) for m in cases.MODES for d in cases.directions_of(m) for f in (4, 6)}
    assert {c.flows for c in chosen} == set(cases.FLOWS)
    assert {(c.mode, c.size) for c in chosen} == {(m, s) for m in cases.MODES for s in cases.SIZES}
    assert {c.variant for c in chosen} == {"", "swaps", "churn"}
    names = [c.name for c in chosen if c.mode != "tunnel"]
    assert len(set(names)) == len(names)


def a_frame_has_room_for_its_headers_and_a_tunnel_for_its_packet():
    assert cases.Case("snat", family=6).bytes == 84
    assert cases.Case("tunnel", size="1518").bytes == 1466


def check(configuration):
    """As Guideway does."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(configuration)
        file.flush()
        done = subprocess.run([GUIDEWAY, "--check", file.name], capture_output=True, text=True,
                              check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def guideway_takes_the_configuration():
    chosen = cases.choose(options.parse(["--protocols", "tcp,udp"]))
    for kind in ports.KINDS.values():
        port = kind(Processes("/tmp/none")).of_guideway(2)
        check(world.World(chosen, 10, 3).configuration("bench", [port], 0, "/tmp/none"))


def here_documents(text):
    """By the command that reads them."""
    return dict(re.findall(r"^([^\n]*) <<'END'\n(.*?)^END$", text, re.M | re.S))


def what_is_printed_for_cards_is_a_whole_lab():
    for arguments in ("3b:00.0,3b:00.1", "3b:00.0", "3b:00.0,3b:00.1 --generator pktgen"):
        text = printed(hardware.show, options.parse(["--ports", *arguments.split()]))
        documents = here_documents(text)
        configuration = documents["cat >guideway-bench.conf"]
        check(configuration)
        n_ports = configuration.count("device = ")
        assert n_ports == arguments.count(",") + 1
        assert configuration.count("rx_descriptors = 2048; tx_descriptors = 2048;") == n_ports
        addresses = documents["ip -batch -"]
        assert f"address add 10.128.255.254/16 dev gw{n_ports - 1}" in addresses
        assert "route add 198.18.0.0/15 via 198.51.100.2" in addresses
        of_testpmd = [line for line in text.splitlines() if "--forward-mode=macswap" in line]
        assert "--rxd=2048 --txd=2048" in of_testpmd[0], of_testpmd


def flows_of_cards_are_opened_before_they_are_measured():
    text = printed(hardware.show, options.parse(["--ports", "3b:00.0,3b:00.1"]))
    first, second = re.findall(r"generator/generator .*\n.*", text)
    assert first.endswith("--nodes-by 1 --open") and "--open" not in second
    assert f"--vip {world.vip('snat', 'tcp', 4)} " in first and "FORWARDER_A" in first
    assert "-a 0000:3b:00.0 -a 0000:3b:00.1" in first
    text = printed(hardware.show, options.parse(["--ports", "3b:00.0"]))
    assert "--nodes-by" not in text


def guideway_is_on_the_pages_that_the_ceiling_is_on():
    small = world.World([cases.Case("snat")], 1, 1)
    for huge, told in ((True, "true"), (False, "false")):
        text = small.configuration("bench", ['device = "f";'], 0, "/tmp/none", huge)
        check(text)
        assert f"hugepages = {told};" in text
    shown = document()
    assert "MIND" not in printed(report.print_pages, shown)
    shown["pages"]["guideway"]["packets"] = "4 kB pages"
    assert "packets on 4 kB pages; MIND: macswap's are on 2 MB pages" in printed(
        report.print_pages, shown)


def there_are_enough_snat_ports_for_sixteen_million_flows():
    n = world.n_snat_addresses(1 << 24, 16)
    assert n * 16 * 64512 > 1 << 24 and n <= 256


def mistakes_on_the_command_line_are_named():
    assert "'nat' is no mode; there are snat, dnat, dsr, tunnel" in complaint("--modes", "nat")
    assert "'63' is no size" in complaint("--sizes", "64,63")
    assert "'17M' is no number of flows" in complaint("--flows", "17M")
    assert "'0' is not a number from 1 to 1000" in complaint("--nodes", "0")
    assert "unrecognized arguments: --agains" in complaint("--agains", "main")


def figures_of_different_things_are_not_compared():
    old = {**document(), "nodes": 16, "services": 1}
    for key, value in (("ports", "TAP"), ("nodes", 10), ("services", 3)):
        try:
            compare.show(old, {**old, key: value})
        except Failure as failure:
            assert f"{key} were {old[key]} and are {value}" in str(failure), failure
        else:
            raise AssertionError(f"other {key} are compared")


def what_lies_under_figures_is_told_where_it_differs():
    facts = {"type": "release", "compiler": "cc 12", "march": "native", "dpdk": "22.11.11"}
    old = {**document(), "build": facts}
    assert "note" not in printed(compare.show, old, old)
    new = {**old, "huge": False, "build": {**facts, "march": "x86-64-v2"}}
    text = printed(compare.show, old, new)
    assert "note: build march: was native, is x86-64-v2" in text, text
    assert "note: huge: was True, is False" in text, text
    assert "note: build dpdk: the old one does not tell" in printed(compare.show, document(), old)


def json_tells_of_what_it_is():
    build = os.path.dirname(os.path.dirname(GUIDEWAY))
    facts = builds.facts(build)
    assert all(facts[key] not in ("", "?") for key in ("type", "march", "compiler", "dpdk")), facts
    assert facts["dpdk"][0].isdigit(), facts


def another_revision_is_built_as_this_one_is():
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/meson-private")
        with open(f"{folder}/meson-private/cmd_line.txt", "w", encoding="utf-8") as file:
            file.write("[options]\nmarch = x86-64-v2\nc_args = -O2 -g\n\n[properties]\n\n")
        assert builds.options_given(folder) == {"march": "x86-64-v2", "c_args": "-O2 -g"}
        assert builds.compiler_of(folder) == ["cc"]


def two_guideways_are_compared_within_a_round():
    lab = ArithmeticLab(macswap=10e6, io=12e6, guideway=5e6, old=4e6)
    lab.guideways = ["guideway", "old"]
    result = procedure.Procedure(lab, effort()).measure(cases.Case("snat"))
    assert result["forwarders"]["guideway"]["beside"]["old"]["ratio"] == 1.25
    (line,) = [line for line in printed(report.print_result, result).splitlines()
               if "guideway beside old" in line]
    assert line.split()[-4:] == ["1.25", "1.25..1.25", "-50", "-50..-50"], line


def what_changed_is_told_by_ratio():
    text = printed(compare.show, document(5e6), document(4e6))
    assert len(re.findall("20% slower", text)) == 4, text
    assert "as before" in printed(compare.show, document(), document())
    text = printed(compare.show, document(), document(flows=(1,)))
    assert "snat forward IPv4 tcp 64 64k" in text and "is not in the new one" in text


def what_changed_in_stages_is_told_by_their_best_rounds():
    def stages(best):
        result = {"name": "ring build", "flows": 0, "cycles": 130.0, "best": best}
        return {"machine": {"processor": "P"}, "cases": [], "stages": [result]}

    assert "25% faster" in printed(compare.show, stages(100.0), stages(80.0))
    assert "as before" in printed(compare.show, stages(100.0), stages(99.0))


def pictures_have_the_ceiling():
    if shutil.which("gnuplot") is None:
        print("        (not drawn: there is no gnuplot)")
        text = pictures.script("a.svg", "t", "l", [(1, "1")],
                               pictures.series(document()["cases"], "flows"))
        assert "testpmd macswap" in text
        return
    with tempfile.TemporaryDirectory() as folder:
        printed(pictures.draw, document(), folder)
        for name in ("flows", "size"):
            with open(f"{folder}/rate-against-{name}-ipv4.svg", encoding="utf-8") as file:
                svg = file.read()
            assert "testpmd macswap" in svg and "snat forward tcp" in svg and "</svg>" in svg


def isolated_cpus_are_taken_first_and_no_core_twice():
    def alone(cpu):
        return {cpu}

    def pairs(cpu):
        return {cpu, cpu ^ 1}

    assert machine.best_first({0, 1}, set(), alone) == [1, 0]
    assert machine.best_first({0, 1, 2, 3}, {1, 2}, alone) == [2, 1, 3, 0]
    assert machine.best_first({0, 1, 2, 3}, {2, 3}, pairs) == [3, 1, 2, 0]
    assert machine.numbers_of("0,2-3") == [0, 2, 3] and machine.numbers_of("") == []


def cpus_may_be_named():
    assert options.parse(["--cpus", "0,1"]).cpus == (0, 1)
    assert "'1,1' is not two CPUs" in complaint("--cpus", "1,1")
    try:
        machine.choose_cpus((0, 4096))
    except Failure as failure:
        assert "this machine has no CPU 4096" in str(failure)
    else:
        raise AssertionError("CPU 4096 is taken")


def real_ports_are_pci_addresses():
    for good, told in (("3b:00.0", ["0000:3b:00.0"]), ("0000:3B:00.0,0000:af:00.1",
                                                       ["0000:3b:00.0", "0000:af:00.1"]),
                       ("3b:00.0,3b:00.0", ["0000:3b:00.0"])):
        assert hardware.parse_ports(good) == told
    try:
        hardware.parse_ports("eth0")
    except Failure as failure:
        assert "'eth0' is no PCI address" in str(failure)
    else:
        raise AssertionError("eth0 is taken")


def pktgen_sweeps_flows_sizes_and_rates():
    script = hardware.lua(["a", "b"])
    for numbers in ("1, 1024, 65536, 1048576, 16777216", "64, 128, 512, 1518", "90, 100"):
        assert "{ %s }" % numbers in script or numbers in script, numbers
    lua = shutil.which("luac") or shutil.which("luac5.3")
    if lua:
        done = subprocess.run([lua, "-p", "-"], input=script, text=True, capture_output=True,
                              check=False)
        assert done.returncode == 0, done.stderr


def processes_end_even_if_they_are_stopped():
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(folder)
        sleeper = processes.start("sleeper", ["sleep", "100"])
        pause(sleeper)
        processes.end_all()
        assert sleeper.poll() is not None


def processes_end_if_the_harness_is_killed():
    code = ("import sys, time; sys.path.insert(0, sys.argv[1])\n"
            "from processes import Processes, pause\n"
            "p = Processes(sys.argv[2]).start('sleeper', ['sleep', '100'])\n"
            "while open(f'/proc/{p.pid}/comm').read() != 'sleep\\n': time.sleep(0.01)\n"
            "pause(p); print(p.pid, flush=True); time.sleep(100)")
    with tempfile.TemporaryDirectory() as folder:
        harness = subprocess.Popen([sys.executable, "-c", code, os.path.dirname(this.__file__),
                                    folder], stdout=subprocess.PIPE, text=True)
        sleeper = int(harness.stdout.readline())
        harness.kill()
        harness.wait()
        harness.stdout.close()
        for _ in range(100):
            with contextlib.suppress(OSError), open(f"/proc/{sleeper}/stat", encoding="utf-8") as s:
                if s.read().split()[2] != "Z":
                    subprocess.run(["sleep", "0.05"], check=True)
                    continue
            return
    raise AssertionError("what it started goes on")


if __name__ == "__main__":
    trial.run(sys.modules[__name__])
