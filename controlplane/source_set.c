#include "source_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Who is let in
// =============
//
// Prefixes of an allow-list are disjoint ranges once they are reduced, and ranges are their edges:
// whether a source is in the set is the parity of the edges below it. So no range has to be
// found, no next hop stored and no longer prefix preferred, which is what tables of routes are for.
//
// The edges are the leaves of a static B+ tree, a node of which is a cache line (IPv6: two). A node
// is looked at whole, without a branch, and the depth is the same for all sources: a sender cannot
// make lookups slower. Of n edges it has the least d with 15 * 16^(d-1) >= n, IPv6 7 * 8^(d-1).
// Khuong and Morin, "Array Layouts for Comparison-Based Searching", ACM JEA 22, 2017, compare such
// layouts. We differ once: a node names the first one below it, instead of that being computed, so
// that levels need not be full.
//
// Cycles a lookup of random sources, half of them in the set, in bursts of 32, when no neighbour
// disturbs (`scripts/bench --only sources`, column "best"; EPYC of 2.4 GHz), and kB of one list:
//
//     prefixes        IPv4: 1          16            1024           16384     IPv6: 1024
//     this tree      6  0.2 kB   10  0.4 kB    17    9 kB    27    142 kB     43   42 kB
//     route_table   13    2      21   37       30  1691      73  21367       142 8640
//     rte_lpm        9  64 MB    12   64 MB    16   65 MB    44     80 MB
//     rte_fib        9  16 MB    12   16 MB    21   33 MB    19     46 MB
//     rte_acl       43   10      44   16       50   622     140   4677       125  548
//
// With neighbours, who leave less of the caches, what is large loses most: of 16384 prefixes the
// medians were then 43 and 49 here, 206 to 241 for rte_lpm and rte_fib, 370 for route_table.
//
// Of fewer sources, which stay in the first cache, a binary search without branches in the sorted
// ranges took 3, 14, 39 and 67 cycles where this tree took 5, 10, 16 and 26, and with the nodes
// compared by what gcc makes of a plain loop 10, 19, 30 and 47.
//
// rte_lpm and rte_fib are tables of 2^24 entries for each list, and like rte_acl are of DPDK, which
// this plane does not see.
//
// What would change our mind: lists of a million, which no longer fit the second cache; or a CPU
// without SSE2, for which source_keys_below_ipv4() is a loop.

// The edges of a family, in order.
struct edges {
	unsigned __int128 *at; // [n]
	size_t n;
	bool starts_inside; // The lowest address is of the set: an edge before all others.
};

// What the trees of the families are made of.
static const struct shape {
	size_t n_keys;          // Of a node.
	size_t fan;             // Nodes below a node.
	size_t node_len;        // Bytes.
	size_t root;            // Its place.
	unsigned __int128 most; // The highest address.
} shapes[N_FAMILIES] = {
	[IPV4] = {15, 16, sizeof(struct source_node_ipv4), 0, UINT32_MAX},
	[IPV6] = {7, 8, sizeof(struct source_node_ipv6), 1, ~(unsigned __int128)0},
};

// Ranges come in order and do not overlap. One that begins where the last ended goes on with it.
static void add_range(
	struct edges *e, unsigned __int128 first, unsigned __int128 last, unsigned __int128 most)
{
	if (first == 0)
		e->starts_inside = true;
	else if (e->n > 0 && e->at[e->n - 1] == first - 1)
		e->n--;
	else
		e->at[e->n++] = first - 1;
	if (last != most)
		e->at[e->n++] = last;
}

// 'prefixes' are reduced.
static void find_edges(const struct prefix *prefixes, size_t n, struct edges edges[N_FAMILIES])
{
	if (n == 1 && prefixes[0].length == 0) {
		edges[IPV4].starts_inside = true;
		edges[IPV6].starts_inside = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		enum family family = address_family(&prefixes[i].address);
		unsigned __int128 most = shapes[family].most;
		unsigned __int128 first = source_prefix_number(&prefixes[i]) & most;

		add_range(&edges[family], first, first | source_prefix_rest(&prefixes[i]), most);
	}
}

// How many nodes a level has of which each stands for 'span' edges.
static size_t level_size(const struct edges *e, size_t span)
{
	return e->n == 0 ? 1 : (e->n + span - 1) / span;
}

static size_t root_span(const struct shape *shape, const struct edges *e)
{
	size_t span = shape->n_keys;

	while (span < e->n)
		span *= shape->fan;
	return span;
}

// The nodes below the root.
static size_t count_nodes(const struct shape *shape, const struct edges *e)
{
	size_t n = 0;

	for (size_t span = root_span(shape, e); span > shape->n_keys; span /= shape->fan)
		n += level_size(e, span / shape->fan);
	return n;
}

static void write_key(void *node, enum family family, size_t i, unsigned __int128 key)
{
	if (family == IPV4)
		((struct source_node_ipv4 *)node)->keys[i] = source_key_ipv4((uint32_t)key);
	else
		((struct source_node_ipv6 *)node)->keys[i] = key;
}

static void write_below(void *node, enum family family, uint32_t below)
{
	if (family == IPV4)
		((struct source_node_ipv4 *)node)->below = below;
	else
		((struct source_node_ipv6 *)node)->below = below;
}

// Writes to 'node' the edges from 'begin' on: of a leaf ('step' is 1) each of them, else the last
// of each node below that has another behind it.
static void write_keys(
	void *node, enum family family, const struct edges *e, size_t begin, size_t step)
{
	const struct shape *shape = &shapes[family];

	for (size_t i = 0; i < shape->n_keys; i++) {
		size_t edge = begin + (i + 1) * step - 1;
		bool is_there = edge + (step > 1) < e->n;

		write_key(node, family, i, is_there ? e->at[edge] : shape->most);
	}
}

// Level after level from the root down, those below it from place 'next' on.
static void write_tree(
	struct source_set *set, enum family family, const struct edges *e, size_t next)
{
	const struct shape *shape = &shapes[family];
	size_t at = shape->root;

	for (size_t span = root_span(shape, e); span >= shape->n_keys; span /= shape->fan) {
		bool is_leaf = span == shape->n_keys;
		size_t n = level_size(e, span);

		for (size_t i = 0; i < n; i++) {
			void *node = (uint8_t *)set + (at + i) * shape->node_len;
			size_t begin = i * span;
			bool odd = (begin & 1) != e->starts_inside;

			write_keys(node, family, e, begin, is_leaf ? 1 : span / shape->fan);
			write_below(node, family,
				is_leaf ? SOURCE_LEAF | odd : (uint32_t)(next + i * shape->fan));
		}
		at = next;
		next += is_leaf ? 0 : level_size(e, span / shape->fan);
	}
}

// The nodes of IPv6 come first: twice as large, they stay aligned.
static struct source_set *write_set(const struct edges edges[N_FAMILIES])
{
	size_t len_ipv6 = count_nodes(&shapes[IPV6], &edges[IPV6]) * shapes[IPV6].node_len;
	size_t len_ipv4 = count_nodes(&shapes[IPV4], &edges[IPV4]) * shapes[IPV4].node_len;
	size_t len = sizeof(struct source_set) + len_ipv6 + len_ipv4;
	struct source_set *set = aligned_alloc(_Alignof(struct source_set), len);

	if (set == NULL)
		return NULL;
	memset(set, 0, len);
	set->len_bytes = len;
	write_tree(set, IPV6, &edges[IPV6], sizeof(*set) / shapes[IPV6].node_len);
	write_tree(set, IPV4, &edges[IPV4], (sizeof(*set) + len_ipv6) / shapes[IPV4].node_len);
	return set;
}

// 'prefixes' may be changed, and each of 'edges' has room for two of every prefix.
static int build(struct prefix *prefixes, size_t n, struct edges edges[N_FAMILIES],
	struct source_set **ret_set)
{
	int r = source_prefixes_reduce(prefixes, &n);
	if (r < 0)
		return r;

	find_edges(prefixes, n, edges);
	struct source_set *set = write_set(edges);
	if (set == NULL)
		return -ENOMEM;
	*ret_set = set;
	return 0;
}

int source_set_build(const struct prefix *prefixes, size_t n, struct source_set **ret_set)
{
	struct prefix *copy = calloc(n + 1, sizeof(*copy));
	unsigned __int128 *ipv4 = calloc(2 * n + 1, sizeof(*ipv4));
	unsigned __int128 *ipv6 = calloc(2 * n + 1, sizeof(*ipv6));
	struct edges edges[N_FAMILIES] = {[IPV4] = {.at = ipv4}, [IPV6] = {.at = ipv6}};
	int r = -ENOMEM;

	if (copy != NULL && ipv4 != NULL && ipv6 != NULL) {
		if (n > 0)
			memcpy(copy, prefixes, n * sizeof(*copy));
		r = build(copy, n, edges, ret_set);
	}
	free(copy);
	free(ipv4);
	free(ipv6);
	return r;
}

void source_set_free(struct source_set *set)
{
	free(set);
}
