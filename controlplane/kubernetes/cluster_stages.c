#include "cluster_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "json_read.h"
#include "recorded_addresses.h"
#include "requests.h"

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
// Whoever does not lead finds no address itself: it goes by what the leader recorded, and none of
// its events and writes is asked for (see cluster_others.c). So does one that leads until it was
// told all: after a restart it knows no more than that.
//
// What is served is written only once every worker forwards by it, and what is not any more is
// released only once none does: 'since' is the join by which it came, or went, or by which it is
// served as it asks since it changed.

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

static bool asks_for_us(const struct cluster *c, const struct service_object *object)
{
	const struct kubernetes_config *config = &c->file->kubernetes;

	if (c->is_leaving || !object->is_load_balancer || object->is_deleted)
		return false;
	return object->class[0] == '\0' ? config->classless
					: strcmp(object->class, config->class) == 0;
}

static bool has_its_finalizers(const struct service_object *object)
{
	return object->has_our_finalizer &&
		(object->class[0] != '\0' || object->has_standard_finalizer);
}

// Those of one Service at another address are other services, whose flows are others, too.
static void keep_first(struct service_entry *e)
{
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (address_is_none(&e->first[f]))
			e->first[f] = e->address[f];
	}
}

static void forget_before(struct service_entry *e)
{
	memset(e->leaving, 0, sizeof(e->leaving));
	memset(e->first, 0, sizeof(e->first));
}

void cluster_settle(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	if (e->stage != STAGE_SERVE || !has_addresses(e->leaving) || !service_is_in_force(c, e))
		return;
	if (!(cluster_has_its_ingress(e) && cluster_is_programmed(e)) &&
		!status_conflict_is_on(&e->conflict))
		return;
	address_book_settle(c->book, e->key, now_ns);
	memset(e->leaving, 0, sizeof(e->leaving));
	cluster_claim_endpoints(c, e);
	cluster_remake(c, e);
	c->has_changed = true;
}

void cluster_begin_anew(struct cluster *c, struct service_entry *e)
{
	e->since = NOT_JOINED;
	cluster_enlist(e, LINK_STAGE, &c->unjoined);
	e->told_version = e->others_due_ns = 0;
	e->is_followed = false;
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
	// What ends is written only once a join without it is in force, whether it was served or
	// not.
	c->has_changed |= e->stage == STAGE_SERVE || stage == STAGE_SERVE || stage == STAGE_RELEASE;
	if (stage == STAGE_CLAIM && e->stage != STAGE_CLAIM)
		cluster_tell_event(
			c, e->object, false, "EnsuringLoadBalancer", "Ensuring load balancer");
	if (stage == STAGE_RELEASE)
		cluster_tell_event(
			c, e->object, false, "DeletingLoadBalancer", "Deleting load balancer");
	e->stage = stage;
	cluster_begin_anew(c, e);
	e->write_due_ns = 0;
	e->knows = false;
	memcpy(e->address, addresses, sizeof(e->address));
	memset(e->kept, 0, sizeof(e->kept));
	if (stage == STAGE_SERVE)
		keep_first(e);
	else
		forget_before(e);
}

static void explain(struct service_entry *e, const char *reason, const char *message)
{
	e->reason = reason == NULL ? "" : reason;
	snprintf(e->message, sizeof(e->message), "%s", message == NULL ? "" : message);
}

// Of its address; what else is not as asked stays said of one that is served.
static void explain_address(
	struct service_entry *e, bool is_served, const char *reason, const char *message)
{
	explain(e, reason, message);
	size_t len = strlen(e->message);
	if (is_served && e->admission.reason != NULL)
		snprintf(e->message + len, sizeof(e->message) - len, "; %s", e->admission.message);
	text_end_whole(e->message);
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

// What is a wish's alone.
struct owned {
	char **labels;
	char **space_labels;
	struct book_port *ports;
};

static struct address_wish make_wish(const struct cluster *c, const struct service_entry *e,
	const struct address_request *request, struct owned *owned)
{
	const struct service_object *object = e->object;
	const struct namespace_entry *space =
		entry_list_find(&c->entries[CLUSTER_NAMESPACES], object->space);

	owned->labels = label_list(object->labels);
	owned->space_labels = label_list(space == NULL ? NULL : space->labels);
	owned->ports = port_list(object);
	struct address_wish wish = {
		.owner = e->key,
		.space = object->space,
		.space_labels = (const char *const *)owned->space_labels,
		.labels = (const char *const *)owned->labels,
		.pool = request->pool[0] == '\0' ? NULL : request->pool,
		.n_families = e->admission.n_families,
		.all_or_nothing = object->requires_all_families,
		.published_is_ours = object->has_our_finalizer,
		.sharing = request->sharing[0] == '\0' ? NULL : request->sharing,
		.ports = owned->ports,
		.n_ports = owned->ports == NULL ? 0 : object->n_ports,
	};

	memcpy(wish.families, e->admission.families, sizeof(wish.families));
	for (size_t i = 0; i < object->n_families; i++)
		wish.keeps[object->families[i]] = true;
	memcpy(wish.requested, request->addresses, sizeof(wish.requested));
	recorded_addresses_read(object, wish.recorded);
	cluster_read_published(object, wish.published);
	return wish;
}

static void free_owned(struct owned *owned)
{
	free_label_list(owned->labels);
	free_label_list(owned->space_labels);
	free(owned->ports);
}

static enum book_answer ask_book(struct cluster *c, const struct service_entry *e,
	const struct address_request *request, uint64_t now_ns,
	struct address ret_addresses[N_FAMILIES], char ret_why[BOOK_WHY_MAX])
{
	struct owned owned;
	struct address_wish wish = make_wish(c, e, request, &owned);
	enum book_answer answer = address_book_ask(c->book, &wish, now_ns, ret_addresses, ret_why);
	free_owned(&owned);
	return answer;
}

// By family, none where nothing is to be believed.
static void believe(const struct cluster *c, const struct service_entry *e,
	struct address ret_addresses[N_FAMILIES])
{
	static const struct address_request none;
	struct owned owned;
	struct address_wish wish = make_wish(c, e, &none, &owned);

	address_book_believe(c->book, &wish, ret_addresses);
	free_owned(&owned);
}

// One that is served and lost its finalizers by another's hand is served on.
static enum stage stage_of(const struct service_entry *e, bool is_given)
{
	if (!has_its_finalizers(e->object) && e->stage != STAGE_SERVE)
		return STAGE_CLAIM;
	return is_given ? STAGE_SERVE : STAGE_WAIT;
}

// Where it was given an address, but another is served there, it is not. Returns whether any is
// left.
static bool leave_to_others(
	struct cluster *c, struct service_entry *e, struct address given[N_FAMILIES])
{
	char why[STATUS_MESSAGE_MAX], text[ADDRESS_TEXT_MAX], where[MEETING_TEXT_MAX];

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (address_is_none(&given[f]) || !cluster_meets_another(c, e, &given[f], where))
			continue;
		snprintf(why, sizeof(why), "it is not served at %s, where %s",
			address_format(&given[f], text), where);
		given[f] = (struct address){0};
		e->meets_another = true;
	}
	if (e->meets_another) {
		e->answer = BOOK_TAKEN;
		explain_address(e, has_addresses(given), book_answer_word(BOOK_TAKEN), why);
	}
	return has_addresses(given);
}

// What it had before is not served any more where it is another's now.
static void set_leaving(
	struct cluster *c, struct service_entry *e, const struct address leaving[N_FAMILIES])
{
	struct address left[N_FAMILIES];
	char where[MEETING_TEXT_MAX];

	memcpy(left, leaving, sizeof(left));
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&left[f]) &&
			(address_book_is_of_file(c->book, &left[f]) ||
				cluster_meets_another(c, e, &left[f], where)))
			left[f] = (struct address){0};
	}
	c->has_changed |= !same_addresses(e->leaving, left);
	memcpy(e->leaving, left, sizeof(left));
}

// What it had before is served on while its status says so.
static void follow_leaving(struct cluster *c, struct service_entry *e, const struct address *before)
{
	struct address published[N_FAMILIES], leaving[N_FAMILIES] = {0};

	cluster_read_published(e->object, published);
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		const struct address *last =
			address_equal(&before[f], &e->address[f]) ? &e->leaving[f] : &before[f];

		if (address_equal(last, &published[f]))
			leaving[f] = *last;
	}
	set_leaving(c, e, leaving);
}

// What a leader recorded. Only families that can be served here are taken.
static void follow(struct cluster *c, struct service_entry *e)
{
	struct address kept[N_FAMILIES], given[N_FAMILIES] = {0}, before[N_FAMILIES];

	memcpy(before, e->address, sizeof(before));
	believe(c, e, kept);
	for (size_t i = 0; e->object->has_our_finalizer && i < e->admission.n_families; i++)
		given[e->admission.families[i]] = kept[e->admission.families[i]];
	// What was served before a restart is served on until all is known.
	if (!has_addresses(given) && !c->was_synced && e->stage == STAGE_SERVE)
		memcpy(given, before, sizeof(given));
	if (!has_addresses(given))
		explain(e, "NotRecorded",
			"the leader has recorded no address of it yet, or one that no pool has "
			"for it and its status does not say");
	bool is_served = leave_to_others(c, e, given);
	enter(c, e, stage_of(e, is_served), given);
	if (e->stage == STAGE_SERVE)
		follow_leaving(c, e, before);
	memcpy(e->kept, kept, sizeof(e->kept));
}

static void read_leaving(struct cluster *c, struct service_entry *e)
{
	struct book_holder holder = {0};

	address_book_read(c->book, e->key, &holder);
	set_leaving(c, e, holder.leaving);
}

// At what it has, where it can be served.
static void serve_at(
	struct cluster *c, struct service_entry *e, const struct address has[N_FAMILIES])
{
	struct address given[N_FAMILIES] = {0};

	for (size_t i = 0; i < e->admission.n_families; i++)
		given[e->admission.families[i]] = has[e->admission.families[i]];
	bool is_served = leave_to_others(c, e, given);
	enter(c, e, stage_of(e, is_served), given);
	if (e->stage == STAGE_SERVE)
		read_leaving(c, e);
	memcpy(e->kept, has, sizeof(e->kept));
}

// Addresses are given once all Services are known that may have them.
static bool may_give(const struct cluster *c)
{
	return c->leads && c->was_synced;
}

// The book knows what it has, also after a restart. Of one whose sharing key cannot be read, it
// does not.
static void hold(struct cluster *c, const struct service_entry *e, uint64_t now_ns)
{
	struct address_request request = {0};
	struct address has[N_FAMILIES];
	struct owned owned;
	char why[BOOK_WHY_MAX];

	if (!may_give(c) || !e->object->has_our_finalizer ||
		address_book_read(c->book, e->key, &(struct book_holder){0}) ||
		address_request_parse_sharing(e->object->annotations, request.sharing, why) < 0)
		return;
	struct address_wish wish = make_wish(c, e, &request, &owned);
	wish.n_families = 0;
	address_book_ask(c->book, &wish, now_ns, has, why);
	free_owned(&owned);
}

// Nothing is asked for: it has what it had. What cannot be served now keeps it for when it can; as
// long as it asks for us nobody else is given it.
static void stay(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	struct book_holder holder = {0};

	hold(c, e, now_ns);
	address_book_read(c->book, e->key, &holder);
	serve_at(c, e, holder.address);
}

// What is refused a change keeps what it has.
static void seek_address(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	struct address given[N_FAMILIES] = {0};
	struct address_request request;
	char why[BOOK_WHY_MAX];

	if (address_request_parse(e->object->annotations,
		    json_string_value(e->object->load_balancer_ip), &request, why) < 0) {
		explain_address(e, e->stage == STAGE_SERVE, "BadAddressRequest", why);
		stay(c, e, now_ns);
		return;
	}
	enum book_answer answer = ask_book(c, e, &request, now_ns, given, why);
	e->answer = answer;
	bool is_given = has_addresses(given);
	if (answer != BOOK_GIVEN)
		explain_address(e, is_given, book_answer_word(answer), why);
	else if (address_book_is_outside(c->book, e->key))
		explain_address(e, true, "OutsidePools",
			"the pool that its address is from has it no more, or is not for this "
			"Service any more; it is kept");
	serve_at(c, e, given);
}

// What is not for Services

static void add_reserved(
	struct reserved_address *list, size_t *n, const struct address *address, const char *node)
{
	if (address_is_none(address))
		return;
	list[*n].address = *address;
	strcpy(list[(*n)++].node, node);
}

static size_t list_reserved(const struct cluster *c, struct reserved_address *list)
{
	const struct config *file = c->file;
	const struct entry_list *nodes = &c->entries[CLUSTER_NODES];
	size_t n = 0;

	for (size_t i = 0; i < file->n_services; i++)
		add_reserved(list, &n, &file->services[i]->vip, "");
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		for (size_t i = 0; i < file->n_snat[f]; i++)
			add_reserved(list, &n, &file->snat[f][i], "");
		for (size_t i = 0; i < file->n_nodes; i++)
			add_reserved(list, &n, &file->nodes[i].address[f], "");
		for (size_t i = 0; i < nodes->n; i++) {
			const struct node_entry *e = nodes->entries[i];

			add_reserved(list, &n, &e->object.address[f], e->object.name);
		}
	}
	return n;
}

// The book knows of it as it is now. Without memory it goes by what it knows.
static void reserve(struct cluster *c)
{
	const struct config *file = c->file;
	size_t n_max = file->n_services + file->n_snat[IPV4] + file->n_snat[IPV6] +
		N_FAMILIES * (file->n_nodes + c->entries[CLUSTER_NODES].n);

	if (c->has_reserved)
		return;
	struct reserved_address *list = calloc(n_max + 1, sizeof(*list));
	if (list != NULL)
		c->has_reserved = address_book_reserve(c->book, list, list_reserved(c, list)) == 0;
	free(list);
}

// How packets come to nodes may be another way now, by the file or an annotation.
static void admit(struct cluster *c, struct service_entry *e)
{
	enum forwarding_mode mode = e->admission.mode;
	enum tunnel_kind kind = e->admission.tunnel_kind;

	admission_judge(c->file, e->object, &e->admission);
	if (e->stage != STAGE_SERVE ||
		(e->admission.mode == mode &&
			(mode != MODE_TUNNEL || e->admission.tunnel_kind == kind)))
		return;
	cluster_begin_anew(c, e);
	cluster_doubt(e);
}

static void judge_ours(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	e->answer = BOOK_GIVEN;
	cluster_drop_endpoints(c, e); // Its ports may be others.
	admit(c, e);
	explain(e, e->admission.reason, e->admission.message);
	if (!e->admission.is_admitted)
		stay(c, e, now_ns);
	else if (may_give(c))
		seek_address(c, e, now_ns);
	else
		follow(c, e);
}

// What people were told of a Service. Before it has its finalizers nothing is given or refused.
struct told {
	enum book_answer answer;
	char message[STATUS_MESSAGE_MAX];
};

static void read_told(const struct service_entry *e, struct told *ret_told)
{
	bool is_told = e->stage != STAGE_CLAIM;

	ret_told->answer = is_told ? e->answer : BOOK_GIVEN;
	strcpy(ret_told->message, is_told ? e->message : "");
}

static void tell_why(struct cluster *c, const struct service_entry *e, const struct told *before)
{
	if (e->stage == STAGE_CLAIM || e->message[0] == '\0' ||
		strcmp(e->message, before->message) == 0 ||
		says_already(e->object, e->reason, e->message))
		return;
	c->n_refusals[e->answer] += e->answer != BOOK_GIVEN && e->answer != before->answer;
	cluster_tell_event(c, e->object, true,
		e->stage == STAGE_SERVE ? e->reason : "SyncLoadBalancerFailed", "%s", e->message);
}

// Room may come by itself: also one that is served may have been refused a family, or a change.
static bool waits_for_address(const struct service_entry *e)
{
	return e->admission.is_admitted &&
		(e->stage == STAGE_WAIT || (e->stage == STAGE_SERVE && e->answer != BOOK_GIVEN));
}

void cluster_judge(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	bool met_another = e->meets_another;
	struct told before;

	reserve(c);
	e->meets_another = false;
	if (asks_for_us(c, e->object)) {
		read_told(e, &before);
		judge_ours(c, e, now_ns);
		tell_why(c, e, &before);
	} else if (e->object->has_our_finalizer)
		enter(c, e, STAGE_RELEASE, NULL);
	else {
		enter(c, e, STAGE_NONE, NULL);
		address_book_release(c->book, e->key, now_ns);
	}
	cluster_remake(c, e);
	cluster_claim_endpoints(c, e);
	c->has_changed |= e->meets_another != met_another; // Joins say so.
	cluster_enlist(e, LINK_RIVAL, e->meets_another ? &c->meeting : NULL);
	cluster_enlist(e, LINK_ADDRESS, waits_for_address(e) ? &c->waiting : NULL);
	cluster_look_at(c, e);
	cluster_note_version(e);
}

void cluster_judge_namespace(struct cluster *c, const char *space, uint64_t now_ns)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];

	for (size_t i = 0; i < services->n; i++) {
		struct service_entry *e = services->entries[i];

		if (strcmp(e->object->space, space) == 0)
			cluster_judge(c, e, now_ns);
	}
}

// Those that have an address keep it: they are asked first, and before those that may have been
// made to say so.
void cluster_judge_all(struct cluster *c, uint64_t now_ns)
{
	const struct entry_list *services = &c->entries[CLUSTER_SERVICES];

	for (int standing = N_STANDINGS - 1; standing >= 0; standing--) {
		for (size_t i = 0; i < services->n; i++) {
			struct service_entry *e = services->entries[i];

			if ((int)cluster_standing(e->object) == standing)
				cluster_judge(c, e, now_ns);
		}
	}
}
