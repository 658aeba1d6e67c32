#include "check.h"

#include <linux/seccomp.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What an outcome holds, beyond what one frame in and one out can show.

static struct rte_mbuf *packet(
	struct world *w, enum origin origin, uint16_t port, const struct frame *frame)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct rte_ether_addr from = world_hop_mac(0);
	size_t len = frame_write(frame, &from, &w->ports[port].mac,
		origin == ORIGIN_PORT ? w->ports[port].vlan : 0, 0, bytes);

	return world_packet(w, port, bytes, len);
}

static void forward(struct world *w, struct rte_mbuf **mbufs, uint16_t n, enum origin origin)
{
	outcome_empty(w->out);
	pipeline_forward(&w->pipelines[0], &w->table->table, mbufs, n, origin, w->now_ns, w->out);
}

static void forward_one(struct world *w, const struct frame *frame)
{
	struct rte_mbuf *m = packet(w, ORIGIN_PORT, 0, frame);

	forward(w, &m, 1, ORIGIN_PORT);
}

static void assert_no_mbuf_is_lost(struct world *w)
{
	world_free_outcome(w->out);
	assert_int_equal(rte_mempool_avail_count(w->buffers), WORLD_BUFFERS);
}

static void before_the_first_table_all_passes(void **)
{
	struct world *w = world_create(1, false);
	const struct frame frames[] = {
		FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN)),
		FRAME(IP(CLIENT6, SNAT6), UDP(31337, 80)),
		FRAME(ARP(1, CLIENT, VIP)),
		FRAME(DATA(60)),
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct rte_mbuf *in = packet(w, ORIGIN_PORT, 1, &frames[i]);
		struct rte_mbuf *out = packet(w, ORIGIN_KERNEL, 1, &frames[i]);

		outcome_empty(w->out);
		pipeline_forward(&w->pipelines[0], NULL, &in, 1, ORIGIN_PORT, w->now_ns, w->out);
		pipeline_forward(&w->pipelines[0], NULL, &out, 1, ORIGIN_KERNEL, w->now_ns, w->out);
		assert_int_equal(w->out->n.tx[1], 1);
		assert_int_equal(w->out->n.to_kernel[1][KERNEL_CONTROL] +
				w->out->n.to_kernel[1][KERNEL_OTHER],
			1);
		assert_no_mbuf_is_lost(w);
	}
	world_destroy(w);
}

static void every_packet_of_a_burst_ends_somewhere(void **)
{
	struct world *w = world_create(1, false);
	const struct frame frames[] = {
		FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN)),
		FRAME(IP(CLIENT6, VIP6), TCP(31337, 80, SYN)),
		FRAME(IP(CLIENT, VIP), UDP(31337, 53)),
		FRAME(IP(CLIENT, VIP), TCP(31337, 83, SYN)),            // Waits.
		FRAME(IP(CLIENT, VIP), TCP(31337, 82, SYN)),            // To this machine.
		FRAME(IP(CLIENT, VIP), TCP(31337, 84, SYN)),            // Dropped.
		FRAME(IP(CLIENT, VIP), ICMP(13, 0)),                    // Dropped.
		FRAME(IP(CLIENT, "198.51.100.1"), TCP(31337, 22, SYN)), // The kernel's.
	};
	enum { N = sizeof(frames) / sizeof(frames[0]) };
	struct rte_mbuf *mbufs[BURST_MAX];

	for (int i = 0; i < BURST_MAX; i++)
		mbufs[i] = packet(w, ORIGIN_PORT, 0, &frames[i % N]);
	forward(w, mbufs, BURST_MAX, ORIGIN_PORT);

	assert_int_equal(w->out->n.tx[1], 3 * BURST_MAX / N);
	assert_int_equal(w->out->n.waiting, BURST_MAX / N);
	assert_int_equal(w->out->n.to_kernel[1][KERNEL_OTHER], BURST_MAX / N);
	assert_int_equal(w->out->n.to_kernel[0][KERNEL_OTHER], BURST_MAX / N);
	assert_int_equal(world_drops(w, DROP_NO_ROUTE), BURST_MAX / N);
	assert_int_equal(world_drops(w, DROP_ICMP), BURST_MAX / N);
	assert_no_mbuf_is_lost(w);
	world_destroy(w);
}

static uint32_t sequence_of(const struct rte_mbuf *m)
{
	rte_be32_t sequence;

	// Behind Ethernet, the tag, IPv4 and the ports.
	memcpy(&sequence, rte_pktmbuf_mtod_offset(m, uint8_t *, 18 + 20 + 4), sizeof(sequence));
	return rte_be_to_cpu_32(sequence);
}

static void packets_of_a_flow_keep_their_order(void **)
{
	struct world *w = world_create(1, false);
	struct rte_mbuf *mbufs[BURST_MAX];

	for (uint32_t i = 0; i < BURST_MAX; i++) {
		struct frame f =
			FRAME(IP(CLIENT, VIP), TCP(31337, 80, i == 0 ? SYN : ACK, .seq = i));
		mbufs[i] = packet(w, ORIGIN_PORT, 0, &f);
	}
	forward(w, mbufs, BURST_MAX, ORIGIN_PORT);

	assert_int_equal(w->out->n.tx[1], BURST_MAX);
	for (uint32_t i = 0; i < BURST_MAX; i++)
		assert_int_equal(sequence_of(w->out->tx[1][i]), i);
	assert_no_mbuf_is_lost(w);
	world_destroy(w);
}

static void set_hop(struct world *w, next_hop_id hop, uint8_t port, uint8_t last_byte)
{
	struct rte_ether_addr mac = {{2, 0, 0, 0, 9, last_byte}};
	uint64_t word = NEXT_HOP_RESOLVED | (uint64_t)port << 48;

	memcpy(&word, &mac, sizeof(mac));
	w->next_hops[hop] = word;
}

static void assert_goes_to(const struct rte_mbuf *m, uint8_t last_byte)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	assert_int_equal(eth->dst_addr.addr_bytes[4], 9);
	assert_int_equal(eth->dst_addr.addr_bytes[5], last_byte);
}

static void the_next_packet_goes_to_a_new_mac_address(void **)
{
	struct world *w = world_create(1, false);
	const struct frame datagram = FRAME(IP(CLIENT, VIP), UDP(31337, 53));

	for (uint8_t i = 1; i < 4; i++) {
		set_hop(w, HOP_NODE0, 1, i);
		forward_one(w, &datagram);
		assert_goes_to(w->out->tx[1][0], i);
		assert_no_mbuf_is_lost(w);
	}
	world_destroy(w);
}

// The tagged port is where the way was not known yet when the frame was finished.
static void a_packet_that_waited_goes_where_its_destination_is_by_then(void **)
{
	struct world *w = world_create(1, false);
	const struct frame syn = FRAME(IP(CLIENT, VIP), TCP(31337, PORT_UNRESOLVED, SYN));

	little_table_add_route(w->table, "192.0.2.13/32", HOP_UNRESOLVED);
	forward_one(w, &syn);
	assert_int_equal(w->out->n.waiting, 1);
	struct waiting waiting = w->out->waiting[0];
	struct address node = address_of("192.0.2.13");
	assert_true(address_equal(&waiting.to, &node));

	outcome_empty(w->out);
	assert_false(pipeline_retry(&w->pipelines[0], &w->table->table, &waiting, w->out));
	set_hop(w, HOP_UNRESOLVED, 1, 77);
	assert_true(pipeline_retry(&w->pipelines[0], &w->table->table, &waiting, w->out));

	assert_int_equal(w->out->n.tx[1], 1);
	assert_goes_to(w->out->tx[1][0], 77);
	const struct rte_vlan_hdr *tag =
		rte_pktmbuf_mtod_offset(w->out->tx[1][0], const struct rte_vlan_hdr *, 14);
	assert_int_equal(rte_be_to_cpu_16(tag->vlan_tci), WORLD_VLAN);
	assert_int_equal(rte_be_to_cpu_16(tag->eth_proto), RTE_ETHER_TYPE_IPV4);
	assert_int_equal(world_events(w, EVENT_WAITED), 1);
	assert_no_mbuf_is_lost(w);
	world_destroy(w);
}

static void a_packet_that_waited_for_a_way_that_is_gone_is_dropped(void **)
{
	struct world *w = world_create(1, false);
	const struct frame syn = FRAME(IP(CLIENT6, VIP6), TCP(31337, PORT_UNRESOLVED, SYN));

	forward_one(w, &syn); // There never was a route to the node.
	struct waiting waiting = w->out->waiting[0];
	outcome_empty(w->out);
	assert_true(pipeline_retry(&w->pipelines[0], &w->table->table, &waiting, w->out));
	assert_int_equal(world_drops(w, DROP_NO_ROUTE), 1);
	assert_no_mbuf_is_lost(w);
	world_destroy(w);
}

static void assert_leaves_in(struct world *w, const struct frame *frame, unsigned n)
{
	forward_one(w, frame);
	assert_int_equal(w->out->n.tx[1], n);
	assert_no_mbuf_is_lost(w);
}

static void a_node_with_the_id_of_another_has_a_way_of_its_own(void **)
{
	struct world *w = world_create(1, false);
	const struct frame large = FRAME(IP(CLIENT, VIP), UDP(31337, PORT_NARROW), DATA(1300));
	const struct frame error = FRAME(IP("192.0.2.254", "192.0.2.2"), ICMP(3, 4, .rest = 1000),
		IP("192.0.2.2", "192.0.2.10"), UDP(50000, 6080));

	assert_leaves_in(w, &large, 1);
	forward_one(w, &error);
	assert_int_equal(world_events(w, EVENT_PATH_MTU_LEARNED), 1);
	assert_leaves_in(w, &large, 0);

	w->table->nodes[0].ipv4 = address_of("192.0.2.110").words[3];
	little_table_finish(w->table);
	assert_leaves_in(w, &large, 1);
	world_destroy(w);
}

// Some drivers receive without headroom; a tag then finds none.
static void a_frame_without_room_before_it_is_dropped_or_unanswered(void **)
{
	struct world *w = world_create(1, false);
	const struct frame frames[] = {
		FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN)), // To be tagged.
		FRAME(IP(CLIENT, VIP), UDP(31337, 4711)),    // To be answered.
	};
	static uint8_t bytes[FRAME_BYTES_MAX];

	for (int i = 0; i < 2; i++) {
		struct rte_mbuf *m = packet(w, ORIGIN_PORT, 0, &frames[i]);
		uint32_t len = m->pkt_len;

		memcpy(bytes, rte_pktmbuf_mtod(m, uint8_t *), len);
		m->data_off = 0;
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), bytes, len);
		forward(w, &m, 1, ORIGIN_PORT);
		assert_int_equal(world_free_outcome(w->out), 0);
	}
	assert_int_equal(world_drops(w, DROP_NO_MEMORY), 1);
	assert_int_equal(world_drops(w, DROP_NO_SERVICE), 1);
	assert_int_equal(world_events(w, EVENT_ICMP_ERRORS_SENT), 0);
	assert_no_mbuf_is_lost(w);
	world_destroy(w);
}

static void what_was_done_is_counted(void **)
{
	static const struct {
		struct frame frame;
		enum event event;
	} cases[] = {
		{FRAME(ARP(1, CLIENT, VIP)), EVENT_ARP_ANSWERED},
		{FRAME(IP(CLIENT, VIP), ICMP(8, 0)), EVENT_ECHO_ANSWERED},
		{FRAME(IP(CLIENT6, VIP6), ICMP(128, 0)), EVENT_ECHO_ANSWERED},
		{FRAME(IP(CLIENT, VIP), TCP(31337, 4711, SYN)), EVENT_RESETS_SENT},
		{FRAME(IP(CLIENT, VIP), UDP(31337, 4711)), EVENT_ICMP_ERRORS_SENT},
		{FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN)), EVENT_FLOWS_CREATED},
		{FRAME(IP(CLIENT, VIP), ICMP(3, 1), IP(VIP, CLIENT), TCP(80, 31337, ACK)),
			EVENT_ICMP_ERRORS_TRANSLATED},
	};
	struct world *w = world_create(1, false);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = world_events(w, cases[i].event);

		forward_one(w, &cases[i].frame);
		assert_int_equal(world_events(w, cases[i].event), before + 1);
		assert_no_mbuf_is_lost(w);
	}
	world_destroy(w);
}

// xorshift64 (Marsaglia 2003): the same frames at every run.
static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

// A sanitizer has allocations and system calls of its own.
#ifdef __SANITIZE_ADDRESS__
enum { IS_SANITIZED = true };
#else
enum { IS_SANITIZED = false };
#endif

// Bursts for every mode through the pipeline, in a process that the kernel ends at its first system
// call but _exit(2), and that looks whether it has allocated.
static _Noreturn void forward_without_a_system_call(
	struct world *w, struct rte_mbuf *bursts[][BURST_MAX], size_t n)
{
	size_t before = mallinfo2().uordblks;

	if (!IS_SANITIZED && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		syscall(SYS_exit, 2);
	for (size_t i = 0; i < n; i++) {
		forward(w, bursts[i], BURST_MAX, ORIGIN_PORT);
		world_free_outcome(w->out);
	}
	syscall(SYS_exit, !IS_SANITIZED && mallinfo2().uordblks != before);
	__builtin_unreachable();
}

static void forwarding_neither_allocates_nor_calls_the_kernel(void **)
{
	static const uint16_t ports[] = {
		PORT_HTTP, PORT_DNAT, PORT_DSR, PORT_TUNNEL, PORT_GUE_CROSS, PORT_UNRESOLVED, 4711};
	enum { N = sizeof(ports) / sizeof(ports[0]) };
	static struct rte_mbuf *bursts[N][BURST_MAX];
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct world *w = world_create(1, false);
	struct rte_ether_addr from = world_hop_mac(0);

	for (size_t i = 0; i < N; i++) {
		for (uint16_t j = 0; j < BURST_MAX; j++) {
			struct frame f = FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN), DATA(100));

			f.layers[1].ports[0] = 20000 + j;
			f.layers[1].ports[1] = ports[i];
			size_t len = frame_write(&f, &from, &w->ports[0].mac, 0, 0, bytes);
			bursts[i][j] = world_packet(w, 0, bytes, len);
		}
	}

	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		forward_without_a_system_call(w, bursts, N);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	for (size_t i = 0; i < N; i++)
		rte_pktmbuf_free_bulk(bursts[i], BURST_MAX);
	world_destroy(w);
}

static void whatever_becomes_of_its_bytes_no_frame_is_lost(void **)
{
	static const struct frame frames[] = {
		FRAME(IP(CLIENT, VIP), TCP(31337, 80, SYN)),
		FRAME(IP(CLIENT6, VIP6), UDP(31337, 4711), DATA(20)),
		FRAME(ARP(1, CLIENT, VIP)),
		FRAME(IP(CLIENT, VIP), ICMP(3, 4), IP(VIP, CLIENT), TCP(80, 31337, ACK)),
		FRAME(IP(CLIENT6, VIP6), ICMP(2, 0), IP(VIP6, CLIENT6), UDP(53, 31337)),
		FRAME(IP(CLIENT6, VIP6, .hop_limit = 255), ICMP(135, 0), DATA(24)),
	};
	struct world *w = world_create(1, false);
	struct rte_ether_addr from = world_hop_mac(0);
	static uint8_t bytes[FRAME_BYTES_MAX];
	static struct ending e;
	uint64_t random = 88172645463325252;

	for (int i = 0; i < 30000; i++) {
		const struct frame *f = &frames[i % (sizeof(frames) / sizeof(frames[0]))];
		size_t len = frame_write(f, &from, &w->ports[0].mac, 0, 0, bytes);

		for (int changes = next(&random) % 4; changes >= 0; changes--)
			bytes[12 + next(&random) % (len - 12)] = (uint8_t)next(&random);
		if (i % 5 == 0)
			len = 1 + next(&random) % len;
		w->segment_len = next(&random) % 60;
		w->now_ns += 10000000;
		world_put(w, 0, i % 3 == 0 ? ORIGIN_KERNEL : ORIGIN_PORT, 0, bytes, len, &e);
		assert_true(e.way != WAY_NONE || e.drop != DROP_NONE);
	}
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first_table_all_passes),
		cmocka_unit_test(every_packet_of_a_burst_ends_somewhere),
		cmocka_unit_test(packets_of_a_flow_keep_their_order),
		cmocka_unit_test(the_next_packet_goes_to_a_new_mac_address),
		cmocka_unit_test(a_packet_that_waited_goes_where_its_destination_is_by_then),
		cmocka_unit_test(a_packet_that_waited_for_a_way_that_is_gone_is_dropped),
		cmocka_unit_test(a_node_with_the_id_of_another_has_a_way_of_its_own),
		cmocka_unit_test(a_frame_without_room_before_it_is_dropped_or_unanswered),
		cmocka_unit_test(what_was_done_is_counted),
		cmocka_unit_test(forwarding_neither_allocates_nor_calls_the_kernel),
		cmocka_unit_test(whatever_becomes_of_its_bytes_no_frame_is_lost),
	};

	world_start_environment();
	world_trace(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
