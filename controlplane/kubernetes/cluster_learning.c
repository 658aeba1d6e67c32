#include "cluster_inside.h"

#include <stdlib.h>
#include <string.h>

#include "json_read.h"

// In dsr and tunnel nodes learn the addresses of a Service from its status, which so is written
// before it can be programmed: that it is, once each port has a node that takes its packets. One
// that gets another port has to be learnt anew.

static bool is_learnt(const struct service_entry *e)
{
	return e->admission.mode == MODE_DSR || e->admission.mode == MODE_TUNNEL;
}

// Whether its status says what kube-proxy needs to take packets to its addresses.
static bool says_addresses(const struct service_entry *e)
{
	const struct service_object *object = e->object;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		bool is_said = address_is_none(&e->address[f]);

		for (size_t i = 0; i < object->n_ingress && i < N_FAMILIES; i++)
			is_said |= object->ingress[i].ip_mode == IP_MODE_VIP &&
				address_equal(&object->ingress[i].address, &e->address[f]);
		if (!is_said)
			return false;
	}
	return true;
}

static bool says_programmed(const struct service_object *object)
{
	return json_text_is(
		service_condition(object, condition_word(CONDITION_PROGRAMMED)), "status", "True");
}

// What a status said of the very same addresses and ports before a restart is not taken back.
bool cluster_is_programmed(const struct service_entry *e)
{
	bool was_known = !e->is_doubted && says_addresses(e) && says_programmed(e->object);

	return !e->lacks_room && (!is_learnt(e) || e->knows || was_known);
}

bool cluster_gets_programmed(const struct service_entry *e)
{
	return is_learnt(e) && cluster_is_programmed(e) && !says_programmed(e->object);
}

void cluster_doubt(struct service_entry *e)
{
	e->knows = false;
	e->is_doubted = true;
}

static bool has_port(const struct service_object *object, const struct service_port *port)
{
	for (size_t i = 0; i < object->n_ports; i++) {
		if (object->ports[i].port == port->port &&
			object->ports[i].protocol == port->protocol)
			return true;
	}
	return false;
}

// What they know of the others stays known: of a port the first telling counts.
void cluster_learn_ports(struct service_entry *e, const struct service_object *object)
{
	for (size_t i = 0; i < object->n_ports; i++) {
		if (has_port(e->object, &object->ports[i]))
			continue;
		cluster_doubt(e);
		e->told_ns = 0;
		return;
	}
}

// 0: one that is programmed when it is asked about for the first time was learnt before we came.
static uint64_t told_since(struct service_entry *e, uint64_t now_ns)
{
	if (!says_addresses(e)) {
		e->told_ns = 0;
		return UINT64_MAX;
	}
	if (says_programmed(e->object) && !e->was_asked)
		return 0;
	if (e->told_ns == 0)
		e->told_ns = now_ns;
	return e->told_ns;
}

static bool awaits_nodes(
	const struct service_entry *e, cluster_awaits_fn *awaits, void *argument, uint64_t since_ns)
{
	struct served served = {.object = e->object, .first = e->first};
	char name[NAME_TEXT_MAX];
	bool does = false;

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		for (size_t i = 0; i < e->object->n_ports; i++) {
			const struct service_port *port = &e->object->ports[i];

			if (address_is_none(&e->address[f]) ||
				admission_port_error(&e->admission, port) != NULL)
				continue;
			cluster_service_name(&served, port, &e->address[f], name);
			does |= awaits(argument, name, since_ns);
		}
	}
	return does;
}

// Whether each port has a node that knows. What is asked of it for the first time is all that it
// has by then.
static bool is_known(
	struct service_entry *e, cluster_awaits_fn *awaits, void *argument, uint64_t now_ns)
{
	bool is_awaited = awaits_nodes(e, awaits, argument, told_since(e, now_ns));

	e->was_asked = true;
	return !is_awaited && says_addresses(e);
}

bool cluster_learn(
	struct cluster *cluster, cluster_awaits_fn *awaits, void *argument, uint64_t now_ns)
{
	const struct entry_list *services = &cluster->entries[CLUSTER_SERVICES];
	bool some_wait = false;

	for (size_t i = 0; i < services->n; i++) {
		struct service_entry *e = services->entries[i];

		if (e->stage != STAGE_SERVE || !is_learnt(e) || e->knows)
			continue;
		e->knows = service_is_in_force(cluster, e) && is_known(e, awaits, argument, now_ns);
		some_wait |= !e->knows;
		if (!e->knows)
			continue;
		e->is_doubted = false;
		cluster_look_at(cluster, e);
	}
	return some_wait;
}
