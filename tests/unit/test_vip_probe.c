// Nodes are asked over a real wire: what a twin would give to workers is answered by hand, as nodes
// answer, and reaches the kernel that is asked from.
//
//     here: "twin", 192.0.2.1, 2001:db8:2::1 ──────── far: "far", nodes 192.0.2.10, 2001:db8:2::10

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "guideway/vip_probe.h"
#include "netns.h"
#include "text_address.h"
#include "vip_probe.h"

enum { NODE = 5, OTHER_NODE = 9, STRANGER = 11, FRAME_MAX = 256 };

struct wire {
	struct loop *loop;
	struct vip_prober *prober;
	struct port_config port;
	int fd; // The far end: what is sent to the twin comes out here.
	bool may_ask;
	unsigned n_learnt;
	struct loop_timer timer;
};

// The stranger is this machine itself.
static struct address address_of_node(void *, node_id node, enum family family)
{
	if (node == STRANGER)
		return text_address(family == IPV4 ? "192.0.2.1" : "2001:db8:2::1");
	return text_address(family == IPV4 ? "192.0.2.10" : "2001:db8:2::10");
}

static bool may_ask(void *argument)
{
	return ((struct wire *)argument)->may_ask;
}

static void learnt(void *argument)
{
	((struct wire *)argument)->n_learnt++;
}

static void stop(void *argument, uint64_t)
{
	loop_stop(((struct wire *)argument)->loop);
}

static void run_for(struct wire *w, uint64_t ns)
{
	w->timer = (struct loop_timer){.name = "stop", .fn = stop, .argument = w};
	loop_timer_set(w->loop, &w->timer, loop_clock_ns() + ns);
	assert_int_equal(loop_run(w->loop), 0);
}

static int make_wire(void **state)
{
	struct wire *w = calloc(1, sizeof(*w));
	struct vip_prober_config config = {.ports = &w->port,
		.n_ports = 1,
		.address_of = address_of_node,
		.may_ask = may_ask,
		.learnt = learnt,
		.argument = w};

	*state = w;
	run("ip link add twin type veth peer name far && ip link set twin up && "
	    "ip link set far up && ip addr add 192.0.2.1/24 dev twin && "
	    "ip addr add 2001:db8:2::1/64 dev twin nodad");
	struct sockaddr_ll far = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("far")};
	w->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->fd, (void *)&far, sizeof(far)), 0);
	strcpy(w->port.twin, "twin");
	w->may_ask = true;
	assert_int_equal(loop_create(&w->loop), 0);
	config.loop = w->loop;
	w->prober = vip_prober_create(&config);
	return w->prober == NULL ? -1 : 0;
}

static int unmake_wire(void **state)
{
	struct wire *w = *state;

	vip_prober_destroy(w->prober);
	loop_destroy(w->loop);
	close(w->fd);
	run("ip link del twin");
	free(w);
	return 0;
}

static struct vip_probe *probe_of(struct wire *w, const char *vip, uint16_t port)
{
	struct vip_probe_config config = {
		.name = "web", .vip = text_address(vip), .port = port, .mode = MODE_DSR};

	struct vip_probe *probe = vip_probe_acquire(w->prober, &config);
	assert_non_null(probe);
	return probe;
}

static void want_many(struct vip_probe *probe)
{
	node_id nodes[1000];

	for (size_t i = 0; i < 1000; i++)
		nodes[i] = (node_id)(100 + i);
	vip_probe_want(probe, nodes, 1000);
}

// The next question on the wire, its IP header and TCP; false if there is none.
struct question {
	uint8_t frame[FRAME_MAX];
	size_t ip_len;
	struct tcphdr tcp;
};

static bool is_question(struct question *q, ssize_t n)
{
	uint16_t type;

	memcpy(&type, q->frame + 12, sizeof(type));
	q->ip_len = type == htons(ETH_P_IP) ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	if (type != htons(ETH_P_IP) && type != htons(ETH_P_IPV6))
		return false;
	if (n < (ssize_t)(ETH_HLEN + q->ip_len + sizeof(q->tcp)))
		return false;
	memcpy(&q->tcp, q->frame + ETH_HLEN + q->ip_len, sizeof(q->tcp));
	return q->frame[ETH_HLEN + (q->ip_len == sizeof(struct iphdr) ? 9 : 6)] == IPPROTO_TCP &&
		is_vip_probe(ntohl(q->tcp.ack_seq)) && !q->tcp.ack;
}

static bool next_question(struct wire *w, struct question *ret_question)
{
	for (;;) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(w->fd, ret_question->frame, FRAME_MAX, 0, (void *)&from, &len);

		if (n < 0)
			return false;
		if (from.sll_pkttype != PACKET_OUTGOING && is_question(ret_question, n))
			return true;
	}
}

static unsigned count_questions(struct wire *w)
{
	struct question q;
	unsigned n = 0;

	while (next_question(w, &q))
		n++;
	return n;
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t copy[16];

	memcpy(copy, a, len);
	memcpy(a, b, len);
	memcpy(b, copy, len);
}

// A SYN-ACK, with the checksum left to nobody: the kernel is not to take it, either.
static void answer(struct wire *w, struct question *q)
{
	size_t at = ETH_HLEN + (q->ip_len == sizeof(struct iphdr) ? 12 : 8);
	size_t len = q->ip_len == sizeof(struct iphdr) ? 4 : 16;
	struct tcphdr tcp = q->tcp;

	tcp.source = q->tcp.dest;
	tcp.dest = q->tcp.source;
	tcp.ack = 1;
	tcp.seq = htonl(77);
	tcp.ack_seq = htonl(ntohl(q->tcp.seq) + 1);
	swap(q->frame, q->frame + 6, 6);
	memset(q->frame, 0xff, 6);
	swap(q->frame + at, q->frame + at + len, len);
	memcpy(q->frame + ETH_HLEN + q->ip_len, &tcp, sizeof(tcp));
	size_t frame_len = ETH_HLEN + q->ip_len + sizeof(tcp);
	assert_int_equal(send(w->fd, q->frame, frame_len, 0), frame_len);
}

static void a_node_that_answers_knows_the_vip(void **state)
{
	static const char *const vips[N_FAMILIES] = {"203.0.113.7", "2001:db8:113::7"};
	static const node_id nodes[] = {NODE, OTHER_NODE};
	struct wire *w = *state;
	struct question q;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		struct vip_probe *probe = probe_of(w, vips[f], 80);
		vip_probe_want(probe, nodes, 2);
		vip_probe_tell(probe, loop_clock_ns());
		w->n_learnt = 0;
		run_for(w, 5 * NSEC_PER_MSEC);

		// Each is asked by its name, and from the address that it would answer.
		assert_true(next_question(w, &q));
		assert_true(q.tcp.syn);
		assert_int_equal(ntohs(q.tcp.dest), 80);
		assert_int_equal(vip_probe_node(ntohl(q.tcp.ack_seq)), NODE);
		assert_false(vip_probe_knows(probe, NODE));
		answer(w, &q);
		run_for(w, 5 * NSEC_PER_MSEC);
		assert_int_equal(w->n_learnt, 1);
		assert_true(vip_probe_knows(probe, NODE));
		assert_false(vip_probe_knows(probe, OTHER_NODE));

		// The other is asked again, and this one is told that there will be no connection.
		unsigned n_resets = 0, n_others = 0;
		while (next_question(w, &q)) {
			n_resets += q.tcp.rst && vip_probe_node(ntohl(q.tcp.ack_seq)) == NODE;
			n_others += vip_probe_node(ntohl(q.tcp.ack_seq)) == OTHER_NODE;
		}
		assert_int_equal(n_resets, 1);
		assert_true(n_others > 0);
		vip_probe_release(probe);
	}
}

static void nobody_is_asked_before_the_vip_is_told(void **state)
{
	static const node_id nodes[] = {NODE};
	struct wire *w = *state;
	struct vip_probe *probe = probe_of(w, "203.0.113.7", 80);

	vip_probe_want(probe, nodes, 1);
	run_for(w, 50 * NSEC_PER_MSEC);
	assert_int_equal(count_questions(w), 0);

	// Nor while some worker might not know the service.
	w->may_ask = false;
	vip_probe_tell(probe, loop_clock_ns());
	run_for(w, 50 * NSEC_PER_MSEC);
	assert_int_equal(count_questions(w), 0);
	w->may_ask = true;
	run_for(w, 50 * NSEC_PER_MSEC);
	assert_true(count_questions(w) > 0);
	vip_probe_release(probe);
}

static void who_is_silent_is_asked_more_and_more_rarely(void **state)
{
	static const node_id nodes[] = {NODE};
	struct wire *w = *state;
	struct vip_probe *probe = probe_of(w, "203.0.113.7", 80);

	vip_probe_want(probe, nodes, 1);
	vip_probe_tell(probe, loop_clock_ns());
	run_for(w, 1300 * NSEC_PER_MSEC);
	unsigned n = count_questions(w); // At 0, 20, 60, 140, 300, 620, 1260 ms.
	assert_true(n >= 5 && n <= 7);
	assert_false(vip_probe_knows(probe, NODE));
	vip_probe_release(probe);
}

static void a_thousand_a_second_are_asked(void **state)
{
	struct wire *w = *state;
	struct vip_probe *probe = probe_of(w, "203.0.113.7", 80);

	want_many(probe);
	vip_probe_tell(probe, loop_clock_ns());
	run_for(w, 200 * NSEC_PER_MSEC);
	assert_in_range(count_questions(w), 20, 240);
	vip_probe_release(probe);
}

static void who_cannot_be_asked_knows_it_two_seconds_after_it_was_told(void **state)
{
	static const node_id nodes[] = {NODE}, machine[] = {STRANGER};
	struct wire *w = *state;
	struct vip_probe *udp = probe_of(w, "203.0.113.7", 0);
	struct vip_probe *here = probe_of(w, "203.0.113.7", 80);

	vip_probe_want(udp, nodes, 1);
	vip_probe_want(here, machine, 1);
	vip_probe_tell(udp, loop_clock_ns() - 1800 * NSEC_PER_MSEC);
	vip_probe_tell(here, loop_clock_ns() - 1800 * NSEC_PER_MSEC);
	run_for(w, 100 * NSEC_PER_MSEC);
	assert_false(vip_probe_knows(udp, NODE) || vip_probe_knows(here, STRANGER));
	run_for(w, 700 * NSEC_PER_MSEC);
	assert_true(vip_probe_knows(udp, NODE) && vip_probe_knows(here, STRANGER));
	assert_int_equal(count_questions(w), 0);
	vip_probe_release(udp);
	vip_probe_release(here);
}

static void a_node_that_comes_back_is_asked_again(void **state)
{
	static const node_id both[] = {NODE, OTHER_NODE}, one[] = {OTHER_NODE};
	struct wire *w = *state;
	struct vip_probe *probe = probe_of(w, "203.0.113.7", 0);

	vip_probe_want(probe, both, 2);
	vip_probe_tell(probe, 0);
	run_for(w, 5 * NSEC_PER_MSEC);
	assert_true(vip_probe_is_done(probe, both, 2));
	assert_false(vip_probe_is_done(probe, one, 1));

	vip_probe_want(probe, one, 1);
	vip_probe_want(probe, both, 2);
	assert_false(vip_probe_knows(probe, NODE));
	assert_true(vip_probe_knows(probe, OTHER_NODE));
	vip_probe_release(probe);
}

static void answer_for(struct wire *w, node_id node)
{
	struct question q;

	while (next_question(w, &q)) {
		if (q.tcp.syn && vip_probe_node(ntohl(q.tcp.ack_seq)) == node)
			answer(w, &q);
	}
}

static void who_knew_it_before_is_used_until_it_was_asked_in_vain(void **state)
{
	static const node_id both[] = {NODE, OTHER_NODE};
	struct wire *w = *state;
	struct vip_probe *probe = probe_of(w, "203.0.113.7", 80);

	vip_probe_want(probe, both, 2);
	vip_probe_tell(probe, 0);
	assert_int_equal(w->n_learnt, 1);
	assert_true(vip_probe_is_done(probe, both, 2));
	for (int i = 0; i < 20; i++) {
		run_for(w, 15 * NSEC_PER_MSEC);
		answer_for(w, NODE);
		assert_true(vip_probe_is_done(probe, both, 2));
	}
	assert_int_equal(w->n_learnt, 1); // What was presumed is news to nobody.
	run_for(w, 1000 * NSEC_PER_MSEC);
	assert_true(vip_probe_knows(probe, NODE));
	assert_false(vip_probe_knows(probe, OTHER_NODE));
	assert_int_equal(w->n_learnt, 2);

	// It is asked on, and one that comes later is presumed to know nothing.
	count_questions(w);
	run_for(w, 700 * NSEC_PER_MSEC);
	answer_for(w, OTHER_NODE);
	run_for(w, 5 * NSEC_PER_MSEC);
	assert_true(vip_probe_is_done(probe, both, 2));
	vip_probe_want(probe, both, 1);
	vip_probe_want(probe, both, 2);
	assert_false(vip_probe_knows(probe, OTHER_NODE));
	vip_probe_release(probe);
}

static unsigned count_questions_to(struct wire *w, uint16_t port)
{
	struct question q;
	unsigned n = 0;

	while (next_question(w, &q))
		n += ntohs(q.tcp.dest) == port;
	return n;
}

static void those_that_wait_are_asked_before_those_that_are_used(void **state)
{
	struct wire *w = *state;
	struct vip_probe *used = probe_of(w, "203.0.113.7", 80);
	struct vip_probe *waits = probe_of(w, "203.0.113.7", 81);

	want_many(used);
	want_many(waits);
	vip_probe_tell(used, 0);
	run_for(w, 50 * NSEC_PER_MSEC);
	assert_true(count_questions_to(w, 80) > 0);
	vip_probe_tell(waits, loop_clock_ns());
	run_for(w, 50 * NSEC_PER_MSEC);
	assert_int_equal(count_questions_to(w, 80), 0);
	vip_probe_release(used);
	vip_probe_release(waits);
}

static void probes_take_turns(void **state)
{
	struct wire *w = *state;
	struct vip_probe *one = probe_of(w, "203.0.113.7", 80);
	struct vip_probe *other = probe_of(w, "203.0.113.7", 81);

	want_many(one);
	want_many(other);
	vip_probe_tell(one, loop_clock_ns());
	vip_probe_tell(other, loop_clock_ns());
	run_for(w, 20 * NSEC_PER_MSEC);
	assert_true(count_questions_to(w, 81) > 0);
	vip_probe_release(one);
	vip_probe_release(other);
}

static void two_that_ask_the_same_share_a_probe(void **state)
{
	struct wire *w = *state;
	struct vip_prober_status status;
	struct vip_probe *one = probe_of(w, "203.0.113.7", 80);
	struct vip_probe *two = probe_of(w, "203.0.113.7", 80);
	struct vip_probe *other = probe_of(w, "203.0.113.7", 81);

	assert_ptr_equal(one, two);
	assert_ptr_not_equal(one, other);
	vip_probe_release(one);
	vip_prober_read_status(w->prober, &status);
	assert_int_equal(status.n_probes, 2);
	vip_probe_release(two);
	vip_probe_release(other);
	vip_prober_read_status(w->prober, &status);
	assert_int_equal(status.n_probes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_node_that_answers_knows_the_vip, make_wire, unmake_wire),
		cmocka_unit_test_setup_teardown(
			nobody_is_asked_before_the_vip_is_told, make_wire, unmake_wire),
		cmocka_unit_test_setup_teardown(
			who_is_silent_is_asked_more_and_more_rarely, make_wire, unmake_wire),
		cmocka_unit_test_setup_teardown(
			a_thousand_a_second_are_asked, make_wire, unmake_wire),
		cmocka_unit_test_setup_teardown(
			who_cannot_be_asked_knows_it_two_seconds_after_it_was_told, make_wire,
			unmake_wire),
		cmocka_unit_test_setup_teardown(
			a_node_that_comes_back_is_asked_again, make_wire, unmake_wire),
		cmocka_unit_test_setup_teardown(
			who_knew_it_before_is_used_until_it_was_asked_in_vain, make_wire,
			unmake_wire),
		cmocka_unit_test_setup_teardown(
			those_that_wait_are_asked_before_those_that_are_used, make_wire,
			unmake_wire),
		cmocka_unit_test_setup_teardown(probes_take_turns, make_wire, unmake_wire),
		cmocka_unit_test_setup_teardown(
			two_that_ask_the_same_share_a_probe, make_wire, unmake_wire),
	};

	netns_enter_new();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
