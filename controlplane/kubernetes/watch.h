#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api_client.h"
#include "loop.h"

// One resource of the API, kept up to date: all that there is of it is told, then each change. What
// fails is tried again for ever, and what was told stays true meanwhile.

struct watch;

enum watch_change { WATCH_SET, WATCH_GONE };

struct watch_config {
	struct loop *loop;
	struct api_client *client;
	const char *name; // Of the resource, for people: "services".
	const char
		*path; // "/api/v1/services", maybe with "?fieldSelector=..."; outlives the watch.

	// How long a server may take to begin an answer, or for a page, or be silent in a streamed
	// list; 0 for 60 s.
	uint32_t patience_ms;

	// A list begins: what is not told until synced() is gone. Called anew at each relist, and
	// when a list has to be begun again before it was synced.
	void (*begun)(void *argument);
	// 'object' is borrowed for the call. Listed ones (WATCH_SET) and later changes alike.
	void (*told)(void *argument, enum watch_change change, const json_t *object);
	// If not 'is_whole', the list had an object that cannot be read: what was not told may be
	// that one, and is not gone.
	void (*synced)(void *argument, bool is_whole);
	void *argument;
};

// Returns 0 or -ENOMEM. Nothing is told before the next step of the loop.
int watch_start(const struct watch_config *config, struct watch **ret_watch);

// Nothing is told after this. Not to be called by one of its own functions. Accepts NULL.
void watch_stop(struct watch *watch);

enum { WATCH_WHY_MAX = 512, RESOURCE_VERSION_MAX = 64 };

struct watch_status {
	bool synced;             // All was told once; stays true.
	bool failing;            // What is known may be old,
	char why[WATCH_WHY_MAX]; // for this reason, the last there was; "" if there was none.
	uint64_t since_ns;       // When it began to fail, or was well again.
	uint64_t n_events;       // Told after lists.
	uint64_t n_objects;      // Told by lists.
	uint64_t n_lists;        // Complete ones.
	uint64_t n_watches;      // Begun.
	uint64_t n_failures;
	uint64_t n_bad_objects;                      // That could not be read, and were left out.
	char resource_version[RESOURCE_VERSION_MAX]; // The last that was seen, or "".
};

void watch_read_status(const struct watch *watch, struct watch_status *ret_status);
