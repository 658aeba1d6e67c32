#pragma once

#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

// The pools that packet buffers come from: one for each (NUMA node, buffer length) in use, made
// when first asked for. All verbs belong to the control thread.
struct buffers;

// The memory that 'n' buffers of 'len' bytes take, headroom and all, on pages of 'page_bytes':
// DPDK lets none lie across two pages without need.
size_t buffers_bytes(size_t n, uint16_t len, size_t page_bytes);

// 'n' is how many buffers a pool has. Returns NULL when out of memory.
struct buffers *buffers_create(unsigned n);

// The pools themselves end with the process. Accepts NULL.
void buffers_destroy(struct buffers *buffers);

// A pool of buffers that hold 'len' bytes each behind the headroom, on 'numa_node' if there is
// memory, else anywhere. Returns NULL when out of memory.
struct rte_mempool *buffers_find(struct buffers *buffers, int numa_node, uint16_t len);
