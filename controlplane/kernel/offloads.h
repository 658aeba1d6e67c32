#pragma once

#include <stdbool.h>
#include <stdint.h>

// What is done to packets on an interface before a port sees them: GRO, LRO, VLAN tags.

// Those that are on now, as a set that offloads_switch() knows. Returns 0 or -errno.
int offloads_read(const char *interface, uint64_t *ret_on);

// Switches those in 'set' on or off. What the device does not let go of is left. Returns 0 or
// -errno.
int offloads_switch(const char *interface, uint64_t set, bool on);
