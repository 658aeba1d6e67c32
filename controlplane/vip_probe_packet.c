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

enum {
	IPV4_LEN = sizeof(struct iphdr), // Without options, as all that we send,
	IPV6_LEN = sizeof(struct ip6_hdr),
	TCP_LEN = sizeof(struct tcphdr),
	ICMP_LEN = 8, // And then the packet that it is about.
	HOP_LIMIT = 64,
	WINDOW = 64240,
};
static_assert(VIP_PROBE_PACKET_MAX == IPV6_LEN + TCP_LEN);

// Writing

// Of 16-bit words in network order, of an even number of bytes.
static uint32_t sum(const void *bytes, size_t len)
{
	uint32_t total = 0;

	for (size_t i = 0; i < len; i += 2) {
		uint16_t word;

		memcpy(&word, (const uint8_t *)bytes + i, sizeof(word));
		total += word;
	}
	return total;
}

static uint16_t checksum(uint32_t total)
{
	total = (total & 0xffff) + (total >> 16);
	total = (total & 0xffff) + (total >> 16);
	return (uint16_t)~total;
}

static void write_tcp(const struct vip_probe_packet *p, uint8_t *to)
{
	struct tcphdr tcp = {
		.source = htons(p->source_port),
		.dest = htons(p->port),
		.seq = htonl(p->sequence),
		.ack_seq = htonl(vip_probe_acknowledgment(p->node)),
		.doff = TCP_LEN / 4,
		.syn = !p->is_reset,
		.rst = p->is_reset,
		.window = p->is_reset ? 0 : htons(WINDOW),
	};

	// The same for both families: the rest of an IPv4 address in IPv6 adds up to nothing.
	uint32_t total = sum(&tcp, sizeof(tcp)) + htons(IPPROTO_TCP) + htons(TCP_LEN) +
		sum(&p->source, sizeof(p->source)) + sum(&p->vip, sizeof(p->vip));
	tcp.check = checksum(total);
	memcpy(to, &tcp, sizeof(tcp));
}

static size_t write_ipv4(const struct vip_probe_packet *p, uint8_t *to)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = IPV4_LEN / 4,
		.tot_len = htons(IPV4_LEN + TCP_LEN),
		.frag_off = htons(IP_DF),
		.ttl = HOP_LIMIT,
		.protocol = IPPROTO_TCP,
		.saddr = p->source.words[3],
		.daddr = p->vip.words[3],
	};

	ip.check = checksum(sum(&ip, sizeof(ip)));
	memcpy(to, &ip, sizeof(ip));
	return IPV4_LEN;
}

static size_t write_ipv6(const struct vip_probe_packet *p, uint8_t *to)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28),
		.ip6_plen = htons(TCP_LEN),
		.ip6_nxt = IPPROTO_TCP,
		.ip6_hlim = HOP_LIMIT,
	};

	memcpy(&ip.ip6_src, &p->source, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, &p->vip, sizeof(ip.ip6_dst));
	memcpy(to, &ip, sizeof(ip));
	return IPV6_LEN;
}

size_t vip_probe_packet_write(
	const struct vip_probe_packet *packet, uint8_t ret_bytes[VIP_PROBE_PACKET_MAX])
{
	size_t len = address_family(&packet->vip) == IPV4 ? write_ipv4(packet, ret_bytes)
							  : write_ipv6(packet, ret_bytes);

	write_tcp(packet, ret_bytes + len);
	return len + TCP_LEN;
}

// Reading

static bool read_tcp(
	const uint8_t *bytes, size_t len, uint16_t source_port, struct vip_probe_answer *ret_answer)
{
	struct tcphdr tcp;

	if (len < sizeof(tcp))
		return false;
	memcpy(&tcp, bytes, sizeof(tcp));
	bool is_connection = tcp.syn && !tcp.rst;
	if (ntohs(tcp.dest) != source_port || !tcp.ack || (!is_connection && !tcp.rst))
		return false;
	*ret_answer = (struct vip_probe_answer){ntohl(tcp.ack_seq) - 1, is_connection};
	return true;
}

// Of the packet that the error is about, the first 8 bytes of TCP are there for sure.
static bool read_returned(const uint8_t *bytes, size_t len, size_t ip_len, uint16_t source_port,
	struct vip_probe_answer *ret_answer)
{
	uint16_t port;
	uint32_t sequence;

	if (len < ip_len + 8)
		return false;
	uint8_t protocol = bytes[ip_len == IPV4_LEN ? offsetof(struct iphdr, protocol)
						    : offsetof(struct ip6_hdr, ip6_nxt)];
	memcpy(&port, bytes + ip_len, sizeof(port));
	memcpy(&sequence, bytes + ip_len + 4, sizeof(sequence));
	if (protocol != IPPROTO_TCP || ntohs(port) != source_port)
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

bool vip_probe_answer_read(enum family family, const uint8_t *bytes, size_t len,
	uint16_t source_port, struct vip_probe_answer *ret_answer)
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
		return read_tcp(bytes, len, source_port, ret_answer);
	return protocol == (family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) && len > ICMP_LEN &&
		is_port_unreachable(family, bytes) &&
		read_returned(bytes + ICMP_LEN, len - ICMP_LEN, own_len, source_port, ret_answer);
}

// Filtering

// The comparisons, one after another: what fails one jumps to the end.
static uint16_t end(struct sock_filter *filter, uint16_t n)
{
	filter[n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT16_MAX);
	filter[n + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	return n + 2;
}

uint16_t vip_probe_filter_write(enum family family, uint16_t source_port, uint16_t sequence_high,
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
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, source_port, 0, 8),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, offsetof(struct tcphdr, ack_seq)),
		BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family == IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
			0, 5),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, returned + offsetof(struct tcphdr, source)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, source_port, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, returned + offsetof(struct tcphdr, seq)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sequence_high, 0, 1),
	};
	const uint16_t n = sizeof(filter) / sizeof(filter[0]);

	static_assert(sizeof(filter) / sizeof(filter[0]) + 2 <= VIP_PROBE_FILTER_MAX);
	memcpy(ret_filter, filter, sizeof(filter));
	return end(ret_filter, n);
}
