// Datagrams in two fragments, both of which come in one burst: put together, and cut again for the
// MTU that they came by. No flow, no VIP: what is measured is what a fragment costs above a packet.

#include <stdio.h>
#include <string.h>

#include <netinet/in.h>

#include <rte_ip.h>

#include "bench.h"
#include "burst.h"
#include "fragment.h"
#include "pipeline.h"
#include "reassembly.h"
#include "split.h"

enum {
	DATAGRAMS = BURST_MAX / 2,
	BURSTS = 256,
	L2_LEN = sizeof(struct rte_ether_hdr),
	DATA = 1424, // Of each fragment.
	MTU = 1500,
};

static const uint64_t hash_key[2] = {0x243f6a8885a308d3, 0x13198a2e03707344};

struct fragments {
	enum family family;
	struct rte_mempool *pool;
	struct reassembly *reassembly;
	uint32_t id; // Of the last datagram.
	struct rte_mbuf *mbufs[BURST_MAX];
	struct rte_mbuf *datagrams[DATAGRAMS];
};

static uint16_t write_ipv4(uint8_t *l3, uint32_t id, bool is_last)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = 0x45,
		.total_length = htons(sizeof(ip) + DATA),
		.packet_id = htons((uint16_t)id),
		.fragment_offset = htons(is_last ? DATA / 8 : RTE_IPV4_HDR_MF_FLAG),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = htonl(0x0b000001),
		.dst_addr = htonl(0x0a000001),
	};

	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(l3, &ip, sizeof(ip));
	return sizeof(ip);
}

static uint16_t write_ipv6(uint8_t *l3, uint32_t id, bool is_last)
{
	struct rte_ipv6_hdr ip = {.vtc_flow = htonl(6u << 28),
		.payload_len = htons(RTE_IPV6_FRAG_HDR_SIZE + DATA),
		.proto = IPPROTO_FRAGMENT,
		.hop_limits = 64};
	struct rte_ipv6_fragment_ext part = {.next_header = IPPROTO_UDP,
		.frag_data = htons(RTE_IPV6_SET_FRAG_DATA(is_last ? DATA : 0, !is_last)),
		.id = htonl(id)};

	memcpy(l3, &ip, sizeof(ip));
	memcpy(l3 + sizeof(ip), &part, sizeof(part));
	return sizeof(ip) + sizeof(part);
}

static void write_fragment(struct fragments *s, struct rte_mbuf *m, bool is_last)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t headers = s->family == IPV4 ? write_ipv4(frame + L2_LEN, s->id, is_last)
					     : write_ipv6(frame + L2_LEN, s->id, is_last);

	m->data_len = (uint16_t)(L2_LEN + headers + DATA);
	m->pkt_len = m->data_len;
}

static void write_burst(struct fragments *s)
{
	bench_require(rte_pktmbuf_alloc_bulk(s->pool, s->mbufs, BURST_MAX) == 0, "out of buffers");
	for (int i = 0; i < BURST_MAX; i++) {
		s->id += i % 2 == 0;
		write_fragment(s, s->mbufs[i], i % 2 == 1);
	}
}

static uint64_t put_together(struct fragments *s)
{
	uint64_t start = bench_now();

	for (int i = 0; i < BURST_MAX; i++) {
		struct fragment f = {.mbuf = s->mbufs[i], .l2_len = L2_LEN};
		const uint8_t *l3 = rte_pktmbuf_mtod_offset(f.mbuf, uint8_t *, L2_LEN);
		enum drop_reason reason;

		fragment_read(l3, (uint16_t)(f.mbuf->data_len - L2_LEN), s->family, &f);
		s->datagrams[i / 2] = reassembly_add(
			s->reassembly, &f, fragment_hash(hash_key, &f), s->id, &reason);
	}
	reassembly_expire(s->reassembly, s->id);
	return bench_now() - start - bench_overhead();
}

static uint16_t ip_len_of(const struct fragments *s)
{
	return s->family == IPV4 ? sizeof(struct rte_ipv4_hdr) + 2 * DATA
				 : sizeof(struct rte_ipv6_hdr) + RTE_IPV6_FRAG_HDR_SIZE + 2 * DATA;
}

static uint64_t cut(struct fragments *s)
{
	const uint16_t ip_len = ip_len_of(s);
	unsigned n = 0;

	uint64_t start = bench_now();
	for (int i = 0; i < DATAGRAMS; i++)
		n += split_packet(s->datagrams[i], L2_LEN, ip_len, s->family, MTU,
			s->id - DATAGRAMS + 1 + i, s->pool, s->mbufs + n, BURST_MAX - n);
	uint64_t took = bench_now() - start - bench_overhead();

	bench_require(n == BURST_MAX, "a datagram was not cut in two");
	return took;
}

static void run_burst(struct fragments *s, uint64_t *together, uint64_t *apart)
{
	write_burst(s);
	*together += put_together(s);
	for (int i = 0; i < DATAGRAMS; i++)
		bench_require(s->datagrams[i] != NULL, "a datagram was not put together");
	*apart += cut(s);
	rte_pktmbuf_free_bulk(s->mbufs, BURST_MAX);
}

static void report(struct bench *b, const struct fragments *s, const char *what, double *samples)
{
	char name[40];

	snprintf(name, sizeof(name), "fragments %s %s", s->family == IPV4 ? "ipv4" : "ipv6", what);
	bench_report(b, name, "fragment", 0, "", samples, bench_options(b)->rounds, 0);
}

static void measure(struct bench *b, struct fragments *s)
{
	double together[BENCH_ROUNDS_MAX], apart[BENCH_ROUNDS_MAX];

	for (unsigned round = 0; round < bench_options(b)->rounds; round++) {
		uint64_t took[2] = {0};

		for (int i = 0; i < BURSTS; i++)
			run_burst(s, &took[0], &took[1]);
		together[round] = (double)took[0] / (BURSTS * BURST_MAX);
		apart[round] = (double)took[1] / (BURSTS * BURST_MAX);
	}
	report(b, s, "put together", together);
	report(b, s, "cut", apart);
}

void bench_fragments(struct bench *b)
{
	static _Atomic uint64_t drops[N_DROP_REASONS];
	struct fragments s = {0};

	if (!bench_wants(b, "fragments", 0))
		return;
	s.pool = rte_pktmbuf_pool_create(
		"fragments", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	s.reassembly = reassembly_create(REASSEMBLY_DATAGRAMS, REASSEMBLY_SEGMENTS, drops);
	bench_require(s.pool != NULL && s.reassembly != NULL, "out of memory");
	for (s.family = IPV4; s.family < N_FAMILIES; s.family++)
		measure(b, &s);
	reassembly_destroy(s.reassembly);
	rte_mempool_free(s.pool);
}
