#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/forwarding_table.h"

// Maglev rings: which member each slot of a target set belongs to.

enum { RING_SIZE_MIN = 11, RING_SIZE_MAX = 16777213 }; // Primes both.

struct maglev_member {
	uint64_t identity; // name_hash() of its name: the same on every machine and in every table.
	uint32_t weight;   // Relative to the other members; 0 takes no slot.
	node_id node;      // What its slots say.
	uint16_t unused;   // 0.
};

// How far the ring is from what the weights ask for. All 0 is: every member has its share to within
// one slot.
struct maglev_fit {
	size_t n_raised;   // Members whose share was under one slot: they have one, others less.
	size_t n_left_out; // Members with a weight and no slot: there are more of them than slots.
};

// A pure function of the set of members: their order and their node ids do not move a slot from one
// identity to another. No two members have one identity.
//
// A member of weight w gets w / (sum of weights) of the slots, by largest remainder: to within one,
// and at least one slot, unless 'ret_fit' says otherwise.
//
// 'ring_size' is a prime from RING_SIZE_MIN to RING_SIZE_MAX; 'ret_ring' is [ring_size], and every
// slot of it is set. Returns 0, -ENOENT if no member has a weight, or -ENOMEM.
int maglev_build(const struct maglev_member *members, size_t n_members, uint32_t ring_size,
	node_id *ret_ring, struct maglev_fit *ret_fit);

// Brings a set's members into the order that any list of them has, so that two lists of one set are
// alike byte by byte. maglev_build() of a sorted list is a bit faster.
void maglev_sort(struct maglev_member *members, size_t n_members);

bool is_prime(uint32_t n);
