#include "buffers.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_errno.h>

enum {
	POOLS_MAX = 32,
	CACHE_SIZE = 256, // Buffers that a worker keeps at hand.
	RING_SHARE = 16,  // Of a buffer, in the pool's ring, whose size is a power of two.
};

// Two workers may share a CPU, and one that is stopped between taking its place in a ring and
// saying that it is done makes the others spin until it runs again. With "relaxed tail sync" they
// need not wait for it.
static const char ring_kind[] = "ring_mt_rts";

struct buffers {
	unsigned n;
	size_t n_pools;
	struct pool {
		struct rte_mempool *mbufs;
		int numa_node;
		uint16_t len;
	} pools[POOLS_MAX];
};

size_t buffers_bytes(size_t n, uint16_t len, size_t page_bytes)
{
	size_t one = RTE_ALIGN_CEIL(sizeof(struct rte_mempool_objhdr), RTE_CACHE_LINE_SIZE) +
		sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + len + RTE_MEMPOOL_ALIGN;
	size_t n_per_page = page_bytes / one;

	if (n_per_page == 0)
		return n * (RTE_ALIGN_CEIL(one, page_bytes) + RING_SHARE);
	return (n / n_per_page + 1) * page_bytes + n * RING_SHARE;
}

struct buffers *buffers_create(unsigned n)
{
	struct buffers *buffers = calloc(1, sizeof(*buffers));

	if (buffers != NULL)
		buffers->n = n;
	return buffers;
}

// The pools are left to the end of the process: to free one, DPDK writes zeroes over all of it,
// which takes seconds where it was never touched before.
void buffers_destroy(struct buffers *buffers)
{
	free(buffers);
}

static struct rte_mempool *create(unsigned n, int numa_node, uint16_t len)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "buffers_%d_%u", numa_node, len);
	return rte_pktmbuf_pool_create_by_ops(
		name, n, CACHE_SIZE, 0, RTE_PKTMBUF_HEADROOM + len, numa_node, ring_kind);
}

struct rte_mempool *buffers_find(struct buffers *buffers, int numa_node, uint16_t len)
{
	for (size_t i = 0; i < buffers->n_pools; i++) {
		struct pool *pool = &buffers->pools[i];

		if (pool->numa_node == numa_node && pool->len == len)
			return pool->mbufs;
	}
	if (buffers->n_pools == POOLS_MAX)
		return NULL;

	struct rte_mempool *mbufs = create(buffers->n, numa_node, len);
	if (mbufs == NULL)
		mbufs = create(buffers->n, SOCKET_ID_ANY, len);
	if (mbufs != NULL)
		buffers->pools[buffers->n_pools++] = (struct pool){mbufs, numa_node, len};
	return mbufs;
}
