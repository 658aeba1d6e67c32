// Whatever arrives, in whatever order, no mbuf is lost and no flow table contradicts itself.
//
// An input is a world and what happens in it, so that a few bytes lead deep:
//
//     world    1 byte: how many workers, RSS, affinity, in how long segments frames arrive
//     step...  1 byte: which frame, worker, port and origin; then by that
//                frame    any bytes; one made of addresses, ports and protocols of the world; the
//                         last that went out, sent back; or an ICMP error about that; of a flood
//                         1 byte before for how many, which come in bursts
//                shape    1 byte: overwrite some bytes, cut it, make it a fragment, set checksums,
//                         let time pass before

#include "world.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ip.h>
#include <sanitizer/lsan_interface.h>

#include "clock.h"
#include "reassembly.h"
#include "snat.h"

enum { STEPS_MAX = 64, FLOOD_MAX = 1024, RAW_MAX = 1600, QUOTED_MAX = 576, FAMILY_ADDRESSES = 8 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Of the world's byte.
enum { TWO_WORKERS = 1, HAS_RSS = 2, HAS_AFFINITY = 4, CLAMPS_MSS = 8 }; // 2 bits more: segments.

// Of a step's byte: 2 bits for the frame, 2 for the port, which is 0 of a flood, and
enum { AT_SECOND_WORKER = 16, FROM_KERNEL = 32, HAS_SHAPE = 64, IS_RETRIED = 128 };
enum { FRAME_RAW, FRAME_MADE, FRAME_BACK, FRAME_ERROR };

// Of a shape's byte: 3 bits for how many bytes, and
enum { IS_CUT = 8, IS_FRAGMENT = 16, SETS_CHECKSUMS = 32, TAKES_TIME = 64 };

// What is left of an input; there are zeros behind it.
struct input {
	const uint8_t *at;
	const uint8_t *end;
	unsigned flood_left; // Frames that floods may still consist of.
};

static uint8_t take_byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint16_t take_word(struct input *in)
{
	uint8_t high = take_byte(in);

	return (uint16_t)(high << 8 | take_byte(in));
}

struct arrival {
	enum origin origin;
	uint16_t port;
	unsigned worker;
	unsigned repeated; // So often from further ports, in bursts.
	size_t len;
	size_t l2_len;
	uint8_t bytes[FRAME_BYTES_MAX + sizeof(struct rte_ipv6_hdr)];
};

static const char *const addresses[N_FAMILIES][FAMILY_ADDRESSES] = {
	{"198.51.100.7", "203.0.113.9", "192.0.2.10", "198.51.100.1", "10.0.0.1", "192.0.2.1",
		"192.0.2.2", "10.0.0.2"},
	{"2001:db8:c::7", "2001:db8:113::9", "2001:db8:2::10", "2001:db8:c::1", "2001:db8::1",
		"2001:db8:2::1", "2001:db8:2::2", "2001:db8::2"},
};

static const uint16_t service_ports[] = {PORT_HTTP, PORT_DNS, PORT_BIG, PORT_LOCAL, PORT_UNRESOLVED,
	PORT_NO_ROUTE, PORT_NO_TARGET, PORT_SPREAD, PORT_DNAT, PORT_DSR, PORT_TUNNEL, PORT_NARROW,
	PORT_CROSS, PORT_GUE, PORT_GUE_CROSS, PORT_DSR_BIG};

static uint16_t vlan_of(const struct world *w, const struct arrival *a)
{
	return a->origin == ORIGIN_PORT ? w->ports[a->port].vlan : 0;
}

static void write_frame(struct world *w, struct arrival *a, const struct frame *frame)
{
	static const next_hop_id neighbours[WORLD_PORTS] = {HOP_GATEWAY, HOP_NODE0, HOP_NODE1};
	struct rte_ether_addr from = world_hop_mac(neighbours[a->port]);

	a->l2_len = vlan_of(w, a) != 0 ? 18 : 14;
	a->len = frame_write(frame, &from, &w->ports[a->port].mac, vlan_of(w, a), 0, a->bytes);
}

static void take_raw(struct input *in, struct arrival *a)
{
	size_t len = take_word(in) % RAW_MAX;

	a->len = RTE_MAX(RTE_MIN(len, (size_t)(in->end - in->at)), 1u);
	for (size_t i = 0; i < a->len; i++)
		a->bytes[i] = take_byte(in);
	a->l2_len = 14;
}

// 3 bytes: which ends of which family, which protocol and service, and flags or a type.
static void make(struct world *w, struct input *in, struct arrival *a)
{
	uint8_t ends = take_byte(in), kind = take_byte(in), flags = take_byte(in);
	const char *const *of_family = addresses[ends & 1];
	const char *from = of_family[ends >> 1 & 7], *to = of_family[(ends >> 4 & 7) ^ 4];
	uint16_t port = service_ports[kind >> 3 & 15];
	size_t data = (size_t)(ends >> 7) * 8 * flags;
	const struct frame frames[] = {
		FRAME(IP(from, to), TCP(31337, port, flags), DATA(data)),
		FRAME(IP(from, to), UDP(31337, port), DATA(data)),
		FRAME(IP(from, to), UDP(31337, port), DATA(data + 4)), // SCTP.
		FRAME(IP(from, to), TCP(WORLD_NODE_PORT + port, 31337, flags), DATA(data)),
		FRAME(IP(from, to), UDP(WORLD_NODE_PORT + port, 31337), DATA(data)),
		FRAME(IP(from, to), ICMP(flags, 0), DATA(32)),
		FRAME(IP(from, to), ICMP(flags, 0), IP(to, from), TCP(port, 31337, ACK)),
		FRAME(ARP(1, addresses[0][ends >> 1 & 7], addresses[0][(ends >> 4 & 7) ^ 4])),
	};

	write_frame(w, a, &frames[kind & 7]);
	if ((kind & 7) == 2)
		a->bytes[a->l2_len + (ends & 1 ? 6 : 9)] = IPPROTO_SCTP;
}

static uint8_t *checksum_at(uint8_t protocol, uint8_t *l4)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return l4 + 16;
	case IPPROTO_UDP:
		return l4 + 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return l4 + 2;
	default:
		return NULL;
	}
}

static void set_l4_checksum(uint8_t *l3, uint8_t *l4, size_t l4_len, uint8_t protocol)
{
	uint8_t *at = checksum_at(protocol, l4);
	uint16_t sum = 0;

	if (at == NULL || l4_len < sizeof(struct rte_tcp_hdr))
		return;
	memcpy(at, &sum, sizeof(sum));
	if (protocol == IPPROTO_ICMP)
		sum = (uint16_t)~rte_raw_cksum(l4, l4_len);
	else if (l3[0] >> 4 == 4)
		sum = rte_ipv4_udptcp_cksum((struct rte_ipv4_hdr *)l3, l4);
	else
		sum = rte_ipv6_udptcp_cksum((struct rte_ipv6_hdr *)l3, l4);
	memcpy(at, &sum, sizeof(sum));
}

static void set_ipv4_checksums(uint8_t *l3, size_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;
	size_t header_len = rte_ipv4_hdr_len(ip), ip_len = ntohs(ip->total_length);

	if (header_len < sizeof(*ip) || header_len > len)
		return;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (ip_len >= header_len && ip_len <= len)
		set_l4_checksum(l3, l3 + header_len, ip_len - header_len, ip->next_proto_id);
}

static void set_checksums(struct arrival *a)
{
	uint8_t *l3 = a->bytes + a->l2_len;
	size_t len = a->len > a->l2_len ? a->len - a->l2_len : 0;

	if (len < sizeof(struct rte_ipv6_hdr))
		return;
	if (l3[0] >> 4 == 4) {
		set_ipv4_checksums(l3, len);
	} else if (l3[0] >> 4 == 6) {
		size_t l4_len = (size_t)l3[4] << 8 | l3[5];

		if (l4_len <= len - sizeof(struct rte_ipv6_hdr))
			set_l4_checksum(l3, l3 + sizeof(struct rte_ipv6_hdr), l4_len, l3[6]);
	}
}

// What went out last, from its IP header on.
static size_t ip_of(const struct ending *last, const uint8_t **ret_ip)
{
	size_t l2_len = last->bytes[12] == 0x81 ? 18 : 14;

	if (last->way == WAY_WAITING)
		l2_len = 0;
	*ret_ip = last->bytes + l2_len;
	return last->len < l2_len + sizeof(struct rte_ipv6_hdr) ? 0 : last->len - l2_len;
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

// As whom it went to would answer: from there and that port. Its checksums remain right.
static void send_back(struct world *w, const struct ending *last, struct arrival *a)
{
	const uint8_t *last_ip;
	size_t len = ip_of(last, &last_ip);
	bool is_ipv6 = len > 0 && last_ip[0] >> 4 == 6;
	const char *any = addresses[is_ipv6][0];
	const struct frame frame = FRAME(IP(any, any), DATA(0));
	size_t address_len = is_ipv6 ? 16 : 4;

	write_frame(w, a, &frame);
	if (len == 0 || len > FRAME_BYTES_MAX - a->l2_len)
		return;

	uint8_t *ip = a->bytes + a->l2_len;
	memcpy(ip, last_ip, len);
	a->len = a->l2_len + len;
	swap(ip + (is_ipv6 ? 8 : 12), ip + (is_ipv6 ? 24 : 16), address_len);
	if (len >= (is_ipv6 ? 44u : 24u))
		swap(ip + (is_ipv6 ? 40 : 20), ip + (is_ipv6 ? 42 : 22), 2);
}

// 4 bytes: its type, code, and what it says beside.
static void make_error(
	struct world *w, struct input *in, const struct ending *last, struct arrival *a)
{
	const uint8_t *last_ip;
	size_t len = RTE_MIN(ip_of(last, &last_ip), (size_t)QUOTED_MAX);
	bool is_ipv6 = len > 0 && last_ip[0] >> 4 == 6;
	uint8_t type = take_byte(in), code = take_byte(in);
	const char *router = addresses[is_ipv6][1];
	const struct frame frame =
		FRAME(IP(router, router), ICMP(type, code, .rest = take_word(in)), DATA(len));

	write_frame(w, a, &frame);
	if (len == 0)
		return;

	uint8_t *ip = a->bytes + a->l2_len;
	memcpy(ip + (is_ipv6 ? 24 : 16), last_ip + (is_ipv6 ? 8 : 12), is_ipv6 ? 16 : 4);
	memcpy(ip + (is_ipv6 ? 48 : 28), last_ip, len);
	set_checksums(a);
}

static void make_ipv4_fragment(uint8_t *l3, uint16_t field, uint16_t payload_len, uint8_t id)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;

	ip->total_length = htons(sizeof(*ip) + payload_len);
	ip->packet_id = id;
	ip->fragment_offset = htons(field);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

// A header of 8 bytes comes before the payload.
static void make_ipv6_fragment(uint8_t *l3, uint16_t field, uint16_t payload_len, uint8_t id)
{
	const uint8_t header[8] = {l3[6], 0, (uint8_t)(field >> 8), (uint8_t)field, 0, 0, 0, id};

	memmove(l3 + 48, l3 + 40, payload_len);
	memcpy(l3 + 40, header, sizeof(header));
	payload_len += sizeof(header);
	l3[4] = (uint8_t)(payload_len >> 8);
	l3[5] = (uint8_t)payload_len;
	l3[6] = IPPROTO_FRAGMENT;
}

// 4 bytes: where it begins and how long it is, in units of 8 bytes; its identification; and 1 bit
// for whether there are more, 1 for whether it says to lie far behind.
static void make_fragment(struct input *in, struct arrival *a)
{
	size_t from = take_byte(in) * 8, most = take_byte(in) * 8;
	uint8_t id = take_byte(in) & 3, how = take_byte(in);
	uint8_t *l3 = a->bytes + a->l2_len;
	bool is_ipv6 = l3[0] >> 4 == 6;
	size_t headers = a->l2_len + (is_ipv6 ? 40 : 20);

	if ((l3[0] != 0x45 && !is_ipv6) || a->len < headers || from > a->len - headers)
		return;

	size_t left = a->len - headers - from;
	bool has_more = how & 1 || most < left;
	size_t offset = from / 8 + (how & 2 ? 7000 : 0);
	if (most < left)
		left = most;
	memmove(a->bytes + headers, a->bytes + headers + from, left);
	a->len = headers + left + (is_ipv6 ? 8 : 0);
	if (is_ipv6)
		make_ipv6_fragment(l3, (uint16_t)(offset << 3 | has_more), (uint16_t)left, id);
	else
		make_ipv4_fragment(l3, (uint16_t)(has_more << 13 | offset), (uint16_t)left, id);
}

static void pass_time(struct world *w, uint8_t how)
{
	static const uint64_t steps_ms[] = {0, 1, 20, 900, 5000, 16000, 61000, 400000};

	w->now_ns += steps_ms[how & 7] * 1000000;
	for (unsigned i = 0; i < w->n_workers; i++) {
		snat_expire(&w->pipelines[i], &w->table->table, clock_s(w->now_ns));
		reassembly_expire(w->pipelines[i].reassembly, w->now_ns);
	}
}

static void shape(struct world *w, struct input *in, struct arrival *a)
{
	uint8_t how = take_byte(in);

	for (int n = how & 7; n > 0; n--) {
		size_t at = take_word(in);

		a->bytes[at % a->len] = take_byte(in);
	}
	if (how & IS_CUT)
		a->len = 1 + take_word(in) % a->len;
	if (how & SETS_CHECKSUMS)
		set_checksums(a);
	if (how & IS_FRAGMENT)
		make_fragment(in, a);
	if (how & TAKES_TIME)
		pass_time(w, take_byte(in));
}

static void arrive(struct world *w, struct input *in, struct ending *last, struct arrival *a)
{
	uint8_t how = take_byte(in);

	a->port = (how >> 2 & 3) % WORLD_PORTS;
	a->repeated = (how >> 2 & 3) == WORLD_PORTS ? take_byte(in) : 0;
	a->origin = how & FROM_KERNEL ? ORIGIN_KERNEL : ORIGIN_PORT;
	a->worker = how & AT_SECOND_WORKER ? w->n_workers - 1 : 0;
	switch (how & 3) {
	case FRAME_RAW:
		take_raw(in, a);
		break;
	case FRAME_MADE:
		make(w, in, a);
		break;
	case FRAME_BACK:
		send_back(w, last, a);
		break;
	default:
		make_error(w, in, last, a);
	}
	if (how & HAS_SHAPE)
		shape(w, in, a);
	if (how & IS_RETRIED)
		world_set_hop(w, HOP_UNRESOLVED, 0, NEXT_HOP_RESOLVED);
	else
		world_set_hop(w, HOP_UNRESOLVED, 0, 0);
}

static void check_buffers(const struct world *w)
{
	uint32_t held = 0;

	for (unsigned i = 0; i < w->n_workers; i++)
		held += reassembly_held(w->pipelines[i].reassembly);
	assert(rte_mempool_avail_count(w->buffers) + held == WORLD_BUFFERS);
}

// None is free twice and another lost, which their number does not show.
static void check_each_is_free_once(const struct world *w)
{
	static struct rte_mbuf *mbufs[WORLD_BUFFERS];
	unsigned n = rte_mempool_avail_count(w->buffers);

	assert(rte_mempool_get_bulk(w->buffers, (void **)mbufs, n) == 0);
	for (unsigned i = 0; i < n; i++)
		mbufs[i]->hash.usr = 0;
	for (unsigned i = 0; i < n; i++)
		assert(mbufs[i]->hash.usr++ == 0);
	rte_mempool_put_bulk(w->buffers, (void **)mbufs, n);
}

static void put(struct world *w, const struct arrival *a, struct ending *last)
{
	static struct ending e, again;

	world_put(w, a->worker, a->origin, a->port, a->bytes, a->len, &e);
	if (e.way == WAY_WAITING) {
		world_retry(w, &e, &again);
		world_set_hop(w, HOP_UNRESOLVED, 0, NEXT_HOP_RESOLVED);
		world_retry(w, &e, &again);
	}
	check_buffers(w);
	if (e.way == WAY_PORT || e.way == WAY_WAITING)
		*last = e;
}

static void take_next_port(struct arrival *a)
{
	uint8_t *l3 = a->bytes + a->l2_len;
	uint8_t *port = l3 + (l3[0] >> 4 == 6 ? 40 : 20);

	if (++port[1] == 0)
		port[0]++;
}

// A packet goes from one of two workers to the other, so that there is but one list of those.
static unsigned take_handed(
	struct world *w, struct rte_mbuf *ret_mbufs[BURST_MAX], unsigned *ret_worker)
{
	for (unsigned i = 0; i < w->n_workers; i++) {
		unsigned n = w->out->n.handed[i];

		if (n == 0)
			continue;
		assert(n <= BURST_MAX);
		memcpy(ret_mbufs, w->out->handed[i], n * sizeof(*ret_mbufs));
		w->out->n.handed[i] = 0;
		*ret_worker = i;
		return n;
	}
	return 0;
}

static void put_burst(struct world *w, const struct arrival *a, struct rte_mbuf **mbufs, unsigned n)
{
	unsigned worker = a->worker, rounds = 0;

	outcome_empty(w->out);
	pipeline_forward(&w->pipelines[worker], &w->table->table, mbufs, (uint16_t)n, a->origin,
		w->now_ns, w->out);
	while ((n = take_handed(w, mbufs, &worker)) > 0) {
		world_free_outcome(w->out);
		assert(rounds++ < 2 * WORLD_WORKERS);
		pipeline_forward_handed(&w->pipelines[worker], &w->table->table, mbufs, (uint16_t)n,
			w->now_ns, w->out);
	}
	world_free_outcome(w->out);
	check_buffers(w);
}

static void flood(struct world *w, struct input *in, struct arrival *a)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	unsigned left = RTE_MIN(a->repeated, in->flood_left);

	in->flood_left -= left;
	while (left > 0) {
		unsigned n = RTE_MIN(left, (unsigned)BURST_MAX);

		for (unsigned i = 0; i < n; i++) {
			take_next_port(a);
			mbufs[i] = world_packet(w, a->port, a->bytes, a->len);
		}
		put_burst(w, a, mbufs, n);
		left -= n;
	}
}

static void step(struct world *w, struct input *in, struct ending *last)
{
	static struct arrival a;

	arrive(w, in, last, &a);
	put(w, &a, last);
	flood(w, in, &a);
}

// Kept from input to input, made anew for each.
static struct world *worlds[2];

static struct world *renew(uint8_t how)
{
	static const size_t segment_lens[] = {0, 20, 60, 500};
	struct world *w = worlds[(how & TWO_WORKERS) != 0];

	world_renew(w, how & HAS_RSS);
	w->segment_len = segment_lens[how >> 4 & 3];
	for (size_t i = 0; i < w->table->table.n_services; i++) {
		w->table->services[i].affinity_s = how & HAS_AFFINITY ? 60 : 0;
		w->table->services[i].mss = how & CLAMPS_MSS ? 1200 : 0;
	}
	return w;
}

static void check_flows(const struct world *w)
{
	for (unsigned i = 0; i < w->n_workers; i++) {
		for (enum family family = 0; family < N_FAMILIES; family++)
			assert(flow_table_check(w->pipelines[i].flows[family]) == NULL);
	}
}

// What DPDK's environment takes it keeps in memory of its own, where no pointer is looked for.
int LLVMFuzzerInitialize(int *, char ***)
{
	__lsan_disable();
	world_start_environment();
	worlds[0] = world_create(1, false);
	worlds[1] = world_create(2, false);
	__lsan_enable();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct ending last;
	struct input in = {bytes, bytes + len, FLOOD_MAX};
	struct world *w = renew(take_byte(&in));

	memset(&last, 0, sizeof(last));
	for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
		step(w, &in, &last);
	check_flows(w);
	check_each_is_free_once(w);
	return 0;
}
