#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Reading documents of the API server: what is missing, or of another type, is as if it were empty.

// What a server sent, as JSON; NULL if it is none. U+0000, which a text may have there and no text
// of ours can hold, is read as U+FFFD, so that no text ends within.
json_t *json_parse(const char *bytes, size_t len);

// The member at 'path' ("metadata.name"), or NULL. No name of the path has a dot of its own.
const json_t *json_at(const json_t *object, const char *path);

// Never NULL.
static inline const char *json_text_at(const json_t *object, const char *path)
{
	const char *text = json_string_value(json_at(object, path));

	return text == NULL ? "" : text;
}

static inline int64_t json_number_at(const json_t *object, const char *path)
{
	return json_integer_value(json_at(object, path));
}

static inline bool json_text_is(const json_t *object, const char *path, const char *text)
{
	return strcmp(json_text_at(object, path), text) == 0;
}

// Whether the list at 'path' has the string.
bool json_list_has(const json_t *object, const char *path, const char *text);

// Copies a text that fits into 'ret_text', else leaves it empty. Returns whether it fits.
bool json_copy_text(const json_t *object, const char *path, char *ret_text, size_t room);

// Whether a text may be a namespace or a name: not empty, without the slash that stands between the
// two in a key, and with room for its end in 'room' bytes.
static inline bool is_name_of_object(const char *text, size_t room)
{
	return *text != '\0' && strchr(text, '/') == NULL && strlen(text) < room;
}

// Texts of others that are said to people become JSON again, which takes no half of a character.
// How many bytes of 'text', at most 'most', are whole characters; for "%.*s".
int text_whole(const char *text, size_t most);

// Takes the half of a character from the end of a text that was cut.
void text_end_whole(char *text);

// A time of day, in seconds since 1970, as documents have it (RFC 3339).
enum { JSON_TIME_MAX = 32 };
void json_format_time(int64_t at_s, char ret_text[JSON_TIME_MAX]);
