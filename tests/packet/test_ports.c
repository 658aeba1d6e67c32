#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lab.h"

// Ports of every kind that needs no hardware, and what is said of those that do not start.

static const uint8_t somebody[6] = {0x02, 0, 0, 0, 1, 0};

static void make_veth(uint16_t mtu)
{
	shell("ip link add e0 type veth peer name e1");
	shell("ip link set e1 up mtu %u", mtu);
}

static struct port_status status_of(struct dataplane *dp)
{
	struct port_status status;

	require(dataplane_read_port(dp, 0, &status) == 0);
	return status;
}

// Between the far end of a veth and the twin, both ways, as long as they may be.
static void carry(struct dataplane *dp)
{
	struct port_status status = status_of(dp);
	struct wire wire = wire_open("e1"), twin = wire_open("gw0");
	size_t longest = status.mtu + 14;

	require(wire_carries(&wire, &twin, status.mac, 60));
	require(wire_carries(&twin, &wire, somebody, 60));
	require(wire_carries(&wire, &twin, status.mac, longest));
	require(wire_carries(&twin, &wire, somebody, longest));
}

static bool link_is_up(void *argument)
{
	struct dataplane *dp = argument;

	dataplane_follow_links(dp);
	return status_of(dp).link_up;
}

static bool link_is_down(void *dp)
{
	return !link_is_up(dp);
}

static void use_interface(enum port_driver driver, uint16_t mtu, const char *want)
{
	struct dataplane_config config = lab_config("e0", 1);

	make_veth(mtu);
	config.ports[0].driver = driver;
	config.ports[0].mtu = mtu;
	struct dataplane *dp = lab_start(&config);
	require(strcmp(status_of(dp).driver, want) == 0);
	require(status_of(dp).mtu == mtu && status_of(dp).link_up);
	shell("ip -d link show e0 | grep -q 'allmulti 1'"); // Neighbour solicitations come in.
	carry(dp);

	shell("ip link set e1 down");
	require(holds_within(2000, link_is_down, dp));
	shell("ip link show gw0 | grep -q NO-CARRIER");
	shell("ip link set e1 up");
	require(holds_within(2000, link_is_up, dp));
	shell("! ip link show gw0 | grep -q NO-CARRIER");
	dataplane_stop(dp);

	// It was down, with another MTU.
	shell("ip link show e0 | grep -q 'mtu 1500.*state DOWN'");
	shell("! ip link show e0 | grep -q xdp");
	shell("ip -d link show e0 | grep -q 'allmulti 0'");
}

static void use_af_packet(void)
{
	use_interface(DRIVER_AF_PACKET, 1500, "net_af_packet");
}

static void use_af_packet_for_jumbos(void)
{
	use_interface(DRIVER_AF_PACKET, 9000, "net_af_packet");
}

static void use_af_xdp(void)
{
	use_interface(DRIVER_AUTO, 1500, "net_af_xdp");
}

static void use_af_xdp_for_more(void)
{
	use_interface(DRIVER_AF_XDP, 3000, "net_af_xdp");
}

static void an_interface_is_served_by_af_packet_and_given_back_as_it_was(void **)
{
	try_out(use_af_packet);
	try_out(use_af_packet_for_jumbos);
}

static void an_interface_is_served_by_af_xdp_and_given_back_as_it_was(void **)
{
	try_out(use_af_xdp);
	try_out(use_af_xdp_for_more);
}

static void fall_back(void)
{
	struct dataplane_config config = lab_config("e0", 1);

	make_veth(9000);
	config.ports[0].mtu = 9000;
	struct dataplane *dp = lab_start(&config);
	require(strcmp(status_of(dp).driver, "net_af_packet") == 0);
	require(strstr(status_of(dp).note, "AF_XDP does not work here") != NULL);
	dataplane_stop(dp);
}

static void where_af_xdp_does_not_work_af_packet_serves_and_the_note_says_why(void **)
{
	try_out(fall_back);
}

static void keep_tag(void)
{
	struct dataplane_config config = lab_config("e0", 1);
	uint8_t tagged[64] = {0}, got[FRAME_BYTES_MAX];

	make_veth(1500);
	config.ports[0].driver = DRIVER_AF_PACKET;
	config.ports[0].vlan = 7;
	struct dataplane *dp = lab_start(&config);
	struct wire wire = wire_open("e1"), twin = wire_open("gw0");

	// ff:ff:ff:ff:ff:ff, from somebody, tag 7, a type for experiments.
	memset(tagged, 0xff, 6);
	memcpy(tagged + 6, somebody, 6);
	memcpy(tagged + 12, "\x81\x00\x00\x07\x88\xb5", 6);
	wire_send(&wire, tagged, sizeof(tagged));
	require(wire_receive(&twin, got, 1000) == sizeof(tagged) - 4);
	require(memcmp(got + 12, "\x88\xb5", 2) == 0);

	tagged[15] = 8;
	wire_send(&wire, tagged, sizeof(tagged));
	require(wire_receive(&twin, got, 50) == 0);
	dataplane_stop(dp);
}

static void a_tag_that_the_kernel_takes_off_is_put_back_and_looked_at(void **)
{
	try_out(keep_tag);
}

// Starts in a child that is killed while it forwards.
static void start_and_be_killed(const struct dataplane_config *config)
{
	int ends[2], status;
	char byte;

	require(pipe(ends) == 0);
	pid_t child = fork();
	if (child == 0) {
		lab_start(config);
		(void)!write(ends[1], "", 1);
		pause();
	}
	close(ends[1]);
	require(read(ends[0], &byte, 1) == 1);
	kill(child, SIGKILL);
	require(waitpid(child, &status, 0) == child);
}

static void start_after_kill(void)
{
	struct dataplane_config config = lab_config("e0", 1);

	make_veth(1500);
	config.ports[0].driver = DRIVER_AF_XDP;
	start_and_be_killed(&config);
	shell("ip link show e0 | grep -q xdp"); // That is what a kill leaves.

	config.ports[0].driver = DRIVER_AF_PACKET;
	struct dataplane *dp = lab_start(&config);
	shell("! ip link show e0 | grep -q xdp");
	carry(dp);
	dataplane_stop(dp);
}

static void restart_after_kill(void)
{
	struct dataplane_config config = lab_config("e0", 1);

	make_veth(1500);
	config.ports[0].driver = DRIVER_AF_XDP;
	start_and_be_killed(&config);
	struct dataplane *dp = lab_start(&config);
	carry(dp);
	dataplane_stop(dp);
}

static void what_a_killed_process_left_is_no_obstacle(void **)
{
	try_out(start_after_kill);
	try_out(restart_after_kill);
}

// The other Guideway, in a process of its own. Begins at the first byte from 'orders', ends with
// the last.
static void be_the_peer(const char *device, int orders)
{
	struct dataplane_config config = lab_config(device, 2);
	char byte;

	strcpy(config.ports[0].twin, "gw1");
	require(read(orders, &byte, 1) == 1);
	struct dataplane *dp = lab_start(&config);
	while (read(orders, &byte, 1) > 0)
		dataplane_follow_links(dp);
	dataplane_stop(dp);
	_exit(0);
}

static int start_peer(const char *device)
{
	int ends[2];

	require(pipe(ends) == 0);
	if (fork() == 0) {
		close(ends[1]);
		be_the_peer(device, ends[0]);
	}
	close(ends[0]);
	return ends[1];
}

struct pair {
	struct dataplane *dp;
	int peer;
};

// A client tries to connect when it looks at its link.
static bool both_are_up(void *argument)
{
	const struct pair *pair = argument;

	require(write(pair->peer, "", 1) == 1);
	return link_is_up(pair->dp);
}

static void use_memif(void)
{
	struct dataplane_config config;
	char socket[64], server[DEVICE_TEXT_MAX], client[DEVICE_TEXT_MAX];

	snprintf(socket, sizeof(socket), "/tmp/guideway-test-%d.sock", getpid());
	snprintf(server, sizeof(server), "net_memif0,role=server,socket=%s,socket-abstract=no",
		socket);
	snprintf(client, sizeof(client), "net_memif0,role=client,socket=%s,socket-abstract=no",
		socket);
	config = lab_config(server, 2);
	int peer = start_peer(client);
	start_and_be_killed(&config); // Leaves its socket.
	require(access(socket, F_OK) == 0);

	struct dataplane *dp = lab_start(&config);
	require(!status_of(dp).link_up);
	require(holds_within(3000, both_are_up, &(struct pair){dp, peer}));
	require(write(peer, "", 1) == 1);
	struct wire here = wire_open("gw0"), there = wire_open("gw1");
	require(wire_carries(&here, &there, (const uint8_t[6]){[0 ... 5] = 0xff}, 60));
	require(wire_carries(&there, &here, (const uint8_t[6]){[0 ... 5] = 0xff}, 1514));

	// The driver of a server may crash when its client goes while it polls.
	dataplane_stop(dp);
	close(peer);
	wait(NULL);
	unlink(socket);
}

static void two_guideways_are_joined_by_memif(void **)
{
	try_out(use_memif);
}

static const struct refusal {
	const char *name;
	const char *device;
	const char *twin;
	unsigned worker_cpu; // Added to the first that may be used.
	int want;
	const char *why;
} refusals[] = {
	{"no such interface", "nonsuch0", "gw0", 0, -ENODEV, "no such network interface"},
	{"no such PCI device", "0000:ff:1f.7", "gw0", 0, -ENODEV, "vfio-pci"},
	{"no such driver", "net_nonsuch0", "gw0", 0, -EFAULT, "net_nonsuch0: DPDK cannot make"},
	{"a driver's argument", "net_memif0,role=king", "gw0", 0, 0, "Unknown role"},
	{"the twin's name is taken", "net_null0", "lo", 0, -EINVAL, "twin lo: there is"},
	{"a CPU that is not ours", "net_null0", "gw0", 900, -EINVAL, "CPU 9"},
};

static const struct refusal *refusal;

static void be_refused(void)
{
	struct dataplane_config config = lab_config(refusal->device, 1);
	struct dataplane *dp;
	char why[WHY_MAX] = "";

	strcpy(config.ports[0].twin, refusal->twin);
	config.worker_cpus[0] += refusal->worker_cpu;
	int r = dataplane_start(&config, &dp, why);
	if (strstr(why, refusal->why) == NULL || r >= 0 || (refusal->want && r != refusal->want)) {
		fprintf(stderr, "%s: %d, %s\n", refusal->name, r, why);
		_exit(1);
	}
}

static void a_start_that_fails_says_why_in_a_sentence(void **)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		refusal = &refusals[i];
		try_out(be_refused);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_is_served_by_af_packet_and_given_back_as_it_was),
		cmocka_unit_test(an_interface_is_served_by_af_xdp_and_given_back_as_it_was),
		cmocka_unit_test(where_af_xdp_does_not_work_af_packet_serves_and_the_note_says_why),
		cmocka_unit_test(a_tag_that_the_kernel_takes_off_is_put_back_and_looked_at),
		cmocka_unit_test(what_a_killed_process_left_is_no_obstacle),
		cmocka_unit_test(two_guideways_are_joined_by_memif),
		cmocka_unit_test(a_start_that_fails_says_why_in_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
