#include "bench.h"

#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>

#include "flow_memory.h"

enum { ROUNDS = 21, BURST = 32, BURSTS = 4096 };

// A walk through a cycle of all lines in no order, each line naming the next, so that none can be
// asked for before the one before has come. Sattolo's algorithm makes the cycle.
static void make_walk(uint64_t *lines, size_t n)
{
	uint64_t state = 1;

	for (size_t i = 0; i < n; i++)
		lines[8 * i] = i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = (size_t)((unsigned __int128)bench_random(&state) * i >> 32);
		uint64_t swap = lines[8 * i];

		lines[8 * i] = lines[8 * j];
		lines[8 * j] = swap;
	}
}

static double walk(const uint64_t *lines, size_t steps, uint64_t *at)
{
	uint64_t start = bench_now();

	for (size_t i = 0; i < steps; i++)
		*at = lines[8 * *at];
	return (double)(bench_now() - start) / (double)steps;
}

// Of a memory of that size: one of 1 GB is mostly not in any cache, one of 64 MB is where the flows
// of a million connections are.
static void measure_line(struct bench *b, const char *name, size_t bytes)
{
	struct flow_memory memory;
	double samples[ROUNDS];
	uint64_t at = 0;

	if (flow_memory_map(bytes, -1, false, &memory) < 0)
		return;
	make_walk(memory.at, bytes / 64);
	for (int i = 0; i < ROUNDS; i++)
		samples[i] = walk(memory.at, 20000, &at);
	bench_require(at < bytes / 64, "the walk left its memory");
	flow_memory_unmap(&memory);

	double cycles = bench_median(samples, ROUNDS);
	bench_fact(b, name, cycles, "cycles");
}

// A burst of lines of which none waits for another: as a burst of packets asks for them, with
// nothing else to do. No lookup of one line a packet can be cheaper.
static double fetch_bursts(const uint64_t *lines, size_t n, uint64_t *sum)
{
	static uint64_t state = 1;
	uint64_t cycles = 0;

	for (int burst = 0; burst < 1000; burst++) {
		uint64_t at[BURST];

		for (int i = 0; i < BURST; i++)
			at[i] = bench_random(&state) * n >> 32;
		uint64_t start = bench_now();
		for (int i = 0; i < BURST; i++)
			__builtin_prefetch(&lines[8 * at[i]]);
		for (int i = 0; i < BURST; i++)
			*sum += lines[8 * at[i]];
		cycles += bench_now() - start - bench_overhead();
	}
	return (double)cycles / (1000 * BURST);
}

static void measure_bursts(struct bench *b, const char *name, size_t bytes)
{
	struct flow_memory memory;
	double samples[ROUNDS];
	uint64_t sum = 0;

	if (flow_memory_map(bytes, -1, bench_options(b)->hugepages, &memory) < 0)
		return;
	memset(memory.at, 0, bytes);
	for (int i = 0; i < ROUNDS; i++)
		samples[i] = fetch_bursts(memory.at, bytes / 64, &sum);
	bench_require(sum == 0, "memory is not what was written");
	flow_memory_unmap(&memory);
	bench_fact(b, name, bench_median(samples, ROUNDS), "cycles a line");
}

static void start_null_port(struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};

	bench_require(rte_eth_dev_configure(0, 1, 1, &conf) == 0 &&
			rte_eth_rx_queue_setup(0, 0, 512, SOCKET_ID_ANY, NULL, pool) == 0 &&
			rte_eth_tx_queue_setup(0, 0, 512, SOCKET_ID_ANY, NULL) == 0 &&
			rte_eth_dev_start(0) == 0,
		"the null port does not start");
}

static void swap_macs(struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ether_addr swap = eth->dst_addr;

	eth->dst_addr = eth->src_addr;
	eth->src_addr = swap;
}

static double macswap(void)
{
	struct rte_mbuf *mbufs[BURST];
	uint64_t packets = 0;
	uint64_t start = bench_now();

	for (int i = 0; i < BURSTS; i++) {
		uint16_t n = rte_eth_rx_burst(0, 0, mbufs, BURST);

		for (uint16_t k = 0; k < n; k++)
			swap_macs(mbufs[k]);
		packets += rte_eth_tx_burst(0, 0, mbufs, n);
	}
	return (double)(bench_now() - start) / (double)packets;
}

static void measure_null_port(struct bench *b)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		"null", 4095, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	double samples[ROUNDS];

	bench_require(pool != NULL, "out of memory");
	start_null_port(pool);
	for (int i = 0; i < ROUNDS; i++)
		samples[i] = macswap();
	rte_eth_dev_stop(0);
	bench_fact(
		b, "macswap between null ports", bench_median(samples, ROUNDS), "cycles a packet");
}

void bench_machine(struct bench *b)
{
	bench_fact(b, "time-stamp rate", (double)rte_get_tsc_hz() / 1e6, "MHz");
	measure_line(b, "random line of 64 MB", 64u << 20);
	measure_line(b, "random line of 1 GB", 1u << 30);
	measure_bursts(b, "32 random lines of 64 MB at once", 64u << 20);
	measure_null_port(b);
}
