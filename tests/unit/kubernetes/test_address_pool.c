#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "kubernetes/address_pool.h"

static const struct range_case {
	const char *text;
	int result;
	const char *formatted;
} range_cases[] = {
	{"198.51.100.0/24", 0, "198.51.100.0/24"},
	{"198.51.100.0-198.51.100.255", 0, "198.51.100.0/24"},
	{"198.51.100.1-198.51.100.2", 0, "198.51.100.1-198.51.100.2"},
	{"198.51.100.7-198.51.100.7", 0, "198.51.100.7"},
	{"198.51.100.7/32", 0, "198.51.100.7"},
	{"198.51.100.7", 0, "198.51.100.7"},
	{"2001:db8::/64", 0, "2001:db8::/64"},
	{"2001:db8::1-2001:db8::ffff:ffff", 0, "2001:db8::/96"},
	{"2001:db8::-2001:db8::ffff:ffff", 0, "2001:db8::-2001:db8::ffff:ffff"},
	{"2001:db8::/126", 0, "2001:db8::/126"},
	{"2001:db8::/127", 0, "2001:db8::/127"},
	{"2001:db8::/128", 0, "2001:db8::"},
	{"2001:db8::-2001:db8::1", 0, "2001:db8::/127"},
	{"2001:db8::1-2001:db8::2", 0, "2001:db8::1-2001:db8::2"},
	{"2001:db8::1-2001:db8:1::", 0, "2001:db8::1-2001:db8:1::"},
	{"1.0.0.0-126.255.255.255", 0, "1.0.0.0-126.255.255.255"},
	{"128.0.0.0/2", 0, "128.0.0.0/2"},

	{"", -EINVAL, NULL},
	{"-", -EINVAL, NULL},
	{"198.51.100.7-", -EINVAL, NULL},
	{"-198.51.100.7", -EINVAL, NULL},
	{"198.51.100.7-9", -EINVAL, NULL},
	{"198.51.100.0/24-198.51.101.0/24", -EINVAL, NULL},
	{"198.51.100.7/24", -EINVAL, NULL},
	{"198.51.100.0/33", -EINVAL, NULL},
	{" 198.51.100.7", -EINVAL, NULL},
	{"0000000000000000000000000000000000000000000000-198.51.100.7", -EINVAL, NULL},
	{"198.51.100.7-2001:db8::", -EAFNOSUPPORT, NULL},
	{"2001:db8::-198.51.100.7", -EAFNOSUPPORT, NULL},
	{"198.51.100.8-198.51.100.7", -ERANGE, NULL},
	{"2001:db8::1-2001:db8::", -ERANGE, NULL},
	{"0.0.0.0/0", -EADDRNOTAVAIL, NULL},
	{"0.255.255.255-1.0.0.0", -EADDRNOTAVAIL, NULL},
	{"126.255.255.255-127.0.0.0", -EADDRNOTAVAIL, NULL},
	{"127.0.0.1", -EADDRNOTAVAIL, NULL},
	{"223.255.255.255-224.0.0.0", -EADDRNOTAVAIL, NULL},
	{"255.255.255.255", -EADDRNOTAVAIL, NULL},
	{"::", -EADDRNOTAVAIL, NULL},
	{"::1", -EADDRNOTAVAIL, NULL},
	{"::1:0:0-2001:db8::", -EADDRNOTAVAIL, NULL},
	{"fe80::1", -EADDRNOTAVAIL, NULL},
	{"2000::/3", 0, "2000::/3"},
	{"fc00::-ff00::", -EADDRNOTAVAIL, NULL},
	{"ff02::1", -EADDRNOTAVAIL, NULL},
};

static void a_range_is_what_hosts_can_have(void **)
{
	for (size_t i = 0; i < sizeof(range_cases) / sizeof(range_cases[0]); i++) {
		const struct range_case *c = &range_cases[i];
		struct address_range range;
		char text[RANGE_TEXT_MAX];
		int r = address_range_parse(c->text, &range);

		if (r != c->result)
			fail_msg("%s: %d", c->text, r);
		if (r == 0)
			assert_string_equal(address_range_format(&range, text), c->formatted);
	}
}

static uint64_t count(const struct address_pool *pool, enum family family)
{
	uint64_t n = 0;

	for (size_t i = 0; i < pool->n_ranges; i++) {
		unsigned __int128 number = address_number(&pool->ranges[i].first);

		for (; number <= address_number(&pool->ranges[i].last); number++) {
			struct address address = address_of_number(number);

			n += address_family(&address) == family && address_pool_has(pool, &address);
		}
	}
	return n;
}

static void the_size_of_a_pool_is_what_it_can_give(void **)
{
	static const char *const texts[] = {"198.51.100.0", "198.51.100.255", "198.51.100.1",
		"198.51.100.0-198.51.100.254", "198.51.100.0-198.51.100.255",
		"198.51.100.0-198.51.101.0", "198.51.100.1-198.51.101.255",
		"198.51.100.255-198.51.101.0", "198.51.100.254-198.51.103.1", "1.0.0.0/22",
		"2001:db8::ff-2001:db8::300", "2001:db8::/120"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address_range ranges[2];

		assert_int_equal(address_range_parse(texts[i], &ranges[0]), 0);
		assert_int_equal(address_range_parse("203.0.113.0/30", &ranges[1]), 0);
		for (int avoids = 0; avoids < 2; avoids++) {
			struct address_pool pool = {
				.ranges = ranges, .n_ranges = 2, .avoid_edges = avoids};

			assert_int_equal(address_pool_size(&pool, IPV4), count(&pool, IPV4));
			assert_int_equal(address_pool_size(&pool, IPV6), count(&pool, IPV6));
		}
	}
}

static void a_pool_is_for_those_that_fit_all_it_asks(void **)
{
	char *spaces[] = {"shop", "mail"}, *tier[] = {"tier=front", "a=b"}, *app[] = {"app=web"};
	const struct address_pool all = {0},
				  some = {.namespaces = {spaces, 2},
					  .namespace_labels = {tier, 2},
					  .service_labels = {app, 1}};
	const char *const front[] = {"a=b", "c=d", "tier=front", NULL},
			  *const half[] = {"a=b", NULL}, *const web[] = {"app=web", NULL},
			  *const other[] = {"app=webs", NULL};

	assert_true(address_pool_allows(&all, "default", NULL, NULL));
	assert_true(address_pool_allows(&some, "mail", front, web));
	assert_false(address_pool_allows(&some, "default", front, web));
	assert_false(address_pool_allows(&some, "mail", half, web));
	assert_false(address_pool_allows(&some, "mail", NULL, web));
	assert_false(address_pool_allows(&some, "mail", front, other));
	assert_false(address_pool_allows(&some, "mail", front, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_what_hosts_can_have),
		cmocka_unit_test(the_size_of_a_pool_is_what_it_can_give),
		cmocka_unit_test(a_pool_is_for_those_that_fit_all_it_asks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
