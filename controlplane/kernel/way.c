#include "way.h"

#include <linux/rtnetlink.h>

#include "guideway/index.h"

// Of several ways on, a prefix uses one: a worker finds its next hop by one look into the trie,
// with no hash of the packet. It is the one with the highest random weight (Thaler and Ravishankar,
// "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking, 1998): a
// way of weight w draws w times, so over many prefixes the load follows the weights, and a way that
// goes or comes moves only the prefixes that it had or gets. A way whose gateway does not answer is
// used only if there is no better one, and last comes one whose link is down.

static uint64_t draw(const struct address *prefix, const struct rtnl_hop *hop, unsigned nth)
{
	uint64_t way = index_hash_address(&hop->gateway) ^
		fold_multiply((uint64_t)hop->ifindex, 0xa0761d6478bd642f);

	return fold_multiply(
		index_hash_address(prefix) ^ nth * 0x9e3779b97f4a7c15, way ^ 0xe7037ed1a0b428db);
}

static uint64_t best_draw(const struct address *prefix, const struct rtnl_hop *hop)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < hop->weight; i++) {
		uint64_t x = draw(prefix, hop, i);
		best = x > best ? x : best;
	}
	return best;
}

static unsigned rank(const struct tables *t, const struct rtnl_hop *hop)
{
	if (hop->flags & RTNH_F_LINKDOWN)
		return 0;
	if (!way_has_gateway(hop) || tables_find_port(t, hop->ifindex) < 0)
		return 2;
	return neighbour_is_usable(tables_find_neighbour(t, hop->ifindex, &hop->gateway)) ? 2 : 1;
}

bool way_choose(const struct tables *t, const struct main_route *route, struct rtnl_hop *ret_hop)
{
	struct rtnl_hop hops[RTNL_HOPS_MAX];
	size_t n = tables_read_hops(t, route, hops, RTNL_HOPS_MAX);
	unsigned best_rank = 0;
	uint64_t best = 0;

	if (n == 0)
		return false;
	*ret_hop = hops[0];
	for (size_t i = 0; n > 1 && i < n; i++) {
		unsigned its_rank = rank(t, &hops[i]);
		uint64_t its_draw = best_draw(&route->prefix, &hops[i]);
		if (its_rank < best_rank || (its_rank == best_rank && its_draw < best))
			continue;
		best_rank = its_rank;
		best = its_draw;
		*ret_hop = hops[i];
	}
	return true;
}

bool way_find_neighbour(const struct tables *t, const struct address *address, uint8_t *ret_port,
	struct address *ret_neighbour)
{
	const struct main_route *r = tables_find_route(t, address);
	struct rtnl_hop hop;

	if (r == NULL || r->type != RTN_UNICAST || tables_find_local(t, address) != NULL ||
		!way_choose(t, r, &hop))
		return false;

	int port = tables_find_port(t, hop.ifindex);
	if (port < 0)
		return false;
	*ret_port = (uint8_t)port;
	*ret_neighbour = way_has_gateway(&hop) ? hop.gateway : *address;
	return true;
}

bool way_is_of_one_link(const struct address *a)
{
	if (address_is_ipv4(a))
		return a->bytes[12] >= 224;
	return a->bytes[0] == 0xff || (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
}
