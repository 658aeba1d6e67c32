#include "check.h"

#include <stdlib.h>

#include "parse.h"

// The parser alone, on memory of just the right size: AddressSanitizer sees a byte read too many.

static const struct port_facts port = {.mac = {{2, 0, 0, 0, 0, 1}}, .mtu = 1500, .vlan = 100};
static const struct rte_ether_addr sender = {{2, 0, 0, 0, 0, 2}};

static const struct frame frames[] = {
	FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN), DATA(9)),
	FRAME(IP(CLIENT, VIP), UDP(31337, 53), DATA(9)),
	FRAME(IP(CLIENT6, VIP6), TCP(31337, 80, SYN), DATA(9)),
	FRAME(IP(CLIENT6, VIP6), UDP(31337, 53), DATA(9)),
	FRAME(IP(CLIENT, VIP), ICMP(3, 4), IP(VIP, CLIENT), TCP(80, 31337, ACK)),
	FRAME(IP(CLIENT6, VIP6), ICMP(2, 0), IP(VIP6, CLIENT6), UDP(53, 31337)),
	FRAME(ARP(1, CLIENT, VIP)),
	FRAME(DATA(30)),
};
enum { N_FRAMES = sizeof(frames) / sizeof(frames[0]) };

// Parses the first 'len' bytes, in a place of their own.
static enum drop_reason parse_copy(
	const uint8_t *bytes, size_t first_len, size_t len, struct packet *ret_packet)
{
	uint8_t *copy = malloc(first_len);

	assert_non_null(copy);
	memcpy(copy, bytes, first_len);
	*ret_packet = (struct packet){.origin = ORIGIN_PORT};
	enum drop_reason reason = parse_frame(copy, first_len, len, &port, ret_packet);
	if (ret_packet->l3 != NULL)
		ret_packet->l3 = ret_packet->l3 - copy + (uint8_t *)bytes;
	free(copy);
	return reason;
}

static void a_frame_cut_anywhere_is_not_read_past_its_end(void **)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct packet p;

	for (int i = 0; i < N_FRAMES; i++) {
		size_t len = frame_write(&frames[i], &sender, &port.mac, 100, 0, bytes);

		for (size_t cut = 1; cut <= len; cut++) {
			parse_copy(bytes, cut, cut, &p);
			parse_copy(bytes, cut, len, &p); // The rest lies elsewhere.
		}
	}
}

// Lengths and types that lie lead no further.
static void a_frame_of_any_bytes_is_not_read_past_its_end(void **)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	uint32_t random = 1;
	struct packet p;

	for (int i = 0; i < 200000; i++) {
		size_t len = frame_write(&frames[i % N_FRAMES], &sender, &port.mac, 100, 0, bytes);

		for (int change = 0; change < 3; change++) {
			random = random * 1664525 + 1013904223; // Numerical Recipes, chapter 7.
			bytes[12 + (random >> 8) % (len - 12)] = (uint8_t)(random >> 24);
		}
		parse_copy(bytes, len, len, &p);
	}
}

static void what_an_error_brings_back_is_not_read_past_its_end(void **)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct returned r;

	for (int i = 0; i < N_FRAMES; i++) {
		size_t len = frame_write(&frames[i], &sender, &port.mac, 0, 0, bytes);

		for (size_t cut = 1; cut <= len - 14; cut++) {
			uint8_t *copy = malloc(cut);

			assert_non_null(copy);
			memcpy(copy, bytes + 14, cut);
			parse_returned(copy, cut, IPV4, &r);
			parse_returned(copy, cut, IPV6, &r);
			free(copy);
		}
	}
}

static void headers_are_found_where_they_are(void **)
{
	static const struct {
		enum packet_kind kind;
		uint8_t family;
		uint8_t protocol;
		uint16_t ip_len;
	} wanted[N_FRAMES] = {
		{KIND_PORTS, IPV4, 6, 49},
		{KIND_PORTS, IPV4, 17, 37},
		{KIND_PORTS, IPV6, 6, 69},
		{KIND_PORTS, IPV6, 17, 57},
		{KIND_ICMP, IPV4, 1, 68},
		{KIND_ICMP, IPV6, 58, 96},
		{KIND_ARP, 0, 0, 0},
		{KIND_OTHER, 0, 0, 0},
	};
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct packet p;

	for (int i = 0; i < N_FRAMES; i++) {
		size_t len = frame_write(&frames[i], &sender, &port.mac, 100, 0, bytes);

		assert_int_equal(parse_copy(bytes, len, len, &p), DROP_NONE);
		assert_int_equal(p.fault, DROP_NONE);
		assert_int_equal(p.kind, wanted[i].kind);
		assert_int_equal(p.family, wanted[i].family);
		assert_int_equal(p.protocol, wanted[i].protocol);
		assert_int_equal(p.ip_len, wanted[i].ip_len);
		assert_int_equal(p.l2_len, 18);
		assert_ptr_equal(p.l3, p.kind == KIND_OTHER ? NULL : bytes + 18);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_cut_anywhere_is_not_read_past_its_end),
		cmocka_unit_test(a_frame_of_any_bytes_is_not_read_past_its_end),
		cmocka_unit_test(what_an_error_brings_back_is_not_read_past_its_end),
		cmocka_unit_test(headers_are_found_where_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
