#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"
#include "snat_twin.h"

static struct address address_of(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

// Lets 'config' follow a list of addresses, separated by spaces.
static bool follow(struct config *config, const char *list)
{
	struct address addresses[8];
	char copy[256];
	size_t n = 0;

	strcpy(copy, list);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		addresses[n++] = address_of(word);
	return snat_twin_follow(config, addresses, n);
}

static void assert_places(const struct config *config, enum family family, const char *want)
{
	char text[ADDRESS_TEXT_MAX], all[256] = "";

	for (size_t i = 0; i < config->n_snat[family]; i++) {
		strcat(all, i == 0 ? "" : " ");
		strcat(all, address_format(&config->snat[family][i], text));
	}
	assert_string_equal(all, want);
}

static void addresses_keep_their_places(void **)
{
	struct config *config = calloc(1, sizeof(*config));

	assert_false(follow(config, ""));
	assert_true(follow(config, "192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1"));
	assert_places(config, IPV4, "192.0.2.1 192.0.2.2 192.0.2.3");
	assert_places(config, IPV6, "2001:db8::1");

	assert_false(follow(config, "2001:db8::1 192.0.2.3 192.0.2.2 192.0.2.1"));
	assert_true(follow(config, "192.0.2.3 192.0.2.9 192.0.2.1 2001:db8::1")); // For 192.0.2.2.
	assert_places(config, IPV4, "192.0.2.1 192.0.2.9 192.0.2.3");
	assert_true(follow(config, "192.0.2.3 192.0.2.9 2001:db8::1")); // The last for the first.
	assert_places(config, IPV4, "192.0.2.3 192.0.2.9");
	assert_true(follow(config, ""));
	assert_places(config, IPV4, "");
	assert_places(config, IPV6, "");
	free(config);
}

static void what_services_have_or_may_get_is_not_for_snat(void **)
{
	struct config *config = calloc(1, sizeof(*config));
	struct service_config service = {.vip = address_of("192.0.2.2")}, *services[] = {&service};
	struct address_range range = {address_of("192.0.2.128"), address_of("192.0.2.255")};
	struct address_pool pool = {.ranges = &range, .n_ranges = 1};

	config->services = services;
	assert_true(follow(config, "192.0.2.1 192.0.2.2"));
	assert_places(config, IPV4, "192.0.2.1 192.0.2.2");
	config->n_services = 1;
	assert_true(follow(config, "192.0.2.1 192.0.2.2"));
	assert_places(config, IPV4, "192.0.2.1");
	config->kubernetes.pools = &pool;
	config->kubernetes.n_pools = 1;
	assert_false(follow(config, "192.0.2.1 192.0.2.2 192.0.2.130"));
	free(config);
}

static void a_node_that_is_this_machine_is_out(void **)
{
	struct config *config = calloc(1, sizeof(*config));
	struct node_config nodes[] = {
		{.address = {address_of("192.0.2.1")}},
		{.address = {address_of("192.0.2.11"), address_of("2001:db8::11")}},
	};

	config->nodes = nodes;
	config->n_nodes = 2;
	assert_true(follow(config, "192.0.2.1 2001:db8::11"));
	assert_true(nodes[0].is_out && nodes[1].is_out);
	assert_true(follow(config, "192.0.2.1"));
	assert_true(nodes[0].is_out && !nodes[1].is_out);
	assert_true(follow(config, ""));
	assert_false(nodes[0].is_out);
	free(config);
}

static const struct ports_case {
	const char *kernels;
	int want;
	uint16_t first, last;
} cases[] = {
	{"32768\t60999\n", 0, 1024, 32767},
	{"1024 49151", 0, 49152, 65535},
	{"10000 20000", 0, 20001, 65535},
	{"1 500", 0, 1024, 65535},
	{"61000 65535", 0, 1024, 60999},
	{"1024 65000", -ERANGE, 0, 0},
	{"5000 61440", -ERANGE, 0, 0},
	{"60999 32768", -EINVAL, 0, 0},
	{"32768 70000", -EINVAL, 0, 0},
	{"32768", -EINVAL, 0, 0},
	{"", -EINVAL, 0, 0},
};

static void ports_are_those_that_the_kernel_leaves(void **)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ports_case *c = &cases[i];
		uint16_t first = 0, last = 0;

		assert_int_equal(snat_twin_ports(c->kernels, &first, &last), c->want);
		assert_int_equal(first, c->first);
		assert_int_equal(last, c->last);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_keep_their_places),
		cmocka_unit_test(what_services_have_or_may_get_is_not_for_snat),
		cmocka_unit_test(a_node_that_is_this_machine_is_out),
		cmocka_unit_test(ports_are_those_that_the_kernel_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
