#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "api/api.h"
#include "guideway/flow.h"
#include "protocol.h"

// Pieces that several documents have.

json_t *api_hex(const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *hex = malloc(2 * len + 1);

	if (hex == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * len] = '\0';
	json_t *text = json_string(hex);
	free(hex);
	return text;
}

const char *forwarding_mode_word(enum forwarding_mode mode)
{
	static const char *const words[] = {
		[MODE_SNAT] = "snat",
		[MODE_DNAT] = "dnat",
		[MODE_DSR] = "dsr",
		[MODE_TUNNEL] = "tunnel",
	};

	return words[mode];
}

const char *tunnel_kind_word(enum tunnel_kind kind)
{
	return kind == TUNNEL_GUE ? "gue" : "ip";
}

const char *family_word(enum family family)
{
	return family == IPV4 ? "ipv4" : "ipv6";
}

const char *target_state_word(enum target_state state)
{
	static const char *const words[] = {
		[TARGET_ABSENT] = "gone",
		[TARGET_UP] = "up",
		[TARGET_DRAINING] = "draining",
		[TARGET_DOWN] = "down",
		[TARGET_NOT_READY] = "not ready",
	};

	return words[state];
}

const char *verdict_word(enum verdict verdict)
{
	static const char *const words[] = {
		[VERDICT_NONE] = "unknown",
		[VERDICT_UP] = "up",
		[VERDICT_DRAINING] = "draining",
		[VERDICT_REFUSING] = "refusing",
		[VERDICT_DOWN] = "down",
	};

	return words[verdict];
}

json_t *api_address(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	return json_string(address_format(address, text));
}

json_t *api_addresses(const struct model_node *node)
{
	json_t *addresses = json_array();

	for (enum family f = IPV4; f < N_FAMILIES; f++) {
		if (!address_is_none(&node->address[f]))
			json_array_append_new(addresses, api_address(&node->address[f]));
	}
	return addresses;
}

json_t *api_traffic(const struct traffic *traffic)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "packets_in",
		(json_int_t)traffic->packets_in, "bytes_in", (json_int_t)traffic->bytes_in,
		"packets_out", (json_int_t)traffic->packets_out, "bytes_out",
		(json_int_t)traffic->bytes_out, "flows_created", (json_int_t)traffic->flows_created,
		"flows", (json_int_t)traffic->flows);
}

json_t *api_flow(const struct control_sources *from, const struct flow_view *flow)
{
	const struct table_builder *builder = reconcile_builder(from->reconcile);
	const char *service = table_builder_service_name(builder, flow->service);
	const char *node = table_builder_node_name(builder, flow->node);
	char client[ENDPOINT_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s?, s:s?, s:i, s:i, s:i, s:s, s:i, s:i}", "protocol",
		protocol_word(flow->protocol), "client",
		endpoint_format(&flow->client, ntohs(flow->client_port), client), "service",
		service, "node", node, "node_port", ntohs(flow->node_port), "snat_port",
		ntohs(flow->snat_port), "snat_index", flow->snat_index, "state",
		flow_state_word(flow->state), "idle_s", (int)flow->idle_s, "expires_s",
		(int)flow->expires_s);
}
