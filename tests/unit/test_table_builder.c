#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "table_builder.h"

enum { RING_SIZE = 251, SERVICES_MAX = 8, NODES_MAX = 6, ALL_MAX = 8 };

// A model that tests change at will: nodes n0, n1, ... in one set, and services s0, s1, ... of it.
struct wanted {
	struct model model;
	struct model_node nodes[ALL_MAX];
	struct model_target targets[2][ALL_MAX];
	struct model_set sets[2];
	struct model_service services[ALL_MAX];
	char names[ALL_MAX][16];
	struct address snat[N_FAMILIES][2];
};

struct world {
	struct table_builder *builder;
	struct wanted wanted;
	char why[WHY_MAX];
};

static struct address address(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

static struct address numbered(const char *format, size_t number)
{
	char text[ADDRESS_TEXT_MAX];

	snprintf(text, sizeof(text), format, (unsigned)number);
	return address(text);
}

static void want_node(struct wanted *w, size_t number)
{
	size_t i = w->model.n_nodes++;

	w->nodes[i] = (struct model_node){
		.address = {numbered("10.0.0.%u", 1 + number), numbered("fd00::%u", 1 + number)}};
	snprintf(w->nodes[i].name, sizeof(w->nodes[i].name), "n%zu", number);
	w->targets[0][w->sets[0].n_targets++] = (struct model_target){i, 1, TARGET_UP};
}

static struct model_service *want_service(struct wanted *w, const char *vip, uint16_t port)
{
	size_t i = w->model.n_services++;
	struct model_service *s = &w->services[i];

	*s = (struct model_service){.vip = address(vip),
		.port = port,
		.node_port = 30080,
		.protocol = IPPROTO_TCP,
		.answers_arp = true,
		.target_family = strchr(vip, ':') == NULL ? IPV4 : IPV6,
		.idle_s = 300};
	snprintf(w->names[i], sizeof(w->names[i]), "s%zu", i);
	s->name = w->names[i];
	return s;
}

static void want(struct wanted *w, size_t n_nodes)
{
	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < 2; i++)
		w->sets[i].targets = w->targets[i];
	w->snat[IPV4][0] = address("192.0.2.10");
	w->snat[IPV6][0] = address("2001:db8::10");
	w->model = (struct model){
		.nodes = w->nodes,
		.sets = w->sets,
		.n_sets = 1,
		.services = w->services,
		.snat = {w->snat[IPV4], w->snat[IPV6]},
		.n_snat = {1, 1},
		.ring_size = RING_SIZE,
		.settings = {.snat_rest_s = 60},
	};
	for (size_t i = 0; i < n_nodes; i++)
		want_node(w, i);
	want_service(w, "192.0.2.80", 80);
}

static int create(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	if (world == NULL ||
		table_builder_create(SERVICES_MAX, NODES_MAX * N_FAMILIES, &world->builder) < 0)
		return -1;
	*state = world;
	return 0;
}

static int destroy(void **state)
{
	struct world *world = *state;

	table_builder_destroy(world->builder);
	free(world);
	return 0;
}

static const struct forwarding_table *build_reporting(
	struct world *world, const struct next_hop_finder *finder, struct build_report *report)
{
	const struct forwarding_table *table;

	if (table_builder_build(
		    world->builder, &world->wanted.model, finder, &table, report, world->why) < 0)
		fail_msg("not built: %s", world->why);
	return table;
}

static const struct forwarding_table *build(struct world *world)
{
	return build_reporting(world, NULL, NULL);
}

static void refuse(struct world *world, int r, const char *words)
{
	const struct forwarding_table *table = NULL;

	assert_int_equal(table_builder_build(world->builder, &world->wanted.model, NULL, &table,
				 NULL, world->why),
		r);
	assert_null(table);
	if (strstr(world->why, words) == NULL)
		fail_msg("'%s' does not say '%s'", world->why, words);
}

static service_id find(const struct forwarding_table *table, const char *vip, uint16_t port)
{
	struct address a = address(vip);

	return forwarding_table_find_service(table,
		index_hash_endpoint(&a, htons(port), IPPROTO_TCP), &a, htons(port), IPPROTO_TCP);
}

// Of want_node()'s node of that number, at its IPv4 address.
static node_id id_of(const struct world *world, size_t number)
{
	struct address at = numbered("10.0.0.%u", 1 + number);

	return table_builder_node(world->builder, &at);
}

static size_t slots_of(const struct service *s, node_id node)
{
	size_t n = 0;

	for (uint32_t slot = 0; slot < s->ring_size; slot++)
		n += s->ring[slot] == node;
	return n;
}

static bool held(void *argument, uint32_t id)
{
	return argument != NULL && *(const uint32_t *)argument == id;
}

static size_t free_ids(struct world *world, const uint32_t *held_id)
{
	return table_builder_free_ids(world->builder, held, held, (void *)held_id);
}

static void a_packet_finds_its_service_node_and_own_address(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 3);
	want_service(&world->wanted, "2001:db8::80", 443)->answers_arp = false;
	const struct forwarding_table *table = build(world);

	service_id web = find(table, "192.0.2.80", 80), secure = find(table, "2001:db8::80", 443);
	assert_int_equal(web, table_builder_service(world->builder, &world->wanted.services[0]));
	assert_int_equal(secure, table_builder_service(world->builder, &world->wanted.services[1]));
	assert_int_equal(find(table, "192.0.2.80", 81), SERVICE_NONE);
	assert_int_equal(find(table, "192.0.2.81", 80), SERVICE_NONE);
	assert_int_equal(table->services[web].node_port, htons(30080));
	assert_int_equal(table->services[web].idle_s, 300);
	assert_int_not_equal(table->services[web].salt, table->services[secure].salt);

	for (size_t i = 0; i < 3; i++) {
		const struct model_node *node = &world->wanted.nodes[i];

		for (enum family f = IPV4; f < N_FAMILIES; f++) {
			node_id id = table_builder_node(world->builder, &node->address[f]);
			struct address there = node_address(&table->nodes[id], f);

			assert_int_equal(forwarding_table_find_node(table, &node->address[f]), id);
			assert_true(address_equal(&there, &node->address[f]));
			assert_string_equal(
				table_builder_node_name(world->builder, id), node->name);
		}
	}

	struct address vip = address("2001:db8::80"), snat = address("2001:db8::10");
	struct address other = address("2001:db8::11");
	assert_int_equal(forwarding_table_find_own(table, &vip)->kind, OWN_VIP);
	assert_false(forwarding_table_find_own(table, &vip)->answers_arp);
	assert_int_equal(forwarding_table_find_own(table, &snat)->kind, OWN_SNAT);
	assert_true(forwarding_table_find_own(table, &snat)->answers_arp);
	assert_false(forwarding_table_find_own(table, &snat)->is_shared);
	assert_null(forwarding_table_find_own(table, &other));
	assert_int_equal(table->n_own, 4);
	assert_int_equal(table->generation, 1);
	assert_int_equal(table->settings.snat_rest_s, 60);
}

static void assert_finds_snat(const struct forwarding_table *table)
{
	struct address snat = address("192.0.2.10"), snat6 = address("2001:db8::10");
	struct address vip = address("192.0.2.80"), other = address("192.0.2.11");

	assert_int_equal(forwarding_table_find_snat(table, &snat)->kind, OWN_SNAT);
	assert_int_equal(forwarding_table_find_snat(table, &snat6)->kind, OWN_SNAT);
	assert_null(forwarding_table_find_snat(table, &vip));
	assert_null(forwarding_table_find_snat(table, &other));
}

static void snat_addresses_are_found_in_a_table_that_has_those_of_the_one_before(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 1);
	assert_finds_snat(build(world));
	world->wanted.targets[0][0].weight++;
	assert_finds_snat(build(world));
}

static void the_kernel_answers_for_snat_addresses_that_it_has_too(void **state)
{
	struct world *world = *state;
	struct address snat = address("192.0.2.10");

	want(&world->wanted, 1);
	world->wanted.model.snat_is_shared = true;
	const struct forwarding_table *table = build(world);
	const struct own_address *own = forwarding_table_find_own(table, &snat);

	assert_int_equal(own->kind, OWN_SNAT);
	assert_true(own->is_shared);
	assert_false(own->answers_arp);
	table_builder_release(world->builder, table);
}

static const struct service *web_of(const struct forwarding_table *table)
{
	return &table->services[find(table, "192.0.2.80", 80)];
}

// The world's service in that mode, in a table that is the only one from then on.
static const struct forwarding_table *build_in_mode(
	struct world *world, const struct forwarding_table *before, enum forwarding_mode mode)
{
	world->wanted.services[0].mode = mode;
	const struct forwarding_table *table = build(world);

	table_builder_release(world->builder, before);
	return table;
}

static bool end_flows(struct world *world, const uint32_t *held_id)
{
	return table_builder_end_flows(world->builder, held, (void *)held_id);
}

static void a_service_that_leaves_snat_keeps_its_flows_until_none_is_held(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 3);
	world->wanted.services[0].mode = MODE_DSR;
	const struct forwarding_table *table = build(world);
	assert_false(web_of(table)->keeps_flows);
	table = build_in_mode(world, table, MODE_SNAT);
	assert_false(web_of(table)->keeps_flows);
	table = build_in_mode(world, table, MODE_DSR);
	assert_true(web_of(table)->keeps_flows);
	table = build_in_mode(world, table, MODE_TUNNEL);
	assert_true(web_of(table)->keeps_flows);

	const uint32_t id = find(table, "192.0.2.80", 80);
	assert_false(end_flows(world, &id));
	const struct forwarding_table *other = build(world);
	assert_false(end_flows(world, NULL)); // A worker may forward by the one before still.
	table_builder_release(world->builder, table);
	assert_true(end_flows(world, NULL));
	table = build_in_mode(world, other, MODE_TUNNEL);
	assert_false(web_of(table)->keeps_flows);
	assert_false(end_flows(world, NULL));

	table = build_in_mode(world, table, MODE_SNAT);
	table = build_in_mode(world, table, MODE_DSR);
	assert_true(web_of(table)->keeps_flows);
}

// What is in a name after an @ is one Guideway's own history.
static void a_client_meets_the_same_node_at_both_addresses_of_a_service(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 3);
	world->wanted.services[0].name = "web";
	want_service(&world->wanted, "192.0.2.81", 80)->name = "web@192.0.2.81";
	const struct forwarding_table *table = build(world);

	service_id first = find(table, "192.0.2.80", 80), second = find(table, "192.0.2.81", 80);
	assert_int_not_equal(first, second);
	assert_int_equal(table->services[first].salt, table->services[second].salt);
}

static void shuffle(struct wanted *w)
{
	struct model_node node = w->nodes[0];
	struct model_service service = w->services[0];
	size_t n = w->model.n_nodes, m = w->model.n_services;

	memmove(&w->nodes[0], &w->nodes[1], (n - 1) * sizeof(node));
	w->nodes[n - 1] = node;
	for (size_t i = 0; i < n; i++)
		w->targets[0][i].node = (w->targets[0][i].node + n - 1) % n;
	memmove(&w->services[0], &w->services[1], (m - 1) * sizeof(service));
	w->services[m - 1] = service;
}

static void the_order_of_the_model_does_not_matter(void **state)
{
	struct world *world = *state, other = {0};

	want(&world->wanted, 5);
	want_service(&world->wanted, "192.0.2.80", 443);
	want_service(&world->wanted, "192.0.2.81", 80);
	other.wanted = world->wanted;
	want(&other.wanted, 5);
	want_service(&other.wanted, "192.0.2.80", 443);
	want_service(&other.wanted, "192.0.2.81", 80);
	shuffle(&other.wanted);
	shuffle(&other.wanted);

	assert_int_equal(
		table_builder_create(SERVICES_MAX, NODES_MAX * N_FAMILIES, &other.builder), 0);
	const struct forwarding_table *a = build(world), *b = build(&other);
	assert_memory_equal(a->nodes, b->nodes, a->n_nodes * sizeof(*a->nodes));
	assert_memory_equal(a->own, b->own, a->n_own * sizeof(*a->own));
	for (size_t id = 0; id < 3; id++) {
		assert_memory_equal(
			&a->services[id].vip, &b->services[id].vip, sizeof(struct address));
		assert_int_equal(a->services[id].salt, b->services[id].salt);
		assert_memory_equal(
			a->services[id].ring, b->services[id].ring, RING_SIZE * sizeof(node_id));
	}
	table_builder_destroy(other.builder);
}

static void rings_and_states_are_there_once(void **state)
{
	struct world *world = *state;
	struct build_report report;

	want(&world->wanted, 4);
	want_service(&world->wanted, "192.0.2.81", 80);
	want_service(&world->wanted, "2001:db8::80", 80);
	world->wanted.model.n_sets = 2; // The second is the first, in another order.
	for (size_t i = 0; i < 4; i++)
		world->wanted.targets[1][i] = world->wanted.targets[0][3 - i];
	world->wanted.sets[1].n_targets = 4;
	world->wanted.services[1].set = 1;

	const struct forwarding_table *first = build_reporting(world, NULL, &report);
	assert_int_equal(report.n_rings_built, 2); // One for each family.
	assert_ptr_equal(first->services[0].ring, first->services[1].ring);
	assert_ptr_not_equal(first->services[0].ring, first->services[2].ring);
	assert_ptr_equal(first->services[0].states, first->services[1].states);

	const struct forwarding_table *second = build_reporting(world, NULL, &report);
	assert_int_equal(report.n_rings_built, 0);
	assert_ptr_equal(first->services[0].ring, second->services[0].ring);
	assert_ptr_equal(first->routes.steps[IPV4], second->routes.steps[IPV4]);
	assert_ptr_not_equal(first->services, second->services);

	table_builder_release(world->builder, first);
	assert_int_equal(slots_of(&second->services[0], 0), 63); // Still there.
}

static void each_state_of_a_node_is_told_and_only_those_up_have_slots(void **state)
{
	struct world *world = *state;
	struct model_target *targets = world->wanted.targets[0];

	want(&world->wanted, 5);
	targets[1].state = TARGET_DOWN;
	targets[2].state = TARGET_DRAINING;
	targets[3].weight = 0;
	world->wanted.sets[0].n_targets = 4;
	const struct service *s = &build(world)->services[0];

	assert_int_equal(s->states[0], TARGET_UP);
	assert_int_equal(s->states[1], TARGET_DOWN);
	assert_int_equal(s->states[2], TARGET_DRAINING);
	assert_int_equal(s->states[3], TARGET_UP);
	assert_int_equal(s->states[4], TARGET_ABSENT);
	assert_int_equal(slots_of(s, 0), RING_SIZE);
}

static void a_node_that_is_not_ready_has_no_slots_and_is_awaited_where_no_other_has(void **state)
{
	struct world *world = *state;
	struct model_target *targets = world->wanted.targets[0];

	want(&world->wanted, 3);
	targets[0].state = targets[1].state = TARGET_NOT_READY;
	targets[2].state = TARGET_DOWN;
	world->wanted.sets[0].n_targets = 3;
	world->wanted.sets[0].fail_open = true; // There is somebody to wait for.
	const struct service *s = &build(world)->services[0];
	assert_null(s->ring);
	assert_true(s->is_awaited);
	assert_int_equal(s->states[0], TARGET_NOT_READY);
	assert_int_equal(s->states[2], TARGET_DOWN);

	targets[1].state = TARGET_UP;
	s = &build(world)->services[0];
	assert_int_equal(slots_of(s, 1), RING_SIZE);
	assert_false(s->is_awaited);

	targets[0].state = targets[1].state = TARGET_NOT_READY;
	targets[0].weight = targets[1].weight = 0;
	assert_false(build(world)->services[0].is_awaited);
}

static void with_every_node_down_a_service_rejects_or_uses_them_all(void **state)
{
	struct world *world = *state;
	struct build_report report;

	want(&world->wanted, 2);
	for (size_t i = 0; i < 2; i++)
		world->wanted.targets[0][i].state = TARGET_DOWN;
	const struct service *s = &build_reporting(world, NULL, &report)->services[0];
	assert_null(s->ring);
	assert_int_equal(s->states[0], TARGET_DOWN);
	assert_int_equal(report.n_services_unserved, 1);

	world->wanted.sets[0].fail_open = true;
	s = &build_reporting(world, NULL, &report)->services[0];
	assert_int_equal(slots_of(s, 0) + slots_of(s, 1), RING_SIZE);
	assert_int_equal(s->states[0], TARGET_UP);
	assert_int_equal(s->states[1], TARGET_UP);
	assert_int_equal(report.n_services_unserved, 0);

	world->wanted.targets[0][1].state = TARGET_UP;
	s = &build(world)->services[0];
	assert_int_equal(s->states[0], TARGET_DOWN);
	assert_int_equal(slots_of(s, 1), RING_SIZE);
}

static void where_all_down_are_used_one_without_weight_keeps_its_flows_and_gets_none(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 2);
	for (size_t i = 0; i < 2; i++)
		world->wanted.targets[0][i].state = TARGET_DOWN;
	world->wanted.targets[0][1].weight = 0;
	world->wanted.sets[0].fail_open = true;
	const struct service *s = &build(world)->services[0];

	assert_int_equal(slots_of(s, 0), RING_SIZE);
	assert_int_equal(s->states[1], TARGET_UP);
}

static void a_node_without_an_address_of_the_family_is_no_target(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 2);
	want_service(&world->wanted, "2001:db8::80", 80);
	world->wanted.nodes[0].address[IPV6] = (struct address){0};
	const struct forwarding_table *table = build(world);

	assert_int_equal(slots_of(&table->services[0], 0), 126);
	assert_int_equal(slots_of(&table->services[1], 0), 0);
	assert_int_equal(table->services[1].states[0], TARGET_ABSENT);
	assert_int_equal(table->services[0].states[0], TARGET_UP);
}

// Takes the node or service at 'i' out of what is wanted.
static void drop_node(struct wanted *w, size_t i)
{
	memmove(&w->nodes[i], &w->nodes[i + 1], (--w->model.n_nodes - i) * sizeof(w->nodes[0]));
	w->sets[0].n_targets--;
	for (size_t j = 0; j < w->model.n_nodes; j++)
		w->targets[0][j].node = j;
}

static void a_node_from_the_middle_leaves_the_others_their_ids(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 4);
	struct address one = world->wanted.nodes[1].address[IPV4];
	build(world);
	drop_node(&world->wanted, 1);
	want_node(&world->wanted, 7);
	const struct forwarding_table *second = build(world);

	assert_int_equal(id_of(world, 0), 0);
	assert_int_equal(id_of(world, 1), 1);
	assert_int_equal(id_of(world, 2), 2);
	assert_int_equal(id_of(world, 3), 3);
	assert_int_equal(id_of(world, 7), 8); // After two of each of the others.
	assert_int_equal(second->n_nodes, 10);
	assert_int_equal(second->services[0].states[1], TARGET_ABSENT);
	assert_int_equal(second->nodes[1].next_hop[IPV4], NEXT_HOP_NONE);
	assert_int_equal(slots_of(&second->services[0], 1), 0);
	assert_int_equal(forwarding_table_find_node(second, &one), NODE_NONE);
}

static void an_id_is_free_once_no_table_knows_it_and_nobody_holds_it(void **state)
{
	struct world *world = *state;
	const uint32_t one = 1;

	want(&world->wanted, 3);
	const struct forwarding_table *first = build(world);
	assert_int_equal(free_ids(world, NULL), 0); // The last table has them all.
	drop_node(&world->wanted, 1);
	const struct forwarding_table *second = build(world);
	assert_int_equal(free_ids(world, NULL), 0); // A worker may see the first.

	table_builder_release(world->builder, first);
	assert_int_equal(free_ids(world, &one), 1); // A flow has it: only that of IPv6 goes.
	assert_string_equal(table_builder_node_name(world->builder, 1), "n1");
	assert_int_equal(free_ids(world, NULL), 1);
	assert_null(table_builder_node_name(world->builder, 1));
	assert_int_equal(id_of(world, 1), NODE_NONE);

	want_node(&world->wanted, 5);
	build(world);
	assert_int_equal(id_of(world, 5), 1);
	assert_int_equal(second->n_nodes, 6);
}

static void a_service_that_is_gone_keeps_its_id_from_others(void **state)
{
	struct world *world = *state;

	want(&world->wanted, 1);
	want_service(&world->wanted, "192.0.2.81", 80);
	want_service(&world->wanted, "192.0.2.82", 80);
	const struct forwarding_table *first = build(world);

	world->wanted.services[1] = world->wanted.services[2];
	world->wanted.model.n_services = 2;
	const struct forwarding_table *second = build(world);
	assert_int_equal(second->n_services, 3);
	assert_false(service_exists(&second->services[1]));
	assert_int_equal(find(second, "192.0.2.81", 80), SERVICE_NONE);
	assert_int_equal(find(second, "192.0.2.82", 80), 2);

	table_builder_release(world->builder, first);
	assert_int_equal(free_ids(world, NULL), 1);
	world->wanted.services[1].name = "new";
	build(world);
	assert_int_equal(table_builder_service(world->builder, &world->wanted.services[1]), 1);
}

static void a_name_that_returns_before_its_id_is_freed_has_it_again(void **state)
{
	struct world *world = *state;
	struct wanted all;

	want(&world->wanted, 3);
	const struct forwarding_table *first = build(world);
	all = world->wanted;
	drop_node(&world->wanted, 1);
	build(world);
	table_builder_release(world->builder, first);

	memcpy(world->wanted.nodes, all.nodes, sizeof(all.nodes));
	world->wanted.model.n_nodes = world->wanted.sets[0].n_targets = 3;
	memcpy(world->wanted.targets, all.targets, sizeof(all.targets));
	build(world);
	assert_int_equal(id_of(world, 1), 1);
	assert_int_equal(free_ids(world, NULL), 0);
}

static void too_many_nodes_are_refused_and_the_last_state_stays(void **state)
{
	struct world *world = *state;

	want(&world->wanted, NODES_MAX);
	const struct forwarding_table *table = build(world);
	want_node(&world->wanted, 6);
	refuse(world, -ENOSPC, "14 addresses of nodes, 2 of them new, and room for 12");
	assert_int_equal(id_of(world, 6), NODE_NONE);

	// One left, and its id is still held.
	drop_node(&world->wanted, 2);
	refuse(world, -ENOSPC, "room for 12, of which 2 are held by flows");

	drop_node(&world->wanted, 5);
	assert_int_equal(build(world)->generation, table->generation + 1);
}

static void too_many_services_are_refused(void **state)
{
	struct world *world = *state;
	struct model_service more[SERVICES_MAX + 1];
	char names[SERVICES_MAX + 1][16];

	want(&world->wanted, 1);
	for (size_t i = 0; i <= SERVICES_MAX; i++) {
		more[i] = world->wanted.services[0];
		more[i].port = (uint16_t)(1 + i);
		snprintf(names[i], sizeof(names[i]), "more%zu", i);
		more[i].name = names[i];
	}
	world->wanted.model.services = more;
	world->wanted.model.n_services = SERVICES_MAX + 1;
	refuse(world, -ENOSPC, "9 services, 9 of them new, and room for 8");
	assert_int_equal(table_builder_service(world->builder, &more[0]), SERVICE_NONE);
	world->wanted.model.n_services = SERVICES_MAX;
	build(world);
}

static void a_model_that_contradicts_itself_is_refused(void **state)
{
	struct world *world = *state;
	struct wanted *w = &world->wanted;

	want(w, 2);
	want_service(w, "192.0.2.80", 80);
	refuse(world, -EINVAL, "services s0 and s1 have one address and port");

	want(w, 2);
	want_service(w, "192.0.2.80", 80)->name = "s0";
	refuse(world, -EINVAL, "service s0 is there twice");
	w->model.n_services = 1;
	build(world);
	w->model.n_services = 2; // It is known now.
	refuse(world, -EINVAL, "service s0 is there twice");

	want(w, 2);
	want_service(w, "192.0.2.10", 80);
	refuse(world, -EINVAL, "service s1 has an SNAT address for its VIP");

	want(w, 2);
	w->targets[0][1].node = 0;
	refuse(world, -EINVAL, "service s0 uses a node that is none, or one twice");

	want(w, 2);
	w->targets[0][1].node = 2;
	refuse(world, -EINVAL, "service s0 uses a node that is none, or one twice");

	want(w, 2);
	w->services[0].set = 1;
	refuse(world, -EINVAL, "service s0 uses a node that is none, or one twice");

	want(w, 2);
	w->model.n_snat[IPV4] = 2;
	w->snat[IPV4][1] = w->snat[IPV4][0];
	refuse(world, -EINVAL, "SNAT address 192.0.2.10 comes twice");

	want(w, 2);
	w->nodes[1].address[IPV6] = w->nodes[0].address[IPV6];
	refuse(world, -EINVAL, "two nodes have the address fd00::1");
}

// By each address a node is another one to flows, and by its name the same to rings.
static void a_node_is_an_address_to_flows_and_a_name_to_rings(void **state)
{
	struct world *world = *state;
	struct wanted *w = &world->wanted;
	node_id before[RING_SIZE];

	want(w, 3);
	const struct forwarding_table *table = build(world);
	memcpy(before, table->services[0].ring, sizeof(before));

	snprintf(w->nodes[1].name, NAME_TEXT_MAX, "renamed");
	table = build(world);
	assert_int_equal(id_of(world, 1), 1);
	assert_int_equal(table->n_nodes, 6);
	assert_string_equal(table_builder_node_name(world->builder, 1), "renamed");
	assert_true(table_builder_knows_node(world->builder, "renamed"));
	assert_false(table_builder_knows_node(world->builder, "n1"));

	want(w, 3);
	w->nodes[1].address[IPV4] = address("10.0.0.99");
	table = build(world);
	node_id after = id_of(world, 98);
	assert_int_equal(after, 6);
	assert_int_equal(table->nodes[1].ipv4, 0);
	for (size_t slot = 0; slot < RING_SIZE; slot++)
		assert_int_equal(
			table->services[0].ring[slot], before[slot] == 1 ? after : before[slot]);
}

static next_hop_id find_nine(void *, const struct address *)
{
	return 9;
}

static void next_hops_come_of_the_routes_or_of_the_caller(void **state)
{
	struct world *world = *state;
	struct route routes[] = {{address("10.0.0.0"), 24, NEXT_HOP_RESOLVE},
		{address("10.0.0.2"), 32, 5}, {address("fd00::"), 64, 6}};
	const struct next_hop_finder finder = {.find = find_nine};

	want(&world->wanted, 3);
	world->wanted.nodes[2].address[IPV6] = (struct address){0};
	const struct forwarding_table *table = build(world);
	assert_int_equal(table->nodes[0].next_hop[IPV4], NEXT_HOP_NONE);

	assert_int_equal(table_builder_set_routes(world->builder, routes, 3), 0);
	const struct forwarding_table *routed = build(world);
	assert_int_equal(routed->nodes[0].next_hop[IPV4], NEXT_HOP_RESOLVE);
	assert_int_equal(routed->nodes[1].next_hop[IPV4], 5);
	assert_int_equal(routed->nodes[3].next_hop[IPV6], 6);
	assert_int_equal(routed->nodes[2].next_hop[IPV6], NEXT_HOP_NONE);
	assert_int_equal(route_find(routed->routes.steps[IPV4], (uint8_t[]){10, 0, 0, 2}), 5);
	assert_int_equal(
		route_find(table->routes.steps[IPV4], (uint8_t[]){10, 0, 0, 2}), NEXT_HOP_NONE);

	routes[1].length = 33;
	assert_int_equal(table_builder_set_routes(world->builder, routes, 3), -EINVAL);
	table = build_reporting(world, &finder, NULL);
	assert_int_equal(route_find(table->routes.steps[IPV4], (uint8_t[]){10, 0, 0, 2}), 5);
	assert_int_equal(table->nodes[0].next_hop[IPV4], 9);
	assert_int_equal(table->nodes[2].next_hop[IPV6], NEXT_HOP_NONE);
}

static void what_a_ring_cannot_represent_is_told(void **state)
{
	struct world *world = *state;
	struct build_report report;

	want(&world->wanted, 2);
	world->wanted.targets[0][0].weight = 1000000;
	build_reporting(world, NULL, &report);
	assert_int_equal(report.n_rings_scaled, 1);
	assert_int_equal(report.n_targets_left_out, 0);
}

// Changes at random, tables given back at random, and every id checked against what it was.
// Three sets whose ring is another without the first node: of set 0 in both families, and of set 1.
static void want_three_rings(struct wanted *w)
{
	want(w, 4);
	w->model.n_sets = 2;
	memcpy(w->targets[1], w->targets[0], sizeof(w->targets[0]));
	w->targets[1][1].weight = 5;
	w->sets[1].n_targets = w->sets[0].n_targets;
	want_service(w, "2001:db8::80", 80);
	want_service(w, "192.0.2.81", 80)->set = 1;
}

static void lose_node(struct wanted *w, size_t node)
{
	w->targets[0][node].state = w->targets[1][node].state = TARGET_DOWN;
}

static bool has_node(const struct service *s, node_id node)
{
	for (uint32_t i = 0; i < s->ring_size; i++) {
		if (s->ring[i] == node)
			return true;
	}
	return false;
}

// How many of the three services still give flows to it.
static size_t count_users(const struct forwarding_table *table, node_id node)
{
	size_t n = 0;

	for (size_t i = 0; i < 3; i++)
		n += has_node(&table->services[i], node);
	return n;
}

static node_id first_of(const struct world *world)
{
	return table_builder_node(world->builder, &world->wanted.nodes[0].address[IPV4]);
}

static void a_table_makes_as_many_rings_as_it_may_and_the_others_stay_as_they_were(void **state)
{
	struct world *world = *state;
	struct build_report report;

	want_three_rings(&world->wanted);
	world->wanted.services[1].vip = address("192.0.2.82"); // All in IPv4: two rings.
	world->wanted.services[1].target_family = IPV4;
	const struct forwarding_table *first = build(world), *second, *third;
	node_id lost = first_of(world);
	assert_int_equal(count_users(first, lost), 3);

	lose_node(&world->wanted, 0);
	table_builder_limit_rings(world->builder, 1);
	second = build_reporting(world, NULL, &report);
	assert_int_equal(report.n_rings_built, 1);
	assert_int_equal(report.n_services_late, 1);
	assert_int_equal(count_users(second, lost), 1);
	assert_ptr_equal(second->services[2].ring, first->services[2].ring);
	assert_int_equal(second->services[2].states[lost], TARGET_DOWN);
	table_builder_release(world->builder, first);
	assert_true(has_node(&second->services[2], lost)); // It is there still.

	third = build_reporting(world, NULL, &report);
	assert_int_equal(report.n_rings_built, 1);
	assert_int_equal(report.n_services_late, 0);
	assert_int_equal(count_users(third, lost), 0);
}

static void a_late_service_is_not_overtaken_by_others_that_change_again_and_again(void **state)
{
	struct world *world = *state;

	want_three_rings(&world->wanted);
	build(world);
	lose_node(&world->wanted, 0);
	table_builder_limit_rings(world->builder, 1);
	for (unsigned i = 0; i < 2; i++) {
		build(world);
		world->wanted.targets[0][1].weight++; // Two of the three rings are others again.
	}
	assert_false(has_node(&build(world)->services[2], first_of(world)));
}

static void a_service_without_any_ring_yet_is_awaited(void **state)
{
	struct world *world = *state;
	struct build_report report;

	want_three_rings(&world->wanted);
	table_builder_limit_rings(world->builder, 1);
	const struct forwarding_table *table = build_reporting(world, NULL, &report);

	assert_int_equal(report.n_services_late, 2);
	assert_non_null(table->services[0].ring);
	assert_false(table->services[0].is_awaited);
	assert_null(table->services[2].ring);
	assert_true(table->services[2].is_awaited);
	build(world);
	table = build_reporting(world, NULL, &report);
	assert_int_equal(report.n_services_late, 0);
	assert_non_null(table->services[2].ring);
	assert_false(table->services[2].is_awaited);
}

// Its id may soon be another's.
static void a_late_service_does_not_keep_a_ring_with_a_node_that_is_gone(void **state)
{
	struct world *world = *state;

	want_three_rings(&world->wanted);
	build(world);
	node_id gone = first_of(world);
	want_three_rings(&world->wanted);
	world->wanted.nodes[0].address[IPV4] = address("10.0.0.99");
	table_builder_limit_rings(world->builder, 1);
	const struct forwarding_table *table = build(world);

	for (size_t i = 0; i < 3; i++)
		assert_true(
			table->services[i].ring == NULL || !has_node(&table->services[i], gone));
	assert_null(table->services[2].ring);
	assert_non_null(table->services[1].ring); // It is the same at its IPv6 address.
}

static void ids_survive_any_history(void **state)
{
	struct world *world = *state;
	const struct forwarding_table *tables[3] = {0};
	uint64_t seed = 7;

	for (size_t turn = 0; turn < 300; turn++) {
		node_id ids[6];
		uint64_t chosen = mix(++seed) % 63 + 1;

		for (size_t i = 0; i < 6; i++)
			ids[i] = id_of(world, i);
		want(&world->wanted, 0);
		for (size_t i = 0; i < 6; i++) {
			if (chosen & (1u << i))
				want_node(&world->wanted, i);
		}
		table_builder_release(world->builder, tables[turn % 3]);
		tables[turn % 3] = build(world);
		for (size_t i = 0; i < 6; i++) {
			node_id id = id_of(world, i);

			if (ids[i] != NODE_NONE)
				assert_int_equal(id, ids[i]);
			else
				assert_int_equal(id != NODE_NONE, (chosen >> i) & 1);
		}
		free_ids(world, NULL);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)
	const struct CMUnitTest tests[] = {
		TEST(a_packet_finds_its_service_node_and_own_address),
		TEST(a_client_meets_the_same_node_at_both_addresses_of_a_service),
		TEST(the_order_of_the_model_does_not_matter),
		TEST(snat_addresses_are_found_in_a_table_that_has_those_of_the_one_before),
		TEST(the_kernel_answers_for_snat_addresses_that_it_has_too),
		TEST(a_service_that_leaves_snat_keeps_its_flows_until_none_is_held),
		TEST(rings_and_states_are_there_once),
		TEST(each_state_of_a_node_is_told_and_only_those_up_have_slots),
		TEST(a_node_that_is_not_ready_has_no_slots_and_is_awaited_where_no_other_has),
		TEST(with_every_node_down_a_service_rejects_or_uses_them_all),
		TEST(where_all_down_are_used_one_without_weight_keeps_its_flows_and_gets_none),
		TEST(a_node_without_an_address_of_the_family_is_no_target),
		TEST(a_node_from_the_middle_leaves_the_others_their_ids),
		TEST(an_id_is_free_once_no_table_knows_it_and_nobody_holds_it),
		TEST(a_service_that_is_gone_keeps_its_id_from_others),
		TEST(a_name_that_returns_before_its_id_is_freed_has_it_again),
		TEST(too_many_nodes_are_refused_and_the_last_state_stays),
		TEST(too_many_services_are_refused),
		TEST(a_model_that_contradicts_itself_is_refused),
		TEST(a_node_is_an_address_to_flows_and_a_name_to_rings),
		TEST(next_hops_come_of_the_routes_or_of_the_caller),
		TEST(what_a_ring_cannot_represent_is_told),
		TEST(a_table_makes_as_many_rings_as_it_may_and_the_others_stay_as_they_were),
		TEST(a_late_service_is_not_overtaken_by_others_that_change_again_and_again),
		TEST(a_service_without_any_ring_yet_is_awaited),
		TEST(a_late_service_does_not_keep_a_ring_with_a_node_that_is_gone),
		TEST(ids_survive_any_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
