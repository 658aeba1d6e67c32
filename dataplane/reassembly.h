#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "fragment.h"
#include "guideway/drop.h"

// Where a worker's fragments wait for the rest of their datagram. Who sends some and never the rest
// costs others no more than their turn: there are bounds of datagrams, of segments and of time,
// and whoever has waited longest makes room.
struct reassembly;

enum {
	REASSEMBLY_SECONDS = 15,       // From the first fragment that came, to the last.
	REASSEMBLY_FRAGMENTS_MAX = 64, // Of one datagram.
	REASSEMBLY_WAYS = 8,           // Datagrams among which a hash leaves the choice.
};

// Holds 'n_datagrams' (a power of two, at least REASSEMBLY_WAYS), and of all together 'n_segments'
// mbufs, at least 1. Fragments that are given up while they wait are counted in 'drops'
// [N_DROP_REASONS], by the calling worker. Returns NULL when out of memory.
struct reassembly *reassembly_create(
	uint32_t n_datagrams, uint32_t n_segments, _Atomic uint64_t *drops);

// Frees what waits, without counting it. Accepts NULL.
void reassembly_destroy(struct reassembly *r);

// Lays an empty one over another with the same bounds: of a datagram that it lacks it takes a copy
// from there, in mbufs of 'buffers', and the other never changes.
void reassembly_lay_over(
	struct reassembly *r, const struct reassembly *behind, struct rte_mempool *buffers);

// Frees what waits, without counting it, and lies over nothing any more.
void reassembly_clear(struct reassembly *r);

// Takes the fragment, 'hash' being its fragment_hash(). Returns
//
//     the datagram, and DROP_NONE    it was the one that had been missing;
//     NULL, and DROP_NONE            it is kept;
//     NULL, and a reason             it is freed, and for the caller to count by the reason. If the
//                                    rest of its datagram went with it, that is counted already.
//
// The datagram is the first fragment's mbuf, with all that mbuf says and from its Ethernet header
// on, with the others' data behind it in further segments. Its IP header is right for the whole;
// in IPv6 the fragment header remains and says so (RFC 6946), for whoever may have to fragment it
// again. It ends where the IP header says, and has at most 65535 bytes from there on.
//
// 'now_ns' never goes back.
struct rte_mbuf *reassembly_add(struct reassembly *r, const struct fragment *f, uint64_t hash,
	uint64_t now_ns, enum drop_reason *ret_reason);

// Frees datagrams whose time is over, a few a call, and returns of how many fragments they were:
// to be called once a burst.
unsigned reassembly_expire(struct reassembly *r, uint64_t now_ns);

// How many mbufs wait: never more than 'n_segments'.
uint32_t reassembly_held(const struct reassembly *r);
