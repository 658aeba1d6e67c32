#include "belongings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Moving without a gap
// ====================
//
//     addresses     given to the other interface            both have them
//     nexthops      replaced: the id stays, the way is new
//     routes        connected ones first, then those by a gateway:
//                   added behind the old one, then the old one deleted
//     addresses     taken from the interface, last one first
//
// At every step the machine has the address, and a route by one of the two, so no connection of its
// own breaks. IPv4 addresses are taken last one first because with a primary address the kernel
// takes its secondaries too. IPv6 addresses are given without duplicate address detection, which
// would find the other interface's.
//
// An IPv6 route of several ways is replaced in one step instead: added ways would be merged into
// the old ones.

enum kind { ADDRESSES, NEXTHOPS, ROUTES, N_KINDS };

static const char *const kind_words[N_KINDS] = {"addresses", "nexthops", "routes"};

struct belongings {
	char interface[IFNAMSIZ];
	int ifindex;
	struct nlmsghdr **messages[N_KINDS]; // [n_messages[kind]]
	size_t n_messages[N_KINDS];
	size_t n_before; // While a dump is read: those of its kind that were there before it.
};

enum { MESSAGE_MAX = 32 << 10 };

static const struct nlattr *attribute(const struct nlmsghdr *message, size_t header, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, message, header)
	{
		if (mnl_attr_get_type(a) == type)
			return a;
	}
	return NULL;
}

static uint32_t number(const struct nlmsghdr *message, size_t header, uint16_t type)
{
	const struct nlattr *a = attribute(message, header, type);

	return a != NULL && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
}

// Collecting

static int keep(struct belongings *b, enum kind kind, const struct nlmsghdr *message)
{
	size_t n = b->n_messages[kind];

	if (n == BELONGINGS_MAX)
		return -E2BIG;
	if (message->nlmsg_len > MESSAGE_MAX / 2)
		return -EMSGSIZE;

	struct nlmsghdr **grown = realloc(b->messages[kind], (n + 1) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	b->messages[kind] = grown;
	grown[n] = malloc(message->nlmsg_len);
	if (grown[n] == NULL)
		return -ENOMEM;
	memcpy(grown[n], message, message->nlmsg_len);
	b->n_messages[kind]++;
	return 0;
}

static int forget_since(struct belongings *b, enum kind kind, size_t n)
{
	while (b->n_messages[kind] > n)
		free(b->messages[kind][--b->n_messages[kind]]);
	return 0;
}

void belongings_destroy(struct belongings *b)
{
	if (b == NULL)
		return;
	for (enum kind kind = 0; kind < N_KINDS; kind++) {
		forget_since(b, kind, 0);
		free(b->messages[kind]);
	}
	free(b);
}

static bool is_link_local(const struct nlattr *address)
{
	const uint8_t *bytes = mnl_attr_get_payload(address);

	return mnl_attr_get_payload_len(address) == 16 && bytes[0] == 0xfe &&
		(bytes[1] & 0xc0) == 0x80;
}

static int keep_address(void *context, const struct nlmsghdr *message)
{
	struct belongings *b = context;

	if (message == NULL)
		return forget_since(b, ADDRESSES, b->n_before);
	if (message->nlmsg_type != RTM_NEWADDR)
		return 0;

	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *address = attribute(message, sizeof(*header), IFA_ADDRESS);
	if ((int)header->ifa_index != b->ifindex || address == NULL || is_link_local(address))
		return 0;
	if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6)
		return 0;
	return keep(b, ADDRESSES, message);
}

static uint32_t nexthop_id(const struct nlmsghdr *message)
{
	return number(message, sizeof(struct nhmsg), NHA_ID);
}

static bool has_nexthop(const struct belongings *b, uint32_t id)
{
	for (size_t i = 0; i < b->n_messages[NEXTHOPS]; i++) {
		if (nexthop_id(b->messages[NEXTHOPS][i]) == id)
			return true;
	}
	return false;
}

// Groups are collected in a second dump: their ids may be lower than those of their members.
static int keep_nexthop(void *context, const struct nlmsghdr *message)
{
	struct belongings *b = context;

	if (message == NULL)
		return forget_since(b, NEXTHOPS, b->n_before);
	if ((int)number(message, sizeof(struct nhmsg), NHA_OIF) != b->ifindex)
		return 0;
	return keep(b, NEXTHOPS, message);
}

static bool is_group_of(const struct belongings *b, const struct nlmsghdr *message)
{
	const struct nlattr *group = attribute(message, sizeof(struct nhmsg), NHA_GROUP);

	if (group == NULL)
		return false;

	const struct nexthop_grp *members = mnl_attr_get_payload(group);
	size_t n = mnl_attr_get_payload_len(group) / sizeof(members[0]);
	for (size_t i = 0; i < n; i++) {
		if (has_nexthop(b, members[i].id))
			return true;
	}
	return false;
}

static int keep_group(void *context, const struct nlmsghdr *message)
{
	struct belongings *b = context;

	if (message == NULL)
		return forget_since(b, NEXTHOPS, b->n_before);
	return is_group_of(b, message) ? keep(b, NEXTHOPS, message) : 0;
}

static struct rtnexthop *first_way(const struct nlattr *multipath)
{
	return mnl_attr_get_payload(multipath);
}

// The one after 'way', or NULL.
static struct rtnexthop *next_way(const struct nlattr *multipath, struct rtnexthop *way)
{
	const char *end =
		(const char *)mnl_attr_get_payload(multipath) + mnl_attr_get_payload_len(multipath);
	char *next = (char *)way + RTNH_ALIGN(way->rtnh_len);

	if (way->rtnh_len < sizeof(*way) || end - next < (ptrdiff_t)sizeof(*way))
		return NULL;
	return (struct rtnexthop *)next;
}

static bool has_way_by(const struct nlattr *multipath, int ifindex)
{
	for (struct rtnexthop *way = first_way(multipath); way != NULL;
		way = next_way(multipath, way)) {
		if (way->rtnh_ifindex == ifindex)
			return true;
	}
	return false;
}

static bool goes_out_of(const struct belongings *b, const struct nlmsghdr *message)
{
	const size_t header = sizeof(struct rtmsg);
	const struct nlattr *multipath = attribute(message, header, RTA_MULTIPATH);
	uint32_t id = number(message, header, RTA_NH_ID);

	if (id != 0)
		return has_nexthop(b, id);
	if (multipath != NULL)
		return has_way_by(multipath, b->ifindex);
	return (int)number(message, header, RTA_OIF) == b->ifindex;
}

static bool is_main(const struct nlmsghdr *message)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	uint32_t table = number(message, sizeof(*header), RTA_TABLE);

	return (table != 0 ? table : header->rtm_table) == RT_TABLE_MAIN;
}

static int keep_route(void *context, const struct nlmsghdr *message)
{
	struct belongings *b = context;

	if (message == NULL)
		return forget_since(b, ROUTES, b->n_before);
	if (message->nlmsg_type != RTM_NEWROUTE)
		return 0;

	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	bool is_ours = header->rtm_protocol != RTPROT_KERNEL && header->rtm_type == RTN_UNICAST &&
		!(header->rtm_flags & RTM_F_CLONED);
	return is_ours && is_main(message) && goes_out_of(b, message) ? keep(b, ROUTES, message)
								      : 0;
}

// A kernel without IPv6, without nexthop objects or without a route at all.
static int or_none(int r)
{
	return r == -EOPNOTSUPP || r == -EAFNOSUPPORT || r == -ENOENT ? 0 : r;
}

static const struct {
	enum kind kind;
	uint16_t request;
	uint8_t family;
	talk_fn *keep;
} dumps[] = {
	{ADDRESSES, RTM_GETADDR, AF_UNSPEC, keep_address},
	{NEXTHOPS, RTM_GETNEXTHOP, AF_UNSPEC, keep_nexthop},
	{NEXTHOPS, RTM_GETNEXTHOP, AF_UNSPEC, keep_group},
	{ROUTES, RTM_GETROUTE, AF_INET, keep_route},
	{ROUTES, RTM_GETROUTE, AF_INET6, keep_route},
};

static int read_all(struct talk *t, struct belongings *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dumps) / sizeof(dumps[0]); i++) {
		b->n_before = b->n_messages[dumps[i].kind];
		r = or_none(talk_dump(t, dumps[i].request, dumps[i].family, dumps[i].keep, b));
	}
	return r;
}

int belongings_read(struct talk *t, const char *interface, struct belongings **ret_belongings)
{
	struct belongings *b = calloc(1, sizeof(*b));
	int r = -ENOMEM;

	if (b == NULL)
		goto fail;
	snprintf(b->interface, sizeof(b->interface), "%s", interface);
	b->ifindex = (int)if_nametoindex(interface);
	r = b->ifindex == 0 ? -ENODEV : read_all(t, b);
	if (r < 0)
		goto fail;
	*ret_belongings = b;
	return 0;

fail:
	belongings_destroy(b);
	return r;
}

size_t belongings_count_addresses(const struct belongings *b)
{
	return b->n_messages[ADDRESSES];
}

char *belongings_name_addresses(const struct belongings *b, char *ret_text, size_t size)
{
	size_t len = 0;

	*ret_text = '\0';
	for (size_t i = 0; i < b->n_messages[ADDRESSES] && len < size; i++) {
		const struct nlmsghdr *message = b->messages[ADDRESSES][i];
		const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
		const struct nlattr *a = attribute(message, sizeof(*header), IFA_LOCAL);
		char text[INET6_ADDRSTRLEN];
		if (a == NULL)
			a = attribute(message, sizeof(*header), IFA_ADDRESS);
		inet_ntop(header->ifa_family, mnl_attr_get_payload(a), text, sizeof(text));
		len += (size_t)snprintf(ret_text + len, size - len, "%s%s/%u", i == 0 ? "" : ", ",
			text, header->ifa_prefixlen);
	}
	return ret_text;
}

// Writing them anew for an interface
//
// A dumped message says more than a request may: only what is listed is taken over.

static void copy_attribute(struct nlmsghdr *to, const struct nlattr *a)
{
	mnl_attr_put(to, a->nla_type, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a));
}

static void copy_attributes(struct nlmsghdr *to, const struct nlmsghdr *from, size_t header,
	const uint16_t *types, size_t n_types)
{
	for (size_t i = 0; i < n_types; i++) {
		const struct nlattr *a = attribute(from, header, types[i]);
		if (a != NULL)
			copy_attribute(to, a);
	}
}

#define COPY_ATTRIBUTES(to, from, header, types) \
	copy_attributes(to, from, header, types, sizeof(types) / sizeof((types)[0]))

static void *begin(
	void *buffer, uint16_t type, uint16_t flags, const struct nlmsghdr *from, size_t header)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = flags;
	void *at = mnl_nlmsg_put_extra_header(message, header);
	memcpy(at, mnl_nlmsg_get_payload(from), header);
	return at;
}

// "eth0:1" is an alias of eth0; of another interface it is "gw0:1".
static void put_label(struct nlmsghdr *message, const char *label, const char *from, const char *to)
{
	char relabelled[2 * IFNAMSIZ];
	size_t len = strlen(from);

	if (strncmp(label, from, len) != 0 || label[len] != ':')
		return;
	snprintf(relabelled, sizeof(relabelled), "%s%s", to, label + len);
	if (strlen(relabelled) < IFNAMSIZ)
		mnl_attr_put_strz(message, IFA_LABEL, relabelled);
}

static struct nlmsghdr *write_address(const struct belongings *b, const struct nlmsghdr *from,
	uint16_t type, const char *to, int to_ifindex, void *buffer)
{
	static const uint16_t types[] = {
		IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_RT_PRIORITY};
	const uint32_t kept =
		IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
	struct nlmsghdr *message = buffer;
	const size_t size = sizeof(struct ifaddrmsg);
	uint16_t request = type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0;
	struct ifaddrmsg *header = begin(buffer, type, request, from, size);
	const struct nlattr *label = attribute(from, size, IFA_LABEL);
	uint32_t flags = number(from, size, IFA_FLAGS) & kept;

	header->ifa_index = (uint32_t)to_ifindex;
	header->ifa_flags = 0;
	COPY_ATTRIBUTES(message, from, size, types);
	if (header->ifa_family == AF_INET6)
		flags |= IFA_F_NODAD;
	mnl_attr_put_u32(message, IFA_FLAGS, flags);
	if (label != NULL)
		put_label(message, mnl_attr_get_str(label), b->interface, to);
	return message;
}

static struct nlmsghdr *write_nexthop(const struct nlmsghdr *from, int to_ifindex, void *buffer)
{
	static const uint16_t types[] = {
		NHA_ID, NHA_GATEWAY, NHA_ENCAP_TYPE, NHA_ENCAP, NHA_GROUP, NHA_GROUP_TYPE};
	struct nlmsghdr *message = buffer;
	const size_t size = sizeof(struct nhmsg);
	struct nhmsg *header =
		begin(buffer, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, from, size);

	header->nh_scope = 0;
	header->nh_flags &= RTNH_F_ONLINK;
	COPY_ATTRIBUTES(message, from, size, types);
	if (attribute(from, size, NHA_OIF) != NULL)
		mnl_attr_put_u32(message, NHA_OIF, (uint32_t)to_ifindex);
	return message;
}

static void put_ways(
	struct nlmsghdr *message, const struct nlattr *multipath, int from_ifindex, int to_ifindex)
{
	struct nlattr *copy = mnl_nlmsg_get_payload_tail(message);

	copy_attribute(message, multipath);
	for (struct rtnexthop *way = first_way(copy); way != NULL; way = next_way(copy, way)) {
		way->rtnh_flags &= RTNH_F_ONLINK;
		if (way->rtnh_ifindex == from_ifindex)
			way->rtnh_ifindex = to_ifindex;
	}
}

static void put_way(
	struct nlmsghdr *message, const struct nlmsghdr *from, int from_ifindex, int to_ifindex)
{
	static const uint16_t types[] = {RTA_GATEWAY, RTA_VIA, RTA_ENCAP_TYPE, RTA_ENCAP, RTA_FLOW};
	const size_t size = sizeof(struct rtmsg);
	const struct nlattr *multipath = attribute(from, size, RTA_MULTIPATH);
	const struct nlattr *nexthop = attribute(from, size, RTA_NH_ID);

	// Beside the id the kernel says what it stands for, but does not want to hear it.
	if (nexthop != NULL) {
		copy_attribute(message, nexthop);
		return;
	}
	if (multipath != NULL) {
		put_ways(message, multipath, from_ifindex, to_ifindex);
		return;
	}
	COPY_ATTRIBUTES(message, from, size, types);
	mnl_attr_put_u32(message, RTA_OIF, (uint32_t)to_ifindex);
}

// What is left of the life of a route that a router advertised.
static void put_expiry(struct nlmsghdr *message, const struct nlattr *cache)
{
	const struct rta_cacheinfo *info = mnl_attr_get_payload(cache);
	const int ticks_per_s = (int)sysconf(_SC_CLK_TCK);

	if (mnl_attr_get_payload_len(cache) >= sizeof(*info) && info->rta_expires > 0)
		mnl_attr_put_u32(
			message, RTA_EXPIRES, (uint32_t)(info->rta_expires / ticks_per_s) + 1);
}

static struct nlmsghdr *write_route(const struct nlmsghdr *from, uint16_t type, uint16_t flags,
	int from_ifindex, int to_ifindex, void *buffer)
{
	static const uint16_t types[] = {
		RTA_DST, RTA_TABLE, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS, RTA_PREF};
	struct nlmsghdr *message = buffer;
	const size_t size = sizeof(struct rtmsg);
	struct rtmsg *header = begin(buffer, type, flags, from, size);
	const struct nlattr *cache = attribute(from, size, RTA_CACHEINFO);

	header->rtm_flags &= RTNH_F_ONLINK;
	COPY_ATTRIBUTES(message, from, size, types);
	put_way(message, from, from_ifindex, to_ifindex);
	if (cache != NULL && type == RTM_NEWROUTE && header->rtm_family == AF_INET6)
		put_expiry(message, cache);
	return message;
}

// Giving and taking

static int or_there_already(int r)
{
	return r == -EEXIST ? 0 : r;
}

static int or_gone_already(int r)
{
	return r == -ESRCH || r == -ENOENT || r == -EADDRNOTAVAIL || r == -ENODEV ? 0 : r;
}

static void note_first(int *first, int r)
{
	if (*first == 0)
		*first = r;
}

static int set_up(struct talk *t, int ifindex)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = RTM_NEWLINK;
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifi_index = ifindex;
	header->ifi_change = header->ifi_flags = IFF_UP;
	return talk_ask(t, message);
}

static int give_addresses(struct talk *t, const struct belongings *b, const char *to, int ifindex)
{
	char buffer[MESSAGE_MAX];
	int first = 0;

	for (size_t i = 0; i < b->n_messages[ADDRESSES]; i++) {
		struct nlmsghdr *message = write_address(
			b, b->messages[ADDRESSES][i], RTM_NEWADDR, to, ifindex, buffer);
		note_first(&first, or_there_already(talk_ask(t, message)));
	}
	return first;
}

static int give_nexthops(struct talk *t, const struct belongings *b, int ifindex)
{
	char buffer[MESSAGE_MAX];
	int first = 0;

	for (size_t i = 0; i < b->n_messages[NEXTHOPS]; i++)
		note_first(&first,
			talk_ask(t, write_nexthop(b->messages[NEXTHOPS][i], ifindex, buffer)));
	return first;
}

static bool has_gateway(const struct nlmsghdr *route)
{
	const size_t header = sizeof(struct rtmsg);

	return attribute(route, header, RTA_GATEWAY) != NULL ||
		attribute(route, header, RTA_VIA) != NULL ||
		attribute(route, header, RTA_MULTIPATH) != NULL ||
		attribute(route, header, RTA_NH_ID) != NULL;
}

static bool is_ipv6_multipath(const struct nlmsghdr *route)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(route);

	return header->rtm_family == AF_INET6 &&
		attribute(route, sizeof(*header), RTA_MULTIPATH) != NULL;
}

static int give_route(
	struct talk *t, const struct belongings *b, const struct nlmsghdr *route, int ifindex)
{
	char buffer[MESSAGE_MAX];
	uint16_t flags = is_ipv6_multipath(route) ? NLM_F_CREATE | NLM_F_REPLACE
						  : NLM_F_CREATE | NLM_F_APPEND;

	return or_there_already(
		talk_ask(t, write_route(route, RTM_NEWROUTE, flags, b->ifindex, ifindex, buffer)));
}

// Not of those that follow their nexthop object, or were replaced when they were given.
static int take_route(struct talk *t, const struct belongings *b, const struct nlmsghdr *route)
{
	char buffer[MESSAGE_MAX];

	if (is_ipv6_multipath(route) || attribute(route, sizeof(struct rtmsg), RTA_NH_ID) != NULL)
		return 0;
	return or_gone_already(
		talk_ask(t, write_route(route, RTM_DELROUTE, 0, b->ifindex, b->ifindex, buffer)));
}

typedef int route_fn(
	struct talk *t, const struct belongings *b, const struct nlmsghdr *route, int ifindex);

static int move_route(
	struct talk *t, const struct belongings *b, const struct nlmsghdr *route, int ifindex)
{
	int r = 0;

	if (attribute(route, sizeof(struct rtmsg), RTA_NH_ID) == NULL)
		r = give_route(t, b, route, ifindex);
	return r < 0 ? r : take_route(t, b, route);
}

// Connected ones first: the kernel takes a gateway only if it knows the way to it.
static int each_route(struct talk *t, const struct belongings *b, route_fn *act, int ifindex)
{
	int first = 0;

	for (int by_gateway = 0; by_gateway <= 1; by_gateway++) {
		for (size_t i = 0; i < b->n_messages[ROUTES]; i++) {
			const struct nlmsghdr *route = b->messages[ROUTES][i];
			if (has_gateway(route) == by_gateway)
				note_first(&first, act(t, b, route, ifindex));
		}
	}
	return first;
}

static int take_addresses(struct talk *t, const struct belongings *b)
{
	char buffer[MESSAGE_MAX];
	int first = 0;

	for (size_t i = b->n_messages[ADDRESSES]; i-- > 0;) {
		struct nlmsghdr *message = write_address(b, b->messages[ADDRESSES][i], RTM_DELADDR,
			b->interface, b->ifindex, buffer);
		note_first(&first, or_gone_already(talk_ask(t, message)));
	}
	return first;
}

static bool is_empty(const struct belongings *b)
{
	return b->n_messages[ADDRESSES] + b->n_messages[NEXTHOPS] + b->n_messages[ROUTES] == 0;
}

static int move(struct talk *t, const struct belongings *b, const char *to, int ifindex)
{
	int r = set_up(t, ifindex);

	if (r == 0)
		r = give_addresses(t, b, to, ifindex);
	if (r == 0)
		r = give_nexthops(t, b, ifindex);
	if (r == 0)
		r = each_route(t, b, move_route, ifindex);
	return r == 0 ? take_addresses(t, b) : r;
}

static void move_back(struct talk *t, const struct belongings *b, const char *from)
{
	struct belongings *moved;

	if (belongings_read(t, from, &moved) == 0) {
		(void)move(t, moved, b->interface, b->ifindex);
		belongings_destroy(moved);
	}
	(void)belongings_give(t, b, b->interface);
}

int belongings_move(struct talk *t, struct belongings *b, const char *to)
{
	int ifindex = (int)if_nametoindex(to);

	if (is_empty(b))
		return 0;
	if (ifindex == 0)
		return -ENODEV;

	int r = move(t, b, to, ifindex);
	if (r < 0)
		move_back(t, b, to);
	return r;
}

int belongings_give(struct talk *t, const struct belongings *b, const char *to)
{
	int ifindex = (int)if_nametoindex(to);
	int first = 0;

	if (is_empty(b))
		return 0;
	if (ifindex == 0)
		return -ENODEV;
	note_first(&first, set_up(t, ifindex));
	note_first(&first, give_addresses(t, b, to, ifindex));
	note_first(&first, give_nexthops(t, b, ifindex));
	note_first(&first, each_route(t, b, give_route, ifindex));
	return first;
}

// As JSON

static json_t *to_hex(const struct nlmsghdr *message)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = (const void *)message;
	char *text = malloc(2 * (size_t)message->nlmsg_len + 1);

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < message->nlmsg_len; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	json_t *json = json_stringn(text, 2 * (size_t)message->nlmsg_len);
	free(text);
	return json;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Returns how many bytes it wrote, or -EINVAL.
static int from_hex(const char *text, uint8_t *bytes, size_t size)
{
	size_t n = 0;

	for (; text[2 * n] != '\0'; n++) {
		int high = digit(text[2 * n]);
		int low = high < 0 ? -1 : digit(text[2 * n + 1]);
		if (low < 0 || n == size)
			return -EINVAL;
		bytes[n] = (uint8_t)(high << 4 | low);
	}
	return (int)n;
}

static json_t *list_to_json(const struct belongings *b, enum kind kind)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->n_messages[kind]; i++) {
		if (json_array_append_new(list, to_hex(b->messages[kind][i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *belongings_to_json(const struct belongings *b)
{
	json_t *json = json_pack("{s:s, s:i}", "interface", b->interface, "ifindex", b->ifindex);

	for (enum kind kind = 0; kind < N_KINDS; kind++) {
		if (json_object_set_new(json, kind_words[kind], list_to_json(b, kind)) < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

static int keep_json(struct belongings *b, enum kind kind, const json_t *json)
{
	char buffer[MESSAGE_MAX / 2] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *message = (const void *)buffer;

	if (!json_is_string(json))
		return -EINVAL;

	int len = from_hex(json_string_value(json), (uint8_t *)buffer, sizeof(buffer));
	if (len < (int)(sizeof(*message) + sizeof(struct rtmsg)) || !mnl_nlmsg_ok(message, len))
		return -EINVAL;
	return keep(b, kind, message);
}

static int read_json(struct belongings *b, const json_t *json)
{
	const char *interface = json_string_value(json_object_get(json, "interface"));
	int r = 0;

	if (interface == NULL || strlen(interface) >= IFNAMSIZ)
		return -EINVAL;
	snprintf(b->interface, sizeof(b->interface), "%s", interface);
	b->ifindex = (int)json_integer_value(json_object_get(json, "ifindex"));
	for (enum kind kind = 0; kind < N_KINDS; kind++) {
		const json_t *list = json_object_get(json, kind_words[kind]);
		for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
			r = keep_json(b, kind, json_array_get(list, i));
	}
	return r;
}

struct belongings *belongings_from_json(const json_t *json)
{
	struct belongings *b = calloc(1, sizeof(*b));

	if (b != NULL && read_json(b, json) < 0) {
		belongings_destroy(b);
		return NULL;
	}
	return b;
}
