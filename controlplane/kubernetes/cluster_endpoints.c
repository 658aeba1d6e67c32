#include "cluster_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "guideway/index.h"

// Where Services are served
// =========================
//
// An address, a port and a protocol lead to one service: there is no table in which they lead to
// two, and as long as two are wanted nothing that changes in the cluster comes into force. In dnat
// the same goes for NodePorts, which may be those of the file's services. The book gives no two
// Services the same address and port. But who does not lead goes by records, which others than
// Guideway may have written; and of a Service that asks for addresses in a way that cannot be read
// the book knows the ports of before. So who is to be served looks here first whether another is,
// who then stays; and is tried again like all who wait.

static uint64_t hash_of(const struct address *address, uint16_t port, uint8_t protocol)
{
	return mix(index_hash_address(address) ^ ((uint64_t)port << 8 | protocol));
}

static const struct endpoint_claim *find_claim(
	const struct cluster *c, const struct address *address, const struct service_port *port)
{
	struct map_link *at = map_find(&c->endpoints, hash_of(address, port->port, port->protocol));

	for (; at != NULL; at = map_find_next(at)) {
		const struct endpoint_claim *claim =
			MAP_THING(at, struct endpoint_claim, by_endpoint);

		if (address_equal(&claim->address, address) && claim->port == port->port &&
			claim->protocol == port->protocol)
			return claim;
	}
	return NULL;
}

static bool is_served(const struct service_entry *e, const struct service_port *port)
{
	return admission_port_error(&e->admission, port) == NULL;
}

// In dnat a NodePort has the way back to one VIP; the file's service that has it, or NULL.
static const struct service_config *find_of_file(const struct cluster *c,
	const struct service_entry *e, enum family family, const struct service_port *port)
{
	for (size_t i = 0; e->admission.mode == MODE_DNAT && i < c->file->n_services; i++) {
		const struct service_config *service = c->file->services[i];

		if (service->mode == MODE_DNAT && service->target_family == family &&
			service->node_port == port->node_port &&
			service->protocol == port->protocol)
			return service;
	}
	return NULL;
}

static bool meets_another_at(const struct cluster *c, const struct service_entry *e,
	const struct address *address, const struct service_port *port,
	char ret_where[MEETING_TEXT_MAX])
{
	const char *protocol = service_protocol_word(port->protocol);
	const struct endpoint_claim *claim = find_claim(c, address, port);
	const struct service_config *of_file = find_of_file(c, e, address_family(address), port);

	if (claim != NULL && claim->owner != e)
		snprintf(ret_where, MEETING_TEXT_MAX, "port %u/%s is that of %s", port->port,
			protocol, claim->owner->key);
	else if (of_file != NULL)
		snprintf(ret_where, MEETING_TEXT_MAX,
			"NodePort %u/%s leads back to %s of the load balancer's configuration",
			port->node_port, protocol, of_file->name);
	else
		return false;
	return true;
}

bool cluster_meets_another(const struct cluster *c, const struct service_entry *e,
	const struct address *address, char ret_where[MEETING_TEXT_MAX])
{
	for (size_t i = 0; i < e->object->n_ports; i++) {
		const struct service_port *port = &e->object->ports[i];

		if (is_served(e, port) && meets_another_at(c, e, address, port, ret_where))
			return true;
	}
	return false;
}

void cluster_drop_endpoints(struct cluster *c, struct service_entry *e)
{
	while (e->n_claims > 0)
		map_remove(&c->endpoints, &e->claims[--e->n_claims].by_endpoint);
	free(e->claims);
	e->claims = NULL;
}

static void claim_ports(struct cluster *c, struct service_entry *e, const struct address *address)
{
	for (size_t i = 0; !address_is_none(address) && i < e->object->n_ports; i++) {
		const struct service_port *port = &e->object->ports[i];
		struct endpoint_claim *claim = &e->claims[e->n_claims];

		if (!is_served(e, port) || find_claim(c, address, port) != NULL)
			continue;
		*claim = (struct endpoint_claim){.owner = e,
			.address = *address,
			.port = port->port,
			.protocol = port->protocol};
		if (map_put(&c->endpoints, &claim->by_endpoint,
			    hash_of(address, port->port, port->protocol)) == 0)
			e->n_claims++;
	}
}

void cluster_claim_endpoints(struct cluster *c, struct service_entry *e)
{
	cluster_drop_endpoints(c, e);
	if (e->stage != STAGE_SERVE)
		return;
	e->claims = calloc(2 * N_FAMILIES * e->object->n_ports, sizeof(*e->claims));
	for (enum family f = IPV4; e->claims != NULL && f < N_FAMILIES; f++) {
		claim_ports(c, e, &e->address[f]);
		claim_ports(c, e, &e->leaving[f]);
	}
}
