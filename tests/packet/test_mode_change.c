#include "check.h"

// A service comes from the mode snat to another while flows are there: they go on as they began.

static service_id service_of(struct world *w, const char *vip)
{
	struct address a = address_of(vip);

	return forwarding_table_find_service(&w->table->table,
		index_hash_endpoint(&a, htons(PORT_HTTP), IPPROTO_TCP), &a, htons(PORT_HTTP),
		IPPROTO_TCP);
}

// As the table after the change has it.
static void change_mode(struct world *w, const char *vip, enum forwarding_mode mode)
{
	struct service *service = &w->table->services[service_of(w, vip)];

	service->mode = mode;
	service->keeps_flows = true;
}

static const struct way_case {
	const char *client, *vip, *snat, *node;
} families[] = {
	{CLIENT, VIP, SNAT, NODE0},
	{CLIENT6, VIP6, SNAT6, NODE06},
};

// From 'client_port' to the service, at 'worker': as a flow of snat.
static void assert_goes_by_snat(struct world *w, const struct way_case *c, unsigned worker,
	uint16_t client_port, uint8_t flags, uint16_t *snat_port)
{
	const struct step step = {
		.in = FRAME(IP(c->client, c->vip), TCP(client_port, PORT_HTTP, flags)),
		.worker = worker,
		.out = FRAME(IP(c->snat, c->node, .hop_limit = 63),
			TCP(SNAT_PORT, WORLD_NODE_PORT + PORT_HTTP, flags)),
		.to = HOP_NODE0,
	};

	check_step(w, &step, snat_port);
}

static void assert_reply_comes_back(struct world *w, const struct way_case *c, unsigned worker,
	uint16_t client_port, uint16_t snat_port)
{
	const struct step step = {
		.in = FRAME(IP(c->node, c->snat), TCP(WORLD_NODE_PORT + PORT_HTTP, SNAT_PORT, ACK)),
		.port = 1,
		.worker = worker,
		.out = FRAME(
			IP(c->vip, c->client, .hop_limit = 63), TCP(PORT_HTTP, client_port, ACK)),
		.to = HOP_GATEWAY,
	};

	check_step(w, &step, &snat_port);
}

static void assert_goes_by_dsr(struct world *w, const struct way_case *c, unsigned worker,
	uint16_t client_port, uint8_t flags)
{
	uint16_t none = 1;
	const struct step step = {
		.in = FRAME(IP(c->client, c->vip), TCP(client_port, PORT_HTTP, flags)),
		.worker = worker,
		.out = FRAME(IP(c->client, c->vip), TCP(client_port, PORT_HTTP, flags)),
		.to = HOP_NODE0,
	};

	check_step(w, &step, &none);
}

static const struct crew {
	unsigned n_workers;
	bool rss;
} crews[] = {{1, false}, {4, false}, {4, true}};

static void flows_go_on_and_new_ones_go_by_the_new_mode(void **)
{
	for (size_t i = 0; i < sizeof(crews) / sizeof(crews[0]); i++) {
		struct world *w = world_create(crews[i].n_workers, crews[i].rss);
		unsigned other = crews[i].n_workers - 1;

		for (size_t f = 0; f < N_FAMILIES; f++) {
			const struct way_case *c = &families[f];
			uint16_t snat_port = SNAT_PORT;

			assert_goes_by_snat(w, c, 0, 31337, SYN, &snat_port);
			change_mode(w, c->vip, MODE_DSR);
			assert_reply_comes_back(w, c, other, 31337, snat_port);
			assert_goes_by_snat(w, c, other, 31337, ACK, &snat_port);
			assert_goes_by_dsr(w, c, 0, 31338, SYN);
			assert_goes_by_dsr(w, c, other, 31338, ACK);
			assert_goes_by_snat(w, c, 0, 31337, ACK | FIN, &snat_port);
			assert_reply_comes_back(w, c, 0, 31337, snat_port);
		}
		world_destroy(w);
	}
}

// Who begins anew with the ends of a flow that was reset begins in the new mode.
static void what_begins_anew_goes_by_the_new_mode(void **)
{
	struct world *w = world_create(1, false);
	uint16_t snat_port = SNAT_PORT;

	assert_goes_by_snat(w, &families[0], 0, 31337, SYN, &snat_port);
	assert_goes_by_snat(w, &families[0], 0, 31337, RST, &snat_port);
	change_mode(w, VIP, MODE_DSR);
	assert_goes_by_dsr(w, &families[0], 0, 31337, SYN);
	world_destroy(w);
}

// An ICMP error about a reply finds the flow that it is of, and one about no flow goes by the slot.
static void errors_of_clients_find_their_flows(void **)
{
	struct world *w = world_create(4, false);
	uint16_t snat_port = SNAT_PORT;

	assert_goes_by_snat(w, &families[0], 0, 31337, SYN, &snat_port);
	change_mode(w, VIP, MODE_DSR);

	const struct step of_flow = {
		.in = FRAME(IP(CLIENT, VIP), ICMP(3, 4, .rest = 1300), IP(VIP, CLIENT),
			TCP(PORT_HTTP, 31337, ACK)),
		.worker = 2,
		.out = FRAME(IP(SNAT, NODE0, .hop_limit = 63), ICMP(3, 4, .rest = 1300),
			IP(NODE0, SNAT), TCP(WORLD_NODE_PORT + PORT_HTTP, SNAT_PORT, ACK)),
		.to = HOP_NODE0,
	};
	check_step(w, &of_flow, &snat_port);

	const struct step of_none = {
		.in = FRAME(IP(CLIENT, VIP), ICMP(3, 4, .rest = 1300), IP(VIP, CLIENT),
			TCP(PORT_HTTP, 31338, ACK)),
		.worker = 2,
		.out = FRAME(IP(CLIENT, VIP), ICMP(3, 4, .rest = 1300), IP(VIP, CLIENT),
			TCP(PORT_HTTP, 31338, ACK)),
		.to = HOP_NODE0,
	};
	check_step(w, &of_none, &snat_port);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_go_on_and_new_ones_go_by_the_new_mode),
		cmocka_unit_test(what_begins_anew_goes_by_the_new_mode),
		cmocka_unit_test(errors_of_clients_find_their_flows),
	};

	world_start_environment();
	world_trace(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
