#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster_config.h"
#include "config.h"
#include "event_filter.h"
#include "service_object.h"

// What the API server tells of a cluster, what is served of it, and what has to be written so that
// the cluster knows. Pure: documents come in, a configuration and patches go out.

struct cluster;

enum cluster_resource { CLUSTER_SERVICES, CLUSTER_NODES, CLUSTER_SLICES, N_CLUSTER_RESOURCES };

// How far a Service is.
enum stage {
	STAGE_NONE,    // It is nothing to us.
	STAGE_CLAIM,   // It asks for us: it gets our finalizer before anything else,
	STAGE_WAIT,    // has it, but no address, or asks for what cannot be served,
	STAGE_SERVE,   // is served.
	STAGE_RELEASE, // It bears our finalizer, and is not ours any more: once no worker forwards
	               // by it, our marks are taken from it.
	N_STAGES,
};

// 'file' outlives the next cluster_set_file(). Returns 0 or -ENOMEM.
int cluster_create(const struct config *file, struct cluster **ret_cluster);

// Accepts NULL.
void cluster_destroy(struct cluster *cluster);

// The file was read anew. Returns 0 or -ENOMEM, and then all is as before.
int cluster_set_file(struct cluster *cluster, const struct config *file, uint64_t now_ns);

// A whole list begins; what is not told before it ends is gone.
void cluster_begin(struct cluster *cluster, enum cluster_resource resource);
void cluster_end(struct cluster *cluster, enum cluster_resource resource, uint64_t now_ns);

// An object as it is now, or was when it went. Returns 0, -ENOMEM, or -EINVAL for one that is
// passed over, since it is none.
int cluster_tell(struct cluster *cluster, enum cluster_resource resource, bool is_gone,
	const json_t *object, uint64_t now_ns);

// All resources were listed once. Before, nothing is written.
bool cluster_is_synced(const struct cluster *cluster);

// Or what was known before a restart is here again. Before, nothing is given or served.
bool cluster_is_known(const struct cluster *cluster);

// What is served and by which nodes, as a document that cluster_restore() takes, is made in steps:
// begun, gone on with until cluster_save_on() returns false, and ended, which frees what was begun.
// Those that return a pointer return NULL when out of memory.
struct cluster_saving;
struct cluster_saving *cluster_save_begin(void);
bool cluster_save_on(const struct cluster *cluster, struct cluster_saving *saving);
json_t *cluster_save_end(struct cluster_saving *saving);

// Accepts NULL.
void cluster_save_give_up(struct cluster_saving *saving);

// Of a cluster that was told nothing yet. What it has is served until a list says otherwise.
// Returns 0, -EINVAL for another document, and then nothing was taken, or -ENOMEM.
int cluster_restore(struct cluster *cluster, const json_t *saved, uint64_t now_ns);

// True if cluster_join() would make another configuration than the last time.
bool cluster_has_changed(const struct cluster *cluster);

// The file joined with what is to be served. Returns 0; 1 if that is what 'before' (or NULL) has
// already, and then nothing is made; or -ENOMEM. 'ret_left_out' as of cluster_config_build().
int cluster_join(struct cluster *cluster, const struct cluster_config *before,
	struct cluster_config **ret_joined, struct text_lines *ret_left_out);

// What cluster_join() made last, or found to be as before, is what every worker forwards by.
void cluster_is_in_force(struct cluster *cluster, uint64_t now_ns);

// Tries again what waits for an address. To be called about once a second.
void cluster_tick(struct cluster *cluster, uint64_t now_ns);

// What has to be written next to services/status of the Service 'key', if its uid is 'uid' still.
struct cluster_write {
	char key[SERVICE_KEY_MAX];
	char space[SPACE_TEXT_MAX];
	char name[SPACE_TEXT_MAX];
	json_t *patch; // The caller's.
};

// Returns false if there is nothing, nothing yet, or nothing that was found in a millisecond: see
// cluster_may_write(). Of one Service, one write is under way at a time, and one that failed is
// repeated after longer and longer. 'now_s' is the time of day.
bool cluster_next_write(
	struct cluster *cluster, uint64_t now_ns, int64_t now_s, struct cluster_write *ret_write);

// Not all was looked at: cluster_next_write() may find something when it is called again.
bool cluster_may_write(const struct cluster *cluster);

// The write of 'key' is over. 'object' is what the API server answered, or NULL if it failed.
void cluster_wrote(struct cluster *cluster, const char *key, const json_t *object, uint64_t now_ns);

// What people are to be told next of a Service. Returns false if there is nothing.
bool cluster_next_event(struct cluster *cluster, struct service_event *ret_event);

struct cluster_counts {
	size_t n_nodes;
	size_t n_nodes_used;
	size_t n_services[N_STAGES];
};

void cluster_count(const struct cluster *cluster, struct cluster_counts *ret_counts);

// What is told of a Service.
struct cluster_service {
	const struct service_object *object;
	enum stage stage;
	bool is_in_force;
	enum forwarding_mode mode;
	struct address address[N_FAMILIES];
	const char *reason;  // Why it waits, or is not served as asked; empty if all is well,
	const char *message; // as is this.
};

// The Service at a place, counted from 0 in the order of their keys. Returns false behind the last.
// Also those that are nothing to us, by their stage, have a place.
bool cluster_read_service(
	const struct cluster *cluster, size_t at, struct cluster_service *ret_service);
