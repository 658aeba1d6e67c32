#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "kubernetes/address_pool.h"

// Who has which address of the pools. Pure: time comes in, and all of it is lost with the process;
// what Services publish brings it back (see 'published').
//
// An address is given to one holder, or to several of one namespace that have the same sharing key
// and no port in common. A holder never loses it to another. Freed, it rests for a minute, in which
// only the one who had it last may have it again, by asking for it; who wants any address waits.
// After that it is used again when all those that were not used, or were freed before it, are.
//
// An address that is not held costs no memory: a pool of 2^64 is as cheap as one of 4.

struct address_book;

enum {
	BOOK_WHY_MAX = 512,
	BOOK_REST_S = 60,
	BOOK_FREED_MAX = 4096, // Of a pool and a family: of more freed addresses the oldest count
	                       // as never used.
	BOOK_SHARED_MAX = 64, // So many addresses of its key are tried for one that wants to share.
};

struct book_port {
	uint8_t protocol; // IPPROTO_TCP, _UDP or _SCTP.
	uint16_t port;    // Host byte order.
};

// What a Service asks for. Nothing of it is kept by reference.
struct address_wish {
	const char *owner;                // "namespace/name": what addresses are held under.
	const char *space;                // Its namespace.
	const char *const *space_labels;  // "key=value", of the namespace, and
	const char *const *labels;        // of the Service; each ends with NULL, and may be NULL.
	const char *pool;                 // Asked for by name; NULL for any that is automatic.
	enum family families[N_FAMILIES]; // [n_families] Asked for; the first is the primary. None
	size_t n_families;                // is given anything.
	bool keeps[N_FAMILIES];           // It has them, too: of these nothing is given, and what
	                                  // is held stays.
	bool all_or_nothing; // Else the first family is required, and the other if it can be had.
	struct address requested[N_FAMILIES]; // By family; none where any will do.
	struct address recorded[N_FAMILIES]; // What an annotation says, which all may write who may
	                                     // write the Service: where nothing is held, it is
	                                     // taken for held if a pool that allows it has it, and
	                                     // nobody else.
	struct address published[N_FAMILIES]; // What its status says; likewise, where nothing that
	                                      // is recorded may be taken.
	bool published_is_ours;               // Then also if no pool has it any more.
	const char *sharing;                  // NULL to share with nobody.
	const struct book_port *ports;        // [n_ports]
	size_t n_ports;
};

enum book_answer {
	BOOK_GIVEN,     // All that was asked for.
	BOOK_PARTLY,    // Only the first family.
	BOOK_EXHAUSTED, // No address is free, or will be before its rest is over.
	BOOK_NO_POOL,   // No pool has the name, or the family, or is there for this Service.
	BOOK_OUTSIDE,   // The address asked for is in no pool.
	BOOK_FORBIDDEN, // It, or the pool asked for, is not for this namespace or these labels; or
	                // it is not in the pool asked for.
	BOOK_TAKEN,     // It is another's.
	BOOK_RESTING,   // It was another's less than a minute ago.
	BOOK_NO_FAMILY, // It is of a family that the Service does not have.
	BOOK_NO_MEMORY,
	N_BOOK_ANSWERS,
};

// "Exhausted": one word, as conditions and events have their reasons.
const char *book_answer_word(enum book_answer answer);

// Returns NULL when out of memory.
struct address_book *address_book_create(void);

// Accepts NULL.
void address_book_destroy(struct address_book *book);

// Copies the pools. Who holds addresses that are in none of them any more keeps them. Returns 0, or
// -ENOMEM, and then all is as before.
int address_book_set_pools(struct address_book *book, const struct address_pool *pools, size_t n);

// What is not for Services, whatever pools have: addresses of the file, which win over a Service
// that has one already, and of the cluster's nodes, which do not.
struct reserved_address {
	struct address address;
	char node[NAME_TEXT_MAX]; // Its name; empty for the file's.
};

// Copies the list, in place of the one before. Returns 0, or -ENOMEM, and then all is as before.
int address_book_reserve(
	struct address_book *book, const struct reserved_address *reserved, size_t n);

bool address_book_is_of_file(const struct address_book *book, const struct address *address);

// What of 'recorded' and 'published' may be taken for held by a Service, by family, whoever else
// has it: so who does not give addresses finds out which were given.
void address_book_believe(const struct address_book *book, const struct address_wish *wish,
	struct address ret_addresses[N_FAMILIES]);

// Asks for what a Service wants now; asked again, it keeps what it has and still may have. After a
// start, ask first for all that publish what they say that they have, then for those that only
// recorded it, and then for all others.
//
// 'ret_addresses' has in any case what the owner is to be served at, none where there is nothing:
// also one that is refused a change keeps what it has, but for an address where its ports have come
// to be another's. 'ret_why' is a sentence about what was not given, that names pool, address and
// holder, else empty.
//
// Where an address changes, the one before stays the owner's until address_book_settle().
enum book_answer address_book_ask(struct address_book *book, const struct address_wish *wish,
	uint64_t now_ns, struct address ret_addresses[N_FAMILIES], char ret_why[BOOK_WHY_MAX]);

// The owner is served at what it was last given, and says so: what it had before is free.
void address_book_settle(struct address_book *book, const char *owner, uint64_t now_ns);

// The owner is gone, and with it all that it had. One who holds nothing may be released.
void address_book_release(struct address_book *book, const char *owner, uint64_t now_ns);

struct book_holder {
	const char *owner;
	struct address address[N_FAMILIES]; // What it is to be served at,
	struct address leaving[N_FAMILIES]; // and what it had before, until it is settled.
	bool is_outside; // Of 'address' one is in no pool any more, or in one that would not give
	                 // it to the owner as it last asked.
};

// Returns false if the owner holds nothing.
bool address_book_read(
	const struct address_book *book, const char *owner, struct book_holder *ret_holder);

bool address_book_is_outside(const struct address_book *book, const char *owner);

// All that hold something, in no order. 'fn' does not change the book.
typedef void book_holder_fn(void *argument, const struct book_holder *holder);
void address_book_each(const struct address_book *book, book_holder_fn *fn, void *argument);

// Of each family, of pool 'i' in the order of address_book_set_pools().
struct book_pool {
	const char *name;
	uint64_t size[N_FAMILIES]; // UINT64_MAX if there are more.
	uint64_t used[N_FAMILIES]; // Addresses that are held.
	uint64_t resting[N_FAMILIES];
};

size_t address_book_count_pools(const struct address_book *book);
void address_book_read_pool(
	const struct address_book *book, size_t i, uint64_t now_ns, struct book_pool *ret_pool);
