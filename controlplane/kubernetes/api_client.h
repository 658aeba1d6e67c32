#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api_ask.h"
#include "kubeconfig.h"
#include "loop.h"

// Requests to the API servers, as steps of the loop.
//
// A request that is answered has a connection to itself, so that none waits behind a watch. One
// that cannot be connected tries the next server. One that is refused for its credentials is
// repeated once if there are others. What changes something waits for its turn, and where the
// server answered that there is too much of it, for as long as it said.

struct api_client;
struct api_request;

enum {
	API_BODY_MAX = 1 << 20, // Of an answer that is not streamed.
	API_WHY_MAX = 512,
	API_REQUESTS_MAX = 1024, // Under way or waiting.
	API_WRITES_PER_S = 50,   // Unless api_client_limit_writes() says otherwise, as is the next.
	API_WRITES_AT_ONCE = 100,
	API_HELD_MAX_S = 60, // Whatever the server asks for.
};

struct api_answer {
	unsigned status;        // Of HTTP; 0 if there was no whole answer.
	bool unreachable;       // No server could be connected to: the request was never sent.
	bool timed_out;         // It was sent, and not answered in time.
	uint32_t retry_after_s; // What the server asks for; 0 for nothing.
	const char *why;    // What went wrong, in words: "HTTP status 403: nodes is forbidden", or
	                    // "connection refused by https://192.0.2.1:6443"; "" if nothing did.
	const char *server; // Its URL, or the last one's that was tried.
	const json_t *json; // The body; NULL if it is none, is not JSON, or was streamed.
};

// As of its status, whatever it says.
static inline bool api_status_is_good(unsigned status)
{
	return status >= 200 && status < 300;
}

struct client_call {
	const char *method;       // "GET"
	const char *path;         // With its query: "/api/v1/services?limit=500".
	const char *content_type; // NULL without a body.
	const json_t *body;       // Or NULL. Needed only during the call.
	uint32_t timeout_ms;      // For all of it, once it is sent; 0 for 10 s.
	bool is_urgent;           // It changes something, and does not wait for its turn.
	uint32_t head_timeout_ms; // Until the answer begins; 0 for no limit of its own.

	// If not NULL, takes a body of status 2xx as it comes, in pieces. Returning false asks to
	// be called again with the same piece after api_client_resume(). Must not call the client.
	bool (*stream)(void *argument, const char *bytes, size_t len);

	// Called once, in a step of its own, unless the request is cancelled.
	void (*fn)(void *argument, const struct api_answer *answer);
	void *argument;
};

// 'access' is borrowed. curl_global_init() came before. Returns 0 or -errno.
int api_client_create(
	struct loop *loop, const struct api_access *access, struct api_client **ret_client);

// From now on, no more than 'at_once' writes go in one moment, and 'per_s' in each second after
// that. Neither is 0.
void api_client_limit_writes(struct api_client *client, uint32_t per_s, uint32_t at_once);

// Requests under way end without their 'fn'. Accepts NULL.
void api_client_destroy(struct api_client *client);

// Returns 0, -EBUSY with API_REQUESTS_MAX others, or -ENOMEM. 'ret_request' is good until 'fn' is
// called or it is cancelled.
int api_client_call(struct api_client *client, const struct client_call *call,
	struct api_request **ret_request);

// A call with all of what is asked, its body taken; it does not wait for its turn. On failure
// 'ret_request' is set to NULL.
int api_client_ask(struct api_client *client, const struct api_ask *asked, uint32_t timeout_ms,
	void (*fn)(void *argument, const struct api_answer *answer), void *argument,
	struct api_request **ret_request);

// The request ends without a call of 'fn'; what it asked for may happen nevertheless. Accepts NULL.
void api_client_cancel(struct api_client *client, struct api_request *request);

// A stream that returned false goes on; not to be called by it.
void api_client_resume(struct api_client *client, struct api_request *request);

struct api_client_status {
	const char *server; // That the next request is sent to first.
	uint64_t n_requests;
	uint64_t n_refused;   // Answered by 401 or 403.
	uint64_t n_throttled; // By 429.
	uint64_t n_failed;    // Without an answer.
	uint64_t n_failovers; // Times that another server was turned to.
	size_t n_waiting;     // For credentials or their turn.
};

void api_client_read_status(const struct api_client *client, struct api_client_status *ret_status);
