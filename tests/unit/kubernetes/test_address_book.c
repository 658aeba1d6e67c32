#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "clock.h"
#include "kubernetes/address_book.h"

#define S(seconds) ((uint64_t)(seconds)*NSEC_PER_SEC)
#define WISH(...) ((struct address_wish){__VA_ARGS__})

// Pools

enum { TEXTS_MAX = 4 };

// A pool as a table can say it.
struct pool_text {
	const char *name;
	const char *ranges[TEXTS_MAX];
	bool on_request;
	bool avoid_edges;
	const char *namespaces[TEXTS_MAX];
	const char *namespace_labels[TEXTS_MAX];
	const char *service_labels[TEXTS_MAX];
};

static void add_texts(struct text_set *set, const char *const texts[TEXTS_MAX])
{
	for (size_t i = 0; i < TEXTS_MAX && texts[i] != NULL; i++)
		assert_int_equal(text_set_add(set, texts[i]), 0);
}

static void make_pool(const struct pool_text *text, struct address_pool *ret_pool)
{
	*ret_pool = (struct address_pool){
		.automatic = !text->on_request, .avoid_edges = text->avoid_edges};
	strcpy(ret_pool->name, text->name);
	ret_pool->ranges = calloc(TEXTS_MAX, sizeof(*ret_pool->ranges));
	assert_non_null(ret_pool->ranges);
	for (size_t i = 0; i < TEXTS_MAX && text->ranges[i] != NULL; i++)
		assert_int_equal(address_range_parse(
					 text->ranges[i], &ret_pool->ranges[ret_pool->n_ranges++]),
			0);
	add_texts(&ret_pool->namespaces, text->namespaces);
	add_texts(&ret_pool->namespace_labels, text->namespace_labels);
	add_texts(&ret_pool->service_labels, text->service_labels);
}

static struct address_pool *make_pools(const struct pool_text *texts, size_t n)
{
	struct address_pool *pools = calloc(n, sizeof(*pools));

	assert_non_null(pools);
	for (size_t i = 0; i < n; i++)
		make_pool(&texts[i], &pools[i]);
	return pools;
}

static void set_pools(struct address_book *book, const struct pool_text *texts, size_t n)
{
	struct address_pool *pools = make_pools(texts, n);

	assert_int_equal(address_book_set_pools(book, pools, n), 0);
	address_pools_free(pools, n);
}

#define SET_POOLS(book, ...)                                     \
	set_pools(book, (const struct pool_text[]){__VA_ARGS__}, \
		sizeof((const struct pool_text[]){__VA_ARGS__}) / sizeof(struct pool_text))

#define POOL(called, ...)                                   \
	{                                                   \
		.name = (called), .ranges = { __VA_ARGS__ } \
	}

// Questions

static struct address_book *book;
static char why[BOOK_WHY_MAX];

static int begin(void **)
{
	book = address_book_create();
	return book == NULL ? -1 : 0;
}

static int end(void **)
{
	address_book_destroy(book);
	return 0;
}

// All at once is forgotten, but for what Services publish.
static void restart(void)
{
	address_book_destroy(book);
	book = address_book_create();
	assert_non_null(book);
}

static struct address at(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static const char *text_of(const struct address addresses[N_FAMILIES])
{
	static char text[2 * ADDRESS_TEXT_MAX];
	char one[ADDRESS_TEXT_MAX];

	*text = '\0';
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		if (address_is_none(&addresses[family]))
			continue;
		if (*text != '\0')
			strcat(text, " ");
		strcat(text, address_format(&addresses[family], one));
	}
	return text;
}

// The namespace is what stands before the slash, and the family IPv4, unless the wish says so.
static enum book_answer ask(struct address_wish wish, uint64_t now_ns, const char **ret_text)
{
	struct address addresses[N_FAMILIES];
	char space[64];

	snprintf(space, sizeof(space), "%.*s", (int)strcspn(wish.owner, "/"), wish.owner);
	wish.space = space;
	if (wish.n_families == 0)
		wish.n_families = 1;
	enum book_answer answer = address_book_ask(book, &wish, now_ns, addresses, why);
	*ret_text = text_of(addresses);
	return answer;
}

static void expect(struct address_wish wish, uint64_t now_ns, const char *text)
{
	const char *got;
	enum book_answer answer = ask(wish, now_ns, &got);

	if (answer != BOOK_GIVEN)
		fail_msg("%s: %s: %s", wish.owner, book_answer_word(answer), why);
	assert_string_equal(got, text);
	assert_string_equal(why, "");
}

// What it keeps is 'text', and 'sentence' is why it has no more.
static void refuse(struct address_wish wish, uint64_t now_ns, enum book_answer want,
	const char *text, const char *sentence)
{
	const char *got;
	enum book_answer answer = ask(wish, now_ns, &got);

	assert_string_equal(why, sentence);
	assert_string_equal(book_answer_word(answer), book_answer_word(want));
	assert_string_equal(got, text);
}

static const char *leaving_of(const char *owner)
{
	struct book_holder holder;

	return address_book_read(book, owner, &holder) ? text_of(holder.leaving) : "nobody";
}

// Free addresses

static void addresses_are_given_in_the_order_of_the_pool(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.6-198.51.100.7", "198.51.100.1"));

	expect(WISH(.owner = "default/a"), 0, "198.51.100.6");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.7");
	expect(WISH(.owner = "default/c"), 0, "198.51.100.1");
	refuse(WISH(.owner = "default/d"), 0, BOOK_EXHAUSTED, "",
		"no IPv4 address is free: in use, or resting, are all 3 of pool edge");
}

static void who_asks_again_keeps_what_it_has(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/30"));

	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");
	expect(WISH(.owner = "default/a"), S(1000), "198.51.100.0");
	assert_string_equal(leaving_of("default/a"), "");
}

static void a_freed_address_rests_for_a_minute(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/31"));
	expect(WISH(.owner = "default/a"), S(1), "198.51.100.0");
	expect(WISH(.owner = "default/b"), S(1), "198.51.100.1");

	address_book_release(book, "default/a", S(100));
	refuse(WISH(.owner = "default/c"), S(160) - 1, BOOK_EXHAUSTED, "",
		"no IPv4 address is free: in use, or resting, are all 2 of pool edge");
	expect(WISH(.owner = "default/c"), S(160), "198.51.100.0");
}

static void freed_addresses_are_used_again_oldest_first(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/30"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");
	expect(WISH(.owner = "default/c"), 0, "198.51.100.2");

	address_book_release(book, "default/c", S(10));
	address_book_release(book, "default/a", S(11));
	address_book_release(book, "default/b", S(12));
	// One that nobody had is older than all.
	expect(WISH(.owner = "default/d"), S(100), "198.51.100.3");
	expect(WISH(.owner = "default/e"), S(100), "198.51.100.2");
	expect(WISH(.owner = "default/f"), S(100), "198.51.100.0");
	expect(WISH(.owner = "default/g"), S(100), "198.51.100.1");
}

static void that_one_more_is_freed_does_not_change_the_order(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/31", "198.51.100.2"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");
	expect(WISH(.owner = "default/c"), 0, "198.51.100.2");

	address_book_release(book, "default/b", S(10));
	address_book_release(book, "default/a", S(11));
	address_book_release(book, "default/c", S(100));
	expect(WISH(.owner = "default/d"), S(100), "198.51.100.1");
	expect(WISH(.owner = "default/e"), S(100), "198.51.100.0");
}

static void who_had_an_address_may_have_it_back_while_it_rests(void **)
{
	struct address first = at("198.51.100.0");

	SET_POOLS(book, POOL("edge", "198.51.100.0/30"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	address_book_release(book, "default/a", S(100));

	refuse(WISH(.owner = "default/b", .requested = {first}), S(101), BOOK_RESTING, "",
		"198.51.100.0 of pool edge was held by default/a less than 60 s ago, and "
		"rests");
	refuse(WISH(.owner = "default/b", .requested = {first}), S(110), BOOK_RESTING, "",
		"198.51.100.0 of pool edge was held by default/a less than 60 s ago, and "
		"rests");
	expect(WISH(.owner = "default/a", .requested = {first}), S(110), "198.51.100.0");
	address_book_release(book, "default/a", S(120));
	expect(WISH(.owner = "default/b", .requested = {first}), S(180), "198.51.100.0");
}

static void a_pool_of_any_size_costs_nothing(void **)
{
	SET_POOLS(book, POOL("edge", "10.0.0.0/8", "2001:db8::/64", "2400::/12"));

	for (unsigned i = 0; i < 1000; i++) {
		char owner[32], text[64];

		snprintf(owner, sizeof(owner), "default/%u", i);
		snprintf(text, sizeof(text), "10.0.%u.%u 2001:db8::%x", i / 256, i % 256, i + 1);
		expect(WISH(.owner = owner, .families = {IPV4, IPV6}, .n_families = 2), 0, text);
	}

	struct book_pool pool;
	address_book_read_pool(book, 0, 0, &pool);
	assert_int_equal(pool.size[IPV4], 1 << 24);
	assert_true(pool.size[IPV6] == UINT64_MAX);
	assert_int_equal(pool.used[IPV6], 1000);
}

// A hundred thousand come and go, a minute after another.
static void what_was_freed_long_ago_costs_nothing_either(void **)
{
	size_t after_many = 0;

	SET_POOLS(book, POOL("edge", "10.0.0.0/8"));
	for (unsigned i = 0; i < 100000; i++) {
		const char *got;

		assert_int_equal(ask(WISH(.owner = "default/a"), S(100 * i), &got), BOOK_GIVEN);
		address_book_release(book, "default/a", S(100 * i + 1));
		if (i == 10000)
			after_many = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks <= after_many + 4096);
}

static void the_search_comes_round_to_what_was_forgotten(void **)
{
	const char *got;
	unsigned n = 2 * BOOK_FREED_MAX;

	SET_POOLS(book, POOL("edge", "10.0.0.0/19")); // As many as 'n'.
	for (unsigned i = 0; i < 3 * n; i++) {
		char text[64];

		snprintf(text, sizeof(text), "10.0.%u.%u", i % n / 256, i % 256);
		assert_int_equal(ask(WISH(.owner = "default/a"), S(100 * i), &got), BOOK_GIVEN);
		assert_string_equal(got, text);
		address_book_release(book, "default/a", S(100 * i + 1));
	}
}

// Leaves 'n' freed addresses, from 10.0.0.0 on.
static void come_and_go(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char owner[32];
		const char *got;

		snprintf(owner, sizeof(owner), "default/%u", i);
		assert_int_equal(ask(WISH(.owner = owner), 0, &got), BOOK_GIVEN);
	}
	for (unsigned i = 0; i < n; i++) {
		char owner[32];

		snprintf(owner, sizeof(owner), "default/%u", i);
		address_book_release(book, owner, S(1));
	}
}

static void the_search_goes_on_where_it_was_when_pools_change(void **)
{
	SET_POOLS(book, POOL("edge", "10.0.0.0/19"));
	come_and_go(BOOK_FREED_MAX + 10);
	expect(WISH(.owner = "default/a"), S(100), "10.0.16.10");
	address_book_release(book, "default/a", S(101)); // The first that were freed are forgotten.

	SET_POOLS(book, POOL("new", "10.0.0.0/19"));
	expect(WISH(.owner = "default/a"), S(200), "10.0.0.0");
	SET_POOLS(book, POOL("new", "10.1.0.0/24", "10.0.0.0/19"));
	expect(WISH(.owner = "default/b"), S(200), "10.0.0.1");
}

// It comes when one more is freed by the very step that asks for it.
static void what_is_forgotten_may_be_given_in_the_same_step(void **)
{
	struct address oldest = at("10.0.0.0"), other = at("10.1.0.0");

	SET_POOLS(book, POOL("edge", "10.0.0.0/19", "10.1.0.0/24"));
	come_and_go(BOOK_FREED_MAX);
	expect(WISH(.owner = "default/a"), S(100), "10.0.16.0");
	expect(WISH(.owner = "default/a", .requested = {other}), S(100), "10.1.0.0");
	expect(WISH(.owner = "default/a", .requested = {oldest}), S(100), "10.0.0.0");
	assert_string_equal(leaving_of("default/a"), "10.0.16.0");
}

static void ten_thousand_services_have_addresses_of_their_own(void **)
{
	static bool seen[16384];

	SET_POOLS(book, POOL("edge", "10.0.0.0/18"));
	for (unsigned i = 0; i < 10000; i++) {
		struct address_wish wish = {.space = "default", .n_families = 1};
		struct address addresses[N_FAMILIES];
		char owner[32];

		snprintf(owner, sizeof(owner), "default/%u", i);
		wish.owner = owner;
		assert_int_equal(address_book_ask(book, &wish, 0, addresses, why), BOOK_GIVEN);

		unsigned index = addresses[IPV4].bytes[14] * 256u + addresses[IPV4].bytes[15];
		assert_false(seen[index]);
		seen[index] = true;
	}
}

// Pools

static void the_first_pool_that_is_for_it_gives(void **)
{
	const char *gold[] = {"tier=gold", "a=b", NULL}, *web[] = {"app=web", NULL};

	SET_POOLS(book, {.name = "named", .ranges = {"198.51.100.1"}, .on_request = true},
		{.name = "shop", .ranges = {"198.51.100.2"}, .namespaces = {"mail", "shop"}},
		{.name = "gold", .ranges = {"198.51.100.3"}, .namespace_labels = {"tier=gold"}},
		{.name = "web",
			.ranges = {"198.51.100.4"},
			.namespace_labels = {"tier=gold"},
			.service_labels = {"app=web"}},
		{.name = "all", .ranges = {"198.51.100.5", "198.51.100.6"}});

	expect(WISH(.owner = "shop/a"), 0, "198.51.100.2");
	expect(WISH(.owner = "default/a", .labels = web), 0, "198.51.100.5");
	expect(WISH(.owner = "default/b", .space_labels = gold), 0, "198.51.100.3");
	expect(WISH(.owner = "default/c", .space_labels = gold, .labels = web), 0, "198.51.100.4");
	// What is full is passed over.
	expect(WISH(.owner = "mail/a"), 0, "198.51.100.6");
	refuse(WISH(.owner = "mail/b"), 0, BOOK_EXHAUSTED, "",
		"no IPv4 address is free: in use, or resting, are all 1 of pool shop, all 2 of "
		"pool "
		"all");
	expect(WISH(.owner = "mail/b", .pool = "named"), 0, "198.51.100.1");
}

static void what_a_pool_leaves_out_is_not_given(void **)
{
	struct address edge = at("198.51.101.0");

	SET_POOLS(book,
		{.name = "edge",
			.ranges = {"198.51.100.254-198.51.101.1", "2001:db8::ff/128",
				"2001:db8::/128"},
			.avoid_edges = true});

	expect(WISH(.owner = "default/a"), 0, "198.51.100.254");
	expect(WISH(.owner = "default/b"), 0, "198.51.101.1");
	refuse(WISH(.owner = "default/c"), 0, BOOK_EXHAUSTED, "",
		"no IPv4 address is free: in use, or resting, are all 2 of pool edge");
	refuse(WISH(.owner = "default/c", .requested = {edge}), 0, BOOK_OUTSIDE, "",
		"pool edge leaves out 198.51.101.0, as all addresses that end in .0 or .255");
	expect(WISH(.owner = "default/c", .families = {IPV6}), 0, "2001:db8::ff");
	expect(WISH(.owner = "default/d", .families = {IPV6}), 0, "2001:db8::");
}

static void what_routers_answer_to_is_not_given_unless_it_is_named(void **)
{
	struct address routers = at("2001:db8::");
	struct book_holder holder;

	SET_POOLS(book, POOL("edge", "2001:db8::/126", "2001:db8:1::/127"));
	expect(WISH(.owner = "default/a", .families = {IPV6}), 0, "2001:db8::1");
	expect(WISH(.owner = "default/b", .families = {IPV6}), 0, "2001:db8::2");
	expect(WISH(.owner = "default/c", .families = {IPV6}), 0, "2001:db8::3");
	expect(WISH(.owner = "default/d", .families = {IPV6}), 0, "2001:db8:1::");
	expect(WISH(.owner = "default/e", .families = {IPV6}), 0, "2001:db8:1::1");
	refuse(WISH(.owner = "default/f", .families = {IPV6}, .requested = {[IPV6] = routers}), 0,
		BOOK_OUTSIDE, "",
		"pool edge leaves out 2001:db8::, the first address of an IPv6 prefix, to which "
		"its routers answer; it is given only where 'addresses' names it by itself");

	// Who was given it before keeps it, and is told.
	expect(WISH(.owner = "default/f", .families = {IPV6}, .published = {[IPV6] = routers},
		       .published_is_ours = true),
		0, "2001:db8::");
	assert_true(address_book_read(book, "default/f", &holder));
	assert_true(holder.is_outside);

	SET_POOLS(book, POOL("edge", "2001:db8::/126", "2001:db8::"));
	assert_true(address_book_read(book, "default/f", &holder));
	assert_false(holder.is_outside);
}

static void an_address_asked_for_is_given_or_refused_with_a_reason(void **)
{
	struct address free = at("198.51.100.7"), held = at("198.51.100.0"),
		       outside = at("192.0.2.1"), shops = at("203.0.113.1"), v6 = at("2001:db8::1");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"),
		{.name = "shop", .ranges = {"203.0.113.0/24"}, .namespaces = {"shop"}});
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");

	expect(WISH(.owner = "default/b", .requested = {free}), 0, "198.51.100.7");
	expect(WISH(.owner = "shop/a", .requested = {shops}), 0, "203.0.113.1");
	refuse(WISH(.owner = "default/c", .requested = {held}), 0, BOOK_TAKEN, "",
		"198.51.100.0 of pool edge is held by default/a");
	refuse(WISH(.owner = "default/c", .requested = {outside}), 0, BOOK_OUTSIDE, "",
		"no pool has 192.0.2.1");
	refuse(WISH(.owner = "default/c", .requested = {shops}), 0, BOOK_FORBIDDEN, "",
		"203.0.113.1 is of pool shop, which is not for default/c by its namespace or "
		"labels");
	refuse(WISH(.owner = "shop/c", .requested = {shops}, .pool = "edge"), 0, BOOK_FORBIDDEN, "",
		"203.0.113.1 is of pool shop, not of pool edge, which is asked for as well");
	refuse(WISH(.owner = "shop/c", .requested = {shops}, .pool = "egde"), 0, BOOK_NO_POOL, "",
		"no pool is called egde");
	refuse(WISH(.owner = "default/c", .requested = {[IPV6] = v6}), 0, BOOK_NO_FAMILY, "",
		"2001:db8::1 is asked for, but default/c has no IPv6");
	refuse(WISH(.owner = "default/c", .pool = "egde"), 0, BOOK_NO_POOL, "",
		"no pool is called egde");
	refuse(WISH(.owner = "default/c", .pool = "shop"), 0, BOOK_FORBIDDEN, "",
		"pool shop is not for default/c by its namespace or labels");
	refuse(WISH(.owner = "shop/c", .pool = "shop", .families = {IPV6}), 0, BOOK_NO_POOL, "",
		"pool shop has no IPv6 addresses");
	refuse(WISH(.owner = "default/c", .families = {IPV6}), 0, BOOK_NO_POOL, "",
		"no pool gives IPv6 addresses to default/c without being asked for by name");
	assert_string_equal(leaving_of("default/c"), "nobody");
}

// Restarts

static void what_is_published_is_kept_over_a_restart(void **)
{
	struct address v4 = at("198.51.100.5"), v6 = at("2001:db8::7");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29", "2001:db8::/64"));
	expect(WISH(.owner = "default/a", .published = {v4, v6}, .families = {IPV6, IPV4},
		       .n_families = 2),
		0, "198.51.100.5 2001:db8::7");
	assert_string_equal(leaving_of("default/a"), "");
	assert_false(address_book_is_outside(book, "default/a"));
}

static void what_another_implementation_published_is_kept_only_if_a_pool_has_it(void **)
{
	struct address outside = at("192.0.2.1"), shops = at("203.0.113.1"),
		       held = at("198.51.100.3");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"),
		{.name = "shop", .ranges = {"203.0.113.0/24"}, .namespaces = {"shop"}});
	expect(WISH(.owner = "default/a", .published = {held}), 0, "198.51.100.3");

	expect(WISH(.owner = "default/b", .published = {outside}), 0, "198.51.100.0");
	expect(WISH(.owner = "default/c", .published = {shops}), 0, "198.51.100.1");
	expect(WISH(.owner = "default/d", .published = {held}), 0, "198.51.100.2");
	// One of the other family is none of this one.
	expect(WISH(.owner = "default/e", .published = {at("2001:db8::1")},
		       .published_is_ours = true),
		0, "198.51.100.4");
}

static void what_we_published_is_kept_if_no_pool_has_it_any_more(void **)
{
	struct address outside = at("192.0.2.1");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .published = {outside}, .published_is_ours = true), 0,
		"192.0.2.1");
	assert_true(address_book_is_outside(book, "default/a"));
	expect(WISH(.owner = "default/b", .published = {outside}, .published_is_ours = true), 0,
		"198.51.100.0");
}

// Whoever may write a Service may write that.
static void what_is_recorded_is_believed_only_if_a_pool_has_it_or_the_status_says_it(void **)
{
	struct address outside = at("192.0.2.1"), shops = at("203.0.113.1"),
		       held = at("198.51.100.3"), published = at("198.51.100.4");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"),
		{.name = "shop", .ranges = {"203.0.113.0/24"}, .namespaces = {"shop"}});
	expect(WISH(.owner = "default/a", .recorded = {held}), 0, "198.51.100.3");

	expect(WISH(.owner = "default/b", .recorded = {held}), 0, "198.51.100.0");
	expect(WISH(.owner = "default/c", .recorded = {outside}, .published_is_ours = true), 0,
		"198.51.100.1");
	expect(WISH(.owner = "default/d", .recorded = {shops}, .published_is_ours = true), 0,
		"198.51.100.2");
	expect(WISH(.owner = "default/e", .recorded = {outside}, .published = {published},
		       .published_is_ours = true),
		0, "198.51.100.4");
	expect(WISH(.owner = "default/f", .recorded = {outside}, .published = {outside}), 0,
		"198.51.100.5");
	expect(WISH(.owner = "default/g", .recorded = {outside}, .published = {outside},
		       .published_is_ours = true),
		0, "192.0.2.1");
}

static void who_gives_no_addresses_believes_the_same(void **)
{
	struct address outside = at("192.0.2.1"), inside = at("198.51.100.3");
	struct address believed[N_FAMILIES];
	struct address_wish wish = WISH(.owner = "default/a", .space = "default",
		.recorded = {outside}, .published = {inside}, .published_is_ours = true);

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/b", .requested = {inside}), 0, "198.51.100.3");
	address_book_believe(book, &wish, believed);
	assert_string_equal(text_of(believed), "198.51.100.3");
	wish.published[IPV4] = outside;
	address_book_believe(book, &wish, believed);
	assert_string_equal(text_of(believed), "192.0.2.1");
	wish.published_is_ours = false;
	address_book_believe(book, &wish, believed);
	assert_string_equal(text_of(believed), "");
}

// What is not for Services

static void reserve(const char *address, const char *node)
{
	struct reserved_address reserved = {.address = at(address)};

	strcpy(reserved.node, node);
	assert_int_equal(address_book_reserve(book, &reserved, 1), 0);
}

static void the_address_of_a_node_is_not_given(void **)
{
	struct address nodes = at("198.51.100.0"), other = at("198.51.100.1");

	SET_POOLS(book, POOL("edge", "198.51.100.0/31"));
	reserve("198.51.100.0", "n1");
	refuse(WISH(.owner = "default/a", .requested = {nodes}), 0, BOOK_TAKEN, "",
		"198.51.100.0 of pool edge is an address of node n1");
	expect(WISH(.owner = "default/a", .recorded = {nodes}), 0, "198.51.100.1");
	refuse(WISH(.owner = "default/b"), 0, BOOK_EXHAUSTED, "",
		"no IPv4 address is free: in use, or resting, are all 2 of pool edge");

	// But a node that comes takes it from nobody, now or after a restart.
	reserve("198.51.100.1", "n1");
	expect(WISH(.owner = "default/a"), 0, "198.51.100.1");
	restart();
	SET_POOLS(book, POOL("edge", "198.51.100.0/31"));
	reserve("198.51.100.1", "n1");
	expect(WISH(.owner = "default/a", .published = {other}, .published_is_ours = true), 0,
		"198.51.100.1");
}

static void a_nodes_address_that_rested_is_not_given_either(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/31"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");
	address_book_release(book, "default/a", S(1));
	address_book_release(book, "default/b", S(2));
	reserve("198.51.100.0", "n1");
	expect(WISH(.owner = "default/c"), S(100), "198.51.100.1");
}

static void what_the_file_has_is_the_files(void **)
{
	struct address files = at("192.0.2.1");
	const struct address_wish wish =
		WISH(.owner = "default/a", .published = {files}, .published_is_ours = true);

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(wish, 0, "192.0.2.1");
	reserve("192.0.2.1", "");
	expect(wish, 0, "198.51.100.0");
	assert_string_equal(leaving_of("default/a"), "");
	restart();
	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	reserve("192.0.2.1", "");
	expect(wish, 0, "198.51.100.0");
}

static void a_change_that_a_restart_came_between_is_finished(void **)
{
	struct address old = at("198.51.100.5"), new = at("198.51.100.6");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	restart();
	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .published = {old}, .requested = {new}), 0,
		"198.51.100.6");
	assert_string_equal(leaving_of("default/a"), "198.51.100.5");
}

// Changes

static void the_new_address_serves_before_the_old_goes(void **)
{
	struct address first = at("198.51.100.0"), other = at("198.51.100.5");
	const struct address_wish wish = WISH(.owner = "default/a", .requested = {other});

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");

	expect(wish, S(1), "198.51.100.5");
	assert_string_equal(leaving_of("default/a"), "198.51.100.0");
	refuse(WISH(.owner = "default/b", .requested = {first}), S(100), BOOK_TAKEN, "",
		"198.51.100.0 of pool edge is held by default/a");
	expect(wish, S(100), "198.51.100.5");

	address_book_settle(book, "default/a", S(100));
	assert_string_equal(leaving_of("default/a"), "");
	expect(WISH(.owner = "default/b", .requested = {first}), S(160), "198.51.100.0");
}

static void a_change_may_be_taken_back_before_it_is_settled(void **)
{
	struct address first = at("198.51.100.0"), other = at("198.51.100.5");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/a", .requested = {other}), S(1), "198.51.100.5");
	expect(WISH(.owner = "default/a", .requested = {first}), S(2), "198.51.100.0");
	assert_string_equal(leaving_of("default/a"), "");
	expect(WISH(.owner = "default/b", .requested = {other}), S(62), "198.51.100.5");
}

// What serves is the first, until it is settled; the second never did.
static void of_two_changes_in_a_row_the_first_address_stays_until_it_is_settled(void **)
{
	struct address second = at("198.51.100.5"), third = at("198.51.100.6");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/a", .requested = {second}), S(1), "198.51.100.5");
	expect(WISH(.owner = "default/a", .requested = {third}), S(2), "198.51.100.6");
	assert_string_equal(leaving_of("default/a"), "198.51.100.0");
	expect(WISH(.owner = "default/b", .requested = {second}), S(62), "198.51.100.5");
}

static void who_is_refused_a_change_keeps_what_it_has(void **)
{
	struct address held = at("198.51.100.1"), outside = at("192.0.2.1");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");

	refuse(WISH(.owner = "default/a", .requested = {held}), 0, BOOK_TAKEN, "198.51.100.0",
		"198.51.100.1 of pool edge is held by default/b");
	refuse(WISH(.owner = "default/a", .requested = {outside}), 0, BOOK_OUTSIDE, "198.51.100.0",
		"no pool has 192.0.2.1");
	refuse(WISH(.owner = "default/a", .pool = "other"), 0, BOOK_NO_POOL, "198.51.100.0",
		"no pool is called other");
	assert_string_equal(leaving_of("default/a"), "");
}

static void another_pool_is_another_address(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/29"), POOL("other", "203.0.113.0/29"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/a", .pool = "edge"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/a", .pool = "other"), 0, "203.0.113.0");
	assert_string_equal(leaving_of("default/a"), "198.51.100.0");
	expect(WISH(.owner = "default/a"), 0, "203.0.113.0");
}

static void a_pool_that_shrinks_keeps_what_is_in_use(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/30"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");

	SET_POOLS(book, POOL("edge", "198.51.100.1-198.51.100.2"));
	assert_true(address_book_is_outside(book, "default/a"));
	assert_false(address_book_is_outside(book, "default/b"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/c"), 0, "198.51.100.2");
	refuse(WISH(.owner = "default/d"), 0, BOOK_EXHAUSTED, "",
		"no IPv4 address is free: in use, or resting, are all 2 of pool edge");

	SET_POOLS(book, POOL("edge", "198.51.100.0/30"));
	assert_false(address_book_is_outside(book, "default/a"));
	expect(WISH(.owner = "default/d"), 0, "198.51.100.3");
}

static void what_rests_goes_on_resting_when_pools_change(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/31"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");
	address_book_release(book, "default/b", S(100));
	address_book_release(book, "default/a", S(101));

	SET_POOLS(book, POOL("other", "203.0.113.0/32"));
	SET_POOLS(book, POOL("new", "198.51.100.0/31"));
	refuse(WISH(.owner = "default/c"), S(159), BOOK_EXHAUSTED, "",
		"no IPv4 address is free: in use, or resting, are all 2 of pool new");
	expect(WISH(.owner = "default/c"), S(161), "198.51.100.1");
	expect(WISH(.owner = "default/d"), S(161), "198.51.100.0");
}

static void a_pool_that_is_for_others_now_is_kept_and_said(void **)
{
	const char *labels[] = {"a=b", NULL};

	SET_POOLS(book, {.name = "edge", .ranges = {"198.51.100.0/30"}, .service_labels = {"a=b"}});
	expect(WISH(.owner = "default/a", .labels = labels), 0, "198.51.100.0");
	assert_false(address_book_is_outside(book, "default/a"));
	expect(WISH(.owner = "default/a"), 0, "198.51.100.0");
	assert_true(address_book_is_outside(book, "default/a"));
}

// Two families

#define DUAL .families = {IPV4, IPV6}, .n_families = 2

static void families_may_come_from_different_pools(void **)
{
	SET_POOLS(book, POOL("old", "198.51.100.0/30"), POOL("new", "2001:db8::/64"));
	expect(WISH(.owner = "default/a", DUAL), 0, "198.51.100.0 2001:db8::1");
}

static void what_prefers_two_families_gets_the_second_when_there_is_one(void **)
{
	SET_POOLS(book, POOL("old", "198.51.100.0/30"));
	refuse(WISH(.owner = "default/a", DUAL), 0, BOOK_PARTLY, "198.51.100.0",
		"no pool gives IPv6 addresses to default/a without being asked for by name");
	SET_POOLS(book, POOL("old", "198.51.100.0/30"), POOL("new", "2001:db8::/64"));
	expect(WISH(.owner = "default/a", DUAL), 0, "198.51.100.0 2001:db8::1");

	// And loses it when it does not want it any more.
	expect(WISH(.owner = "default/a"), S(1), "198.51.100.0");
	assert_string_equal(leaving_of("default/a"), "2001:db8::1");
	address_book_settle(book, "default/a", S(2));
	expect(WISH(.owner = "default/a", DUAL), S(3), "198.51.100.0 2001:db8::2");
}

static void the_first_family_is_required(void **)
{
	SET_POOLS(book, POOL("old", "198.51.100.0/30"));
	refuse(WISH(.owner = "default/a", .families = {IPV6, IPV4}, .n_families = 2), 0,
		BOOK_NO_POOL, "",
		"no pool gives IPv6 addresses to default/a without being asked for by name");
}

static void what_is_not_asked_for_now_is_kept_for_later(void **)
{
	struct address addresses[N_FAMILIES];
	struct address_wish none =
		WISH(.owner = "default/a", .space = "default", .keeps = {[IPV6] = true});

	SET_POOLS(book, POOL("edge", "198.51.100.0/30", "2001:db8::/64"));
	expect(WISH(.owner = "default/a", DUAL), 0, "198.51.100.0 2001:db8::1");
	expect(WISH(.owner = "default/a", .keeps = {true, true}), 0, "198.51.100.0 2001:db8::1");
	// Of a family that it has no more, nothing is.
	assert_int_equal(address_book_ask(book, &none, 0, addresses, why), BOOK_GIVEN);
	assert_string_equal(text_of(addresses), "2001:db8::1");
	assert_string_equal(leaving_of("default/a"), "198.51.100.0");
}

static void what_requires_two_families_gets_both_or_none(void **)
{
	SET_POOLS(book, POOL("old", "198.51.100.0/30"));
	refuse(WISH(.owner = "default/a", DUAL, .all_or_nothing = true), 0, BOOK_NO_POOL, "",
		"no pool gives IPv6 addresses to default/a without being asked for by name");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.0"); // It was not used up.

	// What was there before stays.
	refuse(WISH(.owner = "default/b", DUAL, .all_or_nothing = true), 0, BOOK_NO_POOL,
		"198.51.100.0",
		"no pool gives IPv6 addresses to default/b without being asked for by name");
}

// Sharing

static const struct book_port http[] = {{IPPROTO_TCP, 80}}, https[] = {{IPPROTO_TCP, 443}},
			      http3[] = {{IPPROTO_UDP, 443}},
			      web[] = {{IPPROTO_TCP, 443}, {IPPROTO_TCP, 80}};

#define PORTS(of) .ports = (of), .n_ports = sizeof(of) / sizeof((of)[0])

static void services_of_a_key_share_an_address(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(http)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(https)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/c", .sharing = "k", PORTS(http3)), 0, "198.51.100.0");
	// A port that is another's, another key, no key, another namespace.
	expect(WISH(.owner = "default/d", .sharing = "k", PORTS(web)), 0, "198.51.100.1");
	expect(WISH(.owner = "default/e", .sharing = "l", PORTS(http)), 0, "198.51.100.2");
	expect(WISH(.owner = "default/f", PORTS(http)), 0, "198.51.100.3");
	expect(WISH(.owner = "shop/a", .sharing = "k", PORTS(http)), 0, "198.51.100.4");
}

static void of_several_addresses_of_a_key_one_is_shared_that_has_the_ports_free(void **)
{
	const struct book_port both[] = {{IPPROTO_TCP, 80}, {IPPROTO_UDP, 443}};

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(http)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(both)), 0, "198.51.100.1");
	expect(WISH(.owner = "default/c", .sharing = "k", PORTS(http)), 0, "198.51.100.2");
	expect(WISH(.owner = "default/d", .sharing = "k", PORTS(https)), 0, "198.51.100.2");
	expect(WISH(.owner = "default/e", .sharing = "k", PORTS(web)), 0, "198.51.100.3");
	address_book_release(book, "default/a", 0);
	address_book_release(book, "default/c", 0);
	expect(WISH(.owner = "default/f", .sharing = "k", PORTS(http)), 0, "198.51.100.2");
}

static void what_is_leaving_is_shared_by_the_key_of_today(void **)
{
	struct address other = at("203.0.113.0");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"), POOL("other", "203.0.113.0/29"));
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(http)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/a", .sharing = "l", PORTS(http), .requested = {other}), 0,
		"203.0.113.0");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(https), .pool = "edge"), 0,
		"198.51.100.1");
	expect(WISH(.owner = "default/c", .sharing = "l", PORTS(https), .pool = "edge"), 0,
		"198.51.100.0");
}

static void an_address_is_shared_by_name_only_where_it_may_be(void **)
{
	struct address first = at("198.51.100.0");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(web), .requested = {first}), 0,
		"198.51.100.0");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(http3), .requested = {first}), 0,
		"198.51.100.0");
	refuse(WISH(.owner = "default/c", .sharing = "k", PORTS(http), .requested = {first}), 0,
		BOOK_TAKEN, "",
		"198.51.100.0 of pool edge is held by default/a, which has port 80/TCP too");
	refuse(WISH(.owner = "default/c", PORTS(http), .requested = {first}), 0, BOOK_TAKEN, "",
		"198.51.100.0 of pool edge is held by default/b");
	refuse(WISH(.owner = "shop/a", .sharing = "k", PORTS(http), .requested = {first}), 0,
		BOOK_TAKEN, "", "198.51.100.0 of pool edge is held by default/b");
}

static void a_shared_address_is_free_when_the_last_is_gone(void **)
{
	struct address first = at("198.51.100.0");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(http)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(https)), 0, "198.51.100.0");
	address_book_release(book, "default/a", S(10));
	refuse(WISH(.owner = "default/c", .requested = {first}), S(100), BOOK_TAKEN, "",
		"198.51.100.0 of pool edge is held by default/b");
	address_book_release(book, "default/b", S(100));
	refuse(WISH(.owner = "default/c", .requested = {first}), S(101), BOOK_RESTING, "",
		"198.51.100.0 of pool edge was held by default/b less than 60 s ago, and "
		"rests");
	// Nobody shares what nobody has.
	expect(WISH(.owner = "default/c", .sharing = "k", PORTS(http)), S(101), "198.51.100.1");
}

static void who_takes_a_port_of_another_goes_elsewhere(void **)
{
	struct address first = at("198.51.100.0");

	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(http)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(https)), 0, "198.51.100.0");

	refuse(WISH(.owner = "default/b", .sharing = "k", PORTS(web), .requested = {first}), 0,
		BOOK_TAKEN, "",
		"198.51.100.0 of pool edge is held by default/a, which has port 80/TCP too");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(web)), 0, "198.51.100.1");
	assert_string_equal(leaving_of("default/b"), "");
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(http)), 0, "198.51.100.0");
}

static void who_changes_its_key_goes_elsewhere_if_it_is_not_alone(void **)
{
	SET_POOLS(book, POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", .sharing = "k", PORTS(http)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b", .sharing = "k", PORTS(https)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/b", .sharing = "l", PORTS(https)), 0, "198.51.100.1");
	expect(WISH(.owner = "default/a", .sharing = "l", PORTS(http)), 0, "198.51.100.0");
	// Both addresses are of that key now, and either will do.
	expect(WISH(.owner = "default/c", .sharing = "l", PORTS(https)), 0, "198.51.100.0");
	expect(WISH(.owner = "default/d", .sharing = "k", PORTS(http3)), 0, "198.51.100.2");
}

// Counts

static void count(void *argument, const struct book_holder *holder)
{
	size_t *n = argument;

	assert_true(strncmp(holder->owner, "default/", 8) == 0);
	(*n)++;
}

static void pools_and_holders_are_counted(void **)
{
	struct book_pool pool;
	size_t n = 0;

	SET_POOLS(book, POOL("v6", "2001:db8::/126"), POOL("edge", "198.51.100.0/29"));
	expect(WISH(.owner = "default/a", DUAL), 0, "198.51.100.0 2001:db8::1");
	expect(WISH(.owner = "default/b"), 0, "198.51.100.1");
	expect(WISH(.owner = "default/c"), 0, "198.51.100.2");
	address_book_release(book, "default/b", S(10));
	address_book_release(book, "default/c", S(20));

	assert_int_equal(address_book_count_pools(book), 2);
	address_book_read_pool(book, 1, S(69), &pool);
	assert_string_equal(pool.name, "edge");
	assert_int_equal(pool.size[IPV4], 8);
	assert_int_equal(pool.used[IPV4], 1);
	assert_int_equal(pool.resting[IPV4], 2);
	assert_int_equal(pool.size[IPV6], 0);
	address_book_read_pool(book, 1, S(70), &pool);
	assert_int_equal(pool.resting[IPV4], 1);
	address_book_read_pool(book, 0, S(70), &pool);
	assert_int_equal(pool.size[IPV6], 3);
	assert_int_equal(pool.used[IPV6], 1);
	address_book_each(book, count, &n);
	assert_int_equal(n, 1);
}

static void every_answer_has_its_word(void **)
{
	for (enum book_answer answer = 0; answer < N_BOOK_ANSWERS; answer++)
		assert_true(strlen(book_answer_word(answer)) > 0);
}

// Against a plain model
//
// The model has no indexes and no queues: it looks at everybody's addresses before and after each
// step, at the pools, and at when each address was last seen held.

enum { OWNERS = 14, STEPS = 60000, PORT_BITS = 3, KNOWN_MAX = 64 };

static const char *const owner_names[OWNERS] = {"default/a", "default/b", "default/c", "default/d",
	"default/e", "default/f", "default/g", "shop/a", "shop/b", "shop/c", "shop/d", "shop/e",
	"shop/f", "shop/g"};
static const char *const spaces[2] = {"default", "shop"};
static const char *const keys[] = {NULL, NULL, "k", "l"};

static const struct pool_text variants[][3] = {
	{POOL("edge", "198.51.100.0/29", "2001:db8::/125"),
		{.name = "shop", .ranges = {"203.0.113.8-203.0.113.11"}, .namespaces = {"shop"}},
		{.name = "named",
			.ranges = {"192.0.2.254-192.0.3.1", "2001:db8:1::/126"},
			.on_request = true,
			.avoid_edges = true}},
	{POOL("edge", "198.51.100.2-198.51.100.5", "2001:db8::4/126"),
		{.name = "shop", .ranges = {"203.0.113.8/32"}},
		{.name = "named", .ranges = {"192.0.3.1", "198.51.100.0"}}},
};

// An address that some owner had, or asked for.
struct known {
	struct address address;
	bool was_freed;
	uint64_t freed_ns;
	size_t last_owner;
};

// As it asked last, and what it has.
struct party {
	const char *space;
	const char *sharing;
	unsigned ports; // A bit each.
	struct book_holder has;
};

struct reference {
	struct party parties[OWNERS];
	struct known known[KNOWN_MAX];
	size_t n_known;
	struct address_pool *pools; // [3]
	uint64_t now_ns;
	uint64_t random;
};

static unsigned draw(struct reference *r, unsigned n)
{
	r->random += 0x9e3779b97f4a7c15;
	return (unsigned)(mix(r->random) >> 33) % n;
}

static struct known *know(struct reference *r, const struct address *address)
{
	for (size_t i = 0; i < r->n_known; i++) {
		if (address_equal(&r->known[i].address, address))
			return &r->known[i];
	}
	assert_true(r->n_known < KNOWN_MAX);
	r->known[r->n_known].address = *address;
	return &r->known[r->n_known++];
}

static bool has(const struct party *party, const struct address *address)
{
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		if (address_equal(&party->has.address[family], address) ||
			address_equal(&party->has.leaving[family], address))
			return true;
	}
	return false;
}

static bool may_share(const struct party *a, const struct party *b)
{
	return a->sharing != NULL && b->sharing != NULL && strcmp(a->sharing, b->sharing) == 0 &&
		strcmp(a->space, b->space) == 0 && (a->ports & b->ports) == 0;
}

static bool is_held(const struct reference *r, const struct address *address)
{
	for (size_t i = 0; i < OWNERS; i++) {
		if (has(&r->parties[i], address))
			return true;
	}
	return false;
}

static bool is_held_against(const struct reference *r, size_t owner, const struct address *address)
{
	for (size_t i = 0; i < OWNERS; i++) {
		if (i != owner && has(&r->parties[i], address) &&
			!may_share(&r->parties[i], &r->parties[owner]))
			return true;
	}
	return false;
}

static const struct address_pool *pool_of(const struct reference *r, const struct address *address)
{
	for (size_t i = 0; i < 3; i++) {
		if (address_pool_has(&r->pools[i], address))
			return &r->pools[i];
	}
	return NULL;
}

static bool rests(struct reference *r, size_t owner, const struct address *address)
{
	const struct known *known = know(r, address);

	return known->was_freed && !is_held(r, address) &&
		r->now_ns < known->freed_ns + S(BOOK_REST_S) && known->last_owner != owner;
}

static void read_all(struct reference *r)
{
	for (size_t i = 0; i < OWNERS; i++) {
		r->parties[i].has = (struct book_holder){0};
		address_book_read(book, owner_names[i], &r->parties[i].has);
	}
}

// Nobody has an address against another's will.
static void check_rights(const struct reference *r)
{
	for (size_t i = 0; i < OWNERS; i++) {
		for (enum family family = IPV4; family < N_FAMILIES; family++) {
			const struct book_holder *holder = &r->parties[i].has;

			if (!address_is_none(&holder->address[family]))
				assert_false(is_held_against(r, i, &holder->address[family]));
			if (!address_is_none(&holder->leaving[family]))
				assert_false(is_held_against(r, i, &holder->leaving[family]));
			assert_true(address_is_none(&holder->address[family]) ||
				!address_equal(&holder->address[family], &holder->leaving[family]));
		}
	}
}

// What one step did to others is nothing.
static void check_others(const struct reference *before, const struct reference *r, size_t owner)
{
	for (size_t i = 0; i < OWNERS; i++) {
		if (i == owner)
			continue;
		assert_memory_equal(before->parties[i].has.address, r->parties[i].has.address,
			sizeof(r->parties[i].has.address));
		assert_memory_equal(before->parties[i].has.leaving, r->parties[i].has.leaving,
			sizeof(r->parties[i].has.leaving));
	}
}

static void note_freed(const struct reference *before, struct reference *r, size_t owner)
{
	for (size_t i = 0; i < r->n_known; i++) {
		struct known *known = &r->known[i];

		if (has(&before->parties[owner], &known->address) && !is_held(r, &known->address)) {
			known->was_freed = true;
			known->freed_ns = r->now_ns;
			known->last_owner = owner;
		}
	}
}

static void check_counts(const struct reference *r)
{
	for (size_t i = 0; i < 3; i++) {
		struct book_pool pool;
		size_t used = 0, resting = 0;

		address_book_read_pool(book, i, r->now_ns, &pool);
		for (size_t j = 0; j < r->n_known; j++) {
			const struct known *known = &r->known[j];

			if (pool_of(r, &known->address) != &r->pools[i])
				continue;
			if (is_held(r, &known->address))
				used++;
			else if (known->was_freed && r->now_ns < known->freed_ns + S(BOOK_REST_S))
				resting++;
		}
		assert_int_equal(pool.used[IPV4] + pool.used[IPV6], used);
		assert_int_equal(pool.resting[IPV4] + pool.resting[IPV6], resting);
	}
}

// An address of one of the pools as they were or are, or of none.
static struct address draw_address(struct reference *r, enum family family)
{
	static const char *const bases[N_FAMILIES][4] = {
		{"198.51.100.0", "203.0.113.8", "192.0.2.254", "192.0.2.77"},
		{"2001:db8::", "2001:db8:1::", "2001:db8::4", "2001:db8:2::"}};
	struct address base = at(bases[family][draw(r, 4)]);

	return address_of_number(address_number(&base) + draw(r, 4));
}

static bool is_for(const struct reference *r, size_t i, const struct address_wish *wish)
{
	const struct address_pool *pool = &r->pools[i];

	return address_pool_allows(pool, wish->space, NULL, NULL) &&
		(wish->pool == NULL ? pool->automatic : strcmp(pool->name, wish->pool) == 0);
}

// Whether some pool has an address that the owner could be given.
static bool has_room(struct reference *r, const struct address_wish *wish, enum family family)
{
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; is_for(r, i, wish) && j < r->pools[i].n_ranges; j++) {
			const struct address_range *range = &r->pools[i].ranges[j];
			unsigned __int128 number = address_number(&range->first);

			for (; number <= address_number(&range->last); number++) {
				struct address address = address_of_number(number);
				const struct known *known = know(r, &address);

				if (address_family(&address) == family &&
					address_pool_has(&r->pools[i], &address) &&
					!is_held(r, &address) &&
					(!known->was_freed ||
						r->now_ns >= known->freed_ns + S(BOOK_REST_S)))
					return true;
			}
		}
	}
	return false;
}

// What it has that it had not may be given to it.
static void check_gift(const struct reference *before, struct reference *r, size_t owner,
	const struct address_wish *wish, enum family family)
{
	const struct address *address = &r->parties[owner].has.address[family];
	const struct address_pool *pool = pool_of(r, address);

	if (address_is_none(address) || has(&before->parties[owner], address))
		return;

	struct reference then = *before;
	then.now_ns = r->now_ns;
	assert_false(rests(&then, owner, address));
	if (wish->published_is_ours && address_equal(address, &wish->published[family]))
		return;
	assert_non_null(pool);
	assert_true(address_pool_allows(pool, wish->space, NULL, NULL));
	if (address_equal(address, &wish->published[family]) ||
		address_equal(address, &wish->recorded[family]))
		return;
	if (wish->pool != NULL)
		assert_string_equal(pool->name, wish->pool);
	if (wish->pool == NULL && !pool->automatic)
		assert_true(
			wish->sharing != NULL || address_equal(address, &wish->requested[family]));
}

// An answer that gives, gives what was asked for.
static void check_answer(const struct reference *before, struct reference *r, size_t owner,
	const struct address_wish *wish, enum book_answer answer)
{
	const struct address *got = r->parties[owner].has.address;
	size_t n = answer == BOOK_GIVEN ? wish->n_families : answer == BOOK_PARTLY ? 1 : 0;

	for (size_t i = 0; i < n; i++) {
		enum family family = wish->families[i];

		assert_int_equal(address_family(&got[family]), family);
		assert_false(address_is_none(&got[family]));
		if (!address_is_none(&wish->requested[family]))
			assert_true(address_equal(&got[family], &wish->requested[family]));
	}
	assert_int_equal(*why == '\0', answer == BOOK_GIVEN);
	if (answer == BOOK_EXHAUSTED && wish->n_families == 1) {
		struct reference then = *before;

		then.now_ns = r->now_ns;
		assert_false(has_room(&then, wish, wish->families[0]));
	}
	if (answer == BOOK_TAKEN && wish->n_families == 1)
		assert_true(is_held_against(r, owner, &wish->requested[wish->families[0]]));
	if (answer == BOOK_RESTING && wish->n_families == 1)
		assert_true(rests(r, owner, &wish->requested[wish->families[0]]));
}

// What it had, and was not given a change of, it has still, unless its ports are another's now.
static void check_kept(const struct reference *before, const struct reference *r, size_t owner,
	const struct address_wish *wish)
{
	for (size_t i = 0; i < wish->n_families; i++) {
		enum family family = wish->families[i];
		const struct address *had = &before->parties[owner].has.address[family];
		const struct party *party = &r->parties[owner];

		if (address_is_none(had) || is_held_against(r, owner, had))
			continue;
		if (address_equal(had, &party->has.address[family]))
			continue;
		// It went for another, and stays until that is settled, if it was.
		assert_false(address_is_none(&party->has.address[family]));
		assert_true(!address_is_none(&wish->requested[family]) || wish->pool != NULL);
		assert_true(has(party, had) ||
			!address_is_none(&before->parties[owner].has.leaving[family]));
	}
}

static struct address_wish draw_wish(struct reference *r, size_t owner, struct book_port *ports)
{
	struct address_wish wish = {.owner = owner_names[owner],
		.space = spaces[owner / 7],
		.ports = ports,
		.n_families = 1 + draw(r, 2),
		.all_or_nothing = draw(r, 2) == 0,
		.published_is_ours = draw(r, 8) == 0};
	unsigned bits = 1 + draw(r, (1 << PORT_BITS) - 1);

	wish.families[0] = draw(r, 2);
	wish.families[1] = 1 - wish.families[0];
	wish.sharing = keys[draw(r, 4)];
	if (draw(r, 5) == 0)
		wish.pool = r->pools[draw(r, 3)].name;
	for (size_t i = 0; i < wish.n_families; i++) {
		if (draw(r, 3) == 0)
			wish.requested[wish.families[i]] = draw_address(r, wish.families[i]);
		if (draw(r, 4) == 0)
			wish.published[wish.families[i]] = draw_address(r, wish.families[i]);
		if (draw(r, 4) == 0)
			wish.recorded[wish.families[i]] = draw_address(r, wish.families[i]);
	}
	for (unsigned i = 0; i < PORT_BITS; i++) {
		if (bits & 1u << i)
			ports[wish.n_ports++] = (struct book_port){IPPROTO_TCP, (uint16_t)(80 + i)};
	}
	r->parties[owner].space = wish.space;
	r->parties[owner].sharing = wish.sharing;
	r->parties[owner].ports = bits;
	return wish;
}

static void know_all(struct reference *r, const struct address_wish *wish)
{
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		if (!address_is_none(&wish->requested[family]))
			know(r, &wish->requested[family]);
		if (!address_is_none(&wish->published[family]))
			know(r, &wish->published[family]);
		if (!address_is_none(&wish->recorded[family]))
			know(r, &wish->recorded[family]);
	}
	for (size_t i = 0; i < OWNERS; i++) {
		for (enum family family = IPV4; family < N_FAMILIES; family++) {
			if (!address_is_none(&r->parties[i].has.address[family]))
				know(r, &r->parties[i].has.address[family]);
		}
	}
}

static enum book_answer step_ask(struct reference *r, size_t owner)
{
	struct book_port ports[PORT_BITS];
	struct address addresses[N_FAMILIES];
	struct address_wish wish = draw_wish(r, owner, ports);
	struct reference before = *r; // With the wish of the owner, and what all had.

	enum book_answer answer = address_book_ask(book, &wish, r->now_ns, addresses, why);
	read_all(r);
	know_all(r, &wish);
	assert_memory_equal(addresses, r->parties[owner].has.address, sizeof(addresses));
	check_others(&before, r, owner);
	for (enum family family = IPV4; family < N_FAMILIES; family++)
		check_gift(&before, r, owner, &wish, family);
	check_answer(&before, r, owner, &wish, answer);
	check_kept(&before, r, owner, &wish);
	note_freed(&before, r, owner);
	return answer;
}

static void step_settle(struct reference *r, size_t owner)
{
	struct reference before = *r;

	address_book_settle(book, owner_names[owner], r->now_ns);
	read_all(r);
	check_others(&before, r, owner);
	assert_memory_equal(before.parties[owner].has.address, r->parties[owner].has.address,
		sizeof(r->parties[owner].has.address));
	assert_string_equal(text_of(r->parties[owner].has.leaving), "");
	note_freed(&before, r, owner);
}

static void step_release(struct reference *r, size_t owner)
{
	struct reference before = *r;

	address_book_release(book, owner_names[owner], r->now_ns);
	read_all(r);
	check_others(&before, r, owner);
	assert_false(address_book_read(book, owner_names[owner], &(struct book_holder){0}));
	note_freed(&before, r, owner);
}

static void step_pools(struct reference *r)
{
	struct reference before = *r;
	unsigned variant = draw(r, 2);

	set_pools(book, variants[variant], 3);
	address_pools_free(r->pools, 3);
	r->pools = make_pools(variants[variant], 3);
	read_all(r);
	check_others(&before, r, OWNERS);
}

static void nothing_that_happens_breaks_a_rule(void **)
{
	struct reference r = {.random = 1};
	size_t n_answers[N_BOOK_ANSWERS] = {0};

	set_pools(book, variants[0], 3);
	r.pools = make_pools(variants[0], 3);
	for (size_t i = 0; i < STEPS; i++) {
		size_t owner = draw(&r, OWNERS);
		unsigned kind = draw(&r, 100);

		if (kind < 60)
			n_answers[step_ask(&r, owner)]++;
		else if (kind < 75)
			step_settle(&r, owner);
		else if (kind < 98)
			step_release(&r, owner);
		else
			step_pools(&r);
		check_rights(&r);
		check_counts(&r);
		r.now_ns += S(draw(&r, 10));
	}
	// All of it came up.
	for (enum book_answer answer = 0; answer < N_BOOK_ANSWERS; answer++) {
		if (answer != BOOK_NO_MEMORY && answer != BOOK_NO_FAMILY && n_answers[answer] < 20)
			fail_msg("%s came up %zu times", book_answer_word(answer),
				n_answers[answer]);
	}
	address_pools_free(r.pools, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(addresses_are_given_in_the_order_of_the_pool),
		TEST(who_asks_again_keeps_what_it_has),
		TEST(a_freed_address_rests_for_a_minute),
		TEST(freed_addresses_are_used_again_oldest_first),
		TEST(that_one_more_is_freed_does_not_change_the_order),
		TEST(who_had_an_address_may_have_it_back_while_it_rests),
		TEST(a_pool_of_any_size_costs_nothing),
		TEST(what_was_freed_long_ago_costs_nothing_either),
		TEST(the_search_comes_round_to_what_was_forgotten),
		TEST(the_search_goes_on_where_it_was_when_pools_change),
		TEST(what_is_forgotten_may_be_given_in_the_same_step),
		TEST(ten_thousand_services_have_addresses_of_their_own),
		TEST(the_first_pool_that_is_for_it_gives),
		TEST(what_a_pool_leaves_out_is_not_given),
		TEST(what_routers_answer_to_is_not_given_unless_it_is_named),
		TEST(an_address_asked_for_is_given_or_refused_with_a_reason),
		TEST(what_is_published_is_kept_over_a_restart),
		TEST(what_another_implementation_published_is_kept_only_if_a_pool_has_it),
		TEST(what_we_published_is_kept_if_no_pool_has_it_any_more),
		TEST(what_is_recorded_is_believed_only_if_a_pool_has_it_or_the_status_says_it),
		TEST(who_gives_no_addresses_believes_the_same),
		TEST(the_address_of_a_node_is_not_given),
		TEST(a_nodes_address_that_rested_is_not_given_either),
		TEST(what_the_file_has_is_the_files),
		TEST(a_change_that_a_restart_came_between_is_finished),
		TEST(the_new_address_serves_before_the_old_goes),
		TEST(a_change_may_be_taken_back_before_it_is_settled),
		TEST(of_two_changes_in_a_row_the_first_address_stays_until_it_is_settled),
		TEST(who_is_refused_a_change_keeps_what_it_has),
		TEST(another_pool_is_another_address),
		TEST(a_pool_that_shrinks_keeps_what_is_in_use),
		TEST(what_rests_goes_on_resting_when_pools_change),
		TEST(a_pool_that_is_for_others_now_is_kept_and_said),
		TEST(families_may_come_from_different_pools),
		TEST(what_prefers_two_families_gets_the_second_when_there_is_one),
		TEST(the_first_family_is_required),
		TEST(what_is_not_asked_for_now_is_kept_for_later),
		TEST(what_requires_two_families_gets_both_or_none),
		TEST(services_of_a_key_share_an_address),
		TEST(of_several_addresses_of_a_key_one_is_shared_that_has_the_ports_free),
		TEST(what_is_leaving_is_shared_by_the_key_of_today),
		TEST(an_address_is_shared_by_name_only_where_it_may_be),
		TEST(a_shared_address_is_free_when_the_last_is_gone),
		TEST(who_takes_a_port_of_another_goes_elsewhere),
		TEST(who_changes_its_key_goes_elsewhere_if_it_is_not_alone),
		TEST(pools_and_holders_are_counted),
		TEST(every_answer_has_its_word),
		TEST(nothing_that_happens_breaks_a_rule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
