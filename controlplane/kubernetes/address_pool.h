#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "name.h"

// The addresses that Services of Kubernetes may be given, as the configuration has them. Pure.

// Both ends belong to it, and are of one family.
struct address_range {
	struct address first;
	struct address last;
};

// Texts of which one or all must fit. Empty: all do.
struct text_set {
	char **texts; // [n]
	size_t n;
};

struct address_pool {
	char name[NAME_TEXT_MAX];
	struct address_range *ranges; // [n_ranges], in the order in which they are used. None has
	size_t n_ranges;              // an address of another, in this pool or another one.
	bool automatic;               // Else its addresses, or it, must be asked for by name.
	bool avoid_edges;             // IPv4 addresses that end in .0 or .255 are none of its.

	// Who may have its addresses. All three must hold.
	struct text_set namespaces;       // One of these,
	struct text_set namespace_labels; // "key=value": a namespace with all of these,
	struct text_set service_labels;   // and a Service with all of these.
};

// "10.0.0.0/24", "10.0.0.1-10.0.0.9", "2001:db8::/64", or one address. An IPv6 prefix shorter than
// /127 is without its first address, which routers have. All that it holds can be a host's. Returns
// 0, or why not: -EINVAL for what is no range, -EAFNOSUPPORT if its ends are of two families,
// -ERANGE if the last comes before the first, -EADDRNOTAVAIL if there are multicast, loopback,
// link-local or unspecified addresses in it.
int address_range_parse(const char *text, struct address_range *ret_range);

// One address that a host can have and others can send to. Returns 0 or -EINVAL.
int host_address_parse(const char *text, struct address *ret_address);

// As it would be parsed. Returns 'ret_text'.
enum { RANGE_TEXT_MAX = 2 * ADDRESS_TEXT_MAX };
char *address_range_format(const struct address_range *range, char ret_text[RANGE_TEXT_MAX]);

bool address_range_has(const struct address_range *range, const struct address *address);
bool address_ranges_overlap(const struct address_range *a, const struct address_range *b);

// As a number, and back.
unsigned __int128 address_number(const struct address *address);
struct address address_of_number(unsigned __int128 number);

// Adds a copy. Returns 0 or -ENOMEM.
int text_set_add(struct text_set *set, const char *text);

// Whether an IPv4 address is one of those that the pool leaves out, whether it has it or not.
bool address_pool_avoids(const struct address_pool *pool, const struct address *address);

// Whether it is the address that a prefix of the pool is without. Another range may have it.
bool address_pool_leaves_to_routers(const struct address_pool *pool, const struct address *address);

// Whether an address may be given out of the pool: it is in one of its ranges, and not avoided.
bool address_pool_has(const struct address_pool *pool, const struct address *address);

// Whether a Service may have its addresses. Labels are "key=value" and end with NULL; NULL is none.
bool address_pool_allows(const struct address_pool *pool, const char *space,
	const char *const *space_labels, const char *const *labels);

// How many addresses of a family may be given out of it; UINT64_MAX if there are more.
uint64_t address_pool_size(const struct address_pool *pool, enum family family);

// Copies all of it. Returns 0 or -ENOMEM.
int address_pools_copy(const struct address_pool *pools, size_t n, struct address_pool **ret_pools);

// Frees what is in them, and them. Accepts NULL.
void address_pools_free(struct address_pool *pools, size_t n);
