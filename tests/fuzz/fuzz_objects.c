// Whatever the API server says an object is, and kube-proxy a verdict: what is read is written so
// that it is read as the same.

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kubernetes/json_read.h"
#include "kubernetes/lease.h"
#include "kubernetes/node_object.h"
#include "kubernetes/proxy_answer.h"
#include "kubernetes/recorded_addresses.h"
#include "kubernetes/service_object.h"
#include "kubernetes/service_options.h"
#include "kubernetes/slice_object.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_texts(const struct service_object *service)
{
	struct address addresses[N_FAMILIES], again[N_FAMILIES];
	struct service_options options;
	char text[RECORD_TEXT_MAX], why[OPTIONS_WHY_MAX];

	service_options_read(service->annotations, &options, why);
	recorded_addresses_read(service, addresses);
	recorded_addresses_format(service, addresses, text);
	recorded_addresses_read(service, again);
	for (int f = 0; f < N_FAMILIES; f++)
		assert(address_equal(&addresses[f], &again[f]));
}

static void check_service(const json_t *json)
{
	static const struct address nowhere[N_FAMILIES];
	struct service_object *service, *again;

	if (service_object_parse(json, &service) < 0)
		return;
	check_texts(service);

	json_t *written = service_object_write(service, nowhere);

	assert(service_object_parse(written, &again) == 0);
	assert(service_object_asks_alike(service, again));
	assert(strcmp(service->key, again->key) == 0 && strcmp(service->uid, again->uid) == 0);
	json_decref(written);
	service_object_free(again);
	service_object_free(service);
}

static void check_node(const json_t *json)
{
	struct node_object node, again;

	if (node_object_parse(json, &node) < 0)
		return;

	json_t *written = node_object_write(&node);

	assert(node_object_parse(written, &again) == 0 && strcmp(node.name, again.name) == 0);
	for (int f = 0; f < N_FAMILIES; f++)
		assert(address_equal(&node.address[f], &again.address[f]));
	json_decref(written);
}

static void check_slice(const json_t *json)
{
	struct slice_object *slice, *again;

	if (slice_object_parse(json, &slice) < 0)
		return;
	if (*slice->service != '\0') {
		json_t *written = slice_object_write(slice);

		assert(slice_object_parse(written, &again) == 0);
		assert(slice_object_equal(slice, again));
		json_decref(written);
		slice_object_free(again);
	}
	slice_object_free(slice);
}

static void check_lease(const json_t *json)
{
	struct lease lease, again;

	if (lease_parse(json, &lease) < 0)
		return;

	json_t *written = lease_write(json, "space", &lease, false, 0);

	assert(lease_parse(written, &again) == 0);
	assert(strcmp(lease.name, again.name) == 0 && strcmp(lease.holder, again.holder) == 0);
	json_decref(written);
}

// The first byte is what the answer's status ends with; the rest is the body.
static void check_verdicts(const uint8_t *bytes, size_t len)
{
	static const long statuses[] = {200, 503, 404};
	long status = statuses[bytes[0] % 3];
	const char *body = (const char *)bytes + 1;
	char reason[REASON_MAX];

	proxy_answer_of_node(status, body, len - 1, reason);
	proxy_answer_of_service(status, body, len - 1, "default/web", reason);
}

static void check_weight(const uint8_t *bytes, size_t len)
{
	char text[32] = "";

	if (len < sizeof(text))
		memcpy(text, bytes, len);
	assert(proxy_answer_weight(text) <= PROXY_WEIGHT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len == 0)
		return 0;
	check_verdicts(bytes, len);
	check_weight(bytes, len);

	json_t *json = json_parse((const char *)bytes + 1, len - 1);

	if (json == NULL)
		return 0;
	check_service(json);
	check_node(json);
	check_slice(json);
	check_lease(json);
	json_decref(json);
	return 0;
}
