#include "service_options.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"
#include "requests.h"

#define FIELD(name) offsetof(struct service_options, name)

enum { MUST_TEXT_MAX = 128, FOUND_BYTES = 40 };

// The annotations, whole: the README's table has them too. A number may have 'scale' units; a word
// is kept as its place in the list, from 1 on.
static const struct option {
	const char *name;
	const char *const *words; // Up to NULL; NULL for a number.
	double least;
	double most;
	double scale; // Of what is kept.
	const char *unit;
	size_t field;
} options[] = {
	{.name = OPTION_PREFIX "forwarding",
		.words = (const char *const[]){"snat", "dnat", "dsr", "tunnel", "tunnel-ip",
			"tunnel-gue", NULL},
		.field = FIELD(forwarding)},
	{.name = OPTION_PREFIX "on-all-down",
		.words = (const char *const[]){"reject", "fail-open", NULL},
		.field = FIELD(all_down)},
	{OPTION_PREFIX "idle-timeout", NULL, 1, 604800, 1, " seconds", FIELD(idle_s)},
	{OPTION_PREFIX "mss", NULL, 536, 65495, 1, "", FIELD(mss)},
	{OPTION_PREFIX "check-interval", NULL, 0.1, 3600, 1000, " seconds",
		FIELD(check_interval_ms)},
	{OPTION_PREFIX "check-timeout", NULL, 0.05, 60, 1000, " seconds", FIELD(check_timeout_ms)},
	{OPTION_PREFIX "check-rise", NULL, 1, 100, 1, "", FIELD(check_rise)},
	{OPTION_PREFIX "check-fall", NULL, 1, 100, 1, "", FIELD(check_fall)},
};

enum { N_OPTIONS = sizeof(options) / sizeof(options[0]) };

// What instances tell each other by an annotation of a Service.
static const char ours[] = OPTION_PREFIX "addresses";

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	}
	return NULL;
}

static bool has_prefix(const char *name)
{
	return strncmp(name, OPTION_PREFIX, strlen(OPTION_PREFIX)) == 0;
}

bool is_read_annotation(const char *name)
{
	return find_option(name) != NULL || is_request_annotation(name);
}

// Values

static bool read_word(const struct option *option, const char *text, uint32_t *ret_value)
{
	for (uint32_t i = 0; option->words[i] != NULL; i++) {
		if (strcmp(option->words[i], text) != 0)
			continue;
		*ret_value = i + 1;
		return true;
	}
	return false;
}

// Of digits, with a point where parts of a unit can be kept.
static bool read_number(const struct option *option, const char *text, uint32_t *ret_value)
{
	const char *digits = option->scale > 1 ? "0123456789." : "0123456789";
	char *end;

	if (*text == '\0' || text[strspn(text, digits)] != '\0')
		return false;
	double number = strtod(text, &end);
	if (*end != '\0' || number < option->least || number > option->most)
		return false;
	*ret_value = (uint32_t)lround(number * option->scale);
	return true;
}

static const char *must_be(const struct option *option, char ret_text[MUST_TEXT_MAX])
{
	size_t len = 0;

	if (option->words == NULL) {
		snprintf(ret_text, MUST_TEXT_MAX, "from %g to %.0f%s", option->least, option->most,
			option->unit);
		return ret_text;
	}
	for (size_t i = 0; option->words[i] != NULL; i++)
		len += (size_t)snprintf(ret_text + len, MUST_TEXT_MAX - len, "%s%s",
			i == 0                                 ? ""
				: option->words[i + 1] == NULL ? " or "
							       : ", ",
			option->words[i]);
	return ret_text;
}

// Sentences

static void say(char why[OPTIONS_WHY_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

// Goes on where the last one ended.
static void say(char why[OPTIONS_WHY_MAX], const char *format, ...)
{
	size_t len = strlen(why);
	va_list arguments;

	if (len > 0)
		len += (size_t)snprintf(why + len, OPTIONS_WHY_MAX - len, "; ");
	if (len >= OPTIONS_WHY_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(why + len, OPTIONS_WHY_MAX - len, format, arguments);
	va_end(arguments);
	text_end_whole(why);
}

// Returns whether it is good.
static bool read_option(const struct option *option, const char *text, struct service_options *to,
	char why[OPTIONS_WHY_MAX])
{
	uint32_t *value = (uint32_t *)((char *)to + option->field);
	bool is_good = option->words != NULL ? read_word(option, text, value)
					     : read_number(option, text, value);
	char must[MUST_TEXT_MAX];

	if (!is_good)
		say(why, "the annotation %s is \"%.*s\", and is not looked at; it must be %s",
			option->name, text_whole(text, FOUND_BYTES), text, must_be(option, must));
	return is_good;
}

const char *service_options_read(const json_t *annotations, struct service_options *ret_options,
	char ret_why[OPTIONS_WHY_MAX])
{
	struct service_options read = {0};
	const char *reason = NULL, *name;
	json_t *value;

	ret_why[0] = '\0';
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const char *text = json_string_value(json_object_get(annotations, options[i].name));

		if (text != NULL && !read_option(&options[i], text, &read, ret_why))
			reason = "BadAnnotation";
	}
	json_object_foreach((json_t *)annotations, name, value)
	{
		if (!has_prefix(name) || is_read_annotation(name) || strcmp(name, ours) == 0)
			continue;
		say(ret_why, "there is no annotation %.*s, and it is not looked at",
			text_whole(name, 2 * FOUND_BYTES), name);
		reason = reason == NULL ? "UnknownAnnotation" : reason;
	}
	*ret_options = read;
	return reason;
}
