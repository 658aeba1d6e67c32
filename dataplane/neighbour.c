#include "neighbour.h"

#include <netinet/in.h>

#include <rte_arp.h>

#include "answer.h"
#include "pipeline.h"
#include "segments.h"

static bool answers_for(const struct burst *b, const struct address *a)
{
	const struct own_address *own = forwarding_table_find_own(b->table, a);

	return own != NULL && own->answers_arp;
}

// Not an announcement, in which both addresses are the same: those of our own come by here on
// their way out, and another Guideway's need no answer.
static bool is_question(const struct rte_arp_hdr *arp)
{
	return arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST) &&
		arp->arp_data.arp_sip != arp->arp_data.arp_tip;
}

bool neighbour_answer_arp(struct burst *b, struct packet *p)
{
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)p->l3;
	struct rte_arp_ipv4 asked = arp->arp_data;
	struct address target = address_from_ipv4(asked.arp_tip);

	if (!is_question(arp) || !answers_for(b, &target))
		return false;

	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp->arp_data = (struct rte_arp_ipv4){
		.arp_sha = b->pipeline->ports[p->port].mac,
		.arp_sip = asked.arp_tip,
		.arp_tha = asked.arp_sha,
		.arp_tip = asked.arp_sip,
	};
	segments_cut(p->mbuf, p->l2_len + sizeof(*arp));
	burst_count(b, EVENT_ARP_ANSWERED);
	burst_send_back(b, p);
	return true;
}

// RFC 4861, sections 4.3 and 4.4: a solicitation and an advertisement differ in the flags alone.
struct nd_message {
	uint8_t type;
	uint8_t code;
	rte_be16_t checksum;
	rte_be32_t flags;
	uint8_t target[16];
} __attribute__((packed)); // It may begin anywhere.
static_assert(sizeof(struct nd_message) == 24);

// Section 4.6.1.
struct nd_link_address {
	uint8_t type;
	uint8_t len; // In units of 8 bytes.
	struct rte_ether_addr mac;
};
static_assert(sizeof(struct nd_link_address) == 8);

enum {
	ND_HOP_LIMIT = 255,
	ND_SOURCE_LINK_ADDRESS = 1,
	ND_TARGET_LINK_ADDRESS = 2,
};

#define ND_SOLICITED (1u << 30)
#define ND_OVERRIDE (1u << 29)

static const struct address all_nodes = {.bytes = {0xff, 0x02, [15] = 1}};

// Section 2.3: ff02::1:ff00:0/104 and the end of the address.
static bool is_solicited_node(const struct address *group, const uint8_t *target)
{
	static const uint8_t prefix[] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

	return memcmp(group->bytes, prefix, sizeof(prefix)) == 0 &&
		memcmp(&group->bytes[13], &target[13], 3) == 0;
}

// Finds the sender's MAC address among the options, and NULL where there is none. Returns false if
// they are not what options may be.
static bool read_options(const uint8_t *at, size_t len, const struct nd_link_address **ret_link)
{
	const struct nd_link_address *link = NULL;

	while (len > 0) {
		size_t option_len = len >= sizeof(*link) ? at[1] * 8u : 0;

		if (option_len == 0 || option_len > len)
			return false;
		if (at[0] == ND_SOURCE_LINK_ADDRESS && option_len == sizeof(*link))
			link = (const struct nd_link_address *)at;
		at += option_len;
		len -= option_len;
	}
	*ret_link = link;
	return true;
}

// Section 7.1.1. A sender without an address, who wants to know whether it may have this one, asks
// all who might have it, and does not say its MAC address.
static enum drop_reason judge(const struct packet *p, const struct nd_link_address **ret_link)
{
	const struct nd_message *asked = (const struct nd_message *)p->l4;
	struct address source = packet_source(p);
	struct address destination = packet_destination(p);
	const struct nd_link_address *link;

	if (answer_checksum(p) != 0)
		return DROP_BAD_CHECKSUM;
	if (*packet_hop_limit(p) != ND_HOP_LIMIT || asked->code != 0)
		return DROP_MALFORMED;
	if (!read_options(p->l4 + sizeof(*asked), packet_l4_len(p) - sizeof(*asked), &link))
		return DROP_MALFORMED;

	*ret_link = link;
	if (!address_is_none(&source))
		return p->fault;
	return link == NULL && is_solicited_node(&destination, asked->target) ? DROP_NONE
									      : DROP_MALFORMED;
}

// To whom the answer's frame goes, written as if it had come from there.
static void write_asker(struct packet *p, bool is_probe, const struct nd_link_address *link)
{
	static const struct rte_ether_addr all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)(p->l3 - p->l2_len);

	if (is_probe)
		eth->src_addr = all_nodes_mac;
	else if (link != NULL)
		eth->src_addr = link->mac;
}

// Section 7.2.4. Returns false where the mbuf has no room.
static bool advertise(const struct burst *b, struct packet *p, bool is_probe)
{
	struct address asker = is_probe ? all_nodes : packet_source(p);
	struct nd_message *message = (struct nd_message *)p->l4;
	struct nd_link_address *link = (struct nd_link_address *)(message + 1);
	struct address target = address_from_ipv6(message->target);

	segments_cut(p->mbuf, p->l2_len + p->ip_len - packet_l4_len(p) + sizeof(*message));
	if (rte_pktmbuf_append(p->mbuf, sizeof(*link)) == NULL ||
		!answer_begin(p, p->l4 - sizeof(struct rte_ipv6_hdr)))
		return false;

	message->type = ND_ADVERTISEMENT;
	message->checksum = 0;
	message->flags = rte_cpu_to_be_32(ND_OVERRIDE | (is_probe ? 0 : ND_SOLICITED));
	*link = (struct nd_link_address){
		ND_TARGET_LINK_ADDRESS, 1, b->pipeline->ports[p->port].mac};
	answer_write_ip(p, &target, &asker, ND_HOP_LIMIT, sizeof(*message) + sizeof(*link));
	message->checksum = answer_checksum(p);
	return true;
}

static void answer_solicitation(struct burst *b, struct packet *p)
{
	struct address source = packet_source(p);
	bool is_probe = address_is_none(&source);
	const struct nd_link_address *link;

	enum drop_reason reason = judge(p, &link);
	if (reason != DROP_NONE)
		return burst_drop(b, p, reason);

	write_asker(p, is_probe, link);
	if (!advertise(b, p, is_probe))
		return burst_drop(b, p, DROP_NO_MEMORY);

	burst_count(b, EVENT_ND_ANSWERED);
	burst_send_back(b, p);
}

bool neighbour_answer_solicitation(struct burst *b, struct packet *p)
{
	const struct nd_message *asked = (const struct nd_message *)p->l4;
	uint16_t len = packet_l4_len(p);

	if (len < sizeof(*asked) || !segments_gather(p->mbuf, p->l2_len + p->ip_len))
		return false;

	struct address target = address_from_ipv6(asked->target);
	if (address_is_ipv4(&target) || !answers_for(b, &target))
		return false;

	segments_cut(p->mbuf, p->l2_len + p->ip_len);
	answer_solicitation(b, p);
	return true;
}
