#include "flow_frame.h"

#include <arpa/inet.h>
#include <assert.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "ip_header.h"

enum { WINDOW = 65535, TAG_LEN = 4, SCTP_LEN = 12 };

static_assert(ETH_HLEN + TAG_LEN + IP_HEADER_MAX + sizeof(struct tcphdr) == FLOW_FRAME_MAX);

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

	tcp.check = ip_header_l4_checksum(&key->client, &key->vip, IPPROTO_TCP, &tcp, sizeof(tcp));
	udp.check = ip_header_l4_checksum(&key->client, &key->vip, IPPROTO_UDP, &udp, sizeof(udp));
	memcpy(at,
		key->protocol == IPPROTO_TCP           ? (const void *)&tcp
			: key->protocol == IPPROTO_UDP ? (const void *)&udp
						       : sctp,
		len);
}

size_t flow_frame_build(const struct flow_key *key, const uint8_t to[6], uint16_t vlan,
	uint8_t ret_frame[FLOW_FRAME_MAX])
{
	size_t l4_len = key->protocol == IPPROTO_TCP ? sizeof(struct tcphdr)
		: key->protocol == IPPROTO_UDP       ? sizeof(struct udphdr)
						     : SCTP_LEN;
	size_t len = write_ethernet(ret_frame, to, vlan, address_family(&key->client));

	len += ip_header_write(&key->client, &key->vip, key->protocol, l4_len, ret_frame + len);
	write_l4(ret_frame + len, key, l4_len);
	return len + l4_len;
}
