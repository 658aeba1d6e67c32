#include "documents.h"

#include <netinet/in.h>
#include <string.h>

#include "address_text.h"
#include "kubernetes/admission.h"
#include "kubernetes/service_status.h"

#define WEB                                                                         \
	"{'metadata': {'namespace': 'default', 'name': 'web', 'uid': 'u-1',"        \
	" 'finalizers': ['guideway.dev/lb-cleanup']},"                              \
	" 'spec': {'type': 'LoadBalancer', 'loadBalancerClass': 'guideway.dev/lb'," \
	" 'ipFamilies': ['IPv4', 'IPv6'], 'ports': ["                               \
	" {'protocol': 'TCP', 'port': 80, 'nodePort': 30080}]}}"

enum { NOW_S = 1767225600 }; // 2026-01-01T00:00:00Z

// A Service, the file that it is judged by, and what it should say.
struct place {
	struct config file;
	struct service_object *service;
	struct admission admission;
	struct wanted_status wanted;
};

static struct address address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static void set(struct place *p, const char *change)
{
	json_t *json = changed(WEB, change);

	service_object_free(p->service);
	assert_int_equal(service_object_parse(json, &p->service), 0);
	json_decref(json);
	admission_judge(&p->file, p->service, &p->admission);
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	p->file.n_snat[IPV4] = p->file.n_snat[IPV6] = 1;
	p->wanted.has_our_finalizer = true;
	p->wanted.admission = &p->admission;
	set(p, "{}");
	return 0;
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	service_object_free(p->service);
	free(p);
	return 0;
}

static void assert_patch(const struct place *p, const char *text)
{
	json_t *patch = service_status_patch(p->service, &p->wanted, NOW_S);
	json_t *wanted = text == NULL ? NULL : document(text);

	if (patch != wanted && !json_equal(patch, wanted)) {
		char *dump = json_dumps(patch, JSON_ENCODE_ANY);

		fail_msg("the patch is %s", dump == NULL ? "nothing" : dump);
	}
	json_decref(patch);
	json_decref(wanted);
}

static void want_condition(
	struct place *p, enum condition_kind kind, bool is_true, const char *reason)
{
	struct condition *condition = &p->wanted.conditions[kind];

	p->wanted.says_conditions = true;
	condition->is_true = is_true;
	strcpy(condition->reason, reason);
	strcpy(condition->message, "so it is");
}

static void want_addresses(struct place *p)
{
	p->wanted.says_ingress = true;
	p->wanted.address[IPV4] = address_of("203.0.113.5");
	p->wanted.address[IPV6] = address_of("2001:db8::5");
	p->wanted.ip_mode = IP_MODE_PROXY;
}

static void what_is_said_already_is_not_written(void **state)
{
	struct place *p = *state;

	assert_patch(p, NULL);
}

static void finalizers_come_first(void **state)
{
	struct place *p = *state;

	p->wanted.has_standard_finalizer = true;
	set(p, "{'metadata': {'finalizers': ['another']}}");

	assert_patch(p,
		"{'metadata': {'uid': 'u-1', 'finalizers': ['guideway.dev/lb-cleanup',"
		" 'service.kubernetes.io/load-balancer-cleanup']}}");
}

static void finalizers_are_taken_away_without_those_of_others(void **state)
{
	struct place *p = *state;

	p->wanted.has_our_finalizer = false;
	set(p, "{'metadata': {'finalizers': ['another', 'guideway.dev/lb-cleanup']}}");

	assert_patch(p,
		"{'metadata': {'uid': 'u-1', '$deleteFromPrimitiveList/finalizers':"
		" ['guideway.dev/lb-cleanup']}}");
}

static void addresses_are_written_in_the_order_of_the_families(void **state)
{
	struct place *p = *state;

	want_addresses(p);
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'loadBalancer': {'ingress': ["
		"{'ip': '203.0.113.5', 'ipMode': 'Proxy'},"
		" {'ip': '2001:db8::5', 'ipMode': 'Proxy'}]}}}");

	set(p, "{'spec': {'ipFamilies': ['IPv6', 'IPv4']}}");
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'loadBalancer': {'ingress': ["
		"{'ip': '2001:db8::5', 'ipMode': 'Proxy'},"
		" {'ip': '203.0.113.5', 'ipMode': 'Proxy'}]}}}");
}

static void no_mode_and_vip_are_the_same(void **state)
{
	struct place *p = *state;

	want_addresses(p);
	p->wanted.ip_mode = IP_MODE_VIP;
	set(p,
		"{'status': {'loadBalancer': {'ingress': [{'ip': '203.0.113.5'},"
		" {'ip': '2001:db8::5', 'ipMode': 'VIP'}]}}}");
	assert_patch(p, NULL);

	p->wanted.ip_mode = IP_MODE_PROXY;
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'loadBalancer': {'ingress': ["
		"{'ip': '203.0.113.5', 'ipMode': 'Proxy'},"
		" {'ip': '2001:db8::5', 'ipMode': 'Proxy'}]}}}");
}

static void addresses_that_are_no_more_are_taken_away(void **state)
{
	struct place *p = *state;

	p->wanted.says_ingress = true;
	set(p, "{'status': {'loadBalancer': {'ingress': [{'ip': '203.0.113.5'}]}}}");
	assert_patch(
		p, "{'metadata': {'uid': 'u-1'}, 'status': {'loadBalancer': {'ingress': null}}}");

	set(p, "{'status': {'loadBalancer': {}}}");
	assert_patch(p, NULL);
}

static void where_a_port_cannot_be_served_all_ports_are_listed(void **state)
{
	struct place *p = *state;

	want_addresses(p);
	set(p,
		"{'spec': {'ipFamilies': ['IPv4'], 'ports': ["
		"{'protocol': 'TCP', 'port': 80, 'nodePort': 30080},"
		"{'protocol': 'UDP', 'port': 53}, {'protocol': 'SCTP', 'port': 5, 'nodePort': "
		"30005}"
		"]}}");
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'loadBalancer': {'ingress': ["
		"{'ip': '203.0.113.5', 'ipMode': 'Proxy', 'ports': ["
		"{'port': 80, 'protocol': 'TCP'},"
		"{'port': 53, 'protocol': 'UDP', 'error': 'guideway.dev/NoNodePort'},"
		"{'port': 5, 'protocol': 'SCTP', 'error': "
		"'guideway.dev/ProtocolNotSupported'}]}]}}}");
}

static void a_condition_says_since_when_it_is_so(void **state)
{
	struct place *p = *state;

	want_condition(p, CONDITION_ACCEPTED, true, "Fine");
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'conditions': ["
		"{'type': 'guideway.dev/Accepted', 'status': 'True', 'reason': 'Fine', 'message':"
		" 'so it is', 'lastTransitionTime': '2026-01-01T00:00:00Z'}]}}");
}

#define ACCEPTED_BEFORE                                                                       \
	"{'status': {'conditions': [{'type': 'theirs', 'status': 'True'},"                    \
	" {'type': 'guideway.dev/Accepted', 'status': 'True', 'reason': 'Before', 'message':" \
	" 'so it is', 'lastTransitionTime': '2025-01-01T00:00:00Z'}]}}"

static void a_condition_that_stays_true_keeps_its_time(void **state)
{
	struct place *p = *state;

	want_condition(p, CONDITION_ACCEPTED, true, "Before");
	set(p, ACCEPTED_BEFORE);
	assert_patch(p, NULL);

	want_condition(p, CONDITION_ACCEPTED, true, "Now");
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'conditions': ["
		"{'type': 'guideway.dev/Accepted', 'status': 'True', 'reason': 'Now', 'message':"
		" 'so it is', 'lastTransitionTime': '2025-01-01T00:00:00Z'}]}}");
}

static void a_condition_that_turns_false_has_a_new_time(void **state)
{
	struct place *p = *state;

	want_condition(p, CONDITION_ACCEPTED, false, "Before");
	set(p, ACCEPTED_BEFORE);
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'conditions': ["
		"{'type': 'guideway.dev/Accepted', 'status': 'False', 'reason': 'Before',"
		" 'message': 'so it is', 'lastTransitionTime': '2026-01-01T00:00:00Z'}]}}");
}

static void our_conditions_are_deleted_and_those_of_others_stay(void **state)
{
	struct place *p = *state;

	p->wanted.says_conditions = true;
	set(p, ACCEPTED_BEFORE);
	assert_patch(p,
		"{'metadata': {'uid': 'u-1'}, 'status': {'conditions': ["
		"{'$patch': 'delete', 'type': 'guideway.dev/Accepted'}]}}");
}

// Admission

static const struct admission_case {
	const char *name;
	const char *change;
	bool is_admitted;
	const char *reason; // Or NULL.
} admission_cases[] = {
	{"a plain one", "{}", true, NULL},
	{"headless", "{'spec': {'clusterIP': 'None'}}", false, "Headless"},
	{"without ports", "{'spec': {'ports': []}}", false, "NoPorts"},
	{"without a NodePort", "{'spec': {'ports': [{'port': 80}]}}", false, "NoUsablePort"},
	{"without a NodePort, in dsr",
		"{'metadata': {'annotations': {'guideway.dev/forwarding': 'dsr'}},"
		" 'spec': {'ports': [{'port': 80}]}}",
		true, NULL},
	{"one port of two without a NodePort",
		"{'spec': {'ports': [{'port': 80}, {'port': 81, 'nodePort': 30081}]}}", true,
		"NoNodePort"},
	{"one port of two for SCTP",
		"{'spec': {'ports': [{'port': 80, 'protocol': 'SCTP', 'nodePort': 30080},"
		" {'port': 81, 'nodePort': 30081}]}}",
		true, "ProtocolNotSupported"},
	{"SCTP alone", "{'spec': {'ports': [{'port': 80, 'protocol': 'SCTP', 'nodePort': 30080}]}}",
		false, "NoUsablePort"},
	{"a mode that there is none of",
		"{'metadata': {'annotations': {'guideway.dev/forwarding': 'magic'}}}", true,
		"BadAnnotation"},
	{"an annotation that there is none of",
		"{'metadata': {'annotations': {'guideway.dev/forwardnig': 'dsr'}}}", true,
		"UnknownAnnotation"},
	{"an annotation of another's",
		"{'metadata': {'annotations': {'example.com/forwarding': 'magic',"
		" 'guideway.dev/addresses': '203.0.113.1'}}}",
		true, NULL},
	{"fail-open with Local, in dsr",
		"{'metadata': {'annotations': {'guideway.dev/on-all-down': 'fail-open',"
		" 'guideway.dev/forwarding': 'dsr'}}, 'spec': {'externalTrafficPolicy': 'Local'}}",
		true, "BadAnnotation"},
	{"a tunnel without a source",
		"{'metadata': {'annotations': {'guideway.dev/forwarding': 'tunnel'}}}", false,
		"NoTunnelSource"},
	{"a bad source range alone", "{'spec': {'loadBalancerSourceRanges': ['x']}}", false,
		"BadSourceRange"},
	{"a bad source range beside a good one",
		"{'spec': {'loadBalancerSourceRanges': ['x', '10.0.0.0/8']}}", true,
		"BadSourceRange"},
	{"Local in snat", "{'spec': {'externalTrafficPolicy': 'Local'}}", true,
		"ClientAddressLost"},
	{"Local in dsr",
		"{'metadata': {'annotations': {'guideway.dev/forwarding': 'dsr'}},"
		" 'spec': {'externalTrafficPolicy': 'Local'}}",
		true, NULL},
	{"affinity in snat", "{'spec': {'sessionAffinity': 'ClientIP'}}", true,
		"AffinityBySNATAddress"},
};

static void a_service_is_admitted_or_told_why_not(void **state)
{
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(admission_cases) / sizeof(admission_cases[0]); i++) {
		const struct admission_case *c = &admission_cases[i];

		set(p, c->change);
		const char *reason = p->admission.reason == NULL ? "" : p->admission.reason;
		if (p->admission.is_admitted != c->is_admitted ||
			strcmp(reason, c->reason == NULL ? "" : c->reason) != 0)
			fail_msg("%s: admitted %d, reason \"%s\"", c->name,
				p->admission.is_admitted, reason);
		assert_int_equal(*reason != '\0', p->admission.message[0] != '\0');
	}
}

static void all_that_is_not_as_asked_is_said(void **state)
{
	struct place *p = *state;

	set(p,
		"{'metadata': {'annotations': {'guideway.dev/idle-timeout': 'long',"
		" 'guideway.dev/nothing': ''}}, 'spec': {'externalTrafficPolicy': 'Local',"
		" 'sessionAffinity': 'ClientIP'}}");
	assert_true(p->admission.is_admitted);
	assert_string_equal(p->admission.reason, "BadAnnotation");
	assert_non_null(strstr(p->admission.message,
		"the annotation guideway.dev/idle-timeout is \"long\", and is not looked at; it "
		"must be from 1 to 604800 seconds"));
	assert_non_null(
		strstr(p->admission.message, "there is no annotation guideway.dev/nothing"));
	assert_non_null(strstr(p->admission.message, "externalTrafficPolicy Local is served, but"));
	assert_non_null(strstr(p->admission.message, "; sessionAffinity ClientIP is served, but"));
}

// Whether some are served or none.
static void ports_that_are_not_served_are_named(void **state)
{
	struct place *p = *state;

	set(p,
		"{'spec': {'ports': [{'port': 80}, {'port': 81, 'nodePort': 30081},"
		" {'port': 82, 'protocol': 'UDP'}, {'port': 83}, {'port': 84}, {'port': 85},"
		" {'port': 86, 'protocol': 'SCTP', 'nodePort': 30086}]}}");
	assert_string_equal(p->admission.message,
		"not served are the ports 80/TCP, 82/UDP, 83/TCP, 84/TCP and 1 more "
		"(guideway.dev/NoNodePort), 86/SCTP (guideway.dev/ProtocolNotSupported); snat "
		"needs TCP or UDP ports with a NodePort; allocate them, or annotate "
		"guideway.dev/forwarding: dsr or tunnel");
	set(p, "{'spec': {'ports': [{'port': 80}]}}");
	assert_string_equal(p->admission.message,
		"no port can be served: 80/TCP (guideway.dev/NoNodePort); snat needs TCP or UDP "
		"ports with a NodePort; allocate them, or annotate guideway.dev/forwarding: dsr "
		"or tunnel");
}

static void a_second_family_that_cannot_be_served_is_left_out_unless_required(void **state)
{
	struct place *p = *state;

	p->file.n_snat[IPV6] = 0;
	set(p, "{}");
	assert_true(p->admission.is_admitted);
	assert_int_equal(p->admission.n_families, 1);
	assert_int_equal(p->admission.families[0], IPV4);

	set(p, "{'spec': {'ipFamilyPolicy': 'RequireDualStack'}}");
	assert_false(p->admission.is_admitted);
	set(p, "{'spec': {'ipFamilies': ['IPv6', 'IPv4']}}");
	assert_false(p->admission.is_admitted);
	assert_string_equal(p->admission.reason, "NoSNATAddress");
}

static void the_annotation_chooses_the_mode(void **state)
{
	struct place *p = *state;

	p->file.settings.tunnel_source[IPV4] = address_of("192.0.2.1");
	p->file.mode = MODE_DSR;
	set(p, "{}");
	assert_int_equal(p->admission.mode, MODE_DSR);
	set(p, "{'metadata': {'annotations': {'guideway.dev/forwarding': 'snat'}}}");
	assert_int_equal(p->admission.mode, MODE_SNAT);
	set(p, "{'metadata': {'annotations': {'guideway.dev/forwarding': 'tunnel-gue'}}}");
	assert_int_equal(p->admission.mode, MODE_TUNNEL);
	assert_int_equal(p->admission.tunnel_kind, TUNNEL_GUE);
}

#define AT_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_PLACE(what_is_said_already_is_not_written),
		AT_PLACE(finalizers_come_first),
		AT_PLACE(finalizers_are_taken_away_without_those_of_others),
		AT_PLACE(addresses_are_written_in_the_order_of_the_families),
		AT_PLACE(no_mode_and_vip_are_the_same),
		AT_PLACE(addresses_that_are_no_more_are_taken_away),
		AT_PLACE(where_a_port_cannot_be_served_all_ports_are_listed),
		AT_PLACE(a_condition_says_since_when_it_is_so),
		AT_PLACE(a_condition_that_stays_true_keeps_its_time),
		AT_PLACE(a_condition_that_turns_false_has_a_new_time),
		AT_PLACE(our_conditions_are_deleted_and_those_of_others_stay),
		AT_PLACE(a_service_is_admitted_or_told_why_not),
		AT_PLACE(all_that_is_not_as_asked_is_said),
		AT_PLACE(ports_that_are_not_served_are_named),
		AT_PLACE(a_second_family_that_cannot_be_served_is_left_out_unless_required),
		AT_PLACE(the_annotation_chooses_the_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
