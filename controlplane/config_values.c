#include "config_values.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_text.h"
#include "maglev.h"
#include "protocol.h"

// Saying what is wrong

static void add_mistake(struct reading *reading, unsigned line, char *text)
{
	struct mistake *more = text == NULL
		? NULL
		: realloc(reading->mistakes, (reading->n_mistakes + 1) * sizeof(*more));

	if (more == NULL) {
		reading->out_of_memory = true;
		free(text);
		return;
	}
	reading->mistakes = more;
	reading->mistakes[reading->n_mistakes++] = (struct mistake){line, text};
}

void mistake_at(struct reading *reading, unsigned line, const char *format, ...)
{
	char what[1024], *text;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	if (asprintf(&text, "%s:%u: %s", reading->path, line, what) < 0)
		text = NULL;
	add_mistake(reading, line, text);
}

// Writes "services.[2].vip" from the root on. Returns how much of 'text' is used.
static size_t write_path(const config_setting_t *setting, char *text, size_t room)
{
	if (config_setting_is_root(setting))
		return 0;

	size_t at = write_path(config_setting_parent(setting), text, room);
	const char *dot = at > 0 ? "." : "", *name = config_setting_name(setting);
	int len = name != NULL
		? snprintf(text + at, room - at, "%s%s", dot, name)
		: snprintf(text + at, room - at, "%s[%d]", dot, config_setting_index(setting));
	return at + (size_t)len < room ? at + (size_t)len : room - 1;
}

void mistake(struct reading *reading, const config_setting_t *setting, const char *key,
	const char *format, ...)
{
	char what[1024], path[256] = "";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);

	size_t len = write_path(setting, path, sizeof(path));
	if (key != NULL) {
		const config_setting_t *member = config_setting_get_member(setting, key);

		snprintf(path + len, sizeof(path) - len, "%s%s", len > 0 ? "." : "", key);
		if (member != NULL)
			setting = member;
	}
	// The root has no line.
	unsigned line = config_setting_source_line(setting);
	mistake_at(reading, line == 0 ? 1 : line, "%s: %s", path, what);
}

const char *found(const config_setting_t *setting, char ret_text[FOUND_TEXT_MAX])
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(ret_text, FOUND_TEXT_MAX, "%lld", config_setting_get_int64(setting));
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(ret_text, FOUND_TEXT_MAX, "%g", config_setting_get_float(setting));
		break;
	case CONFIG_TYPE_BOOL:
		return config_setting_get_bool(setting) ? "true" : "false";
	case CONFIG_TYPE_STRING:
		snprintf(
			ret_text, FOUND_TEXT_MAX, "\"%.100s\"", config_setting_get_string(setting));
		break;
	case CONFIG_TYPE_GROUP:
		return "a group";
	default:
		snprintf(ret_text, FOUND_TEXT_MAX, "a list of %d", config_setting_length(setting));
	}
	return ret_text;
}

static const char *must_be_word(const struct key *key, char ret_text[MUST_TEXT_MAX])
{
	size_t len = 0;

	for (size_t i = 0; key->words[i] != NULL; i++) {
		const char *before = i == 0 ? "" : key->words[i + 1] == NULL ? " or " : ", ";
		len += (size_t)snprintf(
			ret_text + len, MUST_TEXT_MAX - len, "%s\"%s\"", before, key->words[i]);
	}
	return ret_text;
}

const char *must_be(const struct key *key, char ret_text[MUST_TEXT_MAX])
{
	if (key->must != NULL)
		return key->must;

	switch (key->kind) {
	case VALUE_NUMBER:
		snprintf(ret_text, MUST_TEXT_MAX, "a whole number from %lld to %lld",
			(long long)key->least, (long long)key->most);
		return ret_text;
	case VALUE_SECONDS:
		snprintf(ret_text, MUST_TEXT_MAX, "a number of seconds from %g to %g",
			(double)key->least / 1000, (double)key->most / 1000);
		return ret_text;
	case VALUE_TRUTH:
		return "true or false";
	case VALUE_WORD:
		return must_be_word(key, ret_text);
	default:
		return "a group of keys: { ... }";
	}
}

void wrong(struct reading *reading, const config_setting_t *setting, const struct key *key)
{
	char must[MUST_TEXT_MAX], text[FOUND_TEXT_MAX];

	mistake(reading, setting, NULL, "found %s; must be %s", found(setting, text),
		must_be(key, must));
}

// Values

static bool is_whole(const config_setting_t *setting)
{
	int type = config_setting_type(setting);

	return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
}

const char *string_of(const config_setting_t *setting)
{
	return config_setting_type(setting) == CONFIG_TYPE_STRING
		? config_setting_get_string(setting)
		: NULL;
}

bool is_row(const config_setting_t *setting)
{
	return config_setting_is_array(setting) || config_setting_is_list(setting);
}

static void put_number(const struct key *key, void *base, int64_t number)
{
	void *field = (char *)base + key->field;

	switch (key->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)number;
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)number;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)number;
		break;
	case 8:
		*(uint64_t *)field = (uint64_t)number;
		break;
	default:
		assert(!"a number of that size");
	}
}

static void read_number(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	if (!is_whole(setting) || config_setting_get_int64(setting) < key->least ||
		config_setting_get_int64(setting) > key->most) {
		wrong(reading, setting, key);
		return;
	}
	put_number(key, base, config_setting_get_int64(setting));
}

static void read_seconds(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	double seconds = is_whole(setting) ? (double)config_setting_get_int64(setting)
		: config_setting_type(setting) == CONFIG_TYPE_FLOAT
		? config_setting_get_float(setting)
		: -1;
	double ms = round(seconds * 1000);

	// Written so that what is not a number is not in the range either.
	if (!(ms >= (double)key->least && ms <= (double)key->most)) {
		wrong(reading, setting, key);
		return;
	}
	put_number(key, base, (int64_t)ms);
}

static void read_truth(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
		wrong(reading, setting, key);
	else
		put_number(key, base, config_setting_get_bool(setting));
}

static void read_word(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	const char *text = string_of(setting);

	for (size_t i = 0; text != NULL && key->words[i] != NULL; i++) {
		if (strcmp(key->words[i], text) == 0) {
			put_number(key, base, (int64_t)i);
			return;
		}
	}
	wrong(reading, setting, key);
}

static void read_text(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	const char *text = string_of(setting);

	if (text == NULL || strlen(text) >= key->size ||
		(key->is_good != NULL && !key->is_good(text)))
		wrong(reading, setting, key);
	else
		strcpy((char *)base + key->field, text);
}

static void read_value(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	switch (key->kind) {
	case VALUE_NUMBER:
		read_number(reading, setting, key, base);
		break;
	case VALUE_SECONDS:
		read_seconds(reading, setting, key, base);
		break;
	case VALUE_TRUTH:
		read_truth(reading, setting, key, base);
		break;
	case VALUE_WORD:
		read_word(reading, setting, key, base);
		break;
	case VALUE_TEXT:
		read_text(reading, setting, key, base);
		break;
	case VALUE_GROUP:
		if (config_setting_is_group(setting))
			read_keys(reading, setting, &key->keys, (char *)base + key->field);
		else
			wrong(reading, setting, key);
		break;
	case VALUE_OTHER:
		key->parse(reading, setting, key, base);
	}
}

// Keys

static void set_defaults(const struct keys *keys, void *base)
{
	for (size_t i = 0; i < keys->n; i++) {
		const struct key *key = &keys->keys[i];

		switch (key->kind) {
		case VALUE_NUMBER:
		case VALUE_SECONDS:
		case VALUE_TRUTH:
		case VALUE_WORD:
			put_number(key, base, key->standard);
			break;
		case VALUE_TEXT:
			if (key->text != NULL)
				strcpy((char *)base + key->field, key->text);
			break;
		case VALUE_GROUP:
			set_defaults(&key->keys, (char *)base + key->field);
			break;
		case VALUE_OTHER:
			break;
		}
	}
}

static const struct key *find_key(const struct keys *keys, const char *name)
{
	for (size_t i = 0; i < keys->n; i++) {
		if (strcmp(keys->keys[i].name, name) == 0)
			return &keys->keys[i];
	}
	return NULL;
}

static size_t least_of(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

// How many letters must be put in, taken out or changed to make one of the other (Wagner and
// Fischer, "The String-to-String Correction Problem", JACM 21(1), 1974).
static size_t distance(const char *from, const char *to)
{
	enum { LETTERS_MAX = 31 };
	size_t row[LETTERS_MAX + 1], n = strnlen(to, LETTERS_MAX), n_from = strlen(from);

	for (size_t i = 0; i <= n; i++)
		row[i] = i;
	for (size_t i = 0; i < n_from; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t changed = corner + (from[i] != to[j - 1]);

			corner = row[j];
			row[j] = least_of(changed, row[j] + 1, row[j - 1] + 1);
		}
	}
	return row[n];
}

// The key whose name is at most a third wrong, or NULL.
static const char *nearest(const struct keys *keys, const char *name)
{
	const char *best = NULL;
	size_t best_distance = 1 + strlen(name) / 3;

	for (size_t i = 0; i < keys->n; i++) {
		size_t d = distance(name, keys->keys[i].name);

		if (d <= best_distance) {
			best_distance = d;
			best = keys->keys[i].name;
		}
	}
	return best;
}

static void name_stranger(
	struct reading *reading, const config_setting_t *member, const struct keys *keys)
{
	const char *near = nearest(keys, config_setting_name(member));
	char names[512];
	size_t len = 0;

	if (near != NULL) {
		mistake(reading, member, NULL,
			"found a key that does not exist; must be one that does, such as %s", near);
		return;
	}
	for (size_t i = 0; i < keys->n && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			i == 0                     ? ""
				: i == keys->n - 1 ? " or "
						   : ", ",
			keys->keys[i].name);
	mistake(reading, member, NULL, "found a key that does not exist; must be %s", names);
}

static void name_strangers(
	struct reading *reading, const config_setting_t *group, const struct keys *keys)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);

		if (find_key(keys, config_setting_name(member)) == NULL)
			name_stranger(reading, member, keys);
	}
}

static void missing(struct reading *reading, const config_setting_t *group, const struct key *key)
{
	char must[MUST_TEXT_MAX];

	mistake(reading, group, key->name, "found nothing; must be %s", must_be(key, must));
}

void read_keys(
	struct reading *reading, const config_setting_t *group, const struct keys *keys, void *base)
{
	set_defaults(keys, base);
	name_strangers(reading, group, keys);
	for (size_t i = 0; i < keys->n; i++) {
		const struct key *key = &keys->keys[i];
		const config_setting_t *member = config_setting_get_member(group, key->name);

		if (member != NULL)
			read_value(reading, member, key, base);
		else if (key->flags & KEY_REQUIRED)
			missing(reading, group, key);
	}
}

// What is not a plain value

void parse_nothing(struct reading *, const config_setting_t *, const struct key *, void *)
{
}

bool is_list_of_groups(const config_setting_t *setting, int least, int most)
{
	int n = config_setting_length(setting);

	if (!config_setting_is_list(setting) || n < least || n > most)
		return false;
	for (int i = 0; i < n; i++) {
		if (!config_setting_is_group(config_setting_get_elem(setting, (unsigned)i)))
			return false;
	}
	return true;
}

void parse_ports(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	int n = config_setting_length(setting);

	if (!is_list_of_groups(setting, 1, PORTS_MAX)) {
		wrong(reading, setting, key);
		return;
	}
	for (int i = 0; i < n; i++) {
		struct port_entry entry = {0};

		read_keys(
			reading, config_setting_get_elem(setting, (unsigned)i), &port_keys, &entry);
		if (entry.port.twin[0] == '\0')
			snprintf(entry.port.twin, sizeof(entry.port.twin), "gw%d", i);
		config->dataplane.ports[i] = entry.port;
		config->adopt[i] = entry.adopt;
	}
	config->dataplane.n_ports = (size_t)n;
}

void parse_cpus(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	int n = config_setting_length(setting);
	bool good = is_row(setting) && n >= 1 && n <= WORKERS_MAX;

	for (int i = 0; good && i < n; i++) {
		const config_setting_t *cpu = config_setting_get_elem(setting, (unsigned)i);

		good = is_whole(cpu) && config_setting_get_int64(cpu) >= 0 &&
			config_setting_get_int64(cpu) < 4096;
		if (good)
			config->dataplane.worker_cpus[i] = (unsigned)config_setting_get_int64(cpu);
	}
	if (!good) {
		wrong(reading, setting, key);
		return;
	}
	config->dataplane.n_workers = (size_t)n;
}

// One that a host can have and others can send to. A link-local one is good on one link only, and
// which is not said.
static bool is_unicast(const struct address *address)
{
	const uint8_t *bytes = address->bytes;

	if (address_is_ipv4(address))
		return bytes[12] != 0 && bytes[12] != 127 && bytes[12] < 224;
	return bytes[0] != 0xff && !(bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) &&
		(address->halves[0] != 0 || address->words[2] != 0);
}

static bool is_address(const config_setting_t *setting, struct address *ret_address)
{
	const char *text = string_of(setting);

	return text != NULL && address_parse(text, ret_address) == 0 && is_unicast(ret_address);
}

static void add_snat(
	struct reading *reading, const config_setting_t *setting, struct config *config)
{
	char text[FOUND_TEXT_MAX];
	struct address address;

	if (!is_address(setting, &address)) {
		mistake(reading, setting, NULL,
			"found %s; must be a unicast IPv4 or IPv6 address, such as \"192.0.2.10\", "
			"or \"twin\" alone",
			found(setting, text));
		return;
	}

	enum family family = address_family(&address);
	if (config->n_snat[family] == SNAT_ADDRESSES_MAX)
		mistake(reading, setting, NULL,
			"found one more address of its family; must be at most %d",
			SNAT_ADDRESSES_MAX);
	else
		config->snat[family][config->n_snat[family]++] = address;
}

// One address, or a row of them.
static void add_each(struct reading *reading, const config_setting_t *setting,
	struct config *config,
	void (*add)(struct reading *, const config_setting_t *, struct config *))
{
	if (!is_row(setting)) {
		add(reading, setting, config);
		return;
	}
	for (int i = 0; i < config_setting_length(setting); i++)
		add(reading, config_setting_get_elem(setting, (unsigned)i), config);
}

// "twin", or of several ports "twin:fab". Ports that were no good are passed over.
static void set_snat_twin(
	struct reading *reading, const config_setting_t *setting, struct config *config)
{
	const struct dataplane_config *dataplane = &config->dataplane;
	const char *text = string_of(setting), *name = strchr(text, ':');

	if (dataplane->n_ports == 0)
		return;
	if (name == NULL && dataplane->n_ports > 1) {
		mistake(reading, setting, NULL,
			"found \"twin\" with %zu ports; must name the twin of one, such as "
			"\"twin:%s\"",
			dataplane->n_ports, dataplane->ports[0].twin);
		return;
	}
	name = name == NULL ? dataplane->ports[0].twin : name + 1;
	for (size_t i = 0; i < dataplane->n_ports; i++) {
		if (strcmp(dataplane->ports[i].twin, name) == 0)
			strcpy(config->snat_twin, name);
	}
	if (config->snat_twin[0] == '\0')
		mistake(reading, setting, NULL,
			"found \"%s\", but no port has that twin; must be such as \"twin:%s\"",
			text, dataplane->ports[0].twin);
}

void parse_snat(
	struct reading *reading, const config_setting_t *setting, const struct key *, void *base)
{
	const char *text = string_of(setting);

	if (text != NULL && (strcmp(text, "twin") == 0 || strncmp(text, "twin:", 5) == 0))
		set_snat_twin(reading, setting, base);
	else
		add_each(reading, setting, base, add_snat);
}

static void add_tunnel_source(
	struct reading *reading, const config_setting_t *setting, struct config *config)
{
	char text[FOUND_TEXT_MAX];
	struct address address;

	if (!is_address(setting, &address)) {
		mistake(reading, setting, NULL,
			"found %s; must be a unicast IPv4 or IPv6 address, such as \"192.0.2.5\"",
			found(setting, text));
		return;
	}

	struct address *source = &config->settings.tunnel_source[address_family(&address)];
	if (!address_is_none(source))
		mistake(reading, setting, NULL, "found %s; must be one of each family at most",
			found(setting, text));
	*source = address;
}

void parse_tunnel_source(
	struct reading *reading, const config_setting_t *setting, const struct key *, void *base)
{
	add_each(reading, setting, base, add_tunnel_source);
}

void parse_gue_port(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	long long port = config_setting_type(setting) == CONFIG_TYPE_INT
		? config_setting_get_int(setting)
		: 0;

	if (port < 1 || port > UINT16_MAX)
		wrong(reading, setting, key);
	else
		config->settings.gue_port = __builtin_bswap16((uint16_t)port);
}

void parse_hash_key(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	const char *text = string_of(setting);
	uint64_t half[2] = {0};

	// What is wrong with a secret is said without it.
	if (text == NULL || strlen(text) != 32 || strspn(text, "0123456789abcdefABCDEF") != 32) {
		mistake(reading, setting, NULL, "found something else; must be %s", key->must);
		return;
	}
	for (size_t i = 0; i < 32; i++) {
		char digit[] = {text[i], '\0'};

		half[i / 16] = half[i / 16] << 4 | strtoul(digit, NULL, 16);
	}
	memcpy(config->dataplane.hash_key, half, sizeof(half));
	config->has_hash_key = true;
}

void parse_nodes(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	size_t n = (size_t)config_setting_length(setting);

	if (!is_list_of_groups(setting, 0, INT32_MAX)) {
		wrong(reading, setting, key);
		return;
	}
	config->nodes = calloc(n + 1, sizeof(*config->nodes));
	if (config->nodes == NULL) {
		reading->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < n; i++)
		read_keys(reading, config_setting_get_elem(setting, (unsigned)i), &node_keys,
			&config->nodes[i]);
	config->n_nodes = n;
	reading->nodes = setting;
}

static bool add_node_address(const config_setting_t *setting, struct node_config *node)
{
	struct address address;

	if (!is_address(setting, &address) ||
		!address_is_none(&node->address[address_family(&address)]))
		return false;
	node->address[address_family(&address)] = address;
	return true;
}

void parse_node_address(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	if (!is_row(setting)) {
		if (!add_node_address(setting, base))
			wrong(reading, setting, key);
		return;
	}
	for (int i = 0; i < config_setting_length(setting); i++) {
		if (!add_node_address(config_setting_get_elem(setting, (unsigned)i), base))
			wrong(reading, config_setting_get_elem(setting, (unsigned)i), key);
	}
	if (config_setting_length(setting) == 0)
		wrong(reading, setting, key);
}

void parse_services(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct config *config = base;
	size_t n = (size_t)config_setting_length(setting);

	if (!is_list_of_groups(setting, 0, INT32_MAX)) {
		wrong(reading, setting, key);
		return;
	}
	struct service_config *memory = calloc(n + 1, sizeof(*memory));
	config->services = calloc(n + 1, sizeof(*config->services));
	if (memory == NULL || config->services == NULL) {
		free(memory);
		reading->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i <= n; i++)
		config->services[i] = &memory[i];
	for (size_t i = 0; i < n; i++) {
		config->services[i]->protocol = IPPROTO_TCP;
		config->services[i]->check = config->check;
		read_keys(reading, config_setting_get_elem(setting, (unsigned)i), &service_keys,
			config->services[i]);
	}
	config->n_services = n;
	reading->services = setting;
}

void parse_vip(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct service_config *service = base;

	if (!is_address(setting, &service->vip)) {
		service->vip = (struct address){0};
		wrong(reading, setting, key);
	}
}

static bool read_prefix(
	struct reading *reading, const config_setting_t *setting, struct prefix *ret_prefix)
{
	const char *text = string_of(setting);
	char found_text[FOUND_TEXT_MAX];

	if (text != NULL && source_prefix_parse(text, ret_prefix) == 0)
		return true;
	mistake(reading, setting, NULL,
		"found %s; must be a prefix, such as \"198.51.100.0/24\" or \"2001:db8::/32\"",
		found(setting, found_text));
	return false;
}

// 1 more than the index of the list among those of the configuration, which has each but once.
static size_t intern_sources(struct reading *reading, struct source_list *list)
{
	struct config *config = reading->config;
	struct source_list *more;

	for (size_t i = 0; i < config->n_source_lists; i++) {
		const struct source_list *other = &config->source_lists[i];

		if (other->n == list->n &&
			memcmp(other->prefixes, list->prefixes,
				list->n * sizeof(*list->prefixes)) == 0) {
			free(list->prefixes);
			return i + 1;
		}
	}
	more = realloc(config->source_lists, (config->n_source_lists + 1) * sizeof(*more));
	if (more == NULL) {
		reading->out_of_memory = true;
		free(list->prefixes);
		return 0;
	}
	config->source_lists = more;
	more[config->n_source_lists] = *list;
	return ++config->n_source_lists;
}

static bool read_prefixes(
	struct reading *reading, const config_setting_t *setting, size_t n, struct prefix *prefixes)
{
	bool good = true;

	for (size_t i = 0; i < n; i++)
		good &= read_prefix(
			reading, config_setting_get_elem(setting, (unsigned)i), &prefixes[i]);
	return good;
}

void parse_sources(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct service_config *service = base;
	size_t n = is_row(setting) ? (size_t)config_setting_length(setting) : 0;

	if (n == 0) {
		wrong(reading, setting, key);
		return;
	}

	struct source_list list = {calloc(n, sizeof(*list.prefixes)), n};
	if (list.prefixes == NULL) {
		reading->out_of_memory = true;
		return;
	}
	bool good = read_prefixes(reading, setting, n, list.prefixes) &&
		source_prefixes_reduce(list.prefixes, &list.n) == 0;
	if (good && !source_prefixes_are_all(list.prefixes, list.n))
		service->sources = intern_sources(reading, &list);
	else
		free(list.prefixes);
}

void parse_protocol(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct service_config *service = base;
	const char *text = string_of(setting);
	uint8_t protocol = text == NULL ? 0 : protocol_of_word(text);

	if (protocol == 0)
		wrong(reading, setting, key);
	else
		service->protocol = protocol;
}

// What a group leaves out stays as it is: as 'health' has it.
static void read_some_keys(
	struct reading *reading, const config_setting_t *group, const struct keys *keys, void *base)
{
	name_strangers(reading, group, keys);
	for (size_t i = 0; i < keys->n; i++) {
		const config_setting_t *member =
			config_setting_get_member(group, keys->keys[i].name);

		if (member != NULL)
			read_value(reading, member, &keys->keys[i], base);
	}
}

void parse_check(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct service_config *service = base;
	const char *const *words = find_key(&check_keys, "kind")->words;
	const char *text = string_of(setting);

	if (config_setting_is_group(setting)) {
		read_some_keys(reading, setting, &check_keys, &service->check);
		return;
	}
	for (size_t i = 0; text != NULL && words[i] != NULL; i++) {
		if (strcmp(text, words[i]) == 0) {
			service->check.kind = (enum check_kind)i;
			return;
		}
	}
	wrong(reading, setting, key);
}

// Three digits. Returns 0 if they are none.
static int64_t status_of(const char *text)
{
	for (size_t i = 0; i < 3; i++) {
		if (!isdigit((unsigned char)text[i]))
			return 0;
	}
	return strtol((char[]){text[0], text[1], text[2], '\0'}, NULL, 10);
}

void parse_status(
	struct reading *reading, const config_setting_t *setting, const struct key *key, void *base)
{
	struct check_config *check = base;
	const char *text = string_of(setting);
	int64_t first = 0, last = 0;

	if (is_whole(setting))
		first = last = config_setting_get_int64(setting);
	else if (text != NULL && strlen(text) == strlen("200"))
		first = last = status_of(text);
	else if (text != NULL && strlen(text) == strlen("200-399") && text[3] == '-') {
		first = status_of(text);
		last = status_of(text + 4);
	}

	if (first < 100 || last > 599 || first > last) {
		wrong(reading, setting, key);
		return;
	}
	check->status_first = (uint16_t)first;
	check->status_last = (uint16_t)last;
}
