#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "config_check.h"
#include "config_values.h"

// The group 'kubernetes': its values, and its pools beside the addresses that have other owners.

// Texts

static bool is_of(const char *text, size_t len, const char *others)
{
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) &&
			(text[i] == '\0' || strchr(others, text[i]) == NULL))
			return false;
	}
	return true;
}

bool is_class(const char *text)
{
	return *text != '\0' && is_of(text, strlen(text), "-_./");
}

bool is_pool_name(const char *text)
{
	return *text != '\0' && strlen(text) <= 63 && is_of(text, strlen(text), "-_.");
}

bool is_namespace(const char *text)
{
	return *text != '\0' && strlen(text) <= 63 && is_of(text, strlen(text), "-");
}

// It becomes a part of the names of objects. Empty for the machine's.
bool is_instance_name(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.");

	return len <= 63 && text[len] == '\0';
}

// The value may be empty.
static bool is_label(const char *text)
{
	size_t len = strcspn(text, "=");

	return len > 0 && text[len] == '=' && is_of(text, len, "-_./") &&
		is_of(text + len + 1, strlen(text + len + 1), "-_.");
}

static bool is_server(const char *text)
{
	static const char scheme[] = "https://";
	size_t len = strlen(scheme);

	return strncmp(text, scheme, len) == 0 && strlen(text) < URL_TEXT_MAX &&
		(isalnum((unsigned char)text[len]) || text[len] == '[') &&
		is_of(text + len, strlen(text + len), "-_.:/[]%~");
}

// Values

void parse_servers(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	int n = config_setting_length(setting);

	if (!is_row(setting) || n > SERVERS_MAX) {
		wrong(reading, setting, key);
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *server = config_setting_get_elem(setting, (unsigned)i);
		const char *text = string_of(server);
		char found_text[FOUND_TEXT_MAX];

		if (text != NULL && is_server(text))
			strcpy(config->kubernetes.servers[i], text);
		else
			mistake(reading, server, NULL,
				"found %s; must be a URL, such as \"https://10.0.0.2:6443\"",
				found(server, found_text));
	}
	config->kubernetes.n_servers = (size_t)n;
}

static void wrong_range(struct reading *reading, const config_setting_t *setting, int error)
{
	const char *must = error == -ERANGE ? "a range whose first address is not after its last"
		: error == -EAFNOSUPPORT    ? "a range of one family"
		: error == -EADDRNOTAVAIL
		? "without multicast, loopback, link-local and unspecified addresses"
		: "a prefix without bits past its length, a range or an address, such as "
		  "\"192.0.2.128/25\", \"192.0.2.10-192.0.2.19\" or \"2001:db8::80\"";
	char text[FOUND_TEXT_MAX];

	mistake(reading, setting, NULL, "found %s; must be %s", found(setting, text), must);
}

// What is no good stays in its place, with no address, so that the ranges are in the order of the
// settings.
void parse_pool_addresses(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct address_pool *pool = base;
	size_t n = is_row(setting) ? (size_t)config_setting_length(setting) : 0;

	if (n == 0) {
		wrong(reading, setting, key);
		return;
	}
	pool->ranges = calloc(n, sizeof(*pool->ranges));
	if (pool->ranges == NULL) {
		reading->out_of_memory = true;
		return;
	}
	pool->n_ranges = n;
	for (size_t i = 0; i < n; i++) {
		const config_setting_t *range = config_setting_get_elem(setting, (unsigned)i);
		const char *text = string_of(range);
		int r = text == NULL ? -EINVAL : address_range_parse(text, &pool->ranges[i]);

		if (r < 0)
			wrong_range(reading, range, r);
	}
}

static void parse_texts(struct reading *reading, const config_setting_t *setting,
	const struct key *key, bool (*is_good)(const char *), struct text_set *set)
{
	bool good = is_row(setting);

	for (int i = 0; good && i < config_setting_length(setting); i++) {
		const char *text = string_of(config_setting_get_elem(setting, (unsigned)i));

		if (text == NULL || !is_good(text))
			wrong(reading, config_setting_get_elem(setting, (unsigned)i), key);
		else if (text_set_add(set, text) < 0)
			reading->out_of_memory = true;
	}
	if (!good)
		wrong(reading, setting, key);
}

void parse_pool_namespaces(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct address_pool *pool = base;

	parse_texts(reading, setting, key, is_namespace, &pool->namespaces);
}

void parse_namespace_labels(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct address_pool *pool = base;

	parse_texts(reading, setting, key, is_label, &pool->namespace_labels);
}

void parse_service_labels(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct address_pool *pool = base;

	parse_texts(reading, setting, key, is_label, &pool->service_labels);
}

void parse_pools(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	size_t n = (size_t)config_setting_length(setting);

	if (!is_list_of_groups(setting, 0, POOLS_MAX)) {
		wrong(reading, setting, key);
		return;
	}
	config->kubernetes.pools = calloc(n + 1, sizeof(*config->kubernetes.pools));
	if (config->kubernetes.pools == NULL) {
		reading->out_of_memory = true;
		return;
	}
	config->kubernetes.n_pools = n;
	reading->pools = setting;
	for (size_t i = 0; i < n; i++)
		read_keys(reading, config_setting_get_elem(setting, (unsigned)i), &pool_keys,
			&config->kubernetes.pools[i]);
}

// Whose an address is

// A range of a pool, and where it was read.
struct part {
	struct address_range range;
	const struct address_pool *pool;
	const config_setting_t *setting;
};

struct parts {
	struct part *parts; // [n], in the order of their first addresses.
	size_t n;
};

static int compare_parts(const void *left, const void *right)
{
	const struct part *a = left, *b = right;
	int order = memcmp(&a->range.first, &b->range.first, sizeof(a->range.first));

	// Settings lie in memory in any order; lines do not.
	if (order == 0)
		order = (int)config_setting_source_line(a->setting) -
			(int)config_setting_source_line(b->setting);
	return order;
}

static void add_parts(
	const config_setting_t *group, const struct address_pool *pool, struct parts *parts)
{
	const config_setting_t *list = config_setting_get_member(group, "addresses");

	for (size_t i = 0; i < pool->n_ranges; i++) {
		if (!address_is_none(&pool->ranges[i].first))
			parts->parts[parts->n++] = (struct part){
				pool->ranges[i], pool, config_setting_get_elem(list, (unsigned)i)};
	}
}

static bool collect_parts(struct reading *reading, struct parts *ret_parts)
{
	const struct kubernetes_config *config = &reading->config->kubernetes;
	size_t n = 0;

	for (size_t i = 0; i < config->n_pools; i++)
		n += config->pools[i].n_ranges;
	*ret_parts = (struct parts){malloc((n + 1) * sizeof(*ret_parts->parts)), 0};
	if (ret_parts->parts == NULL) {
		reading->out_of_memory = true;
		return false;
	}
	for (size_t i = 0; i < config->n_pools; i++)
		add_parts(config_setting_get_elem(reading->pools, (unsigned)i), &config->pools[i],
			ret_parts);
	qsort(ret_parts->parts, ret_parts->n, sizeof(*ret_parts->parts), compare_parts);
	return true;
}

static void check_overlaps(struct reading *reading, const struct parts *parts)
{
	const struct part *reaching = parts->parts; // Of those so far, the one that ends last.
	char text[FOUND_TEXT_MAX], range[RANGE_TEXT_MAX];

	for (size_t i = 1; i < parts->n; i++) {
		const struct part *part = &parts->parts[i];

		if (address_ranges_overlap(&part->range, &reaching->range))
			mistake(reading, part->setting, NULL,
				"found %s, which overlaps %s of pool \"%s\" in line %u; must be "
				"addresses of its own",
				found(part->setting, text),
				address_range_format(&reaching->range, range), reaching->pool->name,
				config_setting_source_line(reaching->setting));
		if (address_number(&part->range.last) > address_number(&reaching->range.last))
			reaching = part;
	}
}

// The last range that begins at or before the address is the only one that may have it.
static const struct part *find_part(const struct parts *parts, const struct address *address)
{
	size_t low = 0, high = parts->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(&parts->parts[middle].range.first, address, sizeof(*address)) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && address_range_has(&parts->parts[low - 1].range, address)
		? &parts->parts[low - 1]
		: NULL;
}

static void check_address(struct reading *reading, const struct parts *parts,
	const struct address *address, const config_setting_t *group, const char *key)
{
	const struct part *part = find_part(parts, address);
	char text[ADDRESS_TEXT_MAX];

	if (part != NULL && group != NULL)
		mistake(reading, group, key,
			"found \"%s\", which Services get from pool \"%s\" in line %u; must be an "
			"address that no pool has",
			address_format(address, text), part->pool->name,
			config_setting_source_line(part->setting));
}

static void check_family(struct reading *reading, const config_setting_t *root,
	const struct parts *parts, enum family family)
{
	const struct config *config = reading->config;

	for (size_t i = 0; i < config->n_snat[family]; i++)
		check_address(reading, parts, &config->snat[family][i], root, "snat");
	check_address(reading, parts, &config->settings.tunnel_source[family],
		config_setting_get_member(root, "tunnel"), "source");
	for (size_t i = 0; i < config->n_nodes; i++)
		check_address(reading, parts, &config->nodes[i].address[family],
			config_setting_get_elem(reading->nodes, (unsigned)i), "address");
}

static const char *pool_name(const struct reading *reading, size_t i)
{
	return reading->config->kubernetes.pools[i].name;
}

static void check_pool_names(struct reading *reading)
{
	for (size_t j = 0; j < reading->config->kubernetes.n_pools; j++) {
		for (size_t i = 0; i < j; i++) {
			const config_setting_t *first =
				config_setting_get_elem(reading->pools, (unsigned)i);

			if (*pool_name(reading, i) == '\0' ||
				strcmp(pool_name(reading, i), pool_name(reading, j)) != 0)
				continue;
			mistake(reading, config_setting_get_elem(reading->pools, (unsigned)j),
				"name", "found \"%s\", as in line %u; must be a name of its own",
				pool_name(reading, j),
				config_setting_source_line(
					config_setting_get_member(first, "name")));
			break;
		}
	}
}

// Of a leader that stops, nobody else may think that it leads before it has stopped itself; and it
// has to have tried again until then. client-go has the same bounds.
void config_check_instances(struct reading *reading, const config_setting_t *root)
{
	const struct instances_config *config = &reading->config->kubernetes.instances;
	const config_setting_t *kubernetes = config_setting_get_member(root, "kubernetes");
	const config_setting_t *group =
		kubernetes == NULL ? NULL : config_setting_get_member(kubernetes, "instances");

	if (group == NULL)
		return;
	if (config->renew_ms >= config->lease_ms)
		mistake(reading, group, "renew", "found %g; must be less than 'lease', which is %g",
			config->renew_ms / 1000.0, config->lease_ms / 1000.0);
	if (config->retry_ms * 12ull >= config->renew_ms * 10ull)
		mistake(reading, group, "retry",
			"found %g; must be less than 'renew', which is %g, divided by 1.2",
			config->retry_ms / 1000.0, config->renew_ms / 1000.0);
}

void config_check_pools(struct reading *reading, const config_setting_t *root)
{
	const struct config *config = reading->config;
	struct parts parts;

	check_pool_names(reading);
	if (!collect_parts(reading, &parts))
		return;
	check_overlaps(reading, &parts);
	for (enum family family = IPV4; family < N_FAMILIES; family++)
		check_family(reading, root, &parts, family);
	for (size_t i = 0; i < config->n_services; i++)
		check_address(reading, &parts, &config->services[i]->vip,
			config_setting_get_elem(reading->services, (unsigned)i), "vip");
	free(parts.parts);
}
