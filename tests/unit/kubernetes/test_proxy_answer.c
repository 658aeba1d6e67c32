#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "kubernetes/proxy_answer.h"

// As kube-proxy 1.35.4 writes them.
#define TIMES "\"lastUpdated\":\"2026-01-01T00:00:00Z\",\"currentTime\":\"2026-01-01T00:00:00Z\""
#define RULES "\"status\":{\"IPv4\":{\"lastUpdated\":\"2026-01-01T00:00:00Z\",\"healthy\":true}}"

static const struct node_case {
	const char *name;
	long status;
	const char *body;
	enum verdict want;
	const char *reason;
} node_cases[] = {
	{"well", 200, "{" TIMES ",\"nodeEligible\":true,\"healthy\":true," RULES "}", VERDICT_UP,
		""},
	{"without rules yet", 200,
		"{" TIMES ",\"nodeEligible\":true,\"healthy\":true,\"status\":{}}", VERDICT_DOWN,
		"kube-proxy has no rules yet"},
	{"an older one, well", 200, "{" TIMES ",\"nodeEligible\":true}", VERDICT_UP, ""},
	{"another's, well", 200, "ok", VERDICT_UP, ""},
	{"well without a word", 200, "", VERDICT_UP, ""},
	{"about to go", 503, "{" TIMES ",\"nodeEligible\":false,\"healthy\":true," RULES "}",
		VERDICT_DRAINING, "the node is about to go"},
	{"an older one, about to go", 503, "{" TIMES ",\"nodeEligible\":false}", VERDICT_DRAINING,
		"the node is about to go"},
	{"unwell", 503, "{" TIMES ",\"nodeEligible\":true,\"healthy\":false," RULES "}",
		VERDICT_DOWN, "kube-proxy's rules are late"},
	{"unwell and about to go", 503,
		"{" TIMES ",\"nodeEligible\":false,\"healthy\":false," RULES "}", VERDICT_DOWN,
		"kube-proxy's rules are late"},
	{"an older one, unwell", 503, "{" TIMES ",\"nodeEligible\":true}", VERDICT_DOWN,
		"HTTP status 503"},
	{"of other types", 503, "{\"nodeEligible\":\"false\",\"healthy\":1}", VERDICT_DOWN,
		"HTTP status 503"},
	{"a list", 503, "[false]", VERDICT_DOWN, "HTTP status 503"},
	{"cut off", 503, "{\"nodeEligible\":fal", VERDICT_DOWN, "HTTP status 503"},
	{"another's", 404, "not found", VERDICT_DOWN, "HTTP status 404"},
};

static void a_node_is_what_its_kube_proxy_says(void **)
{
	for (size_t i = 0; i < sizeof(node_cases) / sizeof(node_cases[0]); i++) {
		const struct node_case *c = &node_cases[i];
		char reason[REASON_MAX] = "";
		enum verdict verdict =
			proxy_answer_of_node(c->status, c->body, strlen(c->body), reason);

		if (verdict != c->want || strcmp(reason, c->reason) != 0)
			fail_msg("%s: verdict %d, \"%s\"", c->name, verdict, reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_is_what_its_kube_proxy_says),
	};

	return cmocka_run_group_tests_name("proxy_answer", tests, NULL, NULL);
}
