#pragma once

#include "mirror.h"
#include "tables.h"

// Sees to it that the kernel knows the neighbours that packets need: gateways and nodes always,
// others when a packet waits for them, and that it does not believe for ever what it knew once.

struct resolver;

// 'tables' and 'mirror' outlive it. Returns NULL when out of memory.
struct resolver *resolver_create(const struct tables *tables, struct mirror *mirror);

// Accepts NULL.
void resolver_destroy(struct resolver *r);

// The nodes, instead of those before. Returns 0 or -ENOMEM.
int resolver_set_nodes(struct resolver *r, const struct address *addresses, size_t n_addresses);

// Finds out anew who is to be kept resolved, after routes or nodes changed.
void resolver_refresh(struct resolver *r);

// Asks for those that are not resolved, each once a second, and for a few of the others that are
// stale, each at most every 30 s.
void resolver_tick(struct resolver *r, uint64_t now_ns);

// Asks for one that a packet waits for.
void resolver_ask(struct resolver *r, const struct address *address, uint64_t now_ns);

// Not asked for by resolver_ask(), there being too many.
uint64_t resolver_refused(const struct resolver *r);
