#include "documents.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "address_text.h"
#include "clock.h"
#include "kubernetes/address_pool.h"
#include "kubernetes/cluster.h"
#include "kubernetes/lease.h"

// A cluster that is told of Services and Nodes, and whose writes are taken as an API server takes
// them: so a test says what people and servers do, and sees what is served and written.

#define SECONDS NSEC_PER_SEC

enum { NOW_S = 1767225600 }; // 2026-01-01T00:00:00Z

struct place {
	struct config file;
	struct cluster *cluster;
	struct cluster_config *joined;
	struct text_lines left_out;
	uint64_t now_ns;
	struct cluster_write writes[8]; // [n_writes], the last of each Service.
	size_t n_writes;
};

static struct address address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static void configure(struct config *file)
{
	static struct address_range ranges[2];
	static struct address_pool pool;

	assert_int_equal(address_range_parse("203.0.113.1-203.0.113.2", &ranges[0]), 0);
	assert_int_equal(address_range_parse("2001:db8:113::1-2001:db8:113::2", &ranges[1]), 0);
	pool = (struct address_pool){
		.name = "edge", .ranges = ranges, .n_ranges = 2, .automatic = true};
	file->kubernetes.pools = &pool;
	file->kubernetes.n_pools = 1;
	strcpy(file->kubernetes.class, "guideway.dev/lb");
	file->nodes_max = 8;
	file->services_max = 8;
	file->snat[IPV4][0] = address_of("192.0.2.10");
	file->snat[IPV6][0] = address_of("2001:db8::10");
	file->n_snat[IPV4] = file->n_snat[IPV6] = 1;
	file->tcp_idle_s = 3600;
	file->udp_idle_s = 120;
	file->check.interval_ms = 2000;
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	p->now_ns = 1000 * SECONDS;
	configure(&p->file);
	int r = cluster_create(&p->file, &p->cluster);
	return r < 0 ? r : cluster_set_lead(p->cluster, true, p->now_ns);
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	cluster_config_free(p->joined);
	cluster_destroy(p->cluster);
	text_lines_clear(&p->left_out);
	free(p);
	return 0;
}

// What is told

static void tell(struct place *p, enum cluster_resource resource, bool is_gone, const char *text)
{
	json_t *json = document(text);

	assert_int_equal(cluster_tell(p->cluster, resource, is_gone, json, p->now_ns), 0);
	json_decref(json);
}

static void tell_node(struct place *p, const char *name, const char *address, const char *spec)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{'metadata': {'name': '%s'}, 'spec': %s, 'status': {'addresses': ["
		"{'type': 'InternalIP', 'address': '%s'}]}}",
		name, spec, address);
	tell(p, CLUSTER_NODES, false, text);
}

#define CLAIMED "'finalizers': ['guideway.dev/lb-cleanup'],"
#define RECORD "'guideway.dev/addresses': '203.0.113.1'"
#define RECORDED CLAIMED "'annotations': {" RECORD "},"
#define LB "'type': 'LoadBalancer', 'loadBalancerClass': 'guideway.dev/lb',"

#define PORT_80 "{'port': 80, 'nodePort': 30080}"

// 'metadata' and 'spec' are members with a comma after each.
static const char *service_of(const char *name, const char *metadata, const char *spec,
	const char *ports, const char *status)
{
	static char text[4096];

	snprintf(text, sizeof(text),
		"{'metadata': {%s 'namespace': 'default', 'name': '%s', 'uid': 'u-%s'},"
		" 'spec': {%s 'ports': [%s]}, 'status': %s}",
		metadata, name, name, spec, ports, status);
	return text;
}

static const char *service(
	const char *name, const char *metadata, const char *spec, const char *status)
{
	return service_of(name, metadata, spec, PORT_80, status);
}

static void tell_service(struct place *p, const char *name, const char *metadata, const char *spec)
{
	tell(p, CLUSTER_SERVICES, false, service(name, metadata, spec, "{}"));
}

static void sync(struct place *p)
{
	for (int i = 0; i < N_CLUSTER_RESOURCES; i++)
		cluster_end(p->cluster, (enum cluster_resource)i, p->now_ns);
}

static void begin(struct place *p)
{
	for (int i = 0; i < N_CLUSTER_RESOURCES; i++)
		cluster_begin(p->cluster, (enum cluster_resource)i);
}

// A cluster of two nodes, which is synced.
static void two_nodes(struct place *p)
{
	tell_node(p, "n1", "10.0.0.1", "{}");
	tell_node(p, "n2", "10.0.0.2", "{}");
	sync(p);
}

static void tell_what_is_none(struct place *p, enum cluster_resource resource, const char *text)
{
	json_t *json = document(text);

	assert_int_equal(cluster_tell(p->cluster, resource, false, json, p->now_ns), -EINVAL);
	json_decref(json);
}

// Who leads: at first, this one.

static void follow(struct place *p)
{
	assert_int_equal(cluster_set_lead(p->cluster, false, p->now_ns), 0);
}

static void lead(struct place *p)
{
	assert_int_equal(cluster_set_lead(p->cluster, true, p->now_ns), 0);
}

// What is served

static const struct config *join(struct place *p)
{
	struct cluster_config *joined;

	int r = cluster_join(p->cluster, p->joined, &joined, &p->left_out);
	assert_true(r == 0 || r == 1);
	if (r == 0) {
		cluster_config_free(p->joined);
		p->joined = joined;
	}
	return cluster_config_of(p->joined);
}

static void join_in_force(struct place *p)
{
	join(p);
	cluster_is_in_force(p->cluster, p->now_ns);
}

// "default/web:80/tcp 203.0.113.1 n1 n2; ..." of the services, in their order.
static const char *served(struct place *p)
{
	static char text[2048];
	const struct config *config = join(p);
	char address[ADDRESS_TEXT_MAX];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *s = config->services[i];
		struct node_indexes nodes = config_nodes_of(config, s);

		len += (size_t)sprintf(text + len, "%s%s %s", i == 0 ? "" : "; ", s->name,
			address_format(&s->vip, address));
		for (size_t j = 0; j < nodes.n; j++)
			len += (size_t)sprintf(text + len, " %s%s", config->nodes[nodes.at[j]].name,
				config->nodes[nodes.at[j]].is_out ? " (out)" : "");
	}
	return text;
}

// What is written

// The last of a Service, or a place for its first.
static struct cluster_write *write_of(struct place *p, const char *key)
{
	size_t i = 0;

	while (i < p->n_writes && strcmp(p->writes[i].key, key) != 0)
		i++;
	assert_true(i < sizeof(p->writes) / sizeof(p->writes[0]));
	p->n_writes += i == p->n_writes;
	return &p->writes[i];
}

// The next patch as text, or "" if there is none; it stays under way.
static const char *next_write(struct place *p)
{
	static char text[4096];
	struct cluster_write write;

	text[0] = '\0';
	if (!cluster_next_write(p->cluster, p->now_ns, NOW_S, &write))
		return text;
	char *dump = json_dumps(write.patch, JSON_SORT_KEYS);
	snprintf(text, sizeof(text), "%s %s", write.key, dump);
	free(dump);
	json_decref(write.patch);
	*write_of(p, write.key) = write;
	return text;
}

static void assert_write_has(struct place *p, const char *part)
{
	const char *text = next_write(p);

	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in the write '%s'", part, text);
}

static void answer(struct place *p, const char *name, const char *document_text)
{
	json_t *json = document_text == NULL ? NULL : document(document_text);
	char key[SERVICE_KEY_MAX];

	snprintf(key, sizeof(key), "default/%s", name);
	if (json == NULL)
		cluster_write_failed(p->cluster, write_of(p, key), "no answer");
	else
		cluster_wrote(p->cluster, write_of(p, key), json, p->now_ns);
	json_decref(json);
}

#define IS_RIGHT(address, mode)                                                            \
	"{'loadBalancer': {'ingress': [{'ip': '" address "', 'ipMode': '" mode             \
	"'}]}, 'conditions': ["                                                            \
	"{'type': 'guideway.dev/Accepted', 'status': 'True', 'reason': 'AddressAssigned'," \
	" 'message': 'an address is assigned to the Service'},"                            \
	"{'type': 'guideway.dev/Programmed', 'status': 'True', 'reason': 'Forwarding',"    \
	" 'message': 'every worker forwards what is sent to it'}]}"

static const char web_is_right[] = IS_RIGHT("203.0.113.1", "Proxy");

// Serves a Service, whose status then says so.
static void serve_web(struct place *p)
{
	tell_service(p, "web", RECORDED, LB);
	join_in_force(p);
	assert_write_has(p, "203.0.113.1");
	answer(p, "web", service("web", RECORDED, LB, web_is_right));
	assert_string_equal(next_write(p), "");
}

// The life of a Service

static void a_service_gets_our_finalizer_before_an_address(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", "", LB);
	assert_string_equal(served(p), "");
	assert_string_equal(next_write(p),
		"default/web {\"metadata\": {\"annotations\": {\"guideway.dev/addresses\": "
		"\"203.0.113.1\"}, \"finalizers\": [\"guideway.dev/lb-cleanup\"], "
		"\"uid\": \"u-web\"}}");

	answer(p, "web", service("web", CLAIMED, LB, "{}"));
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

static void its_status_is_written_once_every_worker_forwards_by_it(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", RECORDED, LB);
	assert_string_equal(next_write(p), "");
	join(p);
	assert_string_equal(next_write(p), "");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(p, "\"ingress\": [{\"ip\": \"203.0.113.1\", \"ipMode\": \"Proxy\"}]");
}

static void a_status_that_is_right_is_not_written_again(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	join_in_force(p);
	assert_string_equal(next_write(p), "");
}

static void a_deleted_service_is_released_once_no_worker_forwards_by_it(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell_service(p, "web", CLAIMED "'deletionTimestamp': '2026-01-01T00:00:00Z',", LB);
	assert_string_equal(next_write(p), "");
	assert_string_equal(served(p), "");
	assert_string_equal(next_write(p), "");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(
		p, "\"$deleteFromPrimitiveList/finalizers\": [\"guideway.dev/lb-cleanup\"]");
}

static void a_service_of_another_type_is_released(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell_service(p, "web", CLAIMED, "'type': 'ClusterIP',");
	join_in_force(p);
	assert_write_has(p, "\"$deleteFromPrimitiveList/finalizers\"");
	answer(p, "web", service("web", "", "'type': 'ClusterIP',", "{}"));
	assert_string_equal(next_write(p), "");
}

static void only_services_that_bear_our_finalizer_are_released(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", "'finalizers': ['service.kubernetes.io/load-balancer-cleanup'],",
		"'type': 'ClusterIP',");
	join_in_force(p);
	assert_string_equal(next_write(p), "");
}

static void services_of_other_classes_are_nothing_to_us(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "theirs", "", "'type': 'LoadBalancer', 'loadBalancerClass': 'a/b',");
	tell_service(p, "classless", "", "'type': 'LoadBalancer',");
	tell_service(p, "inner", "", "'type': 'ClusterIP',");
	assert_string_equal(served(p), "");
	assert_string_equal(next_write(p), "");
}

static void a_service_without_a_class_gets_the_standard_finalizer_too(void **state)
{
	struct place *p = *state;

	p->file.kubernetes.classless = true;
	two_nodes(p);
	tell_service(p, "web", "", "'type': 'LoadBalancer',");
	assert_write_has(p,
		"\"finalizers\": [\"guideway.dev/lb-cleanup\", "
		"\"service.kubernetes.io/load-balancer-cleanup\"]");
}

static void a_service_made_anew_under_its_name_is_another(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell(p, CLUSTER_SERVICES, false,
		"{'metadata': {'namespace': 'default', 'name': 'web', 'uid': 'u-2'},"
		" 'spec': {" LB " 'ports': [{'port': 80, 'nodePort': 30080}]}}");
	assert_string_equal(served(p), "");
	assert_write_has(p, "u-2");
}

static void a_service_that_is_gone_frees_its_address(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell(p, CLUSTER_SERVICES, true, service("web", CLAIMED, LB, "{}"));
	assert_string_equal(served(p), "");
	p->now_ns += 61 * SECONDS;
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	assert_string_equal(served(p),
		"default/a:80/tcp 203.0.113.2 n1 n2; default/b:80/tcp 203.0.113.1 n1 n2");
}

// What an answer of the API server said is newer than what the watch tells late.
static void late_news_do_not_undo_an_answer(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", "'resourceVersion': '7',", LB);
	next_write(p);
	answer(p, "web", service("web", "'resourceVersion': '9'," CLAIMED, LB, "{}"));
	tell_service(p, "web", "'resourceVersion': '8',", LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

// As after etcd was restored from a backup.
static void a_list_counts_whatever_its_versions_are(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", "'resourceVersion': '1000'," RECORDED, LB);
	tell_service(p, "old", "'resourceVersion': '990',", "'type': 'ClusterIP',");
	join_in_force(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 1000);

	begin(p);
	tell_node(p, "n1", "10.0.0.1", "{}");
	tell_service(p, "web", "'resourceVersion': '500'," RECORDED, "'type': 'ClusterIP',");
	sync(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 0);
	assert_string_equal(served(p), "");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_int_equal(cluster_in_force_version(p->cluster), 500);

	// Answers count, too.
	cluster_set_others(p->cluster, 500);
	assert_write_has(p, "$deleteFromPrimitiveList/finalizers");
	answer(p, "web", service("web", "'resourceVersion': '501',", "'type': 'ClusterIP',", "{}"));
	assert_string_equal(next_write(p), "");
	assert_int_equal(cluster_in_force_version(p->cluster), 501);
}

// Events

// "EnsuringLoadBalancer Ensured..." of all that people are to be told now.
static const char *events(struct place *p)
{
	static char text[1024];
	struct service_event event;
	size_t len = 0;

	text[0] = '\0';
	while (cluster_next_event(p->cluster, &event))
		len += (size_t)sprintf(text + len, "%s%s", len == 0 ? "" : " ", event.reason);
	return text;
}

static void the_life_of_a_service_is_told_by_events(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", "", LB);
	assert_string_equal(events(p), "EnsuringLoadBalancer");
	next_write(p);
	answer(p, "web", service("web", RECORDED, LB, "{}"));
	join_in_force(p);
	next_write(p);
	// The watch may be faster than the answer.
	tell(p, CLUSTER_SERVICES, false,
		service("web", RECORDED, LB,
			"{'loadBalancer': {'ingress': [{'ip': '203.0.113.1'}]}}"));
	answer(p, "web",
		service("web", RECORDED, LB,
			"{'loadBalancer': {'ingress': [{'ip': '203.0.113.1'}]}}"));
	assert_string_equal(events(p), "EnsuredLoadBalancer");
	tell_service(p, "web", CLAIMED, "'type': 'ClusterIP',");
	assert_string_equal(events(p), "DeletingLoadBalancer");
	join_in_force(p);
	p->now_ns += 600 * SECONDS;
	next_write(p);
	answer(p, "web", service("web", "", "'type': 'ClusterIP',", "{}"));
	assert_string_equal(events(p), "DeletedLoadBalancer");
}

// The write that ends it is under way.
static void release_web(struct place *p)
{
	serve_web(p);
	tell_service(p, "web", CLAIMED "'deletionTimestamp': '2026-01-01T00:00:00Z',", LB);
	join_in_force(p);
	assert_write_has(p, "\"$deleteFromPrimitiveList/finalizers\"");
	events(p);
}

static void a_service_may_be_gone_before_its_release_is_answered(void **state)
{
	struct place *p = *state;
	struct cluster_service service_there;

	two_nodes(p);
	release_web(p);
	tell(p, CLUSTER_SERVICES, true, service("web", "", LB, "{}"));
	answer(p, "web", service("web", "", LB, "{}"));
	assert_string_equal(events(p), "DeletedLoadBalancer");
	assert_false(cluster_read_service(p->cluster, 0, &service_there));
}

static void an_answer_about_one_that_is_gone_is_none_about_the_next_of_its_name(void **state)
{
	struct place *p = *state;
	struct cluster_service service_there;

	two_nodes(p);
	release_web(p);
	struct cluster_write released = *write_of(p, "default/web");
	tell(p, CLUSTER_SERVICES, true, service("web", "", LB, "{}"));
	tell(p, CLUSTER_SERVICES, false,
		"{'metadata': {'namespace': 'default', 'name': 'web', 'uid': 'u-2'},"
		" 'spec': {" LB " 'ports': [{'port': 80, 'nodePort': 30080}]}}");
	assert_write_has(p, "u-2");
	events(p);

	json_t *json = document(service("web", "", LB, "{}"));
	cluster_wrote(p->cluster, &released, json, p->now_ns);
	json_decref(json);
	assert_string_equal(events(p), "DeletedLoadBalancer");
	assert_true(cluster_read_service(p->cluster, 0, &service_there));
	assert_string_equal(service_there.object->uid, "u-2");
	cluster_write_failed(p->cluster, &released, "no answer");
	p->now_ns += 3600 * SECONDS;
	assert_string_equal(next_write(p), ""); // Its own is under way.
}

static void what_is_served_but_not_as_asked_is_told_by_that_reason(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", "", LB "'externalTrafficPolicy': 'Local',");
	assert_string_equal(events(p), "EnsuringLoadBalancer");
	tell_service(p, "web", CLAIMED, LB "'externalTrafficPolicy': 'Local',");
	assert_string_equal(events(p), "ClientAddressLost");
	tell_service(p, "web", CLAIMED, LB "'externalTrafficPolicy': 'Local',");
	assert_string_equal(events(p), "");
}

#define TWO_PORTS(node_port) PORT_80 ", {'port': 81, 'nodePort': " node_port "}"

static const char web_lacks_81[] =
	"{'loadBalancer': {'ingress': [{'ip': '203.0.113.1', 'ipMode': 'Proxy', 'ports': ["
	"{'port': 80, 'protocol': 'TCP'},"
	"{'port': 81, 'protocol': 'TCP', 'error': 'guideway.dev/NoNodePort'}]}]},"
	" 'conditions': [{'type': 'guideway.dev/Degraded', 'status': 'True'}]}";

// Of the Service "web".
static void tell_ports(struct place *p, const char *metadata, const char *ports, const char *status)
{
	tell(p, CLUSTER_SERVICES, false, service_of("web", metadata, LB, ports, status));
}

static void a_port_without_a_node_port_is_told_of_and_joins_when_it_has_one(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_ports(p, RECORDED, TWO_PORTS("0"), "{}");
	assert_string_equal(events(p), "NoNodePort");
	join_in_force(p);
	const char *text = next_write(p);
	assert_non_null(strstr(text, "\"error\": \"guideway.dev/NoNodePort\""));
	assert_non_null(strstr(text, "\"guideway.dev/Degraded\""));
	answer(p, "web", service_of("web", RECORDED, LB, TWO_PORTS("0"), web_lacks_81));
	events(p);

	tell_ports(p, RECORDED, TWO_PORTS("30081"), web_lacks_81);
	assert_string_equal(next_write(p), "");
	assert_string_equal(served(p),
		"default/web:80/tcp 203.0.113.1 n1 n2; default/web:81/tcp 203.0.113.1 n1 n2");
	assert_string_equal(next_write(p), ""); // Not every worker forwards by it yet.
	assert_string_equal(events(p), "");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(p, "\"ingress\": [{\"ip\": \"203.0.113.1\", \"ipMode\": \"Proxy\"}]");
	answer(p, "web", service_of("web", RECORDED, LB, TWO_PORTS("30081"), web_is_right));
	assert_string_equal(events(p), "UpdatedLoadBalancer");
	assert_string_equal(next_write(p), "");
}

#define INGRESS(mode) "'loadBalancer': {'ingress': [{'ip': '203.0.113.1', 'ipMode': '" mode "'}]}"
#define DEGRADED "'conditions': [{'type': 'guideway.dev/Degraded', 'status': 'True'}]"

#define WITH(option, value) \
	CLAIMED "'annotations': {" RECORD ", 'guideway.dev/" option "': '" value "'},"

// Of Services in snat that are not served as they ask; and then they ask for less, or better.
static const struct mended_case {
	const char *name;
	const char *metadata;
	const char *spec;
	const char *then;
} mended_cases[] = {
	{"an annotation that was no good", WITH("mss", "big"), LB, WITH("mss", "1360")},
	{"a source range that was none", RECORDED,
		LB "'loadBalancerSourceRanges': ['192.0.2.0/24', 'nonsense'],", RECORDED},
	{"affinity", RECORDED, LB "'sessionAffinity': 'ClientIP',", RECORDED},
};

static void what_a_live_service_asks_otherwise_is_told_of_once_it_is_in_force(void **state)
{
	static const char degraded[] = "{" INGRESS("Proxy") ", " DEGRADED "}";

	for (size_t i = 0; i < sizeof(mended_cases) / sizeof(mended_cases[0]); i++) {
		const struct mended_case *c = &mended_cases[i];
		struct place *p = *state;

		two_nodes(p);
		tell(p, CLUSTER_SERVICES, false, service("web", c->metadata, c->spec, degraded));
		join_in_force(p);
		assert_write_has(p, "\"guideway.dev/Degraded\"");
		answer(p, "web", service("web", c->metadata, c->spec, degraded));
		tell(p, CLUSTER_SERVICES, false, service("web", c->then, LB, degraded));
		join(p);
		if (*next_write(p) != '\0')
			fail_msg("%s is told of too soon", c->name);
		cluster_is_in_force(p->cluster, p->now_ns);
		assert_write_has(
			p, "{\"$patch\": \"delete\", \"type\": \"guideway.dev/Degraded\"}");
		unmake_place(state);
		make_place(state);
	}
}

static void a_service_without_nodes_is_told_of_once(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	events(p);
	cluster_tell_availability(p->cluster, "default/web", false);
	cluster_tell_availability(p->cluster, "default/web", false);
	assert_string_equal(events(p), "UnAvailableLoadBalancer");
	cluster_tell_availability(p->cluster, "default/web", true);
	cluster_tell_availability(p->cluster, "default/other", false);
	assert_string_equal(events(p), "UpdatedLoadBalancer");
}

static void events_that_nobody_can_be_told_are_counted(void **state)
{
	struct place *p = *state;
	struct service_event event;
	unsigned n = 0;
	char name[16];

	two_nodes(p);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		tell_service(p, name, "", LB);
	}
	while (cluster_next_event(p->cluster, &event))
		n++;
	assert_int_equal(n + cluster_count_lost_events(p->cluster), 300);
	assert_true(cluster_count_lost_events(p->cluster) > 0);
}

static void what_cannot_be_served_is_told_once(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", CLAIMED, LB "'clusterIP': 'None',");
	assert_string_equal(events(p), "SyncLoadBalancerFailed");
	tell_service(p, "web", CLAIMED, LB "'clusterIP': 'None',");
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(events(p), "");
}

// Addresses

static void what_has_no_address_waits_and_says_why(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	join_in_force(p);
	next_write(p);
	next_write(p);
	tell_service(p, "c", CLAIMED, LB);
	assert_write_has(p, "\"reason\": \"Exhausted\"");
	cluster_tick(p->cluster, p->now_ns);
	assert_int_equal(cluster_count_refusals(p->cluster, BOOK_EXHAUSTED), 1);
}

// Each second it is asked for, while what rests comes and goes.
static void who_waits_is_told_once(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	tell(p, CLUSTER_SERVICES, true, service("a", CLAIMED, LB, "{}"));
	tell_service(p, "any", CLAIMED, LB);
	tell_service(p, "one",
		CLAIMED "'annotations': {'guideway.dev/load-balancer-ips': '203.0.113.1'},", LB);
	assert_string_equal(events(p), "SyncLoadBalancerFailed SyncLoadBalancerFailed");
	for (int i = 0; i < 30; i++) {
		p->now_ns += SECONDS;
		cluster_tick(p->cluster, p->now_ns);
	}
	assert_string_equal(events(p), "");
	assert_int_equal(cluster_count_refusals(p->cluster, BOOK_EXHAUSTED), 1);
	assert_int_equal(cluster_count_refusals(p->cluster, BOOK_RESTING), 1);
}

static void another_reason_for_the_same_answer_is_told_and_counts_as_one_refusal(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	tell_service(p, "one",
		CLAIMED "'annotations': {'guideway.dev/load-balancer-ips': '203.0.113.1'},", LB);
	tell_service(p, "one",
		CLAIMED "'annotations': {'guideway.dev/load-balancer-ips': '203.0.113.2'},", LB);
	assert_string_equal(events(p), "SyncLoadBalancerFailed SyncLoadBalancerFailed");
	assert_int_equal(cluster_count_refusals(p->cluster, BOOK_TAKEN), 1);
}

static void what_waits_is_served_when_there_is_room(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	tell_service(p, "c", CLAIMED, LB);
	tell(p, CLUSTER_SERVICES, true, service("a", CLAIMED, LB, "{}"));
	p->now_ns += 61 * SECONDS;
	cluster_tick(p->cluster, p->now_ns);
	assert_true(cluster_has_changed(p->cluster));
	assert_string_equal(served(p),
		"default/b:80/tcp 203.0.113.2 n1 n2; default/c:80/tcp 203.0.113.1 n1 n2");
}

#define ASKS_FOR_2(has)                                                             \
	CLAIMED "'annotations': {'guideway.dev/load-balancer-ips': '203.0.113.2', " \
		"'guideway.dev/addresses': '" has "'},"

static void the_second_family_comes_when_there_is_room(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB "'ipFamilies': ['IPv6'],");
	tell_service(p, "b", CLAIMED, LB "'ipFamilies': ['IPv6'],");
	tell_service(p, "web", CLAIMED, LB "'ipFamilies': ['IPv4', 'IPv6'],");
	tell(p, CLUSTER_SERVICES, true, service("a", CLAIMED, LB, "{}"));
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(served(p),
		"default/b:80/tcp6 2001:db8:113::2; default/web:80/tcp 203.0.113.1 n1 n2");
	assert_int_equal(cluster_count_refusals(p->cluster, BOOK_PARTLY), 1);
	p->now_ns += 61 * SECONDS;
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(served(p),
		"default/b:80/tcp6 2001:db8:113::2; default/web:80/tcp 203.0.113.1 n1 n2; "
		"default/web:80/tcp6 2001:db8:113::1");
	events(p);
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(events(p), "");
}

static void what_a_live_service_asks_for_comes_when_it_is_free(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell_service(p, "other", CLAIMED, LB);
	tell_service(p, "web", ASKS_FOR_2("203.0.113.1"), LB);
	assert_string_equal(served(p),
		"default/other:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2");
	tell(p, CLUSTER_SERVICES, true, service("other", CLAIMED, LB, "{}"));
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	p->now_ns += 61 * SECONDS;
	cluster_tick(p->cluster, p->now_ns);
	assert_non_null(strstr(served(p), "default/web:80/tcp@203.0.113.2 203.0.113.2"));
}

static void after_a_restart_each_keeps_what_its_status_says(void **state)
{
	struct place *p = *state;

	tell_service(p, "a", CLAIMED, LB);
	tell(p, CLUSTER_SERVICES, false,
		service("b", CLAIMED, LB,
			"{'loadBalancer': {'ingress': [{'ip': '203.0.113.1'}]}}"));
	two_nodes(p);
	assert_string_equal(served(p),
		"default/a:80/tcp 203.0.113.2 n1 n2; default/b:80/tcp 203.0.113.1 n1 n2");
}

static void both_families_are_served(void **state)
{
	struct place *p = *state;

	tell(p, CLUSTER_NODES, false,
		"{'metadata': {'name': 'n1'}, 'status': {'addresses': ["
		"{'type': 'InternalIP', 'address': '10.0.0.1'},"
		"{'type': 'InternalIP', 'address': 'fd00::1'}]}}");
	tell_node(p, "n2", "10.0.0.2", "{}");
	sync(p);
	tell_service(p, "web", CLAIMED, LB "'ipFamilies': ['IPv6', 'IPv4'],");
	assert_string_equal(served(p),
		"default/web:80/tcp 203.0.113.1 n1 n2; default/web:80/tcp6 2001:db8:113::1 n1");
}

static void a_bad_request_on_a_live_service_leaves_it_served(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell_service(p, "web",
		CLAIMED "'annotations': {" RECORD
			", 'guideway.dev/load-balancer-ips': 'nonsense'},",
		LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(p, "\"reason\": \"BadAddressRequest\"");
}

static void a_bad_request_costs_no_address_over_a_restart_either(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web",
		CLAIMED "'annotations': {" RECORD
			", 'guideway.dev/load-balancer-ips': 'nonsense'},",
		LB);
	tell_service(p, "other", CLAIMED, LB);
	assert_string_equal(served(p),
		"default/other:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2");
}

static void an_address_that_is_asked_for_serves_before_the_old_one_goes(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell(p, CLUSTER_SERVICES, false,
		service("web", ASKS_FOR_2("203.0.113.1"), LB, web_is_right));
	assert_string_equal(served(p),
		"default/web:80/tcp@203.0.113.2 203.0.113.2 n1 n2; "
		"default/web:80/tcp 203.0.113.1 n1 n2");
	assert_write_has(p, "{\"guideway.dev/addresses\": \"203.0.113.2\"}, \"uid\"");
	answer(p, "web", service("web", ASKS_FOR_2("203.0.113.2"), LB, web_is_right));
	assert_string_equal(next_write(p), "");
	served(p);
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_string_equal(served(p),
		"default/web:80/tcp@203.0.113.2 203.0.113.2 n1 n2; "
		"default/web:80/tcp 203.0.113.1 n1 n2");
	assert_write_has(p, "\"ingress\": [{\"ip\": \"203.0.113.2\", \"ipMode\": \"Proxy\"}]");
	answer(p, "web",
		service("web", ASKS_FOR_2("203.0.113.2"), LB,
			"{'loadBalancer': {'ingress': [{'ip': '203.0.113.2', 'ipMode': "
			"'Proxy'}]}}"));
	assert_true(cluster_has_changed(p->cluster));
	assert_string_equal(served(p), "default/web:80/tcp@203.0.113.2 203.0.113.2 n1 n2");

	// What it had rests, and then is another's.
	tell_service(p, "other", CLAIMED, LB);
	assert_null(strstr(served(p), "other"));
	p->now_ns += 61 * SECONDS;
	cluster_tick(p->cluster, p->now_ns);
	assert_non_null(strstr(served(p), "default/other:80/tcp 203.0.113.1"));
}

// The news of the port come before the answer about the address.
static void the_old_address_goes_also_if_a_port_comes_meanwhile(void **state)
{
	struct place *p = *state;
	static const char is_right[] = IS_RIGHT("203.0.113.2", "Proxy");

	two_nodes(p);
	serve_web(p);
	tell(p, CLUSTER_SERVICES, false,
		service("web", ASKS_FOR_2("203.0.113.2"), LB, web_is_right));
	join_in_force(p);
	assert_write_has(p, "\"ingress\": [{\"ip\": \"203.0.113.2\"");
	tell_ports(p, ASKS_FOR_2("203.0.113.2"), TWO_PORTS("30081"), web_is_right);
	answer(p, "web",
		service_of("web", ASKS_FOR_2("203.0.113.2"), LB, TWO_PORTS("30081"), is_right));
	assert_non_null(strstr(served(p), " 203.0.113.1"));
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_string_equal(next_write(p), "");
	assert_true(cluster_has_changed(p->cluster));
	assert_null(strstr(served(p), " 203.0.113.1"));
}

static void one_that_comes_back_has_its_name_again(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	tell(p, CLUSTER_SERVICES, false,
		service("web", ASKS_FOR_2("203.0.113.1"), LB, web_is_right));
	join_in_force(p);
	tell(p, CLUSTER_SERVICES, false,
		service("web",
			CLAIMED "'annotations': {'guideway.dev/load-balancer-ips': '203.0.113.1'},",
			LB, web_is_right));
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

static void in_dnat_a_service_has_one_address_at_a_time(void **state)
{
	struct place *p = *state;

	p->file.mode = MODE_DNAT;
	two_nodes(p);
	tell_service(p, "web", CLAIMED, LB);
	join_in_force(p);
	tell(p, CLUSTER_SERVICES, false,
		service("web", ASKS_FOR_2("203.0.113.1"), LB, web_is_right));
	assert_string_equal(served(p), "default/web:80/tcp@203.0.113.2 203.0.113.2 n1 n2");
}

// What cannot be served now

static const struct refused_case {
	const char *name;
	const char *spec;
	bool lacks_snat; // Of the load balancer.
} refused_cases[] = {
	{"source ranges that are none", LB "'loadBalancerSourceRanges': ['nonsense'],", false},
	{"no usable port", LB "'ports': [],", false},
	{"no address for SNAT", LB, true},
};

// The one Service "web" and the load balancer, as a case has them.
static void refuse_web(struct place *p, const struct refused_case *c, const char *status)
{
	struct book_pool pool;
	char text[1024];

	snprintf(text, sizeof(text),
		"{'metadata': {" RECORDED " 'namespace': 'default', 'name': 'web', 'uid': 'u-web'},"
		" 'spec': {'ports': [{'port': 80, 'nodePort': 30080}], %s 'x': 0}, 'status': %s}",
		c->spec, status);
	tell(p, CLUSTER_SERVICES, false, text);
	p->file.n_snat[IPV4] = !c->lacks_snat;
	assert_int_equal(cluster_set_file(p->cluster, &p->file, p->now_ns), 0);
	assert_string_equal(served(p), "");
	cluster_is_in_force(p->cluster, p->now_ns);
	cluster_read_pool(p->cluster, 0, p->now_ns, &pool);
	assert_int_equal(pool.used[IPV4], 1);
}

static void assert_refused_keeps_its_address(struct place *p, const struct refused_case *c)
{
	two_nodes(p);
	serve_web(p);
	refuse_web(p, c, web_is_right);
	const char *text = next_write(p);
	if (strstr(text, "\"ingress\": null") == NULL ||
		strstr(text, "guideway.dev/addresses") != NULL)
		fail_msg("%s: %s", c->name, text);
	answer(p, "web", NULL);
	refuse_web(p, c, "{}");

	// Another leader, and long after: nobody else has it.
	follow(p);
	lead(p);
	p->now_ns += 600 * SECONDS;
	p->file.n_snat[IPV4] = 1;
	assert_int_equal(cluster_set_file(p->cluster, &p->file, p->now_ns), 0);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	tell_service(p, "web", RECORDED, LB);
	if (strcmp(served(p),
		    "default/a:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2") !=
		0)
		fail_msg("%s: %s", c->name, served(p));
}

static void who_cannot_be_served_now_keeps_its_address(void **state)
{
	for (size_t i = 0; i < sizeof(refused_cases) / sizeof(refused_cases[0]); i++) {
		assert_refused_keeps_its_address(*state, &refused_cases[i]);
		unmake_place(state);
		make_place(state);
	}
}

static void but_gives_it_back_when_it_leaves(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	refuse_web(p, &refused_cases[0], "{}");
	tell_service(p, "web", RECORDED, "'type': 'ClusterIP',");
	join_in_force(p);
	assert_write_has(p, "{\"guideway.dev/addresses\": null}");
	p->now_ns += 61 * SECONDS;
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	assert_non_null(strstr(served(p), "default/b:80/tcp 203.0.113.1"));
}

static void a_family_that_cannot_be_served_now_keeps_its_address(void **state)
{
	struct place *p = *state;
	static const char both[] =
		CLAIMED "'annotations': {'guideway.dev/addresses': '203.0.113.1,2001:db8:113::1'},";

	two_nodes(p);
	tell_service(p, "web", both, LB "'ipFamilies': ['IPv4', 'IPv6'],");
	join_in_force(p);
	p->file.n_snat[IPV6] = 0;
	assert_int_equal(cluster_set_file(p->cluster, &p->file, p->now_ns), 0);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	cluster_is_in_force(p->cluster, p->now_ns);
	const char *text = next_write(p);
	assert_non_null(strstr(text, "203.0.113.1"));
	assert_null(strstr(text, "2001:db8:113::1"));

	p->now_ns += 61 * SECONDS;
	p->file.n_snat[IPV6] = 1;
	assert_int_equal(cluster_set_file(p->cluster, &p->file, p->now_ns), 0);
	assert_string_equal(served(p),
		"default/web:80/tcp 203.0.113.1 n1 n2; default/web:80/tcp6 2001:db8:113::1");
}

// Nodes

static const struct node_case {
	const char *name;
	const char *node;
	const char *served;
} node_cases[] = {
	{"one more",
		"{'metadata': {'name': 'n3'}, 'status': {'addresses': ["
		"{'type': 'InternalIP', 'address': '10.0.0.3'}]}}",
		"default/web:80/tcp 203.0.113.1 n1 n2 n3"},
	{"one without an address", "{'metadata': {'name': 'n3'}}",
		"default/web:80/tcp 203.0.113.1 n1 n2"},
	{"one that is excluded",
		"{'metadata': {'name': 'n2', 'labels': {"
		"'node.kubernetes.io/exclude-from-external-load-balancers': ''}},"
		" 'status': {'addresses': [{'type': 'InternalIP', 'address': '10.0.0.2'}]}}",
		"default/web:80/tcp 203.0.113.1 n1"},
	{"one that the autoscaler takes away",
		"{'metadata': {'name': 'n2'}, 'spec': {'taints': ["
		"{'key': 'ToBeDeletedByClusterAutoscaler'}]},"
		" 'status': {'addresses': [{'type': 'InternalIP', 'address': '10.0.0.2'}]}}",
		"default/web:80/tcp 203.0.113.1 n1"},
	{"one that is off, and was leaving before",
		"{'metadata': {'name': 'n2'}, 'spec': {'taints': ["
		"{'key': 'ToBeDeletedByClusterAutoscaler'},"
		"{'key': 'node.kubernetes.io/out-of-service'}]},"
		" 'status': {'addresses': [{'type': 'InternalIP', 'address': '10.0.0.2'}]}}",
		"default/web:80/tcp 203.0.113.1 n1 n2 (out)"},
	{"one that is cordoned",
		"{'metadata': {'name': 'n2'}, 'spec': {'unschedulable': true},"
		" 'status': {'addresses': [{'type': 'InternalIP', 'address': '10.0.0.2'}]}}",
		"default/web:80/tcp 203.0.113.1 n1 n2"},
	{"one with another's address",
		"{'metadata': {'name': 'n3'}, 'status': {'addresses': ["
		"{'type': 'InternalIP', 'address': '10.0.0.2'}]}}",
		"default/web:80/tcp 203.0.113.1 n1 n2"},
	{"one with an SNAT address",
		"{'metadata': {'name': 'n3'}, 'status': {'addresses': ["
		"{'type': 'InternalIP', 'address': '192.0.2.10'}]}}",
		"default/web:80/tcp 203.0.113.1 n1 n2"},
};

static void nodes_come_and_go(void **state)
{
	for (size_t i = 0; i < sizeof(node_cases) / sizeof(node_cases[0]); i++) {
		const struct node_case *c = &node_cases[i];
		struct place *p = *state;

		two_nodes(p);
		tell_service(p, "web", CLAIMED, LB);
		tell(p, CLUSTER_NODES, false, c->node);
		if (strcmp(served(p), c->served) != 0)
			fail_msg("%s: %s", c->name, served(p));
		unmake_place(state);
		make_place(state);
	}
}

static void a_bad_annotation_of_a_node_is_named(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell(p, CLUSTER_NODES, false,
		"{'metadata': {'name': 'n3', 'annotations': {'guideway.dev/node-addresses': "
		"'10.1.0'}}, 'status': {}}");
	join(p);
	assert_int_equal(p->left_out.n, 1);
	assert_string_equal(p->left_out.lines[0],
		"node n3: its annotation guideway.dev/node-addresses has \"10.1.0\", which is not "
		"looked at; it must be a unicast address, or one of each family: "
		"\"10.1.0.5,fd01::5\"");
}

static void a_nodes_reports_change_nothing(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	join(p);
	tell(p, CLUSTER_NODES, false,
		"{'metadata': {'name': 'n1', 'resourceVersion': '99'}, 'spec': {}, 'status': {"
		"'conditions': [{'type': 'Ready', 'status': 'False'}], 'addresses': ["
		"{'type': 'InternalIP', 'address': '10.0.0.1'}]}}");
	assert_false(cluster_has_changed(p->cluster));
}

static void what_a_new_list_does_not_have_is_gone(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	join(p);
	begin(p);
	assert_string_equal(served(p),
		"default/a:80/tcp 203.0.113.1 n1 n2; default/b:80/tcp 203.0.113.2 n1 n2");
	tell_node(p, "n1", "10.0.0.1", "{}");
	tell_service(p, "b", CLAIMED, LB);
	sync(p);
	assert_string_equal(served(p), "default/b:80/tcp 203.0.113.2 n1");
}

static void what_a_list_has_as_it_cannot_be_is_not_gone(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	begin(p);
	tell_what_is_none(p, CLUSTER_SERVICES,
		"{'metadata': {'namespace': 'default', 'name': 'a'}, 'spec': {'ports': [{}]}}");
	tell_what_is_none(
		p, CLUSTER_SLICES, "{'metadata': {'namespace': 'default/', 'name': 'a-1'}}");
	tell_node(p, "n1", "10.0.0.1", "{}");
	sync(p);
	assert_string_equal(served(p), "default/a:80/tcp 203.0.113.1 n1");
}

// Nobody knows which it is.
static void a_list_that_lacks_something_says_of_none_that_it_is_gone(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	begin(p);
	cluster_left_out(p->cluster, CLUSTER_SERVICES);
	tell_what_is_none(p, CLUSTER_NODES, "{'metadata': {}}");
	sync(p);
	assert_string_equal(served(p), "default/a:80/tcp 203.0.113.1 n1 n2");
	begin(p);
	sync(p);
	assert_string_equal(served(p), "");
}

static void nothing_is_given_or_written_before_all_is_known(void **state)
{
	struct place *p = *state;

	tell_service(p, "web", CLAIMED, LB);
	cluster_end(p->cluster, CLUSTER_SERVICES, p->now_ns);
	assert_false(cluster_is_synced(p->cluster));
	assert_string_equal(next_write(p), "");
	assert_string_equal(served(p), "");
}

// Endpoints

static void tell_slice(struct place *p, const char *name, const char *endpoints)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{'metadata': {'namespace': 'default', 'name': '%s', 'labels': {"
		"'kubernetes.io/service-name': 'web'}}, 'addressType': 'IPv4', 'endpoints': [%s]}",
		name, endpoints);
	tell(p, CLUSTER_SLICES, false, text);
}

#define LOCAL LB "'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 31000,"
#define READY(node) "{'nodeName': '" node "', 'conditions': {'ready': true}}"
#define ENDING(node)                                                               \
	"{'nodeName': '" node "', 'conditions': {'ready': false, 'serving': true," \
	" 'terminating': true}}"

// The weight of the first service's node 'i'.
static uint32_t weight(const struct place *p, size_t i)
{
	return cluster_config_of(p->joined)->services[0]->weights[i];
}

static void a_local_service_goes_where_its_endpoints_are(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", CLAIMED, LOCAL);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1");

	tell_slice(p, "web-1", READY("n2") ", " READY("n1") ", " ENDING("n1"));
	tell_slice(p, "web-2", READY("n2"));
	assert_true(cluster_has_changed(p->cluster));
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	assert_int_equal(weight(p, 0), 1);
	assert_int_equal(weight(p, 1), 2);
}

static bool is_reserve(const struct place *p, size_t i)
{
	return cluster_config_of(p->joined)->services[0]->reserves[i];
}

static void endpoints_that_end_but_serve_on_are_a_reserve(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", CLAIMED, LOCAL);
	tell_slice(p, "web-1", ENDING("n1") ", {'nodeName': 'n2', 'conditions': {'ready': false}}");
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1");
	assert_true(is_reserve(p, 0));

	tell_slice(p, "web-1", ENDING("n1") ", " ENDING("n1") ", " READY("n2"));
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	assert_true(is_reserve(p, 0));
	assert_int_equal(weight(p, 0), 2);
	assert_false(is_reserve(p, 1));
}

static void endpoints_of_other_services_change_nothing(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", CLAIMED, LB);
	join(p);
	tell_slice(p, "web-1", READY("n2"));
	assert_false(cluster_has_changed(p->cluster));
}

// The file

static void what_the_file_has_stays_beside_the_cluster(void **state)
{
	struct place *p = *state;
	struct node_config node = {.name = "static", .address = {address_of("10.9.0.1")}};
	size_t nodes[] = {0};
	struct service_config static_service = {.name = "old", .nodes = nodes, .n_nodes = 1};

	static_service.vip = address_of("192.0.2.80");
	p->file.nodes = &node;
	p->file.services = (struct service_config *[]){&static_service};
	p->file.n_nodes = p->file.n_services = 1;
	two_nodes(p);
	tell_service(p, "web", CLAIMED, LB);
	assert_string_equal(
		served(p), "old 192.0.2.80 static; default/web:80/tcp 203.0.113.1 n1 n2");
}

static void a_node_of_the_file_and_the_cluster_is_one(void **state)
{
	struct place *p = *state;
	struct node_config node = {.name = "static", .address = {address_of("10.0.0.2")}};

	p->file.nodes = &node;
	p->file.n_nodes = 1;
	two_nodes(p);
	tell_service(p, "web", CLAIMED, LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 static n1");
	assert_int_equal(p->left_out.n, 0);
}

static void what_there_is_no_room_for_is_left_out_and_named(void **state)
{
	struct place *p = *state;

	p->file.services_max = 1;
	p->file.nodes_max = 1;
	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	assert_string_equal(served(p), "default/a:80/tcp 203.0.113.1 n1");
	assert_int_equal(p->left_out.n, 2);
	assert_non_null(strstr(p->left_out.lines[0], "n2"));
	assert_non_null(strstr(p->left_out.lines[1], "default/b:80/tcp"));
}

// Its addresses come and go, and with them the node.
static void a_node_whose_address_is_for_snat_is_left_out(void **state)
{
	struct place *p = *state;

	strcpy(p->file.snat_twin, "gw0");
	p->file.snat[IPV4][0] = address_of("10.0.0.2");
	two_nodes(p);
	tell_service(p, "web", CLAIMED, LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1");
	assert_int_equal(p->left_out.n, 1);
	assert_non_null(strstr(p->left_out.lines[0], "node n2 is this machine"));

	p->file.snat[IPV4][0] = address_of("10.0.0.99");
	assert_int_equal(cluster_set_file(p->cluster, &p->file, p->now_ns), 0);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

static void kube_proxy_is_asked_about_nodes_or_about_a_local_service(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED,
		LB "'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 31000,");

	const struct config *config = join(p);
	const struct check_config *a = &config->services[0]->check,
				  *b = &config->services[1]->check;
	assert_int_equal(a->kind, CHECK_KUBE_PROXY);
	assert_int_equal(a->port, 10256);
	assert_int_equal(a->fallback_port, 30080);
	assert_string_equal(a->path, "/healthz");
	assert_int_equal(a->interval_ms, 2000);
	assert_int_equal(b->kind, CHECK_SERVICE);
	assert_int_equal(b->port, 31000);
	assert_string_equal(b->service, "default/b");
	assert_int_equal(b->fallback_port, 0); // It is of one family.
}

// Annotations

#define TUNED                                                                             \
	CLAIMED "'annotations': {'guideway.dev/idle-timeout': '90', 'guideway.dev/mss': " \
		"'1360', 'guideway.dev/on-all-down': 'fail-open', "                       \
		"'guideway.dev/check-interval': '0.5', 'guideway.dev/check-fall': '7'},"

static void annotations_tune_a_service(void **state)
{
	struct place *p = *state;

	p->file.check.timeout_ms = 1000;
	two_nodes(p);
	tell_service(p, "plain", CLAIMED, LB);
	tell_service(p, "web", TUNED, LB);

	const struct service_config *plain = join(p)->services[0], *web = join(p)->services[1];
	assert_int_equal(web->idle_s, 90);
	assert_int_equal(web->mss, 1360);
	assert_true(web->fail_open);
	assert_int_equal(web->check.interval_ms, 500);
	assert_int_equal(web->check.timeout_ms, 500); // Never more than the interval.
	assert_int_equal(web->check.fall, 7);
	assert_int_equal(plain->idle_s, 3600);
	assert_int_equal(plain->mss, 0);
	assert_false(plain->fail_open);
	assert_int_equal(plain->check.interval_ms, 2000);
	assert_int_equal(plain->check.timeout_ms, 1000);
}

static void an_annotation_that_is_no_good_degrades_that_service_alone(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(
		p, "bad", CLAIMED "'annotations': {" RECORD ", 'guideway.dev/mss': 'big'},", LB);
	tell_service(
		p, "web", CLAIMED "'annotations': {'guideway.dev/addresses': '203.0.113.2'},", LB);
	assert_string_equal(events(p), "BadAnnotation");
	assert_string_equal(served(p),
		"default/bad:80/tcp 203.0.113.1 n1 n2; default/web:80/tcp 203.0.113.2 n1 n2");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(p, "guideway.dev/Degraded");
	assert_true(strstr(next_write(p), "guideway.dev/Degraded") == NULL);
}

// Several instances

static void who_does_not_lead_serves_what_is_recorded(void **state)
{
	struct place *p = *state;

	follow(p);
	two_nodes(p);
	tell_service(p, "web", RECORDED, LB);
	tell_service(p, "new", CLAIMED, LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_string_equal(next_write(p), "");
}

#define RECORDS(address) CLAIMED "'annotations': {'guideway.dev/addresses': '" address "'},"
#define PUBLISHES(address) "{'loadBalancer': {'ingress': [{'ip': '" address "'}]}}"

// In no pool of this file: the leader's is another, and wrote it where only it may write.
static void what_no_pool_has_is_followed_once_it_is_published(void **state)
{
	struct place *p = *state;

	follow(p);
	two_nodes(p);
	tell_service(p, "web", RECORDS("198.51.100.7"), LB);
	assert_string_equal(served(p), "");
	tell(p, CLUSTER_SERVICES, false,
		service("web", RECORDS("198.51.100.7"), LB, PUBLISHES("198.51.100.7")));
	assert_string_equal(served(p), "default/web:80/tcp 198.51.100.7 n1 n2");
}

static void an_author_of_a_service_cannot_have_it_served_at_any_address(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "gateway", RECORDS("192.0.2.1"), LB);
	tell_service(p, "node", RECORDS("10.0.0.1"), LB);
	assert_string_equal(served(p),
		"default/gateway:80/tcp 203.0.113.1 n1 n2; "
		"default/node:80/tcp 203.0.113.2 n1 n2");
	assert_write_has(p, "{\"guideway.dev/addresses\": \"203.0.113.1\"}");
	follow(p);
	assert_string_equal(served(p), "");
}

// As one that comes from the backup of another cluster.
static void a_record_takes_no_address_from_who_publishes_it(void **state)
{
	struct place *p = *state;

	tell_service(p, "a-copy", RECORDED, LB);
	tell(p, CLUSTER_SERVICES, false, service("web", RECORDED, LB, web_is_right));
	two_nodes(p);
	assert_string_equal(served(p),
		"default/a-copy:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2");
	// It is not written anew yet when another leads.
	follow(p);
	lead(p);
	assert_string_equal(served(p),
		"default/a-copy:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2");
}

static void of_two_that_are_recorded_at_one_address_who_has_it_keeps_it(void **state)
{
	struct place *p = *state;
	struct cluster_service service;

	follow(p);
	two_nodes(p);
	tell_service(p, "web", RECORDED, LB);
	tell_service(p, "a-copy", RECORDED, LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	assert_int_equal(p->left_out.n, 1);
	assert_string_equal(p->left_out.lines[0],
		"default/a-copy: it is not served at 203.0.113.1, where port 80/TCP is that of "
		"default/web");
	assert_true(cluster_read_service(p->cluster, 0, &service));
	assert_string_equal(service.reason, "Taken");

	// Also if it changes, until it goes.
	tell_service(p, "web", RECORDED, LB "'sessionAffinity': 'ClientIP',");
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	tell_service(p, "web", CLAIMED, "'type': 'ClusterIP',");
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(served(p), "default/a-copy:80/tcp 203.0.113.1 n1 n2");
}

static void in_dnat_the_node_port_of_a_service_of_the_file_is_its_own(void **state)
{
	struct place *p = *state;
	struct service_config of_file = {.name = "old",
		.vip = address_of("198.51.100.7"),
		.mode = MODE_DNAT,
		.node_port = 30080,
		.protocol = IPPROTO_TCP};

	p->file.mode = MODE_DNAT;
	p->file.services = (struct service_config *[]){&of_file};
	p->file.n_services = 1;
	two_nodes(p);
	tell_service(p, "web", RECORDED, LB);
	assert_string_equal(served(p), "old 198.51.100.7");
	assert_non_null(strstr(p->left_out.lines[0],
		"where NodePort 30080/TCP leads back to old of the load balancer's configuration"));
	tell_service(p, "snat", CLAIMED "'annotations': {'guideway.dev/forwarding': 'snat'},", LB);
	assert_string_equal(served(p), "old 198.51.100.7; default/snat:80/tcp 203.0.113.2 n1 n2");
}

// A Service that shares an address, at a port.
static void tell_sharer(struct place *p, const char *name, unsigned port, const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{'metadata': {" CLAIMED " 'annotations': {'guideway.dev/share-address': 'k' %s},"
		" 'namespace': 'default', 'name': '%s', 'uid': 'u-%s'}, 'spec': {" LB
		" 'ports': [{'port': %u, 'nodePort': 30080}]}, 'status': {}}",
		more, name, name, port);
	tell(p, CLUSTER_SERVICES, false, text);
}

static void who_comes_to_another_s_port_by_a_mistake_waits(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_sharer(p, "a", 80, "");
	tell_sharer(p, "b", 81, "");
	tell_sharer(p, "a", 81, ", 'guideway.dev/load-balancer-ips': 'nonsense'");
	assert_string_equal(served(p), "default/b:81/tcp 203.0.113.1 n1 n2");
	tell_sharer(p, "a", 80, ", 'guideway.dev/load-balancer-ips': 'nonsense'");
	assert_string_equal(served(p),
		"default/a:80/tcp 203.0.113.1 n1 n2; default/b:81/tcp 203.0.113.1 n1 n2");
}

static void what_the_file_serves_is_no_service_s(void **state)
{
	struct place *p = *state;
	struct service_config of_file = {.name = "old", .vip = address_of("198.51.100.7")};

	two_nodes(p);
	tell(p, CLUSTER_SERVICES, false,
		service("web", RECORDS("198.51.100.7"), LB, PUBLISHES("198.51.100.7")));
	assert_string_equal(served(p), "default/web:80/tcp 198.51.100.7 n1 n2");
	p->file.services = (struct service_config *[]){&of_file};
	p->file.n_services = 1;
	assert_int_equal(cluster_set_file(p->cluster, &p->file, p->now_ns), 0);
	assert_string_equal(
		served(p), "old 198.51.100.7; default/web:80/tcp@203.0.113.1 203.0.113.1 n1 n2");
	follow(p);
	assert_string_equal(served(p), "old 198.51.100.7");
}

static void before_anything_is_recorded_what_is_published_is_served(void **state)
{
	struct place *p = *state;
	static const char status[] = "{'loadBalancer': {'ingress': [{'ip': '203.0.113.2'}]}}";

	follow(p);
	two_nodes(p);
	tell(p, CLUSTER_SERVICES, false, service("ours", CLAIMED, LB, status));
	tell(p, CLUSTER_SERVICES, false, service("theirs", "", LB, status));
	assert_string_equal(served(p), "default/ours:80/tcp 203.0.113.2 n1 n2");
}

static void who_leads_next_keeps_all_addresses(void **state)
{
	struct place *p = *state;

	follow(p);
	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "web", RECORDED, LB);
	lead(p);
	assert_string_equal(served(p),
		"default/a:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2");
}

static void what_a_leader_gave_and_could_not_record_is_given_up_with_the_lead(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", RECORDED, LB);
	tell_service(p, "a", CLAIMED, LB);
	assert_string_equal(served(p),
		"default/a:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2");
	follow(p);
	assert_true(cluster_has_changed(p->cluster));
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	// Meanwhile another gave it to another.
	tell(p, CLUSTER_SERVICES, false,
		service("b", CLAIMED "'annotations': {'guideway.dev/addresses': '203.0.113.2'},",
			LB, "{}"));
	lead(p);
	assert_string_equal(served(p),
		"default/b:80/tcp 203.0.113.2 n1 n2; default/web:80/tcp 203.0.113.1 n1 n2");
}

static void a_record_that_is_no_list_of_addresses_is_written_anew(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", CLAIMED "'annotations': {'guideway.dev/addresses': '203,x'},", LB);
	assert_write_has(p, "{\"guideway.dev/addresses\": \"203.0.113.1\"}");
}

static void a_status_waits_for_the_others(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	cluster_set_others(p->cluster, 40);
	tell_service(p, "web", "'resourceVersion': '41'," RECORDED, LB);
	join_in_force(p);
	assert_string_equal(next_write(p), "");
	cluster_set_others(p->cluster, 41);
	assert_write_has(p, "\"ingress\": [{\"ip\": \"203.0.113.1\"");
}

static void but_for_no_more_than_five_seconds(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	cluster_set_others(p->cluster, 40);
	tell_service(p, "web", "'resourceVersion': '41'," RECORDED, LB);
	join_in_force(p);
	assert_string_equal(next_write(p), "");
	p->now_ns += 5 * SECONDS - 1;
	assert_string_equal(next_write(p), "");
	p->now_ns += 1;
	assert_write_has(p, "\"ingress\": [{\"ip\": \"203.0.113.1\"");
}

static void a_service_is_released_when_the_others_do_not_forward_either(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	cluster_set_others(p->cluster, 40);
	tell_service(p, "web", "'resourceVersion': '41'," RECORDED, "'type': 'ClusterIP',");
	join_in_force(p);
	assert_string_equal(next_write(p), "");
	cluster_set_others(p->cluster, 41);
	assert_write_has(p, "{\"guideway.dev/addresses\": null}");
}

#define AT_VERSION(version) "'resourceVersion': '" version "'," RECORDED

static void a_port_that_joins_waits_for_the_others(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	cluster_set_others(p->cluster, 41);
	tell_ports(p, AT_VERSION("41"), TWO_PORTS("0"), web_lacks_81);
	join_in_force(p);
	next_write(p);
	answer(p, "web", service_of("web", AT_VERSION("42"), LB, TWO_PORTS("0"), web_lacks_81));
	tell_ports(p, AT_VERSION("43"), TWO_PORTS("30081"), web_lacks_81);
	join_in_force(p);
	assert_string_equal(next_write(p), "");
	cluster_set_others(p->cluster, 42);
	assert_string_equal(next_write(p), "");
	cluster_set_others(p->cluster, 43);
	assert_write_has(p, "\"loadBalancer\"");
}

static void who_comes_to_lead_waits_for_what_changed_before(void **state)
{
	struct place *p = *state;

	follow(p);
	two_nodes(p);
	cluster_set_others(p->cluster, 41);
	tell_ports(p, AT_VERSION("41"), TWO_PORTS("0"), web_lacks_81);
	join_in_force(p);
	tell_ports(p, AT_VERSION("43"), TWO_PORTS("30081"), web_lacks_81);
	lead(p);
	assert_string_equal(next_write(p), "");
	join_in_force(p);
	assert_string_equal(next_write(p), "");
	cluster_set_others(p->cluster, 43);
	assert_write_has(p, "\"loadBalancer\"");
}

// One that starts forwards nothing yet.
static void what_the_others_have_followed_waits_for_nobody_who_comes_after(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", AT_VERSION("41"), LB);
	join_in_force(p);
	assert_write_has(p, "203.0.113.1");
	answer(p, "web", service("web", AT_VERSION("42"), LB, web_is_right));
	cluster_set_others(p->cluster, 0);
	tell(p, CLUSTER_SERVICES, false, service("web", AT_VERSION("43"), LB, "{}"));
	assert_write_has(p, "203.0.113.1");
}

static void what_is_in_force_is_a_version_of_services(void **state)
{
	struct place *p = *state;

	follow(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 0);
	two_nodes(p);
	tell_service(p, "web", "'resourceVersion': '41'," RECORDED, LB);
	join(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 0);
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_int_equal(cluster_in_force_version(p->cluster), 41);

	tell_service(p, "web", "'resourceVersion': '43'," RECORDED, LB);
	assert_int_equal(cluster_in_force_version(p->cluster), 41);
	join_in_force(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 43);
	// What changes nothing is in force at once.
	tell_service(p, "other", "'resourceVersion': '44',", "'type': 'ClusterIP',");
	assert_int_equal(cluster_in_force_version(p->cluster), 44);
}

static void one_that_has_no_room_for_all_says_so_of_what_is_in_force(void **state)
{
	struct place *p = *state;

	p->file.services_max = 1;
	follow(p);
	two_nodes(p);
	tell_service(p, "a", "'resourceVersion': '41'," RECORDED, LB);
	join_in_force(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 41);
	tell_service(p, "b",
		"'resourceVersion': '42'," CLAIMED
		"'annotations': {'guideway.dev/addresses': '203.0.113.2'},",
		LB);
	join_in_force(p);
	assert_true(cluster_in_force_version(p->cluster) == IN_FORCE_NOT_ALL);
	tell(p, CLUSTER_SERVICES, true, service("a", "", LB, "{}"));
	join_in_force(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 42);
}

static void one_that_there_is_no_room_for_says_so_and_gets_no_address(void **state)
{
	struct place *p = *state;

	p->file.services_max = 1;
	two_nodes(p);
	serve_web(p);
	events(p);
	tell_service(
		p, "xtra", CLAIMED "'annotations': {'guideway.dev/addresses': '203.0.113.2'},", LB);
	join_in_force(p);
	assert_string_equal(events(p), "SyncLoadBalancerFailed");
	const char *text = next_write(p);
	assert_non_null(strstr(text, "\"NoRoom\", \"status\": \"False\""));
	assert_null(strstr(text, "ingress"));
	answer(p, "xtra", NULL);

	tell(p, CLUSTER_SERVICES, true, service("web", RECORDED, LB, "{}"));
	p->now_ns += 10 * SECONDS;
	join(p);
	assert_null(strstr(next_write(p), "ingress"));
	cluster_is_in_force(p->cluster, p->now_ns);
	p->now_ns += 10 * SECONDS;
	assert_write_has(p, "\"ingress\": [{\"ip\": \"203.0.113.2\"");
}

static void who_is_served_goes_before_who_comes_where_there_is_no_room(void **state)
{
	struct place *p = *state;

	p->file.services_max = 1;
	two_nodes(p);
	serve_web(p);
	tell_service(
		p, "a", CLAIMED "'annotations': {'guideway.dev/addresses': '203.0.113.2'},", LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

static void who_was_served_before_a_restart_goes_before_who_was_not(void **state)
{
	struct place *p = *state;

	p->file.services_max = 1;
	tell_service(
		p, "a", CLAIMED "'annotations': {'guideway.dev/addresses': '203.0.113.2'},", LB);
	tell(p, CLUSTER_SERVICES, false, service("web", RECORDED, LB, web_is_right));
	two_nodes(p);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

static void one_that_releases_all_says_so_of_what_is_in_force(void **state)
{
	struct place *p = *state;

	follow(p);
	cluster_release_all(p->cluster, p->now_ns);
	assert_int_equal(cluster_in_force_version(p->cluster), 0);
	two_nodes(p);
	assert_true(cluster_in_force_version(p->cluster) == IN_FORCE_NOT_ALL);
	cluster_claim(p->cluster, p->now_ns);
	tell_service(p, "web", "'resourceVersion': '41'," RECORDED, LB);
	join_in_force(p);
	assert_int_equal(cluster_in_force_version(p->cluster), 41);
}

static void what_another_answers_for_is_forwarded_and_not_announced(void **state)
{
	struct place *p = *state;
	struct announcers nobody = {0};

	two_nodes(p);
	tell_service(p, "web", RECORDED, LB);
	assert_true(join(p)->services[0]->announce && join(p)->services[0]->answers_arp);
	cluster_set_announcers(p->cluster, &nobody);
	assert_true(cluster_has_changed(p->cluster));
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	assert_false(join(p)->services[0]->announce || join(p)->services[0]->answers_arp);
	cluster_set_announcers(p->cluster, &nobody);
	assert_false(cluster_has_changed(p->cluster));
}

// A restart

static json_t *save(struct place *p)
{
	struct cluster_saving *saving = cluster_save_begin();

	assert_non_null(saving);
	while (cluster_save_on(p->cluster, saving))
		;
	return cluster_save_end(saving);
}

// What the cluster would know after a restart.
static void restart(struct place *p)
{
	json_t *saved = save(p);

	assert_non_null(saved);
	cluster_destroy(p->cluster);
	assert_int_equal(cluster_create(&p->file, &p->cluster), 0);
	assert_int_equal(cluster_set_lead(p->cluster, true, p->now_ns), 0);
	assert_int_equal(cluster_restore(p->cluster, saved, p->now_ns), 0);
	json_decref(saved);
}

static void after_a_restart_what_was_known_is_served_and_nothing_written(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	tell(p, CLUSTER_SERVICES, true, service("a", CLAIMED, LB, "{}"));
	restart(p);
	assert_true(cluster_is_known(p->cluster) && cluster_has_changed(p->cluster));
	assert_false(cluster_is_synced(p->cluster));
	assert_string_equal(served(p), "default/b:80/tcp 203.0.113.2 n1 n2");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_string_equal(next_write(p), "");
}

static void after_a_restart_a_list_says_what_is_still_so(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", CLAIMED, LB);
	restart(p);
	begin(p);
	tell_node(p, "n2", "10.0.0.2", "{}");
	tell_service(p, "b", RECORDS("203.0.113.2"), LB);
	sync(p);
	assert_string_equal(served(p), "default/b:80/tcp 203.0.113.2 n2");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(p, "203.0.113.2");
}

// Others may have it by now.
static void after_a_restart_no_address_is_given_before_all_is_told(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "b", RECORDED, LB);
	join(p);
	restart(p);
	begin(p);
	tell_service(p, "a", CLAIMED, LB);
	assert_string_equal(served(p), "default/b:80/tcp 203.0.113.1 n1 n2");
	tell(p, CLUSTER_SERVICES, false, service("c", RECORDED, LB, PUBLISHES("203.0.113.1")));
	tell(p, CLUSTER_SERVICES, false,
		service("b", RECORDS("203.0.113.2"), LB, PUBLISHES("203.0.113.2")));
	two_nodes(p);
	assert_string_equal(served(p),
		"default/b:80/tcp@203.0.113.2 203.0.113.2 n1 n2; "
		"default/c:80/tcp 203.0.113.1 n1 n2");
}

static void what_is_refused_before_all_is_told_is_told_of_then(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	restart(p);
	begin(p);
	tell_service(p, "web", CLAIMED, LB "'clusterIP': 'None',");
	assert_string_equal(events(p), "");
	sync(p);
	assert_string_equal(events(p), "SyncLoadBalancerFailed");
}

static void after_a_restart_what_is_told_without_an_address_is_served_until_all_is_told(
	void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "a", CLAIMED, LB);
	tell_service(p, "b", RECORDS("203.0.113.2"), LB);
	join(p);
	restart(p);
	begin(p);
	tell_service(p, "b", CLAIMED, LB);
	assert_string_equal(served(p),
		"default/a:80/tcp 203.0.113.1 n1 n2; default/b:80/tcp 203.0.113.2 n1 n2");
}

static void after_a_restart_a_local_service_knows_its_endpoints(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", CLAIMED, LOCAL);
	tell_slice(p, "web-1", READY("n2") ", " READY("n2"));
	join(p);
	restart(p);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n2");
	assert_int_equal(weight(p, 0), 2);
}

static void what_is_no_saved_cluster_is_refused(void **state)
{
	struct place *p = *state;
	json_t *json = document("{'kind': 'another', 'services': []}");

	assert_int_equal(cluster_restore(p->cluster, json, p->now_ns), -EINVAL);
	assert_false(cluster_is_known(p->cluster));
	json_decref(json);
}

// Writes

static void a_write_that_fails_is_tried_again_after_longer_and_longer(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", "", LB);
	for (uint64_t patience_s = 2; patience_s <= 16; patience_s *= 2) {
		assert_string_not_equal(next_write(p), "");
		assert_string_equal(next_write(p), ""); // It is under way.
		answer(p, "web", NULL);
		p->now_ns += patience_s * SECONDS - 1;
		assert_string_equal(next_write(p), "");
		p->now_ns++;
	}
}

static void fail_writes(struct place *p, int n)
{
	for (int i = 0; i < n; i++) {
		p->now_ns += 300 * SECONDS;
		assert_string_not_equal(next_write(p), "");
		answer(p, "web", NULL);
	}
}

static void a_write_that_fails_three_times_is_told_by_an_event(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", RECORDED, LB);
	join_in_force(p);
	events(p);
	fail_writes(p, 2);
	assert_string_equal(events(p), "");
	fail_writes(p, 1);
	assert_string_equal(events(p), "UpdateLoadBalancerFailed");

	p->now_ns += 300 * SECONDS;
	next_write(p);
	answer(p, "web", service("web", RECORDED, LB, web_is_right));
	p->now_ns += 300 * SECONDS;
	assert_string_equal(next_write(p), "");
	tell_service(p, "web", CLAIMED "'deletionTimestamp': '2026-01-01T00:00:00Z',", LB);
	join_in_force(p);
	events(p);
	fail_writes(p, 2);
	assert_string_equal(events(p), "");
	fail_writes(p, 1);
	assert_string_equal(events(p), "DeleteLoadBalancerFailed");
}

// Another writer

static const char web_is_another[] = "{'loadBalancer': {'ingress': [{'ip': '198.51.100.9'}]}}";

// Another overwrites the ingress of a Service that was right.
static void overwrite(struct place *p, const char *metadata)
{
	tell(p, CLUSTER_SERVICES, false, service("web", metadata, LB, web_is_another));
}

// It is written anew.
static void put_right(struct place *p, const char *metadata)
{
	assert_write_has(p, "203.0.113.1");
	answer(p, "web", service("web", metadata, LB, web_is_right));
}

#define BY_KUBECTL(annotations)                                                          \
	CLAIMED "'annotations': {" RECORD annotations                                    \
		"}, 'managedFields': [{'manager': 'guideway', 'fieldsV1': {'f:status': " \
		"{'f:conditions': {}}}}, {'manager': 'kubectl-patch', 'fieldsV1': {"     \
		"'f:status': {'f:loadBalancer': {'f:ingress': {}}}}}],"

static void begin_conflict(struct place *p)
{
	two_nodes(p);
	serve_web(p);
	overwrite(p, BY_KUBECTL(""));
	put_right(p, RECORDED);
	p->now_ns += 59 * SECONDS;
	events(p);
	overwrite(p, BY_KUBECTL(""));
}

// Who it is that overwrites the one Service's status; "" for nobody.
static const char *overwritten_by(struct place *p)
{
	static char name[128];
	struct cluster_service service;

	assert_true(cluster_read_service(p->cluster, 0, &service));
	strcpy(name, service.overwritten_by == NULL ? "" : service.overwritten_by);
	return name;
}

static void a_status_that_is_overwritten_twice_in_a_minute_is_left(void **state)
{
	struct place *p = *state;

	begin_conflict(p);
	assert_string_equal(events(p), "StatusConflict");
	assert_string_equal(overwritten_by(p), "kubectl-patch");
	assert_string_equal(next_write(p), "");
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");

	p->now_ns += 599 * SECONDS;
	cluster_tick(p->cluster, p->now_ns);
	assert_string_equal(next_write(p), "");
	p->now_ns += SECONDS;
	cluster_tick(p->cluster, p->now_ns);
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(p, "203.0.113.1");
	assert_string_equal(overwritten_by(p), "");
}

static void a_status_that_is_overwritten_now_and_then_is_put_right(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	for (int i = 0; i < 3; i++) {
		overwrite(p, BY_KUBECTL(""));
		put_right(p, RECORDED);
		p->now_ns += 61 * SECONDS;
	}
	assert_string_equal(overwritten_by(p), "");
}

static void what_another_notes_down_does_not_end_a_conflict(void **state)
{
	struct place *p = *state;

	begin_conflict(p);
	overwrite(p, BY_KUBECTL(", 'metallb.io/ip-allocated-from-pool': 'a'"));
	assert_string_equal(next_write(p), "");
}

static void a_service_that_changes_has_its_status_written_again(void **state)
{
	struct place *p = *state;

	begin_conflict(p);
	overwrite(p, BY_KUBECTL(", 'guideway.dev/forwarding': 'dsr'"));
	join_in_force(p);
	assert_write_has(p, "\"ip\": \"203.0.113.1\", \"ipMode\": \"VIP\"");
}

static void a_conflict_keeps_no_service_from_its_end(void **state)
{
	struct place *p = *state;

	begin_conflict(p);
	tell_service(p, "web", CLAIMED "'deletionTimestamp': '2026-01-01T00:00:00Z',", LB);
	join_in_force(p);
	assert_write_has(p, "$deleteFromPrimitiveList/finalizers");
}

// Namespaces

static void tell_namespace(struct place *p, const char *labels)
{
	char text[256];

	snprintf(text, sizeof(text), "{'metadata': {'name': 'default', 'labels': {%s}}}", labels);
	tell(p, CLUSTER_NAMESPACES, false, text);
}

// The one pool is for namespaces with the label tier=front.
static void select_by_namespace(struct place *p)
{
	static char *texts[] = {"tier=front"};

	p->file.kubernetes.pools[0].namespace_labels = (struct text_set){texts, 1};
	assert_int_equal(cluster_set_file(p->cluster, &p->file, p->now_ns), 0);
}

static void namespaces_are_waited_for_where_a_pool_selects_by_them(void **state)
{
	struct place *p = *state;

	assert_false(cluster_follows_namespaces(p->cluster));
	select_by_namespace(p);
	assert_true(cluster_follows_namespaces(p->cluster));
	for (int i = 0; i < N_CLUSTER_RESOURCES; i++) {
		assert_false(cluster_is_synced(p->cluster));
		cluster_end(p->cluster, (enum cluster_resource)i, p->now_ns);
	}
	assert_true(cluster_is_synced(p->cluster));
}

static void a_service_gets_an_address_once_its_namespace_may_have_one(void **state)
{
	struct place *p = *state;

	select_by_namespace(p);
	tell_namespace(p, "'tier': 'back'");
	tell_service(p, "web", CLAIMED, LB);
	two_nodes(p);
	assert_string_equal(served(p), "");
	tell_namespace(p, "'tier': 'front', 'more': ''");
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

static void namespaces_are_not_saved(void **state)
{
	struct place *p = *state;

	select_by_namespace(p);
	tell_namespace(p, "'tier': 'front'");
	two_nodes(p);
	serve_web(p);
	json_t *saved = save(p);
	assert_int_equal(json_object_size(saved), 4); // Its kind, Services, Nodes, EndpointSlices.
	assert_int_equal(json_array_size(json_object_get(saved, "services")), 1);
	json_decref(saved);
}

static void a_namespace_that_loses_its_labels_costs_no_service_its_address(void **state)
{
	struct place *p = *state;

	select_by_namespace(p);
	tell_namespace(p, "'tier': 'front'");
	two_nodes(p);
	serve_web(p);
	events(p);
	tell_namespace(p, "");
	assert_string_equal(events(p), "OutsidePools");
	assert_write_has(p, "\"reason\": \"OutsidePools\"");
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");

	tell_service(p, "new", CLAIMED, LB);
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
}

static void namespaces_that_matter_from_now_on_end_nothing(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	cluster_forget_namespaces(p->cluster);
	serve_web(p);
	select_by_namespace(p);
	assert_true(cluster_is_known(p->cluster));
	assert_false(cluster_is_synced(p->cluster));
	assert_string_equal(served(p), "default/web:80/tcp 203.0.113.1 n1 n2");
	assert_string_equal(next_write(p), ""); // Nobody knows yet whether the pool is for it.
	tell_namespace(p, "'tier': 'front'");
	cluster_end(p->cluster, CLUSTER_NAMESPACES, p->now_ns);
	join_in_force(p);
	assert_string_equal(next_write(p), "");
}

// All are given up

static void all_services_are_released_and_none_is_claimed_until_told(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	serve_web(p);
	cluster_release_all(p->cluster, p->now_ns);
	assert_string_equal(served(p), "");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_write_has(p, "\"loadBalancer\": {\"ingress\": null}");
	answer(p, "web", service("web", "", LB, "{}"));
	tell_service(p, "new", "", LB);
	assert_string_equal(next_write(p), "");

	cluster_claim(p->cluster, p->now_ns);
	assert_write_has(p, "\"finalizers\": [\"guideway.dev/lb-cleanup\"]");
}

static void what_could_not_be_written_is_said(void **state)
{
	struct place *p = *state;
	struct cluster_service service;

	two_nodes(p);
	serve_web(p);
	cluster_release_all(p->cluster, p->now_ns);
	join_in_force(p);
	next_write(p);
	cluster_write_failed(p->cluster, write_of(p, "default/web"), "403: it may not be");
	assert_true(cluster_read_service(p->cluster, 0, &service));
	assert_string_equal(service.write_error, "403: it may not be");
}

static void a_waiting_service_is_released_too(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell_service(p, "web", CLAIMED, LB "'clusterIP': 'None',");
	join_in_force(p);
	tell_service(p, "web", CLAIMED "'deletionTimestamp': '2026-01-01T00:00:00Z',",
		LB "'clusterIP': 'None',");
	assert_true(cluster_has_changed(p->cluster));
	join_in_force(p);
	assert_write_has(p, "$deleteFromPrimitiveList/finalizers");
}

// What nodes learn

#define IN(mode) WITH("forwarding", mode)
#define IN_DSR IN("dsr")
#define PROGRAMMED "'conditions': [{'type': 'guideway.dev/Programmed', 'status': 'True'}]"

struct asked {
	bool awaits;
	unsigned n;
	char name[NAME_TEXT_MAX]; // Of the last,
	uint64_t since_ns;        // and since when it can be known.
};

static bool awaits(void *argument, const char *name, uint64_t since_ns)
{
	struct asked *asked = argument;

	asked->n++;
	strcpy(asked->name, name);
	asked->since_ns = since_ns;
	return asked->awaits;
}

// Whether some still wait.
static bool learn(struct place *p, struct asked *asked)
{
	asked->n = 0;
	return cluster_learn(p->cluster, awaits, asked, p->now_ns);
}

static void in_dsr_it_is_programmed_once_a_node_knows_its_address(void **state)
{
	struct place *p = *state;
	struct asked asked = {.awaits = true};

	two_nodes(p);
	p->now_ns += 7 * SECONDS;
	tell_service(p, "web", IN_DSR, LB);
	events(p);
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_string_equal(asked.name, "default/web:80/tcp");
	assert_true(asked.since_ns == UINT64_MAX);

	// The address is written, since nodes learn it so.
	const char *text = next_write(p);
	assert_non_null(strstr(text, "\"ipMode\": \"VIP\""));
	assert_non_null(strstr(text, "AwaitingNodes"));
	answer(p, "web", service("web", IN_DSR, LB, "{" INGRESS("VIP") "}"));
	assert_true(learn(p, &asked));
	assert_true(asked.since_ns == p->now_ns);
	assert_string_equal(events(p), "");

	p->now_ns += 1 * SECONDS;
	asked.awaits = false;
	assert_false(learn(p, &asked));
	assert_true(asked.since_ns == p->now_ns - 1 * SECONDS);
	assert_write_has(p, "\"Forwarding\", \"status\": \"True\"");
	answer(p, "web", service("web", IN_DSR, LB, "{" INGRESS("VIP") ", " PROGRAMMED "}"));
	assert_string_equal(events(p), "EnsuredLoadBalancer");
}

static void what_was_programmed_before_a_restart_is_not_taken_back(void **state)
{
	struct place *p = *state;
	struct asked asked = {.awaits = true};

	two_nodes(p);
	tell(p, CLUSTER_SERVICES, false,
		service("web", IN_DSR, LB, "{" INGRESS("VIP") ", " PROGRAMMED "}"));
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_int_equal(asked.since_ns, 0);
	assert_write_has(p, "\"Forwarding\", \"status\": \"True\"");

	// Of what it has got since, nobody knows that nodes know it.
	assert_true(learn(p, &asked));
	assert_true(asked.since_ns == p->now_ns);
}

static void what_was_not_programmed_before_a_restart_is_to_be_learnt(void **state)
{
	struct place *p = *state;
	struct asked asked = {.awaits = true};

	two_nodes(p);
	tell(p, CLUSTER_SERVICES, false, service("web", IN_DSR, LB, "{" INGRESS("VIP") "}"));
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_true(asked.since_ns == p->now_ns);
}

static void a_change_to_dsr_is_written_once_workers_forward_so(void **state)
{
	struct place *p = *state;
	struct asked asked = {.awaits = true};

	two_nodes(p);
	serve_web(p);
	assert_false(cluster_config_of(p->joined)->services[0]->is_learnt);
	tell(p, CLUSTER_SERVICES, false,
		service("web", IN_DSR, LB, "{" INGRESS("Proxy") ", " PROGRAMMED "}"));
	assert_string_equal(next_write(p), "");
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_write_has(p, "AwaitingNodes");
}

static const char is_right_in_dsr[] = IS_RIGHT("203.0.113.1", "VIP");

// Serves a Service whose one port nodes know, and whose status says so.
static void serve_web_in_dsr(struct place *p)
{
	struct asked asked = {.awaits = true};

	two_nodes(p);
	tell_service(p, "web", IN_DSR, LB);
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_write_has(p, "AwaitingNodes");
	answer(p, "web", service("web", IN_DSR, LB, "{" INGRESS("VIP") "}"));
	assert_true(learn(p, &asked));
	asked.awaits = false;
	assert_false(learn(p, &asked));
	next_write(p);
	answer(p, "web", service("web", IN_DSR, LB, is_right_in_dsr));
	join_in_force(p);
	assert_false(learn(p, &asked));
	assert_string_equal(next_write(p), "");
	events(p);
}

static void a_port_that_comes_is_to_be_learnt_before_all_is_programmed_again(void **state)
{
	struct place *p = *state;
	struct asked asked = {.awaits = true};

	serve_web_in_dsr(p);
	p->now_ns += 60 * SECONDS;
	tell_ports(p, IN_DSR, TWO_PORTS("30081"), is_right_in_dsr);
	assert_true(learn(p, &asked));
	assert_int_equal(asked.n, 0);
	join(p);
	assert_string_equal(next_write(p), "");
	cluster_is_in_force(p->cluster, p->now_ns);
	assert_true(learn(p, &asked));
	assert_int_equal(asked.n, 2);
	assert_true(asked.since_ns == p->now_ns); // Nobody can know it for longer.
	assert_write_has(p, "\"AwaitingNodes\", \"status\": \"False\"");
	answer(p, "web", service_of("web", IN_DSR, LB, TWO_PORTS("30081"), "{" INGRESS("VIP") "}"));

	asked.awaits = false;
	assert_false(learn(p, &asked));
	assert_write_has(p, "\"Forwarding\", \"status\": \"True\"");
	answer(p, "web", service_of("web", IN_DSR, LB, TWO_PORTS("30081"), is_right_in_dsr));
	assert_string_equal(events(p), "EnsuredLoadBalancer");
	join_in_force(p);
	asked.awaits = true; // As while nodes change.
	assert_true(learn(p, &asked));
	assert_string_equal(next_write(p), "");
}

static void ports_that_go_and_other_node_ports_leave_all_programmed(void **state)
{
	struct place *p = *state;
	struct asked asked = {.awaits = false};

	serve_web_in_dsr(p);
	tell_ports(p, IN_DSR, TWO_PORTS("30081"), is_right_in_dsr);
	join_in_force(p);
	assert_false(learn(p, &asked));
	assert_string_equal(next_write(p), "");
	asked.awaits = true;
	tell_ports(p, IN_DSR, TWO_PORTS("30082"), is_right_in_dsr);
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_string_equal(next_write(p), "");
	tell_ports(p, IN_DSR, PORT_80, is_right_in_dsr);
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_string_equal(next_write(p), "");
	assert_string_equal(events(p), "");
}

static void another_way_to_nodes_is_to_be_learnt_at_the_same_address(void **state)
{
	static const char *const ways[] = {IN("tunnel-ip"), IN("tunnel-gue")};
	struct place *p = *state;
	struct asked asked = {.awaits = true};

	p->file.settings.tunnel_source[IPV4] = address_of("192.0.2.20");
	serve_web_in_dsr(p);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		tell(p, CLUSTER_SERVICES, false, service("web", ways[i], LB, is_right_in_dsr));
		join_in_force(p);
		asked.awaits = true;
		assert_true(learn(p, &asked));
		assert_write_has(p, "AwaitingNodes");
		asked.awaits = false;
		assert_false(learn(p, &asked));
		answer(p, "web", service("web", ways[i], LB, is_right_in_dsr));
		assert_string_equal(next_write(p), "");
	}
}

// The same is told again, and then a port more, which came meanwhile.
static void after_a_restart_what_was_saved_as_programmed_is_not_taken_back(void **state)
{
	struct place *p = *state;
	struct asked asked = {.awaits = true};

	serve_web_in_dsr(p);
	restart(p);
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_int_equal(asked.since_ns, 0);
	begin(p);
	tell(p, CLUSTER_SERVICES, false, service("web", IN_DSR, LB, is_right_in_dsr));
	two_nodes(p);
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_string_equal(next_write(p), "");

	tell_ports(p, IN_DSR, TWO_PORTS("30081"), is_right_in_dsr);
	join_in_force(p);
	assert_true(learn(p, &asked));
	assert_write_has(p, "AwaitingNodes");
}

static void ports_without_tcp_learn_by_time_and_others_together(void **state)
{
	struct place *p = *state;

	two_nodes(p);
	tell(p, CLUSTER_SERVICES, false,
		"{'metadata': {" IN_DSR " 'namespace': 'default', 'name': 'both', 'uid': 'b'},"
		" 'spec': {" LB " 'ports': [{'port': 53, 'protocol': 'UDP'},"
		" {'port': 80, 'protocol': 'TCP'}, {'port': 81, 'protocol': 'TCP'}]},"
		" 'status': {}}");
	tell(p, CLUSTER_SERVICES, false,
		"{'metadata': {" IN_DSR " 'namespace': 'default', 'name': 'udp', 'uid': 'c'},"
		" 'spec': {" LB " 'ports': [{'port': 53, 'protocol': 'UDP'}]}, 'status': {}}");

	const struct config *config = join(p);
	assert_int_equal(config->n_services, 4);
	assert_true(config->services[0]->is_learnt);
	assert_int_equal(config->services[0]->learns_with, 1);
	assert_int_equal(config->services[1]->learns_with, 0);
	assert_int_equal(config->services[2]->learns_with, 0);
	assert_true(config->services[3]->is_learnt);
	assert_int_equal(config->services[3]->learns_with, LEARNS_ALONE);
}

#define AT_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_PLACE(a_service_gets_our_finalizer_before_an_address),
		AT_PLACE(its_status_is_written_once_every_worker_forwards_by_it),
		AT_PLACE(a_status_that_is_right_is_not_written_again),
		AT_PLACE(a_deleted_service_is_released_once_no_worker_forwards_by_it),
		AT_PLACE(a_service_of_another_type_is_released),
		AT_PLACE(only_services_that_bear_our_finalizer_are_released),
		AT_PLACE(services_of_other_classes_are_nothing_to_us),
		AT_PLACE(a_service_without_a_class_gets_the_standard_finalizer_too),
		AT_PLACE(a_service_made_anew_under_its_name_is_another),
		AT_PLACE(a_service_that_is_gone_frees_its_address),
		AT_PLACE(late_news_do_not_undo_an_answer),
		AT_PLACE(a_list_counts_whatever_its_versions_are),
		AT_PLACE(the_life_of_a_service_is_told_by_events),
		AT_PLACE(a_service_may_be_gone_before_its_release_is_answered),
		AT_PLACE(an_answer_about_one_that_is_gone_is_none_about_the_next_of_its_name),
		AT_PLACE(what_is_served_but_not_as_asked_is_told_by_that_reason),
		AT_PLACE(a_port_without_a_node_port_is_told_of_and_joins_when_it_has_one),
		AT_PLACE(what_a_live_service_asks_otherwise_is_told_of_once_it_is_in_force),
		AT_PLACE(a_service_without_nodes_is_told_of_once),
		AT_PLACE(events_that_nobody_can_be_told_are_counted),
		AT_PLACE(what_cannot_be_served_is_told_once),
		AT_PLACE(what_has_no_address_waits_and_says_why),
		AT_PLACE(who_waits_is_told_once),
		AT_PLACE(another_reason_for_the_same_answer_is_told_and_counts_as_one_refusal),
		AT_PLACE(what_waits_is_served_when_there_is_room),
		AT_PLACE(the_second_family_comes_when_there_is_room),
		AT_PLACE(what_a_live_service_asks_for_comes_when_it_is_free),
		AT_PLACE(after_a_restart_each_keeps_what_its_status_says),
		AT_PLACE(both_families_are_served),
		AT_PLACE(a_bad_request_on_a_live_service_leaves_it_served),
		AT_PLACE(a_bad_request_costs_no_address_over_a_restart_either),
		AT_PLACE(an_address_that_is_asked_for_serves_before_the_old_one_goes),
		AT_PLACE(the_old_address_goes_also_if_a_port_comes_meanwhile),
		AT_PLACE(one_that_comes_back_has_its_name_again),
		AT_PLACE(in_dnat_a_service_has_one_address_at_a_time),
		AT_PLACE(who_cannot_be_served_now_keeps_its_address),
		AT_PLACE(but_gives_it_back_when_it_leaves),
		AT_PLACE(a_family_that_cannot_be_served_now_keeps_its_address),
		AT_PLACE(nodes_come_and_go),
		AT_PLACE(a_bad_annotation_of_a_node_is_named),
		AT_PLACE(a_nodes_reports_change_nothing),
		AT_PLACE(what_a_new_list_does_not_have_is_gone),
		AT_PLACE(what_a_list_has_as_it_cannot_be_is_not_gone),
		AT_PLACE(a_list_that_lacks_something_says_of_none_that_it_is_gone),
		AT_PLACE(nothing_is_given_or_written_before_all_is_known),
		AT_PLACE(what_the_file_has_stays_beside_the_cluster),
		AT_PLACE(a_node_of_the_file_and_the_cluster_is_one),
		AT_PLACE(what_there_is_no_room_for_is_left_out_and_named),
		AT_PLACE(a_node_whose_address_is_for_snat_is_left_out),
		AT_PLACE(kube_proxy_is_asked_about_nodes_or_about_a_local_service),
		AT_PLACE(annotations_tune_a_service),
		AT_PLACE(an_annotation_that_is_no_good_degrades_that_service_alone),
		AT_PLACE(who_does_not_lead_serves_what_is_recorded),
		AT_PLACE(what_no_pool_has_is_followed_once_it_is_published),
		AT_PLACE(an_author_of_a_service_cannot_have_it_served_at_any_address),
		AT_PLACE(a_record_takes_no_address_from_who_publishes_it),
		AT_PLACE(of_two_that_are_recorded_at_one_address_who_has_it_keeps_it),
		AT_PLACE(in_dnat_the_node_port_of_a_service_of_the_file_is_its_own),
		AT_PLACE(who_comes_to_another_s_port_by_a_mistake_waits),
		AT_PLACE(what_the_file_serves_is_no_service_s),
		AT_PLACE(before_anything_is_recorded_what_is_published_is_served),
		AT_PLACE(who_leads_next_keeps_all_addresses),
		AT_PLACE(what_a_leader_gave_and_could_not_record_is_given_up_with_the_lead),
		AT_PLACE(a_record_that_is_no_list_of_addresses_is_written_anew),
		AT_PLACE(a_status_waits_for_the_others),
		AT_PLACE(but_for_no_more_than_five_seconds),
		AT_PLACE(a_service_is_released_when_the_others_do_not_forward_either),
		AT_PLACE(a_port_that_joins_waits_for_the_others),
		AT_PLACE(who_comes_to_lead_waits_for_what_changed_before),
		AT_PLACE(what_the_others_have_followed_waits_for_nobody_who_comes_after),
		AT_PLACE(what_is_in_force_is_a_version_of_services),
		AT_PLACE(one_that_has_no_room_for_all_says_so_of_what_is_in_force),
		AT_PLACE(one_that_there_is_no_room_for_says_so_and_gets_no_address),
		AT_PLACE(who_is_served_goes_before_who_comes_where_there_is_no_room),
		AT_PLACE(who_was_served_before_a_restart_goes_before_who_was_not),
		AT_PLACE(one_that_releases_all_says_so_of_what_is_in_force),
		AT_PLACE(what_another_answers_for_is_forwarded_and_not_announced),
		AT_PLACE(after_a_restart_what_was_known_is_served_and_nothing_written),
		AT_PLACE(after_a_restart_a_list_says_what_is_still_so),
		AT_PLACE(after_a_restart_no_address_is_given_before_all_is_told),
		AT_PLACE(what_is_refused_before_all_is_told_is_told_of_then),
		AT_PLACE(
			after_a_restart_what_is_told_without_an_address_is_served_until_all_is_told),
		AT_PLACE(a_local_service_goes_where_its_endpoints_are),
		AT_PLACE(endpoints_that_end_but_serve_on_are_a_reserve),
		AT_PLACE(endpoints_of_other_services_change_nothing),
		AT_PLACE(after_a_restart_a_local_service_knows_its_endpoints),
		AT_PLACE(what_is_no_saved_cluster_is_refused),
		AT_PLACE(a_write_that_fails_is_tried_again_after_longer_and_longer),
		AT_PLACE(a_write_that_fails_three_times_is_told_by_an_event),
		AT_PLACE(a_status_that_is_overwritten_twice_in_a_minute_is_left),
		AT_PLACE(a_status_that_is_overwritten_now_and_then_is_put_right),
		AT_PLACE(what_another_notes_down_does_not_end_a_conflict),
		AT_PLACE(a_service_that_changes_has_its_status_written_again),
		AT_PLACE(a_conflict_keeps_no_service_from_its_end),
		AT_PLACE(namespaces_are_waited_for_where_a_pool_selects_by_them),
		AT_PLACE(a_service_gets_an_address_once_its_namespace_may_have_one),
		AT_PLACE(namespaces_are_not_saved),
		AT_PLACE(a_namespace_that_loses_its_labels_costs_no_service_its_address),
		AT_PLACE(namespaces_that_matter_from_now_on_end_nothing),
		AT_PLACE(all_services_are_released_and_none_is_claimed_until_told),
		AT_PLACE(what_could_not_be_written_is_said),
		AT_PLACE(a_waiting_service_is_released_too),
		AT_PLACE(in_dsr_it_is_programmed_once_a_node_knows_its_address),
		AT_PLACE(what_was_programmed_before_a_restart_is_not_taken_back),
		AT_PLACE(what_was_not_programmed_before_a_restart_is_to_be_learnt),
		AT_PLACE(a_change_to_dsr_is_written_once_workers_forward_so),
		AT_PLACE(a_port_that_comes_is_to_be_learnt_before_all_is_programmed_again),
		AT_PLACE(ports_that_go_and_other_node_ports_leave_all_programmed),
		AT_PLACE(another_way_to_nodes_is_to_be_learnt_at_the_same_address),
		AT_PLACE(after_a_restart_what_was_saved_as_programmed_is_not_taken_back),
		AT_PLACE(ports_without_tcp_learn_by_time_and_others_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
