#pragma once

#include <stdalign.h>
#include <stdatomic.h>

#include <rte_common.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "buffers.h"
#include "clock.h"
#include "flow_memory.h"
#include "guideway/dataplane.h"
#include "handover.h"
#include "owner.h"
#include "pipeline.h"
#include "port.h"
#include "twin.h"
#include "unresolved.h"
#include "waiting_room.h"

// The dataplane as a whole: what its workers share and what each of them has. For the files that
// put it together; a stage of the pipeline sees struct pipeline alone.

struct tracer;
struct worker;

// A table that was replaced, until no worker reads it any more.
struct retired {
	struct retired *next;
	const struct forwarding_table *table;
	uint64_t token; // Of rte_rcu_qsbr_start().
};

struct dataplane {
	// Set once, read by workers.
	struct dataplane_config config;
	struct clock clock;
	size_t n_ports;
	struct port ports[PORTS_MAX];
	struct port_facts facts[PORTS_MAX];
	enum steering steering; // Never STEERING_AUTO.
	struct owner_map *owners;
	struct handover *handover;
	struct twins *twins;
	struct unresolved *unresolved;
	struct rte_rcu_qsbr *readers; // A thread of it is a worker, by its number.

	// To the worker that has a port's TX queue, from those that have none: finished packets.
	// [n_tx] of a port with n_tx < n_workers, else NULL.
	struct rte_ring *senders[PORTS_MAX][WORKERS_MAX];

	size_t n_workers; // That were created.
	struct worker *workers[WORKERS_MAX];
	struct buffers *buffers;

	// Written by the control thread, read by workers.
	_Atomic uint64_t *next_hops; // [NEXT_HOP_MAX]

	// Written and read by workers.
	_Atomic uint64_t *path_mtus; // [nodes_max * N_FAMILIES]

	// Written by the control thread, read by workers.
	alignas(RTE_CACHE_LINE_SIZE) _Atomic(const struct forwarding_table *) table;

	// Of the control thread: oldest first.
	alignas(RTE_CACHE_LINE_SIZE) struct retired *retired;
	struct retired **retired_end;

	struct capture *captures[WORKERS_MAX]; // Made when somebody captures for the first time.
	bool captures_now;
	uint64_t capture_token; // Of rte_rcu_qsbr_start(), when the last one ended; 0 for none.

	struct tracer *tracer; // Made when somebody traces for the first time.
	bool traces_now;
	unsigned traces_at; // The worker that has, or had, it before it.
};

// The first worker of those that a port's TX queue 'queue' has, who serves it for all of them, is
// worker 'queue'; worker w without a queue sends by this one.
static inline uint16_t queue_for(const struct port *port, unsigned worker)
{
	return (uint16_t)(worker % port->n_tx);
}

// The worker that takes what the kernel sends by the port's twin. It has a queue to send by.
static inline unsigned twin_worker(const struct dataplane *dp, const struct port *port)
{
	unsigned n =
		port->n_tx < dp->config.n_workers ? port->n_tx : (unsigned)dp->config.n_workers;

	return port->index % n;
}
