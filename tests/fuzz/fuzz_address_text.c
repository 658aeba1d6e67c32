// What is read as an address, a prefix or an endpoint is written so that it is read as the same.

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "address_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_address(const char *text)
{
	char again[ADDRESS_TEXT_MAX];
	struct address a, b;

	if (address_parse(text, &a) < 0 || address_is_none(&a))
		return;
	assert(address_parse(address_format(&a, again), &b) == 0 && address_equal(&a, &b));
}

static void check_prefix(const char *text)
{
	char again[PREFIX_TEXT_MAX];
	struct address a, b;
	uint8_t length, length_again;

	if (prefix_parse(text, &a, &length) < 0)
		return;
	assert(prefix_parse(prefix_format(&a, length, again), &b, &length_again) == 0);
	assert(address_equal(&a, &b) && length == length_again);
}

static void check_endpoint(const char *text)
{
	char again[ENDPOINT_TEXT_MAX];
	struct address a, b;
	uint16_t port, port_again;

	if (endpoint_parse(text, &a, &port) < 0 || address_is_none(&a))
		return;
	assert(endpoint_parse(endpoint_format(&a, port, again), &b, &port_again) == 0);
	assert(address_equal(&a, &b) && port == port_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char text[256];

	if (len >= sizeof(text))
		return 0;
	memcpy(text, bytes, len);
	text[len] = '\0';
	check_address(text);
	check_prefix(text);
	check_endpoint(text);
	return 0;
}
