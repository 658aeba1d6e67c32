#include "packet_text.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"

enum {
	FILE_BYTES_MAX = 64 * 1024 * 1024,
	PIECE = 64 * 1024,
	// draft-ietf-opsawg-pcapng, section 4: a block is its type, its length, a body, and its
	// length again. An enhanced packet block's body has five words, then the packet.
	SECTION = 0x0a0d0d0a,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	ENHANCED_PACKET = 6,
	BLOCK_MIN = 12,
	PACKET_AT = 28,
};

struct bytes {
	uint8_t *at; // By malloc(), with a 0 behind them.
	size_t len;
};

static char *complain(const char *name, const char *what)
{
	fprintf(stderr, "guidewayctl: %s: %s\n", name, what);
	return NULL;
}

static bool read_all(FILE *file, struct bytes *b)
{
	for (size_t n = PIECE; n > 0 && b->len < FILE_BYTES_MAX; b->len += n) {
		uint8_t *grown = realloc(b->at, b->len + PIECE + 1);

		if (grown == NULL)
			return false;
		b->at = grown;
		n = fread(b->at + b->len, 1, PIECE, file);
		b->at[b->len + n] = 0;
	}
	return !ferror(file) && b->len < FILE_BYTES_MAX;
}

static bool read_file(const char *name, struct bytes *b)
{
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(name, "rb");

	if (file == NULL) {
		complain(name, strerror(errno));
		return false;
	}
	errno = 0;
	bool is_read = read_all(file, b);
	if (!is_read)
		complain(name, errno != 0 ? strerror(errno) : "is larger than 64 MB");
	if (!is_stdin)
		fclose(file);
	return is_read;
}

static char *to_hex(const uint8_t *bytes, size_t len)
{
	char *hex = malloc(2 * len + 1);

	for (size_t i = 0; hex != NULL && i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	return hex;
}

// pcapng
// ======

static uint32_t word_at(const struct bytes *b, size_t at, bool swapped)
{
	uint32_t word;

	memcpy(&word, b->at + at, sizeof(word));
	return swapped ? __builtin_bswap32(word) : word;
}

static bool is_pcapng(const struct bytes *b)
{
	return b->len >= BLOCK_MIN && word_at(b, 0, false) == SECTION;
}

static char *packet_at(const char *name, const struct bytes *b, size_t at, size_t end, bool swapped)
{
	uint32_t len = word_at(b, at + PACKET_AT - 8, swapped);

	if (len > end - at - PACKET_AT)
		return complain(name, "is a broken pcapng file");
	if (len != word_at(b, at + PACKET_AT - 4, swapped))
		return complain(name, "has only the beginning of this packet");
	return to_hex(b->at + at + PACKET_AT, len);
}

static char *from_pcapng(const char *name, const struct bytes *b, unsigned number)
{
	bool swapped = false;

	for (size_t at = 0; at + BLOCK_MIN <= b->len;) {
		uint32_t type = word_at(b, at, swapped);

		if (type == SECTION)
			swapped = word_at(b, at + 8, false) != BYTE_ORDER_MAGIC;
		uint32_t len = word_at(b, at + 4, swapped);
		if (len < BLOCK_MIN || len > b->len - at)
			return complain(name, "is a broken pcapng file");
		if (type == ENHANCED_PACKET && len >= PACKET_AT + 4 && --number == 0)
			return packet_at(name, b, at, at + len - 4, swapped);
		at += len;
	}
	return complain(name, "has no packet of that number");
}

// Text
// ====

static char *from_json(const char *name, const struct bytes *b, unsigned number)
{
	json_error_t error;
	json_t *answer = json_loadb((const char *)b->at, b->len, 0, &error);
	const json_t *packet = json_array_get(json_object_get(answer, "packets"), number - 1);
	const char *hex = json_string_value(json_object_get(packet, "bytes"));
	char *copy = NULL;

	if (hex == NULL)
		complain(name, answer == NULL ? error.text : "has no packet of that number");
	else if ((json_int_t)strlen(hex) != 2 * number_of(packet, "len"))
		complain(name, "has only the beginning of this packet");
	else
		copy = strdup(hex);
	json_decref(answer);
	return copy;
}

// Without what people put between digits.
static char *from_digits(const char *text)
{
	char *digits = malloc(strlen(text) + 1);
	size_t n = 0;

	if (digits == NULL)
		return NULL;
	for (; *text != '\0'; text++) {
		if (!isspace((unsigned char)*text) && *text != ':')
			digits[n++] = *text;
	}
	digits[n] = '\0';
	return digits;
}

static char *from_text(const char *name, const struct bytes *b, unsigned number)
{
	if (b->at[strspn((const char *)b->at, " \t\r\n")] == '{')
		return from_json(name, b, number);
	if (number > 1)
		return complain(name, "has one packet, in digits");
	return from_digits((const char *)b->at);
}

char *packet_text(const char *word, unsigned number)
{
	struct bytes b = {0};
	char *text = NULL;

	if (word[0] != '@')
		return from_digits(word);
	if (read_file(word + 1, &b))
		text = is_pcapng(&b) ? from_pcapng(word + 1, &b, number)
				     : from_text(word + 1, &b, number);
	free(b.at);
	return text;
}
