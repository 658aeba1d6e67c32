#pragma once

#include <jansson.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/dataplane.h"
#include "talk.h"

// What an interface has that outlives a change of interface: its addresses, and the nexthop objects
// and main-table routes that go out of it. Kept as the kernel's own messages, so that nothing of a
// route (metrics, protocol, encapsulation, weights) is lost by our not knowing it.
//
// Not among them is what the kernel makes by itself: IPv6 link-local addresses, and the routes of
// protocol "kernel" that come with an address.

struct belongings;

enum { BELONGINGS_MAX = 2048 };

// Those of an interface now. Returns 0, -E2BIG for more than BELONGINGS_MAX, or -errno.
int belongings_read(struct talk *t, const char *interface, struct belongings **ret_belongings);

// Accepts NULL.
void belongings_destroy(struct belongings *b);

size_t belongings_count_addresses(const struct belongings *b);

// "192.0.2.1/24, 2001:db8::1/64"; cut where it would be longer. Returns 'ret_text'.
char *belongings_name_addresses(const struct belongings *b, char *ret_text, size_t size);

// Moves them to another interface, which is set up for it, without a moment in which an address or
// a route is nowhere. On failure they are back where they were, as far as the kernel let them.
// Returns 0 or -errno.
int belongings_move(struct talk *t, struct belongings *b, const char *to);

// Gives them to an interface, be some of them there already or not. Does all it can. Returns 0 or
// -errno of the first that the kernel did not take.
int belongings_give(struct talk *t, const struct belongings *b, const char *to);

// As JSON, and back. Return NULL when out of memory or, the latter, for JSON that is none of ours.
json_t *belongings_to_json(const struct belongings *b);
struct belongings *belongings_from_json(const json_t *json);
