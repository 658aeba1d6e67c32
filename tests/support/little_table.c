#include "little_table.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "little_table: %s\n", what);
	abort();
}

struct address address_of(const char *text)
{
	struct in_addr ipv4;
	struct in6_addr ipv6;

	if (inet_pton(AF_INET, text, &ipv4) == 1)
		return address_from_ipv4(ipv4.s_addr);
	require(inet_pton(AF_INET6, text, &ipv6) == 1, text);
	return address_from_ipv6(&ipv6);
}

static void clear_step(struct route_step *step, uint32_t entry)
{
	for (size_t i = 0; i < 256; i++)
		step->entries[i] = entry;
}

struct little_table *little_table_create(void)
{
	struct little_table *t = calloc(1, sizeof(*t));

	require(t != NULL, "out of memory");
	for (int f = 0; f < N_FAMILIES; f++) {
		clear_step(&t->steps[f][0], NEXT_HOP_NONE);
		t->n_steps[f] = 1;
		t->table.routes.steps[f] = t->steps[f];
		t->table.snat[f] = t->snat[f];
	}
	t->table.generation = 1;
	t->table.services = t->services;
	t->table.nodes = t->nodes;
	t->table.own = t->own;
	t->table.settings = (struct forwarding_settings){
		.tcp_half_open_s = 30,
		.tcp_closing_s = 60,
		.udp_one_way_s = 30,
		.snat_rest_s = 60,
		.reset_unknown_tcp = true,
		.reset_dead_target = true,
		.answers_per_s = 1000,
		.echoes_per_s = 1000,
		.all_per_s = 1000000,
		.gue_port = htons(6080),
	};
	return t;
}

node_id little_table_add_node(
	struct little_table *t, const char *ipv4, const char *ipv6, next_hop_id next_hop)
{
	require(t->table.n_nodes < LITTLE_NODES, "too many nodes");
	struct node *node = &t->nodes[t->table.n_nodes];

	*node = (struct node){
		.next_hop = {NEXT_HOP_NONE, NEXT_HOP_NONE}, .is_neighbour = {true, true}};
	if (ipv4 != NULL) {
		node->ipv4 = address_of(ipv4).words[3];
		node->next_hop[IPV4] = next_hop;
	}
	if (ipv6 != NULL) {
		node->ipv6 = address_of(ipv6);
		node->next_hop[IPV6] = next_hop;
	}
	return (node_id)t->table.n_nodes++;
}

static uint64_t salt_of(service_id id)
{
	return 0x9e3779b97f4a7c15 * (id + 1);
}

service_id little_table_add_service(struct little_table *t, const char *vip, uint16_t port,
	uint8_t protocol, uint16_t node_port, const node_id *nodes, size_t n)
{
	require(t->table.n_services < LITTLE_RINGS, "too many services");
	service_id id = (service_id)t->table.n_services++;
	struct address address = address_of(vip);

	for (size_t i = 0; n > 0 && i < LITTLE_RING; i++)
		t->rings[id][i] = nodes[i % n];
	for (size_t i = 0; i < n; i++)
		t->states[id][nodes[i]] = TARGET_UP;
	t->services[id] = (struct service){
		.vip = address,
		.ring = n > 0 ? t->rings[id] : NULL,
		.states = t->states[id],
		.salt = salt_of(id),
		.ring_size = LITTLE_RING,
		.idle_s = 300,
		.port = htons(port),
		.node_port = htons(node_port),
		.protocol = protocol,
		.target_family = address_family(&address),
	};
	return id;
}

service_id little_table_add_like(
	struct little_table *t, service_id id, uint16_t port, uint16_t node_port)
{
	require(t->table.n_services < LITTLE_SERVICES, "too many services");
	service_id added = (service_id)t->table.n_services++;
	struct service *service = &t->services[added];

	memcpy(t->states[added], t->states[id], sizeof(t->states[id]));
	*service = t->services[id];
	service->states = t->states[added];
	service->salt = salt_of(added);
	service->port = htons(port);
	service->node_port = htons(node_port);
	return added;
}

void little_table_set_mode(struct little_table *t, service_id id, enum forwarding_mode mode,
	enum family target_family, enum tunnel_kind tunnel_kind)
{
	t->services[id].mode = mode;
	t->services[id].target_family = target_family;
	t->services[id].tunnel_kind = tunnel_kind;
}

static void add_own(struct little_table *t, struct own_address own)
{
	require(t->table.n_own < LITTLE_ADDRESSES, "too many addresses");
	t->own[t->table.n_own++] = own;
}

void little_table_add_vip(struct little_table *t, const char *vip, bool answers_arp)
{
	add_own(t,
		(struct own_address){.address = address_of(vip),
			.kind = OWN_VIP,
			.answers_arp = answers_arp,
			.rejects = true});
}

void little_table_add_tunnel_source(struct little_table *t, const char *text)
{
	struct address address = address_of(text);

	t->table.settings.tunnel_source[address_family(&address)] = address;
	add_own(t, (struct own_address){.address = address, .kind = OWN_TUNNEL});
}

void little_table_add_snat(struct little_table *t, const char *text)
{
	struct address address = address_of(text);
	enum family family = address_family(&address);
	size_t *n = &t->table.n_snat[family];

	require(*n < LITTLE_SNAT, "too many SNAT addresses");
	t->snat[family][*n] = address;
	t->table.snat_filter[snat_filter_place(&address)] = true;
	add_own(t,
		(struct own_address){.address = address,
			.kind = OWN_SNAT,
			.snat_index = (uint8_t)*n,
			.answers_arp = true});
	(*n)++;
}

// The step below 'entry', made if there is none: it says what the entry said.
static struct route_step *step_below(struct little_table *t, enum family family, uint32_t *entry)
{
	if (!(*entry & ROUTE_CHILD)) {
		require(t->n_steps[family] < LITTLE_STEPS, "too many steps of routes");
		clear_step(&t->steps[family][t->n_steps[family]], *entry);
		*entry = ROUTE_CHILD | (uint32_t)t->n_steps[family]++;
	}
	return &t->steps[family][*entry & ~ROUTE_CHILD];
}

void little_table_add_route(struct little_table *t, const char *prefix, next_hop_id next_hop)
{
	char text[ADDRESS_TEXT_MAX] = "";
	unsigned bits;

	require(sscanf(prefix, "%45[^/]/%u", text, &bits) == 2, prefix);
	struct address address = address_of(text);
	enum family family = address_family(&address);
	const uint8_t *bytes = &address.bytes[family == IPV4 ? 12 : 0];
	struct route_step *step = &t->steps[family][0];

	for (; bits > 8; bits -= 8)
		step = step_below(t, family, &step->entries[*bytes++]);
	for (unsigned i = 0; i < 1u << (8 - bits); i++) {
		require(!(step->entries[*bytes + i] & ROUTE_CHILD), "longer prefixes come last");
		step->entries[*bytes + i] = next_hop;
	}
}

// Of LITTLE_SLOTS at least, and at most half full.
static struct index empty_index(struct index_slot *slots, size_t n_keys)
{
	size_t n_slots = LITTLE_SLOTS;

	while (n_slots < 2 * n_keys)
		n_slots *= 2;
	for (size_t i = 0; i < n_slots; i++)
		slots[i] = (struct index_slot){.at = INDEX_EMPTY};
	return (struct index){.mask = (uint32_t)n_slots - 1, .slots = slots};
}

static void index_put(const struct index *index, uint64_t hash, size_t at)
{
	struct index_slot *slots = (struct index_slot *)index->slots; // The table's, who lets us.
	uint32_t i = (uint32_t)hash & index->mask;

	while (slots[i].at != INDEX_EMPTY)
		i = (i + 1) & index->mask;
	slots[i] = (struct index_slot){.tag = (uint32_t)(hash >> 32), .at = (uint32_t)at};
}

static void index_nodes(struct little_table *t)
{
	const struct index *index = &t->table.node_index;

	for (size_t i = 0; i < t->table.n_nodes; i++) {
		struct address ipv4 = address_from_ipv4(t->nodes[i].ipv4);

		if (t->nodes[i].ipv4 != 0)
			index_put(index, index_hash_address(&ipv4), i);
		if (!address_is_none(&t->nodes[i].ipv6))
			index_put(index, index_hash_address(&t->nodes[i].ipv6), i);
	}
}

static void index_service(struct little_table *t, size_t i)
{
	const struct service *s = &t->services[i];

	index_put(&t->table.service_index, index_hash_endpoint(&s->vip, s->port, s->protocol), i);
	if (s->mode != MODE_DNAT)
		return;
	t->table.n_returns++;
	index_put(&t->table.return_index,
		index_hash_node_port(s->target_family, s->node_port, s->protocol), i);
}

void little_table_finish(struct little_table *t)
{
	struct forwarding_table *table = &t->table;

	table->service_index = empty_index(t->service_slots, table->n_services);
	table->node_index = empty_index(t->node_slots, N_FAMILIES * table->n_nodes);
	table->own_index = empty_index(t->own_slots, table->n_own);
	table->return_index = empty_index(t->return_slots, table->n_services);
	table->n_returns = 0;

	for (size_t i = 0; i < table->n_services; i++)
		index_service(t, i);
	for (size_t i = 0; i < table->n_own; i++)
		index_put(&table->own_index, index_hash_address(&t->own[i].address), i);
	index_nodes(t);
}
