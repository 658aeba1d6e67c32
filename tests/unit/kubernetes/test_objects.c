#include "documents.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "address_text.h"
#include "kubernetes/node_object.h"
#include "kubernetes/service_object.h"

#define WEB                                                                                   \
	"{'metadata': {'namespace': 'default', 'name': 'web', 'uid': 'u-1',"                  \
	" 'resourceVersion': '1234'},"                                                        \
	" 'spec': {'type': 'LoadBalancer', 'clusterIP': '10.96.0.7', 'ipFamilies': ['IPv4']," \
	" 'ports': [{'name': 'http', 'protocol': 'TCP', 'port': 80, 'nodePort': 30080}]}}"

static struct service_object *web_with(const char *change)
{
	json_t *json = changed(WEB, change);
	struct service_object *service;

	assert_int_equal(service_object_parse(json, &service), 0);
	json_decref(json);
	return service;
}

static void a_service_is_read(void **)
{
	struct service_object *s = web_with("{}");

	assert_string_equal(s->key, "default/web");
	assert_string_equal(s->space, "default");
	assert_string_equal(s->name, "web");
	assert_string_equal(s->uid, "u-1");
	assert_int_equal(s->version, 1234);
	assert_true(s->is_load_balancer);
	assert_false(s->is_headless || s->is_deleted || s->is_local);
	assert_string_equal(s->class, "");
	assert_int_equal(s->n_ports, 1);
	assert_string_equal(s->ports[0].name, "http");
	assert_int_equal(s->ports[0].protocol, IPPROTO_TCP);
	assert_int_equal(s->ports[0].port, 80);
	assert_int_equal(s->ports[0].node_port, 30080);
	assert_int_equal(s->n_families, 1);
	assert_int_equal(s->families[0], IPV4);
	assert_int_equal(s->affinity_s, 0);
	assert_int_equal(s->sources.n, 0);
	assert_int_equal(s->n_ingress, 0);
	service_object_free(s);
}

static void what_a_service_asks_is_read(void **)
{
	struct service_object *s =
		web_with("{'metadata': {'deletionTimestamp': '2026-01-01T00:00:00Z', 'finalizers':"
			 " ['other', 'guideway.dev/lb-cleanup',"
			 " 'service.kubernetes.io/load-balancer-cleanup']},"
			 " 'spec': {'loadBalancerClass': 'guideway.dev/lb', 'clusterIP': 'None',"
			 " 'ipFamilies': ['IPv6', 'IPv4'], 'ipFamilyPolicy': 'RequireDualStack',"
			 " 'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 31000,"
			 " 'sessionAffinity': 'ClientIP', 'sessionAffinityConfig':"
			 " {'clientIP': {'timeoutSeconds': 60}}}}");

	assert_true(s->is_deleted && s->has_our_finalizer && s->has_standard_finalizer);
	assert_string_equal(s->class, "guideway.dev/lb");
	assert_true(s->is_headless && s->requires_all_families && s->is_local);
	assert_int_equal(s->n_families, 2);
	assert_int_equal(s->families[0], IPV6);
	assert_int_equal(s->families[1], IPV4);
	assert_int_equal(s->health_check_port, 31000);
	assert_int_equal(s->affinity_s, 60);
	service_object_free(s);
}

static void affinity_without_a_time_lasts_three_hours(void **)
{
	struct service_object *s = web_with("{'spec': {'sessionAffinity': 'ClientIP'}}");

	assert_int_equal(s->affinity_s, 10800);
	service_object_free(s);
}

static void what_its_status_says_is_read(void **)
{
	struct service_object *s = web_with(
		"{'status': {'loadBalancer': {'ingress': [{'ip': '203.0.113.5'},"
		" {'ip': '2001:db8::5', 'ipMode': 'Proxy'}, {'hostname': 'a.example'}]}}}");
	char text[ADDRESS_TEXT_MAX];

	assert_int_equal(s->n_ingress, 3);
	assert_string_equal(address_format(&s->ingress[0].address, text), "203.0.113.5");
	assert_int_equal(s->ingress[0].ip_mode, IP_MODE_VIP); // What says nothing is VIP.
	assert_string_equal(address_format(&s->ingress[1].address, text), "2001:db8::5");
	assert_int_equal(s->ingress[1].ip_mode, IP_MODE_PROXY);
	service_object_free(s);
}

static const struct source_case {
	const char *name;
	const char *change;
	size_t n;
	const char *bad;
} source_cases[] = {
	{"a list", "{'spec': {'loadBalancerSourceRanges': ['198.51.100.0/24', ' 10.0.0.0/8 ']}}", 2,
		""},
	{"the annotation",
		"{'metadata': {'annotations': {"
		"'service.beta.kubernetes.io/load-balancer-source-ranges':"
		" '198.51.100.0/24, 2001:db8::/32'}}}",
		2, ""},
	{"the list wins over the annotation",
		"{'metadata': {'annotations': {"
		"'service.beta.kubernetes.io/load-balancer-source-ranges': '10.0.0.0/8,11.0.0.0/8'"
		"}}, 'spec': {'loadBalancerSourceRanges': ['198.51.100.0/24']}}",
		1, ""},
	{"an annotation of blanks is none",
		"{'metadata': {'annotations': {"
		"'service.beta.kubernetes.io/load-balancer-source-ranges': '  '}}}",
		0, ""},
	{"a zero length is everybody",
		"{'spec': {'loadBalancerSourceRanges': ['0.0.0.0/0', '10.0.0.0/8']}}", 0, ""},
	{"a mistake beside a prefix",
		"{'spec': {'loadBalancerSourceRanges': ['10.0.0.0/8', '10.0.0.0/64']}}", 1,
		"10.0.0.0/64"},
	{"an empty element",
		"{'metadata': {'annotations': {"
		"'service.beta.kubernetes.io/load-balancer-source-ranges': '10.0.0.0/8,'}}}",
		1, "an empty text"},
};

static void source_ranges_are_read(void **)
{
	for (size_t i = 0; i < sizeof(source_cases) / sizeof(source_cases[0]); i++) {
		const struct source_case *c = &source_cases[i];
		struct service_object *s = web_with(c->change);

		if (s->sources.n != c->n || strcmp(s->bad_source, c->bad) != 0)
			fail_msg("%s: %zu prefixes, bad \"%s\"", c->name, s->sources.n,
				s->bad_source);
		service_object_free(s);
	}
}

static const struct bad_case {
	const char *name;
	const char *change;
} bad_services[] = {
	{"no name", "{'metadata': {'name': ''}}"},
	{"no namespace", "{'metadata': {'namespace': null}}"},
	{"a name too long",
		"{'metadata': {'name': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}"},
	{"a namespace too long, where both together are not",
		"{'metadata': {'namespace': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaa'}}"},
	{"a namespace with a slash", "{'metadata': {'namespace': 'a/b'}}"},
	{"a port of 0", "{'spec': {'ports': [{'port': 0}]}}"},
	{"a port of 65536", "{'spec': {'ports': [{'port': 65536}]}}"},
	{"a port that is a text", "{'spec': {'ports': [{'port': '80'}]}}"},
	{"a negative node port", "{'spec': {'ports': [{'port': 80, 'nodePort': -1}]}}"},
	{"an unknown protocol", "{'spec': {'ports': [{'port': 80, 'protocol': 'QUIC'}]}}"},
};

static void what_is_no_service_is_refused(void **)
{
	for (size_t i = 0; i < sizeof(bad_services) / sizeof(bad_services[0]); i++) {
		json_t *json = changed(WEB, bad_services[i].change);
		struct service_object *service;

		if (service_object_parse(json, &service) != -EINVAL)
			fail_msg("%s is taken", bad_services[i].name);
		json_decref(json);
	}
}

// What the API server would never send: everything of another type than it should be.
static void types_that_are_wrong_are_as_if_nothing_were_there(void **)
{
	struct service_object *s = web_with(
		"{'metadata': {'annotations': [1], 'finalizers': {'a': 1}, 'labels': 7},"
		" 'spec': {'ipFamilies': 'IPv4', 'sessionAffinity': 1, 'loadBalancerClass': [],"
		" 'loadBalancerSourceRanges': [1, null, {}]},"
		" 'status': {'loadBalancer': {'ingress': [1, 'a', {'ip': 7}]}, 'conditions': 1}}");

	assert_int_equal(s->n_families, 1);
	assert_int_equal(s->sources.n, 0);
	assert_true(address_is_none(&s->ingress[0].address));
	assert_null(service_annotation(s, "a"));
	service_object_free(s);
}

// What it says is the same after it was written and read, but for its version.
static void a_service_is_written_as_it_was_read(void **)
{
	struct service_object *s = web_with(
		"{'metadata': {'finalizers': ['guideway.dev/lb-cleanup'], 'annotations': {'a': "
		"'b'},"
		" 'labels': {'c': 'd'}},"
		" 'spec': {'loadBalancerClass': 'guideway.dev/lb', 'loadBalancerIP': '203.0.113.9',"
		" 'ipFamilies': ['IPv6', 'IPv4'], 'ipFamilyPolicy': 'RequireDualStack',"
		" 'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 31000,"
		" 'loadBalancerSourceRanges': ['10.0.0.0/8', 'x'],"
		" 'sessionAffinity': 'ClientIP', 'sessionAffinityConfig':"
		" {'clientIP': {'timeoutSeconds': 60}}},"
		" 'status': {'conditions': [{'type': 'a'}]}}");
	struct address addresses[N_FAMILIES] = {0};
	struct service_object *again;

	assert_int_equal(address_parse("203.0.113.9", &addresses[IPV4]), 0);
	json_t *json = service_object_write(s, addresses);
	assert_int_equal(service_object_parse(json, &again), 0);
	json_decref(json);

	assert_string_equal(again->key, s->key);
	assert_string_equal(again->uid, s->uid);
	assert_string_equal(again->class, s->class);
	assert_string_equal(again->bad_source, "x");
	assert_string_equal(json_string_value(again->load_balancer_ip), "203.0.113.9");
	assert_string_equal(service_annotation(again, "a"), "b");
	assert_true(json_equal(again->labels, s->labels));
	assert_true(json_equal(again->conditions, s->conditions));
	assert_true(again->is_load_balancer && again->has_our_finalizer && again->is_local);
	assert_true(again->requires_all_families && !again->has_standard_finalizer);
	assert_false(again->is_headless || again->is_deleted);
	assert_int_equal(again->health_check_port, 31000);
	assert_int_equal(again->affinity_s, 60);
	assert_int_equal(again->n_ports, 1);
	assert_memory_equal(again->ports, s->ports, sizeof(*s->ports));
	assert_memory_equal(again->families, s->families, sizeof(s->families));
	assert_int_equal(again->sources.n, 1);
	assert_memory_equal(again->sources.prefixes, s->sources.prefixes, sizeof(struct prefix));
	assert_int_equal(again->n_ingress, 1);
	assert_true(address_equal(&again->ingress[0].address, &addresses[IPV4]));
	service_object_free(again);
	service_object_free(s);
}

// Nodes

#define N1                                                       \
	"{'metadata': {'name': 'n1'}, 'status': {'addresses': [" \
	"{'type': 'Hostname', 'address': 'n1'},"                 \
	"{'type': 'ExternalIP', 'address': '192.0.2.1'},"        \
	"{'type': 'InternalIP', 'address': '10.0.0.1'},"         \
	"{'type': 'InternalIP', 'address': '10.0.0.99'},"        \
	"{'type': 'ExternalIP', 'address': '2001:db8::1'}]}}"

static struct node_object n1_with(const char *change)
{
	json_t *json = changed(N1, change);
	struct node_object node;

	assert_int_equal(node_object_parse(json, &node), 0);
	json_decref(json);
	return node;
}

static void assert_addresses(const struct node_object *node, const char *ipv4, const char *ipv6)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(&node->address[IPV4], text), ipv4);
	assert_string_equal(address_format(&node->address[IPV6], text), ipv6);
}

static void a_node_has_its_first_internal_address_of_each_family(void **)
{
	struct node_object node = n1_with("{}");

	assert_string_equal(node.name, "n1");
	assert_addresses(&node, "10.0.0.1", "2001:db8::1"); // External where nothing else is.
	assert_false(node.is_excluded || node.is_leaving);
}

static void an_annotation_names_other_addresses(void **)
{
	struct node_object node = n1_with("{'metadata': {'annotations':"
					  " {'guideway.dev/node-addresses': '10.9.0.1, x'}}}");

	assert_addresses(&node, "10.9.0.1", "2001:db8::1");
	assert_string_equal(node.bad_address, "x");
}

static const struct annotated_case {
	const char *annotation;
	const char *ipv4;
	const char *ipv6;
	const char *bad;
} annotated_cases[] = {
	{"10.9.0.1", "10.9.0.1", "2001:db8::1", ""},
	{" fd01::5 , 10.9.0.1 ", "10.9.0.1", "fd01::5", ""},
	{"10.9.0.1,10.9.0.2", "10.9.0.1", "2001:db8::1", "10.9.0.2"},
	{"10.9.0", "10.0.0.1", "2001:db8::1", "10.9.0"},
	{"10.9.0.1/24,fd01::5", "10.0.0.1", "fd01::5", "10.9.0.1/24"},
	{"127.0.0.1", "10.0.0.1", "2001:db8::1", "127.0.0.1"},
	{"0123456789012345678901234567890123456789012345678901234567890123456789", "10.0.0.1",
		"2001:db8::1", "012345678901234567890123456789012345678901234567890123456789012"},
};

static void what_is_no_good_in_the_annotation_is_kept_for_people(void **)
{
	for (size_t i = 0; i < sizeof(annotated_cases) / sizeof(annotated_cases[0]); i++) {
		const struct annotated_case *c = &annotated_cases[i];
		char change[256];

		snprintf(change, sizeof(change),
			"{'metadata': {'annotations': {'guideway.dev/node-addresses': '%s'}}}",
			c->annotation);
		struct node_object node = n1_with(change);
		assert_string_equal(node.bad_address, c->bad);
		assert_addresses(&node, c->ipv4, c->ipv6);
	}
}

static const struct mark_case {
	const char *name;
	const char *change;
	bool is_excluded;
	bool is_leaving;
	bool is_out;
} mark_cases[] = {
	{"the label",
		"{'metadata': {'labels': {"
		"'node.kubernetes.io/exclude-from-external-load-balancers': ''}}}",
		true, false, false},
	{"the label that says no",
		"{'metadata': {'labels': {"
		"'node.kubernetes.io/exclude-from-external-load-balancers': 'false'}}}",
		false, false, false},
	{"the label that says anything",
		"{'metadata': {'labels': {"
		"'node.kubernetes.io/exclude-from-external-load-balancers': 'maybe'}}}",
		true, false, false},
	{"the autoscaler's taint",
		"{'spec': {'taints': [{'key': 'a'}, {'key': 'ToBeDeletedByClusterAutoscaler'}]}}",
		false, true, false},
	{"a deletion", "{'metadata': {'deletionTimestamp': '2026-01-01T00:00:00Z'}}", false, true,
		false},
	{"a cordon",
		"{'spec': {'unschedulable': true, 'taints': [{'key':"
		" 'node.kubernetes.io/unschedulable'}]}}",
		false, false, false},
	{"a drain",
		"{'status': {'conditions': [{'type': 'Ready', 'status': 'True'}, {'type':"
		" 'DrainInProgress', 'status': 'True'}]}}",
		false, true, false},
	{"no drain", "{'status': {'conditions': [{'type': 'Drained', 'status': 'False'}]}}", false,
		false, false},
	{"a shutdown that takes its time",
		"{'status': {'conditions': [{'type': 'GracefulNodeShutdownInProgress', 'status':"
		" 'True'}]}}",
		false, true, false},
	{"a cloud's taint of what is off",
		"{'spec': {'taints': [{'key': 'node.cloudprovider.kubernetes.io/shutdown'}]}}",
		false, false, true},
	{"an operator's taint of what is off",
		"{'spec': {'taints': [{'key': 'node.kubernetes.io/out-of-service', 'value':"
		" 'nodeshutdown', 'effect': 'NoExecute'}]}}",
		false, false, true},
	{"not being ready", "{'status': {'conditions': [{'type': 'Ready', 'status': 'False'}]}}",
		false, false, false},
};

static void marks_of_a_node_are_read(void **)
{
	for (size_t i = 0; i < sizeof(mark_cases) / sizeof(mark_cases[0]); i++) {
		struct node_object node = n1_with(mark_cases[i].change);

		if (node.is_excluded != mark_cases[i].is_excluded ||
			node.is_leaving != mark_cases[i].is_leaving ||
			node.is_out != mark_cases[i].is_out)
			fail_msg("%s: excluded %d, leaving %d, out %d", mark_cases[i].name,
				node.is_excluded, node.is_leaving, node.is_out);
	}
}

static void a_node_is_written_as_it_was_read(void **)
{
	struct node_object node = n1_with("{}"), again;

	node.is_out = true;
	json_t *json = node_object_write(&node);

	assert_int_equal(node_object_parse(json, &again), 0);
	assert_memory_equal(&again, &node, sizeof(node));
	json_decref(json);
}

static void a_node_without_a_name_is_refused(void **)
{
	json_t *json = changed(N1, "{'metadata': {'name': ''}}");
	struct node_object node;

	assert_int_equal(node_object_parse(json, &node), -EINVAL);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_is_read),
		cmocka_unit_test(what_a_service_asks_is_read),
		cmocka_unit_test(affinity_without_a_time_lasts_three_hours),
		cmocka_unit_test(what_its_status_says_is_read),
		cmocka_unit_test(source_ranges_are_read),
		cmocka_unit_test(what_is_no_service_is_refused),
		cmocka_unit_test(types_that_are_wrong_are_as_if_nothing_were_there),
		cmocka_unit_test(a_node_has_its_first_internal_address_of_each_family),
		cmocka_unit_test(an_annotation_names_other_addresses),
		cmocka_unit_test(what_is_no_good_in_the_annotation_is_kept_for_people),
		cmocka_unit_test(marks_of_a_node_are_read),
		cmocka_unit_test(a_service_is_written_as_it_was_read),
		cmocka_unit_test(a_node_is_written_as_it_was_read),
		cmocka_unit_test(a_node_without_a_name_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
