#pragma once

#include <net/if.h>

#include "talk.h"

// Finds an interface that lives by this one, and would hear nothing more once the dataplane has it:
// a bridge or bond that it belongs to, a VLAN or macvlan on top of it. Returns 0, -ENOENT if there
// is none, or -errno.
int stacked_find(struct talk *t, const char *interface, char ret_name[IFNAMSIZ]);
