#include "mss.h"

#include <string.h>

#include <rte_byteorder.h>

#include "checksum.h"
#include "rewrite.h"
#include "segments.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_MSS_LEN = 4 };

// The MSS option among 'len' bytes of options, or NULL.
static uint8_t *find_option(uint8_t *options, size_t len)
{
	for (size_t at = 0; at < len && options[at] != OPTION_END;) {
		size_t option_len = options[at] == OPTION_NOP ? 1
			: at + 1 < len                        ? options[at + 1]
							      : 0;

		if (option_len < (options[at] == OPTION_NOP ? 1 : 2) || at + option_len > len)
			return NULL;
		if (options[at] == OPTION_MSS)
			return option_len == OPTION_MSS_LEN ? &options[at] : NULL;
		at += option_len;
	}
	return NULL;
}

// An option may stand at an odd place: then its bytes count in the other halves of their words.
static void replace(struct packet *p, uint8_t *value, uint16_t mss)
{
	rte_be16_t now = rte_cpu_to_be_16(mss), was;
	bool is_odd = (value - p->l4) % 2 != 0;

	memcpy(&was, value, sizeof(was));
	memcpy(value, &now, sizeof(now));
	rewrite_tcp_checksum(p->l4,
		is_odd ? checksum_change16(rte_bswap16(was), rte_bswap16(now))
		       : checksum_change16(was, now));
}

void mss_correct(struct packet *p, uint16_t mss)
{
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)p->l4;
	size_t header_len = (tcp->data_off >> 4) * 4;
	uint32_t end = p->l4 - rte_pktmbuf_mtod(p->mbuf, uint8_t *) + header_len;

	if (!segments_gather(p->mbuf, end) || p->mbuf->data_len < end)
		return;

	uint8_t *option = find_option(p->l4 + sizeof(*tcp), header_len - sizeof(*tcp));
	rte_be16_t said;
	if (option == NULL)
		return;
	memcpy(&said, option + 2, sizeof(said));
	if (rte_be_to_cpu_16(said) > mss)
		replace(p, option + 2, mss);
}
