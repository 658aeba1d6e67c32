#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <emmintrin.h>

#include "guideway/counters.h"
#include "guideway/flow.h"

// One worker's memory of its SNAT flows of one family: which node each goes to, and as whom.
//
// Flat and pointer-free, in memory that the caller gives: links are indexes, so that the memory may
// lie anywhere and be a file. One worker writes it; the control thread reads along by
// flow_table_view() and flow_table_look().

struct worker_counters;

// Where a flow is in its table. Stays the same for the flow's life.
typedef uint32_t flow_at;

#define FLOW_NONE UINT32_MAX

// The key of a reply, in one word: it names the flow that the reply belongs to.
union return_key {
	struct {
		node_id node;
		__be16 node_port;
		__be16 snat_port;
		uint8_t snat_index;
		uint8_t protocol;
	};
	uint64_t word;
};
static_assert(sizeof(union return_key) == 8);

// 32 bytes of IPv4, 64 of IPv6. Half of a line of memory, or one.
struct flow {
	uint32_t next; // In its queue; indexes.
	uint32_t prev;
	uint32_t seen_s; // When its last packet came; of one closing or resting, since when it is.
	service_id service;
	union return_key back;
	__be16 client_port;
	uint8_t state;   // enum flow_state.
	uint8_t marks;   // What tcp_state.h has seen.
	__be32 client[]; // 1 word of IPv4, 4 of IPv6.
};
static_assert(offsetof(struct flow, client) == 28);

// The two indexes of a table.
enum flow_side {
	FLOW_FORWARD, // By flow_hash(): client, its port, service.
	FLOW_BACK,    // By flow_hash_back().
	N_FLOW_SIDES,
};

enum {
	FLOW_BUCKET = 10,     // Flows that a bucket has room for,
	FLOW_BUCKET_USED = 6, // and that it has on average when the table is full.
	FLOWS_MIN = 16,       // 'n_flows' of a table.
	FLOWS_MAX = 1u << 30,
};

// A line of memory. A tag of 0 is a free place.
struct flow_bucket {
	uint16_t tags[FLOW_BUCKET];
	uint32_t overflows; // Flows that would be here or before, but lie behind, for lack of room.
	flow_at places[FLOW_BUCKET];
};
static_assert(sizeof(struct flow_bucket) == 64);

// The head of the memory. What is behind the first line only flow_table.c looks at.
struct flow_table {
	// Set once.
	uint64_t flows;                 // Bytes from here to the flows,
	uint64_t buckets[N_FLOW_SIDES]; // and to the indexes.
	uint64_t hash_key[2];
	uint32_t n_flows;
	uint32_t n_buckets; // Of each index.
	uint32_t family;
	uint32_t version; // Of this layout.
	int64_t behind;   // Bytes from here to the table that this one lies over, or 0.

	// Written by its worker.
	uint32_t n_begun;       // Flows above this were never used and are free.
	flow_at free;           // The first of the other free ones; they are linked by 'next'.
	uint32_t oldest_s;      // No half-open flow is due before this second.
	uint32_t half_open_s;   // What of the two timer wheels was not looked at yet begins
	uint32_t established_s; // with these seconds.
	uint32_t expired_s;     // In this second nothing more is due.
	_Atomic uint32_t n_in_state[N_FLOW_STATES]; // n_in_state[FLOW_FREE] is not kept.
};
static_assert(offsetof(struct flow_table, n_begun) == 64);

// What a change of the table needs to know beside it.
struct flow_context {
	const struct forwarding_table *table;
	struct worker_counters *counters;
	uint32_t now_s;
};

// What a flow is from its begin to its end.
struct flow_identity {
	const void *client; // In network order, 4 or 16 bytes, wherever they lie.
	__be16 client_port;
	service_id service;
	union return_key back;
};

// The bytes that a table of 'n_flows', from FLOWS_MIN to FLOWS_MAX, takes; a multiple of 64.
size_t flow_table_bytes(enum family family, size_t n_flows);

// Makes an empty table in 'memory', which is flow_table_bytes() long, begins at a multiple of 64,
// and is zeroed. The memory stays the caller's; nothing is to be destroyed.
struct flow_table *flow_table_create(void *memory, enum family family, size_t n_flows,
	const uint64_t hash_key[2], uint32_t now_s);

// Lays an empty table over another of the same family and key: of a flow that it is asked for and
// lacks it takes a copy from there, and what becomes of that, and of new flows, stays here. It is
// for a packet or two that are to change nothing, and knows no expiry; that other table must not
// change meanwhile.
void flow_table_lay_over(struct flow_table *ft, const struct flow_table *behind);

static inline __attribute__((always_inline)) struct flow *flow_table_flow(
	const struct flow_table *ft, enum family family, flow_at at)
{
	return (struct flow *)((uintptr_t)ft + ft->flows +
		((uint64_t)at << (family == IPV4 ? 5 : 6)));
}

static inline __attribute__((always_inline)) flow_at flow_table_at(
	const struct flow_table *ft, enum family family, const struct flow *flow)
{
	return (flow_at)(((uintptr_t)flow - (uintptr_t)ft - ft->flows) >> (family == IPV4 ? 5 : 6));
}

// Finding a flow, one step for a whole burst before the next, so that the memory that each step
// asks for arrives while it works on other packets:
//
//     flow_table_prefetch()   asks for the bucket
//     flow_table_guess()      looks at the bucket, asks for the flow that it is likely to be
//     flow_is() / flow_is_back()   looks at the flow
//     flow_table_find() / _find_back()   where the guess was FLOW_NONE or wrong
//
// A guess fails where there is no such flow; and else in one of some thousand lookups.

static inline __attribute__((always_inline)) struct flow_bucket *flow_table_bucket(
	const struct flow_table *ft, enum flow_side side, uint64_t hash)
{
	struct flow_bucket *buckets = (struct flow_bucket *)((uintptr_t)ft + ft->buckets[side]);

	return &buckets[(hash & UINT32_MAX) * ft->n_buckets >> 32];
}

static inline void flow_table_prefetch(
	const struct flow_table *ft, enum flow_side side, uint64_t hash)
{
	__builtin_prefetch(flow_table_bucket(ft, side, hash));
}

// Never 0.
static inline uint16_t flow_tag(uint64_t hash)
{
	uint16_t tag = (uint16_t)(hash >> 32);

	return tag + (tag == 0);
}

// Bit i is set where place i has this tag.
static inline __attribute__((always_inline)) unsigned flow_bucket_match(
	const struct flow_bucket *bucket, uint16_t tag)
{
	const __m128i *words = (const __m128i *)bucket;
	__m128i wanted = _mm_set1_epi16((short)tag);
	__m128i equal = _mm_packs_epi16(_mm_cmpeq_epi16(_mm_load_si128(&words[0]), wanted),
		_mm_cmpeq_epi16(_mm_load_si128(&words[1]), wanted));

	return (unsigned)_mm_movemask_epi8(equal) & ((1u << FLOW_BUCKET) - 1);
}

static inline __attribute__((always_inline)) flow_at flow_table_guess(
	const struct flow_table *ft, enum family family, enum flow_side side, uint64_t hash)
{
	const struct flow_bucket *bucket = flow_table_bucket(ft, side, hash);
	unsigned match = flow_bucket_match(bucket, flow_tag(hash));

	if (match == 0)
		return FLOW_NONE;

	flow_at at = bucket->places[__builtin_ctz(match)];
	__builtin_prefetch(flow_table_flow(ft, family, at), 1);
	return at;
}

static inline __attribute__((always_inline)) bool flow_is(const struct flow *flow,
	enum family family, const void *client, __be16 client_port, service_id service)
{
	return memcmp(flow->client, client, family == IPV4 ? 4 : 16) == 0 &&
		flow->client_port == client_port && flow->service == service;
}

static inline bool flow_is_back(const struct flow *flow, union return_key back)
{
	return flow->back.word == back.word;
}

// Returns FLOW_NONE if there is no such flow. A resting one is not found from this side.
flow_at flow_table_find(const struct flow_table *ft, uint64_t hash, const void *client,
	__be16 client_port, service_id service);

// The same from the node's side. May return a resting flow: the port is taken, but for replies
// there is nobody.
flow_at flow_table_find_back(const struct flow_table *ft, uint64_t hash, union return_key back);

// Begins a flow, half open. 'hash' is its flow_hash(), 'hash_back' its flow_hash_back(); neither
// key is in the table. If there is no room, flows give way: resting ones first, then the oldest
// half-open, then the oldest closing. Returns FLOW_NONE where all are established.
flow_at flow_table_add(struct flow_table *ft, const struct flow_context *c,
	const struct flow_identity *new, uint64_t hash, uint64_t hash_back);

// Moves a half-open, established or closing flow to another of these states.
void flow_table_move(
	struct flow_table *ft, const struct flow_context *c, flow_at at, enum flow_state state);

// Ends a flow of any state but resting: its port rests from now on.
void flow_table_end(struct flow_table *ft, const struct flow_context *c, flow_at at);

// Forgets a flow of any state.
void flow_table_remove(struct flow_table *ft, const struct flow_context *c, flow_at at);

// Ends flows that have been silent for too long, and frees ports that have rested. Takes no more
// than 'budget' steps, a step being a flow or a second, and goes on from there at the next call.
// What falls due in a second that it is through with waits for the next. Returns how many it took.
unsigned flow_table_expire(struct flow_table *ft, const struct flow_context *c, unsigned budget);

// Flows and resting ports; of use to any thread.
size_t flow_table_used(const struct flow_table *ft);

// For the control thread, while the worker goes on: the flow at 'at', which is below n_flows, by
// the times of 'table'. Returns false if there is none, or if it came or went this very moment;
// a flow is never seen half made.
bool flow_table_view(const struct flow_table *ft, const struct forwarding_table *table, flow_at at,
	uint32_t now_s, struct flow_view *ret_view);

// For the control thread: the flow of a client, 'hash' as above. May miss one that moves within its
// index this very moment.
bool flow_table_look(const struct flow_table *ft, const struct forwarding_table *table,
	uint64_t hash, const struct address *client, __be16 client_port, service_id service,
	uint32_t now_s, struct flow_view *ret_view);

// For the control thread: the flow whose replies have this key, 'hash' being flow_hash_back(). May
// miss one likewise.
bool flow_table_look_back(const struct flow_table *ft, const struct forwarding_table *table,
	uint64_t hash, union return_key back, uint32_t now_s, struct flow_view *ret_view);

// What contradicts itself in a table that nobody changes, or NULL. Looks at all of it, so that it
// is for tests, and for memory that somebody else has written.
const char *flow_table_check(const struct flow_table *ft);
