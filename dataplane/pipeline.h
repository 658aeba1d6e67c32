#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "burst.h"
#include "flow_table.h"
#include "guideway/counters.h"
#include "guideway/dataplane.h"
#include "limiter.h"
#include "owner.h"

// The journey of packets through one worker. The pipeline polls nothing and sends nothing: it takes
// a burst of mbufs and says where each goes, so that a test needs neither port nor thread.

struct traffic_counter {
	_Atomic uint64_t packets;
	_Atomic uint64_t bytes;
};

struct flow_counter {
	_Atomic uint64_t created;
	_Atomic uint64_t now; // A gauge.
};

// Of all services, or of all nodes, by id. What one packet writes lies dense, so that of thousands
// of them much stays in a core's caches: four to a line of memory.
struct traffic_counters {
	struct traffic_counter *in; // From clients towards nodes.
	struct traffic_counter *out;
	struct flow_counter *flows;
};

enum { TRAFFIC_BYTES = 2 * sizeof(struct traffic_counter) + sizeof(struct flow_counter) };

// In memory of n * TRAFFIC_BYTES, zeroed, which begins at 'in'.
static inline struct traffic_counters traffic_counters_at(void *memory, size_t n)
{
	struct traffic_counter *in = memory;

	return (struct traffic_counters){in, in + n, (struct flow_counter *)(in + 2 * n)};
}

// One worker's counters, read by the control thread with relaxed loads.
struct worker_counters {
	_Atomic uint64_t events[N_EVENTS];
	_Atomic uint64_t drops[N_DROP_REASONS];
	struct traffic_counters services; // Of [services_max].
	struct traffic_counters nodes;    // Of [nodes_max].
};

// With one writer, a load and a store do: no locked instruction per packet.
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

// A next hop in one word, so that a reader never sees half of one: the MAC address as it lies in
// memory in the low 48 bits, then the port, then the flags.
#define NEXT_HOP_FLAGS_AT 56
#define NEXT_HOP_RESOLVED (1ull << NEXT_HOP_FLAGS_AT)
#define NEXT_HOP_TO_KERNEL (2ull << NEXT_HOP_FLAGS_AT)

static inline uint8_t next_hop_port(uint64_t word)
{
	return (uint8_t)(word >> 48);
}

// What the pipeline needs to know of a port.
struct port_facts {
	struct rte_ether_addr mac; // The port's, and its twin's.
	uint16_t mtu;
	uint16_t vlan; // 0 for none.
};

// What stands before a packet that leaves by a port, and what else is asked of that port then.
struct port_header {
	uint64_t from[N_FAMILIES]; // Its MAC address and the EtherType, as they lie in a frame.
	uint16_t vlan;             // Of the tag, which follows; 0 for none.
	uint16_t mtu;
	uint8_t len; // Of the Ethernet header, with the tag.
};

// A MAC address and what two bytes lie behind it, as in a next hop's word.
static inline uint64_t mac_word(const struct rte_ether_addr *mac)
{
	uint64_t word;

	memcpy(&word, mac, sizeof(word));
	return word;
}

static inline bool mac_is_same(uint64_t a, uint64_t b)
{
	return (a ^ b) << 16 == 0;
}

enum limit {
	LIMIT_RESET,
	LIMIT_UNREACHABLE,
	LIMIT_TOO_BIG,
	LIMIT_EXPIRED,
	LIMIT_ECHO,
	LIMIT_ALL, // The sum of those above.
	N_LIMITS,
};

// All of a worker that forwarding needs. Set once, except 'next_id' and what 'limiters', 'flows',
// 'affinity' and 'reassembly' hold.
struct pipeline {
	unsigned worker;
	unsigned n_workers;
	bool rss; // The ports' RSS decides who owns a flow (every port is STEERING_RSS), else a
	          // hash of ours does.
	struct flow_table *flows[N_FAMILIES];
	struct affinity *affinity;
	struct reassembly *reassembly;
	struct rte_mempool *buffers;       // For fragments.
	_Atomic(struct capture *) capture; // Set by the control thread; NULL while nobody looks.
	struct worker_counters *counters;
	const struct owner_map *owners;
	const _Atomic uint64_t *next_hops; // [NEXT_HOP_MAX]
	_Atomic uint64_t *path_mtus;       // [nodes_max * N_FAMILIES], of tunnels: tunnel.h.
	const struct port_facts *ports;    // [n_ports]
	size_t n_ports;
	uint64_t hash_key[2];
	struct limiter limiters[N_LIMITS];
	struct port_header headers[PORTS_MAX]; // Of 'ports', as is
	uint16_t mtu_min;                      // this.
	uint32_t next_id; // Counts packets whose identification is for us to give.
};

// One that no other worker gives meanwhile.
static inline uint32_t pipeline_next_id(struct pipeline *p)
{
	return p->next_id++ * p->n_workers + p->worker;
}

// Where the packets of a burst go, to which the caller owns them and sends them on; what was
// dropped is freed already. There is room for those of one burst and as many that had waited, and
// for what fragments they are more.
enum {
	FRAGMENTS_MAX = 64, // Of one packet: 64 kB at an MTU of 1280 are 53.
	FRAGMENTS_ROOM = 256,
	OUTCOME_MAX = 2 * BURST_MAX + FRAGMENTS_ROOM,

	// What a worker's reassembly holds: some large datagrams, or many small.
	REASSEMBLY_DATAGRAMS = 1024,
	REASSEMBLY_SEGMENTS = 2048,
};

// To the kernel there are two ways, so that a flood on one does not stop the other.
enum kernel_class {
	KERNEL_CONTROL, // From nodes, ARP and ND: health checks live by it.
	KERNEL_OTHER,
	N_KERNEL_CLASSES,
};

// A packet that is finished but for the destination's MAC address, which nobody knows yet: worker.c
// holds a bounded number of them, asks for the address, and sends or drops them.
struct waiting {
	struct rte_mbuf *mbuf; // Begins with room for the Ethernet header; 'l2_len' is set.
	struct address to;     // The packet's destination, or in MODE_DSR its node. If that is on a
	next_hop_id next_hop;  // connected network, 'next_hop' is NEXT_HOP_RESOLVE, else the
	                       // gateway or neighbour.
};

// What 'n' counts is there, the rest is not written: emptying one is four lines of memory.
struct outcome {
	struct {
		uint16_t tx[PORTS_MAX];
		uint16_t to_kernel[PORTS_MAX][N_KERNEL_CLASSES];
		uint16_t handed[WORKERS_MAX];
		uint16_t waiting;
		uint16_t fragments; // That there are more than packets.
	} n;
	struct rte_mbuf *tx[PORTS_MAX][OUTCOME_MAX];                          // By port.
	struct rte_mbuf *to_kernel[PORTS_MAX][N_KERNEL_CLASSES][OUTCOME_MAX]; // By the twin's port.
	struct rte_mbuf *handed[WORKERS_MAX][OUTCOME_MAX];                    // By worker.
	struct waiting waiting[OUTCOME_MAX];
};

static inline void outcome_empty(struct outcome *out)
{
	memset(&out->n, 0, sizeof(out->n));
}

// One worker's part of what all may do together, at least 1 unless that is 0.
static inline uint32_t pipeline_share(const struct pipeline *p, uint32_t together)
{
	return together / p->n_workers + (together % p->n_workers != 0);
}

// Derives what follows from the rest of 'p', which the caller has set.
void pipeline_prepare(struct pipeline *p);

// Takes 'n' mbufs, at most BURST_MAX, that came by 'origin', and adds to 'out' where they go.
// 'table' may be NULL: all goes to the kernel, or from it to the port. Counts all that it does;
// what was received, sent, given to the kernel or to another worker is for the caller to count,
// who knows whether it succeeded. An mbuf's 'port' is the index of its port in 'ports'; 'now_ns'
// counts from a second, or longer, before the start.
void pipeline_forward(struct pipeline *p, const struct forwarding_table *table,
	struct rte_mbuf **mbufs, uint16_t n, enum origin origin, uint64_t now_ns,
	struct outcome *out);

// The same for what another worker handed over; the origin is kept with the packet.
void pipeline_forward_handed(struct pipeline *p, const struct forwarding_table *table,
	struct rte_mbuf **mbufs, uint16_t n, uint64_t now_ns, struct outcome *out);

// Of one packet, when somebody may look at it: its headers are read, or it was dropped (b->n is 0);
// it is sorted, and in the list of those that go its way if it did not end meanwhile; it has ended.
enum pipeline_stage { STAGE_PARSED, STAGE_SORTED, STAGE_ENDED };

struct pipeline_watcher {
	void (*look)(void *argument, const struct burst *b, enum pipeline_stage stage);
	void *argument;
};

// Takes one mbuf as the two above do ('was_handed' says as which), and lets 'watcher' look at it on
// its way: b->packets[0] is the packet, with no id set that nobody has found out.
void pipeline_watch(struct pipeline *p, const struct forwarding_table *table, struct rte_mbuf *mbuf,
	bool was_handed, enum origin origin, uint64_t now_ns, struct outcome *out,
	const struct pipeline_watcher *watcher);

// Puts a packet that waited where it goes now, by 'table', or drops it where it has no way any
// more. Returns false, having done nothing, while its next hop is still unknown. An 'out' has room
// for BURST_MAX of these beside a burst.
bool pipeline_retry(struct pipeline *p, const struct forwarding_table *table,
	const struct waiting *waiting, struct outcome *out);
