#pragma once

#include <stdbool.h>

#include <rte_branch_prediction.h>

#include "burst.h"
#include "pipeline.h"

// What stands before packets that leave by 'port'.
struct port_header output_header(const struct port_facts *port);

// Whether the packet may be cut into fragments.
bool output_may_split(const struct packet *p);

// Cuts a packet, rewritten or not, into fragments of at most 'mtu' bytes, which begin at their IP
// headers. Returns how many there are; or 0, having dropped it.
unsigned output_split(struct burst *b, struct packet *p, uint16_t mtu,
	struct rte_mbuf *ret_fragments[FRAGMENTS_MAX]);

// Sends the finished packet as burst_send() does, where 'hop', the word of its next hop, has been
// read: the earlier, the less it is waited for.
void output_send(struct burst *b, struct packet *p, uint64_t hop);

// The same, to 'p->node', whatever the packet's destination is.
void output_send_to_node(struct burst *b, struct packet *p, uint64_t hop);

// The word of a next hop; 0, as of one that is not resolved, where 'id' says that there is none.
static inline uint64_t output_hop(const struct pipeline *pipeline, next_hop_id id)
{
	if (unlikely(id >= NEXT_HOP_MAX))
		return 0;

	// A word of its own, with nothing behind it to be ordered with.
	return atomic_load_explicit(&pipeline->next_hops[id], memory_order_relaxed);
}

// Whether it is a MAC address beyond a port.
static inline bool output_is_known(uint64_t hop)
{
	return hop >> NEXT_HOP_FLAGS_AT == NEXT_HOP_RESOLVED >> NEXT_HOP_FLAGS_AT;
}

// Whether the packet, as it came from a port, would go back to the MAC address that it came from:
// 'hop' is its next hop's word.
static inline bool output_returns(const struct packet *p, uint64_t hop)
{
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)(p->l3 - p->l2_len);

	return p->origin == ORIGIN_PORT && output_is_known(hop) &&
		mac_is_same(mac_word(&eth->src_addr), hop);
}

// Whether 'destination' is this machine's, or beyond an interface that is no port's.
bool output_is_to_kernel(const struct burst *b, const struct address *destination);

// What the packet's next hop takes at most; UINT16_MAX where that is not known, or the kernel.
uint16_t output_mtu(const struct burst *b, const struct packet *p);

// See pipeline_retry().
bool output_retry(struct burst *b, const struct waiting *waiting);
