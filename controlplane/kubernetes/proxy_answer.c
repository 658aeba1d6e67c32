#include "kubernetes/proxy_answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"

enum { STATUS_GOOD = 200 };

static enum verdict say(enum verdict verdict, const char *reason, char ret_reason[REASON_MAX])
{
	snprintf(ret_reason, REASON_MAX, "%s", reason);
	return verdict;
}

static enum verdict say_status(long status, char ret_reason[REASON_MAX])
{
	snprintf(ret_reason, REASON_MAX, "HTTP status %ld", status);
	return VERDICT_DOWN;
}

// kube-proxy answers 200 before it has written its first rules. Newer ones tell of each family that
// they have written some of.
static bool has_no_rules(const json_t *answer)
{
	const json_t *families = json_at(answer, "status");

	return json_is_object(families) && json_object_size(families) == 0;
}

// Older ones do not say whether they are well themselves: then the node goes, whatever else may be.
static bool is_about_to_go(const json_t *answer)
{
	return json_is_false(json_at(answer, "nodeEligible")) &&
		!json_is_false(json_at(answer, "healthy"));
}

enum verdict proxy_answer_of_node(
	long status, const char *body, size_t len, char ret_reason[REASON_MAX])
{
	json_t *answer = json_loadb(body, len, 0, NULL);
	enum verdict verdict;

	if (status == STATUS_GOOD && has_no_rules(answer))
		verdict = say(VERDICT_DOWN, "kube-proxy has no rules yet", ret_reason);
	else if (status == STATUS_GOOD)
		verdict = VERDICT_UP;
	else if (is_about_to_go(answer))
		verdict = say(VERDICT_DRAINING, "the node is about to go", ret_reason);
	else if (json_is_false(json_at(answer, "healthy")))
		verdict = say(VERDICT_DOWN, "kube-proxy's rules are late", ret_reason);
	else
		verdict = say_status(status, ret_reason);
	json_decref(answer);
	return verdict;
}

static bool names(const json_t *answer, const char *key)
{
	const char *space = json_text_at(answer, "service.namespace");
	size_t len = strlen(space);

	return len > 0 && strncmp(key, space, len) == 0 && key[len] == '/' &&
		json_text_is(answer, "service.name", key + len + 1);
}

static enum verdict say_stranger(const json_t *answer, char ret_reason[REASON_MAX])
{
	const char *name = json_text_at(answer, "service.name");

	if (*name == '\0')
		return say(VERDICT_DOWN, "the answer names no Service", ret_reason);
	snprintf(ret_reason, REASON_MAX, "the port is that of Service %.63s/%.63s",
		json_text_at(answer, "service.namespace"), name);
	return VERDICT_DOWN;
}

enum verdict proxy_answer_of_service(
	long status, const char *body, size_t len, const char *key, char ret_reason[REASON_MAX])
{
	json_t *answer = json_loadb(body, len, 0, NULL);
	enum verdict verdict;

	if (!names(answer, key))
		verdict = say_stranger(answer, ret_reason);
	else if (status == STATUS_GOOD)
		verdict = VERDICT_UP;
	else if (json_is_false(json_at(answer, "serviceProxyHealthy")))
		verdict = say(VERDICT_DOWN, "kube-proxy's rules are late", ret_reason);
	else if (json_number_at(answer, "localEndpoints") == 0)
		verdict = say(VERDICT_DRAINING, "no endpoint is ready on it", ret_reason);
	else
		verdict = say_status(status, ret_reason);
	json_decref(answer);
	return verdict;
}

uint32_t proxy_answer_weight(const char *text)
{
	char *end;
	unsigned long weight = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;

	return weight == 0 || weight > PROXY_WEIGHT_MAX || *end != '\0' ? 0 : (uint32_t)weight;
}
