#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/trace.h"
#include "clock.h"
#include "flow_frame.h"

// One packet, as the whole frame or by the ends of a flow that it would begin, is let through the
// workers on paper. They are looked after every LOOK_NS until all of them have done their part.

#define LOOK_NS (NSEC_PER_MSEC / 2)
#define PATIENCE_NS (2 * NSEC_PER_SEC)

// What is asked.
struct question {
	uint8_t frame[TRACE_FRAME_MAX];
	size_t len;
	struct trace_request request;
	uint64_t until_ns;
};

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

static bool parse_hex(struct api_call *call, const char *hex, struct question *q)
{
	size_t n_digits = strlen(hex);

	for (size_t i = 0; i < n_digits; i++) {
		if (digit_of(hex[i]) >= 0)
			continue;
		api_fail(call, 400,
			"frame has something else than hexadecimal digits, as its character %zu",
			i + 1);
		return false;
	}
	if (n_digits % 2 != 0) {
		api_fail(call, 400, "frame has %zu hexadecimal digits; two make a byte", n_digits);
		return false;
	}
	if (n_digits / 2 < TRACE_FRAME_MIN || n_digits / 2 > TRACE_FRAME_MAX) {
		api_fail(call, 400,
			"frame has %zu bytes; must have %d to %d, from the Ethernet header on",
			n_digits / 2, TRACE_FRAME_MIN, TRACE_FRAME_MAX);
		return false;
	}
	for (q->len = 0; q->len < n_digits / 2; q->len++)
		q->frame[q->len] =
			(uint8_t)(digit_of(hex[2 * q->len]) << 4 | digit_of(hex[2 * q->len + 1]));
	return true;
}

static bool parse_port(struct api_call *call, struct question *q)
{
	const char *text = api_argument(call, "port");
	size_t n_ports = call->from->config->dataplane.n_ports;
	char *end;

	if (text == NULL)
		return true;
	q->request.port = strtoul(text, &end, 10);
	if (isdigit((unsigned char)*text) && *end == '\0' && q->request.port < n_ports)
		return true;
	api_fail(call, 400, "port is \"%s\"; must be the number of one, from 0 to %zu", text,
		n_ports - 1);
	return false;
}

static bool parse_origin(struct api_call *call, struct question *q)
{
	const char *text = api_argument(call, "origin");

	q->request.from_kernel = text != NULL && strcmp(text, "kernel") == 0;
	if (text == NULL || q->request.from_kernel || strcmp(text, "port") == 0)
		return true;
	api_fail(call, 400, "origin is \"%s\"; must be port or kernel", text);
	return false;
}

static bool build_frame(struct api_call *call, struct question *q)
{
	const struct port_config *port = &call->from->config->dataplane.ports[q->request.port];
	uint16_t vlan = q->request.from_kernel ? 0 : port->vlan;
	struct port_status status = {0};
	struct flow_key key = {0};

	if (!api_flow_key(call, &key))
		return false;
	dataplane_read_port(call->from->dp, q->request.port, &status);
	q->len = flow_frame_build(&key, status.mac, vlan, q->frame);
	return true;
}

static bool parse(struct api_call *call, struct question *q)
{
	const char *hex = api_argument(call, "frame");
	bool has_ends = api_argument(call, "protocol") != NULL ||
		api_argument(call, "client") != NULL || api_argument(call, "vip") != NULL;

	if (hex != NULL && has_ends) {
		api_fail(call, 400, "frame says all; protocol, client and vip are instead of it");
		return false;
	}
	if (!parse_port(call, q) || !parse_origin(call, q))
		return false;
	return hex != NULL ? parse_hex(call, hex, q) : build_frame(call, q);
}

static void begin(struct api_call *call)
{
	struct question *q = calloc(1, sizeof(*q));

	call->filter = q;
	if (q == NULL) {
		api_fail(call, 500, "out of memory");
		return;
	}
	if (!parse(call, q))
		return;
	q->request.frame = q->frame;
	q->request.len = q->len;

	int r = dataplane_begin_trace(call->from->dp, &q->request);
	if (r < 0) {
		api_fail(call, r == -EBUSY ? 409 : 500, "%s",
			r == -EBUSY ? "somebody traces a packet already"
				    : "there is no memory to trace a packet");
		return;
	}
	call->must_end = true;
	q->until_ns = loop_clock_ns() + PATIENCE_NS;
}

static void end(struct api_call *call)
{
	call->must_end = false;
	dataplane_end_trace(call->from->dp);
}

static bool step(struct api_call *call)
{
	struct question *q = call->filter;
	const struct trace *trace = dataplane_take_trace(call->from->dp);

	if (trace == NULL && loop_clock_ns() < q->until_ns) {
		call->wait_ns = LOOK_NS;
		return true;
	}
	if (trace != NULL)
		api_reply(call, trace_document(call->from, &q->request, trace));
	else
		api_fail(call, 503, "a worker did not come to it");
	end(call);
	call->wait_ns = 0;
	return false;
}

const struct api_route trace_route = {
	.method = "GET",
	.path = "/v1/trace",
	.arguments =
		(const char *const[]){"frame", "protocol", "client", "vip", "port", "origin", NULL},
	.begin = begin,
	.step = step,
	.end = end,
};
