#include "split.h"

#include <string.h>

#include <rte_ip.h>

#include "checksum.h"
#include "fragment.h"

enum {
	IPV4_HEADER_MAX = 60,
	IPV4_OPTION_END = 0,
	IPV4_OPTION_NOTHING = 1,
	IPV4_OPTION_COPIED = 0x80, // In the type of an option that all fragments have.
	FRAGMENT_HEADER_LEN = 8,
};

// What fragments begin with, before what is each one's own is filled in.
struct headers {
	const uint8_t *bytes;
	uint16_t len;
};

// How a packet is to be cut.
struct split {
	enum family family;
	struct headers first;
	struct headers later;
	uint8_t later_bytes[IPV4_HEADER_MAX];

	uint16_t offset;      // Of the packet's own data: it may be a fragment,
	bool more;            // with others behind it.
	uint16_t fragment_at; // IPv6 only.
	uint16_t l2_len;
	uint16_t mtu;
	uint32_t id;
	uint16_t port;
	struct rte_mempool *pool;
};

// Where in the packet the data are that have not been copied.
struct reader {
	const struct rte_mbuf *segment;
	uint32_t at; // In that segment.
	uint32_t left;
};

static uint16_t read16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void write16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

// The length of the IPv4 header, all of which is there, or 0.
static uint16_t ipv4_header_len(const uint8_t *l3, uint16_t available)
{
	if (available < sizeof(struct rte_ipv4_hdr) || l3[0] >> 4 != 4)
		return 0;

	uint16_t len = rte_ipv4_hdr_len((const struct rte_ipv4_hdr *)l3);
	return len < sizeof(struct rte_ipv4_hdr) || len > available ? 0 : len;
}

bool packet_may_be_split(const uint8_t *l3, uint16_t available, enum family family)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)l3;
	uint16_t fragment_at;

	if (family == IPV6)
		return fragment_find_header(l3, available, &fragment_at);
	return ipv4_header_len(l3, available) != 0 &&
		!(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG));
}

// The length of the option at 'at', or 0 where no further one is.
static uint8_t option_len(const uint8_t *options, uint16_t at, uint16_t len)
{
	if (at >= len || options[at] == IPV4_OPTION_END)
		return 0;
	if (options[at] == IPV4_OPTION_NOTHING)
		return 1;
	if (at + 2 > len || options[at + 1] < 2 || at + options[at + 1] > len)
		return 0;
	return options[at + 1];
}

// Writes those options that are to be in every fragment, without gaps, filled up to whole words.
// Returns their length.
static uint16_t copy_options(const uint8_t *options, uint16_t len, uint8_t *ret_copied)
{
	uint16_t n = 0;
	uint8_t one;

	for (uint16_t at = 0; (one = option_len(options, at, len)) != 0; at += one) {
		if (!(options[at] & IPV4_OPTION_COPIED))
			continue;
		memcpy(ret_copied + n, options + at, one);
		n += one;
	}
	while (n % 4 != 0)
		ret_copied[n++] = IPV4_OPTION_END;
	return n;
}

static void plan_ipv4(const uint8_t *l3, uint16_t available, struct split *s)
{
	const uint16_t fixed = sizeof(struct rte_ipv4_hdr);
	uint16_t len = ipv4_header_len(l3, available);
	uint16_t word = read16(l3 + offsetof(struct rte_ipv4_hdr, fragment_offset));

	memcpy(s->later_bytes, l3, fixed);
	uint16_t later_len = fixed + copy_options(l3 + fixed, len - fixed, s->later_bytes + fixed);
	s->later_bytes[0] = 4 << 4 | later_len / 4;

	s->first = (struct headers){l3, len};
	s->later = (struct headers){s->later_bytes, later_len};
	s->offset = (word & RTE_IPV4_HDR_OFFSET_MASK) * 8;
	s->more = (word & RTE_IPV4_HDR_MF_FLAG) != 0;
}

// What stands before the fragment header, and that itself, are in every fragment.
static void plan_ipv6(const uint8_t *l3, uint16_t available, struct split *s)
{
	fragment_find_header(l3, available, &s->fragment_at);

	uint16_t word = read16(l3 + s->fragment_at + 2);
	s->first = (struct headers){l3, s->fragment_at + FRAGMENT_HEADER_LEN};
	s->later = s->first;
	s->offset = word & RTE_IPV6_EHDR_FO_MASK;
	s->more = (word & RTE_IPV6_EHDR_MF_MASK) != 0;
}

static void write_ipv4(const struct split *s, uint8_t *l3, uint16_t offset, bool more, uint16_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;

	ip->total_length = rte_cpu_to_be_16(len);
	ip->packet_id = rte_cpu_to_be_16((uint16_t)s->id);
	ip->fragment_offset = rte_cpu_to_be_16(offset / 8 | (more ? RTE_IPV4_HDR_MF_FLAG : 0));
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(ip, rte_ipv4_hdr_len(ip)));
}

static void write_ipv6(const struct split *s, uint8_t *l3, uint16_t offset, bool more, uint16_t len)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)l3;
	uint8_t *header = l3 + s->fragment_at;

	ip->payload_len = rte_cpu_to_be_16(len - sizeof(*ip));
	write16(header + 2, offset | (more ? RTE_IPV6_EHDR_MF_MASK : 0));
	write16(header + 4, (uint16_t)(s->id >> 16));
	write16(header + 6, (uint16_t)s->id);
}

static void copy(struct reader *from, uint8_t *to, uint32_t len)
{
	from->left -= len;
	while (len > 0) {
		uint32_t here = RTE_MIN(len, from->segment->data_len - from->at);

		memcpy(to, rte_pktmbuf_mtod_offset(from->segment, uint8_t *, from->at), here);
		to += here;
		len -= here;
		from->at += here;
		if (from->at < from->segment->data_len)
			return;
		from->segment = from->segment->next;
		from->at = 0;
	}
}

// Another segment behind 'last'.
static struct rte_mbuf *extend(const struct split *s, struct rte_mbuf *m, struct rte_mbuf *last)
{
	struct rte_mbuf *segment = rte_pktmbuf_alloc(s->pool);
	if (segment == NULL)
		return NULL;

	last->next = segment;
	m->nb_segs++;
	return segment;
}

// Appends the next 'len' bytes of the packet to 'm'. A buffer that is new has room: that of the
// headers was.
static bool append(const struct split *s, struct rte_mbuf *m, struct reader *from, uint32_t len)
{
	struct rte_mbuf *last = m;

	m->pkt_len += len;
	while (true) {
		uint16_t here = RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(last));

		copy(from, rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len), here);
		last->data_len += here;
		len -= here;
		if (len == 0)
			return true;

		last = extend(s, m, last);
		if (last == NULL)
			return false;
	}
}

// One that has its headers only.
static struct rte_mbuf *begin(const struct split *s, const struct headers *headers)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(s->pool);
	if (m == NULL)
		return NULL;

	if (s->l2_len + headers->len > rte_pktmbuf_tailroom(m)) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	m->data_off += s->l2_len;
	m->data_len = headers->len;
	m->pkt_len = headers->len;
	m->port = s->port;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), headers->bytes, headers->len);
	return m;
}

// The next fragment, whose data begin 'at' bytes into those of the packet.
static struct rte_mbuf *cut(const struct split *s, struct reader *from, uint32_t at)
{
	const struct headers *headers = at == 0 ? &s->first : &s->later;
	uint32_t room = s->mtu - headers->len;
	uint32_t len = from->left <= room ? from->left : room / 8 * 8;

	struct rte_mbuf *m = begin(s, headers);
	if (m == NULL)
		return NULL;
	if (!append(s, m, from, len)) {
		rte_pktmbuf_free(m);
		return NULL;
	}

	bool more = s->more || from->left > 0;
	(s->family == IPV4 ? write_ipv4 : write_ipv6)(s, rte_pktmbuf_mtod(m, uint8_t *),
		(uint16_t)(s->offset + at), more, headers->len + len);
	return m;
}

// Returns how many fragments were made, or 0.
static unsigned cut_all(
	const struct split *s, struct reader *from, struct rte_mbuf **ret_fragments, unsigned most)
{
	uint32_t len = from->left;
	unsigned n = 0;

	while (from->left > 0 && n < most) {
		ret_fragments[n] = cut(s, from, len - from->left);
		if (ret_fragments[n] == NULL)
			break;
		n++;
	}
	if (from->left == 0)
		return n;

	for (unsigned i = 0; i < n; i++)
		rte_pktmbuf_free(ret_fragments[i]);
	return 0;
}

unsigned split_packet(struct rte_mbuf *m, uint16_t l2_len, uint16_t ip_len, enum family family,
	uint16_t mtu, uint32_t id, struct rte_mempool *pool, struct rte_mbuf **ret_fragments,
	unsigned most)
{
	if (l2_len > m->data_len || (uint32_t)l2_len + ip_len > m->pkt_len)
		return 0;

	const uint8_t *l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, l2_len);
	uint16_t available = RTE_MIN(m->data_len - l2_len, ip_len);
	if (!packet_may_be_split(l3, available, family))
		return 0;

	struct split s = {
		.family = family,
		.l2_len = l2_len,
		.mtu = mtu,
		.id = id,
		.port = m->port,
		.pool = pool,
	};
	(family == IPV4 ? plan_ipv4 : plan_ipv6)(l3, available, &s);

	uint16_t len = ip_len - s.first.len;
	if (mtu < s.first.len + 8 || s.offset + len > UINT16_MAX || (s.more && len % 8 != 0))
		return 0;

	struct reader from = {.segment = m, .at = l2_len + s.first.len, .left = len};
	unsigned n = cut_all(&s, &from, ret_fragments, most);
	if (n > 0)
		rte_pktmbuf_free(m);
	return n;
}
