#include <stdio.h>

#include "show.h"

const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "-";
}

json_int_t number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

double real_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

bool is_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

char *with_units(double value, const char *unit, char ret_text[UNITS_TEXT_MAX])
{
	static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
	size_t i = 0;

	for (; value >= 999.5 && i + 1 < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		value /= 1000;
	snprintf(ret_text, UNITS_TEXT_MAX, "%.*f%s%s%s", i > 0 && value < 99.95 ? 1 : 0, value,
		prefixes[i][0] != '\0' || unit[0] != '\0' ? " " : "", prefixes[i], unit);
	return ret_text;
}

char *as_duration(json_int_t s, char ret_text[UNITS_TEXT_MAX])
{
	long long n = s;

	if (n >= 86400)
		snprintf(ret_text, UNITS_TEXT_MAX, "%lld d %lld h", n / 86400, n / 3600 % 24);
	else if (n >= 3600)
		snprintf(ret_text, UNITS_TEXT_MAX, "%lld h %lld min", n / 3600, n / 60 % 60);
	else if (n >= 60)
		snprintf(ret_text, UNITS_TEXT_MAX, "%lld min %lld s", n / 60, n % 60);
	else
		snprintf(ret_text, UNITS_TEXT_MAX, "%lld s", n);
	return ret_text;
}

static uint8_t digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

size_t from_hex(const char *hex, uint8_t *ret_bytes, size_t most)
{
	size_t n = 0;

	for (; hex[0] != '\0' && hex[1] != '\0' && n < most; hex += 2)
		ret_bytes[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
	return n;
}
