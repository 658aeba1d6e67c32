#include "address_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int address_parse(const char *text, struct address *ret_address)
{
	struct in6_addr ipv6;
	struct in_addr ipv4;

	if (inet_pton(AF_INET, text, &ipv4) == 1) {
		*ret_address = address_from_ipv4(ipv4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &ipv6) == 1) {
		*ret_address = address_from_ipv6(&ipv6);
		return 0;
	}
	return -EINVAL;
}

char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX])
{
	if (address_is_none(address))
		return strcpy(ret_text, "none");

	if (address_is_ipv4(address))
		inet_ntop(AF_INET, &address->words[3], ret_text, ADDRESS_TEXT_MAX);
	else
		inet_ntop(AF_INET6, address->bytes, ret_text, ADDRESS_TEXT_MAX);
	return ret_text;
}

// A decimal number as people write it: digits only, no 0 in front. Returns 0 or -EINVAL.
static int parse_number(const char *text, unsigned most, unsigned *ret_number)
{
	unsigned number = 0;

	if (*text == '\0' || (text[0] == '0' && text[1] != '\0'))
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		number = number * 10 + (unsigned)(*text - '0');
		if (number > most)
			return -EINVAL;
	}
	*ret_number = number;
	return 0;
}

// Parses the first 'len' bytes of 'text'.
static int parse_part(const char *text, size_t len, struct address *ret_address)
{
	char part[ADDRESS_TEXT_MAX];

	if (len >= sizeof(part))
		return -EINVAL;
	memcpy(part, text, len);
	part[len] = '\0';
	return address_parse(part, ret_address);
}

// Of the bits of the family, those past 'length' are 0.
static bool is_prefix(const struct address *address, unsigned length)
{
	unsigned first = address_is_ipv4(address) ? 96 : 0;

	for (unsigned bit = first + length; bit < 128; bit++) {
		if (address->bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	}
	return true;
}

int prefix_parse(const char *text, struct address *ret_prefix, uint8_t *ret_length)
{
	const char *slash = strchr(text, '/');
	struct address prefix;

	if (parse_part(text, slash == NULL ? strlen(text) : (size_t)(slash - text), &prefix) < 0)
		return -EINVAL;

	unsigned bits = address_is_ipv4(&prefix) ? 32 : 128, length = bits;
	if (slash != NULL && parse_number(slash + 1, bits, &length) < 0)
		return -EINVAL;
	if (!is_prefix(&prefix, length))
		return -EINVAL;

	*ret_prefix = prefix;
	*ret_length = (uint8_t)length;
	return 0;
}

// "::/0" is no address, and yet a prefix.
char *prefix_format(const struct address *prefix, uint8_t length, char ret_text[PREFIX_TEXT_MAX])
{
	char text[ADDRESS_TEXT_MAX] = "::";

	if (!address_is_none(prefix))
		address_format(prefix, text);
	snprintf(ret_text, PREFIX_TEXT_MAX, "%s/%u", text, length);
	return ret_text;
}

int endpoint_parse(const char *text, struct address *ret_address, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	struct address address;
	unsigned port;

	if (colon == NULL || parse_number(colon + 1, UINT16_MAX, &port) < 0 || port == 0)
		return -EINVAL;

	// Brackets are for IPv6 and only for it: without them its last group would be the port.
	bool brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
	size_t len = (size_t)(colon - text) - (brackets ? 2 : 0);
	if (parse_part(text + brackets, len, &address) < 0 ||
		(strchr(text, ':') != colon) != brackets)
		return -EINVAL;

	*ret_address = address;
	*ret_port = (uint16_t)port;
	return 0;
}

char *endpoint_format(
	const struct address *address, uint16_t port, char ret_text[ENDPOINT_TEXT_MAX])
{
	char text[ADDRESS_TEXT_MAX];
	bool brackets = !address_is_ipv4(address) && !address_is_none(address);

	snprintf(ret_text, ENDPOINT_TEXT_MAX, brackets ? "[%s]:%u" : "%s:%u",
		address_format(address, text), port);
	return ret_text;
}
