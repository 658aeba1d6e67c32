#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// What a Service asks of its load balancer by annotations "guideway.dev/...", its addresses aside
// (requests.h). Pure.

#define OPTION_PREFIX "guideway.dev/"

enum { OPTIONS_WHY_MAX = 512 };

enum forwarding_word {
	FORWARDING_AS_CONFIGURED,
	FORWARDING_SNAT,
	FORWARDING_DNAT,
	FORWARDING_DSR,
	FORWARDING_TUNNEL,
	FORWARDING_TUNNEL_IP,
	FORWARDING_TUNNEL_GUE,
};

enum all_down_word { ALL_DOWN_AS_CONFIGURED, ALL_DOWN_REJECT, ALL_DOWN_FAIL_OPEN };

// What is 0 is as the configuration has it.
struct service_options {
	uint32_t forwarding; // enum forwarding_word.
	uint32_t all_down;   // enum all_down_word.
	uint32_t idle_s;
	uint32_t mss;
	uint32_t check_interval_ms;
	uint32_t check_timeout_ms;
	uint32_t check_rise;
	uint32_t check_fall;
};

// 'annotations' is the object of metadata, or NULL. What is no good, and what begins as ours do but
// is none of them, is passed over. Returns NULL, or the one word that conditions have for it:
// "BadAnnotation" or "UnknownAnnotation"; then 'ret_why' is a sentence that names all of it.
const char *service_options_read(const json_t *annotations, struct service_options *ret_options,
	char ret_why[OPTIONS_WHY_MAX]);

// Whether an annotation says something to us, here or in requests.h.
bool is_read_annotation(const char *name);
