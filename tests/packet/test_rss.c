#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_ethdev.h>

#include "port.h"

// What is read of a port's RSS. Ports that are nothing (net_null) keep a key, a table and what they
// are to hash, and tell of them as a card does, but for one thing, which no port without a card
// tells: how long the key is. That is said here in its place.

enum { SOME, OTHER, WITHOUT, N_PORTS, N_QUEUES = 4, KEY = 40, TABLE = 128 };

static uint8_t key_told = KEY;

int __real_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info);

// What the linker puts in the place of DPDK's own.
int __wrap_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info)
{
	int r = __real_rte_eth_dev_info_get(id, info);

	if (r == 0 && id <= OTHER)
		info->hash_key_size = key_told;
	return r;
}

static const uint64_t tcp_and_udp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
	RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;

static void set_key(uint16_t id, uint8_t byte, uint64_t hashes)
{
	uint8_t key[KEY];
	struct rte_eth_rss_conf conf = {
		.rss_key = key,
		.rss_key_len = KEY,
		.rss_hf = hashes,
	};

	memset(key, byte, sizeof(key));
	assert_int_equal(rte_eth_dev_rss_hash_update(id, &conf), 0);
}

static void set_table(uint16_t id, unsigned n_queues)
{
	struct rte_eth_rss_reta_entry64 groups[TABLE / RTE_ETH_RETA_GROUP_SIZE];

	for (unsigned i = 0; i < TABLE; i++) {
		groups[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
		groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
			(uint16_t)(i % n_queues);
	}
	assert_int_equal(rte_eth_dev_rss_reta_update(id, groups, TABLE), 0);
}

static struct port_rss read_rss(uint16_t id)
{
	const struct port port = {.id = id};
	struct port_rss rss = {0};

	assert_int_equal(port_read_rss(&port, &rss), 0);
	assert_int_equal(rss.key_len, KEY);
	assert_int_equal(rss.reta_size, TABLE);
	return rss;
}

static void the_key_and_the_table_of_a_port_are_read_whole(void **)
{
	set_key(SOME, 0x6d, tcp_and_udp);
	set_table(SOME, 3);

	struct port_rss rss = read_rss(SOME);
	for (size_t i = 0; i < KEY; i++)
		assert_int_equal(rss.key[i], 0x6d);
	for (size_t i = 0; i < TABLE; i++)
		assert_int_equal(rss.reta[i], i % 3);
}

static void ports_that_compute_otherwise_are_told_apart(void **)
{
	set_key(SOME, 1, tcp_and_udp);
	set_key(OTHER, 1, tcp_and_udp);
	set_table(SOME, 4);
	set_table(OTHER, 4);
	struct port_rss some = read_rss(SOME), other = read_rss(OTHER);
	assert_memory_equal(&some, &other, sizeof(some));

	set_table(OTHER, 2);
	other = read_rss(OTHER);
	assert_memory_not_equal(some.reta, other.reta, sizeof(some.reta));
	set_table(OTHER, 4);
	set_key(OTHER, 2, tcp_and_udp);
	other = read_rss(OTHER);
	assert_memory_not_equal(some.key, other.key, KEY);
	assert_memory_equal(some.reta, other.reta, sizeof(some.reta));
}

static int try_to_read(uint16_t id)
{
	const struct port port = {.id = id};
	struct port_rss rss = {0};

	return port_read_rss(&port, &rss);
}

static void of_a_port_that_cannot_steer_nothing_is_read(void **)
{
	assert_int_equal(try_to_read(WITHOUT), -ENOTSUP);

	set_key(SOME, 1, tcp_and_udp & ~RTE_ETH_RSS_NONFRAG_IPV6_UDP);
	assert_int_equal(try_to_read(SOME), -ENOTSUP);
	set_key(SOME, 1, tcp_and_udp);
	assert_int_equal(try_to_read(SOME), 0);

	key_told = 16;
	assert_int_equal(try_to_read(SOME), -ENOTSUP);
	key_told = KEY;
}

static int start_environment(void **)
{
	char *arguments[] = {"test_rss", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
		"-m", "64", "-l", "0", "--iova-mode=va", "--log-level=error", "--vdev=net_null0",
		"--vdev=net_null1", "--vdev=net_ring0"};
	const struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS};

	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0 || rte_eth_dev_count_avail() != N_PORTS)
		return -1;
	for (uint16_t id = SOME; id <= OTHER; id++) {
		if (rte_eth_dev_configure(id, N_QUEUES, N_QUEUES, &conf) != 0)
			return -1;
	}
	return 0;
}

static int end_environment(void **)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_and_the_table_of_a_port_are_read_whole),
		cmocka_unit_test(ports_that_compute_otherwise_are_told_apart),
		cmocka_unit_test(of_a_port_that_cannot_steer_nothing_is_read),
	};

	return cmocka_run_group_tests(tests, start_environment, end_environment);
}
