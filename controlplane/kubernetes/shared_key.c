#include "shared_key.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "clock.h"
#include "json_read.h"
#include "service_object.h"

#define RETRY_NS (2 * NSEC_PER_SEC)

enum { DIGITS = 32 };

struct shared_key {
	char space[SPACE_TEXT_MAX];
	uint64_t key[2]; // In use, or to be,
	bool is_new;     // if nobody else has made one.

	enum shared_key_state state;
	uint64_t theirs[2];
	bool is_listed; // In the list that is being told.
	bool is_asking;
	uint64_t due_ns;
};

struct shared_key *shared_key_create(const char *space, const uint64_t key[2], bool is_new)
{
	struct shared_key *shared = calloc(1, sizeof(*shared));

	if (shared == NULL)
		return NULL;
	snprintf(shared->space, sizeof(shared->space), "%s", space);
	memcpy(shared->key, key, sizeof(shared->key));
	shared->is_new = is_new;
	return shared;
}

void shared_key_destroy(struct shared_key *shared)
{
	free(shared);
}

// The Secret

static int parse_digits(const char *digits, uint64_t ret_key[2])
{
	char half[DIGITS / 2 + 1] = {0};

	if (strspn(digits, "0123456789abcdefABCDEF") != DIGITS ||
		strspn(digits + DIGITS, "\r\n") != strlen(digits + DIGITS))
		return -EINVAL;
	for (int i = 0; i < 2; i++) {
		memcpy(half, digits + i * DIGITS / 2, DIGITS / 2);
		ret_key[i] = strtoull(half, NULL, 16);
	}
	return 0;
}

static int parse_secret(const json_t *secret, uint64_t ret_key[2])
{
	const char *text = json_text_at(secret, "data." SHARED_KEY_MEMBER);
	char digits[2 * DIGITS + 1];
	size_t len = strlen(text);

	if (len >= sizeof(digits))
		return -EINVAL;
	ssize_t n = base64_decode(text, len, digits);
	digits[n < 0 ? 0 : n] = '\0';
	return parse_digits(digits, ret_key);
}

static json_t *write_secret(const struct shared_key *shared)
{
	char digits[DIGITS + 1];

	snprintf(digits, sizeof(digits), "%016" PRIx64 "%016" PRIx64, shared->key[0],
		shared->key[1]);
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:{s:s}}", "apiVersion", "v1", "kind",
		"Secret", "metadata", "name", SHARED_KEY_SECRET, "namespace", shared->space, "type",
		"Opaque", "stringData", SHARED_KEY_MEMBER, digits);
}

// What is known

static void take(struct shared_key *shared, const json_t *secret)
{
	uint64_t theirs[2];

	if (parse_secret(secret, theirs) < 0) {
		shared->state = SHARED_KEY_BAD;
		return;
	}
	memcpy(shared->theirs, theirs, sizeof(theirs));
	if (shared->is_new)
		memcpy(shared->key, theirs, sizeof(theirs));
	shared->is_new = false;
	shared->state = memcmp(shared->key, theirs, sizeof(theirs)) == 0 ? SHARED_KEY_SAME
									 : SHARED_KEY_ANOTHER;
}

void shared_key_begin(struct shared_key *shared)
{
	shared->is_listed = false;
}

void shared_key_tell(struct shared_key *shared, bool is_gone, const json_t *secret)
{
	if (!json_text_is(secret, "metadata.name", SHARED_KEY_SECRET))
		return;
	shared->is_listed = !is_gone;
	if (is_gone)
		shared->state = SHARED_KEY_MISSING;
	else
		take(shared, secret);
}

void shared_key_end(struct shared_key *shared)
{
	if (!shared->is_listed)
		shared->state = SHARED_KEY_MISSING;
}

enum shared_key_state shared_key_state(const struct shared_key *shared)
{
	return shared->state;
}

const char *shared_key_word(enum shared_key_state state)
{
	static const char *const words[N_SHARED_KEY_STATES] = {
		[SHARED_KEY_UNKNOWN] = "unknown",
		[SHARED_KEY_MISSING] = "missing",
		[SHARED_KEY_SAME] = "shared",
		[SHARED_KEY_ANOTHER] = "another",
		[SHARED_KEY_BAD] = "bad",
	};

	return words[state];
}

bool shared_key_read(const struct shared_key *shared, uint64_t ret_key[2])
{
	if (shared->is_new)
		return false;
	memcpy(ret_key, shared->key, sizeof(shared->key));
	return true;
}

void shared_key_read_theirs(const struct shared_key *shared, uint64_t ret_key[2])
{
	memcpy(ret_key, shared->theirs, sizeof(shared->theirs));
}

// What is asked

bool shared_key_next(
	struct shared_key *shared, bool leads, uint64_t now_ns, struct api_ask *ret_ask)
{
	bool makes = shared->state == SHARED_KEY_MISSING && (leads || shared->is_new);
	bool looks = !makes && shared->is_new;

	if (shared->is_asking || now_ns < shared->due_ns || (!makes && !looks))
		return false;
	ret_ask->method = makes ? "POST" : "GET";
	ret_ask->body = makes ? write_secret(shared) : NULL;
	snprintf(ret_ask->path, sizeof(ret_ask->path), "/api/v1/namespaces/%s/secrets%s",
		shared->space, makes ? "" : "/" SHARED_KEY_SECRET);
	shared->is_asking = true;
	return true;
}

void shared_key_answered(
	struct shared_key *shared, unsigned status, const json_t *json, uint64_t now_ns)
{
	bool made = shared->state == SHARED_KEY_MISSING;

	shared->is_asking = false;
	shared->due_ns = now_ns;
	if (status == 200 || status == 201)
		take(shared, json);
	else if (made && status == 409)
		shared->state = SHARED_KEY_UNKNOWN; // Another was faster.
	else if (!made && status == 404)
		shared->state = SHARED_KEY_MISSING;
	else
		shared->due_ns += RETRY_NS;
	if (shared->state == SHARED_KEY_BAD)
		shared->due_ns += RETRY_NS;
}
