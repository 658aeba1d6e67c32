#include "table_builder.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "id_store.h"
#include "index_builder.h"
#include "part_store.h"
#include "route_trie.h"
#include "sort_indexes.h"
#include "source_set.h"
#include "target_sets.h"

// A table is built anew each time, in one piece of memory, but for its largest parts: the rings,
// the states and the routes. Those are kept apart, found by what they are made of, and shared by
// all tables that have them alike. So with a thousand services over the same nodes, one of which
// fails, one ring and one array of states are made, and the thousand services are pointed at them.
//
// What the table before has is not looked for again. A service that stands in the model where it
// stood has its id; a set of the same targets has its ring; and where all services are at the
// endpoints where they were, the indexes of those are copied.
//
// What a table looks like does not depend on the order of the model: what is new gets its ids in
// the order of its keys, and all that follows goes by ids.
//
// A node has an id for each of its addresses, and a name for the rings. The id is what flows, SNAT
// ports and replies go by, and those belong to the machine that has the address: under the node's
// name they would move in mid-stream to whatever machine is called so next, and two names of one
// address would each give away its ports. An id of both addresses together would be no better: a
// node that gets its first IPv6 address would then have an old and a new id at its IPv4 address.
// The price is that a service of each family over the same nodes no longer share a ring.
//
// Slots of rings, however, belong to the name. They are for new flows, so nothing is lost with
// them; a node at another address takes over its own slots and moves nobody else's, and one that
// gets an address of another family moves none at all. So a ring stays a function of names and
// weights, as Guideways behind ECMP need it, who do not all reload in the same moment.
//
// Likewise a service has an id for its name and its endpoint together, and its name alone salts the
// choice of slots. Under a name alone, flows of the VIP that it had would go on as flows of the VIP
// that it has, and their packets would come from an address that the other end never heard of.
// Under an endpoint alone, whoever gets a VIP next would get flows meant for another's NodePort.

enum { CACHE_LINE = 64 };

// The routes of both families, shared.
struct routes {
	size_t n_references;
	struct route_step *steps[N_FAMILIES];
};

// A service of a model, by its place there. Nothing may be at 'name' any more.
struct known_service {
	const char *name;
	uint64_t name_hash;
	struct part *ring; // What its row has, or NULL.
	uint32_t id;
	bool answers_arp;
	bool rejects;
};

// A table lent out.
struct built {
	alignas(CACHE_LINE) struct forwarding_table table;
	struct built *next;
	struct routes *routes;
	struct made_sets *sets;
	struct part **late_rings; // [n_late_rings] What services have that are late.
	size_t n_late_rings;
	struct part **sources; // [n_sources], or NULL of one not taken.
	size_t n_sources;
	struct known_service *known; // [n_known]
	size_t n_known;
	uint32_t *place_of; // [n_services of the table], by id: index into 'known'.
};

struct table_builder {
	struct id_store *services;
	struct id_store *nodes;
	char (*node_names)[NAME_TEXT_MAX]; // [nodes_max], by id: as the last table to have it says.
	bool *has_ended; // [services_max], by id: the last flow that it kept from MODE_SNAT.
	size_t services_max;
	size_t nodes_max;
	struct part_store *rings;
	struct part_store *states;
	struct part_store *sources;
	struct routes *routes;
	struct built *built; // Newest first.
	uint64_t generation; // Of the last table built.
	size_t n_rings_max;  // Of a table,
	size_t late_from; // and whose ring is the next to be made: index into the model's services.
};

static void release_routes(struct routes *routes)
{
	if (routes == NULL || --routes->n_references > 0)
		return;

	free(routes->steps[IPV4]);
	free(routes->steps[IPV6]);
	free(routes);
}

int table_builder_create(size_t services_max, size_t nodes_max, struct table_builder **ret_builder)
{
	assert(nodes_max <= NODE_NONE && services_max < SERVICE_NONE);

	struct table_builder *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;

	b->services_max = services_max;
	b->nodes_max = nodes_max;
	b->n_rings_max = SIZE_MAX;
	b->services = id_store_create(services_max);
	b->nodes = id_store_create(nodes_max);
	b->node_names = calloc(nodes_max, sizeof(*b->node_names));
	b->has_ended = calloc(services_max, sizeof(*b->has_ended));
	b->rings = part_store_create();
	b->states = part_store_create();
	b->sources = part_store_create();
	if (b->services == NULL || b->nodes == NULL || b->node_names == NULL ||
		b->has_ended == NULL || b->rings == NULL || b->states == NULL ||
		b->sources == NULL || table_builder_set_routes(b, NULL, 0) < 0) {
		table_builder_destroy(b);
		return -ENOMEM;
	}
	*ret_builder = b;
	return 0;
}

static void destroy_built(struct table_builder *b, struct built *built)
{
	made_sets_destroy(built->sets, b->rings, b->states);
	for (size_t i = 0; i < built->n_late_rings; i++)
		part_store_release(b->rings, built->late_rings[i]);
	for (size_t i = 0; built->sources != NULL && i < built->n_sources; i++)
		part_store_release(b->sources, built->sources[i]);
	free(built->sources);
	release_routes(built->routes);
	free(built);
}

void table_builder_destroy(struct table_builder *b)
{
	if (b == NULL)
		return;

	while (b->built != NULL) {
		struct built *built = b->built;

		b->built = built->next;
		destroy_built(b, built);
	}
	release_routes(b->routes);
	part_store_destroy(b->rings);
	part_store_destroy(b->states);
	part_store_destroy(b->sources);
	id_store_destroy(b->services);
	id_store_destroy(b->nodes);
	free(b->node_names);
	free(b->has_ended);
	free(b);
}

int table_builder_set_routes(struct table_builder *b, const struct route *routes, size_t n_routes)
{
	struct routes *made = calloc(1, sizeof(*made));
	int r = made == NULL ? -ENOMEM : 0;

	for (enum family family = IPV4; family < N_FAMILIES && r == 0; family++) {
		size_t n_steps;
		r = route_trie_build(family, routes, n_routes, &made->steps[family], &n_steps);
	}
	if (made != NULL)
		made->n_references = 1;
	if (r < 0) {
		release_routes(made);
		return r;
	}
	release_routes(b->routes);
	b->routes = made;
	return 0;
}

void table_builder_limit_rings(struct table_builder *b, size_t n)
{
	assert(n > 0);
	b->n_rings_max = n;
}

void table_builder_release(struct table_builder *b, const struct forwarding_table *table)
{
	struct built **link = &b->built;

	if (table == NULL)
		return;
	while (&(*link)->table != table) {
		assert((*link)->next != NULL);
		link = &(*link)->next;
	}

	struct built *built = *link;
	*link = built->next;
	destroy_built(b, built);
}

// A table in the making

// A model's services, or the addresses of its nodes, and the ids that they have.
struct keys {
	struct id_store *store;
	size_t n;            // Places for keys,
	size_t n_used;       // and those that there are.
	struct id_key *keys; // [n], without a name where there is none; of one that was known, it
	                     // has only that.
	uint32_t *ids;       // [n], or ID_NONE.
	size_t *fresh;       // [n_fresh], those that had none before.
	size_t n_fresh;
};

// How many of each thing a table has.
struct sizes {
	size_t services;
	size_t nodes;
	size_t own;
	size_t snat[N_FAMILIES];
	size_t service_slots;
	size_t node_slots;
	size_t own_slots;
	size_t return_slots;
	size_t sources;
};

struct making {
	struct table_builder *builder;
	const struct model *model;
	const struct next_hop_finder *finder;
	struct keys services;
	struct keys nodes;          // [n_nodes of the model][N_FAMILIES]
	uint64_t *identities;       // [n_nodes of the model], name_hash() of the names.
	const struct built *before; // The table before, or NULL.
	bool same_endpoints;        // It has just the services that there are now.
	struct target_sets sets;
	const struct model_service **service_of; // [n_services of the table], by id, or NULL.
	struct built *built;
	struct index_slot *service_slots;
	struct index_slot *node_slots;
	struct index_slot *own_slots;
	struct index_slot *return_slots;
	struct sizes sizes;
	struct own_address *own;
	struct known_service *known;
	uint32_t *place_of;
	struct part **late_rings;
	size_t late_from; // As in the builder, for the next table.
	struct service *service_rows;
	struct node *node_rows;
	struct address *snat_rows[N_FAMILIES];
	const struct source_set **source_rows;
	struct build_report report;
	char *why; // [WHY_MAX]
};

static int __attribute__((format(printf, 3, 4)))
complain(struct making *m, int r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(m->why, WHY_MAX, format, arguments);
	va_end(arguments);
	return r;
}

// Ids

static int create_keys(struct keys *keys, struct id_store *store, size_t n)
{
	keys->store = store;
	keys->n = n;
	keys->keys = calloc(n + 1, sizeof(*keys->keys));
	keys->ids = calloc(n + 1, sizeof(*keys->ids));
	keys->fresh = calloc(n + 1, sizeof(*keys->fresh));
	return keys->keys == NULL || keys->ids == NULL || keys->fresh == NULL ? -ENOMEM : 0;
}

static void destroy_keys(struct keys *keys)
{
	free(keys->keys);
	free(keys->ids);
	free(keys->fresh);
}

static uint64_t hash_address(const struct address *address)
{
	return mix(address->halves[0] ^ mix(address->halves[1]));
}

static uint64_t hash_of_name(const struct model_service *service)
{
	return service->name_hash != 0 ? service->name_hash : name_hash(service->name);
}

// What follows an @ tells a Service that changes its address from itself at the one before: who
// was there to see that has other names for it than another Guideway, and may not choose other
// nodes.
static uint64_t salt_of(const struct model_service *service)
{
	return service->salt != 0 ? service->salt : name_hash_until(service->name, '@');
}

static struct id_key service_key(const struct model_service *service)
{
	uint64_t port_and_protocol = (uint64_t)service->port << 8 | service->protocol;

	return (struct id_key){
		.name = service->name,
		.address = service->vip,
		.port = service->port,
		.protocol = service->protocol,
		.hash = mix(hash_of_name(service) ^ hash_address(&service->vip) ^
			mix(port_and_protocol)),
	};
}

static struct id_key node_key(const struct address *address)
{
	return (struct id_key){.name = "", .address = *address, .hash = hash_address(address)};
}

// Whether the table before has the service, and there it stood at 'place' of the model. Returns its
// id, or ID_NONE. A name of the same hash at the same place is the same name.
static uint32_t id_at_place(
	const struct built *before, size_t place, const struct model_service *service)
{
	if (before == NULL || place >= before->n_known || service->name_hash == 0)
		return ID_NONE;

	const struct known_service *known = &before->known[place];
	const struct service *row = &before->table.services[known->id];
	bool is_it = known->name == service->name && known->name_hash == service->name_hash &&
		row->port == __builtin_bswap16(service->port) &&
		row->protocol == service->protocol && address_equal(&row->vip, &service->vip);

	return is_it ? known->id : ID_NONE;
}

// The row of an id in the table before, which is of the same service; NULL if it has none.
static const struct service *row_before(const struct built *before, uint32_t id)
{
	const struct forwarding_table *table = before == NULL ? NULL : &before->table;

	return table != NULL && id < table->n_services && service_exists(&table->services[id])
		? &table->services[id]
		: NULL;
}

static void find_id(struct keys *keys, size_t i)
{
	keys->ids[i] = id_store_find(keys->store, &keys->keys[i]);
	if (keys->ids[i] == ID_NONE)
		keys->fresh[keys->n_fresh++] = i;
	else
		id_store_know(keys->store, keys->ids[i], &keys->keys[i]);
}

// Services mostly stand in the order in which they stood in the model before.
static void find_services(struct making *m)
{
	struct keys *keys = &m->services;
	size_t place = 0;

	m->same_endpoints = m->before != NULL && m->before->n_known == keys->n;
	for (size_t i = 0; i < keys->n; i++) {
		const struct model_service *service = &m->model->services[i];

		keys->ids[i] = id_at_place(m->before, place, service);
		if (keys->ids[i] != ID_NONE) {
			keys->keys[i].name = service->name;
			place++;
			continue;
		}
		keys->keys[i] = service_key(service);
		find_id(keys, i);
		if (row_before(m->before, keys->ids[i]) != NULL)
			place = m->before->place_of[keys->ids[i]] + 1;
		else
			m->same_endpoints = false;
	}
	keys->n_used = keys->n;
}

static void find_nodes(struct making *m)
{
	struct keys *keys = &m->nodes;

	for (size_t i = 0; i < keys->n; i++) {
		keys->ids[i] = ID_NONE;
		if (keys->keys[i].name == NULL)
			continue;
		keys->n_used++;
		find_id(keys, i);
	}
}

static int compare_fresh(const void *left, const void *right, void *argument)
{
	const struct keys *keys = argument;

	return id_key_compare(
		&keys->keys[*(const size_t *)left], &keys->keys[*(const size_t *)right]);
}

// Gives ids to those that have none. On failure 'fresh' is those that got one; of -EEXIST, the next
// one is there twice.
static int put_fresh(struct keys *keys)
{
	sort_indexes(keys->fresh, keys->n_fresh, compare_fresh, keys);
	for (size_t i = 0; i < keys->n_fresh; i++) {
		size_t at = keys->fresh[i];
		int r = i > 0 && compare_fresh(&keys->fresh[i - 1], &keys->fresh[i], keys) == 0
			? -EEXIST
			: id_store_put(keys->store, &keys->keys[at], &keys->ids[at]);
		if (r < 0) {
			keys->n_fresh = i;
			return r;
		}
	}
	return 0;
}

static void take_back_fresh(struct keys *keys)
{
	for (size_t i = 0; i < keys->n_fresh; i++)
		id_store_remove(keys->store, keys->ids[keys->fresh[i]]);
}

static int complain_of_twin(struct making *m, const struct id_key *key)
{
	char text[ADDRESS_TEXT_MAX];

	if (key->name[0] != '\0')
		return complain(m, -EINVAL, "service %s is there twice", key->name);
	return complain(
		m, -EINVAL, "two nodes have the address %s", address_format(&key->address, text));
}

// Fresh keys are known to differ: of the others no id may come twice.
static int check_keys(struct making *m, const struct keys *keys)
{
	bool *seen = calloc(id_store_end(keys->store) + 1, sizeof(*seen));
	int r = seen == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < keys->n && r == 0; i++) {
		if (keys->ids[i] == ID_NONE)
			continue;
		if (seen[keys->ids[i]])
			r = complain_of_twin(m, &keys->keys[i]);
		seen[keys->ids[i]] = true;
	}
	free(seen);
	return r;
}

static int put_keys(struct making *m, struct keys *keys, const char *what, size_t most)
{
	size_t held = id_store_count(keys->store) - (keys->n_used - keys->n_fresh);
	size_t wanted = keys->n_fresh;
	int r = put_fresh(keys);
	if (r == -EEXIST)
		return complain_of_twin(m, &keys->keys[keys->fresh[keys->n_fresh]]);
	if (r == -ENOSPC)
		return complain(m, r,
			"there are %zu %s, %zu of them new, and room for %zu, of which %zu are "
			"held by flows of %s that are gone",
			keys->n_used, what, wanted, most, held, what);
	return r < 0 ? r : check_keys(m, keys);
}

static void name_nodes(struct making *m)
{
	for (size_t i = 0; i < m->model->n_nodes; i++) {
		const struct model_node *node = &m->model->nodes[i];

		m->identities[i] = name_hash(node->name);
		for (enum family family = IPV4; family < N_FAMILIES; family++) {
			if (!address_is_none(&node->address[family]))
				m->nodes.keys[i * N_FAMILIES + family] =
					node_key(&node->address[family]);
		}
	}
}

static int take_ids(struct making *m)
{
	const struct model *model = m->model;
	struct table_builder *b = m->builder;

	m->identities = calloc(model->n_nodes + 1, sizeof(*m->identities));
	if (m->identities == NULL ||
		create_keys(&m->nodes, b->nodes, model->n_nodes * N_FAMILIES) < 0 ||
		create_keys(&m->services, b->services, model->n_services) < 0)
		return -ENOMEM;

	name_nodes(m);
	find_nodes(m);
	find_services(m);
	int r = put_keys(m, &m->nodes, "addresses of nodes", b->nodes_max);
	return r < 0 ? r : put_keys(m, &m->services, "services", b->services_max);
}

// Memory

static size_t padded(size_t len)
{
	return (len + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

// Cuts the next 'len' bytes off 'memory' at 'at', and begins the rest at a cache line. Of NULL it
// is only measured.
static void *cut(uint8_t *memory, size_t *at, size_t len)
{
	void *piece = memory == NULL ? NULL : memory + *at;

	*at += padded(len);
	return piece;
}

static size_t count_in_mode(const struct model *model, enum forwarding_mode mode)
{
	size_t n = 0;

	for (size_t i = 0; i < model->n_services; i++)
		n += model->services[i].mode == mode;
	return n;
}

static struct sizes measure(const struct making *m)
{
	const struct model *model = m->model;
	size_t n_own = model->n_services + model->n_snat[IPV4] + model->n_snat[IPV6] + N_FAMILIES;

	return (struct sizes){
		.services = id_store_end(m->services.store),
		.nodes = id_store_end(m->nodes.store),
		.own = n_own,
		.snat = {model->n_snat[IPV4], model->n_snat[IPV6]},
		.service_slots = index_builder_slots(model->n_services),
		.node_slots = index_builder_slots(m->nodes.n_used),
		.own_slots = index_builder_slots(n_own),
		.sources = model->n_source_lists,
		.return_slots = index_builder_slots(count_in_mode(model, MODE_DNAT)),
	};
}

// Lays out in 'memory' all that is not shared, rows first: those are 0 at first. Returns how many
// bytes all of it takes.
static size_t lay_out(struct making *m, uint8_t *memory, size_t *ret_len_rows)
{
	const struct sizes *n = &m->sizes;
	size_t at = 0;

	m->built = cut(memory, &at, sizeof(*m->built));
	m->service_rows = cut(memory, &at, n->services * sizeof(*m->service_rows));
	m->node_rows = cut(memory, &at, n->nodes * sizeof(*m->node_rows));
	m->own = cut(memory, &at, n->own * sizeof(*m->own));
	m->snat_rows[IPV4] = cut(memory, &at, n->snat[IPV4] * sizeof(struct address));
	m->snat_rows[IPV6] = cut(memory, &at, n->snat[IPV6] * sizeof(struct address));
	m->source_rows = cut(memory, &at, n->sources * sizeof(*m->source_rows));
	*ret_len_rows = at;
	m->known = cut(memory, &at, m->model->n_services * sizeof(*m->known));
	m->place_of = cut(memory, &at, n->services * sizeof(*m->place_of));
	m->late_rings = cut(memory, &at, m->model->n_services * sizeof(struct part *));
	m->service_slots = cut(memory, &at, n->service_slots * sizeof(*m->service_slots));
	m->node_slots = cut(memory, &at, n->node_slots * sizeof(*m->node_slots));
	m->own_slots = cut(memory, &at, n->own_slots * sizeof(*m->own_slots));
	m->return_slots = cut(memory, &at, n->return_slots * sizeof(*m->return_slots));
	return at;
}

static void share_routes(struct making *m)
{
	m->built->routes = m->builder->routes;
	m->built->routes->n_references++;
	for (enum family family = IPV4; family < N_FAMILIES; family++)
		m->built->table.routes.steps[family] = m->built->routes->steps[family];
}

static int create_built(struct making *m)
{
	m->sizes = measure(m);
	size_t len_rows, len = lay_out(m, NULL, &len_rows);
	uint8_t *memory = aligned_alloc(CACHE_LINE, len);

	if (memory == NULL)
		return -ENOMEM;
	memset(memory, 0, len_rows);
	lay_out(m, memory, &len_rows);

	struct forwarding_table *table = &m->built->table;
	table->generation = m->builder->generation + 1;
	table->settings = m->model->settings;
	table->services = m->service_rows;
	table->n_services = m->sizes.services;
	table->nodes = m->node_rows;
	table->n_nodes = m->sizes.nodes;
	table->own = m->own;
	table->source_sets = m->source_rows;
	table->node_index = index_builder_begin(m->node_slots, m->sizes.node_slots);
	table->return_index = index_builder_begin(m->return_slots, m->sizes.return_slots);
	m->built->late_rings = m->late_rings;
	share_routes(m);
	return 0;
}

// Nodes

static next_hop_id find_next_hop(const struct making *m, const struct address *address)
{
	enum family family = address_family(address);

	if (m->finder != NULL && m->finder->find != NULL)
		return m->finder->find(m->finder->argument, address);
	return route_find(m->builder->routes->steps[family],
		family == IPV4 ? &address->bytes[12] : address->bytes);
}

static void write_node(struct making *m, size_t i, enum family family)
{
	const struct address *address = &m->model->nodes[i].address[family];
	uint32_t id = m->nodes.ids[i * N_FAMILIES + family];

	if (id == ID_NONE)
		return;
	if (family == IPV4)
		m->node_rows[id].ipv4 = address->words[3];
	else
		m->node_rows[id].ipv6 = *address;
	m->node_rows[id].next_hop[family] = find_next_hop(m, address);
	m->node_rows[id].is_neighbour[family] = m->model->nodes[i].is_neighbour[family];
	index_builder_put(&m->built->table.node_index, index_hash_address(address), id);
}

static void write_nodes(struct making *m)
{
	for (size_t id = 0; id < m->built->table.n_nodes; id++) {
		m->node_rows[id].next_hop[IPV4] = NEXT_HOP_NONE;
		m->node_rows[id].next_hop[IPV6] = NEXT_HOP_NONE;
	}
	for (size_t i = 0; i < m->model->n_nodes; i++) {
		write_node(m, i, IPV4);
		write_node(m, i, IPV6);
	}
}

// Services

static int take_set(
	struct making *m, const struct model_service *service, const struct target_set **ret_set)
{
	int r = -EINVAL;

	if (service->set < m->model->n_sets)
		r = target_sets_take(&m->sets, service->set, service->target_family, ret_set);
	if (r == -EINVAL)
		return complain(
			m, r, "service %s uses a node that is none, or one twice", service->name);
	return r;
}

// Whether flows may be there from when it was in MODE_SNAT.
static bool keeps_flows(const struct making *m, uint32_t id, enum forwarding_mode mode)
{
	const struct service *before = row_before(m->before, id);

	if (mode == MODE_SNAT || before == NULL)
		return false;
	return before->mode == MODE_SNAT || (before->keeps_flows && !m->builder->has_ended[id]);
}

// The ring that a service had, which is late with its own. NULL if that is of no use any more.
static struct part *keep_ring(struct making *m, size_t i)
{
	uint32_t id = m->services.ids[i];
	const struct service *before = row_before(m->before, id);
	struct part *ring = before == NULL ? NULL : m->before->known[m->before->place_of[id]].ring;

	if (m->report.n_services_late++ == 0)
		m->late_from = i;
	if (ring == NULL || before->target_family != m->model->services[i].target_family ||
		!target_sets_has_all(&m->sets, ring))
		return NULL;
	part_store_refer(ring);
	m->late_rings[m->built->n_late_rings++] = ring;
	return ring;
}

static int write_service(struct making *m, size_t i)
{
	const struct model_service *from = &m->model->services[i];
	const struct target_set *set;
	int r = take_set(m, from, &set);
	if (r < 0)
		return r;

	struct part *ring = set->is_late ? keep_ring(m, i) : set->ring;
	m->known[i].ring = ring;
	m->service_rows[m->services.ids[i]] = (struct service){
		.vip = from->vip,
		.ring = target_ring_slots(ring),
		.states = set->states->value,
		.salt = salt_of(from),
		.ring_size = ring == NULL ? m->model->ring_size : target_ring_size(ring),
		.idle_s = from->idle_s,
		.port = __builtin_bswap16(from->port),
		.node_port = __builtin_bswap16(from->node_port),
		.protocol = from->protocol,
		.mode = from->mode,
		.target_family = from->target_family,
		.tunnel_kind = from->tunnel_kind & 1,
		.is_awaited = ring == NULL && (set->is_awaited || set->is_late),
		.keeps_flows = keeps_flows(m, m->services.ids[i], from->mode),
		.mss = from->mss,
		.affinity_s = from->affinity_s,
		.sources = (uint16_t)from->sources,
	};
	if (ring == NULL)
		m->report.n_services_unserved++;
	return 0;
}

static int index_return(struct making *m, uint32_t id)
{
	struct forwarding_table *table = &m->built->table;
	const struct service *s = &m->service_rows[id];
	service_id other =
		forwarding_table_find_return(table, s->target_family, s->node_port, s->protocol);

	if (other != SERVICE_NONE)
		return complain(m, -EINVAL,
			"services %s and %s have one NodePort, by which replies are known in "
			"their mode dnat",
			m->service_of[other]->name, m->service_of[id]->name);
	table->n_returns++;
	index_builder_put(&table->return_index,
		index_hash_node_port(s->target_family, s->node_port, s->protocol), id);
	return 0;
}

static int index_service(struct making *m, uint32_t id)
{
	struct forwarding_table *table = &m->built->table;
	const struct service *s = &m->service_rows[id];
	uint64_t hash = index_hash_endpoint(&s->vip, s->port, s->protocol);
	service_id other =
		forwarding_table_find_service(table, hash, &s->vip, s->port, s->protocol);

	if (other != SERVICE_NONE)
		return complain(m, -EINVAL, "services %s and %s have one address and port",
			m->service_of[other]->name, m->service_of[id]->name);
	index_builder_put(&table->service_index, hash, id);
	return 0;
}

// An index of the same keys as before.
static struct index copy_index(const struct index *before, struct index_slot *slots, size_t n_slots)
{
	memcpy(slots, before->slots, n_slots * sizeof(*slots));
	return (struct index){.mask = before->mask, .slots = slots};
}

static int index_services(struct making *m)
{
	struct forwarding_table *table = &m->built->table;
	int r = 0;

	if (m->same_endpoints) {
		table->service_index = copy_index(
			&m->before->table.service_index, m->service_slots, m->sizes.service_slots);
		return 0;
	}
	table->service_index = index_builder_begin(m->service_slots, m->sizes.service_slots);
	for (uint32_t id = 0; id < table->n_services && r == 0; id++) {
		if (m->service_of[id] != NULL)
			r = index_service(m, id);
	}
	return r;
}

static int index_returns(struct making *m)
{
	int r = 0;

	for (uint32_t id = 0; id < m->built->table.n_services && r == 0; id++) {
		if (m->service_of[id] != NULL && m->service_rows[id].mode == MODE_DNAT)
			r = index_return(m, id);
	}
	return r;
}

// Whom services let in. A list that a table had already has its set already.

static struct part *build_sources(struct making *m, const struct source_list *list)
{
	size_t key_len = list->n * sizeof(*list->prefixes);
	struct source_set *set;

	if (source_set_build(list->prefixes, list->n, &set) < 0)
		return NULL;

	struct part *part =
		part_store_add(m->builder->sources, list->prefixes, key_len, set->len_bytes);
	if (part != NULL)
		memcpy(part->value, set, set->len_bytes);
	source_set_free(set);
	return part;
}

static struct part *take_source_list(struct making *m, const struct source_list *list)
{
	struct part *part = part_store_find(
		m->builder->sources, list->prefixes, list->n * sizeof(*list->prefixes));

	return part != NULL ? part : build_sources(m, list);
}

static int write_sources(struct making *m)
{
	const struct model *model = m->model;

	if (model->n_source_lists >= UINT16_MAX)
		return complain(
			m, -ENOSPC, "there are more than %d lists of sources", UINT16_MAX - 1);
	m->built->n_sources = model->n_source_lists;
	m->built->sources = calloc(model->n_source_lists + 1, sizeof(*m->built->sources));
	if (m->built->sources == NULL)
		return -ENOMEM;

	for (size_t i = 0; i < model->n_source_lists; i++) {
		m->built->sources[i] = take_source_list(m, &model->source_lists[i]);
		if (m->built->sources[i] == NULL)
			return -ENOMEM;
		m->source_rows[i] = m->built->sources[i]->value;
	}
	return 0;
}

// Begins where the table before could make no more rings.
static int write_services(struct making *m)
{
	size_t n = m->model->n_services;
	size_t first = m->builder->late_from < n ? m->builder->late_from : 0;
	int r = write_sources(m);

	for (size_t j = 0; j < n && r == 0; j++) {
		size_t i = j < n - first ? first + j : j - (n - first);

		m->service_of[m->services.ids[i]] = &m->model->services[i];
		r = write_service(m, i);
	}
	if (r == 0)
		r = index_services(m);
	return r == 0 ? index_returns(m) : r;
}

// Our own addresses

static struct own_address *find_own(struct making *m, const struct address *address)
{
	return (struct own_address *)forwarding_table_find_own(&m->built->table, address);
}

static void add_own(struct making *m, const struct own_address *own)
{
	struct forwarding_table *table = &m->built->table;

	m->own[table->n_own] = *own;
	index_builder_put(
		&table->own_index, index_hash_address(&own->address), (uint32_t)table->n_own++);
}

static int write_snat(struct making *m, enum family family)
{
	const struct model *model = m->model;
	char text[ADDRESS_TEXT_MAX];

	if (model->n_snat[family] > SNAT_ADDRESSES_MAX)
		return complain(m, -EINVAL, "there are more than %d SNAT addresses of a family",
			SNAT_ADDRESSES_MAX);

	for (size_t i = 0; i < model->n_snat[family]; i++) {
		const struct address *address = &model->snat[family][i];

		if (find_own(m, address) != NULL || address_family(address) != family)
			return complain(m, -EINVAL,
				"SNAT address %s comes twice, or among the wrong family's",
				address_format(address, text));
		m->snat_rows[family][i] = *address;
		m->built->table.snat_filter[snat_filter_place(address)] = true;
		add_own(m,
			&(struct own_address){
				.address = *address,
				.kind = OWN_SNAT,
				.snat_index = (uint8_t)i,
				.answers_arp = !model->snat_is_shared,
				.rejects = true,
				.is_shared = model->snat_is_shared,
			});
	}
	m->built->table.snat[family] = m->snat_rows[family];
	m->built->table.n_snat[family] = model->n_snat[family];
	return 0;
}

static int write_vip(struct making *m, const struct model_service *service)
{
	struct own_address *own = find_own(m, &service->vip);

	if (own != NULL && own->kind == OWN_SNAT)
		return complain(
			m, -EINVAL, "service %s has an SNAT address for its VIP", service->name);
	if (own != NULL)
		own->answers_arp |= service->answers_arp;
	else
		add_own(m,
			&(struct own_address){
				.address = service->vip,
				.kind = OWN_VIP,
				.answers_arp = service->answers_arp,
				.rejects = service->rejects,
			});
	return 0;
}

// One that is ours already stays what it is.
static void write_tunnel_sources(struct making *m)
{
	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		const struct address *source = &m->model->settings.tunnel_source[family];

		if (!address_is_none(source) && find_own(m, source) == NULL)
			add_own(m, &(struct own_address){.address = *source, .kind = OWN_TUNNEL});
	}
}

static bool answers_as_before(const struct making *m)
{
	for (size_t i = 0; i < m->model->n_services; i++) {
		const struct model_service *service = &m->model->services[i];
		const struct known_service *before =
			&m->before->known[m->before->place_of[m->services.ids[i]]];

		if (service->answers_arp != before->answers_arp ||
			service->rejects != before->rejects)
			return false;
	}
	return true;
}

static bool has_same_own(const struct making *m)
{
	const struct forwarding_settings *settings = &m->model->settings;
	const struct forwarding_table *before = m->same_endpoints ? &m->before->table : NULL;
	bool same = before != NULL &&
		memcmp(settings->tunnel_source, before->settings.tunnel_source,
			sizeof(settings->tunnel_source)) == 0;

	for (enum family f = IPV4; same && f < N_FAMILIES; f++)
		same = m->model->n_snat[f] == before->n_snat[f] &&
			(before->n_snat[f] == 0 ||
				memcmp(m->model->snat[f], before->snat[f],
					before->n_snat[f] * sizeof(struct address)) == 0);
	return same && answers_as_before(m);
}

static void copy_own(struct making *m)
{
	const struct forwarding_table *before = &m->before->table;
	struct forwarding_table *table = &m->built->table;

	memcpy(m->own, before->own, before->n_own * sizeof(*m->own));
	table->n_own = before->n_own;
	table->own_index = copy_index(&before->own_index, m->own_slots, m->sizes.own_slots);
	memcpy(table->snat_filter, before->snat_filter, sizeof(table->snat_filter));
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		memcpy(m->snat_rows[f], before->snat[f],
			before->n_snat[f] * sizeof(struct address));
		table->snat[f] = m->snat_rows[f];
		table->n_snat[f] = before->n_snat[f];
	}
}

static int write_own(struct making *m)
{
	if (has_same_own(m)) {
		copy_own(m);
		return 0;
	}
	m->built->table.own_index = index_builder_begin(m->own_slots, m->sizes.own_slots);

	int r = write_snat(m, IPV4);
	if (r == 0)
		r = write_snat(m, IPV6);
	for (size_t id = 0; id < m->built->table.n_services && r == 0; id++) {
		if (m->service_of[id] != NULL)
			r = write_vip(m, m->service_of[id]);
	}
	if (r == 0)
		write_tunnel_sources(m);
	return r;
}

// The whole

static int begin(struct making *m)
{
	int r = take_ids(m);
	if (r < 0)
		return r;

	r = create_built(m);
	if (r < 0)
		return r;

	m->sets = (struct target_sets){
		.rings = m->builder->rings,
		.states = m->builder->states,
		.model = m->model,
		.ids = m->nodes.ids,
		.identities = m->identities,
		.n_nodes = m->built->table.n_nodes,
		.before = m->before == NULL ? NULL : m->before->sets,
		.n_rings_max = m->builder->n_rings_max,
	};
	m->service_of = calloc(m->built->table.n_services + 1, sizeof(*m->service_of));
	if (m->service_of == NULL)
		return -ENOMEM;
	return target_sets_create(&m->sets);
}

static int make(struct making *m)
{
	int r = begin(m);
	if (r < 0)
		return r;

	write_nodes(m);
	r = write_services(m);
	if (r < 0)
		return r;
	return write_own(m);
}

static void mark_keys(const struct keys *keys, uint64_t generation)
{
	for (size_t i = 0; i < keys->n; i++) {
		if (keys->ids[i] != ID_NONE)
			id_store_mark(keys->store, keys->ids[i], generation);
	}
}

// For the next table.
static void know_services(struct making *m)
{
	struct built *built = m->built;

	built->known = m->known;
	built->place_of = m->place_of;
	built->n_known = m->model->n_services;
	for (size_t i = 0; i < built->n_known; i++) {
		const struct model_service *service = &m->model->services[i];

		built->place_of[m->services.ids[i]] = (uint32_t)i;
		built->known[i] = (struct known_service){
			.name = service->name,
			.name_hash = service->name_hash,
			.ring = built->known[i].ring,
			.id = m->services.ids[i],
			.answers_arp = service->answers_arp,
			.rejects = service->rejects,
		};
	}
}

// Nothing can fail any more.
static void commit(struct making *m)
{
	struct table_builder *b = m->builder;

	b->generation = m->built->table.generation;
	b->late_from = m->late_from;
	mark_keys(&m->services, b->generation);
	mark_keys(&m->nodes, b->generation);
	for (size_t i = 0; i < m->nodes.n; i++) {
		if (m->nodes.ids[i] != ID_NONE)
			strcpy(b->node_names[m->nodes.ids[i]],
				m->model->nodes[i / N_FAMILIES].name);
	}

	m->report.n_rings_built = m->sets.n_rings_built;
	m->built->sets = target_sets_give(&m->sets);
	made_sets_count(m->built->sets, &m->report.n_rings_scaled, &m->report.n_targets_left_out);
	know_services(m);
	m->built->next = b->built;
	b->built = m->built;
}

static void give_up(struct making *m)
{
	take_back_fresh(&m->services);
	take_back_fresh(&m->nodes);
	if (m->built != NULL)
		destroy_built(m->builder, m->built);
}

static void clean_up(struct making *m)
{
	if (m->sets.model != NULL)
		target_sets_destroy(&m->sets);
	destroy_keys(&m->services);
	destroy_keys(&m->nodes);
	free(m->identities);
	free(m->service_of);
}

int table_builder_build(struct table_builder *b, const struct model *model,
	const struct next_hop_finder *finder, const struct forwarding_table **ret_table,
	struct build_report *ret_report, char ret_why[WHY_MAX])
{
	struct making m = {
		.builder = b, .model = model, .finder = finder, .before = b->built, .why = ret_why};

	strcpy(ret_why, "out of memory");
	int r = make(&m);
	if (r == 0) {
		commit(&m);
		*ret_table = &m.built->table;
		if (ret_report != NULL)
			*ret_report = m.report;
	} else {
		give_up(&m);
	}
	clean_up(&m);
	return r;
}

// Ids

service_id table_builder_service(const struct table_builder *b, const struct model_service *service)
{
	struct id_key key = service_key(service);

	return id_store_find(b->services, &key);
}

node_id table_builder_node(const struct table_builder *b, const struct address *address)
{
	struct id_key key = node_key(address);
	uint32_t id = id_store_find(b->nodes, &key);

	return id == ID_NONE ? NODE_NONE : (node_id)id;
}

const char *table_builder_service_name(const struct table_builder *b, service_id id)
{
	const struct id_key *key = id_store_key(b->services, id);

	return key == NULL ? NULL : key->name;
}

const char *table_builder_node_name(const struct table_builder *b, node_id id)
{
	return id_store_key(b->nodes, id) == NULL ? NULL : b->node_names[id];
}

const struct address *table_builder_node_address(const struct table_builder *b, node_id id)
{
	const struct id_key *key = id_store_key(b->nodes, id);

	return key == NULL ? NULL : &key->address;
}

bool table_builder_knows_service(const struct table_builder *b, const char *name)
{
	for (service_id id = 0; id < id_store_end(b->services); id++) {
		const char *other = table_builder_service_name(b, id);

		if (other != NULL && strcmp(name, other) == 0)
			return true;
	}
	return false;
}

bool table_builder_knows_node(const struct table_builder *b, const char *name)
{
	for (size_t id = 0; id < id_store_end(b->nodes); id++) {
		const char *other = table_builder_node_name(b, (node_id)id);

		if (other != NULL && strcmp(name, other) == 0)
			return true;
	}
	return false;
}

// The oldest generation that a worker may still see, or one that none has.
static uint64_t oldest_lent(const struct table_builder *b)
{
	uint64_t oldest = UINT64_MAX;

	for (const struct built *built = b->built; built != NULL; built = built->next)
		oldest = built->table.generation;
	return oldest;
}

static size_t free_ids(
	const struct table_builder *b, struct id_store *store, id_held_fn *held, void *argument)
{
	uint64_t oldest = oldest_lent(b);
	size_t n = 0;

	// Downwards: what is removed may be the end.
	for (size_t id = id_store_end(store); id-- > 0;) {
		uint64_t generation = id_store_generation(store, (uint32_t)id);

		if (id_store_key(store, (uint32_t)id) == NULL || generation == b->generation ||
			generation >= oldest || held(argument, (uint32_t)id))
			continue;
		id_store_remove(store, (uint32_t)id);
		n++;
	}
	return n;
}

size_t table_builder_free_ids(
	struct table_builder *b, id_held_fn *service_held, id_held_fn *node_held, void *argument)
{
	return free_ids(b, b->services, service_held, argument) +
		free_ids(b, b->nodes, node_held, argument);
}

bool table_builder_end_flows(struct table_builder *b, id_held_fn *service_held, void *argument)
{
	bool found = false;

	// By an older table a worker may begin one still.
	if (b->built == NULL || oldest_lent(b) != b->generation)
		return false;
	for (uint32_t id = 0; id < b->built->table.n_services; id++) {
		const struct service *service = &b->built->table.services[id];

		b->has_ended[id] = service_exists(service) && service->keeps_flows &&
			!service_held(argument, id);
		found |= b->has_ended[id];
	}
	return found;
}
