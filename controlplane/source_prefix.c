#include "source_prefix.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"

static unsigned bits_of(const struct address *address)
{
	return address_is_ipv4(address) ? 32 : 128;
}

unsigned __int128 source_prefix_number(const struct prefix *prefix)
{
	const uint64_t *halves = prefix->address.halves;

	return (unsigned __int128)be64toh(halves[0]) << 64 | be64toh(halves[1]);
}

unsigned __int128 source_prefix_rest(const struct prefix *prefix)
{
	unsigned rest = bits_of(&prefix->address) - prefix->length;

	// A shift by all bits of a number is undefined.
	return rest == 128 ? ~(unsigned __int128)0 : ((unsigned __int128)1 << rest) - 1;
}

static void clear_rest(struct prefix *prefix)
{
	unsigned __int128 number = source_prefix_number(prefix) & ~source_prefix_rest(prefix);

	prefix->address.halves[0] = htobe64((uint64_t)(number >> 64));
	prefix->address.halves[1] = htobe64((uint64_t)number);
	memset(prefix->unused, 0, sizeof(prefix->unused));
}

// Texts

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// Leaves out zeros that a decimal number begins with. Returns 0, or -EINVAL for a text too long to
// be a prefix.
static int drop_zeros(const char *text, char ret_text[PREFIX_TEXT_MAX])
{
	bool begins = strchr(text, ':') == NULL; // A number of IPv6 is not decimal.
	size_t len = 0;

	for (const char *at = text; *at != '\0'; at++) {
		begins |= at > text && (at[-1] == '.' || at[-1] == '/');
		if (begins && at[0] == '0' && is_digit(at[1]))
			continue;
		begins = false;
		if (len == PREFIX_TEXT_MAX - 1)
			return -EINVAL;
		ret_text[len++] = *at;
	}
	ret_text[len] = '\0';
	return 0;
}

// The length alone: that of the prefix of its family which has no bits to object to.
static int parse_length(const char *slash, const struct address *address, uint8_t *ret_length)
{
	char text[PREFIX_TEXT_MAX + 8];
	struct address nothing;

	snprintf(text, sizeof(text), "%s%s", address_is_ipv4(address) ? "0.0.0.0" : "::", slash);
	return prefix_parse(text, &nothing, ret_length);
}

int source_prefix_parse(const char *text, struct prefix *ret_prefix)
{
	char plain[PREFIX_TEXT_MAX];
	struct prefix prefix = {0};

	if (drop_zeros(text, plain) < 0)
		return -EINVAL;

	char *slash = strchr(plain, '/'), length[PREFIX_TEXT_MAX] = "";
	if (slash != NULL) {
		strcpy(length, slash);
		*slash = '\0';
	}
	if (address_parse(plain, &prefix.address) < 0 ||
		parse_length(length, &prefix.address, &prefix.length) < 0)
		return -EINVAL;

	clear_rest(&prefix);
	*ret_prefix = prefix;
	return 0;
}

// Lists

// Of two families neither covers the other, nor are they halves: what begins as IPv4 is IPv4.
static bool covers(const struct prefix *a, const struct prefix *b)
{
	return ((source_prefix_number(a) ^ source_prefix_number(b)) & ~source_prefix_rest(a)) == 0;
}

// The two halves of one prefix, which is not all of the family.
static bool are_halves(const struct prefix *a, const struct prefix *b)
{
	return a->length == b->length && a->length > 1 &&
		(source_prefix_number(a) ^ source_prefix_number(b)) == source_prefix_rest(a) + 1;
}

// A prefix comes right before those within it. IPv4 is first, since a prefix of IPv6 may go around
// all of it.
static int compare(const void *left, const void *right)
{
	const struct prefix *a = left, *b = right;
	enum family family_a = address_family(&a->address), family_b = address_family(&b->address);

	if (family_a != family_b)
		return family_a < family_b ? -1 : 1;

	int addresses = memcmp(&a->address, &b->address, sizeof(a->address));
	return addresses != 0 ? addresses : (int)a->length - (int)b->length;
}

// Those kept are a stack: what comes is within the last of them, or makes a whole with it, which
// may be half of a larger one, or goes on top.
static size_t reduce(struct prefix *prefixes, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && covers(&prefixes[kept - 1], &prefixes[i]))
			continue;
		prefixes[kept++] = prefixes[i];
		while (kept > 1 && are_halves(&prefixes[kept - 2], &prefixes[kept - 1]))
			prefixes[--kept - 1].length--;
	}
	return kept;
}

int source_prefixes_reduce(struct prefix *prefixes, size_t *n)
{
	bool everybody = false;

	for (size_t i = 0; i < *n; i++) {
		if (prefixes[i].length > bits_of(&prefixes[i].address))
			return -EINVAL;
		everybody |= prefixes[i].length == 0;
	}
	if (everybody) {
		prefixes[0] = (struct prefix){.address = address_from_ipv4(0)};
		*n = 1;
		return 0;
	}

	for (size_t i = 0; i < *n; i++)
		clear_rest(&prefixes[i]);
	if (*n > 1)
		qsort(prefixes, *n, sizeof(*prefixes), compare);
	*n = reduce(prefixes, *n);
	return 0;
}

bool source_prefixes_are_all(const struct prefix *prefixes, size_t n)
{
	return n == 1 && prefixes[0].length == 0;
}
