#include "config_check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "guideway/device_name.h"
#include "maglev.h"
#include "protocol.h"

static const config_setting_t *node_setting(const struct reading *reading, size_t i)
{
	return config_setting_get_elem(reading->nodes, (unsigned)i);
}

static const config_setting_t *service_setting(const struct reading *reading, size_t i)
{
	return config_setting_get_elem(reading->services, (unsigned)i);
}

static unsigned line_of(const config_setting_t *group, const char *key)
{
	const config_setting_t *member = config_setting_get_member(group, key);

	return config_setting_source_line(member == NULL ? group : member);
}

// Ports and the ring

static const config_setting_t *port_setting(const config_setting_t *root, size_t i)
{
	return config_setting_get_elem(config_setting_get_member(root, "ports"), (unsigned)i);
}

static bool are_one_device(const struct port_config *a, const struct port_config *b)
{
	char name_a[DEVICE_TEXT_MAX], name_b[DEVICE_TEXT_MAX];

	device_name(a->device, name_a);
	device_name(b->device, name_b);
	return b->device[0] != '\0' && strcmp(name_a, name_b) == 0;
}

static void check_port_pair(
	struct reading *reading, const config_setting_t *root, size_t i, size_t j)
{
	const struct port_config *a = &reading->config->dataplane.ports[i];
	const struct port_config *b = &reading->config->dataplane.ports[j];

	if (are_one_device(a, b))
		mistake(reading, port_setting(root, j), "device",
			"found \"%s\", which port [%zu] has too; must be another device", b->device,
			i);
	if (strcmp(a->twin, b->twin) == 0)
		mistake(reading, port_setting(root, j), "twin",
			"found \"%s\", which is port [%zu]'s twin too; must be another name",
			b->twin, i);
}

// DPDK would take these on its own, and nobody would keep the kernel off the interface, or mind its
// addresses.
static void check_driver(struct reading *reading, const config_setting_t *root, size_t i)
{
	static const struct {
		const char *prefix, *driver;
	} drivers[] = {{"net_af_packet", "af_packet"}, {"eth_af_packet", "af_packet"},
		{"net_af_xdp", "af_xdp"}};
	const char *device = reading->config->dataplane.ports[i].device;
	const char *found = strstr(device, ",iface=");
	const char *interface = found == NULL ? "eth1" : found + strlen(",iface=");

	for (size_t j = 0; j < sizeof(drivers) / sizeof(drivers[0]); j++) {
		if (strncmp(device, drivers[j].prefix, strlen(drivers[j].prefix)) != 0)
			continue;
		mistake(reading, port_setting(root, i), "device",
			"found \"%s\"; must be the interface itself, and how it is driven beside "
			"it: "
			"device = \"%.*s\"; driver = \"%s\";",
			device, (int)strcspn(interface, ","), interface, drivers[j].driver);
	}
}

static void check_ports(struct reading *reading, const config_setting_t *root)
{
	const struct dataplane_config *config = &reading->config->dataplane;

	for (size_t j = 0; j < config->n_ports; j++) {
		check_driver(reading, root, j);
		for (size_t i = 0; i < j; i++)
			check_port_pair(reading, root, i, j);
		for (size_t i = 0; i < config->n_ports; i++) {
			if (strcmp(config->ports[j].twin, config->ports[i].device) == 0)
				mistake(reading, port_setting(root, j), "twin",
					"found \"%s\", which is port [%zu]'s device; must be "
					"another name",
					config->ports[j].twin, i);
		}
	}
}

static void check_ring_size(struct reading *reading, const config_setting_t *root)
{
	uint32_t size = reading->config->ring_size, prime = size;

	while (!is_prime(prime))
		prime++;
	if (prime != size)
		mistake(reading, root, "ring_size",
			"found %u; must be a prime number, of which %u is the next", size, prime);
}

// Names

typedef const char *name_fn(const struct config *config, size_t i);

static const char *node_name(const struct config *config, size_t i)
{
	return config->nodes[i].name;
}

static const char *service_name(const struct config *config, size_t i)
{
	return config->services[i]->name;
}

struct naming {
	const struct config *config;
	name_fn *name_of;
};

static int compare_names(const void *left, const void *right, void *argument)
{
	const struct naming *naming = argument;
	size_t a = *(const size_t *)left, b = *(const size_t *)right;
	int order = strcmp(naming->name_of(naming->config, a), naming->name_of(naming->config, b));

	return order != 0 ? order : a < b ? -1 : a > b;
}

// Indexes in the order of their names. Returns NULL when out of memory, having said so.
static size_t *sort_names(struct reading *reading, size_t n, name_fn *name_of)
{
	struct naming naming = {reading->config, name_of};
	size_t *sorted = malloc((n + 1) * sizeof(*sorted));

	if (sorted == NULL) {
		reading->out_of_memory = true;
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = i;
	qsort_r(sorted, n, sizeof(*sorted), compare_names, &naming);
	return sorted;
}

static void check_names(struct reading *reading, const config_setting_t *list, const size_t *sorted,
	size_t n, name_fn *name_of)
{
	for (size_t i = 1; i < n; i++) {
		const char *name = name_of(reading->config, sorted[i]);
		const config_setting_t *first =
			config_setting_get_elem(list, (unsigned)sorted[i - 1]);

		if (*name != '\0' && strcmp(name, name_of(reading->config, sorted[i - 1])) == 0)
			mistake(reading, config_setting_get_elem(list, (unsigned)sorted[i]), "name",
				"found \"%s\", as in line %u; must be a name of its own", name,
				line_of(first, "name"));
	}
}

// The node of that name, or SIZE_MAX.
static size_t find_node(const struct config *config, const size_t *sorted, const char *name)
{
	size_t low = 0, high = config->n_nodes;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, config->nodes[sorted[middle]].name);

		if (order == 0)
			return sorted[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return SIZE_MAX;
}

// Which nodes a service has

static bool is_of_family(const struct config *config, size_t node, enum family family)
{
	return !address_is_none(&config->nodes[node].address[family]);
}

static const char *family_word(enum family family)
{
	return family == IPV4 ? "IPv4" : "IPv6";
}

// Nodes whose address was no good by itself have none. Tunnels lead to either family.
static bool lacks_family(
	const struct config *config, size_t node, const struct service_config *service)
{
	enum family family = address_family(&service->vip), other = family == IPV4 ? IPV6 : IPV4;

	return service->mode != MODE_TUNNEL && !address_is_none(&service->vip) &&
		!is_of_family(config, node, family) && is_of_family(config, node, other);
}

static void check_all_nodes(struct reading *reading, size_t i)
{
	const struct config *config = reading->config;
	const struct service_config *service = config->services[i];
	const char *word = family_word(address_family(&service->vip));

	for (size_t node = 0; node < config->n_nodes; node++) {
		if (!lacks_family(config, node, service))
			continue;
		mistake(reading, service_setting(reading, i), "nodes",
			"found nothing, which is all nodes, but nodes.[%zu] \"%s\" has no %s "
			"address; must be nodes of the VIP's family",
			node, config->nodes[node].name, word);
		return;
	}
}

static int compare_indexes(const void *left, const void *right)
{
	size_t a = *(const size_t *)left, b = *(const size_t *)right;

	return a < b ? -1 : a > b;
}

// One name of a service's list. Returns the node, or SIZE_MAX having said why not.
static size_t read_node(struct reading *reading, const config_setting_t *setting,
	const size_t *sorted, const struct service_config *service)
{
	const char *name = config_setting_get_string(setting);
	char text[FOUND_TEXT_MAX];
	size_t node = name == NULL ? SIZE_MAX : find_node(reading->config, sorted, name);

	if (node == SIZE_MAX)
		mistake(reading, setting, NULL, "found %s; must be the name of a node",
			found(setting, text));
	else if (lacks_family(reading->config, node, service)) {
		mistake(reading, setting, NULL,
			"found %s, which has no %s address; must be a node of the VIP's family",
			found(setting, text), family_word(address_family(&service->vip)));
		return SIZE_MAX;
	}
	return node;
}

static void read_nodes(struct reading *reading, const config_setting_t *setting,
	struct service_config *service, const size_t *sorted)
{
	int n = config_setting_length(setting);
	size_t *nodes = malloc(((size_t)n + 1) * sizeof(*nodes)), n_nodes = 0;

	if (nodes == NULL) {
		reading->out_of_memory = true;
		return;
	}
	for (int i = 0; i < n; i++) {
		size_t node = read_node(
			reading, config_setting_get_elem(setting, (unsigned)i), sorted, service);

		if (node != SIZE_MAX)
			nodes[n_nodes++] = node;
	}
	qsort(nodes, n_nodes, sizeof(*nodes), compare_indexes);
	for (size_t i = 1; i < n_nodes; i++) {
		if (nodes[i] == nodes[i - 1])
			mistake(reading, setting, NULL, "found \"%s\" twice; must be once",
				reading->config->nodes[nodes[i]].name);
	}
	service->nodes = nodes;
	service->n_nodes = n_nodes;
}

static bool all_are_of_family(
	const struct config *config, const struct service_config *service, enum family family)
{
	for (size_t i = 0; i < service->n_nodes; i++) {
		if (!is_of_family(config, service->nodes[i], family))
			return false;
	}
	return true;
}

// The outer packets of a tunnel are of the VIP's family where all nodes have it.
static void choose_target_family(struct reading *reading, size_t i)
{
	const struct config *config = reading->config;
	struct service_config *service = reading->config->services[i];
	enum family family = address_family(&service->vip), other = family == IPV4 ? IPV6 : IPV4;

	service->target_family = family;
	if (service->mode != MODE_TUNNEL || all_are_of_family(config, service, family))
		return;
	if (all_are_of_family(config, service, other))
		service->target_family = other;
	else
		mistake(reading, service_setting(reading, i), "nodes",
			"found nodes without a family that all of them have; must be nodes that "
			"all have an %s or all have an %s address",
			family_word(family), family_word(other));
}

static void choose_mode(struct config *config, struct service_config *service)
{
	service->mode = service->mode_word == 0 ? config->mode : service->mode_word - 1;
	service->tunnel_kind =
		service->tunnel_word == 0 ? config->tunnel_kind : service->tunnel_word - 1;
}

static void choose_nodes(struct reading *reading, size_t i, const size_t *sorted)
{
	struct service_config *service = reading->config->services[i];
	const config_setting_t *setting =
		config_setting_get_member(service_setting(reading, i), "nodes");
	char text[FOUND_TEXT_MAX];

	choose_mode(reading->config, service);
	service->nodes = reading->config->all_nodes;
	service->n_nodes = reading->config->n_nodes;
	if (setting == NULL)
		check_all_nodes(reading, i);
	else if (config_setting_is_array(setting) || config_setting_is_list(setting))
		read_nodes(reading, setting, service, sorted);
	else
		mistake(reading, setting, NULL,
			"found %s; must be a list of names of nodes, such as [ \"n1\", \"n2\" ]",
			found(setting, text));
	choose_target_family(reading, i);
}

// Who has which address

enum claim_kind { CLAIM_SNAT, CLAIM_NODE, CLAIM_VIP };

struct claim {
	struct address address;
	enum claim_kind kind;
	size_t index; // Of the node or service.
	const config_setting_t *setting;
};

static int compare_claims(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;
	int order = memcmp(&a->address, &b->address, sizeof(a->address));

	if (order != 0)
		return order;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static void add_claim(struct claim *claims, size_t *n, const struct address *address,
	enum claim_kind kind, size_t index, const config_setting_t *setting)
{
	if (!address_is_none(address) && setting != NULL)
		claims[(*n)++] = (struct claim){*address, kind, index, setting};
}

static size_t take_claims(
	const struct reading *reading, const config_setting_t *root, struct claim *claims)
{
	const struct config *config = reading->config;
	size_t n = 0;

	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		for (size_t i = 0; i < config->n_snat[family]; i++)
			add_claim(claims, &n, &config->snat[family][i], CLAIM_SNAT, i,
				config_setting_get_member(root, "snat"));
		for (size_t i = 0; i < config->n_nodes; i++)
			add_claim(claims, &n, &config->nodes[i].address[family], CLAIM_NODE, i,
				config_setting_get_member(node_setting(reading, i), "address"));
	}
	for (size_t i = 0; i < config->n_services; i++)
		add_claim(claims, &n, &config->services[i]->vip, CLAIM_VIP, i,
			config_setting_get_member(service_setting(reading, i), "vip"));
	return n;
}

static void agree(struct reading *reading, const struct claim *a, const struct claim *b,
	const char *key, bool first, bool second)
{
	const config_setting_t *group = service_setting(reading, b->index);

	if (first != second)
		mistake(reading, group, key,
			"found %s; must be as of the service with the same VIP in line %u, %s",
			second ? "true" : "false", line_of(service_setting(reading, a->index), key),
			first ? "true" : "false");
}

// 'a' comes before 'b', and has the same address.
static void check_claims(struct reading *reading, const struct claim *a, const struct claim *b)
{
	static const char *const owners[] = {"an SNAT address", "the address of a node", "a VIP"};
	struct service_config *const *services = reading->config->services;
	char text[ADDRESS_TEXT_MAX];

	if (b->kind == CLAIM_VIP && a->kind == CLAIM_VIP) {
		agree(reading, a, b, "announce", services[a->index]->announce,
			services[b->index]->announce);
		agree(reading, a, b, "answer_arp", services[a->index]->answers_arp,
			services[b->index]->answers_arp);
		if (services[a->index]->rejects != services[b->index]->rejects)
			mistake(reading, service_setting(reading, b->index), "closed_ports",
				"found \"%s\"; must be as of the service with the same VIP in line "
				"%u",
				services[b->index]->rejects ? "reject" : "drop",
				line_of(service_setting(reading, a->index), "closed_ports"));
		return;
	}
	mistake(reading, b->setting, NULL,
		"found \"%s\", which is %s in line %u; must be an address of its own",
		address_format(&b->address, text), owners[a->kind],
		config_setting_source_line(a->setting));
}

static void check_addresses(struct reading *reading, const config_setting_t *root)
{
	const struct config *config = reading->config;
	size_t most = config->n_snat[IPV4] + config->n_snat[IPV6] + config->n_nodes * N_FAMILIES +
		config->n_services;
	struct claim *claims = malloc((most + 1) * sizeof(*claims));
	size_t first = 0;

	if (claims == NULL) {
		reading->out_of_memory = true;
		return;
	}

	size_t n = take_claims(reading, root, claims);
	qsort(claims, n, sizeof(*claims), compare_claims);
	for (size_t i = 1; i < n; i++) {
		if (address_equal(&claims[first].address, &claims[i].address))
			check_claims(reading, &claims[first], &claims[i]);
		else
			first = i;
	}
	free(claims);
}

// Services

static int compare_endpoints(const void *left, const void *right, void *argument)
{
	const struct config *config = argument;
	size_t i = *(const size_t *)left, j = *(const size_t *)right;
	const struct service_config *a = config->services[i], *b = config->services[j];
	int order = memcmp(&a->vip, &b->vip, sizeof(a->vip));

	if (order == 0)
		order = (int)a->port - (int)b->port;
	if (order == 0)
		order = (int)a->protocol - (int)b->protocol;
	return order != 0 ? order : i < j ? -1 : i > j;
}

static bool same_endpoint(const struct service_config *a, const struct service_config *b)
{
	return address_equal(&a->vip, &b->vip) && a->port == b->port && a->port != 0 &&
		a->protocol == b->protocol && !address_is_none(&a->vip);
}

static void check_endpoints(struct reading *reading)
{
	struct config *config = reading->config;
	size_t *sorted = sort_names(reading, config->n_services, service_name);
	char text[ENDPOINT_TEXT_MAX];

	if (sorted == NULL)
		return;
	qsort_r(sorted, config->n_services, sizeof(*sorted), compare_endpoints, config);
	for (size_t i = 1; i < config->n_services; i++) {
		const struct service_config *service = config->services[sorted[i]];

		if (same_endpoint(config->services[sorted[i - 1]], service))
			mistake(reading, service_setting(reading, sorted[i]), "port",
				"found %s/%s, as of the service in line %u; must be another port, "
				"protocol or VIP",
				endpoint_format(&service->vip, service->port, text),
				protocol_word(service->protocol),
				line_of(service_setting(reading, sorted[i - 1]), "port"));
	}
	free(sorted);
}

static bool says_times(const config_setting_t *group)
{
	return config_setting_get_member(group, "timeout") != NULL ||
		config_setting_get_member(group, "interval") != NULL;
}

// 'group' is a service's own, or 'health': what both leave out is said once.
static void check_times(
	struct reading *reading, const config_setting_t *group, const struct check_config *check)
{
	if (check->timeout_ms > check->interval_ms && says_times(group))
		mistake(reading, group, "timeout",
			"found %g; must be at most the interval, %g seconds",
			check->timeout_ms / 1000.0, check->interval_ms / 1000.0);
}

// Nothing that we send to a UDP port must be answered: it is checked at a port that the
// configuration names, or not at all.
static void settle_check(struct reading *reading, size_t i)
{
	struct service_config *service = reading->config->services[i];
	const config_setting_t *setting =
		config_setting_get_member(service_setting(reading, i), "check");

	if (setting != NULL && config_setting_is_group(setting))
		check_times(reading, setting, &service->check);
	bool can_be_asked = service->protocol == IPPROTO_TCP && service->node_port != 0;
	if (can_be_asked || service->check.port != 0)
		return;
	if (setting == NULL)
		service->check.kind = CHECK_NONE;
	else if (service->check.kind != CHECK_NONE)
		mistake(reading, setting, NULL,
			"found no port to ask about a %s service; must be a group with a port, "
			"such as { kind = \"tcp\"; port = 10256; }, or \"none\"",
			service->protocol == IPPROTO_TCP ? "portless"
							 : protocol_word(service->protocol));
}

// What the mode needs beside the service.
static void check_mode(struct reading *reading, size_t i)
{
	const struct config *config = reading->config;
	const struct service_config *service = config->services[i];
	const config_setting_t *setting = service_setting(reading, i);
	enum family family = address_family(&service->vip), outer = service->target_family;

	if (address_is_none(&service->vip))
		return;
	if (service->mode == MODE_SNAT && config->n_snat[family] == 0 &&
		config->snat_twin[0] == '\0')
		mistake(reading, setting, "vip",
			"found an %s address, but snat has none; must be of a family that snat has",
			family_word(family));
	if ((service->mode == MODE_SNAT || service->mode == MODE_DNAT) && service->node_port == 0)
		mistake(reading, setting, "node_port",
			"found nothing, which only the modes \"dsr\" and \"tunnel\" do without; "
			"must "
			"be a port from 1 to 65535");
	if (service->mode == MODE_TUNNEL && address_is_none(&config->settings.tunnel_source[outer]))
		mistake(reading, setting, "mode",
			"found \"tunnel\" to %s addresses, but tunnel.source has none; must be "
			"beside a source of that family",
			family_word(outer));
	if (service->protocol == IPPROTO_SCTP &&
		(service->mode == MODE_SNAT || service->mode == MODE_DNAT))
		mistake(reading, setting, "protocol",
			"found \"sctp\" in a mode that changes ports; must be in mode \"dsr\" or "
			"\"tunnel\"");
}

static void settle_service(struct reading *reading, size_t i)
{
	struct config *config = reading->config;
	struct service_config *service = config->services[i];

	if (service->idle_s == 0)
		service->idle_s =
			service->protocol == IPPROTO_TCP ? config->tcp_idle_s : config->udp_idle_s;
	if (service->affinity_word == 0)
		service->affinity_s = 0;
	settle_check(reading, i);
	check_mode(reading, i);
}

// Replies are known by the NodePort that they come from.

static int compare_node_ports(const void *left, const void *right, void *argument)
{
	const struct config *config = argument;
	size_t i = *(const size_t *)left, j = *(const size_t *)right;
	const struct service_config *a = config->services[i], *b = config->services[j];
	int order = (int)a->node_port - (int)b->node_port;

	if (order == 0)
		order = (int)a->protocol - (int)b->protocol;
	if (order == 0)
		order = (int)a->target_family - (int)b->target_family;
	return order != 0 ? order : i < j ? -1 : i > j;
}

static bool same_node_port(const struct service_config *a, const struct service_config *b)
{
	return a->node_port == b->node_port && a->protocol == b->protocol &&
		a->target_family == b->target_family;
}

static void check_node_ports(struct reading *reading)
{
	struct config *config = reading->config;
	size_t *sorted = malloc((config->n_services + 1) * sizeof(*sorted)), n = 0;

	if (sorted == NULL) {
		reading->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < config->n_services; i++) {
		if (config->services[i]->mode == MODE_DNAT && config->services[i]->node_port != 0)
			sorted[n++] = i;
	}
	qsort_r(sorted, n, sizeof(*sorted), compare_node_ports, config);
	for (size_t i = 1; i < n; i++) {
		if (same_node_port(config->services[sorted[i - 1]], config->services[sorted[i]]))
			mistake(reading, service_setting(reading, sorted[i]), "node_port",
				"found %u, as of the service in line %u, both in mode \"dnat\", "
				"which knows replies by it; must be another",
				config->services[sorted[i]]->node_port,
				line_of(service_setting(reading, sorted[i - 1]), "node_port"));
	}
	free(sorted);
}

// Of all together

static void check_counts(struct reading *reading, const config_setting_t *root)
{
	const struct config *config = reading->config;

	if (config->n_nodes > config->nodes_max)
		mistake(reading, root, "nodes",
			"found %zu nodes; must be at most memory.nodes, %zu", config->n_nodes,
			config->nodes_max);
	if (config->n_services > config->services_max)
		mistake(reading, root, "services",
			"found %zu services; must be at most memory.services, %zu",
			config->n_services, config->services_max);
}

static void check_nodes(struct reading *reading)
{
	struct config *config = reading->config;
	size_t *sorted = sort_names(reading, config->n_nodes, node_name);

	config->all_nodes = malloc((config->n_nodes + 1) * sizeof(*config->all_nodes));
	if (sorted == NULL || config->all_nodes == NULL) {
		reading->out_of_memory = true;
		free(sorted);
		return;
	}
	for (size_t i = 0; i < config->n_nodes; i++)
		config->all_nodes[i] = i;
	check_names(reading, reading->nodes, sorted, config->n_nodes, node_name);
	for (size_t i = 0; i < config->n_services; i++)
		choose_nodes(reading, i, sorted);
	free(sorted);
}

static void check_services(struct reading *reading)
{
	size_t n = reading->config->n_services;
	size_t *sorted = sort_names(reading, n, service_name);

	if (sorted != NULL)
		check_names(reading, reading->services, sorted, n, service_name);
	free(sorted);
	check_endpoints(reading);
	check_node_ports(reading);
	for (size_t i = 0; i < n; i++)
		settle_service(reading, i);
}

static void fill_in_paths(struct config *config)
{
	if (config->control_socket[0] == '\0')
		snprintf(config->control_socket, sizeof(config->control_socket),
			"/run/guideway/%s.sock", config->dataplane.instance);
	if (config->state[0] == '\0')
		snprintf(config->state, sizeof(config->state), "/var/lib/guideway/%s",
			config->dataplane.instance);
}

// Each address of a node has one.
static void count_ids(struct config *config)
{
	size_t n_nodes = 2 * config->nodes_max * N_FAMILIES;

	config->dataplane.services_max = 2 * config->services_max;
	config->dataplane.nodes_max = n_nodes < NODE_NONE ? n_nodes : NODE_NONE;
}

void config_check(struct reading *reading, const config_setting_t *root)
{
	const config_setting_t *health = config_setting_get_member(root, "health");

	check_ports(reading, root);
	check_ring_size(reading, root);
	check_counts(reading, root);
	if (health != NULL)
		check_times(reading, health, &reading->config->check);
	check_nodes(reading);
	check_services(reading);
	check_addresses(reading, root);
	config_check_pools(reading, root);
	config_check_instances(reading, root);
	fill_in_paths(reading->config);
	count_ids(reading->config);
}

// What is hardly meant

// How many nodes are asked at each port, of each family.
struct asked {
	size_t n_nodes[N_FAMILIES][UINT16_MAX + 1];
};

// No less than this: services with one port are taken to share their nodes, and those with a port
// of the check's own are not counted.
static size_t count_probes_of_node_ports(const struct config *config, struct asked *asked)
{
	size_t n_probes = 0;

	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *service = config->services[i];
		size_t *n = &asked->n_nodes[address_family(&service->vip)][service->node_port];

		if (service->check.kind == CHECK_NONE || service->check.port != 0 ||
			service->n_nodes <= *n)
			continue;
		n_probes += service->n_nodes - *n;
		*n = service->n_nodes;
	}
	return n_probes;
}

static int warn_of_probes(const struct config *config, struct text_lines *ret_warnings)
{
	struct asked *asked = calloc(1, sizeof(*asked));
	if (asked == NULL)
		return -ENOMEM;

	size_t n_probes = count_probes_of_node_ports(config, asked);
	free(asked);
	if (n_probes <= PROBES_MANY)
		return 0;
	return text_lines_add(ret_warnings,
		"each node is asked at the node_port of each service, %zu ports in all; set "
		"health.port to one that tells of the whole node",
		n_probes);
}

int config_warnings(const struct config *config, struct text_lines *ret_warnings)
{
	int r = warn_of_probes(config, ret_warnings);

	if (r == 0 && config->kubernetes.enabled && config->kubernetes.n_pools == 0)
		r = text_lines_add(ret_warnings,
			"kubernetes.pools has no pool, so that no Service gets an address; add one "
			"such as { name = \"edge\"; addresses = [ \"192.0.2.128/25\" ]; }");
	return r;
}
