// What is lent to a twin, and what is kept from the kernel, on a real kernel.
//
//     far namespace          this namespace
//     far0  ------------------  dev0  ==(relay)==  tw0
//     192.0.2.9                 192.0.2.1, ... at first; then on tw0
//     2001:db8::9
//
// The relay stands for the dataplane: a child that carries frames between a packet socket on dev0
// and a TAP that it makes. With it dies the TAP.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/interfaces.h"
#include "netns.h"
#include "state_directory.h"

#define MAC "02:00:00:00:00:01"

static pid_t far, relay;
static char folder[] = "/tmp/guideway-test-XXXXXX";
static struct state_directory *directory;

static int packet_socket(const char *interface)
{
	struct sockaddr_ll on = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface)};
	int yes = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)), 0);
	assert_int_equal(bind(fd, (void *)&on, sizeof(on)), 0);
	return fd;
}

static int open_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	strcpy(request.ifr_name, name);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

static void carry(int from, int to)
{
	uint8_t frame[4096];
	ssize_t len;

	while ((len = read(from, frame, sizeof(frame))) > 0)
		(void)!write(to, frame, (size_t)len);
}

static void run_relay(int ready)
{
	int port = packet_socket("dev0"), tap = open_tap("tw0");
	struct pollfd wait[] = {{.fd = port, .events = POLLIN}, {.fd = tap, .events = POLLIN}};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run("ip link set tw0 address " MAC " up");
	(void)!write(ready, "", 1);
	for (;;) {
		poll(wait, 2, -1);
		carry(port, tap);
		carry(tap, port);
	}
}

static void start_relay(void)
{
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	relay = fork();
	assert_true(relay >= 0);
	if (relay == 0)
		run_relay(ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
}

static void stop_relay(void)
{
	kill(relay, SIGKILL);
	waitpid(relay, NULL, 0);
}

static int set_up(void **)
{
	char why[WHY_MAX];

	far = netns_hold();
	run("ip link add dev0 address " MAC " type veth peer name far0 netns %d && "
	    "ip link set dev0 up && ethtool -K dev0 gro on",
		far);
	run_in(far,
		"ip link set far0 up; ethtool -K far0 tx off >/dev/null;"
		"ip addr add 192.0.2.9/24 dev far0;"
		"ip addr add 2001:db8::9/64 dev far0 nodad");
	strcpy(folder, "/tmp/guideway-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(state_directory_open(folder, &directory, why), 0);
	start_relay();
	return 0;
}

static int tear_down(void **)
{
	state_directory_close(directory);
	stop_relay();
	run("ip link del dev0; ip nexthop flush >/dev/null 2>&1; rm -r %s", folder);
	netns_release(far);
	return 0;
}

static void give_addresses_and_routes(void)
{
	run("ip addr add 192.0.2.1/24 dev dev0 && ip addr add 192.0.2.2/24 dev dev0 && "
	    "ip addr add 192.0.2.3/32 dev dev0 label dev0:x && "
	    "ip addr add 198.51.100.1/24 metric 77 dev dev0 && "
	    "ip addr add 203.0.113.1/24 noprefixroute dev dev0 && "
	    "ip addr add 2001:db8::1/64 dev dev0 nodad && "
	    "ip addr add 2001:db8:1::1/128 dev dev0 nodad && "
	    "ip route add default via 192.0.2.9 metric 100 proto static mtu 1400 && "
	    "ip route add default via 192.0.2.8 metric 200 && "
	    "ip route add 10.1.0.0/16 dev dev0 src 192.0.2.2 proto bird && "
	    "ip route add 10.2.0.0/16 nexthop via 192.0.2.9 weight 3 nexthop via 192.0.2.8 && "
	    "ip route add 10.3.0.0/16 via inet6 2001:db8::9 dev dev0 && "
	    "ip route add 10.4.0.0/16 via 172.16.0.1 dev dev0 onlink && "
	    "ip nexthop add id 7 via 192.0.2.9 dev dev0 && ip route add 10.5.0.0/16 nhid 7 && "
	    "ip nexthop add id 5 group 7 && ip route add 10.6.0.0/16 nhid 5 && "
	    "ip -6 route add default via 2001:db8::9 metric 512 pref high && "
	    "ip -6 route add 2001:db8:2::/48 nexthop via 2001:db8::9 nexthop via 2001:db8::8 && "
	    "ip -6 route add 2001:db8:3::/48 dev dev0 proto 99");
}

// Everything that should be the same, as text; the interface is called X. The caller frees it.
static char *describe(const char *interface)
{
	char command[1024];
	char *text = calloc(1, 16384);

	snprintf(command, sizeof(command),
		"(ip -o addr show dev %s scope global | sed 's/nodad//g; s/^[0-9]*://; s/ \\+/ "
		"/g'; "
		"ip route show; ip -6 route show | grep -v fe80; ip nexthop show) | "
		"sed 's/%s/X/g; s/ linkdown//g' | sort",
		interface, interface);
	FILE *output = popen(command, "r");
	assert_non_null(output);
	assert_true(fread(text, 1, 16383, output) > 0);
	assert_int_equal(pclose(output), 0);
	return text;
}

static void assert_described(const char *interface, const char *text)
{
	char *now = describe(interface);

	assert_string_equal(now, text);
	free(now);
}

static int take(bool adopt, struct interfaces **ret_interfaces, char why[WHY_MAX])
{
	struct interface_config config = {.device = "dev0", .twin = "tw0", .adopt = adopt};

	return interfaces_take(&config, 1, directory, ret_interfaces, why);
}

static struct interfaces *take_and_move(void)
{
	struct interfaces *x;
	char why[WHY_MAX];

	if (take(true, &x, why) < 0 || interfaces_move(x, why) < 0)
		fail_msg("%s", why);
	return x;
}

static void give_back(struct interfaces *x)
{
	char why[WHY_MAX];

	if (interfaces_give_back(x, why) < 0 || interfaces_restore(x, why) < 0)
		fail_msg("%s", why);
}

static bool was_still_small; // At the clean-up.

static void clean_up(const char *device)
{
	was_still_small = try_run("ip link show %s | grep -q \"mtu 1300\"", device) == 0;
}

static void recover(void)
{
	char why[WHY_MAX];

	if (interfaces_recover(directory, clean_up, why) < 0)
		fail_msg("%s", why);
}

static bool has_record(void)
{
	return try_run("test -e %s/interfaces.json", folder) == 0;
}

static void an_interface_with_addresses_is_refused_unless_adopted(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	run("ip addr add 192.0.2.1/24 dev dev0 && ip addr add 2001:db8::1/64 dev dev0 nodad");
	assert_int_equal(take(false, &x, why), -EADDRINUSE);
	assert_non_null(strstr(why, "dev0"));
	assert_non_null(strstr(why, "192.0.2.1/24, 2001:db8::1/64"));
	assert_non_null(strstr(why, "adopt = true"));
	assert_false(has_record());
	run("ethtool -k dev0 | grep -q \"generic-receive-offload: on\"");
}

static void an_interface_that_is_not_there_is_refused(void **)
{
	struct interface_config config = {.device = "nothere", .twin = "tw0"};
	struct interfaces *x;
	char why[WHY_MAX];

	assert_int_equal(interfaces_take(&config, 1, directory, &x, why), -ENODEV);
	assert_string_equal(why, "There is no interface nothere.");
}

static void an_interface_of_a_bridge_is_refused(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	run("ip link add bridge0 type bridge && ip link set dev0 master bridge0");
	assert_int_equal(take(true, &x, why), -EBUSY);
	assert_non_null(strstr(why, "bridge0"));
	assert_false(has_record());
	run("ip link del bridge0");
}

static void an_interface_that_others_stand_on_is_refused(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	run("ip link add link dev0 name above0 type macvlan");
	assert_int_equal(take(true, &x, why), -EBUSY);
	assert_non_null(strstr(why, "above0"));
	run("ip link del above0");
}

// The kernel says of either end of a veth that it stands on the other.
static void the_other_end_of_a_veth_stands_on_nothing(void **)
{
	struct interface_config config = {.device = "pair0", .twin = "tw0"};
	struct interfaces *x;
	char why[WHY_MAX];

	run("ip link add pair0 type veth peer name pair1");
	assert_int_equal(interfaces_take(&config, 1, directory, &x, why), 0);
	give_back(x);
	run("ip link del pair0");
}

static void link_local_addresses_are_no_reason_to_refuse(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	run("ip -6 addr show dev dev0 | grep -q fe80");
	assert_int_equal(take(false, &x, why), 0);
	assert_int_equal(interfaces_move(x, why), 0);
	give_back(x);
	run("ip -6 addr show dev dev0 | grep -q fe80");
}

static void addresses_and_routes_go_to_the_twin_and_back_unchanged(void **)
{
	give_addresses_and_routes();
	char *before = describe("dev0");

	struct interfaces *x = take_and_move();
	assert_true(has_record());
	assert_described("tw0", before);
	run("test -z \"$(ip -o addr show dev dev0 | grep inet)\"");
	assert_int_not_equal(try_run("ip route show | grep -q dev0"), 0);

	give_back(x);
	assert_described("dev0", before);
	assert_false(has_record());
	free(before);
}

static void what_was_changed_on_the_twin_comes_back_changed(void **)
{
	give_addresses_and_routes();
	struct interfaces *x = take_and_move();

	run("ip addr add 192.0.2.77/24 dev tw0 && ip addr del 192.0.2.2/24 dev tw0 && "
	    "ip route replace default via 192.0.2.77 metric 100 && "
	    "ip -6 route add 2001:db8:9::/48 via 2001:db8::9");
	char *now = describe("tw0");
	give_back(x);
	assert_described("dev0", now);
	free(now);
}

// The next start would refuse the device for them.
static void what_a_twin_was_given_without_adoption_does_not_go_to_the_device(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	assert_int_equal(take(false, &x, why), 0);
	assert_int_equal(interfaces_move(x, why), 0);
	run("ip addr add 192.0.2.1/24 dev tw0 && ip route add 10.0.0.0/8 via 192.0.2.9");
	give_back(x);
	run("test -z \"$(ip -o -4 addr show dev dev0)\"");
	assert_int_not_equal(try_run("ip route show | grep -q dev0"), 0);
}

static void after_a_kill_all_is_put_back(void **)
{
	give_addresses_and_routes();
	char *before = describe("dev0");

	pid_t child = fork();
	if (child == 0) {
		take_and_move();
		kill(getpid(), SIGKILL);
	}
	waitpid(child, NULL, 0);
	stop_relay(); // The dataplane dies with it, and so the twin.
	run("test -z \"$(ip -o -4 addr show dev dev0)\"");

	recover();
	assert_described("dev0", before);
	assert_false(has_record());
	run("test $(cat /proc/sys/net/ipv6/conf/dev0/disable_ipv6) = 0");
	run("ethtool -k dev0 | grep -q \"generic-receive-offload: on\"");
	run("test -z \"$(nft list ruleset)\"");
	start_relay();
	free(before);
}

// At any moment of the way, the record and what is left make up the whole.
static void after_a_kill_half_way_all_is_put_back(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	give_addresses_and_routes();
	char *before = describe("dev0");
	assert_int_equal(take(true, &x, why), 0);
	run("ip addr add 192.0.2.1/24 dev tw0 && ip route del default metric 100 && "
	    "ip addr del 2001:db8::1/64 dev dev0 && ip addr del 192.0.2.1/24 dev dev0");

	stop_relay();
	recover();
	assert_described("dev0", before);
	start_relay();
	free(before);
	give_back(x);
}

static void nothing_is_recovered_twice_or_after_a_boot(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	recover(); // No record at all.
	run("ip addr add 192.0.2.1/24 dev dev0");
	assert_int_equal(take(true, &x, why), 0);
	run("sed -i 's/\"boot_id\": \".*\"/\"boot_id\": \"another\"/' %s/interfaces.json && "
	    "ip addr del 192.0.2.1/24 dev dev0",
		folder);
	recover();
	run("test -z \"$(ip -o -4 addr show dev dev0)\"");
	assert_false(has_record());
	give_back(x);
}

static void a_damaged_record_stops_the_start_with_a_sentence(void **)
{
	char why[WHY_MAX];

	run("echo '{' > %s/interfaces.json", folder);
	assert_int_equal(interfaces_recover(directory, clean_up, why), -EINVAL);
	assert_non_null(strstr(why, "interfaces.json"));
}

static void a_move_that_fails_leaves_all_as_it_was(void **)
{
	struct interface_config config = {.device = "dev0", .twin = "nothere", .adopt = true};
	struct interfaces *x;
	char why[WHY_MAX];

	give_addresses_and_routes();
	char *before = describe("dev0");
	assert_int_equal(interfaces_take(&config, 1, directory, &x, why), 0);
	assert_int_equal(interfaces_move(x, why), -ENODEV);
	assert_non_null(strstr(why, "nothere"));
	assert_described("dev0", before);
	give_back(x);
	assert_described("dev0", before);
	free(before);
}

static void a_move_that_fails_half_way_is_undone(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	give_addresses_and_routes();
	run("echo 1 > /proc/sys/net/ipv6/conf/tw0/disable_ipv6");
	char *before = describe("dev0");
	assert_int_equal(take(true, &x, why), 0);
	assert_true(interfaces_move(x, why) < 0);
	assert_described("dev0", before);
	run("test -z \"$(ip -o addr show dev tw0 | grep inet)\"");
	give_back(x);
	assert_described("dev0", before);
	free(before);
}

static void offloads_and_flags_are_put_back(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	run("ip link set dev0 mtu 1400");
	assert_int_equal(take(false, &x, why), 0);
	run("ethtool -k dev0 | grep -q \"generic-receive-offload: off\"");
	assert_int_equal(interfaces_move(x, why), 0);
	run("test $(cat /proc/sys/net/ipv6/conf/dev0/disable_ipv6) = 1");
	run("ip link set dev0 promisc on && ip link set dev0 allmulticast on && "
	    "ip link set dev0 mtu 1500");

	give_back(x);
	run("ethtool -k dev0 | grep -q \"generic-receive-offload: on\"");
	run("test $(cat /proc/sys/net/ipv6/conf/dev0/disable_ipv6) = 0");
	run("ip link show dev0 | grep -q \"mtu 1400\"");
	assert_int_not_equal(try_run("ip link show dev0 | grep -q PROMISC"), 0);
	assert_int_not_equal(try_run("ip link show dev0 | grep -q ALLMULTI"), 0);
}

// An XDP program bounds the MTU, and is gone only with the dataplane.
static void what_the_dataplane_works_with_is_put_back_only_after_its_stop(void **)
{
	char why[WHY_MAX];

	run("ip addr add 192.0.2.1/24 dev dev0 && ip link set dev0 mtu 1400");
	struct interfaces *x = take_and_move();
	run("ip link set dev0 mtu 1300");

	assert_int_equal(interfaces_give_back(x, why), 0);
	run("ip addr show dev dev0 | grep -q 192.0.2.1");
	run("test $(cat /proc/sys/net/ipv6/conf/dev0/disable_ipv6) = 0");
	run("test -z \"$(nft list ruleset)\"");
	run("ip link show dev0 | grep -q \"mtu 1300\"");
	run("ethtool -k dev0 | grep -q \"generic-receive-offload: off\"");
	assert_true(has_record());

	assert_int_equal(interfaces_restore(x, why), 0);
	run("ip link show dev0 | grep -q \"mtu 1400\"");
	run("ethtool -k dev0 | grep -q \"generic-receive-offload: on\"");
	assert_false(has_record());
}

static void what_could_not_be_put_back_stays_on_the_record(void **)
{
	char why[WHY_MAX];

	run("ip addr add 192.0.2.1/24 dev dev0");
	struct interfaces *x = take_and_move();
	run("ip link set dev0 name other0");
	assert_true(interfaces_give_back(x, why) < 0);
	assert_non_null(strstr(why, "dev0"));
	run("ip link set other0 name dev0");
	assert_int_equal(interfaces_restore(x, why), 0);
	assert_true(has_record());
	recover();
	run("ip addr show dev dev0 | grep -q 192.0.2.1");
}

// The port sets it down itself at the end, if it comes to that.
static void an_interface_that_was_down_is_down_again_after_a_kill(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	run("ip link set dev0 down");
	assert_int_equal(take(false, &x, why), 0);
	run("ip link set dev0 up");
	recover();
	run("test -z \"$(ip -o link show dev dev0 up)\"");
	give_back(x);

	run("ip link set dev0 up");
	assert_int_equal(take(false, &x, why), 0);
	recover();
	run("test -n \"$(ip -o link show dev dev0 up)\"");
	give_back(x);
}

static void an_xdp_program_that_was_left_is_taken_away_before_the_mtu_is_put_back(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	assert_int_equal(take(false, &x, why), 0);
	run("ip link set dev0 mtu 1300");
	recover();
	assert_true(was_still_small);
	run("ip link show dev0 | grep -q \"mtu 1500\"");
	give_back(x);
}

static void what_was_off_before_stays_off(void **)
{
	struct interfaces *x;
	char why[WHY_MAX];

	run("ethtool -K dev0 gro off && echo 1 > /proc/sys/net/ipv6/conf/dev0/disable_ipv6");
	assert_int_equal(take(false, &x, why), 0);
	assert_int_equal(interfaces_move(x, why), 0);
	give_back(x);
	run("ethtool -k dev0 | grep -q \"generic-receive-offload: off\"");
	run("test $(cat /proc/sys/net/ipv6/conf/dev0/disable_ipv6) = 1");
}

// At the far end

static int in_far(int make(const char *), const char *argument)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)far);
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(here >= 0 && there >= 0);
	assert_int_equal(setns(there, CLONE_NEWNET), 0);
	int made = make(argument);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	close(here);
	close(there);
	return made;
}

// Frames that answer: ARP replies and ICMP echo replies.
static void count_answers(int fd, unsigned *ret_arp, unsigned *ret_echo)
{
	uint8_t f[2048];
	ssize_t len;

	*ret_arp = *ret_echo = 0;
	while ((len = recv(fd, f, sizeof(f), 0)) > 0) {
		*ret_arp += len >= 42 && f[12] == 0x08 && f[13] == 0x06 && f[21] == 2;
		*ret_echo +=
			len >= 42 && f[12] == 0x08 && f[13] == 0x00 && f[23] == 1 && f[34] == 0;
	}
}

static void ping_once(int fd, unsigned *ret_arp, unsigned *ret_echo)
{
	count_answers(fd, ret_arp, ret_echo);
	run_in(far, "ip neigh flush dev far0; ping -c1 -W1 192.0.2.1 >/dev/null");
	usleep(20000);
	count_answers(fd, ret_arp, ret_echo);
}

static void a_silenced_kernel_does_not_answer_a_second_time(void **)
{
	unsigned n_arp, n_echo;
	int far0 = in_far(packet_socket, "far0");

	// Both answer as long as the kernel hears what the relay hears.
	run("ip addr add 192.0.2.1/24 dev dev0");
	ping_once(far0, &n_arp, &n_echo);
	assert_int_equal(n_arp, 2);
	assert_int_equal(n_echo, 2);

	struct interfaces *x = take_and_move();
	ping_once(far0, &n_arp, &n_echo);
	assert_int_equal(n_arp, 1);
	assert_int_equal(n_echo, 1);
	give_back(x);
	close(far0);
}

static void a_port_still_hears_what_the_kernel_does_not(void **)
{
	struct interfaces *x = take_and_move();
	int port = packet_socket("dev0");
	uint8_t frame[2048];
	unsigned n = 0;

	run_in(far, "ping -c1 -W1 192.0.2.200 >/dev/null || true");
	for (ssize_t len; (len = recv(port, frame, sizeof(frame), 0)) > 0;)
		n += len >= 42 && frame[12] == 0x08 && frame[13] == 0x06;
	assert_true(n > 0);
	run("nft list ruleset | grep -q \"policy drop\"");
	close(port);
	give_back(x);
	run("test -z \"$(nft list ruleset)\"");
}

// Connections

static int listen_on(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5000)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &at.sin_addr);
	assert_int_equal(bind(fd, (void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int connect_to(const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5000)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &at.sin_addr);
	assert_int_equal(connect(fd, (void *)&at, sizeof(at)), 0);
	return fd;
}

static void assert_passes(int from, int to, char c)
{
	struct pollfd wait = {.fd = to, .events = POLLIN};
	char got = 0;

	assert_int_equal(write(from, &c, 1), 1);
	assert_int_equal(poll(&wait, 1, 3000), 1);
	assert_int_equal(read(to, &got, 1), 1);
	assert_int_equal(got, c);
}

// As whoever is logged in by ssh would like it.
static void a_connection_outlives_adoption_and_return(void **)
{
	run("ip addr add 192.0.2.1/24 dev dev0");
	int listener = listen_on("192.0.2.1");
	int client = in_far(connect_to, "192.0.2.1");
	int server = accept(listener, NULL, NULL);
	assert_passes(client, server, 'a');

	struct interfaces *x = take_and_move();
	assert_passes(client, server, 'b');
	assert_passes(server, client, 'c');
	give_back(x);
	assert_passes(client, server, 'd');
	assert_passes(server, client, 'e');
	close(client);
	close(server);
	close(listener);
}

static void a_connection_outlives_a_kill(void **)
{
	run("ip addr add 192.0.2.1/24 dev dev0");
	int listener = listen_on("192.0.2.1");
	int client = in_far(connect_to, "192.0.2.1");
	int server = accept(listener, NULL, NULL);

	pid_t child = fork();
	if (child == 0) {
		take_and_move();
		kill(getpid(), SIGKILL);
	}
	waitpid(child, NULL, 0);
	assert_passes(client, server, 'a');
	stop_relay();
	recover();
	assert_passes(client, server, 'b');
	assert_passes(server, client, 'c');
	start_relay();
	close(client);
	close(server);
	close(listener);
}

int main(void)
{
#define IN_A_LAB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_A_LAB(an_interface_with_addresses_is_refused_unless_adopted),
		IN_A_LAB(an_interface_that_is_not_there_is_refused),
		IN_A_LAB(an_interface_of_a_bridge_is_refused),
		IN_A_LAB(an_interface_that_others_stand_on_is_refused),
		IN_A_LAB(the_other_end_of_a_veth_stands_on_nothing),
		IN_A_LAB(link_local_addresses_are_no_reason_to_refuse),
		IN_A_LAB(addresses_and_routes_go_to_the_twin_and_back_unchanged),
		IN_A_LAB(what_was_changed_on_the_twin_comes_back_changed),
		IN_A_LAB(what_a_twin_was_given_without_adoption_does_not_go_to_the_device),
		IN_A_LAB(after_a_kill_all_is_put_back),
		IN_A_LAB(after_a_kill_half_way_all_is_put_back),
		IN_A_LAB(nothing_is_recovered_twice_or_after_a_boot),
		IN_A_LAB(a_damaged_record_stops_the_start_with_a_sentence),
		IN_A_LAB(a_move_that_fails_leaves_all_as_it_was),
		IN_A_LAB(a_move_that_fails_half_way_is_undone),
		IN_A_LAB(offloads_and_flags_are_put_back),
		IN_A_LAB(what_the_dataplane_works_with_is_put_back_only_after_its_stop),
		IN_A_LAB(what_could_not_be_put_back_stays_on_the_record),
		IN_A_LAB(an_interface_that_was_down_is_down_again_after_a_kill),
		IN_A_LAB(an_xdp_program_that_was_left_is_taken_away_before_the_mtu_is_put_back),
		IN_A_LAB(what_was_off_before_stays_off),
		IN_A_LAB(a_silenced_kernel_does_not_answer_a_second_time),
		IN_A_LAB(a_port_still_hears_what_the_kernel_does_not),
		IN_A_LAB(a_connection_outlives_adoption_and_return),
		IN_A_LAB(a_connection_outlives_a_kill),
	};

	netns_enter_new();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
