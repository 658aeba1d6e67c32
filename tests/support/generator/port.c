#include "port.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>

enum { DESCRIPTORS = 2048, SEND_TRIES_PER_S = 100 };

int port_start(uint16_t port, struct rte_mempool *pool)
{
	const struct rte_eth_conf conf = {0};
	uint16_t n_rx = DESCRIPTORS, n_tx = DESCRIPTORS;

	int r = rte_eth_dev_configure(port, 1, 1, &conf);
	if (r == 0)
		r = rte_eth_dev_adjust_nb_rx_tx_desc(port, &n_rx, &n_tx);
	if (r == 0)
		r = rte_eth_rx_queue_setup(port, 0, n_rx, SOCKET_ID_ANY, NULL, pool);
	if (r == 0)
		r = rte_eth_tx_queue_setup(port, 0, n_tx, SOCKET_ID_ANY, NULL);
	if (r == 0)
		r = rte_eth_dev_start(port);
	if (r == 0)
		rte_eth_promiscuous_enable(port); // Ports that cannot take what they like anyway.
	return r;
}

bool port_wait(uint16_t port, double seconds)
{
	uint64_t end = rte_rdtsc() + (uint64_t)(seconds * (double)rte_get_tsc_hz());
	struct rte_eth_link link = {0};

	// A memif looks for its server only while it is asked for its link.
	while (rte_eth_link_get_nowait(port, &link) == 0 && !link.link_status && rte_rdtsc() < end)
		rte_delay_us_sleep(1000);
	return link.link_status;
}

unsigned port_send(uint16_t port, struct rte_mbuf **mbufs, unsigned n)
{
	unsigned n_sent = rte_eth_tx_burst(port, 0, mbufs, (uint16_t)n);

	if (n_sent < n)
		rte_pktmbuf_free_bulk(mbufs + n_sent, n - n_sent);
	return n_sent;
}

unsigned port_send_all(uint16_t port, struct rte_mbuf **mbufs, unsigned n)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / SEND_TRIES_PER_S;
	unsigned n_sent = 0;

	while (n_sent < n && rte_rdtsc() < end)
		n_sent += rte_eth_tx_burst(port, 0, mbufs + n_sent, (uint16_t)(n - n_sent));
	if (n_sent < n)
		rte_pktmbuf_free_bulk(mbufs + n_sent, n - n_sent);
	return n_sent;
}
