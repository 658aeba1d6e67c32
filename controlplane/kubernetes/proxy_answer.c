#include "kubernetes/proxy_answer.h"

#include <stdio.h>

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
