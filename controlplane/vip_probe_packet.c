#include "vip_probe_packet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>

#include "guideway/vip_probe.h"
#include "ip_header.h"

enum {
	IPV4_LEN = sizeof(struct iphdr), // Without options, as all that we send,
	IPV6_LEN = sizeof(struct ip6_hdr),
	TCP_LEN = sizeof(struct tcphdr),
	ICMP_LEN = 8, // And then the packet that it is about.
	WINDOW = 64240,
};
static_assert(VIP_PROBE_PACKET_MAX == IPV6_LEN + TCP_LEN);

// Writing

static uint16_t source_port(uint32_t sequence)
{
	return (uint16_t)(VIP_PROBE_PORT_MIN + sequence % (UINT16_MAX + 1 - VIP_PROBE_PORT_MIN));
}

static void write_tcp(const struct vip_probe_packet *p, uint8_t *to)
{
	struct tcphdr tcp = {
		.source = htons(source_port(p->is_reset ? p->sequence - 1 : p->sequence)),
		.dest = htons(p->port),
		.seq = htonl(p->sequence),
		.ack_seq = htonl(vip_probe_acknowledgment(p->node)),
		.doff = TCP_LEN / 4,
		.syn = !p->is_reset,
		.rst = p->is_reset,
		.window = p->is_reset ? 0 : htons(WINDOW),
	};

	tcp.check = ip_header_l4_checksum(&p->source, &p->vip, IPPROTO_TCP, &tcp, sizeof(tcp));
	memcpy(to, &tcp, sizeof(tcp));
}

size_t vip_probe_packet_write(
	const struct vip_probe_packet *packet, uint8_t ret_bytes[VIP_PROBE_PACKET_MAX])
{
	size_t len =
		ip_header_write(&packet->source, &packet->vip, IPPROTO_TCP, TCP_LEN, ret_bytes);

	write_tcp(packet, ret_bytes + len);
	return len + TCP_LEN;
}

// Reading

static bool read_tcp(const uint8_t *bytes, size_t len, struct vip_probe_answer *ret_answer)
{
	struct tcphdr tcp;

	if (len < sizeof(tcp))
		return false;
	memcpy(&tcp, bytes, sizeof(tcp));
	bool is_connection = tcp.syn && !tcp.rst;
	if (ntohs(tcp.dest) < VIP_PROBE_PORT_MIN || !tcp.ack || (!is_connection && !tcp.rst))
		return false;
	*ret_answer = (struct vip_probe_answer){ntohl(tcp.ack_seq) - 1, is_connection};
	return true;
}

// Of the packet that the error is about, the first 8 bytes of TCP are there for sure.
static bool read_returned(
	const uint8_t *bytes, size_t len, size_t ip_len, struct vip_probe_answer *ret_answer)
{
	uint16_t port;
	uint32_t sequence;

	if (len < ip_len + 8)
		return false;
	uint8_t protocol = bytes[ip_len == IPV4_LEN ? offsetof(struct iphdr, protocol)
						    : offsetof(struct ip6_hdr, ip6_nxt)];
	memcpy(&port, bytes + ip_len, sizeof(port));
	memcpy(&sequence, bytes + ip_len + 4, sizeof(sequence));
	if (protocol != IPPROTO_TCP || ntohs(port) < VIP_PROBE_PORT_MIN)
		return false;
	*ret_answer = (struct vip_probe_answer){.sequence = ntohl(sequence)};
	return true;
}

static bool is_port_unreachable(enum family family, const uint8_t *icmp)
{
	if (family == IPV4)
		return icmp[0] == ICMP_DEST_UNREACH && icmp[1] == ICMP_PORT_UNREACH;
	return icmp[0] == ICMP6_DST_UNREACH && icmp[1] == ICMP6_DST_UNREACH_NOPORT;
}

bool vip_probe_answer_read(
	enum family family, const uint8_t *bytes, size_t len, struct vip_probe_answer *ret_answer)
{
	size_t own_len = family == IPV4 ? IPV4_LEN : IPV6_LEN;

	if (len < own_len)
		return false;
	uint8_t protocol = bytes[family == IPV4 ? offsetof(struct iphdr, protocol)
						: offsetof(struct ip6_hdr, ip6_nxt)];
	size_t ip_len = family == IPV4 ? (bytes[0] & 0x0fu) * 4 : IPV6_LEN;
	if (ip_len < own_len || len < ip_len)
		return false;

	bytes += ip_len;
	len -= ip_len;
	if (protocol == IPPROTO_TCP)
		return read_tcp(bytes, len, ret_answer);
	return protocol == (family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) && len > ICMP_LEN &&
		is_port_unreachable(family, bytes) &&
		read_returned(bytes + ICMP_LEN, len - ICMP_LEN, own_len, ret_answer);
}

// Filtering

// The comparisons, one after another: what fails one jumps to the end.
static uint16_t end(struct sock_filter *filter, uint16_t n)
{
	filter[n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT16_MAX);
	filter[n + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	return n + 2;
}

uint16_t vip_probe_filter_write(enum family family, uint16_t sequence_high,
	struct sock_filter ret_filter[VIP_PROBE_FILTER_MAX])
{
	// Offsets are from behind the IP header: X holds its length.
	const uint32_t returned = ICMP_LEN + (family == IPV4 ? IPV4_LEN : IPV6_LEN);
	const struct sock_filter filter[] = {
		family == IPV4 ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
			       : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, IPV6_LEN),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			family == IPV4 ? offsetof(struct iphdr, protocol)
				       : offsetof(struct ip6_hdr, ip6_nxt)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 4),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, offsetof(struct tcphdr, dest)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, VIP_PROBE_PORT_MIN, 0, 8),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, offsetof(struct tcphdr, ack_seq)),
		BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
			0, 5),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, returned + offsetof(struct tcphdr, source)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, VIP_PROBE_PORT_MIN, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, returned + offsetof(struct tcphdr, seq)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sequence_high, 0, 1),
	};
	const uint16_t n = sizeof(filter) / sizeof(filter[0]);

	static_assert(sizeof(filter) / sizeof(filter[0]) + 2 <= VIP_PROBE_FILTER_MAX);
	memcpy(ret_filter, filter, sizeof(filter));
	return end(ret_filter, n);
}
