#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "kubernetes/requests.h"

static const struct good_case {
	const char *annotations;
	const char *load_balancer_ip;
	const char *ipv4;
	const char *ipv6;
	const char *pool;
	const char *sharing;
} good_cases[] = {
	{"{}", NULL, "none", "none", "", ""},
	{"null", "", "none", "none", "", ""},
	{"{}", "192.0.2.80", "192.0.2.80", "none", "", ""},
	{"{}", "2001:db8::80", "none", "2001:db8::80", "", ""},
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80'}", NULL, "192.0.2.80", "none", "", ""},
	{"{'guideway.dev/load-balancer-ips': ' 2001:db8::80 ,\\t192.0.2.80\\n'}", NULL,
		"192.0.2.80", "2001:db8::80", "", ""},
	{"{'metallb.io/loadBalancerIPs': '192.0.2.80'}", NULL, "192.0.2.80", "none", "", ""},
	{"{'metallb.universe.tf/loadBalancerIPs': '192.0.2.80'}", NULL, "192.0.2.80", "none", "",
		""},
	{"{'kube-vip.io/loadbalancerIPs': '192.0.2.80'}", "192.0.2.80", "192.0.2.80", "none", "",
		""},
	{"{'lbipam.cilium.io/ips': '192.0.2.80,2001:db8::80'}", NULL, "192.0.2.80", "2001:db8::80",
		"", ""},
	{"{'io.cilium/lb-ipam-ips': '192.0.2.80'}", NULL, "192.0.2.80", "none", "", ""},
	// The field has room for one of the two.
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80,2001:db8::80'}", "2001:db8::80",
		"192.0.2.80", "2001:db8::80", "", ""},
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80', 'metallb.io/loadBalancerIPs': "
	 "'192.0.2.80,192.0.2.80'}",
		NULL, "192.0.2.80", "none", "", ""},
	{"{'guideway.dev/load-balancer-ips': '', 'metallb.io/loadBalancerIPs': '192.0.2.80'}", NULL,
		"192.0.2.80", "none", "", ""},
	// IPv4 in the guise of IPv6 is IPv4.
	{"{}", "::ffff:192.0.2.80", "192.0.2.80", "none", "", ""},
	{"{'guideway.dev/address-pool': 'edge'}", NULL, "none", "none", "edge", ""},
	{"{'metallb.io/address-pool': 'edge', 'metallb.universe.tf/address-pool': 'edge'}", NULL,
		"none", "none", "edge", ""},
	{"{'guideway.dev/share-address': 'web'}", NULL, "none", "none", "", "web"},
	{"{'metallb.io/allow-shared-ip': 'web'}", NULL, "none", "none", "", "web"},
	{"{'metallb.universe.tf/allow-shared-ip': 'web'}", NULL, "none", "none", "", "web"},
	{"{'lbipam.cilium.io/sharing-key': 'web'}", NULL, "none", "none", "", "web"},
	{"{'io.cilium/lb-ipam-sharing-key': '1 2'}", NULL, "none", "none", "", "1 2"},
	// What is no text is none of ours, nor is what has another name.
	{"{'guideway.dev/address-pool': 7, 'guideway.dev/forwarding': 'dsr'}", NULL, "none", "none",
		"", ""},
};

// In single quotes, for the eye.
static json_t *load(const char *annotations)
{
	char text[2048];

	strcpy(text, annotations);
	for (char *c = text; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	assert_non_null(json);
	return json;
}

static void a_service_says_what_it_asks_for_in_many_tongues(void **)
{
	char text[ADDRESS_TEXT_MAX], why[REQUEST_WHY_MAX];

	for (size_t i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
		const struct good_case *c = &good_cases[i];
		json_t *annotations = load(c->annotations);
		struct address_request request;

		if (address_request_parse(annotations, c->load_balancer_ip, &request, why) < 0)
			fail_msg("%s: %s", c->annotations, why);
		assert_string_equal(address_format(&request.addresses[IPV4], text), c->ipv4);
		assert_string_equal(address_format(&request.addresses[IPV6], text), c->ipv6);
		assert_string_equal(request.pool, c->pool);
		assert_string_equal(request.sharing, c->sharing);
		json_decref(annotations);
	}
}

#define MANY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define UMLAUT "\xc3\xa4"

static const struct bad_case {
	const char *annotations;
	const char *load_balancer_ip;
	const char *why;
} bad_cases[] = {
	{"{}", "192.0.2.300",
		"spec.loadBalancerIP is \"192.0.2.300\"; it must be a unicast address, such as "
		"192.0.2.80"},
	{"{}", "192.0.2.80,2001:db8::80",
		"spec.loadBalancerIP is \"192.0.2.80,2001:db8::80\"; it must be a unicast address, "
		"such as 192.0.2.80"},
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80'}", "192.0.2.81",
		"guideway.dev/load-balancer-ips has 192.0.2.80, but spec.loadBalancerIP has "
		"192.0.2.81; they must say the same, or one nothing"},
	{"{'lbipam.cilium.io/ips': '192.0.2.80'}", "2001:db8::80",
		"lbipam.cilium.io/ips has 192.0.2.80, but spec.loadBalancerIP has 2001:db8::80; "
		"they must say the same, or one nothing"},
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80,2001:db8::80', "
	 "'metallb.io/loadBalancerIPs': '192.0.2.80'}",
		NULL,
		"guideway.dev/load-balancer-ips has 192.0.2.80,2001:db8::80, but "
		"metallb.io/loadBalancerIPs has 192.0.2.80; they must say the same, or one "
		"nothing"},
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80,192.0.2.81'}", NULL,
		"guideway.dev/load-balancer-ips has two IPv4 addresses; it must be one of each "
		"family"},
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80,'}", NULL,
		"guideway.dev/load-balancer-ips has \"\"; it must be a unicast address, or one of "
		"each family: \"192.0.2.80,2001:db8::80\""},
	{"{'guideway.dev/load-balancer-ips': '  '}", NULL,
		"guideway.dev/load-balancer-ips has \"\"; it must be a unicast address, or one of "
		"each family: \"192.0.2.80,2001:db8::80\""},
	{"{'kube-vip.io/loadbalancerIPs': '0.0.0.0'}", NULL,
		"kube-vip.io/loadbalancerIPs has \"0.0.0.0\"; it must be a unicast address, or one "
		"of each family: \"192.0.2.80,2001:db8::80\""},
	{"{'guideway.dev/load-balancer-ips': 'ff02::1'}", NULL,
		"guideway.dev/load-balancer-ips has \"ff02::1\"; it must be a unicast address, or "
		"one of each family: \"192.0.2.80,2001:db8::80\""},
	{"{'guideway.dev/load-balancer-ips': '192.0.2.80/32'}", NULL,
		"guideway.dev/load-balancer-ips has \"192.0.2.80/32\"; it must be a unicast "
		"address, or one of each family: \"192.0.2.80,2001:db8::80\""},
	// What is cut is cut between characters.
	{"{'guideway.dev/load-balancer-ips': '" MANY UMLAUT "a'}", NULL,
		"guideway.dev/load-balancer-ips has \"" MANY "\"; it must be a unicast address, or "
		"one of each family: \"192.0.2.80,2001:db8::80\""},
	{"{'guideway.dev/address-pool': 'edge', 'metallb.io/address-pool': 'inner'}", NULL,
		"guideway.dev/address-pool has \"edge\", but metallb.io/address-pool has "
		"\"inner\"; they must say the same, or one nothing"},
	{"{'guideway.dev/share-address': '" MANY MANY MANY MANY "aaaa'}", NULL,
		"guideway.dev/share-address has 256 bytes; it must be at most 255"},
};

static void what_cannot_be_asked_for_is_said(void **)
{
	for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const struct bad_case *c = &bad_cases[i];
		json_t *annotations = load(c->annotations);
		struct address_request request = {.pool = "as before"};
		char why[REQUEST_WHY_MAX] = "";
		int r = address_request_parse(annotations, c->load_balancer_ip, &request, why);

		assert_string_equal(why, c->why);
		assert_int_equal(r, -EINVAL);
		assert_string_equal(request.pool, "as before");
		json_decref(annotations);
	}
}

static void our_annotations_are_known_as_such(void **)
{
	assert_true(is_request_annotation("guideway.dev/load-balancer-ips"));
	assert_true(is_request_annotation("metallb.io/address-pool"));
	assert_true(is_request_annotation("io.cilium/lb-ipam-sharing-key"));
	assert_false(is_request_annotation("guideway.dev/forwarding"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_says_what_it_asks_for_in_many_tongues),
		cmocka_unit_test(what_cannot_be_asked_for_is_said),
		cmocka_unit_test(our_annotations_are_known_as_such),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
