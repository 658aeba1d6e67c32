#include "fragment.h"

#include <netinet/in.h>

#include <rte_ip.h>

#include "guideway/index.h"

// More extension headers than this are somebody's play, not a packet.
enum { EXTENSIONS_MAX = 8, FRAGMENT_HEADER_LEN = 8 };

static uint16_t read16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool is_ipv4(const uint8_t *l3, uint16_t available)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)l3;

	if (available < sizeof(*ip) || ip->version_ihl >> 4 != 4)
		return false;

	uint16_t header_len = rte_ipv4_hdr_len(ip);
	return header_len >= sizeof(*ip) && header_len <= available &&
		header_len <= rte_be_to_cpu_16(ip->total_length);
}

static bool read_ipv4(const uint8_t *l3, uint16_t available, struct fragment *f)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)l3;

	if (!is_ipv4(l3, available))
		return false;

	uint16_t word = rte_be_to_cpu_16(ip->fragment_offset);
	f->protocol = ip->next_proto_id;
	f->ecn = ip->type_of_service & 3;
	f->ip_len = rte_be_to_cpu_16(ip->total_length);
	f->payload = rte_ipv4_hdr_len(ip);
	f->fragment_at = 0;
	f->offset = (word & RTE_IPV4_HDR_OFFSET_MASK) * 8;
	f->more = (word & RTE_IPV4_HDR_MF_FLAG) != 0;
	f->id = rte_be_to_cpu_16(ip->packet_id);
	f->source = address_from_ipv4(ip->src_addr);
	f->destination = address_from_ipv4(ip->dst_addr);
	return true;
}

bool fragment_is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_DSTOPTS ||
		protocol == IPPROTO_ROUTING;
}

bool fragment_find_header(const uint8_t *l3, uint16_t available, uint16_t *ret_at)
{
	if (available < sizeof(struct rte_ipv6_hdr) || l3[0] >> 4 != 6)
		return false;

	uint8_t protocol = l3[offsetof(struct rte_ipv6_hdr, proto)];
	size_t at = sizeof(struct rte_ipv6_hdr);

	// RFC 8200, section 4: every header begins with what comes behind, and with its length in
	// units of 8 bytes beyond the first.
	for (int i = 0; i < EXTENSIONS_MAX && fragment_is_extension(protocol); i++) {
		if (at + 2 > available)
			return false;
		protocol = l3[at];
		at += 8 + l3[at + 1] * 8;
	}
	if (protocol != IPPROTO_FRAGMENT || at + FRAGMENT_HEADER_LEN > available)
		return false;

	*ret_at = (uint16_t)at;
	return true;
}

static bool read_ipv6(const uint8_t *l3, uint16_t available, struct fragment *f)
{
	uint16_t at;

	if (!fragment_find_header(l3, available, &at))
		return false;

	uint32_t ip_len = sizeof(struct rte_ipv6_hdr) +
		read16(l3 + offsetof(struct rte_ipv6_hdr, payload_len));
	if (ip_len > UINT16_MAX || ip_len < (uint32_t)at + FRAGMENT_HEADER_LEN)
		return false;

	uint16_t word = read16(l3 + at + 2);
	f->protocol = l3[at];
	f->ecn = l3[1] >> 4 & 3;
	f->ip_len = (uint16_t)ip_len;
	f->payload = at + FRAGMENT_HEADER_LEN;
	f->fragment_at = at;
	f->offset = word & RTE_IPV6_EHDR_FO_MASK;
	f->more = (word & RTE_IPV6_EHDR_MF_MASK) != 0;
	f->id = (uint32_t)read16(l3 + at + 4) << 16 | read16(l3 + at + 6);
	f->source = address_from_ipv6(l3 + 8);
	f->destination = address_from_ipv6(l3 + 24);
	return true;
}

bool fragment_read(
	const uint8_t *l3, uint16_t available, enum family family, struct fragment *ret_fragment)
{
	struct fragment f = {
		.mbuf = ret_fragment->mbuf,
		.l2_len = ret_fragment->l2_len,
		.family = family,
	};

	if (!(family == IPV4 ? read_ipv4 : read_ipv6)(l3, available, &f))
		return false;
	if (f.offset == 0 && !f.more)
		return false;

	*ret_fragment = f;
	return true;
}

// RFC 791 tells datagrams apart by their protocol too; RFC 8200 does not, and there a later
// fragment may well say something else.
uint64_t fragment_hash(const uint64_t key[2], const struct fragment *f)
{
	uint64_t tail = (uint64_t)f->id << 8 | (f->family == IPV4 ? f->protocol : 0);
	uint64_t hash = fold_multiply(f->source.halves[0] ^ key[0], f->source.halves[1] ^ key[1]);

	hash = fold_multiply(hash ^ f->destination.halves[0],
		f->destination.halves[1] ^ key[1] ^ 0x4b33a62ed433d4a3);
	return fold_multiply(hash ^ tail, key[0] ^ 0x4d5a2da51de1aa47);
}
