#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "address_text.h"

static const struct address_case {
	const char *text;
	const char *again; // NULL if it is none.
} addresses[] = {
	{"10.0.0.1", "10.0.0.1"},
	{"255.255.255.255", "255.255.255.255"},
	{"2001:DB8:0:0:0::1", "2001:db8::1"},
	{"fe80::1", "fe80::1"},
	{"::1", "::1"},
	{"::ffff:10.0.0.1", "10.0.0.1"},
	{"64:ff9b::10.0.0.1", "64:ff9b::a00:1"},
	{"", NULL},
	{"10.0.0", NULL},
	{"10.0.0.300", NULL},
	{"10.0.0.1 ", NULL},
	{" 10.0.0.1", NULL},
	{"010.0.0.1", NULL},
	{"10.0.0.1/32", NULL},
	{"10.0.0.1:80", NULL},
	{"fe80::1%eth0", NULL},
	{"[::1]", NULL},
	{"::1::2", NULL},
	{"node1", NULL},
};

static void an_address_is_read_as_written_and_written_as_agreed(void **)
{
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const struct address_case *c = &addresses[i];
		char text[ADDRESS_TEXT_MAX];
		struct address address;

		if (c->again == NULL) {
			if (address_parse(c->text, &address) != -EINVAL)
				fail_msg("'%s' is taken for an address", c->text);
			continue;
		}
		assert_int_equal(address_parse(c->text, &address), 0);
		assert_string_equal(address_format(&address, text), c->again);
		assert_int_equal(address_is_ipv4(&address), strchr(c->again, ':') == NULL);
	}
}

static void no_address_says_so(void **)
{
	struct address none = {0};
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(&none, text), "none");
}

static const struct prefix_case {
	const char *text;
	const char *again;
	uint8_t length;
} prefixes[] = {
	{"10.0.0.0/8", "10.0.0.0/8", 8},
	{"0.0.0.0/0", "0.0.0.0/0", 0},
	{"10.0.0.1", "10.0.0.1/32", 32},
	{"10.0.0.0/31", "10.0.0.0/31", 31},
	{"2001:db8::/32", "2001:db8::/32", 32},
	{"::/0", "::/0", 0},
	{"::1/128", "::1/128", 128},
	{"10.0.0.1/31", NULL, 0},
	{"10.0.0.1/0", NULL, 0},
	{"10.0.0.0/33", NULL, 0},
	{"10.0.0.0/08", NULL, 0},
	{"10.0.0.0/", NULL, 0},
	{"10.0.0.0/-1", NULL, 0},
	{"10.0.0.0/8/8", NULL, 0},
	{"2001:db8::1/127", NULL, 0},
	{"2001:db8::/129", NULL, 0},
	{"/8", NULL, 0},
	{"", NULL, 0},
};

static void a_prefix_has_no_bits_past_its_length(void **)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		const struct prefix_case *c = &prefixes[i];
		char text[PREFIX_TEXT_MAX];
		struct address prefix;
		uint8_t length;

		if (c->again == NULL) {
			if (prefix_parse(c->text, &prefix, &length) != -EINVAL)
				fail_msg("'%s' is taken for a prefix", c->text);
			continue;
		}
		assert_int_equal(prefix_parse(c->text, &prefix, &length), 0);
		assert_int_equal(length, c->length);
		assert_string_equal(prefix_format(&prefix, length, text), c->again);
	}
}

static const struct endpoint_case {
	const char *text;
	const char *address; // NULL if it is none.
	uint16_t port;
} endpoints[] = {
	{"1.2.3.4:80", "1.2.3.4", 80},
	{"[2001:db8::1]:443", "2001:db8::1", 443},
	{"1.2.3.4:65535", "1.2.3.4", 65535},
	{"1.2.3.4:65536", NULL, 0},
	{"1.2.3.4:0", NULL, 0},
	{"1.2.3.4:080", NULL, 0},
	{"1.2.3.4:", NULL, 0},
	{"1.2.3.4", NULL, 0},
	{"1.2.3.4: 80", NULL, 0},
	{"[1.2.3.4]:80", NULL, 0},
	{"2001:db8::1:80", NULL, 0},
	{"[2001:db8::1]", NULL, 0},
	{"[2001:db8::1]80", NULL, 0},
	{"[2001:db8::1:80", NULL, 0},
	{"[]:80", NULL, 0},
	{"]:80", NULL, 0},
	{":80", NULL, 0},
	{"", NULL, 0},
};

static void an_endpoint_is_an_address_and_a_port(void **)
{
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		const struct endpoint_case *c = &endpoints[i];
		char text[ENDPOINT_TEXT_MAX];
		struct address address;
		uint16_t port;

		if (c->address == NULL) {
			if (endpoint_parse(c->text, &address, &port) != -EINVAL)
				fail_msg("'%s' is taken for an endpoint", c->text);
			continue;
		}
		assert_int_equal(endpoint_parse(c->text, &address, &port), 0);
		assert_int_equal(port, c->port);
		assert_string_equal(endpoint_format(&address, port, text), c->text);
		assert_string_equal(address_format(&address, text), c->address);
	}
}

static void the_longest_texts_fit(void **)
{
	static const char longest[] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
	char text[ENDPOINT_TEXT_MAX];
	struct address address;

	assert_int_equal(address_parse(longest, &address), 0);
	assert_string_equal(endpoint_format(&address, 65535, text),
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	assert_string_equal(
		prefix_format(&address, 128, text), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_read_as_written_and_written_as_agreed),
		cmocka_unit_test(no_address_says_so),
		cmocka_unit_test(a_prefix_has_no_bits_past_its_length),
		cmocka_unit_test(an_endpoint_is_an_address_and_a_port),
		cmocka_unit_test(the_longest_texts_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
