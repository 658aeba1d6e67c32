# A kernel interface taken by AF_XDP carries TCP and UDP over both families, and is given back.
#
#     client ──────── guideway ──┬──── node1
#     198.51.100.7    10.0.0.1   └──── node2
#     2001:db8:1::7   2001:db8:a::1
#
LAB_DRIVER=af_xdp
. "$(dirname "$0")/lib.sh"

lab client guideway node1 node2
add_all_services node1 node2
guideway_start
wait_until_served web web6
serves_everything

# After kill -9 the XDP program is still attached: the next start copes with it.
end guideway KILL
guideway_start
wait_until_served web web6
guideway_stop
refute grep -q xdp <(ip -n "$lab_name-guideway" -d link show p0)
