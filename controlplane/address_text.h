#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guideway/address.h"

// Addresses as people write them. Nothing is looked up, and nothing may stand before or after: no
// space, no zone ("%eth0"), no port unless asked for.

// Returns 0 or -EINVAL. "::ffff:10.0.0.1" is 10.0.0.1.
int address_parse(const char *text, struct address *ret_address);

// As RFC 5952 has it; an IPv4 address in dotted form; "none" for no address. Returns 'ret_text'.
char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);

// "10.0.0.0/8", "2001:db8::/32"; without a length, the whole address. 'ret_length' is in bits of
// the address's family. Returns 0, or -EINVAL also for bits past the length.
int prefix_parse(const char *text, struct address *ret_prefix, uint8_t *ret_length);

// Writes at most PREFIX_TEXT_MAX bytes, as do the next two ENDPOINT_TEXT_MAX. Returns 'ret_text'.
enum { PREFIX_TEXT_MAX = ADDRESS_TEXT_MAX + 4, ENDPOINT_TEXT_MAX = ADDRESS_TEXT_MAX + 8 };
char *prefix_format(const struct address *prefix, uint8_t length, char ret_text[PREFIX_TEXT_MAX]);

// "10.0.0.1:80", "[2001:db8::1]:80"; 'ret_port' is in host byte order. Returns 0 or -EINVAL.
int endpoint_parse(const char *text, struct address *ret_address, uint16_t *ret_port);
char *endpoint_format(
	const struct address *address, uint16_t port, char ret_text[ENDPOINT_TEXT_MAX]);
