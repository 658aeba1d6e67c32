// Measuring
// =========
//
// One loop takes in what has come and sends what is due, so that both ends of a packet's way are on
// one clock. What is sent at once carries one time: that of before it was made.
//
// Rates are counted from when the forwarder has had time to fill its queues, until the last packet
// is sent. Losses are counted over all.

#include "generator.h"

#include <string.h>

#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_tcp.h>

#include "pace.h"
#include "port.h"
#include "tag.h"

enum {
	MIX_MAX = 12,
	SIZES_MAX = 3,
	BURSTS_AT_ONCE = 4,  // Taken in before more is sent.
	BEGINNING = 10,      // The part of the time that rates are not of: a tenth.
	SILENCES_PER_S = 10, // Nothing comes any more after a tenth of a second without.
};

struct run {
	struct generator *generator;
	const struct plan *plan;
	struct measurement *m;

	struct frame frames[SIZES_MAX];
	const struct frame *mix[MIX_MAX]; // In the order in which they are sent.
	unsigned n_mix, at;

	struct pace pace;
	uint64_t random;
	uint64_t window_start; // Of the rates; 0 before.
	uint64_t sent_before, received_before;
};

static const struct flows *flows_of(const struct run *r)
{
	return &r->generator->flows[r->plan->opened_by];
}

struct frame_kind frame_kind_of(const struct generator *g, const struct plan *plan)
{
	struct frame_kind kind = {.ipv6 = plan->ipv6, .protocol = plan->protocol};

	memcpy(kind.source_mac, plan->source_mac, 6);
	memcpy(kind.destination_mac, plan->destination_mac, 6);
	if (plan->direction == PLAN_RETURN) {
		const struct flows *flows = &g->flows[plan->opened_by];

		memcpy(kind.source, flows->node_prefix, 12);
		memcpy(kind.destination, flows->peer_prefix, 12);
	} else {
		memcpy(kind.source, plan->client, 16);
		memcpy(kind.destination, plan->vip, 16);
	}
	return kind;
}

static void make_frame(struct run *r, unsigned at, uint16_t size)
{
	struct frame_kind kind = frame_kind_of(r->generator, r->plan);
	uint16_t least = frame_least(kind.ipv6, kind.protocol);

	kind.len = RTE_MAX(least, size - RTE_ETHER_CRC_LEN);
	kind.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG;
	frame_make(&kind, &r->frames[at]);
}

// Seven small ones to four of a middle size and a large one, as evenly as they go.
static void make_mix(struct run *r)
{
	static const uint16_t sizes[SIZES_MAX] = {64, 594, 1518};
	static const uint8_t order[MIX_MAX] = {0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 1, 0};

	if (r->plan->size != PLAN_IMIX) {
		make_frame(r, 0, r->plan->size);
		r->mix[r->n_mix++] = &r->frames[0];
		return;
	}
	for (unsigned i = 0; i < SIZES_MAX; i++)
		make_frame(r, i, RTE_MIN(sizes[i], r->plan->largest));
	for (unsigned i = 0; i < MIX_MAX; i++)
		r->mix[r->n_mix++] = &r->frames[order[i]];
}

static bool is_ours(const struct run *r, const struct rte_mbuf *m)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(m, const uint8_t *);

	return m->data_len == m->pkt_len && m->data_len >= frame_least(false, IPPROTO_UDP) &&
		tag_run(frame_tag(bytes, m->data_len)) == r->generator->run &&
		!frame_is_icmp(bytes);
}

static void take_in(struct run *r, const struct rte_mbuf *m, uint64_t now)
{
	if (!is_ours(r, m)) {
		r->m->foreign++;
		return;
	}
	uint64_t sent_at = tag_value(frame_tag(rte_pktmbuf_mtod(m, uint8_t *), m->data_len));

	r->m->received++;
	histogram_add(&r->m->latency, (now - sent_at) & TAG_VALUE_MASK);
}

static unsigned receive_burst(struct run *r)
{
	struct rte_mbuf *mbufs[PORT_BURST];
	unsigned n = rte_eth_rx_burst(plan_receives_by(r->plan), 0, mbufs, PORT_BURST);
	uint64_t now = rte_rdtsc();

	for (unsigned i = 0; i < n; i++)
		take_in(r, mbufs[i], now);
	if (n > 0)
		rte_pktmbuf_free_bulk(mbufs, n);
	return n;
}

static void receive(struct run *r)
{
	for (int i = 0; i < BURSTS_AT_ONCE; i++) {
		if (receive_burst(r) < PORT_BURST)
			return;
	}
}

static uint64_t pick_flow(struct run *r)
{
	r->random = r->random * 6364136223846793005 + 1442695040888963407;
	return (r->random >> 32) * flows_of(r)->n >> 32;
}

static void pick_flows(struct run *r, uint64_t *flows, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		flows[i] = pick_flow(r);
		if (r->plan->direction == PLAN_RETURN)
			__builtin_prefetch(&flows_of(r)->peers[flows[i]]);
	}
}

static void put_frame(struct run *r, uint64_t flow, uint64_t tag, struct rte_mbuf *m)
{
	const struct flows *flows = flows_of(r);
	const struct frame *frame = r->mix[r->at];
	struct frame_ends ends = r->plan->direction == PLAN_RETURN ? flows_return(flows, flow)
								   : flows_forward(flows, flow);

	r->at = r->at + 1 == r->n_mix ? 0 : r->at + 1;
	frame_fill(frame, &ends, tag, rte_pktmbuf_mtod(m, uint8_t *));
	m->data_len = frame->len;
	m->pkt_len = frame->len;
}

static void offer(struct run *r, unsigned n, uint64_t now)
{
	struct rte_mbuf *mbufs[PORT_BURST];
	uint64_t flows[PORT_BURST];

	if (n == 0)
		return;
	pick_flows(r, flows, n);
	if (rte_pktmbuf_alloc_bulk(r->generator->pool, mbufs, n) != 0) {
		r->m->refused += n; // All are in queues that nobody empties.
		return;
	}
	uint64_t tag = tag_of(r->generator->run, now);
	for (unsigned i = 0; i < n; i++)
		put_frame(r, flows[i], tag, mbufs[i]);

	unsigned n_sent = port_send(plan_sends_by(r->plan), mbufs, n);
	r->m->sent += n_sent;
	r->m->refused += n - n_sent;
}

static unsigned due(struct run *r, uint64_t now)
{
	unsigned n = r->plan->packets_per_s > 0 ? pace_take(&r->pace, now, PORT_BURST) : PORT_BURST;
	uint64_t left = r->plan->n_packets - r->m->sent;

	return r->plan->n_packets > 0 && left < n ? (unsigned)left : n;
}

static bool has_sent_enough(const struct run *r)
{
	return r->plan->n_packets > 0 && r->m->sent >= r->plan->n_packets;
}

static void begin_window(struct run *r, uint64_t now)
{
	r->window_start = now;
	r->sent_before = r->m->sent;
	r->received_before = r->m->received;
}

static void end_window(struct run *r, uint64_t now)
{
	if (r->window_start == 0)
		return;
	r->m->seconds = (double)(now - r->window_start) / (double)rte_get_tsc_hz();
	r->m->tx_per_s = (double)(r->m->sent - r->sent_before) / r->m->seconds;
	r->m->rx_per_s = (double)(r->m->received - r->received_before) / r->m->seconds;
}

static void send_all(struct run *r)
{
	uint64_t hz = rte_get_tsc_hz(), now = rte_rdtsc();
	uint64_t length = (uint64_t)(r->plan->seconds * (double)hz), end = now + length;
	uint64_t window_start = now + length / BEGINNING;

	r->pace = pace_at(r->plan->packets_per_s, hz, now);
	while (now < end && !has_sent_enough(r)) {
		if (r->window_start == 0 && now >= window_start)
			begin_window(r, now);
		offer(r, due(r, now), now);
		receive(r);
		now = rte_rdtsc();
	}
	end_window(r, now);
}

static void receive_rest(struct run *r)
{
	uint64_t silence = rte_get_tsc_hz() / SILENCES_PER_S, now = rte_rdtsc(), last = now;

	while (now - last < silence && r->m->received < r->m->sent) {
		now = rte_rdtsc();
		if (receive_burst(r) > 0)
			last = now;
	}
}

void measure(struct generator *g, const struct plan *plan, struct measurement *ret_measurement)
{
	static struct run r; // Its frames are a little large for a stack.

	*ret_measurement = (struct measurement){0};
	r = (struct run){.generator = g, .plan = plan, .m = ret_measurement, .random = plan->seed};
	g->run = tag_next_run(g->run);
	make_mix(&r);
	send_all(&r);
	receive_rest(&r);
	ret_measurement->late = r.pace.late;
}
