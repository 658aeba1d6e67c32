# A configuration with mistakes is refused, all of them named with their lines, and what runs goes
# on as it was.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    10.0.0.1
#
. "$(dirname "$0")/lib.sh"

lab client guideway node1
service_add web 10.0.0.1:80/tcp node1
guideway_start
wait_until_served web
traffic_start standing client web --flows 50 --every 50 --seconds 60

cp "$lab_folder/guideway.conf" "$lab_folder/good.conf"
sed -i 's/10\.0\.0\.1"/10.0.0.300"/; s/192\.0\.2\.11/192.0.2.x/' "$lab_folder/guideway.conf"
refute "$guideway" --check "$lab_folder/guideway.conf" 2>"$lab_folder/mistakes.log"
grep -q 'guideway.conf:[0-9]*:.*10\.0\.0\.300' "$lab_folder/mistakes.log"
grep -q 'guideway.conf:[0-9]*:.*192\.0\.2\.x' "$lab_folder/mistakes.log"

kill -HUP "${lab_processes[guideway]}"
wait_until 5 grep -q '10\.0\.0\.300' "$lab_folder/guideway.log"
sleep 1
[ "$(on client fetch_peer web)" = node1 ]
traffic_stop standing
traffic_was_well standing

cp "$lab_folder/good.conf" "$lab_folder/guideway.conf"
"$guideway" --check "$lab_folder/guideway.conf"
