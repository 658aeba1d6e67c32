#include "documents.h"

#include <netinet/in.h>
#include <string.h>

#include "clock.h"
#include "intent.h"
#include "kubernetes/address_pool.h"
#include "kubernetes/cluster.h"
#include "name.h"
#include "plan.h"
#include "probe.h"
#include "table_builder.h"

// Two clusters live through the same random history, from what is told to tables. One keeps the
// pieces that did not change; of the other the file is read anew before each join, so that all is
// made anew. They have to be alike at every step; and a table is to say what one says that has none
// before it, but for the ids. The one that keeps makes one ring a table, and is alike once no
// service is late.

enum { N_SERVICES = 12, N_NODES = 5, N_STEPS = 1500 };

// One of the two.
struct side {
	struct cluster *cluster;
	struct cluster_config *joined;
	struct health *health;
	struct plan *plan;
	struct table_builder *builder;
	const struct forwarding_table *table;
	struct text_lines left_out;
	bool made; // By the last step.
};

struct pair {
	struct config file;
	struct loop *loop;
	struct scratch scratch;
	struct side kept, anew;
	uint64_t now_ns;
	uint64_t random;
	unsigned n_late; // Tables that lacked rings.
};

static unsigned roll(struct pair *p, unsigned n)
{
	p->random = mix(p->random + 0x9e3779b97f4a7c15);
	return (unsigned)(p->random % n);
}

static void ignore(void *, const struct probe *, enum verdict)
{
}

static void open_side(struct pair *p, struct side *s)
{
	assert_int_equal(cluster_create(&p->file, &s->cluster), 0);
	assert_int_equal(cluster_set_lead(s->cluster, true, p->now_ns), 0); // It gives addresses.
	assert_int_equal(health_create(p->loop, ignore, NULL, &s->health), 0);
	assert_int_equal(table_builder_create(64, 64, &s->builder), 0);
}

static void close_side(struct side *s)
{
	plan_destroy(s->plan, s->health);
	health_destroy(s->health);
	table_builder_destroy(s->builder);
	cluster_config_free(s->joined);
	cluster_destroy(s->cluster);
	text_lines_clear(&s->left_out);
}

static void configure(struct config *file)
{
	static struct address_range range;
	static struct address_pool pool;

	// Some are nodes'. There are so many that nobody waits: all are asked again only where
	// the file is read anew.
	assert_int_equal(address_range_parse("10.0.0.1-10.0.0.250", &range), 0);
	pool = (struct address_pool){
		.name = "edge", .ranges = &range, .n_ranges = 1, .automatic = true};
	file->kubernetes.pools = &pool;
	file->kubernetes.n_pools = 1;
	strcpy(file->kubernetes.class, "guideway.dev/lb");
	file->nodes_max = 8;
	file->services_max = 64; // All fit: who is left out, else, depends on what was before.
	file->ring_size = 251;
	file->drain_s = 5;
	file->snat[IPV4][0] = address_from_ipv4(htonl(0xc000020a));
	file->n_snat[IPV4] = 1;
	file->check = (struct check_config){
		.interval_ms = 2000, .timeout_ms = 1000, .rise = 1, .fall = 1};
}

// What happens

static void tell_both(struct pair *p, enum cluster_resource resource, bool is_gone, json_t *json)
{
	assert_int_equal(cluster_tell(p->kept.cluster, resource, is_gone, json, p->now_ns), 0);
	assert_int_equal(cluster_tell(p->anew.cluster, resource, is_gone, json, p->now_ns), 0);
	json_decref(json);
}

static void tell_service(struct pair *p)
{
	static const char *const sources[] = {"",
		"'loadBalancerSourceRanges': ['198.51.100.0/24'],",
		"'loadBalancerSourceRanges': ['203.0.113.0/24', '192.0.2.0/24'],"};
	unsigned i = roll(p, N_SERVICES);
	bool is_local = roll(p, 3) == 0;
	char text[1024];

	snprintf(text, sizeof(text),
		"{'metadata': {'namespace': 'default', 'name': 'web%s%u', 'uid': 'u-%u',"
		" 'finalizers': ['guideway.dev/lb-cleanup']},"
		" 'spec': {'type': 'LoadBalancer', 'loadBalancerClass': '%s', %s"
		" 'externalTrafficPolicy': '%s', 'healthCheckNodePort': %u,"
		" 'ports': [{'port': 80, 'nodePort': %u}%s]}}",
		i % 2 == 0 ? "-" : "", i, i, roll(p, 8) == 0 ? "another" : "guideway.dev/lb",
		sources[roll(p, 3)], is_local ? "Local" : "Cluster", is_local ? 31000 + i : 0,
		30000 + roll(p, 4) * 100 + i,
		roll(p, 2) == 0 ? ", {'port': 443, 'nodePort': 30443}" : "");
	tell_both(p, CLUSTER_SERVICES, roll(p, 6) == 0, document(text));
}

// At one of its own two addresses, or at one of the pool's.
static void tell_node(struct pair *p)
{
	unsigned i = roll(p, N_NODES);
	bool is_its_own = roll(p, 2) == 0;
	char text[512];

	snprintf(text, sizeof(text),
		"{'metadata': {'name': 'n%u'}, 'spec': {}, 'status': {'addresses': ["
		"{'type': 'InternalIP', 'address': '10.0.%u.%u'}]}}",
		i, is_its_own, is_its_own ? 3 + i + 10 * roll(p, 2) : 1 + roll(p, 250));
	tell_both(p, CLUSTER_NODES, roll(p, 6) == 0, document(text));
}

static void tell_slice(struct pair *p)
{
	unsigned i = roll(p, N_SERVICES);
	char text[512];

	snprintf(text, sizeof(text),
		"{'metadata': {'namespace': 'default', 'name': 'slice%u',"
		" 'labels': {'kubernetes.io/service-name': 'web%s%u'}}, 'addressType': 'IPv4',"
		" 'endpoints': [{'addresses': ['10.1.0.1'], 'nodeName': 'n%u'},"
		" {'addresses': ['10.1.0.2'], 'nodeName': 'n%u'}]}",
		roll(p, 2 * N_SERVICES), i % 2 == 0 ? "-" : "", i, roll(p, N_NODES),
		roll(p, N_NODES));
	tell_both(p, CLUSTER_SLICES, roll(p, 4) == 0, document(text));
}

static void answer_all(struct side *s, const struct address *address, bool good, uint64_t now_ns)
{
	struct answer said = {.verdict = good ? VERDICT_UP : VERDICT_DOWN, .is_told = true};

	for (size_t i = 0; s->plan != NULL && i < s->plan->n_pools; i++) {
		for (size_t j = 0; j < s->plan->pools[i].n_members; j++) {
			struct probe *probe = s->plan->pools[i].members[j].probe;

			if (probe != NULL &&
				address_equal(&probe_config_of(probe)->address, address))
				probe_answer(probe, &said, now_ns);
		}
	}
}

// Of all nodes, at either of their own addresses, most of which are well.
static void tell_verdicts(struct pair *p)
{
	for (unsigned i = 0; i < 2 * N_NODES; i++) {
		struct address address =
			address_from_ipv4(htonl(0x0a000103 + i % N_NODES + 10 * (i / N_NODES)));
		bool good = roll(p, 8) != 0;

		answer_all(&p->kept, &address, good, p->now_ns);
		answer_all(&p->anew, &address, good, p->now_ns);
	}
}

static bool is_held(void *, const struct address *)
{
	return true;
}

static bool is_no_id_held(void *, uint32_t)
{
	return false;
}

static void happen(struct pair *p)
{
	static void (*const news[])(struct pair * p) = {
		tell_service, tell_service, tell_service, tell_node, tell_slice, tell_verdicts};

	news[roll(p, sizeof(news) / sizeof(news[0]))](p);
	p->now_ns += roll(p, 1000) * NSEC_PER_MSEC;
}

// What comes of it

// Every service has a ring of nodes that are there, if any.
static void assert_goes_nowhere_unknown(const struct forwarding_table *table)
{
	for (service_id id = 0; id < table->n_services; id++) {
		const struct service *s = &table->services[id];

		for (uint32_t i = 0; s->ring != NULL && i < s->ring_size; i++) {
			struct address address = node_address(&table->nodes[s->ring[i]], IPV4);

			assert_false(address_is_none(&address));
		}
	}
}

// Builds tables until no service is late.
static void build_on(struct pair *p, struct side *s, struct plan *plan)
{
	const struct forwarding_table *table;
	struct build_report report;
	unsigned n = 0;
	char why[WHY_MAX];

	do {
		assert_true(n++ < 4 * N_SERVICES);
		if (table_builder_build(s->builder, plan_refresh(plan, p->now_ns), NULL, &table,
			    &report, why) < 0)
			fail_msg("%s", why);
		assert_goes_nowhere_unknown(table);
		table_builder_release(s->builder, s->table);
		s->table = table;
		p->n_late += report.n_services_late > 0;
	} while (report.n_services_late > 0);
}

static void join(struct pair *p, struct side *s)
{
	struct cluster_config *joined;

	text_lines_clear(&s->left_out);
	int r = cluster_join(s->cluster, s->joined, &joined, &s->left_out);
	assert_true(r == 0 || r == 1);
	s->made = r == 0;
	const struct config *config = cluster_config_of(s->made ? joined : s->joined);
	if (s->plan != NULL)
		plan_end_leaving(s->plan, is_held, NULL, p->now_ns);

	struct plan *plan = plan_create(config, s->plan, p->scratch.drains, s->health, p->now_ns);
	assert_non_null(plan);
	build_on(p, s, plan);
	plan_destroy(s->plan, s->health);
	s->plan = plan;
	table_builder_free_ids(s->builder, is_no_id_held, is_no_id_held, NULL);
	if (s->made) {
		cluster_config_free(s->joined);
		s->joined = joined;
	}
	cluster_is_in_force(s->cluster, p->now_ns);
}

static void assert_same_service(const struct config *a, const struct service_config *s,
	const struct config *b, const struct service_config *t)
{
	struct node_indexes nodes = config_nodes_of(a, s), others = config_nodes_of(b, t);

	assert_string_equal(s->name, t->name);
	assert_memory_equal(&s->vip, &t->vip, sizeof(s->vip));
	assert_int_equal(s->node_port, t->node_port);
	assert_int_equal(nodes.n, others.n);
	assert_memory_equal(nodes.at, others.at, nodes.n * sizeof(size_t));
	assert_int_equal(s->weights == NULL, t->weights == NULL);
	if (s->weights != NULL)
		assert_memory_equal(s->weights, t->weights, s->n_nodes * sizeof(uint32_t));
	assert_int_equal(check_config_compare(&s->check, &t->check), 0);
	assert_int_equal(s->check.fallback_port, t->check.fallback_port);
	assert_int_equal(s->check.port, t->check.port);
	assert_int_equal(s->sources, t->sources);
	if (s->sources > 0)
		assert_memory_equal(a->source_lists[s->sources - 1].prefixes,
			b->source_lists[t->sources - 1].prefixes,
			a->source_lists[s->sources - 1].n * sizeof(struct prefix));
}

static void assert_same_configs(const struct config *a, const struct config *b)
{
	assert_int_equal(a->n_nodes, b->n_nodes);
	assert_memory_equal(a->nodes, b->nodes, a->n_nodes * sizeof(a->nodes[0]));
	assert_int_equal(a->n_source_lists, b->n_source_lists);
	assert_int_equal(a->n_services, b->n_services);
	for (size_t i = 0; i < a->n_services; i++)
		assert_same_service(a, a->services[i], b, b->services[i]);
}

static void assert_asks_what_is_wanted(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_pools; i++) {
		const struct pool *pool = &plan->pools[i];
		const struct check_config *check =
			&plan->config->services[pool->first_service]->check;

		for (size_t j = 0; j < pool->n_members; j++) {
			const struct probe *probe = pool->members[j].probe;

			if (probe != NULL)
				assert_int_equal(
					check_config_compare(&probe_config_of(probe)->check, check),
					0);
		}
	}
}

static void assert_same_plans(const struct plan *a, const struct plan *b)
{
	assert_int_equal(a->n_nodes, b->n_nodes);
	assert_int_equal(a->n_pools, b->n_pools);
	assert_int_equal(a->n_settled, b->n_settled);
	assert_memory_equal(a->pool_of, b->pool_of, a->config->n_services * sizeof(size_t));
	assert_memory_equal(
		a->services_by_name, b->services_by_name, a->config->n_services * sizeof(size_t));
	for (size_t i = 0; i < a->n_pools; i++) {
		const struct pool *c = &a->pools[i], *d = &b->pools[i];

		assert_int_equal(c->n_members, d->n_members);
		assert_int_equal(c->n_leaving, d->n_leaving);
		assert_int_equal(c->n_services, d->n_services);
		assert_int_equal(c->first_service, d->first_service);
		assert_int_equal(c->n_targets, d->n_targets);
		assert_memory_equal(c->targets, d->targets, c->n_targets * sizeof(c->targets[0]));
	}
}

static void assert_same_tables(const struct forwarding_table *a, const struct forwarding_table *b)
{
	assert_int_equal(a->n_services, b->n_services);
	assert_int_equal(a->n_nodes, b->n_nodes);
	assert_int_equal(a->n_own, b->n_own);
	assert_memory_equal(a->nodes, b->nodes, a->n_nodes * sizeof(a->nodes[0]));
	assert_memory_equal(a->own, b->own, a->n_own * sizeof(a->own[0]));
	for (size_t i = 0; i < a->n_services; i++) {
		struct service s = a->services[i], t = b->services[i];

		assert_int_equal(s.ring == NULL, t.ring == NULL);
		if (s.ring != NULL)
			assert_memory_equal(s.ring, t.ring, s.ring_size * sizeof(s.ring[0]));
		if (s.states != NULL)
			assert_memory_equal(s.states, t.states, a->n_nodes);
		s.ring = t.ring = NULL;
		s.states = t.states = NULL;
		assert_memory_equal(&s, &t, sizeof(s));
	}
}

static struct address address_of(
	const struct forwarding_table *table, const struct service *service, uint32_t slot)
{
	return node_address(&table->nodes[service->ring[slot]], IPV4);
}

// Of one service, by the ids of two tables.
static void assert_alike(const struct forwarding_table *a, const struct service *s,
	const struct forwarding_table *b, const struct service *t)
{
	struct service u = *t;

	assert_int_equal(s->ring == NULL, t->ring == NULL);
	for (uint32_t i = 0; s->ring != NULL && i < s->ring_size; i++) {
		struct address x = address_of(a, s, i), y = address_of(b, t, i);

		assert_true(address_equal(&x, &y));
	}
	for (size_t i = 0; i < b->n_nodes; i++) {
		struct address address = node_address(&b->nodes[i], IPV4);

		assert_int_equal(s->states[forwarding_table_find_node(a, &address)], t->states[i]);
	}
	u.ring = s->ring;
	u.states = s->states;
	assert_memory_equal(s, &u, sizeof(u));
}

static service_id find(const struct forwarding_table *table, const struct service *s)
{
	uint64_t hash = index_hash_endpoint(&s->vip, s->port, s->protocol);

	return forwarding_table_find_service(table, hash, &s->vip, s->port, s->protocol);
}

static size_t count_keys(const struct index *index)
{
	size_t n = 0;

	for (size_t i = 0; i <= index->mask; i++)
		n += index->slots[i].at != INDEX_EMPTY;
	return n;
}

static void assert_same_own(const struct forwarding_table *a, const struct forwarding_table *b)
{
	assert_int_equal(a->n_own, b->n_own);
	assert_int_equal(count_keys(&a->own_index), a->n_own);
	for (size_t i = 0; i < b->n_own; i++) {
		const struct own_address *own = forwarding_table_find_own(a, &b->own[i].address);

		assert_non_null(own);
		assert_memory_equal(own, &b->own[i], sizeof(*own));
	}
}

static void assert_says_the_same(const struct forwarding_table *a, const struct forwarding_table *b)
{
	size_t n = 0;

	for (service_id id = 0; id < a->n_services; id++) {
		const struct service *s = &a->services[id];

		if (!service_exists(s))
			continue;
		n++;
		assert_int_equal(find(a, s), id);
		assert_int_not_equal(find(b, s), SERVICE_NONE);
		assert_alike(a, s, b, &b->services[find(b, s)]);
	}
	assert_int_equal(count_keys(&a->service_index), n);
	assert_int_equal(count_keys(&b->service_index), n);
	assert_same_own(a, b);
}

static void assert_as_built_anew(const struct pair *p, const struct side *s)
{
	struct table_builder *builder;
	const struct forwarding_table *table;
	char why[WHY_MAX];

	assert_int_equal(table_builder_create(64, 64, &builder), 0);
	if (table_builder_build(
		    builder, plan_refresh(s->plan, p->now_ns), NULL, &table, NULL, why) < 0)
		fail_msg("%s", why);
	assert_says_the_same(s->table, table);
	table_builder_destroy(builder);
}

static size_t count_rings(const struct forwarding_table *table)
{
	size_t n = 0;

	for (service_id id = 0; id < table->n_services; id++)
		n += table->services[id].ring != NULL;
	return n;
}

static void what_is_kept_is_what_would_be_made_anew(void **state)
{
	struct pair *p = *state;
	unsigned n_made = 0;
	size_t n_served = 0, n_rings = 0;

	for (unsigned i = 0; i < N_STEPS; i++) {
		for (unsigned n = 1 + roll(p, 3); n > 0; n--)
			happen(p);
		assert_int_equal(cluster_set_file(p->anew.cluster, &p->file, p->now_ns), 0);
		join(p, &p->kept);
		join(p, &p->anew);
		assert_true(p->anew.made);
		n_made += p->kept.made;
		n_served += cluster_config_of(p->kept.joined)->n_services;
		n_rings += count_rings(p->kept.table);
		assert_same_configs(
			cluster_config_of(p->kept.joined), cluster_config_of(p->anew.joined));
		assert_int_equal(p->kept.left_out.n, p->anew.left_out.n);
		assert_same_plans(p->kept.plan, p->anew.plan);
		assert_asks_what_is_wanted(p->kept.plan);
		assert_same_tables(p->kept.table, p->anew.table);
		assert_as_built_anew(p, &p->kept);
	}
	// It is about something.
	assert_true(n_served > 4 * N_STEPS);
	assert_true(n_rings > n_served / 2);
	assert_true(p->n_late > N_STEPS / 8);
	// News that change nothing made nothing.
	assert_in_range(n_made, N_STEPS / 4, N_STEPS - N_STEPS / 20);
}

static int open_pair(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	*state = p;
	p->now_ns = 1000 * NSEC_PER_SEC;
	p->random = 1;
	configure(&p->file);
	if (loop_create(&p->loop) < 0 || scratch_open(&p->scratch) < 0)
		return -1;
	open_side(p, &p->kept);
	open_side(p, &p->anew);
	table_builder_limit_rings(p->kept.builder, 1);
	for (int i = 0; i < N_CLUSTER_RESOURCES; i++) {
		cluster_end(p->kept.cluster, (enum cluster_resource)i, p->now_ns);
		cluster_end(p->anew.cluster, (enum cluster_resource)i, p->now_ns);
	}
	return 0;
}

static int close_pair(void **state)
{
	struct pair *p = *state;

	close_side(&p->kept);
	close_side(&p->anew);
	loop_destroy(p->loop);
	int r = scratch_close(&p->scratch);
	free(p);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_kept_is_what_would_be_made_anew, open_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
