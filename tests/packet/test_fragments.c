#include "check.h"

#include <stdlib.h>

#include <rte_errno.h>
#include <rte_ip.h>
#include <rte_mempool.h>

#include "reassembly.h"
#include "split.h"

// Fragments that become datagrams, and the other way round. What is expected is worked out here
// byte by byte, from the datagram's data and an idea of its headers.

enum {
	N_MBUFS = 4095,
	BUFFER_LEN = 2048,
	L2_LEN = 14,
	HEADERS_MAX = 128,
	DATA_MAX = UINT16_MAX,
	N_DATAGRAMS = 64,
	N_SEGMENTS = 2048,
	ID = 0x1234,
	SECOND = 1000 * 1000 * 1000,
};

// What a datagram looks like beside its data. All fields 0: UDP over IPv4.
struct look {
	enum family family;
	uint8_t protocol; // 0 for UDP.
	uint8_t options;  // Bytes of IPv4 options, or of an IPv6 extension header before the other.
	uint8_t source;   // The last byte of addresses.
	uint8_t destination;
	uint8_t ecn;
	uint32_t id;      // In place of ID.
	uint16_t padding; // Bytes behind the packet.
	uint16_t segment; // Bytes of a segment at most: 0 for as many as there are.
};

// Of a datagram's data.
struct range {
	uint32_t begin;
	uint32_t end;
	bool last;
};

static const struct look looks[] = {
	{.family = IPV4},
	{.family = IPV6},
	{.family = IPV4, .options = 12},
	{.family = IPV6, .options = 24},
	{.family = IPV4, .padding = 9, .segment = 50},
	{.family = IPV6, .padding = 9, .segment = 50},
	{.family = IPV4, .protocol = IPPROTO_TCP, .segment = 1},
	{.family = IPV6, .protocol = IPPROTO_TCP, .segment = 1},
};
enum { N_LOOKS = sizeof(looks) / sizeof(looks[0]) };

static const uint64_t hash_key[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static struct rte_mempool *pool;
static uint8_t data[DATA_MAX];
static struct reassembly *reassembly;
static _Atomic uint64_t drops[N_DROP_REASONS];
static uint64_t now_ns;
static unsigned n_before;
static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223; // Numerical Recipes, chapter 7.
	return (uint32_t)((uint64_t)random_state * n >> 32);
}

static void write16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t read16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

// RFC 1071, as it is written there.
static uint16_t naive_checksum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += read16(bytes + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t write_ipv4(const struct look *l, uint16_t field, uint32_t len, uint8_t *ip)
{
	static const uint8_t from[] = {198, 51, 100, 7}, to[] = {10, 0, 0, 1};
	size_t header_len = 20 + l->options;

	memset(ip, 1, header_len); // Options that do nothing.
	ip[0] = 0x40 | (uint8_t)(header_len / 4);
	ip[1] = l->ecn;
	write16(ip + 2, (uint32_t)header_len + len);
	write16(ip + 4, l->id != 0 ? l->id : ID);
	write16(ip + 6, field);
	ip[8] = 64;
	ip[9] = l->protocol != 0 ? l->protocol : IPPROTO_UDP;
	memcpy(ip + 12, from, 4);
	memcpy(ip + 16, to, 4);
	ip[15] += l->source;
	ip[19] += l->destination;
	write16(ip + 10, 0);
	write16(ip + 10, naive_checksum(ip, header_len));
	return header_len;
}

static size_t write_ipv6(const struct look *l, uint16_t field, uint32_t len, uint8_t *ip)
{
	size_t at = 40 + l->options;
	uint8_t protocol = l->protocol != 0 ? l->protocol : IPPROTO_UDP;

	memset(ip, 0, at + 8);
	ip[0] = 0x60;
	ip[1] = (uint8_t)(l->ecn << 4);
	write16(ip + 4, l->options + 8 + len);
	ip[6] = l->options != 0 ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT;
	ip[7] = 64;
	memset(ip + 8, 0x20, 15);
	memset(ip + 24, 0x21, 15);
	ip[23] = l->source;
	ip[39] = l->destination;
	if (l->options != 0) {
		ip[40] = IPPROTO_FRAGMENT;
		ip[41] = l->options / 8 - 1;
	}
	ip[at] = protocol;
	write16(ip + at + 2, field);
	write16(ip + at + 6, l->id != 0 ? l->id : ID);
	return at + 8;
}

// Writes the IP headers of the fragment with that range; of the whole for 0 and all. Returns their
// length.
static size_t write_headers(const struct look *l, struct range range, uint8_t *ip)
{
	uint32_t len = range.end - range.begin;

	if (l->family == IPV4)
		return write_ipv4(l, (range.last ? 0 : 0x2000) | range.begin / 8, len, ip);
	return write_ipv6(l, range.begin | !range.last, len, ip);
}

// Writes the whole frame. Returns its length; the padding is behind that.
static size_t write_frame(const struct look *l, struct range range, uint8_t *ret_bytes)
{
	memset(ret_bytes, 0xee, L2_LEN);
	size_t headers = L2_LEN + write_headers(l, range, ret_bytes + L2_LEN);
	memcpy(ret_bytes + headers, data + range.begin, range.end - range.begin);
	memset(ret_bytes + headers + range.end - range.begin, 0xdd, l->padding);
	return headers + range.end - range.begin;
}

// Cuts the bytes into segments of at most 'segment' bytes, but for the first 'headers', which stay
// together. 0 for as few as possible, UINT16_MAX for any lengths.
static struct rte_mbuf *make_mbuf(
	const uint8_t *bytes, size_t len, size_t headers, uint16_t segment)
{
	struct rte_mbuf *first = NULL;
	struct rte_mbuf **link = &first;

	for (size_t at = 0; at < len;) {
		size_t here = segment == 0      ? BUFFER_LEN
			: segment == UINT16_MAX ? 1 + random_below(BUFFER_LEN)
						: segment;
		if (at == 0)
			here = RTE_MAX(here, headers);
		here = RTE_MIN(here, len - at);

		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)here), bytes + at, here);
		*link = m;
		link = &m->next;
		first->nb_segs += m != first;
		first->pkt_len = (uint32_t)(at += here);
	}
	return first;
}

static struct fragment make_fragment(const struct look *l, struct range range)
{
	static uint8_t bytes[L2_LEN + HEADERS_MAX + DATA_MAX + UINT16_MAX];
	struct fragment f = {.l2_len = L2_LEN};

	size_t len = write_frame(l, range, bytes);
	size_t headers = len - (range.end - range.begin);
	f.mbuf = make_mbuf(bytes, len + l->padding, headers, l->segment);
	f.mbuf->port = 3;
	assert_true(fragment_read(rte_pktmbuf_mtod_offset(f.mbuf, uint8_t *, L2_LEN),
		f.mbuf->data_len - L2_LEN, l->family, &f));
	assert_int_equal(f.offset, range.begin);
	assert_int_equal(f.more, !range.last);
	return f;
}

static struct rte_mbuf *add(const struct fragment *f, enum drop_reason wanted)
{
	enum drop_reason reason = N_DROP_REASONS;
	struct rte_mbuf *whole =
		reassembly_add(reassembly, f, fragment_hash(hash_key, f), now_ns, &reason);

	assert_string_equal(drop_reason_word(reason), drop_reason_word(wanted));
	return whole;
}

static struct rte_mbuf *put(const struct look *l, struct range range)
{
	struct fragment f = make_fragment(l, range);

	return add(&f, DROP_NONE);
}

static void keep(const struct look *l, struct range range)
{
	assert_null(put(l, range));
}

static void put_refused(const struct look *l, struct range range, enum drop_reason wanted)
{
	struct fragment f = make_fragment(l, range);

	assert_null(add(&f, wanted));
}

// Compares the datagram with what it is to be, and frees it.
static void check_whole(struct rte_mbuf *m, const struct look *l, uint32_t len)
{
	static uint8_t wanted[L2_LEN + HEADERS_MAX + DATA_MAX], bytes[sizeof(wanted)];
	struct look whole = *l;

	whole.padding = 0;
	size_t n = write_frame(&whole, (struct range){0, len, true}, wanted);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, n);
	assert_int_equal(m->port, 3);
	assert_int_equal(rte_pktmbuf_data_len(m) >= n - len, 1);

	size_t at = 0;
	unsigned n_segments = 0;
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, n_segments++) {
		assert_int_not_equal(s->data_len, 0);
		memcpy(bytes + at, rte_pktmbuf_mtod(s, uint8_t *), s->data_len);
		at += s->data_len;
	}
	assert_int_equal(at, n);
	assert_int_equal(m->nb_segs, n_segments);
	assert_memory_equal(bytes, wanted, n);
	rte_pktmbuf_free(m);
}

static void check_drops(enum drop_reason reason, uint64_t wanted)
{
	assert_int_equal(drops[reason], wanted);
}

// Whether a datagram in two parts still gets through.
static void check_works(const struct look *l)
{
	keep(l, (struct range){64, 100, true});
	check_whole(put(l, (struct range){0, 64, false}), l, 100);
}

static void begin_with(uint32_t n_datagrams, uint32_t n_segments)
{
	reassembly_destroy(reassembly);
	reassembly = reassembly_create(n_datagrams, n_segments, drops);
	assert_non_null(reassembly);
}

static int begin(void **)
{
	memset(drops, 0, sizeof(drops));
	now_ns = SECOND;
	n_before = rte_mempool_avail_count(pool);
	reassembly = NULL;
	begin_with(N_DATAGRAMS, N_SEGMENTS);
	return 0;
}

static int nothing_is_leaked(void **)
{
	reassembly_destroy(reassembly);
	reassembly = NULL;
	assert_int_equal(rte_mempool_avail_count(pool), n_before);
	return 0;
}

// Rounds of Heap's algorithm (Heap, "Permutations by Interchanges", The Computer Journal, 1963).
static void permute(struct range *ranges, unsigned n, unsigned n_all, const struct look *l)
{
	if (n == 1) {
		for (unsigned i = 0; i + 1 < n_all; i++)
			keep(l, ranges[i]);
		check_whole(put(l, ranges[n_all - 1]), l, 64 * n_all - 7);
		assert_int_equal(reassembly_held(reassembly), 0);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		permute(ranges, n - 1, n_all, l);
		unsigned other = n % 2 ? 0 : i;
		struct range kept = ranges[other];
		ranges[other] = ranges[n - 1];
		ranges[n - 1] = kept;
	}
}

static void a_datagram_is_whole_whatever_the_order_of_its_fragments(void **)
{
	for (unsigned n = 2; n <= 5; n++) {
		for (int i = 0; i < N_LOOKS; i++) {
			struct range ranges[5];

			for (unsigned j = 0; j < n; j++)
				ranges[j] = (struct range){64 * j, 64 * (j + 1), false};
			ranges[n - 1] = (struct range){64 * (n - 1), 64 * n - 7, true};
			permute(ranges, n, n, &looks[i]);
		}
	}
}

// Cuts 'len' bytes into at most 'most' parts, in any order. Returns how many.
static unsigned cut_at_random(uint32_t len, unsigned most, struct range *ret_ranges)
{
	unsigned n = 0;

	for (uint32_t begin = 0; begin < len; n++) {
		uint32_t left = len - begin;
		uint32_t parts = most - n;
		uint32_t size = 24 + random_below(2 * left / parts + 1) / 8 * 8;

		if (parts == 1 || size >= left)
			size = left;
		ret_ranges[n] = (struct range){begin, begin + size, size == left};
		begin += size;
	}
	for (unsigned i = n; i > 1; i--) {
		unsigned other = random_below(i);
		struct range kept = ret_ranges[i - 1];
		ret_ranges[i - 1] = ret_ranges[other];
		ret_ranges[other] = kept;
	}
	return n;
}

static void any_cuts_orders_and_segments_give_the_same_bytes(void **)
{
	struct range ranges[REASSEMBLY_FRAGMENTS_MAX];

	for (int round = 0; round < 600; round++) {
		struct look l = looks[round % N_LOOKS];
		uint32_t longest = random_below(3) == 0 ? 65400 : 3000;
		uint32_t len = 64 + random_below(longest - 64);
		unsigned n = cut_at_random(len, 2 + random_below(63), ranges);

		if (n < 2)
			continue;
		l.segment = random_below(2) ? UINT16_MAX : 0;
		for (unsigned i = 0; i + 1 < n; i++)
			keep(&l, ranges[i]);
		check_whole(put(&l, ranges[n - 1]), &l, len);
	}
}

static void the_longest_datagram_that_an_ip_header_can_say_gets_through(void **)
{
	static const struct look four = {.family = IPV4, .options = 40}, six = {.family = IPV6};

	keep(&four, (struct range){64, 65535 - 60, true});
	check_whole(put(&four, (struct range){0, 64, false}), &four, 65535 - 60);
	keep(&six, (struct range){0, 64, false});
	check_whole(put(&six, (struct range){64, 65535 - 48, true}), &six, 65535 - 48);
}

static void a_datagram_that_its_headers_make_too_long_is_malformed(void **)
{
	static const struct look four = {.family = IPV4, .options = 40}, six = {.family = IPV6};

	keep(&four, (struct range){65000, 65535 - 59, true});
	put_refused(&four, (struct range){0, 64, false}, DROP_MALFORMED);
	keep(&six, (struct range){0, 64, false});
	put_refused(&six, (struct range){65000, 65535 - 47, true}, DROP_MALFORMED);
	check_drops(DROP_MALFORMED, 2); // Those that waited.
	put_refused(&six, (struct range){64, 128, false}, DROP_MALFORMED);
}

static void a_fragment_that_ends_beyond_65535_is_malformed(void **)
{
	for (int i = 0; i < 2; i++) {
		struct fragment f = make_fragment(&looks[i], (struct range){64, 128, true});

		f.offset = 65528;
		assert_null(add(&f, DROP_MALFORMED));
	}
	check_works(&looks[0]);
}

static void only_the_last_fragment_may_have_a_length_that_is_no_multiple_of_8(void **)
{
	for (int i = 0; i < N_LOOKS; i++) {
		put_refused(&looks[i], (struct range){64, 127, false}, DROP_MALFORMED);
		put_refused(&looks[i], (struct range){0, 65, false}, DROP_MALFORMED);
		check_works(&looks[i]);
	}
}

static void a_fragment_without_data_is_malformed(void **)
{
	for (int i = 0; i < 2; i++) {
		put_refused(&looks[i], (struct range){64, 64, false}, DROP_MALFORMED);
		put_refused(&looks[i], (struct range){64, 64, true}, DROP_MALFORMED);
		put_refused(&looks[i], (struct range){0, 0, false}, DROP_MALFORMED);
	}
}

static void a_fragment_that_is_not_all_there_is_truncated(void **)
{
	for (int i = 0; i < N_LOOKS; i++) {
		struct fragment f = make_fragment(&looks[i], (struct range){64, 128, true});

		f.ip_len += looks[i].padding + 1;
		assert_null(add(&f, DROP_TRUNCATED));
	}
	struct fragment f = make_fragment(&looks[0], (struct range){64, 128, true});
	f.payload = (uint16_t)(f.mbuf->data_len - L2_LEN + 1);
	assert_null(add(&f, DROP_TRUNCATED));
}

static void a_fragment_that_cuts_through_the_layer_4_header_is_tiny(void **)
{
	static const struct {
		uint8_t protocol;
		struct range range;
		enum drop_reason reason;
	} cases[] = {
		{IPPROTO_TCP, {0, 8, false}, DROP_FRAGMENT_TINY},
		{IPPROTO_TCP, {0, 16, false}, DROP_FRAGMENT_TINY},
		{IPPROTO_TCP, {0, 24, false}, DROP_NONE},
		{IPPROTO_TCP, {8, 64, false}, DROP_FRAGMENT_TINY},
		{IPPROTO_TCP, {8, 64, true}, DROP_FRAGMENT_TINY},
		{IPPROTO_TCP, {16, 64, true}, DROP_NONE},
		{IPPROTO_SCTP, {0, 8, false}, DROP_FRAGMENT_TINY},
		{IPPROTO_SCTP, {0, 16, false}, DROP_NONE},
		{IPPROTO_UDP, {0, 8, false}, DROP_NONE},
		{IPPROTO_UDP, {8, 64, true}, DROP_NONE},
		{IPPROTO_ICMP, {0, 8, false}, DROP_NONE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (enum family family = IPV4; family < N_FAMILIES; family++) {
			struct look l = {.family = family, .protocol = cases[i].protocol};

			l.id = (uint32_t)(1000 + i);
			put_refused(&l, cases[i].range, cases[i].reason);
		}
	}
}

// A first fragment of IPv6 whose data begin with a destination options header.
static void put_with_options(
	uint16_t len, uint8_t units, uint8_t next, uint16_t segment, enum drop_reason reason)
{
	static const struct look l = {.family = IPV6, .protocol = IPPROTO_DSTOPTS};
	struct look cut = l;
	uint8_t kept[2] = {data[0], data[1]};

	data[0] = next;
	data[1] = units;
	cut.segment = segment;
	cut.id = 1 + random_below(100000);
	put_refused(&cut, (struct range){0, len, false}, reason);
	memcpy(data, kept, sizeof(kept));
}

static void a_first_fragment_of_ipv6_has_all_extension_headers(void **)
{
	for (uint16_t segment = 0; segment < 4; segment++) {
		put_with_options(8, 0, IPPROTO_UDP, segment, DROP_FRAGMENT_TINY);
		put_with_options(16, 0, IPPROTO_UDP, segment, DROP_NONE);
		put_with_options(16, 0, IPPROTO_TCP, segment, DROP_FRAGMENT_TINY);
		put_with_options(24, 0, IPPROTO_TCP, segment, DROP_FRAGMENT_TINY);
		put_with_options(32, 0, IPPROTO_TCP, segment, DROP_NONE);
		put_with_options(16, 1, IPPROTO_UDP, segment, DROP_FRAGMENT_TINY);
		put_with_options(24, 1, IPPROTO_UDP, segment, DROP_NONE);
		put_with_options(64, 255, IPPROTO_UDP, segment, DROP_FRAGMENT_TINY);
		put_with_options(64, 0, IPPROTO_FRAGMENT, segment, DROP_MALFORMED);
	}
}

static void more_than_8_extension_headers_are_malformed(void **)
{
	static const struct look l = {.family = IPV6, .protocol = IPPROTO_DSTOPTS};
	uint8_t kept[80];

	memcpy(kept, data, sizeof(kept));
	for (int n = 8; n <= 9; n++) {
		for (int i = 0; i < n; i++) {
			data[i * 8] = i + 1 < n ? IPPROTO_DSTOPTS : IPPROTO_UDP;
			data[i * 8 + 1] = 0;
		}
		put_refused(&l, (struct range){0, 128, false}, n == 8 ? DROP_NONE : DROP_MALFORMED);
	}
	memcpy(data, kept, sizeof(kept));
}

// What is put after what, of a datagram; the last of them is what the others do not allow.
static const struct overlap {
	const char *name;
	unsigned n;
	struct range ranges[4];
} overlaps[] = {
	{"with the end of one", 2, {{0, 64, false}, {56, 128, false}}},
	{"with the beginning of one", 2, {{64, 128, false}, {0, 72, false}}},
	{"inside one", 2, {{64, 128, false}, {72, 80, false}}},
	{"inside one, from its beginning", 2, {{64, 128, false}, {64, 72, false}}},
	{"inside one, to its end", 2, {{64, 128, false}, {120, 128, false}}},
	{"around one", 2, {{64, 128, false}, {56, 136, false}}},
	{"around one, from its beginning", 2, {{64, 128, false}, {64, 136, false}}},
	{"around one, to its end", 2, {{64, 128, false}, {56, 128, false}}},
	{"around two", 3, {{64, 128, false}, {256, 320, false}, {32, 512, false}}},
	{"with two, between them", 3, {{64, 128, false}, {192, 256, false}, {120, 200, false}}},
	{"with the second, between them", 3,
		{{64, 128, false}, {192, 256, false}, {128, 200, false}}},
	{"with the first, between them", 3,
		{{64, 128, false}, {192, 256, false}, {120, 192, false}}},
	{"in the middle of three", 4,
		{{64, 128, false}, {192, 256, false}, {320, 384, true}, {200, 248, false}}},
	{"beyond the end", 2, {{64, 128, true}, {128, 192, false}}},
	{"far beyond the end", 2, {{64, 128, true}, {512, 576, false}}},
	{"another end behind the end", 2, {{64, 128, true}, {128, 192, true}}},
	{"another end before the end", 2, {{192, 256, true}, {64, 128, true}}},
	{"an end before what is there", 2, {{192, 256, false}, {64, 128, true}}},
	{"an end right before what is there", 2, {{192, 256, false}, {64, 192, true}}},
	{"not the end any more", 2, {{64, 128, true}, {64, 128, false}}},
	{"the end now", 2, {{64, 128, false}, {64, 128, true}}},
	{"the end before it was", 2, {{64, 127, true}, {64, 126, true}}},
};
enum { N_OVERLAPS = sizeof(overlaps) / sizeof(overlaps[0]) };

static void put_overlap(const struct look *l, const struct overlap *o)
{
	for (unsigned i = 0; i + 1 < o->n; i++)
		keep(l, o->ranges[i]);
	put_refused(l, o->ranges[o->n - 1], DROP_FRAGMENT_OVERLAP);
}

static void fragments_that_overlap_refuse_their_datagram(void **)
{
	for (int i = 0; i < N_OVERLAPS; i++) {
		for (int j = 0; j < N_LOOKS; j++) {
			struct look l = looks[j];

			begin_with(N_DATAGRAMS, N_SEGMENTS);
			memset(drops, 0, sizeof(drops));
			l.padding = 0;
			put_overlap(&l, &overlaps[i]);
			assert_int_equal(reassembly_held(reassembly), 0);
			check_drops(DROP_FRAGMENT_OVERLAP, overlaps[i].n - 1);
		}
	}
}

static void what_comes_of_a_refused_datagram_is_refused_until_its_time_is_over(void **)
{
	for (int i = 0; i < 2; i++) {
		put_overlap(&looks[i], &overlaps[0]);
		now_ns += 14ull * SECOND;
		assert_int_equal(reassembly_expire(reassembly, now_ns), 0);
		put_refused(&looks[i], (struct range){512, 576, false}, DROP_FRAGMENT_OVERLAP);
		put_refused(&looks[i], (struct range){0, 64, false}, DROP_FRAGMENT_OVERLAP);
		now_ns += SECOND - 1;
		put_refused(&looks[i], (struct range){64, 128, true}, DROP_FRAGMENT_OVERLAP);
		assert_int_equal(reassembly_held(reassembly), 0);
		now_ns += 1;
		check_works(&looks[i]);
	}
}

static void another_datagram_is_none_of_a_refused_ones_business(void **)
{
	put_overlap(&looks[0], &overlaps[0]);
	check_works(&(struct look){.id = 7});
	check_works(&looks[1]);
}

static void a_duplicate_does_no_harm(void **)
{
	static const struct range ranges[] = {
		{64, 128, false}, {128, 150, true}, {192, 200, false}};

	for (int i = 0; i < N_LOOKS; i++) {
		keep(&looks[i], ranges[0]);
		put_refused(&looks[i], ranges[0], DROP_FRAGMENT_DUPLICATE);
		keep(&looks[i], ranges[1]);
		put_refused(&looks[i], ranges[0], DROP_FRAGMENT_DUPLICATE);
		put_refused(&looks[i], ranges[1], DROP_FRAGMENT_DUPLICATE);
		check_whole(put(&looks[i], (struct range){0, 64, false}), &looks[i], 150);
		assert_int_equal(reassembly_held(reassembly), 0);
	}
}

static void a_datagram_in_64_fragments_is_whole(void **)
{
	for (uint32_t i = 63; i > 0; i--)
		keep(&looks[0], (struct range){i * 8, i * 8 + 8, i == 63});
	check_whole(put(&looks[0], (struct range){0, 8, false}), &looks[0], 512);
}

static void a_datagram_in_more_than_64_fragments_is_refused(void **)
{
	for (uint32_t i = 64; i > 0; i--)
		keep(&looks[0], (struct range){i * 8, i * 8 + 8, i == 64});
	put_refused(&looks[0], (struct range){8, 16, false}, DROP_FRAGMENT_DUPLICATE);
	put_refused(&looks[0], (struct range){0, 8, false}, DROP_FRAGMENT_MANY);
	check_drops(DROP_FRAGMENT_MANY, 64);
	assert_int_equal(reassembly_held(reassembly), 0);
	put_refused(&looks[0], (struct range){0, 8, false}, DROP_FRAGMENT_MANY);
}

static void a_datagram_of_more_segments_than_may_wait_is_refused(void **)
{
	static const struct look l = {.segment = 8};

	begin_with(N_DATAGRAMS, 20);
	keep(&l, (struct range){0, 64, false});
	keep(&l, (struct range){128, 216, false});
	assert_int_equal(reassembly_held(reassembly), 20); // Headers are one.
	put_refused(&l, (struct range){216, 224, false}, DROP_FRAGMENT_MANY);
	check_drops(DROP_FRAGMENT_MANY, 2);
	put_refused(&(struct look){.segment = 8, .id = 7}, (struct range){8, 264, false},
		DROP_FRAGMENT_MANY);
	assert_int_equal(reassembly_held(reassembly), 0);
}

static const struct look others[] = {
	{.family = IPV4, .id = ID + 1},
	{.family = IPV4, .source = 1},
	{.family = IPV4, .destination = 1},
	{.family = IPV4, .protocol = IPPROTO_ICMP},
	{.family = IPV6, .id = ID + 1},
	{.family = IPV6, .source = 1},
	{.family = IPV6, .destination = 1},
};
enum { N_OTHERS = sizeof(others) / sizeof(others[0]) };

static void datagrams_are_told_apart(void **)
{
	for (int i = 0; i < N_OTHERS; i++) {
		const struct look *one = &looks[others[i].family];

		keep(one, (struct range){0, 64, false});
		keep(&others[i], (struct range){64, 128, true});
		check_whole(put(&others[i], (struct range){0, 64, false}), &others[i], 128);
		check_whole(put(one, (struct range){64, 100, true}), one, 100);
	}
}

static struct rte_mbuf *put_hashed(const struct look *l, struct range range, uint64_t hash)
{
	struct fragment f = make_fragment(l, range);
	enum drop_reason reason = N_DROP_REASONS;
	struct rte_mbuf *whole = reassembly_add(reassembly, &f, hash, now_ns, &reason);

	assert_int_equal(reason, DROP_NONE);
	return whole;
}

static void datagrams_of_the_same_hash_are_told_apart(void **)
{
	for (uint64_t hash = 0; hash < 2; hash++) {
		for (int i = 0; i < N_OTHERS; i++) {
			const struct look *one = &looks[others[i].family], *other = &others[i];

			assert_null(put_hashed(one, (struct range){0, 64, false}, hash));
			assert_null(put_hashed(other, (struct range){64, 128, true}, hash));
			check_whole(
				put_hashed(other, (struct range){0, 64, false}, hash), other, 128);
			check_whole(put_hashed(one, (struct range){64, 100, true}, hash), one, 100);
		}
	}
}

// RFC 8200, section 4.5: a later fragment of IPv6 may name another header; the first one's counts.
static void ipv6_takes_the_next_header_from_the_first_fragment(void **)
{
	struct look later = looks[1];

	later.protocol = IPPROTO_ICMPV6;
	keep(&later, (struct range){64, 128, true});
	check_whole(put(&looks[1], (struct range){0, 64, false}), &looks[1], 128);
}

static void congestion_of_one_fragment_is_that_of_the_datagram(void **)
{
	static const uint8_t cases[][3] = {
		{2, 3, 3}, {3, 2, 3}, {1, 3, 3}, {2, 2, 2}, {0, 3, 0}, {0, 0, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (enum family family = IPV4; family < N_FAMILIES; family++) {
			struct look first = {.family = family, .ecn = cases[i][0]};
			struct look later = {.family = family, .ecn = cases[i][1]};
			struct look whole = {.family = family, .ecn = cases[i][2]};

			keep(&first, (struct range){0, 64, false});
			check_whole(put(&later, (struct range){64, 128, true}), &whole, 128);
		}
	}
}

static void what_waits_for_15_seconds_is_given_up(void **)
{
	keep(&looks[0], (struct range){0, 64, false});
	now_ns += 10ull * SECOND;
	keep(&looks[0], (struct range){128, 192, false});
	keep(&looks[1], (struct range){0, 64, false});
	now_ns += 5ull * SECOND - 1;
	assert_int_equal(reassembly_expire(reassembly, now_ns), 0);
	now_ns += 1;
	assert_int_equal(reassembly_expire(reassembly, now_ns), 2);
	check_drops(DROP_FRAGMENT_TIMEOUT, 2);
	assert_int_equal(reassembly_held(reassembly), 1);
	check_works(&looks[0]);
	check_whole(put(&looks[1], (struct range){64, 100, true}), &looks[1], 100);
	assert_int_equal(reassembly_expire(reassembly, UINT64_MAX - 1), 0);
}

static void what_is_late_begins_a_datagram_anew(void **)
{
	keep(&looks[0], (struct range){0, 64, false});
	now_ns += 15ull * SECOND;
	keep(&looks[0], (struct range){64, 128, true});
	check_drops(DROP_FRAGMENT_TIMEOUT, 1);
	check_whole(put(&looks[0], (struct range){0, 64, false}), &looks[0], 128);
}

static void only_a_few_are_given_up_at_once_but_all_in_the_end(void **)
{
	unsigned n = 0, calls = 0, now;

	for (uint32_t id = 1; id <= 30; id++)
		keep(&(struct look){.id = id}, (struct range){64, 128, false});
	now_ns += 15ull * SECOND;
	while ((now = reassembly_expire(reassembly, now_ns)) != 0) {
		assert_true(now <= 8);
		n += now;
		calls++;
	}
	assert_true(calls > 1);
	assert_int_equal(n + drops[DROP_FRAGMENT_EVICTED], 30);
	check_drops(DROP_FRAGMENT_TIMEOUT, n);
	assert_int_equal(reassembly_held(reassembly), 0);
}

static void the_oldest_makes_room_in_a_full_set(void **)
{
	begin_with(REASSEMBLY_WAYS, N_SEGMENTS);
	for (uint32_t id = 1; id <= REASSEMBLY_WAYS; id++, now_ns++) {
		struct look l = {.id = id};

		keep(&l, (struct range){0, 64, false});
		keep(&l, (struct range){128, 192, true});
	}
	keep(&(struct look){.id = 9}, (struct range){0, 64, false});
	check_drops(DROP_FRAGMENT_EVICTED, 2);
	for (uint32_t id = 2; id <= REASSEMBLY_WAYS; id++) {
		struct look l = {.id = id};

		check_whole(put(&l, (struct range){64, 128, false}), &l, 192);
	}
	keep(&(struct look){.id = 1}, (struct range){64, 128, false});
}

static void the_oldest_makes_room_for_more_segments(void **)
{
	begin_with(N_DATAGRAMS, 4);
	for (uint32_t id = 1; id <= 4; id++)
		keep(&(struct look){.id = id}, (struct range){0, 64, false});
	keep(&(struct look){.id = 4}, (struct range){128, 192, false});
	check_drops(DROP_FRAGMENT_EVICTED, 1);

	// Not the datagram itself, oldest though it is.
	keep(&(struct look){.id = 2}, (struct range){128, 192, true});
	check_drops(DROP_FRAGMENT_EVICTED, 2);
	assert_int_equal(reassembly_held(reassembly), 4);

	// Nobody for one that is whole.
	check_whole(put(&(struct look){.id = 2}, (struct range){64, 128, false}),
		&(struct look){.id = 2}, 192);
	check_drops(DROP_FRAGMENT_EVICTED, 2);
	check_whole(put(&(struct look){.id = 4}, (struct range){192, 200, true}) == NULL
			? put(&(struct look){.id = 4}, (struct range){64, 128, false})
			: NULL,
		&(struct look){.id = 4}, 200);
}

static void a_flood_of_lone_fragments_has_bounds_and_an_end(void **)
{
	begin_with(256, 300);
	for (uint32_t i = 0; i < 20000; i++) {
		struct look l = looks[i % N_LOOKS];

		l.id = 1 + random_below(60000);
		l.source = (uint8_t)random_below(256);
		l.padding = 0;
		l.segment = l.segment == 1 ? 40 : l.segment;
		keep(&l, (struct range){64, 128, false});
		assert_true(reassembly_held(reassembly) <= 300);
		assert_true(rte_mempool_avail_count(pool) + 300 >= n_before);
		if (i % 100 == 0)
			check_works(&looks[i / 100 % 2]);
		now_ns += SECOND / 10000;
	}
	assert_true(drops[DROP_FRAGMENT_EVICTED] > 19000);
	check_works(&looks[0]);
	check_works(&looks[1]);
	assert_true(reassembly_held(reassembly) > 200);
}

static void every_fragment_is_counted_once(void **)
{
	uint64_t n = 0, n_whole = 0, n_returned = 0;

	begin_with(16, 60);
	for (uint32_t i = 0; i < 50000; i++) {
		struct look l = looks[i % 2];
		uint32_t begin = 8 * random_below(8);
		enum drop_reason reason;

		l.id = 1 + random_below(9);
		l.segment = random_below(3) * 16;
		struct fragment f = make_fragment(&l,
			(struct range){begin, begin + 8 + 8 * random_below(3),
				random_below(4) == 0 && begin});
		struct rte_mbuf *whole = reassembly_add(
			reassembly, &f, fragment_hash(hash_key, &f), now_ns, &reason);

		n++;
		n_returned += reason != DROP_NONE;
		n_whole += whole != NULL;
		rte_pktmbuf_free(whole);
		assert_true(reassembly_held(reassembly) <= 60);
		assert_true(rte_mempool_avail_count(pool) + 60 >= n_before);
		now_ns += random_below(SECOND);
		reassembly_expire(reassembly, now_ns);
	}
	for (int i = 0; i < 10; i++)
		reassembly_expire(reassembly, now_ns + 16ull * SECOND);
	assert_int_equal(reassembly_held(reassembly), 0);

	for (int i = 0; i < N_DROP_REASONS; i++)
		n_returned += drops[i];
	assert_true(n_whole > 100 && drops[DROP_FRAGMENT_OVERLAP] > 100 &&
		drops[DROP_FRAGMENT_TIMEOUT] > 100 && drops[DROP_FRAGMENT_EVICTED] > 100);
	assert_true(n - n_returned >= 2 * n_whole && n - n_returned <= 8 * n_whole);
}

static void a_header_cut_anywhere_is_not_read_past_its_end(void **)
{
	static uint8_t bytes[L2_LEN + HEADERS_MAX + DATA_MAX];

	for (int i = 0; i < N_LOOKS; i++) {
		size_t headers = write_headers(&looks[i], (struct range){64, 128, false}, bytes);

		for (size_t cut = 1; cut <= headers + 4; cut++) {
			uint8_t *copy = malloc(cut);
			struct fragment f = {.l2_len = 77};

			assert_non_null(copy);
			memcpy(copy, bytes, cut);
			assert_int_equal(fragment_read(copy, (uint16_t)cut, looks[i].family, &f),
				cut >= headers);
			assert_int_equal(f.l2_len, 77);
			assert_int_equal(f.ip_len != 0, cut >= headers);
			assert_false(fragment_read(copy, (uint16_t)cut, !looks[i].family, &f));
			free(copy);
		}
	}
}

static void what_is_whole_is_no_fragment(void **)
{
	static uint8_t bytes[HEADERS_MAX];
	struct fragment f;

	for (int i = 0; i < N_LOOKS; i++) {
		write_headers(&looks[i], (struct range){0, 64, true}, bytes);
		assert_false(fragment_read(bytes, HEADERS_MAX, looks[i].family, &f));
	}
	write_headers(&looks[1], (struct range){64, 128, true}, bytes);
	bytes[6] = IPPROTO_UDP;
	assert_false(fragment_read(bytes, HEADERS_MAX, IPV6, &f));
}

// Whatever bytes headers have, nothing is read or kept that should not be.
static void frames_of_any_bytes_do_no_harm(void **)
{
	static uint8_t bytes[L2_LEN + HEADERS_MAX + DATA_MAX];

	begin_with(16, 40);
	for (int i = 0; i < 200000; i++) {
		const struct look *l = &looks[i % N_LOOKS];
		uint32_t first = 8 * random_below(4);
		struct range range = {first, first + 1 + random_below(60), random_below(2)};
		size_t len = write_frame(l, range, bytes);
		struct fragment f = {.l2_len = L2_LEN};
		enum drop_reason reason;

		for (uint32_t change = random_below(4); change > 0; change--)
			bytes[L2_LEN + random_below(64)] = (uint8_t)random_below(256);
		f.mbuf = make_mbuf(bytes, len, 60, l->segment);
		if (!fragment_read(rte_pktmbuf_mtod_offset(f.mbuf, uint8_t *, L2_LEN),
			    f.mbuf->data_len - L2_LEN, l->family, &f))
			rte_pktmbuf_free(f.mbuf);
		else
			rte_pktmbuf_free(reassembly_add(
				reassembly, &f, fragment_hash(hash_key, &f), now_ns, &reason));
		assert_true(reassembly_held(reassembly) <= 40);
		now_ns += SECOND / 100;
		reassembly_expire(reassembly, now_ns);
	}
}

static void fragments_of_a_datagram_have_one_hash_and_datagrams_many(void **)
{
	unsigned workers[4] = {0};

	for (int i = 0; i < 4000; i++) {
		struct look l = looks[i % 2];

		l.id = 1 + i;
		struct fragment first = make_fragment(&l, (struct range){0, 64, false});
		l.protocol = l.family == IPV6 ? IPPROTO_ICMPV6 : IPPROTO_UDP;
		struct fragment last = make_fragment(&l, (struct range){64, 77, true});
		uint64_t hash = fragment_hash(hash_key, &first);

		assert_true(hash == fragment_hash(hash_key, &last));
		workers[(hash >> 48) * 4 >> 16]++;
		last.id++;
		assert_true(hash != fragment_hash(hash_key, &last));
		rte_pktmbuf_free(first.mbuf);
		rte_pktmbuf_free(last.mbuf);
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(workers[i], 850, 1150);
}

static void destroying_frees_what_waits(void **)
{
	reassembly_destroy(NULL);
	keep(&looks[4], (struct range){0, 64, false});
	keep(&looks[5], (struct range){64, 128, false});
	put_overlap(&looks[0], &overlaps[1]);
}

// Splitting.

enum { FLOOD_MAX = 3000 };
static struct rte_mbuf *fragments[FLOOD_MAX];

static struct rte_mbuf *make_packet(const struct look *l, struct range range, uint16_t *ret_ip_len)
{
	static uint8_t bytes[L2_LEN + HEADERS_MAX + DATA_MAX + UINT16_MAX];
	size_t len = write_frame(l, range, bytes);
	struct rte_mbuf *m =
		make_mbuf(bytes, len + l->padding, len - (range.end - range.begin), l->segment);

	m->port = 3;
	*ret_ip_len = (uint16_t)(len - L2_LEN);
	return m;
}

// Checks a fragment's headers against those that 'l' has for its range, and its data. Returns the
// range.
static struct range check_fragment(struct rte_mbuf *m, const struct look *l, uint16_t mtu)
{
	static uint8_t bytes[UINT16_MAX];
	uint8_t wanted[HEADERS_MAX];
	struct fragment f = {.l2_len = 0};

	assert_true(m->pkt_len <= mtu);
	assert_int_equal(m->data_off, RTE_PKTMBUF_HEADROOM + L2_LEN);
	assert_int_equal(m->port, 3);
	assert_true(fragment_read(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, l->family, &f));
	assert_int_equal(f.ip_len, m->pkt_len);

	struct range range = {f.offset, (uint32_t)f.offset + f.ip_len - f.payload, !f.more};
	size_t headers = write_headers(l, range, wanted);
	const uint8_t *all = rte_pktmbuf_read(m, 0, m->pkt_len, bytes);
	assert_int_equal(headers, f.payload);
	assert_memory_equal(all, wanted, headers);
	assert_memory_equal(all + headers, data + range.begin, range.end - range.begin);
	return range;
}

static unsigned split(struct rte_mbuf *m, const struct look *l, uint16_t ip_len, uint16_t mtu)
{
	return split_packet(m, L2_LEN, ip_len, l->family, mtu, l->id != 0 ? l->id : ID, pool,
		fragments, FLOOD_MAX);
}

// As it would arrive at the next hop.
static struct rte_mbuf *receive(
	struct rte_mbuf *m, enum family family, enum drop_reason *ret_reason)
{
	struct fragment f = {.mbuf = m, .l2_len = L2_LEN};
	void *ethernet = rte_pktmbuf_prepend(m, L2_LEN);

	memset(ethernet, 0xee, L2_LEN);
	assert_true(fragment_read(
		rte_pktmbuf_mtod_offset(m, uint8_t *, L2_LEN), m->data_len - L2_LEN, family, &f));
	return reassembly_add(reassembly, &f, fragment_hash(hash_key, &f), now_ns, ret_reason);
}

static void what_is_split_and_reassembled_is_as_it_was(void **)
{
	static const struct look splits[] = {
		{.family = IPV4},
		{.family = IPV6},
		{.family = IPV6, .options = 24},
		{.family = IPV4, .padding = 9},
		{.family = IPV6, .padding = 9},
	};

	for (int round = 0; round < 500; round++) {
		struct look l = splits[round % 5];
		uint16_t mtu = (uint16_t)(1280 + random_below(BUFFER_LEN - 1280 - L2_LEN));
		uint32_t len = mtu + random_below(random_below(2) ? 3000 : 65400 - mtu);
		uint16_t ip_len;

		if (len > 62u * (mtu - 80))
			len = 62u * (mtu - 80);
		l.id = 1 + random_below(60000);
		l.segment = random_below(2) ? UINT16_MAX : 0;
		struct rte_mbuf *m = make_packet(&l, (struct range){0, len, true}, &ip_len);
		unsigned n = split(m, &l, ip_len, mtu);
		assert_true(n > 1);

		for (unsigned i = 0; i < n; i++)
			assert_int_equal(fragments[i]->nb_segs, 1);
		for (unsigned i = 0; i < n; i++)
			check_fragment(fragments[i], &l, mtu);
		for (unsigned left = n; left > 0; left--) {
			enum drop_reason reason;
			unsigned i = random_below(left);
			struct rte_mbuf *whole = receive(fragments[i], l.family, &reason);

			assert_int_equal(reason, DROP_NONE);
			fragments[i] = fragments[left - 1];
			if (left > 1)
				assert_null(whole);
			else
				check_whole(whole, &l, len);
		}
	}
}

static void fragments_are_as_few_as_fit(void **)
{
	static const struct {
		enum family family;
		uint32_t len;
		uint16_t mtu;
		unsigned n;
	} cases[] = {
		{IPV4, 1480, 1500, 1},
		{IPV4, 1481, 1500, 2},
		{IPV4, 2960, 1500, 2},
		{IPV4, 2961, 1500, 3},
		{IPV4, 1480, 1499, 2},
		{IPV4, 1472 + 1479, 1499, 2},
		{IPV4, 1472 + 1480, 1499, 3},
		{IPV4, 100, 28, 13},
		{IPV4, 65515, 68, 1365},
		{IPV6, 1232, 1280, 1},
		{IPV6, 1233, 1280, 2},
		{IPV6, 1232 + 1232, 1280, 2},
		{IPV6, 1232 + 1239, 1287, 2},
		{IPV6, 1232 + 1240, 1287, 3},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct look *l = &looks[cases[i].family];
		uint32_t end = 0;
		uint16_t ip_len;
		struct rte_mbuf *m = make_packet(l, (struct range){0, cases[i].len, true}, &ip_len);

		assert_int_equal(split(m, l, ip_len, cases[i].mtu), cases[i].n);
		for (unsigned j = 0; j < cases[i].n; j++) {
			if (cases[i].n > 1) {
				struct range r = check_fragment(fragments[j], l, cases[i].mtu);
				assert_int_equal(r.begin, end);
				assert_int_equal(r.last, j + 1 == cases[i].n);
				end = r.end;
			}
			rte_pktmbuf_free(fragments[j]);
		}
		assert_int_equal(end, cases[i].n > 1 ? cases[i].len : 0);
	}
}

static void a_fragment_that_is_split_keeps_its_place(void **)
{
	for (int i = 0; i < 2; i++) {
		for (int last = 0; last < 2; last++) {
			struct range whole = {640, 640 + 3200, last};
			uint32_t end = whole.begin;
			uint16_t ip_len;
			struct rte_mbuf *m = make_packet(&looks[i], whole, &ip_len);
			unsigned n = split(m, &looks[i], ip_len, 1400);

			assert_int_equal(n, 3);
			for (unsigned j = 0; j < n; j++) {
				struct range r = check_fragment(fragments[j], &looks[i], 1400);
				assert_int_equal(r.begin, end);
				assert_int_equal(r.last, last && j + 1 == n);
				end = r.end;
				rte_pktmbuf_free(fragments[j]);
			}
			assert_int_equal(end, whole.end);
		}
	}
}

static void all_of_an_ipv6_identification_is_written(void **)
{
	uint16_t ip_len;
	struct rte_mbuf *m = make_packet(&looks[1], (struct range){0, 3000, true}, &ip_len);
	static const uint8_t wanted[] = {IPPROTO_UDP, 0, 0, 1, 0x12, 0x34, 0x56, 0x78};

	assert_int_equal(
		split_packet(m, L2_LEN, ip_len, IPV6, 1400, 0x12345678, pool, fragments, FLOOD_MAX),
		3);
	assert_memory_equal(rte_pktmbuf_mtod_offset(fragments[0], uint8_t *, 40), wanted, 8);
	for (int i = 0; i < 3; i++)
		rte_pktmbuf_free(fragments[i]);
}

static void later_fragments_have_only_the_options_that_are_to_be_copied(void **)
{
	static const struct {
		const char *name;
		uint8_t options[12];
		uint8_t later_len;
		uint8_t later[12];
	} cases[] = {
		{"none", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, {}},
		{"one that is not", {7, 11, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0}, 0, {}},
		{"one that is", {0x94, 4, 0, 0, 7, 7, 4, 1, 2, 3, 4, 0}, 4, {0x94, 4, 0, 0}},
		{"the second", {1, 7, 5, 4, 1, 2, 0x83, 6, 4, 1, 2, 3}, 8, {0x83, 6, 4, 1, 2, 3}},
		{"two", {0x88, 4, 9, 9, 7, 3, 4, 0x83, 3, 4, 0, 0}, 8, {0x88, 4, 9, 9, 0x83, 3, 4}},
		{"all", {0x88, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 12,
			{0x88, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"none behind the end", {0, 0x88, 4, 9, 9}, 0, {}},
		{"none that is cut", {0x88, 4, 9, 9, 0x83, 9, 1, 1, 1, 1, 1, 1}, 4,
			{0x88, 4, 9, 9}},
		{"none without a length", {0x88, 4, 9, 9, 0x83, 1, 1, 1, 1, 1, 1, 1}, 4,
			{0x88, 4, 9, 9}},
		{"none whose length is missing", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x88}, 0, {}},
	};
	static const struct look l = {.options = 12};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t ip_len;
		struct rte_mbuf *m = make_packet(&l, (struct range){0, 3000, true}, &ip_len);

		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, L2_LEN + 20), cases[i].options, 12);
		unsigned n = split(m, &l, ip_len, 1400);
		assert_int_equal(n, 3);
		for (unsigned j = 0; j < n; j++) {
			const uint8_t *ip = rte_pktmbuf_mtod(fragments[j], uint8_t *);
			size_t len = j == 0 ? 12 : cases[i].later_len;

			assert_int_equal(ip[0], 0x40 | (20 + len) / 4);
			assert_memory_equal(
				ip + 20, j == 0 ? cases[i].options : cases[i].later, len);
			assert_int_equal(naive_checksum(ip, 20 + len), 0);
			assert_int_equal(read16(ip + 2), fragments[j]->pkt_len);
			assert_memory_equal(ip + 20 + len, data + (read16(ip + 6) & 0x1fff) * 8,
				fragments[j]->pkt_len - 20 - len);
			rte_pktmbuf_free(fragments[j]);
		}
	}
}

static void a_fragment_longer_than_a_buffer_is_in_segments(void **)
{
	for (int i = 0; i < 2; i++) {
		uint32_t end = 0;
		uint16_t ip_len;
		struct rte_mbuf *m =
			make_packet(&looks[i], (struct range){0, 20000, true}, &ip_len);
		unsigned n = split(m, &looks[i], ip_len, 9000);

		assert_int_equal(n, 3);
		for (unsigned j = 0; j < n; j++) {
			assert_int_equal(fragments[j]->nb_segs, j < 2 ? 5 : 2);
			assert_int_equal(check_fragment(fragments[j], &looks[i], 9000).begin, end);
			end += fragments[j]->pkt_len - (i == 0 ? 20 : 48);
			rte_pktmbuf_free(fragments[j]);
		}
		assert_int_equal(end, 20000);
	}
}

static void ipv4_with_df_and_ipv6_without_a_fragment_header_are_not_split(void **)
{
	static uint8_t bytes[HEADERS_MAX];

	for (int i = 0; i < N_LOOKS; i++) {
		size_t len = write_headers(&looks[i], (struct range){0, 64, true}, bytes);
		enum family family = looks[i].family;

		assert_true(packet_may_be_split(bytes, (uint16_t)len, family));
		for (uint16_t cut = 0; cut < len; cut++)
			assert_false(packet_may_be_split(bytes, cut, family));
		if (family == IPV4)
			bytes[6] |= 0x40;
		else
			bytes[looks[i].options ? 40 : 6] = IPPROTO_UDP;
		assert_false(packet_may_be_split(bytes, (uint16_t)len, family));
	}
}

// A packet that cannot be split is the caller's still, and as it was.
static void check_not_split(struct rte_mbuf *m, const struct look *l, uint16_t ip_len, uint16_t mtu,
	struct rte_mempool *from, unsigned most)
{
	static uint8_t before[2 * UINT16_MAX], after[2 * UINT16_MAX];
	uint32_t len = m->pkt_len;
	unsigned available = rte_mempool_avail_count(from);

	memcpy(before, rte_pktmbuf_read(m, 0, len, after), len);
	assert_int_equal(
		split_packet(m, L2_LEN, ip_len, l->family, mtu, ID, from, fragments, most), 0);
	assert_int_equal(rte_mempool_avail_count(from), available);
	assert_int_equal(m->pkt_len, len);
	assert_memory_equal(rte_pktmbuf_read(m, 0, len, after), before, len);
}

static void a_packet_that_is_not_split_is_as_it_was(void **)
{
	struct rte_mempool *few =
		rte_pktmbuf_pool_create("few", 3, 0, 0, RTE_PKTMBUF_HEADROOM + 512, SOCKET_ID_ANY);
	struct rte_mempool *small =
		rte_pktmbuf_pool_create("small", 31, 0, 0, RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);

	assert_true(few != NULL && small != NULL);
	for (int i = 0; i < N_LOOKS; i++) {
		const struct look *l = &looks[i];
		uint16_t headers, ip_len;
		struct rte_mbuf *m = make_packet(l, (struct range){0, 1600, true}, &ip_len);

		headers = ip_len - 1600;
		check_not_split(m, l, ip_len, headers + 7, pool, FLOOD_MAX);
		check_not_split(m, l, ip_len, 0, pool, FLOOD_MAX);
		check_not_split(m, l, ip_len, headers + 400, pool, 3);
		check_not_split(m, l, ip_len, headers + 400, pool, 0);
		check_not_split(m, l, ip_len, headers + 400, few, 4);  // Four packets.
		check_not_split(m, l, ip_len, headers + 1200, few, 4); // Three segments, and one.
		check_not_split(m, l, ip_len, headers + 1200, small, 4);
		check_not_split(m, l, headers, headers + 400, pool, 4);
		check_not_split(m, l, headers - 1, headers + 400, pool, 4);
		check_not_split(m, l, (uint16_t)(m->pkt_len - L2_LEN + 1), 1400, pool, 4);
		rte_pktmbuf_free(m);

		struct range odd = {640, 641 + 800, false};
		m = make_packet(l, odd, &ip_len);
		check_not_split(m, l, ip_len, headers + 400, pool, FLOOD_MAX);
		rte_pktmbuf_free(m);
		m = make_packet(l, (struct range){64000, 65535, true}, &ip_len);
		uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, L2_LEN);
		write16(ip + (l->family == IPV4 ? 6 : headers - 6),
			l->family == IPV4 ? 8001 : 64008);
		check_not_split(m, l, ip_len, headers + 400, pool, FLOOD_MAX);
		rte_pktmbuf_free(m);
	}
	rte_mempool_free(few);
	rte_mempool_free(small);
}

static int start(void **)
{
	world_start_environment();
	pool = rte_pktmbuf_pool_create(
		"fragments", N_MBUFS, 0, 0, RTE_PKTMBUF_HEADROOM + BUFFER_LEN, SOCKET_ID_ANY);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)random_below(256);
	return pool != NULL ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, nothing_is_leaked)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_datagram_is_whole_whatever_the_order_of_its_fragments),
		TEST(any_cuts_orders_and_segments_give_the_same_bytes),
		TEST(the_longest_datagram_that_an_ip_header_can_say_gets_through),
		TEST(a_datagram_that_its_headers_make_too_long_is_malformed),
		TEST(a_fragment_that_ends_beyond_65535_is_malformed),
		TEST(only_the_last_fragment_may_have_a_length_that_is_no_multiple_of_8),
		TEST(a_fragment_without_data_is_malformed),
		TEST(a_fragment_that_is_not_all_there_is_truncated),
		TEST(a_fragment_that_cuts_through_the_layer_4_header_is_tiny),
		TEST(a_first_fragment_of_ipv6_has_all_extension_headers),
		TEST(more_than_8_extension_headers_are_malformed),
		TEST(fragments_that_overlap_refuse_their_datagram),
		TEST(what_comes_of_a_refused_datagram_is_refused_until_its_time_is_over),
		TEST(another_datagram_is_none_of_a_refused_ones_business),
		TEST(a_duplicate_does_no_harm),
		TEST(a_datagram_in_64_fragments_is_whole),
		TEST(a_datagram_in_more_than_64_fragments_is_refused),
		TEST(a_datagram_of_more_segments_than_may_wait_is_refused),
		TEST(datagrams_are_told_apart),
		TEST(datagrams_of_the_same_hash_are_told_apart),
		TEST(ipv6_takes_the_next_header_from_the_first_fragment),
		TEST(congestion_of_one_fragment_is_that_of_the_datagram),
		TEST(what_waits_for_15_seconds_is_given_up),
		TEST(what_is_late_begins_a_datagram_anew),
		TEST(only_a_few_are_given_up_at_once_but_all_in_the_end),
		TEST(the_oldest_makes_room_in_a_full_set),
		TEST(the_oldest_makes_room_for_more_segments),
		TEST(a_flood_of_lone_fragments_has_bounds_and_an_end),
		TEST(every_fragment_is_counted_once),
		TEST(a_header_cut_anywhere_is_not_read_past_its_end),
		TEST(what_is_whole_is_no_fragment),
		TEST(frames_of_any_bytes_do_no_harm),
		TEST(fragments_of_a_datagram_have_one_hash_and_datagrams_many),
		TEST(destroying_frees_what_waits),
		TEST(what_is_split_and_reassembled_is_as_it_was),
		TEST(fragments_are_as_few_as_fit),
		TEST(a_fragment_that_is_split_keeps_its_place),
		TEST(all_of_an_ipv6_identification_is_written),
		TEST(later_fragments_have_only_the_options_that_are_to_be_copied),
		TEST(a_fragment_longer_than_a_buffer_is_in_segments),
		TEST(ipv4_with_df_and_ipv6_without_a_fragment_header_are_not_split),
		TEST(a_packet_that_is_not_split_is_as_it_was),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
