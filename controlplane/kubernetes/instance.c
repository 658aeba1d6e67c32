#include "instance.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "announcers.h"
#include "clock.h"
#include "log.h"
#include "watch.h"

#define LEADER_LEASE "guideway-leader"
#define END_PATIENCE_NS NSEC_PER_SEC
#define UNSEEN_NS (5 * NSEC_PER_SEC)
#define LOOK_NS (500 * NSEC_PER_MSEC)

enum { PATH_MAX_LEN = 256 };

// The Lease of the one that writes; and our own, by which others know that we live.
enum { LEADER, PRESENCE, N_ERRANDS };

// A Lease, and what is asked of it.
struct errand {
	struct instance *instance;
	struct lease_keeper *keeper; // NULL for none.
	struct api_request *request; // NULL for none.
};

struct instance {
	struct instance_config config;
	char name[LEASE_HOLDER_MAX];
	char lease[LEASE_NAME_MAX]; // Our own.
	struct errand errands[N_ERRANDS];

	struct instances *others; // NULL without an election, as is the watch.
	struct watch *others_watch;
	bool others_known; // They were listed once.
	char others_path[PATH_MAX_LEN];
	uint64_t others_in_force; // As was told last, as is the next.
	struct announcers announcers;
	uint64_t in_force; // Of our own workers; 0 for nothing yet.
	uint64_t started_ns;

	struct shared_key *key; // NULL if it is not the cluster's matter.
	struct api_request *key_request;
	struct watch *key_watch;
	char key_path[PATH_MAX_LEN];
	enum shared_key_state key_said;
	uint64_t key_kept[2]; // In the state directory.

	struct loop_timer next;
	bool led; // As was said last.

	// At the end.
	void (*ended)(void *argument);
	void *ended_argument;
	uint64_t end_ns;
};

// Who leads

bool instance_leads(const struct instance *instance, uint64_t now_ns)
{
	if (instance->ended != NULL)
		return false;
	return !instance->config.file->election ||
		lease_keeper_holds(instance->errands[LEADER].keeper, now_ns);
}

uint64_t instance_others_in_force(const struct instance *instance, uint64_t now_ns)
{
	return instance->others == NULL ? UINT64_MAX : instances_in_force(instance->others, now_ns);
}

static void say_who_leads(const struct instance *i, bool leads)
{
	const char *holder = lease_keeper_holder(i->errands[LEADER].keeper);

	if (leads)
		log_info("%s leads: it gives addresses, and writes to Services", i->name);
	else
		log_warning("%s does not lead any more, and writes nothing to Services; it "
			    "forwards as before. The leader is %s",
			i->name,
			strcmp(holder, i->name) == 0 || holder[0] == '\0' ? "nobody" : holder);
}

const struct announcers *instance_announcers(const struct instance *instance)
{
	return &instance->announcers;
}

// One that is cut off from the API sees nobody any more, and keeps to what it saw: that two answer
// for a VIP is better than that nobody does. So does one that has seen nothing for a while.
static bool announcers_change(struct instance *i, uint64_t now_ns)
{
	struct announcers announcers = i->announcers;

	if (i->others_known && lease_keeper_holds(i->errands[PRESENCE].keeper, now_ns))
		instances_announce(i->others, i->in_force, now_ns, &announcers);
	announcers.all = i->config.file->announce == ANNOUNCE_ALL || i->others == NULL ||
		(!announcers.known && now_ns >= i->started_ns + UNSEEN_NS);
	if (announcers_equal(&announcers, &i->announcers))
		return false;
	i->announcers = announcers;
	return true;
}

static void note_change(struct instance *i, uint64_t now_ns)
{
	bool leads = instance_leads(i, now_ns);
	uint64_t others_in_force = instance_others_in_force(i, now_ns);

	if (i->ended != NULL)
		return;
	if (!announcers_change(i, now_ns) && leads == i->led &&
		others_in_force == i->others_in_force)
		return;
	if (leads != i->led)
		say_who_leads(i, leads);
	i->led = leads;
	i->others_in_force = others_in_force;
	i->config.changed(i->config.argument, now_ns);
}

// What is asked

static void go_on(struct instance *i, uint64_t now_ns);

static int send_ask(struct instance *i, const struct api_ask *asked,
	void (*fn)(void *argument, const struct api_answer *answer), void *argument,
	struct api_request **ret_request)
{
	return api_client_ask(
		i->config.client, asked, i->config.file->renew_ms / 2, fn, argument, ret_request);
}

// The hash key

// What the Secret has is what a restart takes.
static void keep_theirs(struct instance *i)
{
	uint64_t theirs[2];

	shared_key_read_theirs(i->key, theirs);
	if (memcmp(theirs, i->key_kept, sizeof(theirs)) == 0)
		return;
	int r = state_directory_set_hash_key(i->config.directory, theirs);
	if (r == 0)
		memcpy(i->key_kept, theirs, sizeof(theirs));
	else
		log_error("the hash key of the Secret %s cannot be kept in the state directory: %s",
			SHARED_KEY_SECRET, strerror(-r));
}

static void say_key(enum shared_key_state state, enum shared_key_state before)
{
	if (state == SHARED_KEY_ANOTHER)
		log_error("the hash key of the Secret %s is another than the one in use: flows "
			  "that arrive at another instance may go to another node. It is taken "
			  "at the next restart, by which flows move: restart one instance after "
			  "another",
			SHARED_KEY_SECRET);
	else if (state == SHARED_KEY_SAME && before == SHARED_KEY_ANOTHER)
		log_warning(
			"the hash key of the Secret %s is the one in use again", SHARED_KEY_SECRET);
	else if (state == SHARED_KEY_BAD)
		log_error("the Secret %s has no 32 hexadecimal digits under %s: instances that "
			  "have no key yet serve nothing; mend it, or delete it, so that it is "
			  "made anew",
			SHARED_KEY_SECRET, SHARED_KEY_MEMBER);
	else if (state == SHARED_KEY_MISSING)
		log_warning("the Secret %s is not there: the leader makes it", SHARED_KEY_SECRET);
}

static void note_key(struct instance *i)
{
	enum shared_key_state state = shared_key_state(i->key);

	if (state == SHARED_KEY_SAME || state == SHARED_KEY_ANOTHER)
		keep_theirs(i);
	if (state != i->key_said)
		say_key(state, i->key_said);
	i->key_said = state;
}

static void key_answered(void *argument, const struct api_answer *answer)
{
	struct instance *i = argument;
	uint64_t now_ns = loop_clock_ns();

	i->key_request = NULL;
	if (!api_status_is_good(answer->status) && answer->status != 409)
		log_about("hash key", LEVEL_WARNING,
			"the Secret %s is not made, and will be tried again: %s", SHARED_KEY_SECRET,
			answer->why);
	shared_key_answered(i->key, answer->status, answer->json, now_ns);
	note_key(i);
	go_on(i, now_ns);
}

static void run_key(struct instance *i, uint64_t now_ns)
{
	struct api_ask asked;

	if (i->key == NULL || !shared_key_next(i->key, instance_leads(i, now_ns), now_ns, &asked))
		return;
	if (send_ask(i, &asked, key_answered, i, &i->key_request) < 0)
		shared_key_answered(i->key, 0, NULL, now_ns);
}

static void key_begun(void *argument)
{
	struct instance *i = argument;

	shared_key_begin(i->key);
}

static void key_told(void *argument, enum watch_change change, const json_t *object)
{
	struct instance *i = argument;

	shared_key_tell(i->key, change == WATCH_GONE, object);
	note_key(i);
	go_on(i, loop_clock_ns());
}

static void key_synced(void *argument, bool is_whole)
{
	struct instance *i = argument;

	if (is_whole)
		shared_key_end(i->key);
	note_key(i);
	go_on(i, loop_clock_ns());
}

static int start_key(struct instance *i)
{
	struct watch_config config = {
		.loop = i->config.loop,
		.client = i->config.client,
		.name = "the hash key's Secret",
		.path = i->key_path,
		.begun = key_begun,
		.told = key_told,
		.synced = key_synced,
		.argument = i,
	};

	if (i->config.hash_key == NULL)
		return 0;
	memcpy(i->key_kept, i->config.hash_key, sizeof(i->key_kept));
	i->key = shared_key_create(i->config.file->space, i->config.hash_key, false);
	if (i->key == NULL)
		return -ENOMEM;
	snprintf(i->key_path, sizeof(i->key_path),
		"/api/v1/namespaces/%s/secrets?fieldSelector=metadata.name%%3D" SHARED_KEY_SECRET,
		i->config.file->space);
	return watch_start(&config, &i->key_watch);
}

// The others

static void others_begun(void *argument)
{
	struct instance *i = argument;

	instances_begin(i->others);
}

static void others_told(void *argument, enum watch_change change, const json_t *lease)
{
	struct instance *i = argument;
	uint64_t now_ns = loop_clock_ns();

	if (instances_tell(i->others, change == WATCH_GONE, lease, now_ns) < 0)
		log_limited(LEVEL_WARNING, "another instance is passed over: out of memory");
	note_change(i, now_ns);
}

// One that is gone and is not said to be dies with its Lease.
static void others_synced(void *argument, bool is_whole)
{
	struct instance *i = argument;

	if (is_whole)
		instances_end(i->others);
	i->others_known = true;
	note_change(i, loop_clock_ns());
}

static int start_others(struct instance *i)
{
	struct watch_config config = {
		.loop = i->config.loop,
		.client = i->config.client,
		.name = "leases",
		.path = i->others_path,
		.begun = others_begun,
		.told = others_told,
		.synced = others_synced,
		.argument = i,
	};

	if (!i->config.file->election)
		return 0;
	i->others = instances_create(i->lease);
	if (i->others == NULL)
		return -ENOMEM;
	snprintf(i->others_path, sizeof(i->others_path),
		"/apis/coordination.k8s.io/v1/namespaces/%s/leases", i->config.file->space);
	return watch_start(&config, &i->others_watch);
}

// Leases

static int64_t time_of_day_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void answered(void *argument, const struct api_answer *answer)
{
	struct errand *e = argument;
	uint64_t now_ns = loop_clock_ns();

	e->request = NULL;
	// Of a Lease, 404 and 409 are how others are met.
	if (!api_status_is_good(answer->status) && answer->status != 404 && answer->status != 409)
		log_about("lease", LEVEL_WARNING,
			"a Lease in namespace %s is neither read nor written, and will be tried "
			"again: %s",
			e->instance->config.file->space, answer->why);
	lease_keeper_answered(e->keeper, answer->status, answer->json, now_ns);
	go_on(e->instance, now_ns);
}

static void run(struct errand *e, uint64_t now_ns)
{
	struct api_ask asked;

	if (e->keeper == NULL || !lease_keeper_next(e->keeper, now_ns, time_of_day_us(), &asked))
		return;
	if (send_ask(e->instance, &asked, answered, e, &e->request) < 0)
		lease_keeper_answered(e->keeper, 0, NULL, now_ns);
}

static uint64_t due_ns(const struct errand *e)
{
	return e->keeper == NULL ? UINT64_MAX : lease_keeper_due_ns(e->keeper);
}

static void say_if_doubled(const struct instance *i, uint64_t now_ns)
{
	const struct lease_keeper *keeper = i->errands[PRESENCE].keeper;
	const char *holder = keeper == NULL ? "" : lease_keeper_holder(keeper);

	if (i->ended == NULL && holder[0] != '\0' && strcmp(holder, i->name) != 0 &&
		!lease_keeper_holds(keeper, now_ns))
		log_about("instance", LEVEL_WARNING,
			"%s has the Lease %s, which is ours by name: it has just ended, or two "
			"instances have one name, and kubernetes.instances.name must tell them "
			"apart",
			holder, i->lease);
}

static bool has_ended(const struct errand *e)
{
	return e->keeper == NULL || lease_keeper_has_ended(e->keeper);
}

static void end_if_done(struct instance *i, uint64_t now_ns)
{
	void (*ended)(void *argument) = i->ended;

	for (int e = 0; e < N_ERRANDS; e++) {
		if (!has_ended(&i->errands[e]) && now_ns < i->end_ns)
			return;
	}
	loop_timer_cancel(i->config.loop, &i->next);
	ended(i->ended_argument);
}

static void go_on(struct instance *i, uint64_t now_ns)
{
	uint64_t next_ns = now_ns + LOOK_NS; // What ends by time is noted.

	for (int e = 0; e < N_ERRANDS; e++) {
		run(&i->errands[e], now_ns);
		if (due_ns(&i->errands[e]) < next_ns)
			next_ns = due_ns(&i->errands[e]);
	}
	run_key(i, now_ns);
	note_change(i, now_ns);
	say_if_doubled(i, now_ns);
	loop_timer_set(i->config.loop, &i->next, next_ns);
	if (i->ended != NULL)
		end_if_done(i, now_ns);
}

static void next(void *argument, uint64_t now_ns)
{
	go_on(argument, now_ns);
}

void instance_say_in_force(struct instance *instance, uint64_t in_force, uint64_t now_ns)
{
	struct errand *presence = &instance->errands[PRESENCE];

	if (presence->keeper == NULL || in_force == 0)
		return;
	bool is_other = in_force_is_all(in_force) != in_force_is_all(instance->in_force);
	instance->in_force = in_force;
	// The leader is waited for by nobody.
	lease_keeper_say_in_force(
		presence->keeper, in_force, !instance_leads(instance, now_ns), now_ns);
	if (is_other)
		loop_timer_set(instance->config.loop, &instance->next, now_ns);
	else if (due_ns(presence) < instance->next.due_ns)
		loop_timer_set(instance->config.loop, &instance->next, due_ns(presence));
}

void instance_each(const struct instance *instance, instance_seen_fn *fn, void *argument)
{
	if (instance->others != NULL)
		instances_each(instance->others, loop_clock_ns(), fn, argument);
}

// Life

static void end_errand(struct errand *e, uint64_t now_ns)
{
	if (e->keeper != NULL)
		lease_keeper_end(e->keeper, now_ns);
}

void instance_end(
	struct instance *instance, void (*ended)(void *argument), void *argument, uint64_t now_ns)
{
	if (instance->ended != NULL)
		return;
	instance->ended = ended;
	instance->ended_argument = argument;
	instance->end_ns = now_ns + END_PATIENCE_NS;
	for (int e = 0; e < N_ERRANDS; e++)
		end_errand(&instance->errands[e], now_ns);
	loop_timer_set(instance->config.loop, &instance->next, now_ns);
}

// What the state directory has tells two apart that have one name by mistake.
static int name_it(struct instance *i)
{
	const char *given = i->config.file->name;
	char machine[INSTANCE_TEXT_MAX] = "";
	uint32_t id;

	gethostname(machine, sizeof(machine) - 1);
	for (char *c = machine; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	if (given[0] == '\0')
		given = machine;
	int r = state_directory_instance_id(i->config.directory, &id);
	snprintf(i->name, sizeof(i->name), "%s_%08" PRIx32, given, id);
	snprintf(i->lease, sizeof(i->lease), INSTANCE_LEASE_PREFIX "%s", given);
	return r;
}

static int start_errands(struct instance *i)
{
	const struct instances_config *file = i->config.file;
	struct lease_keeper_config leader = {
		.space = file->space,
		.name = LEADER_LEASE,
		.holder = i->name,
		.lease_ms = file->lease_ms,
		.renew_ms = file->renew_ms,
		.retry_ms = file->retry_ms,
	};
	struct lease_keeper_config presence = {
		.space = file->space,
		.name = i->lease,
		.holder = i->name,
		.lease_ms = file->lease_ms,
		.renew_ms = file->lease_ms / 3 * 2,
		.retry_ms = file->lease_ms / 3,
	};

	if (!file->election)
		return 0;
	i->errands[LEADER].keeper = lease_keeper_create(&leader);
	i->errands[PRESENCE].keeper = lease_keeper_create(&presence);
	return i->errands[LEADER].keeper == NULL || i->errands[PRESENCE].keeper == NULL ? -ENOMEM
											: 0;
}

int instance_start(const struct instance_config *config, struct instance **ret_instance)
{
	struct instance *i = calloc(1, sizeof(*i));

	if (i == NULL)
		return -ENOMEM;
	i->config = *config;
	for (int e = 0; e < N_ERRANDS; e++)
		i->errands[e].instance = i;
	i->others_in_force = UINT64_MAX;
	i->started_ns = loop_clock_ns();
	i->next = (struct loop_timer){.name = "leases", .fn = next, .argument = i};
	i->led = !config->file->election;
	int r = name_it(i);
	if (r == 0)
		r = start_errands(i);
	if (r == 0)
		r = start_others(i);
	if (r == 0)
		r = start_key(i);
	if (r == 0)
		announcers_change(i, i->started_ns);
	if (r < 0) {
		instance_stop(i);
		return r;
	}
	loop_timer_set(config->loop, &i->next, loop_clock_ns());
	*ret_instance = i;
	return 0;
}

void instance_stop(struct instance *instance)
{
	if (instance == NULL)
		return;

	watch_stop(instance->key_watch);
	watch_stop(instance->others_watch);
	api_client_cancel(instance->config.client, instance->key_request);
	loop_timer_cancel(instance->config.loop, &instance->next);
	for (int e = 0; e < N_ERRANDS; e++) {
		api_client_cancel(instance->config.client, instance->errands[e].request);
		lease_keeper_destroy(instance->errands[e].keeper);
	}
	shared_key_destroy(instance->key);
	instances_destroy(instance->others);
	free(instance);
}

void instance_read_status(const struct instance *instance, struct instance_status *ret_status)
{
	const struct lease_keeper *leader = instance->errands[LEADER].keeper;
	struct instance_status status = {
		.election = instance->config.file->election,
		.leads = instance_leads(instance, loop_clock_ns()),
		.shares_key = instance->key != NULL,
		.key = instance->key == NULL ? SHARED_KEY_UNKNOWN : shared_key_state(instance->key),
	};

	strcpy(status.name, instance->name);
	if (status.leads)
		strcpy(status.leader, status.name);
	else if (leader != NULL)
		strcpy(status.leader, lease_keeper_holder(leader));
	if (leader != NULL)
		status.leader_renewed_ns = lease_keeper_changed_ns(leader);
	*ret_status = status;
}
