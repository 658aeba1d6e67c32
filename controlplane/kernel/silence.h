#pragma once

#include <jansson.h>
#include <net/if.h>

#include "guideway/dataplane.h"

// Keeps the kernel off an interface that the dataplane works on: what arrives there ends before the
// kernel's own stack, IPv6 is off, and packets are neither merged nor stripped of their tags.

struct silence;

// How the interface is now, to be put back later. Returns 0 or -errno.
int silence_note(const char *interface, struct silence **ret_silence);

// Accepts NULL. What was stopped stays so, but for the drop rule.
void silence_destroy(struct silence *s);

// Switches off what the network card or the kernel does to packets before a port sees them:
// GRO and LRO, which make them larger than the MTU, and the stripping of VLAN tags, which AF_XDP
// would never see. A feature that cannot be changed is left. Returns 0 or -errno.
int silence_offloads(struct silence *s);

// Drops for the kernel all that arrives, and switches IPv6 off. Returns 0 or -errno.
int silence_kernel(struct silence *s);

// Both as they were before silence_kernel(): the kernel hears again. Returns 0 or -errno of the
// first that failed.
int silence_lift(struct silence *s);

// MTU, flags and offloads as they were noted. Nobody works on the interface any more: an XDP
// program would refuse a larger MTU, and features that its sockets cannot do with. Returns 0 or
// -errno of the first that failed.
int silence_restore(const struct silence *s);

// As JSON, and back. Return NULL when out of memory or, the latter, for JSON that is none of ours.
json_t *silence_to_json(const struct silence *s);
struct silence *silence_from_json(const json_t *json);
