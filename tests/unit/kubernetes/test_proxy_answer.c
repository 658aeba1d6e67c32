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

#define SERVICE(space, name) "\"service\":{\"namespace\":\"" space "\",\"name\":\"" name "\"}"

static const struct service_case {
	const char *name;
	long status;
	const char *body;
	enum verdict want;
	const char *reason;
} service_cases[] = {
	{"well", 200,
		"{" SERVICE("shop", "web") ",\"localEndpoints\":2,\"serviceProxyHealthy\":true}",
		VERDICT_UP, ""},
	{"an older one, well", 200, "{" SERVICE("shop", "web") ",\"localEndpoints\":2}", VERDICT_UP,
		""},
	{"closing", 200, "", VERDICT_DOWN, "the answer names no Service"},
	{"another's port", 200,
		"{" SERVICE("mail", "web") ",\"localEndpoints\":1,\"serviceProxyHealthy\":true}",
		VERDICT_DOWN, "the port is that of Service mail/web"},
	{"a name that begins alike", 200, "{" SERVICE("shop", "we") ",\"localEndpoints\":1}",
		VERDICT_DOWN, "the port is that of Service shop/we"},
	{"a namespace that begins alike", 200, "{" SERVICE("sho", "web") ",\"localEndpoints\":1}",
		VERDICT_DOWN, "the port is that of Service sho/web"},
	{"without endpoints", 503,
		"{" SERVICE("shop", "web") ",\"localEndpoints\":0,\"serviceProxyHealthy\":true}",
		VERDICT_DRAINING, "no endpoint is ready on it"},
	{"another's, without endpoints", 503,
		"{" SERVICE("mail", "web") ",\"localEndpoints\":0,\"serviceProxyHealthy\":true}",
		VERDICT_DOWN, "the port is that of Service mail/web"},
	{"unwell", 503,
		"{" SERVICE("shop", "web") ",\"localEndpoints\":2,\"serviceProxyHealthy\":false}",
		VERDICT_DOWN, "kube-proxy's rules are late"},
	{"an older one, unwell", 503, "{" SERVICE("shop", "web") ",\"localEndpoints\":2}",
		VERDICT_DOWN, "HTTP status 503"},
	{"no JSON", 200, "ok", VERDICT_DOWN, "the answer names no Service"},
	{"of other types", 200, "{\"service\":\"shop/web\"}", VERDICT_DOWN,
		"the answer names no Service"},
};

static void a_service_is_what_its_port_says_if_it_is_its_own(void **)
{
	for (size_t i = 0; i < sizeof(service_cases) / sizeof(service_cases[0]); i++) {
		const struct service_case *c = &service_cases[i];
		char reason[REASON_MAX] = "";
		enum verdict verdict = proxy_answer_of_service(
			c->status, c->body, strlen(c->body), "shop/web", reason);

		if (verdict != c->want || strcmp(reason, c->reason) != 0)
			fail_msg("%s: verdict %d, \"%s\"", c->name, verdict, reason);
	}
}

static void a_weight_is_a_number_of_endpoints(void **)
{
	assert_int_equal(proxy_answer_weight("1"), 1);
	assert_int_equal(proxy_answer_weight("1000000"), 1000000);
	assert_int_equal(proxy_answer_weight("0"), 0);
	assert_int_equal(proxy_answer_weight("1000001"), 0);
	assert_int_equal(proxy_answer_weight("99999999999999999999999"), 0);
	assert_int_equal(proxy_answer_weight("-1"), 0);
	assert_int_equal(proxy_answer_weight("2x"), 0);
	assert_int_equal(proxy_answer_weight(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_is_what_its_kube_proxy_says),
		cmocka_unit_test(a_service_is_what_its_port_says_if_it_is_its_own),
		cmocka_unit_test(a_weight_is_a_number_of_endpoints),
	};

	return cmocka_run_group_tests_name("proxy_answer", tests, NULL, NULL);
}
