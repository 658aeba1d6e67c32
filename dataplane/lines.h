#pragma once

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

// Zeroed memory that shares no line with what others write, for who writes it in a worker's turn.
// free() it. Returns NULL when out of memory.
static inline void *lines_alloc(size_t bytes)
{
	size_t whole = RTE_ALIGN_CEIL(bytes, (size_t)RTE_CACHE_LINE_SIZE);
	void *memory = aligned_alloc(RTE_CACHE_LINE_SIZE, whole);

	if (memory != NULL)
		memset(memory, 0, whole);
	return memory;
}
