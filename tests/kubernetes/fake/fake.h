#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kubernetes/watch.h"
#include "loop.h"

// A scripted API server (server.py), and somebody who follows Services of it.

struct fake {
	pid_t pid; // 0 for none.
	int input; // It ends when this is closed.
	uint16_t port;
	char folder[64];
	char url[64];
};

// Starts the server; 'options' are up to two of its options or NULL. Fails the test if it cannot.
void fake_start(struct fake *fake, const char *scenario, const char *option, const char *other);

// Ends it, and removes its folder. One that was not started is no error.
void fake_stop(struct fake *fake);

// How many of the requests had 'text' in their line.
size_t fake_count(const struct fake *fake, const char *text);

// A file of its folder: written, or read whole (the caller's to free; NULL if there is none).
void fake_write(const struct fake *fake, const char *name, const char *text);
char *fake_read(const struct fake *fake, const char *name);

// Who follows: what the watch told, as its user has to understand it.
enum { FOLLOWED_MAX = 16, FOLLOWED_TEXT_MAX = 96 };

struct follower {
	struct fake fake;
	struct fake second; // For tests of two servers.
	struct loop *loop;
	struct api_access access;
	struct api_client *client;
	struct watch *watch;
	struct loop_timer poll;
	bool (*until)(const struct follower *follower);
	uint64_t deadline_ns;
	bool in_time;

	struct followed {
		char name[FOLLOWED_TEXT_MAX];
		char note[FOLLOWED_TEXT_MAX];
		bool is_confirmed; // By the list under way.
	} objects[FOLLOWED_MAX];
	size_t n_objects;
	size_t n_told;
	uint64_t step;         // Of the loop, in which was told last,
	size_t n_told_in_it;   // how many, and how many
	size_t n_told_at_most; // in any.
	size_t n_begun;
	size_t n_synced;
	size_t n_lacking; // Of those, lists that had something that cannot be read.
};

// Several followers may share a loop.
struct follower *follower_create_on(struct loop *loop);
void follower_free(struct follower *follower);

// Of a cmocka test's set-up and tear-down: one follower, with a loop of its own.
int follower_create(void **state);
int follower_destroy(void **state);

// Begins to follow the fake's Services, where 'access' was filled in before but for its server.
void follower_start(struct follower *follower, const char *scenario);
void follower_watch(struct follower *follower, uint32_t patience_ms);

// Only makes the client of the fake, and of the second one if there is one.
void follower_connect(struct follower *follower);

// Runs the loop until 'until' is true. Returns false if it was not in 'ms'.
bool follower_run(
	struct follower *follower, bool (*until)(const struct follower *follower), uint64_t ms);

// "a b c", sorted by name, of what there is.
const char *follower_names(const struct follower *follower);

bool is_synced_once(const struct follower *follower);
bool is_synced_twice(const struct follower *follower);
struct watch_status follower_status(const struct follower *follower);
