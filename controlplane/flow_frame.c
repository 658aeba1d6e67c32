#include "flow_frame.h"

#include <arpa/inet.h>
#include <assert.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

enum { HOP_LIMIT = 64, WINDOW = 65535, TAG_LEN = 4, SCTP_LEN = 12 };

static_assert(
	ETH_HLEN + TAG_LEN + sizeof(struct ip6_hdr) + sizeof(struct tcphdr) == FLOW_FRAME_MAX);

// RFC 1071. The words are summed as they lie in memory, which makes no difference.
static uint32_t sum(const void *memory, size_t len)
{
	const uint8_t *bytes = memory;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2) {
		uint16_t word;

		memcpy(&word, bytes + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static size_t write_ethernet(uint8_t *at, const uint8_t to[6], uint16_t vlan, enum family family)
{
	static const uint8_t from[] = {0x02, 0, 0, 0, 0, 0};
	uint16_t type = htons(family == IPV4 ? ETH_P_IP : ETH_P_IPV6);
	uint16_t tag[] = {htons(ETH_P_8021Q), htons(vlan)};
	size_t len = 2 * ETH_ALEN;

	memcpy(at, to, ETH_ALEN);
	memcpy(at + ETH_ALEN, from, ETH_ALEN);
	if (vlan != 0) {
		memcpy(at + len, tag, sizeof(tag));
		len += sizeof(tag);
	}
	memcpy(at + len, &type, sizeof(type));
	return len + sizeof(type);
}

static size_t write_ipv4(uint8_t *at, const struct flow_key *key, size_t l4_len)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)(sizeof(ip) + l4_len)),
		.frag_off = htons(IP_DF),
		.ttl = HOP_LIMIT,
		.protocol = key->protocol,
		.saddr = key->client.words[3],
		.daddr = key->vip.words[3],
	};

	ip.check = checksum(sum(&ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

static size_t write_ipv6(uint8_t *at, const struct flow_key *key, size_t l4_len)
{
	struct ip6_hdr ip = {.ip6_flow = htonl(6u << 28)};

	ip.ip6_plen = htons((uint16_t)l4_len);
	ip.ip6_nxt = key->protocol;
	ip.ip6_hlim = HOP_LIMIT;
	memcpy(&ip.ip6_src, &key->client, sizeof(key->client));
	memcpy(&ip.ip6_dst, &key->vip, sizeof(key->vip));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

// The pseudo-header's too. An IPv4 address is kept with a marker that counts as nothing.
static uint16_t l4_checksum(const struct flow_key *key, const void *l4, size_t len)
{
	uint32_t pseudo = sum(&key->client, sizeof(key->client)) +
		sum(&key->vip, sizeof(key->vip)) + htons((uint16_t)len) + htons(key->protocol);
	uint16_t value = checksum(pseudo + sum(l4, len));

	return key->protocol == IPPROTO_UDP && value == 0 ? 0xffff : value;
}

static void write_l4(uint8_t *at, const struct flow_key *key, size_t len)
{
	struct tcphdr tcp = {.source = key->client_port,
		.dest = key->port,
		.seq = htonl(1),
		.doff = 5,
		.syn = 1,
		.window = htons(WINDOW)};
	struct udphdr udp = {
		.source = key->client_port, .dest = key->port, .len = htons(sizeof(udp))};
	const uint16_t sctp[SCTP_LEN / 2] = {key->client_port, key->port};

	tcp.check = l4_checksum(key, &tcp, sizeof(tcp));
	udp.check = l4_checksum(key, &udp, sizeof(udp));
	memcpy(at,
		key->protocol == IPPROTO_TCP           ? (const void *)&tcp
			: key->protocol == IPPROTO_UDP ? (const void *)&udp
						       : sctp,
		len);
}

size_t flow_frame_build(const struct flow_key *key, const uint8_t to[6], uint16_t vlan,
	uint8_t ret_frame[FLOW_FRAME_MAX])
{
	enum family family = address_family(&key->client);
	size_t l4_len = key->protocol == IPPROTO_TCP ? sizeof(struct tcphdr)
		: key->protocol == IPPROTO_UDP       ? sizeof(struct udphdr)
						     : SCTP_LEN;
	size_t len = write_ethernet(ret_frame, to, vlan, family);

	len += family == IPV4 ? write_ipv4(ret_frame + len, key, l4_len)
			      : write_ipv6(ret_frame + len, key, l4_len);
	write_l4(ret_frame + len, key, l4_len);
	return len + l4_len;
}
