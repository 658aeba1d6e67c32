#include "twin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_ring.h>

#include "interface.h"
#include "why.h"

// The way to the kernel and back
// ==============================
//
//     workers --> control ring --+
//                                +--> thread --> TAP --> kernel
//     workers --> other ring ----+
//
//     a worker <-- ring <------------ thread <-- TAP <-- kernel
//
// All rings are bounded, and what finds one full is dropped and counted. The control ring, for
// packets from nodes, ARP and ND, is emptied before each look at the other: a flood towards the
// machine's addresses fills the other and delays a health check by no more than OTHER_AT_ONCE
// writes.
//
// The thread sleeps in epoll when there is nothing to do. A worker that gave it something wakes it
// by one write to an eventfd, only when it sleeps: the one system call of a worker, at most one
// for each time that the thread ran out of work. See twins_wake().

enum {
	CONTROL_RING_SIZE = 512,
	OTHER_RING_SIZE = 1024,
	FROM_RING_SIZE = 512,
	CONTROL_AT_ONCE = 64,
	OTHER_AT_ONCE = 16,
	READ_AT_ONCE = 32,
	SEGMENTS_MAX = 64, // Of a packet to the kernel.
	FROM_SEGMENTS_MAX =
		16, // Of one from the kernel: the longest frame in the smallest buffers.
	FRAME_OVERHEAD = 14 + 4,
	EVENTS_MAX = PORTS_MAX + 1,
	WAKE = PORTS_MAX, // As an epoll event; below it a twin's number.
};

struct twin {
	// Set once.
	int fd;
	uint16_t port;
	uint16_t frame_max;
	struct rte_mempool *buffers;
	struct rte_ring *to_kernel[N_KERNEL_CLASSES];
	struct rte_ring *from_kernel;
	char name[IFNAMSIZ];

	// Of the thread: empty buffers for the next frame that it reads.
	alignas(RTE_CACHE_LINE_SIZE) struct rte_mbuf *empty[FROM_SEGMENTS_MAX];
	unsigned n_empty;
};

struct twins {
	// Set once.
	size_t n;
	struct unresolved *unresolved;
	int epoll;
	int wake; // An eventfd.
	pthread_t thread;
	bool running; // There is a thread to join.
	struct twin twins[PORTS_MAX];

	// Written by the control thread.
	_Atomic bool stopping;

	// Set by the thread, cleared by who wakes it.
	alignas(RTE_CACHE_LINE_SIZE) _Atomic bool sleeping;

	// Written by the thread.
	alignas(RTE_CACHE_LINE_SIZE) struct worker_counters counters;
};

// To the kernel
// =============

static void count_drop(struct twins *twins, enum drop_reason reason)
{
	counter_add(&twins->counters.drops[reason], 1);
}

static int gather(const struct rte_mbuf *mbuf, struct iovec *parts)
{
	int n = 0;

	for (; mbuf != NULL && n < SEGMENTS_MAX; mbuf = mbuf->next, n++)
		parts[n] = (struct iovec){rte_pktmbuf_mtod(mbuf, void *), mbuf->data_len};
	return mbuf == NULL ? n : 0;
}

static void write_one(struct twins *twins, struct twin *twin, struct rte_mbuf *mbuf)
{
	struct iovec parts[SEGMENTS_MAX];
	int n = gather(mbuf, parts);

	// A TAP never blocks; it refuses what it is given while it is down.
	if (n == 0 || writev(twin->fd, parts, n) < 0)
		count_drop(twins, DROP_KERNEL_DOWN);
	rte_pktmbuf_free(mbuf);
}

static unsigned write_some(
	struct twins *twins, struct twin *twin, enum kernel_class way, unsigned n_max)
{
	struct rte_mbuf *mbufs[CONTROL_AT_ONCE];
	unsigned n = rte_ring_sc_dequeue_burst(twin->to_kernel[way], (void **)mbufs, n_max, NULL);

	for (unsigned i = 0; i < n; i++)
		write_one(twins, twin, mbufs[i]);
	return n;
}

static bool write_twins(struct twins *twins)
{
	unsigned n = 0;

	for (size_t i = 0; i < twins->n; i++)
		n += write_some(twins, &twins->twins[i], KERNEL_CONTROL, CONTROL_AT_ONCE);
	for (size_t i = 0; i < twins->n; i++)
		n += write_some(twins, &twins->twins[i], KERNEL_OTHER, OTHER_AT_ONCE);
	return n > 0;
}

// From the kernel
// ===============

// Makes 'empty' long enough for any frame. Returns false when out of buffers.
static bool fill_up(struct twin *twin)
{
	unsigned room = rte_pktmbuf_data_room_size(twin->buffers) - RTE_PKTMBUF_HEADROOM;

	while (twin->n_empty < FROM_SEGMENTS_MAX && twin->n_empty * room < twin->frame_max) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(twin->buffers);

		if (mbuf == NULL)
			return false;
		twin->empty[twin->n_empty++] = mbuf;
	}
	return true;
}

// Makes one packet of the first of the empty buffers, which hold 'len' bytes now.
static struct rte_mbuf *take_filled(struct twin *twin, size_t len)
{
	struct rte_mbuf *head = twin->empty[0];
	struct rte_mbuf **link = &head;
	unsigned n = 0;

	head->pkt_len = (uint32_t)len;
	head->port = twin->port;
	do {
		struct rte_mbuf *mbuf = twin->empty[n++];

		mbuf->data_len = (uint16_t)RTE_MIN(len, rte_pktmbuf_tailroom(mbuf));
		len -= mbuf->data_len;
		*link = mbuf;
		link = &mbuf->next;
	} while (len > 0);
	head->nb_segs = (uint16_t)n;

	twin->n_empty -= n;
	memmove(twin->empty, twin->empty + n, twin->n_empty * sizeof(twin->empty[0]));
	return head;
}

// Returns NULL when there is nothing to read.
static struct rte_mbuf *read_one(struct twin *twin)
{
	struct iovec parts[FROM_SEGMENTS_MAX];

	for (unsigned i = 0; i < twin->n_empty; i++)
		parts[i] = (struct iovec){rte_pktmbuf_mtod(twin->empty[i], void *),
			rte_pktmbuf_tailroom(twin->empty[i])};

	ssize_t len = readv(twin->fd, parts, (int)twin->n_empty);
	return len > 0 ? take_filled(twin, (size_t)len) : NULL;
}

// With no buffer to read into, the frame is read all the same, so that epoll does not spin on it.
static void read_nothing(struct twins *twins, struct twin *twin)
{
	char byte;

	if (read(twin->fd, &byte, sizeof(byte)) > 0)
		count_drop(twins, DROP_NO_MEMORY);
}

static void read_twin(struct twins *twins, struct twin *twin)
{
	for (unsigned i = 0; i < READ_AT_ONCE; i++) {
		if (!fill_up(twin)) {
			read_nothing(twins, twin);
			return;
		}
		struct rte_mbuf *mbuf = read_one(twin);
		if (mbuf == NULL)
			return;
		if (rte_ring_sp_enqueue(twin->from_kernel, mbuf) < 0) {
			count_drop(twins, DROP_TX_FULL);
			rte_pktmbuf_free(mbuf);
		}
	}
}

// The thread
// ==========

static bool has_work(const struct twins *twins)
{
	for (size_t i = 0; i < twins->n; i++) {
		for (int way = 0; way < N_KERNEL_CLASSES; way++) {
			if (!rte_ring_empty(twins->twins[i].to_kernel[way]))
				return true;
		}
	}
	return false;
}

// Waits for a frame from the kernel or a wake-up; does not wait, if 'busy'. Returns the number of
// events.
static int wait_for_events(struct twins *twins, bool busy, struct epoll_event *events)
{
	if (busy)
		return epoll_wait(twins->epoll, events, EVENTS_MAX, 0);

	atomic_store_explicit(&twins->sleeping, true, memory_order_relaxed);
	// Pairs with the fence in twins_wake(), which says why.
	atomic_thread_fence(memory_order_seq_cst);
	int timeout_ms = has_work(twins) || unresolved_is_waiting(twins->unresolved) ? 0 : -1;
	int n = epoll_wait(twins->epoll, events, EVENTS_MAX, timeout_ms);
	atomic_store_explicit(&twins->sleeping, false, memory_order_relaxed);
	return n;
}

void twins_wake(struct twins *twins)
{
	// The worker writes a ring, then reads 'sleeping'; the thread writes 'sleeping', then reads
	// the rings. With a full fence between the two on either side at least one sees what the
	// other wrote (Dekker's argument): either the worker wakes the thread, or the thread finds
	// the packet before it sleeps. Pairs with the fence in wait_for_events().
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&twins->sleeping, memory_order_relaxed) &&
		atomic_exchange_explicit(&twins->sleeping, false, memory_order_relaxed))
		eventfd_write(twins->wake, 1);
}

static void handle(struct twins *twins, const struct epoll_event *event)
{
	eventfd_t ignored;

	if (event->data.u32 == WAKE)
		eventfd_read(twins->wake, &ignored);
	else
		read_twin(twins, &twins->twins[event->data.u32]);
}

static void *serve(void *argument)
{
	struct twins *twins = argument;
	struct epoll_event events[EVENTS_MAX];

	// Gives the thread a cache of packet buffers. Without one it is slower, and that is all.
	rte_thread_register();
	while (!atomic_load_explicit(&twins->stopping, memory_order_relaxed)) {
		bool busy = write_twins(twins);
		unresolved_relay(twins->unresolved);
		int n = wait_for_events(twins, busy, events);

		for (int i = 0; i < n; i++)
			handle(twins, &events[i]);
	}
	rte_thread_unregister();
	return NULL;
}

// Start and stop
// ==============

static int make_tap(const char *name, int *ret_fd, char ret_why[WHY_MAX])
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return why(ret_why, -errno, "/dev/net/tun: %s; the twin %s needs it (modprobe tun)",
			strerror(errno), name);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		int r = -errno;

		close(fd);
		return why(ret_why, r, "twin %s: %s", name,
			r == -EBUSY || r == -EINVAL || r == -EEXIST
				? "there is an interface of this name already; choose another"
				: strerror(-r));
	}
	*ret_fd = fd;
	return 0;
}

static int set_up_tap(const struct twin_config *config, char ret_why[WHY_MAX])
{
	int r = interface_set_mac(config->name, config->mac.addr_bytes);
	if (r < 0)
		return why(ret_why, r, "twin %s: its MAC address cannot be set: %s", config->name,
			strerror(-r));
	r = interface_set_mtu(config->name, config->mtu);
	if (r < 0)
		return why(ret_why, r, "twin %s: its MTU cannot be %u: %s", config->name,
			config->mtu, strerror(-r));
	r = interface_set_up(config->name, true);
	return r < 0
		? why(ret_why, r, "twin %s: cannot be brought up: %s", config->name, strerror(-r))
		: 0;
}

static struct rte_ring *make_ring(const char *what, size_t port, unsigned size, unsigned flags)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%zu", what, port);
	return rte_ring_create(name, size, SOCKET_ID_ANY, flags);
}

// Several workers give to one ring. RTS, since two of them may share a CPU; see buffers.c.
static int make_rings(struct twin *twin, char ret_why[WHY_MAX])
{
	const unsigned many_to_one = RING_F_MP_RTS_ENQ | RING_F_SC_DEQ;

	twin->to_kernel[KERNEL_CONTROL] =
		make_ring("kernel_control", twin->port, CONTROL_RING_SIZE, many_to_one);
	twin->to_kernel[KERNEL_OTHER] =
		make_ring("kernel_other", twin->port, OTHER_RING_SIZE, many_to_one);
	twin->from_kernel =
		make_ring("kernel_from", twin->port, FROM_RING_SIZE, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (twin->to_kernel[KERNEL_CONTROL] == NULL || twin->to_kernel[KERNEL_OTHER] == NULL ||
		twin->from_kernel == NULL)
		return why(ret_why, -ENOMEM, "twin %s: no memory for its rings", twin->name);
	return 0;
}

static int watch(struct twins *twins, int fd, uint32_t number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

	return epoll_ctl(twins->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int start_twin(
	struct twins *twins, size_t i, const struct twin_config *config, char *ret_why)
{
	struct twin *twin = &twins->twins[i];

	twin->port = (uint16_t)i;
	twin->frame_max = config->mtu + FRAME_OVERHEAD;
	twin->buffers = config->buffers;
	memcpy(twin->name, config->name, sizeof(twin->name));

	int r = make_rings(twin, ret_why);
	if (r == 0)
		r = make_tap(config->name, &twin->fd, ret_why);
	if (r < 0)
		return r;
	twins_set_carrier(twins, i, config->link_up);
	r = set_up_tap(config, ret_why);
	if (r < 0)
		return r;
	r = watch(twins, twin->fd, (uint32_t)i);
	return r < 0 ? why(ret_why, r, "twin %s: epoll: %s", config->name, strerror(-r)) : 0;
}

// Signals are for the control thread.
static int start_thread(struct twins *twins)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&twins->thread, NULL, serve, twins);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		return r;

	pthread_setname_np(twins->thread, "twins");
	twins->running = true;
	return 0;
}

static struct twins *create(size_t n, struct unresolved *unresolved)
{
	struct twins *twins = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*twins));

	if (twins == NULL)
		return NULL;
	memset(twins, 0, sizeof(*twins));
	twins->n = n;
	twins->unresolved = unresolved;
	for (size_t i = 0; i < PORTS_MAX; i++)
		twins->twins[i].fd = -1;
	twins->epoll = epoll_create1(EPOLL_CLOEXEC);
	twins->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return twins;
}

int twins_start(const struct twin_config *configs, size_t n, struct unresolved *unresolved,
	struct twins **ret_twins, char ret_why[WHY_MAX])
{
	struct twins *twins = create(n, unresolved);
	if (twins == NULL)
		return why(ret_why, -ENOMEM, "no memory for the twins");

	int r = watch(twins, twins->wake, WAKE);
	if (r < 0) {
		why(ret_why, r, "twins: epoll: %s", strerror(-r));
		goto fail;
	}
	for (size_t i = 0; i < n; i++) {
		r = start_twin(twins, i, &configs[i], ret_why);
		if (r < 0)
			goto fail;
	}
	r = start_thread(twins);
	if (r < 0) {
		why(ret_why, r, "twins: their thread does not start: %s", strerror(-r));
		goto fail;
	}
	*ret_twins = twins;
	return 0;

fail:
	twins_stop(twins);
	return r;
}

static void free_ring(struct rte_ring *ring)
{
	struct rte_mbuf *mbuf;

	if (ring == NULL)
		return;
	while (rte_ring_dequeue(ring, (void **)&mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	rte_ring_free(ring);
}

static void stop_twin(struct twin *twin)
{
	if (twin->fd >= 0)
		close(twin->fd); // The interface goes with it.
	for (unsigned i = 0; i < twin->n_empty; i++)
		rte_pktmbuf_free(twin->empty[i]);
	for (int way = 0; way < N_KERNEL_CLASSES; way++)
		free_ring(twin->to_kernel[way]);
	free_ring(twin->from_kernel);
}

void twins_stop(struct twins *twins)
{
	if (twins == NULL)
		return;
	if (twins->running) {
		atomic_store_explicit(&twins->stopping, true, memory_order_relaxed);
		eventfd_write(twins->wake, 1);
		pthread_join(twins->thread, NULL);
	}
	for (size_t i = 0; i < twins->n; i++)
		stop_twin(&twins->twins[i]);
	close(twins->wake);
	close(twins->epoll);
	free(twins);
}

// For workers and the control thread
// ==================================

uint16_t twins_give(struct twins *twins, size_t port, enum kernel_class way,
	struct rte_mbuf **mbufs, uint16_t n)
{
	return (uint16_t)rte_ring_enqueue_burst(
		twins->twins[port].to_kernel[way], (void *const *)mbufs, n, NULL);
}

uint16_t twins_take(struct twins *twins, size_t port, struct rte_mbuf **ret_mbufs, uint16_t n)
{
	return (uint16_t)rte_ring_sc_dequeue_burst(
		twins->twins[port].from_kernel, (void **)ret_mbufs, n, NULL);
}

void twins_set_carrier(struct twins *twins, size_t port, bool up)
{
	int carrier = up;

	ioctl(twins->twins[port].fd, TUNSETCARRIER, &carrier);
}

const struct worker_counters *twins_counters(const struct twins *twins)
{
	return &twins->counters;
}

size_t twin_room(void)
{
	return CONTROL_RING_SIZE + OTHER_RING_SIZE + FROM_RING_SIZE + FROM_SEGMENTS_MAX;
}
