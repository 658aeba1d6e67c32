#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api_ask.h"
#include "lease.h"

// Takes a Lease and keeps it, as client-go's leader election does: of all that want it, one holds
// it. Pure: answers and times come in, requests go out, one at a time.

struct lease_keeper;

struct lease_keeper_config {
	const char *space; // Copied, as are the next two.
	const char *name;
	const char *holder;
	uint32_t lease_ms; // Others wait so long for a holder that does not renew it any more, and
	uint32_t renew_ms; // the holder itself only so long: less.
	uint32_t retry_ms; // How often it is renewed, or asked for.
};

// NULL when out of memory.
struct lease_keeper *lease_keeper_create(const struct lease_keeper_config *config);

// Accepts NULL.
void lease_keeper_destroy(struct lease_keeper *keeper);

// What is to be asked of the API server now; the answer is told by lease_keeper_answered() before
// there is another. Returns false if there is nothing to ask before lease_keeper_due_ns(). 'now_us'
// is the time of day, for others to read.
bool lease_keeper_next(
	struct lease_keeper *keeper, uint64_t now_ns, int64_t now_us, struct api_ask *ret_ask);

// 'status' is of HTTP, 0 for no answer; 'json' may be NULL.
void lease_keeper_answered(
	struct lease_keeper *keeper, unsigned status, const json_t *json, uint64_t now_ns);

// UINT64_MAX while an answer is awaited, and at the end.
uint64_t lease_keeper_due_ns(const struct lease_keeper *keeper);

// Whether the Lease is ours, for sure: to be asked anew before each thing that only its holder may
// do.
bool lease_keeper_holds(const struct lease_keeper *keeper, uint64_t now_ns);

// Who holds it, as far as is known; "" for nobody.
const char *lease_keeper_holder(const struct lease_keeper *keeper);

// When it was last seen to change; 0 for never.
uint64_t lease_keeper_changed_ns(const struct lease_keeper *keeper);

// Says with it from now on what is in force: LEASE_IN_FORCE. 'soon' does not wait for the renewal,
// nor does that anything is, or nothing is any more (in_force_is_all()).
void lease_keeper_say_in_force(
	struct lease_keeper *keeper, uint64_t in_force, bool soon, uint64_t now_ns);

// Gives it up: what there is to ask after this is only that, and nothing if it is not ours.
void lease_keeper_end(struct lease_keeper *keeper, uint64_t now_ns);
bool lease_keeper_has_ended(const struct lease_keeper *keeper);
