// What a change costs the control loop: a ring of 65537 slots, and the next table of 10 000
// services over 1000 nodes, of which one was lost. Cycles are of one thread, with nothing
// forwarded.

#include "bench.h"

#include "maglev.h"
#include "many.h"

enum { N_NODES = 1000, N_SERVICES = 10000 };

static double milliseconds(unsigned n)
{
	return (double)rte_get_tsc_hz() * n / 1000;
}

static uint32_t equal(unsigned)
{
	return 1;
}

static uint32_t all_different(unsigned i)
{
	return 1000 + i;
}

static void bench_ring(
	struct bench *b, const char *name, unsigned n_members, uint32_t (*weight_of)(unsigned i))
{
	static struct maglev_member members[N_NODES];
	static node_id ring[MANY_RING_SIZE];
	double samples[BENCH_ROUNDS_MAX];
	unsigned rounds = bench_options(b)->rounds;
	struct maglev_fit fit;

	if (!bench_wants(b, name, 0))
		return;
	for (unsigned i = 0; i < n_members; i++)
		members[i] = (struct maglev_member){mix(i), weight_of(i), (node_id)i, 0};
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t start = bench_now();
		int r = maglev_build(members, n_members, MANY_RING_SIZE, ring, &fit);

		samples[round] = (double)(bench_now() - start);
		bench_require(r == 0, "a ring is not built");
	}
	bench_report(b, name, "ring", 0, "", samples, rounds, milliseconds(1));
}

// Each round loses another node, so that no ring is there before.
static void lose_nodes(struct bench *b, struct table_builder *builder, struct many *m)
{
	const struct forwarding_table *before = many_build(m, builder, NULL, 1);
	double samples[BENCH_ROUNDS_MAX];
	unsigned rounds = bench_options(b)->rounds;

	for (unsigned round = 0; round < rounds; round++) {
		m->targets[round % N_NODES].state = TARGET_DOWN;
		uint64_t start = bench_now();
		const struct forwarding_table *after = many_build(m, builder, NULL, 1);

		samples[round] = (double)(bench_now() - start);
		table_builder_release(builder, before);
		m->targets[round % N_NODES].state = TARGET_UP;
		before = after;
	}
	bench_report(
		b, "table build, one node lost", "table", 0, "", samples, rounds, milliseconds(10));
}

void bench_tables(struct bench *b)
{
	struct table_builder *builder;
	struct many many;

	bench_ring(b, "ring build, 10 members", 10, equal);
	bench_ring(b, "ring build, 100 members", 100, equal);
	bench_ring(b, "ring build, 1000 members", 1000, equal);
	bench_ring(b, "ring build, 1000 weights", 1000, all_different);
	if (!bench_wants(b, "table build, one node lost", 0))
		return;

	bench_require(table_builder_create(N_SERVICES, N_NODES, &builder) == 0, "out of memory");
	many_create(&many, N_SERVICES, N_NODES, MODE_SNAT);
	lose_nodes(b, builder, &many);
	table_builder_destroy(builder);
	many_destroy(&many);
}
