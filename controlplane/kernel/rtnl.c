#include "rtnl.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

// The attributes of a message by their type; those it has not are NULL. Called with the size of
// the header that goes before them.
static void by_type(const struct nlmsghdr *message, size_t header, const struct nlattr **ret_table,
	uint16_t n_types)
{
	const struct nlattr *a;

	memset(ret_table, 0, n_types * sizeof(*ret_table));
	mnl_attr_for_each(a, message, header)
	{
		if (mnl_attr_get_type(a) < n_types)
			ret_table[mnl_attr_get_type(a)] = a;
	}
}

static bool has_header(const struct nlmsghdr *message, size_t header)
{
	return mnl_nlmsg_get_payload_len(message) >= header;
}

static uint32_t u32_or(const struct nlattr *a, uint32_t otherwise)
{
	return a != NULL && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : otherwise;
}

static bool read_address(const struct nlattr *a, struct address *ret_address)
{
	if (a == NULL)
		return false;

	const uint8_t *bytes = mnl_attr_get_payload(a);
	if (mnl_attr_get_payload_len(a) == 16) {
		*ret_address = address_from_ipv6(bytes);
		return true;
	}
	if (mnl_attr_get_payload_len(a) != 4)
		return false;

	__be32 ipv4;
	memcpy(&ipv4, bytes, 4);
	*ret_address = address_from_ipv4(ipv4);
	return true;
}

static void read_mac(const struct nlattr *a, uint8_t mac[6], bool *ret_has)
{
	*ret_has = a != NULL && mnl_attr_get_payload_len(a) == 6;
	if (*ret_has)
		memcpy(mac, mnl_attr_get_payload(a), 6);
}

static bool is_ip(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

bool rtnl_parse_link(const struct nlmsghdr *message, struct rtnl_link *ret_link)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[IFLA_ADDRESS + IFLA_IFNAME + 1];
	bool has_mac;

	// Bridges speak of their ports in messages of the same type.
	if (!has_header(message, sizeof(*header)) || header->ifi_family != AF_UNSPEC)
		return false;

	by_type(message, sizeof(*header), table, sizeof(table) / sizeof(table[0]));
	if (table[IFLA_IFNAME] == NULL)
		return false;

	*ret_link = (struct rtnl_link){
		.ifindex = header->ifi_index,
		.flags = header->ifi_flags,
		.change = header->ifi_change,
	};
	strncpy(ret_link->name, mnl_attr_get_str(table[IFLA_IFNAME]), IFNAMSIZ - 1);
	read_mac(table[IFLA_ADDRESS], ret_link->mac, &has_mac);
	return true;
}

// Of IPv4 the bit IFA_F_TEMPORARY says that there is another of the same network (IFA_F_SECONDARY).
static bool is_lasting(uint8_t family, uint32_t flags)
{
	if (family == AF_INET6 && (flags & IFA_F_TEMPORARY))
		return false;
	return !(flags & (IFA_F_DEPRECATED | IFA_F_TENTATIVE | IFA_F_DADFAILED));
}

bool rtnl_parse_address(const struct nlmsghdr *message, struct rtnl_address *ret_address)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[IFA_MAX + 1];

	if (!has_header(message, sizeof(*header)) || !is_ip(header->ifa_family))
		return false;

	by_type(message, sizeof(*header), table, IFA_MAX + 1);
	ret_address->ifindex = (int)header->ifa_index;
	ret_address->length = header->ifa_prefixlen;
	ret_address->is_lasting =
		is_lasting(header->ifa_family, u32_or(table[IFA_FLAGS], header->ifa_flags));
	// With a peer, IFA_ADDRESS is the peer's.
	return read_address(table[IFA_LOCAL], &ret_address->address) ||
		read_address(table[IFA_ADDRESS], &ret_address->address);
}

static bool is_multicast(const struct address *a)
{
	return address_is_ipv4(a) ? a->bytes[12] >= 224 : a->bytes[0] == 0xff;
}

bool rtnl_parse_neighbour(const struct nlmsghdr *message, struct rtnl_neighbour *ret_neighbour)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[NDA_MAX + 1];

	if (!has_header(message, sizeof(*header)) || !is_ip(header->ndm_family))
		return false;
	if (header->ndm_flags & NTF_PROXY)
		return false;

	by_type(message, sizeof(*header), table, NDA_MAX + 1);
	struct rtnl_neighbour n = {
		.ifindex = header->ndm_ifindex,
		.state = header->ndm_state,
		.managed = u32_or(table[NDA_FLAGS_EXT], 0) & NTF_EXT_MANAGED,
	};
	read_mac(table[NDA_LLADDR], n.mac, &n.has_mac);
	if (!read_address(table[NDA_DST], &n.address) || is_multicast(&n.address))
		return false;
	*ret_neighbour = n;
	return true;
}

// RTA_VIA is a gateway of the other family: two bytes of family, then the address.
static void read_via(const struct nlattr *a, struct address *ret_gateway)
{
	const struct rtvia *via = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);

	if (len == sizeof(*via) + 16 && via->rtvia_family == AF_INET6)
		*ret_gateway = address_from_ipv6(via->rtvia_addr);
	if (len == sizeof(*via) + 4 && via->rtvia_family == AF_INET) {
		__be32 ipv4;
		memcpy(&ipv4, via->rtvia_addr, 4);
		*ret_gateway = address_from_ipv4(ipv4);
	}
}

static void read_gateway(
	const struct nlattr *gateway, const struct nlattr *via, struct address *ret_gateway)
{
	if (!read_address(gateway, ret_gateway) && via != NULL)
		read_via(via, ret_gateway);
}

enum { HOP_FLAGS = RTNH_F_DEAD | RTNH_F_LINKDOWN };

static void read_hop(const struct rtnexthop *h, struct rtnl_hop *ret_hop)
{
	const struct nlattr *first = (const void *)(h + 1);
	const struct nlattr *attr, *gateway = NULL, *via = NULL;

	mnl_attr_for_each_payload(first, h->rtnh_len - sizeof(*h))
	{
		if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			gateway = attr;
		if (mnl_attr_get_type(attr) == RTA_VIA)
			via = attr;
	}
	*ret_hop = (struct rtnl_hop){
		.ifindex = h->rtnh_ifindex,
		.weight = h->rtnh_hops + 1,
		.flags = h->rtnh_flags & HOP_FLAGS,
	};
	read_gateway(gateway, via, &ret_hop->gateway);
}

static void read_multipath(const struct nlattr *a, struct rtnl_route *r)
{
	const uint8_t *at = mnl_attr_get_payload(a);
	const uint8_t *end = at + mnl_attr_get_payload_len(a);

	while (r->n_hops < RTNL_HOPS_MAX && end - at >= (ptrdiff_t)sizeof(struct rtnexthop)) {
		const struct rtnexthop *h = (const void *)at;
		if (h->rtnh_len < sizeof(*h) || h->rtnh_len > end - at)
			return;

		read_hop(h, &r->hops[r->n_hops++]);
		at += RTNH_ALIGN(h->rtnh_len);
	}
}

static void read_hops(const struct rtmsg *header, const struct nlattr **table, struct rtnl_route *r)
{
	if (r->nexthop_id != 0)
		return;
	if (table[RTA_MULTIPATH] != NULL) {
		read_multipath(table[RTA_MULTIPATH], r);
		return;
	}
	if (table[RTA_OIF] == NULL)
		return;

	struct rtnl_hop *hop = &r->hops[r->n_hops++];
	*hop = (struct rtnl_hop){
		.ifindex = (int32_t)u32_or(table[RTA_OIF], 0),
		.weight = 1,
		.flags = header->rtm_flags & HOP_FLAGS,
	};
	read_gateway(table[RTA_GATEWAY], table[RTA_VIA], &hop->gateway);
}

static bool is_of_main_table(const struct rtmsg *header, const struct nlattr **table)
{
	return u32_or(table[RTA_TABLE], header->rtm_table) == RT_TABLE_MAIN;
}

// A route for some types of service or sources only is none for all packets.
static bool is_for_all(const struct rtmsg *header)
{
	return header->rtm_tos == 0 && header->rtm_src_len == 0 &&
		!(header->rtm_flags & RTM_F_CLONED);
}

bool rtnl_parse_route(const struct nlmsghdr *message, struct rtnl_route *ret_route)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[RTA_MAX + 1];

	if (!has_header(message, sizeof(*header)) || !is_ip(header->rtm_family))
		return false;

	by_type(message, sizeof(*header), table, RTA_MAX + 1);
	if (!is_of_main_table(header, table) || !is_for_all(header))
		return false;

	ret_route->prefix =
		header->rtm_family == AF_INET ? address_from_ipv4(0) : (struct address){0};
	read_address(table[RTA_DST], &ret_route->prefix);
	// ::ffff:0:0/96 is how we write IPv4; nobody routes it as IPv6.
	if (address_is_ipv4(&ret_route->prefix) != (header->rtm_family == AF_INET))
		return false;

	ret_route->length = header->rtm_dst_len;
	ret_route->type = header->rtm_type;
	ret_route->metric = u32_or(table[RTA_PRIORITY], 0);
	ret_route->nexthop_id = u32_or(table[RTA_NH_ID], 0);
	ret_route->n_hops = 0;
	read_hops(header, table, ret_route);
	return true;
}

static void read_group(const struct nlattr *a, struct rtnl_nexthop *n)
{
	const struct nexthop_grp *members = mnl_attr_get_payload(a);
	size_t n_members = mnl_attr_get_payload_len(a) / sizeof(members[0]);

	n->n_members = n_members < RTNL_MEMBERS_MAX ? n_members : RTNL_MEMBERS_MAX;
	for (size_t i = 0; i < n->n_members; i++)
		n->members[i] = (struct rtnl_member){members[i].id, members[i].weight + 1};
}

bool rtnl_parse_nexthop(const struct nlmsghdr *message, struct rtnl_nexthop *ret_nexthop)
{
	const struct nhmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[NHA_MAX + 1];

	if (!has_header(message, sizeof(*header)))
		return false;

	by_type(message, sizeof(*header), table, NHA_MAX + 1);
	ret_nexthop->id = u32_or(table[NHA_ID], 0);
	ret_nexthop->blackhole = table[NHA_BLACKHOLE] != NULL;
	ret_nexthop->n_members = 0;
	ret_nexthop->hop = (struct rtnl_hop){
		.ifindex = (int32_t)u32_or(table[NHA_OIF], 0),
		.weight = 1,
		.flags = header->nh_flags & HOP_FLAGS,
	};
	read_address(table[NHA_GATEWAY], &ret_nexthop->hop.gateway);
	if (table[NHA_GROUP] != NULL)
		read_group(table[NHA_GROUP], ret_nexthop);
	return ret_nexthop->id != 0;
}

struct nlmsghdr *rtnl_dump_request(void *buffer, uint16_t type, uint8_t family, uint32_t seq)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = seq;

	// With strict checking each kind wants its own header, all of it 0 but the family, which
	// stands first in every one of them.
	size_t header = type == RTM_GETLINK ? sizeof(struct ifinfomsg)
		: type == RTM_GETADDR       ? sizeof(struct ifaddrmsg)
		: type == RTM_GETNEIGH      ? sizeof(struct ndmsg)
		: type == RTM_GETNEXTHOP    ? sizeof(struct nhmsg)
					    : sizeof(struct rtmsg);
	uint8_t *bytes = mnl_nlmsg_put_extra_header(message, header);
	bytes[0] = family;
	if (type == RTM_GETROUTE)
		((struct rtmsg *)bytes)->rtm_table = RT_TABLE_MAIN;
	return message;
}

static void put_address(struct nlmsghdr *message, uint16_t type, const struct address *address)
{
	if (address_is_ipv4(address))
		mnl_attr_put_u32(message, type, address->words[3]);
	else
		mnl_attr_put(message, type, 16, address->bytes);
}

struct nlmsghdr *rtnl_neighbour_request(
	void *buffer, int ifindex, const struct address *address, bool managed, bool is_new)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | (is_new ? NLM_F_EXCL : 0);

	struct ndmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ndm_family = address_is_ipv4(address) ? AF_INET : AF_INET6;
	header->ndm_ifindex = ifindex;
	header->ndm_state = NUD_NONE;
	header->ndm_flags = NTF_USE;
	put_address(message, NDA_DST, address);
	if (managed)
		mnl_attr_put_u32(message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	return message;
}

int rtnl_error(const struct nlmsghdr *message)
{
	if (mnl_nlmsg_get_payload_len(message) < sizeof(int))
		return 0;
	// Both begin with it.
	return *(const int *)mnl_nlmsg_get_payload(message);
}

struct address address_masked(const struct address *address, unsigned length)
{
	struct address masked = *address;
	unsigned bits = length + (address_is_ipv4(address) ? 96 : 0);

	for (unsigned i = bits / 8; i < 16; i++)
		masked.bytes[i] &= i == bits / 8 ? (uint8_t)(0xff00 >> bits % 8) : 0;
	return masked;
}
