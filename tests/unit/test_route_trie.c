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
#include "route_trie.h"

static struct route route(const char *prefix, next_hop_id next_hop)
{
	struct route route = {.next_hop = next_hop};

	assert_int_equal(prefix_parse(prefix, &route.prefix, &route.length), 0);
	return route;
}

static const uint8_t *bytes_of(const struct address *address)
{
	return address_is_ipv4(address) ? &address->bytes[12] : address->bytes;
}

static next_hop_id find(const struct route_step *steps, const char *text)
{
	struct address address;

	assert_int_equal(address_parse(text, &address), 0);
	return route_find(steps, bytes_of(&address));
}

static struct route_step *build(enum family family, const struct route *routes, size_t n)
{
	struct route_step *steps;
	size_t n_steps;

	assert_int_equal(route_trie_build(family, routes, n, &steps, &n_steps), 0);
	assert_true(n_steps > 0);
	return steps;
}

static void without_a_route_there_is_no_next_hop(void **)
{
	struct route_step *steps = build(IPV6, NULL, 0);

	assert_int_equal(find(steps, "2001:db8::1"), NEXT_HOP_NONE);
	free(steps);
}

static void the_longest_prefix_wins_whatever_the_order(void **)
{
	struct route routes[] = {
		route("10.1.2.3", 5),
		route("10.0.0.0/8", 1),
		route("10.1.2.0/24", 3),
		route("0.0.0.0/0", 0),
		route("10.1.2.0/25", NEXT_HOP_NONE),
		route("10.1.0.0/16", 2),
		route("10.1.2.128/26", NEXT_HOP_RESOLVE),
		route("::/0", 77),
	};

	for (size_t turned = 0; turned < 8; turned++) {
		struct route_step *steps = build(IPV4, routes, 8);

		assert_int_equal(find(steps, "9.255.255.255"), 0);
		assert_int_equal(find(steps, "10.0.0.1"), 1);
		assert_int_equal(find(steps, "10.2.0.0"), 1);
		assert_int_equal(find(steps, "10.1.3.0"), 2);
		assert_int_equal(find(steps, "10.1.2.255"), 3);
		assert_int_equal(find(steps, "10.1.2.2"), NEXT_HOP_NONE);
		assert_int_equal(find(steps, "10.1.2.3"), 5);
		assert_int_equal(find(steps, "10.1.2.129"), NEXT_HOP_RESOLVE);
		free(steps);

		struct route first = routes[0];
		memmove(&routes[0], &routes[1], 7 * sizeof(routes[0]));
		routes[7] = first;
	}
}

static void the_families_do_not_meet(void **)
{
	struct route routes[] = {route("0.0.0.0/0", 4), route("2001:db8::/32", 6)};
	struct route_step *ipv4 = build(IPV4, routes, 2), *ipv6 = build(IPV6, routes, 2);

	assert_int_equal(find(ipv4, "10.0.0.1"), 4);
	assert_int_equal(find(ipv6, "2001:db8::1"), 6);
	assert_int_equal(find(ipv6, "2001:db9::1"), NEXT_HOP_NONE);
	free(ipv4);
	free(ipv6);
}

static void of_one_prefix_the_lower_next_hop_is_taken(void **)
{
	struct route routes[] = {route("10.0.0.0/8", 7), route("10.0.0.0/8", 3),
		route("10.0.0.0/8", NEXT_HOP_RESOLVE)};
	struct route_step *steps = build(IPV4, routes, 3);

	assert_int_equal(find(steps, "10.0.0.1"), 3);
	free(steps);
}

static void an_address_under_the_default_route_alone_is_found_in_one_step(void **)
{
	struct route routes[] = {route("0.0.0.0/0", 1), route("10.0.0.0/24", 2)};
	struct route_step *steps = build(IPV4, routes, 2);

	assert_int_equal(steps[0].entries[11], 1);
	assert_true(steps[0].entries[10] & ROUTE_CHILD);
	free(steps);
}

// A few bits of each address are random, so that prefixes cover each other at every depth.
static struct route random_route(enum family family, uint64_t *seed)
{
	struct route route = {.next_hop = (next_hop_id)(mix(++*seed) % 1000)};
	unsigned bits = family == IPV4 ? 32 : 128, first = family == IPV4 ? 96 : 0;

	route.length = (uint8_t)(mix(++*seed) % (bits + 1));
	if (family == IPV4)
		route.prefix = address_from_ipv4(0);
	else
		route.prefix.bytes[0] = route.length > 2 ? 0x20 : 0;
	for (unsigned bit = first + 8; bit < first + route.length; bit++) {
		if (mix(++*seed) % 8 == 0)
			route.prefix.bytes[bit / 8] |= 0x80 >> bit % 8;
	}
	return route;
}

static bool covers(const struct route *route, const struct address *address)
{
	unsigned first = address_is_ipv4(address) ? 96 : 0;

	for (unsigned bit = first; bit < first + route->length; bit++) {
		if ((route->prefix.bytes[bit / 8] ^ address->bytes[bit / 8]) & (0x80 >> bit % 8))
			return false;
	}
	return true;
}

// One route after the other, and the best of them.
static next_hop_id find_slowly(const struct route *routes, size_t n, const struct address *address)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!covers(&routes[i], address))
			continue;
		if (best == NULL || routes[i].length > best->length ||
			(routes[i].length == best->length && routes[i].next_hop < best->next_hop))
			best = &routes[i];
	}
	return best == NULL ? NEXT_HOP_NONE : best->next_hop;
}

static void agree_on_random_routes(enum family family, uint64_t seed)
{
	enum { N_ROUTES = 300, N_ADDRESSES = 2000 };
	struct route routes[N_ROUTES];

	for (size_t i = 0; i < N_ROUTES; i++)
		routes[i] = random_route(family, &seed);
	struct route_step *steps = build(family, routes, N_ROUTES);

	for (size_t i = 0; i < N_ADDRESSES; i++) {
		struct address address = routes[mix(++seed) % N_ROUTES].prefix;
		unsigned bit =
			(family == IPV4 ? 96 : 0) + mix(++seed) % (family == IPV4 ? 32 : 128);

		address.bytes[bit / 8] ^= 0x80 >> bit % 8;
		assert_int_equal(route_find(steps, bytes_of(&address)),
			find_slowly(routes, N_ROUTES, &address));
	}
	free(steps);
}

static void it_agrees_with_looking_at_one_route_after_the_other(void **)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		agree_on_random_routes(IPV4, seed << 32);
		agree_on_random_routes(IPV6, seed << 32);
	}
}

static void what_is_no_prefix_is_refused(void **)
{
	struct route bits_past = route("10.0.0.0/8", 1);
	struct route bits_far_past = route("10.0.0.0/8", 1);
	struct route too_long = route("10.0.0.0/8", 1);
	struct route_step *steps = NULL;
	size_t n_steps;

	bits_past.length = 6;
	bits_far_past.prefix.bytes[15] = 1;
	too_long.length = 33;
	assert_int_equal(route_trie_build(IPV4, &bits_past, 1, &steps, &n_steps), -EINVAL);
	assert_int_equal(route_trie_build(IPV4, &bits_far_past, 1, &steps, &n_steps), -EINVAL);
	assert_int_equal(route_trie_build(IPV4, &too_long, 1, &steps, &n_steps), -EINVAL);
	assert_null(steps);
}

static void more_routes_than_documented_are_refused(void **)
{
	struct route *routes = calloc(ROUTES_MAX + 1, sizeof(*routes));
	struct route_step *steps = NULL;
	size_t n_steps;

	assert_non_null(routes);
	for (uint32_t i = 0; i <= ROUTES_MAX; i++)
		routes[i] = (struct route){
			address_from_ipv4(__builtin_bswap32(0x0a000000 + (i << 4))), 28, 1};
	assert_int_equal(route_trie_build(IPV4, routes, ROUTES_MAX + 1, &steps, &n_steps), -E2BIG);
	assert_null(steps);
	assert_int_equal(route_trie_build(IPV4, routes, ROUTES_MAX, &steps, &n_steps), 0);
	assert_int_equal(find(steps, "10.15.255.255"), 1);
	assert_int_equal(find(steps, "10.16.0.0"), NEXT_HOP_NONE);
	free(steps);
	free(routes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_route_there_is_no_next_hop),
		cmocka_unit_test(the_longest_prefix_wins_whatever_the_order),
		cmocka_unit_test(the_families_do_not_meet),
		cmocka_unit_test(of_one_prefix_the_lower_next_hop_is_taken),
		cmocka_unit_test(an_address_under_the_default_route_alone_is_found_in_one_step),
		cmocka_unit_test(it_agrees_with_looking_at_one_route_after_the_other),
		cmocka_unit_test(what_is_no_prefix_is_refused),
		cmocka_unit_test(more_routes_than_documented_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
