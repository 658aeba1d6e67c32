// Who owns a SNAT port
// ====================
//
// Both maps are one: a port has a class of its own, a reply's addresses and node port add (by
// exclusive or) a base to it, and 'workers' names the owner of the sum. With a bit field the class
// is the port's lowest seven bits and the base is always 0. With RSS the sum is what the NIC
// computes: its hash is linear over exclusive or, so it is the hash of the reply with port 0, the
// base, and that of the port alone, the class, of which the lowest bits select an entry of the
// redirection table. Toeplitz hash: Microsoft, "RSS Hashing Functions" and "Verifying the RSS Hash
// Calculation", Windows Driver Kit.
//
// To count through a worker's ports there are, for each base, sums of the sizes of the classes that
// are his under it: 128 x 128 x 2 bytes for the usual table. The sizes are nearly the same, so that
// a guess by proportion is off by few.

#include "owner.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	// Bytes that RSS hashes: both addresses and both ports, as in the packet.
	TUPLE_MAX = 36,
	N_PORTS = 65536,
};

// Of one family, since a port lies elsewhere in the longer tuple and is hashed with other bits of
// the key.
struct port_classes {
	// What a byte in each place of the tuple adds to the class.
	uint16_t by_byte[TUPLE_MAX][256];
	uint16_t ports[SNAT_PORTS]; // Host byte order, sorted by class.
	uint32_t *start;            // [n_classes + 1] Where in 'ports' a class begins.
	uint16_t *before;           // [n_classes bases][n_classes] By place in 'sorted': how many
	                            // ports the classes before that one have.
};

struct owner_map {
	bool is_rss;
	uint16_t first; // Of the ports that are owned,
	uint16_t last;  // and the last.
	unsigned n_workers;
	uint32_t n_classes;     // A power of two.
	uint16_t *workers;      // [n_classes] The owner of a class plus base.
	uint16_t *sorted;       // [n_classes] The same numbers sorted by owner,
	uint32_t *sorted_start; // [n_workers + 1] and where in it each one's begin.
	struct port_classes families[N_FAMILIES];
};

static size_t address_bytes(enum family family)
{
	return family == IPV4 ? 4 : 16;
}

static const uint8_t *address_tail(enum family family, const struct address *a)
{
	return &a->bytes[sizeof(a->bytes) - address_bytes(family)];
}

static uint16_t add_bytes(
	const struct port_classes *classes, size_t place, const uint8_t *bytes, size_t n)
{
	uint16_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum ^= classes->by_byte[place + i][bytes[i]];
	return sum;
}

static uint16_t class_of(const struct port_classes *classes, enum family family, __be16 port)
{
	return add_bytes(
		classes, 2 * address_bytes(family) + 2, (const uint8_t *)&port, sizeof(port));
}

static inline uint16_t base_of(const struct owner_map *map, enum family family,
	const struct address *target, __be16 node_port, const struct address *snat)
{
	const struct port_classes *classes = &map->families[family];
	size_t n = address_bytes(family);

	if (!map->is_rss)
		return 0;

	return add_bytes(classes, 0, address_tail(family, target), n) ^
		add_bytes(classes, n, address_tail(family, snat), n) ^
		add_bytes(classes, 2 * n, (const uint8_t *)&node_port, sizeof(node_port));
}

// 32 bits of the key from 'bit' on.
static uint32_t key_window(const uint8_t *key, size_t key_len, size_t bit)
{
	uint32_t window = 0;

	for (size_t i = bit; i < bit + 32; i++) {
		unsigned value = i / 8 < key_len ? key[i / 8] >> (7 - i % 8) & 1 : 0;

		window = window << 1 | value;
	}
	return window;
}

static void hash_by_toeplitz(
	struct port_classes *classes, const uint8_t *key, size_t key_len, uint32_t mask)
{
	for (size_t place = 0; place < TUPLE_MAX; place++) {
		for (size_t bit = 0; bit < 8; bit++) {
			uint32_t window = key_window(key, key_len, 8 * place + bit);

			for (unsigned byte = 0; byte < 256; byte++) {
				if (byte & 0x80u >> bit)
					classes->by_byte[place][byte] ^= (uint16_t)(window & mask);
			}
		}
	}
}

static void hash_by_bit_field(struct port_classes *classes, enum family family)
{
	uint16_t *by_last_byte = classes->by_byte[2 * address_bytes(family) + 3];

	static_assert(OWNER_CLASSES <= 256);
	for (unsigned byte = 0; byte < 256; byte++)
		by_last_byte[byte] = byte % OWNER_CLASSES;
}

static void sort_ports(
	const struct owner_map *map, struct port_classes *classes, enum family family)
{
	uint32_t n_classes = map->n_classes;

	memset(classes->start, 0, (n_classes + 1) * sizeof(*classes->start));
	for (uint32_t port = map->first; port <= map->last; port++)
		classes->start[class_of(classes, family, htons((uint16_t)port)) + 1]++;
	for (uint32_t i = 0; i < n_classes; i++)
		classes->start[i + 1] += classes->start[i];

	// Backwards, moving the ends of the classes to their beginnings, and so to 'start'.
	for (uint32_t port = map->last; port >= map->first; port--) {
		uint16_t class = class_of(classes, family, htons((uint16_t)port));

		classes->ports[--classes->start[class + 1]] = (uint16_t)port;
	}
	memmove(classes->start, classes->start + 1, n_classes * sizeof(*classes->start));
	classes->start[n_classes] = map->last - map->first + 1u;
}

static uint32_t class_size(const struct port_classes *classes, uint32_t class)
{
	return classes->start[class + 1] - classes->start[class];
}

static void sum_sizes(const struct owner_map *map, struct port_classes *classes)
{
	for (uint32_t base = 0; base < map->n_classes; base++) {
		uint16_t *before = &classes->before[(size_t)base * map->n_classes];

		for (unsigned w = 0; w < map->n_workers; w++) {
			uint32_t sum = 0;

			for (uint32_t k = map->sorted_start[w]; k < map->sorted_start[w + 1]; k++) {
				before[k] = (uint16_t)sum;
				sum += class_size(classes, map->sorted[k] ^ base);
			}
		}
	}
}

static void sort_workers(struct owner_map *map)
{
	uint32_t k = 0;

	for (unsigned w = 0; w < map->n_workers; w++) {
		map->sorted_start[w] = k;
		for (uint32_t i = 0; i < map->n_classes; i++) {
			if (map->workers[i] == w)
				map->sorted[k++] = (uint16_t)i;
		}
	}
	map->sorted_start[map->n_workers] = k;
}

void owner_map_destroy(struct owner_map *map)
{
	if (map == NULL)
		return;

	for (enum family family = 0; family < N_FAMILIES; family++) {
		free(map->families[family].start);
		free(map->families[family].before);
	}
	free(map->workers);
	free(map->sorted);
	free(map->sorted_start);
	free(map);
}

static bool allocate_classes(struct port_classes *classes, uint32_t n_classes)
{
	classes->start = calloc(n_classes + 1, sizeof(*classes->start));
	classes->before = calloc((size_t)n_classes * n_classes, sizeof(*classes->before));
	return classes->start != NULL && classes->before != NULL;
}

static struct owner_map *allocate(unsigned n_workers, uint32_t n_classes)
{
	struct owner_map *map = calloc(1, sizeof(*map));

	if (map == NULL)
		return NULL;
	map->first = SNAT_PORT_MIN;
	map->last = SNAT_PORT_MIN + SNAT_PORTS - 1;
	map->n_workers = n_workers;
	map->n_classes = n_classes;
	map->workers = calloc(n_classes, sizeof(*map->workers));
	map->sorted = calloc(n_classes, sizeof(*map->sorted));
	map->sorted_start = calloc(n_workers + 1, sizeof(*map->sorted_start));
	if (map->workers == NULL || map->sorted == NULL || map->sorted_start == NULL)
		goto fail;

	for (enum family family = 0; family < N_FAMILIES; family++) {
		if (!allocate_classes(&map->families[family], n_classes))
			goto fail;
	}
	return map;

fail:
	owner_map_destroy(map);
	return NULL;
}

// 'workers' and 'by_byte' are set; the rest follows.
static void derive(struct owner_map *map)
{
	sort_workers(map);
	for (enum family family = 0; family < N_FAMILIES; family++) {
		sort_ports(map, &map->families[family], family);
		sum_sizes(map, &map->families[family]);
	}
}

struct owner_map *owner_map_create(unsigned n_workers)
{
	struct owner_map *map = allocate(n_workers, OWNER_CLASSES);

	if (map == NULL)
		return NULL;
	for (uint32_t i = 0; i < OWNER_CLASSES; i++)
		map->workers[i] = (uint16_t)(i * n_workers / OWNER_CLASSES);
	for (enum family family = 0; family < N_FAMILIES; family++)
		hash_by_bit_field(&map->families[family], family);
	derive(map);
	return map;
}

struct owner_map *owner_map_create_rss(unsigned n_workers, const uint8_t *key, size_t key_len,
	const uint16_t *reta, size_t reta_size)
{
	assert(key_len >= 40 && (reta_size & (reta_size - 1)) == 0);

	struct owner_map *map = allocate(n_workers, (uint32_t)reta_size);
	if (map == NULL)
		return NULL;
	map->is_rss = true;
	memcpy(map->workers, reta, reta_size * sizeof(*reta));
	for (enum family family = 0; family < N_FAMILIES; family++)
		hash_by_toeplitz(&map->families[family], key, key_len, map->n_classes - 1);
	derive(map);
	return map;
}

void owner_map_narrow(struct owner_map *map, uint16_t first, uint16_t last)
{
	assert(SNAT_PORT_MIN <= first && first <= last);

	map->first = first;
	map->last = last;
	derive(map);
}

bool owner_map_has(const struct owner_map *map, __be16 snat_port)
{
	return map->first <= ntohs(snat_port) && ntohs(snat_port) <= map->last;
}

unsigned owner_of(const struct owner_map *map, const struct address *target, __be16 node_port,
	const struct address *snat, __be16 snat_port)
{
	enum family family = address_family(target);
	const struct port_classes *classes = &map->families[family];

	return map->workers[base_of(map, family, target, node_port, snat) ^
		class_of(classes, family, snat_port)];
}

static uint32_t count_ports(const struct owner_map *map, const struct port_classes *classes,
	unsigned worker, uint16_t base)
{
	uint32_t end = map->sorted_start[worker + 1];

	if (end == map->sorted_start[worker])
		return 0;
	return classes->before[(size_t)base * map->n_classes + end - 1] +
		class_size(classes, map->sorted[end - 1] ^ base);
}

uint32_t owner_ports(const struct owner_map *map, unsigned worker, const struct address *target,
	__be16 node_port, const struct address *snat)
{
	enum family family = address_family(target);
	const struct port_classes *classes = &map->families[family];

	return count_ports(map, classes, worker, base_of(map, family, target, node_port, snat));
}

__be16 owner_port(const struct owner_map *map, unsigned worker, const struct address *target,
	__be16 node_port, const struct address *snat, uint32_t nth)
{
	enum family family = address_family(target);
	const struct port_classes *classes = &map->families[family];
	uint16_t base = base_of(map, family, target, node_port, snat);
	uint32_t n_ports = count_ports(map, classes, worker, base);
	uint32_t first = map->sorted_start[worker];
	uint32_t last = map->sorted_start[worker + 1] - 1;

	if (n_ports == 0)
		return 0;
	nth %= n_ports;

	const uint16_t *before = &classes->before[(size_t)base * map->n_classes];
	uint32_t k = first + nth * (last - first + 1) / n_ports;

	while (before[k] > nth)
		k--;
	while (k < last && before[k + 1] <= nth)
		k++;

	uint32_t class = map->sorted[k] ^ base;
	return htons(classes->ports[classes->start[class] + nth - before[k]]);
}
