#include "tables.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "guideway/index.h"

static uint64_t hash_number(const struct tables *t, uint64_t number)
{
	return fold_multiply(number ^ t->key, 0x9e3779b97f4a7c15);
}

static uint64_t hash_address(const struct tables *t, const struct address *a, uint64_t with)
{
	return fold_multiply(
		a->halves[0] ^ t->key, fold_multiply(a->halves[1] ^ with, 0xd1b54a32d192ed03));
}

static enum change both(enum change a, enum change b)
{
	return a > b ? a : b;
}

// Twins

int tables_find_port(const struct tables *t, int ifindex)
{
	for (size_t i = 0; i < t->n_twins; i++) {
		if (ifindex != 0 && t->twins[i].ifindex == ifindex)
			return (int)i;
	}
	return -1;
}

static bool has_carrier(unsigned flags)
{
	return (flags & IFF_UP) && (flags & IFF_RUNNING);
}

static enum change update_twin(struct twin *twin, const struct rtnl_link *link, uint32_t epoch)
{
	bool up = has_carrier(link->flags);
	bool same = twin->ifindex == link->ifindex && twin->up == up &&
		memcmp(twin->mac, link->mac, sizeof(twin->mac)) == 0;

	twin->ifindex = link->ifindex;
	twin->up = up;
	twin->epoch = epoch;
	memcpy(twin->mac, link->mac, sizeof(twin->mac));
	return same ? CHANGE_NONE : CHANGE_MADE;
}

static enum change forget_twin(struct twin *twin)
{
	twin->ifindex = 0;
	twin->up = false;
	return CHANGE_MADE;
}

enum change tables_put_link(struct tables *t, const struct rtnl_link *link)
{
	enum change change = CHANGE_NONE;

	for (size_t i = 0; i < t->n_twins; i++) {
		struct twin *twin = &t->twins[i];
		if (strcmp(twin->name, link->name) == 0)
			change = both(change, update_twin(twin, link, t->epoch));
		else if (twin->ifindex == link->ifindex) // Was given another name.
			change = both(change, forget_twin(twin));
	}
	return change;
}

enum change tables_remove_link(struct tables *t, int ifindex)
{
	int port = tables_find_port(t, ifindex);

	return port < 0 ? CHANGE_NONE : forget_twin(&t->twins[port]);
}

enum change tables_sweep_links(struct tables *t)
{
	enum change change = CHANGE_NONE;

	for (size_t i = 0; i < t->n_twins; i++) {
		struct twin *twin = &t->twins[i];
		if (twin->ifindex != 0 && twin->epoch != t->epoch)
			change = both(change, forget_twin(twin));
	}
	return change;
}

// Neighbours

bool neighbour_is_usable(const struct neighbour *n)
{
	const uint16_t usable =
		NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;

	return n != NULL && n->is.has_mac && (n->is.state & usable);
}

const struct neighbour *tables_find_neighbour(
	const struct tables *t, int ifindex, const struct address *address)
{
	uint64_t hash = hash_address(t, address, (uint64_t)ifindex);
	struct map_link *at = map_find(&t->neighbours, hash);

	for (; at != NULL; at = map_find_next(at)) {
		const struct neighbour *n = MAP_THING(at, struct neighbour, link);
		if (n->is.ifindex == ifindex && address_equal(&n->is.address, address))
			return n;
	}
	return NULL;
}

static enum change difference(const struct neighbour *a, const struct neighbour *b)
{
	if (neighbour_is_usable(a) != neighbour_is_usable(b))
		return CHANGE_MADE;
	if (!neighbour_is_usable(a) || memcmp(a->is.mac, b->is.mac, sizeof(a->is.mac)) == 0)
		return CHANGE_NONE;
	return CHANGE_OF_MAC;
}

static enum change add_neighbour(struct tables *t, const struct rtnl_neighbour *is)
{
	struct neighbour *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return CHANGE_UNCLEAR;
	n->is = *is;
	n->epoch = t->epoch;
	if (map_put(&t->neighbours, &n->link,
		    hash_address(t, &is->address, (uint64_t)is->ifindex)) < 0) {
		free(n);
		return CHANGE_UNCLEAR;
	}
	return neighbour_is_usable(n) ? CHANGE_MADE : CHANGE_NONE;
}

enum change tables_put_neighbour(struct tables *t, const struct rtnl_neighbour *is)
{
	// Of the other interfaces' neighbours nothing is wanted.
	if (tables_find_port(t, is->ifindex) < 0)
		return CHANGE_NONE;

	struct neighbour *n =
		(struct neighbour *)tables_find_neighbour(t, is->ifindex, &is->address);
	if (n == NULL)
		return add_neighbour(t, is);

	struct neighbour before = *n;
	n->is = *is;
	n->epoch = t->epoch;
	return difference(&before, n);
}

static enum change drop_neighbour(struct tables *t, struct neighbour *n)
{
	bool was_usable = neighbour_is_usable(n);

	map_remove(&t->neighbours, &n->link);
	free(n);
	return was_usable ? CHANGE_MADE : CHANGE_NONE;
}

enum change tables_remove_neighbour(struct tables *t, const struct rtnl_neighbour *is)
{
	struct neighbour *n =
		(struct neighbour *)tables_find_neighbour(t, is->ifindex, &is->address);

	return n == NULL ? CHANGE_NONE : drop_neighbour(t, n);
}

enum change tables_sweep_neighbours(struct tables *t)
{
	enum change change = CHANGE_NONE;

	for (struct map_link *next, *at = map_after(&t->neighbours, NULL); at != NULL; at = next) {
		struct neighbour *n = MAP_THING(at, struct neighbour, link);
		next = map_after(&t->neighbours, at);
		if (n->epoch != t->epoch)
			change = both(change, drop_neighbour(t, n));
	}
	return change;
}

// Addresses of this machine

static struct local *find_exact(const struct tables *t, const struct rtnl_address *a)
{
	struct map_link *at = map_find(&t->locals, hash_address(t, &a->address, 0));

	for (; at != NULL; at = map_find_next(at)) {
		struct local *l = MAP_THING(at, struct local, link);
		if (address_equal(&l->is.address, &a->address) && l->is.ifindex == a->ifindex &&
			l->is.length == a->length)
			return l;
	}
	return NULL;
}

const struct local *tables_find_local(const struct tables *t, const struct address *address)
{
	struct map_link *at = map_find(&t->locals, hash_address(t, address, 0));
	const struct local *found = NULL;

	for (; at != NULL; at = map_find_next(at)) {
		const struct local *l = MAP_THING(at, struct local, link);
		if (!address_equal(&l->is.address, address))
			continue;
		if (tables_find_port(t, l->is.ifindex) >= 0)
			return l;
		found = l;
	}
	return found;
}

enum change tables_put_local(struct tables *t, const struct rtnl_address *a)
{
	struct local *l = find_exact(t, a);

	if (l != NULL) {
		bool same = l->is.is_lasting == a->is_lasting;

		l->is = *a;
		l->epoch = t->epoch;
		return same ? CHANGE_NONE : CHANGE_MADE;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL || map_put(&t->locals, &l->link, hash_address(t, &a->address, 0)) < 0) {
		free(l);
		return CHANGE_UNCLEAR;
	}
	l->is = *a;
	l->epoch = t->epoch;
	return CHANGE_MADE;
}

static enum change drop_local(struct tables *t, struct local *l)
{
	map_remove(&t->locals, &l->link);
	free(l);
	return CHANGE_MADE;
}

enum change tables_remove_local(struct tables *t, const struct rtnl_address *a)
{
	struct local *l = find_exact(t, a);

	return l == NULL ? CHANGE_NONE : drop_local(t, l);
}

enum change tables_sweep_locals(struct tables *t)
{
	enum change change = CHANGE_NONE;

	for (struct map_link *next, *at = map_after(&t->locals, NULL); at != NULL; at = next) {
		struct local *l = MAP_THING(at, struct local, link);
		next = map_after(&t->locals, at);
		if (l->epoch != t->epoch)
			change = both(change, drop_local(t, l));
	}
	return change;
}

// Routes

static uint64_t hash_prefix(const struct tables *t, const struct address *prefix, unsigned length)
{
	return hash_address(t, prefix, length + 1);
}

static bool is_of_prefix(const struct main_route *r, const struct address *prefix, unsigned length)
{
	return r->length == length && address_equal(&r->prefix, prefix);
}

static struct main_route *find_route(const struct tables *t, const struct rtnl_route *is)
{
	struct map_link *at = map_find(&t->routes, hash_prefix(t, &is->prefix, is->length));

	for (; at != NULL; at = map_find_next(at)) {
		struct main_route *r = MAP_THING(at, struct main_route, link);
		if (is_of_prefix(r, &is->prefix, is->length) && r->metric == is->metric)
			return r;
	}
	return NULL;
}

static size_t *count_of(struct tables *t, const struct main_route *r)
{
	return &t->n_of_length[address_family(&r->prefix)][r->length];
}

static enum change drop_route(struct tables *t, struct main_route *r)
{
	--*count_of(t, r);
	map_remove(&t->routes, &r->link);
	free(r);
	return CHANGE_MADE;
}

static enum change add_route(struct tables *t, const struct rtnl_route *is)
{
	size_t hops_bytes = is->n_hops * sizeof(is->hops[0]);
	struct main_route *r = calloc(1, sizeof(*r) + hops_bytes);

	if (r == NULL)
		return CHANGE_UNCLEAR;
	r->prefix = is->prefix;
	r->length = is->length;
	r->type = is->type;
	r->metric = is->metric;
	r->nexthop_id = is->nexthop_id;
	r->epoch = t->epoch;
	r->n_hops = is->n_hops;
	memcpy(r->hops, is->hops, hops_bytes);
	if (map_put(&t->routes, &r->link, hash_prefix(t, &r->prefix, r->length)) < 0) {
		free(r);
		return CHANGE_UNCLEAR;
	}
	++*count_of(t, r);
	return CHANGE_MADE;
}

static enum change replace_route(
	struct tables *t, struct main_route *before, const struct rtnl_route *is)
{
	enum change change = add_route(t, is);

	return change == CHANGE_MADE ? drop_route(t, before) : change;
}

static bool goes_by(const struct main_route *r, const struct rtnl_route *is)
{
	return r->type == is->type && r->nexthop_id == is->nexthop_id && r->n_hops == is->n_hops &&
		memcmp(r->hops, is->hops, is->n_hops * sizeof(is->hops[0])) == 0;
}

// In a dump the kernel names several of one prefix and metric in the order that it asks them.
static enum change put_dumped_route(
	struct tables *t, struct main_route *before, const struct rtnl_route *is)
{
	bool first = before->epoch != t->epoch;

	if (first && !goes_by(before, is))
		return replace_route(t, before, is);
	before->several = !first;
	before->epoch = t->epoch;
	return CHANGE_NONE;
}

// A message does not say before or behind which others of its prefix and metric a route was put, or
// which of them it replaced; and an IPv6 route may have grown by one way.
enum change tables_put_route(struct tables *t, const struct rtnl_route *is, enum said said)
{
	struct main_route *before = find_route(t, is);

	if (before == NULL)
		return add_route(t, is);
	if (said == SAID_IN_DUMP)
		return put_dumped_route(t, before, is);
	if (before->several)
		return CHANGE_UNCLEAR;
	if (goes_by(before, is)) {
		before->epoch = t->epoch;
		return CHANGE_NONE;
	}
	return said == SAID_REPLACED ? replace_route(t, before, is) : CHANGE_UNCLEAR;
}

// That a way is down is no part of which route it is.
static bool is_the_same(const struct main_route *r, const struct rtnl_route *is)
{
	if (r->type != is->type || r->nexthop_id != is->nexthop_id || r->n_hops != is->n_hops)
		return false;
	for (size_t i = 0; i < is->n_hops; i++) {
		struct rtnl_hop hop = is->hops[i];
		hop.flags = r->hops[i].flags;
		if (memcmp(&hop, &r->hops[i], sizeof(hop)) != 0)
			return false;
	}
	return true;
}

enum change tables_remove_route(struct tables *t, const struct rtnl_route *is)
{
	struct main_route *r = find_route(t, is);

	if (r == NULL)
		return CHANGE_NONE;
	return r->several || !is_the_same(r, is) ? CHANGE_UNCLEAR : drop_route(t, r);
}

enum change tables_sweep_routes(struct tables *t, enum family family)
{
	enum change change = CHANGE_NONE;

	for (struct map_link *next, *at = map_after(&t->routes, NULL); at != NULL; at = next) {
		struct main_route *r = MAP_THING(at, struct main_route, link);
		next = map_after(&t->routes, at);
		if (r->epoch != t->epoch && address_family(&r->prefix) == family)
			change = both(change, drop_route(t, r));
	}
	return change;
}

// Nexthop objects

const struct nexthop *tables_find_nexthop(const struct tables *t, uint32_t id)
{
	struct map_link *at = map_find(&t->nexthops, hash_number(t, id));

	for (; at != NULL; at = map_find_next(at)) {
		const struct nexthop *n = MAP_THING(at, struct nexthop, link);
		if (n->is.id == id)
			return n;
	}
	return NULL;
}

static enum change drop_nexthop(struct tables *t, struct nexthop *n)
{
	map_remove(&t->nexthops, &n->link);
	free(n);
	return CHANGE_MADE;
}

static enum change add_nexthop(struct tables *t, const struct rtnl_nexthop *is)
{
	struct nexthop *n = calloc(1, sizeof(*n));

	if (n == NULL || map_put(&t->nexthops, &n->link, hash_number(t, is->id)) < 0) {
		free(n);
		return CHANGE_UNCLEAR;
	}
	n->is = *is;
	n->epoch = t->epoch;
	return CHANGE_MADE;
}

// They are few and change seldom: every word about one counts as a change.
enum change tables_put_nexthop(struct tables *t, const struct rtnl_nexthop *is)
{
	struct nexthop *n = (struct nexthop *)tables_find_nexthop(t, is->id);

	if (n == NULL)
		return add_nexthop(t, is);
	n->is = *is;
	n->epoch = t->epoch;
	return CHANGE_MADE;
}

enum change tables_remove_nexthop(struct tables *t, uint32_t id)
{
	struct nexthop *n = (struct nexthop *)tables_find_nexthop(t, id);

	return n == NULL ? CHANGE_NONE : drop_nexthop(t, n);
}

enum change tables_sweep_nexthops(struct tables *t)
{
	enum change change = CHANGE_NONE;

	for (struct map_link *next, *at = map_after(&t->nexthops, NULL); at != NULL; at = next) {
		struct nexthop *n = MAP_THING(at, struct nexthop, link);
		next = map_after(&t->nexthops, at);
		if (n->epoch != t->epoch)
			change = both(change, drop_nexthop(t, n));
	}
	return change;
}

// Finding

static size_t add_hop(const struct rtnl_hop *hop, struct rtnl_hop *hops, size_t at, size_t n)
{
	if (at == n || (hop->flags & RTNH_F_DEAD))
		return at;
	hops[at] = *hop;
	return at + 1;
}

static size_t add_members(const struct tables *t, const struct rtnl_nexthop *group,
	struct rtnl_hop *hops, size_t at, size_t n)
{
	for (size_t i = 0; i < group->n_members; i++) {
		const struct nexthop *member = tables_find_nexthop(t, group->members[i].id);
		if (member == NULL || member->is.blackhole)
			continue;

		struct rtnl_hop hop = member->is.hop;
		hop.weight = group->members[i].weight;
		at = add_hop(&hop, hops, at, n);
	}
	return at;
}

size_t tables_read_hops(
	const struct tables *t, const struct main_route *r, struct rtnl_hop *ret_hops, size_t n)
{
	size_t at = 0;

	if (r->nexthop_id != 0) {
		const struct nexthop *object = tables_find_nexthop(t, r->nexthop_id);
		if (object == NULL || object->is.blackhole)
			return 0;
		return object->is.n_members > 0 ? add_members(t, &object->is, ret_hops, 0, n)
						: add_hop(&object->is.hop, ret_hops, 0, n);
	}
	for (size_t i = 0; i < r->n_hops; i++)
		at = add_hop(&r->hops[i], ret_hops, at, n);
	return at;
}

bool main_route_is_refusal(const struct tables *t, const struct main_route *r)
{
	if (r->type != RTN_UNICAST && r->type != RTN_LOCAL)
		return true;
	if (r->nexthop_id == 0)
		return false;

	const struct nexthop *object = tables_find_nexthop(t, r->nexthop_id);
	return object != NULL && object->is.blackhole;
}

static bool is_usable(const struct tables *t, const struct main_route *r)
{
	struct rtnl_hop hop;

	return r->type == RTN_LOCAL || main_route_is_refusal(t, r) ||
		tables_read_hops(t, r, &hop, 1) == 1;
}

const struct main_route *tables_best_route(
	const struct tables *t, const struct address *prefix, unsigned length)
{
	struct map_link *at = map_find(&t->routes, hash_prefix(t, prefix, length));
	const struct main_route *best = NULL;

	for (; at != NULL; at = map_find_next(at)) {
		const struct main_route *r = MAP_THING(at, struct main_route, link);
		if (!is_of_prefix(r, prefix, length) || !is_usable(t, r))
			continue;
		if (best == NULL || r->metric < best->metric)
			best = r;
	}
	return best;
}

const struct main_route *tables_find_route(const struct tables *t, const struct address *address)
{
	enum family family = address_family(address);

	for (int length = family == IPV4 ? 32 : 128; length >= 0; length--) {
		if (t->n_of_length[family][length] == 0)
			continue;

		struct address prefix = address_masked(address, (unsigned)length);
		const struct main_route *r = tables_best_route(t, &prefix, (unsigned)length);
		if (r != NULL)
			return r;
	}
	return NULL;
}

void tables_clear(struct tables *t)
{
	t->epoch++; // Everything is older now.
	tables_sweep_neighbours(t);
	tables_sweep_locals(t);
	tables_sweep_routes(t, IPV4);
	tables_sweep_routes(t, IPV6);
	tables_sweep_nexthops(t);
	map_clear(&t->neighbours);
	map_clear(&t->locals);
	map_clear(&t->routes);
	map_clear(&t->nexthops);
}
