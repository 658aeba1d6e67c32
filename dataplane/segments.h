#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

// Packets whose bytes lie in several mbufs, one after another.

// Brings the first 'len' bytes, or all if there are fewer, into the first segment. Those that were
// there stay where they are. Returns false if there is no room for them.
bool segments_gather(struct rte_mbuf *m, uint32_t len);

// Cuts off what is beyond 'len' bytes; 'len' is at least what the first byte of the packet needs.
void segments_cut_chain(struct rte_mbuf *m, uint32_t len);

// Of one segment, as nearly all have, without a branch: Ethernet pads what is short, so that among
// packets of any length there may be anything behind one.
static inline void segments_cut(struct rte_mbuf *m, uint32_t len)
{
	if (unlikely(m->nb_segs > 1))
		return segments_cut_chain(m, len);
	m->pkt_len = len;
	m->data_len = (uint16_t)len;
}

// Makes the packet begin at 'start', which lies in the first segment's data or before it. Returns
// false, having done nothing, if that is before its memory.
static inline bool segments_begin(struct rte_mbuf *m, const uint8_t *start)
{
	ptrdiff_t grown = rte_pktmbuf_mtod(m, const uint8_t *) - start;

	if (grown == 0)
		return true;
	if (grown > m->data_off)
		return false;

	m->data_off -= grown;
	m->data_len += grown;
	m->pkt_len += grown;
	return true;
}

// How much lies in one piece from 'at' on, which is in the first segment.
static inline uint16_t segments_available(const struct rte_mbuf *m, const uint8_t *at)
{
	return (uint16_t)(m->data_len - (at - rte_pktmbuf_mtod(m, uint8_t *)));
}

// Ones' complement sum, not folded, of 'len' bytes from 'from' on, all of them there.
uint64_t segments_sum(const struct rte_mbuf *m, uint32_t from, uint32_t len);
