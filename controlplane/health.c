#include "health.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "probe.h"

// A probe is a timer that begins a check, and a deadline that ends it if no answer does:
//
//     next ──► tcp_check_begin ──► answer ────────┐
//      ▲       http_check_begin    deadline ──────┤
//      └──────────── interval ± 10 % ◄── verdict ─┘
//
// The interval runs from the beginning of one check to that of the next, so that slow nodes are not
// asked less often than quick ones.
//
// With a limit, turns are handed out at even distances, and a check that is due takes the next one.
// A probe has one turn at most, so that with n probes and a limit of r a second none waits for
// longer than n / r: where they want more than the limit, that is what the interval becomes for
// all.

#define FIRST_WITHIN_NS (100 * NSEC_PER_MSEC)
#define RETRY_NS (200 * NSEC_PER_MSEC) // After a fault of this machine.

// A node refuses for a Service without endpoints by ICMP, which Linux sends once a second to one
// and the same (icmp_ratelimit): if it were asked more often it would seem silent.
#define REFUSED_WITHIN_NS (1500 * NSEC_PER_MSEC)

enum {
	JITTER_PERCENT = 10,
	LATE_DIVISOR = 10,    // A tenth of a check's time, lost, makes its end say nothing;
	REPEATED_IN_A_ROW = 3 // but only so often.
};

struct health {
	struct loop *loop;
	struct http_client *http;
	health_changed_fn *changed;
	void *argument;
	void *probes; // A tree (tsearch) of struct probe.
	size_t n_unsettled;
	bool answered[N_CHECK_KINDS]; // Whether any probe of the kind ever was.
	uint64_t version;
	uint64_t random;
	uint64_t turn_gap_ns;  // 0 for no limit.
	uint64_t next_turn_ns; // Not before.
	struct health_status status;
};

// Verdicts

bool standing_take(struct standing *standing, enum verdict answer, uint32_t rise, uint32_t fall)
{
	enum verdict before = standing->verdict;
	bool good = answer != VERDICT_DOWN;

	standing->run = standing->last == good ? standing->run + 1 : 1;
	standing->last = good;
	if (before == VERDICT_NONE || standing->run >= (good ? rise : fall))
		standing->verdict = answer;
	return standing->verdict != before;
}

bool timeout_counts(uint64_t lost_ns, uint64_t timeout_ns, unsigned n_repeated)
{
	return lost_ns <= timeout_ns / LATE_DIVISOR || n_repeated >= REPEATED_IN_A_ROW;
}

// Probes

struct loop *health_loop(const struct health *health)
{
	return health->loop;
}

struct http_client *health_http_client(const struct health *health)
{
	return health->http;
}

const struct probe_config *probe_config_of(const struct probe *probe)
{
	return &probe->config;
}

enum verdict probe_verdict(const struct probe *probe)
{
	return probe->standing.verdict;
}

bool probe_is_settled(const struct probe *probe)
{
	return probe->settled;
}

bool probe_is_answered(const struct probe *probe)
{
	return probe->answered;
}

bool probe_kind_is_answered(const struct probe *probe)
{
	return probe->health->answered[probe->config.check.kind];
}

// It is so from now on, of the probe or all of its kind.
static void note(struct health *health, bool *fact)
{
	health->version += !*fact;
	*fact = true;
}

void probe_inherit(struct probe *probe, const struct probe *before)
{
	if (before->answered)
		note(probe->health, &probe->answered);
}

uint32_t probe_weight(const struct probe *probe)
{
	return probe->weight;
}

const char *probe_reason(const struct probe *probe)
{
	return probe->reason;
}

unsigned probe_run(const struct probe *probe)
{
	return probe->standing.run;
}

// Xorshift64 (Marsaglia, "Xorshift RNGs", 2003): jitter needs no better.
static uint64_t random_below(struct health *health, uint64_t n)
{
	health->random ^= health->random << 13;
	health->random ^= health->random >> 7;
	health->random ^= health->random << 17;
	return health->random % n;
}

static void settle(struct probe *probe)
{
	if (!probe->settled)
		probe->health->n_unsettled--;
	note(probe->health, &probe->settled);
}

static void end_check(struct probe *probe)
{
	if (!probe->under_way)
		return;

	tcp_check_end(probe);
	http_check_end(probe);
	loop_timer_cancel(probe->health->loop, &probe->deadline);
	probe->under_way = false;
	probe->health->status.n_under_way--;
	probe->health->status.n_checks++;
}

static uint64_t interval_of(const struct check_config *check)
{
	uint64_t interval_ns = check->interval_ms * NSEC_PER_MSEC;

	return check->kind == CHECK_NODE_PORT && interval_ns < REFUSED_WITHIN_NS ? REFUSED_WITHIN_NS
										 : interval_ns;
}

static void set_next(struct probe *probe, uint64_t now_ns)
{
	uint64_t interval_ns = interval_of(&probe->config.check);
	uint64_t spread_ns = interval_ns * 2 * JITTER_PERCENT / 100;
	uint64_t due_ns = probe->began_ns + interval_ns - spread_ns / 2 +
		random_below(probe->health, spread_ns + 1);

	loop_timer_set(probe->health->loop, &probe->next, due_ns > now_ns ? due_ns : now_ns);
}

// Returns true if that made another of the probe's verdict or weight.
static bool take_answer(struct probe *probe, const struct answer *answer)
{
	const struct check_config *check = &probe->config.check;
	uint32_t weight_before = probe->weight;

	if (answer->is_told) {
		note(probe->health, &probe->answered);
		note(probe->health, &probe->health->answered[check->kind]);
	}
	if (answer->verdict == VERDICT_UP)
		probe->weight = answer->weight;
	return standing_take(&probe->standing, answer->verdict, check->rise, check->fall) ||
		probe->weight != weight_before;
}

void probe_answer(struct probe *probe, const struct answer *answer, uint64_t now_ns)
{
	enum verdict before = probe->standing.verdict;

	end_check(probe);
	settle(probe);
	probe->n_repeated = 0;
	snprintf(probe->reason, sizeof(probe->reason), "%s", answer->reason);
	set_next(probe, now_ns);
	if (!take_answer(probe, answer))
		return;
	probe->health->version++;
	probe->health->changed(probe->health->argument, probe, before);
}

void probe_answer_bad(struct probe *probe, const char *reason, uint64_t now_ns)
{
	struct answer answer = {.verdict = VERDICT_DOWN};

	snprintf(answer.reason, sizeof(answer.reason), "%s", reason);
	probe_answer(probe, &answer, now_ns);
}

static void repeat_check(struct probe *probe, uint64_t due_ns)
{
	end_check(probe);
	probe->n_repeated++;
	probe->health->status.n_repeated++;
	loop_timer_set(probe->health->loop, &probe->next, due_ns);
}

// Faults of this machine, which say nothing of the node.
static bool is_ours(const struct probe *probe, int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EADDRNOTAVAIL:
	case EAGAIN:
		return true;
	case ENETUNREACH:
		return probe->standing.verdict == VERDICT_NONE;
	default:
		return false;
	}
}

// Soon at first, then as seldom as any check.
static uint64_t retry_ns(const struct probe *probe)
{
	uint64_t interval_ns = probe->config.check.interval_ms * NSEC_PER_MSEC;
	unsigned doublings = probe->n_repeated < 10 ? probe->n_repeated : 10;
	uint64_t delay_ns = RETRY_NS << doublings;

	return delay_ns < interval_ns ? delay_ns : interval_ns;
}

void probe_unable(struct probe *probe, int error, uint64_t now_ns)
{
	const char *reason = probe_error_words(error);

	if (!is_ours(probe, error)) {
		probe_answer_bad(probe, reason, now_ns);
		return;
	}
	snprintf(probe->reason, sizeof(probe->reason), "%s", reason);
	if (now_ns - probe->first_ns >= probe->config.check.timeout_ms * NSEC_PER_MSEC)
		settle(probe);
	repeat_check(probe, now_ns + retry_ns(probe));
}

static bool is_connect(const struct probe *probe)
{
	enum check_kind kind = probe->config.check.kind;

	return kind == CHECK_TCP || kind == CHECK_NODE_PORT;
}

static void run_out(void *argument, uint64_t now_ns)
{
	struct probe *probe = argument;
	uint32_t timeout_ms = probe->config.check.timeout_ms;
	uint64_t lost_ns = loop_lost_ns(probe->health->loop) - probe->lost_ns;
	char reason[REASON_MAX];

	if (!timeout_counts(lost_ns, timeout_ms * NSEC_PER_MSEC, probe->n_repeated)) {
		settle(probe);
		repeat_check(probe, now_ns);
		return;
	}
	snprintf(reason, sizeof(reason), "%s after %g s",
		is_connect(probe) ? "connection timed out" : "no answer", timeout_ms / 1000.0);
	probe_answer_bad(probe, reason, now_ns);
}

static void give_back_turn(struct probe *probe)
{
	probe->health->status.n_waiting -= probe->has_turn;
	probe->has_turn = false;
}

// Returns false if the check has to wait for its turn, and then its timer does.
static bool take_turn(struct probe *probe, uint64_t now_ns)
{
	struct health *health = probe->health;
	uint64_t turn_ns = health->next_turn_ns > now_ns ? health->next_turn_ns : now_ns;

	if (health->turn_gap_ns == 0 || probe->has_turn) {
		give_back_turn(probe);
		return true;
	}
	health->next_turn_ns = turn_ns + health->turn_gap_ns;
	if (turn_ns == now_ns)
		return true;
	probe->has_turn = true;
	health->status.n_waiting++;
	loop_timer_set(health->loop, &probe->next, turn_ns);
	return false;
}

static void begin_check(void *argument, uint64_t now_ns)
{
	struct probe *probe = argument;
	struct health *health = probe->health;
	const struct check_config *check = &probe->config.check;

	if (!take_turn(probe, now_ns))
		return;
	if (probe->first_ns == 0)
		probe->first_ns = now_ns;
	probe->began_ns = now_ns;
	probe->lost_ns = loop_lost_ns(health->loop);
	probe->under_way = true;
	health->status.n_under_way++;
	loop_timer_set(health->loop, &probe->deadline, now_ns + check->timeout_ms * NSEC_PER_MSEC);
	if (is_connect(probe))
		tcp_check_begin(probe, now_ns);
	else
		http_check_begin(probe, now_ns);
}

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int check_config_compare(const struct check_config *a, const struct check_config *b)
{
	const int orders[] = {
		order(a->kind, b->kind),
		order(a->status_first, b->status_first),
		order(a->status_last, b->status_last),
		order(a->verify, b->verify),
		order(a->interval_ms, b->interval_ms),
		order(a->timeout_ms, b->timeout_ms),
		order(a->rise, b->rise),
		order(a->fall, b->fall),
		strcmp(a->path, b->path),
		strcmp(a->host, b->host),
		strcmp(a->service, b->service),
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (orders[i] != 0)
			return orders[i];
	}
	return 0;
}

static int compare_configs(const struct probe_config *l, const struct probe_config *r)
{
	int by_address = memcmp(&l->address, &r->address, sizeof(l->address));
	int by_port = order(l->port, r->port);

	if (by_address != 0)
		return by_address;
	return by_port != 0 ? by_port : check_config_compare(&l->check, &r->check);
}

static int compare(const void *a, const void *b)
{
	return compare_configs(
		&((const struct probe *)a)->config, &((const struct probe *)b)->config);
}

static struct probe *make(
	struct health *health, const struct probe_config *config, enum verdict inherited)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	if (probe == NULL)
		return NULL;

	probe->health = health;
	probe->config = *config;
	probe->fd = -1;
	probe->standing.verdict = inherited;
	probe->settled = inherited != VERDICT_NONE;
	probe->next =
		(struct loop_timer){.name = "health check", .fn = begin_check, .argument = probe};
	probe->deadline =
		(struct loop_timer){.name = "health deadline", .fn = run_out, .argument = probe};
	return probe;
}

struct probe *health_acquire(
	struct health *health, const struct probe_config *config, enum verdict inherited)
{
	struct probe *probe = make(health, config, inherited);
	if (probe == NULL)
		return NULL;

	struct probe **place = tsearch(probe, &health->probes, compare);
	if (place == NULL || *place != probe) {
		free(probe);
		if (place != NULL)
			(*place)->n_owners++;
		return place == NULL ? NULL : *place;
	}
	probe->n_owners = 1;
	health->status.n_probes++;
	health->n_unsettled += !probe->settled;
	loop_timer_set(health->loop, &probe->next,
		loop_clock_ns() + random_below(health, FIRST_WITHIN_NS));
	return probe;
}

bool health_share(struct probe *probe, const struct probe_config *config)
{
	bool is_its = compare_configs(&probe->config, config) == 0;

	probe->n_owners += is_its;
	return is_its;
}

void health_release(struct health *health, struct probe *probe)
{
	if (probe == NULL || --probe->n_owners > 0)
		return;

	end_check(probe);
	settle(probe);
	give_back_turn(probe);
	loop_timer_cancel(health->loop, &probe->next);
	tdelete(probe, &health->probes, compare);
	health->status.n_probes--;
	free(probe);
}

bool health_is_settled(const struct health *health)
{
	return health->n_unsettled == 0;
}

uint64_t health_longest_wait_ns(const struct health *health)
{
	return health->status.n_probes * health->turn_gap_ns;
}

uint64_t health_version(const struct health *health)
{
	return health->version;
}

void health_limit(struct health *health, uint32_t checks_per_s)
{
	health->turn_gap_ns = checks_per_s == 0 ? 0 : NSEC_PER_SEC / checks_per_s;
}

void health_read_status(const struct health *health, struct health_status *ret_status)
{
	*ret_status = health->status;
}

int health_create(
	struct loop *loop, health_changed_fn *changed, void *argument, struct health **ret_health)
{
	struct health *health = calloc(1, sizeof(*health));
	if (health == NULL)
		return -ENOMEM;

	health->loop = loop;
	health->version = 1;
	health->changed = changed;
	health->argument = argument;
	health->random = loop_clock_ns() | 1; // Never 0.
	if (http_client_create(loop, &health->http) < 0) {
		health_destroy(health);
		return -ENOMEM;
	}
	*ret_health = health;
	return 0;
}

void health_destroy(struct health *health)
{
	if (health == NULL)
		return;

	http_client_destroy(health->http);
	free(health);
}
