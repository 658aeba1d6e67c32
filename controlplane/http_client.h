#pragma once

#include <curl/curl.h>

#include "loop.h"

// Requests over HTTP as steps of the loop: libcurl's multi interface with the loop's fds and timer.

struct http_client;

typedef void http_done_fn(void *argument, CURLcode result);

// One request under way. Its owner keeps it, and does not move it, until it is done or cancelled.
struct http_transfer {
	CURL *easy; // Made and cleaned up by the owner. CURLOPT_PRIVATE is ours.
	http_done_fn *fn;
	void *argument;
};

// curl_global_init() came before. Returns 0 or -ENOMEM.
int http_client_create(struct loop *loop, struct http_client **ret_client);

// Transfers under way were cancelled before. Accepts NULL.
void http_client_destroy(struct http_client *client);

// Calls 'fn' once when the transfer is over, in a later step. Returns 0 or -ENOMEM.
int http_client_start(struct http_client *client, struct http_transfer *transfer);

// The transfer ends without a call of 'fn'. Only of one that is under way.
void http_client_cancel(struct http_client *client, struct http_transfer *transfer);
