#include "ip_header.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>

enum { HOP_LIMIT = 64 };

static_assert(sizeof(struct ip6_hdr) == IP_HEADER_MAX);

// RFC 1071, of an even number of bytes. The words are summed as they lie in memory, which makes no
// difference.
static uint32_t sum(const void *bytes, size_t len)
{
	uint32_t total = 0;

	for (size_t i = 0; i < len; i += 2) {
		uint16_t word;

		memcpy(&word, (const uint8_t *)bytes + i, sizeof(word));
		total += word;
	}
	return total;
}

static uint16_t checksum(uint32_t total)
{
	total = (total & 0xffff) + (total >> 16);
	return (uint16_t) ~((total & 0xffff) + (total >> 16));
}

static size_t write_ipv4(const struct address *source, const struct address *destination,
	uint8_t protocol, size_t l4_len, uint8_t *to)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons((uint16_t)(sizeof(ip) + l4_len)),
		.frag_off = htons(IP_DF),
		.ttl = HOP_LIMIT,
		.protocol = protocol,
		.saddr = source->words[3],
		.daddr = destination->words[3],
	};

	ip.check = checksum(sum(&ip, sizeof(ip)));
	memcpy(to, &ip, sizeof(ip));
	return sizeof(ip);
}

static size_t write_ipv6(const struct address *source, const struct address *destination,
	uint8_t protocol, size_t l4_len, uint8_t *to)
{
	struct ip6_hdr ip = {.ip6_flow = htonl(6u << 28)};

	ip.ip6_plen = htons((uint16_t)l4_len);
	ip.ip6_nxt = protocol;
	ip.ip6_hlim = HOP_LIMIT;
	memcpy(&ip.ip6_src, source, sizeof(*source));
	memcpy(&ip.ip6_dst, destination, sizeof(*destination));
	memcpy(to, &ip, sizeof(ip));
	return sizeof(ip);
}

size_t ip_header_write(const struct address *source, const struct address *destination,
	uint8_t protocol, size_t l4_len, uint8_t ret_header[IP_HEADER_MAX])
{
	return address_family(destination) == IPV4
		? write_ipv4(source, destination, protocol, l4_len, ret_header)
		: write_ipv6(source, destination, protocol, l4_len, ret_header);
}

// The pseudo-header's too. An IPv4 address is kept with a marker that counts as nothing.
uint16_t ip_header_l4_checksum(const struct address *source, const struct address *destination,
	uint8_t protocol, const void *l4, size_t len)
{
	uint32_t pseudo = sum(source, sizeof(*source)) + sum(destination, sizeof(*destination)) +
		htons((uint16_t)len) + htons(protocol);
	uint16_t value = checksum(pseudo + sum(l4, len));

	// In UDP, 0 says that there is none.
	return protocol == IPPROTO_UDP && value == 0 ? 0xffff : value;
}
