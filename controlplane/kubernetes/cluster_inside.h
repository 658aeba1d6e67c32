#pragma once

#include <string.h>
#include <sys/queue.h>

#include "address_book.h"
#include "cluster.h"
#include "entry_list.h"
#include "event_queue.h"
#include "kernel/map.h"
#include "service_status.h"
#include "slice_object.h"
#include "status_conflict.h"

// What the parts of a cluster share, and nobody else sees: cluster_told.c takes what the API server
// tells, cluster_stages.c judges Services, cluster_endpoints.c knows where they are served,
// cluster.c joins, cluster_others.c waits for the other instances, cluster_writes.c has them
// written, cluster_learning.c knows what nodes have learnt, cluster_save.c keeps them.

enum {
	NOT_JOINED = 0, // The next join takes it in.
	WRITE_ERROR_MAX = 160,
};

#define NO_ROOM_WORD "NoRoom"
#define NO_ROOM                                                                                 \
	"not all of its ports are served, since there is no room for more: memory.services in " \
	"Guideway's configuration says for how many there is"

// Lists of Services with which something is still to be done: what comes round often walks these,
// and not all that there are. Each Service is in a list at most once.
TAILQ_HEAD(service_list, service_entry);

struct service_link {
	TAILQ_ENTRY(service_entry) link;
	struct service_list *list; // That it is in, or NULL.
};

enum service_link_kind {
	LINK_WRITE,
	LINK_STAGE,
	LINK_ADDRESS,
	LINK_RIVAL,
	LINK_PIECE,
	N_SERVICE_LINKS
};

// Each kind of entry begins with its name, as entry_list.h has it, and says whether it is in the
// list that is being told.

struct service_entry {
	char key[SERVICE_KEY_MAX];
	bool is_listed;
	struct service_object *object;
	struct admission admission;
	struct address address[N_FAMILIES]; // What it is served by, or will be once it is claimed.
	struct address kept[N_FAMILIES];    // And what is recorded of it: also what it has and
	                                    // cannot be served at now.
	struct address leaving[N_FAMILIES]; // It is served at these, too, until its status says
	                                    // where it is now.
	struct address first[N_FAMILIES];   // Of those, the one that its services are called by.
	enum stage stage;
	enum book_answer answer; // About its addresses.
	bool lacks_nodes;        // As far as people are told.
	bool lacks_room;         // Not all of it is in what was joined last.
	uint64_t since;          // The join by which it is served as it asks, or not any more.
	uint64_t told_ns;        // Since when nodes can learn all of it; 0 while they cannot.
	bool knows;              // In dsr and tunnel: a node of each port takes its packets.
	bool was_asked;          // Likewise: whether it does, once.
	bool is_doubted;         // Likewise: what its status says of that was before it changed.
	const char *reason;      // One word, or ""; a constant.
	char message[STATUS_MESSAGE_MAX];

	// Of the other instances.
	uint64_t told_version;  // The resourceVersion by which they know of it; 0 for none yet.
	uint64_t others_due_ns; // They are waited for until then; 0 while nothing waits for them.
	bool is_followed;       // They forward as its stage has it, and we do, or time is over.

	// Where it is served: nobody else is there. Of cluster_endpoints.c.
	struct endpoint_claim *claims; // [n_claims]
	size_t n_claims;
	bool meets_another; // It is to be served where another is, and is not.

	// Of its writes.
	bool is_writing;
	unsigned n_writes; // In a row, without its status being right once.
	uint64_t write_due_ns;
	uint64_t look_due_ns;              // While it is to be looked at later.
	char write_error[WRITE_ERROR_MAX]; // Of the last one; empty if it was good.
	struct status_conflict conflict;

	struct service_link links[N_SERVICE_LINKS];
};

// That a Service is served at an address and a port.
struct endpoint_claim {
	struct map_link by_endpoint;
	const struct service_entry *owner;
	struct address address;
	uint16_t port;
	uint8_t protocol;
};

struct node_entry {
	struct node_object object; // Its name first.
	bool is_listed;
};

struct namespace_entry {
	char name[SPACE_TEXT_MAX];
	bool is_listed;
	json_t *labels; // Or NULL.
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
	bool has_reserved;    // In the book, what is not for Services, as it is.
	struct map endpoints; // Claims of the Services that are served.
	struct entry_list entries[N_CLUSTER_RESOURCES];
	struct entry_list slice_groups; // By Service; none is empty.
	struct served *served; // [entries[CLUSTER_SERVICES].n], in the same order, as joined last.
	size_t served_room;
	struct piece_keeper *keeper;
	struct cluster_ground *ground;         // Of the file and the nodes as they are; or NULL.
	const struct node_object **nodes_used; // [n_nodes_used], if there is a ground.
	size_t n_nodes_used;
	struct text_lines node_mistakes; // A line for each node whose annotation is no good.
	bool is_listed[N_CLUSTER_RESOURCES];
	bool has_left_out[N_CLUSTER_RESOURCES]; // As of cluster_left_out(), in the last list.
	bool is_known;                          // Stays true,
	bool was_synced; // as does this: all was told once, and addresses may be given.
	bool is_leaving; // Nothing is ours any more, until someone says otherwise.
	bool has_changed;
	bool lacks_room;   // What was joined last leaves services out.
	uint64_t join;     // Counts from 1.
	uint64_t in_force; // The join by which every worker forwards; 0 for none.
	struct event_queue *events;
	uint64_t n_events_lost;              // While this one leads.
	uint64_t n_refusals[N_BOOK_ANSWERS]; // By what people were told.

	bool leads;
	uint64_t told_version;     // The newest of all Services,
	uint64_t joined_version;   // of those that were joined last,
	uint64_t in_force_version; // and of those that every worker forwards by.
	uint64_t others_in_force;  // As of cluster_set_others().
	struct announcers announcers;

	// By LINK_WRITE:
	struct service_list to_look_at;       // Something of them may have to be written,
	struct service_list to_look_at_later; // or will, when their time has come.
	uint64_t later_ns;                    // The first of those times, or UINT64_MAX.
	// By LINK_STAGE:
	struct service_list unjoined;     // Their stage is new, and in no join yet;
	struct service_list not_in_force; // or in one that not all workers forward by.
	// By LINK_ADDRESS:
	struct service_list waiting; // Also those that are served, and were refused a change.
	// By LINK_RIVAL:
	struct service_list meeting; // They are not served where another is.
	// By LINK_PIECE:
	struct service_list to_be_made; // What the next join has of them may be another.
};

static inline struct service_entry *cluster_find_service(const struct cluster *c, const char *key)
{
	return entry_list_find(&c->entries[CLUSTER_SERVICES], key);
}

// Of addresses by family.
static inline bool has_addresses(const struct address addresses[N_FAMILIES])
{
	return !address_is_none(&addresses[IPV4]) || !address_is_none(&addresses[IPV6]);
}

static inline bool same_addresses(const struct address *a, const struct address *b)
{
	return memcmp(a, b, N_FAMILIES * sizeof(*a)) == 0;
}

// Every worker forwards as its stage has it.
static inline bool service_is_in_force(const struct cluster *c, const struct service_entry *e)
{
	return e->since != NOT_JOINED && e->since <= c->in_force;
}

// The file or the nodes changed.
void cluster_forget_ground(struct cluster *c);

bool cluster_is_used(const struct cluster *c, const struct node_object *node);

// Puts a Service at the end of a list, and takes it out of the one that it is in by that link.
// Without a list it is only taken out.
void cluster_enlist(
	struct service_entry *e, enum service_link_kind kind, struct service_list *list);

// What a join has of it may be another.
void cluster_remake(struct cluster *c, struct service_entry *e);

// A place for what joins have of a Service that was put into the entries, and is taken out next.
// The first returns 0 or -ENOMEM.
int cluster_put_served(struct cluster *c, const struct service_entry *e);
void cluster_remove_served(struct cluster *c, const struct service_entry *e);

// Something of it may have to be written.
void cluster_look_at(struct cluster *c, struct service_entry *e);
// What it was served by before is free, if its status says where it is now.
void cluster_settle(struct cluster *c, struct service_entry *e, uint64_t now_ns);

// Finds the stage of a Service.
void cluster_judge(struct cluster *c, struct service_entry *e, uint64_t now_ns);

// Of all of a namespace.
void cluster_judge_namespace(struct cluster *c, const char *space, uint64_t now_ns);

// Of all; those that have an address keep it.
void cluster_judge_all(struct cluster *c, uint64_t now_ns);

// It is to be served in another way, which its status may say once every worker forwards so, and
// the others do.
void cluster_begin_anew(struct cluster *c, struct service_entry *e);

// Whether its status has the ingress that it is to have, written by us or not.
bool cluster_has_its_ingress(const struct service_entry *e);

// Whether packets to it find a node; and whether its status does not say so yet.
bool cluster_is_programmed(const struct service_entry *e);
bool cluster_gets_programmed(const struct service_entry *e);

// That it is programmed, as its status may say, is not known of it as it is to be served now.
void cluster_doubt(struct service_entry *e);

// It will ask for what 'object' asks for: nodes have to learn ports that it has not had.
void cluster_learn_ports(struct service_entry *e, const struct service_object *object);

// Takes what the API server has of a Service. As of cluster_tell().
int cluster_tell_service(struct cluster *c, bool is_gone, const json_t *json, uint64_t now_ns);

// At the end: everything that was told.
void cluster_free_told(struct cluster *c);

// What its status says. By family.
void cluster_read_published(
	const struct service_object *object, struct address ret_addresses[N_FAMILIES]);

// How well it is known that a Service has the addresses that it says it has.
enum standing {
	STANDING_NONE,      // It says nothing, or
	STANDING_RECORDED,  // what anybody may have written;
	STANDING_PUBLISHED, // or its status says the same, and that it is ours.
	N_STANDINGS,
};

enum standing cluster_standing(const struct service_object *object);

// Whether another is served already at an address at one of the ports at which 'e' is to be; then
// 'ret_where' says who and where.
enum { MEETING_TEXT_MAX = 384 };
bool cluster_meets_another(const struct cluster *c, const struct service_entry *e,
	const struct address *address, char ret_where[MEETING_TEXT_MAX]);

// It is served as its stage and addresses say now. Without memory for it others may come to be
// served there, too, and then no join comes into force until one of them goes.
void cluster_claim_endpoints(struct cluster *c, struct service_entry *e);
void cluster_drop_endpoints(struct cluster *c, struct service_entry *e);

// It is recorded that it has the addresses that it has.
bool service_is_recorded(const struct service_entry *e);

// Its stage was found.
void cluster_note_version(struct service_entry *e);

// Whether its status may say what its stage is: we forward so, and so do the others, as far as they
// are waited for.
bool cluster_is_followed(const struct cluster *c, struct service_entry *e, uint64_t now_ns);

// Tells people of a Service. 'reason' is a constant.
void cluster_tell_event(struct cluster *c, const struct service_object *object, bool is_warning,
	const char *reason, const char *format, ...) __attribute__((format(printf, 5, 6)));
