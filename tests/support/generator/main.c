// A generator of packets
// ======================
//
//     generator ──► forwarder ──► generator, by the same port or by another
//
// What testpmd cannot send: flows picked at random, TCP with right flags and checksums, a set rate,
// times in the payload; and for what comes from nodes, the flows that the forwarder made before.
// generator -- --help tells how it is used, scripts/bench uses it.

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

#include "generator.h"
#include "port.h"

enum {
	BUFFERS_PER_PORT = 8191, // Both queues full, and what the lcore keeps.
	BUFFER_CACHE = 256,
	WAIT_S = 5, // For the other end of a port.
};

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "generator: %s: %s\n", what, why);
	return -1;
}

static int start_ports(struct generator *g)
{
	unsigned n_ports = rte_eth_dev_count_avail();

	if (n_ports == 0)
		return complain(
			"there is no port", "give EAL one, as --vdev=net_null0 or -a 0000:3b:00.0");
	g->pool = rte_pktmbuf_pool_create("packets", n_ports * (BUFFERS_PER_PORT + 1) - 1,
		BUFFER_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (g->pool == NULL)
		return complain("no memory for packets", rte_strerror(rte_errno));

	uint16_t port;
	RTE_ETH_FOREACH_DEV(port)
	{
		int r = port_start(port, g->pool);
		char name[RTE_ETH_NAME_MAX_LEN] = "?";

		rte_eth_dev_get_name_by_port(port, name);
		if (r != 0)
			return complain(name, rte_strerror(-r));
	}
	return 0;
}

static int check_port(const char *option, unsigned port)
{
	if (!rte_eth_dev_is_valid_port((uint16_t)port))
		return complain(option, "there is no such port of DPDK; the first is 0");
	if (!port_wait((uint16_t)port, WAIT_S))
		return complain(option, "its link is down: is its other end there?");
	return 0;
}

static double ns_of(uint64_t cycles)
{
	return (double)cycles * 1e9 / (double)rte_get_tsc_hz();
}

static void print_measurement(const struct measurement *m)
{
	static const double shares[] = {0.5, 0.9, 0.99, 0.999};

	printf("{\"sent\": %llu, \"refused\": %llu, \"late\": %llu, \"received\": %llu, "
	       "\"lost\": %llu, \"foreign\": %llu, \"seconds\": %.6f, \"tx_pps\": %.1f, "
	       "\"rx_pps\": %.1f, \"tsc_hz\": %llu, \"latency_ns\": {",
		(unsigned long long)m->sent, (unsigned long long)m->refused,
		(unsigned long long)m->late, (unsigned long long)m->received,
		(unsigned long long)(m->sent - RTE_MIN(m->received, m->sent)),
		(unsigned long long)m->foreign, m->seconds, m->tx_per_s, m->rx_per_s,
		(unsigned long long)rte_get_tsc_hz());
	for (size_t i = 0; i < RTE_DIM(shares); i++)
		printf("\"%g\": %.0f, ", shares[i] * 100,
			ns_of(histogram_quantile(&m->latency, shares[i])));
	printf("\"100\": %.0f}}\n", ns_of(m->latency.greatest));
}

static int open_as_planned(struct generator *g, const struct plan *plan)
{
	uint64_t start = rte_rdtsc();
	int64_t n_open = plan->direction == PLAN_FORWARD ? open_flows(g, plan) : -EINVAL;

	if (n_open == -EINVAL)
		return complain("--open", "clients open flows: --direction forward");
	if (n_open < 0)
		return complain("no memory for flows", strerror((int)-n_open));
	printf("{\"opened\": %lld, \"seconds\": %.6f}\n", (long long)n_open,
		ns_of(rte_rdtsc() - start) / 1e9);
	return 0;
}

static bool all_are_met(const struct flows *flows)
{
	for (uint64_t i = 0; i < flows->n; i++) {
		if (i >= flows->n_peers || flows->peers[i].progress == FLOW_UNKNOWN)
			return false;
	}
	return true;
}

static int measure_as_planned(struct generator *g, const struct plan *plan)
{
	static struct measurement m; // Its histogram is a little large for a stack.

	if (plan->direction == PLAN_RETURN && !all_are_met(&g->flows[plan->opened_by]))
		return complain(
			"--direction return", "not all of these flows have been opened (--open)");
	measure(g, plan, &m);
	print_measurement(&m);
	return 0;
}

static int carry_out(struct generator *g, const struct plan *plan)
{
	if (check_port("--port", plan->port) < 0 || check_port("--nodes-by", plan->nodes_by) < 0)
		return -1;
	flows_choose(&g->flows[plan->opened_by], plan);
	int r = plan->opens ? open_as_planned(g, plan) : measure_as_planned(g, plan);
	fflush(stdout);
	return r;
}

// Each answer is a line; that of a command that is wrong is {}.
static void carry_out_commands(struct generator *g, const struct plan *usual)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		struct plan plan = *usual;

		if (plan_parse_line(&plan, line) && carry_out(g, &plan) == 0)
			continue;
		printf("{}\n");
		fflush(stdout);
	}
	free(line);
}

// 'n' is where the words begin that are not EAL's.
static int run(struct generator *g, int argc, char **argv)
{
	struct plan plan = plan_default();

	if (!plan_parse(&plan, argc, argv))
		return -1;
	if (plan.help) {
		plan_print_help(stdout);
		return 0;
	}
	if (start_ports(g) < 0)
		return -1;
	if (!plan.takes_commands)
		return carry_out(g, &plan);
	carry_out_commands(g, &plan);
	return 0;
}

// Help is to be had without DPDK.
static bool asks_for_help(int argc, char **argv)
{
	return argc == 2 && strcmp(argv[1], "--help") == 0;
}

int main(int argc, char **argv)
{
	static struct generator g;

	if (asks_for_help(argc, argv)) {
		plan_print_help(stdout);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN); // Drivers write to sockets whose other end may have gone.
	int n = rte_eal_init(argc, argv);
	if (n < 0) {
		complain("DPDK does not start", rte_strerror(rte_errno));
		return 1;
	}
	int r = run(&g, argc - n, argv + n);
	for (int i = 0; i < PLAN_PORTS_MAX; i++)
		flows_free(&g.flows[i]);
	rte_eal_cleanup();
	return r < 0 ? 1 : 0;
}
