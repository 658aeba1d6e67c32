#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "id_store.h"
#include "name.h"

enum { IDS_MAX = 64, N_KEYS = 100 };

// Each second key differs from the one before in its address alone. Few different hashes, so that
// they stand in each other's way. Good for two at a time. A name is at one of two places.
static const struct id_key *key(size_t number)
{
	static char texts[N_KEYS / 2][2][16];
	static struct id_key keys[2];
	static size_t n;
	size_t i = n++ % 2;
	char *text = texts[number / 2][n / 2 % 2];

	snprintf(text, sizeof(texts[0][0]), "name%zu", number / 2);
	keys[i] = (struct id_key){.name = text, .hash = number % 7 * 18 + 120};
	keys[i].address = address_from_ipv4((__be32)(number % 2));
	return &keys[i];
}

static void a_key_keeps_its_id_whatever_happens_to_others(void **)
{
	struct id_store *store = id_store_create(IDS_MAX);
	uint32_t ids[N_KEYS];
	uint64_t seed = 1;

	memset(ids, 0xff, sizeof(ids));
	for (size_t turn = 0; turn < 20000; turn++) {
		size_t at = mix(++seed) % N_KEYS;

		if (ids[at] != ID_NONE) {
			id_store_remove(store, ids[at]);
			ids[at] = ID_NONE;
		} else if (id_store_put(store, key(at), &ids[at]) < 0) {
			assert_int_equal(id_store_count(store), IDS_MAX);
			ids[at] = ID_NONE;
		}
		at = mix(++seed) % N_KEYS;
		assert_int_equal(id_store_find(store, key(at)), ids[at]);
		if (ids[at] == ID_NONE)
			continue;
		assert_int_equal(id_key_compare(id_store_key(store, ids[at]), key(at)), 0);
		id_store_know(store, ids[at], key(at));
		id_store_mark(store, ids[at], turn);
	}
	id_store_destroy(store);
}

static void the_lowest_free_id_is_given(void **)
{
	struct id_store *store = id_store_create(4);
	uint32_t id;

	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(id_store_put(store, key(i), &id), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(id_store_put(store, key(8), &id), -ENOSPC);
	id_store_remove(store, 2);
	id_store_remove(store, 1);
	assert_int_equal(id_store_end(store), 4);
	assert_int_equal(id_store_count(store), 2);
	assert_null(id_store_key(store, 1));
	assert_int_equal(id_store_put(store, key(8), &id), 0);
	assert_int_equal(id, 1);
	id_store_remove(store, 3);
	assert_int_equal(id_store_end(store), 2);
	assert_int_equal(id_store_put(store, key(9), &id), 0);
	assert_int_equal(id, 2);
	id_store_destroy(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_keeps_its_id_whatever_happens_to_others),
		cmocka_unit_test(the_lowest_free_id_is_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
