#include "route_list.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "way.h"

// Routes as workers see them
// ==========================
//
//     out of a twin, with a gateway        the gateway's next hop
//     out of a twin, connected             NEXT_HOP_RESOLVE, and beneath it a host route for every
//                                          neighbour that the kernel knows there
//     out of any other interface, or local to the kernel
//     blackhole, unreachable, prohibit     NEXT_HOP_NONE

enum { FIRST_ROOM = 64 };

static bool is_loopback(const struct address *a)
{
	static const struct address ipv6_loopback = {.bytes = {[15] = 1}};

	return address_is_ipv4(a) ? a->bytes[12] == 127 : address_equal(a, &ipv6_loopback);
}

static uint8_t host_length(const struct address *a)
{
	return address_is_ipv4(a) ? 32 : 128;
}

static int reserve(struct route_list *list)
{
	if (list->n < list->room)
		return 0;

	size_t room = list->room == 0 ? FIRST_ROOM : 2 * list->room;
	struct route *routes = realloc(list->routes, room * sizeof(*routes));
	if (routes == NULL)
		return -ENOMEM;
	list->routes = routes;
	list->room = room;
	return 0;
}

static int add(
	struct route_list *list, const struct address *prefix, uint8_t length, next_hop_id id)
{
	if (reserve(list) < 0)
		return -ENOMEM;
	list->routes[list->n++] =
		(struct route){.prefix = *prefix, .length = length, .next_hop = id};
	return 0;
}

// A neighbour that the kernel does not know yet is asked for when a packet wants it.
static next_hop_id connected_host(
	const struct tables *t, struct next_hops *hops, int port, const struct address *address)
{
	const struct neighbour *n = tables_find_neighbour(t, t->twins[port].ifindex, address);

	return neighbour_is_usable(n) ? next_hops_take(hops, (uint8_t)port, address)
				      : NEXT_HOP_RESOLVE;
}

static next_hop_id next_hop_of(
	const struct tables *t, struct next_hops *hops, const struct main_route *r)
{
	struct rtnl_hop hop;

	if (main_route_is_refusal(t, r))
		return NEXT_HOP_NONE;
	if (r->type == RTN_LOCAL || !way_choose(t, r, &hop))
		return next_hops_take_kernel(hops, 0);

	int port = tables_find_port(t, hop.ifindex);
	if (port < 0)
		return next_hops_take_kernel(hops, 0);
	if (way_has_gateway(&hop))
		return next_hops_take(hops, (uint8_t)port, &hop.gateway);
	if (r->length == host_length(&r->prefix))
		return connected_host(t, hops, port, &r->prefix);
	return NEXT_HOP_RESOLVE;
}

static int add_main_routes(struct route_list *list, const struct tables *t, struct next_hops *hops)
{
	for (struct map_link *at = map_after(&t->routes, NULL); at != NULL;
		at = map_after(&t->routes, at)) {
		const struct main_route *r = MAP_THING(at, struct main_route, link);
		if (way_is_of_one_link(&r->prefix) ||
			tables_best_route(t, &r->prefix, r->length) != r)
			continue;
		// An address of this machine goes before, below.
		if (r->length == host_length(&r->prefix) && tables_find_local(t, &r->prefix))
			continue;
		if (add(list, &r->prefix, r->length, next_hop_of(t, hops, r)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_locals(struct route_list *list, const struct tables *t, struct next_hops *hops)
{
	for (struct map_link *at = map_after(&t->locals, NULL); at != NULL;
		at = map_after(&t->locals, at)) {
		const struct local *l = MAP_THING(at, struct local, link);
		const struct address *address = &l->is.address;
		if (way_is_of_one_link(address) || is_loopback(address) ||
			tables_find_local(t, address) != l)
			continue;

		int port = tables_find_port(t, l->is.ifindex);
		next_hop_id id = next_hops_take_kernel(hops, port < 0 ? 0 : (uint8_t)port);
		if (add(list, address, host_length(address), id) < 0)
			return -ENOMEM;
	}
	return 0;
}

// The neighbour is where packets for its address go, and no other route names that address alone.
static bool deserves_host_route(const struct tables *t, const struct neighbour *n, int port)
{
	const struct address *address = &n->is.address;
	struct rtnl_hop hop;

	if (port < 0 || !neighbour_is_usable(n) || way_is_of_one_link(address))
		return false;
	if (tables_find_local(t, address) != NULL)
		return false;

	const struct main_route *r = tables_find_route(t, address);
	return r != NULL && r->length != host_length(address) && r->type == RTN_UNICAST &&
		way_choose(t, r, &hop) && !way_has_gateway(&hop) && hop.ifindex == n->is.ifindex;
}

static int add_neighbours(struct route_list *list, const struct tables *t, struct next_hops *hops)
{
	for (struct map_link *at = map_after(&t->neighbours, NULL); at != NULL;
		at = map_after(&t->neighbours, at)) {
		const struct neighbour *n = MAP_THING(at, struct neighbour, link);
		const struct address *address = &n->is.address;
		int port = tables_find_port(t, n->is.ifindex);
		if (!deserves_host_route(t, n, port))
			continue;

		next_hop_id id = next_hops_take(hops, (uint8_t)port, address);
		if (id != NEXT_HOP_NONE && add(list, address, host_length(address), id) < 0)
			return -ENOMEM;
	}
	return 0;
}

int route_list_build(struct route_list *list, const struct tables *t, struct next_hops *hops,
	uint64_t generation)
{
	list->n = 0;
	next_hops_begin(hops);
	int r = add_main_routes(list, t, hops);
	if (r == 0)
		r = add_locals(list, t, hops);
	if (r == 0)
		r = add_neighbours(list, t, hops);
	next_hops_end(hops, generation);
	if (r < 0)
		list->n = 0;
	return r;
}

void route_list_clear(struct route_list *list)
{
	free(list->routes);
	*list = (struct route_list){0};
}
