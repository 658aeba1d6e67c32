#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include <rte_branch_prediction.h>

#include "burst.h"
#include "guideway/capture.h"

// Copies for people to look at. A worker that nobody looks at pays for one load a burst and a
// compare a packet. One that is looked at writes copies into a ring, which the control thread
// reads; what finds no room is counted, and goes on as ever.
struct capture;

// Memory for one worker's copies. Returns NULL when out of memory.
struct capture *capture_create(void);
void capture_destroy(struct capture *c); // Accepts NULL.

// For the control thread, while no worker writes: forgets what is there, and sets what is wanted.
void capture_prepare(struct capture *c, const struct capture_filter *filter);

// For the control thread: the oldest copy, or false if there is none. 'ret_captured->at_ns' is by
// the worker's clock.
bool capture_take(struct capture *c, struct captured *ret_captured);

// How many found no room since capture_prepare().
uint64_t capture_lost(const struct capture *c);

// For workers, by the functions below.
void capture_packet(
	struct burst *b, struct packet *p, enum capture_point point, enum drop_reason reason);

static inline void capture_in(struct burst *b, struct packet *p)
{
	if (unlikely(b->capture != NULL) && !b->was_handed)
		capture_packet(b, p, CAPTURE_IN, DROP_NONE);
}

// Its frame is finished. 'port' is where it goes.
static inline void capture_out(struct burst *b, struct packet *p, uint8_t port)
{
	if (unlikely(b->capture != NULL)) {
		p->port = port;
		capture_packet(b, p, CAPTURE_OUT, DROP_NONE);
	}
}

static inline void capture_drop(struct burst *b, struct packet *p, enum drop_reason reason)
{
	if (unlikely(b->capture != NULL))
		capture_packet(b, p, CAPTURE_DROP, reason);
}
