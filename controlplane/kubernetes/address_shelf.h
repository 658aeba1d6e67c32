#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "guideway/address.h"
#include "kernel/map.h"
#include "kubernetes/address_book.h"
#include "kubernetes/address_pool.h"

// The address book's own: what of a pool and a family is free, and in which order it is used.

struct hold;

// An address that is held, or was lately. Of others nothing is remembered.
struct record {
	struct map_link by_address; // In the book's records, as are all.
	struct map_link by_sharing; // In its shared records, if is_shared.
	bool is_shared;
	struct address address;
	struct shelf *shelf;
	struct hold *holds;        // Who has it; nobody if it was freed.
	TAILQ_ENTRY(record) queue; // Then in its shelf's.
	uint64_t freed_ns;
	uint64_t freed_order; // Grows from one to the next.
	char *last_owner;     // Who had it last; NULL if that is not known.
};

TAILQ_HEAD(record_queue, record);

// Addresses that are others' than Services': they are not given.
struct reserved_list {
	struct reserved_address *addresses; // [n], sorted, those of the file first.
	size_t n;
};

// NULL if it is not reserved.
const struct reserved_address *reserved_find(
	const struct reserved_list *reserved, const struct address *address);

struct shelf {
	const struct address_pool *pool; // NULL for what is in no pool.
	enum family family;
	uint64_t size;      // Addresses that may be given; UINT64_MAX if there are more.
	uint64_t n_records; // Of them, those held or remembered,
	uint64_t n_held;    // and those held.
	size_t n_freed;
	struct record_queue freed; // The oldest first.

	// Where the search for one never used goes on.
	size_t range;
	unsigned __int128 next;
};

uint64_t address_hash(const struct address *address);

// NULL if it is neither held nor remembered.
struct record *record_find(const struct map *records, const struct address *address);

void shelf_begin(struct shelf *shelf, const struct address_pool *pool, enum family family);

// Goes on where another one was, if it is of this pool.
void shelf_go_on(struct shelf *shelf, const struct shelf *before);

// An address that no record is of, and that is not reserved, once round the pool after the last one
// that was found. Returns false if there is none.
bool shelf_find_fresh(struct shelf *shelf, const struct map *records,
	const struct reserved_list *reserved, struct address *ret_address);

// The address that was freed first of those that are remembered, have rested and are not reserved,
// or NULL.
struct record *shelf_find_rested(
	const struct shelf *shelf, const struct reserved_list *reserved, uint64_t now_ns);

bool record_rests(const struct record *record, uint64_t now_ns);

// How many rest.
uint64_t shelf_count_resting(const struct shelf *shelf, uint64_t now_ns);

// One that is on no shelf comes to this one: held, or freed later than all that were before.
void shelf_put(struct shelf *shelf, struct record *record);

// One of its own becomes held, or free.
void shelf_hold(struct record *record);
void shelf_free(struct record *record);

void shelf_remove(struct record *record);

// The one that may be forgotten next, or NULL.
struct record *shelf_find_stale(const struct shelf *shelf, uint64_t now_ns);
