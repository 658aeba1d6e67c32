#include "check.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "ask.h"

// Services by the thousand
// ========================
//
// Their memory is asked for ahead, and that decides nothing: a burst has to fare as where services
// are few, byte by byte. So each burst goes into a world of few and into one of many, whose first
// services are the same.
//
// That nothing is read but what is there, the sanitized run sees: each packet lies in memory of its
// own, which is gone when it has left, and so does each table.

enum { BURSTS_OF_A_LENGTH = 12, ARRIVAL_BYTES_MAX = 2048, TAILROOM = 128, N_ANSWERS = 64 };

// A frame as it arrives, from where.
struct arrival {
	uint16_t port;
	size_t len;
	uint8_t bytes[ARRIVAL_BYTES_MAX];
};

static const struct frame frames[] = {
	// To services.
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_HTTP, SYN)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_HTTP, ACK), DATA(100)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_SPREAD, SYN)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_SPREAD, RST)),
	FRAME(IP(CLIENT, VIP), UDP(1, PORT_DNS), DATA(200)),
	FRAME(IP(CLIENT, VIP), UDP(1, PORT_BIG), DATA(1400)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_DNAT, SYN)),
	FRAME(IP(CLIENT, VIP), UDP(1, PORT_DSR), DATA(30)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_TUNNEL, ACK), DATA(30)),
	FRAME(IP(CLIENT, VIP), UDP(1, PORT_NARROW), DATA(1390)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_CROSS, SYN)),
	FRAME(IP(CLIENT, VIP), UDP(1, PORT_GUE_CROSS), DATA(40)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_LOCAL, SYN)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_UNRESOLVED, SYN)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_NO_ROUTE, SYN)),
	FRAME(IP(CLIENT, VIP), TCP(1, PORT_NO_TARGET, SYN)),
	FRAME(IP(CLIENT6, VIP6), TCP(1, PORT_HTTP, SYN)),
	FRAME(IP(CLIENT6, VIP6), TCP(1, PORT_HTTP, ACK), DATA(100)),
	FRAME(IP(CLIENT6, VIP6), UDP(1, PORT_DNS), DATA(200)),
	FRAME(IP(CLIENT6, VIP6), UDP(1, PORT_DNAT), DATA(50)),
	FRAME(IP(CLIENT6, VIP6), TCP(1, PORT_DSR, SYN)),
	FRAME(IP(CLIENT6, VIP6), UDP(1, PORT_TUNNEL), DATA(60)),
	FRAME(IP(CLIENT6, VIP6), TCP(1, PORT_CROSS, SYN)),
	FRAME(IP(CLIENT6, VIP6), UDP(1, PORT_GUE), DATA(70)),

	// To none.
	FRAME(IP(CLIENT, VIP), TCP(1, 4711, SYN)),
	FRAME(IP(CLIENT6, VIP6), UDP(1, 4711), DATA(10)),
	FRAME(IP(CLIENT, VIP, .hop_limit = 1), TCP(1, PORT_HTTP, SYN)),
	FRAME(IP(CLIENT, SNAT), TCP(1, 80, ACK)),
	FRAME(IP(CLIENT, "198.51.100.1"), TCP(1, 22, SYN)),
	FRAME(IP(CLIENT6, "2001:db8:c::1"), UDP(1, 53)),
	FRAME(IP(CLIENT, "203.0.113.77"), TCP(1, 80, SYN)),

	// Without ports.
	FRAME(ARP(1, CLIENT, VIP)),
	FRAME(IP(CLIENT, VIP), ICMP(8, 0), DATA(56)),
	FRAME(IP(CLIENT6, VIP6), ICMP(128, 0), DATA(56)),
	FRAME(IP(CLIENT, VIP), ICMP(3, 1), IP(VIP, CLIENT), TCP(PORT_HTTP, 1, ACK)),
	FRAME(IP(CLIENT6, VIP6), ICMP(1, 4), IP(VIP6, CLIENT6), UDP(PORT_DNS, 1), DATA(8)),
	FRAME(DATA(60)),
};

// Knuth's MMIX: it matters only that it is the same each time.
static uint32_t draw(uint32_t n)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)((state >> 32) * n >> 32);
}

// Arrivals
// ========

static struct rte_ipv4_hdr *ipv4_of(struct arrival *a)
{
	size_t l2_len = a->bytes[12] == 0x81 ? 18 : 14;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)&a->bytes[l2_len];

	return a->len >= l2_len + sizeof(*ip) && ip->version_ihl == 0x45 ? ip : NULL;
}

// Leaves but the half of an IPv4 packet.
static void cut_to_fragment(struct arrival *a, bool is_last)
{
	struct rte_ipv4_hdr *ip = ipv4_of(a);
	if (ip == NULL)
		return;

	uint8_t *payload = (uint8_t *)(ip + 1);
	size_t len = &a->bytes[a->len] - payload, first = len / 2 & ~7ul;
	size_t left = is_last ? len - first : first;

	memmove(payload, is_last ? payload + first : payload, left);
	a->len -= len - left;
	ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + left));
	ip->fragment_offset = rte_cpu_to_be_16(
		is_last ? (uint16_t)(first / RTE_IPV4_HDR_OFFSET_UNITS) : RTE_IPV4_HDR_MF_FLAG);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

// One frame in three is not as it should be, or not whole.
static void spoil(struct arrival *a)
{
	switch (draw(12)) {
	case 0:
		a->len = 1 + draw((uint32_t)a->len);
		break;
	case 1:
		a->bytes[draw((uint32_t)a->len)] ^= (uint8_t)(1u << draw(8));
		break;
	case 2:
		cut_to_fragment(a, false);
		break;
	case 3:
		cut_to_fragment(a, true);
		break;
	}
}

static void from_client(const struct world *w, struct arrival *a)
{
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct frame f = frames[draw(RTE_DIM(frames))];
	struct rte_ether_addr from = world_hop_mac(HOP_GATEWAY);

	if (f.layers[1].ports[0] == 1)
		f.layers[1].ports[0] = (uint16_t)(40000 + draw(8));
	if (f.layers[3].ports[1] == 1)
		f.layers[3].ports[1] = (uint16_t)(40000 + draw(8));
	a->port = 0;
	a->len = frame_write(&f, &from, &w->ports[0].mac, 0, 0, bytes);
	assert_true(a->len <= sizeof(a->bytes));
	memcpy(a->bytes, bytes, a->len);
}

// What nodes say to what was sent to them last.
static struct arrival answers[N_ANSWERS];
static size_t n_answers;

static void note_answer(uint16_t port, const struct rte_mbuf *m)
{
	struct arrival *a = &answers[n_answers++ % N_ANSWERS];

	a->port = port;
	a->len = RTE_MIN(rte_pktmbuf_pkt_len(m), sizeof(a->bytes));
	memcpy(a->bytes, rte_pktmbuf_read(m, 0, (uint32_t)a->len, a->bytes), a->len);
	frame_turn_round(a->bytes);
}

static void arrive(const struct world *w, struct arrival *ret_arrival)
{
	if (n_answers == 0 || draw(2) == 0)
		from_client(w, ret_arrival);
	else
		*ret_arrival = answers[draw((uint32_t)RTE_MIN(n_answers, (size_t)N_ANSWERS))];
	spoil(ret_arrival);
}

static void give_back(void *, void *memory)
{
	free(memory);
}

static struct rte_mbuf *packet(struct world *w, const struct arrival *a)
{
	uint16_t size = (uint16_t)(RTE_PKTMBUF_HEADROOM + a->len + TAILROOM);
	uint8_t *memory = malloc(size);
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->buffers);

	assert_true(memory != NULL && m != NULL);
	struct rte_mbuf_ext_shared_info *shared =
		rte_pktmbuf_ext_shinfo_init_helper(memory, &size, give_back, memory);
	rte_pktmbuf_attach_extbuf(m, memory, (rte_iova_t)(uintptr_t)memory, size, shared);
	rte_pktmbuf_reset_headroom(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)a->len), a->bytes, a->len);
	m->port = a->port;
	return m;
}

// Both worlds
// ===========

struct worlds {
	struct world *few;
	struct world *many;
};

static struct worlds create_worlds(unsigned n_workers)
{
	struct worlds w;

	world_crowd(false);
	w.few = world_create(n_workers, false);
	world_crowd(true);
	w.many = world_create(n_workers, false);
	assert_true(w.few->table->table.n_services <= FEW_SERVICES);
	assert_true(w.many->table->table.n_services > FEW_SERVICES);
	return w;
}

static void assert_same_packets(
	struct rte_mbuf *const *few, uint16_t n_few, struct rte_mbuf *const *many, uint16_t n_many)
{
	static uint8_t room[2][FRAME_BYTES_MAX];

	assert_int_equal(n_few, n_many);
	for (uint16_t i = 0; i < n_few; i++) {
		uint32_t len = rte_pktmbuf_pkt_len(few[i]);

		assert_int_equal(len, rte_pktmbuf_pkt_len(many[i]));
		assert_memory_equal(rte_pktmbuf_read(few[i], 0, len, room[0]),
			rte_pktmbuf_read(many[i], 0, len, room[1]), len);
	}
}

static void assert_same_outcome(const struct outcome *few, const struct outcome *many)
{
	assert_memory_equal(&few->n, &many->n, sizeof(few->n));
	for (unsigned i = 0; i < WORLD_PORTS; i++) {
		assert_same_packets(few->tx[i], few->n.tx[i], many->tx[i], many->n.tx[i]);
		for (int class = 0; class < N_KERNEL_CLASSES; class ++)
			assert_same_packets(few->to_kernel[i][class], few->n.to_kernel[i][class],
				many->to_kernel[i][class], many->n.to_kernel[i][class]);
	}
	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		assert_same_packets(
			few->handed[i], few->n.handed[i], many->handed[i], many->n.handed[i]);
	for (uint16_t i = 0; i < few->n.waiting; i++) {
		assert_same_packets(&few->waiting[i].mbuf, 1, &many->waiting[i].mbuf, 1);
		assert_true(address_equal(&few->waiting[i].to, &many->waiting[i].to));
		assert_int_equal(few->waiting[i].next_hop, many->waiting[i].next_hop);
	}
}

// What of the many is not of the few has had no traffic.
static void assert_same_traffic(const struct traffic_counters *few, size_t n_few,
	const struct traffic_counters *many, size_t n_many)
{
	static const struct traffic_counter no_traffic;
	static const struct flow_counter no_flows;

	for (size_t i = 0; i < n_many; i++) {
		bool has = i < n_few;

		assert_memory_equal(
			has ? &few->in[i] : &no_traffic, &many->in[i], sizeof(no_traffic));
		assert_memory_equal(
			has ? &few->out[i] : &no_traffic, &many->out[i], sizeof(no_traffic));
		assert_memory_equal(
			has ? &few->flows[i] : &no_flows, &many->flows[i], sizeof(no_flows));
	}
}

static void assert_same_counters(const struct worlds *w, unsigned worker)
{
	const struct worker_counters *few = &w->few->counters[worker];
	const struct worker_counters *many = &w->many->counters[worker];
	size_t n_services = w->few->table->table.n_services;

	assert_memory_equal(few->events, many->events, sizeof(few->events));
	assert_memory_equal(few->drops, many->drops, sizeof(few->drops));
	assert_same_traffic(&few->nodes, LITTLE_NODES, &many->nodes, LITTLE_NODES);
	assert_same_traffic(
		&few->services, n_services, &many->services, w->many->table->table.n_services);
}

// What was seen of the many ways that packets may go, in all.
static struct seen {
	uint64_t drops[N_DROP_REASONS];
	uint64_t events[N_EVENTS];
	uint64_t in[N_MODES], out[N_MODES];
	uint64_t handed, waiting, to_kernel;
} seen;

static void see_outcome(const struct outcome *out)
{
	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		seen.handed += out->n.handed[i];
	for (unsigned i = 0; i < WORLD_PORTS; i++)
		seen.to_kernel += out->n.to_kernel[i][KERNEL_CONTROL];
	seen.waiting += out->n.waiting;
}

static void see_counters(const struct world *w)
{
	for (int i = 0; i < N_DROP_REASONS; i++)
		seen.drops[i] += world_drops(w, i);
	for (int i = 0; i < N_EVENTS; i++)
		seen.events[i] += world_events(w, i);
	for (unsigned worker = 0; worker < w->n_workers; worker++) {
		for (size_t i = 0; i < w->table->table.n_services; i++) {
			enum forwarding_mode mode = w->table->services[i].mode;

			seen.in[mode] += w->counters[worker].services.in[i].packets;
			seen.out[mode] += w->counters[worker].services.out[i].packets;
		}
	}
}

static void assert_all_was_seen(void)
{
	static const enum drop_reason reasons[] = {DROP_NO_SERVICE, DROP_NO_TARGET, DROP_NO_ROUTE,
		DROP_NO_FLOW, DROP_UNKNOWN_TCP, DROP_TRUNCATED, DROP_HOP_LIMIT, DROP_TOO_BIG};

	for (size_t i = 0; i < RTE_DIM(reasons); i++) {
		print_message("    %s\n", drop_reason_word(reasons[i]));
		assert_true(seen.drops[reasons[i]] > 0);
	}
	for (int mode = 0; mode < N_MODES; mode++)
		assert_true(seen.in[mode] > 100);
	assert_true(seen.out[MODE_SNAT] > 100 && seen.out[MODE_DNAT] > 100);
	assert_true(seen.events[EVENT_REASSEMBLED] > 0);
	assert_true(seen.handed > 100 && seen.waiting > 100 && seen.to_kernel > 100);
}

// Bursts
// ======

static uint16_t take_handed(struct world *w, unsigned worker, struct rte_mbuf **ret_mbufs)
{
	uint16_t n = w->out->n.handed[worker];

	memcpy(ret_mbufs, w->out->handed[worker], n * sizeof(ret_mbufs[0]));
	w->out->n.handed[worker] = 0;
	return n;
}

static void judge(const struct worlds *w)
{
	const struct outcome *out = w->few->out;

	assert_same_outcome(out, w->many->out);
	see_outcome(out);
	for (uint16_t port = 1; port < WORLD_PORTS; port++) {
		for (uint16_t i = 0; i < out->n.tx[port]; i++)
			note_answer(port, out->tx[port][i]);
	}
}

static void end_turn(const struct worlds *w)
{
	world_free_outcome(w->few->out);
	world_free_outcome(w->many->out);
}

static void forward(struct world *w, struct rte_mbuf **mbufs, uint16_t n)
{
	pipeline_forward(
		&w->pipelines[0], &w->table->table, mbufs, n, ORIGIN_PORT, w->now_ns, w->out);
}

static void forward_handed(struct world *w, struct rte_mbuf **mbufs, uint16_t n)
{
	pipeline_forward_handed(&w->pipelines[1], &w->table->table, mbufs, n, w->now_ns, w->out);
}

static void forward_burst(const struct worlds *w, uint16_t n)
{
	struct rte_mbuf *few[OUTCOME_MAX], *many[OUTCOME_MAX];
	static struct arrival a;

	for (uint16_t i = 0; i < n; i++) {
		arrive(w->few, &a);
		few[i] = packet(w->few, &a);
		many[i] = packet(w->many, &a);
	}
	forward(w->few, few, n);
	forward(w->many, many, n);
	judge(w);
	n = take_handed(w->few, 1, few);
	take_handed(w->many, 1, many);
	end_turn(w);

	forward_handed(w->few, few, RTE_MIN(n, (uint16_t)BURST_MAX));
	forward_handed(w->many, many, RTE_MIN(n, (uint16_t)BURST_MAX));
	judge(w);
	end_turn(w);
}

static void a_burst_fares_among_thousands_of_services_as_among_few(void **)
{
	for (unsigned n_workers = 1; n_workers <= 2; n_workers++) {
		struct worlds w = create_worlds(n_workers);

		for (uint16_t n = 1; n <= BURST_MAX; n++) {
			world_renew(w.few, n % 4 == 0);
			world_renew(w.many, n % 4 == 0);
			for (unsigned i = 0; i < BURSTS_OF_A_LENGTH; i++)
				forward_burst(&w, n);
			for (unsigned worker = 0; worker < n_workers; worker++)
				assert_same_counters(&w, worker);
			see_counters(w.few);
		}
		world_destroy(w.few);
		world_destroy(w.many);
	}
	assert_all_was_seen();
}

// What is asked for is what is wanted: else nothing would be wrong, but all in vain.
static void what_is_asked_for_is_what_is_found(void **)
{
	world_crowd(true);
	struct world *w = world_create(1, false);
	const struct forwarding_table *table = &w->table->table;
	struct address nobody = address_of(CLIENT);

	for (service_id i = 0; i < table->n_services; i++) {
		const struct service *s = &table->services[i];
		uint64_t hash = index_hash_endpoint(&s->vip, s->port, s->protocol);

		assert_int_equal(index_guess(&table->service_index, hash), i);
		hash = index_hash_endpoint(&nobody, s->port, s->protocol);
		assert_int_equal(index_guess(&table->service_index, hash), INDEX_EMPTY);
	}
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_fares_among_thousands_of_services_as_among_few),
		cmocka_unit_test(what_is_asked_for_is_what_is_found),
	};

	world_start_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
