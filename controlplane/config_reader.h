#pragma once

#include "config.h"
#include "loop.h"

// Reads a configuration beside the loop: one of ten thousand services takes 50 ms, and a health
// check should not wait for that.

struct config_reader;

// 'config' is the receiver's, and NULL if 'mistakes' has lines instead; they are the receiver's to
// clear.
typedef void config_read_fn(void *argument, struct config *config, struct text_lines *mistakes);

// Returns 0 or -errno. 'path' is borrowed.
int config_reader_create(struct loop *loop, const char *path, config_read_fn *fn, void *argument,
	struct config_reader **ret_reader);

// Waits for what is being read, and forgets it. Accepts NULL.
void config_reader_destroy(struct config_reader *reader);

// Calls 'fn' in a later step with what the file says now. Asked again before that, it calls once
// with what it said at the last asking, or later. Returns 0 or -errno.
int config_reader_ask(struct config_reader *reader);
