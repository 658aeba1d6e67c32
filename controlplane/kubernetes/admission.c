#include "admission.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json_read.h"

#define FORWARDING_ANNOTATION OPTION_PREFIX "forwarding"

static const struct {
	enum forwarding_mode mode;
	enum tunnel_kind kind;
	bool has_kind;
} forwarding[] = {
	[FORWARDING_SNAT] = {.mode = MODE_SNAT},
	[FORWARDING_DNAT] = {.mode = MODE_DNAT},
	[FORWARDING_DSR] = {.mode = MODE_DSR},
	[FORWARDING_TUNNEL] = {.mode = MODE_TUNNEL},
	[FORWARDING_TUNNEL_IP] = {MODE_TUNNEL, TUNNEL_IP, true},
	[FORWARDING_TUNNEL_GUE] = {MODE_TUNNEL, TUNNEL_GUE, true},
};

static void add(struct admission *a, const char *reason, const char *format, va_list arguments)
{
	size_t len = strlen(a->message);

	a->reason = reason;
	vsnprintf(a->message + len, sizeof(a->message) - len, format, arguments);
	text_end_whole(a->message);
}

static void refuse(struct admission *a, const char *reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void warn(struct admission *a, const char *reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// Of what is not served, only that is said.
static void refuse(struct admission *a, const char *reason, const char *format, ...)
{
	va_list arguments;

	a->message[0] = '\0';
	va_start(arguments, format);
	add(a, reason, format, arguments);
	va_end(arguments);
}

// Of what is served, all that is not as asked: the first gives the reason.
static void warn(struct admission *a, const char *reason, const char *format, ...)
{
	size_t len = strlen(a->message);
	va_list arguments;

	if (len > 0)
		snprintf(a->message + len, sizeof(a->message) - len, "; ");
	va_start(arguments, format);
	add(a, a->reason == NULL ? reason : a->reason, format, arguments);
	va_end(arguments);
}

// What is no good there changes nothing, and is told of: what is served is not to end by it.
static void read_options(
	const struct config *file, const struct service_object *service, struct admission *a)
{
	char why[OPTIONS_WHY_MAX];
	const char *reason = service_options_read(service->annotations, &a->options, why);
	uint32_t word = a->options.forwarding;

	if (reason != NULL)
		warn(a, reason, "%s", why);
	a->mode = word == FORWARDING_AS_CONFIGURED ? file->mode : forwarding[word].mode;
	a->tunnel_kind = forwarding[word].has_kind ? forwarding[word].kind : file->tunnel_kind;
	if (service->is_local && a->options.all_down == ALL_DOWN_FAIL_OPEN) {
		a->options.all_down = ALL_DOWN_AS_CONFIGURED;
		warn(a, "BadAnnotation",
			"the annotation " OPTION_PREFIX
			"on-all-down is \"fail-open\", and is not looked at: with "
			"externalTrafficPolicy Local, nodes without endpoints drop what they get");
	}
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
			refuse(a, a->mode == MODE_SNAT ? "NoSNATAddress" : "NoTunnelSource",
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

// Ports

#define ERROR_DOMAIN "guideway.dev/"

static const char no_node_port[] = ERROR_DOMAIN "NoNodePort",
		  no_protocol[] = ERROR_DOMAIN "ProtocolNotSupported";

enum { PORTS_SAID = 4, PORTS_TEXT_MAX = 256 }; // Of each error, so many are named.

const char *admission_port_error(const struct admission *admission, const struct service_port *port)
{
	if (admission->mode != MODE_SNAT && admission->mode != MODE_DNAT)
		return NULL;
	if (port->protocol == IPPROTO_SCTP)
		return no_protocol;
	return port->node_port == 0 ? no_node_port : NULL;
}

static size_t count_ports(
	const struct service_object *service, const struct admission *a, const char *error)
{
	size_t n = 0;

	for (size_t i = 0; i < service->n_ports; i++)
		n += admission_port_error(a, &service->ports[i]) == error;
	return n;
}

// Adds "81/TCP, 82/UDP (guideway.dev/NoNodePort)", if there are such.
static void add_ports(const struct service_object *service, const struct admission *a,
	const char *error, char text[PORTS_TEXT_MAX])
{
	size_t n = count_ports(service, a, error), n_said = 0, len = strlen(text);

	for (size_t i = 0; i < service->n_ports && n_said < PORTS_SAID; i++) {
		const struct service_port *port = &service->ports[i];

		if (admission_port_error(a, port) != error)
			continue;
		len += (size_t)snprintf(text + len, PORTS_TEXT_MAX - len, "%s%u/%s",
			len == 0 ? "" : ", ", port->port, service_protocol_word(port->protocol));
		n_said++;
	}
	if (n > n_said)
		len += (size_t)snprintf(
			text + len, PORTS_TEXT_MAX - len, " and %zu more", n - n_said);
	if (n > 0)
		snprintf(text + len, PORTS_TEXT_MAX - len, " (%s)", error);
}

// What is wrong with ports is said of each where its status has an ingress; and here, where people
// look first.
static bool has_a_port(const struct service_object *service, struct admission *a)
{
	static const char what_is_right[] =
		"needs TCP or UDP ports with a NodePort; allocate them, or "
		"annotate " FORWARDING_ANNOTATION ": dsr or tunnel";
	size_t n_good = count_ports(service, a, NULL);
	const char *mode = a->mode == MODE_SNAT ? "snat" : "dnat";
	char text[PORTS_TEXT_MAX] = "";

	add_ports(service, a, no_node_port, text);
	add_ports(service, a, no_protocol, text);
	if (service->n_ports == 0)
		refuse(a, "NoPorts", "the Service has no ports");
	else if (n_good == 0)
		refuse(a, "NoUsablePort", "no port can be served: %s; %s %s", text, mode,
			what_is_right);
	else if (n_good < service->n_ports)
		warn(a,
			(count_ports(service, a, no_node_port) > 0 ? no_node_port : no_protocol) +
				strlen(ERROR_DOMAIN),
			"not served are the ports %s; %s %s", text, mode, what_is_right);
	return n_good > 0;
}

// Nobody is let in by a mistake: of a list without any good prefix, nothing is served.
static bool has_good_sources(const struct service_object *service, struct admission *a)
{
	if (service->bad_source[0] == '\0')
		return true;
	bool is_served = service->sources.n > 0;
	(is_served ? warn : refuse)(a, "BadSourceRange",
		"\"%.*s\" is no source range; must be a prefix such as 198.51.100.0/24",
		text_whole(service->bad_source, 60), service->bad_source);
	return is_served;
}

static bool is_headed(const struct service_object *service, struct admission *a)
{
	if (!service->is_headless)
		return true;
	refuse(a, "Headless",
		"a headless Service has no NodePorts and cannot be balanced; its "
		"clusterIP must not be None");
	return false;
}

static void warn_of_snat(const struct service_object *service, struct admission *a)
{
	if (a->mode != MODE_SNAT)
		return;
	if (service->is_local)
		warn(a, "ClientAddressLost",
			"externalTrafficPolicy Local is served, but in the mode snat pods see an "
			"address of the load balancer instead of the client's; "
			"annotate " FORWARDING_ANNOTATION ": dsr, dnat or tunnel to keep it");
	if (service->affinity_s > 0)
		warn(a, "AffinityBySNATAddress",
			"sessionAffinity ClientIP is served, but in the mode snat kube-proxy sees "
			"an SNAT address as the client, so that clients that share one share "
			"a pod; more SNAT addresses spread them over more pods");
}

void admission_judge(const struct config *file, const struct service_object *service,
	struct admission *ret_admission)
{
	struct admission a = {0};

	read_options(file, service, &a);
	a.is_admitted = is_headed(service, &a) && has_good_sources(service, &a) &&
		choose_families(file, service, &a) && has_a_port(service, &a);
	if (a.is_admitted)
		warn_of_snat(service, &a);
	else
		a.n_families = 0;
	*ret_admission = a;
}
