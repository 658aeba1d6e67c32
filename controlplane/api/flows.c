#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "api/api.h"
#include "guideway/flow.h"
#include "protocol.h"

// Flow memory is read a piece a step: worker by worker, family by family.

enum {
	PLACES_PER_STEP = 512,
};

struct flow_filter {
	// What is wanted.
	char service[NAME_TEXT_MAX]; // Empty for all.
	char node[NAME_TEXT_MAX];    // Likewise. Each of its addresses has an id.
	struct address client;
	uint8_t client_bits;   // Of the 16 bytes of 'client'; 0 for all.
	uint8_t protocol;      // 0 for all.
	enum flow_state state; // N_FLOW_STATES for all.
	size_t limit;

	// How far it is.
	size_t worker;
	enum family family;
	uint64_t cursor;
	size_t n_found;
	bool truncated;
};

static bool parse_client(struct api_call *call, struct flow_filter *filter)
{
	const char *text = api_argument(call, "client");
	uint8_t bits;

	if (text == NULL)
		return true;
	if (prefix_parse(text, &filter->client, &bits) < 0) {
		api_fail(call, 400, "client \"%s\" is no address and no prefix", text);
		return false;
	}
	filter->client_bits = address_is_ipv4(&filter->client) ? (uint8_t)(bits + 96) : bits;
	return true;
}

static bool parse_names(struct api_call *call, struct flow_filter *filter)
{
	const struct table_builder *builder = reconcile_builder(call->from->reconcile);
	const char *service = api_argument(call, "service");
	const char *node = api_argument(call, "node");

	if (service != NULL && !table_builder_knows_service(builder, service)) {
		api_fail(call, 404, "there is no service \"%s\"", service);
		return false;
	}
	if (node != NULL && !table_builder_knows_node(builder, node)) {
		api_fail(call, 404, "there is no node \"%s\"", node);
		return false;
	}
	strcpy(filter->service, service != NULL ? service : "");
	strcpy(filter->node, node != NULL ? node : "");
	return true;
}

static enum flow_state state_of_word(const char *word)
{
	enum flow_state state = FLOW_HALF_OPEN;

	while (state < N_FLOW_STATES && strcmp(flow_state_word(state), word) != 0)
		state++;
	return state;
}

static bool parse_words(struct api_call *call, struct flow_filter *filter)
{
	const char *protocol = api_argument(call, "protocol");
	const char *state = api_argument(call, "state");

	if (protocol != NULL)
		filter->protocol = protocol_of_word(protocol);
	if (protocol != NULL && filter->protocol == 0) {
		api_fail(call, 400, "protocol \"%s\" is neither tcp nor udp", protocol);
		return false;
	}
	if (state != NULL)
		filter->state = state_of_word(state);
	if (state != NULL && filter->state == N_FLOW_STATES) {
		api_fail(call, 400,
			"state \"%s\" is none of half-open, established, closing and resting",
			state);
		return false;
	}
	return true;
}

static bool parse_limit(struct api_call *call, struct flow_filter *filter)
{
	const char *text = api_argument(call, "limit");
	char *end;

	if (text == NULL)
		return true;

	errno = 0;
	unsigned long limit = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || limit == 0 ||
		limit > FLOWS_LIMIT_MAX) {
		api_fail(
			call, 400, "limit \"%s\" is no number from 1 to %d", text, FLOWS_LIMIT_MAX);
		return false;
	}
	filter->limit = limit;
	return true;
}

static void begin(struct api_call *call)
{
	struct flow_filter *filter = malloc(sizeof(*filter));
	if (filter == NULL) {
		api_fail(call, 500, "out of memory");
		return;
	}
	*filter = (struct flow_filter){
		.state = N_FLOW_STATES,
		.limit = FLOWS_LIMIT,
	};
	call->filter = filter;
	if (parse_client(call, filter) && parse_names(call, filter) && parse_words(call, filter) &&
		parse_limit(call, filter))
		api_list(call, "{\"flows\":[");
}

static bool is_within(const struct address *address, const struct address *prefix, unsigned bits)
{
	unsigned whole = bits / 8;
	uint8_t mask = (uint8_t)(0xff00 >> bits % 8);

	if (memcmp(address->bytes, prefix->bytes, whole) != 0)
		return false;
	return bits % 8 == 0 || ((address->bytes[whole] ^ prefix->bytes[whole]) & mask) == 0;
}

// 'name' is NULL of an id that is free.
static bool is_called(const char *name, const char *wanted)
{
	return wanted[0] == '\0' || (name != NULL && strcmp(name, wanted) == 0);
}

static bool is_wanted(const struct flow_filter *filter, const struct table_builder *builder,
	const struct flow_view *flow)
{
	return is_called(table_builder_service_name(builder, flow->service), filter->service) &&
		is_called(table_builder_node_name(builder, flow->node), filter->node) &&
		(filter->protocol == 0 || filter->protocol == flow->protocol) &&
		(filter->state == N_FLOW_STATES || filter->state == flow->state) &&
		is_within(&flow->client, &filter->client, filter->client_bits);
}

static void take(struct api_call *call, const struct flow_view *flow)
{
	struct flow_filter *filter = call->filter;

	if (!is_wanted(filter, reconcile_builder(call->from->reconcile), flow))
		return;
	if (filter->n_found == filter->limit) {
		filter->truncated = true;
		return;
	}
	filter->n_found++;
	api_item(call, api_flow(call->from, flow));
}

static bool step(struct api_call *call)
{
	struct flow_filter *f = call->filter;
	struct flow_view flows[PLACES_PER_STEP];
	char tail[80];

	if (f->worker < call->from->config->dataplane.n_workers && !f->truncated) {
		size_t n = dataplane_read_flows(
			call->from->dp, f->worker, f->family, &f->cursor, flows, PLACES_PER_STEP);

		for (size_t i = 0; i < n; i++)
			take(call, &flows[i]);
		if (f->cursor == 0 && ++f->family == N_FAMILIES) {
			f->family = IPV4;
			f->worker++;
		}
		return true;
	}
	snprintf(tail, sizeof(tail), "],\n\"limit\":%zu,\"truncated\":%s}", f->limit,
		f->truncated ? "true" : "false");
	api_text(call, tail);
	return false;
}

const struct api_route flows_route = {
	.method = "GET",
	.path = "/v1/flows",
	.arguments = (const char *const[]){"service", "node", "client", "protocol", "state",
		"limit", NULL},
	.begin = begin,
	.step = step,
};
