#include "admission.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FORWARDING_ANNOTATION "guideway.dev/forwarding"

static const struct forwarding_word {
	const char *word;
	enum forwarding_mode mode;
	enum tunnel_kind kind;
	bool has_kind;
} forwarding_words[] = {
	{.word = "snat", .mode = MODE_SNAT},
	{.word = "dnat", .mode = MODE_DNAT},
	{.word = "dsr", .mode = MODE_DSR},
	{.word = "tunnel", .mode = MODE_TUNNEL},
	{.word = "tunnel-ip", .mode = MODE_TUNNEL, .kind = TUNNEL_IP, .has_kind = true},
	{.word = "tunnel-gue", .mode = MODE_TUNNEL, .kind = TUNNEL_GUE, .has_kind = true},
};

enum { N_FORWARDING_WORDS = sizeof(forwarding_words) / sizeof(forwarding_words[0]) };

static void say(struct admission *a, const char *reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct admission *a, const char *reason, const char *format, ...)
{
	va_list arguments;

	a->reason = reason;
	va_start(arguments, format);
	vsnprintf(a->message, sizeof(a->message), format, arguments);
	va_end(arguments);
}

// A word that is none changes nothing, and is told of: what is served is not to end by it.
static void choose_mode(
	const struct config *file, const struct service_object *service, struct admission *a)
{
	const char *word = service_annotation(service, FORWARDING_ANNOTATION);

	a->mode = file->mode;
	a->tunnel_kind = file->tunnel_kind;
	for (size_t i = 0; word != NULL && i < N_FORWARDING_WORDS; i++) {
		const struct forwarding_word *known = &forwarding_words[i];

		if (strcmp(word, known->word) != 0)
			continue;
		a->mode = known->mode;
		if (known->has_kind)
			a->tunnel_kind = known->kind;
		return;
	}
	if (word != NULL)
		say(a, "UnknownForwarding",
			"the annotation " FORWARDING_ANNOTATION
			" is \"%.40s\", and is not looked at; must be snat, dnat, dsr, tunnel, "
			"tunnel-ip or tunnel-gue",
			word);
}

static bool has_what_the_mode_needs(
	const struct config *file, const struct admission *a, enum family family)
{
	if (a->mode == MODE_SNAT)
		return file->n_snat[family] > 0;
	return a->mode != MODE_TUNNEL || !address_is_none(&file->settings.tunnel_source[IPV4]) ||
		!address_is_none(&file->settings.tunnel_source[IPV6]);
}

static bool choose_families(
	const struct config *file, const struct service_object *service, struct admission *a)
{
	for (size_t i = 0; i < service->n_families; i++) {
		enum family family = service->families[i];

		if (has_what_the_mode_needs(file, a, family))
			a->families[a->n_families++] = family;
		else if (i == 0 || service->requires_all_families) {
			say(a, a->mode == MODE_SNAT ? "NoSNATAddress" : "NoTunnelSource",
				"%s is asked for, but the load balancer has no %s of that family; "
				"its configuration must have one, or the Service another family "
				"or forwarding mode",
				family == IPV4 ? "IPv4" : "IPv6",
				a->mode == MODE_SNAT ? "SNAT address" : "tunnel source");
			return false;
		}
	}
	return true;
}

const char *admission_port_error(const struct admission *admission, const struct service_port *port)
{
	bool to_node_port = admission->mode == MODE_SNAT || admission->mode == MODE_DNAT;

	if (to_node_port && port->protocol == IPPROTO_SCTP)
		return "guideway.dev/ProtocolNotSupported";
	return to_node_port && port->node_port == 0 ? "guideway.dev/NoNodePort" : NULL;
}

static bool has_a_port(const struct service_object *service, struct admission *a)
{
	for (size_t i = 0; i < service->n_ports; i++) {
		if (admission_port_error(a, &service->ports[i]) == NULL)
			return true;
	}
	if (service->n_ports == 0)
		say(a, "NoPorts", "the Service has no ports");
	else
		say(a, "NoUsablePort",
			"no port can be served in the mode that is asked for: %s needs TCP or UDP "
			"ports with a NodePort; allocate them, or annotate " FORWARDING_ANNOTATION
			": dsr or tunnel",
			a->mode == MODE_SNAT ? "snat" : "dnat");
	return false;
}

// Nobody is let in by a mistake: of a list without any good prefix, nothing is served.
static bool has_good_sources(const struct service_object *service, struct admission *a)
{
	if (service->bad_source[0] == '\0')
		return true;
	say(a, "BadSourceRange",
		"\"%.60s\" is no source range; must be a prefix such as 198.51.100.0/24",
		service->bad_source);
	return service->sources.n > 0;
}

static bool is_headed(const struct service_object *service, struct admission *a)
{
	if (!service->is_headless)
		return true;
	say(a, "Headless",
		"a headless Service has no NodePorts and cannot be balanced; its "
		"clusterIP must not be None");
	return false;
}

static void warn(const struct service_object *service, struct admission *a)
{
	if (a->mode != MODE_SNAT || a->reason != NULL)
		return;
	if (service->is_local)
		say(a, "ClientAddressLost",
			"externalTrafficPolicy Local is served, but in the mode snat pods see an "
			"address of the load balancer instead of the client's; "
			"annotate " FORWARDING_ANNOTATION ": dsr, dnat or tunnel to keep it");
	else if (service->affinity_s > 0)
		say(a, "AffinityBySNATAddress",
			"sessionAffinity ClientIP is served, but in the mode snat kube-proxy sees "
			"an SNAT address as the client, so that clients that share one share "
			"a pod; more SNAT addresses spread them over more pods");
}

void admission_judge(const struct config *file, const struct service_object *service,
	struct admission *ret_admission)
{
	struct admission a = {0};

	choose_mode(file, service, &a);
	a.is_admitted = is_headed(service, &a) && has_good_sources(service, &a) &&
		choose_families(file, service, &a) && has_a_port(service, &a);
	if (a.is_admitted)
		warn(service, &a);
	*ret_admission = a;
}
