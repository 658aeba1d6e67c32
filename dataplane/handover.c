#include "handover.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ring.h>

enum { RING_SIZE = 512 };

struct handover {
	unsigned n_workers;
	struct rte_ring *rings[]; // [n_workers * n_workers], by from * n_workers + to.
};

static struct rte_ring *ring_of(const struct handover *handover, unsigned from, unsigned to)
{
	assert(from < handover->n_workers && to < handover->n_workers && from != to);
	return handover->rings[from * handover->n_workers + to];
}

static struct rte_ring *create_ring(unsigned from, unsigned to)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "handover_%u_%u", from, to);
	return rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

struct handover *handover_create(unsigned n_workers)
{
	size_t n_rings = (size_t)n_workers * n_workers;
	struct handover *handover =
		calloc(1, sizeof(*handover) + n_rings * sizeof(handover->rings[0]));

	if (handover == NULL)
		return NULL;
	handover->n_workers = n_workers;
	for (size_t i = 0; i < n_rings; i++) {
		unsigned from = (unsigned)i / n_workers, to = (unsigned)i % n_workers;

		if (from == to)
			continue;
		handover->rings[i] = create_ring(from, to);
		if (handover->rings[i] == NULL)
			goto fail;
	}
	return handover;

fail:
	handover_destroy(handover);
	return NULL;
}

static void empty(struct rte_ring *ring)
{
	struct rte_mbuf *mbuf;

	while (rte_ring_dequeue(ring, (void **)&mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

void handover_destroy(struct handover *handover)
{
	if (handover == NULL)
		return;
	for (size_t i = 0; i < (size_t)handover->n_workers * handover->n_workers; i++) {
		if (handover->rings[i] == NULL)
			continue;
		empty(handover->rings[i]);
		rte_ring_free(handover->rings[i]);
	}
	free(handover);
}

uint16_t handover_give(
	struct handover *handover, unsigned from, unsigned to, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_ring_sp_enqueue_burst(
		ring_of(handover, from, to), (void *const *)mbufs, n, NULL);
}

uint16_t handover_take(struct handover *handover, unsigned from, unsigned to,
	struct rte_mbuf **ret_mbufs, uint16_t n)
{
	return rte_ring_sc_dequeue_burst(ring_of(handover, from, to), (void **)ret_mbufs, n, NULL);
}

size_t handover_room(unsigned n_workers)
{
	return (size_t)n_workers * (n_workers - 1) * RING_SIZE;
}
