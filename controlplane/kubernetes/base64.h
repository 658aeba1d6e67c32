#pragma once

#include <stddef.h>
#include <sys/types.h>

// RFC 4648, section 4.

// Ends of lines are passed over. Returns how many bytes 'ret_bytes' got, of which there are never
// more than 'len', or -1.
ssize_t base64_decode(const char *text, size_t len, char *ret_bytes);

// The caller's to free; NULL when out of memory.
char *base64_encode(const char *text);
