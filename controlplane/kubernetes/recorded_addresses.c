#include "recorded_addresses.h"

#include <stdio.h>
#include <string.h>

#include "address_text.h"

// A part of the list. Returns false if it is none, or another of its family came before.
static bool add(const char *part, size_t len, struct address addresses[N_FAMILIES])
{
	char text[ADDRESS_TEXT_MAX];
	struct address address;

	if (len >= sizeof(text))
		return false;
	memcpy(text, part, len);
	text[len] = '\0';
	if (address_parse(text, &address) < 0 ||
		!address_is_none(&addresses[address_family(&address)]))
		return false;
	addresses[address_family(&address)] = address;
	return true;
}

void recorded_addresses_read(
	const struct service_object *service, struct address ret_addresses[N_FAMILIES])
{
	const char *at = service_annotation(service, RECORDED_ADDRESSES);
	struct address addresses[N_FAMILIES] = {0};
	bool good = at != NULL;

	while (good && *at != '\0') {
		size_t len = strcspn(at, ",");

		good = add(at, len, addresses);
		at += len + (at[len] == ',');
	}
	if (!good)
		memset(addresses, 0, sizeof(addresses));
	memcpy(ret_addresses, addresses, sizeof(addresses));
}

const char *recorded_addresses_format(const struct service_object *service,
	const struct address addresses[N_FAMILIES], char ret_text[RECORD_TEXT_MAX])
{
	size_t len = 0;

	ret_text[0] = '\0';
	for (size_t i = 0; i < service->n_families; i++) {
		const struct address *address = &addresses[service->families[i]];
		char text[ADDRESS_TEXT_MAX];

		if (!address_is_none(address))
			len += (size_t)snprintf(ret_text + len, RECORD_TEXT_MAX - len, "%s%s",
				len == 0 ? "" : ",", address_format(address, text));
	}
	return ret_text;
}
