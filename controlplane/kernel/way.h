#pragma once

#include "tables.h"

// Which way packets leave.

// The way on of this route: of several (multipath) the one that its prefix falls to. Returns false
// if there is none.
bool way_choose(
	const struct tables *tables, const struct main_route *route, struct rtnl_hop *ret_hop);

static inline bool way_has_gateway(const struct rtnl_hop *hop)
{
	return !address_is_none(&hop->gateway);
}

// Whose MAC address packets for 'address' need, and on which port: its own on a connected network,
// else its gateway's. Returns false if they leave by no twin.
bool way_find_neighbour(const struct tables *tables, const struct address *address,
	uint8_t *ret_port, struct address *ret_neighbour);

// Addresses that mean somebody else on every network: IPv6 link-local ones and all multicast.
bool way_is_of_one_link(const struct address *address);
