#pragma once

#include <assert.h>
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"

// rtnetlink messages in our own terms. The parsers read one message and keep nothing of it; they
// return false for what the mirror has no use for: other families, tables and kinds.

enum { RTNL_HOPS_MAX = 256, RTNL_MEMBERS_MAX = 256 };

struct rtnl_link {
	int ifindex;
	char name[IFNAMSIZ];
	uint8_t mac[6];  // All 0 if it has none.
	unsigned flags;  // IFF_...
	unsigned change; // Flags that this message tells a change of.
};

struct rtnl_address {
	int ifindex;
	struct address address; // The local one.
	uint8_t length;
	bool is_lasting; // Else it is temporary, deprecated, or not known to be nobody else's.
};

struct rtnl_neighbour {
	int ifindex;
	struct address address;
	uint16_t state; // NUD_...
	uint8_t mac[6];
	bool has_mac;
	bool managed; // The kernel keeps it resolved by itself.
};

// One way on. Compared as memory: no padding.
struct rtnl_hop {
	struct address gateway; // None where the network is connected. Of either family.
	int32_t ifindex;
	uint16_t weight; // At least 1.
	uint8_t flags;   // RTNH_F_DEAD, RTNH_F_LINKDOWN.
	uint8_t unused;
};
static_assert(sizeof(struct rtnl_hop) == 24);

struct rtnl_route {
	struct address prefix;
	uint8_t length;
	uint8_t type;        // RTN_...
	uint32_t metric;     // Less is better.
	uint32_t nexthop_id; // Of a nexthop object, and then no hops; or 0.
	size_t n_hops;       // Those beyond RTNL_HOPS_MAX are left out.
	struct rtnl_hop hops[RTNL_HOPS_MAX];
};

struct rtnl_nexthop {
	uint32_t id;
	bool blackhole;
	struct rtnl_hop hop; // Of one that is no group.
	size_t n_members;    // Of a group.
	struct rtnl_member {
		uint32_t id;
		uint16_t weight;
	} members[RTNL_MEMBERS_MAX];
};

bool rtnl_parse_link(const struct nlmsghdr *message, struct rtnl_link *ret_link);
bool rtnl_parse_address(const struct nlmsghdr *message, struct rtnl_address *ret_address);
bool rtnl_parse_neighbour(const struct nlmsghdr *message, struct rtnl_neighbour *ret_neighbour);
bool rtnl_parse_route(const struct nlmsghdr *message, struct rtnl_route *ret_route); // Main table.
bool rtnl_parse_nexthop(const struct nlmsghdr *message, struct rtnl_nexthop *ret_nexthop);

// Writes into 'buffer' (of at least MNL_SOCKET_BUFFER_SIZE) a request for all of a kind: 'type' is
// RTM_GETLINK or another RTM_GET...; of routes, the main table.
struct nlmsghdr *rtnl_dump_request(void *buffer, uint16_t type, uint8_t family, uint32_t seq);

// The same for telling the kernel to look after a neighbour: to resolve it now, and if 'managed' to
// keep it resolved, which kernels before 5.16 do not know and ignore. One that 'is_new' is left as
// it is if the kernel has it after all.
struct nlmsghdr *rtnl_neighbour_request(
	void *buffer, int ifindex, const struct address *address, bool managed, bool is_new);

// The error in a message of type NLMSG_ERROR or NLMSG_DONE: 0 or -errno.
int rtnl_error(const struct nlmsghdr *message);

// 'address' with the bits past 'length', counted in its family, set to 0.
struct address address_masked(const struct address *address, unsigned length);
