#include <arpa/inet.h>
#include <stdio.h>

#include "address_text.h"
#include "api/api.h"
#include "guideway/flow.h"
#include "protocol.h"

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

bool api_flow_key(struct api_call *call, struct flow_key *key)
{
	const char *protocol = api_argument(call, "protocol");

	key->protocol = protocol == NULL ? 0 : protocol_of_word(protocol);
	if (key->protocol == 0) {
		api_fail(call, 400, "protocol has to be tcp, udp or sctp");
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
	set(document, "mode", json_string(forwarding_mode_word(e->mode)));
	if (e->worker != UINT32_MAX)
		set(document, "worker", json_integer(e->worker));
	if (e->slot_node != NODE_NONE) {
		set(document, "slot", json_integer(e->slot));
		set(document, "slot_node",
			json_string(table_builder_node_name(builder, e->slot_node)));
	}
}

// Where the client went before.
static void add_affinity(json_t *document, const struct api_call *call, const struct explanation *e)
{
	const struct table_builder *builder = reconcile_builder(call->from->reconcile);

	if (!e->affinity_found)
		return;
	set(document, "affinity_node",
		json_string(table_builder_node_name(builder, e->affinity_node)));
	set(document, "affinity_left_s", json_integer(e->affinity_left_s));
}

// How a packet of the service reaches a node, and replies the client.

enum {
	WAY_TEXT_MAX = 256,
};

static void say_tunnel(const struct model_service *service, const struct address *node,
	__be16 gue_port, char ret_text[WAY_TEXT_MAX])
{
	static const char *const words[] = {"IPv4", "IPv6"};
	bool is_gue = service->tunnel_kind == TUNNEL_GUE;
	char text[ENDPOINT_TEXT_MAX];

	if (is_gue)
		endpoint_format(node, ntohs(gue_port), text);
	else
		address_format(node, text);
	snprintf(ret_text, WAY_TEXT_MAX,
		"as it came, in an outer packet to %s, %s in %s%s; replies go straight to the "
		"client",
		text, words[address_family(&service->vip)], is_gue ? "GUE over " : "",
		words[address_family(node)]);
}

static void say_way(const struct model_service *service, const struct address *node,
	__be16 gue_port, char ret_text[WAY_TEXT_MAX])
{
	char text[ENDPOINT_TEXT_MAX];

	switch (service->mode) {
	case MODE_TUNNEL:
		say_tunnel(service, node, gue_port, ret_text);
		return;
	case MODE_DSR:
		snprintf(ret_text, WAY_TEXT_MAX,
			"as it came, to the MAC address of %s; replies go straight to the client",
			address_format(node, text));
		return;
	default:
		snprintf(ret_text, WAY_TEXT_MAX,
			"from %s, to the NodePort, %s; replies come back through Guideway",
			service->mode == MODE_SNAT ? "an SNAT address" : "the client's address",
			endpoint_format(node, service->node_port, text));
	}
}

static void say_way_back(const struct model_service *service, char ret_text[WAY_TEXT_MAX])
{
	char text[ENDPOINT_TEXT_MAX];

	snprintf(ret_text, WAY_TEXT_MAX, "a reply, back to the client, from %s",
		endpoint_format(&service->vip, ntohs(service->port), text));
}

// What the plan has of the service; nothing if it is just being removed.
static const struct model_service *planned(const struct api_call *call, service_id id)
{
	const struct plan *plan = reconcile_plan(call->from->reconcile);
	const char *name = table_builder_service_name(reconcile_builder(call->from->reconcile), id);
	size_t i = name == NULL ? SIZE_MAX : plan_find_service(plan, name);

	return i == SIZE_MAX ? NULL : &plan->services[i];
}

static void add_way(json_t *document, const struct api_call *call, const struct explanation *e)
{
	const struct model_service *service = planned(call, e->service);
	const struct address *node =
		table_builder_node_address(reconcile_builder(call->from->reconcile), e->node);
	__be16 gue_port = reconcile_plan(call->from->reconcile)->config->settings.gue_port;
	char way[WAY_TEXT_MAX];

	if (service == NULL || node == NULL)
		return;
	if (e->is_reply)
		say_way_back(service, way);
	else
		say_way(service, node, gue_port, way);
	set(document, "affinity_s", json_integer(service->affinity_s));
	set(document, "node_address", api_address(node));
	set(document, "way", json_string(way));
}

static void add_node(json_t *document, const struct api_call *call, const struct explanation *e)
{
	const struct table_builder *builder = reconcile_builder(call->from->reconcile);

	if (e->node == NODE_NONE)
		return;
	add_way(document, call, e);
	set(document, "node", json_string(table_builder_node_name(builder, e->node)));
	if (e->next_hop < NEXT_HOP_MAX)
		set(document, "next_hop", json_integer(e->next_hop));
	set(document, "next_hop_resolved", json_boolean(e->next_hop_resolved));
}

static void begin(struct api_call *call)
{
	struct flow_key key = {0};
	struct explanation e;

	if (!api_flow_key(call, &key))
		return;

	dataplane_explain(call->from->dp, &key, &e);
	json_t *document = json_pack("{s:b, s:s, s:s, s:b, s:b}", "forwarded", e.drop == DROP_NONE,
		"drop", drop_reason_word(e.drop), "sentence", drop_reason_sentence(e.drop),
		"flow_found", e.flow_found, "reply", e.is_reply);
	add_service(document, call, &e);
	add_affinity(document, call, &e);
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
