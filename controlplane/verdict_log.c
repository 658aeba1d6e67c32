#include "verdict_log.h"

#include <stdarg.h>
#include <stdio.h>

#include "address_text.h"
#include "log.h"

// A line as it grows; what does not fit is left out.
struct line {
	char text[LOG_TEXT_MAX];
	size_t len;
};

enum {
	POOLS_NAMED_MAX = 3, // In one line.
	LINES_MAX = 50,      // In LOG_INTERVAL_S: a network that fails takes all nodes with it.
};

const char *check_kind_word(enum check_kind kind)
{
	static const char *const words[] = {
		[CHECK_NONE] = "none",
		[CHECK_TCP] = "tcp",
		[CHECK_HTTP] = "http",
		[CHECK_HTTPS] = "https",
		[CHECK_KUBE_PROXY] = "kube-proxy",
		[CHECK_SERVICE] = "service",
		[CHECK_NODE_PORT] = "node-port",
	};

	return words[kind];
}

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(
		line->text + line->len, sizeof(line->text) - line->len, format, arguments);
	va_end(arguments);
	line->len += n > 0 ? (size_t)n : 0;
	if (line->len >= sizeof(line->text))
		line->len = sizeof(line->text) - 1;
}

const char *check_path(const struct check_config *check)
{
	return check->kind == CHECK_TCP || check->kind == CHECK_NODE_PORT ? "" : check->path;
}

static const struct member *member_of(const struct pool *pool, const struct probe *probe)
{
	for (size_t i = 0; i < pool->n_members; i++) {
		const struct member *m = &pool->members[i];

		if (m->probe == probe || m->fallback == probe)
			return m;
	}
	return NULL;
}

static void add_endpoint(struct line *line, const struct probe *probe)
{
	const struct probe_config *config = probe_config_of(probe);
	char endpoint[ENDPOINT_TEXT_MAX];

	add(line, "%s %s", endpoint_format(&config->address, config->port, endpoint),
		check_kind_word(config->check.kind));
	if (*check_path(&config->check) != '\0')
		add(line, " %s", check_path(&config->check));
}

static void add_reason(struct line *line, const struct probe *probe)
{
	add(line, "%s", probe_reason(probe));
	if (probe_verdict(probe) == VERDICT_DOWN && probe_run(probe) > 1)
		add(line, ", %u times", probe_run(probe));
}

// Of one that decides.
static void add_verdict(struct line *line, const struct probe *probe)
{
	switch (probe_verdict(probe)) {
	case VERDICT_UP:
		add(line, "is up");
		return;
	case VERDICT_REFUSING:
		add(line, "is alive: ");
		break;
	case VERDICT_DRAINING:
		add(line, "takes no new flows: ");
		break;
	default:
		add(line, "is down: ");
	}
	add_reason(line, probe);
}

// Of one that does not: it was never answered, or the one before it is.
static void add_remark(struct line *line, const struct member *member, const struct probe *probe)
{
	if (probe == member->probe) {
		add(line, "has no answer: ");
		add_reason(line, probe);
		add(line, "; until it has one, what decides is ");
		add_endpoint(line, member->fallback);
	} else if (probe_verdict(probe) == VERDICT_DOWN) {
		add(line, "is silent: ");
		add_reason(line, probe);
		add(line, "; what decides is ");
		add_endpoint(line, member->probe);
	} else {
		add(line, "is silent no more");
	}
}

static void add_pool(
	struct line *line, const struct plan *plan, const struct pool *pool, uint64_t now_ns)
{
	size_t n_up = 0;
	size_t n = 0;

	for (size_t i = 0; i < pool->n_members; i++) {
		n_up += member_state(plan, &pool->members[i], now_ns) == TARGET_UP;
		n += !pool->members[i].leaving;
	}
	add(line, "; service %s", plan->config->services[pool->first_service]->name);
	if (pool->n_services > 1)
		add(line, " and %zu more now have", pool->n_services - 1);
	else
		add(line, " now has");
	add(line, " %zu of %zu nodes", n_up, n);
	if (n_up == 0)
		add(line, ", %s",
			pool->fail_open ? "so all are used, up or not"
					: "so new flows are refused");
}

// Whom the probe decides about, else who has it. NULL for nobody.
static const struct member *find_member(const struct plan *plan, const struct probe *probe)
{
	const struct member *found = NULL;

	for (size_t i = 0; i < plan->n_pools; i++) {
		const struct member *m = member_of(&plan->pools[i], probe);

		if (m != NULL && member_judge(m) == probe)
			return m;
		if (m != NULL)
			found = m;
	}
	return found;
}

static void add_pools(
	struct line *line, const struct plan *plan, const struct probe *probe, uint64_t now_ns)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_pools; i++) {
		const struct member *m = member_of(&plan->pools[i], probe);

		if (m != NULL && member_judge(m) == probe && n++ < POOLS_NAMED_MAX)
			add_pool(line, plan, &plan->pools[i], now_ns);
	}
	if (n > POOLS_NAMED_MAX)
		add(line, "; and so on for %zu more", n - POOLS_NAMED_MAX);
}

void log_verdict(const struct plan *plan, const struct probe *probe, uint64_t now_ns)
{
	static struct log_limit limit = {.burst = LINES_MAX};
	const struct member *member = plan == NULL ? NULL : find_member(plan, probe);
	struct line line = {.len = 0};

	if (member == NULL)
		return;

	add(&line, "node %s (", plan->names[member->node].name);
	add_endpoint(&line, probe);
	add(&line, ") ");
	if (member_judge(member) == probe)
		add_verdict(&line, probe);
	else
		add_remark(&line, member, probe);
	add_pools(&line, plan, probe, now_ns);
	log_line_within(&limit, probe_verdict(probe) == VERDICT_DOWN ? LEVEL_WARNING : LEVEL_INFO,
		"%s", line.text);
}
