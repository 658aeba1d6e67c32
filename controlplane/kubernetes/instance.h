#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api_client.h"
#include "instances.h"
#include "kubernetes_config.h"
#include "lease_keeper.h"
#include "loop.h"
#include "shared_key.h"
#include "state_directory.h"

// This Guideway among those of its cluster: whether it is the one that writes, and
// whether it has the hash key of all. What is asked of the
// API server for that, and when, is decided by pure parts; this sends it.

struct instance;

struct instance_config {
	struct loop *loop;
	struct api_client *client;
	struct state_directory *directory;
	const struct instances_config *file;
	const uint64_t *hash_key; // [2], in use; NULL if it is not the cluster's matter.

	// What instance_leads(), instance_others_in_force() or instance_announcers() says has
	// changed.
	void (*changed)(void *argument, uint64_t now_ns);
	void *argument;
};

// Returns 0 or -errno. 'config->file' outlives it.
int instance_start(const struct instance_config *config, struct instance **ret_instance);

// Accepts NULL.
void instance_stop(struct instance *instance);

// Whether this one may write now: to be asked before each write.
bool instance_leads(const struct instance *instance, uint64_t now_ns);

// Tells the others up to which resourceVersion of Services our workers forward, or that they do
// not forward all (IN_FORCE_NOT_ALL); 0 is not told.
void instance_say_in_force(struct instance *instance, uint64_t in_force, uint64_t now_ns);

// The least that they say of that: as of instances_in_force().
uint64_t instance_others_in_force(const struct instance *instance, uint64_t now_ns);

// Who answers for VIPs.
const struct announcers *instance_announcers(const struct instance *instance);

// All that live.
void instance_each(const struct instance *instance, instance_seen_fn *fn, void *argument);

// Gives up what it holds, so that others need not wait, and calls 'ended' once that is done, or
// after a second. It leads no more.
void instance_end(
	struct instance *instance, void (*ended)(void *argument), void *argument, uint64_t now_ns);

struct instance_status {
	char name[LEASE_HOLDER_MAX]; // As others see it.
	bool election;
	bool leads;
	char leader[LEASE_HOLDER_MAX]; // Who is known to lead; empty for nobody.
	uint64_t leader_renewed_ns;    // When its Lease was last seen to be renewed; 0 for never.
	bool shares_key;
	enum shared_key_state key; // If it does.
};

void instance_read_status(const struct instance *instance, struct instance_status *ret_status);
