#pragma once

#include <stdint.h>

// What a frame carries in its tag: which run it is of, so that what is late of another is not
// counted, and when it was sent, or of which flow it is.
//
//     47      40 39                                 0
//     | run    | time, in cycles, or flow            |
//
// The time comes round after seven minutes at 2.5 GHz.

enum { TAG_VALUE_BITS = 40 };

#define TAG_VALUE_MASK ((UINT64_C(1) << TAG_VALUE_BITS) - 1)

static inline uint64_t tag_of(uint8_t run, uint64_t value)
{
	return (uint64_t)run << TAG_VALUE_BITS | (value & TAG_VALUE_MASK);
}

static inline uint8_t tag_run(uint64_t tag)
{
	return (uint8_t)(tag >> TAG_VALUE_BITS);
}

static inline uint64_t tag_value(uint64_t tag)
{
	return tag & TAG_VALUE_MASK;
}

// Runs are never 0, which is what foreign frames are padded with.
static inline uint8_t tag_next_run(uint8_t run)
{
	return run == UINT8_MAX ? 1 : run + 1;
}
