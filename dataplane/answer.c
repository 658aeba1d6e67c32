#include "answer.h"

#include <netinet/in.h>

#include "checksum.h"
#include "segments.h"

bool answer_is_allowed(struct burst *b, enum limit limit, uint32_t rate)
{
	struct pipeline *p = b->pipeline;

	return limiter_allows(&p->limiters[limit], pipeline_share(p, rate), b->now_ns) &&
		limiter_allows(&p->limiters[LIMIT_ALL],
			pipeline_share(p, b->table->settings.all_per_s), b->now_ns);
}

bool answer_begin(struct packet *p, uint8_t *l3)
{
	if (!segments_begin(p->mbuf, l3 - p->l2_len))
		return false;

	memmove(l3 - p->l2_len, p->l3 - p->l2_len, p->l2_len);
	p->l3 = l3;
	return true;
}

static void write_ipv4(
	struct packet *p, const struct address *from, const struct address *to, uint8_t hop_limit)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(p->ip_len),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = hop_limit,
		.next_proto_id = p->protocol,
		.src_addr = from->words[3],
		.dst_addr = to->words[3],
	};

	ip.hdr_checksum = (uint16_t)~checksum_fold(checksum_sum(&ip, sizeof(ip)));
	memcpy(p->l3, &ip, sizeof(ip));
}

static void write_ipv6(
	struct packet *p, const struct address *from, const struct address *to, uint8_t hop_limit)
{
	struct rte_ipv6_hdr ip = {
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = rte_cpu_to_be_16(p->ip_len - sizeof(ip)),
		.proto = p->protocol,
		.hop_limits = hop_limit,
	};

	memcpy(&ip.src_addr, from, sizeof(*from));
	memcpy(&ip.dst_addr, to, sizeof(*to));
	memcpy(p->l3, &ip, sizeof(ip));
}

void answer_write_ip(struct packet *p, const struct address *from, const struct address *to,
	uint8_t hop_limit, uint16_t l4_len)
{
	p->l4 = p->l3 + answer_ip_header_len(p);
	p->ip_len = answer_ip_header_len(p) + l4_len;
	segments_cut(p->mbuf, p->l2_len + p->ip_len);
	if (p->family == IPV4)
		write_ipv4(p, from, to, hop_limit);
	else
		write_ipv6(p, from, to, hop_limit);
}

// Of the addresses, as both families' pseudo-headers have them, with the length and protocol. The
// marker of an IPv4 address counts as nothing: it is 0xffff, twice.
static uint64_t pseudo_header(const struct packet *p, uint16_t l4_len)
{
	struct address ends[] = {packet_source(p), packet_destination(p)};

	return checksum_sum(ends, sizeof(ends)) + rte_cpu_to_be_16(l4_len) +
		rte_cpu_to_be_16(p->protocol);
}

uint16_t answer_checksum(const struct packet *p)
{
	uint16_t l4_len = packet_l4_len(p);
	uint32_t from = p->l4 - rte_pktmbuf_mtod(p->mbuf, uint8_t *);
	uint64_t sum = segments_sum(p->mbuf, from, l4_len);

	if (p->protocol != IPPROTO_ICMP)
		sum += pseudo_header(p, l4_len);
	return (uint16_t)~checksum_fold(sum);
}
