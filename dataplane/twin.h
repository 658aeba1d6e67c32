#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "guideway/dataplane.h"
#include "pipeline.h"
#include "unresolved.h"

// The kernel beside us: for each port a TAP, its twin, with the port's MAC address, and one thread
// that serves all of them. Workers speak to the thread by rings.

struct twins;

struct twin_config {
	char name[IFNAMSIZ];
	struct rte_ether_addr mac;
	uint16_t mtu;
	bool link_up;
	struct rte_mempool *buffers; // For what the kernel sends.
};

// Makes the TAPs, up, and starts the thread, which runs on the CPUs of the caller. It also relays
// what workers put in 'unresolved'. Returns 0 or -errno, having said why.
int twins_start(const struct twin_config *configs, size_t n, struct unresolved *unresolved,
	struct twins **ret_twins, char ret_why[WHY_MAX]);

// Frees what is in the rings. Accepts NULL.
void twins_stop(struct twins *twins);

// For any worker: to the kernel by the twin of 'port'. Returns how many were taken, the first ones;
// the rest stays the caller's. To be followed by one twins_wake() for all that was given.
uint16_t twins_give(struct twins *twins, size_t port, enum kernel_class way,
	struct rte_mbuf **mbufs, uint16_t n);
void twins_wake(struct twins *twins);

// For one worker of each port: what the kernel sends by its twin, at most 'n'.
uint16_t twins_take(struct twins *twins, size_t port, struct rte_mbuf **ret_mbufs, uint16_t n);

// For the control thread: whether the twin has a carrier, and so the kernel routes by it.
void twins_set_carrier(struct twins *twins, size_t port, bool up);

// What the thread itself had to drop.
const struct worker_counters *twins_counters(const struct twins *twins);

// How many packets can be in the rings of one twin at once, for who counts buffers.
size_t twin_room(void);
