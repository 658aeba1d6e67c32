#include "cluster_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"
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
// What is served is written only once every worker forwards by it, and what is not any more is
// released only once none does: 'since' is the join by which it came, or went.

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
		cluster_tell_event(
			c, e->object, false, "EnsuringLoadBalancer", "Ensuring load balancer");
	if (stage == STAGE_RELEASE)
		cluster_tell_event(
			c, e->object, false, "DeletingLoadBalancer", "Deleting load balancer");
	e->stage = stage;
	e->since = NOT_JOINED;
	cluster_enlist(e, LINK_STAGE, &c->unjoined);
	e->write_due_ns = 0;
	memcpy(e->address, addresses, sizeof(e->address));
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
	cluster_tell_event(c, e->object, true,
		e->stage == STAGE_SERVE ? e->reason : "SyncLoadBalancerFailed", "%s", e->message);
}

void cluster_judge(struct cluster *c, struct service_entry *e, uint64_t now_ns)
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
	e->kept.is_stale = true;
	bool waits = e->stage == STAGE_WAIT && e->admission.is_admitted;
	cluster_enlist(e, LINK_ADDRESS, waits ? &c->waiting : NULL);
	cluster_look_at(c, e);
}

// Those that have an address keep it: they are asked first.
void cluster_judge_all(struct cluster *c, uint64_t now_ns)
{
	struct entry_row row = cluster_list(c, CLUSTER_SERVICES);

	for (int has_ingress = 1; has_ingress >= 0; has_ingress--) {
		for (size_t i = 0; i < row.n; i++) {
			struct service_entry *e = row.entries[i];

			if ((e->object->n_ingress > 0) == has_ingress)
				cluster_judge(c, e, now_ns);
		}
	}
	free(row.entries);
}
