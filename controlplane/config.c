#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_check.h"
#include "config_language.h"
#include "config_values.h"

// From text to configuration: libconfig makes settings of the text, config_values.c values of the
// settings (of 'kubernetes' config_kubernetes.c), and config_check.c sees to it that they fit
// together. All of them go on after a mistake, so that the operator hears of all of them at once.

enum { FILE_BYTES_MAX = 64 << 20 };

void config_free(struct config *config)
{
	if (config == NULL)
		return;

	for (size_t i = 0; i < config->n_services; i++) {
		if (config->services[i]->nodes != config->all_nodes)
			free(config->services[i]->nodes);
	}
	for (size_t i = 0; i < config->n_source_lists; i++)
		free(config->source_lists[i].prefixes);
	free(config->source_lists);
	address_pools_free(config->kubernetes.pools, config->kubernetes.n_pools);
	if (config->services != NULL)
		free(config->services[0]);
	free(config->services);
	free(config->nodes);
	free(config->all_nodes);
	free(config);
}

// What libconfig would not tell us
//
// It takes numbers of more than 32 bits for others, and opens whatever file the text includes. So
// the text is looked through before: for '@', for numbers that do not fit, and for texts without an
// end, which would be an error in the last line.

struct scan {
	struct reading *reading;
	const char *at;
	const char *end;
	unsigned line;
};

static bool has(const struct scan *scan, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(scan->end - scan->at) >= len && memcmp(scan->at, text, len) == 0;
}

static void skip(struct scan *scan)
{
	if (scan->at < scan->end && *scan->at++ == '\n')
		scan->line++;
}

static void skip_until(struct scan *scan, const char *text)
{
	while (scan->at < scan->end && !has(scan, text))
		skip(scan);
}

// Its end may not share the '*' of its beginning, nor begin another.
static void skip_comment(struct scan *scan)
{
	skip(scan);
	skip(scan);
	skip_until(scan, "*/");
	skip(scan);
	skip(scan);
}

static void skip_string(struct scan *scan)
{
	unsigned line = scan->line;

	for (skip(scan); scan->at < scan->end && *scan->at != '"'; skip(scan)) {
		if (*scan->at == '\\')
			skip(scan);
	}
	if (scan->at == scan->end)
		mistake_at(scan->reading, line, "found no end of a text; must be another \"");
	skip(scan);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*' || c == '.' ||
		c == '+';
}

// A number without a fraction, an exponent or an L after it must fit 32 bits.
static bool fits(const char *word, size_t len)
{
	char text[64], *end;
	bool hexadecimal = len > 2 && word[0] == '0' && (word[1] | ' ') == 'x';

	if (len >= sizeof(text))
		return false;
	memcpy(text, word, len);
	text[len] = '\0';

	errno = 0;
	long long number = strtoll(text, &end, hexadecimal ? 16 : 10);
	if (*end == 'L')
		return errno != ERANGE;
	return *end != '\0' || (number >= INT32_MIN && number <= INT32_MAX);
}

static void scan_word(struct scan *scan)
{
	const char *word = scan->at;

	while (scan->at < scan->end && is_word(*scan->at))
		scan->at++;

	size_t len = (size_t)(scan->at - word);
	bool number = isdigit((unsigned char)word[0]) ||
		(len > 1 && strchr("+-", word[0]) != NULL && isdigit((unsigned char)word[1]));
	if (number && !fits(word, len))
		mistake_at(scan->reading, scan->line,
			"found %.*s; must be a number from -2147483648 to 2147483647",
			(int)(len < 40 ? len : 40), word);
}

static void scan_next(struct scan *scan)
{
	if (has(scan, "/*"))
		skip_comment(scan);
	else if (has(scan, "//") || *scan->at == '#')
		skip_until(scan, "\n");
	else if (*scan->at == '"')
		skip_string(scan);
	else if (is_word(*scan->at))
		scan_word(scan);
	else
		skip(scan);
}

static void scan_text(struct reading *reading, const char *text, size_t len)
{
	struct scan scan = {reading, text, text + len, 1};

	if (memchr(text, '\0', len) != NULL)
		mistake_at(reading, 1, "found a zero byte; must be text");
	while (scan.at < scan.end) {
		if (*scan.at == '@')
			mistake_at(reading, scan.line, "found @; must be all in one file");
		scan_next(&scan);
	}
}

// Settings

static void begin(struct config *config)
{
	config->check.status_first = 200;
	config->check.status_last = 399;
	config->settings.gue_port = __builtin_bswap16(6080);
}

static void read_settings(struct reading *reading, const char *text)
{
	config_t settings;

	config_init(&settings);
	if (config_read_string(&settings, text) == CONFIG_TRUE) {
		read_keys(
			reading, config_root_setting(&settings), &config_language, reading->config);
		if (!reading->out_of_memory)
			config_check(reading, config_root_setting(&settings));
	} else {
		mistake_at(reading, (unsigned)config_error_line(&settings),
			"found a %s; must be settings as libconfig has them: name = value;",
			config_error_text(&settings));
	}
	config_destroy(&settings);
}

// Mistakes

static int compare_mistakes(const void *left, const void *right)
{
	const struct mistake *a = left, *b = right;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return strcmp(a->text, b->text);
}

// Gives the mistakes to 'ret_mistakes', in the order of the file, each once.
static int tell(struct reading *reading, struct text_lines *ret_mistakes)
{
	struct mistake *mistakes = reading->mistakes;
	int r = reading->out_of_memory ? -ENOMEM : reading->n_mistakes > 0 ? -EINVAL : 0;

	if (mistakes != NULL)
		qsort(mistakes, reading->n_mistakes, sizeof(*mistakes), compare_mistakes);
	for (size_t i = 0; i < reading->n_mistakes; i++) {
		bool again = i > 0 && strcmp(mistakes[i - 1].text, mistakes[i].text) == 0;

		if (!again && text_lines_add(ret_mistakes, "%s", mistakes[i].text) < 0)
			r = -ENOMEM;
	}
	for (size_t i = 0; i < reading->n_mistakes; i++)
		free(mistakes[i].text);
	free(mistakes);
	if (r == -ENOMEM)
		text_lines_add(ret_mistakes, "%s: out of memory", reading->path);
	return r;
}

int config_parse_text(const char *text, size_t len, const char *path, struct config **ret_config,
	struct text_lines *ret_mistakes)
{
	struct reading reading = {.path = path, .config = calloc(1, sizeof(*reading.config))};
	char *copy = strndup(text, len);

	reading.out_of_memory = reading.config == NULL || copy == NULL;
	if (!reading.out_of_memory) {
		begin(reading.config);
		scan_text(&reading, text, len);
		// What the scan refuses, libconfig must not see.
		if (reading.n_mistakes == 0)
			read_settings(&reading, copy);
	}
	free(copy);

	int r = tell(&reading, ret_mistakes);
	if (r < 0) {
		config_free(reading.config);
		return r;
	}
	*ret_config = reading.config;
	return 0;
}

// Reads a file of at most FILE_BYTES_MAX. Returns 0 or -errno.
static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
	FILE *file = fopen(path, "re");
	size_t room = 1 << 16, len = 0;
	char *text = NULL;
	int r = file == NULL ? -errno : 0;

	while (r == 0 && !feof(file)) {
		char *more = room > FILE_BYTES_MAX ? NULL : realloc(text, room *= 2);

		if (more == NULL) {
			r = -EFBIG;
			break;
		}
		text = more;
		len += fread(text + len, 1, room - len, file);
		if (ferror(file))
			r = -errno;
	}
	if (file != NULL)
		fclose(file);
	if (r < 0) {
		free(text);
		return r;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int config_parse_file(const char *path, struct config **ret_config, struct text_lines *ret_mistakes)
{
	char *text;
	size_t len;
	int r = read_file(path, &text, &len);

	if (r < 0) {
		text_lines_add(ret_mistakes, "%s: %s", path, strerror(-r));
		return r;
	}
	r = config_parse_text(text, len, path, ret_config, ret_mistakes);
	free(text);
	return r;
}

// What only a restart changes

static int compare_keys(const struct keys *keys, const char *path, const void *now,
	const void *wanted, bool all, struct text_lines *ret_keys)
{
	int r = 0;

	for (size_t i = 0; i < keys->n && r == 0; i++) {
		const struct key *key = &keys->keys[i];
		const char *a = (const char *)now + key->field;
		const char *b = (const char *)wanted + key->field;

		if (key->kind == VALUE_GROUP)
			r = compare_keys(&key->keys, key->name, a, b, all, ret_keys);
		else if ((all || (key->flags & KEY_RESTART)) && memcmp(a, b, key->size) != 0)
			r = text_lines_add(
				ret_keys, "%s%s%s", path, *path == '\0' ? "" : ".", key->name);
	}
	return r;
}

static int compare_ports(
	const struct config *now, const struct config *wanted, struct text_lines *ret_keys)
{
	int r = 0;

	if (now->dataplane.n_ports != wanted->dataplane.n_ports)
		return text_lines_add(ret_keys, "ports");

	for (size_t i = 0; i < now->dataplane.n_ports && r == 0; i++) {
		struct port_entry a = {now->dataplane.ports[i], now->adopt[i]};
		struct port_entry b = {wanted->dataplane.ports[i], wanted->adopt[i]};
		char path[32];

		snprintf(path, sizeof(path), "ports.[%zu]", i);
		r = compare_keys(&port_keys, path, &a, &b, true, ret_keys);
	}
	return r;
}

// Flows name an SNAT address by its place: those that are there must stay where they are.
// Those of a twin do so by themselves.
static bool keeps_snat(const struct config *now, const struct config *wanted)
{
	if (now->snat_twin[0] != '\0' || wanted->snat_twin[0] != '\0')
		return strcmp(now->snat_twin, wanted->snat_twin) == 0;

	for (enum family family = IPV4; family < N_FAMILIES; family++) {
		size_t n = now->n_snat[family];

		if (wanted->n_snat[family] < n ||
			memcmp(now->snat[family], wanted->snat[family],
				n * sizeof(now->snat[family][0])) != 0)
			return false;
	}
	return true;
}

static bool same_cpus(const struct dataplane_config *a, const struct dataplane_config *b)
{
	return a->n_workers == b->n_workers &&
		memcmp(a->worker_cpus, b->worker_cpus, a->n_workers * sizeof(a->worker_cpus[0])) ==
		0;
}

static bool same_hash_key(const struct config *a, const struct config *b)
{
	return a->has_hash_key == b->has_hash_key &&
		(!a->has_hash_key ||
			memcmp(a->dataplane.hash_key, b->dataplane.hash_key,
				sizeof(a->dataplane.hash_key)) == 0);
}

bool config_has_snat(const struct config *config, const struct address *address)
{
	enum family family = address_family(address);

	for (size_t i = 0; i < config->n_snat[family]; i++) {
		if (address_equal(&config->snat[family][i], address))
			return true;
	}
	return false;
}

int config_needs_restart(
	const struct config *now, const struct config *wanted, struct text_lines *ret_keys)
{
	int r = compare_keys(&config_language, "", now, wanted, false, ret_keys);

	if (r == 0)
		r = compare_ports(now, wanted, ret_keys);
	if (r == 0 && !same_cpus(&now->dataplane, &wanted->dataplane))
		r = text_lines_add(ret_keys, "workers.cpus");
	if (r == 0 && !same_hash_key(now, wanted))
		r = text_lines_add(ret_keys, "hash_key");
	if (r == 0 && !keeps_snat(now, wanted))
		r = text_lines_add(ret_keys,
			now->snat_twin[0] != '\0' || wanted->snat_twin[0] != '\0'
				? "snat"
				: "snat (but for addresses after those it had)");
	return r;
}

// Help

static const char *default_of(const struct key *key, char text[MUST_TEXT_MAX])
{
	if (key->flags & KEY_REQUIRED)
		return "required";

	switch (key->kind) {
	case VALUE_NUMBER:
		snprintf(text, MUST_TEXT_MAX, "%lld", (long long)key->standard);
		break;
	case VALUE_SECONDS:
		snprintf(text, MUST_TEXT_MAX, "%g", (double)key->standard / 1000);
		break;
	case VALUE_TRUTH:
		return key->standard ? "true" : "false";
	case VALUE_WORD:
		snprintf(text, MUST_TEXT_MAX, "\"%s\"", key->words[key->standard]);
		break;
	case VALUE_TEXT:
		snprintf(text, MUST_TEXT_MAX, "\"%s\"", key->text);
		break;
	default:
		return key->text;
	}
	return text;
}

static int help_key(const struct key *key, const char *path, struct text_lines *ret_lines)
{
	char text[MUST_TEXT_MAX], must[MUST_TEXT_MAX];

	if (key->keys.n > 0)
		return text_lines_add(ret_lines, "%s%s: %s%s", path, key->name, key->help,
			key->flags & KEY_RESTART ? " [restart]" : "");
	return text_lines_add(ret_lines, "%s%s = %s: %s (%s)%s", path, key->name,
		default_of(key, text), key->help, must_be(key, must),
		key->flags & KEY_RESTART ? " [restart]" : "");
}

static int help_keys(const struct keys *keys, const char *path, struct text_lines *ret_lines)
{
	int r = 0;

	for (size_t i = 0; i < keys->n && r == 0; i++) {
		const struct key *key = &keys->keys[i];
		char below[64];

		r = help_key(key, path, ret_lines);
		snprintf(below, sizeof(below), "%s%s.%s", path, key->name,
			key->kind == VALUE_OTHER ? "[]." : "");
		if (r == 0)
			r = help_keys(&key->keys, below, ret_lines);
	}
	return r;
}

int config_help(struct text_lines *ret_lines)
{
	return help_keys(&config_language, "", ret_lines);
}
