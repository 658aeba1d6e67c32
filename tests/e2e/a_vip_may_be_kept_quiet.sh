# A VIP with announce = false and answer_arp = false is neither announced nor answered for, though
# who knows the way is served; another VIP is both.
#
#     client ──────── guideway ───────── node1
#     198.51.100.7    198.51.100.80, 2001:db8:1::80  announced
#     2001:db8:1::7   198.51.100.81, 2001:db8:1::81  quiet
#
. "$(dirname "$0")/lib.sh"

lab client guideway node1
service_add web 198.51.100.80:80/tcp node1
service_add web6 '[2001:db8:1::80]:80/tcp' node1
service_add web-quiet 198.51.100.81:80/tcp node1
service_add web-quiet6 '[2001:db8:1::81]:80/tcp' node1
for service in web-quiet web-quiet6; do
	service_more[$service]="announce = false; answer_arp = false;"
done
spawn dump client timeout 100 tcpdump -n -l -i eth0 'arp or icmp6'
wait_until 10 grep -q listening "$lab_folder/dump.log"
guideway_start
# It says so thrice, after 0, 1 and 3 seconds.
wait_until 10 grep -q 'who-has 198.51.100.80 .*tell 198.51.100.80' "$lab_folder/dump.log"
wait_until 10 grep -q 'neighbor advertisement, tgt is 2001:db8:1::80' "$lab_folder/dump.log"
sleep 3
for vip in 198.51.100.80 2001:db8:1::80; do
	on client ping -q -c 1 -W 5 $vip
done
for vip in 198.51.100.81 2001:db8:1::81; do
	refute on client ping -q -c 1 -W 1 $vip
done
refute grep -E 'tell 198.51.100.81|198.51.100.81 is-at|advertisement, tgt is 2001:db8:1::81' "$lab_folder/dump.log"

mac=$(ip -n "$lab_name-guideway" -o link show twin0 | grep -o 'link/ether [^ ]*' | cut -d ' ' -f 2)
for vip in 198.51.100.81 2001:db8:1::81; do
	ip -n "$lab_name-client" neigh replace $vip lladdr "$mac" dev eth0
done
wait_until_served web web6 web-quiet web-quiet6

service_more=()
guideway_reload
wait_until 10 grep -q 'tell 198.51.100.81' "$lab_folder/dump.log"
