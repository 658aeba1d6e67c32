#pragma once

#include "tables.h"

// Tells the network which MAC address our addresses have, by raw frames on the twins.

struct announcer;

// 'tables' outlive it. Returns 0 or -errno.
int announcer_create(const struct tables *tables, struct announcer **ret_announcer);

// Accepts NULL.
void announcer_destroy(struct announcer *a);

// These are to be announced, those not known before at once. Returns 0 or -ENOMEM.
int announcer_set(
	struct announcer *a, const struct address *addresses, size_t n_addresses, uint64_t now_ns);

// The link of this port's twin may have come back.
void announcer_follow_link(struct announcer *a, size_t port, uint64_t now_ns);

// Sends what is due, a bounded number of frames.
void announcer_tick(struct announcer *a, uint64_t now_ns);
