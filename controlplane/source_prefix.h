#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"

// Prefixes that a service lets in, as people and Kubernetes write them.

struct prefix {
	struct address address; // Bits past 'length' say nothing.
	uint8_t length;         // In bits of the family: 0 to 32, or 0 to 128.
	uint8_t unused[7];
};
static_assert(sizeof(struct prefix) == 24);

// An allow-list that source_prefixes_reduce() has made, of at least one prefix.
struct source_list {
	struct prefix *prefixes; // [n]
	size_t n;
};

// "10.0.0.0/8", "2001:db8::/32"; without a length, the whole address. Is laxer than prefix_parse()
// where Kubernetes is: bits past the length are cleared, and decimal numbers may begin with zeros
// ("010.1.0.0/08" is 10.0.0.0/8). No space may stand before or after. Returns 0 or -EINVAL.
int source_prefix_parse(const char *text, struct prefix *ret_prefix);

// Makes of a list the one that stands for all lists of the same addresses: bits past the lengths
// cleared, sorted, no prefix within another, no two where one would do. It is never longer, and
// two lists let in the same sources exactly if afterwards they are the same bytes.
//
// A /0 of either family lets everybody in, and so is 0.0.0.0/0 alone. Two halves of a family are
// all of it, but not everybody.
//
// Returns 0, or -EINVAL for a length that is impossible, and then nothing has changed.
int source_prefixes_reduce(struct prefix *prefixes, size_t *n);

// Whether a list that is reduced lets everybody in.
bool source_prefixes_are_all(const struct prefix *prefixes, size_t n);

// The address as a number, and the bits of it past the prefix.
unsigned __int128 source_prefix_number(const struct prefix *prefix);
unsigned __int128 source_prefix_rest(const struct prefix *prefix);
