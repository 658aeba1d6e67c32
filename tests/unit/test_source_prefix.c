#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "source_prefix.h"

static const struct text_case {
	const char *text;
	const char *again; // NULL if it is none.
} texts[] = {
	{"10.0.0.0/8", "10.0.0.0/8"},
	{"10.1.2.3/8", "10.0.0.0/8"},
	{"10.1.2.3", "10.1.2.3/32"},
	{"10.1.2.255/25", "10.1.2.128/25"},
	{"255.255.255.255/32", "255.255.255.255/32"},
	{"0.0.0.0/0", "0.0.0.0/0"},
	{"192.0.2.1/0", "0.0.0.0/0"},
	{"010.001.00.0/016", "10.1.0.0/16"},
	{"10.0.0.0/000", "0.0.0.0/0"},
	{"2001:db8::/32", "2001:db8::/32"},
	{"2001:db8::1/032", "2001:db8::/32"},
	{"2001:DB8::1", "2001:db8::1/128"},
	{"2001:db8::ffff/65", "2001:db8::/65"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
	{"::/0", "::/0"},
	{"fe80::1/0", "::/0"},
	{"::ffff:10.0.0.1/8", "10.0.0.0/8"},
	{"", NULL},
	{"/8", NULL},
	{"10.0.0.0/", NULL},
	{"10.0.0.0/33", NULL},
	{"10.0.0.0/256", NULL},
	{"10.0.0.0/4294967304", NULL},
	{"10.0.0.0/-1", NULL},
	{"10.0.0.0/+8", NULL},
	{"10.0.0.0/8/8", NULL},
	{"10.0.0.0/8 ", NULL},
	{" 10.0.0.0/8", NULL},
	{"10.0.0.0 /8", NULL},
	{"10.0.0.0/ 8", NULL},
	{"10.0.0.0/0x8", NULL},
	{"10.0.0/8", NULL},
	{"10.0.0.0.0/8", NULL},
	{"10.0.0.256/8", NULL},
	{"0x10.0.0.0/8", NULL},
	{"10.0.0.0/255.0.0.0", NULL},
	{"10.0.0.0-10.0.0.9", NULL},
	{"10.0.0.0/8,11.0.0.0/8", NULL},
	{"2001:db8::/129", NULL},
	{"2001:db8::/", NULL},
	{"00002001:db8::/32", NULL},
	{"fe80::1%eth0/64", NULL},
	{"[2001:db8::]/32", NULL},
	{"::ffff:10.0.0.1/104", NULL},
	{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128 and more than fits", NULL},
	{"node1", NULL},
};

static void a_prefix_is_read_as_kubernetes_reads_it(void **)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct text_case *c = &texts[i];
		struct prefix prefix = {.length = 77};
		char text[PREFIX_TEXT_MAX];

		if (c->again == NULL) {
			if (source_prefix_parse(c->text, &prefix) != -EINVAL || prefix.length != 77)
				fail_msg("'%s' is taken for a prefix", c->text);
			continue;
		}
		if (source_prefix_parse(c->text, &prefix) != 0)
			fail_msg("'%s' is taken for none", c->text);
		assert_string_equal(prefix_format(&prefix.address, prefix.length, text), c->again);
	}
}

enum { LIST_MAX = 8 };

static const struct list_case {
	const char *name;
	const char *list[LIST_MAX];
	const char *reduced[LIST_MAX];
} lists[] = {
	{"nothing", {NULL}, {NULL}},
	{"one", {"10.0.0.0/8"}, {"10.0.0.0/8"}},
	{"one twice", {"10.0.0.0/8", "10.0.0.0/8"}, {"10.0.0.0/8"}},
	{"one within another", {"10.1.0.0/16", "10.0.0.0/8", "10.2.3.4"}, {"10.0.0.0/8"}},
	{"sorted", {"2001:db8::/32", "10.2.0.0/16", "9.0.0.0/8"},
		{"9.0.0.0/8", "10.2.0.0/16", "2001:db8::/32"}},
	{"two halves", {"10.0.1.0/24", "10.0.0.0/24"}, {"10.0.0.0/23"}},
	{"neighbours that are no halves", {"10.0.1.0/24", "10.0.2.0/24"},
		{"10.0.1.0/24", "10.0.2.0/24"}},
	{"neighbours of two lengths", {"10.0.0.0/24", "10.0.1.0/25"},
		{"10.0.0.0/24", "10.0.1.0/25"}},
	{"quarters, with one in two",
		{"10.0.3.0/24", "10.0.1.0/24", "10.0.0.0/24", "10.0.2.128/25", "10.0.2.0/25"},
		{"10.0.0.0/22"}},
	{"halves of ipv4", {"128.0.0.0/1", "0.0.0.0/1"}, {"0.0.0.0/1", "128.0.0.0/1"}},
	{"halves of ipv6", {"8000::/1", "::/1"}, {"::/1", "8000::/1"}},
	{"a /0 of ipv4", {"10.0.0.0/8", "0.0.0.0/0"}, {"0.0.0.0/0"}},
	{"a /0 of ipv6", {"10.0.0.0/8", "::/0", "2001:db8::/32"}, {"0.0.0.0/0"}},
	{"ipv6 around ipv4", {"10.0.0.0/8", "::/64"}, {"10.0.0.0/8", "::/64"}},
	{"across the middle", {"2001:db8:0:1::/64", "2001:db8::/65", "2001:db8::8000:0:0:0/65"},
		{"2001:db8::/63"}},
	{"hosts", {"2001:db8::1", "2001:db8::"}, {"2001:db8::/127"}},
};

static size_t parse_list(const char *const texts_of_list[LIST_MAX], struct prefix list[LIST_MAX])
{
	size_t n = 0;

	for (; n < LIST_MAX && texts_of_list[n] != NULL; n++)
		assert_int_equal(source_prefix_parse(texts_of_list[n], &list[n]), 0);
	return n;
}

static void equal_lists_become_the_same_bytes(void **)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct prefix list[LIST_MAX], want[LIST_MAX];
		size_t n = parse_list(lists[i].list, list);
		size_t n_want = parse_list(lists[i].reduced, want);

		assert_int_equal(source_prefixes_reduce(list, &n), 0);
		if (n != n_want || memcmp(list, want, n * sizeof(list[0])) != 0)
			fail_msg("%s: %zu prefixes, not the %zu", lists[i].name, n, n_want);
	}
}

static void what_is_past_the_length_is_not_compared(void **)
{
	struct prefix list[] = {
		{address_from_ipv4(htobe32(0x0a010203)), 8, {1}},
		{address_from_ipv4(htobe32(0x0b040506)), 8, {2}},
	};
	struct prefix want = {address_from_ipv4(htobe32(0x0a000000)), 7, {0}};
	size_t n = 2;

	assert_int_equal(source_prefixes_reduce(list, &n), 0);
	assert_int_equal(n, 1);
	assert_memory_equal(&list[0], &want, sizeof(want));
}

static void an_impossible_length_changes_nothing(void **)
{
	struct prefix list[2], before[2];
	size_t n = 2;

	memset(list, 0, sizeof(list));
	list[0] = (struct prefix){address_from_ipv4(htobe32(0x0a010203)), 8, {0}};
	list[1] = (struct prefix){address_from_ipv4(0), 33, {0}};
	memcpy(before, list, sizeof(list));
	assert_int_equal(source_prefixes_reduce(list, &n), -EINVAL);
	assert_int_equal(n, 2);
	assert_memory_equal(list, before, sizeof(list));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prefix_is_read_as_kubernetes_reads_it),
		cmocka_unit_test(equal_lists_become_the_same_bytes),
		cmocka_unit_test(what_is_past_the_length_is_not_compared),
		cmocka_unit_test(an_impossible_length_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
