#pragma once

#include <sys/queue.h>

#include "address_book.h"
#include "cluster.h"
#include "entry_tree.h"
#include "event_queue.h"
#include "service_status.h"
#include "slice_object.h"

// What the parts of a cluster share, and nobody else sees: cluster_told.c takes what
// the API server tells, cluster_stages.c judges Services, cluster.c joins, cluster_writes.c has
// them written, cluster_save.c keeps them.

enum {
	NOT_JOINED = 0, // The next join takes it in.
};

// Lists of Services with which something is still to be done: what comes round often walks these,
// and not all that there are. Each Service is in a list at most once.
TAILQ_HEAD(service_list, service_entry);

struct service_link {
	TAILQ_ENTRY(service_entry) link;
	struct service_list *list; // That it is in, or NULL.
};

enum service_link_kind { LINK_WRITE, LINK_STAGE, LINK_ADDRESS, N_SERVICE_LINKS };

// Each kind of entry begins with its name, as entry_tree.h has it, and says whether it is in the
// list that is being told.

struct service_entry {
	char key[SERVICE_KEY_MAX];
	bool is_listed;
	struct service_object *object;
	struct admission admission;
	struct address address[N_FAMILIES]; // What it is served by; none unless STAGE_SERVE.
	enum stage stage;
	struct kept_piece kept;
	uint64_t since;     // The join by which it is served so, or not any more.
	const char *reason; // One word, or ""; a constant.
	char message[STATUS_MESSAGE_MAX];

	// Of its writes.
	bool is_writing;
	const char *telling; // The event of the one under way, once it is done; NULL for none.
	unsigned n_writes;   // In a row, without its status being right once.
	uint64_t write_due_ns;

	struct service_link links[N_SERVICE_LINKS];
};

struct node_entry {
	struct node_object object; // Its name first.
	bool is_listed;
};

struct slice_entry {
	char key[SLICE_KEY_MAX];
	bool is_listed;
	struct slice_object *object;
};

// The slices of a Service, which may not be there itself.
struct slice_group {
	char service[SERVICE_KEY_MAX];
	struct slice_object **slices; // [n]
	size_t n;
	size_t room;
};

struct cluster {
	const struct config *file;
	struct address_book *book;
	struct entry_tree entries[N_CLUSTER_RESOURCES];
	struct entry_tree slice_groups; // By Service; none is empty.
	struct cluster_ground *ground;  // Of the file and the nodes as they are; or NULL.
	bool is_listed[N_CLUSTER_RESOURCES];
	bool is_restored;
	bool has_changed;
	uint64_t join;     // Counts from 1.
	uint64_t in_force; // The join by which every worker forwards; 0 for none.
	struct event_queue *events;

	// By LINK_WRITE:
	struct service_list to_look_at;       // Something of them may have to be written,
	struct service_list to_look_at_later; // or will, when their time has come.
	uint64_t later_ns;                    // The first of those times, or UINT64_MAX.
	// By LINK_STAGE:
	struct service_list unjoined;     // Their stage is new, and in no join yet;
	struct service_list not_in_force; // or in one that not all workers forward by.
	// By LINK_ADDRESS:
	struct service_list waiting;
};

static inline struct service_entry *cluster_find_service(const struct cluster *c, const char *key)
{
	return entry_tree_find(&c->entries[CLUSTER_SERVICES], key);
}

static inline struct entry_row cluster_list(const struct cluster *c, enum cluster_resource resource)
{
	return entry_tree_list(&c->entries[resource]);
}

// Every worker forwards as its stage has it.
static inline bool service_is_in_force(const struct cluster *c, const struct service_entry *e)
{
	return e->since != NOT_JOINED && e->since <= c->in_force;
}

// The file or the nodes changed.
void cluster_forget_ground(struct cluster *c);

bool cluster_is_used(const struct cluster *c, const struct node_object *node);

// Keeps the entries of nodes that are used. Of a node_entry, the object is the first member.
void cluster_keep_used(const struct cluster *c, struct entry_row *nodes);

// Puts a Service at the end of a list, and takes it out of the one that it is in by that link.
// Without a list it is only taken out.
void cluster_enlist(
	struct service_entry *e, enum service_link_kind kind, struct service_list *list);

// Something of it may have to be written.
void cluster_look_at(struct cluster *c, struct service_entry *e);

// Finds the stage of a Service.
void cluster_judge(struct cluster *c, struct service_entry *e, uint64_t now_ns);

// Of all; those that have an address keep it.
void cluster_judge_all(struct cluster *c, uint64_t now_ns);

// Takes what the API server has of a Service. As of cluster_tell().
int cluster_tell_service(struct cluster *c, bool is_gone, const json_t *json, uint64_t now_ns);

// Tells people of a Service. 'reason' is a constant.
void cluster_tell_event(struct cluster *c, const struct service_object *object, bool is_warning,
	const char *reason, const char *format, ...) __attribute__((format(printf, 5, 6)));
