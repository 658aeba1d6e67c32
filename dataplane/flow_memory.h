#pragma once

#include <stdbool.h>
#include <stddef.h>

// Memory for flows: a mapping of its own, zeroed and in place before the first packet, of the
// largest pages that can be had.

// From best to worst.
enum page_kind {
	PAGES_HUGE,        // 2 MB, reserved by the operator.
	PAGES_TRANSPARENT, // What the kernel makes of 4 kB pages when it finds 2 MB in one piece.
	PAGES_SMALL,
};

// "2 MB pages"
const char *page_kind_words(enum page_kind kind);

struct flow_memory {
	void *at; // Begins at a multiple of 64.
	size_t len_bytes;
	enum page_kind pages;

	size_t mapped_bytes; // For flow_memory_unmap().
};

// 'numa_node' is a wish; -1 for none. With 'hugepages' reserved pages are used if enough are free.
// Returns 0 or -errno.
int flow_memory_map(
	size_t len_bytes, int numa_node, bool hugepages, struct flow_memory *ret_memory);

// Accepts what is all zeroes.
void flow_memory_unmap(struct flow_memory *memory);
