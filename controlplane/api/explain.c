#include <arpa/inet.h>

#include "address_text.h"
#include "api/api.h"
#include "guideway/flow.h"

static bool parse_endpoint(
	struct api_call *call, const char *argument, struct address *ret_address, __be16 *ret_port)
{
	const char *text = api_argument(call, argument);
	uint16_t port;

	if (text == NULL || endpoint_parse(text, ret_address, &port) < 0) {
		api_fail(call, 400,
			"%s has to be an address with a port, as 192.0.2.1:80 or [2001:db8::1]:80",
			argument);
		return false;
	}
	*ret_port = htons(port);
	return true;
}

static bool parse(struct api_call *call, struct flow_key *key)
{
	const char *protocol = api_argument(call, "protocol");

	key->protocol = protocol == NULL ? 0 : protocol_of_word(protocol);
	if (key->protocol == 0) {
		api_fail(call, 400, "protocol has to be tcp or udp");
		return false;
	}
	if (!parse_endpoint(call, "client", &key->client, &key->client_port) ||
		!parse_endpoint(call, "vip", &key->vip, &key->port))
		return false;
	if (address_family(&key->client) != address_family(&key->vip)) {
		api_fail(call, 400, "client and vip have to be of one family");
		return false;
	}
	return true;
}

static void set(json_t *document, const char *name, json_t *value)
{
	json_object_set_new(document, name, value);
}

static void add_service(json_t *document, const struct api_call *call, const struct explanation *e)
{
	const struct table_builder *builder = reconcile_builder(call->from->reconcile);
	const char *service = table_builder_service_name(builder, e->service);

	if (service == NULL)
		return;
	set(document, "service", json_string(service));
	if (e->worker != UINT32_MAX)
		set(document, "worker", json_integer(e->worker));
	if (e->slot_node != NODE_NONE) {
		set(document, "slot", json_integer(e->slot));
		set(document, "slot_node",
			json_string(table_builder_node_name(builder, e->slot_node)));
	}
}

static void add_node(json_t *document, const struct api_call *call, const struct explanation *e)
{
	const struct table_builder *builder = reconcile_builder(call->from->reconcile);

	if (e->node == NODE_NONE)
		return;
	set(document, "node", json_string(table_builder_node_name(builder, e->node)));
	if (e->next_hop < NEXT_HOP_MAX)
		set(document, "next_hop", json_integer(e->next_hop));
	set(document, "next_hop_resolved", json_boolean(e->next_hop_resolved));
}

static void begin(struct api_call *call)
{
	struct flow_key key = {0};
	struct explanation e;

	if (!parse(call, &key))
		return;

	dataplane_explain(call->from->dp, &key, &e);
	json_t *document = json_pack("{s:b, s:s, s:s, s:b}", "forwarded", e.drop == DROP_NONE,
		"drop", drop_reason_word(e.drop), "sentence", drop_reason_sentence(e.drop),
		"flow_found", e.flow_found);
	add_service(document, call, &e);
	add_node(document, call, &e);
	if (e.flow_found)
		set(document, "flow", api_flow(call->from, &e.flow));
	api_reply(call, document);
}

const struct api_route explain_route = {
	.method = "GET",
	.path = "/v1/explain",
	.arguments = (const char *const[]){"protocol", "client", "vip", NULL},
	.begin = begin,
};
