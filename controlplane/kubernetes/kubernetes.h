#pragma once

#include <stdint.h>

#include "cluster.h"
#include "config.h"
#include "instance.h"
#include "loop.h"
#include "reconcile.h"
#include "server_version.h"
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

// Nothing is written to the cluster any more, and what is served is served on. What is known is
// written down for the next process. Accepts NULL.
void kubernetes_stop(struct kubernetes *k);

// To be called before the loop ends: what others wait for is given up, and the loop is stopped once
// that is done, or after a second.
void kubernetes_end(struct kubernetes *k);

// The file was read anew: as of reconcile_want(), for the file and the cluster together.
int kubernetes_want(struct kubernetes *k, const struct config *file, char ret_why[WHY_MAX]);

struct kubernetes_status {
	bool is_synced;
	bool is_claiming;
	bool is_followed[N_CLUSTER_RESOURCES];
	struct watch_status watches[N_CLUSTER_RESOURCES]; // Of those.
	struct cluster_counts counts;
	uint64_t n_joins;  // Times that what is served changed.
	uint64_t took_ns;  // From news to every worker forwarding by them, the last time.
	uint64_t n_writes; // To Services' status, and
	uint64_t n_writes_failed;
	struct instance_status instance;
	struct server_release server; // Of the API server.
};

void kubernetes_read_status(const struct kubernetes *k, struct kubernetes_status *ret_status);

// Nothing of the cluster is served any more, and all marks of ours are taken from its Services,
// until kubernetes_claim(), or a restart.
void kubernetes_release_all(struct kubernetes *k);
void kubernetes_claim(struct kubernetes *k);

// For listing the instances of the cluster.
const struct instance *kubernetes_instance(const struct kubernetes *k);

// For listing what is served: good until the next step of the loop.
const struct cluster *kubernetes_cluster(const struct kubernetes *k);
