#include "kubernetes/requests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "address_text.h"
#include "json_read.h"
#include "kubernetes/address_pool.h"

// Ours first. Each list ends with NULL.
static const char *const address_names[] = {"guideway.dev/load-balancer-ips",
	"metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs",
	"kube-vip.io/loadbalancerIPs", "lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips", NULL};
static const char *const pool_names[] = {"guideway.dev/address-pool", "metallb.io/address-pool",
	"metallb.universe.tf/address-pool", NULL};
static const char *const sharing_names[] = {"guideway.dev/share-address",
	"metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip",
	"lbipam.cilium.io/sharing-key", "io.cilium/lb-ipam-sharing-key", NULL};

static const char spec_name[] = "spec.loadBalancerIP";

static int wrong(char ret_why[REQUEST_WHY_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(char ret_why[REQUEST_WHY_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ret_why, REQUEST_WHY_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

enum { FOUND_BYTES = 64 }; // Of what is no good, so much is said.

static int cut(const char *text, size_t len)
{
	return text_whole(text, len < FOUND_BYTES ? len : FOUND_BYTES);
}

// Addresses

// What one place says, and where.
struct saying {
	const char *name;
	struct address addresses[N_FAMILIES];
};

static int add_address(struct saying *saying, const char *text, size_t len, char *ret_why)
{
	char part[ADDRESS_TEXT_MAX];
	struct address address;

	snprintf(part, sizeof(part), "%.*s", (int)len, text);
	if (len >= sizeof(part) || host_address_parse(part, &address) < 0)
		return wrong(ret_why,
			"%s has \"%.*s\"; it must be a unicast address, or one of each family: "
			"\"192.0.2.80,2001:db8::80\"",
			saying->name, cut(text, len), text);

	struct address *place = &saying->addresses[address_family(&address)];
	if (!address_is_none(place) && !address_equal(place, &address))
		return wrong(ret_why, "%s has two %s addresses; it must be one of each family",
			saying->name, address_is_ipv4(&address) ? "IPv4" : "IPv6");
	*place = address;
	return 0;
}

// "a,b", with blanks around each.
static int parse_list(const char *text, struct saying *saying, char *ret_why)
{
	static const char blanks[] = " \t\r\n";
	int r = 0;

	do {
		size_t len = strcspn(text, ",");
		size_t before = strspn(text, blanks), after = len;

		while (after > before && strchr(blanks, text[after - 1]) != NULL)
			after--;
		if (before > after)
			before = after;
		r = add_address(saying, text + before, after - before, ret_why);
		text += len;
	} while (r == 0 && *text++ == ',');
	return r;
}

static const char *write_addresses(const struct saying *saying, char text[2 * ADDRESS_TEXT_MAX])
{
	const struct address *ipv4 = &saying->addresses[IPV4], *ipv6 = &saying->addresses[IPV6];
	char first[ADDRESS_TEXT_MAX], second[ADDRESS_TEXT_MAX];

	if (address_is_none(ipv4) || address_is_none(ipv6))
		return address_format(address_is_none(ipv4) ? ipv6 : ipv4, text);
	snprintf(text, 2 * ADDRESS_TEXT_MAX, "%s,%s", address_format(ipv4, first),
		address_format(ipv6, second));
	return text;
}

static int disagree(const struct saying *first, const struct saying *other, char *ret_why)
{
	char text[2 * ADDRESS_TEXT_MAX], other_text[2 * ADDRESS_TEXT_MAX];

	return wrong(ret_why, "%s has %s, but %s has %s; they must say the same, or one nothing",
		first->name, write_addresses(first, text), other->name,
		write_addresses(other, other_text));
}

// 'sum' has what places before said, or no name.
static int add_saying(struct saying *sum, const char *name, const char *text, char *ret_why)
{
	struct saying saying = {.name = name};
	int r = parse_list(text, &saying, ret_why);

	if (r < 0)
		return r;
	if (sum->name == NULL)
		*sum = saying;
	return memcmp(sum->addresses, saying.addresses, sizeof(sum->addresses)) == 0
		? 0
		: disagree(sum, &saying, ret_why);
}

// The field has room for one address; of two it must be one.
static int add_spec(struct saying *sum, const char *text, char *ret_why)
{
	struct saying saying = {.name = spec_name};
	struct address address = {0};

	if (host_address_parse(text, &address) < 0)
		return wrong(ret_why,
			"%s is \"%.*s\"; it must be a unicast address, such as 192.0.2.80",
			spec_name, cut(text, strlen(text)), text);
	saying.addresses[address_family(&address)] = address;
	if (sum->name == NULL)
		*sum = saying;
	return address_equal(&sum->addresses[address_family(&address)], &address)
		? 0
		: disagree(sum, &saying, ret_why);
}

// What is there with another type than text is refused by the API server, and none of ours.
static const char *text_of(const json_t *annotations, const char *name)
{
	const char *text = json_string_value(json_object_get(annotations, name));

	return text != NULL && *text != '\0' ? text : NULL;
}

static int parse_addresses(const json_t *annotations, const char *load_balancer_ip,
	struct address_request *request, char *ret_why)
{
	struct saying sum = {0};
	int r = 0;

	for (size_t i = 0; address_names[i] != NULL && r == 0; i++) {
		const char *text = text_of(annotations, address_names[i]);

		if (text != NULL)
			r = add_saying(&sum, address_names[i], text, ret_why);
	}
	if (r == 0 && load_balancer_ip != NULL && *load_balancer_ip != '\0')
		r = add_spec(&sum, load_balancer_ip, ret_why);
	memcpy(request->addresses, sum.addresses, sizeof(sum.addresses));
	return r;
}

// Words

// What one of 'names' says, and all of them that say something.
static int parse_word(const json_t *annotations, const char *const *names, char *ret_word,
	size_t room, char *ret_why)
{
	const char *first = NULL;

	for (; *names != NULL; names++) {
		const char *text = text_of(annotations, *names);

		if (text == NULL)
			continue;
		if (strlen(text) >= room)
			return wrong(ret_why, "%s has %zu bytes; it must be at most %zu", *names,
				strlen(text), room - 1);
		if (first != NULL && strcmp(ret_word, text) != 0)
			return wrong(ret_why,
				"%s has \"%.*s\", but %s has \"%.*s\"; they must say the same, "
				"or one nothing",
				first, cut(ret_word, strlen(ret_word)), ret_word, *names,
				cut(text, strlen(text)), text);
		first = *names;
		strcpy(ret_word, text);
	}
	return 0;
}

int address_request_parse_sharing(
	const json_t *annotations, char ret_sharing[REQUEST_KEY_MAX], char ret_why[REQUEST_WHY_MAX])
{
	ret_sharing[0] = '\0';
	return parse_word(annotations, sharing_names, ret_sharing, REQUEST_KEY_MAX, ret_why);
}

int address_request_parse(const json_t *annotations, const char *load_balancer_ip,
	struct address_request *ret_request, char ret_why[REQUEST_WHY_MAX])
{
	struct address_request request = {0};
	int r = parse_addresses(annotations, load_balancer_ip, &request, ret_why);

	if (r == 0)
		r = parse_word(
			annotations, pool_names, request.pool, sizeof(request.pool), ret_why);
	if (r == 0)
		r = address_request_parse_sharing(annotations, request.sharing, ret_why);
	if (r == 0)
		*ret_request = request;
	return r;
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (strcmp(*names, name) == 0)
			return true;
	}
	return false;
}

bool is_request_annotation(const char *name)
{
	return is_among(name, address_names) || is_among(name, pool_names) ||
		is_among(name, sharing_names);
}
