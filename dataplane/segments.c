#include "segments.h"

#include <rte_ip.h>

#include "checksum.h"

// Moves 'len' bytes from the beginning of the second segment to the end of the first.
static void pull(struct rte_mbuf *m, uint16_t len)
{
	struct rte_mbuf *next = m->next;

	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len),
		rte_pktmbuf_mtod(next, uint8_t *), len);
	m->data_len += len;
	next->data_off += len;
	next->data_len -= len;
	if (next->data_len > 0)
		return;

	m->next = next->next;
	m->nb_segs--;
	rte_pktmbuf_free_seg(next);
}

bool segments_gather(struct rte_mbuf *m, uint32_t len)
{
	len = RTE_MIN(len, m->pkt_len);
	if (m->data_len >= len)
		return true;
	if (rte_pktmbuf_tailroom(m) < len - m->data_len)
		return false;

	while (m->data_len < len)
		pull(m, RTE_MIN(len - m->data_len, m->next->data_len));
	return true;
}

void segments_cut_chain(struct rte_mbuf *m, uint32_t len)
{
	uint32_t left = len;
	struct rte_mbuf *last = m;

	if (m->pkt_len == len)
		return;
	m->pkt_len = len;
	m->nb_segs = 1;
	while (left > last->data_len) {
		left -= last->data_len;
		last = last->next;
		m->nb_segs++;
	}
	last->data_len = left;
	rte_pktmbuf_free(last->next);
	last->next = NULL;
}

uint64_t segments_sum(const struct rte_mbuf *m, uint32_t from, uint32_t len)
{
	uint64_t sum = 0;
	uint32_t done = 0;

	while (from >= m->data_len) {
		from -= m->data_len;
		m = m->next;
	}
	for (; done < len; m = m->next, from = 0) {
		uint32_t here = RTE_MIN(len - done, m->data_len - from);
		uint16_t part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, void *, from), here);

		// Bytes at odd offsets count in the other half of their word.
		sum += done % 2 ? rte_bswap16(part) : part;
		done += here;
	}
	return sum;
}
