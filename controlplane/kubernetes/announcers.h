#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"

// Which of several instances on one network segment answers ARP and ND for a VIP, and announces it:
// one of them, the same by the reckoning of each. Pure.
//
// Rendezvous hashing (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates",
// IEEE/ACM Transactions on Networking 6(1), 1998): a VIP is its who has the highest hash of both
// names. So they share the VIPs evenly, and one that comes or goes moves only its own.

enum { ANNOUNCERS_MAX = 256 }; // Of more, those that come last by name announce nothing.

struct announcers {
	bool all;   // Each answers for all VIPs.
	bool known; // Who there is; before, nobody answers.
	size_t n;
	uint64_t hashes[ANNOUNCERS_MAX]; // [n] Of their names, in the order of these.
	uint64_t own;                    // May be none of them.
};

bool announcers_own(const struct announcers *announcers, const struct address *vip);

bool announcers_equal(const struct announcers *a, const struct announcers *b);
