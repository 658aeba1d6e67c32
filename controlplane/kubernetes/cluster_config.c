#include "cluster_config.h"

#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "index_builder.h"

#define HEALTHZ "/healthz"

enum {
	KUBE_PROXY_PORT = 10256, // Where kube-proxy tells of itself.
	NOT_A_NODE = -1,
};

// Nodes that a service uses, as a configuration has them.
struct node_list {
	size_t *nodes; // [n] Indexes into the configuration's nodes, in rising order.
	size_t n;
	uint32_t *weights; // [n], or NULL.
};

struct service_piece {
	size_t n_references;
	struct cluster_ground *ground;    // What its lists are of.
	struct source_list sources;       // Its own copy; n 0 for none.
	size_t sources_at;                // 1 more than its index in the configuration; 0 for none.
	struct node_list own[N_FAMILIES]; // Of a Service that is Local, by the VIP's family.
	size_t n;
	struct service_config services[];
};

// Which of the configuration's nodes one of the cluster is.
struct node_place {
	char name[NAME_TEXT_MAX]; // In the cluster.
	size_t at;                // SIZE_MAX for one that is left out.
};

struct cluster_ground {
	size_t n_references;
	const struct config *file;
	struct node_config *nodes; // [n_nodes] The file's, then the cluster's.
	size_t n_nodes;
	struct node_list used[N_FAMILIES]; // The cluster's nodes that have an address of it.
	struct node_place *places;         // [n_places], by name.
	size_t n_places;
	struct address *addresses; // [n_addresses] Of all nodes of the cluster, used or not,
	size_t n_addresses;
	struct index_slot *slots; // and where they are found.
	struct index index;
	bool meets_a_vip; // A node is left out whose address was given to a Service.
	struct text_lines left_out;
};

struct cluster_config {
	struct config config;
	struct cluster_ground *ground;
	struct service_piece **pieces; // [n_pieces]
	size_t n_pieces;
};

// Whose an address is already.
struct claim {
	struct address address;
	long node;  // Index into the ground's nodes, or NOT_A_NODE.
	bool taken; // A node of the file that is a node of the cluster.
};

// A ground in the making.
struct grounding {
	const struct config *file;
	const struct cluster_view *view;
	struct cluster_ground *ground;
	struct claim *claims; // [n_claims], their tree below.
	size_t n_claims;
	void *claimed;
};

struct joining {
	const struct config *file;
	const struct cluster_view *view;
	struct cluster_ground *ground;
	struct cluster_config *joined;
	struct text_lines *left_out;
	void *sources; // Tree of pointers into the configuration's source lists.
};

void cluster_service_name(const struct service_object *object, const struct service_port *port,
	enum family family, char ret_name[NAME_TEXT_MAX])
{
	const char *protocol = port->protocol == IPPROTO_TCP ? "tcp"
		: port->protocol == IPPROTO_UDP              ? "udp"
							     : "sctp";

	snprintf(ret_name, NAME_TEXT_MAX, "%s:%u/%s%s", object->key, port->port, protocol,
		family == IPV6 ? "6" : "");
}

// Who has which address

static int compare_claims(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct address));
}

static void claim(struct grounding *g, const struct address *address, long node)
{
	struct claim *new = &g->claims[g->n_claims];

	*new = (struct claim){.address = *address, .node = node};
	struct claim **place = tsearch(new, &g->claimed, compare_claims);
	if (place != NULL && *place == new)
		g->n_claims++;
}

static struct claim *find_claim(const struct grounding *g, const struct address *address)
{
	struct claim **place = tfind(address, &g->claimed, compare_claims);

	return place == NULL ? NULL : *place;
}

static void claim_what_the_file_has(struct grounding *g)
{
	const struct config *file = g->file;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		for (size_t i = 0; i < file->n_snat[f]; i++)
			claim(g, &file->snat[f][i], NOT_A_NODE);
		for (size_t i = 0; i < file->n_nodes; i++) {
			if (!address_is_none(&file->nodes[i].address[f]))
				claim(g, &file->nodes[i].address[f], (long)i);
		}
	}
	for (size_t i = 0; i < file->n_services; i++)
		claim(g, &file->services[i]->vip, NOT_A_NODE);
}

static void claim_what_is_given(struct grounding *g)
{
	for (size_t i = 0; i < g->view->n_services; i++) {
		for (enum family f = IPV4; f < N_FAMILIES; f++) {
			if (!address_is_none(&g->view->services[i].address[f]))
				claim(g, &g->view->services[i].address[f], NOT_A_NODE);
		}
	}
}

// Nodes

static void use_node(struct cluster_ground *ground, size_t node)
{
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&ground->nodes[node].address[f]))
			ground->used[f].nodes[ground->used[f].n++] = node;
	}
}

// A node of the file that has the same addresses is the same node. Returns NULL if there is none,
// or another node of the cluster has them.
static struct claim *find_twin(const struct grounding *g, const struct node_object *node)
{
	enum family f = address_is_none(&node->address[IPV4]) ? IPV6 : IPV4;
	struct claim *found = find_claim(g, &node->address[f]);

	if (found == NULL || found->node == NOT_A_NODE || found->taken ||
		(size_t)found->node >= g->file->n_nodes)
		return NULL;
	return memcmp(g->file->nodes[found->node].address, node->address, sizeof(node->address)) ==
			0
		? found
		: NULL;
}

static int say_conflict(struct grounding *g, const struct node_object *node, enum family family)
{
	char why[128], text[ADDRESS_TEXT_MAX];
	const struct claim *other = find_claim(g, &node->address[family]);

	g->ground->meets_a_vip |= other->node == NOT_A_NODE;
	snprintf(why, sizeof(why), "its address %s is %s%.40s; must be its own",
		address_format(&node->address[family], text),
		other->node == NOT_A_NODE ? "a VIP or an SNAT address" : "that of node ",
		other->node == NOT_A_NODE ? "" : g->ground->nodes[other->node].name);
	return text_lines_add(&g->ground->left_out, "node %s is not used: %s", node->name, why);
}

static size_t take_node(struct grounding *g, const struct node_object *node)
{
	struct cluster_ground *ground = g->ground;
	struct node_config *to = &ground->nodes[ground->n_nodes];

	strcpy(to->name, node->name);
	memcpy(to->address, node->address, sizeof(to->address));
	to->weight = 1;
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&to->address[f]))
			claim(g, &to->address[f], (long)ground->n_nodes);
	}
	use_node(ground, ground->n_nodes);
	return ground->n_nodes++;
}

static int add_node(struct grounding *g, const struct node_object *node, size_t *ret_at)
{
	struct cluster_ground *ground = g->ground;
	struct claim *twin = find_twin(g, node);

	*ret_at = SIZE_MAX;
	if (twin != NULL) {
		twin->taken = true;
		*ret_at = (size_t)twin->node;
		use_node(ground, *ret_at);
		return 0;
	}
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&node->address[f]) && find_claim(g, &node->address[f]) != NULL)
			return say_conflict(g, node, f);
	}
	if (ground->n_nodes == g->file->nodes_max)
		return text_lines_add(&ground->left_out,
			"node %s is not used: memory.nodes has no room for more", node->name);
	*ret_at = take_node(g, node);
	return 0;
}

static int compare_indexes(const void *left, const void *right)
{
	size_t a = *(const size_t *)left, b = *(const size_t *)right;

	return a < b ? -1 : a > b;
}

static void index_addresses(struct cluster_ground *ground, const struct node_object *node)
{
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (address_is_none(&node->address[f]))
			continue;
		ground->addresses[ground->n_addresses] = node->address[f];
		index_builder_put(&ground->index, index_hash_address(&node->address[f]),
			(uint32_t)ground->n_addresses++);
	}
}

static int add_nodes(struct grounding *g)
{
	struct cluster_ground *ground = g->ground;
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->view->n_nodes; i++) {
		struct node_place *place = &ground->places[ground->n_places++];

		strcpy(place->name, g->view->nodes[i]->name);
		index_addresses(ground, g->view->nodes[i]);
		r = add_node(g, g->view->nodes[i], &place->at);
	}
	for (enum family f = IPV4; f < N_FAMILIES; f++) // Those of the file are not in order.
		qsort(ground->used[f].nodes, ground->used[f].n, sizeof(size_t), compare_indexes);
	return r;
}

// The ground

// One more than asked, since calloc() may answer a wish for nothing with NULL.
static void *array(size_t n, size_t size)
{
	return calloc(n + 1, size);
}

static bool allocate_ground(struct grounding *g)
{
	const struct config *file = g->file;
	struct cluster_ground *ground = g->ground;
	size_t n_nodes = file->n_nodes + g->view->n_nodes;
	size_t n_slots = index_builder_slots(g->view->n_nodes * N_FAMILIES);
	size_t n_claims = file->n_snat[IPV4] + file->n_snat[IPV6] + file->n_services +
		(n_nodes + g->view->n_services) * N_FAMILIES;

	ground->nodes = array(n_nodes, sizeof(*ground->nodes));
	ground->used[IPV4].nodes = array(n_nodes, sizeof(size_t));
	ground->used[IPV6].nodes = array(n_nodes, sizeof(size_t));
	ground->places = array(g->view->n_nodes, sizeof(*ground->places));
	ground->addresses = array(g->view->n_nodes * N_FAMILIES, sizeof(*ground->addresses));
	ground->slots = array(n_slots, sizeof(*ground->slots));
	g->claims = array(n_claims, sizeof(*g->claims));
	if (ground->nodes == NULL || ground->used[IPV4].nodes == NULL ||
		ground->used[IPV6].nodes == NULL || ground->places == NULL ||
		ground->addresses == NULL || ground->slots == NULL || g->claims == NULL)
		return false;
	ground->index = index_builder_begin(ground->slots, n_slots);
	return true;
}

static void keep(void *)
{
}

static int make_ground(struct grounding *g)
{
	const struct config *file = g->file;

	if (g->ground == NULL || !allocate_ground(g))
		return -ENOMEM;
	g->ground->n_references = 1;
	g->ground->file = file;
	g->ground->n_nodes = file->n_nodes; // What the file has stays in its place.
	if (file->n_nodes > 0)
		memcpy(g->ground->nodes, file->nodes, file->n_nodes * sizeof(*file->nodes));
	claim_what_the_file_has(g);
	claim_what_is_given(g);
	return add_nodes(g);
}

static struct cluster_ground *create_ground(
	const struct config *file, const struct cluster_view *view)
{
	struct grounding g = {
		.file = file, .view = view, .ground = calloc(1, sizeof(struct cluster_ground))};
	int r = make_ground(&g);

	tdestroy(g.claimed, keep);
	free(g.claims);
	if (r == 0)
		return g.ground;
	cluster_ground_release(g.ground);
	return NULL;
}

void cluster_ground_release(struct cluster_ground *ground)
{
	if (ground == NULL || (ground->n_references > 0 && --ground->n_references > 0))
		return;

	free(ground->nodes);
	free(ground->used[IPV4].nodes);
	free(ground->used[IPV6].nodes);
	free(ground->places);
	free(ground->addresses);
	free(ground->slots);
	text_lines_clear(&ground->left_out);
	free(ground);
}

static bool has_address(const struct cluster_ground *ground, const struct address *address)
{
	uint64_t hash = index_hash_address(address);

	for (uint32_t i = (uint32_t)hash & ground->index.mask;; i = (i + 1) & ground->index.mask) {
		const struct index_slot *slot = &ground->index.slots[i];

		if (slot->at == INDEX_EMPTY)
			return false;
		if (slot->tag == (uint32_t)(hash >> 32) &&
			address_equal(&ground->addresses[slot->at], address))
			return true;
	}
}

static bool is_to_be_made(const struct kept_piece *kept)
{
	return kept->piece == NULL || kept->is_stale;
}

// Whether a Service was given the address of a node, since the ground was made.
static bool meets_a_vip(const struct cluster_ground *ground, const struct cluster_view *view)
{
	for (size_t i = 0; i < view->n_services; i++) {
		for (enum family f = IPV4; f < N_FAMILIES; f++) {
			const struct address *vip = &view->services[i].address[f];

			if (!is_to_be_made(view->services[i].kept))
				break;

			if (!address_is_none(vip) && has_address(ground, vip))
				return true;
		}
	}
	return false;
}

// The kept one, where that is as good as a new one. Returns 0 or -ENOMEM.
static int take_ground(struct joining *j)
{
	struct cluster_ground **kept = j->view->ground;

	if (*kept == NULL || (*kept)->meets_a_vip || meets_a_vip(*kept, j->view)) {
		struct cluster_ground *new = create_ground(j->file, j->view);

		if (new == NULL)
			return -ENOMEM;
		cluster_ground_release(*kept);
		*kept = new;
	}
	j->ground = *kept;
	return 0;
}

// Sources

static int compare_lists(const void *left, const void *right)
{
	const struct source_list *a = left, *b = right;

	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return memcmp(a->prefixes, b->prefixes, a->n * sizeof(*a->prefixes));
}

// Returns 1 more than the index of the list, or 0 when out of memory.
static size_t intern(struct joining *j, const struct source_list *list)
{
	struct config *config = &j->joined->config;
	struct source_list *new = &config->source_lists[config->n_source_lists];

	*new = *list;
	struct source_list **place = tsearch(new, &j->sources, compare_lists);
	if (place == NULL)
		return 0;
	if (*place == new)
		config->n_source_lists++;
	return (size_t)(*place - config->source_lists) + 1;
}

// The configuration's list 'at' is a piece's from now on.
static void own_list(struct joining *j, size_t at, const struct service_piece *piece)
{
	j->joined->config.source_lists[at - 1] = piece->sources;
}

static int take_source_lists(struct joining *j)
{
	for (size_t i = 0; i < j->file->n_source_lists; i++) {
		if (intern(j, &j->file->source_lists[i]) == 0)
			return -ENOMEM;
	}
	return 0;
}

// Services

// Nothing that is sent to a UDP or SCTP port must be answered.
static bool can_be_connected(const struct service_port *port)
{
	return port->protocol == IPPROTO_TCP && port->node_port != 0;
}

// How its nodes are asked: where only those with endpoints of its own may be used, about the
// Service; else, kube-proxy about the node as a whole.
static struct check_config check_of(const struct config *file, const struct service_object *object,
	const struct service_port *port)
{
	uint32_t node_check = file->kubernetes.node_check;
	bool by_http = object->is_local ? object->health_check_port != 0
					: node_check == NODE_CHECK_KUBE_PROXY;
	bool by_tcp =
		!object->is_local && node_check == NODE_CHECK_NODE_PORT && can_be_connected(port);
	struct check_config check = file->check;

	check.kind = by_http ? CHECK_HTTP : by_tcp ? CHECK_TCP : CHECK_NONE;
	check.port = by_tcp ? 0 : object->is_local ? object->health_check_port : KUBE_PROXY_PORT;
	check.status_first = check.status_last = 200;
	check.host[0] = '\0';
	strcpy(check.path, HEALTHZ);
	return check;
}

// Tunnels lead to either family: the VIP's, where a node has it.
static enum family target_family(
	const struct cluster_ground *ground, const struct admission *admission, enum family family)
{
	const struct forwarding_settings *settings = &ground->file->settings;
	enum family other = family == IPV4 ? IPV6 : IPV4;
	bool has_source = !address_is_none(&settings->tunnel_source[family]);

	if (admission->mode != MODE_TUNNEL ||
		(has_source && ground->used[family].n >= ground->used[other].n))
		return family;
	return address_is_none(&settings->tunnel_source[other]) ? family : other;
}

static struct service_config service_at(const struct joining *j, const struct served *served,
	const struct service_port *port, enum family family)
{
	const struct config *file = j->file;
	enum family target = target_family(j->ground, served->admission, family);
	struct service_config service = {
		.vip = served->address[family],
		.port = port->port,
		.node_port = port->node_port,
		.protocol = port->protocol,
		.mode = served->admission->mode,
		.tunnel_kind = served->admission->tunnel_kind,
		.target_family = target,
		.check = check_of(file, served->object, port),
		.nodes = j->ground->used[target].nodes,
		.n_nodes = j->ground->used[target].n,
		.idle_s = port->protocol == IPPROTO_TCP ? file->tcp_idle_s : file->udp_idle_s,
		.affinity_s = served->object->affinity_s,
		.announce = true,
		.answers_arp = true,
		.rejects = true,
	};

	cluster_service_name(served->object, port, family, service.name);
	return service;
}

// Which of the configuration's nodes has that name in the cluster; SIZE_MAX if none is used.
static size_t find_node(const struct cluster_ground *ground, const char *name)
{
	size_t low = 0, high = ground->n_places;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, ground->places[middle].name);

		if (order == 0)
			return ground->places[middle].at;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return SIZE_MAX;
}

// A list of its own for a Service that is Local: nodes with endpoints, by how many there are.
static int take_shares(const struct cluster_ground *ground, struct endpoint_shares *shares,
	enum family family, enum family target, struct node_list *ret_list)
{
	struct share_list list = endpoint_shares_find(shares, family);
	struct node_list own = {
		.nodes = array(list.n, sizeof(*own.nodes)),
		.weights = array(list.n, sizeof(*own.weights)),
	};

	*ret_list = own;
	if (own.nodes == NULL || own.weights == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < list.n; i++) {
		size_t node = find_node(ground, list.shares[i].node);

		if (node == SIZE_MAX || address_is_none(&ground->nodes[node].address[target]))
			continue;
		own.nodes[own.n] = node;
		own.weights[own.n++] = list.shares[i].weight;
	}
	*ret_list = own;
	return 0;
}

static int take_endpoints(
	const struct joining *j, const struct served *served, struct service_piece *piece)
{
	size_t n;
	struct slice_object *const *slices =
		j->view->slices(j->view->argument, served->object->key, &n);
	struct endpoint_shares *shares = endpoint_shares_create(slices, n);
	int r = shares == NULL ? -ENOMEM : 0;

	for (enum family f = IPV4; r == 0 && f < N_FAMILIES; f++)
		r = take_shares(j->ground, shares, f,
			target_family(j->ground, served->admission, f), &piece->own[f]);
	endpoint_shares_destroy(shares);
	return r;
}

static void add_services(
	const struct joining *j, const struct served *served, struct service_piece *piece)
{
	const struct service_object *object = served->object;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		for (size_t i = 0; i < object->n_ports; i++) {
			const struct service_port *port = &object->ports[i];
			struct service_config *service = &piece->services[piece->n];

			if (address_is_none(&served->address[f]) ||
				admission_port_error(served->admission, port) != NULL)
				continue;
			*service = service_at(j, served, port, f);
			service->sources = piece->sources_at;
			if (object->is_local) {
				service->nodes = piece->own[f].nodes;
				service->weights = piece->own[f].weights;
				service->n_nodes = piece->own[f].n;
			}
			piece->n++;
		}
	}
}

// Pieces

void service_piece_release(struct service_piece *piece)
{
	if (piece == NULL || --piece->n_references > 0)
		return;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		free(piece->own[f].nodes);
		free(piece->own[f].weights);
	}
	free(piece->sources.prefixes);
	cluster_ground_release(piece->ground);
	free(piece);
}

// The list is copied, since the Service may change before the configuration does.
static int copy_sources(const struct source_list *from, struct source_list *to)
{
	to->prefixes = array(from->n, sizeof(*to->prefixes));
	if (to->prefixes == NULL)
		return -ENOMEM;
	if (from->n > 0)
		memcpy(to->prefixes, from->prefixes, from->n * sizeof(*to->prefixes));
	to->n = from->n;
	return 0;
}

static struct service_piece *create_piece(
	const struct joining *j, const struct served *served, size_t sources_at)
{
	const struct service_object *object = served->object;
	struct service_piece *piece = calloc(
		1, sizeof(*piece) + N_FAMILIES * object->n_ports * sizeof(piece->services[0]));

	if (piece == NULL)
		return NULL;
	piece->n_references = 1;
	piece->sources_at = sources_at;
	piece->ground = j->ground;
	j->ground->n_references++;
	if (copy_sources(&object->sources, &piece->sources) < 0 ||
		(object->is_local && take_endpoints(j, served, piece) < 0)) {
		service_piece_release(piece);
		return NULL;
	}
	add_services(j, served, piece);
	return piece;
}

static bool same_lists(const struct node_list *a, const struct node_list *b)
{
	return a->n == b->n &&
		(a->n == 0 ||
			(memcmp(a->nodes, b->nodes, a->n * sizeof(*a->nodes)) == 0 &&
				memcmp(a->weights, b->weights, a->n * sizeof(*a->weights)) == 0));
}

// Of two on one ground. Where memory between members differs they count as different, and nothing
// is lost but time.
static bool same_services(const struct service_config *a, const struct service_config *b)
{
	struct service_config c = *b;

	c.nodes = a->nodes; // Of Local Services; else they are the ground's.
	c.weights = a->weights;
	return memcmp(a, &c, sizeof(c)) == 0 && (a->weights == NULL) == (b->weights == NULL);
}

static bool same_pieces(const struct service_piece *a, const struct service_piece *b)
{
	bool same = a->ground == b->ground && a->n == b->n &&
		compare_lists(&a->sources, &b->sources) == 0;

	for (enum family f = IPV4; same && f < N_FAMILIES; f++)
		same = same_lists(&a->own[f], &b->own[f]);
	for (size_t i = 0; same && i < a->n; i++)
		same = same_services(&a->services[i], &b->services[i]);
	return same;
}

// The kept one, where that is as good as a new one. NULL when out of memory.
static struct service_piece *take_piece(
	const struct joining *j, const struct served *served, size_t sources_at)
{
	struct kept_piece *kept = served->kept;
	struct service_piece *new, *old = kept->piece;

	if (!is_to_be_made(kept) && old->ground == j->ground && old->sources_at == sources_at)
		return old;
	new = create_piece(j, served, sources_at);
	if (new == NULL)
		return NULL;
	kept->is_stale = false;
	if (old != NULL && same_pieces(old, new)) {
		service_piece_release(new);
		return old;
	}
	service_piece_release(old);
	kept->piece = new;
	return new;
}

static int add_piece(struct joining *j, struct service_piece *piece)
{
	struct config *config = &j->joined->config;
	int r = 0;

	piece->n_references++;
	j->joined->pieces[j->joined->n_pieces++] = piece;
	for (size_t i = 0; r == 0 && i < piece->n; i++) {
		struct service_config *service = &piece->services[i];

		if (config->n_services < config->dataplane.services_max)
			config->services[config->n_services++] = service;
		else
			r = text_lines_add(j->left_out,
				"%s is not served: memory.services has no room for more",
				service->name);
	}
	return r;
}

static bool has_sources(const struct served *served)
{
	const struct kept_piece *kept = served->kept;

	// A piece is at hand, the Service far away.
	return is_to_be_made(kept) ? served->object->sources.n > 0 : kept->piece->sources.n > 0;
}

static int add_served(struct joining *j, const struct served *served)
{
	size_t sources_at = 0;

	if (has_sources(served)) {
		sources_at = intern(j, &served->object->sources);
		if (sources_at == 0)
			return -ENOMEM;
	}
	struct service_piece *piece = take_piece(j, served, sources_at);
	if (piece == NULL)
		return -ENOMEM;
	if (sources_at > 0) // What is the Service's may change before the configuration does.
		own_list(j, sources_at, piece);
	return add_piece(j, piece);
}

// Life

static size_t count_ports(const struct cluster_view *view)
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_services; i++) {
		const struct kept_piece *kept = view->services[i].kept;

		n += is_to_be_made(kept) ? view->services[i].object->n_ports * N_FAMILIES
					 : kept->piece->n;
	}
	return n;
}

static bool allocate(struct joining *j)
{
	const struct config *file = j->file;
	const struct cluster_view *view = j->view;
	struct cluster_config *joined = j->joined;
	struct config *config = &joined->config;

	*config = *file;
	config->services = array(file->n_services + count_ports(view), sizeof(*config->services));
	config->source_lists =
		array(file->n_source_lists + view->n_services, sizeof(*config->source_lists));
	config->n_source_lists = 0;
	joined->pieces = array(view->n_services, sizeof(*joined->pieces));
	return config->services != NULL && config->source_lists != NULL && joined->pieces != NULL;
}

// What the file has stays in its place.
static int copy_file(struct joining *j)
{
	const struct config *file = j->file;
	struct config *config = &j->joined->config;

	j->joined->ground = j->ground;
	j->ground->n_references++;
	config->nodes = j->ground->nodes;
	config->n_nodes = j->ground->n_nodes;
	if (file->n_services > 0)
		memcpy(config->services, file->services,
			file->n_services * sizeof(*config->services));
	for (size_t i = 0; i < j->ground->left_out.n; i++) {
		if (text_lines_add(j->left_out, "%s", j->ground->left_out.lines[i]) < 0)
			return -ENOMEM;
	}
	return take_source_lists(j);
}

static int join(struct joining *j)
{
	if (j->joined == NULL || !allocate(j) || take_ground(j) < 0)
		return -ENOMEM;

	int r = copy_file(j);
	for (size_t i = 0; r == 0 && i < j->view->n_services; i++)
		r = add_served(j, &j->view->services[i]);
	return r;
}

int cluster_config_build(const struct config *file, const struct cluster_view *view,
	struct cluster_config **ret_joined, struct text_lines *ret_left_out)
{
	struct joining j = {
		.file = file,
		.view = view,
		.joined = calloc(1, sizeof(struct cluster_config)),
		.left_out = ret_left_out,
	};
	int r = join(&j);

	tdestroy(j.sources, keep);
	if (r < 0) {
		cluster_config_free(j.joined);
		return r;
	}
	*ret_joined = j.joined;
	return 0;
}

void cluster_config_free(struct cluster_config *joined)
{
	if (joined == NULL)
		return;

	for (size_t i = 0; i < joined->n_pieces; i++)
		service_piece_release(joined->pieces[i]);
	cluster_ground_release(joined->ground);
	free(joined->config.services);
	free(joined->config.source_lists);
	free(joined->pieces);
	free(joined);
}

bool cluster_config_is_same(const struct cluster_config *a, const struct cluster_config *b)
{
	return a->ground == b->ground && a->n_pieces == b->n_pieces &&
		memcmp(a->pieces, b->pieces, a->n_pieces * sizeof(*a->pieces)) == 0;
}

const struct config *cluster_config_of(const struct cluster_config *joined)
{
	return &joined->config;
}
