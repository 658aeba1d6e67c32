#include "frame.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "../support/little_table.h"

// What the layers below need of those above.
struct context {
	struct rte_ether_addr from;
	struct rte_ether_addr to;
	uint16_t snat_port;
	const struct layer *ip; // The nearest.
};

static size_t write_layer(const struct layer *layer, struct context c, uint8_t *at);

static bool is_ipv6(const struct layer *ip)
{
	return strchr(ip->source, ':') != NULL;
}

static rte_be16_t port_of(const struct layer *layer, int which, const struct context *c)
{
	uint16_t port = layer->ports[which];

	return htons(port == SNAT_PORT ? c->snat_port : port);
}

// The plain way, word by word (RFC 1071, section 4.1).
static uint32_t sum(const uint8_t *bytes, size_t len, uint32_t start)
{
	for (size_t i = 0; i < len; i++)
		start += (uint32_t)bytes[i] << (i % 2 ? 0 : 8);
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

static uint16_t l4_checksum(
	const struct context *c, uint8_t protocol, const uint8_t *at, size_t len)
{
	struct address ends[] = {address_of(c->ip->source), address_of(c->ip->destination)};
	size_t skip = is_ipv6(c->ip) ? 0 : 12;
	uint32_t pseudo = sum(&ends[0].bytes[skip], 16 - skip, len + protocol);

	pseudo = sum(&ends[1].bytes[skip], 16 - skip, pseudo);
	if (protocol == IPPROTO_ICMP)
		pseudo = 0;
	return htons((uint16_t)~sum(at, len, pseudo));
}

static uint8_t protocol_of(const struct layer *layer, const struct layer *ip)
{
	switch (layer->kind) {
	case LAYER_TCP:
		return IPPROTO_TCP;
	case LAYER_UDP:
		return IPPROTO_UDP;
	case LAYER_ICMP:
		return is_ipv6(ip) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	default:
		return IPPROTO_ESP;
	}
}

static size_t write_ipv4(const struct layer *layer, struct context c, uint8_t *at)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.fragment_offset = htons(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = layer->hop_limit ? layer->hop_limit : 64,
		.next_proto_id = protocol_of(layer + 1, layer),
		.src_addr = address_of(layer->source).words[3],
		.dst_addr = address_of(layer->destination).words[3],
	};
	size_t len = sizeof(ip) + write_layer(layer + 1, c, at + sizeof(ip));

	ip.total_length = htons((uint16_t)len);
	ip.hdr_checksum = htons((uint16_t)~sum((uint8_t *)&ip, sizeof(ip), 0));
	memcpy(at, &ip, sizeof(ip));
	return len;
}

static size_t write_ipv6(const struct layer *layer, struct context c, uint8_t *at)
{
	struct rte_ipv6_hdr ip = {
		.vtc_flow = htonl(6u << 28),
		.proto = protocol_of(layer + 1, layer),
		.hop_limits = layer->hop_limit ? layer->hop_limit : 64,
	};
	struct address ends[] = {address_of(layer->source), address_of(layer->destination)};
	size_t len = write_layer(layer + 1, c, at + sizeof(ip));

	ip.payload_len = htons((uint16_t)len);
	memcpy(&ip.src_addr, ends, sizeof(ends));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip) + len;
}

static size_t write_ip(const struct layer *layer, struct context c, uint8_t *at)
{
	c.ip = layer;
	return is_ipv6(layer) ? write_ipv6(layer, c, at) : write_ipv4(layer, c, at);
}

static size_t write_tcp(const struct layer *layer, struct context c, uint8_t *at)
{
	struct rte_tcp_hdr tcp = {
		.src_port = port_of(layer, 0, &c),
		.dst_port = port_of(layer, 1, &c),
		.sent_seq = htonl(layer->seq),
		.recv_ack = htonl(layer->ack),
		.data_off = 5 << 4,
		.tcp_flags = layer->flags,
	};
	size_t len = sizeof(tcp) + write_layer(layer + 1, c, at + sizeof(tcp));

	memcpy(at, &tcp, sizeof(tcp));
	tcp.cksum = l4_checksum(&c, IPPROTO_TCP, at, len);
	memcpy(at, &tcp, sizeof(tcp));
	return len;
}

static size_t write_udp(const struct layer *layer, struct context c, uint8_t *at)
{
	struct rte_udp_hdr udp = {
		.src_port = port_of(layer, 0, &c),
		.dst_port = port_of(layer, 1, &c),
	};
	size_t len = sizeof(udp) + write_layer(layer + 1, c, at + sizeof(udp));

	udp.dgram_len = htons((uint16_t)len);
	memcpy(at, &udp, sizeof(udp));
	udp.dgram_cksum = l4_checksum(&c, IPPROTO_UDP, at, len);
	if (udp.dgram_cksum == 0)
		udp.dgram_cksum = 0xffff;
	memcpy(at, &udp, sizeof(udp));
	return len;
}

static size_t write_icmp(const struct layer *layer, struct context c, uint8_t *at)
{
	const struct layer *outer = c.ip;
	uint8_t header[8] = {layer->type, layer->code};
	rte_be32_t rest = htonl(layer->rest);
	size_t len = sizeof(header) + write_layer(layer + 1, c, at + sizeof(header));

	c.ip = outer;
	memcpy(header + 4, &rest, sizeof(rest));
	memcpy(at, header, sizeof(header));
	uint16_t checksum = l4_checksum(&c, protocol_of(layer, c.ip), at, len);
	memcpy(at + 2, &checksum, sizeof(checksum));
	return len;
}

static size_t write_arp(const struct layer *layer, struct context c, uint8_t *at)
{
	struct rte_arp_hdr arp = {
		.arp_hardware = htons(RTE_ARP_HRD_ETHER),
		.arp_protocol = htons(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = 4,
		.arp_opcode = htons(layer->type),
		.arp_data =
			{
				.arp_sha = c.from,
				.arp_sip = address_of(layer->source).words[3],
				.arp_tip = address_of(layer->destination).words[3],
			},
	};

	if (layer->type == RTE_ARP_OP_REPLY)
		arp.arp_data.arp_tha = c.to;
	memcpy(at, &arp, sizeof(arp));
	return sizeof(arp);
}

static size_t write_data(const struct layer *layer, uint8_t *at)
{
	for (size_t i = 0; i < layer->len; i++)
		at[i] = (uint8_t)(i * 7 + 1);
	return layer->len;
}

static size_t write_layer(const struct layer *layer, struct context c, uint8_t *at)
{
	switch (layer->kind) {
	case LAYER_NONE:
		return 0;
	case LAYER_IP:
		return write_ip(layer, c, at);
	case LAYER_TCP:
		return write_tcp(layer, c, at);
	case LAYER_UDP:
		return write_udp(layer, c, at);
	case LAYER_ICMP:
		return write_icmp(layer, c, at);
	case LAYER_DATA:
		return write_data(layer, at);
	case LAYER_ARP:
		return write_arp(layer, c, at);
	}
	assert(false);
	return 0;
}

static uint16_t ether_type_of(const struct layer *first)
{
	if (first->kind == LAYER_ARP)
		return RTE_ETHER_TYPE_ARP;
	if (first->kind != LAYER_IP)
		return 0x88b5; // For experiments.
	return is_ipv6(first) ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4;
}

size_t frame_write(const struct frame *frame, const struct rte_ether_addr *from,
	const struct rte_ether_addr *to, uint16_t vlan, uint16_t snat_port,
	uint8_t ret_bytes[FRAME_BYTES_MAX])
{
	struct context c = {.from = *from, .to = *to, .snat_port = snat_port};
	uint16_t words[] = {
		htons(RTE_ETHER_TYPE_VLAN), htons(vlan), htons(ether_type_of(frame->layers))};
	size_t skip = vlan != 0 ? 0 : 4;
	uint8_t *at = ret_bytes;

	memcpy(at, to, sizeof(*to));
	memcpy(at + 6, from, sizeof(*from));
	memcpy(at + 12, (uint8_t *)words + skip, sizeof(words) - skip);
	at += 12 + sizeof(words) - skip;
	return at - ret_bytes + write_layer(frame->layers, c, at);
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t kept[16];

	memcpy(kept, a, len);
	memcpy(a, b, len);
	memcpy(b, kept, len);
}

void frame_turn_round(uint8_t *bytes)
{
	uint8_t *ip = bytes + (bytes[12] == 0x81 ? 18 : 14);
	size_t address_len = *ip >> 4 == 4 ? 4 : 16;
	uint8_t *addresses = ip + (address_len == 4 ? 12 : 8), *ports = addresses + 2 * address_len;

	swap(bytes, bytes + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
	swap(addresses, addresses + address_len, address_len);
	swap(ports, ports + 2, 2);
	ports[13] |= ACK;
}
