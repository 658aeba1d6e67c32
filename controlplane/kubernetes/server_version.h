#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api_client.h"

// Which release of Kubernetes answers: asked once, and anew of a server that is turned to. One that
// is older than what Guideway is made for is warned of, and used nevertheless.

enum { RELEASE_TEXT_MAX = 64 };

struct server_release {
	unsigned major; // 0 before it is known,
	unsigned minor;
	char text[RELEASE_TEXT_MAX]; // "v1.35.4", and then "".
};

// What a server answers to GET /version. Returns 0, or -EINVAL for another document.
int server_release_parse(const json_t *json, struct server_release *ret_release);

// Older than the oldest that is supported. One that is not known is not.
bool server_release_is_old(const struct server_release *release);

struct server_version;

// NULL when out of memory. Nothing is asked before server_version_look().
struct server_version *server_version_create(struct api_client *client);

// Accepts NULL.
void server_version_destroy(struct server_version *version);

// To be called about once a second: asks, if the client has turned to another server than the one
// that is known.
void server_version_look(struct server_version *version, uint64_t now_ns);

// The one that answered last.
const struct server_release *server_version_release(const struct server_version *version);
