#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "guideway/dataplane.h"
#include "state_directory.h"

// Kernel interfaces that ports are made of (AF_XDP, AF_PACKET): the kernel is kept from using them
// while the dataplane does, and what it had on them is lent to their twins. All that is changed is
// recorded first, so that it is undone at exit, or at the next start after a kill.
//
//     interfaces_recover     undoes what a killed process left
//     interfaces_take        checks, records, switches off what would merge or strip packets
//     dataplane_start        makes the twins
//     interfaces_move        addresses and routes to the twins, then silences the kernel
//     ...
//     interfaces_give_back   the kernel hears again, addresses and routes back
//     dataplane_stop         takes the twins away, and whatever bounds the MTU
//     interfaces_restore     MTU, flags and offloads as they were; the record goes

struct interfaces;

struct interface_config {
	char device[IFNAMSIZ];
	char twin[IFNAMSIZ];
	bool adopt; // Else an interface with addresses is refused.
};

// Of an interface that is to be put back: takes away what bounds its MTU.
typedef void interface_clean_up_fn(const char *device);

// Calls 'clean_up' for each interface first. Returns 0, also if there is nothing to undo, or -errno
// with 'ret_why' in one sentence.
int interfaces_recover(
	struct state_directory *directory, interface_clean_up_fn *clean_up, char ret_why[WHY_MAX]);

// Before dataplane_start(). Returns 0; -ENODEV if there is no such interface; -EADDRINUSE if it
// carries addresses and is not to be adopted; -EBUSY if it is part of a bridge or bond, or has
// VLANs on it; or -errno. 'ret_why' in one sentence.
int interfaces_take(const struct interface_config *configs, size_t n_configs,
	struct state_directory *directory, struct interfaces **ret_interfaces,
	char ret_why[WHY_MAX]);

// After dataplane_start(). On failure all is as it was before the call. Returns 0 or -errno.
int interfaces_move(struct interfaces *interfaces, char ret_why[WHY_MAX]);

// Before dataplane_stop(), also after a failed start. Accepts NULL. Does all it can; returns 0 or
// -errno of the first thing that failed, 'ret_why' in one sentence.
int interfaces_give_back(struct interfaces *interfaces, char ret_why[WHY_MAX]);

// After dataplane_stop(), and the end of 'interfaces'. Where something failed, now or before, the
// record stays for the next start. Otherwise like interfaces_give_back().
int interfaces_restore(struct interfaces *interfaces, char ret_why[WHY_MAX]);
