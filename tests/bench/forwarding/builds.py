#!/usr/bin/python3
"""How a folder was built: of what, by which compiler, with which options.

usage: builds.py FOLDER

Prints what `meson setup` needs to build the same way elsewhere, a line each: CC's value, then
options.
"""

import configparser
import json
import subprocess
import sys


def introspect(folder, what):
    try:
        with open(f"{folder}/meson-info/intro-{what}.json", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return []


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def compiler_of(folder):
    """Its words: there may be a cache before it."""
    for target in introspect(folder, "targets"):
        for sources in target["target_sources"]:
            if sources.get("language") == "c":
                return sources["compiler"]
    return ["cc"]


def options_given(folder):
    """To `meson setup` and `meson configure`."""
    parser = configparser.RawConfigParser()
    parser.read(f"{folder}/meson-private/cmd_line.txt", encoding="utf-8")
    return dict(parser["options"]) if parser.has_section("options") else {}


def facts(folder):
    options = {o["name"]: o["value"] for o in introspect(folder, "buildoptions")}
    dpdk = [d["version"] for d in introspect(folder, "dependencies") if d["name"] == "libdpdk"]
    return {"revision": output_of("git", "describe", "--always", "--dirty", "--abbrev=12"),
            "type": options.get("buildtype", "?"), "march": options.get("march", "?"),
            "compiler": output_of(*compiler_of(folder), "--version").partition("\n")[0] or "?",
            "dpdk": dpdk[0] if dpdk else "?", "options": options_given(folder)}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    folder = sys.argv[1]
    print(" ".join(compiler_of(folder)))
    for name, value in options_given(folder).items():
        print(f"-D{name}={value}")


if __name__ == "__main__":
    main()
