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

static const struct member *member_of(const struct pool *pool, const struct probe *probe)
{
	for (size_t i = 0; i < pool->n_members; i++) {
		if (pool->members[i].probe == probe)
			return &pool->members[i];
	}
	return NULL;
}

static void add_verdict(struct line *line, const struct plan *plan, const struct member *member)
{
	const struct probe_config *config = probe_config_of(member->probe);
	char endpoint[ENDPOINT_TEXT_MAX];

	add(line, "node %s (%s %s", plan->names[member->node].name,
		endpoint_format(&config->address, config->port, endpoint),
		check_kind_word(config->check.kind));
	if (config->check.kind != CHECK_TCP)
		add(line, " %s", config->check.path);
	if (probe_verdict(member->probe) == VERDICT_UP) {
		add(line, ") is up");
		return;
	}
	add(line, ") is down: %s", probe_reason(member->probe));
	if (probe_run(member->probe) > 1)
		add(line, ", %u times", probe_run(member->probe));
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

void log_verdict(const struct plan *plan, const struct probe *probe, uint64_t now_ns)
{
	static struct log_limit limit = {.burst = LINES_MAX};
	struct line line = {.len = 0};
	size_t n_pools = 0;

	for (size_t i = 0; plan != NULL && i < plan->n_pools; i++) {
		const struct pool *pool = &plan->pools[i];
		const struct member *member = member_of(pool, probe);

		if (member == NULL)
			continue;
		if (n_pools == 0)
			add_verdict(&line, plan, member);
		if (n_pools++ < POOLS_NAMED_MAX)
			add_pool(&line, plan, pool, now_ns);
	}
	if (n_pools == 0)
		return;
	if (n_pools > POOLS_NAMED_MAX)
		add(&line, "; and so on for %zu more", n_pools - POOLS_NAMED_MAX);

	bool up = probe_verdict(probe) == VERDICT_UP;
	log_line_within(&limit, up ? LEVEL_INFO : LEVEL_WARNING, "%s", line.text);
}
