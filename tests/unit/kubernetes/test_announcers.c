#include "documents.h"

#include "kubernetes/announcers.h"
#include "kubernetes/instances.h"
#include "name.h"

// Instances on one segment, each with what it sees of all of them.

enum { N_VIPS = 1000 };

static const char *const names[] = {"east", "north", "south", "west"};

static struct announcers seen_by(size_t own, size_t n)
{
	struct announcers announcers = {.known = true, .own = name_hash(names[own]), .n = n};

	for (size_t i = 0; i < n; i++)
		announcers.hashes[i] = name_hash(names[i]);
	return announcers;
}

static struct address vip(uint32_t i)
{
	return (struct address){
		.words = {0, 0, __builtin_bswap32(0xffff), __builtin_bswap32(0xcb007100 + i)}};
}

// Which of the first 'n' answers; fails unless it is one.
static size_t owner(const struct address *address, size_t n)
{
	size_t owner = n, n_owners = 0;

	for (size_t i = 0; i < n; i++) {
		struct announcers announcers = seen_by(i, n);

		if (announcers_own(&announcers, address)) {
			owner = i;
			n_owners++;
		}
	}
	assert_int_equal(n_owners, 1);
	return owner;
}

static void of_each_vip_one_answers_and_they_share_them(void **)
{
	size_t n_of[4] = {0};

	for (uint32_t i = 0; i < N_VIPS; i++) {
		struct address address = vip(i);

		n_of[owner(&address, 4)]++;
	}
	for (size_t i = 0; i < 4; i++)
		assert_in_range(n_of[i], N_VIPS / 4 * 8 / 10, N_VIPS / 4 * 12 / 10);
}

static void one_that_goes_moves_only_its_own(void **)
{
	for (uint32_t i = 0; i < N_VIPS; i++) {
		struct address address = vip(i);
		size_t before = owner(&address, 4), after = owner(&address, 3);

		if (before != 3)
			assert_int_equal(before, after);
	}
}

static void before_any_is_known_nobody_answers(void **)
{
	struct announcers announcers = {.own = name_hash("east")};
	struct address address = vip(1);

	assert_false(announcers_own(&announcers, &address));
	announcers.all = true;
	assert_true(announcers_own(&announcers, &address));
}

static void those_that_live_share_them(void **)
{
	struct instances *instances = instances_create(INSTANCE_LEASE_PREFIX "east");
	json_t *west = document("{'metadata': {'name': 'guideway-instance-west'}, 'spec': {"
				"'holderIdentity': 'west_1', 'leaseDurationSeconds': 15}}");
	json_t *east = document("{'metadata': {'name': 'guideway-instance-east'}, 'spec': {"
				"'holderIdentity': 'east_1', 'leaseDurationSeconds': 15}}");
	struct announcers announcers, alone;

	assert_int_equal(instances_tell(instances, false, west, 0), 0);
	assert_int_equal(instances_tell(instances, false, east, 0), 0);
	instances_announce(instances, 0, &announcers);
	assert_int_equal(announcers.n, 2);
	assert_true(announcers.own == announcers.hashes[0]);
	instances_announce(instances, UINT64_C(15000000000), &alone);
	assert_int_equal(alone.n, 1);
	assert_false(announcers_equal(&announcers, &alone));
	json_decref(west);
	json_decref(east);
	instances_destroy(instances);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_each_vip_one_answers_and_they_share_them),
		cmocka_unit_test(one_that_goes_moves_only_its_own),
		cmocka_unit_test(before_any_is_known_nobody_answers),
		cmocka_unit_test(those_that_live_share_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
