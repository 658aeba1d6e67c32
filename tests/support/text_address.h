#pragma once

#include <arpa/inet.h>
#include <assert.h>

#include "guideway/address.h"

// The address that a test writes as text.
static inline struct address text_address(const char *text)
{
	struct in6_addr ipv6;
	struct in_addr ipv4;

	if (inet_pton(AF_INET, text, &ipv4) == 1)
		return address_from_ipv4(ipv4.s_addr);
	int is_ipv6 = inet_pton(AF_INET6, text, &ipv6);
	assert(is_ipv6 == 1);
	return address_from_ipv6(&ipv6);
}
