#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>

#include "address_text.h"
#include "api/api.h"
#include "clock.h"
#include "intent.h"
#include "log.h"
#include "recording_dataplane.h"

struct place {
	struct scratch scratch;
	struct dataplane dp;
	struct config *config;
	struct control_sources sources;
	struct load load;
	struct loop_timer patience;
	unsigned status; // Of the last call.
	size_t n_steps;
	json_t *answer;
};

static void ignore(void *)
{
}

static void stop(void *argument, uint64_t)
{
	loop_stop(argument);
}

static int make_reconcile(struct place *p)
{
	struct reconcile_config config = {
		.loop = p->sources.loop,
		.dp = &p->dp,
		.drains = p->scratch.drains,
		.services_max = 64,
		.nodes_max = 64,
		.ready = ignore,
	};
	char why[WHY_MAX];

	int r = reconcile_create(&config, &p->sources.reconcile);
	return r < 0 ? r : reconcile_want(p->sources.reconcile, p->config, why);
}

// Services web over a, b and c, and dns over a, in force.
static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	*state = p;
	p->config = config_of("a b c");
	p->config->dataplane.n_workers = 1;
	p->config->dataplane.n_ports = 1;
	strcpy(p->config->dataplane.instance, "test");
	add_service(p->config, "web", "abc");
	add_service(p->config, "dns", "a")->protocol = IPPROTO_UDP;
	p->sources = (struct control_sources){.dp = &p->dp, .config = p->config, .load = &p->load};
	if (scratch_open(&p->scratch) < 0 || loop_create(&p->sources.loop) < 0 ||
		make_reconcile(p) < 0)
		return -1;

	p->patience =
		(struct loop_timer){.name = "patience", .fn = stop, .argument = p->sources.loop};
	loop_timer_set(p->sources.loop, &p->patience, loop_clock_ns() + 20 * NSEC_PER_MSEC);
	return loop_run(p->sources.loop);
}

static int unmake_place(void **state)
{
	struct place *p = *state;

	json_decref(p->answer);
	reconcile_destroy(p->sources.reconcile);
	loop_destroy(p->sources.loop);
	free_config(p->config);
	int r = scratch_close(&p->scratch);
	free(p);
	return r;
}

// Arguments are "name=value&name=value".
static json_t *ask(struct place *p, const char *method, const char *path, const char *arguments)
{
	struct api_call call = {.from = &p->sources};
	char *copy = strdup(arguments);

	for (char *a = strtok(copy, "&"); a != NULL; a = strtok(NULL, "&")) {
		char *value = strchr(a, '=');

		*value = '\0';
		call.arguments[call.n_arguments++] =
			(struct api_argument){.name = a, .value = value + 1};
	}
	p->n_steps = 0;
	for (bool more = api_start(&call, method, path); more; more = api_go_on(&call))
		p->n_steps++;
	json_decref(p->answer);
	p->answer = json_loadb(call.text, call.len, 0, NULL);
	p->status = call.status;
	assert_non_null(p->answer);
	api_clear(&call);
	free(copy);
	return p->answer;
}

static json_t *at(json_t *list, size_t i)
{
	json_t *item = json_array_get(list, i);

	assert_non_null(item);
	return item;
}

static long long number(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static const char *text(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_string(value));
	return json_string_value(value);
}

static node_id node_of(const struct place *p, char letter)
{
	struct address at = letter_address(letter);

	return table_builder_node(reconcile_builder(p->sources.reconcile), &at);
}

static service_id service_of(const struct place *p, const char *name)
{
	const struct plan *plan = reconcile_plan(p->sources.reconcile);
	size_t i = plan_find_service(plan, name);

	return table_builder_service(reconcile_builder(p->sources.reconcile), &plan->services[i]);
}

static const struct refusal_case {
	const char *name;
	const char *method;
	const char *path;
	const char *arguments;
	unsigned status;
	const char *sentence; // A part of it.
} refusals[] = {
	{"no such path", "GET", "/v1/nothing", "", 404, "/v1/status"},
	{"root", "GET", "/", "", 404, "there is no /"},
	{"wrong method", "POST", "/v1/status", "", 405, "takes GET"},
	{"drain by GET", "GET", "/v1/nodes/a/drain", "", 405, "takes POST"},
	{"drain of an unknown node with a slash", "POST", "/v1/nodes/a/b/drain", "", 404,
		"no node \"a/b\""},
	{"nothing between", "POST", "/v1/nodes/drain", "", 404, "there is no /v1"},
	{"no name", "POST", "/v1/nodes//drain", "", 404, "there is no"},
	{"unknown argument", "GET", "/v1/services", "colour=red", 400, "\"colour\""},
	{"unknown service", "GET", "/v1/services", "service=x", 404, "\"x\""},
	{"unknown node", "GET", "/v1/nodes", "node=x", 404, "\"x\""},
	{"drain of an unknown node", "POST", "/v1/nodes/x/drain", "", 404, "\"x\""},
	{"flows of an unknown node", "GET", "/v1/flows", "node=x", 404, "\"x\""},
	{"flows of no protocol", "GET", "/v1/flows", "protocol=quic", 400, "\"quic\""},
	{"flows of no state", "GET", "/v1/flows", "state=free", 400, "half-open"},
	{"flows of no client", "GET", "/v1/flows", "client=10.0.0", 400, "\"10.0.0\""},
	{"no limit", "GET", "/v1/flows", "limit=0", 400, "1 to 10000"},
	{"limit too high", "GET", "/v1/flows", "limit=10001", 400, "1 to 10000"},
	{"limit with a sign", "GET", "/v1/flows", "limit=-1", 400, "1 to 10000"},
	{"explain nothing", "GET", "/v1/explain", "", 400, "protocol"},
	{"explain without a port", "GET", "/v1/explain",
		"protocol=tcp&client=198.51.100.7&vip=192.0.2.80:80", 400, "client has to be"},
	{"explain across families", "GET", "/v1/explain",
		"protocol=tcp&client=[2001:db8::1]:9&vip=192.0.2.80:80", 400, "one family"},
	{"trace nothing", "GET", "/v1/trace", "", 400, "protocol"},
	{"trace half a byte", "GET", "/v1/trace", "frame=012", 400, "has 3 hexadecimal digits"},
	{"trace no digits", "GET", "/v1/trace", "frame=01g3", 400, "its character 3"},
	{"trace too little", "GET", "/v1/trace", "frame=00112233445566778899aabbcc", 400,
		"13 bytes; must have 14 to 9018"},
	{"trace of no port", "GET", "/v1/trace", "frame=00&port=1", 400, "from 0 to 0"},
	{"trace of a port with a sign", "GET", "/v1/trace", "frame=00&port=-0", 400, "\"-0\""},
	{"trace from nowhere", "GET", "/v1/trace", "frame=00&origin=moon", 400, "port or kernel"},
	{"trace of both", "GET", "/v1/trace", "frame=00&protocol=tcp", 400, "instead of it"},
};

static void what_makes_no_sense_is_refused_with_a_sentence(void **state)
{
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal_case *c = &refusals[i];
		json_t *answer = ask(p, c->method, c->path, c->arguments);

		if (p->status != c->status || strstr(text(answer, "error"), c->sentence) == NULL)
			fail_msg("%s: %u %s", c->name, p->status, text(answer, "error"));
	}
}

static void status_tells_of_ports_tables_and_flows(void **state)
{
	struct place *p = *state;

	p->dp.counters.flows[IPV4] = 17;
	json_t *answer = ask(p, "GET", "/v1/status", "");
	assert_int_equal(p->status, 200);
	assert_string_equal(text(answer, "instance"), "test");
	assert_true(json_is_true(json_object_get(answer, "ready")));
	assert_int_equal(number(answer, "services"), 2);
	assert_int_equal(number(json_object_get(answer, "flows"), "ipv4"), 17);
	assert_int_equal(number(json_object_get(answer, "table"), "published"), 2);
	assert_int_equal(number(json_object_get(answer, "table"), "rings_scaled"), 0);
	assert_string_equal(text(at(json_object_get(answer, "ports"), 0), "driver"), "net_null");
}

// Takes 'changed' in place of the configuration that there is.
static void want(struct place *p, struct config *changed)
{
	char why[WHY_MAX];

	assert_int_equal(reconcile_want(p->sources.reconcile, changed, why), 0);
	free_config(p->config);
	p->config = changed;
	p->sources.config = changed;
}

static void status_tells_of_rings_too_small_for_their_weights(void **state)
{
	struct place *p = *state;

	struct config *changed = copy_of_config(p->config);

	changed->ring_size = 11;
	changed->nodes[0].weight = 1000;
	want(p, changed);
	json_t *table = json_object_get(ask(p, "GET", "/v1/status", ""), "table");
	assert_int_equal(number(table, "rings_scaled"), 1);
	assert_int_equal(number(table, "targets_left_out"), 0);
}

static void services_come_with_what_their_nodes_are(void **state)
{
	struct place *p = *state;

	p->dp.traffic.bytes_out = 1ull << 40;
	assert_int_equal(reconcile_drain(p->sources.reconcile, "b"), 0);
	json_t *services = json_object_get(ask(p, "GET", "/v1/services", ""), "services");
	assert_int_equal(json_array_size(services), 2);
	assert_int_equal(p->n_steps, 3); // One each, and the end.

	json_t *web = at(services, 0);
	assert_string_equal(text(web, "name"), "web");
	assert_string_equal(text(web, "vip"), "192.0.2.80");
	assert_string_equal(text(at(services, 1), "protocol"), "udp");
	assert_int_equal(number(json_object_get(web, "nodes"), "up"), 2);
	assert_int_equal(number(json_object_get(web, "nodes"), "draining"), 1);
	assert_int_equal(number(json_object_get(web, "nodes"), "total"), 3);
	assert_int_equal(number(json_object_get(web, "traffic"), "bytes_out"), 1ull << 40);
}

// Puts services of every mode in force: web in snat, dns in dnat, then dsr, ipip and gue.
static void use_every_mode(struct place *p)
{
	static const enum forwarding_mode modes[] = {
		MODE_SNAT, MODE_DNAT, MODE_DSR, MODE_TUNNEL, MODE_TUNNEL};

	struct config *changed = copy_of_config(p->config);

	add_service(changed, "dsr", "abc");
	add_service(changed, "ipip", "abc");
	struct service_config *gue = add_service(changed, "gue", "abc");

	gue->tunnel_kind = TUNNEL_GUE;
	gue->vip = (struct address){.bytes = {0xfd, [15] = 80}};
	for (size_t i = 0; i < changed->n_services; i++)
		changed->services[i]->mode = modes[i];
	changed->services[0]->affinity_s = 10800;
	changed->services[2]->mss = 1400;
	changed->settings.gue_port = htons(6080);
	want(p, changed);
}

static void services_come_with_their_modes(void **state)
{
	struct place *p = *state;

	use_every_mode(p);
	json_t *services = json_object_get(ask(p, "GET", "/v1/services", ""), "services");
	assert_string_equal(text(at(services, 0), "mode"), "snat");
	assert_true(json_is_null(json_object_get(at(services, 0), "tunnel")));
	assert_int_equal(number(at(services, 0), "affinity_s"), 10800);
	assert_string_equal(text(at(services, 1), "mode"), "dnat");
	assert_string_equal(text(at(services, 2), "mode"), "dsr");
	assert_int_equal(number(at(services, 2), "mss"), 1400);
	assert_string_equal(text(at(services, 3), "mode"), "tunnel");
	assert_string_equal(text(at(services, 3), "tunnel"), "ip");
	assert_string_equal(text(at(services, 4), "tunnel"), "gue");
	assert_string_equal(text(at(services, 4), "target_family"), "ipv4");
}

static const struct way_case {
	const char *service;
	enum forwarding_mode mode;
	const char *way;
} ways[] = {
	{"web", MODE_SNAT,
		"from an SNAT address, to the NodePort, 127.0.0.2:30081; replies come back through "
		"Guideway"},
	{"dns", MODE_DNAT,
		"from the client's address, to the NodePort, 127.0.0.2:30082; replies come back "
		"through Guideway"},
	{"dsr", MODE_DSR,
		"as it came, to the MAC address of 127.0.0.2; replies go straight to the client"},
	{"ipip", MODE_TUNNEL,
		"as it came, in an outer packet to 127.0.0.2, IPv4 in IPv4; replies go straight to "
		"the client"},
	{"gue", MODE_TUNNEL,
		"as it came, in an outer packet to 127.0.0.2:6080, IPv6 in GUE over IPv4; replies "
		"go straight to the client"},
};

static void an_explanation_says_the_way_to_the_node_in_each_mode(void **state)
{
	struct place *p = *state;

	use_every_mode(p);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct way_case *c = &ways[i];

		p->dp.explanation = (struct explanation){
			.service = service_of(p, c->service),
			.mode = c->mode,
			.worker = UINT32_MAX,
			.slot_node = node_of(p, 'b'),
			.node = node_of(p, 'b'),
		};
		json_t *answer = ask(p, "GET", "/v1/explain",
			"protocol=tcp&client=198.51.100.7:31337&vip=192.0.2.80:81");
		if (strcmp(text(answer, "way"), c->way) != 0)
			fail_msg("%s: %s", c->service, text(answer, "way"));
		assert_string_equal(text(answer, "mode"), forwarding_mode_word(c->mode));
	}
}

static void one_service_comes_with_its_members(void **state)
{
	struct place *p = *state;

	assert_int_equal(reconcile_drain(p->sources.reconcile, "b"), 0);
	json_t *services =
		json_object_get(ask(p, "GET", "/v1/services", "service=web"), "services");
	assert_int_equal(json_array_size(services), 1);

	json_t *members = json_object_get(at(services, 0), "members");
	assert_int_equal(json_array_size(members), 3);
	assert_string_equal(text(at(members, 1), "node"), "b");
	assert_string_equal(text(at(members, 1), "state"), "draining");
}

static void a_drain_is_told_by_post_and_shown_by_get(void **state)
{
	struct place *p = *state;

	json_t *answer = ask(p, "POST", "/v1/nodes/b/drain", "");
	assert_int_equal(p->status, 200);
	assert_true(json_is_true(json_object_get(answer, "drained")));

	json_t *nodes = json_object_get(ask(p, "GET", "/v1/nodes", "node=b"), "nodes");
	assert_int_equal(json_array_size(nodes), 1);
	assert_string_equal(text(at(nodes, 0), "state"), "draining");
	assert_int_equal(number(at(nodes, 0), "services"), 1);

	ask(p, "POST", "/v1/nodes/b/undrain", "");
	nodes = json_object_get(ask(p, "GET", "/v1/nodes", ""), "nodes");
	assert_int_equal(json_array_size(nodes), 3);
	assert_string_equal(text(at(nodes, 1), "state"), "up");
	assert_int_equal(number(at(nodes, 0), "services"), 2);
}

// 3000 flows: from 198.51.0.0 on, each third of node a, b or c, each tenth half-open.
static void fill_flows(struct place *p)
{
	for (uint32_t i = 0; i < 3000; i++) {
		p->dp.flows[i] = (struct flow_view){
			.client = address_from_ipv4(htonl(0xc6330000 + i)),
			.client_port = htons(31337),
			.node_port = htons(30081),
			.protocol = IPPROTO_TCP,
			.service = service_of(p, "web"),
			.node = node_of(p, "abc"[i % 3]),
			.state = i % 10 == 0 ? FLOW_HALF_OPEN : FLOW_ESTABLISHED,
		};
	}
	p->dp.n_flows = 3000;
}

static void a_node_at_another_address_is_shown_at_both_while_flows_go_on(void **state)
{
	struct place *p = *state;
	struct config after = *p->config;
	struct node_config nodes[3];
	char why[WHY_MAX];

	fill_flows(p);
	memcpy(nodes, p->config->nodes, sizeof(nodes));
	nodes[1].address[IPV4] = letter_address('y');
	nodes[1].address[IPV6] = (struct address){.bytes = {0xfd, [15] = 2}};
	strcpy(nodes[2].name, "renamed");
	after.nodes = nodes;
	assert_int_equal(reconcile_want(p->sources.reconcile, &after, why), 0);

	json_t *found = json_object_get(ask(p, "GET", "/v1/nodes", "node=b"), "nodes");
	assert_int_equal(json_array_size(found), 2);
	assert_true(json_is_false(json_object_get(at(found, 0), "leaving")));
	assert_int_equal(json_array_size(json_object_get(at(found, 0), "addresses")), 2);
	assert_int_equal(json_array_size(json_object_get(at(found, 0), "ids")), 2);
	assert_true(json_is_true(json_object_get(at(found, 1), "leaving")));
	assert_string_equal(
		json_string_value(at(json_object_get(at(found, 1), "addresses"), 0)), "127.0.0.2");

	// Flows are with the address: of the old b under its name, of c under the name it has now.
	json_t *answer = ask(p, "GET", "/v1/flows", "node=b&limit=5000");
	assert_int_equal(json_array_size(json_object_get(answer, "flows")), 1000);
	answer = ask(p, "GET", "/v1/flows", "node=renamed&limit=5000");
	assert_int_equal(json_array_size(json_object_get(answer, "flows")), 1000);
	ask(p, "GET", "/v1/flows", "node=c");
	assert_int_equal(p->status, 404);

	assert_int_equal(reconcile_want(p->sources.reconcile, p->config, why), 0);
}

static void a_node_with_slashes_in_its_name_is_drained_like_any(void **state)
{
	struct place *p = *state;

	struct config *changed = copy_of_config(p->config);

	strcpy(changed->nodes[1].name, "rack/1/drain");
	want(p, changed);
	json_t *answer = ask(p, "POST", "/v1/nodes/rack/1/drain/drain", "");
	assert_int_equal(p->status, 200);
	assert_string_equal(text(answer, "node"), "rack/1/drain");

	ask(p, "POST", "/v1/nodes/rack/1/drain/undrain", "");
	assert_int_equal(p->status, 200);
}

static const struct filter_case {
	const char *name;
	const char *arguments;
	size_t n_flows;
	bool truncated;
} filters[] = {
	{"all, up to the limit", "", 1000, true},
	{"all", "limit=10000", 3000, false},
	{"as many as the limit", "limit=3000", 3000, false},
	{"one too many", "limit=2999", 2999, true},
	{"of a node", "node=b&limit=5000", 1000, false},
	{"of a service", "service=dns", 0, false},
	{"of a protocol", "protocol=udp", 0, false},
	{"of a state", "state=half-open", 300, false},
	{"of a client", "client=198.51.3.7", 1, false},
	{"of clients", "client=198.51.3.0/24", 256, false},
	{"of clients, not on a byte's edge", "client=198.51.2.0/23", 512, false},
	{"of clients of the other family", "client=2001:db8::/32", 0, false},
	{"of all clients of the family", "client=0.0.0.0/0&limit=10000", 3000, false},
	{"of two filters", "node=a&state=half-open", 100, false},
};

static void flows_are_filtered_and_bounded_and_the_bound_is_said(void **state)
{
	struct place *p = *state;

	fill_flows(p);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		const struct filter_case *c = &filters[i];
		json_t *answer = ask(p, "GET", "/v1/flows", c->arguments);
		size_t n = json_array_size(json_object_get(answer, "flows"));

		if (p->status != 200 || n != c->n_flows ||
			json_is_true(json_object_get(answer, "truncated")) != c->truncated)
			fail_msg("%s: %zu flows", c->name, n);
	}
}

static void a_flow_is_shown_by_names(void **state)
{
	struct place *p = *state;

	fill_flows(p);
	json_t *flow =
		at(json_object_get(ask(p, "GET", "/v1/flows", "client=198.51.0.1"), "flows"), 0);
	assert_string_equal(text(flow, "client"), "198.51.0.1:31337");
	assert_string_equal(text(flow, "service"), "web");
	assert_string_equal(text(flow, "node"), "b");
	assert_string_equal(text(flow, "state"), "established");
	assert_int_equal(number(flow, "node_port"), 30081);
}

static void counters_are_by_word_by_service_and_by_node(void **state)
{
	struct place *p = *state;

	p->dp.counters.drops[DROP_NO_SERVICE] = 5;
	p->dp.counters.events[EVENT_RX_PACKETS] = 9;
	p->dp.flows_of_node[node_of(p, 'c')] = 4;
	json_t *answer = ask(p, "GET", "/v1/counters", "");

	assert_int_equal(number(json_object_get(answer, "drops"), "no-service"), 5);
	assert_int_equal(number(json_object_get(answer, "events"), "rx-packets"), 9);
	assert_string_equal(text(json_object_get(answer, "sentences"), "no-service"),
		drop_reason_sentence(DROP_NO_SERVICE));
	assert_int_equal(json_array_size(json_object_get(answer, "workers")), 1);
	assert_int_equal(json_array_size(json_object_get(answer, "services")), 2);
	assert_int_equal(number(at(json_object_get(answer, "nodes"), 2), "flows"), 4);
}

static void an_explanation_is_asked_in_network_order_and_told_in_names(void **state)
{
	struct place *p = *state;
	p->dp.explanation = (struct explanation){
		.drop = DROP_NONE,
		.service = service_of(p, "web"),
		.worker = UINT32_MAX,
		.slot = 77,
		.slot_node = node_of(p, 'b'),
		.node = node_of(p, 'b'),
	};
	json_t *answer = ask(p, "GET", "/v1/explain",
		"protocol=tcp&client=198.51.100.7:31337&vip=192.0.2.80:81");
	assert_int_equal(p->dp.explained.client_port, htons(31337));
	assert_int_equal(p->dp.explained.port, htons(81));
	assert_true(json_is_true(json_object_get(answer, "forwarded")));
	assert_string_equal(text(answer, "service"), "web");
	assert_string_equal(text(answer, "slot_node"), "b");
	assert_int_equal(number(answer, "slot"), 77);
	assert_null(json_object_get(answer, "worker"));

	p->dp.explanation = (struct explanation){.drop = DROP_NO_SERVICE,
		.service = SERVICE_NONE,
		.slot_node = NODE_NONE,
		.node = NODE_NONE};
	answer = ask(p, "GET", "/v1/explain",
		"protocol=udp&client=[2001:db8::7]:9&vip=[2001:db8::80]:53");
	assert_true(json_is_false(json_object_get(answer, "forwarded")));
	assert_string_equal(text(answer, "drop"), "no-service");
}

static void an_explanation_tells_of_affinity_and_of_replies(void **state)
{
	struct place *p = *state;

	p->dp.explanation = (struct explanation){
		.service = service_of(p, "web"),
		.worker = 0,
		.slot_node = node_of(p, 'a'),
		.affinity_found = true,
		.affinity_node = node_of(p, 'c'),
		.affinity_left_s = 55,
		.node = node_of(p, 'c'),
	};
	json_t *answer = ask(p, "GET", "/v1/explain",
		"protocol=tcp&client=198.51.100.7:31337&vip=192.0.2.80:81");
	assert_string_equal(text(answer, "affinity_node"), "c");
	assert_int_equal(number(answer, "affinity_left_s"), 55);
	assert_true(json_is_false(json_object_get(answer, "reply")));

	p->dp.explanation.affinity_found = false;
	p->dp.explanation.is_reply = true;
	answer = ask(p, "GET", "/v1/explain",
		"protocol=tcp&client=198.51.100.7:31337&vip=192.0.2.80:81");
	assert_null(json_object_get(answer, "affinity_node"));
	assert_true(json_is_true(json_object_get(answer, "reply")));
	assert_non_null(strstr(text(answer, "way"), "back to the client, from "));
}

// The one sentence of that step.
static const char *step_says(json_t *answer, const char *step)
{
	json_t *steps = json_object_get(answer, "steps"), *s;
	size_t i;

	json_array_foreach(steps, i, s)
	{
		if (strcmp(text(s, "step"), step) == 0)
			return text(s, "says");
	}
	fail_msg("no step %s", step);
	return NULL;
}

// A SYN from 198.51.100.7:31337 to 192.0.2.80:81 that is handed to worker 1 and begins a flow.
static void fill_trace(struct place *p, struct trace *trace)
{
	struct trace_headers headers = {
		.kind = TRACE_PORTS,
		.family = IPV4,
		.protocol = IPPROTO_TCP,
		.hop_limit = 64,
		.ip_len = 40,
		.source_port = htons(31337),
		.destination_port = htons(81),
		.tcp_flags = 2,
	};
	struct trace_visit visit = {
		.whose = TRACE_TO_SERVICE,
		.service = service_of(p, "web"),
		.has_slot = true,
		.slot = 77,
		.slot_node = node_of(p, 'b'),
		.node = NODE_NONE,
		.next_hop = NEXT_HOP_NONE,
		.handed_to = 1,
	};

	address_parse("198.51.100.7", &headers.source);
	address_parse("192.0.2.80", &headers.destination);
	visit.headers = headers;
	*trace = (struct trace){.n_visits = 2, .visits = {visit, visit}};
	visit.worker = 1;
	visit.handed_to = UINT32_MAX;
	visit.flow_begun = true;
	visit.flow.node = visit.node = node_of(p, 'b');
	visit.flow.snat_port = htons(4567);
	trace->visits[1] = visit;
	trace->has_event[EVENT_FLOWS_CREATED] = true;
	trace->n_frames = 1;
	trace->frames[0] = (struct trace_frame){TRACE_BY_PORT, 0, 0, 2};
	trace->bytes[0] = 0xab;
	trace->bytes[1] = 0x01;
	trace->n_bytes = 2;
}

static void a_trace_tells_each_step_by_names_and_what_leaves(void **state)
{
	struct place *p = *state;

	fill_trace(p, &p->dp.trace);
	p->dp.trace_delay = 3;
	json_t *answer =
		ask(p, "GET", "/v1/trace", "frame=00112233445566778899aabb0800&origin=kernel");
	assert_int_equal(p->status, 200);
	assert_false(p->dp.traces);
	assert_true(p->dp.traced_request.from_kernel);
	assert_int_equal(p->dp.traced_request.len, 14);
	assert_int_equal(p->dp.traced[11], 0xbb);
	assert_string_equal(text(answer, "verdict"), "leaves");
	assert_string_equal(text(answer, "drop"), "none");
	assert_string_equal(step_says(answer, "read"),
		"tcp SYN 198.51.100.7:31337 > 192.0.2.80:81, 40 bytes of IPv4, hop limit 64");
	assert_string_equal(step_says(answer, "service"), "web, in the mode snat");
	assert_string_equal(step_says(answer, "slot"), "77 of the service's ring, node b");
	assert_string_equal(step_says(answer, "owner"), "handed to worker 1");
	assert_string_equal(step_says(answer, "flow"),
		"there is none; one would begin, to node b from SNAT port 4567");
	json_t *frame = at(json_object_get(answer, "frames"), 0);
	assert_string_equal(text(frame, "way"), "port");
	assert_string_equal(text(frame, "bytes"), "ab01");
}

static void a_trace_of_what_is_dropped_says_why_and_whether_the_sender_is_told(void **state)
{
	struct place *p = *state;

	fill_trace(p, &p->dp.trace);
	p->dp.trace.drop = DROP_NO_SERVICE;
	json_t *answer = ask(p, "GET", "/v1/trace", "frame=00112233445566778899aabb0800");
	assert_string_equal(text(answer, "verdict"), "dropped");
	assert_string_equal(text(answer, "drop"), "no-service");
	assert_string_equal(text(answer, "sentence"), drop_reason_sentence(DROP_NO_SERVICE));
	assert_true(json_is_true(json_object_get(answer, "answered")));
}

// RFC 1071: the sum of all words, and the checksum, is ~0.
static bool sums_up(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static void a_trace_by_ends_is_of_a_packet_that_begins_their_flow(void **state)
{
	struct place *p = *state;
	const uint8_t *frame = p->dp.traced;

	fill_trace(p, &p->dp.trace);
	ask(p, "GET", "/v1/trace", "protocol=tcp&client=198.51.100.7:31337&vip=192.0.2.80:81");
	assert_int_equal(p->dp.traced_request.len, 54);
	assert_true(sums_up(frame + 14, 20, 0));
	assert_true(sums_up(frame + 26, 28, IPPROTO_TCP + 20));
	assert_int_equal(frame[36] << 8 | frame[37], 81);
	assert_int_equal(frame[47], 2);

	p->config->dataplane.ports[0].vlan = 5;
	ask(p, "GET", "/v1/trace", "protocol=udp&client=[2001:db8::7]:9&vip=[2001:db8::80]:53");
	assert_int_equal(p->dp.traced_request.len, 66);
	assert_int_equal(frame[12] << 8 | frame[13], 0x8100);
	assert_int_equal(frame[15], 5);
	assert_true(sums_up(frame + 18 + 8, 40, IPPROTO_UDP + 8));
	p->config->dataplane.ports[0].vlan = 0;

	ask(p, "GET", "/v1/trace", "protocol=sctp&client=198.51.100.7:9&vip=192.0.2.80:81");
	assert_int_equal(p->dp.traced_request.len, 46);
	assert_int_equal(frame[23], IPPROTO_SCTP);
}

static void only_one_traces_at_a_time_and_who_gives_up_is_no_hindrance(void **state)
{
	static const char *const arguments = "frame=00112233445566778899aabb0800";
	struct place *p = *state;
	struct api_call call = {.from = &p->sources,
		.arguments = {{"frame", "00112233445566778899aabb0800"}},
		.n_arguments = 1};

	fill_trace(p, &p->dp.trace);
	p->dp.trace_delay = 1000000;
	assert_true(api_start(&call, "GET", "/v1/trace"));
	assert_true(api_go_on(&call));
	assert_true(call.wait_ns > 0);
	ask(p, "GET", "/v1/trace", arguments);
	assert_int_equal(p->status, 409);
	api_clear(&call);
	assert_false(p->dp.traces);
	p->dp.trace_delay = 0;
	ask(p, "GET", "/v1/trace", arguments);
	assert_int_equal(p->status, 200);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, unmake_place)

static void a_capture_ends_with_as_many_packets_as_are_wanted(void **state)
{
	struct place *p = *state;

	p->dp.n_captured = 5;
	json_t *answer =
		ask(p, "GET", "/v1/capture", "packets=3&host=10.0.0.1&protocol=sctp&port=80");
	json_t *packets = json_object_get(answer, "packets"), *packet = at(packets, 2);

	assert_int_equal(p->status, 200);
	assert_int_equal(json_array_size(packets), 3);
	assert_int_equal(number(answer, "lost"), 7);
	assert_false(p->dp.captures);
	assert_int_equal(p->dp.capture_filter.port, htons(80));
	assert_int_equal(p->dp.capture_filter.protocol, IPPROTO_SCTP);
	assert_int_equal(number(packet, "len"), 3000);
	assert_string_equal(json_string_value(json_object_get(packet, "bytes")), "ab01");
	assert_string_equal(json_string_value(json_object_get(packet, "drop")), "no-service");
}

static void a_capture_that_is_given_up_ends(void **state)
{
	struct place *p = *state;
	struct api_call call = {.from = &p->sources};

	assert_true(api_start(&call, "GET", "/v1/capture"));
	assert_true(api_go_on(&call));
	assert_true(call.wait_ns > 0);
	assert_true(p->dp.captures);
	ask(p, "GET", "/v1/capture", "");
	assert_int_equal(p->status, 409);
	api_clear(&call);
	assert_false(p->dp.captures);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(what_makes_no_sense_is_refused_with_a_sentence),
		IN_PLACE(status_tells_of_ports_tables_and_flows),
		IN_PLACE(status_tells_of_rings_too_small_for_their_weights),
		IN_PLACE(services_come_with_what_their_nodes_are),
		IN_PLACE(services_come_with_their_modes),
		IN_PLACE(an_explanation_says_the_way_to_the_node_in_each_mode),
		IN_PLACE(one_service_comes_with_its_members),
		IN_PLACE(a_drain_is_told_by_post_and_shown_by_get),
		IN_PLACE(a_node_at_another_address_is_shown_at_both_while_flows_go_on),
		IN_PLACE(a_node_with_slashes_in_its_name_is_drained_like_any),
		IN_PLACE(flows_are_filtered_and_bounded_and_the_bound_is_said),
		IN_PLACE(a_flow_is_shown_by_names),
		IN_PLACE(counters_are_by_word_by_service_and_by_node),
		IN_PLACE(an_explanation_is_asked_in_network_order_and_told_in_names),
		IN_PLACE(an_explanation_tells_of_affinity_and_of_replies),
		IN_PLACE(a_trace_tells_each_step_by_names_and_what_leaves),
		IN_PLACE(a_trace_of_what_is_dropped_says_why_and_whether_the_sender_is_told),
		IN_PLACE(a_trace_by_ends_is_of_a_packet_that_begins_their_flow),
		IN_PLACE(only_one_traces_at_a_time_and_who_gives_up_is_no_hindrance),
		IN_PLACE(a_capture_ends_with_as_many_packets_as_are_wanted),
		IN_PLACE(a_capture_that_is_given_up_ends),
	};

	log_start(LEVEL_ERROR);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
