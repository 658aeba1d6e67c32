#pragma once

#include <stdbool.h>

#include "burst.h"
#include "pipeline.h"

// Whether the packet may be cut into fragments.
bool output_may_split(const struct packet *p);

// Cuts a packet, rewritten or not, into fragments of at most 'mtu' bytes, which begin at their IP
// headers. Returns how many there are; or 0, having dropped it.
unsigned output_split(struct burst *b, struct packet *p, uint16_t mtu,
	struct rte_mbuf *ret_fragments[FRAGMENTS_MAX]);

// Sends the finished packet as burst_send() does, to 'neighbour', whose next hop is 'p->next_hop',
// whatever its destination is.
void output_send_to(struct burst *b, struct packet *p, const struct address *neighbour);

// Whether the packet, as it came from a port, would go back to the MAC address that it came from.
bool output_returns(const struct burst *b, const struct packet *p);

// Whether 'destination' is this machine's, or beyond an interface that is no port's.
bool output_is_to_kernel(const struct burst *b, const struct address *destination);

// What the packet's next hop takes at most; UINT16_MAX where that is not known, or the kernel.
uint16_t output_mtu(const struct burst *b, const struct packet *p);

// See pipeline_retry().
bool output_retry(struct burst *b, const struct waiting *waiting);
