#include "base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c)
{
	const char *at = c == '\0' ? NULL : strchr(letters, c);

	return at == NULL ? -1 : (int)(at - letters);
}

ssize_t base64_decode(const char *text, size_t len, char *ret_bytes)
{
	unsigned bits = 0, n_bits = 0;
	size_t n = 0, n_letters = 0, n_pads = 0;

	for (size_t i = 0; i < len; i++) {
		int value = value_of(text[i]);

		if (text[i] == '\n' || text[i] == '\r')
			continue;
		n_letters++;
		n_pads += text[i] == '=';
		if (text[i] == '=')
			continue;
		if (value < 0 || n_pads > 0)
			return -1;
		bits = bits << 6 | (unsigned)value;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			ret_bytes[n++] = (char)(bits >> n_bits & 0xff);
		}
	}
	return n_letters % 4 == 0 && n_pads <= 2 ? (ssize_t)n : -1;
}

char *base64_encode(const char *text)
{
	size_t len = strlen(text);
	char *encoded = malloc((len + 2) / 3 * 4 + 1), *at = encoded;

	if (encoded == NULL)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		unsigned bits = (unsigned)(uint8_t)text[i] << 16;

		bits |= n > 1 ? (unsigned)(uint8_t)text[i + 1] << 8 : 0;
		bits |= n > 2 ? (uint8_t)text[i + 2] : 0;
		*at++ = letters[bits >> 18];
		*at++ = letters[bits >> 12 & 63];
		*at++ = n > 1 ? letters[bits >> 6 & 63] : '=';
		*at++ = n > 2 ? letters[bits & 63] : '=';
	}
	*at = '\0';
	return encoded;
}
