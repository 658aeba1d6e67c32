# Devices that carry nothing here are ports like others: it starts with them, tells of them and ends.
#
#     guideway
#     net_null0; net_pcap0 on files, net_pcap0 on the interface p0; virtio_user0, with testpmd behind
#
. "$(dirname "$0")/lib.sh"

# starts_with DRIVER DEVICE
starts_with()
{
	lab_device=$2
	guideway_config >"$lab_folder/guideway.conf"
	spawn guideway guideway "$guideway" --config "$lab_folder/guideway.conf"
	wait_until 20 api status
	[ "$(api status | json 'd["ports"][0]["driver"]')" = "$1" ] || fail "$2: $(ctl status)"
	[ "$(api status | json 'd["ready"]')" = True ]
	ctl status | grep "$1" >/dev/null
	ip -n "$lab_name-guideway" link show twin0 >/dev/null
	sleep 0.5
	guideway_stop
}

port_device()
{
	echo "$lab_device"
}

lab guideway
host_add other
service_add web 10.0.0.1:80/tcp node1
node_addresses[node1]="192.0.2.11 2001:db8:2::11"
lab_nodes=(node1)
service_check[web]='"none"'

starts_with net_null net_null0
/usr/bin/python3 -c 'import struct, sys
frame = bytes(60)
sys.stdout.buffer.write(struct.pack("IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) +
	struct.pack("IIII", 0, 0, len(frame), len(frame)) + frame)' >"$lab_folder/in.pcap"
starts_with net_pcap "net_pcap0,rx_pcap=$lab_folder/in.pcap,tx_pcap=$lab_folder/out.pcap"
cable guideway p0 other eth0 1500
starts_with net_pcap net_pcap0,iface=p0

spawn vhost other timeout 100 dpdk-testpmd --lcores=0@0,1@1 --no-pci --no-huge -m 256 --no-shconf \
	--no-telemetry --file-prefix="$lab_name-vhost" --vdev="net_vhost0,iface=$lab_folder/vhost" \
	-- --total-num-mbufs=8192 --stats-period=60
wait_until 20 test -S "$lab_folder/vhost"
starts_with net_virtio_user "virtio_user0,path=$lab_folder/vhost,queues=1"
