#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "buffers.h"
#include "guideway/dataplane.h"

// One port of DPDK, from the configured text to receiving queues. All verbs belong to the control
// thread; workers read the members and call rte_eth_rx_burst() and rte_eth_tx_burst() with 'id'.

struct port {
	// Set once.
	uint16_t id;       // DPDK's,
	uint16_t index;    // and ours: its place in the configuration.
	uint16_t n_rx;     // Queues. Worker w takes those numbered w, w + n_workers, ...
	uint16_t n_tx;     // Worker w sends by queue w if there is one.
	uint16_t mtu;      // What was configured, or the most that the port can.
	bool sends_chains; // Takes packets of several segments.
	bool loses_tags;   // Gives the VLAN tag beside the frame.
	bool can_steer;    // Its RSS does what STEERING_RSS needs; see port_rss().
	struct rte_mempool *buffers;
	uint16_t buffer_len;
	int numa_node; // -1 if unknown.
	struct rte_ether_addr mac;
	char driver[32];
	char note[WHY_MAX];
	char interface[IFNAMSIZ]; // The kernel's name of it where it has one, else "".
	char name[DEVICE_TEXT_MAX];

	// How to leave: what was done to the kernel's interface is undone.
	bool opened;
	bool started;
	bool was_down;
	bool set_mtu;
	uint16_t mtu_before;
	int multicast; // From interface_want_multicast(), or -1.

	// Written by the control thread, read by workers.
	_Atomic bool link_up;
};

enum { PORT_BUFFER_LEN = 2048 }; // Of most ports.

enum { RSS_KEY_MAX = 64, RSS_RETA_MAX = 512 };

// What a port's RSS computes with.
struct port_rss {
	uint8_t key[RSS_KEY_MAX];
	size_t key_len;
	uint16_t reta[RSS_RETA_MAX]; // Worker of each hash value, modulo 'reta_size'.
	size_t reta_size;
};

// How many buffers of what length the port may hold at once. Before EAL.
size_t port_buffers_wanted(const struct port_config *config, unsigned n_workers);
uint16_t port_buffer_len(const struct port_config *config);

// Finds or makes the port, sets it up with a queue for each worker where it can, and starts it.
// Returns 0 or -errno, having said why; 'ret_port' is then closed again.
int port_open(const struct port_config *config, size_t index, unsigned n_workers,
	struct buffers *buffers, struct port *ret_port, char ret_why[WHY_MAX]);

// Stops the port, takes it from DPDK and gives the interface back as it was. Accepts one that is
// all zeroes.
void port_close(struct port *port);

// Reads the key and the table of a port that can_steer.
int port_read_rss(const struct port *port, struct port_rss *ret_rss);

// Has the port got a link now? Also what makes a memif client try to connect again.
bool port_read_link(const struct port *port);

// Adds a sentence to the port's note.
__attribute__((format(printf, 2, 3))) void port_note(struct port *port, const char *format, ...);
