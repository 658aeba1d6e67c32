#include "cluster_config.h"

#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "address_text.h"
#include "index_builder.h"
#include "protocol.h"
#include "snat_twin.h"

#define HEALTHZ "/healthz"

enum {
	KUBE_PROXY_PORT = 10256, // Where kube-proxy tells of itself.
	NOT_A_NODE = -1,
};

// Nodes that a service uses, as a configuration has them.
struct node_list {
	size_t *nodes; // [n] Indexes into the configuration's nodes, in rising order.
	size_t n;
	uint32_t *weights; // [n], or NULL, as is the next.
	bool *reserves;
};

struct service_piece {
	STAILQ_ENTRY(service_piece) link; // Of those retired,
	uint64_t last;                    // and the last configuration that may have it.
	uint64_t terms;                   // By which it was made: a number.
	struct source_list sources;       // Its own copy; n 0 for none.
	size_t sources_at;                // 1 more than its index in the configuration; 0 for none.
	struct node_list own[N_FAMILIES]; // Of a Service that is Local, by the VIP's family.
	uint32_t node_port_rank;          // As of rank_node_port().
	size_t n;
	struct service_config services[];
};

// Which of the configuration's nodes one of the cluster is.
struct node_place {
	char name[NAME_TEXT_MAX]; // In the cluster.
	size_t at;                // SIZE_MAX for one that is left out.
};

// What a Service that is not Local has of a ground, but for the nodes themselves.
struct terms {
	uint16_t node_port;                    // Where nodes are connected to.
	enum family tunnel_family[N_FAMILIES]; // Of nodes, by the VIP's.
	struct announcers announcers;
};

struct cluster_ground {
	size_t n_references;
	uint64_t number; // Of all that were made with one keeper; and of the first of those with
	uint64_t terms_number; // these terms.
	struct terms terms;
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

// Configurations are numbered. A piece was in some up to the one that was the last when it was
// retired, and goes with the last of those.
struct piece_keeper {
	size_t n_references;
	uint64_t last_ground;  // Its number,
	uint64_t terms_number; // that of its terms, 0 for those that nothing may be kept by,
	struct terms terms;    // and these.
	uint64_t last;         // That was made.
	TAILQ_HEAD(joined_list, cluster_config) living; // In their order,
	STAILQ_HEAD(piece_list, service_piece) retired; // as are these.
};

struct cluster_config {
	struct config config;
	struct piece_keeper *keeper; // NULL while it is not made yet.
	TAILQ_ENTRY(cluster_config) link;
	uint64_t number;
	struct cluster_ground *ground;
	struct service_piece **pieces; // [n_pieces]
	size_t n_pieces;
	bool lacks_room;
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
	struct claim *claims; // [n_claims], and where they are found.
	size_t n_claims;
	struct index_slot *slots;
	struct index claimed;
};

struct joining {
	const struct config *file;
	const struct cluster_view *view;
	struct cluster_ground *ground;
	struct cluster_config *joined;
	struct text_lines *left_out;
	size_t n_services;  // Of all pieces.
	void *sources;      // Tree of pointers into the configuration's source lists.
	uint16_t node_port; // Where nodes are connected to.
};

void cluster_service_name(const struct served *served, const struct service_port *port,
	const struct address *vip, char ret_name[NAME_TEXT_MAX])
{
	enum family family = address_family(vip);
	bool is_first = address_equal(vip, &served->first[family]);
	char text[ADDRESS_TEXT_MAX];

	snprintf(ret_name, NAME_TEXT_MAX, "%s:%u/%s%s%s%s", served->object->key, port->port,
		protocol_word(port->protocol), family == IPV6 ? "6" : "", is_first ? "" : "@",
		is_first ? "" : address_format(vip, text));
}

// Who has which address

static struct claim *find_claim(const struct grounding *g, const struct address *address)
{
	uint64_t hash = index_hash_address(address);

	for (uint32_t i = (uint32_t)hash & g->claimed.mask;; i = (i + 1) & g->claimed.mask) {
		const struct index_slot *slot = &g->claimed.slots[i];

		if (slot->at == INDEX_EMPTY)
			return NULL;
		if (slot->tag == (uint32_t)(hash >> 32) &&
			address_equal(&g->claims[slot->at].address, address))
			return &g->claims[slot->at];
	}
}

// Whoever was first has it.
static void claim(struct grounding *g, const struct address *address, long node)
{
	if (find_claim(g, address) != NULL)
		return;
	g->claims[g->n_claims] = (struct claim){.address = *address, .node = node};
	index_builder_put(&g->claimed, index_hash_address(address), (uint32_t)g->n_claims++);
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
		const struct served *served = &g->view->services[i];

		for (enum family f = IPV4; served->object != NULL && f < N_FAMILIES; f++) {
			if (!address_is_none(&served->address[f]))
				claim(g, &served->address[f], NOT_A_NODE);
			if (!address_is_none(&served->leaving[f]))
				claim(g, &served->leaving[f], NOT_A_NODE);
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
	bool is_snat = config_has_snat(g->file, &node->address[family]);

	if (is_snat && g->file->snat_twin[0] != '\0')
		return text_lines_add(&g->ground->left_out, SNAT_TWIN_IS_NODE, node->name);
	g->ground->meets_a_vip |= other->node == NOT_A_NODE && !is_snat;
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
	to->is_out = node->is_out;
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
		ground->nodes[*ret_at].is_out = node->is_out;
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
		(n_nodes + 2 * g->view->n_services) * N_FAMILIES;

	ground->nodes = array(n_nodes, sizeof(*ground->nodes));
	ground->used[IPV4].nodes = array(n_nodes, sizeof(size_t));
	ground->used[IPV6].nodes = array(n_nodes, sizeof(size_t));
	ground->places = array(g->view->n_nodes, sizeof(*ground->places));
	ground->addresses = array(g->view->n_nodes * N_FAMILIES, sizeof(*ground->addresses));
	ground->slots = array(n_slots, sizeof(*ground->slots));
	g->claims = array(n_claims, sizeof(*g->claims));
	g->slots = array(index_builder_slots(n_claims), sizeof(*g->slots));
	if (ground->nodes == NULL || ground->used[IPV4].nodes == NULL ||
		ground->used[IPV6].nodes == NULL || ground->places == NULL ||
		ground->addresses == NULL || ground->slots == NULL || g->claims == NULL ||
		g->slots == NULL)
		return false;
	g->claimed = index_builder_begin(g->slots, index_builder_slots(n_claims));
	ground->index = index_builder_begin(ground->slots, n_slots);
	return true;
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

	free(g.claims);
	free(g.slots);
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

static bool is_to_be_made(const struct served *served)
{
	return served->object != NULL && (served->piece == NULL || served->is_stale);
}

// Whether a Service was given the address of a node, since the ground was made.
static bool meets_a_vip(const struct cluster_ground *ground, const struct cluster_view *view)
{
	for (size_t i = 0; i < view->n_services; i++) {
		const struct served *served = &view->services[i];

		for (enum family f = IPV4; is_to_be_made(served) && f < N_FAMILIES; f++) {
			if (has_address(ground, &served->address[f]) ||
				has_address(ground, &served->leaving[f]))
				return true;
		}
	}
	return false;
}

// Of NodePorts the lowest of TCP comes first, then the lowest of all. Only of Services that are not
// Local; UINT32_MAX for none.
static uint32_t rank_node_port(const struct service_object *object)
{
	uint32_t lowest = UINT32_MAX;

	for (size_t p = 0; !object->is_local && p < object->n_ports; p++) {
		const struct service_port *port = &object->ports[p];
		uint32_t rank =
			port->node_port + (port->protocol == IPPROTO_TCP ? 0 : UINT16_MAX + 1);

		if (port->node_port != 0 && rank < lowest)
			lowest = rank;
	}
	return lowest;
}

// The NodePort by which it is found out whether nodes live, the same for all Services: the lowest
// of TCP; if there is none, the lowest of all, at which a node that lives refuses; or, if there is
// none at all, kube-proxy's port.
static uint16_t choose_node_port(const struct cluster_view *view)
{
	uint32_t lowest = UINT32_MAX;

	for (size_t i = 0; i < view->n_services; i++) {
		const struct served *served = &view->services[i];

		if (served->object == NULL)
			continue;

		uint32_t rank = is_to_be_made(served) ? rank_node_port(served->object)
						      : served->node_port_rank;

		if (rank < lowest)
			lowest = rank;
	}
	return lowest == UINT32_MAX ? KUBE_PROXY_PORT : (uint16_t)lowest;
}

// Whether all that pieces have from it is as it was.
static bool is_good(const struct cluster_ground *ground, const struct joining *j)
{
	return ground != NULL && !ground->meets_a_vip && ground->terms.node_port == j->node_port &&
		announcers_equal(&ground->terms.announcers, j->view->announcers) &&
		!meets_a_vip(ground, j->view);
}

// Tunnels lead to either family: the VIP's, where a node has it.
static enum family tunnel_family(const struct cluster_ground *ground, enum family family)
{
	const struct forwarding_settings *settings = &ground->file->settings;
	enum family other = family == IPV4 ? IPV6 : IPV4;
	bool has_source = !address_is_none(&settings->tunnel_source[family]);

	if (has_source && ground->used[family].n >= ground->used[other].n)
		return family;
	return address_is_none(&settings->tunnel_source[other]) ? family : other;
}

static void set_terms(const struct joining *j, struct cluster_ground *ground)
{
	ground->terms.node_port = j->node_port;
	ground->terms.announcers = *j->view->announcers;
	for (enum family f = IPV4; f < N_FAMILIES; f++)
		ground->terms.tunnel_family[f] = tunnel_family(ground, f);
}

static bool same_terms(const struct terms *a, const struct terms *b)
{
	return a->node_port == b->node_port && announcers_equal(&a->announcers, &b->announcers) &&
		memcmp(a->tunnel_family, b->tunnel_family, sizeof(a->tunnel_family)) == 0;
}

static void number(struct piece_keeper *keeper, struct cluster_ground *ground)
{
	ground->number = ++keeper->last_ground;
	if (keeper->terms_number == 0 || !same_terms(&keeper->terms, &ground->terms)) {
		keeper->terms_number = ground->number;
		keeper->terms = ground->terms;
	}
	ground->terms_number = keeper->terms_number;
}

// The kept one, where that is as good as a new one. Returns 0 or -ENOMEM.
static int take_ground(struct joining *j)
{
	struct cluster_ground **kept = j->view->ground;

	if (!is_good(*kept, j)) {
		struct cluster_ground *new = create_ground(j->file, j->view);

		if (new == NULL)
			return -ENOMEM;
		set_terms(j, new);
		number(j->view->keeper, new);
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

static bool has_family(const struct service_object *object, enum family family)
{
	for (size_t i = 0; i < object->n_families; i++) {
		if (object->families[i] == family)
			return true;
	}
	return false;
}

static enum check_kind kind_of_check(const struct config *file, const struct service_object *object)
{
	static const enum check_kind kinds[] = {
		[NODE_CHECK_KUBE_PROXY] = CHECK_KUBE_PROXY,
		[NODE_CHECK_NODE_PORT] = CHECK_NODE_PORT,
		[NODE_CHECK_NONE] = CHECK_NONE,
	};

	if (!object->is_local)
		return kinds[file->kubernetes.node_check];
	return object->health_check_port != 0 ? CHECK_SERVICE : CHECK_NONE;
}

// As its annotations have it.
static void tune_check(const struct service_options *options, struct check_config *check)
{
	if (options->check_interval_ms > 0)
		check->interval_ms = options->check_interval_ms;
	if (options->check_timeout_ms > 0)
		check->timeout_ms = options->check_timeout_ms;
	if (check->timeout_ms > check->interval_ms)
		check->timeout_ms = check->interval_ms;
	if (options->check_rise > 0)
		check->rise = options->check_rise;
	if (options->check_fall > 0)
		check->fall = options->check_fall;
}

// How its nodes are asked: where only those with endpoints of its own may be used, about the
// Service; else, about the node as a whole. The port of a Service answers in its own families.
static struct check_config check_of(
	const struct joining *j, const struct served *served, enum family target)
{
	const struct service_object *object = served->object;
	struct check_config check = j->file->check;

	check.kind = kind_of_check(j->file, object);
	check.status_first = check.status_last = 200;
	check.host[0] = check.service[0] = '\0';
	strcpy(check.path, HEALTHZ);
	switch (check.kind) {
	case CHECK_SERVICE:
		strcpy(check.service, object->key);
		check.port = object->health_check_port;
		if (has_family(object, target == IPV4 ? IPV6 : IPV4))
			check.fallback_port = check.port;
		break;
	case CHECK_KUBE_PROXY:
		check.port = KUBE_PROXY_PORT;
		check.fallback_port = j->node_port;
		break;
	default:
		check.port = j->node_port;
	}
	return check;
}

static enum family target_family(
	const struct cluster_ground *ground, const struct admission *admission, enum family family)
{
	return admission->mode == MODE_TUNNEL ? ground->terms.tunnel_family[family] : family;
}

static struct service_config service_at(const struct joining *j, const struct served *served,
	const struct service_port *port, const struct address *vip)
{
	const struct config *file = j->file;
	enum family family = address_family(vip);
	const struct service_options *options = &served->admission->options;
	enum family target = target_family(j->ground, served->admission, family);
	bool is_ours = announcers_own(j->view->announcers, vip);
	struct service_config service = {
		.vip = *vip,
		.port = port->port,
		.node_port = port->node_port,
		.protocol = port->protocol,
		.mode = served->admission->mode,
		.tunnel_kind = served->admission->tunnel_kind,
		.target_family = target,
		.check = check_of(j, served, target),
		.uses_cluster = !served->object->is_local,
		.mss = port->protocol == IPPROTO_TCP ? options->mss : 0,
		.idle_s = options->idle_s > 0           ? options->idle_s
			: port->protocol == IPPROTO_TCP ? file->tcp_idle_s
							: file->udp_idle_s,
		.affinity_s = served->object->affinity_s,
		.fail_open = options->all_down == ALL_DOWN_FAIL_OPEN,
		.announce = is_ours,
		.answers_arp = is_ours,
		.rejects = true,
	};

	tune_check(options, &service.check);
	cluster_service_name(served, port, vip, service.name);
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
		.reserves = array(list.n, sizeof(*own.reserves)),
	};

	*ret_list = own;
	if (own.nodes == NULL || own.weights == NULL || own.reserves == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < list.n; i++) {
		size_t node = find_node(ground, list.shares[i].node);

		if (node == SIZE_MAX || address_is_none(&ground->nodes[node].address[target]))
			continue;
		own.nodes[own.n] = node;
		own.reserves[own.n] = list.shares[i].is_reserve;
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

// The first TCP port that is served, by its place among those of the Service's that are; SIZE_MAX
// if there is none. Where not everybody is let in, we may be among those who are not: then it is as
// if there were none.
static size_t first_tcp_port(const struct served *served)
{
	size_t at = 0;

	if (served->object->sources.n > 0)
		return SIZE_MAX;
	for (size_t i = 0; i < served->object->n_ports; i++) {
		const struct service_port *port = &served->object->ports[i];

		if (admission_port_error(served->admission, port) != NULL)
			continue;
		if (port->protocol == IPPROTO_TCP)
			return at;
		at++;
	}
	return SIZE_MAX;
}

// In dsr and tunnel nodes learn the VIP from the Service's status. The service is the Service's
// 'at'th at that address.
static void learn(const struct served *served, size_t at, struct service_config *service)
{
	size_t tcp = first_tcp_port(served);

	service->is_learnt = service->mode == MODE_DSR || service->mode == MODE_TUNNEL;
	service->learns_with = tcp == SIZE_MAX     ? LEARNS_ALONE
		: service->protocol == IPPROTO_TCP ? 0
						   : (int)tcp - (int)at;
}

// All its ports at one of its addresses, if that is one.
static void add_ports(const struct joining *j, const struct served *served,
	const struct address *vip, struct service_piece *piece)
{
	const struct service_object *object = served->object;
	size_t first = piece->n;

	for (size_t i = 0; !address_is_none(vip) && i < object->n_ports; i++) {
		const struct service_port *port = &object->ports[i];
		struct service_config *service = &piece->services[piece->n];
		const struct node_list *own = &piece->own[address_family(vip)];

		if (admission_port_error(served->admission, port) != NULL)
			continue;
		*service = service_at(j, served, port, vip);
		service->sources = piece->sources_at;
		learn(served, piece->n - first, service);
		if (object->is_local) {
			service->nodes = own->nodes;
			service->weights = own->weights;
			service->reserves = own->reserves;
			service->n_nodes = own->n;
		}
		piece->n++;
	}
}

// In dnat a NodePort has the way back to one VIP.
static bool may_have_two(const struct served *served)
{
	return served->admission->mode != MODE_DNAT;
}

static void add_services(
	const struct joining *j, const struct served *served, struct service_piece *piece)
{
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		add_ports(j, served, &served->address[f], piece);
		if (may_have_two(served))
			add_ports(j, served, &served->leaving[f], piece);
	}
}

// Pieces

static void destroy_piece(struct service_piece *piece)
{
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		free(piece->own[f].nodes);
		free(piece->own[f].weights);
		free(piece->own[f].reserves);
	}
	free(piece->sources.prefixes);
	free(piece);
}

// Frees what no living configuration has.
static void sweep(struct piece_keeper *keeper)
{
	const struct cluster_config *oldest = TAILQ_FIRST(&keeper->living);
	struct service_piece *piece;

	while ((piece = STAILQ_FIRST(&keeper->retired)) != NULL &&
		(oldest == NULL || piece->last < oldest->number)) {
		STAILQ_REMOVE_HEAD(&keeper->retired, link);
		destroy_piece(piece);
	}
}

void piece_keeper_retire(struct piece_keeper *keeper, struct service_piece *piece)
{
	if (piece == NULL)
		return;
	piece->last = keeper->last;
	STAILQ_INSERT_TAIL(&keeper->retired, piece, link);
	sweep(keeper);
}

struct piece_keeper *piece_keeper_create(void)
{
	struct piece_keeper *keeper = calloc(1, sizeof(*keeper));

	if (keeper == NULL)
		return NULL;
	keeper->n_references = 1;
	TAILQ_INIT(&keeper->living);
	STAILQ_INIT(&keeper->retired);
	return keeper;
}

void piece_keeper_forget_terms(struct piece_keeper *keeper)
{
	keeper->terms_number = 0;
}

void piece_keeper_release(struct piece_keeper *keeper)
{
	if (keeper == NULL || --keeper->n_references > 0)
		return;
	sweep(keeper);
	free(keeper);
}

static void enter(struct piece_keeper *keeper, struct cluster_config *joined)
{
	keeper->n_references++;
	joined->keeper = keeper;
	joined->number = ++keeper->last;
	TAILQ_INSERT_TAIL(&keeper->living, joined, link);
}

static void leave(struct cluster_config *joined)
{
	struct piece_keeper *keeper = joined->keeper;

	if (keeper == NULL)
		return;
	TAILQ_REMOVE(&keeper->living, joined, link);
	sweep(keeper);
	piece_keeper_release(keeper);
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

// At how many addresses it may be served.
static size_t count_addresses(const struct served *served)
{
	size_t n = 0;

	for (enum family f = IPV4; f < N_FAMILIES; f++)
		n += (size_t)!address_is_none(&served->address[f]) +
			!address_is_none(&served->leaving[f]);
	return n;
}

static struct service_piece *create_piece(
	const struct joining *j, const struct served *served, size_t sources_at)
{
	const struct service_object *object = served->object;
	size_t n_max = count_addresses(served) * object->n_ports;
	struct service_piece *piece =
		calloc(1, sizeof(*piece) + n_max * sizeof(piece->services[0]));

	if (piece == NULL)
		return NULL;
	piece->sources_at = sources_at;
	piece->node_port_rank = rank_node_port(object);
	piece->terms = j->ground->terms_number;
	if (copy_sources(&object->sources, &piece->sources) < 0 ||
		(object->is_local && take_endpoints(j, served, piece) < 0)) {
		destroy_piece(piece);
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
				memcmp(a->weights, b->weights, a->n * sizeof(*a->weights)) == 0 &&
				memcmp(a->reserves, b->reserves, a->n * sizeof(*a->reserves)) ==
					0));
}

// Of two by the same terms. Where memory between members differs they count as different, and
// nothing is lost but time.
static bool same_services(const struct service_config *a, const struct service_config *b)
{
	struct service_config c = *b;

	c.nodes = a->nodes; // Of Local Services.
	c.weights = a->weights;
	c.reserves = a->reserves;
	return memcmp(a, &c, sizeof(c)) == 0 && (a->weights == NULL) == (b->weights == NULL);
}

static bool same_pieces(const struct service_piece *a, const struct service_piece *b)
{
	bool same = a->terms == b->terms && a->n == b->n &&
		a->node_port_rank == b->node_port_rank &&
		compare_lists(&a->sources, &b->sources) == 0;

	for (enum family f = IPV4; same && f < N_FAMILIES; f++)
		same = same_lists(&a->own[f], &b->own[f]);
	for (size_t i = 0; same && i < a->n; i++)
		same = same_services(&a->services[i], &b->services[i]);
	return same;
}

static void keep_piece(const struct joining *j, struct served *served, struct service_piece *piece)
{
	piece_keeper_retire(j->view->keeper, served->piece);
	served->piece = piece;
	served->sources_at = piece->sources_at;
	served->node_port_rank = piece->node_port_rank;
	served->n_services = (uint32_t)piece->n;
}

// The nodes of a Service that is not Local are not in its piece.
static uint64_t is_made_on(const struct joining *j, bool is_local)
{
	return is_local ? j->ground->number : j->ground->terms_number;
}

// Has it a piece: the kept one, where that is as good as a new one. Returns 0 or -ENOMEM.
static int take_piece(const struct joining *j, struct served *served, size_t sources_at)
{
	struct service_piece *new;

	if (!is_to_be_made(served) && served->made_on == is_made_on(j, served->is_local) &&
		served->sources_at == sources_at)
		return 0;
	new = create_piece(j, served, sources_at);
	if (new == NULL)
		return -ENOMEM;
	served->is_stale = false;
	served->is_local = served->object->is_local;
	served->made_on = is_made_on(j, served->is_local);
	if (served->piece != NULL && same_pieces(served->piece, new))
		destroy_piece(new);
	else
		keep_piece(j, served, new);
	return 0;
}

// The next services of it, until 'n' are in.
static void put(struct joining *j, struct served *served, uint32_t n)
{
	struct config *config = &j->joined->config;

	while (served->n_in < n && config->n_services < config->services_max)
		config->services[config->n_services++] = &served->piece->services[served->n_in++];
}

// Returns 0 or -ENOMEM.
static int leave_out(struct joining *j, const struct served *served)
{
	int r = 0;

	for (uint32_t i = served->n_in; r == 0 && i < served->n_services; i++) {
		j->joined->lacks_room = true;
		r = text_lines_add(j->left_out,
			"%s is not served: memory.services has no room for more",
			served->piece->services[i].name);
	}
	return r;
}

// Where there is no room for all, who was in the last join goes before who comes.
static int put_all(struct joining *j)
{
	const struct cluster_view *view = j->view;
	bool fits = j->file->n_services + j->n_services <= j->file->services_max;
	int r = 0;

	for (size_t i = 0; i < view->n_services; i++) {
		struct served *served = &view->services[i];
		uint32_t n_before = served->n_in;

		served->n_in = 0;
		put(j, served,
			fits || n_before > served->n_services ? served->n_services : n_before);
	}
	for (size_t i = 0; !fits && r == 0 && i < view->n_services; i++) {
		put(j, &view->services[i], view->services[i].n_services);
		r = leave_out(j, &view->services[i]);
	}
	return r;
}

static bool has_sources(const struct served *served)
{
	return is_to_be_made(served) ? served->object->sources.n > 0 : served->sources_at > 0;
}

static int add_served(struct joining *j, struct served *served)
{
	size_t sources_at = 0;

	if (served->object == NULL)
		return 0;
	if (has_sources(served)) {
		sources_at = intern(j, &served->object->sources);
		if (sources_at == 0)
			return -ENOMEM;
	}
	if (take_piece(j, served, sources_at) < 0)
		return -ENOMEM;
	if (sources_at > 0) // What is the Service's may change before the configuration does.
		own_list(j, sources_at, served->piece);
	j->joined->pieces[j->joined->n_pieces++] = served->piece;
	j->n_services += served->n_services;
	return 0;
}

// Life

static size_t count_ports(const struct cluster_view *view)
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_services; i++) {
		const struct served *served = &view->services[i];

		n += is_to_be_made(served) ? count_addresses(served) * served->object->n_ports
					   : served->n_services;
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
	for (enum family f = IPV4; f < N_FAMILIES; f++)
		config->cluster_nodes[f] =
			(struct node_indexes){j->ground->used[f].nodes, j->ground->used[f].n};
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
	j->node_port = choose_node_port(j->view);
	if (j->joined == NULL || !allocate(j) || take_ground(j) < 0)
		return -ENOMEM;

	int r = copy_file(j);
	for (size_t i = 0; r == 0 && i < j->view->n_services; i++)
		r = add_served(j, &j->view->services[i]);
	return r < 0 ? r : put_all(j);
}

static void keep(void *)
{
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
	enter(view->keeper, j.joined);
	*ret_joined = j.joined;
	return 0;
}

void cluster_config_free(struct cluster_config *joined)
{
	if (joined == NULL)
		return;

	leave(joined);
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

bool cluster_config_lacks_room(const struct cluster_config *joined)
{
	return joined->lacks_room;
}

const struct config *cluster_config_of(const struct cluster_config *joined)
{
	return &joined->config;
}
