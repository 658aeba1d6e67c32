#include "resolver.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "guideway/index.h"
#include "kernel.h"
#include "way.h"

// Keeping neighbours resolved
// ===========================
//
// The kernel forgets a neighbour that it does not send to itself, and then only a packet of its own
// makes it look again; but our packets do not pass through it. So gateways and nodes are marked as
// managed (NTF_EXT_MANAGED, Linux 5.16): the kernel then probes them by itself. An older kernel
// ignores the mark and takes the rest of the message for what it is, a wish to use the neighbour
// now (NTF_USE), which is repeated.
//
// Other neighbours are let be while the kernel knows them, but not for ever: whoever only talks to
// a VIP is answered by the dataplane, so the kernel would never hear of its new MAC address, and
// what it has not heard confirmed for some 30 s (base_reachable_time) it calls stale and goes on to
// believe. So it is asked to use stale ones, which makes it verify them, and forget who is not
// there.
//
// What packets wait for may be the choice of whoever sent them. Each address is asked for once a
// second, remembered in a cache of fixed size in which one may push out another, and all of them
// together ASKS_PER_SECOND times: the kernel tries each for three seconds, so that no more than
// half of its table (gc_thresh3, 1024) ever fills with addresses that nobody has.

#define SECOND_NS 1000000000ull

enum {
	ASKS_PER_SECOND = 128,
	ASKED_SLOTS = 1024,    // A power of two.
	WANTED_PER_TICK = 512, // Each costs about 2 us, and a packet on the wire.
	USE_AGAIN_S = 30,      // Where the kernel does not manage: a stale one is to be probed.
	// Of neighbours that nobody wants. Four ticks a second and 30 s make 1920, more than the
	// kernel holds (gc_thresh3); of more, each has its turn less often.
	STALE_PER_TICK = 16,
	BUCKETS_PER_TICK = 4096,
};

struct wanted {
	struct map_link link;
	struct address neighbour;
	uint64_t asked_ns; // 0: never.
	uint32_t epoch;
	uint8_t port;
};

struct resolver {
	const struct tables *tables;
	struct mirror *mirror;

	struct address *nodes; // [n_nodes]
	size_t n_nodes;
	struct map wanted;
	uint32_t epoch; // Of the last refresh.
	uint64_t next_tick_ns;
	size_t next_bucket;     // Of all neighbours: where the search for stale ones goes on,
	uint64_t next_round_ns; // and when it may begin again.

	struct asked {
		struct address address;
		uint64_t at_ns;
	} asked[ASKED_SLOTS];
	uint64_t allowance_ns; // Of time not yet spent; an ask costs a share of a second.
	uint64_t allowed_ns;   // When it was last added to.
	uint64_t n_refused;
};

struct resolver *resolver_create(const struct tables *tables, struct mirror *mirror)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->tables = tables;
	r->mirror = mirror;
	return r;
}

static void drop(struct resolver *r, struct wanted *w)
{
	map_remove(&r->wanted, &w->link);
	free(w);
}

void resolver_destroy(struct resolver *r)
{
	if (r == NULL)
		return;
	for (struct map_link *next, *at = map_after(&r->wanted, NULL); at != NULL; at = next) {
		next = map_after(&r->wanted, at);
		drop(r, MAP_THING(at, struct wanted, link));
	}
	map_clear(&r->wanted);
	free(r->nodes);
	free(r);
}

int resolver_set_nodes(struct resolver *r, const struct address *addresses, size_t n_addresses)
{
	size_t n = n_addresses < KERNEL_WANTED_MAX ? n_addresses : KERNEL_WANTED_MAX;
	struct address *nodes = malloc((n + 1) * sizeof(*nodes));

	if (nodes == NULL)
		return -ENOMEM;
	if (n > 0)
		memcpy(nodes, addresses, n * sizeof(*nodes));
	free(r->nodes);
	r->nodes = nodes;
	r->n_nodes = n;
	return 0;
}

static uint64_t hash(const struct resolver *r, uint8_t port, const struct address *neighbour)
{
	return fold_multiply(index_hash_address(neighbour) ^ port, r->tables->key | 1);
}

static struct wanted *find(const struct resolver *r, uint8_t port, const struct address *neighbour)
{
	struct map_link *at = map_find(&r->wanted, hash(r, port, neighbour));

	for (; at != NULL; at = map_find_next(at)) {
		struct wanted *w = MAP_THING(at, struct wanted, link);
		if (w->port == port && address_equal(&w->neighbour, neighbour))
			return w;
	}
	return NULL;
}

// Beyond the bound, or without memory, a neighbour is resolved like any that packets wait for.
static void want(struct resolver *r, uint8_t port, const struct address *neighbour)
{
	struct wanted *w = find(r, port, neighbour);

	if (w == NULL && r->wanted.n < KERNEL_WANTED_MAX) {
		w = calloc(1, sizeof(*w));
		if (w == NULL)
			return;
		w->port = port;
		w->neighbour = *neighbour;
		if (map_put(&r->wanted, &w->link, hash(r, port, neighbour)) < 0) {
			free(w);
			return;
		}
		r->next_tick_ns = 0;
	}
	if (w != NULL)
		w->epoch = r->epoch;
}

static void want_gateways(struct resolver *r, const struct main_route *route)
{
	struct rtnl_hop hops[RTNL_HOPS_MAX];
	size_t n = tables_read_hops(r->tables, route, hops, RTNL_HOPS_MAX);

	for (size_t i = 0; i < n; i++) {
		int port = tables_find_port(r->tables, hops[i].ifindex);
		if (port >= 0 && way_has_gateway(&hops[i]))
			want(r, (uint8_t)port, &hops[i].gateway);
	}
}

static int ifindex_of(const struct resolver *r, const struct wanted *w)
{
	return r->tables->twins[w->port].ifindex;
}

static const struct neighbour *known(const struct resolver *r, const struct wanted *w)
{
	return tables_find_neighbour(r->tables, ifindex_of(r, w), &w->neighbour);
}

// The mark is taken off again, or the kernel would probe it for ever.
static void unwant(struct resolver *r, struct wanted *w)
{
	const struct neighbour *n = known(r, w);

	if (n != NULL && n->is.managed)
		mirror_ask_for_neighbour(r->mirror, ifindex_of(r, w), &w->neighbour, false);
	drop(r, w);
}

static void sweep(struct resolver *r)
{
	for (struct map_link *next, *at = map_after(&r->wanted, NULL); at != NULL; at = next) {
		struct wanted *w = MAP_THING(at, struct wanted, link);
		next = map_after(&r->wanted, at);
		if (w->epoch != r->epoch)
			unwant(r, w);
	}
}

void resolver_refresh(struct resolver *r)
{
	const struct map *routes = &r->tables->routes;
	uint8_t port;
	struct address neighbour;

	r->epoch++;
	for (struct map_link *at = map_after(routes, NULL); at != NULL; at = map_after(routes, at))
		want_gateways(r, MAP_THING(at, struct main_route, link));
	for (size_t i = 0; i < r->n_nodes; i++) {
		if (way_find_neighbour(r->tables, &r->nodes[i], &port, &neighbour))
			want(r, port, &neighbour);
	}
	sweep(r);
}

// Those that the operator wrote down need no asking, and would be lost by it.
static bool is_fixed(const struct neighbour *n)
{
	return n != NULL && (n->is.state & (NUD_PERMANENT | NUD_NOARP));
}

static bool is_under_way(const struct neighbour *n)
{
	return n != NULL && (n->is.state & NUD_INCOMPLETE);
}

static bool is_due(const struct resolver *r, const struct wanted *w, uint64_t now_ns)
{
	const struct neighbour *n = known(r, w);
	uint64_t since_ns = w->asked_ns == 0 ? UINT64_MAX : now_ns - w->asked_ns;

	if (!r->tables->twins[w->port].up || is_fixed(n) || is_under_way(n))
		return false;
	if (!neighbour_is_usable(n))
		return since_ns >= SECOND_NS;
	if (n->is.managed)
		return false;
	return since_ns >= USE_AGAIN_S * SECOND_NS;
}

// The kernel has it for true, and not from us: the wanted ones are asked for above.
static bool is_stale(const struct resolver *r, const struct neighbour *n)
{
	int port = tables_find_port(r->tables, n->is.ifindex);

	return (n->is.state & NUD_STALE) && !n->is.managed && port >= 0 &&
		r->tables->twins[port].up && find(r, (uint8_t)port, &n->is.address) == NULL;
}

static size_t verify_bucket(struct resolver *r, size_t bucket)
{
	size_t n_asked = 0;

	for (struct map_link *at = map_bucket(&r->tables->neighbours, bucket); at != NULL;
		at = at->next) {
		const struct neighbour *n = MAP_THING(at, struct neighbour, link);
		if (!is_stale(r, n))
			continue;
		mirror_ask_for_neighbour(r->mirror, n->is.ifindex, &n->is.address, false);
		n_asked++;
	}
	return n_asked;
}

static void verify_stale(struct resolver *r, uint64_t now_ns)
{
	const size_t n_buckets = map_buckets(&r->tables->neighbours);
	size_t n_asked = 0;

	if (r->next_bucket == 0) {
		if (now_ns < r->next_round_ns)
			return;
		r->next_round_ns = now_ns + USE_AGAIN_S * SECOND_NS;
	}
	for (size_t i = 0; i < BUCKETS_PER_TICK && n_asked < STALE_PER_TICK; i++) {
		if (r->next_bucket >= n_buckets) {
			r->next_bucket = 0;
			break;
		}
		n_asked += verify_bucket(r, r->next_bucket++);
	}
}

void resolver_tick(struct resolver *r, uint64_t now_ns)
{
	size_t n_asked = 0;

	if (now_ns < r->next_tick_ns)
		return;
	for (struct map_link *at = map_after(&r->wanted, NULL);
		at != NULL && n_asked < WANTED_PER_TICK; at = map_after(&r->wanted, at)) {
		struct wanted *w = MAP_THING(at, struct wanted, link);
		if (!is_due(r, w, now_ns))
			continue;
		w->asked_ns = now_ns;
		mirror_ask_for_neighbour(r->mirror, ifindex_of(r, w), &w->neighbour, true);
		n_asked++;
	}
	if (n_asked == WANTED_PER_TICK) // The rest is due at once.
		return;
	r->next_tick_ns = now_ns + SECOND_NS / 4;
	verify_stale(r, now_ns);
}

static bool may_ask(struct resolver *r, uint64_t now_ns)
{
	const uint64_t cost_ns = SECOND_NS / ASKS_PER_SECOND;

	r->allowance_ns += now_ns - r->allowed_ns;
	r->allowed_ns = now_ns;
	if (r->allowance_ns > SECOND_NS)
		r->allowance_ns = SECOND_NS;
	if (r->allowance_ns < cost_ns) {
		r->n_refused++;
		return false;
	}
	r->allowance_ns -= cost_ns;
	return true;
}

static bool was_asked(const struct asked *a, const struct address *address,
	const struct neighbour *n, uint64_t now_ns)
{
	if (!address_equal(&a->address, address))
		return false;
	// Whoever did not answer for three seconds is given a rest as long.
	bool failed = n != NULL && (n->is.state & NUD_FAILED);
	return now_ns - a->at_ns < (failed ? 4 : 1) * SECOND_NS;
}

void resolver_ask(struct resolver *r, const struct address *address, uint64_t now_ns)
{
	struct address neighbour;
	uint8_t port;

	if (!way_find_neighbour(r->tables, address, &port, &neighbour))
		return;

	int ifindex = r->tables->twins[port].ifindex;
	const struct neighbour *n = tables_find_neighbour(r->tables, ifindex, &neighbour);
	if (neighbour_is_usable(n) || is_fixed(n) || is_under_way(n))
		return;

	struct asked *a = &r->asked[hash(r, port, &neighbour) % ASKED_SLOTS];
	if (was_asked(a, &neighbour, n, now_ns) || !may_ask(r, now_ns))
		return;
	*a = (struct asked){.address = neighbour, .at_ns = now_ns};
	mirror_ask_for_neighbour(r->mirror, ifindex, &neighbour, find(r, port, &neighbour) != NULL);
}

uint64_t resolver_refused(const struct resolver *r)
{
	return r->n_refused;
}
