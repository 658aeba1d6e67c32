#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "guideway/address.h"
#include "loop.h"

// Who of the nodes serves. One probe asks one endpoint in one way, whoever wants to know it: its
// cost is that of the endpoints, not of the services that share them.

struct health;
struct probe;

enum verdict {
	VERDICT_NONE,
	VERDICT_UP,
	VERDICT_DRAINING, // It serves, and says that it is about to end.
	VERDICT_REFUSING, // It lives, but nothing listens at its port (CHECK_NODE_PORT).
	VERDICT_DOWN,
};

// What is asked, and where. Two that are equal are one probe.
struct probe_config {
	struct address address;
	uint16_t port;             // Host byte order, never 0.
	struct check_config check; // Never CHECK_NONE; its own 'port' is not looked at.
};

enum { REASON_MAX = 256 };

// Called whenever a probe's verdict changes from 'before'; the first one is a change. With 'before'
// as it is now, only its weight has changed.
typedef void health_changed_fn(void *argument, const struct probe *probe, enum verdict before);

// Returns 0 or -ENOMEM.
int health_create(
	struct loop *loop, health_changed_fn *changed, void *argument, struct health **ret_health);

// From now on, no more than so many checks begin in a second, evenly spaced: what is due before its
// turn waits, and all come to theirs alike. 0 is for no limit, as at first.
void health_limit(struct health *health, uint32_t checks_per_s);

// Every probe was released before. Accepts NULL.
void health_destroy(struct health *health);

// The probe of 'config': the one that there is, or a new one, whose first check begins within
// 100 ms, or when its turn comes. A new one begins with the verdict 'inherited', from another probe
// of the node or VERDICT_NONE. Returns NULL when out of memory.
struct probe *health_acquire(
	struct health *health, const struct probe_config *config, enum verdict inherited);

// Whether the probe is that of 'config'; then it has one owner more, as if acquired.
bool health_share(struct probe *probe, const struct probe_config *config);

// The last release ends the probe. Accepts NULL.
void health_release(struct health *health, struct probe *probe);

// False until each probe has a result or had its first check run out, or for the timeout of a check
// was not able to begin one.
bool health_is_settled(const struct health *health);

// No check waits for its turn for longer, with as many probes as there are.
uint64_t health_longest_wait_ns(const struct health *health);

// Never 0. As long as it is the same, so is all that is said of probes below, but why, and how
// often in a row.
uint64_t health_version(const struct health *health);

struct health_status {
	size_t n_probes;
	size_t n_waiting;   // Checks that are due, but have to wait for their turn.
	size_t n_under_way; // Checks that wait for an answer.
	uint64_t n_checks;  // Ended since the start,
	uint64_t
		n_repeated; // of which not counted, because the loop was late or we out of sockets.
};

void health_read_status(const struct health *health, struct health_status *ret_status);

const struct probe_config *probe_config_of(const struct probe *probe);
enum verdict probe_verdict(const struct probe *probe);

// What the node gave itself with its last good answer; 0 for none.
uint32_t probe_weight(const struct probe *probe);

// Whether it ever had an answer, good or bad, by HTTP; and whether any of its kind had.
bool probe_is_answered(const struct probe *probe);
bool probe_kind_is_answered(const struct probe *probe);

// 'probe' asks what 'before', of the same node and kind, was answered already.
void probe_inherit(struct probe *probe, const struct probe *before);

// What health_is_settled() asks of all, of one.
bool probe_is_settled(const struct probe *probe);

// Why the last answer was not the best ("connection refused"), or empty.
const char *probe_reason(const struct probe *probe);

// How many answers in a row were as good or as bad as the last one.
unsigned probe_run(const struct probe *probe);

// As of strcmp(): 0 for two checks that ask the same in the same way. Their ports are not looked
// at.
int check_config_compare(const struct check_config *a, const struct check_config *b);

// From answers to a verdict: each answer is one. After 'rise' good ones in a row the node is what
// the last of them says, after 'fall' bad ones it is down, and where there is no verdict yet one
// answer decides alone.
struct standing {
	enum verdict verdict;
	bool last;    // Whether the last answer was a good one: any but VERDICT_DOWN.
	unsigned run; // So many in a row.
};

// Returns true if the verdict changed.
bool standing_take(struct standing *standing, enum verdict answer, uint32_t rise, uint32_t fall);

// Whether a check that ran out says something of the node. It does not if the loop was late for
// more than a tenth of the check's time, unless that happened often in a row: a machine that is
// always late still has to notice its dead nodes.
bool timeout_counts(uint64_t lost_ns, uint64_t timeout_ns, unsigned n_repeated);
