// However a stream is cut, the documents are the same; none is longer than it may be, and where a
// document is JSON, the next begins behind it.

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kubernetes/json_documents.h"

enum { LEN_MAX = 256, DOCUMENTS_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct outcome {
	uint64_t hash;
	size_t n;
	int end;
};

static void take(struct outcome *outcome, const struct json_document *document)
{
	assert(document->len <= LEN_MAX && document->len >= 2);
	assert(document->text[0] == '{');
	for (size_t i = 0; i < document->len; i++)
		outcome->hash = (outcome->hash ^ (uint8_t)document->text[i]) * 0x100000001b3;
	outcome->hash = (outcome->hash ^ document->is_item) * 0x100000001b3;
	outcome->n++;
}

static struct outcome cut(enum json_stream kind, const char *text, size_t len, size_t piece)
{
	struct json_documents *documents = json_documents_create(kind, LEN_MAX);
	struct outcome outcome = {0};
	struct json_document document;

	for (size_t at = 0; at < len && outcome.end == 0; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		int r;

		assert(json_documents_feed(documents, text + at, n) == 0);
		while ((r = json_documents_next(documents, &document)) == 1)
			take(&outcome, &document);
		outcome.end = r;
		assert(r < 0 || json_documents_unread(documents) == 0);
	}
	json_documents_destroy(documents);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len < 2)
		return 0;

	enum json_stream kind = bytes[0] & 1 ? JSON_LIST : JSON_EACH;
	const char *text = (const char *)bytes + 2;
	struct outcome whole = cut(kind, text, len - 2, len);
	struct outcome pieces = cut(kind, text, len - 2, 1 + bytes[1] % 16);

	assert(whole.n == pieces.n && whole.hash == pieces.hash && whole.end == pieces.end);
	return 0;
}
