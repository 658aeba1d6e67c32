#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api_ask.h"

// The key of the flow hash, which all Guidewayes of a cluster share, so that a flow that arrives at
// another one goes to the same node: a Secret. Pure.
//
// Who has no key asks for the Secret, and makes it if there is none; of several that do so at the
// same time, one succeeds. Who has one keeps to it until a restart, whatever happens to the Secret;
// if that is deleted, the leader makes it anew.

struct shared_key;

enum shared_key_state {
	SHARED_KEY_UNKNOWN, // What the Secret has is not known yet.
	SHARED_KEY_MISSING, // There is none.
	SHARED_KEY_SAME,
	SHARED_KEY_ANOTHER, // It has another key than the one in use: a restart takes it.
	SHARED_KEY_BAD,     // It has no key.
	N_SHARED_KEY_STATES,
};

#define SHARED_KEY_SECRET "guideway-hash-key"
#define SHARED_KEY_MEMBER "hash-key" // 32 hexadecimal digits.

// 'key' is the one in use; where there is none, 'is_new' says that it is a random one, which
// becomes that if there is no Secret. NULL when out of memory.
struct shared_key *shared_key_create(const char *space, const uint64_t key[2], bool is_new);

// Accepts NULL.
void shared_key_destroy(struct shared_key *shared);

// What is to be asked of the API server now; the answer is told by shared_key_answered() before
// there is another. Returns false if there is nothing. 'leads': whether a Secret that is missing is
// to be made anew.
bool shared_key_next(
	struct shared_key *shared, bool leads, uint64_t now_ns, struct api_ask *ret_ask);
void shared_key_answered(
	struct shared_key *shared, unsigned status, const json_t *json, uint64_t now_ns);

// What a watch tells of it: listed whole between begin and end, then as it changes.
void shared_key_begin(struct shared_key *shared);
void shared_key_tell(struct shared_key *shared, bool is_gone, const json_t *secret);
void shared_key_end(struct shared_key *shared);

enum shared_key_state shared_key_state(const struct shared_key *shared);

// "another": as the API has it.
const char *shared_key_word(enum shared_key_state state);

// Returns false if none is known: of a new one, until it is in the Secret, or another is.
bool shared_key_read(const struct shared_key *shared, uint64_t ret_key[2]);

// What the Secret has, if SHARED_KEY_SAME or SHARED_KEY_ANOTHER.
void shared_key_read_theirs(const struct shared_key *shared, uint64_t ret_key[2]);
