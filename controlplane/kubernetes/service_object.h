#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guideway/address.h"
#include "source_prefix.h"

// A Service of the API server (v1, core), as far as it concerns a load balancer.
// https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/

// The finalizer that says that a Service is ours, and the one that class-less ones bear as well,
// by which people and tools know that a load balancer has to be told of their end.
#define FINALIZER_OURS "guideway.dev/lb-cleanup"
#define FINALIZER_STANDARD "service.kubernetes.io/load-balancer-cleanup"

enum {
	SPACE_TEXT_MAX = 64, // Of a namespace and of a Service (RFC 1123 labels), with its end.
	SERVICE_KEY_MAX = 2 * SPACE_TEXT_MAX,
	UID_TEXT_MAX = 64,
	CLASS_TEXT_MAX = 320, // A domain, a slash, and a name.
	SERVICE_PORTS_MAX = 1024,
};

enum ip_mode { IP_MODE_VIP, IP_MODE_PROXY };

struct service_port {
	char name[SPACE_TEXT_MAX];
	uint8_t protocol;   // IPPROTO_TCP, _UDP or _SCTP.
	uint16_t port;      // Host byte order,
	uint16_t node_port; // likewise; 0 for none.
};

// What its status says that it is reached by.
struct ingress {
	struct address address; // None where there is but a host name.
	enum ip_mode ip_mode;
};

struct service_object {
	char key[SERVICE_KEY_MAX]; // "namespace/name".
	char space[SPACE_TEXT_MAX];
	char name[SPACE_TEXT_MAX];
	char uid[UID_TEXT_MAX];
	uint64_t version;      // Its resourceVersion, which grows; 0 if it is no number.
	bool is_load_balancer; // By its type.
	bool is_headless;
	bool is_deleted; // It waits for its finalizers.
	bool has_our_finalizer;
	bool has_standard_finalizer;
	char class[CLASS_TEXT_MAX]; // Empty for none.

	struct service_port *ports; // [n_ports]
	size_t n_ports;
	enum family families[N_FAMILIES]; // [n_families], the first of them first.
	size_t n_families;
	bool requires_all_families;
	bool is_local;              // externalTrafficPolicy.
	uint16_t health_check_port; // Of such; host byte order.
	uint32_t affinity_s;        // 0 for no affinity.
	struct source_list sources; // Who may come, reduced; with n 0, everybody.
	char bad_source[128];       // The first that is no prefix: then nobody is let in by it.

	struct ingress ingress[N_FAMILIES]; // [n_ingress]
	size_t n_ingress; // More than N_FAMILIES if there are more, which are none of ours.

	json_t *annotations; // Or NULL, as are the next four; a reference of its own each.
	json_t *labels;
	json_t *conditions;
	json_t *load_balancer_ip;
	json_t *ingress_json;
};

// Reads a Service as the API server has it. Returns 0, -ENOMEM, or -EINVAL if it is none: no name,
// or a port that cannot be.
int service_object_parse(const json_t *json, struct service_object **ret_service);

// The other way, for service_object_parse() to read again: all that it reads, but for the version;
// with 'addresses', by family, for what its status says that it is reached by. NULL when out of
// memory.
json_t *service_object_write(
	const struct service_object *service, const struct address addresses[N_FAMILIES]);

// Accepts NULL.
void service_object_free(struct service_object *service);

// Whether both ask for the same, but for what annotations and labels ask.
bool service_object_asks_alike(const struct service_object *a, const struct service_object *b);

// Of an annotation; NULL if there is none.
const char *service_annotation(const struct service_object *service, const char *name);

// Of its status, by its type; NULL if there is none.
const json_t *service_condition(const struct service_object *service, const char *type);

// "TCP", as the API has it.
const char *service_protocol_word(uint8_t protocol);

// "default/web" of a Service, or of any namespaced object. Returns false if it has no name
// that fits.
bool object_key(const json_t *json, char ret_key[SERVICE_KEY_MAX]);
