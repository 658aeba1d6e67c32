#pragma once

#include "guideway/dataplane.h"
#include "map.h"
#include "rtnl.h"

// What the mirror holds: a copy of the kernel's twins, neighbours on them, own addresses, main
// routes and nexthop objects. No socket: messages, parsed, go in.
//
// A dump says what there is, and by its silence what there is not any more: everything carries the
// epoch of the dump that saw it last, and when a dump is over the sweep takes away the rest.

struct twin {
	char name[IFNAMSIZ];
	int ifindex; // 0 while there is no such interface.
	uint8_t mac[6];
	bool up; // Set up, and with a carrier.
	uint32_t epoch;
};

struct neighbour {
	struct map_link link;
	struct rtnl_neighbour is;
	uint32_t epoch;
};

struct local {
	struct map_link link;
	struct rtnl_address is;
	uint32_t epoch;
};

// All routes of one prefix stand in one chain of the map, whatever their metric.
struct main_route {
	struct map_link link;
	struct address prefix;
	uint8_t length;
	uint8_t type;
	bool several; // The kernel has more of this prefix and metric; this is the one it uses.
	uint32_t metric;
	uint32_t nexthop_id;
	uint32_t epoch;
	size_t n_hops;
	struct rtnl_hop hops[];
};

struct nexthop {
	struct map_link link;
	struct rtnl_nexthop is;
	uint32_t epoch;
};

struct tables {
	struct twin twins[PORTS_MAX]; // [n_twins], by port.
	size_t n_twins;
	struct map neighbours;               // struct neighbour
	struct map locals;                   // struct local
	struct map routes;                   // struct main_route
	struct map nexthops;                 // struct nexthop
	size_t n_of_length[N_FAMILIES][129]; // Routes by their prefix length.
	uint64_t key;                        // Of the hashes: neighbours may be a sender's choice.
	uint32_t epoch;
};

// What became of the tables by a message.
enum change {
	CHANGE_NONE,
	CHANGE_OF_MAC, // Of a neighbour that stays known: no route changes by it.
	CHANGE_MADE,
	CHANGE_UNCLEAR, // Only a dump can tell: what the message says does not fit what is held.
};

// How a message came.
enum said {
	SAID_IN_DUMP,
	SAID_NEW,
	SAID_REPLACED, // In place of another of its key (NLM_F_REPLACE).
};

void tables_clear(struct tables *t);

// 'link' as of now. CHANGE_MADE if a twin came, went or changed.
enum change tables_put_link(struct tables *t, const struct rtnl_link *link);
enum change tables_remove_link(struct tables *t, int ifindex);

// CHANGE_MADE if the neighbour came or went as one that can be sent to.
enum change tables_put_neighbour(struct tables *t, const struct rtnl_neighbour *n);
enum change tables_remove_neighbour(struct tables *t, const struct rtnl_neighbour *n);

enum change tables_put_local(struct tables *t, const struct rtnl_address *a);
enum change tables_remove_local(struct tables *t, const struct rtnl_address *a);

enum change tables_put_route(struct tables *t, const struct rtnl_route *r, enum said said);
enum change tables_remove_route(struct tables *t, const struct rtnl_route *r);

enum change tables_put_nexthop(struct tables *t, const struct rtnl_nexthop *n);
enum change tables_remove_nexthop(struct tables *t, uint32_t id);

// Removes those that are not of the present epoch.
enum change tables_sweep_links(struct tables *t);
enum change tables_sweep_neighbours(struct tables *t);
enum change tables_sweep_locals(struct tables *t);
enum change tables_sweep_routes(struct tables *t, enum family family);
enum change tables_sweep_nexthops(struct tables *t);

// The port whose twin the interface is, or -1.
int tables_find_port(const struct tables *t, int ifindex);

const struct neighbour *tables_find_neighbour(
	const struct tables *t, int ifindex, const struct address *address);

// Its MAC address may be used. Accepts NULL.
bool neighbour_is_usable(const struct neighbour *n);

// On a twin if it is on one, else on any interface; NULL if the address is not this machine's.
const struct local *tables_find_local(const struct tables *t, const struct address *address);

const struct nexthop *tables_find_nexthop(const struct tables *t, uint32_t id);

// The route that the kernel would take, by longest prefix and least metric, or NULL.
const struct main_route *tables_find_route(const struct tables *t, const struct address *address);

// Of its prefix the one with the least metric among those that have a way on.
const struct main_route *tables_best_route(
	const struct tables *t, const struct address *prefix, unsigned length);

// The ways on of a route, those of its nexthop object written out, without the dead ones. Returns
// how many there are, at most 'n'.
size_t tables_read_hops(
	const struct tables *t, const struct main_route *r, struct rtnl_hop *ret_hops, size_t n);

// True of a route that is there in order that there be none: blackhole, unreachable, prohibit.
bool main_route_is_refusal(const struct tables *t, const struct main_route *r);
