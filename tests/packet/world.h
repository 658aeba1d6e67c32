#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "../support/little_table.h"
#include "frame.h"
#include "pipeline.h"

// A small world around real pipelines: three ports, a few nodes and services.
//
//     198.51.100.0/24 ── gateway ──┐ port 0              port 1 ┌── node 0   VLAN 100, MTU 1400
//     2001:db8:c::/48              ├────────  guideway  ────────┤
//              203.0.113.0/24 ─────┘ MTU 1500            port 2 └── node 1   MTU 9000
//                (connected)
//
//     VIPs 10.0.0.1, 2001:db8::1; for 10.0.0.2 and 2001:db8::2 ARP and ND are not answered. SNAT
//     addresses 192.0.2.1, 2001:db8:2::1. Tunnels come from 192.0.2.2, 2001:db8:2::2. Ports 80/tcp
//     and 53/udp lead to node 0, others to what is special about them. This machine itself is
//     198.51.100.1 and 2001:db8:c::1.
//
// In a crowded world there are as many services more, like these at ports from PORT_CROWD on, as it
// takes for the pipeline to ask for services ahead (ask.h). Nothing else is different there, and a
// packet is to fare as in any other.

enum {
	WORLD_PORTS = 3,
	WORLD_WORKERS = 4,
	WORLD_VLAN = 100,        // Of port 1.
	WORLD_NODE_PORT = 30000, // The NodePort of a service is this more than its port.
	WORLD_BUFFERS = 4095,

	// Services, of both VIPs, by their ports.
	PORT_HTTP = 80,       // tcp, node 0,
	PORT_DNS = 53,        // udp, node 0,
	PORT_BIG = 81,        // tcp and udp, node 1,
	PORT_LOCAL = 82,      // tcp, node 2, which is this machine,
	PORT_UNRESOLVED = 83, // tcp, node 3, whose MAC address nobody knows,
	PORT_NO_ROUTE = 84,   // tcp, node 4, to which there is no route,
	PORT_NO_TARGET = 85,  // tcp and udp, none,
	PORT_SPREAD = 443,    // tcp and udp, nodes 0 and 1.

	// Of other modes than snat; tcp and udp, sctp in the modes dsr and tunnel.
	PORT_DNAT = 1000,      // Node 0,
	PORT_DSR = 1001,       // node 0,
	PORT_TUNNEL = 1002,    // node 1, in IP of the VIP's family,
	PORT_NARROW = 1003,    // node 0, likewise,
	PORT_CROSS = 1004,     // node 0, in IP of the other family,
	PORT_GUE = 1005,       // node 1, in GUE of the VIP's family,
	PORT_GUE_CROSS = 1006, // node 0, in GUE of the other family,
	PORT_DSR_BIG = 1007,   // node 1.

	PORT_CROWD = 20000,

	// Next hops.
	HOP_GATEWAY = 0,
	HOP_NODE0 = 1,
	HOP_NODE1 = 2,
	HOP_LOCAL = 3,
	HOP_UNRESOLVED = 4,
	HOP_NEIGHBOUR = 5, // 203.0.113.5, known on the connected network.
};

struct world {
	bool is_crowded;
	struct little_table *table;
	struct port_facts ports[WORLD_PORTS];
	_Atomic uint64_t *next_hops; // [NEXT_HOP_MAX]
	_Atomic uint64_t *path_mtus;
	struct owner_map *owners;
	unsigned n_workers;
	struct pipeline pipelines[WORLD_WORKERS];
	struct worker_counters counters[WORLD_WORKERS];
	void *flow_memory[WORLD_WORKERS][N_FAMILIES];
	void *affinity_memory[WORLD_WORKERS];
	struct outcome *out;
	struct rte_mempool *buffers;
	uint64_t now_ns;
	size_t n_more;
	struct more *more;  // [OUTCOME_MAX]
	size_t segment_len; // Frames arrive in segments of so many bytes; 0 for whole.
};

// What became of one frame: it went nowhere or one way, maybe in several (world_more()), or is kept
// until the other fragments come; 'drop' may also say why it was answered.
enum way { WAY_NONE, WAY_PORT, WAY_KERNEL, WAY_WAITING, WAY_KEPT };

struct ending {
	enum way way;
	enum drop_reason drop; // DROP_NONE where nothing was dropped.
	unsigned port;
	enum kernel_class class;
	unsigned worker;            // Who did it,
	unsigned handed;            // after so many hand-overs.
	struct address destination; // Of what waits,
	next_hop_id next_hop;       // for this one.
	const char *differs;        // What a trace had foretold otherwise (world_trace()), or NULL.
	size_t len;
	uint8_t bytes[FRAME_BYTES_MAX];
};

// Starts DPDK's environment for tests. Ends the program on failure. If the variable WORLD_CROWDED
// is in the program's environment, worlds are crowded.
void world_start_environment(void);

// Whether worlds that are created from now on are.
void world_crowd(bool is_crowded);

// With 'rss' the ports are said to have a say in who owns a flow.
struct world *world_create(unsigned n_workers, bool rss);
void world_destroy(struct world *w);

// Makes all anew except who owns which flow, which takes longest.
void world_renew(struct world *w, bool rss);

// All that one worker has to itself.
struct world_worker {
	struct pipeline pipeline;
	struct worker_counters counters;
	void *flow_memory[N_FAMILIES];
	void *affinity_memory;
	struct outcome out;
};

// One beside those of 'w', of whom nothing lies in 'w' and who shares with them all that workers
// share.
struct world_worker *world_create_worker(struct world *w, unsigned worker, bool rss);
void world_destroy_worker(struct world_worker *worker);

struct rte_ether_addr world_hop_mac(next_hop_id hop);

// 'flags' as in its word.
void world_set_hop(struct world *w, next_hop_id hop, uint8_t port, uint64_t flags);

// From now on world_put() traces each frame before it puts it in. If the trace foretells anything
// else than what then happens, or changes anything, the ending says it; or if it 'is_fatal' the
// program ends.
void world_trace(bool is_fatal);

// Lets a frame arrive at 'worker', and goes on with it where it is handed over.
void world_put(struct world *w, unsigned worker, enum origin origin, uint16_t port,
	const uint8_t *bytes, size_t len, struct ending *ret_ending);

// Tries again what ended by waiting.
void world_retry(struct world *w, const struct ending *waiting, struct ending *ret_ending);

// How many frames more went out than the first, by its way, and the bytes of each.
size_t world_n_more(const struct world *w);
const uint8_t *world_more(const struct world *w, size_t i, size_t *ret_len);

// An mbuf, or a chain of them, with these bytes.
struct rte_mbuf *world_packet(struct world *w, uint16_t port, const uint8_t *bytes, size_t len);

// How large a worker's memory of clients is.
size_t world_affinity_bytes(void);

// Frees all that an outcome holds. Returns how many packets that were.
unsigned world_free_outcome(struct outcome *out);

uint64_t world_drops(const struct world *w, enum drop_reason reason);
uint64_t world_events(const struct world *w, enum event event);
