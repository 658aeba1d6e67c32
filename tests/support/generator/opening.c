// Opening flows
// =============
//
//     client           forwarder          node
//       SYN ─────────────► ──────────────► learns who asks,
//       ◄───────────────── ◄──────────── SYN-ACK
//       ACK ─────────────► ──────────────► open
//
// UDP: one datagram, and one back. All of these carry the flow's number as their tag. No more are
// on their way than queues have room for, so that nothing is lost; should it be, the flow has its
// turn again when all others have had theirs.

#include "generator.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_tcp.h>

#include "port.h"
#include "tag.h"

enum {
	ON_THEIR_WAY_MAX = 768, // With their answers, fewer than a queue of 2048 holds.
	PATIENCE_S = 2,
	TURNS_PER_S =
		20, // Those that nothing was heard of for a twentieth of a second begin again.
};

struct opening {
	struct generator *generator;
	const struct plan *plan;
	struct frame first, third; // Of a client.
	uint64_t next;             // Flow that has its turn.
	uint64_t n_on_their_way;
	uint64_t n_open;
	struct rte_mbuf *answers[PORT_BURST];
	unsigned n_answers;
};

static struct flows *flows_of(const struct opening *o)
{
	return &o->generator->flows[o->plan->opened_by];
}

static void make_frames(struct opening *o)
{
	struct frame_kind kind = frame_kind_of(o->generator, o->plan);

	kind.len = frame_least(kind.ipv6, kind.protocol);
	kind.tcp_flags = RTE_TCP_SYN_FLAG;
	frame_make(&kind, &o->first);
	kind.tcp_flags = RTE_TCP_ACK_FLAG;
	frame_make(&kind, &o->third);
}

static void put_frame(
	const struct opening *o, const struct frame *frame, uint64_t flow, struct rte_mbuf *m)
{
	struct frame_ends ends = flows_forward(flows_of(o), flow);

	frame_fill(frame, &ends, tag_of(o->generator->run, flow), rte_pktmbuf_mtod(m, uint8_t *));
	m->data_len = frame->len;
	m->pkt_len = frame->len;
}

static void set_open(struct opening *o, struct flow_peer *flow)
{
	if (flow->progress == FLOW_OPEN)
		return;
	flow->progress = FLOW_OPEN;
	o->n_open++;
	o->n_on_their_way -= o->n_on_their_way > 0;
}

static void learn(struct opening *o, struct flow_peer *flow, const struct frame_ends *ends,
	const struct rte_mbuf *m)
{
	struct flows *flows = flows_of(o);

	flow->node = ends->destination;
	flow->peer = ends->source;
	flow->peer_port = ends->source_port;
	flow->progress = RTE_MAX(flow->progress, (uint16_t)FLOW_MET);
	if (o->plan->ipv6)
		frame_read_prefixes(
			rte_pktmbuf_mtod(m, uint8_t *), flows->peer_prefix, flows->node_prefix);
}

// Whether the frame has become an answer.
static bool answer_as_node(struct opening *o, struct flow_peer *flow, const struct frame_ends *ends,
	uint8_t flags, struct rte_mbuf *m)
{
	if (o->plan->protocol == IPPROTO_TCP && !(flags & RTE_TCP_SYN_FLAG)) {
		if (flow->progress == FLOW_MET)
			set_open(o, flow);
		return false;
	}
	learn(o, flow, ends, m);
	frame_turn(rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	return true;
}

static bool answer_as_client(struct opening *o, struct flow_peer *flow, uint64_t number,
	uint8_t flags, struct rte_mbuf *m)
{
	if (o->plan->protocol == IPPROTO_UDP) {
		set_open(o, flow);
		return false;
	}
	if (flags != (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG))
		return false;
	put_frame(o, &o->third, number, m);
	return true;
}

static bool answer(struct opening *o, struct rte_mbuf *m)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(m, uint8_t *);
	struct flows *flows = flows_of(o);
	struct frame_ends ends;
	uint8_t flags;

	if (m->data_len != m->pkt_len || !frame_read(bytes, m->data_len, &ends, &flags))
		return false;
	uint64_t tag = frame_tag(bytes, m->data_len), number = tag_value(tag);
	if (tag_run(tag) != o->generator->run || number >= flows->n)
		return false;

	struct flow_peer *flow = &flows->peers[number];
	if (ends.destination_port == flows->node_port)
		return answer_as_node(o, flow, &ends, flags, m);
	if (ends.source_port == flows->vip_port)
		return answer_as_client(o, flow, number, flags, m);
	return false;
}

// Whoever is asked answers by the port by which he was. Returns how many frames came.
static unsigned receive_by(struct opening *o, uint16_t port)
{
	struct rte_mbuf *mbufs[PORT_BURST];
	unsigned n = rte_eth_rx_burst(port, 0, mbufs, PORT_BURST), n_answers = 0;

	for (unsigned i = 0; i < n; i++) {
		if (answer(o, mbufs[i]))
			mbufs[n_answers++] = mbufs[i];
		else
			rte_pktmbuf_free(mbufs[i]);
	}
	port_send_all(port, mbufs, n_answers);
	return n;
}

static unsigned receive(struct opening *o)
{
	unsigned n = receive_by(o, (uint16_t)o->plan->port);

	if (o->plan->nodes_by != o->plan->port)
		n += receive_by(o, (uint16_t)o->plan->nodes_by);
	return n;
}

static bool find_next(struct opening *o)
{
	const struct flows *flows = flows_of(o);

	while (o->next < flows->n && flows->peers[o->next].progress == FLOW_OPEN)
		o->next++;
	return o->next < flows->n;
}

static void send_firsts(struct opening *o)
{
	struct rte_mbuf *mbufs[PORT_BURST];
	unsigned n = 0;

	while (n < PORT_BURST && o->n_on_their_way + n < ON_THEIR_WAY_MAX && find_next(o)) {
		mbufs[n] = rte_pktmbuf_alloc(o->generator->pool);
		if (mbufs[n] == NULL)
			break;
		put_frame(o, &o->first, o->next++, mbufs[n++]);
	}
	o->n_on_their_way += port_send_all((uint16_t)o->plan->port, mbufs, n);
}

static void begin_again(struct opening *o)
{
	o->n_on_their_way = 0;
	o->next = 0;
}

static void open_all(struct opening *o)
{
	uint64_t hz = rte_get_tsc_hz(), heard = rte_rdtsc(), progressed = heard, n_before = 0;

	while (o->n_open < flows_of(o)->n) {
		uint64_t now = rte_rdtsc();

		if (receive(o) > 0)
			heard = now;
		if (o->n_open > n_before)
			progressed = now;
		n_before = o->n_open;
		if (now - progressed > PATIENCE_S * hz)
			return;
		if (now - heard > hz / TURNS_PER_S) {
			begin_again(o);
			heard = now;
		}
		send_firsts(o);
	}
}

int64_t open_flows(struct generator *g, const struct plan *plan)
{
	static struct opening o; // Its frames are a little large for a stack.

	int r = flows_forget(&g->flows[plan->opened_by]);
	if (r < 0)
		return r;
	o = (struct opening){.generator = g, .plan = plan};
	g->run = tag_next_run(g->run);
	make_frames(&o);
	open_all(&o);
	return (int64_t)o.n_open;
}
