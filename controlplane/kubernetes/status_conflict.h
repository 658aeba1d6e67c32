#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// Whether another writer fights with us over what the status of a Service says that it is reached
// by. Once it is overwritten twice within a minute, its status is not written any more, but for
// what its end needs: until the Service asks for something else, or ten minutes have passed. Who is
// still there then is known for it after two more writes. Pure.

enum { WRITER_TEXT_MAX = 64 };

struct status_conflict {
	uint64_t overwritten_ns;      // When it was last; 0 for never.
	uint64_t until_ns;            // While there is a conflict; else 0.
	char writer[WRITER_TEXT_MAX]; // Who, as far as it is known.
};

// Another wrote over what we had written; 'json' is the Service as it is then. Returns true if that
// makes it a conflict.
bool status_conflict_overwritten(
	struct status_conflict *conflict, const json_t *json, uint64_t now_ns);

bool status_conflict_is_on(const struct status_conflict *conflict);

// Once its time has passed there is none.
void status_conflict_ends(struct status_conflict *conflict, uint64_t now_ns);
