#include "cluster.h"

#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_book.h"
#include "clock.h"
#include "json_read.h"
#include "requests.h"
#include "service_status.h"

// The life of a Service
// =====================
//
//          asks for us                has it               is given one
//     NONE ───────────► CLAIM ───────────────────► WAIT ──────────────► SERVE
//      ▲                  finalizer written         ▲ ◄──────────────────┘
//      │                                            cannot be served any more
//      │     marks taken away            asks for us no more, or is deleted
//      └────────────────────── RELEASE ◄─────────── any of them
//
// Nobody's step is remembered: at every news, judge() finds the stage anew from what the Service
// says and what it holds, and what has to be written is the difference between what its status
// says and should say. So a restart, a lost answer or another's writing need no thought.
//
// What is served is written only once every worker forwards by it, and what is not any more is
// released only once none does: 'since' is the join by which it came, or went.

#define SAVED_KIND "guideway cluster 1"

#define RETRY_NS (2 * NSEC_PER_SEC)
#define RETRY_LONGEST_NS (300 * NSEC_PER_SEC)

enum {
	NOT_JOINED = 0,   // The next join takes it in.
	EVENTS_MAX = 256, // That wait to be taken: of more, the newest are lost.
};

struct service_entry {
	char key[SERVICE_KEY_MAX];
	struct service_object *object;
	struct admission admission;
	struct address address[N_FAMILIES]; // What it is served by; none unless STAGE_SERVE.
	enum stage stage;
	uint64_t since;     // The join by which it is served so, or not any more.
	bool is_listed;     // In the list that is being told.
	const char *reason; // One word, or ""; a constant.
	char message[STATUS_MESSAGE_MAX];

	// Of its writes.
	bool is_writing;
	const char *telling; // The event of the one under way, once it is done; NULL for none.
	unsigned n_writes;   // In a row, without its status being right once.
	uint64_t write_due_ns;
};

struct node_entry {
	struct node_object object; // The name first: entries are found by it.
	bool is_listed;
};

struct slice_entry {
	char key[SLICE_KEY_MAX];
	struct slice_object *object;
	bool is_listed;
};

struct cluster {
	const struct config *file;
	struct address_book *book;
	void *services; // Trees of entries, by key,
	void *nodes;    // by name,
	void *slices;   // and by key.
	bool is_listed[N_CLUSTER_RESOURCES];
	bool is_restored;
	bool has_changed;
	uint64_t join;     // Counts from 1.
	uint64_t in_force; // The join by which every worker forwards; 0 for none.
	struct service_event
		*events; // [EVENTS_MAX], of which n_events from 'first_event' on are used.
	size_t first_event;
	size_t n_events;
};

// Trees

static int compare_texts(const void *left, const void *right)
{
	return strcmp(left, right);
}

// The entry of that name, or NULL.
static void *find(void *const *tree, const char *name)
{
	void **place = tfind(name, tree, compare_texts);

	return place == NULL ? NULL : *place;
}

// Of a tree's entries, in the order of their names.
struct row {
	void **entries; // [n]
	size_t n;
};

static void count_entry(const void *, VISIT visit, void *argument)
{
	size_t *n = argument;

	*n += visit == preorder || visit == leaf;
}

static void add_entry(const void *place, VISIT visit, void *argument)
{
	struct row *row = argument;

	if (visit == postorder || visit == leaf)
		row->entries[row->n++] = *(void *const *)place;
}

// Entries may be changed and removed while a row of them is walked through. Out of memory, it is
// empty.
static struct row list(const void *tree)
{
	struct row row = {0};
	size_t n = 0;

	twalk_r(tree, count_entry, &n);
	row.entries = calloc(n + 1, sizeof(void *));
	if (row.entries != NULL)
		twalk_r(tree, add_entry, &row);
	return row;
}

// Events

static void tell_event(struct cluster *c, const struct service_object *object, bool is_warning,
	const char *reason, const char *format, ...) __attribute__((format(printf, 5, 6)));

static void tell_event(struct cluster *c, const struct service_object *object, bool is_warning,
	const char *reason, const char *format, ...)
{
	struct service_event *event = &c->events[(c->first_event + c->n_events) % EVENTS_MAX];
	va_list arguments;

	// What is only known from before a restart has had its events.
	if (c->n_events == EVENTS_MAX || !cluster_is_synced(c))
		return;
	*event = (struct service_event){.is_warning = is_warning, .reason = reason};
	strcpy(event->space, object->space);
	strcpy(event->name, object->name);
	strcpy(event->uid, object->uid);
	va_start(arguments, format);
	vsnprintf(event->message, sizeof(event->message), format, arguments);
	va_end(arguments);
	c->n_events++;
}

bool cluster_next_event(struct cluster *cluster, struct service_event *ret_event)
{
	if (cluster->n_events == 0)
		return false;
	*ret_event = cluster->events[cluster->first_event];
	cluster->first_event = (cluster->first_event + 1) % EVENTS_MAX;
	cluster->n_events--;
	return true;
}

// Whether one of its conditions says so already.
static bool says_already(
	const struct service_object *object, const char *reason, const char *message)
{
	for (size_t i = 0; i < json_array_size(object->conditions); i++) {
		const json_t *condition = json_array_get(object->conditions, i);

		if (json_text_is(condition, "reason", reason) &&
			json_text_is(condition, "message", message))
			return true;
	}
	return false;
}

// The stages

static bool asks_for_us(const struct config *file, const struct service_object *object)
{
	if (!object->is_load_balancer || object->is_deleted)
		return false;
	return object->class[0] == '\0' ? file->kubernetes.classless
					: strcmp(object->class, file->kubernetes.class) == 0;
}

static bool has_its_finalizers(const struct service_object *object)
{
	return object->has_our_finalizer &&
		(object->class[0] != '\0' || object->has_standard_finalizer);
}

static bool same_addresses(const struct address *a, const struct address *b)
{
	return memcmp(a, b, N_FAMILIES * sizeof(*a)) == 0;
}

// 'addresses' are those that it is served by, or NULL.
static void enter(struct cluster *c, struct service_entry *e, enum stage stage,
	const struct address *addresses)
{
	static const struct address none[N_FAMILIES];

	if (addresses == NULL)
		addresses = none;
	if (e->stage == stage && same_addresses(e->address, addresses))
		return;
	c->has_changed |= e->stage == STAGE_SERVE || stage == STAGE_SERVE;
	if (stage == STAGE_CLAIM)
		tell_event(c, e->object, false, "EnsuringLoadBalancer", "Ensuring load balancer");
	if (stage == STAGE_RELEASE)
		tell_event(c, e->object, false, "DeletingLoadBalancer", "Deleting load balancer");
	e->stage = stage;
	e->since = NOT_JOINED;
	e->write_due_ns = 0;
	memcpy(e->address, addresses, sizeof(e->address));
}

static bool is_in_force(const struct cluster *c, const struct service_entry *e)
{
	return e->since != NOT_JOINED && e->since <= c->in_force;
}

static void explain(struct service_entry *e, const char *reason, const char *message)
{
	e->reason = reason == NULL ? "" : reason;
	snprintf(e->message, sizeof(e->message), "%s", message == NULL ? "" : message);
}

// What a Service is given

// "key=value" of each member; ends with NULL, and is the caller's to free. NULL when out of memory.
static char **label_list(const json_t *labels)
{
	char **list = calloc(json_object_size(labels) + 1, sizeof(*list));
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)labels, key, value)
	{
		if (list != NULL && json_is_string(value) &&
			asprintf(&list[n], "%s=%s", key, json_string_value(value)) >= 0)
			n++;
	}
	return list;
}

static void free_label_list(char **list)
{
	for (char **at = list; at != NULL && *at != NULL; at++)
		free(*at);
	free(list);
}

static struct book_port *port_list(const struct service_object *object)
{
	struct book_port *ports = calloc(object->n_ports + 1, sizeof(*ports));

	for (size_t i = 0; ports != NULL && i < object->n_ports; i++)
		ports[i] = (struct book_port){object->ports[i].protocol, object->ports[i].port};
	return ports;
}

// What it says of us already: a family has at most one of its addresses.
static void take_published(const struct service_object *object, struct address_wish *wish)
{
	wish->published_is_ours = object->has_our_finalizer;
	for (size_t i = 0; i < object->n_ingress && i < N_FAMILIES; i++) {
		const struct address *address = &object->ingress[i].address;

		if (!address_is_none(address))
			wish->published[address_family(address)] = *address;
	}
}

static enum book_answer ask_book(struct cluster *c, const struct service_entry *e,
	const struct address_request *request, uint64_t now_ns,
	struct address ret_addresses[N_FAMILIES], char ret_why[BOOK_WHY_MAX])
{
	const struct service_object *object = e->object;
	char **labels = label_list(object->labels);
	struct book_port *ports = port_list(object);
	struct address_wish wish = {
		.owner = e->key,
		.space = object->space,
		.labels = (const char *const *)labels,
		.pool = request->pool[0] == '\0' ? NULL : request->pool,
		.n_families = e->admission.n_families,
		.all_or_nothing = object->requires_all_families,
		.sharing = request->sharing[0] == '\0' ? NULL : request->sharing,
		.ports = ports,
		.n_ports = ports == NULL ? 0 : object->n_ports,
	};

	memcpy(wish.families, e->admission.families, sizeof(wish.families));
	memcpy(wish.requested, request->addresses, sizeof(wish.requested));
	take_published(object, &wish);
	enum book_answer answer = address_book_ask(c->book, &wish, now_ns, ret_addresses, ret_why);
	free_label_list(labels);
	free(ports);
	return answer;
}

static void stay(struct cluster *c, struct service_entry *e)
{
	bool is_served = e->stage == STAGE_SERVE;

	enter(c, e, is_served ? STAGE_SERVE : STAGE_WAIT, is_served ? e->address : NULL);
}

// What is refused a change keeps what it has.
static void seek_address(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	static const struct address none[N_FAMILIES];
	struct address given[N_FAMILIES] = {0};
	struct address_request request;
	char why[BOOK_WHY_MAX];

	if (address_request_parse(e->object->annotations,
		    json_string_value(e->object->load_balancer_ip), &request, why) < 0) {
		explain(e, "BadAddressRequest", why);
		stay(c, e);
		return;
	}
	enum book_answer answer = ask_book(c, e, &request, now_ns, given, why);
	if (answer != BOOK_GIVEN)
		explain(e, book_answer_word(answer), why);
	else if (address_book_is_outside(c->book, e->key))
		explain(e, "OutsidePools",
			"the pool that its address is from has it no more; it is kept");
	bool is_given = !same_addresses(given, none);
	enter(c, e, is_given ? STAGE_SERVE : STAGE_WAIT, given);
}

static void judge_ours(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	admission_judge(c->file, e->object, &e->admission);
	explain(e, e->admission.reason, e->admission.message);
	if (!has_its_finalizers(e->object))
		// One that is served lost them by another's hand: it is served on.
		enter(c, e, e->stage == STAGE_SERVE ? STAGE_SERVE : STAGE_CLAIM,
			e->stage == STAGE_SERVE ? e->address : NULL);
	else if (!e->admission.is_admitted)
		enter(c, e, STAGE_WAIT, NULL);
	else
		seek_address(c, e, now_ns);
}

static void tell_why(struct cluster *c, const struct service_entry *e, const char *before)
{
	if (e->message[0] == '\0' || strcmp(e->message, before) == 0 ||
		says_already(e->object, e->reason, e->message))
		return;
	tell_event(c, e->object, true,
		e->stage == STAGE_SERVE ? e->reason : "SyncLoadBalancerFailed", "%s", e->message);
}

static void judge(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	char before[STATUS_MESSAGE_MAX];

	if (asks_for_us(c->file, e->object)) {
		strcpy(before, e->message);
		judge_ours(c, e, now_ns);
		tell_why(c, e, before);
	} else if (e->object->has_our_finalizer)
		enter(c, e, STAGE_RELEASE, NULL);
	else {
		enter(c, e, STAGE_NONE, NULL);
		address_book_release(c->book, e->key, now_ns);
	}
}

// Those that have an address keep it: they are asked first.
static void judge_all(struct cluster *c, uint64_t now_ns)
{
	struct row row = list(c->services);

	for (int has_ingress = 1; has_ingress >= 0; has_ingress--) {
		for (size_t i = 0; i < row.n; i++) {
			struct service_entry *e = row.entries[i];

			if ((e->object->n_ingress > 0) == has_ingress)
				judge(c, e, now_ns);
		}
	}
	free(row.entries);
}

// What is told

static void forget_service(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	c->has_changed |= e->stage == STAGE_SERVE;
	address_book_release(c->book, e->key, now_ns);
	tdelete(e->key, &c->services, compare_texts);
	service_object_free(e->object);
	free(e);
}

static struct service_entry *add_service(struct cluster *c, const char *key)
{
	struct service_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	strcpy(e->key, key);
	e->reason = "";
	if (tsearch(e, &c->services, compare_texts) == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

// An answer to a write of ours may be newer than what the watch tells after it.
static bool is_stale(const struct service_object *is, const struct service_object *told)
{
	return is != NULL && strcmp(is->uid, told->uid) == 0 && told->version != 0 &&
		told->version < is->version;
}

// Takes 'object'. Under the same name, one with another uid is another Service.
static int take_service(struct cluster *c, struct service_object *object, uint64_t now_ns)
{
	struct service_entry *e = find(&c->services, object->key);

	if (e != NULL && strcmp(e->object->uid, object->uid) != 0) {
		forget_service(c, e, now_ns);
		e = NULL;
	}
	if (e == NULL)
		e = add_service(c, object->key);
	if (e == NULL) {
		service_object_free(object);
		return -ENOMEM;
	}
	e->is_listed = true;
	if (is_stale(e->object, object)) {
		service_object_free(object);
		return 0;
	}
	c->has_changed |= e->stage == STAGE_SERVE;
	service_object_free(e->object);
	e->object = object;
	if (cluster_is_known(c))
		judge(c, e, now_ns);
	return 0;
}

static int tell_service(struct cluster *c, bool is_gone, const json_t *json, uint64_t now_ns)
{
	struct service_object *object;
	char key[SERVICE_KEY_MAX];

	if (is_gone) {
		struct service_entry *e = object_key(json, key) ? find(&c->services, key) : NULL;

		if (e != NULL)
			forget_service(c, e, now_ns);
		return 0;
	}
	int r = service_object_parse(json, &object);
	return r < 0 ? r : take_service(c, object, now_ns);
}

static void forget_node(struct cluster *c, struct node_entry *e)
{
	c->has_changed = true;
	tdelete(e->object.name, &c->nodes, compare_texts);
	free(e);
}

static int add_node(struct cluster *c, const struct node_object *object)
{
	struct node_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return -ENOMEM;
	*e = (struct node_entry){*object, true};
	if (tsearch(e, &c->nodes, compare_texts) == NULL) {
		free(e);
		return -ENOMEM;
	}
	c->has_changed = true;
	return 0;
}

// Most of what is told of nodes is their kubelets' reports, which change nothing here.
static int tell_node(struct cluster *c, bool is_gone, const json_t *json)
{
	struct node_object object;

	int r = node_object_parse(json, &object);
	if (r < 0)
		return r;

	struct node_entry *e = find(&c->nodes, object.name);
	if (e == NULL)
		return is_gone ? 0 : add_node(c, &object);
	if (is_gone) {
		forget_node(c, e);
		return 0;
	}
	e->is_listed = true;
	if (memcmp(&e->object, &object, sizeof(object)) != 0) {
		e->object = object;
		c->has_changed = true;
	}
	return 0;
}

// Only what is spread by endpoints changes with them.
static void slice_changes(struct cluster *c, const struct slice_object *slice)
{
	const struct service_entry *e = find(&c->services, slice->service);

	c->has_changed |= e != NULL && e->stage == STAGE_SERVE && e->object->is_local;
}

static void forget_slice(struct cluster *c, struct slice_entry *e)
{
	slice_changes(c, e->object);
	tdelete(e->key, &c->slices, compare_texts);
	slice_object_free(e->object);
	free(e);
}

// Takes 'object'.
static int add_slice(struct cluster *c, struct slice_object *object)
{
	struct slice_entry *e = calloc(1, sizeof(*e));

	if (e != NULL) {
		*e = (struct slice_entry){.object = object, .is_listed = true};
		strcpy(e->key, object->key);
	}
	if (e == NULL || tsearch(e, &c->slices, compare_texts) == NULL) {
		slice_object_free(object);
		free(e);
		return -ENOMEM;
	}
	slice_changes(c, object);
	return 0;
}

static int tell_slice(struct cluster *c, bool is_gone, const json_t *json)
{
	struct slice_object *object;

	int r = slice_object_parse(json, &object);
	if (r < 0)
		return r;

	struct slice_entry *e = find(&c->slices, object->key);
	if (e == NULL && !is_gone)
		return add_slice(c, object);
	if (e != NULL && is_gone)
		forget_slice(c, e);
	if (e == NULL || is_gone) {
		slice_object_free(object);
		return 0;
	}
	e->is_listed = true;
	if (!slice_object_equal(e->object, object)) {
		slice_changes(c, e->object);
		slice_changes(c, object);
	}
	slice_object_free(e->object);
	e->object = object;
	return 0;
}

int cluster_tell(struct cluster *cluster, enum cluster_resource resource, bool is_gone,
	const json_t *object, uint64_t now_ns)
{
	switch (resource) {
	case CLUSTER_NODES:
		return tell_node(cluster, is_gone, object);
	case CLUSTER_SLICES:
		return tell_slice(cluster, is_gone, object);
	default:
		return tell_service(cluster, is_gone, object, now_ns);
	}
}

static const void *tree_of(const struct cluster *c, enum cluster_resource resource)
{
	return resource == CLUSTER_NODES     ? c->nodes
		: resource == CLUSTER_SLICES ? c->slices
					     : c->services;
}

static bool *is_listed(enum cluster_resource resource, void *entry)
{
	return resource == CLUSTER_NODES     ? &((struct node_entry *)entry)->is_listed
		: resource == CLUSTER_SLICES ? &((struct slice_entry *)entry)->is_listed
					     : &((struct service_entry *)entry)->is_listed;
}

void cluster_begin(struct cluster *cluster, enum cluster_resource resource)
{
	struct row row = list(tree_of(cluster, resource));

	for (size_t i = 0; i < row.n; i++)
		*is_listed(resource, row.entries[i]) = false;
	free(row.entries);
}

static void forget(struct cluster *c, enum cluster_resource resource, void *entry, uint64_t now_ns)
{
	if (resource == CLUSTER_NODES)
		forget_node(c, entry);
	else if (resource == CLUSTER_SLICES)
		forget_slice(c, entry);
	else
		forget_service(c, entry, now_ns);
}

void cluster_end(struct cluster *cluster, enum cluster_resource resource, uint64_t now_ns)
{
	bool was_known = cluster_is_known(cluster);

	struct row row = list(tree_of(cluster, resource));

	for (size_t i = 0; i < row.n; i++) {
		if (!*is_listed(resource, row.entries[i]))
			forget(cluster, resource, row.entries[i], now_ns);
	}
	free(row.entries);
	cluster->is_listed[resource] = true;
	if (was_known || !cluster_is_known(cluster))
		return;
	judge_all(cluster, now_ns);
	cluster->has_changed = true;
}

bool cluster_is_synced(const struct cluster *cluster)
{
	return cluster->is_listed[CLUSTER_SERVICES] && cluster->is_listed[CLUSTER_NODES] &&
		cluster->is_listed[CLUSTER_SLICES];
}

bool cluster_is_known(const struct cluster *cluster)
{
	return cluster->is_restored || cluster_is_synced(cluster);
}

// Which nodes may be used

static bool is_used(const struct cluster *c, const struct node_object *node)
{
	bool has_address =
		!address_is_none(&node->address[IPV4]) || !address_is_none(&node->address[IPV6]);

	return has_address && !node->is_leaving &&
		(!node->is_excluded || c->file->kubernetes.ignore_exclude_label);
}

// Keeps the entries of nodes that may be used. Of a node_entry, the object is the first member.
static void keep_used(const struct cluster *c, struct row *nodes)
{
	size_t n = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		if (is_used(c, nodes->entries[i]))
			nodes->entries[n++] = nodes->entries[i];
	}
	nodes->n = n;
}

// What outlives the process

static json_t *save_services(const struct cluster *c)
{
	struct row row = list(c->services);
	json_t *services = json_array();

	for (size_t i = 0; i < row.n; i++) {
		const struct service_entry *e = row.entries[i];

		if (e->stage == STAGE_SERVE)
			json_array_append_new(
				services, service_object_write(e->object, e->address));
	}
	free(row.entries);
	return services;
}

static json_t *save_nodes(const struct cluster *c)
{
	struct row row = list(c->nodes);
	json_t *nodes = json_array();

	keep_used(c, &row);
	for (size_t i = 0; i < row.n; i++)
		json_array_append_new(nodes, node_object_write(row.entries[i]));
	free(row.entries);
	return nodes;
}

// Of those that are served by them.
static json_t *save_slices(const struct cluster *c)
{
	struct row row = list(c->slices);
	json_t *slices = json_array();

	for (size_t i = 0; i < row.n; i++) {
		const struct slice_object *slice = ((struct slice_entry *)row.entries[i])->object;
		const struct service_entry *e = find(&c->services, slice->service);

		if (e != NULL && e->stage == STAGE_SERVE && e->object->is_local)
			json_array_append_new(slices, slice_object_write(slice));
	}
	free(row.entries);
	return slices;
}

json_t *cluster_save(const struct cluster *cluster)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "kind", SAVED_KIND, "services",
		save_services(cluster), "nodes", save_nodes(cluster), "slices",
		save_slices(cluster));
}

static int tell_all(
	struct cluster *c, enum cluster_resource resource, const json_t *list, uint64_t now_ns)
{
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < json_array_size(list); i++)
		r = cluster_tell(c, resource, false, json_array_get(list, i), now_ns);
	return r == -ENOMEM ? r : 0;
}

int cluster_restore(struct cluster *cluster, const json_t *saved, uint64_t now_ns)
{
	if (!json_text_is(saved, "kind", SAVED_KIND))
		return -EINVAL;

	int r = tell_all(cluster, CLUSTER_NODES, json_at(saved, "nodes"), now_ns);
	if (r == 0)
		r = tell_all(cluster, CLUSTER_SLICES, json_at(saved, "slices"), now_ns);
	if (r == 0)
		r = tell_all(cluster, CLUSTER_SERVICES, json_at(saved, "services"), now_ns);
	if (r < 0)
		return r;
	cluster->is_restored = cluster->has_changed = true;
	judge_all(cluster, now_ns);
	return 0;
}

// What is served

bool cluster_has_changed(const struct cluster *cluster)
{
	return cluster->has_changed;
}

// What a join needs, and is given back after it.
struct joining {
	struct row nodes;
	struct row services;
	struct endpoint_shares *shares;
	struct served *served; // [n_served]
	size_t n_served;
};

static struct endpoint_shares *share_endpoints(const struct cluster *c)
{
	struct row row = list(c->slices);

	for (size_t i = 0; i < row.n; i++)
		row.entries[i] = ((struct slice_entry *)row.entries[i])->object;
	struct endpoint_shares *shares = row.entries == NULL
		? NULL
		: endpoint_shares_create((struct slice_object *const *)row.entries, row.n);
	free(row.entries);
	return shares;
}

static void serve(struct joining *j, const struct service_entry *e)
{
	struct served *served = &j->served[j->n_served++];

	*served = (struct served){.object = e->object, .admission = &e->admission};
	memcpy(served->address, e->address, sizeof(e->address));
	for (enum family f = IPV4; e->object->is_local && f < N_FAMILIES; f++)
		served->shares[f] = endpoint_shares_find(j->shares, e->key, f);
}

static void serve_all(struct cluster *c, struct joining *j)
{
	for (size_t i = 0; i < j->services.n; i++) {
		struct service_entry *e = j->services.entries[i];

		if (e->since == NOT_JOINED)
			e->since = c->join;
		if (e->stage == STAGE_SERVE)
			serve(j, e);
	}
}

static int join(struct cluster *c, struct joining *j, struct cluster_config **ret_joined,
	struct text_lines *ret_left_out)
{
	if (j->served == NULL || j->shares == NULL || j->nodes.entries == NULL ||
		j->services.entries == NULL)
		return -ENOMEM;
	c->join++;
	keep_used(c, &j->nodes);
	serve_all(c, j);
	struct cluster_view view = {
		.nodes = (const struct node_object *const *)j->nodes.entries,
		.n_nodes = j->nodes.n,
		.services = j->served,
		.n_services = j->n_served,
	};
	return cluster_config_build(c->file, &view, ret_joined, ret_left_out);
}

int cluster_join(struct cluster *cluster, struct cluster_config **ret_joined,
	struct text_lines *ret_left_out)
{
	struct joining j = {
		.nodes = list(cluster->nodes),
		.services = list(cluster->services),
		.shares = share_endpoints(cluster),
	};

	j.served = calloc(j.services.n + 1, sizeof(*j.served));
	int r = join(cluster, &j, ret_joined, ret_left_out);
	if (r == 0)
		cluster->has_changed = false;
	free(j.nodes.entries);
	free(j.services.entries);
	free(j.served);
	endpoint_shares_destroy(j.shares);
	return r;
}

void cluster_is_in_force(struct cluster *cluster, uint64_t now_ns)
{
	struct row row = list(cluster->services);

	cluster->in_force = cluster->join;
	for (size_t i = 0; i < row.n; i++) {
		struct service_entry *e = row.entries[i];

		if (!is_in_force(cluster, e))
			continue;
		if (e->stage == STAGE_SERVE)
			address_book_settle(cluster->book, e->key, now_ns);
		else
			address_book_release(cluster->book, e->key, now_ns);
	}
	free(row.entries);
}

void cluster_tick(struct cluster *cluster, uint64_t now_ns)
{
	struct row row = {0};

	if (!cluster_is_known(cluster))
		return;
	row = list(cluster->services);
	for (size_t i = 0; i < row.n; i++) {
		struct service_entry *e = row.entries[i];

		if (e->stage == STAGE_WAIT && e->admission.is_admitted)
			judge(cluster, e, now_ns);
	}
	free(row.entries);
}

// What is written

static void want_condition(struct wanted_status *wanted, enum condition_kind kind, bool is_true,
	const char *reason, const char *message)
{
	struct condition *condition = &wanted->conditions[kind];

	condition->is_true = is_true;
	snprintf(condition->reason, sizeof(condition->reason), "%s", reason);
	snprintf(condition->message, sizeof(condition->message), "%s", message);
}

static void want_waiting(const struct service_entry *e, struct wanted_status *wanted)
{
	wanted->says_ingress = wanted->says_conditions = true;
	want_condition(wanted, CONDITION_ACCEPTED, false, e->reason, e->message);
	want_condition(wanted, CONDITION_PROGRAMMED, false, e->reason, e->message);
}

static void want_served(const struct service_entry *e, struct wanted_status *wanted)
{
	wanted->says_ingress = wanted->says_conditions = true;
	memcpy(wanted->address, e->address, sizeof(wanted->address));
	wanted->ip_mode = e->admission.mode == MODE_SNAT ? IP_MODE_PROXY : IP_MODE_VIP;
	wanted->admission = &e->admission;
	want_condition(wanted, CONDITION_ACCEPTED, true, "AddressAssigned",
		"an address is assigned to the Service");
	want_condition(wanted, CONDITION_PROGRAMMED, true, "Forwarding",
		"every worker forwards what is sent to it");
	if (e->reason[0] != '\0')
		want_condition(wanted, CONDITION_DEGRADED, true, e->reason, e->message);
}

// What its status should say now. Returns false if it does not matter.
static bool want(
	const struct cluster *c, const struct service_entry *e, struct wanted_status *ret_wanted)
{
	const struct service_object *object = e->object;
	struct wanted_status wanted = {
		.has_our_finalizer = e->stage != STAGE_RELEASE,
		.has_standard_finalizer = e->stage != STAGE_RELEASE &&
			(object->has_standard_finalizer || object->class[0] == '\0'),
	};

	if (e->stage == STAGE_NONE || (e->stage == STAGE_RELEASE && !is_in_force(c, e)))
		return false;
	if (e->stage == STAGE_WAIT)
		want_waiting(e, &wanted);
	if (e->stage == STAGE_SERVE && is_in_force(c, e))
		want_served(e, &wanted);
	if (e->stage == STAGE_RELEASE) {
		wanted.says_ingress = object->is_load_balancer;
		wanted.says_conditions = true;
	}
	*ret_wanted = wanted;
	return true;
}

static json_t *patch_of(const struct cluster *c, const struct service_entry *e, int64_t now_s)
{
	struct wanted_status wanted;

	return want(c, e, &wanted) ? service_status_patch(e->object, &wanted, now_s) : NULL;
}

static uint64_t patience_ns(unsigned n_writes)
{
	uint64_t patience_ns = n_writes < 10 ? RETRY_NS << n_writes : RETRY_LONGEST_NS;

	return patience_ns < RETRY_LONGEST_NS ? patience_ns : RETRY_LONGEST_NS;
}

// What its end is told by. A watch may tell of the write before it is answered.
static const char *event_of_write(const struct service_entry *e, const json_t *patch)
{
	if (e->stage == STAGE_RELEASE)
		return "DeletedLoadBalancer";
	if (e->stage != STAGE_SERVE || json_at(patch, "status.loadBalancer") == NULL)
		return NULL;
	return e->object->n_ingress > 0 ? "UpdatedLoadBalancer" : "EnsuredLoadBalancer";
}

static const char *message_of(const char *event)
{
	switch (event[0]) {
	case 'D':
		return "Deleted load balancer";
	case 'U':
		return "Updated load balancer with new addresses";
	default:
		return "Ensured load balancer";
	}
}

static bool begin_write(struct cluster *c, struct service_entry *e, uint64_t now_ns, int64_t now_s,
	struct cluster_write *ret_write)
{
	if (e->is_writing || now_ns < e->write_due_ns)
		return false;

	json_t *patch = patch_of(c, e, now_s);
	if (patch == NULL) {
		e->n_writes = 0;
		return false;
	}
	e->is_writing = true;
	e->telling = event_of_write(e, patch);
	e->write_due_ns = now_ns + patience_ns(e->n_writes++);
	ret_write->patch = patch;
	strcpy(ret_write->key, e->key);
	strcpy(ret_write->space, e->object->space);
	strcpy(ret_write->name, e->object->name);
	return true;
}

bool cluster_next_write(
	struct cluster *cluster, uint64_t now_ns, int64_t now_s, struct cluster_write *ret_write)
{
	struct row row = {0};
	bool found = false;

	if (!cluster_is_synced(cluster))
		return false;
	row = list(cluster->services);
	for (size_t i = 0; !found && i < row.n; i++)
		found = begin_write(cluster, row.entries[i], now_ns, now_s, ret_write);
	free(row.entries);
	return found;
}

void cluster_wrote(struct cluster *cluster, const char *key, const json_t *object, uint64_t now_ns)
{
	struct service_entry *e = find(&cluster->services, key);

	if (e != NULL && object != NULL && e->telling != NULL)
		tell_event(cluster, e->object, false, e->telling, "%s", message_of(e->telling));

	if (e != NULL) {
		e->is_writing = false;
		if (object != NULL && e->n_writes <= 2)
			e->write_due_ns = 0; // What comes next is another thing, most likely.
	}
	if (object != NULL)
		tell_service(cluster, false, object, now_ns);
}

// What is told of it

void cluster_count(const struct cluster *cluster, struct cluster_counts *ret_counts)
{
	struct row nodes = list(cluster->nodes), services = list(cluster->services);
	struct cluster_counts counts = {.n_nodes = nodes.n};

	keep_used(cluster, &nodes);
	counts.n_nodes_used = nodes.n;
	for (size_t i = 0; i < services.n; i++)
		counts.n_services[((struct service_entry *)services.entries[i])->stage]++;
	free(nodes.entries);
	free(services.entries);
	*ret_counts = counts;
}

void cluster_each(const struct cluster *cluster, cluster_each_fn *fn, void *argument)
{
	struct row row = list(cluster->services);

	for (size_t i = 0; i < row.n; i++) {
		const struct service_entry *e = row.entries[i];
		struct cluster_service service = {
			.object = e->object,
			.stage = e->stage,
			.is_in_force = is_in_force(cluster, e),
			.mode = e->admission.mode,
			.reason = e->reason,
			.message = e->message,
		};

		memcpy(service.address, e->address, sizeof(service.address));
		if (e->stage != STAGE_NONE)
			fn(argument, &service);
	}
	free(row.entries);
}

// Life

int cluster_set_file(struct cluster *cluster, const struct config *file, uint64_t now_ns)
{
	int r = address_book_set_pools(
		cluster->book, file->kubernetes.pools, file->kubernetes.n_pools);
	if (r < 0)
		return r;
	cluster->file = file;
	cluster->has_changed = true;
	if (cluster_is_known(cluster))
		judge_all(cluster, now_ns);
	return 0;
}

int cluster_create(const struct config *file, struct cluster **ret_cluster)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	if (cluster == NULL)
		return -ENOMEM;
	cluster->file = file;
	cluster->book = address_book_create();
	cluster->events = calloc(EVENTS_MAX, sizeof(*cluster->events));
	if (cluster->book == NULL || cluster->events == NULL ||
		cluster_set_file(cluster, file, 0) < 0) {
		cluster_destroy(cluster);
		return -ENOMEM;
	}
	*ret_cluster = cluster;
	return 0;
}

static void free_service(void *entry)
{
	service_object_free(((struct service_entry *)entry)->object);
	free(entry);
}

static void free_slice(void *entry)
{
	slice_object_free(((struct slice_entry *)entry)->object);
	free(entry);
}

void cluster_destroy(struct cluster *cluster)
{
	if (cluster == NULL)
		return;

	tdestroy(cluster->services, free_service);
	tdestroy(cluster->nodes, free);
	tdestroy(cluster->slices, free_slice);
	address_book_destroy(cluster->book);
	free(cluster->events);
	free(cluster);
}
