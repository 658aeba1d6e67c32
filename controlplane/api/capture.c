#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "api/api.h"
#include "clock.h"
#include "protocol.h"

// Packets are taken from the workers a few at a time, every LOOK_NS, until there are enough or the
// time is over. Only one request captures at a time.

#define LOOK_NS (10 * NSEC_PER_MSEC)

enum {
	PACKETS = 100, // Unless asked for otherwise,
	PACKETS_MAX = 10000,
	SECONDS = 10,
	SECONDS_MAX = 60,
	TAKEN_PER_STEP = 16,
};

static const char *const point_words[] = {
	[CAPTURE_IN] = "in",
	[CAPTURE_OUT] = "out",
	[CAPTURE_DROP] = "drop",
};

// How far it is.
struct capturing {
	struct capture_filter filter;
	size_t most;
	size_t n;
	uint64_t n_lost; // Known at the end.
	uint64_t until_ns;
};

static bool parse_number(
	struct api_call *call, const char *name, size_t most, size_t standard, size_t *ret_number)
{
	const char *text = api_argument(call, name);
	char *end;

	*ret_number = standard;
	if (text == NULL)
		return true;
	*ret_number = strtoul(text, &end, 10);
	if (*text != '\0' && *end == '\0' && *ret_number >= 1 && *ret_number <= most)
		return true;
	api_fail(call, 400, "%s is \"%s\"; must be a whole number from 1 to %zu", name, text, most);
	return false;
}

static bool parse_filter(struct api_call *call, struct capture_filter *filter)
{
	const char *host = api_argument(call, "host");
	const char *protocol = api_argument(call, "protocol");
	size_t port;

	if (host != NULL && address_parse(host, &filter->host) < 0) {
		api_fail(call, 400, "host \"%s\" is no address", host);
		return false;
	}
	if (protocol != NULL && (filter->protocol = protocol_of_word(protocol)) == 0) {
		api_fail(call, 400, "protocol is \"%s\"; must be tcp, udp or sctp", protocol);
		return false;
	}
	if (!parse_number(call, "port", UINT16_MAX, 0, &port))
		return false;
	filter->port = __builtin_bswap16((uint16_t)port);
	return true;
}

static void begin(struct api_call *call)
{
	struct capturing *c = calloc(1, sizeof(*c));
	size_t seconds;

	if (c == NULL) {
		api_fail(call, 500, "out of memory");
		return;
	}
	call->filter = c;
	if (!parse_filter(call, &c->filter) ||
		!parse_number(call, "packets", PACKETS_MAX, PACKETS, &c->most) ||
		!parse_number(call, "seconds", SECONDS_MAX, SECONDS, &seconds))
		return;

	int r = dataplane_begin_capture(call->from->dp, &c->filter);
	if (r < 0) {
		api_fail(call, r == -EBUSY ? 409 : 500, "%s",
			r == -EBUSY ? "somebody captures already, or has just stopped"
				    : "out of memory");
		return;
	}
	call->must_end = true;
	c->until_ns = loop_clock_ns() + seconds * NSEC_PER_SEC;
	api_list(call, "{\"packets\":[");
}

static json_t *item_of(const struct captured *packet)
{
	return json_pack("{s:I, s:s, s:s?, s:i, s:i, s:I, s:o}", "time_ns",
		(json_int_t)packet->at_ns, "point", point_words[packet->point], "drop",
		packet->point == CAPTURE_DROP ? drop_reason_word(packet->drop) : NULL, "port",
		packet->port, "worker", packet->worker, "len", (json_int_t)packet->len, "bytes",
		api_hex(packet->bytes, packet->snap_len));
}

static void end(struct api_call *call)
{
	call->must_end = false;
	((struct capturing *)call->filter)->n_lost = dataplane_end_capture(call->from->dp);
}

static bool step(struct api_call *call)
{
	struct capturing *c = call->filter;
	struct captured packet;
	char tail[64];

	for (int i = 0; i < TAKEN_PER_STEP && c->n < c->most; i++, c->n++) {
		if (!dataplane_take_captured(call->from->dp, &packet)) {
			call->wait_ns = LOOK_NS;
			break;
		}
		api_item(call, item_of(&packet));
	}
	if (c->n < c->most && loop_clock_ns() < c->until_ns)
		return true;

	end(call);
	call->wait_ns = 0;
	snprintf(tail, sizeof(tail), "],\n\"lost\":%llu}", (unsigned long long)c->n_lost);
	api_text(call, tail);
	return false;
}

const struct api_route capture_route = {
	.method = "GET",
	.path = "/v1/capture",
	.arguments = (const char *const[]){"host", "port", "protocol", "packets", "seconds", NULL},
	.begin = begin,
	.step = step,
	.end = end,
};
