#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guideway/vip_probe.h"
#include "vip_probe_packet.h"

enum { OUR_PORT = 45000, SEQUENCE = 0x12345678, ANSWER_MAX = 128, ICMP = 8 };

static const struct vip_probe_packet questions[N_FAMILIES] = {
	{
		.source = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}}},
		.vip = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 7}}},
		.source_port = OUR_PORT,
		.port = 80,
		.sequence = SEQUENCE,
		.node = 513,
	},
	{
		.source = {{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}},
		.vip = {{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}}},
		.source_port = OUR_PORT,
		.port = 80,
		.sequence = SEQUENCE,
		.node = 513,
	},
};

static size_t ip_len(enum family family)
{
	return family == IPV4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
}

// Of big-endian words, so that a good checksum makes it 0xffff.
static uint32_t sum(const uint8_t *bytes, size_t len)
{
	uint32_t total = 0;

	for (size_t i = 0; i < len; i += 2)
		total += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (total > 0xffff)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

static void a_question_is_a_syn_that_names_its_node(void **)
{
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		uint8_t bytes[VIP_PROBE_PACKET_MAX], pseudo[64] = {0};
		struct tcphdr tcp;

		assert_int_equal(
			vip_probe_packet_write(&questions[f], bytes), ip_len(f) + sizeof(tcp));
		memcpy(&tcp, bytes + ip_len(f), sizeof(tcp));
		assert_true(tcp.syn && !tcp.ack && !tcp.rst);
		assert_int_equal(ntohs(tcp.source), OUR_PORT);
		assert_int_equal(ntohs(tcp.dest), 80);
		assert_int_equal(ntohl(tcp.seq), SEQUENCE);
		assert_true(is_vip_probe(ntohl(tcp.ack_seq)));
		assert_int_equal(vip_probe_node(ntohl(tcp.ack_seq)), 513);

		size_t addresses = f == IPV4 ? 12 : 8, addresses_len = f == IPV4 ? 8 : 32;
		memcpy(pseudo, bytes + addresses, addresses_len);
		memcpy(pseudo + addresses_len, &tcp, sizeof(tcp));
		pseudo[addresses_len + sizeof(tcp) + 1] = IPPROTO_TCP;
		pseudo[addresses_len + sizeof(tcp) + 3] = sizeof(tcp);
		assert_int_equal(sum(pseudo, sizeof(pseudo)), 0xffff);
		if (f == IPV4)
			assert_int_equal(sum(bytes, ip_len(f)), 0xffff);
	}
}

static void what_was_begun_is_ended_by_a_reset(void **)
{
	struct vip_probe_packet end = questions[IPV4];
	uint8_t bytes[VIP_PROBE_PACKET_MAX];
	struct tcphdr tcp;

	end.is_reset = true;
	vip_probe_packet_write(&end, bytes);
	memcpy(&tcp, bytes + ip_len(IPV4), sizeof(tcp));
	assert_true(tcp.rst && !tcp.syn && !tcp.ack);
	assert_int_equal(vip_probe_node(ntohl(tcp.ack_seq)), 513);
}

// What comes back
// ===============

enum { SYN = 2, RST = 4, ACK = 16 };

static size_t write_ip(enum family family, uint8_t protocol, size_t len, uint8_t *to)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .protocol = protocol};
	struct ip6_hdr ip6 = {.ip6_nxt = protocol};

	ip.tot_len = htons((uint16_t)(sizeof(ip) + len));
	memcpy(to, family == IPV4 ? (void *)&ip : (void *)&ip6, ip_len(family));
	return ip_len(family) + len;
}

static size_t tcp_answer(enum family family, uint8_t flags, uint16_t port, uint8_t *to)
{
	struct tcphdr tcp = {.source = htons(80), .dest = htons(port)};

	tcp.ack_seq = htonl(SEQUENCE + 1);
	tcp.th_flags = flags;
	memcpy(to + ip_len(family), &tcp, sizeof(tcp));
	return write_ip(family, IPPROTO_TCP, sizeof(tcp), to);
}

static size_t icmp_answer(enum family family, uint8_t type, uint8_t code, uint8_t *to)
{
	size_t at = ip_len(family) + ICMP;
	size_t inner = vip_probe_packet_write(&questions[family], to + at);

	to[ip_len(family)] = type;
	to[ip_len(family) + 1] = code;
	return write_ip(family, family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, ICMP + inner, to);
}

// Whether a filter of the kernel's lets it through.
static bool is_let_through(enum family family, const uint8_t *bytes, size_t len)
{
	struct sock_filter filter[VIP_PROBE_FILTER_MAX];
	struct sock_fprog program = {
		vip_probe_filter_write(family, OUR_PORT, SEQUENCE >> 16, filter), filter};
	uint8_t copy[ANSWER_MAX];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(
		setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
	(void)!send(ends[0], bytes, len, 0);
	bool is_there = recv(ends[1], copy, sizeof(copy), 0) == (ssize_t)len;
	close(ends[0]);
	close(ends[1]);
	return is_there;
}

static void answers(enum family family, const uint8_t *bytes, size_t len, bool is_connection)
{
	struct vip_probe_answer answer;

	assert_true(is_let_through(family, bytes, len));
	assert_true(vip_probe_answer_read(family, bytes, len, OUR_PORT, &answer));
	assert_int_equal(answer.sequence, SEQUENCE);
	assert_int_equal(answer.is_connection, is_connection);

	// Nothing is read past the end.
	for (size_t shorter = 0; shorter < ip_len(family) + 8; shorter++)
		assert_false(vip_probe_answer_read(family, bytes, shorter, OUR_PORT, &answer));
}

static void whoever_takes_the_packet_for_its_own_answers(void **)
{
	uint8_t bytes[ANSWER_MAX] = {0};

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		answers(f, bytes, tcp_answer(f, SYN | ACK, OUR_PORT, bytes), true);
		answers(f, bytes, tcp_answer(f, RST | ACK, OUR_PORT, bytes), false);
	}
	answers(IPV4, bytes, icmp_answer(IPV4, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, bytes), false);
	answers(IPV6, bytes, icmp_answer(IPV6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, bytes),
		false);
}

static void ip_options_are_passed(void **)
{
	uint8_t bytes[ANSWER_MAX] = {0};
	size_t len = tcp_answer(IPV4, SYN | ACK, OUR_PORT, bytes);

	memmove(bytes + 28, bytes + 20, sizeof(struct tcphdr));
	bytes[0] = 0x47;
	answers(IPV4, bytes, len + 8, true);
}

static void a_router_that_does_not_know_the_vip_answers_nothing(void **)
{
	uint8_t bytes[ANSWER_MAX] = {0};
	struct vip_probe_answer answer;

	for (uint8_t code = 0; code < 16; code++) {
		size_t len = icmp_answer(IPV4, ICMP_DEST_UNREACH, code, bytes);

		if (code != ICMP_PORT_UNREACH)
			assert_false(vip_probe_answer_read(IPV4, bytes, len, OUR_PORT, &answer));
	}
	assert_false(vip_probe_answer_read(
		IPV4, bytes, icmp_answer(IPV4, ICMP_TIME_EXCEEDED, 0, bytes), OUR_PORT, &answer));
	assert_false(vip_probe_answer_read(
		IPV6, bytes, icmp_answer(IPV6, ICMP6_TIME_EXCEEDED, 0, bytes), OUR_PORT, &answer));
}

static void what_was_not_asked_is_no_answer(void **)
{
	uint8_t bytes[ANSWER_MAX] = {0};
	struct vip_probe_answer answer;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		size_t len = tcp_answer(f, SYN | ACK, OUR_PORT + 1, bytes);
		assert_false(is_let_through(f, bytes, len));
		assert_false(vip_probe_answer_read(f, bytes, len, OUR_PORT, &answer));

		static const uint8_t flags[] = {SYN, ACK, RST, 0};
		for (size_t i = 0; i < sizeof(flags); i++) {
			len = tcp_answer(f, flags[i], OUR_PORT, bytes);
			assert_false(vip_probe_answer_read(f, bytes, len, OUR_PORT, &answer));
		}

		// Of another sequence.
		len = tcp_answer(f, SYN | ACK, OUR_PORT, bytes);
		bytes[ip_len(f) + offsetof(struct tcphdr, ack_seq)] ^= 1;
		assert_false(is_let_through(f, bytes, len));

		// Another protocol.
		len = write_ip(f, IPPROTO_UDP, sizeof(struct tcphdr), bytes);
		assert_false(is_let_through(f, bytes, len));
		assert_false(vip_probe_answer_read(f, bytes, len, OUR_PORT, &answer));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_a_syn_that_names_its_node),
		cmocka_unit_test(what_was_begun_is_ended_by_a_reset),
		cmocka_unit_test(whoever_takes_the_packet_for_its_own_answers),
		cmocka_unit_test(ip_options_are_passed),
		cmocka_unit_test(a_router_that_does_not_know_the_vip_answers_nothing),
		cmocka_unit_test(what_was_not_asked_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
