#include "lease_keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "name.h"

// Who holds a Lease
// =================
//
// The algorithm of client-go (tools/leaderelection): all that want a Lease look at it; who finds it
// free takes it by a write that fails if another was faster (resourceVersion); who holds it writes
// it anew every 'retry'.
//
//             GET: another's, and renewed lately            other errors: after a while
//           ┌──────────┐                                      ┌─────────────┐
//           └─► LOOK ──┴──── free, ours, or run out ───► WRITE, every retry ┘
//                ▲  └── 404 ──► CREATE ──────────────────────┘ │
//                └───────────── 409, another was faster ────────┘
//
// Clocks of other machines are never compared with ours. A Lease has run out when it is not seen to
// change for as long as it says, by our clock; and it is ours no longer than 'renew' after a write
// that succeeded was sent, which is sooner than others take it. Between the two nobody holds it.
//
// There is no fencing: what the holder had sent before it was stopped may arrive late. Those writes
// name the uid and are what a newer holder would write as well, or are refused.

#define SAY_NS (200 * NSEC_PER_MSEC) // Between two writes that say what is in force.

enum ask { ASK_LOOK, ASK_CREATE, ASK_WRITE, ASK_GIVE_UP, ASK_NOTHING };

struct lease_keeper {
	char space[SPACE_TEXT_MAX];
	char name[LEASE_NAME_MAX];
	char holder[LEASE_HOLDER_MAX];
	uint64_t lease_ns;
	uint64_t renew_ns;
	uint64_t retry_ns;

	json_t *seen;       // As the API server had it last; NULL if it is not known, or not there.
	struct lease lease; // What that says.
	uint64_t changed_ns; // When it was seen to change.

	enum ask ask; // Next, or under way.
	bool is_asking;
	bool is_ending;
	uint64_t asked_ns;
	uint64_t due_ns;
	bool is_ours;
	uint64_t renewed_ns; // When the last write that succeeded was sent.

	uint64_t in_force; // What is to be said with it,
	uint64_t said;     // and what was, or is under way.
	bool says_soon;
};

struct lease_keeper *lease_keeper_create(const struct lease_keeper_config *config)
{
	struct lease_keeper *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	snprintf(k->space, sizeof(k->space), "%s", config->space);
	snprintf(k->name, sizeof(k->name), "%s", config->name);
	snprintf(k->holder, sizeof(k->holder), "%s", config->holder);
	k->lease_ns = config->lease_ms * NSEC_PER_MSEC;
	k->renew_ns = config->renew_ms * NSEC_PER_MSEC;
	k->retry_ns = config->retry_ms * NSEC_PER_MSEC;
	return k;
}

void lease_keeper_destroy(struct lease_keeper *keeper)
{
	if (keeper == NULL)
		return;

	json_decref(keeper->seen);
	free(keeper);
}

bool lease_keeper_holds(const struct lease_keeper *keeper, uint64_t now_ns)
{
	return keeper->is_ours && now_ns < keeper->renewed_ns + keeper->renew_ns;
}

const char *lease_keeper_holder(const struct lease_keeper *keeper)
{
	return keeper->seen == NULL ? "" : keeper->lease.holder;
}

uint64_t lease_keeper_changed_ns(const struct lease_keeper *keeper)
{
	return keeper->seen == NULL ? 0 : keeper->changed_ns;
}

uint64_t lease_keeper_due_ns(const struct lease_keeper *keeper)
{
	return keeper->is_asking || keeper->ask == ASK_NOTHING ? UINT64_MAX : keeper->due_ns;
}

// What is asked

static void set_path(const struct lease_keeper *k, char *ret_path, size_t room)
{
	bool is_new = k->ask == ASK_CREATE;

	snprintf(ret_path, room, "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s", k->space,
		is_new ? "" : "/", is_new ? "" : k->name);
}

static json_t *body_of(const struct lease_keeper *k, int64_t now_us)
{
	bool gives_up = k->ask == ASK_GIVE_UP;
	bool was_ours = k->seen != NULL && strcmp(k->lease.holder, k->holder) == 0;
	struct lease lease = {
		.duration_s = (int64_t)((k->lease_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC),
		.transitions = k->seen == NULL ? 0 : k->lease.transitions + !was_ours,
		.in_force = k->in_force,
	};

	strcpy(lease.name, k->name);
	strcpy(lease.holder, k->holder);
	if (gives_up) {
		lease.holder[0] = '\0';
		lease.duration_s = 1; // None is not allowed.
	}
	return lease_write(k->seen, k->space, &lease, !was_ours, now_us);
}

bool lease_keeper_next(
	struct lease_keeper *keeper, uint64_t now_ns, int64_t now_us, struct api_ask *ret_ask)
{
	static const char *const methods[] = {[ASK_LOOK] = "GET",
		[ASK_CREATE] = "POST",
		[ASK_WRITE] = "PUT",
		[ASK_GIVE_UP] = "PUT"};

	if (now_ns < lease_keeper_due_ns(keeper) || keeper->ask == ASK_NOTHING)
		return false;
	keeper->is_ours = lease_keeper_holds(keeper, now_ns);
	ret_ask->method = methods[keeper->ask];
	set_path(keeper, ret_ask->path, sizeof(ret_ask->path));
	ret_ask->body = keeper->ask == ASK_LOOK ? NULL : body_of(keeper, now_us);
	keeper->said = keeper->ask == ASK_LOOK ? keeper->said : keeper->in_force;
	keeper->is_asking = true;
	keeper->asked_ns = now_ns;
	return true;
}

// What is answered

static void ask(struct lease_keeper *k, enum ask what, uint64_t due_ns)
{
	k->ask = what;
	k->due_ns = due_ns;
}

// Those that wait for one Lease come at different times: from 1 to 2.2 times 'retry'.
static uint64_t later_ns(const struct lease_keeper *k, uint64_t now_ns)
{
	uint64_t jitter_ns = mix(now_ns ^ name_hash(k->holder)) % (k->retry_ns * 6 / 5);

	return now_ns + k->retry_ns + (k->is_ours ? 0 : jitter_ns);
}

// Of one that is ours.
static uint64_t renewal_ns(const struct lease_keeper *k)
{
	bool is_other = in_force_is_all(k->in_force) != in_force_is_all(k->said);
	bool is_soon = is_other || (k->says_soon && k->in_force != k->said);

	return k->asked_ns + (is_soon && SAY_NS < k->retry_ns ? SAY_NS : k->retry_ns);
}

static void see(struct lease_keeper *k, const json_t *json, uint64_t now_ns)
{
	struct lease lease;

	if (lease_parse(json, &lease) < 0)
		return;
	if (k->seen == NULL || !lease_is_same(k->seen, json))
		k->changed_ns = now_ns;
	json_decref(k->seen);
	k->seen = json_deep_copy(json);
	k->lease = lease;
	k->is_ours &= strcmp(lease.holder, k->holder) == 0;
}

static bool may_take(const struct lease_keeper *k, uint64_t now_ns)
{
	return k->lease.holder[0] == '\0' || strcmp(k->lease.holder, k->holder) == 0 ||
		now_ns >= k->changed_ns + (uint64_t)k->lease.duration_s * NSEC_PER_SEC;
}

static void looked(struct lease_keeper *k, unsigned status, uint64_t now_ns)
{
	if (status == 404) {
		json_decref(k->seen);
		k->seen = NULL;
		k->is_ours = false;
		ask(k, ASK_CREATE, now_ns);
	} else if (status == 200 && k->seen != NULL && may_take(k, now_ns))
		ask(k, ASK_WRITE, now_ns);
	else
		ask(k, ASK_LOOK, later_ns(k, now_ns));
}

static void wrote(struct lease_keeper *k, unsigned status, uint64_t now_ns)
{
	if (status == 200 || status == 201) {
		k->is_ours = true;
		k->renewed_ns = k->asked_ns;
		ask(k, ASK_WRITE, renewal_ns(k));
	} else if (status == 409 || status == 404)
		ask(k, ASK_LOOK, now_ns); // Another was faster, or deleted it.
	else
		ask(k, ASK_LOOK, later_ns(k, now_ns));
}

static void end(struct lease_keeper *k, uint64_t now_ns)
{
	bool gives_up = k->ask != ASK_GIVE_UP && k->is_ours && k->seen != NULL;

	k->is_ours = false;
	ask(k, gives_up ? ASK_GIVE_UP : ASK_NOTHING, now_ns);
}

void lease_keeper_answered(
	struct lease_keeper *keeper, unsigned status, const json_t *json, uint64_t now_ns)
{
	keeper->is_asking = false;
	if ((status == 200 || status == 201) && json != NULL)
		see(keeper, json, now_ns);
	if (keeper->ask == ASK_LOOK)
		looked(keeper, status, now_ns);
	else if (keeper->ask != ASK_GIVE_UP)
		wrote(keeper, status, now_ns);
	if (keeper->is_ending)
		end(keeper, now_ns);
}

// What is told of it

void lease_keeper_say_in_force(
	struct lease_keeper *keeper, uint64_t in_force, bool soon, uint64_t now_ns)
{
	keeper->in_force = in_force;
	keeper->says_soon = soon;
	if (keeper->is_asking || keeper->ask != ASK_WRITE)
		return;

	uint64_t due_ns = renewal_ns(keeper);
	if (keeper->due_ns > due_ns)
		keeper->due_ns = due_ns > now_ns ? due_ns : now_ns;
}

void lease_keeper_end(struct lease_keeper *keeper, uint64_t now_ns)
{
	if (keeper->is_ending)
		return;
	keeper->is_ending = true;
	if (!keeper->is_asking)
		end(keeper, now_ns);
}

bool lease_keeper_has_ended(const struct lease_keeper *keeper)
{
	return keeper->is_ending && !keeper->is_asking && keeper->ask == ASK_NOTHING;
}
