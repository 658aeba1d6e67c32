// Whether a service lets a source in: our set, beside what else could say it. Bursts of sources, in
// no order, half of which are let in; the memory is that of one list.

#include "bench.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>
#include <rte_fib.h>
#include <rte_lpm.h>
#include <rte_malloc.h>

#include "flow_memory.h"
#include "route_trie.h"
#include "source_set.h"

enum {
	BURST = 32,
	N_SOURCES = 1 << 16,
	HEAP_BYTES = 144 << 20, // What rte_lpm takes of 16384 prefixes, twice.
	PAGE = 4096,
	CASE_NAME_MAX = 48,
};

// A source, as rte_acl wants it: the first field of a key has to be one byte.
struct source {
	uint8_t zero;
	uint8_t unused[3];
	uint8_t bytes[16];
};

// A list of prefixes, and a heap of DPDK's for those of the contenders which are of DPDK.
struct list {
	enum family family;
	size_t n;
	struct prefix *prefixes; // [n]
	struct source sources[N_SOURCES];
	bool expected[N_SOURCES];
	int socket_id;
};

// Something that is asked. build() returns the bytes it takes.
struct contender {
	const char *name;
	bool ipv4_only;
	size_t (*build)(const struct list *list, void **ret_handle);
	void (*find)(void *handle, enum family family, const struct source *sources,
		uint32_t ret_found[BURST]);
	void (*destroy)(void *handle);
};

static uint32_t ipv4_of(const struct source *source)
{
	uint32_t address;

	memcpy(&address, source->bytes, sizeof(address));
	return be32toh(address);
}

static uint32_t word_of(const struct prefix *prefix, int i)
{
	return be32toh(prefix->address.words[i]);
}

static size_t heap_bytes(const struct list *list)
{
	struct rte_malloc_socket_stats stats;

	bench_require(rte_malloc_get_socket_stats(list->socket_id, &stats) == 0, "no statistics");
	return stats.heap_allocsz_bytes;
}

// Ours

static size_t build_set(const struct list *list, void **ret_handle)
{
	struct source_set *set;

	bench_require(source_set_build(list->prefixes, list->n, &set) == 0, "no set is built");
	*ret_handle = set;
	return set->len_bytes;
}

static void find_in_set(
	void *handle, enum family family, const struct source *sources, uint32_t ret_found[BURST])
{
	for (int i = 0; i < BURST; i++)
		ret_found[i] = source_set_has(handle, family, sources[i].bytes);
}

static void destroy_set(void *handle)
{
	source_set_free(handle);
}

// The trie of routes

static size_t build_trie(const struct list *list, void **ret_handle)
{
	struct route *routes = calloc(list->n, sizeof(*routes));
	struct route_step *steps;
	size_t n_steps;

	bench_require(routes != NULL, "out of memory");
	for (size_t i = 0; i < list->n; i++)
		routes[i] = (struct route){list->prefixes[i].address, list->prefixes[i].length, 1};
	bench_require(route_trie_build(list->family, routes, list->n, &steps, &n_steps) == 0,
		"no trie is built");
	free(routes);
	*ret_handle = steps;
	return n_steps * sizeof(*steps);
}

static void find_in_trie(
	void *handle, enum family, const struct source *sources, uint32_t ret_found[BURST])
{
	for (int i = 0; i < BURST; i++)
		ret_found[i] = route_find(handle, sources[i].bytes) == 1;
}

// rte_lpm

static size_t build_lpm(const struct list *list, void **ret_handle)
{
	struct rte_lpm_config config = {
		.max_rules = (uint32_t)list->n + 1, .number_tbl8s = (uint32_t)list->n + 1};
	size_t before = heap_bytes(list);
	struct rte_lpm *lpm = rte_lpm_create("sources", list->socket_id, &config);

	bench_require(lpm != NULL, "no rte_lpm is created");
	for (size_t i = 0; i < list->n; i++)
		bench_require(rte_lpm_add(lpm, word_of(&list->prefixes[i], 3),
				      list->prefixes[i].length, 1) == 0,
			"rte_lpm takes no prefix");
	*ret_handle = lpm;
	return heap_bytes(list) - before;
}

static void find_in_lpm(
	void *handle, enum family, const struct source *sources, uint32_t ret_found[BURST])
{
	uint32_t addresses[BURST];

	for (int i = 0; i < BURST; i++)
		addresses[i] = ipv4_of(&sources[i]);
	rte_lpm_lookup_bulk(handle, addresses, ret_found, BURST);
	for (int i = 0; i < BURST; i++)
		ret_found[i] = (ret_found[i] & RTE_LPM_LOOKUP_SUCCESS) != 0;
}

static void destroy_lpm(void *handle)
{
	rte_lpm_free(handle);
}

// rte_fib

static size_t build_fib(const struct list *list, void **ret_handle)
{
	struct rte_fib_conf config = {
		.type = RTE_FIB_DIR24_8,
		.max_routes = (int)list->n + 1,
		.dir24_8 = {RTE_FIB_DIR24_8_1B, RTE_MIN((uint32_t)list->n + 1, 127u)},
	};
	size_t before = heap_bytes(list);

	// Next hops of one byte name at most 127 tables for prefixes past 24 bits.
	if (list->n > 127) {
		config.dir24_8.nh_sz = RTE_FIB_DIR24_8_2B;
		config.dir24_8.num_tbl8 = RTE_MIN((uint32_t)list->n + 1, 32767u);
	}
	struct rte_fib *fib = rte_fib_create("sources", list->socket_id, &config);

	bench_require(fib != NULL, "no rte_fib is created");
	for (size_t i = 0; i < list->n; i++)
		bench_require(rte_fib_add(fib, word_of(&list->prefixes[i], 3),
				      list->prefixes[i].length, 1) == 0,
			"rte_fib takes no prefix");
	*ret_handle = fib;
	return heap_bytes(list) - before;
}

static void find_in_fib(
	void *handle, enum family, const struct source *sources, uint32_t ret_found[BURST])
{
	uint32_t addresses[BURST];
	uint64_t next_hops[BURST];

	for (int i = 0; i < BURST; i++)
		addresses[i] = ipv4_of(&sources[i]);
	rte_fib_lookup_bulk(handle, addresses, next_hops, BURST);
	for (int i = 0; i < BURST; i++)
		ret_found[i] = next_hops[i] != 0;
}

static void destroy_fib(void *handle)
{
	rte_fib_free(handle);
}

// rte_acl

enum { ACL_FIELDS_MAX = 5 }; // The byte, and a word or four of the address.
RTE_ACL_RULE_DEF(acl_rule, ACL_FIELDS_MAX);

static void write_rule(enum family family, const struct prefix *prefix, struct acl_rule *rule)
{
	int n_words = family == IPV4 ? 1 : 4;

	*rule = (struct acl_rule){
		.data = {.userdata = 1, .category_mask = 1, .priority = 1},
	};
	for (int i = 0; i < n_words; i++) {
		int length = prefix->length - 32 * i;

		rule->field[i + 1].value.u32 = word_of(prefix, 4 - n_words + i);
		rule->field[i + 1].mask_range.u32 = (uint32_t)RTE_MAX(0, RTE_MIN(length, 32));
	}
}

static void add_rules(struct rte_acl_ctx *acl, const struct list *list)
{
	struct acl_rule rule;

	for (size_t i = 0; i < list->n; i++) {
		write_rule(list->family, &list->prefixes[i], &rule);
		bench_require(rte_acl_add_rules(acl, (struct rte_acl_rule *)&rule, 1) == 0,
			"rte_acl takes no rule");
	}
}

static size_t build_acl(const struct list *list, void **ret_handle)
{
	struct rte_acl_config config = {
		.num_categories = 1, .num_fields = list->family == IPV4 ? 2 : 5};
	struct rte_acl_param parameters = {.name = "sources",
		.socket_id = list->socket_id,
		.rule_size = RTE_ACL_RULE_SZ(ACL_FIELDS_MAX),
		.max_rule_num = (uint32_t)list->n};
	size_t before = heap_bytes(list);
	struct rte_acl_ctx *acl = rte_acl_create(&parameters);

	bench_require(acl != NULL, "no rte_acl is created");
	config.defs[0] = (struct rte_acl_field_def){RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, 0};
	for (uint8_t i = 1; i < config.num_fields; i++)
		config.defs[i] = (struct rte_acl_field_def){
			RTE_ACL_FIELD_TYPE_MASK, 4, i, i, 4 * (uint32_t)i};
	add_rules(acl, list);
	bench_require(rte_acl_build(acl, &config) == 0, "rte_acl is not built");
	*ret_handle = acl;
	return heap_bytes(list) - before;
}

static void find_in_acl(
	void *handle, enum family, const struct source *sources, uint32_t ret_found[BURST])
{
	const uint8_t *keys[BURST];

	for (int i = 0; i < BURST; i++)
		keys[i] = &sources[i].zero;
	rte_acl_classify(handle, keys, ret_found, BURST, 1);
}

static void destroy_acl(void *handle)
{
	rte_acl_free(handle);
}

static const struct contender contenders[] = {
	{"source_set", false, build_set, find_in_set, destroy_set},
	{"route_trie", false, build_trie, find_in_trie, free},
	{"rte_lpm", true, build_lpm, find_in_lpm, destroy_lpm},
	{"rte_fib", true, build_fib, find_in_fib, destroy_fib},
	{"rte_acl", false, build_acl, find_in_acl, destroy_acl},
};

// Lists

static void fill_randomly(uint8_t *bytes, size_t len, uint64_t *state)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)bench_random(state);
}

static struct prefix random_prefix(enum family family, uint64_t *state)
{
	struct prefix prefix = {.address = address_from_ipv4(0)};

	if (family == IPV4) {
		fill_randomly(&prefix.address.bytes[12], 4, state);
		prefix.length = (uint8_t)(16 + bench_random(state) % 17);
	} else {
		fill_randomly(prefix.address.bytes, 16, state);
		prefix.address.bytes[0] = 0x20 | (prefix.address.bytes[0] & 0x1f);
		prefix.length = (uint8_t)(32 + bench_random(state) % 97);
	}
	return prefix;
}

// Any address, or with 'inside' one of a prefix.
static void write_source(const struct list *list, bool inside, struct source *ret, uint64_t *state)
{
	const struct prefix *prefix = &list->prefixes[bench_random(state) % list->n];
	size_t n_bytes = list->family == IPV4 ? 4 : 16;
	const uint8_t *from = &prefix->address.bytes[16 - n_bytes];

	*ret = (struct source){0};
	fill_randomly(ret->bytes, n_bytes, state);
	for (unsigned bit = 0; inside && bit < prefix->length; bit++) {
		uint8_t mask = 0x80 >> bit % 8;

		ret->bytes[bit / 8] = (ret->bytes[bit / 8] & ~mask) | (from[bit / 8] & mask);
	}
}

static void write_sources(struct list *list, uint64_t *state)
{
	struct source_set *set;

	bench_require(source_set_build(list->prefixes, list->n, &set) == 0, "no set is built");
	for (size_t i = 0; i < N_SOURCES; i++) {
		list->expected[i] = bench_random(state) & 1;
		do {
			write_source(list, list->expected[i], &list->sources[i], state);
		} while (source_set_has(set, list->family, list->sources[i].bytes) !=
			list->expected[i]);
	}
	source_set_free(set);
}

static struct list *list_create(enum family family, size_t n)
{
	struct list *list = calloc(1, sizeof(*list));
	uint64_t state = n;

	bench_require(list != NULL, "out of memory");
	list->prefixes = calloc(n, sizeof(*list->prefixes));
	bench_require(list->prefixes != NULL, "out of memory");
	list->family = family;
	list->n = n;
	for (size_t i = 0; i < n; i++)
		list->prefixes[i] = random_prefix(family, &state);
	bench_require(source_prefixes_reduce(list->prefixes, &list->n) == 0, "no prefixes");
	write_sources(list, &state);
	return list;
}

static void list_destroy(struct list *list)
{
	free(list->prefixes);
	free(list);
}

// What is measured

static double look_up(const struct list *list, const struct contender *c, void *handle)
{
	uint64_t cycles = 0;

	for (size_t i = 0; i < N_SOURCES; i += BURST) {
		uint32_t found[BURST];
		uint64_t start = bench_now();

		c->find(handle, list->family, &list->sources[i], found);
		cycles += bench_now() - start - bench_overhead();
		for (size_t j = 0; j < BURST; j++)
			bench_require(found[j] == list->expected[i + j], "a source is taken wrong");
	}
	return (double)cycles / N_SOURCES;
}

static void measure(struct bench *b, const struct list *list, const struct contender *c,
	const char *name, size_t n_prefixes)
{
	unsigned n_rounds = bench_options(b)->rounds;
	double samples[BENCH_ROUNDS_MAX];
	char memory[32];
	void *handle;

	snprintf(memory, sizeof(memory), "%.1f kB", (double)c->build(list, &handle) / 1024);
	look_up(list, c, handle);
	for (unsigned round = 0; round < n_rounds; round++)
		samples[round] = look_up(list, c, handle);
	c->destroy(handle);
	bench_report(b, name, "lookup", n_prefixes, memory, samples, n_rounds, 0);
}

static const struct size {
	enum family family;
	size_t n_prefixes;
} sizes[] = {{IPV4, 1}, {IPV4, 16}, {IPV4, 1024}, {IPV4, 16384}, {IPV6, 1024}};

static bool is_wanted(const struct bench *b, const struct size *size, const struct contender *c,
	char ret_name[CASE_NAME_MAX])
{
	snprintf(ret_name, CASE_NAME_MAX, "sources %s, %s", size->family == IPV4 ? "ipv4" : "ipv6",
		c->name);
	return bench_wants(b, ret_name, size->n_prefixes) &&
		!(c->ipv4_only && size->family == IPV6);
}

static void compete(struct bench *b, int socket_id, const struct size *size)
{
	struct list *list = list_create(size->family, size->n_prefixes);
	char name[CASE_NAME_MAX];

	list->socket_id = socket_id;
	for (size_t i = 0; i < RTE_DIM(contenders); i++) {
		if (is_wanted(b, size, &contenders[i], name))
			measure(b, list, &contenders[i], name, size->n_prefixes);
	}
	list_destroy(list);
}

static bool any_is_wanted(const struct bench *b)
{
	char name[CASE_NAME_MAX];

	for (size_t i = 0; i < RTE_DIM(sizes) * RTE_DIM(contenders); i++) {
		if (is_wanted(b, &sizes[i / RTE_DIM(contenders)],
			    &contenders[i % RTE_DIM(contenders)], name))
			return true;
	}
	return false;
}

// On memory of large pages, as rte_lpm and rte_fib would have: they are wide.
void bench_sources(struct bench *b)
{
	struct flow_memory memory;

	if (!any_is_wanted(b))
		return;
	bench_require(flow_memory_map(HEAP_BYTES, -1, bench_options(b)->hugepages, &memory) == 0 &&
			rte_malloc_heap_create("sources") == 0 &&
			rte_malloc_heap_memory_add("sources", memory.at, HEAP_BYTES, NULL,
				HEAP_BYTES / PAGE, PAGE) == 0,
		"there is no memory for rte_lpm");
	int socket_id = rte_malloc_heap_get_socket("sources");

	for (size_t i = 0; i < RTE_DIM(sizes); i++)
		compete(b, socket_id, &sizes[i]);
	rte_malloc_heap_memory_remove("sources", memory.at, HEAP_BYTES);
	rte_malloc_heap_destroy("sources");
	flow_memory_unmap(&memory);
}
