#include "cluster_config.h"

#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"

#define HEALTHZ "/healthz"

enum {
	KUBE_PROXY_PORT = 10256, // Where kube-proxy tells of itself.
	NOT_A_NODE = -1,
};

struct cluster_config {
	struct config config;
	size_t *nodes_of[N_FAMILIES];  // Indexes into the configuration's nodes: the cluster's that
	size_t n_nodes_of[N_FAMILIES]; // have an address of the family, in rising order.
	struct prefix *prefixes;       // Of the source lists that are not the file's.
	size_t n_prefixes;
	size_t *local_nodes;     // Of Services that are Local: the lists of their nodes, and
	uint32_t *local_weights; // what each has beside it, and
	bool *local_reserves;    // whether it is a reserve.
	size_t n_local;
};

// Whose an address is already.
struct claim {
	struct address address;
	long node;  // Index into the configuration's nodes, or NOT_A_NODE.
	bool taken; // A node of the file that is a node of the cluster.
};

struct joining {
	const struct config *file;
	const struct cluster_view *view;
	struct cluster_config *joined;
	struct text_lines *left_out;
	struct claim *claims; // [n_claims], their tree below.
	size_t n_claims;
	void *claimed;
	void *sources;      // Tree of pointers into the configuration's source lists.
	uint16_t node_port; // Where nodes are connected to.
	size_t *node_at; // [view->n_nodes] Which of the configuration's nodes it is; SIZE_MAX for
	                 // one that is left out.
};

void cluster_service_name(const struct served *served, const struct service_port *port,
	const struct address *vip, char ret_name[NAME_TEXT_MAX])
{
	const char *protocol = port->protocol == IPPROTO_TCP ? "tcp"
		: port->protocol == IPPROTO_UDP              ? "udp"
							     : "sctp";
	enum family family = address_family(vip);
	bool is_first = address_equal(vip, &served->first[family]);
	char text[ADDRESS_TEXT_MAX];

	snprintf(ret_name, NAME_TEXT_MAX, "%s:%u/%s%s%s%s", served->object->key, port->port,
		protocol, family == IPV6 ? "6" : "", is_first ? "" : "@",
		is_first ? "" : address_format(vip, text));
}

// Who has which address

static int compare_claims(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct address));
}

static void claim(struct joining *j, const struct address *address, long node)
{
	struct claim *new = &j->claims[j->n_claims];

	*new = (struct claim){.address = *address, .node = node};
	struct claim **place = tsearch(new, &j->claimed, compare_claims);
	if (place != NULL && *place == new)
		j->n_claims++;
}

static struct claim *find_claim(const struct joining *j, const struct address *address)
{
	struct claim **place = tfind(address, &j->claimed, compare_claims);

	return place == NULL ? NULL : *place;
}

static void claim_what_the_file_has(struct joining *j)
{
	const struct config *file = j->file;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		for (size_t i = 0; i < file->n_snat[f]; i++)
			claim(j, &file->snat[f][i], NOT_A_NODE);
		for (size_t i = 0; i < file->n_nodes; i++) {
			if (!address_is_none(&file->nodes[i].address[f]))
				claim(j, &file->nodes[i].address[f], (long)i);
		}
	}
	for (size_t i = 0; i < file->n_services; i++)
		claim(j, &file->services[i].vip, NOT_A_NODE);
}

static void claim_what_is_given(struct joining *j)
{
	for (size_t i = 0; i < j->view->n_services; i++) {
		for (enum family f = IPV4; f < N_FAMILIES; f++) {
			const struct served *served = &j->view->services[i];

			if (!address_is_none(&served->address[f]))
				claim(j, &served->address[f], NOT_A_NODE);
			if (!address_is_none(&served->leaving[f]))
				claim(j, &served->leaving[f], NOT_A_NODE);
		}
	}
}

// Nodes

static void use_node(struct joining *j, size_t node)
{
	struct cluster_config *joined = j->joined;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&joined->config.nodes[node].address[f]))
			joined->nodes_of[f][joined->n_nodes_of[f]++] = node;
	}
}

// A node of the file that has the same addresses is the same node. Returns NULL if there is none,
// or another node of the cluster has them.
static struct claim *find_twin(const struct joining *j, const struct node_object *node)
{
	enum family f = address_is_none(&node->address[IPV4]) ? IPV6 : IPV4;
	struct claim *found = find_claim(j, &node->address[f]);

	if (found == NULL || found->node == NOT_A_NODE || found->taken ||
		(size_t)found->node >= j->file->n_nodes)
		return NULL;
	return memcmp(j->file->nodes[found->node].address, node->address, sizeof(node->address)) ==
			0
		? found
		: NULL;
}

static int say_conflict(struct joining *j, const struct node_object *node, enum family family)
{
	char why[128], text[ADDRESS_TEXT_MAX];
	const struct claim *other = find_claim(j, &node->address[family]);

	snprintf(why, sizeof(why), "its address %s is %s%.40s; must be its own",
		address_format(&node->address[family], text),
		other->node == NOT_A_NODE ? "a VIP or an SNAT address" : "that of node ",
		other->node == NOT_A_NODE ? "" : j->joined->config.nodes[other->node].name);
	return text_lines_add(j->left_out, "node %s is not used: %s", node->name, why);
}

static void take_node(struct joining *j, const struct node_object *node)
{
	struct config *config = &j->joined->config;
	struct node_config *to = &config->nodes[config->n_nodes];

	strcpy(to->name, node->name);
	memcpy(to->address, node->address, sizeof(to->address));
	to->weight = 1;
	to->is_out = node->is_out;
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&to->address[f]))
			claim(j, &to->address[f], (long)config->n_nodes);
	}
	use_node(j, config->n_nodes++);
}

static int add_node(struct joining *j, const struct node_object *node, size_t *ret_at)
{
	const struct config *config = &j->joined->config;
	struct claim *twin = find_twin(j, node);

	*ret_at = SIZE_MAX;
	if (twin != NULL) {
		twin->taken = true;
		*ret_at = (size_t)twin->node;
		j->joined->config.nodes[*ret_at].is_out = node->is_out;
		use_node(j, *ret_at);
		return 0;
	}
	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&node->address[f]) && find_claim(j, &node->address[f]) != NULL)
			return say_conflict(j, node, f);
	}
	if (config->n_nodes == config->nodes_max)
		return text_lines_add(j->left_out,
			"node %s is not used: memory.nodes has no room for more", node->name);
	*ret_at = config->n_nodes;
	take_node(j, node);
	return 0;
}

static int compare_indexes(const void *left, const void *right)
{
	size_t a = *(const size_t *)left, b = *(const size_t *)right;

	return a < b ? -1 : a > b;
}

static int add_nodes(struct joining *j)
{
	struct cluster_config *joined = j->joined;
	int r = 0;

	for (size_t i = 0; r == 0 && i < j->view->n_nodes; i++)
		r = add_node(j, j->view->nodes[i], &j->node_at[i]);
	for (enum family f = IPV4; f < N_FAMILIES; f++) // Those of the file are not in order.
		qsort(joined->nodes_of[f], joined->n_nodes_of[f], sizeof(size_t), compare_indexes);
	return r;
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

// A Service's list is copied, since the Service may change before the configuration does.
static size_t intern_copy(struct joining *j, const struct source_list *list)
{
	struct prefix *copy = &j->joined->prefixes[j->joined->n_prefixes];

	memcpy(copy, list->prefixes, list->n * sizeof(*copy));
	j->joined->n_prefixes += list->n;
	return intern(j, &(struct source_list){copy, list->n});
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

// The NodePort by which it is found out whether nodes live, the same for all Services: the lowest
// of TCP; if there is none, the lowest of all, at which a node that lives refuses; or, if there is
// none at all, kube-proxy's port.
static uint16_t choose_node_port(const struct cluster_view *view)
{
	uint32_t lowest = UINT32_MAX;

	for (size_t i = 0; i < view->n_services; i++) {
		const struct service_object *object = view->services[i].object;

		for (size_t p = 0; !object->is_local && p < object->n_ports; p++) {
			const struct service_port *port = &object->ports[p];
			uint32_t rank = port->node_port +
				(port->protocol == IPPROTO_TCP ? 0 : UINT16_MAX + 1);

			if (port->node_port != 0 && rank < lowest)
				lowest = rank;
		}
	}
	return lowest == UINT32_MAX ? KUBE_PROXY_PORT : (uint16_t)lowest;
}

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

// Tunnels lead to either family: the VIP's, where a node has it.
static enum family target_family(
	const struct cluster_config *joined, const struct admission *admission, enum family family)
{
	enum family other = family == IPV4 ? IPV6 : IPV4;
	bool has_source = !address_is_none(&joined->config.settings.tunnel_source[family]);

	if (admission->mode != MODE_TUNNEL ||
		(has_source && joined->n_nodes_of[family] >= joined->n_nodes_of[other]))
		return family;
	return address_is_none(&joined->config.settings.tunnel_source[other]) ? family : other;
}

static struct service_config service_at(const struct joining *j, const struct served *served,
	const struct service_port *port, const struct address *vip)
{
	const struct config *file = j->file;
	enum family family = address_family(vip);
	const struct service_options *options = &served->admission->options;
	enum family target = target_family(j->joined, served->admission, family);
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
		.nodes = j->joined->nodes_of[target],
		.n_nodes = j->joined->n_nodes_of[target],
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
static size_t find_node(const struct joining *j, const char *name)
{
	size_t low = 0, high = j->view->n_nodes;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, j->view->nodes[middle]->name);

		if (order == 0)
			return j->node_at[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return SIZE_MAX;
}

// A list of its own for a Service that is Local: nodes with endpoints, by how many there are.
static void take_shares(
	struct joining *j, const struct share_list *list, struct service_config *service)
{
	struct cluster_config *joined = j->joined;
	size_t first = joined->n_local;

	for (size_t i = 0; i < list->n; i++) {
		size_t node = find_node(j, list->shares[i].node);

		if (node == SIZE_MAX ||
			address_is_none(
				&joined->config.nodes[node].address[service->target_family]))
			continue;
		joined->local_nodes[joined->n_local] = node;
		joined->local_reserves[joined->n_local] = list->shares[i].is_reserve;
		joined->local_weights[joined->n_local++] = list->shares[i].weight;
	}
	service->nodes = &joined->local_nodes[first];
	service->weights = &joined->local_weights[first];
	service->reserves = &joined->local_reserves[first];
	service->n_nodes = joined->n_local - first;
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

// In dsr and tunnel nodes learn the VIP from the Service's status. 'first' is the index of the
// Service's first port at that address.
static void learn(const struct joining *j, const struct served *served, size_t first,
	struct service_config *service)
{
	size_t tcp = first_tcp_port(served);

	service->is_learnt = service->mode == MODE_DSR || service->mode == MODE_TUNNEL;
	service->learns_with = tcp == SIZE_MAX     ? SIZE_MAX
		: service->protocol == IPPROTO_TCP ? j->joined->config.n_services
						   : first + tcp;
	if (service->learns_with >= j->joined->config.dataplane.services_max)
		service->learns_with = SIZE_MAX; // It is left out itself.
}

static int add_service(struct joining *j, const struct service_config *service)
{
	struct config *config = &j->joined->config;

	if (config->n_services == config->dataplane.services_max)
		return text_lines_add(j->left_out,
			"%s is not served: memory.services has no room for more", service->name);
	config->services[config->n_services++] = *service;
	return 0;
}

// All its ports at one of its addresses, if that is one.
static int add_ports(
	struct joining *j, const struct served *served, const struct address *vip, size_t sources)
{
	const struct service_object *object = served->object;
	size_t first = j->joined->config.n_services;
	int r = 0;

	for (size_t i = 0; !address_is_none(vip) && r == 0 && i < object->n_ports; i++) {
		const struct service_port *port = &object->ports[i];

		if (admission_port_error(served->admission, port) != NULL)
			continue;
		struct service_config service = service_at(j, served, port, vip);

		service.sources = sources;
		learn(j, served, first, &service);
		if (object->is_local)
			take_shares(j, &served->shares[address_family(vip)], &service);
		r = add_service(j, &service);
	}
	return r;
}

// In dnat a NodePort has the way back to one VIP.
static bool may_have_two(const struct served *served)
{
	return served->admission->mode != MODE_DNAT;
}

static int add_served(struct joining *j, const struct served *served)
{
	const struct service_object *object = served->object;
	size_t sources = 0;
	int r = 0;

	if (object->sources.n > 0) {
		sources = intern_copy(j, &object->sources);
		if (sources == 0)
			return -ENOMEM;
	}
	for (enum family f = IPV4; r == 0 && f < N_FAMILIES; f++) {
		r = add_ports(j, served, &served->address[f], sources);
		if (r == 0 && may_have_two(served))
			r = add_ports(j, served, &served->leaving[f], sources);
	}
	return r;
}

// Life

// At how many addresses it is served.
static size_t count_addresses(const struct served *served)
{
	size_t n = 0;

	for (enum family f = IPV4; f < N_FAMILIES; f++)
		n += (size_t)!address_is_none(&served->address[f]) +
			(size_t)!address_is_none(&served->leaving[f]);
	return n;
}

static size_t count_ports(const struct cluster_view *view)
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_services; i++)
		n += view->services[i].object->n_ports * count_addresses(&view->services[i]);
	return n;
}

static size_t count_shares(const struct cluster_view *view)
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_services; i++) {
		const struct served *served = &view->services[i];

		n += served->object->n_ports * count_addresses(served) *
			(served->shares[IPV4].n + served->shares[IPV6].n);
	}
	return n;
}

static size_t count_prefixes(const struct cluster_view *view)
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_services; i++)
		n += view->services[i].object->sources.n;
	return n;
}

// One more than asked, since calloc() may answer a wish for nothing with NULL.
static void *array(size_t n, size_t size)
{
	return calloc(n + 1, size);
}

static bool allocate(struct joining *j)
{
	const struct config *file = j->file;
	const struct cluster_view *view = j->view;
	struct cluster_config *joined = j->joined;
	struct config *config = &joined->config;
	size_t n_nodes = file->n_nodes + view->n_nodes;
	size_t n_claims = file->n_snat[IPV4] + file->n_snat[IPV6] + file->n_services +
		(n_nodes + 2 * view->n_services) * N_FAMILIES;

	config->nodes = array(n_nodes, sizeof(*config->nodes));
	config->services = array(file->n_services + count_ports(view), sizeof(*config->services));
	config->source_lists =
		array(file->n_source_lists + view->n_services, sizeof(*config->source_lists));
	joined->prefixes = array(count_prefixes(view), sizeof(*joined->prefixes));
	joined->local_nodes = array(count_shares(view), sizeof(*joined->local_nodes));
	joined->local_weights = array(count_shares(view), sizeof(*joined->local_weights));
	joined->local_reserves = array(count_shares(view), sizeof(*joined->local_reserves));
	j->node_at = array(view->n_nodes, sizeof(*j->node_at));
	joined->nodes_of[IPV4] = array(n_nodes, sizeof(size_t));
	joined->nodes_of[IPV6] = array(n_nodes, sizeof(size_t));
	j->claims = array(n_claims, sizeof(*j->claims));
	return config->nodes != NULL && config->services != NULL && config->source_lists != NULL &&
		joined->prefixes != NULL && joined->local_nodes != NULL &&
		joined->local_weights != NULL && joined->local_reserves != NULL &&
		j->node_at != NULL && joined->nodes_of[IPV4] != NULL &&
		joined->nodes_of[IPV6] != NULL && j->claims != NULL;
}

// What the file has stays in its place.
static void copy_file(struct joining *j)
{
	const struct config *file = j->file;
	struct config *config = &j->joined->config;
	struct config copy = *file;

	copy.nodes = config->nodes;
	copy.services = config->services;
	copy.source_lists = config->source_lists;
	copy.n_source_lists = 0;
	*config = copy;
	if (file->n_nodes > 0)
		memcpy(config->nodes, file->nodes, file->n_nodes * sizeof(*config->nodes));
	if (file->n_services > 0)
		memcpy(config->services, file->services,
			file->n_services * sizeof(*config->services));
}

static int join(struct joining *j)
{
	if (j->joined == NULL || !allocate(j))
		return -ENOMEM;

	copy_file(j);
	claim_what_the_file_has(j);
	claim_what_is_given(j);
	int r = take_source_lists(j);
	if (r == 0)
		r = add_nodes(j);
	for (size_t i = 0; r == 0 && i < j->view->n_services; i++)
		r = add_served(j, &j->view->services[i]);
	return r;
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
		.node_port = choose_node_port(view),
	};
	int r = join(&j);

	tdestroy(j.claimed, keep);
	tdestroy(j.sources, keep);
	free(j.claims);
	free(j.node_at);
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

	free(joined->config.nodes);
	free(joined->config.services);
	free(joined->config.source_lists);
	free(joined->prefixes);
	free(joined->local_nodes);
	free(joined->local_weights);
	free(joined->local_reserves);
	free(joined->nodes_of[IPV4]);
	free(joined->nodes_of[IPV6]);
	free(joined);
}

const struct config *cluster_config_of(const struct cluster_config *joined)
{
	return &joined->config;
}
