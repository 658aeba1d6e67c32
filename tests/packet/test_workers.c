#include "check.h"

#include <rte_thash.h>

// Who owns a flow is found from wherever its packets arrive.

enum { N_CLIENTS = 64 };

static const struct frame syn = FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN));
static const struct frame data = FRAME(IP(CLIENT, VIP), TCP(31337, 80, ACK), DATA(10));

static struct frame from_port(const struct frame *frame, uint16_t port)
{
	struct frame f = *frame;

	f.layers[1].ports[0] = port;
	return f;
}

// Puts a frame at a worker of 'w' and returns what became of it.
static const struct ending *put(struct world *w, unsigned worker, enum origin origin, uint16_t port,
	const struct frame *frame, uint16_t snat_port)
{
	static struct ending e;
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct rte_ether_addr from = world_hop_mac(0);
	size_t len = frame_write(frame, &from, &w->ports[port].mac,
		origin == ORIGIN_PORT ? w->ports[port].vlan : 0, snat_port, bytes);

	world_put(w, worker, origin, port, bytes, len, &e);
	return &e;
}

// Of an IPv4 packet in a frame with a tag.
static uint16_t source_port(const struct ending *e)
{
	return (uint16_t)(e->bytes[38] << 8 | e->bytes[39]);
}

// Returns its owner, and its SNAT port.
static unsigned open_flow(struct world *w, unsigned worker, uint16_t port, uint16_t *ret_snat_port)
{
	struct frame f = from_port(&syn, port);
	const struct ending *e = put(w, worker, ORIGIN_PORT, 0, &f, 0);

	assert_int_equal(e->drop, DROP_NONE);
	assert_int_equal(e->way, WAY_PORT);
	*ret_snat_port = source_port(e);
	return e->worker;
}

static void a_flow_has_one_owner_wherever_its_packets_arrive(void **)
{
	struct world *w = world_create(4, false);
	unsigned owned[4] = {0};

	for (uint16_t i = 0; i < N_CLIENTS; i++) {
		struct frame f = from_port(&data, 1000 + i);
		uint16_t snat_port;
		unsigned owner = open_flow(w, i % 4, 1000 + i, &snat_port);

		owned[owner]++;
		for (unsigned worker = 0; worker < 4; worker++) {
			const struct ending *e = put(w, worker, ORIGIN_PORT, 0, &f, 0);

			assert_int_equal(e->way, WAY_PORT);
			assert_int_equal(e->worker, owner);
			assert_int_equal(e->handed, worker != owner);
			assert_int_equal(source_port(e), snat_port);
		}
	}
	for (unsigned worker = 0; worker < 4; worker++)
		assert_true(owned[worker] > N_CLIENTS / 16);
	world_destroy(w);
}

// What arrives about one flow, at each worker in turn.
static const struct arrival {
	const char *name;
	uint16_t port;
	struct frame frame;
} arrivals[] = {
	{"a reply", 1, FRAME(IP(NODE0, SNAT), TCP(30080, SNAT_PORT, SYN | ACK))},
	{"an error from the node's side", 1,
		FRAME(IP(NODE0, SNAT), ICMP(3, 1), IP(SNAT, NODE0), TCP(SNAT_PORT, 30080, SYN))},
	{"an error from the client's side", 0,
		FRAME(IP(CLIENT, VIP), ICMP(3, 1), IP(VIP, CLIENT), TCP(80, 31337, SYN | ACK))},
};

static void arrive_everywhere(struct world *w, const struct arrival *a, unsigned owner,
	uint16_t snat_port, bool passes_round)
{
	for (unsigned worker = 0; worker < w->n_workers; worker++) {
		const struct ending *e = put(w, worker, ORIGIN_PORT, a->port, &a->frame, snat_port);

		print_message("    %s at worker %u of owner %u\n", a->name, worker, owner);
		assert_string_equal(drop_reason_word(e->drop), "none");
		assert_int_equal(e->way, WAY_PORT);
		assert_int_equal(e->worker, owner);
		assert_int_equal(e->handed,
			passes_round ? (owner + w->n_workers - worker) % w->n_workers
				     : worker != owner);
	}
}

static void replies_and_errors_find_the_owner(void **)
{
	struct world *w = world_create(4, false);
	uint16_t snat_port;
	unsigned owner = open_flow(w, 0, 31337, &snat_port);

	for (size_t i = 0; i < sizeof(arrivals) / sizeof(arrivals[0]); i++)
		arrive_everywhere(w, &arrivals[i], owner, snat_port, false);
	world_destroy(w);
}

static void with_rss_who_receives_the_syn_owns_the_flow(void **)
{
	for (unsigned receiver = 0; receiver < 3; receiver++) {
		struct world *w = world_create(3, true);
		uint16_t snat_port;

		assert_int_equal(open_flow(w, receiver, 31337, &snat_port), receiver);
		arrive_everywhere(w, &arrivals[0], receiver, snat_port, false);
		arrive_everywhere(w, &arrivals[1], receiver, snat_port, false);
		// Only the inner packet would tell, and not what RSS made of it.
		arrive_everywhere(w, &arrivals[2], receiver, snat_port, true);
		world_destroy(w);
	}
}

static void with_rss_a_packet_that_strays_is_passed_round(void **)
{
	struct world *w = world_create(3, true);
	struct arrival stray = {"data", 0, data};
	uint16_t snat_port;

	open_flow(w, 1, 31337, &snat_port);
	arrive_everywhere(w, &stray, 1, snat_port, true);
	world_destroy(w);
}

// A card of which DPDK's own arithmetic says where each packet arrives.
struct card {
	uint8_t key[40];
	uint16_t reta[128];
};

static struct card make_card(unsigned n_workers, unsigned seed)
{
	struct card card;
	uint32_t random = seed;

	for (size_t i = 0; i < sizeof(card.key); i++)
		card.key[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
	for (size_t i = 0; i < sizeof(card.reta) / sizeof(card.reta[0]); i++)
		card.reta[i] = (uint16_t)(i % n_workers);
	return card;
}

static unsigned worker_of_card(
	const struct card *card, const struct frame *frame, uint16_t snat_port)
{
	const struct layer *ip = &frame->layers[0], *tcp = &frame->layers[1];
	struct address source = address_of(ip->source), destination = address_of(ip->destination);
	uint16_t to = tcp->ports[1] == SNAT_PORT ? snat_port : tcp->ports[1];
	uint32_t tuple[] = {rte_be_to_cpu_32(source.words[3]),
		rte_be_to_cpu_32(destination.words[3]), (uint32_t)tcp->ports[0] << 16 | to};

	return card->reta[rte_softrss(tuple, 3, card->key) % 128];
}

static void use_card(struct world *w, const struct card *card)
{
	owner_map_destroy(w->owners);
	w->owners =
		owner_map_create_rss(w->n_workers, card->key, sizeof(card->key), card->reta, 128);
	for (unsigned i = 0; i < w->n_workers; i++)
		w->pipelines[i].owners = w->owners;
}

static void where_a_card_hashes_no_packet_of_a_flow_is_handed_over(void **)
{
	for (unsigned n_workers = 2; n_workers <= WORLD_WORKERS; n_workers++) {
		struct world *w = world_create(n_workers, true);
		struct card card = make_card(n_workers, n_workers);
		unsigned owned[WORLD_WORKERS] = {0};

		use_card(w, &card);
		for (uint16_t i = 0; i < N_CLIENTS; i++) {
			struct frame in = from_port(&syn, 1000 + i);
			unsigned worker = worker_of_card(&card, &in, 0);
			uint16_t snat_port;

			assert_int_equal(open_flow(w, worker, 1000 + i, &snat_port), worker);
			owned[worker]++;
			const struct frame *reply = &arrivals[0].frame;
			assert_int_equal(worker_of_card(&card, reply, snat_port), worker);
			const struct ending *e = put(w, worker, ORIGIN_PORT, 1, reply, snat_port);
			assert_int_equal(e->handed, 0);
			assert_int_equal(e->way, WAY_PORT);
		}
		for (unsigned worker = 0; worker < n_workers; worker++)
			assert_true(owned[worker] > 0);
		world_destroy(w);
	}
}

static void what_nobody_knows_is_passed_round_once(void **)
{
	struct world *w = world_create(3, true);
	const struct frame error =
		FRAME(IP(CLIENT, VIP), ICMP(3, 1), IP(VIP, CLIENT), TCP(80, 31337, ACK));

	const struct ending *e = put(w, 1, ORIGIN_PORT, 0, &data, 0);
	assert_int_equal(e->handed, 2);
	assert_int_equal(e->drop, DROP_UNKNOWN_TCP);
	assert_int_equal(e->way, WAY_PORT); // The reset.

	e = put(w, 2, ORIGIN_PORT, 0, &error, 0);
	assert_int_equal(e->handed, 2);
	assert_int_equal(e->drop, DROP_NO_FLOW);
	assert_int_equal(e->way, WAY_NONE);
	assert_int_equal(world_drops(w, DROP_UNKNOWN_TCP), 1);
	world_destroy(w);
}

// What the kernel sends has no tag, also where another worker takes it over.
static void a_packet_of_the_kernels_stays_one_when_handed_over(void **)
{
	struct world *w = world_create(2, false);
	unsigned handed = 0;

	for (uint16_t i = 0; i < 16; i++) {
		struct frame f = from_port(&syn, 1000 + i);
		const struct ending *e = put(w, 0, ORIGIN_KERNEL, 1, &f, 0);

		assert_string_equal(drop_reason_word(e->drop), "none");
		assert_int_equal(e->way, WAY_PORT);
		handed += e->handed;
	}
	assert_true(handed > 0 && handed < 16);
	world_destroy(w);
}

static void all_workers_together_answer_as_often_as_is_set(void **)
{
	struct world *w = world_create(2, false);
	const struct frame nobody = FRAME(IP(CLIENT, VIP), TCP(31337, 4711, SYN));

	w->table->table.settings.answers_per_s = 20; // A tenth of it at once, and one.
	for (unsigned i = 0; i < 40; i++)
		put(w, i % 2, ORIGIN_PORT, 0, &nobody, 0);
	assert_int_equal(world_drops(w, DROP_NO_SERVICE), 40);
	assert_int_equal(world_events(w, EVENT_RESETS_SENT), 4);

	w->now_ns += 1000000000;
	for (unsigned i = 0; i < 40; i++)
		put(w, i % 2, ORIGIN_PORT, 0, &nobody, 0);
	assert_int_equal(world_events(w, EVENT_RESETS_SENT), 8);
	world_destroy(w);
}

static service_id spread_service(const struct world *w)
{
	struct address vip = address_of("10.0.0.1");
	rte_be16_t port = RTE_BE16(PORT_SPREAD);

	return forwarding_table_find_service(&w->table->table,
		index_hash_endpoint(&vip, port, IPPROTO_TCP), &vip, port, IPPROTO_TCP);
}

// A new flow of the client, from 'port'. Returns what became of its SYN, which went to some node.
static const struct ending *open_to_spread(struct world *w, unsigned worker, uint16_t port)
{
	struct frame f = from_port(&syn, port);

	f.layers[1].ports[1] = PORT_SPREAD;
	const struct ending *e = put(w, worker, ORIGIN_PORT, 0, &f, 0);

	assert_int_equal(e->drop, DROP_NONE);
	assert_int_equal(e->way, WAY_PORT);
	return e;
}

static void a_client_with_affinity_has_one_worker_and_node_until_its_time_is_over(void **)
{
	for (int rss = 0; rss < 2; rss++) {
		struct world *w = world_create(4, rss);
		service_id id = spread_service(w);

		w->table->services[id].affinity_s = 100;
		const struct ending *e = open_to_spread(w, 0, 1000);
		unsigned owner = e->worker, port = e->port;

		for (uint16_t i = 1; i < N_CLIENTS; i++) {
			e = open_to_spread(w, i % 4, 1000 + i);
			assert_int_equal(e->worker, owner);
			assert_int_equal(e->port, port);
		}

		// All slots move to the other node, on the other port.
		for (size_t slot = 0; slot < LITTLE_RING; slot++)
			w->table->rings[id][slot] = port == 1 ? 1 : 0;
		assert_int_equal(open_to_spread(w, 1, 2000)->port, port);
		w->now_ns += 99 * 1000000000ull;
		assert_int_equal(open_to_spread(w, 2, 2001)->port, port);
		w->now_ns += 100 * 1000000000ull;
		assert_int_not_equal(open_to_spread(w, 3, 2002)->port, port);
		world_destroy(w);
	}
}

static void a_client_with_affinity_leaves_a_node_that_takes_no_new_flows(void **)
{
	struct world *w = world_create(1, false);
	service_id id = spread_service(w);

	w->table->services[id].affinity_s = 100;
	unsigned port = open_to_spread(w, 0, 1000)->port;
	node_id node = port == 1 ? 0 : 1;

	w->table->states[id][node] = TARGET_DRAINING;
	for (size_t slot = 0; slot < LITTLE_RING; slot++)
		w->table->rings[id][slot] = !node;
	assert_int_not_equal(open_to_spread(w, 0, 1001)->port, port);
	w->table->states[id][node] = TARGET_UP;
	assert_int_not_equal(open_to_spread(w, 0, 1002)->port, port); // It is the other's now.
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_has_one_owner_wherever_its_packets_arrive),
		cmocka_unit_test(replies_and_errors_find_the_owner),
		cmocka_unit_test(with_rss_who_receives_the_syn_owns_the_flow),
		cmocka_unit_test(with_rss_a_packet_that_strays_is_passed_round),
		cmocka_unit_test(where_a_card_hashes_no_packet_of_a_flow_is_handed_over),
		cmocka_unit_test(what_nobody_knows_is_passed_round_once),
		cmocka_unit_test(a_packet_of_the_kernels_stays_one_when_handed_over),
		cmocka_unit_test(all_workers_together_answer_as_often_as_is_set),
		cmocka_unit_test(
			a_client_with_affinity_has_one_worker_and_node_until_its_time_is_over),
		cmocka_unit_test(a_client_with_affinity_leaves_a_node_that_takes_no_new_flows),
	};

	world_start_environment();
	world_trace(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
