#pragma once

#include <stdint.h>

#include <rte_mbuf.h>

enum { PORT_BURST = 32 };

// Starts DPDK's port with one queue each way, of buffers from 'pool'. Returns 0 or DPDK's −errno.
int port_start(uint16_t port, struct rte_mempool *pool);

// Waits until its other end is there. False if that took longer than 'seconds'.
bool port_wait(uint16_t port, double seconds);

// Sends all of them, trying for a hundredth of a second; frees what the port still refuses. Returns
// how many went.
unsigned port_send_all(uint16_t port, struct rte_mbuf **mbufs, unsigned n);

// Sends what the port takes and frees the others. Returns how many went.
unsigned port_send(uint16_t port, struct rte_mbuf **mbufs, unsigned n);
