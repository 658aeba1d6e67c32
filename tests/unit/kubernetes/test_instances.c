#include "documents.h"

#include "clock.h"
#include "kubernetes/instances.h"

#define SECONDS NSEC_PER_SEC
#define NOW_NS (1000 * SECONDS)

static int make(void **state)
{
	*state = instances_create("guideway-instance-east");
	return *state == NULL;
}

static int unmake(void **state)
{
	instances_destroy(*state);
	return 0;
}

// 'renewed' is any text: that it changes is what counts.
static void tell(struct instances *instances, const char *name, const char *holder,
	const char *renewed, const char *in_force, uint64_t now_ns)
{
	char text[512];

	snprintf(text, sizeof(text),
		"{'metadata': {'name': '%s', 'annotations': {'guideway.dev/in-force': '%s'}},"
		" 'spec': {'holderIdentity': '%s', 'leaseDurationSeconds': 15, 'renewTime': '%s'}}",
		name, in_force, holder, renewed);
	json_t *json = document(text);
	assert_int_equal(instances_tell(instances, false, json, now_ns), 0);
	json_decref(json);
}

static void gone(struct instances *instances, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "{'metadata': {'name': '%s'}}", name);
	json_t *json = document(text);
	assert_int_equal(instances_tell(instances, true, json, NOW_NS), 0);
	json_decref(json);
}

static void add_name(void *argument, const struct instance_seen *seen)
{
	char *names = argument;

	sprintf(names + strlen(names), "%s%s", seen->name, seen->is_own ? "! " : " ");
}

static const char *live(const struct instances *instances, uint64_t now_ns)
{
	static char names[256];

	names[0] = '\0';
	instances_each(instances, now_ns, add_name, names);
	return names;
}

static void alone_it_waits_for_nobody(void **state)
{
	struct instances *i = *state;

	assert_true(instances_in_force(i, NOW_NS) == UINT64_MAX);
	tell(i, "guideway-instance-east", "east_1", "1", "7", NOW_NS);
	tell(i, "guideway-leader", "east_1", "1", "", NOW_NS);
	assert_true(instances_in_force(i, NOW_NS) == UINT64_MAX);
	assert_string_equal(live(i, NOW_NS), "east! ");
}

static void the_least_of_the_others_counts(void **state)
{
	struct instances *i = *state;

	tell(i, "guideway-instance-east", "east_1", "1", "1", NOW_NS);
	tell(i, "guideway-instance-west", "west_1", "1", "42", NOW_NS);
	tell(i, "guideway-instance-north", "north_1", "1", "41", NOW_NS);
	assert_int_equal(instances_in_force(i, NOW_NS), 41);
	tell(i, "guideway-instance-north", "north_1", "2", "43", NOW_NS);
	assert_int_equal(instances_in_force(i, NOW_NS), 42);
	tell(i, "guideway-instance-north", "north_1", "2", "not-all", NOW_NS);
	tell(i, "guideway-instance-west", "west_1", "1", "44", NOW_NS);
	assert_int_equal(instances_in_force(i, NOW_NS), 44);
	tell(i, "guideway-instance-south", "south_1", "1", "", NOW_NS);
	assert_int_equal(instances_in_force(i, NOW_NS), 0);
}

static void one_that_is_not_renewed_lives_no_more(void **state)
{
	struct instances *i = *state;

	tell(i, "guideway-instance-west", "west_1", "1", "41", NOW_NS);
	tell(i, "guideway-instance-east", "east_1", "1", "41", NOW_NS);
	tell(i, "guideway-instance-west", "west_1", "1", "41", NOW_NS + 10 * SECONDS);
	assert_string_equal(live(i, NOW_NS + 14 * SECONDS), "east! west ");
	assert_string_equal(live(i, NOW_NS + 15 * SECONDS), "east! ");
	assert_true(instances_in_force(i, NOW_NS + 15 * SECONDS) == UINT64_MAX);
	tell(i, "guideway-instance-west", "west_1", "2", "41", NOW_NS + 20 * SECONDS);
	assert_string_equal(live(i, NOW_NS + 20 * SECONDS), "east! west ");
}

static void note_renewal(void *argument, const struct instance_seen *seen)
{
	uint64_t *renewed_ns = argument;

	if (!seen->is_own)
		*renewed_ns = seen->renewed_ns;
}

static void it_is_known_when_one_was_renewed(void **state)
{
	struct instances *i = *state;
	uint64_t renewed_ns = 0;

	tell(i, "guideway-instance-west", "west_1", "1", "41", NOW_NS);
	tell(i, "guideway-instance-west", "west_1", "2", "41", NOW_NS + 5 * SECONDS);
	tell(i, "guideway-instance-west", "west_1", "2", "42", NOW_NS + 6 * SECONDS);
	instances_each(i, NOW_NS + 7 * SECONDS, note_renewal, &renewed_ns);
	assert_true(renewed_ns == NOW_NS + 5 * SECONDS);
}

static void one_that_gave_up_its_lease_is_gone_at_once(void **state)
{
	struct instances *i = *state;

	tell(i, "guideway-instance-west", "west_1", "1", "41", NOW_NS);
	tell(i, "guideway-instance-west", "", "2", "41", NOW_NS + 1);
	assert_true(instances_in_force(i, NOW_NS + 2) == UINT64_MAX);
}

static void what_a_new_list_does_not_have_is_gone(void **state)
{
	struct instances *i = *state;

	tell(i, "guideway-instance-west", "west_1", "1", "41", NOW_NS);
	tell(i, "guideway-instance-north", "north_1", "1", "43", NOW_NS);
	instances_begin(i);
	tell(i, "guideway-instance-north", "north_1", "1", "43", NOW_NS);
	instances_end(i);
	assert_int_equal(instances_in_force(i, NOW_NS), 43);
	gone(i, "guideway-instance-north");
	assert_true(instances_in_force(i, NOW_NS) == UINT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(alone_it_waits_for_nobody),
		TEST(the_least_of_the_others_counts),
		TEST(one_that_is_not_renewed_lives_no_more),
		TEST(it_is_known_when_one_was_renewed),
		TEST(one_that_gave_up_its_lease_is_gone_at_once),
		TEST(what_a_new_list_does_not_have_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
