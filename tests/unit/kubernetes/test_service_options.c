#include "documents.h"

#include "kubernetes/service_options.h"

// What annotations say, and what is said of those that say nothing that can be understood.

static const char *read_options(const char *annotations, struct service_options *ret_options)
{
	static char why[OPTIONS_WHY_MAX];
	json_t *json = document(annotations);

	service_options_read(json, ret_options, why);
	json_decref(json);
	return why;
}

static void all_of_them_are_read(void **)
{
	struct service_options o;

	assert_string_equal(
		read_options("{'guideway.dev/forwarding': 'tunnel-gue',"
			     " 'guideway.dev/on-all-down': 'fail-open',"
			     " 'guideway.dev/idle-timeout': '90', 'guideway.dev/mss': '1360',"
			     " 'guideway.dev/check-interval': '0.5',"
			     " 'guideway.dev/check-timeout': '.25',"
			     " 'guideway.dev/check-rise': '1', 'guideway.dev/check-fall': '5'}",
			&o),
		"");
	assert_int_equal(o.forwarding, FORWARDING_TUNNEL_GUE);
	assert_int_equal(o.all_down, ALL_DOWN_FAIL_OPEN);
	assert_int_equal(o.idle_s, 90);
	assert_int_equal(o.mss, 1360);
	assert_int_equal(o.check_interval_ms, 500);
	assert_int_equal(o.check_timeout_ms, 250);
	assert_int_equal(o.check_rise, 1);
	assert_int_equal(o.check_fall, 5);
}

static void without_any_all_is_as_configured(void **)
{
	static const struct service_options none;
	struct service_options o;

	assert_string_equal(read_options("{'app': 'web'}", &o), "");
	assert_memory_equal(&o, &none, sizeof(o));
}

static const struct bad_case {
	const char *name;
	const char *value;
	const char *must;
} bad_cases[] = {
	{"forwarding", "magic", "snat, dnat, dsr, tunnel, tunnel-ip or tunnel-gue"},
	{"on-all-down", "open", "reject or fail-open"},
	{"idle-timeout", "0", "from 1 to 604800 seconds"},
	{"idle-timeout", "1.5", "from 1 to 604800 seconds"},
	{"idle-timeout", "604801", "from 1 to 604800 seconds"},
	{"idle-timeout", "", "from 1 to 604800 seconds"},
	{"idle-timeout", "10m", "from 1 to 604800 seconds"},
	{"idle-timeout", "nan", "from 1 to 604800 seconds"},
	{"mss", "100", "from 536 to 65495"},
	{"mss", "-1400", "from 536 to 65495"},
	{"check-interval", "0.05", "from 0.1 to 3600 seconds"},
	{"check-interval", "1.2.3", "from 0.1 to 3600 seconds"},
	{"check-interval", ".", "from 0.1 to 3600 seconds"},
	{"check-timeout", "1e3", "from 0.05 to 60 seconds"},
	{"check-timeout", "60.1", "from 0.05 to 60 seconds"},
	{"check-rise", "0", "from 1 to 100"},
	{"check-fall", "101", "from 1 to 100"},
};

static void a_bad_value_changes_nothing_and_is_named_with_what_it_must_be(void **)
{
	static const struct service_options none;

	for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const struct bad_case *c = &bad_cases[i];
		struct service_options o;
		char text[128], want[256];

		snprintf(text, sizeof(text), "{'guideway.dev/%s': '%s'}", c->name, c->value);
		snprintf(want, sizeof(want),
			"the annotation guideway.dev/%s is \"%s\", and is not looked at; it must "
			"be %s",
			c->name, c->value, c->must);
		assert_string_equal(read_options(text, &o), want);
		assert_memory_equal(&o, &none, sizeof(o));
	}
}

#define AE "\xc3\xa4"
#define TEN_AE AE AE AE AE AE AE AE AE AE AE

// What is said becomes JSON again, which has no half of a character: wherever the room ends.
static void what_is_cut_is_cut_between_characters(void **)
{
	char text[1024];

	for (int pad = 1; pad < 60; pad++) {
		struct service_options o;
		size_t len = (size_t)sprintf(text, "{'guideway.dev/%0*d': ''", pad, 0);

		for (int i = 0; i < 6; i++)
			len += (size_t)sprintf(text + len, ", 'guideway.dev/%d" TEN_AE "': ''", i);
		sprintf(text + len, ", 'guideway.dev/forwarding': 'x" TEN_AE TEN_AE TEN_AE "'}");
		json_t *json = json_string(read_options(text, &o));
		assert_non_null(json);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_them_are_read),
		cmocka_unit_test(without_any_all_is_as_configured),
		cmocka_unit_test(a_bad_value_changes_nothing_and_is_named_with_what_it_must_be),
		cmocka_unit_test(what_is_cut_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
