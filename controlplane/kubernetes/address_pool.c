#include "kubernetes/address_pool.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"

// Addresses as numbers

unsigned __int128 address_number(const struct address *address)
{
	return (unsigned __int128)be64toh(address->halves[0]) << 64 | be64toh(address->halves[1]);
}

struct address address_of_number(unsigned __int128 number)
{
	return (struct address){
		.halves = {htobe64((uint64_t)(number >> 64)), htobe64((uint64_t)number)}};
}

// Ranges

bool address_range_has(const struct address_range *range, const struct address *address)
{
	unsigned __int128 number = address_number(address);

	return number >= address_number(&range->first) && number <= address_number(&range->last);
}

bool address_ranges_overlap(const struct address_range *a, const struct address_range *b)
{
	return address_number(&a->first) <= address_number(&b->last) &&
		address_number(&b->first) <= address_number(&a->last);
}

static struct address_range range_of_prefix(const struct address *prefix, uint8_t length)
{
	unsigned bits = address_is_ipv4(prefix) ? 32 : 128;
	unsigned __int128 all = ~(unsigned __int128)0, number = address_number(prefix);
	unsigned __int128 rest = length == bits ? 0 : all >> (128 - bits + length);

	return (struct address_range){*prefix, address_of_number(number | rest)};
}

// Whether a host can have all of them, and others can send to them.
static bool is_unicast(const struct address_range *range)
{
	static const char *const others[] = {
		"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "fe80::/10", "ff00::/8"};
	struct address_range other;
	struct address prefix;
	uint8_t length;

	// Of IPv6 what begins with 80 zeros is unspecified, loopback, or IPv4 in some guise.
	if (!address_is_ipv4(&range->first) && address_number(&range->first) >> 48 == 0)
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		prefix_parse(others[i], &prefix, &length);
		other = range_of_prefix(&prefix, length);
		if (address_ranges_overlap(range, &other))
			return false;
	}
	return true;
}

// "first-last".
static int parse_ends(const char *text, const char *dash, struct address_range *ret_range)
{
	char first[ADDRESS_TEXT_MAX];
	size_t len = (size_t)(dash - text);

	if (len >= sizeof(first))
		return -EINVAL;
	memcpy(first, text, len);
	first[len] = '\0';
	if (address_parse(first, &ret_range->first) < 0 ||
		address_parse(dash + 1, &ret_range->last) < 0)
		return -EINVAL;
	if (address_family(&ret_range->first) != address_family(&ret_range->last))
		return -EAFNOSUPPORT;
	return address_number(&ret_range->first) > address_number(&ret_range->last) ? -ERANGE : 0;
}

// Every router of a link answers to the first address of the link's prefix (RFC 4291, 2.6.1), but
// where there are only two, or one (RFC 6164).
static bool is_for_routers(const struct address *first, unsigned length)
{
	return !address_is_ipv4(first) && length < 127;
}

static struct address address_plus(const struct address *address, int n)
{
	return address_of_number(address_number(address) + (unsigned __int128)n);
}

static int parse_prefix(const char *text, struct address_range *ret_range)
{
	struct address prefix;
	uint8_t length;

	if (prefix_parse(text, &prefix, &length) < 0)
		return -EINVAL;
	*ret_range = range_of_prefix(&prefix, length);
	if (is_for_routers(&prefix, length))
		ret_range->first = address_plus(&prefix, 1);
	return 0;
}

int address_range_parse(const char *text, struct address_range *ret_range)
{
	const char *dash = strchr(text, '-');
	struct address_range range;
	int r = dash == NULL ? parse_prefix(text, &range) : parse_ends(text, dash, &range);

	if (r < 0)
		return r;
	if (!is_unicast(&range))
		return -EADDRNOTAVAIL;
	*ret_range = range;
	return 0;
}

int host_address_parse(const char *text, struct address *ret_address)
{
	struct address_range range;
	struct address address;

	if (address_parse(text, &address) < 0 || address_range_parse(text, &range) < 0)
		return -EINVAL;
	*ret_address = address;
	return 0;
}

// The length of the prefix that has these for its ends; 0 if none has.
static unsigned prefix_length(const struct address *first, const struct address *last)
{
	unsigned __int128 rest = address_number(first) ^ address_number(last);
	unsigned length = address_is_ipv4(first) ? 32 : 128;

	if ((rest & (rest + 1)) != 0 || (address_number(first) & rest) != 0)
		return 0;
	for (; rest != 0; rest >>= 1)
		length--;
	return length;
}

// The length of the prefix that is parsed to these ends; 0 if none is.
static unsigned find_prefix(const struct address_range *range, struct address *ret_prefix)
{
	struct address before = address_plus(&range->first, -1);
	unsigned length = prefix_length(&before, &range->last);

	if (length != 0 && is_for_routers(&before, length)) {
		*ret_prefix = before;
		return length;
	}
	length = prefix_length(&range->first, &range->last);
	if (length == 0 || is_for_routers(&range->first, length))
		return 0;
	*ret_prefix = range->first;
	return length;
}

// As a prefix where it is one.
char *address_range_format(const struct address_range *range, char ret_text[RANGE_TEXT_MAX])
{
	char first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];
	struct address prefix;
	unsigned length;

	if (address_equal(&range->first, &range->last))
		return address_format(&range->first, ret_text);

	length = find_prefix(range, &prefix);
	if (length != 0)
		snprintf(ret_text, RANGE_TEXT_MAX, "%s/%u", address_format(&prefix, first), length);
	else
		snprintf(ret_text, RANGE_TEXT_MAX, "%s-%s", address_format(&range->first, first),
			address_format(&range->last, last));
	return ret_text;
}

// Pools

bool address_pool_avoids(const struct address_pool *pool, const struct address *address)
{
	return pool->avoid_edges && address_is_ipv4(address) &&
		(address->bytes[15] == 0 || address->bytes[15] == 255);
}

bool address_pool_leaves_to_routers(const struct address_pool *pool, const struct address *address)
{
	struct address prefix;

	for (size_t i = 0; i < pool->n_ranges; i++) {
		const struct address_range *range = &pool->ranges[i];

		if (find_prefix(range, &prefix) != 0 && address_equal(&prefix, address) &&
			!address_range_has(range, address))
			return true;
	}
	return false;
}

bool address_pool_has(const struct address_pool *pool, const struct address *address)
{
	if (address_pool_avoids(pool, address))
		return false;
	for (size_t i = 0; i < pool->n_ranges; i++) {
		if (address_range_has(&pool->ranges[i], address))
			return true;
	}
	return false;
}

static bool has_text(const char *const *texts, const char *text)
{
	for (; texts != NULL && *texts != NULL; texts++) {
		if (strcmp(*texts, text) == 0)
			return true;
	}
	return false;
}

static bool has_all(const char *const *texts, const struct text_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		if (!has_text(texts, set->texts[i]))
			return false;
	}
	return true;
}

static bool is_one_of(const char *text, const struct text_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->texts[i], text) == 0)
			return true;
	}
	return set->n == 0;
}

bool address_pool_allows(const struct address_pool *pool, const char *space,
	const char *const *space_labels, const char *const *labels)
{
	return is_one_of(space, &pool->namespaces) &&
		has_all(space_labels, &pool->namespace_labels) &&
		has_all(labels, &pool->service_labels);
}

// How many numbers up to 'last' end in a byte that is 0 or 255.
static uint64_t count_edges_to(uint64_t last)
{
	return (last + 1) / 256 * 2 + ((last + 1) % 256 != 0);
}

static unsigned __int128 size_of_range(
	const struct address_pool *pool, const struct address_range *range)
{
	uint64_t first = be32toh(range->first.words[3]), last = be32toh(range->last.words[3]);
	unsigned __int128 size = address_number(&range->last) - address_number(&range->first) + 1;

	if (pool->avoid_edges && address_is_ipv4(&range->first))
		size -= count_edges_to(last) - (first == 0 ? 0 : count_edges_to(first - 1));
	return size;
}

uint64_t address_pool_size(const struct address_pool *pool, enum family family)
{
	unsigned __int128 size = 0;

	for (size_t i = 0; i < pool->n_ranges; i++) {
		if (address_family(&pool->ranges[i].first) == family)
			size += size_of_range(pool, &pool->ranges[i]);
	}
	return size > UINT64_MAX ? UINT64_MAX : (uint64_t)size;
}

// Copies

int text_set_add(struct text_set *set, const char *text)
{
	char **more = realloc(set->texts, (set->n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;

	set->texts = more;
	more[set->n] = strdup(text);
	if (more[set->n] == NULL)
		return -ENOMEM;
	set->n++;
	return 0;
}

static int copy_texts(const struct text_set *from, struct text_set *to)
{
	int r = 0;

	*to = (struct text_set){0};
	for (size_t i = 0; i < from->n && r == 0; i++)
		r = text_set_add(to, from->texts[i]);
	return r;
}

static void free_texts(struct text_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->texts[i]);
	free(set->texts);
}

// What is there of 'to' can be freed in any case.
static int copy_pool(const struct address_pool *from, struct address_pool *to)
{
	*to = *from;
	to->ranges = malloc((from->n_ranges + 1) * sizeof(*to->ranges));
	int r = copy_texts(&from->namespaces, &to->namespaces);
	int s = copy_texts(&from->namespace_labels, &to->namespace_labels);
	int t = copy_texts(&from->service_labels, &to->service_labels);

	if (to->ranges == NULL || r < 0 || s < 0 || t < 0)
		return -ENOMEM;
	memcpy(to->ranges, from->ranges, from->n_ranges * sizeof(*to->ranges));
	return 0;
}

int address_pools_copy(const struct address_pool *pools, size_t n, struct address_pool **ret_pools)
{
	struct address_pool *copies = calloc(n + 1, sizeof(*copies));
	int r = copies == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = copy_pool(&pools[i], &copies[i]);
	if (r < 0) {
		address_pools_free(copies, n);
		return r;
	}
	*ret_pools = copies;
	return 0;
}

void address_pools_free(struct address_pool *pools, size_t n)
{
	for (size_t i = 0; pools != NULL && i < n; i++) {
		free(pools[i].ranges);
		free_texts(&pools[i].namespaces);
		free_texts(&pools[i].namespace_labels);
		free_texts(&pools[i].service_labels);
	}
	free(pools);
}
