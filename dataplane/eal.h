#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "guideway/dataplane.h"

// DPDK's environment: memory, CPUs, buses. It can be started once in the life of a process.

// What packet buffers and ports take of memory depends on the size of its pages.
struct eal_memory {
	size_t on_huge_pages; // Bytes.
	size_t on_small_pages;
};

// Takes 'memory', of huge pages if wanted and that many are free, else of small ones. Returns 0 or
// -errno, having said why.
int eal_start(const struct dataplane_config *config, const struct eal_memory *memory,
	char ret_why[WHY_MAX]);

// To be called when all is started: from now on what drivers log goes to stderr, and the signals
// that they use do not interrupt the calling thread.
void eal_end_start(void);

// Drivers are quiet again. EAL itself goes with the process: rte_eal_cleanup() takes away memory
// that DPDK's interrupt thread, which it leaves running, still looks at when a driver has just
// closed a port (net_memif). Nothing that it holds is a file.
void eal_begin_stop(void);

// The lcore that runs on the configuration's 'worker'th CPU. The control thread is lcore 0.
unsigned eal_worker_lcore(size_t worker);

// The last line that DPDK or a driver logged since eal_forget_words(), for a sentence about what
// failed; "" if none.
const char *eal_last_words(void);
void eal_forget_words(void);
