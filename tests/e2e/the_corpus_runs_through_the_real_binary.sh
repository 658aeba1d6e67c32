# The frames of the scapy corpus, through Guideway itself on virtual ports, are judged as they are in
# the pipeline alone: bytes that come out, or the reason for which none do.
#
#     scapy ── w0, w1, w2 ── guideway ── gw0, gw1, gw2 ── scapy
#
. "$(dirname "$0")/lib.sh"

# Of those that can be run so; tests/packet/corpus/cannot.py names the others, and why.
CASES_MIN=1900

host_add guideway
corpus=$repository/tests/packet/corpus/corpus.py
on guideway /usr/bin/python3 "$corpus" --daemon "$guideway" "$lab_folder" >"$lab_folder/corpus.log" ||
	fail "$(grep -v -e '^ok' -e '^not so' "$lab_folder/corpus.log")"

grep '^not so' "$lab_folder/corpus.log"
passed=$(tail -n 2 "$lab_folder/corpus.log" | awk '/ passed, / { print $1 }')
echo "Says: $passed cases, $(tail -n 1 "$lab_folder/corpus.log")"
[ "$passed" -ge "$CASES_MIN" ] || fail "only $passed cases ran"
