#include "cluster_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json_read.h"
#include "service_status.h"

// What has to be written of a Service is the difference between what its status says and should
// say, found anew each time. One write of it is under way at a time; one that failed, or did not
// make it right, is repeated after longer and longer.

#define RETRY_NS (2 * NSEC_PER_SEC)
#define RETRY_LONGEST_NS (300 * NSEC_PER_SEC)

enum {
	LOOKED_AT_AT_A_TIME = 200, // Some 5 µs each.
	FAILURES_TOLD = 3,         // People are told of a write that failed so often in a row.
};

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

static void want_accepted(const struct service_entry *e, struct wanted_status *wanted)
{
	wanted->says_conditions = true;
	want_condition(wanted, CONDITION_ACCEPTED, true, "AddressAssigned",
		"an address is assigned to the Service");
	if (e->reason[0] != '\0')
		want_condition(wanted, CONDITION_DEGRADED, true, e->reason, e->message);
}

static void want_served(const struct service_entry *e, struct wanted_status *wanted)
{
	want_accepted(e, wanted);
	wanted->says_ingress = true;
	memcpy(wanted->address, e->address, sizeof(wanted->address));
	wanted->ip_mode = admission_ip_mode(&e->admission);
	wanted->admission = &e->admission;
	if (cluster_is_programmed(e))
		want_condition(wanted, CONDITION_PROGRAMMED, true, "Forwarding",
			"every worker forwards what is sent to it");
	else
		want_condition(wanted, CONDITION_PROGRAMMED, false, "AwaitingNodes",
			"some port has no node yet that takes packets to the address, which nodes "
			"learn from this status");
}

// What it says of addresses stays: who is served as far as there is room has them there, and nobody
// else is told any.
static void want_room(const struct service_entry *e, struct wanted_status *wanted)
{
	want_accepted(e, wanted);
	want_condition(wanted, CONDITION_PROGRAMMED, false, NO_ROOM_WORD, NO_ROOM);
}

// What its status should say now. Returns false if it does not matter.
static bool want(const struct service_entry *e, struct wanted_status *ret_wanted)
{
	const struct service_object *object = e->object;
	struct wanted_status wanted = {
		.has_our_finalizer = e->stage != STAGE_RELEASE,
		.has_standard_finalizer = e->stage != STAGE_RELEASE &&
			(object->has_standard_finalizer || object->class[0] == '\0'),
	};

	if (e->stage == STAGE_NONE || (e->stage == STAGE_RELEASE && !e->is_followed))
		return false;
	memcpy(wanted.record, e->kept, sizeof(wanted.record));
	if (e->stage == STAGE_WAIT)
		want_waiting(e, &wanted);
	if (e->stage == STAGE_SERVE && e->lacks_room)
		want_room(e, &wanted);
	if (e->stage == STAGE_SERVE && e->is_followed)
		want_served(e, &wanted);
	if (status_conflict_is_on(&e->conflict))
		wanted.says_ingress = wanted.says_conditions = false;
	if (e->stage == STAGE_RELEASE) {
		wanted.says_ingress = object->is_load_balancer;
		wanted.says_conditions = true;
	}
	*ret_wanted = wanted;
	return true;
}

bool cluster_has_its_ingress(const struct service_entry *e)
{
	struct wanted_status wanted;

	return e->stage == STAGE_SERVE && want(e, &wanted) && wanted.says_ingress &&
		service_status_has_ingress(e->object, &wanted);
}

static json_t *patch_of(const struct service_entry *e, int64_t now_s)
{
	struct wanted_status wanted;

	return want(e, &wanted) ? service_status_patch(e->object, &wanted, now_s) : NULL;
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
	if (e->stage == STAGE_SERVE && cluster_gets_programmed(e))
		return "EnsuredLoadBalancer";
	if (e->stage != STAGE_SERVE || json_at(patch, "status.loadBalancer") == NULL ||
		!cluster_is_programmed(e))
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

// Two failures may be of a server that starts, or of another's write that was faster.
static void tell_failure(struct cluster *c, const struct service_entry *e, const char *why)
{
	if (e->n_writes < FAILURES_TOLD)
		return;
	if (e->stage == STAGE_RELEASE)
		cluster_tell_event(c, e->object, true, "DeleteLoadBalancerFailed",
			"the finalizer and the status cannot be taken away, and will be tried "
			"again: %s",
			why);
	else
		cluster_tell_event(c, e->object, true, "UpdateLoadBalancerFailed",
			"the status cannot be written, and will be tried again: %s", why);
}

static bool begin_write(struct cluster *c, struct service_entry *e, uint64_t now_ns, int64_t now_s,
	struct cluster_write *ret_write)
{
	if (e->is_writing || now_ns < e->write_due_ns)
		return false;

	if (!e->is_followed)
		e->is_followed = cluster_is_followed(c, e, now_ns);
	json_t *patch = patch_of(e, now_s);
	if (patch == NULL) {
		e->n_writes = 0;
		cluster_settle(c, e, now_ns);
		return false;
	}
	e->is_writing = true;
	e->write_due_ns = now_ns + patience_ns(e->n_writes++);
	ret_write->patch = patch;
	ret_write->event = event_of_write(e, patch);
	strcpy(ret_write->key, e->key);
	strcpy(ret_write->space, e->object->space);
	strcpy(ret_write->name, e->object->name);
	strcpy(ret_write->uid, e->object->uid);
	return true;
}

// What is next to be looked at

void cluster_look_at(struct cluster *c, struct service_entry *e)
{
	cluster_enlist(e, LINK_WRITE, e->stage == STAGE_NONE ? NULL : &c->to_look_at);
}

static void look_at_later(struct cluster *c, struct service_entry *e, uint64_t due_ns)
{
	cluster_enlist(e, LINK_WRITE, &c->to_look_at_later);
	e->look_due_ns = due_ns;
	if (due_ns < c->later_ns)
		c->later_ns = due_ns;
}

// Nothing is to be written of it now, but maybe when a time has come.
static void pass_over(struct cluster *c, struct service_entry *e, uint64_t now_ns)
{
	if (e->is_writing)
		return;
	if (now_ns < e->write_due_ns)
		look_at_later(c, e, e->write_due_ns);
	else if (!e->is_followed && now_ns < e->others_due_ns)
		look_at_later(c, e, e->others_due_ns);
}

// Those whose time has come.
static void look_at_due(struct cluster *c, uint64_t now_ns)
{
	struct service_entry *e, *next;

	if (now_ns < c->later_ns)
		return;
	c->later_ns = UINT64_MAX;
	for (e = TAILQ_FIRST(&c->to_look_at_later); e != NULL; e = next) {
		next = TAILQ_NEXT(e, links[LINK_WRITE].link);
		if (e->look_due_ns <= now_ns)
			cluster_look_at(c, e);
		else if (e->look_due_ns < c->later_ns)
			c->later_ns = e->look_due_ns;
	}
}

bool cluster_next_write(
	struct cluster *cluster, uint64_t now_ns, int64_t now_s, struct cluster_write *ret_write)
{
	struct service_entry *e;

	if (!cluster_is_synced(cluster) || !cluster->leads)
		return false;
	look_at_due(cluster, now_ns);
	for (size_t i = 0; i < LOOKED_AT_AT_A_TIME; i++) {
		e = TAILQ_FIRST(&cluster->to_look_at);
		if (e == NULL)
			return false;
		cluster_enlist(e, LINK_WRITE, NULL);
		if (begin_write(cluster, e, now_ns, now_s, ret_write))
			return true;
		pass_over(cluster, e, now_ns);
	}
	return false;
}

bool cluster_may_write(const struct cluster *cluster)
{
	return cluster_is_synced(cluster) && cluster->leads && !TAILQ_EMPTY(&cluster->to_look_at);
}

// What becomes of it

// The write that takes the last finalizer ends a Service: the watch may tell of its end before the
// answer comes. NULL then, and if another has its name now.
static struct service_entry *entry_of(const struct cluster *c, const struct cluster_write *write)
{
	struct service_entry *e = cluster_find_service(c, write->key);

	return e != NULL && strcmp(e->object->uid, write->uid) == 0 ? e : NULL;
}

static void tell_done(struct cluster *c, const struct cluster_write *write)
{
	struct service_object written = {0};

	if (write->event == NULL)
		return;
	strcpy(written.space, write->space);
	strcpy(written.name, write->name);
	strcpy(written.uid, write->uid);
	cluster_tell_event(c, &written, false, write->event, "%s", message_of(write->event));
}

void cluster_wrote(struct cluster *cluster, const struct cluster_write *write, const json_t *object,
	uint64_t now_ns)
{
	struct service_entry *e = entry_of(cluster, write);

	tell_done(cluster, write);
	if (e == NULL)
		return;
	e->is_writing = false;
	e->write_error[0] = '\0';
	if (e->n_writes <= 2)
		e->write_due_ns = 0; // What comes next is another thing, most likely.
	cluster_look_at(cluster, e);
	cluster_tell_service(cluster, false, object, now_ns);
}

void cluster_write_failed(
	struct cluster *cluster, const struct cluster_write *write, const char *why)
{
	struct service_entry *e = entry_of(cluster, write);

	if (e == NULL)
		return;
	e->is_writing = false;
	snprintf(e->write_error, sizeof(e->write_error), "%s", why);
	tell_failure(cluster, e, why);
	cluster_look_at(cluster, e);
}
