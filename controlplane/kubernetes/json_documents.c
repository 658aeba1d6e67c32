#include "json_documents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Finding borders
// ===============
//
//     bytes   | told already | what has begun | not looked at |  room  |
//             0            start              at             end
//
// A document ends where its braces and brackets are closed, those in strings not counted. That is
// all of JSON that has to be known for it, and the state after each byte is kept, so that a cut may
// be anywhere: in a number, an escape, a character of several bytes.
//
// What is told already makes room for what comes when it is at least half of the buffer, else the
// buffer grows: a byte is moved a bounded number of times, however small the pieces.

enum {
	ROOM_LEAST = 4096,
	DEPTH_OF_ITEMS = 2, // In {"items": [ ... ]}.
};

struct text {
	char *bytes;
	size_t len;
	size_t room;
};

struct json_documents {
	enum json_stream kind;
	size_t len_max;
	int failure;

	char *bytes;
	size_t start;
	size_t at;
	size_t end;
	size_t room;

	// What was seen of the document that has begun.
	unsigned depth;
	bool in_string;
	bool escaped;

	// JSON_LIST.
	struct text around; // The list without its items.
	bool around_is_told;
	size_t string_start; // Of the last one at depth 1.
	bool is_items_next;  // It said "items".
	bool in_items;
	bool in_item;
};

struct json_documents *json_documents_create(enum json_stream kind, size_t len_max)
{
	struct json_documents *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;

	d->kind = kind;
	d->len_max = len_max;
	return d;
}

void json_documents_destroy(struct json_documents *documents)
{
	if (documents == NULL)
		return;

	free(documents->bytes);
	free(documents->around.bytes);
	free(documents);
}

// Room

static size_t room_for(size_t room, size_t len)
{
	if (room < ROOM_LEAST)
		room = ROOM_LEAST;
	while (room < len)
		room *= 2;
	return room;
}

static void move_to_front(struct json_documents *d)
{
	if (d->end > d->start)
		memmove(d->bytes, d->bytes + d->start, d->end - d->start);
	d->at -= d->start;
	d->end -= d->start;
	d->string_start -= d->string_start < d->start ? d->string_start : d->start;
	d->start = 0;
}

static int make_room(struct json_documents *d, size_t len)
{
	if (d->end + len <= d->room)
		return 0;
	if (d->start >= d->room / 2)
		move_to_front(d);
	if (d->end + len <= d->room)
		return 0;

	size_t room = room_for(d->room, d->end + len);
	char *bytes = realloc(d->bytes, room);
	if (bytes == NULL)
		return -ENOMEM;
	d->bytes = bytes;
	d->room = room;
	return 0;
}

int json_documents_feed(struct json_documents *documents, const char *bytes, size_t len)
{
	if (len == 0)
		return 0;

	int r = make_room(documents, len);
	if (r < 0)
		return r;

	memcpy(documents->bytes + documents->end, bytes, len);
	documents->end += len;
	return 0;
}

// Moves what has begun to what is around a list's items.
static int set_aside(struct json_documents *d, size_t until)
{
	size_t len = until - d->start;
	struct text *around = &d->around;

	if (around->len + len > around->room) {
		size_t room = room_for(around->room, around->len + len);
		char *bytes = realloc(around->bytes, room);

		if (bytes == NULL)
			return -ENOMEM;
		around->bytes = bytes;
		around->room = room;
	}
	memcpy(around->bytes + around->len, d->bytes + d->start, len);
	around->len += len;
	d->start = until;
	return 0;
}

// Borders

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// 'd->at' is in a string: goes behind it, or to the end.
static void pass_string(struct json_documents *d)
{
	while (d->at < d->end) {
		char c = d->bytes[d->at++];

		if (d->escaped) {
			d->escaped = false;
		} else if (c == '\\') {
			d->escaped = true;
		} else if (c == '"') {
			d->in_string = false;
			break;
		}
	}
	if (!d->in_string && d->depth == 1)
		d->is_items_next = d->at - d->string_start == strlen("\"items\"") &&
			memcmp(d->bytes + d->string_start, "\"items\"", strlen("\"items\"")) == 0;
}

static bool is_between_items(const struct json_documents *d)
{
	return d->in_items && !d->in_item && d->depth == DEPTH_OF_ITEMS;
}

// One byte between two items, which is in neither and not around them.
static int pass_between(struct json_documents *d, char c)
{
	if (c == '{') {
		d->in_item = true;
		d->depth++;
	} else if (c == ']') {
		d->in_items = false;
		d->depth--;
	} else if (!is_space(c) && c != ',') {
		return -EBADMSG;
	} else {
		d->start++;
	}
	d->at++;
	return 0;
}

static int open_one(struct json_documents *d, char c)
{
	d->at++;
	d->depth++;
	if (d->kind != JSON_LIST || c != '[' || d->depth != DEPTH_OF_ITEMS || !d->is_items_next)
		return 0;
	d->in_items = true;
	return set_aside(d, d->at);
}

// Returns 1 if that ends a document.
static int close_one(struct json_documents *d)
{
	d->at++;
	d->depth--;
	return d->depth == 0 || (d->in_item && d->depth == DEPTH_OF_ITEMS);
}

static int pass_byte(struct json_documents *d)
{
	char c = d->bytes[d->at];

	if (is_between_items(d))
		return pass_between(d, c);
	switch (c) {
	case '"':
		d->in_string = true;
		d->string_start = d->at++;
		return d->depth == 0 ? -EBADMSG : 0;
	case '{':
	case '[':
		return d->depth == 0 && c == '[' ? -EBADMSG : open_one(d, c);
	case '}':
	case ']':
		return d->depth == 0 ? -EBADMSG : close_one(d);
	}
	d->at++;
	if (d->depth > 0)
		return 0;
	d->start++;
	return is_space(c) ? 0 : -EBADMSG;
}

static bool is_too_long(const struct json_documents *d)
{
	size_t around = d->in_item ? 0 : d->around.len;

	return d->at - d->start > d->len_max || around + (d->at - d->start) > d->len_max;
}

static int find_end(struct json_documents *d)
{
	int r = 0;

	while (r == 0 && d->at < d->end) {
		if (d->in_string)
			pass_string(d);
		else
			r = pass_byte(d);
		if (is_too_long(d))
			return -EMSGSIZE;
	}
	return r;
}

static struct json_document take_item(struct json_documents *d)
{
	struct json_document item = {
		.text = d->bytes + d->start, .len = d->at - d->start, .is_item = d->in_item};

	d->in_item = false;
	d->start = d->at;
	return item;
}

static int take_around(struct json_documents *d, struct json_document *ret_document)
{
	int r = set_aside(d, d->at);
	if (r < 0)
		return r;

	d->around_is_told = true;
	*ret_document = (struct json_document){.text = d->around.bytes, .len = d->around.len};
	return 1;
}

int json_documents_next(struct json_documents *documents, struct json_document *ret_document)
{
	struct json_documents *d = documents;

	if (d->failure < 0)
		return d->failure;
	if (d->around_is_told)
		d->around.len = 0;
	d->around_is_told = false;

	int r = find_end(d);
	if (r == 1 && d->kind == JSON_LIST && !d->in_item)
		r = take_around(d, ret_document);
	else if (r == 1)
		*ret_document = take_item(d);
	if (r < 0)
		d->failure = r;
	return r;
}

size_t json_documents_unread(const struct json_documents *documents)
{
	return documents->end - documents->at;
}

bool json_documents_is_between(const struct json_documents *documents)
{
	return documents->depth == 0 && documents->failure == 0 &&
		json_documents_unread(documents) == 0;
}
