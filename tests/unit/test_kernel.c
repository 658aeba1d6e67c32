// The mirror of a real kernel, in a network namespace of the test's own.
//
//     this namespace              the far one
//     tw0  192.0.2.1/24   ------  far0  192.0.2.9, .10, 2001:db8::9
//     tw1  198.51.100.1/24 -----  far1  198.51.100.9
//     other 203.0.113.1/24        (no twin)
//
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "netns.h"
#include "text_address.h"

#define MS 1000000ull

static pid_t far;

// What the dataplane would know.
static struct next_hop told[NEXT_HOP_MAX];
static unsigned n_told;

static void set_next_hop(void *, next_hop_id id, const struct next_hop *hop)
{
	told[id] = *hop;
	n_told++;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct kernel *start_with(size_t receive_buffer_bytes)
{
	struct kernel_config config = {
		.twins = {"tw0", "tw1"},
		.n_twins = 2,
		.set_next_hop = set_next_hop,
		.receive_buffer_bytes = receive_buffer_bytes,
	};
	struct kernel *k;
	char why[WHY_MAX] = "";

	if (kernel_start(&config, now_ns(), &k, why) < 0)
		fail_msg("%s", why);
	return k;
}

// Turns the loop for some time.
static void turn(struct kernel *k, unsigned ms)
{
	struct pollfd wait = {.fd = kernel_fd(k), .events = POLLIN};
	uint64_t end = now_ns() + ms * MS;

	while (now_ns() < end) {
		poll(&wait, 1, 2);
		assert_int_equal(kernel_ready(k, now_ns()), 0);
		kernel_tick(k, now_ns());
	}
}

static const struct route *routes;
static size_t n_routes;
static uint64_t generation;

static void take_routes(struct kernel *k)
{
	assert_int_equal(kernel_routes(k, ++generation, &routes, &n_routes), 0);
	for (size_t i = 0; i < n_routes; i++) {
		for (size_t j = 0; j < i; j++)
			assert_false(routes[i].length == routes[j].length &&
				address_equal(&routes[i].prefix, &routes[j].prefix));
	}
}

// The route for a prefix, NULL if there is none.
static const struct route *find(const char *prefix, unsigned length)
{
	struct address wanted = text_address(prefix);

	for (size_t i = 0; i < n_routes; i++) {
		if (routes[i].length == length && address_equal(&routes[i].prefix, &wanted))
			return &routes[i];
	}
	return NULL;
}

static next_hop_id hop_of(const char *prefix, unsigned length)
{
	const struct route *r = find(prefix, length);

	if (r == NULL)
		fail_msg("no route to %s/%u", prefix, length);
	return r->next_hop;
}

// Turns the loop until the route for a prefix goes by a resolved neighbour with this MAC address.
static bool comes_to_go_by(struct kernel *k, const char *prefix, unsigned length, const char *mac,
	unsigned port, unsigned ms)
{
	uint8_t m[6];
	uint64_t end = now_ns() + ms * MS;

	sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]);
	do {
		turn(k, 2);
		if (kernel_routes_changed(k))
			take_routes(k);
		const struct route *r = find(prefix, length);
		if (r == NULL || r->next_hop >= NEXT_HOP_MAX)
			continue;
		const struct next_hop *hop = &told[r->next_hop];
		if (hop->resolved && !hop->to_kernel && hop->port == port &&
			memcmp(hop->mac, m, 6) == 0)
			return true;
	} while (now_ns() < end);
	return false;
}

static bool comes_to_be(struct kernel *k, const char *prefix, unsigned length, next_hop_id id)
{
	uint64_t end = now_ns() + 500 * MS;

	do {
		turn(k, 2);
		if (kernel_routes_changed(k))
			take_routes(k);
		const struct route *r = find(prefix, length);
		if (r != NULL && r->next_hop == id)
			return true;
	} while (now_ns() < end);
	return false;
}

static bool comes_to_nothing(struct kernel *k, const char *prefix, unsigned length)
{
	uint64_t end = now_ns() + 500 * MS;

	do {
		turn(k, 2);
		if (kernel_routes_changed(k))
			take_routes(k);
		if (find(prefix, length) == NULL)
			return true;
	} while (now_ns() < end);
	return false;
}

#define MAC0 "02:00:00:00:00:10"
#define MAC1 "02:00:00:00:00:11"
#define MAC2 "02:00:00:00:00:12"

static int set_up(void **)
{
	far = netns_hold();
	run("ip link add tw0 type veth peer name far0 netns %d && "
	    "ip link add tw1 type veth peer name far1 netns %d && "
	    "ip link add other type veth peer name other2 && "
	    "ip addr add 192.0.2.1/24 dev tw0 && ip addr add 198.51.100.1/24 dev tw1 && "
	    "ip addr add 203.0.113.1/24 dev other && "
	    "ip addr add 2001:db8::1/64 dev tw0 nodad && "
	    "ip link set tw0 up && ip link set tw1 up && ip link set other up && "
	    "ip link set other2 up",
		far, far);
	run_in(far,
		"ip link set far0 address " MAC0 " up; ip link set far1 address " MAC1 " up;"
		"ip addr add 192.0.2.9/24 dev far0; ip addr add 192.0.2.10/24 dev far0;"
		"ip addr add 2001:db8::9/64 dev far0 nodad;"
		"ip addr add 198.51.100.9/24 dev far1");
	memset(told, 0, sizeof(told));
	n_told = 0;
	n_routes = 0;
	generation = 0;
	return 0;
}

static int tear_down(void **)
{
	run("ip link del tw0; ip link del tw1; ip link del other; "
	    "ip nexthop flush >/dev/null 2>&1; ip route flush table main; true");
	netns_release(far);
	return 0;
}

static void what_is_there_at_the_start_is_mirrored(void **)
{
	run("ip route add default via 192.0.2.9 && ip route add 10.1.0.0/16 dev tw1 && "
	    "ip route add blackhole 10.2.0.0/16 && ip route add 10.3.0.0/16 via 203.0.113.7 && "
	    "ip -6 route add 2001:db8:1::/48 via 2001:db8::9");
	struct kernel *k = start_with(0);
	assert_true(kernel_routes_changed(k));
	take_routes(k);
	assert_false(kernel_routes_changed(k));

	assert_int_equal(hop_of("192.0.2.0", 24), NEXT_HOP_RESOLVE);
	assert_int_equal(hop_of("2001:db8::", 64), NEXT_HOP_RESOLVE);
	assert_int_equal(hop_of("10.1.0.0", 16), NEXT_HOP_RESOLVE);
	assert_int_equal(hop_of("10.2.0.0", 16), NEXT_HOP_NONE);
	assert_true(told[hop_of("10.3.0.0", 16)].to_kernel);
	assert_true(told[hop_of("203.0.113.0", 24)].to_kernel);
	assert_true(told[hop_of("192.0.2.1", 32)].to_kernel);
	assert_int_equal(told[hop_of("192.0.2.1", 32)].port, 0);
	assert_int_equal(told[hop_of("198.51.100.1", 32)].port, 1);
	assert_true(told[hop_of("2001:db8::1", 128)].to_kernel);
	assert_null(find("127.0.0.1", 32));
	assert_true(comes_to_go_by(k, "0.0.0.0", 0, MAC0, 0, 500));
	assert_true(comes_to_go_by(k, "2001:db8:1::", 48, MAC0, 0, 500));
	kernel_stop(k);
}

static void a_route_that_comes_changes_and_goes_is_followed(void **)
{
	struct kernel *k = start_with(0);
	take_routes(k);

	run("ip route add 10.0.0.0/8 via 192.0.2.9");
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC0, 0, 500));
	run("ip route replace 10.0.0.0/8 via 198.51.100.9");
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC1, 1, 500));
	run("ip route add unreachable 10.0.0.0/9");
	assert_true(comes_to_be(k, "10.0.0.0", 9, NEXT_HOP_NONE));
	run("ip route del 10.0.0.0/8 && ip route del unreachable 10.0.0.0/9");
	assert_true(comes_to_nothing(k, "10.0.0.0", 8));
	assert_true(comes_to_nothing(k, "10.0.0.0", 9));
	kernel_stop(k);
}

static void routes_of_other_tables_are_none(void **)
{
	run("ip route add 10.0.0.0/8 via 192.0.2.9 table 100");
	struct kernel *k = start_with(0);
	run("ip route add 10.9.0.0/16 via 192.0.2.9 table 100");
	turn(k, 20);
	take_routes(k);

	assert_null(find("10.0.0.0", 8));
	assert_null(find("10.9.0.0", 16));
	kernel_stop(k);
	run("ip route flush table 100");
}

static void the_least_metric_wins_and_the_next_takes_over(void **)
{
	run("ip route add 10.0.0.0/8 via 192.0.2.9 metric 100 && "
	    "ip route add 10.0.0.0/8 via 198.51.100.9 metric 50");
	struct kernel *k = start_with(0);
	take_routes(k);

	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC1, 1, 500));
	run("ip route del 10.0.0.0/8 metric 50");
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC0, 0, 500));
	kernel_stop(k);
}

// The kernel takes IPv4 routes away with their interface, and says nothing.
static void routes_that_go_with_their_interface_are_missed(void **)
{
	run("ip route add 10.0.0.0/8 via 198.51.100.9 metric 50 && "
	    "ip route add 10.0.0.0/8 via 192.0.2.9 metric 100");
	struct kernel *k = start_with(0);
	take_routes(k);
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC1, 1, 500));

	run("ip link set tw1 down");
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC0, 0, 500));
	assert_true(comes_to_nothing(k, "198.51.100.0", 24));
	kernel_stop(k);
}

static void routes_that_go_with_an_address_are_missed(void **)
{
	run("ip addr add 192.0.2.2/32 dev tw0 && ip route add 10.0.0.0/8 via 192.0.2.9 src "
	    "192.0.2.2");
	struct kernel *k = start_with(0);
	take_routes(k);
	assert_non_null(find("10.0.0.0", 8));

	run("ip addr del 192.0.2.2/32 dev tw0");
	assert_true(comes_to_nothing(k, "10.0.0.0", 8));
	assert_true(comes_to_nothing(k, "192.0.2.2", 32));
	kernel_stop(k);
}

static bool come_to_be(struct kernel *k, const char *twin, const char *want)
{
	struct address addresses[8];
	uint64_t end = now_ns() + 3000 * MS;
	char all[256], text[INET6_ADDRSTRLEN];

	do {
		turn(k, 2);
		size_t n = kernel_addresses_of(k, twin, addresses, 8);

		all[0] = '\0';
		for (size_t i = 0; i < n; i++) {
			bool is_ipv4 = address_is_ipv4(&addresses[i]);

			inet_ntop(is_ipv4 ? AF_INET : AF_INET6,
				is_ipv4 ? &addresses[i].words[3] : (void *)&addresses[i], text,
				sizeof(text));
			strcat(strcat(all, i == 0 ? "" : " "), text);
		}
	} while (strcmp(all, want) != 0 && now_ns() < end);
	return strcmp(all, want) == 0;
}

// An IPv4 address beside another of its network is one, too, but nothing of one link alone, and
// nothing temporary or deprecated.
static void the_lasting_addresses_of_a_twin_are_known(void **)
{
	struct kernel *k = start_with(0);

	assert_true(come_to_be(k, "tw0", "192.0.2.1 2001:db8::1"));
	assert_true(come_to_be(k, "tw1", "198.51.100.1"));
	assert_true(come_to_be(k, "other", ""));
	run("ip addr add 192.0.2.7/24 dev tw0 && "
	    "ip addr add 2001:db8::7/64 dev tw0 nodad");
	assert_true(come_to_be(k, "tw0", "192.0.2.1 192.0.2.7 2001:db8::1 2001:db8::7"));
	run("ip addr change 2001:db8::7/64 dev tw0 preferred_lft 0 && ip addr del 192.0.2.7/24 dev "
	    "tw0");
	assert_true(come_to_be(k, "tw0", "192.0.2.1 2001:db8::1"));
	run("ip addr change 2001:db8::7/64 dev tw0 preferred_lft forever");
	assert_true(come_to_be(k, "tw0", "192.0.2.1 2001:db8::1 2001:db8::7"));
	kernel_stop(k);
}

static void an_ipv4_route_may_have_an_ipv6_gateway(void **)
{
	run("ip route add 10.0.0.0/8 via inet6 2001:db8::9 dev tw0");
	struct kernel *k = start_with(0);
	take_routes(k);

	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC0, 0, 500));
	kernel_stop(k);
}

// Of 64 prefixes by two ways of weights 3 and 1.
static void prefixes_spread_over_several_ways_by_weight(void **)
{
	for (int i = 0; i < 64; i++)
		run("ip route add 10.%d.0.0/16 nexthop via 192.0.2.9 weight 3 "
		    "nexthop via 198.51.100.9 weight 1",
			i);
	struct kernel *k = start_with(0);
	turn(k, 50);
	take_routes(k);

	unsigned n_of_port[2] = {0, 0};
	for (int i = 0; i < 64; i++) {
		char prefix[32];
		snprintf(prefix, sizeof(prefix), "10.%d.0.0", i);
		n_of_port[told[hop_of(prefix, 16)].port]++;
	}
	assert_in_range(n_of_port[0], 38, 58);
	assert_int_equal(n_of_port[0] + n_of_port[1], 64);
	kernel_stop(k);
}

static void a_way_whose_gateway_is_dead_is_left(void **)
{
	for (int i = 0; i < 8; i++)
		run("ip -6 route add 2001:db8:1%d::/48 nexthop via 2001:db8::9 nexthop via "
		    "2001:db8::dead",
			i);
	struct kernel *k = start_with(0);
	for (int i = 0; i < 8; i++) {
		char prefix[32];
		snprintf(prefix, sizeof(prefix), "2001:db8:1%d::", i);
		assert_true(comes_to_go_by(k, prefix, 48, MAC0, 0, 500));
	}
	kernel_stop(k);
}

static void an_ipv6_way_that_is_appended_or_taken_back_is_followed(void **)
{
	run("ip -6 route add 2001:db8:1::/48 via 2001:db8::9");
	struct kernel *k = start_with(0);
	take_routes(k);

	run("ip -6 route append 2001:db8:1::/48 via 2001:db8::77");
	turn(k, 30);
	run("ip -6 route del 2001:db8:1::/48 via 2001:db8::9");
	turn(k, 30);
	take_routes(k);
	assert_false(told[hop_of("2001:db8:1::", 48)].resolved);

	run("ip -6 route append 2001:db8:1::/48 via 2001:db8::9");
	assert_true(comes_to_go_by(k, "2001:db8:1::", 48, MAC0, 0, 500));
	kernel_stop(k);
}

static void nexthop_objects_are_followed(void **)
{
	run("ip nexthop add id 1 via 192.0.2.9 dev tw0 && "
	    "ip nexthop add id 2 via 198.51.100.9 dev tw1 && ip nexthop add id 3 group 1 && "
	    "ip nexthop add id 4 blackhole && "
	    "ip route add 10.0.0.0/8 nhid 1 && ip route add 11.0.0.0/8 nhid 3 && "
	    "ip route add 12.0.0.0/8 nhid 4");
	struct kernel *k = start_with(0);
	take_routes(k);

	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC0, 0, 500));
	assert_true(comes_to_go_by(k, "11.0.0.0", 8, MAC0, 0, 500));
	assert_int_equal(hop_of("12.0.0.0", 8), NEXT_HOP_NONE);
	run("ip nexthop replace id 3 group 2");
	assert_true(comes_to_go_by(k, "11.0.0.0", 8, MAC1, 1, 500));
	run("ip nexthop replace id 1 via 198.51.100.9 dev tw1");
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC1, 1, 500));
	run("ip nexthop del id 1");
	assert_true(comes_to_nothing(k, "10.0.0.0", 8));
	kernel_stop(k);
}

static void a_neighbour_has_a_host_route_while_it_is_known(void **)
{
	struct kernel *k = start_with(0);
	take_routes(k);
	assert_null(find("192.0.2.50", 32));

	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev tw0 nud reachable");
	assert_true(comes_to_go_by(k, "192.0.2.50", 32, "02:00:00:00:00:50", 0, 500));
	run("ip neigh add 2001:db8::50 lladdr 02:00:00:00:00:51 dev tw0 nud stale");
	assert_true(comes_to_go_by(k, "2001:db8::50", 128, "02:00:00:00:00:51", 0, 500));
	run("ip neigh del 192.0.2.50 dev tw0");
	assert_true(comes_to_nothing(k, "192.0.2.50", 32));
	run("ip neigh change 2001:db8::50 dev tw0 nud failed");
	assert_true(comes_to_nothing(k, "2001:db8::50", 128));
	kernel_stop(k);
}

// One that stands on another network than its address belongs to is none for packets.
static void a_neighbour_on_the_wrong_network_has_no_host_route(void **)
{
	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev tw1 nud reachable && "
	    "ip neigh add 10.7.7.7 lladdr 02:00:00:00:00:50 dev tw0 nud reachable && "
	    "ip neigh add 203.0.113.50 lladdr 02:00:00:00:00:50 dev other nud reachable");
	struct kernel *k = start_with(0);
	take_routes(k);

	assert_null(find("192.0.2.50", 32));
	assert_null(find("10.7.7.7", 32));
	assert_null(find("203.0.113.50", 32));
	kernel_stop(k);
}

static void a_new_mac_address_is_a_word_and_no_new_route(void **)
{
	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev tw0 nud permanent");
	struct kernel *k = start_with(0);
	take_routes(k);
	next_hop_id before = hop_of("192.0.2.50", 32);

	run("ip neigh change 192.0.2.50 lladdr 02:00:00:00:00:51 dev tw0 nud permanent");
	turn(k, 20);
	assert_false(kernel_routes_changed(k));
	assert_true(comes_to_go_by(k, "192.0.2.50", 32, "02:00:00:00:00:51", 0, 500));
	assert_int_equal(hop_of("192.0.2.50", 32), before);
	kernel_stop(k);
}

static void an_id_is_reused_only_when_no_table_names_it(void **)
{
	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev tw0 nud permanent");
	struct kernel *k = start_with(0);
	take_routes(k); // The tables from generation 1 on name it.
	next_hop_id gone = hop_of("192.0.2.50", 32);

	run("ip neigh del 192.0.2.50 dev tw0 && "
	    "ip neigh add 192.0.2.51 lladdr 02:00:00:00:00:51 dev tw0 nud permanent");
	turn(k, 20);
	generation = 7;
	take_routes(k); // Those from 8 on do not.
	assert_int_not_equal(hop_of("192.0.2.51", 32), gone);
	kernel_forget_before(k, 7); // Table 7 may be in use.
	run("ip neigh add 192.0.2.52 lladdr 02:00:00:00:00:52 dev tw0 nud permanent");
	turn(k, 20);
	take_routes(k);
	assert_int_not_equal(hop_of("192.0.2.52", 32), gone);

	kernel_forget_before(k, 8);
	run("ip neigh add 192.0.2.53 lladdr 02:00:00:00:00:53 dev tw0 nud permanent");
	turn(k, 20);
	take_routes(k);
	assert_int_equal(hop_of("192.0.2.53", 32), gone);
	assert_int_equal(told[gone].mac[5], 0x53);
	kernel_stop(k);
}

static void a_twin_may_go_and_come_back(void **)
{
	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev tw0 nud permanent && "
	    "ip route add 10.0.0.0/8 via 192.0.2.50");
	struct kernel *k = start_with(0);
	take_routes(k);
	next_hop_id id = hop_of("10.0.0.0", 8);
	assert_true(told[id].resolved);

	run("ip link del tw0");
	turn(k, 30);
	assert_false(told[id].resolved);
	take_routes(k);
	assert_null(find("10.0.0.0", 8));

	run("ip link add tw0 type veth peer name far0 netns %d && "
	    "ip addr add 192.0.2.1/24 dev tw0 && ip link set tw0 up",
		far);
	run_in(far, "ip link set far0 up");
	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:55 dev tw0 nud permanent && "
	    "ip route add 10.0.0.0/8 via 192.0.2.50");
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, "02:00:00:00:00:55", 0, 500));
	kernel_stop(k);
}

// The kernel tells of carriers once a second.
static bool comes_to_be_resolved(struct kernel *k, next_hop_id id, bool resolved)
{
	uint64_t end = now_ns() + 2500 * MS;

	while (told[id].resolved != resolved && now_ns() < end)
		turn(k, 5);
	return told[id].resolved == resolved;
}

static void a_twin_without_carrier_reaches_nobody(void **)
{
	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev tw0 nud permanent && "
	    "ip route add 10.0.0.0/8 via 192.0.2.50");
	struct kernel *k = start_with(0);
	take_routes(k);
	next_hop_id id = hop_of("10.0.0.0", 8);

	run_in(far, "ip link set far0 down");
	assert_true(comes_to_be_resolved(k, id, false));
	run_in(far, "ip link set far0 up");
	assert_true(comes_to_be_resolved(k, id, true));
	kernel_stop(k);
}

static void what_the_socket_could_not_hold_is_dumped_again(void **)
{
	struct kernel *k = start_with(4096);
	struct kernel_status status;
	take_routes(k);

	// More than the socket holds, while nobody reads.
	run("for i in $(seq 1 250); do echo route add 10.1.$i.0/24 via 192.0.2.9; done | "
	    "ip -batch -");
	run("for i in $(seq 1 100); do echo route del 10.1.$i.0/24; done | ip -batch -");
	turn(k, 100);
	take_routes(k);
	kernel_read_status(k, &status);
	assert_true(status.n_lost > 0);
	assert_null(find("10.1.1.0", 24));
	assert_null(find("10.1.100.0", 24));
	assert_non_null(find("10.1.101.0", 24));
	assert_non_null(find("10.1.250.0", 24));
	kernel_stop(k);
}

static void a_neighbour_that_packets_wait_for_is_resolved_at_once(void **)
{
	const struct address ipv4 = text_address("192.0.2.10"), ipv6 = text_address("2001:db8::9");
	struct kernel *k = start_with(0);
	take_routes(k);
	assert_null(find("192.0.2.10", 32));

	uint64_t asked = now_ns();
	kernel_resolve(k, &ipv4, now_ns());
	assert_true(comes_to_go_by(k, "192.0.2.10", 32, MAC0, 0, 500));
	assert_in_range(now_ns() - asked, 0, 100 * MS);

	asked = now_ns();
	kernel_resolve(k, &ipv6, now_ns());
	assert_true(comes_to_go_by(k, "2001:db8::9", 128, MAC0, 0, 500));
	assert_in_range(now_ns() - asked, 0, 100 * MS);
	kernel_stop(k);
}

static void a_flood_of_unknown_destinations_is_asked_for_in_measure(void **)
{
	struct kernel *k = start_with(0);
	struct kernel_status status;
	take_routes(k);

	run("ip addr add 10.0.0.1/8 dev tw0");
	turn(k, 20);
	for (uint32_t i = 0; i < 20000; i++) {
		struct address a = address_from_ipv4(htonl(0x0a010000 + i));
		kernel_resolve(k, &a, now_ns());
	}
	turn(k, 50);
	kernel_read_status(k, &status);
	assert_true(status.n_resolve_refused > 19000);
	run("n=$(ip neigh show dev tw0 nud incomplete | wc -l); [ $n -ge 64 ] && [ $n -le 200 ]");
	kernel_stop(k);
}

static void what_is_not_on_a_twin_is_not_asked_for(void **)
{
	const struct address other = text_address("203.0.113.77"),
			     nowhere = text_address("10.0.0.1");
	struct kernel *k = start_with(0);

	kernel_resolve(k, &other, now_ns());
	kernel_resolve(k, &nowhere, now_ns());
	turn(k, 20);
	assert_int_not_equal(try_run("ip neigh show | grep -qE '203.0.113.77|10.0.0.1'"), 0);
	kernel_stop(k);
}

static void nodes_and_gateways_are_kept_resolved_by_the_kernel(void **)
{
	const struct address nodes[] = {
		text_address("192.0.2.10"), text_address("203.0.113.77"), text_address("10.0.0.7")};
	struct kernel *k = start_with(0);
	take_routes(k);

	run("ip route add 10.0.0.0/8 via 198.51.100.9");
	assert_int_equal(kernel_want(k, nodes, 3, now_ns()), 0);
	assert_true(comes_to_go_by(k, "192.0.2.10", 32, MAC0, 0, 500));
	assert_true(comes_to_go_by(k, "10.0.0.0", 8, MAC1, 1, 500));
	run("ip neigh show 192.0.2.10 | grep -q managed");
	run("ip neigh show 198.51.100.9 | grep -q managed");

	// Whoever flushes them finds them back.
	run("ip neigh flush dev tw0");
	turn(k, 20);
	assert_true(comes_to_go_by(k, "192.0.2.10", 32, MAC0, 0, 2500));

	// No longer wanted, no longer managed.
	assert_int_equal(kernel_want(k, nodes, 0, now_ns()), 0);
	turn(k, 20);
	assert_int_not_equal(try_run("ip neigh show 192.0.2.10 | grep -q managed"), 0);
	kernel_stop(k);
}

// A socket that hears what arrives at the far end.
static int listen_far(const char *interface)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)far);
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(here >= 0 && there >= 0);
	assert_int_equal(setns(there, CLONE_NEWNET), 0);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
	struct sockaddr_ll on = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface)};
	assert_int_equal(bind(fd, (void *)&on, sizeof(on)), 0);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	close(here);
	close(there);
	return fd;
}

// Who only asks for VIPs is answered by the dataplane, and never tells the kernel that it moved.
static void a_client_that_moves_without_a_word_is_found_again(void **)
{
	const struct address client = text_address("192.0.2.10");

	run("cd /proc/sys/net/ipv4/neigh/tw0 && echo 0 >delay_first_probe_time && "
	    "echo 50 >retrans_time_ms");
	struct kernel *k = start_with(0);
	take_routes(k);
	run("ping -c1 -W1 192.0.2.10 >/dev/null");
	assert_true(comes_to_go_by(k, "192.0.2.10", 32, MAC0, 0, 500));
	run("ip neigh change 192.0.2.10 dev tw0 nud stale");
	turn(k, 20);

	run_in(far, "ip link set far0 address " MAC2);
	kernel_tick(k, now_ns() + 31000 * MS);
	assert_true(comes_to_nothing(k, "192.0.2.10", 32)); // It does not answer there.
	kernel_resolve(k, &client, now_ns());
	assert_true(comes_to_go_by(k, "192.0.2.10", 32, MAC2, 0, 500));
	kernel_stop(k);
}

static unsigned count_probes(int fd)
{
	uint8_t f[2048];
	ssize_t len;
	unsigned n = 0;

	while ((len = recv(fd, f, sizeof(f), 0)) > 0)
		n += len >= 42 && f[0] != 0xff && f[12] == 0x08 && f[13] == 0x06 && f[21] == 1;
	return n;
}

// Time goes on, and the kernel is given some to do what it is asked.
static void turn_clock(struct kernel *k, uint64_t begin_ns, unsigned ms)
{
	kernel_tick(k, begin_ns + ms * MS);
	usleep(10000);
}

static void stale_neighbours_are_verified_in_measure(void **)
{
	run("cd /proc/sys/net/ipv4/neigh/tw0 && echo 0 >delay_first_probe_time && "
	    "echo 60000 >retrans_time_ms");
	for (int i = 0; i < 100; i++)
		run("ip neigh add 192.0.2.%d lladdr 02:00:00:00:00:50 dev tw0 nud stale", 100 + i);
	int far0 = listen_far("far0");
	struct kernel *k = start_with(0);
	uint64_t t = now_ns();

	turn_clock(k, t, 0);
	unsigned n = count_probes(far0);
	assert_in_range(n, 1, 20);
	for (unsigned i = 1; i < 40; i++) { // Ten seconds.
		turn_clock(k, t, i * 250);
		n += count_probes(far0);
	}
	assert_int_equal(n, 100); // Each once.
	close(far0);
	kernel_stop(k);
}

static void a_neighbour_that_the_operator_fixed_is_left_alone(void **)
{
	const struct address node = text_address("192.0.2.50");

	run("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev tw0 nud permanent");
	struct kernel *k = start_with(0);
	assert_int_equal(kernel_want(k, &node, 1, now_ns()), 0);
	kernel_resolve(k, &node, now_ns());
	turn(k, 300);
	run("ip neigh show 192.0.2.50 | grep -q PERMANENT");
	kernel_stop(k);
}

static void a_neighbour_that_the_operator_fixes_just_now_stays_so(void **)
{
	const struct address nodes[] = {text_address("192.0.2.50"), text_address("192.0.2.51")};
	struct kernel *k = start_with(0);

	run("for i in 0 1; do ip neigh add 192.0.2.5$i lladdr 02:00:00:00:00:50 dev tw0 nud "
	    "permanent; "
	    "done");
	assert_int_equal(kernel_want(k, &nodes[0], 1, now_ns()), 0); // Before it is told.
	kernel_resolve(k, &nodes[1], now_ns());
	turn(k, 300);
	run("for i in 0 1; do ip neigh show 192.0.2.5$i | grep -q PERMANENT || exit 1; done");
	assert_true(comes_to_go_by(k, "192.0.2.50", 32, "02:00:00:00:00:50", 0, 500));
	kernel_stop(k);
}

// Announcements

static bool is_gratuitous_arp(const uint8_t *f, ssize_t len, const struct address *a)
{
	return len >= 42 && f[12] == 0x08 && f[13] == 0x06 && f[0] == 0xff &&
		memcmp(f + 28, &a->words[3], 4) == 0 && memcmp(f + 38, &a->words[3], 4) == 0 &&
		memcmp(f + 6, f + 22, 6) == 0;
}

static uint16_t icmpv6_sum(const uint8_t *f)
{
	uint32_t sum = 32 + 58;

	for (unsigned i = 22; i < 14 + 40 + 32; i += 2)
		sum += (uint32_t)f[i] << 8 | f[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static bool is_unsolicited_advertisement(const uint8_t *f, ssize_t len, const struct address *a)
{
	return len >= 86 && f[12] == 0x86 && f[13] == 0xdd && f[14 + 6] == 58 && f[14 + 7] == 255 &&
		f[54] == 136 && f[58] == 0x20 && memcmp(f + 62, a->bytes, 16) == 0 &&
		memcmp(f + 80, f + 6, 6) == 0 && icmpv6_sum(f) == 0xffff;
}

static unsigned count(int fd, const struct address *a)
{
	uint8_t f[2048];
	ssize_t len;
	unsigned n = 0;

	while ((len = recv(fd, f, sizeof(f), 0)) > 0)
		n += is_gratuitous_arp(f, len, a) || is_unsolicited_advertisement(f, len, a);
	return n;
}

// The kernel tells of carriers once a second.
static bool comes_to_hear(struct kernel *k, int fd, const struct address *a)
{
	uint64_t end = now_ns() + 2500 * MS;

	while (now_ns() < end) {
		turn(k, 5);
		if (count(fd, a) > 0)
			return true;
	}
	return false;
}

static void a_new_address_is_announced_three_times(void **)
{
	const struct address vips[] = {text_address("192.0.2.100"), text_address("2001:db8::100")};
	struct kernel *k = start_with(0);
	int far0 = listen_far("far0"), far1 = listen_far("far1");
	uint64_t t = now_ns();

	kernel_announce(k, vips, 2, t);
	assert_int_equal(count(far0, &vips[0]), 1);
	kernel_announce(k, vips, 2, t); // The same again is nothing new.
	kernel_tick(k, t + 500 * MS);
	assert_int_equal(count(far0, &vips[0]), 0);
	kernel_tick(k, t + 1001 * MS);
	assert_int_equal(count(far0, &vips[0]), 1);
	kernel_tick(k, t + 3002 * MS);
	kernel_tick(k, t + 9000 * MS);
	assert_int_equal(count(far0, &vips[0]), 1);
	assert_int_equal(count(far1, &vips[0]), 0); // Not its network.
	close(far0);
	close(far1);
	kernel_stop(k);
}

static void an_ipv6_address_is_announced_by_advertisement(void **)
{
	const struct address vip = text_address("2001:db8::100");
	struct kernel *k = start_with(0);
	int far0 = listen_far("far0");

	kernel_announce(k, &vip, 1, now_ns());
	assert_int_equal(count(far0, &vip), 1);
	close(far0);
	kernel_stop(k);
}

static void an_address_of_no_network_is_announced_everywhere_and_one_withdrawn_nowhere(void **)
{
	const struct address vip = text_address("100.64.0.1");
	struct kernel *k = start_with(0);
	int far0 = listen_far("far0"), far1 = listen_far("far1");
	uint64_t t = now_ns();

	kernel_announce(k, &vip, 1, t);
	assert_int_equal(count(far0, &vip), 1);
	assert_int_equal(count(far1, &vip), 1);
	kernel_announce(k, NULL, 0, t);
	kernel_tick(k, t + 2000 * MS);
	assert_int_equal(count(far0, &vip), 0);
	close(far0);
	close(far1);
	kernel_stop(k);
}

static void a_link_that_returns_hears_the_announcements_again(void **)
{
	const struct address vip = text_address("192.0.2.100");
	struct kernel *k = start_with(0);
	int far0 = listen_far("far0");
	uint64_t t = now_ns();

	kernel_announce(k, &vip, 1, t);
	kernel_tick(k, t + 1001 * MS);
	kernel_tick(k, t + 3002 * MS);
	assert_int_equal(count(far0, &vip), 3);
	run_in(far, "ip link set far0 down");
	turn(k, 50);
	run_in(far, "ip link set far0 up");
	assert_true(comes_to_hear(k, far0, &vip));
	close(far0);
	kernel_stop(k);
}

int main(void)
{
#define IN_A_LAB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_A_LAB(what_is_there_at_the_start_is_mirrored),
		IN_A_LAB(a_route_that_comes_changes_and_goes_is_followed),
		IN_A_LAB(routes_of_other_tables_are_none),
		IN_A_LAB(the_least_metric_wins_and_the_next_takes_over),
		IN_A_LAB(routes_that_go_with_their_interface_are_missed),
		IN_A_LAB(routes_that_go_with_an_address_are_missed),
		IN_A_LAB(the_lasting_addresses_of_a_twin_are_known),
		IN_A_LAB(an_ipv4_route_may_have_an_ipv6_gateway),
		IN_A_LAB(prefixes_spread_over_several_ways_by_weight),
		IN_A_LAB(a_way_whose_gateway_is_dead_is_left),
		IN_A_LAB(an_ipv6_way_that_is_appended_or_taken_back_is_followed),
		IN_A_LAB(nexthop_objects_are_followed),
		IN_A_LAB(a_neighbour_has_a_host_route_while_it_is_known),
		IN_A_LAB(a_neighbour_on_the_wrong_network_has_no_host_route),
		IN_A_LAB(a_new_mac_address_is_a_word_and_no_new_route),
		IN_A_LAB(an_id_is_reused_only_when_no_table_names_it),
		IN_A_LAB(a_twin_may_go_and_come_back),
		IN_A_LAB(a_twin_without_carrier_reaches_nobody),
		IN_A_LAB(what_the_socket_could_not_hold_is_dumped_again),
		IN_A_LAB(a_neighbour_that_packets_wait_for_is_resolved_at_once),
		IN_A_LAB(a_flood_of_unknown_destinations_is_asked_for_in_measure),
		IN_A_LAB(what_is_not_on_a_twin_is_not_asked_for),
		IN_A_LAB(nodes_and_gateways_are_kept_resolved_by_the_kernel),
		IN_A_LAB(a_client_that_moves_without_a_word_is_found_again),
		IN_A_LAB(stale_neighbours_are_verified_in_measure),
		IN_A_LAB(a_neighbour_that_the_operator_fixed_is_left_alone),
		IN_A_LAB(a_neighbour_that_the_operator_fixes_just_now_stays_so),
		IN_A_LAB(a_new_address_is_announced_three_times),
		IN_A_LAB(an_ipv6_address_is_announced_by_advertisement),
		IN_A_LAB(
			an_address_of_no_network_is_announced_everywhere_and_one_withdrawn_nowhere),
		IN_A_LAB(a_link_that_returns_hears_the_announcements_again),
	};

	netns_enter_new();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
