"""What a change did: two documents side by side."""

import report
from processes import Failure

# Less than so much is what the same program differs by from run to run.
NOISE = 0.03


# What makes figures of another thing, and what makes them of the same thing on other ground.
OF_ANOTHER = ("ports", "nodes", "services")
OTHER_GROUND = (("machine", "processor"), ("machine", "cpus"), ("machine", "kernel"), ("huge",),
                ("pages",), ("build", "type"), ("build", "compiler"), ("build", "march"),
                ("build", "dpdk"), ("build", "options"))


def value_at(document, path):
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def refuse_another(old, new):
    """Before anything is measured."""
    for key in OF_ANOTHER:
        if key in old and key in new and old[key] != new[key]:
            raise Failure(f"--compare: {key} were {old[key]} and are {new[key]}: these figures are "
                          "of different things (see --port-kind, --nodes, --services)")


def ground_differences(old, new):
    """A line for each that differs; of what the old one does not tell, one that says so."""
    lines = []
    for path in OTHER_GROUND:
        was, is_now = value_at(old, path), value_at(new, path)
        if was is None and is_now is not None:
            lines.append(f"{' '.join(path)}: the old one does not tell")
        elif None not in (was, is_now) and was != is_now:
            lines.append(f"{' '.join(path)}: was {was}, is {is_now}")
    return lines


def by_name(document):
    return {result["name"]: result for result in document["cases"]}


def judgement(old, new):
    """Of two ratios to macswap's rate, each of its own run: machines and their moods cancel out."""
    if not old or not new:
        return ""
    change = new / old - 1
    if abs(change) < NOISE:
        return "as before"
    return f"{abs(change):.0%} {'faster' if change > 0 else 'slower'}"


def line(name, old, new):
    def of(result, key):
        return result["forwarders"]["guideway"].get(key)

    def pair(key, form):
        values = [of(r, key) for r in (old, new)]
        return " ".join("     -" if v is None else form.format(v) for v in values)

    loss_free = " ".join(report.mpps(of(r, "loss_free_pps")).rjust(7) for r in (old, new))
    return (f"{name:44} {pair('ratio', '{:6.2f}')}   {pair('cycles_above', '{:6.0f}')}   "
            f"{loss_free}   {judgement(of(old, 'ratio'), of(new, 'ratio'))}")


def stages_by_name(document):
    return {(r["name"], r["flows"]): r for r in document.get("stages", [])}


def show_stages(old, new):
    """Cycles, of the best rounds too: those a busy machine moves least."""
    before, after = stages_by_name(old), stages_by_name(new)
    common = [key for key in after if key in before]
    if not common:
        return
    print(f"\n{'stages before, after':44} {'flows':>10} {'cycles':>19} {'best':>19}")
    for name, flows in common:
        was, is_now = before[name, flows], after[name, flows]
        print(f"{name:44} {flows:>10} {was['cycles']:>9.1f} {is_now['cycles']:>9.1f} "
              f"{was['best']:>9.1f} {is_now['best']:>9.1f}   "
              f"{judgement(is_now['best'], was['best'])}")


def show(old, new):
    refuse_another(old, new)
    before, after = by_name(old), by_name(new)
    if before or after:
        print(f"\n{'before, after':44} {'ratio':>13}   {'cycles above':>13}   "
              f"{'loss-free Mpps':>15}")
    for name, result in after.items():
        if name in before:
            print(line(name, before[name], result))
    for name in before.keys() - after.keys():
        print(f"{name:44} is not in the new one")
    for name in after.keys() - before.keys():
        print(f"{name:44} was not in the old one")
    show_stages(old, new)
    for difference in ground_differences(old, new):
        print("note: " + difference)
    if old["machine"]["processor"] != new["machine"]["processor"]:
        print("note: these are of different processors: only ratios may be set side by side")
