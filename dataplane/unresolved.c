#include "unresolved.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "lines.h"

enum { RING_SIZE = 1024 };

struct unresolved {
	// Set once.
	struct rte_ring *ring;
	int fd;

	// Written by the twins' thread and the control thread.
	alignas(RTE_CACHE_LINE_SIZE) _Atomic bool told; // Since the control thread last looked.
};

struct unresolved *unresolved_create(void)
{
	struct unresolved *unresolved = lines_alloc(sizeof(*unresolved));

	if (unresolved == NULL)
		return NULL;
	unresolved->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	unresolved->ring = rte_ring_create_elem("unresolved", sizeof(struct address), RING_SIZE,
		SOCKET_ID_ANY, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (unresolved->fd < 0 || unresolved->ring == NULL) {
		unresolved_destroy(unresolved);
		return NULL;
	}
	return unresolved;
}

void unresolved_destroy(struct unresolved *unresolved)
{
	if (unresolved == NULL)
		return;
	if (unresolved->fd >= 0)
		close(unresolved->fd);
	rte_ring_free(unresolved->ring);
	free(unresolved);
}

void unresolved_put(struct unresolved *unresolved, const struct address *address)
{
	rte_ring_enqueue_elem(unresolved->ring, (void *)(uintptr_t)address, sizeof(*address));
}

bool unresolved_is_waiting(const struct unresolved *unresolved)
{
	return !rte_ring_empty(unresolved->ring);
}

void unresolved_relay(struct unresolved *unresolved)
{
	if (unresolved_is_waiting(unresolved) && !atomic_exchange(&unresolved->told, true))
		eventfd_write(unresolved->fd, 1);
}

int unresolved_fd(const struct unresolved *unresolved)
{
	return unresolved->fd;
}

size_t unresolved_take(struct unresolved *unresolved, struct address *ret_addresses, size_t n)
{
	eventfd_t ignored;

	// Before taking: what is put and relayed meanwhile makes it readable again.
	atomic_store(&unresolved->told, false);
	eventfd_read(unresolved->fd, &ignored);
	unsigned taken = rte_ring_dequeue_burst_elem(
		unresolved->ring, ret_addresses, sizeof(*ret_addresses), (unsigned)n, NULL);
	if (taken == n)
		eventfd_write(unresolved->fd, 1);
	return taken;
}
