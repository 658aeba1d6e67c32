#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "guideway/dataplane.h"
#include "route.h"

// The kernel beside us, over netlink: its routes and neighbours are mirrored into routes and next
// hops of the dataplane, neighbours are resolved through it, and addresses are announced on it.
//
// Only the control thread calls this, and nothing in it waits except kernel_start(), until the
// first mirror is complete.

struct kernel;

enum { KERNEL_WANTED_MAX = 16384 };

struct kernel_config {
	// By port: the name of its twin. The interface may come, go and come back.
	char twins[PORTS_MAX][IFNAMSIZ];
	size_t n_twins;

	// Told whenever what is known of a next hop changes, before any route that names it is
	// handed out. 'context' is handed through.
	void (*set_next_hop)(void *context, next_hop_id id, const struct next_hop *hop);
	void *context;

	// Asked while the start waits: true gives it up. May be NULL.
	bool (*gives_up)(void);

	// Of the netlink socket; 0 for 32 MB. What does not fit is dumped again.
	size_t receive_buffer_bytes;
};

// Mirrors the kernel of this network namespace. 'ret_why' says on failure what failed.
// Returns 0, -ECANCELED if given up, or -errno; waits for the kernel's answers, a few milliseconds.
int kernel_start(const struct kernel_config *config, uint64_t now_ns, struct kernel **ret_kernel,
	char ret_why[WHY_MAX]);

// Accepts NULL.
void kernel_stop(struct kernel *k);

// For epoll only, EPOLLIN, level-triggered: when readable, call kernel_ready().
int kernel_fd(const struct kernel *k);

// Takes in what the kernel said, as much as a few milliseconds allow. Returns 0 or -errno, of a
// socket that will not work again.
int kernel_ready(struct kernel *k, uint64_t now_ns);

// What is due: repeats and retries. To be called about every 100 ms.
void kernel_tick(struct kernel *k, uint64_t now_ns);

// True when kernel_routes() would return something other than at its last call.
bool kernel_routes_changed(const struct kernel *k);

// The routes for the table of 'generation' and those after it, until called again: the main table,
// this machine's own addresses, and a host route for each neighbour. Their order is of no meaning.
// They are the kernel's until the next call. Returns 0 or -ENOMEM.
int kernel_routes(struct kernel *k, uint64_t generation, const struct route **ret_routes,
	size_t *ret_n_routes);

// No worker can see a table older than 'generation' any more: next_hop_ids that only older ones
// name may be given to others. To be called after dataplane_reclaim().
void kernel_forget_before(struct kernel *k, uint64_t generation);

// These addresses, and no others beside gateways, the kernel is to keep resolved: the nodes. Those
// not on a connected network of a twin cost nothing. At most KERNEL_WANTED_MAX are kept.
// Returns 0 or -ENOMEM.
int kernel_want(
	struct kernel *k, const struct address *addresses, size_t n_addresses, uint64_t now_ns);

// Whether packets for the address go to whoever has it, on a connected network of a twin, and not
// to a router.
bool kernel_is_neighbour(const struct kernel *k, const struct address *address);

// The lasting addresses that the machine has on a twin, but for those of one link alone, at most
// 'n', sorted. Returns how many.
size_t kernel_addresses_of(
	const struct kernel *k, const char *twin, struct address *ret_addresses, size_t n);

// Makes the kernel resolve a neighbour that packets wait for. May be called for anything, as often
// as packets come: it is asked once a second for an address, and so often for all together that a
// flood to addresses nobody has does not fill the kernel's table.
void kernel_resolve(struct kernel *k, const struct address *address, uint64_t now_ns);

// These addresses are to be announced: those that were not in the list before, three times within
// a few seconds, and all again when a twin's link returns. Gratuitous ARP (RFC 5227, section 2.3)
// and unsolicited neighbour advertisements (RFC 4861, section 7.2.6) on the twin whose network the
// address belongs to, or on every twin if to none. Returns 0 or -ENOMEM.
int kernel_announce(
	struct kernel *k, const struct address *addresses, size_t n_addresses, uint64_t now_ns);

// What the mirror holds, for people.
struct kernel_status {
	size_t n_routes;
	size_t n_neighbours;
	size_t n_next_hops;
	uint64_t n_dumps;           // Since the start; each loss of messages costs one.
	uint64_t n_lost;            // Times that the kernel said more than the socket could hold.
	uint64_t n_resolve_refused; // Not asked for, there being too many already.
	bool next_hops_full;        // More neighbours than next_hop_ids: some routes are left out.
};

void kernel_read_status(const struct kernel *k, struct kernel_status *ret_status);
