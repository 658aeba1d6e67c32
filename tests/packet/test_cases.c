#include "check.h"

#include <stdlib.h>

// Conversations of a few packets, each frame in and out written down. The corpus has many more
// cases; these show how it is meant to be.

enum { STEPS_MAX = 6 };

static const struct conversation {
	const char *name;
	struct step steps[STEPS_MAX];
} conversations[] = {
	{
		.name = "a TCP connection goes to its node and back",
		.steps =
			{
				{
					.in = FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN, .seq = 7)),
					.out = FRAME(IP(SNAT, NODE0, .hop_limit = 63),
						TCP(SNAT_PORT, 30080, SYN, .seq = 7)),
					.to = HOP_NODE0,
				},
				{
					.port = 1,
					.in = FRAME(IP(NODE0, SNAT),
						TCP(30080, SNAT_PORT, SYN | ACK, .ack = 8)),
					.out = FRAME(IP(VIP, CLIENT, .hop_limit = 63),
						TCP(80, 31337, SYN | ACK, .ack = 8)),
				},
				{
					.in = FRAME(
						IP(CLIENT, VIP), TCP(31337, 80, ACK), DATA(333)),
					.out = FRAME(IP(SNAT, NODE0, .hop_limit = 63),
						TCP(SNAT_PORT, 30080, ACK), DATA(333)),
					.to = HOP_NODE0,
				},
				{
					.port = 1,
					.in = FRAME(IP(NODE0, SNAT), TCP(30080, SNAT_PORT, ACK),
						DATA(1000)),
					.out = FRAME(IP(VIP, CLIENT, .hop_limit = 63),
						TCP(80, 31337, ACK), DATA(1000)),
				},
			},
	},
	{
		.name = "a TCP connection over IPv6 goes to its node and back",
		.steps =
			{
				{
					.in = FRAME(IP(CLIENT6, VIP6), TCP(31337, 80, SYN)),
					.out = FRAME(IP(SNAT6, NODE06, .hop_limit = 63),
						TCP(SNAT_PORT, 30080, SYN)),
					.to = HOP_NODE0,
				},
				{
					.port = 1,
					.in = FRAME(IP(NODE06, SNAT6),
						TCP(30080, SNAT_PORT, SYN | ACK)),
					.out = FRAME(IP(VIP6, CLIENT6, .hop_limit = 63),
						TCP(80, 31337, SYN | ACK)),
				},
			},
	},
	{
		.name = "a datagram goes to its node, and its answer back",
		.steps =
			{
				{
					.in = FRAME(IP(CLIENT, VIP), UDP(5353, 53), DATA(40)),
					.out = FRAME(IP(SNAT, NODE0, .hop_limit = 63),
						UDP(SNAT_PORT, 30053), DATA(40)),
					.to = HOP_NODE0,
				},
				{
					.port = 1,
					.in = FRAME(
						IP(NODE0, SNAT), UDP(30053, SNAT_PORT), DATA(99)),
					.out = FRAME(IP(VIP, CLIENT, .hop_limit = 63),
						UDP(53, 5353), DATA(99)),
				},
			},
	},
	{
		.name = "a router on the way to the node tells the client what fits",
		.steps =
			{
				{
					.in = FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN)),
					.out =
						FRAME(IP(SNAT, NODE0, .hop_limit = 63),
							TCP(SNAT_PORT, 30080, SYN)),
					.to = HOP_NODE0,
				},
				{
					.port = 1,
					.in =
						FRAME(IP("192.0.2.254", SNAT),
							ICMP(3, 4, .rest = 1280), IP(SNAT, NODE0),
							TCP(SNAT_PORT, 30080, ACK)),
					.out =
						FRAME(IP("192.0.2.254", CLIENT, .hop_limit = 63),
							ICMP(3, 4, .rest = 1280), IP(CLIENT, VIP),
							TCP(31337, 80, ACK)),
				},
			},
	},
	{
		.name = "a port that no service owns is rejected",
		.steps =
			{
				{
					.in =
						FRAME(IP(CLIENT, VIP),
							TCP(31337, 4711, SYN, .seq = 7)),
					.out =
						FRAME(IP(VIP, CLIENT),
							TCP(4711, 31337, RST | ACK, .ack = 8)),
					.is_answer = true,
					.drop = DROP_NO_SERVICE,
				},
				{
					.in = FRAME(IP(CLIENT6, VIP6), UDP(31337, 4711), DATA(10)),
					.out =
						FRAME(IP(VIP6, CLIENT6), ICMP(1, 4),
							IP(CLIENT6, VIP6), UDP(31337, 4711),
							DATA(10)),
					.is_answer = true,
					.drop = DROP_NO_SERVICE,
				},
			},
	},
	{
		.name = "who has a VIP is told",
		.steps =
			{
				{
					.in = FRAME(ARP(1, CLIENT, VIP)),
					.out = FRAME(ARP(2, VIP, CLIENT)),
					.is_answer = true,
				},
				{
					.in = FRAME(ARP(1, CLIENT, "10.0.0.2")), // Told not to.
					.way = WAY_KERNEL,
				},
			},
	},
	{
		.name = "a VIP answers a ping",
		.steps =
			{
				{
					.in =
						FRAME(IP(CLIENT, VIP), ICMP(8, 0, .rest = 77),
							DATA(56)),
					.out =
						FRAME(IP(VIP, CLIENT), ICMP(0, 0, .rest = 77),
							DATA(56)),
					.is_answer = true,
				},
				{
					.in =
						FRAME(IP(CLIENT6, SNAT6), ICMP(128, 0, .rest = 77),
							DATA(56)),
					.out =
						FRAME(IP(SNAT6, CLIENT6), ICMP(129, 0, .rest = 77),
							DATA(56)),
					.is_answer = true,
				},
			},
	},
	{
		.name = "the kernel's own connections to a VIP are forwarded too",
		.steps =
			{
				{
					.origin = ORIGIN_KERNEL,
					.in = FRAME(IP("192.0.2.99", VIP), TCP(31337, 80, SYN)),
					.out =
						FRAME(IP(SNAT, NODE0, .hop_limit = 63),
							TCP(SNAT_PORT, 30080, SYN)),
					.to = HOP_NODE0,
				},
			},
	},
	{
		.name = "a node may be this machine",
		.steps =
			{
				{
					.in = FRAME(IP(CLIENT, VIP), TCP(31337, 82, SYN)),
					.out =
						FRAME(IP(SNAT, "192.0.2.12", .hop_limit = 63),
							TCP(SNAT_PORT, 30082, SYN)),
					.to = HOP_LOCAL,
					.way = WAY_KERNEL,
					.class = KERNEL_OTHER,
				},
				{
					.origin = ORIGIN_KERNEL,
					.port = 1,
					.in =
						FRAME(IP("192.0.2.12", SNAT),
							TCP(30082, SNAT_PORT, SYN | ACK)),
					.out =
						FRAME(IP(VIP, CLIENT, .hop_limit = 63),
							TCP(82, 31337, SYN | ACK)),
				},
			},
	},
};

static void converse(const struct conversation *c, size_t segment_len)
{
	struct world *w = world_create(1, false);
	uint16_t snat_port = SNAT_PORT;

	w->segment_len = segment_len;
	for (const struct step *s = c->steps; s->in.layers[0].kind != LAYER_NONE; s++) {
		print_message("    %s, step %zu, segments of %zu\n", c->name,
			(size_t)(s - c->steps), segment_len);
		check_step(w, s, &snat_port);
	}
	world_destroy(w);
}

static void each_conversation_goes_as_written(void **)
{
	for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++)
		converse(&conversations[i], 0);
}

// Headers straddle segments, and one is shorter than an Ethernet header.
static void and_just_so_in_small_segments(void **)
{
	for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++) {
		converse(&conversations[i], 11);
		converse(&conversations[i], 40);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_conversation_goes_as_written),
		cmocka_unit_test(and_just_so_in_small_segments),
	};

	world_start_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
