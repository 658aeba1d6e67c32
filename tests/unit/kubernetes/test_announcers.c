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

// Of more instances than have a place.
static void one_that_is_not_among_them_answers_for_none(void **)
{
	struct announcers announcers = seen_by(3, 3);

	for (uint32_t i = 0; i < N_VIPS; i++) {
		struct address address = vip(i);

		assert_false(announcers_own(&announcers, &address));
	}
}

// By their Leases

static void tell(struct instances *instances, const char *name, const char *annotations)
{
	char text[512];

	snprintf(text, sizeof(text),
		"{'metadata': {'name': 'guideway-instance-%s', 'annotations': {%s}},"
		" 'spec': {'holderIdentity': '%s_1', 'leaseDurationSeconds': 15}}",
		name, annotations, name);
	json_t *json = document(text);
	assert_int_equal(instances_tell(instances, false, json, 0), 0);
	json_decref(json);
}

static void assert_share(const struct instances *instances, uint64_t own_in_force, uint64_t now_ns,
	const char *a, const char *b)
{
	struct announcers announcers;
	const char *const wanted[] = {a, b};

	instances_announce(instances, own_in_force, now_ns, &announcers);
	assert_true(announcers.known);
	assert_true(announcers.own == name_hash("east"));
	assert_int_equal(announcers.n, b == NULL ? 1 : 2);
	for (size_t i = 0; i < announcers.n; i++)
		assert_true(announcers.hashes[i] == name_hash(wanted[i]));
}

#define FORWARDS "'guideway.dev/in-force': '41'"
#define NOT_ALL "'guideway.dev/in-force': 'not-all'"

static void those_that_live_and_forward_share_them(void **)
{
	struct instances *east = instances_create(INSTANCE_LEASE_PREFIX "east");

	tell(east, "east", FORWARDS);
	tell(east, "west", FORWARDS);
	assert_share(east, 41, 0, "east", "west");
	assert_share(east, 41, UINT64_C(15000000000), "east", NULL);
	instances_destroy(east);
}

static void one_that_forwards_nothing_yet_leaves_them_to_the_others(void **)
{
	struct instances *east = instances_create(INSTANCE_LEASE_PREFIX "east");

	tell(east, "east", "");
	tell(east, "west", FORWARDS);
	assert_share(east, 0, 0, "west", NULL);
	// From when it does, before the others know.
	assert_share(east, 41, 0, "east", "west");
	tell(east, "west", "");
	assert_share(east, 41, 0, "east", NULL);
	// What the process before it said of itself does not count.
	tell(east, "east", FORWARDS);
	tell(east, "west", FORWARDS);
	assert_share(east, 0, 0, "west", NULL);
	instances_destroy(east);
}

static void where_none_says_that_it_forwards_all_that_live_share_them(void **)
{
	struct instances *east = instances_create(INSTANCE_LEASE_PREFIX "east");

	tell(east, "east", "");
	tell(east, "west", "");
	assert_share(east, 0, 0, "east", "west");
	tell(east, "west", NOT_ALL);
	assert_share(east, 0, 0, "west", NULL);
	assert_share(east, IN_FORCE_NOT_ALL, 0, "east", "west");
	instances_destroy(east);
}

static void one_that_does_not_forward_all_leaves_them_to_the_others_once_they_know(void **)
{
	struct instances *east = instances_create(INSTANCE_LEASE_PREFIX "east");

	tell(east, "east", FORWARDS);
	tell(east, "west", FORWARDS);
	assert_share(east, IN_FORCE_NOT_ALL, 0, "east", "west");
	tell(east, "east", NOT_ALL);
	assert_share(east, IN_FORCE_NOT_ALL, 0, "west", NULL);
	tell(east, "east", FORWARDS);
	tell(east, "west", NOT_ALL);
	assert_share(east, 42, 0, "east", NULL);
	instances_destroy(east);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_each_vip_one_answers_and_they_share_them),
		cmocka_unit_test(one_that_goes_moves_only_its_own),
		cmocka_unit_test(before_any_is_known_nobody_answers),
		cmocka_unit_test(one_that_is_not_among_them_answers_for_none),
		cmocka_unit_test(those_that_live_and_forward_share_them),
		cmocka_unit_test(one_that_forwards_nothing_yet_leaves_them_to_the_others),
		cmocka_unit_test(where_none_says_that_it_forwards_all_that_live_share_them),
		cmocka_unit_test(
			one_that_does_not_forward_all_leaves_them_to_the_others_once_they_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
