#pragma once

#include <stdbool.h>
#include <stddef.h>

// A stream of bytes, cut anywhere, becomes whole JSON documents, all of them objects. Only their
// borders are found here: whether one is JSON is for the parser to say. Each byte is looked at
// once.

enum json_stream {
	JSON_EACH, // Documents one after the other, as a watch sends them.
	JSON_LIST, // One document whose top-level "items" are handed out one by one, and then the
	           // document with "items": [], as a list's pages are.
};

struct json_documents;

struct json_document {
	const char *text; // [len], good until the next call. No 0 follows.
	size_t len;
	bool is_item; // JSON_LIST: one of the items, not what is around them.
};

// No document (or what is around a list's items) may be longer than 'len_max'. Returns NULL when
// out of memory.
struct json_documents *json_documents_create(enum json_stream kind, size_t len_max);

// Accepts NULL.
void json_documents_destroy(struct json_documents *documents);

// Takes more of the stream. Returns 0 or -ENOMEM.
int json_documents_feed(struct json_documents *documents, const char *bytes, size_t len);

// The next whole document. Returns 1, 0 if there is none yet, -EMSGSIZE if the next one is too
// long, or -EBADMSG for what cannot be JSON; after a failure it returns the same for ever.
int json_documents_next(struct json_documents *documents, struct json_document *ret_document);

// How many bytes were fed and not yet looked at.
size_t json_documents_unread(const struct json_documents *documents);

// True if nothing of a document has begun: a stream that ends now was not cut.
bool json_documents_is_between(const struct json_documents *documents);
