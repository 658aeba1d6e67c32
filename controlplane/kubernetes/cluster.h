#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address_book.h"
#include "cluster_config.h"
#include "config.h"
#include "event_filter.h"
#include "service_object.h"

// What the API server tells of a cluster, what is served of it, and what has to be written so that
// the cluster knows. Pure: documents come in, a configuration and patches go out.

struct cluster;

enum cluster_resource {
	CLUSTER_SERVICES,
	CLUSTER_NODES,
	CLUSTER_SLICES,
	CLUSTER_NAMESPACES, // Only to be told of if cluster_follows_namespaces().
	N_CLUSTER_RESOURCES,
};

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

// Of several instances that serve one cluster, one leads: it gives addresses, and what has to be
// written is for it to write. The others serve what it recorded. At first this one does not.
// Returns 0 or -ENOMEM, and then all is as before.
int cluster_set_lead(struct cluster *cluster, bool leads, uint64_t now_ns);

// Up to which resourceVersion of Services all workers forward as they say; 0 for none yet,
// IN_FORCE_NOT_ALL while all are released, or there is no room for some.
uint64_t cluster_in_force_version(const struct cluster *cluster);

// The least of what the others say of that; UINT64_MAX if there are none. A status is written once
// they follow, or after 5 s.
void cluster_set_others(struct cluster *cluster, uint64_t in_force);

// Who answers ARP and ND for which address; at first this one does, for all.
void cluster_set_announcers(struct cluster *cluster, const struct announcers *announcers);

// A whole list begins; what is not told before it ends is gone.
void cluster_begin(struct cluster *cluster, enum cluster_resource resource);
void cluster_end(struct cluster *cluster, enum cluster_resource resource, uint64_t now_ns);

// An object as it is now, or was when it went. Returns 0, -ENOMEM, or -EINVAL for one that is
// passed over, since it is none; what was known of it stays, also behind the end of the list.
int cluster_tell(struct cluster *cluster, enum cluster_resource resource, bool is_gone,
	const json_t *object, uint64_t now_ns);

// The list that is being told has an object that nobody can read: what it does not have may be that
// one, and is not gone.
void cluster_left_out(struct cluster *cluster, enum cluster_resource resource);

// Whether some pool of the file selects Services by the labels of their namespaces.
bool cluster_follows_namespaces(const struct cluster *cluster);

// Namespaces are not told of any more.
void cluster_forget_namespaces(struct cluster *cluster);

// All resources that are followed were listed once. Before, nothing is written.
bool cluster_is_synced(const struct cluster *cluster);

// They were once, or what was known before a restart is here again. Before, nothing is served; and
// until they were, nothing is given: what was known may have come to be others' meanwhile.
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
// already, and then nothing is made; or -ENOMEM. 'ret_left_out' as of cluster_config_build(), with
// a line for each Service that is not served where another is, and each node with a bad annotation.
int cluster_join(struct cluster *cluster, const struct cluster_config *before,
	struct cluster_config **ret_joined, struct text_lines *ret_left_out);

// What cluster_join() made last, or found to be as before, is what every worker forwards by.
void cluster_is_in_force(struct cluster *cluster, uint64_t now_ns);

// Asked of a port of a Service in dsr or tunnel, by the name of cluster_service_name(): whether it
// still waits for a node that knows the address. Nodes have been able to learn it from the status
// since 'since_ns'; UINT64_MAX while they are not.
typedef bool cluster_awaits_fn(void *argument, const char *name, uint64_t since_ns);

// Asks it of all that are served, and were not known to have such nodes since the last
// cluster_is_in_force(). To be called again soon while it returns true: some wait.
bool cluster_learn(
	struct cluster *cluster, cluster_awaits_fn *awaits, void *argument, uint64_t now_ns);

// Tries again what waits for an address, and to write what another overwrote. To be called about
// once a second.
void cluster_tick(struct cluster *cluster, uint64_t now_ns);

// What has to be written next to services/status of the Service 'key', if its uid is 'uid' still.
struct cluster_write {
	char key[SERVICE_KEY_MAX];
	char space[SPACE_TEXT_MAX];
	char name[SPACE_TEXT_MAX];
	char uid[UID_TEXT_MAX];
	const char *event; // The event that tells of it once it is done, or NULL; a constant.
	json_t *patch;     // The caller's.
};

// Returns false if there is nothing, nothing yet, or nothing that was found in a millisecond: see
// cluster_may_write(). Of one Service, one write is under way at a time, and one that failed is
// repeated after longer and longer. 'now_s' is the time of day.
bool cluster_next_write(
	struct cluster *cluster, uint64_t now_ns, int64_t now_s, struct cluster_write *ret_write);

// Not all was looked at: cluster_next_write() may find something when it is called again.
bool cluster_may_write(const struct cluster *cluster);

// A write is over, and 'object' is what the API server answered. Of a Service that is gone
// meanwhile, or another by that name, people are told what was done, and that is all. The patch of
// 'write' is not looked at, as of the next.
void cluster_wrote(struct cluster *cluster, const struct cluster_write *write, const json_t *object,
	uint64_t now_ns);

// A write is over, and nothing came of it. 'why' is a sentence for people.
void cluster_write_failed(
	struct cluster *cluster, const struct cluster_write *write, const char *why);

// From now on no Service is claimed, and all that are ours are released, until cluster_claim().
void cluster_release_all(struct cluster *cluster, uint64_t now_ns);
void cluster_claim(struct cluster *cluster, uint64_t now_ns);
bool cluster_is_claiming(const struct cluster *cluster);

// No node can serve the Service, or one can again: people are told.
void cluster_tell_availability(struct cluster *cluster, const char *key, bool is_available);

// What people are to be told next of a Service. Returns false if there is nothing.
bool cluster_next_event(struct cluster *cluster, struct service_event *ret_event);

// How many they are not told, since so many more were waiting.
uint64_t cluster_count_lost_events(const struct cluster *cluster);

struct cluster_counts {
	size_t n_nodes;
	size_t n_nodes_used;
	size_t n_services[N_STAGES];
};

void cluster_count(const struct cluster *cluster, struct cluster_counts *ret_counts);

// The pools of addresses, as of address_book_read_pool().
size_t cluster_count_pools(const struct cluster *cluster);
void cluster_read_pool(
	const struct cluster *cluster, size_t i, uint64_t now_ns, struct book_pool *ret_pool);

// How often people were told of that answer about the addresses of a Service.
uint64_t cluster_count_refusals(const struct cluster *cluster, enum book_answer answer);

// What is told of a Service.
struct cluster_service {
	const struct service_object *object;
	enum stage stage;
	bool is_in_force;
	enum forwarding_mode mode;
	struct address address[N_FAMILIES];
	const char *reason;  // Why it waits, or is not served as asked; empty if all is well,
	const char *message; // as is this.
	const char *overwritten_by; // While its status is not written, since another overwrites
	                            // it; else NULL.
	bool lacks_nodes;           // No node can serve it.
	const char *write_error;    // Why what is to be written of it could not be; NULL if it
	                            // could.
};

// The Service at a place, counted from 0 in the order of their keys. Returns false behind the last.
// Also those that are nothing to us, by their stage, have a place.
bool cluster_read_service(
	const struct cluster *cluster, size_t at, struct cluster_service *ret_service);
