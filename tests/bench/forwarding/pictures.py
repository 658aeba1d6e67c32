"""Rate against flows and against size, by gnuplot, with the ceiling drawn in."""

import os
import subprocess
from collections import defaultdict

from cases import USUAL_FLOWS, count_text
from processes import Failure
from report import guideways_of

# Blue, vermilion, green, purple, orange, sky: told apart by everybody (Okabe and Ito, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
CEILING_COLOUR = "#888888"


def first(document, key):
    """What all cases have of it that differ in something else: the one of most cases."""
    values = [case[key] for case in document["cases"]]
    return max(set(values), key=values.count)


def kind_of(case):
    return f"{case['mode']} {case['direction']} {case['protocol']}"


def chosen(document, family, fixed):
    """The cases without a variant that have what is fixed."""
    return [c for c in document["cases"] if c["family"] == family and not c["variant"] and
            all(c[key] == value for key, value in fixed.items())]


def series(cases, key):
    """By name, [(x, Mpps)]: each kind and Guideway, and the ceilings by their mean over kinds."""
    lines, ceilings = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for case in cases:
        for name in guideways_of(case):
            title = kind_of(case) + ("" if name == "guideway" else f" [{name}]")
            lines[title].append((case[key], case["forwarders"][name]["pps"] / 1e6))
        for name in ("macswap", "io"):
            ceilings[name][case[key]].append(case["forwarders"][name]["pps"] / 1e6)
    for name, points in ceilings.items():
        lines[f"testpmd {name}"] = [(x, sum(ys) / len(ys)) for x, ys in points.items()]
    return {name: sorted(points) for name, points in lines.items()}


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'


def line_style(name, number):
    if name.startswith("testpmd"):
        dash = 2 if name.endswith("macswap") else 3
        return f"lc rgb '{CEILING_COLOUR}' lw 2 dt {dash} pt 0"
    return f"lc rgb '{COLOURS[number % len(COLOURS)]}' lw 2 pt 7 ps 0.5"


def legible(ticks):
    """Without those whose text would run into the next one's."""
    return [(x, text) for (x, text), (after, _) in zip(ticks, ticks[1:] + [(1e9, "")])
            if x * 1.1 < after]


def script(path, title, label, ticks, lines):
    plots, data = [], []
    for number, (name, points) in enumerate(lines.items()):
        style = line_style(name, number)
        plots.append(f"'-' using 1:2 with linespoints {style} title {quote(name)}")
        data.append("\n".join(f"{x} {y:.6f}" for x, y in points) + "\ne")
    marks = ", ".join(f"{quote(text)} {x}" for x, text in legible(ticks))
    first_x, last_x = ticks[0][0] / 1.05, ticks[-1][0] * 1.05
    return "\n".join([
        "set terminal svg size 900,520 font 'sans-serif,13' background rgb 'white'",
        f"set output {quote(path)}", f"set title {quote(title)}", f"set xlabel {quote(label)}",
        "set ylabel 'million packets a second'", "set yrange [0:*]",
        "set grid ytics lt 1 lc rgb '#dddddd'",
        "set key outside right top", "set border 3", "set tics nomirror",
        "set logscale x 2", f"set xrange [{first_x}:{last_x}]", f"set xtics ({marks})",
        "plot " + ", ".join(plots), *data]) + "\n"


def run_gnuplot(text):
    try:
        done = subprocess.run(["gnuplot"], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failure("pictures take gnuplot: apt install gnuplot-nox") from None
    if done.returncode != 0:
        raise Failure("gnuplot fails: " + done.stderr)


def draw_one(document, folder, family, key, fixed):
    cases = chosen(document, family, fixed)
    if key == "bytes":
        cases = [c for c in cases if c["bytes"] != "imix"]  # A mix has no place on an axis.
    values = sorted({c[key] for c in cases})
    if len(values) < 2:
        return []
    ticks = [(v, count_text(v) if key == "flows" else str(v)) for v in values]
    label = {"flows": "flows, picked at random", "bytes": "bytes of a frame"}[key]
    path = f"{folder}/rate-against-{'flows' if key == 'flows' else 'size'}-ipv{family}.svg"
    of = (f"{count_text(fixed['flows'])} flows" if "flows" in fixed else
          f"frames of {' or '.join(map(str, sorted({c['bytes'] for c in cases}, key=str)))} bytes")
    run_gnuplot(script(path, f"IPv{family}, {of}; {document['machine']['processor']}", label, ticks,
                       series(cases, key)))
    return [path]


def draw(document, folder):
    if not document["cases"]:
        raise Failure("there is nothing to draw: no case was measured")
    os.makedirs(folder, exist_ok=True)
    paths = []
    for family in sorted({c["family"] for c in document["cases"]}):
        paths += draw_one(document, folder, family, "flows", {"size": first(document, "size")})
        paths += draw_one(document, folder, family, "bytes", {"flows": first(document, "flows")})
    for path in paths:
        print(f"drawn: {path}")
    if not paths:
        print(f"nothing to draw: it takes two sizes, or other numbers of flows than "
              f"{count_text(USUAL_FLOWS)} alone")
