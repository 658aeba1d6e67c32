# The bench sends whole packets through the program in every mode, both directions, beside testpmd,
# over ports of every kind, and whether it ends or is told to, it leaves no process (nor the network
# namespaces and interfaces that only processes hold), no file and no huge page behind.
#
#     generator ──── ports ──── guideway, testpmd macswap or testpmd io
#
# Runs alone, since it takes both CPUs.
set -Eeuo pipefail
trap 'echo "failed at line $LINENO: $BASH_COMMAND" >&2' ERR

cd "$(dirname "$0")/../.."
build=${GUIDEWAY_BUILD:-$PWD/build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pages_before=$(cat /proc/sys/vm/nr_hugepages)

# bench OPTION...: in a folder for temporary files of its own.
bench()
{
	TMPDIR=$folder/tmp exec /usr/bin/python3 tests/bench/forwarding --build "$build" --quick \
		--families 4 --flows 1k --rounds 1 --slice 0.3 "$@"
}

# No file is there, and no process of its environment.
nothing_is_left()
{
	[ -z "$(ls "$folder/tmp")" ]
	[ -z "$(grep -lsz "^TMPDIR=$folder/tmp$" /proc/[0-9]*/environ || true)" ]
	[ "$(cat /proc/sys/vm/nr_hugepages)" = "$pages_before" ]
}

# has_measured KIND...: of these kinds, "mode direction".
has_measured()
{
	/usr/bin/python3 - "$folder/figures.json" "$@" <<'PYTHON'
import json
import sys

cases = json.load(open(sys.argv[1], encoding="utf-8"))["cases"]
assert {f"{c['mode']} {c['direction']}" for c in cases} == set(sys.argv[2:]), cases
for case in cases:
    for name, of in case["forwarders"].items():
        assert of["pps"] > 0, (case["name"], name)
PYTHON
}

mkdir "$folder/tmp"
(bench --no-search --rounds 3 --json "$folder/figures.json")
nothing_is_left
has_measured "snat forward" "snat return" "dnat forward" "dnat return" "dsr forward" "tunnel forward"

# swaps_and_searches: a new table a hundred times a second, a node that comes or goes ten times, as
# often as a busy machine lets them; and each search has ended, by itself.
swaps_and_searches()
{
	/usr/bin/python3 - "$folder/figures.json" <<'PYTHON'
import json
import sys

document = json.load(open(sys.argv[1], encoding="utf-8"))
rates = {c["variant"]: c.get("tables_per_s") for c in document["cases"]}
assert set(rates) == {"", "swaps", "churn"} and rates[""] is None, rates
assert 0 < rates["swaps"] <= 110 and 0 < rates["churn"] <= 25, rates
for case in document["cases"]:
    for name in ("guideway", "macswap"):
        of = case["forwarders"][name]
        assert of["loss_free_pps"] >= 0 and len(of["latency_ns"]) + len(of["latency_failed"]) in (
            0, 2), of
assert document["pages"]["guideway"]["flows"], document["pages"]
assert document["build"]["revision"] and document["build"]["dpdk"], document["build"]
PYTHON
}

(bench --modes dsr --variants swaps,churn --slice 1 --trial 0.05 --loss 5 \
	--json "$folder/figures.json")
nothing_is_left
swaps_and_searches

for kind in af_packet af_xdp tap; do
	(bench --no-search --port-kind "$kind" --modes snat --rounds 3 --json "$folder/figures.json")
	nothing_is_left
	has_measured "snat forward" "snat return"
done

for kind in memif af_xdp; do
	(bench --no-search --port-kind "$kind" --small-pages --rounds 500) &
	sleep 10
	kill -TERM $!
	wait $! && exit 1
	nothing_is_left
done
