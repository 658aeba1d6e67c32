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

enum { IDS_MAX = 64, N_NAMES = 100 };

// Few different hashes, so that names stand in each other's way.
static uint64_t crowded(size_t name)
{
	return name % 7 * 18 + 120;
}

static const char *word(size_t name)
{
	static char text[16];

	snprintf(text, sizeof(text), "name%zu", name);
	return text;
}

static void a_name_keeps_its_id_whatever_happens_to_others(void **)
{
	struct id_store *store = id_store_create(IDS_MAX);
	uint32_t ids[N_NAMES];
	uint64_t seed = 1;

	memset(ids, 0xff, sizeof(ids));
	for (size_t turn = 0; turn < 20000; turn++) {
		size_t name = mix(++seed) % N_NAMES;

		if (ids[name] != ID_NONE) {
			id_store_remove(store, ids[name]);
			ids[name] = ID_NONE;
		} else if (id_store_put(store, word(name), crowded(name), &ids[name]) < 0) {
			assert_int_equal(id_store_count(store), IDS_MAX);
			ids[name] = ID_NONE;
		}
		name = mix(++seed) % N_NAMES;
		assert_int_equal(id_store_find(store, word(name), crowded(name)), ids[name]);
		if (ids[name] != ID_NONE)
			assert_string_equal(id_store_name(store, ids[name]), word(name));
	}
	id_store_destroy(store);
}

static void the_lowest_free_id_is_given(void **)
{
	struct id_store *store = id_store_create(4);
	uint32_t id;

	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(id_store_put(store, word(i), i, &id), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(id_store_put(store, "more", 9, &id), -ENOSPC);
	id_store_remove(store, 2);
	id_store_remove(store, 1);
	assert_int_equal(id_store_end(store), 4);
	assert_int_equal(id_store_count(store), 2);
	assert_null(id_store_name(store, 1));
	assert_int_equal(id_store_put(store, "more", 9, &id), 0);
	assert_int_equal(id, 1);
	id_store_remove(store, 3);
	assert_int_equal(id_store_end(store), 2);
	assert_int_equal(id_store_put(store, "again", 9, &id), 0);
	assert_int_equal(id, 2);
	id_store_destroy(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_keeps_its_id_whatever_happens_to_others),
		cmocka_unit_test(the_lowest_free_id_is_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
