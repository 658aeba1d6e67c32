#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The Internet checksum (RFC 1071): the complement of the ones' complement sum of 16-bit words.
//
// Sums here are of those words as they lie in memory, kept in 64 bits and folded at the end, for
// which the byte order does not matter (RFC 1071, section 2 (B)).

// To 16 bits. Ones' complement has two zeros; this one gives 0xffff for a sum of any but nothing.
//
// A word plus itself with its halves swapped has in its upper half their sum, and the carry that
// ones' complement brings round from its lower.
static inline uint16_t checksum_fold(uint64_t sum)
{
	uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);

	return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

// Of 'len' bytes, a multiple of 4.
static inline uint64_t checksum_sum(const void *bytes, size_t len)
{
	uint64_t sum = 0;

	for (size_t at = 0; at < len; at += 4) {
		uint32_t word;

		memcpy(&word, (const uint8_t *)bytes + at, sizeof(word));
		sum += word;
	}
	return sum;
}

// What a checksum's sum grows by when these bytes are replaced by 'len' others; a multiple of 4.
static inline uint64_t checksum_change(const void *from, const void *to, size_t len)
{
	return len / 4 * UINT32_MAX - checksum_sum(from, len) + checksum_sum(to, len);
}

// The same of one 16-bit word.
static inline uint64_t checksum_change16(uint16_t from, uint16_t to)
{
	return (uint16_t)~from + to;
}

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
static inline uint16_t checksum_update(uint16_t checksum, uint64_t change)
{
	return (uint16_t)~checksum_fold((uint16_t)~checksum + change);
}
