#pragma once

#include <stdint.h>

#include "cluster.h"
#include "config.h"
#include "loop.h"
#include "reconcile.h"
#include "state_directory.h"
#include "watch.h"

// The Kubernetes side: keeps to what the API server says of Services and Nodes, has it served, and
// writes down that it is.

struct kubernetes;

// Begins to ask the API server that 'file' names. What was known of the cluster before a restart is
// served at once. 'file' outlives the next kubernetes_want() that
// returns 0. On failure 'ret_why' says in one sentence what failed. Returns 0, -EINVAL for
// credentials that are no good, or -errno.
int kubernetes_start(struct loop *loop, struct reconcile *reconcile,
	struct state_directory *directory, const struct config *file,
	struct kubernetes **ret_kubernetes, char ret_why[WHY_MAX]);

// Nothing is written any more, and what is served is served on. Accepts NULL.
void kubernetes_stop(struct kubernetes *k);

// The file was read anew: as of reconcile_want(), for the file and the cluster together.
int kubernetes_want(struct kubernetes *k, const struct config *file, char ret_why[WHY_MAX]);

struct kubernetes_status {
	bool is_synced;
	struct watch_status watches[N_CLUSTER_RESOURCES];
	struct cluster_counts counts;
	uint64_t n_joins;  // Times that what is served changed.
	uint64_t took_ns;  // From news to every worker forwarding by them, the last time.
	uint64_t n_writes; // To Services' status, and
	uint64_t n_writes_failed;
};

void kubernetes_read_status(const struct kubernetes *k, struct kubernetes_status *ret_status);

// For listing what is served: good until the next step of the loop.
const struct cluster *kubernetes_cluster(const struct kubernetes *k);
