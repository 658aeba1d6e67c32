#pragma once

#include <stdbool.h>

#include "world.h"

// Holds what a trace says of a frame against what then happens to it. For world_put() alone.

// Until then the other two do nothing.
void traced_start(void);

// Before the frame is put in.
void traced_foretell(struct world *w, unsigned worker, enum origin origin, uint16_t port,
	const uint8_t *bytes, size_t len);

// Afterwards. Returns what the trace had foretold wrongly or done, or NULL.
const char *traced_judge(const struct world *w, const struct ending *e);
