#include "json_read.h"

#include <stdlib.h>
#include <time.h>

#define NUL_ESCAPE "\\u0000"
#define REPLACEMENT_ESCAPE "\\ufffd"

// After a backslash comes what it makes another, be it a second one.
static void replace_nuls(char *bytes, size_t len)
{
	size_t escape_len = strlen(NUL_ESCAPE);

	for (size_t i = 0; i + escape_len <= len; i += bytes[i] == '\\' ? 2 : 1) {
		if (memcmp(bytes + i, NUL_ESCAPE, escape_len) == 0)
			memcpy(bytes + i, REPLACEMENT_ESCAPE, escape_len);
	}
}

// The parser has it both ways: a NUL is a mistake, or the end of the text for whoever reads it.
static json_t *parse_without_nuls(const char *bytes, size_t len)
{
	char *copy = malloc(len);

	if (copy == NULL)
		return NULL;
	memcpy(copy, bytes, len);
	replace_nuls(copy, len);
	json_t *json = json_loadb(copy, len, 0, NULL);
	free(copy);
	return json;
}

json_t *json_parse(const char *bytes, size_t len)
{
	bool has_nul = memmem(bytes, len, NUL_ESCAPE, strlen(NUL_ESCAPE)) != NULL;

	return has_nul ? parse_without_nuls(bytes, len) : json_loadb(bytes, len, 0, NULL);
}

const json_t *json_at(const json_t *object, const char *path)
{
	while (object != NULL && *path != '\0') {
		size_t len = strcspn(path, ".");

		object = json_object_getn(object, path, len);
		path += len;
		path += *path == '.';
	}
	return object;
}

bool json_list_has(const json_t *object, const char *path, const char *text)
{
	const json_t *list = json_at(object, path);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *element = json_string_value(json_array_get(list, i));

		if (element != NULL && strcmp(element, text) == 0)
			return true;
	}
	return false;
}

bool json_copy_text(const json_t *object, const char *path, char *ret_text, size_t room)
{
	const char *text = json_text_at(object, path);
	bool fits = strlen(text) < room;

	strcpy(ret_text, fits ? text : "");
	return fits;
}

int text_whole(const char *text, size_t most)
{
	size_t len = strnlen(text, most);

	if (text[len] != '\0')
		for (; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
	return (int)len;
}

void text_end_whole(char *text)
{
	size_t len = strlen(text), first = len;

	while (first > 0 && ((unsigned char)text[first - 1] & 0xc0) == 0x80)
		first--;
	if (first == 0)
		return;

	unsigned char lead = (unsigned char)text[first - 1];
	size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
	if (len - first < more)
		text[first - 1] = '\0';
}

void json_format_time(int64_t at_s, char ret_text[JSON_TIME_MAX])
{
	time_t time = at_s;
	struct tm utc;

	gmtime_r(&time, &utc);
	strftime(ret_text, JSON_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc);
}
