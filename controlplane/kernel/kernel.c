#include "kernel.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "announcer.h"
#include "mirror.h"
#include "next_hops.h"
#include "resolver.h"
#include "route_list.h"
#include "way.h"

// The parts, and what each makes of the kernel's words:
//
//     netlink --> mirror --> tables --> route_list, next_hops    for the table and the workers
//                                   --> resolver, announcer      for the kernel and the network

enum {
	START_TIME_MAX_MS = 5000,
	// Looking for gateways takes some 60 ns a route (3.7 ms of 60 000 routes): with this rest
	// after it no storm of changes spends more than a tenth of the control thread on it.
	REST_NS_PER_ROUTE = 600,
};

struct kernel {
	struct tables tables;
	struct mirror *mirror;
	struct next_hops *next_hops;
	struct resolver *resolver;
	struct announcer *announcer;
	struct route_list routes;
	bool routes_changed;     // Since they were handed out.
	bool wanted_changed;     // Gateways and nodes may be others.
	uint64_t rests_until_ns; // Before it looks for them again.
};

// What the mirror tells. Each may come many times in one kernel_ready(): the work is done after it.

static void note_neighbour(void *context, int ifindex, const struct address *address, bool usable)
{
	struct kernel *k = context;
	int port = tables_find_port(&k->tables, ifindex);

	if (port >= 0)
		next_hops_refresh(k->next_hops, (uint8_t)port, address);
	k->routes_changed |= usable;
}

static void note_neighbours(void *context)
{
	struct kernel *k = context;

	next_hops_refresh_all(k->next_hops);
	k->routes_changed = true;
}

static void note_routes(void *context)
{
	struct kernel *k = context;

	k->routes_changed = k->wanted_changed = true;
}

static void note_twin(void *context, size_t)
{
	note_neighbours(context);
	note_routes(context);
}

static void refresh_wanted(struct kernel *k, uint64_t now_ns)
{
	k->wanted_changed = false;
	k->rests_until_ns = now_ns + k->tables.routes.n * REST_NS_PER_ROUTE;
	resolver_refresh(k->resolver);
}

static void work_off(struct kernel *k, uint64_t now_ns)
{
	for (size_t port = 0; port < k->tables.n_twins; port++)
		announcer_follow_link(k->announcer, port, now_ns);
	if (k->wanted_changed && now_ns >= k->rests_until_ns)
		refresh_wanted(k, now_ns);
	resolver_tick(k->resolver, now_ns);
	announcer_tick(k->announcer, now_ns);
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// The one place that waits: a start without routes would drop what could be forwarded.
static int fill(struct kernel *k, const struct kernel_config *config, uint64_t now_ns)
{
	const uint64_t begun_ns = clock_ns();
	struct pollfd wait = {.fd = mirror_fd(k->mirror), .events = POLLIN};
	int r = 0;

	while (r == 0 && !mirror_is_complete(k->mirror)) {
		uint64_t past_ns = clock_ns() - begun_ns;
		if (past_ns > START_TIME_MAX_MS * 1000000ull)
			return -ETIMEDOUT;
		if (config->gives_up != NULL && config->gives_up())
			return -ECANCELED;
		mirror_tick(k->mirror, now_ns + past_ns);
		(void)poll(&wait, 1, 10);
		r = mirror_ready(k->mirror, now_ns + past_ns);
	}
	return r;
}

static int start_parts(struct kernel *k, const struct kernel_config *config)
{
	const struct mirror_listener listener = {
		.context = k,
		.neighbour = note_neighbour,
		.neighbours = note_neighbours,
		.twin = note_twin,
		.routes = note_routes,
	};

	k->next_hops = next_hops_create(&k->tables, config->set_next_hop, config->context);
	if (k->next_hops == NULL)
		return -ENOMEM;

	int r = mirror_start(&k->tables, &listener, config->receive_buffer_bytes, &k->mirror);
	if (r < 0)
		return r;

	k->resolver = resolver_create(&k->tables, k->mirror);
	if (k->resolver == NULL)
		return -ENOMEM;
	return announcer_create(&k->tables, &k->announcer);
}

int kernel_start(const struct kernel_config *config, uint64_t now_ns, struct kernel **ret_kernel,
	char ret_why[WHY_MAX])
{
	int r = -ENOMEM;

	struct kernel *k = calloc(1, sizeof(*k));
	if (k == NULL)
		goto fail;

	k->tables.n_twins = config->n_twins;
	for (size_t i = 0; i < config->n_twins; i++)
		memcpy(k->tables.twins[i].name, config->twins[i], IFNAMSIZ);
	if (getrandom(&k->tables.key, sizeof(k->tables.key), 0) < 0) {
		r = -errno;
		goto fail;
	}
	r = start_parts(k, config);
	if (r == 0)
		r = fill(k, config, now_ns);
	if (r < 0)
		goto fail;

	k->routes_changed = true;
	work_off(k, now_ns);
	*ret_kernel = k;
	return 0;

fail:
	snprintf(ret_why, WHY_MAX,
		"Cannot read routes and neighbours from the kernel by netlink: %s.", strerror(-r));
	kernel_stop(k);
	return r;
}

void kernel_stop(struct kernel *k)
{
	if (k == NULL)
		return;
	announcer_destroy(k->announcer);
	resolver_destroy(k->resolver);
	mirror_stop(k->mirror);
	next_hops_destroy(k->next_hops);
	route_list_clear(&k->routes);
	tables_clear(&k->tables);
	free(k);
}

int kernel_fd(const struct kernel *k)
{
	return mirror_fd(k->mirror);
}

int kernel_ready(struct kernel *k, uint64_t now_ns)
{
	int r = mirror_ready(k->mirror, now_ns);

	work_off(k, now_ns);
	return r;
}

void kernel_tick(struct kernel *k, uint64_t now_ns)
{
	mirror_tick(k->mirror, now_ns);
	work_off(k, now_ns);
}

bool kernel_routes_changed(const struct kernel *k)
{
	return k->routes_changed;
}

int kernel_routes(struct kernel *k, uint64_t generation, const struct route **ret_routes,
	size_t *ret_n_routes)
{
	int r = route_list_build(&k->routes, &k->tables, k->next_hops, generation);

	if (r < 0)
		return r;
	k->routes_changed = false;
	*ret_routes = k->routes.routes;
	*ret_n_routes = k->routes.n;
	return 0;
}

void kernel_forget_before(struct kernel *k, uint64_t generation)
{
	next_hops_forget_before(k->next_hops, generation);
}

int kernel_want(
	struct kernel *k, const struct address *addresses, size_t n_addresses, uint64_t now_ns)
{
	int r = resolver_set_nodes(k->resolver, addresses, n_addresses);

	if (r < 0)
		return r;
	k->wanted_changed = true;
	work_off(k, now_ns);
	return 0;
}

bool kernel_is_neighbour(const struct kernel *k, const struct address *address)
{
	struct address neighbour;
	uint8_t port;

	return way_find_neighbour(&k->tables, address, &port, &neighbour) &&
		address_equal(&neighbour, address);
}

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct address));
}

size_t kernel_addresses_of(
	const struct kernel *k, const char *twin, struct address *ret_addresses, size_t n)
{
	const struct tables *t = &k->tables;
	size_t found = 0;

	for (struct map_link *at = map_after(&t->locals, NULL); at != NULL && found < n;
		at = map_after(&t->locals, at)) {
		const struct rtnl_address *is = &MAP_THING(at, struct local, link)->is;
		int port = tables_find_port(t, is->ifindex);

		if (port >= 0 && strcmp(t->twins[port].name, twin) == 0 && is->is_lasting &&
			!way_is_of_one_link(&is->address))
			ret_addresses[found++] = is->address;
	}
	qsort(ret_addresses, found, sizeof(*ret_addresses), compare_addresses);
	return found;
}

void kernel_resolve(struct kernel *k, const struct address *address, uint64_t now_ns)
{
	resolver_ask(k->resolver, address, now_ns);
}

int kernel_announce(
	struct kernel *k, const struct address *addresses, size_t n_addresses, uint64_t now_ns)
{
	int r = announcer_set(k->announcer, addresses, n_addresses, now_ns);

	if (r < 0)
		return r;
	work_off(k, now_ns);
	return 0;
}

void kernel_read_status(const struct kernel *k, struct kernel_status *ret_status)
{
	*ret_status = (struct kernel_status){
		.n_routes = k->routes.n,
		.n_neighbours = k->tables.neighbours.n,
		.n_next_hops = next_hops_count(k->next_hops),
		.n_dumps = mirror_dumps(k->mirror),
		.n_lost = mirror_losses(k->mirror),
		.n_resolve_refused = resolver_refused(k->resolver),
		.next_hops_full = next_hops_are_full(k->next_hops),
	};
}
