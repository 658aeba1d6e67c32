#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "service_object.h"
#include "service_options.h"

// What of a Service can be served here at all, whatever nodes and addresses there are.

enum { ADMISSION_MESSAGE_MAX = 512 };

struct admission {
	bool is_admitted;
	const char *reason; // If not, or if it is served, but not as it asks: one word, as
	                    // conditions have them. Else NULL.
	char message[ADMISSION_MESSAGE_MAX]; // And a sentence, or several.

	// If so; else there are no families.
	enum forwarding_mode mode;
	enum tunnel_kind tunnel_kind;
	struct service_options options;
	enum family families[N_FAMILIES]; // [n_families] Those asked for that can be served, in the
	size_t n_families;                // order asked.
};

// 'file' says which modes, SNAT addresses and tunnel sources there are.
void admission_judge(const struct config *file, const struct service_object *service,
	struct admission *ret_admission);

// Why one port of an admitted Service is not served, as 'ports[].error' of its status has it
// ("guideway.dev/NoNodePort"), or NULL if it is.
const char *admission_port_error(
	const struct admission *admission, const struct service_port *port);

// How its status tells kube-proxy what comes to nodes.
static inline enum ip_mode admission_ip_mode(const struct admission *admission)
{
	return admission->mode == MODE_SNAT ? IP_MODE_PROXY : IP_MODE_VIP;
}
