#include "service_object.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "json_read.h"

#define SOURCES_ANNOTATION "service.beta.kubernetes.io/load-balancer-source-ranges"

enum { AFFINITY_STANDARD_S = 10800 };

bool object_key(const json_t *json, char ret_key[SERVICE_KEY_MAX])
{
	const char *space = json_text_at(json, "metadata.namespace");
	const char *name = json_text_at(json, "metadata.name");

	snprintf(ret_key, SERVICE_KEY_MAX, "%s/%s", space, name);
	return is_name_of_object(space, SPACE_TEXT_MAX) && is_name_of_object(name, SPACE_TEXT_MAX);
}

const char *service_annotation(const struct service_object *service, const char *name)
{
	return json_string_value(json_object_get(service->annotations, name));
}

const json_t *service_condition(const struct service_object *service, const char *type)
{
	for (size_t i = 0; i < json_array_size(service->conditions); i++) {
		const json_t *condition = json_array_get(service->conditions, i);

		if (json_text_is(condition, "type", type))
			return condition;
	}
	return NULL;
}

static bool same_sources(const struct service_object *a, const struct service_object *b)
{
	return a->sources.n == b->sources.n &&
		(a->sources.n == 0 ||
			memcmp(a->sources.prefixes, b->sources.prefixes,
				a->sources.n * sizeof(*a->sources.prefixes)) == 0) &&
		strcmp(a->bad_source, b->bad_source) == 0;
}

static bool same_ports(const struct service_object *a, const struct service_object *b)
{
	return a->n_ports == b->n_ports &&
		memcmp(a->ports, b->ports, a->n_ports * sizeof(*a->ports)) == 0;
}

static bool same_families(const struct service_object *a, const struct service_object *b)
{
	return a->n_families == b->n_families &&
		memcmp(a->families, b->families, sizeof(a->families)) == 0 &&
		a->requires_all_families == b->requires_all_families;
}

static bool same_texts(const json_t *a, const json_t *b)
{
	return a == b || json_equal(a, b);
}

bool service_object_asks_alike(const struct service_object *a, const struct service_object *b)
{
	return a->is_load_balancer == b->is_load_balancer && a->is_headless == b->is_headless &&
		a->is_local == b->is_local && a->health_check_port == b->health_check_port &&
		a->affinity_s == b->affinity_s && strcmp(a->class, b->class) == 0 &&
		same_ports(a, b) && same_families(a, b) && same_sources(a, b) &&
		same_texts(a->load_balancer_ip, b->load_balancer_ip);
}

// Ports

static uint8_t protocol_of(const json_t *port)
{
	const char *text = json_text_at(port, "protocol");

	if (strcmp(text, "UDP") == 0)
		return IPPROTO_UDP;
	if (strcmp(text, "SCTP") == 0)
		return IPPROTO_SCTP;
	return *text == '\0' || strcmp(text, "TCP") == 0 ? IPPROTO_TCP : 0;
}

const char *service_protocol_word(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "UDP" : protocol == IPPROTO_SCTP ? "SCTP" : "TCP";
}

static int parse_port(const json_t *json, struct service_port *ret_port)
{
	int64_t port = json_number_at(json, "port"), node_port = json_number_at(json, "nodePort");
	uint8_t protocol = protocol_of(json);

	if (port < 1 || port > UINT16_MAX || node_port < 0 || node_port > UINT16_MAX ||
		protocol == 0)
		return -EINVAL;
	ret_port->protocol = protocol;
	ret_port->port = (uint16_t)port;
	ret_port->node_port = (uint16_t)node_port;
	json_copy_text(json, "name", ret_port->name, sizeof(ret_port->name));
	return 0;
}

static int parse_ports(const json_t *json, struct service_object *service)
{
	const json_t *ports = json_at(json, "spec.ports");
	size_t n = json_array_size(ports);

	if (n > SERVICE_PORTS_MAX)
		return -EINVAL;
	service->ports = calloc(n + 1, sizeof(*service->ports));
	if (service->ports == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = parse_port(json_array_get(ports, i), &service->ports[i]);
		if (r < 0)
			return r;
	}
	service->n_ports = n;
	return 0;
}

// Who may come

// One text of the list, which may have blanks around it.
static void take_source(struct service_object *service, const char *text, size_t len)
{
	struct source_list *list = &service->sources;
	char copy[sizeof(service->bad_source)];
	size_t before = strspn(text, " \t");

	before = before < len ? before : len;
	text += before;
	len -= before;
	while (len > 0 && strchr(" \t", text[len - 1]) != NULL)
		len--;
	snprintf(copy, sizeof(copy), "%.*s", (int)(len < sizeof(copy) ? len : sizeof(copy)), text);
	if (source_prefix_parse(copy, &list->prefixes[list->n]) == 0)
		list->n++;
	else if (service->bad_source[0] == '\0')
		strcpy(service->bad_source, *copy == '\0' ? "an empty text" : copy);
}

static int allocate_sources(struct service_object *service, size_t n)
{
	service->sources.prefixes = calloc(n + 1, sizeof(*service->sources.prefixes));
	return service->sources.prefixes == NULL ? -ENOMEM : 0;
}

static int take_source_list(struct service_object *service, const json_t *list)
{
	int r = allocate_sources(service, json_array_size(list));

	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (text != NULL)
			take_source(service, text, strlen(text));
	}
	return r;
}

static int take_source_text(struct service_object *service, const char *text)
{
	size_t n = 1;

	for (const char *at = text; *at != '\0'; at++)
		n += *at == ',';
	int r = allocate_sources(service, n);
	while (r == 0) {
		size_t len = strcspn(text, ",");

		take_source(service, text, len);
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	return r;
}

// The field wins over the annotation.
static int parse_sources(const json_t *json, struct service_object *service)
{
	const json_t *list = json_at(json, "spec.loadBalancerSourceRanges");
	const char *text = service_annotation(service, SOURCES_ANNOTATION);
	struct source_list *sources = &service->sources;
	int r = 0;

	if (json_array_size(list) > 0)
		r = take_source_list(service, list);
	else if (text != NULL && text[strspn(text, " \t")] != '\0')
		r = take_source_text(service, text);
	if (r < 0 || sources->n == 0)
		return r;
	r = source_prefixes_reduce(sources->prefixes, &sources->n);
	if (r == 0 && source_prefixes_are_all(sources->prefixes, sources->n))
		sources->n = 0;
	return r;
}

// The rest

static void parse_families(const json_t *json, struct service_object *service)
{
	const json_t *families = json_at(json, "spec.ipFamilies");
	size_t n = json_array_size(families);

	for (size_t i = 0; i < n && i < N_FAMILIES; i++) {
		const char *word = json_string_value(json_array_get(families, i));

		service->families[service->n_families++] =
			word != NULL && strcmp(word, "IPv6") == 0 ? IPV6 : IPV4;
	}
	if (n == 0)
		service->n_families = 1; // IPv4, of a server before there were families.
	service->requires_all_families =
		json_text_is(json, "spec.ipFamilyPolicy", "RequireDualStack");
}

static void parse_affinity(const json_t *json, struct service_object *service)
{
	int64_t timeout_s =
		json_number_at(json, "spec.sessionAffinityConfig.clientIP.timeoutSeconds");

	if (!json_text_is(json, "spec.sessionAffinity", "ClientIP"))
		return;
	service->affinity_s =
		timeout_s < 1 || timeout_s > 86400 ? AFFINITY_STANDARD_S : (uint32_t)timeout_s;
}

static void parse_ingress(const json_t *json, struct service_object *service)
{
	const json_t *list = json_at(json, "status.loadBalancer.ingress");

	service->n_ingress = json_array_size(list);
	for (size_t i = 0; i < service->n_ingress && i < N_FAMILIES; i++) {
		const json_t *entry = json_array_get(list, i);
		struct ingress *ingress = &service->ingress[i];

		address_parse(json_text_at(entry, "ip"), &ingress->address);
		ingress->ip_mode =
			json_text_is(entry, "ipMode", "Proxy") ? IP_MODE_PROXY : IP_MODE_VIP;
	}
}

static json_t *keep(const json_t *json, const char *path)
{
	return json_incref((json_t *)json_at(json, path));
}

static void parse_metadata(const json_t *json, struct service_object *service)
{
	json_copy_text(json, "metadata.namespace", service->space, sizeof(service->space));
	json_copy_text(json, "metadata.name", service->name, sizeof(service->name));
	json_copy_text(json, "metadata.uid", service->uid, sizeof(service->uid));
	service->version = strtoull(json_text_at(json, "metadata.resourceVersion"), NULL, 10);
	service->is_deleted = json_at(json, "metadata.deletionTimestamp") != NULL;
	service->has_our_finalizer = json_list_has(json, "metadata.finalizers", FINALIZER_OURS);
	service->has_standard_finalizer =
		json_list_has(json, "metadata.finalizers", FINALIZER_STANDARD);
	service->annotations = keep(json, "metadata.annotations");
	service->labels = keep(json, "metadata.labels");
	service->conditions = keep(json, "status.conditions");
	service->load_balancer_ip = keep(json, "spec.loadBalancerIP");
	service->ingress_json = keep(json, "status.loadBalancer.ingress");
}

static void parse_spec(const json_t *json, struct service_object *service)
{
	int64_t health_check_port = json_number_at(json, "spec.healthCheckNodePort");

	json_copy_text(json, "spec.loadBalancerClass", service->class, sizeof(service->class));
	service->is_load_balancer = json_text_is(json, "spec.type", "LoadBalancer");
	service->is_headless = json_text_is(json, "spec.clusterIP", "None");
	service->is_local = json_text_is(json, "spec.externalTrafficPolicy", "Local");
	if (health_check_port > 0 && health_check_port <= UINT16_MAX)
		service->health_check_port = (uint16_t)health_check_port;
	parse_families(json, service);
	parse_affinity(json, service);
}

int service_object_parse(const json_t *json, struct service_object **ret_service)
{
	struct service_object *service = calloc(1, sizeof(*service));
	int r = -ENOMEM;

	if (service == NULL)
		return r;
	parse_metadata(json, service);
	parse_spec(json, service);
	parse_ingress(json, service);
	r = object_key(json, service->key) ? parse_ports(json, service) : -EINVAL;
	if (r == 0)
		r = parse_sources(json, service);
	if (r < 0) {
		service_object_free(service);
		return r;
	}
	*ret_service = service;
	return 0;
}

// Writing it again

static json_t *finalizer_list(const struct service_object *service)
{
	json_t *list = json_array();

	if (service->has_our_finalizer)
		json_array_append_new(list, json_string(FINALIZER_OURS));
	if (service->has_standard_finalizer)
		json_array_append_new(list, json_string(FINALIZER_STANDARD));
	return list;
}

static json_t *port_list(const struct service_object *service)
{
	json_t *list = json_array();

	for (size_t i = 0; i < service->n_ports; i++) {
		const struct service_port *port = &service->ports[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:i, s:i}", "name", port->name, "protocol",
				service_protocol_word(port->protocol), "port", port->port,
				"nodePort", port->node_port));
	}
	return list;
}

static json_t *family_list(const struct service_object *service)
{
	json_t *list = json_array();

	for (size_t i = 0; i < service->n_families; i++)
		json_array_append_new(
			list, json_string(service->families[i] == IPV6 ? "IPv6" : "IPv4"));
	return list;
}

// That nobody is let in by a list of mistakes alone has to be written, too.
static json_t *source_range_list(const struct service_object *service)
{
	const struct source_list *sources = &service->sources;
	json_t *list = json_array();
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < sources->n; i++)
		json_array_append_new(list,
			json_string(prefix_format(
				&sources->prefixes[i].address, sources->prefixes[i].length, text)));
	if (service->bad_source[0] != '\0')
		json_array_append_new(list, json_string(service->bad_source));
	return list;
}

static json_t *address_list(
	const struct service_object *service, const struct address addresses[N_FAMILIES])
{
	json_t *list = json_array();
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < service->n_families; i++) {
		const struct address *address = &addresses[service->families[i]];

		if (!address_is_none(address))
			json_array_append_new(
				list, json_pack("{s:s}", "ip", address_format(address, text)));
	}
	return list;
}

static json_t *metadata_of(const struct service_object *service)
{
	json_t *metadata = json_pack("{s:s, s:s, s:s, s:o, s:o*, s:o*}", "namespace",
		service->space, "name", service->name, "uid", service->uid, "finalizers",
		finalizer_list(service), "annotations", json_deep_copy(service->annotations),
		"labels", json_deep_copy(service->labels));

	if (service->is_deleted)
		json_object_set_new(metadata, "deletionTimestamp", json_string(""));
	return metadata;
}

static json_t *spec_of(const struct service_object *service)
{
	json_t *spec = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:o, s:o, s:o, s:o*}", "type",
		service->is_load_balancer ? "LoadBalancer" : "ClusterIP", "loadBalancerClass",
		service->class, "clusterIP", service->is_headless ? "None" : "",
		"externalTrafficPolicy", service->is_local ? "Local" : "Cluster",
		"healthCheckNodePort", service->health_check_port, "ipFamilyPolicy",
		service->requires_all_families ? "RequireDualStack" : "", "ipFamilies",
		family_list(service), "loadBalancerSourceRanges", source_range_list(service),
		"ports", port_list(service), "loadBalancerIP",
		json_deep_copy(service->load_balancer_ip));

	if (service->affinity_s > 0) {
		json_object_set_new(spec, "sessionAffinity", json_string("ClientIP"));
		json_object_set_new(spec, "sessionAffinityConfig",
			json_pack("{s:{s:i}}", "clientIP", "timeoutSeconds", service->affinity_s));
	}
	return spec;
}

json_t *service_object_write(
	const struct service_object *service, const struct address addresses[N_FAMILIES])
{
	return json_pack("{s:o, s:o, s:{s:{s:o}, s:o*}}", "metadata", metadata_of(service), "spec",
		spec_of(service), "status", "loadBalancer", "ingress",
		address_list(service, addresses), "conditions",
		json_deep_copy(service->conditions));
}

void service_object_free(struct service_object *service)
{
	if (service == NULL)
		return;

	json_decref(service->annotations);
	json_decref(service->labels);
	json_decref(service->conditions);
	json_decref(service->load_balancer_ip);
	json_decref(service->ingress_json);
	free(service->sources.prefixes);
	free(service->ports);
	free(service);
}
