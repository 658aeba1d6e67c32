#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "name.h"
#include "source_set.h"

enum { LIST_MAX = 6, SOURCES_MAX = 8 };

static bool has(const struct source_set *set, const struct address *source)
{
	bool is_ipv4 = address_is_ipv4(source);
	uint8_t somewhere[17]; // At an odd address, as behind an Ethernet header.

	memcpy(&somewhere[1], &source->bytes[is_ipv4 ? 12 : 0], is_ipv4 ? 4 : 16);
	return source_set_has(set, is_ipv4 ? IPV4 : IPV6, &somewhere[1]);
}

static struct source_set *build(const struct prefix *prefixes, size_t n)
{
	struct source_set *set = NULL;

	assert_int_equal(source_set_build(prefixes, n, &set), 0);
	assert_non_null(set);
	return set;
}

static const struct set_case {
	const char *name;
	const char *list[LIST_MAX];
	const char *in[SOURCES_MAX];
	const char *out[SOURCES_MAX];
} cases[] = {
	{"no prefix closes both", {NULL}, {NULL},
		{"10.0.0.1", "0.0.0.0", "255.255.255.255", "2001:db8::1",
			"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}},
	{"a /0 of ipv4 opens both", {"10.0.0.0/8", "0.0.0.0/0"},
		{"0.0.0.0", "9.0.0.1", "255.255.255.255", "::", "2001:db8::1",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{NULL}},
	{"a /0 of ipv6 opens both", {"::/0", "2001:db8::/32"},
		{"0.0.0.0", "9.0.0.1", "255.255.255.255", "::", "2001:db9::1",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{NULL}},
	{"two halves open their own family", {"0.0.0.0/1", "128.0.0.0/1"},
		{"0.0.0.0", "127.255.255.255", "128.0.0.0", "255.255.255.255"},
		{"::", "2001:db8::1"}},
	{"so do those of ipv6", {"8000::/1", "::/1"},
		{"::", "7fff::", "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"0.0.0.0", "10.0.0.1"}},
	{"ipv4 alone closes ipv6", {"10.0.0.0/8"}, {"10.0.0.0", "10.255.255.255"},
		{"9.255.255.255", "11.0.0.0", "2001:db8::1", "::a00:1"}},
	{"ipv6 alone closes ipv4", {"2001:db8::/32"},
		{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "32.1.13.184"}},
	{"one host", {"192.0.2.7"}, {"192.0.2.7"}, {"192.0.2.6", "192.0.2.8", "192.0.3.7"}},
	{"one host of ipv6", {"2001:db8::7"}, {"2001:db8::7"},
		{"2001:db8::6", "2001:db8::8", "2001:db8:0:1::7", "2001:db8::1:0:0:7"}},
	{"the lowest address", {"0.0.0.0"}, {"0.0.0.0"}, {"0.0.0.1", "255.255.255.255", "::"}},
	{"the highest address", {"255.255.255.255"}, {"255.255.255.255"},
		{"255.255.255.254", "0.0.0.0"}},
	{"the highest but one", {"255.255.255.254"}, {"255.255.255.254"},
		{"255.255.255.255", "255.255.255.253"}},
	{"the lowest but one", {"0.0.0.1"}, {"0.0.0.1"}, {"0.0.0.0", "0.0.0.2"}},
	{"the lowest and the highest", {"255.255.255.255", "0.0.0.0"},
		{"0.0.0.0", "255.255.255.255"}, {"0.0.0.1", "255.255.255.254", "128.0.0.0"}},
	{"the lowest of ipv6", {"::/128"}, {"::"}, {"::1", "0.0.0.0"}},
	{"the highest of ipv6", {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "::"}},
	{"halves", {"10.0.1.0/24", "10.0.0.0/24"},
		{"10.0.0.0", "10.0.0.255", "10.0.1.0", "10.0.1.255"},
		{"9.255.255.255", "10.0.2.0"}},
	{"neighbours that are no halves", {"10.0.1.0/24", "10.0.2.0/25"},
		{"10.0.1.0", "10.0.1.255", "10.0.2.0", "10.0.2.127"}, {"10.0.0.255", "10.0.2.128"}},
	{"a gap of one", {"10.0.0.0/32", "10.0.0.2/31"}, {"10.0.0.0", "10.0.0.2", "10.0.0.3"},
		{"10.0.0.1", "10.0.0.4", "9.255.255.255"}},
	{"one within another", {"10.1.0.0/16", "10.0.0.0/8", "10.255.255.255"},
		{"10.0.0.0", "10.1.0.0", "10.1.255.255", "10.2.0.0", "10.255.255.255"},
		{"9.255.255.255", "11.0.0.0"}},
	{"across the middle of ipv6", {"2001:db8::/65", "2001:db8:0:0:8000::/66"},
		{"2001:db8::", "2001:db8::7fff:ffff:ffff:ffff", "2001:db8::8000:0:0:0",
			"2001:db8::bfff:ffff:ffff:ffff"},
		{"2001:db8::c000:0:0:0", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"}},
	{"ipv6 around ipv4 lets in no ipv4", {"::/64"}, {"::", "::1", "::ffff"}, {"10.0.0.1"}},
	{"both", {"10.0.0.0/8", "2001:db8::/32", "192.0.2.0/24", "fe80::/10"},
		{"10.0.0.1", "192.0.2.255", "2001:db8::1", "febf::1"},
		{"11.0.0.1", "192.0.3.0", "2001:db9::1", "fec0::"}},
};

static size_t parse_list(const char *const texts[LIST_MAX], struct prefix list[LIST_MAX])
{
	size_t n = 0;

	for (; n < LIST_MAX && texts[n] != NULL; n++)
		assert_int_equal(source_prefix_parse(texts[n], &list[n]), 0);
	return n;
}

static void check_sources(const struct set_case *c, const struct source_set *set,
	const char *const texts[SOURCES_MAX], bool want)
{
	for (size_t i = 0; i < SOURCES_MAX && texts[i] != NULL; i++) {
		struct address source;

		assert_int_equal(address_parse(texts[i], &source), 0);
		if (has(set, &source) != want)
			fail_msg("%s: %s is %s", c->name, texts[i], want ? "out" : "in");
	}
}

static void a_set_lets_in_what_its_prefixes_cover(void **)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prefix list[LIST_MAX];
		size_t n = parse_list(cases[i].list, list);
		struct source_set *set = build(list, n);

		check_sources(&cases[i], set, cases[i].in, true);
		check_sources(&cases[i], set, cases[i].out, false);
		source_set_free(set);
	}
}

// Random lists

// Near each other, so that they overlap, adjoin and lie within each other at every depth.
static struct prefix crowded_prefix(enum family family, uint64_t *seed)
{
	unsigned bits = family == IPV4 ? 32 : 128, first = 128 - bits;
	struct prefix prefix = {.length = (uint8_t)(bits / 4 + mix(++*seed) % (bits * 3 / 4 + 1))};

	if (family == IPV4)
		prefix.address = address_from_ipv4(0);
	else
		prefix.address.bytes[0] = 0x20;
	for (unsigned bit = first + 4; bit < 128; bit++) {
		if (mix(++*seed) % 6 == 0)
			prefix.address.bytes[bit / 8] |= 0x80 >> bit % 8;
	}
	return prefix;
}

// Apart from each other, so that each is an edge or two of its own.
static struct prefix spread_prefix(enum family family, uint64_t *seed)
{
	struct prefix prefix = {
		.length = family == IPV4 ? 24 + mix(++*seed) % 9 : 32 + mix(++*seed) % 97};

	if (family == IPV4) {
		prefix.address = address_from_ipv4((uint32_t)mix(++*seed));
	} else {
		prefix.address.halves[0] = mix(++*seed);
		prefix.address.halves[1] = mix(++*seed);
	}
	return prefix;
}

static bool covers(const struct prefix *prefix, const struct address *address)
{
	unsigned bits = address_is_ipv4(address) ? 32 : 128, first = 128 - bits;
	unsigned whole = (first + prefix->length) / 8, rest = (first + prefix->length) % 8;

	return address_is_ipv4(&prefix->address) == address_is_ipv4(address) &&
		memcmp(&prefix->address, address, whole) == 0 &&
		(rest == 0 ||
			(prefix->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0);
}

static bool has_slowly(const struct prefix *prefixes, size_t n, const struct address *address)
{
	for (size_t i = 0; i < n; i++) {
		if (covers(&prefixes[i], address))
			return true;
	}
	return false;
}

// The first and last address of the prefix, and those next to them, which may wrap around.
static struct address edge_of(const struct prefix *prefix, unsigned which)
{
	struct address address = prefix->address;
	bool last = which & 1, beyond = which & 2;
	unsigned begin = address_is_ipv4(&address) ? 96 : 0;

	for (unsigned bit = begin + prefix->length; bit < 128; bit++) {
		uint8_t mask = 0x80 >> bit % 8;

		address.bytes[bit / 8] =
			last ? address.bytes[bit / 8] | mask : address.bytes[bit / 8] & ~mask;
	}
	for (unsigned at = 16; beyond && at-- > begin / 8;) {
		address.bytes[at] += last ? 1 : -1;
		if (address.bytes[at] != (last ? 0 : 0xff))
			break;
	}
	return address;
}

static void agree(const struct prefix *prefixes, size_t n, size_t n_checked, uint64_t seed)
{
	struct source_set *set = build(prefixes, n);

	for (size_t i = 0; i < n_checked; i++) {
		const struct prefix *prefix = &prefixes[mix(++seed) % n];

		for (unsigned which = 0; which < 4; which++) {
			struct address edge = edge_of(prefix, which);

			assert_int_equal(has(set, &edge), has_slowly(prefixes, n, &edge));
		}
		struct address other = prefix->address;
		unsigned bit = address_is_ipv4(&other) ? 96 + mix(++seed) % 32 : mix(++seed) % 128;
		other.bytes[bit / 8] ^= 0x80 >> bit % 8;
		assert_int_equal(has(set, &other), has_slowly(prefixes, n, &other));
	}
	source_set_free(set);
}

// Of every length up to more than two levels of either family take.
static void small_sets_agree_with_looking_at_each_prefix(void **)
{
	enum { N_MAX = 300 };
	struct prefix prefixes[N_MAX];
	uint64_t seed = 1 << 20;

	for (size_t n = 1; n <= N_MAX; n++) {
		for (size_t i = 0; i < n; i++)
			prefixes[i] = n % 2 == 0 ? spread_prefix(i % 4 < 2, &seed)
						 : crowded_prefix(i % 2, &seed);
		agree(prefixes, n, 40, seed);
	}
}

static void ten_thousand_prefixes_agree_with_looking_at_each(void **)
{
	enum { N = 10000 };
	struct prefix *prefixes = calloc(N, sizeof(*prefixes));
	uint64_t seed = 1ull << 32;

	assert_non_null(prefixes);
	for (size_t i = 0; i < N; i++)
		prefixes[i] =
			i % 5 == 0 ? crowded_prefix(i % 2, &seed) : spread_prefix(i % 2, &seed);
	agree(prefixes, N, 300, seed);
	free(prefixes);
}

// The edges fill leaves, and levels, to the last key, to one less and to one more.
static void a_full_node_loses_nobody(void **)
{
	enum { N_MAX = 140 };
	struct prefix prefixes[N_MAX];

	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		for (size_t n = 1; n <= N_MAX; n++) {
			struct prefix *last = &prefixes[n - 1];

			*last = (struct prefix){.address = address_from_ipv4(0), .length = 32};
			if (family == IPV6)
				*last = (struct prefix){.length = 128};
			last->address.bytes[15] = (uint8_t)(2 * (n - 1)); // The first is address 0.
			last->address.bytes[14] = (uint8_t)((2 * (n - 1)) >> 8);

			struct source_set *set = build(prefixes, n);
			struct address source = prefixes[0].address;
			for (unsigned i = 0; i < 2 * N_MAX + 2; i++) {
				source.bytes[15] = (uint8_t)i;
				source.bytes[14] = (uint8_t)(i >> 8);
				assert_int_equal(has(set, &source), i % 2 == 0 && i / 2 < n);
			}
			source_set_free(set);
		}
	}
}

static void order_and_wording_do_not_matter(void **)
{
	enum { N = 200 };
	struct prefix prefixes[2 * N];
	uint64_t seed = 1;

	for (size_t i = 0; i < N; i++)
		prefixes[i] =
			i % 3 == 0 ? crowded_prefix(i % 2, &seed) : spread_prefix(i % 2, &seed);
	struct source_set *set = build(prefixes, N);

	for (size_t turn = 0; turn < 20; turn++) {
		for (size_t i = N - 1; i > 0; i--) {
			size_t other = mix(++seed) % (i + 1);
			struct prefix prefix = prefixes[i];

			prefixes[i] = prefixes[other];
			prefixes[other] = prefix;
		}
		// And again by other words: other bits past the length.
		for (size_t i = 0; i < N; i++) {
			prefixes[N + i] = prefixes[i];
			if (prefixes[i].length < 32)
				prefixes[N + i].address.bytes[15] ^= (uint8_t)mix(++seed) & 1;
		}
		struct source_set *again = build(prefixes, turn % 2 == 0 ? N : 2 * N);

		assert_int_equal(again->len_bytes, set->len_bytes);
		assert_memory_equal(again, set, set->len_bytes);
		source_set_free(again);
	}
	source_set_free(set);
}

static void a_copy_is_as_good(void **)
{
	enum { N = 1000 };
	struct prefix prefixes[N];
	uint64_t seed = 2;

	for (size_t i = 0; i < N; i++)
		prefixes[i] = spread_prefix(i % 2, &seed);
	struct source_set *set = build(prefixes, N);
	struct source_set *copy = aligned_alloc(64, set->len_bytes);

	assert_non_null(copy);
	memcpy(copy, set, set->len_bytes);
	memset(set, 0xff, set->len_bytes);
	source_set_free(set);
	for (size_t i = 0; i < N; i++)
		assert_true(has(copy, &prefixes[i].address));
	free(copy);
}

static const struct size_case {
	enum family family;
	size_t n;
	size_t most_bytes;
} sizes[] = {
	{IPV4, 0, 256},
	{IPV4, 7, 256},
	{IPV4, 1024, 10 << 10},
	{IPV4, 4096, 38 << 10},
	{IPV4, 16384, 152 << 10},
	{IPV6, 0, 256},
	{IPV6, 3, 256},
	{IPV6, 1024, 44 << 10},
	{IPV6, 4096, 172 << 10},
};

static void a_set_is_small(void **)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct size_case *c = &sizes[i];
		struct prefix *prefixes = calloc(c->n + 1, sizeof(*prefixes));
		uint64_t seed = i << 40;

		assert_non_null(prefixes);
		for (size_t j = 0; j < c->n; j++)
			prefixes[j] = spread_prefix(c->family, &seed);
		struct source_set *set = build(prefixes, c->n);

		if (set->len_bytes > c->most_bytes)
			fail_msg("%zu prefixes take %zu bytes", c->n, (size_t)set->len_bytes);
		source_set_free(set);
		free(prefixes);
	}
}

static void an_impossible_length_is_refused(void **)
{
	struct prefix list[] = {
		{address_from_ipv4(0), 0, {0}},
		{address_from_ipv4(0), 33, {0}},
	};
	struct prefix ipv6 = {.length = 129};
	struct source_set *set = NULL;

	assert_int_equal(source_set_build(list, 2, &set), -EINVAL);
	assert_int_equal(source_set_build(&ipv6, 1, &set), -EINVAL);
	assert_null(set);
	source_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_lets_in_what_its_prefixes_cover),
		cmocka_unit_test(small_sets_agree_with_looking_at_each_prefix),
		cmocka_unit_test(ten_thousand_prefixes_agree_with_looking_at_each),
		cmocka_unit_test(a_full_node_loses_nobody),
		cmocka_unit_test(order_and_wording_do_not_matter),
		cmocka_unit_test(a_copy_is_as_good),
		cmocka_unit_test(a_set_is_small),
		cmocka_unit_test(an_impossible_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
