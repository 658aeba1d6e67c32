#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "maglev.h"
#include "name.h"

enum { RING_SIZE = 65537, MEMBERS_MAX = 1000 };

static struct maglev_member members[MEMBERS_MAX];
static node_id ring[RING_SIZE], other[RING_SIZE];
static struct maglev_fit fit;

// Members "n0", "n1", ... with the weight that 'weight_of' says; the node id is the number.
static void make(size_t n, uint32_t (*weight_of)(size_t i))
{
	char name[NAME_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%zu", i);
		members[i] = (struct maglev_member){name_hash(name), weight_of(i), (node_id)i, 0};
	}
}

static uint32_t equal(size_t)
{
	return 1;
}

static uint32_t mixed(size_t i)
{
	return 1 + (uint32_t)(i * 7 % 10);
}

static uint32_t all_different(size_t i)
{
	return 1000 + (uint32_t)i;
}

static uint32_t one_heavy(size_t i)
{
	return i == 0 ? 1000 : 1;
}

static uint32_t some_without(size_t i)
{
	return i % 3 == 0 ? 0 : 2;
}

static const struct set {
	const char *name;
	size_t n;
	uint32_t (*weight_of)(size_t i);
	uint32_t ring_size;
	double moved_max; // Slots that move between those that stay when one is gone, in percent:
	                  // none would be ideal.
} sets[] = {
	{"one", 1, equal, RING_SIZE, 0},
	{"two", 2, equal, RING_SIZE, 0},
	{"three", 3, equal, RING_SIZE, 0.5},
	{"three mixed", 3, mixed, RING_SIZE, 2.5},
	{"ten", 10, equal, RING_SIZE, 0.6},
	{"ten mixed", 10, mixed, RING_SIZE, 1.5},
	{"ten, one heavy", 10, one_heavy, RING_SIZE, 0.1},
	{"a hundred", 100, equal, RING_SIZE, 0.6},
	{"a hundred mixed", 100, mixed, RING_SIZE, 0.8},
	{"a hundred, a third without weight", 100, some_without, RING_SIZE, 0.6},
	{"a hundred all different", 100, all_different, RING_SIZE, 0.7},
	{"a thousand", 1000, equal, RING_SIZE, 0.5},
	{"a thousand mixed", 1000, mixed, RING_SIZE, 0.5},
	{"a thousand, one heavy", 1000, one_heavy, RING_SIZE, 3.5},
	{"a thousand all different", 1000, all_different, RING_SIZE, 0.7},
	{"ten in a small ring", 10, mixed, 251, 15},
	{"three in the smallest ring", 3, equal, RING_SIZE_MIN, 20},
	{"a hundred in a prime just above", 100, equal, 101, 10},
};

static void build(size_t n, uint32_t ring_size, node_id *to)
{
	memset(to, 0xff, ring_size * sizeof(*to));
	assert_int_equal(maglev_build(members, n, ring_size, to, &fit), 0);
}

static void count(const node_id *of, uint32_t ring_size, size_t n, uint32_t *counts)
{
	memset(counts, 0, n * sizeof(*counts));
	for (uint32_t slot = 0; slot < ring_size; slot++) {
		assert_true(of[slot] < n); // Every slot is taken, and by a member.
		counts[of[slot]]++;
	}
}

static void every_member_has_its_share_to_within_one_slot(void **)
{
	uint32_t counts[MEMBERS_MAX];

	for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
		double weights = 0;

		make(sets[s].n, sets[s].weight_of);
		build(sets[s].n, sets[s].ring_size, ring);
		count(ring, sets[s].ring_size, sets[s].n, counts);
		assert_int_equal(fit.n_raised + fit.n_left_out, 0);

		for (size_t i = 0; i < sets[s].n; i++)
			weights += members[i].weight;
		for (size_t i = 0; i < sets[s].n; i++) {
			double share = sets[s].ring_size * members[i].weight / weights;

			if (fabs(counts[i] - share) >= 1)
				fail_msg("%s: n%zu has %u slots, not %.2f", sets[s].name, i,
					counts[i], share);
		}
	}
}

static void a_thousand_equal_members_are_within_one_percent_of_the_mean(void **)
{
	uint32_t counts[MEMBERS_MAX];

	make(MEMBERS_MAX, equal);
	build(MEMBERS_MAX, RING_SIZE, ring);
	count(ring, RING_SIZE, MEMBERS_MAX, counts);
	for (size_t i = 0; i < MEMBERS_MAX; i++)
		assert_true(counts[i] <= 1.01 * RING_SIZE / MEMBERS_MAX);
}

static void shuffle(size_t n, uint64_t seed)
{
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = mix(seed + i) % (i + 1);
		struct maglev_member member = members[i];

		members[i] = members[j];
		members[j] = member;
	}
}

static void the_order_of_the_members_does_not_matter(void **)
{
	for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
		make(sets[s].n, sets[s].weight_of);
		build(sets[s].n, sets[s].ring_size, ring);
		for (uint64_t seed = 1; seed <= 3; seed++) {
			shuffle(sets[s].n, seed);
			build(sets[s].n, sets[s].ring_size, other);
			assert_memory_equal(ring, other, sets[s].ring_size * sizeof(*ring));
		}
	}
}

static void slots_belong_to_names_not_to_node_ids(void **)
{
	make(100, mixed);
	build(100, RING_SIZE, ring);
	for (size_t i = 0; i < 100; i++)
		members[i].node = (node_id)(500 - i);
	build(100, RING_SIZE, other);
	for (uint32_t slot = 0; slot < RING_SIZE; slot++)
		assert_int_equal(ring[slot], 500 - other[slot]);
}

// In percent of the ring.
static double moved_without(const struct set *set, size_t gone)
{
	uint32_t moved = 0;

	make(set->n, set->weight_of);
	members[gone] = members[set->n - 1];
	build(set->n - 1, set->ring_size, other);
	for (uint32_t slot = 0; slot < set->ring_size; slot++)
		moved += ring[slot] != gone && ring[slot] != other[slot];
	return 100.0 * moved / set->ring_size;
}

static void a_member_that_leaves_moves_few_slots_of_the_others(void **)
{
	for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
		size_t n = sets[s].n, step = n < 10 ? 1 : n / 10;

		if (n < 2)
			continue;
		make(n, sets[s].weight_of);
		build(n, sets[s].ring_size, ring);
		for (size_t gone = 0; gone < n; gone += step) {
			double moved = moved_without(&sets[s], gone);

			if (moved > sets[s].moved_max)
				fail_msg("%s: %.2f %% moved without n%zu", sets[s].name, moved,
					gone);
		}
	}
}

static void a_member_that_returns_restores_the_ring_exactly(void **)
{
	make(100, mixed);
	build(100, RING_SIZE, ring);
	uint32_t weight = members[41].weight;
	members[41].weight = 0;
	build(100, RING_SIZE, other);
	assert_memory_not_equal(ring, other, sizeof(ring));
	members[41].weight = weight;
	build(100, RING_SIZE, other);
	assert_memory_equal(ring, other, sizeof(ring));
}

static void a_member_without_weight_might_as_well_not_be_there(void **)
{
	make(11, equal);
	members[10].weight = 0;
	build(11, RING_SIZE, ring);
	build(10, RING_SIZE, other);
	assert_memory_equal(ring, other, sizeof(ring));
}

static void what_the_ring_cannot_represent_gets_one_slot_and_is_told(void **)
{
	static const uint32_t weights[] = {UINT32_MAX, 1, 1, 7, UINT32_MAX};
	uint32_t counts[5];

	make(5, equal);
	for (size_t i = 0; i < 5; i++)
		members[i].weight = weights[i];
	build(5, 251, ring);
	count(ring, 251, 5, counts);

	assert_int_equal(fit.n_raised, 3);
	assert_int_equal(fit.n_left_out, 0);
	assert_int_equal(counts[1] + counts[2] + counts[3], 3);
	assert_int_equal(counts[0] + counts[4], 248);
	assert_int_equal(counts[0], counts[4]);
}

static void more_members_than_slots_leave_out_the_lightest(void **)
{
	uint32_t counts[MEMBERS_MAX];

	make(MEMBERS_MAX, mixed);
	build(MEMBERS_MAX, 251, ring);
	count(ring, 251, MEMBERS_MAX, counts);
	assert_int_equal(fit.n_left_out, MEMBERS_MAX - 251);
	for (size_t i = 0; i < MEMBERS_MAX; i++) {
		assert_true(counts[i] <= 1);
		if (members[i].weight == 10)
			assert_int_equal(counts[i], 1);
		if (members[i].weight < 8)
			assert_int_equal(counts[i], 0);
	}
}

static void nobody_with_a_weight_makes_no_ring(void **)
{
	make(3, equal);
	for (size_t i = 0; i < 3; i++)
		members[i].weight = 0;
	assert_int_equal(maglev_build(members, 3, RING_SIZE, ring, &fit), -ENOENT);
	assert_int_equal(maglev_build(members, 0, RING_SIZE, ring, &fit), -ENOENT);
}

static uint64_t hash_of_ring(size_t n)
{
	uint64_t hash = 0;

	build(n, RING_SIZE, ring);
	for (uint32_t slot = 0; slot < RING_SIZE; slot++)
		hash = mix(hash ^ ring[slot]);
	return hash;
}

// Two Guideways behind ECMP, maybe of different versions, forward by one ring: its slots are part
// of what must not change. The hashes are of the rings that were built first.
static void the_ring_is_the_same_on_every_machine_and_in_every_version(void **)
{
	make(10, mixed);
	assert_int_equal(hash_of_ring(10), 0x54554ad7911a8ad9);
	make(100, all_different);
	assert_int_equal(hash_of_ring(100), 0xafb13d0e269a4847);
}

static void primes_are_told_from_other_numbers(void **)
{
	static const uint32_t primes[] = {2, 3, 5, 7, 11, 251, 65537, 16777213, 4294967291};
	static const uint32_t others[] = {0, 1, 4, 9, 25, 65535, 65536, 65539u * 3, 4294967295};

	for (size_t i = 0; i < sizeof(primes) / sizeof(primes[0]); i++)
		assert_true(is_prime(primes[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(is_prime(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_has_its_share_to_within_one_slot),
		cmocka_unit_test(a_thousand_equal_members_are_within_one_percent_of_the_mean),
		cmocka_unit_test(the_order_of_the_members_does_not_matter),
		cmocka_unit_test(slots_belong_to_names_not_to_node_ids),
		cmocka_unit_test(a_member_that_leaves_moves_few_slots_of_the_others),
		cmocka_unit_test(a_member_that_returns_restores_the_ring_exactly),
		cmocka_unit_test(a_member_without_weight_might_as_well_not_be_there),
		cmocka_unit_test(what_the_ring_cannot_represent_gets_one_slot_and_is_told),
		cmocka_unit_test(more_members_than_slots_leave_out_the_lightest),
		cmocka_unit_test(nobody_with_a_weight_makes_no_ring),
		cmocka_unit_test(the_ring_is_the_same_on_every_machine_and_in_every_version),
		cmocka_unit_test(primes_are_told_from_other_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
