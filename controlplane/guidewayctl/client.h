#pragma once

#include <jansson.h>

// Asks a guideway over its control socket.

// What a call ended with; also exit statuses.
enum client_result {
	CLIENT_OK = 0,
	CLIENT_REFUSED = 1,     // guideway answered with an error.
	CLIENT_UNREACHABLE = 3, // Nobody answered.
};

// 'method' is "GET" or "POST"; 'path' begins with "/v1/" and is escaped. On success 'ret_answer' is
// the caller's to json_decref(). Else what failed has been printed to stderr, and the result is the
// exit status.
enum client_result client_ask(
	const char *socket, const char *method, const char *path, json_t **ret_answer);
