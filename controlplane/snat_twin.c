#include "snat_twin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_PORT = 1024, LAST_PORT = UINT16_MAX };

static bool has(const struct address *addresses, size_t n, const struct address *address)
{
	for (size_t i = 0; i < n; i++) {
		if (address_equal(&addresses[i], address))
			return true;
	}
	return false;
}

// A VIP, or what a Service of Kubernetes may get.
static bool is_services(const struct config *config, const struct address *address)
{
	const struct kubernetes_config *kubernetes = &config->kubernetes;

	for (size_t i = 0; i < config->n_services; i++) {
		if (address_equal(&config->services[i]->vip, address))
			return true;
	}
	for (size_t i = 0; i < kubernetes->n_pools; i++) {
		if (address_pool_has(&kubernetes->pools[i], address))
			return true;
	}
	return false;
}

// Those of 'addresses' that are to have a place and have none, one after another.
struct newcomers {
	const struct config *config;
	enum family family;
	const struct address *addresses; // [n]
	size_t n;
	size_t at;
};

static const struct address *next_newcomer(struct newcomers *new)
{
	const struct config *config = new->config;

	while (new->at < new->n) {
		const struct address *address = &new->addresses[new->at++];

		if (address_family(address) == new->family && !is_services(config, address) &&
			!config_has_snat(config, address))
			return address;
	}
	return NULL;
}

static bool follow_family(
	struct config *config, enum family family, const struct address *addresses, size_t n)
{
	struct newcomers new = {.config = config, .family = family, .addresses = addresses, .n = n};
	struct address *places = config->snat[family];
	size_t *n_places = &config->n_snat[family];
	const struct address *next;
	bool changed = false;

	for (size_t i = 0; i < *n_places;) {
		if (has(addresses, n, &places[i]) && !is_services(config, &places[i])) {
			i++;
			continue;
		}
		changed = true;
		next = next_newcomer(&new);
		if (next != NULL)
			places[i++] = *next;
		else
			places[i] = places[--*n_places];
	}
	while (*n_places < SNAT_ADDRESSES_MAX && (next = next_newcomer(&new)) != NULL) {
		places[(*n_places)++] = *next;
		changed = true;
	}
	return changed;
}

static bool is_this_machine(const struct config *config, const struct node_config *node)
{
	return config_has_snat(config, &node->address[IPV4]) ||
		config_has_snat(config, &node->address[IPV6]);
}

bool snat_twin_follow(struct config *config, const struct address *addresses, size_t n_addresses)
{
	bool changed = false;

	for (enum family family = IPV4; family < N_FAMILIES; family++)
		changed |= follow_family(config, family, addresses, n_addresses);
	for (size_t i = 0; i < config->n_nodes; i++) {
		struct node_config *node = &config->nodes[i];
		bool is_out = is_this_machine(config, node);

		changed |= is_out != node->is_out;
		node->is_out = is_out;
	}
	return changed;
}

int snat_twin_ports(const char *local_port_range, uint16_t *ret_first, uint16_t *ret_last)
{
	unsigned first, last;

	if (sscanf(local_port_range, "%u %u", &first, &last) != 2 || first > last ||
		last > LAST_PORT)
		return -EINVAL;

	unsigned below = first > FIRST_PORT ? first - FIRST_PORT : 0;
	unsigned above = LAST_PORT - (last < FIRST_PORT ? FIRST_PORT - 1 : last);

	if (below < SNAT_TWIN_PORTS_MIN && above < SNAT_TWIN_PORTS_MIN)
		return -ERANGE;
	*ret_first = (uint16_t)(below >= above ? FIRST_PORT : LAST_PORT - above + 1);
	*ret_last = (uint16_t)(below >= above ? first - 1 : LAST_PORT);
	return 0;
}
