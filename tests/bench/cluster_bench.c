// What a Kubernetes cluster costs the control loop: 10 000 Services on 1000 nodes, a tenth of them
// with externalTrafficPolicy Local, each with endpoints on three nodes of its own choice, so that
// there are a thousand rings and one. Of the pure part, from objects that are told to a table that
// could be published: no socket, no disk, no worker. Each step that the loop makes of it is
// measured by itself, beside the whole. Cycles are of the thread's own time: a step here is longer
// than what a busy machine's scheduler gives at once.

#include "bench.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "health.h"
#include "intent.h"
#include "kubernetes/address_pool.h"
#include "kubernetes/cluster.h"
#include "loop.h"
#include "plan.h"
#include "probe.h"
#include "table_builder.h"

enum {
	N_NODES = 1000,
	N_SERVICES = 10000,
	LOCAL_EVERY = 10, // One of so many is Local.
	ENDPOINTS = 3,    // Of each: on as many nodes.
	RING_SIZE = 65537,
	RINGS_A_TABLE = 7,  // As reconcile.c has it.
	FEW_ROUNDS = 5,     // Of what takes long.
	NOW_S = 1767225600, // 2026-01-01T00:00:00Z
};

struct world {
	struct config file;
	struct loop *loop;
	struct health *health;
	struct scratch scratch;
	struct table_builder *builder;
	json_t *nodes[N_NODES];
	json_t *services[N_SERVICES];
	json_t *slices[N_SERVICES];
	uint64_t now_ns;

	struct cluster *cluster;
	struct cluster_config *joined;
	struct plan *plan;
	const struct forwarding_table *table;
	struct build_report report; // Of the table built last.
};

// Steps of the loop, each measured in all rounds.
enum step {
	STEP_TELL,  // A change is told.
	STEP_JOIN,  // The configuration of it,
	STEP_PLAN,  // its plan,
	STEP_TABLE, // its table,
	STEP_FREE,  // and what was before is given back.
	STEP_ALL,   // From the change to the table.
	N_STEPS,
};

static const char *const step_names[N_STEPS] = {
	"told", "joined", "planned", "table", "given back", "told to table"};

struct samples {
	double of[N_STEPS][BENCH_ROUNDS_MAX];
	unsigned n;
};

static double milliseconds(double n)
{
	return (double)rte_get_tsc_hz() * n / 1000;
}

// Nanoseconds that this thread had a core for.
static uint64_t own_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

// In cycles, as all that is reported.
static double since(uint64_t start_ns)
{
	return (double)(own_ns() - start_ns) * (double)rte_get_tsc_hz() / NS_PER_S;
}

// Objects, as an API server has them

static json_t *node_document(unsigned i)
{
	char name[64], address[INET_ADDRSTRLEN];
	struct in_addr in = {htonl(0x0a000001 + i)};

	snprintf(name, sizeof(name), "worker-%04u.cluster.example", i);
	inet_ntop(AF_INET, &in, address, sizeof(address));
	return json_pack("{s:{s:s, s:s}, s:{}, s:{s:[{s:s, s:s}]}}", "metadata", "name", name,
		"resourceVersion", "1", "spec", "status", "addresses", "type", "InternalIP",
		"address", address);
}

static bool is_local(unsigned i)
{
	return i % LOCAL_EVERY == 0;
}

static json_t *service_document(unsigned i)
{
	char space[32], name[32], uid[48], vip[INET_ADDRSTRLEN];
	struct in_addr in = {htonl(0xc6120001 + i)};
	json_int_t node_port = 20000 + i;

	snprintf(space, sizeof(space), "namespace-%02u", i % 100);
	snprintf(name, sizeof(name), "service-%05u", i);
	snprintf(uid, sizeof(uid), "00000000-0000-4000-8000-%012u", i);
	inet_ntop(AF_INET, &in, vip, sizeof(vip));
	json_t *json = json_pack("{s:{s:s, s:s, s:s, s:s, s:[s]},"
				 " s:{s:s, s:s, s:s, s:[s], s:[{s:s, s:s, s:i, s:I}]},"
				 " s:{s:{s:[{s:s, s:s}]}}}",
		"metadata", "namespace", space, "name", name, "uid", uid, "resourceVersion", "1",
		"finalizers", FINALIZER_OURS, "spec", "type", "LoadBalancer", "loadBalancerClass",
		"guideway.dev/lb", "ipFamilyPolicy", "SingleStack", "ipFamilies", "IPv4", "ports",
		"name", "http", "protocol", "TCP", "port", 80, "nodePort", node_port, "status",
		"loadBalancer", "ingress", "ip", vip, "ipMode", "Proxy");
	bench_require(json != NULL, "out of memory");

	json_t *spec = json_object_get(json, "spec");
	json_object_set_new(
		spec, "externalTrafficPolicy", json_string(is_local(i) ? "Local" : "Cluster"));
	if (is_local(i))
		json_object_set_new(
			spec, "healthCheckNodePort", json_integer(30000 + i / LOCAL_EVERY));
	return json;
}

// Of the endpoints of Service 'i', the first of which is on the node 'first'.
static json_t *slice_document(unsigned i, unsigned first)
{
	char space[32], name[48], service[32], node[64];
	json_t *endpoints = json_array();

	snprintf(space, sizeof(space), "namespace-%02u", i % 100);
	snprintf(service, sizeof(service), "service-%05u", i);
	snprintf(name, sizeof(name), "service-%05u-abcde", i);
	for (unsigned j = 0; j < ENDPOINTS; j++) {
		snprintf(node, sizeof(node), "worker-%04u.cluster.example",
			(first + j * 37) % N_NODES);
		json_array_append_new(endpoints,
			json_pack("{s:[s], s:s, s:{s:b, s:b}}", "addresses", "10.244.0.1",
				"nodeName", node, "conditions", "ready", 1, "serving", 1));
	}
	return json_pack("{s:{s:s, s:s, s:{s:s}}, s:s, s:o}", "metadata", "namespace", space,
		"name", name, "labels", "kubernetes.io/service-name", service, "addressType",
		"IPv4", "endpoints", endpoints);
}

static void create_documents(struct world *w)
{
	for (unsigned i = 0; i < N_NODES; i++)
		w->nodes[i] = node_document(i);
	for (unsigned i = 0; i < N_SERVICES; i++) {
		w->services[i] = service_document(i);
		w->slices[i] = slice_document(i, i / LOCAL_EVERY);
	}
}

static void destroy_documents(struct world *w)
{
	for (unsigned i = 0; i < N_NODES; i++)
		json_decref(w->nodes[i]);
	for (unsigned i = 0; i < N_SERVICES; i++) {
		json_decref(w->services[i]);
		json_decref(w->slices[i]);
	}
}

// The file

static void configure(struct config *file)
{
	static struct address_range range;
	static struct address_pool pool;

	bench_require(address_range_parse("198.18.0.1-198.18.100.0", &range) == 0, "no range");
	pool = (struct address_pool){
		.name = "edge", .ranges = &range, .n_ranges = 1, .automatic = true};
	file->kubernetes.pools = &pool;
	file->kubernetes.n_pools = 1;
	file->kubernetes.node_check = NODE_CHECK_KUBE_PROXY;
	strcpy(file->kubernetes.class, "guideway.dev/lb");
	file->nodes_max = N_NODES;
	file->services_max = N_SERVICES + 100;
	file->snat[IPV4][0] = address_from_ipv4(htonl(0xc000020a));
	file->n_snat[IPV4] = 1;
	file->ring_size = RING_SIZE;
	file->tcp_idle_s = 3600;
	file->udp_idle_s = 120;
	file->check = (struct check_config){
		.interval_ms = 2000, .timeout_ms = 1000, .rise = 2, .fall = 2};
}

// From what was told to a table

static void join(struct world *w, struct cluster_config **ret_joined)
{
	struct text_lines left_out = {0};

	bench_require(cluster_join(w->cluster, w->joined, ret_joined, &left_out) == 0,
		"no other configuration is made");
	bench_require(left_out.n == 0, "something of the cluster is left out");
}

static void build(struct world *w, struct plan *plan, const struct forwarding_table **ret_table)
{
	char why[WHY_MAX];
	const struct model *model = plan_refresh(plan, w->now_ns);

	bench_require(
		table_builder_build(w->builder, model, NULL, ret_table, &w->report, why) == 0, why);
}

static void put_out(struct world *w, const struct forwarding_table *table)
{
	table_builder_release(w->builder, w->table);
	w->table = table;
}

// As reconcile_want() has it. Of what 'began', adds a sample to each step.
static void take_in(struct world *w, struct samples *s, uint64_t began)
{
	struct cluster_config *joined;
	const struct forwarding_table *table;
	uint64_t start = own_ns();

	s->of[STEP_TELL][s->n] = since(began);
	join(w, &joined);
	s->of[STEP_JOIN][s->n] = since(start);

	start = own_ns();
	struct plan *plan = plan_create(
		cluster_config_of(joined), w->plan, w->scratch.drains, w->health, w->now_ns);
	bench_require(plan != NULL, "out of memory");
	s->of[STEP_PLAN][s->n] = since(start);

	start = own_ns();
	build(w, plan, &table);
	s->of[STEP_TABLE][s->n] = since(start);
	s->of[STEP_ALL][s->n] = since(began);

	start = own_ns();
	plan_destroy(w->plan, w->health);
	cluster_config_free(w->joined);
	table_builder_release(w->builder, w->table);
	s->of[STEP_FREE][s->n] = since(start);
	s->n++;
	w->plan = plan;
	w->joined = joined;
	w->table = table;
	cluster_is_in_force(w->cluster, w->now_ns);
}

static void report(struct bench *b, const char *what, struct samples *s, double bound_ms)
{
	char name[128];

	for (int step = 0; step < N_STEPS; step++) {
		snprintf(name, sizeof(name), "cluster, %s: %s", what, step_names[step]);
		bench_report(b, name, "change", 0, "", s->of[step], s->n,
			step == STEP_ALL ? milliseconds(bound_ms) : 0);
	}
	s->n = 0;
}

// What is measured

static void tell(struct world *w, enum cluster_resource resource, const json_t *json)
{
	bench_require(cluster_tell(w->cluster, resource, false, json, w->now_ns) == 0,
		"an object is not taken");
}

static void tell_all(struct world *w)
{
	for (unsigned i = 0; i < N_NODES; i++)
		tell(w, CLUSTER_NODES, w->nodes[i]);
	for (unsigned i = 0; i < N_SERVICES; i++)
		tell(w, CLUSTER_SLICES, w->slices[i]);
	for (unsigned i = 0; i < N_SERVICES; i++)
		tell(w, CLUSTER_SERVICES, w->services[i]);
}

static void end_lists(struct world *w)
{
	for (int i = 0; i < N_CLUSTER_RESOURCES; i++)
		cluster_end(w->cluster, (enum cluster_resource)i, w->now_ns);
}

static void start(struct world *w)
{
	bench_require(cluster_create(&w->file, &w->cluster) == 0 &&
			table_builder_create(w->file.services_max, 2 * N_NODES, &w->builder) == 0,
		"out of memory");
	table_builder_limit_rings(w->builder, RINGS_A_TABLE);
}

static void stop(struct world *w)
{
	plan_destroy(w->plan, w->health);
	cluster_config_free(w->joined);
	table_builder_destroy(w->builder);
	cluster_destroy(w->cluster);
	w->plan = NULL;
	w->joined = NULL;
	w->table = NULL;
}

static void bench_sync(struct bench *b, struct world *w, struct samples *s, unsigned rounds)
{
	double told[BENCH_ROUNDS_MAX];

	for (unsigned round = 0; round < rounds; round++) {
		if (round > 0)
			stop(w);
		start(w);
		uint64_t began = own_ns();
		tell_all(w);
		told[round] = since(began) / (N_NODES + 2 * N_SERVICES);
		began = own_ns();
		end_lists(w);
		take_in(w, s, began);
	}
	bench_report(b, "cluster, sync: each object", "object", 0, "", told, rounds, 0);
	report(b, "sync", s, 1000);
}

// Another NodePort of one Service, of those that are Local or of the others.
static void change_service(struct world *w, struct samples *s, unsigned i, unsigned round)
{
	json_t *port = json_array_get(
		json_object_get(json_object_get(w->services[i], "spec"), "ports"), 0);

	json_object_set_new(port, "nodePort", json_integer(40000 + round));
	json_object_set_new(json_object_get(w->services[i], "metadata"), "resourceVersion",
		json_sprintf("%u", 2 + round));
	uint64_t began = own_ns();
	tell(w, CLUSTER_SERVICES, w->services[i]);
	take_in(w, s, began);
}

static void bench_services(struct bench *b, struct world *w, struct samples *s, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++)
		change_service(
			w, s, (round * 997 / LOCAL_EVERY * LOCAL_EVERY + 1) % N_SERVICES, round);
	report(b, "one Service", s, 5);
	for (unsigned round = 0; round < rounds; round++)
		change_service(w, s, round * 997 / LOCAL_EVERY * LOCAL_EVERY % N_SERVICES, round);
	report(b, "one Local Service", s, 5);
}

// It goes, and comes again.
static void bench_comings(struct bench *b, struct world *w, struct samples *s, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		unsigned i = (round / 2 * 997 / LOCAL_EVERY * LOCAL_EVERY + 1) % N_SERVICES;
		bool is_gone = round % 2 == 0;
		uint64_t began = own_ns();

		bench_require(cluster_tell(w->cluster, CLUSTER_SERVICES, is_gone, w->services[i],
				      w->now_ns) == 0,
			"a Service is not taken");
		take_in(w, s, began);
	}
	report(b, "one Service goes or comes", s, 5);
	bench_fact(b, "cluster, pools after that", (double)w->plan->n_pools, "pools");
}

static void bench_slices(struct bench *b, struct world *w, struct samples *s, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		unsigned i = round * LOCAL_EVERY % N_SERVICES;
		json_t *slice = slice_document(i, i + 500 + round);
		uint64_t began = own_ns();

		tell(w, CLUSTER_SLICES, slice);
		take_in(w, s, began);
		json_decref(slice);
	}
	report(b, "endpoints of one", s, 5);
}

static void bench_nodes(struct bench *b, struct world *w, struct samples *s, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		bool is_gone = round % 2 == 0;
		uint64_t began = own_ns();

		bench_require(cluster_tell(w->cluster, CLUSTER_NODES, is_gone,
				      w->nodes[N_NODES / 2], w->now_ns) == 0,
			"a node is not taken");
		take_in(w, s, began);
	}
	report(b, "one Node", s, 0);
}

// Verdicts

static void no_verdict(void *, const struct probe *, enum verdict)
{
}

static const struct answer good = {.verdict = VERDICT_UP}, bad = {.verdict = VERDICT_DOWN};

static void answer_all(struct world *w, size_t node, const struct answer *answer)
{
	for (size_t i = 0; i < w->plan->n_pools; i++) {
		const struct pool *pool = &w->plan->pools[i];

		for (size_t j = 0; j < pool->n_members; j++) {
			struct probe *probe = pool->members[j].probe;

			if (pool->members[j].node != node && node != SIZE_MAX)
				continue;
			probe_answer(probe, answer, w->now_ns);
			probe_answer(probe, answer, w->now_ns);
		}
	}
}

// Tables until no service is late.
static void bench_all_rings(struct bench *b, struct world *w)
{
	double samples[BENCH_ROUNDS_MAX];
	const struct forwarding_table *table;
	size_t n = 0;

	do {
		uint64_t start = own_ns();

		build(w, w->plan, &table);
		samples[n++] = since(start);
		put_out(w, table);
	} while (w->report.n_services_late > 0);
	bench_report(b, "cluster, the first verdicts: each table", "table", 0, "", samples, n,
		milliseconds(10));
	bench_fact(
		b, "cluster, the first verdicts: longest", samples[n - 1] / milliseconds(1), "ms");
	bench_fact(b, "cluster, the first verdicts: tables", (double)n, "tables");
}

static void bench_verdicts(struct bench *b, struct world *w, unsigned rounds)
{
	double samples[BENCH_ROUNDS_MAX];
	const struct forwarding_table *table;

	answer_all(w, SIZE_MAX, &good);
	bench_all_rings(b, w);
	for (unsigned round = 0; round < rounds; round++) {
		answer_all(w, round % N_NODES, &bad);
		uint64_t start = own_ns();
		build(w, w->plan, &table);
		samples[round] = since(start);
		put_out(w, table);
		answer_all(w, round % N_NODES, &good);
	}
	bench_report(b, "cluster, one node's verdict: table", "change", 0, "", samples, rounds,
		milliseconds(10));
}

// What comes round by itself

static void bench_rest(struct bench *b, struct world *w, unsigned rounds)
{
	static double in_force[BENCH_ROUNDS_MAX], ticked[BENCH_ROUNDS_MAX], asked[BENCH_ROUNDS_MAX],
		saved[BENCH_ROUNDS_MAX], counted[BENCH_ROUNDS_MAX];
	struct cluster_write write;
	struct cluster_counts counts;
	size_t n_writes = 0;
	unsigned n_steps = 0;

	uint64_t start = own_ns();
	do {
		while (cluster_next_write(w->cluster, w->now_ns, NOW_S, &write)) {
			json_decref(write.patch);
			n_writes++;
		}
	} while (cluster_may_write(w->cluster));
	double all = since(start);
	if (n_writes > 0)
		bench_report(b, "cluster, the writes of a sync: each", "write", 0, "",
			(double[]){all / (double)n_writes}, 1, 0);
	for (unsigned round = 0; round < rounds; round++) {
		start = own_ns();
		cluster_is_in_force(w->cluster, w->now_ns);
		in_force[round] = since(start);

		start = own_ns();
		cluster_tick(w->cluster, w->now_ns);
		ticked[round] = since(start);

		start = own_ns();
		cluster_next_write(w->cluster, w->now_ns, NOW_S, &write);
		asked[round] = since(start);

		start = own_ns();
		cluster_count(w->cluster, &counts);
		counted[round] = since(start);

		struct cluster_saving *saving = cluster_save_begin();
		bool goes_on = saving != NULL;

		saved[round] = 0;
		for (n_steps = 0; goes_on; n_steps++) {
			start = own_ns();
			goes_on = cluster_save_on(w->cluster, saving);
			saved[round] += since(start);
		}
		cluster_save_give_up(saving);
	}
	bench_report(b, "cluster, in force", "step", 0, "", in_force, rounds, milliseconds(10));
	bench_report(
		b, "cluster, the second's tick", "step", 0, "", ticked, rounds, milliseconds(10));
	bench_report(
		b, "cluster, nothing to write", "step", 0, "", asked, rounds, milliseconds(10));
	bench_report(b, "cluster, counted", "step", 0, "", counted, rounds, milliseconds(10));
	bench_report(b, "cluster, saved: all steps", "save", 0, "", saved, rounds, 0);
	bench_fact(b, "cluster, saved: steps", n_steps, "steps");
}

void bench_cluster(struct bench *b)
{
	static struct samples samples;
	unsigned rounds = bench_options(b)->rounds;
	unsigned few = rounds < FEW_ROUNDS ? rounds : FEW_ROUNDS;

	if (!bench_wants(b, "cluster", 0))
		return;

	struct world *w = calloc(1, sizeof(*w));
	bench_require(w != NULL, "out of memory");
	w->now_ns = loop_clock_ns();
	configure(&w->file);
	create_documents(w);
	bench_require(loop_create(&w->loop) == 0 &&
			health_create(w->loop, no_verdict, NULL, &w->health) == 0 &&
			scratch_open(&w->scratch) == 0,
		"the world cannot be made");
	bench_sync(b, w, &samples, few);
	bench_rest(b, w, few);
	bench_verdicts(b, w, rounds);
	bench_services(b, w, &samples, rounds);
	bench_comings(b, w, &samples, rounds);
	bench_slices(b, w, &samples, rounds);
	bench_nodes(b, w, &samples, few);
	stop(w);
	health_destroy(w->health);
	loop_destroy(w->loop);
	scratch_close(&w->scratch);
	destroy_documents(w);
	free(w);
}
