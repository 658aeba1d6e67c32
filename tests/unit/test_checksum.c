#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "checksum.h"

enum { LEN = 40 };

// The plain way (RFC 1071, section 4.1), word by word.
static uint16_t plain_checksum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2) {
		uint16_t word;

		memcpy(&word, bytes + i, sizeof(word));
		sum += word;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005 + 1442695040888963407;
	return *state >> 33;
}

static void fill(uint8_t *bytes, size_t len, uint64_t *state)
{
	// Bytes at the ends of the range are where carries go wrong.
	static const uint8_t edges[] = {0, 0xff, 0, 0xff, 1, 0xfe, 0x80, 0x7f};

	for (size_t i = 0; i < len; i++) {
		uint64_t random = next(state);
		bytes[i] = random & 0x100 ? edges[random % sizeof(edges)] : (uint8_t)random;
	}
}

static void a_sum_is_that_of_the_plain_way(void **)
{
	uint8_t bytes[LEN];
	uint64_t state = 1;

	for (int i = 0; i < 100000; i++) {
		fill(bytes, LEN, &state);
		assert_int_equal((uint16_t)~checksum_fold(checksum_sum(bytes, LEN)),
			plain_checksum(bytes, LEN));
	}
}

static void an_update_gives_what_the_plain_way_would(void **)
{
	uint8_t bytes[LEN], new[16];
	uint64_t state = 2;

	for (int i = 0; i < 100000; i++) {
		fill(bytes, LEN, &state);
		fill(new, sizeof(new), &state);
		bytes[LEN - 1] |= 1; // All zeros has a checksum of its own kind.
		uint16_t checksum = plain_checksum(bytes, LEN);

		uint64_t change = checksum_change(bytes + 8, new, sizeof(new));
		memcpy(bytes + 8, new, sizeof(new));
		assert_int_equal(checksum_update(checksum, change), plain_checksum(bytes, LEN));
	}
}

static void so_does_an_update_of_one_word(void **)
{
	uint8_t bytes[LEN];
	uint64_t state = 3;

	for (int i = 0; i < 100000; i++) {
		uint16_t was, is = (uint16_t)next(&state);

		fill(bytes, LEN, &state);
		bytes[LEN - 1] |= 1;
		uint16_t checksum = plain_checksum(bytes, LEN);

		memcpy(&was, bytes + 6, sizeof(was));
		memcpy(bytes + 6, &is, sizeof(is));
		assert_int_equal(checksum_update(checksum, checksum_change16(was, is)),
			plain_checksum(bytes, LEN));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sum_is_that_of_the_plain_way),
		cmocka_unit_test(an_update_gives_what_the_plain_way_would),
		cmocka_unit_test(so_does_an_update_of_one_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
