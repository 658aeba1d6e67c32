#include "check.h"
#include "owner.h"

// The SNAT address is the machine's own, too (snat = "twin"): replies to our flows are ours, and
// whatever else comes to it is the kernel's, as it came.

enum { LAST_PORT = 32767 };

static const struct crew {
	unsigned n_workers;
	bool rss;
} crews[] = {{1, false}, {4, false}, {4, true}};

static struct world *make(const struct crew *crew)
{
	struct world *w = world_create(crew->n_workers, crew->rss);

	owner_map_narrow(w->owners, SNAT_PORT_MIN, LAST_PORT);
	for (size_t i = 0; i < w->table->table.n_own; i++) {
		struct own_address *own = &w->table->own[i];

		own->is_shared = own->kind == OWN_SNAT;
		own->answers_arp &= !own->is_shared;
	}
	return w;
}

// A flow of the client's, begun at 'worker'. Returns its SNAT port.
static uint16_t begin(struct world *w, unsigned worker, uint16_t client_port)
{
	uint16_t snat_port = SNAT_PORT;
	const struct step syn = {
		.in = FRAME(IP(CLIENT, VIP), TCP(client_port, PORT_HTTP, SYN)),
		.worker = worker,
		.out = FRAME(IP(SNAT, NODE0, .hop_limit = 63),
			TCP(SNAT_PORT, WORLD_NODE_PORT + PORT_HTTP, SYN)),
		.to = HOP_NODE0,
	};

	check_step(w, &syn, &snat_port);
	return snat_port;
}

static void our_flows_take_only_ports_that_the_kernel_leaves(void **)
{
	for (size_t i = 0; i < sizeof(crews) / sizeof(crews[0]); i++) {
		struct world *w = make(&crews[i]);

		for (uint16_t port = 0; port < 200; port++)
			assert_in_range(begin(w, port % crews[i].n_workers, 40000 + port),
				SNAT_PORT_MIN, LAST_PORT);
		world_destroy(w);
	}
}

static void replies_and_errors_of_our_flows_go_to_the_client(void **)
{
	for (size_t i = 0; i < sizeof(crews) / sizeof(crews[0]); i++) {
		struct world *w = make(&crews[i]);
		uint16_t snat_port = begin(w, 0, 31337);

		for (unsigned worker = 0; worker < crews[i].n_workers; worker++) {
			const struct step steps[] = {
				{
					.in = FRAME(IP(NODE0, SNAT),
						TCP(WORLD_NODE_PORT + PORT_HTTP, SNAT_PORT, ACK)),
					.port = 1,
					.worker = worker,
					.out = FRAME(IP(VIP, CLIENT, .hop_limit = 63),
						TCP(PORT_HTTP, 31337, ACK)),
				},
				{
					.in = FRAME(IP(NODE0, SNAT), ICMP(3, 1), IP(SNAT, NODE0),
						TCP(SNAT_PORT, WORLD_NODE_PORT + PORT_HTTP, ACK)),
					.port = 1,
					.worker = worker,
					.out = FRAME(IP(VIP, CLIENT, .hop_limit = 63), ICMP(3, 1),
						IP(CLIENT, VIP), TCP(31337, PORT_HTTP, ACK)),
				},
			};

			check_step(w, &steps[0], &snat_port);
			check_step(w, &steps[1], &snat_port);
		}
		world_destroy(w);
	}
}

// All to the machine, whose kernel listens, asks and is asked by the same address.
static const struct kernels_case {
	const char *name;
	struct frame frame;
} kernels[] = {
	{"a connection of a client's to the machine", FRAME(IP(CLIENT, SNAT), TCP(31337, 22, SYN))},
	{"one of a node's, to a port that might be ours",
		FRAME(IP(NODE0, SNAT), TCP(31337, 10250, SYN))},
	{"a NodePort's answer to the machine",
		FRAME(IP(NODE0, SNAT), TCP(WORLD_NODE_PORT + PORT_HTTP, 40000, SYN | ACK))},
	{"a reply of no flow of ours",
		FRAME(IP(NODE0, SNAT), TCP(WORLD_NODE_PORT + PORT_HTTP, 20000, ACK))},
	{"a packet of one hop", FRAME(IP(NODE0, SNAT, .hop_limit = 1), TCP(179, 20000, ACK))},
	{"a datagram", FRAME(IP(NODE0, SNAT), UDP(53, 20000), DATA(30))},
	{"ping", FRAME(IP(NODE0, SNAT), ICMP(8, 0), DATA(40))},
	{"an error about what the machine sent",
		FRAME(IP(NODE0, SNAT), ICMP(3, 3), IP(SNAT, NODE0), UDP(40000, 53))},
	{"an error about what is no flow of ours",
		FRAME(IP(NODE0, SNAT), ICMP(3, 1), IP(SNAT, NODE0), TCP(20000, 30080, ACK))},
	{"who has it?", FRAME(ARP(1, NODE0, SNAT))},
	{"a connection over IPv6", FRAME(IP(NODE06, SNAT6), TCP(31337, 10250, SYN))},
};

static void what_is_of_no_flow_is_the_kernels(void **)
{
	for (size_t i = 0; i < sizeof(crews) / sizeof(crews[0]); i++) {
		struct world *w = make(&crews[i]);

		for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
			const struct step step = {
				.in = kernels[k].frame,
				.port = 1,
				.worker = k % crews[i].n_workers,
				.way = WAY_KERNEL,
			};
			uint16_t none = 1;

			print_message("    %s\n", kernels[k].name);
			check_step(w, &step, &none);
		}
		world_destroy(w);
	}
}

// Its own packets come from the twin; from the network they are forged.
static void the_machine_itself_may_be_a_client(void **)
{
	struct world *w = make(&crews[0]);
	uint16_t snat_port = SNAT_PORT;
	struct step syn = {
		.in = FRAME(IP(SNAT, VIP), TCP(40000, PORT_HTTP, SYN)),
		.drop = DROP_BAD_SOURCE,
	};

	check_step(w, &syn, &snat_port);

	const struct frame out = FRAME(
		IP(SNAT, NODE0, .hop_limit = 63), TCP(SNAT_PORT, WORLD_NODE_PORT + PORT_HTTP, SYN));
	syn.origin = ORIGIN_KERNEL;
	syn.drop = DROP_NONE;
	syn.out = out;
	syn.to = HOP_NODE0;
	check_step(w, &syn, &snat_port);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_flows_take_only_ports_that_the_kernel_leaves),
		cmocka_unit_test(replies_and_errors_of_our_flows_go_to_the_client),
		cmocka_unit_test(what_is_of_no_flow_is_the_kernels),
		cmocka_unit_test(the_machine_itself_may_be_a_client),
	};

	world_start_environment();
	world_trace(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
