#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "drains.h"
#include "guideway/dataplane.h"
#include "health.h"
#include "kernel/kernel.h"
#include "loop.h"
#include "plan.h"
#include "table_builder.h"

// Keeps the dataplane forwarding by what is wanted and by what is so: whenever either changes, it
// builds the table of the newest state and publishes it. Changes that come close together share a
// table.

struct reconcile;

typedef void reconcile_ready_fn(void *argument);

struct reconcile_config {
	struct loop *loop;
	struct dataplane *dp;
	struct kernel *kernel; // NULL for no routes, and nothing resolved or announced.
	struct drains *drains;
	const struct port_config *ports; // [n_ports] By whose twins nodes are asked whether they
	size_t n_ports;                  // know a VIP.
	size_t services_max;             // As of the dataplane: ids are below these.
	size_t nodes_max;
	uint64_t age_ns;      // How often it is asked what has ended; 0 for once a second.
	uint64_t patience_ns; // First checks hold up others no longer; 0 for five seconds.

	// Called once: the first table that serves is published, and what it serves is being
	// announced.
	reconcile_ready_fn *ready;
	void *argument;
};

// Returns 0 or -ENOMEM.
int reconcile_create(const struct reconcile_config *config, struct reconcile **ret_reconcile);

// Accepts NULL. The dataplane has stopped, or never saw a table.
void reconcile_destroy(struct reconcile *r);

// Makes 'config' what is wanted; it stays the caller's, and outlives the next call of this that
// returns 0. Nodes and services that it does not name any more end as said in plan.h. Once ready,
// the table of 'config' is out when this returns, though services may be late with their rings;
// before, one that only knows its nodes.
//
// On failure all is as before, and 'ret_why' says why. Returns 0; -EBUSY if workers hang;
// otherwise, what table_builder_build() returns.
int reconcile_want(struct reconcile *r, const struct config *config, char ret_why[WHY_MAX]);

// The kernel's routes may have changed.
void reconcile_routes_changed(struct reconcile *r);

// A node drained takes no new flows; it stays so over reloads and restarts. Returns 0, also if it
// is so already; -ENOENT if there is no such node; or -errno if it could not be written down, and
// then it is as before.
int reconcile_drain(struct reconcile *r, const char *node);
int reconcile_undrain(struct reconcile *r, const char *node);

struct reconcile_status {
	bool ready;          // The first table that serves is out.
	uint64_t generation; // Of the table in force; 0 for none.
	uint64_t oldest;     // The oldest generation that a worker may still forward by.
	uint64_t n_published;
	size_t n_waiting;  // Tables that a worker may still see, beside the one in force.
	uint64_t build_ns; // What the last table took to build,
	uint64_t build_longest_ns;
	bool failing;      // The newest state could not be built, and the one before is in force.
	char why[WHY_MAX]; // If failing.
	struct build_report report;
};

void reconcile_read_status(const struct reconcile *r, struct reconcile_status *ret_status);

// True once every worker forwards by what reconcile_want() was given last, with the verdicts of the
// first checks of what is new in it, but for those that took too long.
bool reconcile_is_in_force(const struct reconcile *r);

// Of a service whose nodes have to learn its VIP: whether nodes that could be used are there, but
// not even one of them takes packets of it yet by every worker's table. Where the VIP is told to
// nodes since 'since_ns', they are asked from then on; UINT64_MAX while it is not, 0 if they learnt
// it before we came (vip_probe_tell()).
bool reconcile_learn(struct reconcile *r, const char *service, uint64_t since_ns);

// Brings the counts of the plan's pools up to date: a change may wait for its table.
void reconcile_refresh(struct reconcile *r);

// What the service, or the node at its addresses, counted, without what others counted
// before under the ids that it has now. All is 0 if there is none.
void reconcile_read_service(const struct reconcile *r, const struct model_service *service,
	struct traffic *ret_traffic);
void reconcile_read_node(
	const struct reconcile *r, const struct model_node *node, struct traffic *ret_traffic);

// What is in force or about to be; good until the next step of the loop. NULL before
// reconcile_want().
const struct plan *reconcile_plan(const struct reconcile *r);
const struct table_builder *reconcile_builder(const struct reconcile *r);
const struct health *reconcile_health(const struct reconcile *r);
const struct vip_prober *reconcile_prober(const struct reconcile *r);
