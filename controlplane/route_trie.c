#include "route_trie.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Shorter prefixes go in first, and each longer one writes over them. So a prefix never meets a
// deeper step than its own last one, and nothing has to be pushed down: a new step begins as a copy
// of the entry that it takes the place of, 256 times.
//
// What it costs is steps of 1 kB. IPv4 neighbours share theirs: 16 000 take 0.5 MB and 2 ms. IPv6
// neighbours with random addresses have about six of their own each: 1000 take 6 MB and 2.4 ms,
// 4000 take 24 MB and 13 ms, and near 45 000 ROUTE_STEPS_MAX is met. What would change our mind:
// links with more than a few thousand of them; then the lower half is better a hash.

struct build {
	const struct route **routes; // [n], shorter prefixes first.
	struct route_step *steps;    // [n_steps], with room for 'room'.
	size_t n;
	size_t n_steps;
	size_t room;
};

static const uint8_t *bytes_of(enum family family, const struct address *address)
{
	return family == IPV4 ? &address->bytes[12] : address->bytes;
}

static bool is_valid(enum family family, const struct route *route)
{
	size_t n_bytes = family == IPV4 ? 4 : 16, length = route->length;
	const uint8_t *bytes = bytes_of(family, &route->prefix);

	if (length > n_bytes * 8)
		return false;
	if (length % 8 != 0 && (uint8_t)(bytes[length / 8] << length % 8) != 0)
		return false;
	for (size_t i = (length + 7) / 8; i < n_bytes; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

// "::/0" is no address, and of IPv6.
static int take_routes(
	struct build *b, enum family family, const struct route *routes, size_t n_routes)
{
	for (size_t i = 0; i < n_routes; i++) {
		if (address_family(&routes[i].prefix) != family)
			continue;
		if (!is_valid(family, &routes[i]))
			return -EINVAL;
		if (b->n == ROUTES_MAX)
			return -E2BIG;
		b->routes[b->n++] = &routes[i];
	}
	return 0;
}

// Of two with one prefix the lower next hop comes last, and stays.
static int compare_routes(const void *left, const void *right)
{
	const struct route *a = *(const struct route *const *)left;
	const struct route *b = *(const struct route *const *)right;

	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;

	int prefixes = memcmp(&a->prefix, &b->prefix, sizeof(a->prefix));
	return prefixes != 0 ? prefixes : (int)b->next_hop - (int)a->next_hop;
}

static int add_step(struct build *b, uint32_t entry, uint32_t *ret_step)
{
	if (b->n_steps == ROUTE_STEPS_MAX)
		return -E2BIG;
	if (b->n_steps == b->room) {
		size_t room = b->room == 0 ? 16 : b->room * 2;
		struct route_step *steps = realloc(b->steps, room * sizeof(*steps));

		if (steps == NULL)
			return -ENOMEM;
		b->steps = steps;
		b->room = room;
	}
	for (size_t i = 0; i < 256; i++)
		b->steps[b->n_steps].entries[i] = entry;
	*ret_step = (uint32_t)b->n_steps++;
	return 0;
}

// The step below entry 'byte' of 'step', new if there was none.
static int step_below(struct build *b, uint32_t step, uint8_t byte, uint32_t *ret_step)
{
	uint32_t entry = b->steps[step].entries[byte];

	if (entry & ROUTE_CHILD) {
		*ret_step = entry & ~ROUTE_CHILD;
		return 0;
	}

	int r = add_step(b, entry, ret_step);
	if (r < 0)
		return r;
	b->steps[step].entries[byte] = ROUTE_CHILD | *ret_step;
	return 0;
}

static int put(struct build *b, enum family family, const struct route *route)
{
	const uint8_t *bytes = bytes_of(family, &route->prefix);
	unsigned length = route->length;
	uint32_t step = 0;

	for (; length > 8; length -= 8) {
		int r = step_below(b, step, *bytes++, &step);
		if (r < 0)
			return r;
	}

	// A prefix that ends with this step is a row of its entries; one of no length has them all.
	unsigned first = length == 0 ? 0 : *bytes, n = 1u << (8 - length);
	for (unsigned i = first; i < first + n; i++)
		b->steps[step].entries[i] = route->next_hop;
	return 0;
}

static int build(struct build *b, enum family family, const struct route *routes, size_t n_routes)
{
	uint32_t root;
	int r = take_routes(b, family, routes, n_routes);
	if (r < 0)
		return r;

	qsort(b->routes, b->n, sizeof(*b->routes), compare_routes);
	r = add_step(b, NEXT_HOP_NONE, &root);
	for (size_t i = 0; i < b->n && r == 0; i++)
		r = put(b, family, b->routes[i]);
	return r;
}

int route_trie_build(enum family family, const struct route *routes, size_t n_routes,
	struct route_step **ret_steps, size_t *ret_n_steps)
{
	struct build b = {.routes = malloc((n_routes + 1) * sizeof(*b.routes))};
	int r = b.routes == NULL ? -ENOMEM : build(&b, family, routes, n_routes);

	free(b.routes);
	if (r < 0) {
		free(b.steps);
		return r;
	}
	*ret_steps = b.steps;
	*ret_n_steps = b.n_steps;
	return 0;
}
