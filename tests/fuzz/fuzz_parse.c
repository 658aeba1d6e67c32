// Of any bytes no parser reads more than there are, and what it says to have found lies among them.

#include <assert.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Of the first byte of an input.
enum { IS_RETURNED = 1, IS_IPV6 = 2, HAS_VLAN = 2, FROM_KERNEL = 4, IS_CUT = 8 };

static const struct port_facts ports[] = {
	{.mac = {{2, 0, 0, 0, 0, 1}}, .mtu = 1500},
	{.mac = {{2, 0, 0, 0, 0, 1}}, .mtu = 1500, .vlan = 100},
};

static size_t header_len(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_SCTP:
		return 12;
	default:
		return 8;
	}
}

static void check_packet(const struct packet *p, const uint8_t *frame, size_t first_len, size_t len)
{
	if (p->kind == KIND_OTHER) {
		assert(p->l3 == NULL);
		return;
	}
	assert(p->l3 == frame + p->l2_len && p->l3 <= frame + first_len);
	if (p->fault != DROP_NONE || p->kind == KIND_ARP)
		return;

	assert(p->l2_len + (size_t)p->ip_len <= len);
	if (p->kind == KIND_PORTS || p->kind == KIND_ICMP)
		assert(p->l4 > p->l3 && p->l4 + header_len(p->protocol) <= frame + first_len);
}

// The first 'first_len' bytes, in a place of their own.
static void parse_as_frame(uint8_t how, const uint8_t *bytes, size_t first_len, size_t len)
{
	struct packet p = {.origin = how & FROM_KERNEL ? ORIGIN_KERNEL : ORIGIN_PORT};
	uint8_t *frame = malloc(first_len);

	assert(frame != NULL);
	memcpy(frame, bytes, first_len);
	if (parse_frame(frame, first_len, len, &ports[(how & HAS_VLAN) != 0], &p) == DROP_NONE)
		check_packet(&p, frame, first_len, len);
	free(frame);
}

static void parse_as_returned(uint8_t how, const uint8_t *bytes, size_t len)
{
	enum family family = how & IS_IPV6 ? IPV6 : IPV4;
	uint8_t *copy = malloc(len);
	struct returned r;

	assert(copy != NULL);
	memcpy(copy, bytes, len);
	if (parse_returned(copy, len, family, &r) == DROP_NONE) {
		assert(r.l3 >= copy && r.l4 > r.l3 && r.l4_len >= 8);
		assert(r.l4 + r.l4_len <= copy + len);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len < 3)
		return 0;

	uint8_t how = bytes[0], cut = bytes[1];
	bytes += 2;
	len -= 2;
	if (how & IS_RETURNED)
		parse_as_returned(how, bytes, len);
	else
		parse_as_frame(how, bytes, how & IS_CUT ? 1 + cut % len : len, len);
	return 0;
}
